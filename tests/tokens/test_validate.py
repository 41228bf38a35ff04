"""Each check of the checklist: exactly one thing is wrong with a genuine token, and its reason is the answer."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from exchange.claim_path import ClaimPath
from exchange.config.values import KeySource, Profile
from exchange.errors import Refusal
from exchange.model import PresentedToken, Role, Secret, TokenKind
from exchange.trust.fetched_keys import FetchedKeys
from tests.support import keys
from tests.support.tokens import (
    AUDIENCE,
    ISSUER,
    NOW,
    RFC9068_MARKER,
    conditions,
    genuine_claims,
    inline_keys,
    paths,
    signed_as_it_is,
    signing_input,
    token_validator,
    trusted_issuer,
)

AT = {"typ": "at+jwt"}
ROLES = pytest.mark.parametrize("role", list(Role))


def signed(header=None, *, algorithm="ES256", label="a", **claims):
    return signed_as_it_is(AT | (header or {}), genuine_claims(**claims), algorithm=algorithm, label=label)


def validate(token, *, role=Role.SUBJECT, now=NOW, **issuer):
    return token_validator(trusted_issuer(**issuer), now=now)(PresentedToken(token, role))


def reason(token, *, role=Role.SUBJECT, now=NOW, **issuer):
    return refusal(token, role=role, now=now, **issuer).reason.slug.removeprefix(f"{role}_token_")


def refusal(token, **options):
    with pytest.raises(Refusal) as caught:
        validate(token, **options)
    return caught.value


@ROLES
def test_a_genuine_token_is_verified_and_says_what_it_says(role):
    token = signed()
    verified = validate(token, role=role)
    assert (verified.role, verified.kind, verified.evidence) == (
        role,
        TokenKind.ACCESS_TOKEN,
        "header.typ=at+jwt",
    )
    assert (verified.issuer, verified.issuer_name) == (ISSUER, "idp")
    assert (verified.subject, verified.qualified_subject) == ("u1", "idp|u1")
    assert verified.audience == {AUDIENCE}
    assert verified.scopes == {"orders.read", "orders.write"}
    assert verified.authorized_party == {"web"}
    assert (verified.issued_at, verified.expires_at, verified.token_id) == (NOW - 10, NOW + 300, "t1")
    assert verified.sha256 == hashlib.sha256(token.reveal().encode()).hexdigest()
    assert dict(verified.claims) == genuine_claims()


def test_the_token_is_in_no_repr_of_what_comes_out():
    token = signed()
    assert token.reveal() not in repr(validate(token))
    assert token.reveal().split(".")[2] not in repr(validate(token))


class TestForm:
    @ROLES
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("opaque", "malformed"),
            ("", "malformed"),
            ("a.b", "malformed"),
            ("a.b.c", "malformed"),
            ("a.b.c.d.e", "encrypted"),
            ("x" * 16_385, "too_large"),
        ],
    )
    def test_what_is_no_signed_jwt_is_refused_by_its_form(self, role, text, expected):
        assert reason(Secret(text), role=role) == expected

    def test_an_opaque_token_is_called_one_for_the_operator(self):
        assert "opaque" in (refusal(Secret("ya29abc")).detail or "")

    def test_duplicate_members_are_refused_although_the_last_one_would_pass(self):
        claims = json.dumps(genuine_claims())[:-1] + ', "typ": "ID", "typ": "Bearer"}'
        assert reason(signed_as_it_is(AT, claims)) == "malformed"


class TestHeader:
    @pytest.mark.parametrize("alg", ["none", "None", "HS256", "HS512", "ES256K", "RSA1_5", "x", ""])
    def test_an_algorithm_that_is_none_symmetric_or_unknown_is_refused(self, alg):
        assert reason(signed({"alg": alg})) == "algorithm_not_allowed"

    def test_an_hmac_over_the_public_key_is_refused(self):
        public = keys.private_key("ES256").public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        unsigned = signing_input({"alg": "HS256", "kid": "ES256-a", **AT}, genuine_claims())
        mac = base64url_encode(hmac.digest(pem, unsigned, "sha256"))
        assert reason(Secret((unsigned + b"." + mac).decode())) == "algorithm_not_allowed"

    def test_an_algorithm_that_the_issuer_does_not_list_is_refused_although_the_key_fits(self):
        rsa = inline_keys(keys.public_jwk("RS256"), keys.public_jwk("ES256"))
        assert reason(signed(algorithm="RS256"), keys=rsa) == "algorithm_not_allowed"
        assert validate(signed(algorithm="RS256"), keys=rsa, algorithms=frozenset({"RS256"}))

    @pytest.mark.parametrize(
        "header",
        [
            {"crit": ["exp"], "exp": 1},
            {"crit": []},
            {"b64": True},
            {"nonce": "graph"},
            {"cty": "JWT"},
            {"cty": "jwt"},
            {"cty": "application/at+jwt"},
            {"cty": 1},
            {"typ": ["at+jwt"]},
            {"typ": 1},
            {"typ": None},
        ],
    )
    def test_a_header_that_no_honest_access_token_has_is_refused(self, header):
        assert reason(signed(header)) == "header_refused"

    def test_a_kid_that_is_no_string_is_refused(self):
        assert reason(signed({"kid": 1})) in {"header_refused", "malformed"}

    def test_the_operator_hears_why_a_microsoft_graph_token_is_refused(self):
        refused = refusal(signed({"nonce": "x"}))
        assert "Graph" in refused.reason.description

    @pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
    def test_a_key_that_the_token_brings_along_is_ignored(self, name):
        own = keys.public_jwk("ES256", "attacker")
        assert reason(signed({name: own, "kid": "ES256-a"}, label="attacker")) == "signature_invalid"
        assert validate(signed({name: own}))


class TestIssuer:
    @pytest.mark.parametrize(
        ("iss", "expected"),
        [
            (..., "claim_missing"),
            (None, "claim_missing"),
            (1, "claim_malformed"),
            ([ISSUER], "claim_malformed"),
            ("", "issuer_not_trusted"),
            (f"{ISSUER}/", "issuer_not_trusted"),
            (ISSUER.upper(), "issuer_not_trusted"),
            ("https://other.example", "issuer_not_trusted"),
        ],
    )
    def test_iss_is_compared_character_by_character(self, iss, expected):
        assert reason(signed(iss=iss)) == expected

    def test_an_issuer_that_is_switched_off_is_refused_before_its_keys_are_asked_for(self):
        nowhere = KeySource(jwks_uri="https://keys.invalid/jwks")
        assert reason(signed(), enabled=False, keys=nowhere) == "issuer_disabled"

    @pytest.mark.parametrize("header", [{}, {"typ": "JWT"}])
    def test_an_issuer_whose_kinds_look_alike_is_refused_with_the_why_even_under_at_jwt(self, header):
        never = Profile("dex", "Dex", never="both kinds have one shape", weak=None, advice="")
        refused = refusal(signed(header), profile=never)
        assert refused.reason.slug == "subject_token_issuer_unrecognisable"
        assert "both kinds have one shape" in (refused.detail or "")

    @pytest.mark.parametrize("role", list(Role))
    @pytest.mark.parametrize(
        "settings",
        [
            {"keys": KeySource(jwks_uri="https://keys.invalid/jwks")},
            {"keys": KeySource(discovery="accounts.google.com")},
            {"algorithms": frozenset({"RS256"})},
        ],
    )
    def test_it_is_refused_so_whatever_its_keys_and_algorithms_are_and_none_is_asked_for(
        self, role, settings, monkeypatch
    ):
        def asked(*_args, **_settings):
            raise AssertionError("nothing is fetched for a token that can never pass")

        monkeypatch.setattr(FetchedKeys, "find", asked)
        never = Profile("dex", "Dex", never="both kinds have one shape", weak=None, advice="")
        assert reason(signed(), role=role, profile=never, **settings) == "issuer_unrecognisable"

    def test_it_says_so_only_while_it_is_switched_on(self):
        never = Profile("dex", "Dex", never="both kinds have one shape", weak=None, advice="")
        assert reason(signed(), profile=never, enabled=False) == "issuer_disabled"


class TestKeys:
    def test_a_key_that_the_issuer_does_not_have_is_unknown(self):
        assert reason(signed({"kid": "other"})) == "key_unknown"

    def test_a_signature_of_another_key_is_invalid(self):
        assert reason(signed({"kid": "ES256-a"}, label="other")) == "signature_invalid"

    def test_a_changed_claim_is_an_invalid_signature_and_not_its_own_reason(self):
        header, _, signature = signed().reveal().split(".")
        claims = base64url_encode(json.dumps(genuine_claims(exp=1)).encode()).decode()
        assert reason(Secret(f"{header}.{claims}.{signature}")) == "signature_invalid"

    def test_keys_out_of_reach_are_503_with_retry_after(self):
        # Port 9 on loopback: nobody listens.
        closed = KeySource(
            jwks_uri="http://127.0.0.1:9/jwks", allow_insecure_http=True, allow_private_network=True
        )
        refused = refusal(signed(), keys=closed)
        assert (refused.reason.slug, refused.reason.status) == ("issuer_keys_unavailable", 503)
        assert isinstance(refused.retry_after, int)
        assert refused.retry_after > 0

    @pytest.mark.parametrize(
        ("confined_to", "passes"),
        [
            (ISSUER, True),
            ("https://idp.example/{tenantid}/v2.0", False),
            ("CN=Some CA", True),
            ("https://other.example", False),
        ],
    )
    def test_a_key_confined_to_another_issuer_verifies_nothing_here(self, confined_to, passes):
        key_set = inline_keys(keys.public_jwk("ES256") | {"issuer": confined_to})
        if passes:
            assert validate(signed(), keys=key_set)
        else:
            assert reason(signed(), keys=key_set) == "key_unknown"


class TestTimes:
    @pytest.mark.parametrize(
        ("claims", "expected"),
        [
            ({"exp": ...}, "claim_missing"),
            ({"exp": None}, "claim_missing"),
            ({"exp": NOW}, "expired"),
            ({"exp": NOW - 1}, "expired"),
            ({"exp": -1}, "expired"),
            ({"nbf": NOW + 31}, "not_yet_valid"),
            ({"iat": NOW + 31}, "not_yet_valid"),
            ({"exp": NOW + 25 * 3600, "iat": NOW - 1}, "lifetime_too_long"),
            ({"exp": NOW + 300, "iat": NOW - 25 * 3600}, "lifetime_too_long"),
            ({"iat": 0}, "lifetime_too_long"),
            ({"iat": ...}, "claim_missing"),
            ({"iat": None}, "claim_missing"),
        ],
    )
    def test_a_time_that_is_out_of_bounds_is_refused(self, claims, expected):
        assert reason(signed(**claims)) == expected

    @pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
    @pytest.mark.parametrize("value", [True, False, 1.5, float(NOW), str(NOW), [], {}])
    def test_a_time_that_is_no_integer_is_malformed(self, name, value):
        assert reason(signed(**{name: value})) == "claim_malformed"

    @pytest.mark.parametrize(
        "claims",
        [{"nbf": NOW + 30}, {"iat": NOW + 30}, {"nbf": 0}, {"nbf": None}, {"exp": NOW + 25 * 3600 - 10}],
    )
    def test_a_time_just_within_bounds_passes(self, claims):
        assert validate(signed(**claims))

    def test_expired_means_expired_within_the_skew_too(self):
        assert reason(signed(), now=NOW + 300) == "expired"
        assert reason(signed(), now=NOW + 300.5) == "expired"
        assert validate(signed(), now=NOW + 299.9)

    def test_a_token_older_than_the_issuer_allows_is_too_old_whatever_its_exp(self):
        assert reason(signed(iat=NOW - 61), max_token_age=60) == "too_old"
        assert validate(signed(iat=NOW - 60), max_token_age=60)

    def test_without_iat_the_age_is_unknown_and_what_is_left_is_bounded(self):
        lax = {"required_claims": paths("sub", "exp")}
        assert validate(signed(iat=...), **lax).issued_at is None
        assert reason(signed(iat=...), max_token_age=60, **lax) == "claim_missing"
        assert reason(signed(iat=..., exp=NOW + 301), max_token_lifetime=300, **lax) == "lifetime_too_long"


class TestKind:
    @ROLES
    def test_an_id_token_is_refused_as_one_although_its_audience_is_wrong_too(self, role):
        token = signed({"typ": "JWT"}, nonce="n", aud="web")
        assert reason(token, role=role) == "is_id_token"

    @ROLES
    def test_another_kind_is_refused_as_one(self, role):
        assert reason(signed({"typ": "logout+jwt"}), role=role) == "is_other_kind"

    @ROLES
    def test_what_proves_nothing_is_refused_with_the_marker_and_the_advice(self, role):
        refused = refusal(signed({"typ": "JWT"}), role=role)
        assert refused.reason.slug == f"{role}_token_kind_unproven"
        assert "header typ equals at+jwt" in (refused.detail or "")
        assert "Ask for advice." in (refused.detail or "")


class TestClaims:
    @pytest.mark.parametrize("claims", [{"sub": ...}, {"sub": None}, {"tenant": None}])
    def test_a_required_claim_that_is_absent_or_null_is_missing(self, claims):
        required = paths("sub", "exp", *(["tenant"] if "tenant" in claims else []))
        assert reason(signed(**claims), required_claims=required) == "claim_missing"

    def test_the_subject_is_required_even_if_the_issuer_s_file_forgets_it(self):
        assert reason(signed(sub=...), required_claims=()) == "claim_missing"

    @pytest.mark.parametrize(
        "claims",
        [
            *({"sub": value} for value in ("", 1, True, ["u1"], {})),
            *({"aud": value} for value in ("", 1, True, {}, [""], [AUDIENCE, 1], [[AUDIENCE]], [None])),
            *({"jti": value} for value in ("", 1, [])),
            *({"scope": value} for value in (1, True, {}, [1], ["a", ""])),
            *({"client_id": value} for value in (1, "", {}, [1])),
        ],
    )
    def test_a_claim_of_another_type_is_malformed(self, claims):
        token = signed(**claims)
        assert reason(token) == "claim_malformed"

    def test_sub_is_a_string_even_where_the_subject_is_another_claim(self):
        settings = {"subject": paths("uid"), "required_claims": paths("exp")}
        assert reason(signed(uid="00u1", sub=5), **settings) == "claim_malformed"
        assert validate(signed(uid="00u1", sub=...), **settings).subject == "00u1"

    def test_a_part_of_a_joined_subject_that_is_missing_or_empty_is_refused(self):
        settings = {"subject": paths("tid", "oid")}
        assert validate(signed(tid="t", oid="o"), **settings).qualified_subject == "idp|t|o"
        assert reason(signed(tid="t"), **settings) == "claim_missing"
        assert reason(signed(tid="t", oid=""), **settings) == "claim_malformed"

    def test_another_claim_names_the_subject_of_a_token_that_has_none_of_the_first_ones(self):
        okta = {"subject": paths("uid"), "subject_otherwise": ClaimPath("cid")}
        assert validate(signed(uid="00u1", cid="0oa1"), **okta).subject == "00u1"
        assert validate(signed(cid="0oa1"), **okta).qualified_subject == "idp|0oa1"
        assert validate(signed(uid=None, cid="0oa1"), **okta).subject == "0oa1"
        assert reason(signed(), **okta) == "claim_missing"
        assert reason(signed(cid=""), **okta) == "claim_malformed"

    @pytest.mark.parametrize("uid", ["", 1, [], {}, False])
    def test_a_malformed_claim_is_not_the_absence_of_one(self, uid):
        okta = {"subject": paths("uid"), "subject_otherwise": ClaimPath("cid")}
        assert reason(signed(uid=uid, cid="0oa1"), **okta) == "claim_malformed"

    def test_a_part_that_is_there_keeps_the_other_claim_out(self):
        joined = {"subject": paths("tid", "oid"), "subject_otherwise": ClaimPath("cid")}
        assert reason(signed(tid="t", cid="0oa1"), **joined) == "claim_missing"

    @pytest.mark.parametrize(
        ("claims", "scopes"),
        [
            ({"scope": "a b"}, {"a", "b"}),
            ({"scope": " a  b "}, {"a", "b"}),
            ({"scope": "a\tb"}, {"a\tb"}),
            ({"scope": ["a", "b c"]}, {"a", "b c"}),
            ({"scope": ""}, set()),
            ({"scope": []}, set()),
            ({"scope": None, "scp": "c"}, {"c"}),
            ({"scope": ..., "scp": ["c"]}, {"c"}),
            ({"scope": "a", "scp": ["c"]}, {"a"}),
            ({"scope": ...}, set()),
        ],
    )
    def test_scopes_come_from_the_first_claim_that_is_there(self, claims, scopes):
        assert validate(signed(**claims)).scopes == scopes

    def test_the_client_comes_from_the_first_claim_that_is_there(self):
        client = paths("client_id", "azp")
        assert validate(signed(azp="other"), client=client).authorized_party == {"web"}
        assert validate(signed(client_id=..., azp="other"), client=client).authorized_party == {"other"}
        assert validate(signed(client_id=...), client=client).authorized_party == frozenset()


class TestAudience:
    @pytest.mark.parametrize("aud", [..., None, [], "other", f"{AUDIENCE}/", AUDIENCE.upper(), ["x", "y"]])
    def test_a_token_for_nobody_or_for_others_is_a_mismatch(self, aud):
        assert reason(signed(aud=aud)) == "audience_mismatch"

    def test_one_audience_of_several_is_enough(self):
        assert validate(signed(aud=["other", AUDIENCE])).audience == {"other", AUDIENCE}

    def test_another_claim_may_be_the_audience(self):
        cognito = {"audience_claim": ClaimPath("client_id")}
        assert validate(signed(aud=..., client_id=AUDIENCE), **cognito).audience == {AUDIENCE}
        assert reason(signed(aud=AUDIENCE, client_id="web"), **cognito) == "audience_mismatch"
        assert reason(signed(aud=..., client_id=...), **cognito) == "audience_mismatch"

    def test_no_audience_of_ours_is_no_audience_of_anybody(self):
        assert reason(signed(aud=[]), audience=frozenset()) == "audience_mismatch"


class TestConditions:
    def test_a_condition_of_the_issuer_that_does_not_hold_refuses(self):
        require = conditions({"tenant": {"one_of": ["acme", "acme-eu"]}})
        refused = refusal(signed(tenant="other"), require=require)
        assert refused.reason.slug == "subject_token_claim_refused"
        assert "tenant one_of [acme, acme-eu]" in (refused.detail or "")
        assert reason(signed(), require=require) == "claim_refused"
        assert validate(signed(tenant="acme"), require=require)


class TestWhatWouldBeLost:
    @ROLES
    @pytest.mark.parametrize("value", [{"jkt": "x"}, {}, None, "x"])
    def test_a_bound_token_is_not_turned_into_a_bearer_token(self, role, value):
        assert reason(signed(cnf=value), role=role) == "proof_missing"


NAMES = ["typ", "token_use", "at_hash", "nonce", "scope", "azp", "aud", "client_id", "events", "jti", "x"]
values = st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["ID", "Bearer", "access", "x"])
additions = st.dictionaries(st.sampled_from(NAMES), values | st.lists(values, max_size=2), max_size=5)


@given(additions)
def test_adding_claims_to_a_refused_token_never_gets_it_accepted_unless_it_completes_a_marker(extra):
    marker = ({"claims": {"typ": "Bearer", "azp": {"type": "string"}}}, *RFC9068_MARKER)
    validator = token_validator(trusted_issuer(marker=marker))
    token = signed_as_it_is({"typ": "JWT"}, genuine_claims(**extra))
    completes = extra.get("typ") == "Bearer" and isinstance(extra.get("azp"), str)
    try:
        validator(PresentedToken(token, Role.SUBJECT))
    except Refusal:
        return
    assert completes
