"""A token that is bound is taken with its own proof alone (RFC 7800 §3, RFC 9449 §6, RFC 8705 §3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Refusal
from exchange.model import NO_PROOF, PresentedToken, Role, SenderProof
from exchange.tokens.confirmation import check_confirmation
from tests.support.tokens import genuine_claims, signed_as_it_is, token_validator, trusted_issuer

ROLES = pytest.mark.parametrize("role", list(Role))
PROOF = SenderProof("k", "c")
KEY, CERTIFICATE, BOTH = {"jkt": "k"}, {"x5t#S256": "c"}, {"jkt": "k", "x5t#S256": "c"}


def reason(cnf, proof=PROOF, role=Role.SUBJECT):
    with pytest.raises(Refusal) as caught:
        check_confirmation({"cnf": cnf}, proof, role)
    return caught.value.reason.slug.removeprefix(f"{role}_token_")


@ROLES
@pytest.mark.parametrize("cnf", [KEY, CERTIFICATE, BOTH])
def test_what_is_proved_is_taken_and_kept(cnf, role):
    assert check_confirmation({"cnf": cnf}, PROOF, role) == cnf


@pytest.mark.parametrize("proof", [NO_PROOF, PROOF])
def test_a_token_that_is_bound_to_nobody_is_so(proof):
    assert check_confirmation({"sub": "ada"}, proof, Role.SUBJECT) is None


@ROLES
@pytest.mark.parametrize(
    ("cnf", "proof"),
    [
        (KEY, NO_PROOF),
        (KEY, SenderProof(None, "c")),
        (CERTIFICATE, NO_PROOF),
        (CERTIFICATE, SenderProof("k")),
        (BOTH, SenderProof("k")),
        (BOTH, SenderProof(None, "c")),
    ],
)
def test_without_each_proof_it_is_missing(cnf, proof, role):
    assert reason(cnf, proof, role) == "proof_missing"


@ROLES
@pytest.mark.parametrize(
    ("cnf", "proof"),
    [
        (KEY, SenderProof("other")),
        (KEY, SenderProof("K")),
        (KEY, SenderProof("k ")),
        (KEY, SenderProof("c", "k")),
        (CERTIFICATE, SenderProof(None, "other")),
        (BOTH, SenderProof("k", "other")),
        (BOTH, SenderProof("other", "c")),
    ],
)
def test_with_another_key_or_certificate_it_is_invalid(cnf, proof, role):
    assert reason(cnf, proof, role) == "proof_invalid"


@pytest.mark.parametrize(
    "more",
    ["jwk", "jwe", "kid", "jku", "x5u", "osc", "x5t", "JKT", "jkt ", "x5t#s256", "wia", ""],
)
def test_what_cannot_be_proved_here_is_missing_whatever_else_is_proved(more):
    assert reason(KEY | {more: "x"}) == "proof_missing"


@pytest.mark.parametrize(
    "cnf",
    [
        None,
        {},
        [],
        "k",
        1,
        True,
        [KEY],
        {"jkt": ""},
        {"jkt": None},
        {"jkt": ["k"]},
        {"jkt": 1},
        {"jkt": {"k": "k"}},
    ],
)
def test_a_constraint_that_cannot_be_read_is_one_that_nobody_meets(cnf):
    assert reason(cnf) == "proof_missing"


def test_missing_is_said_before_invalid():
    assert reason({"jkt": "other", "kid": "x"}) == "proof_missing"
    assert reason({"jkt": "other", "x5t#S256": "c"}, SenderProof("k")) == "proof_missing"


@given(
    st.dictionaries(
        st.sampled_from(["jkt", "x5t#S256", "kid", "jwk"]), st.sampled_from(["k", "c", "", None, 1])
    )
    | st.none()
    | st.text(),
    st.builds(SenderProof, st.sampled_from([None, "k", "c"]), st.sampled_from([None, "k", "c"])),
)
def test_nothing_is_taken_that_is_not_proved_whole(cnf, proof):
    try:
        kept = check_confirmation({"cnf": cnf}, proof, Role.SUBJECT)
    except Refusal:
        return
    assert kept == cnf
    assert kept
    assert kept.items() <= proof.as_confirmation().items()


class TestInTheOrderOfTrust:
    """The validator asks last: a token that is no access token is refused as what it is."""

    def validate(self, proof=PROOF, header=None, **claims):
        token = signed_as_it_is({"typ": "at+jwt"} | (header or {}), genuine_claims(**claims))
        return token_validator(trusted_issuer())(PresentedToken(token, Role.SUBJECT, proof=proof))

    def test_a_verified_token_carries_its_confirmation(self):
        assert self.validate(cnf=KEY).confirmation == KEY
        assert self.validate().confirmation is None

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"header": {"typ": "JWT"}}, "kind_unproven"),
            ({"exp": 5}, "expired"),
            ({"aud": "https://other.example"}, "audience_mismatch"),
        ],
    )
    def test_a_proof_does_not_make_up_for_anything_else(self, changes, expected):
        with pytest.raises(Refusal) as caught:
            self.validate(cnf=KEY, **changes)
        assert caught.value.reason.slug == f"subject_token_{expected}"

    def test_a_bound_id_token_with_its_proof_is_an_id_token(self):
        with pytest.raises(Refusal) as caught:
            self.validate(header={"typ": "JWT"}, cnf=KEY, nonce="n", at_hash="x")
        assert caught.value.reason.slug == "subject_token_is_id_token"
