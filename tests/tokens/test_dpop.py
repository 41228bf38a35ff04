"""RFC 9449 §4.3: a genuine proof with exactly one thing wrong, and what the audit record says of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from exchange.errors import Refusal
from exchange.jose import ASYMMETRIC_ALGORITHMS
from exchange.model import ClientCertificate, PresentedProof, Secret, SenderProof
from exchange.stores import StoreUnavailable, open_store
from exchange.tokens.dpop import MAX_AGE, MAX_PROOF_BYTES, DpopProofs, NonceFault, ProofFault
from exchange.tokens.dpop_nonce import LIFETIME, DpopNonces
from exchange.tokens.sender_proof import SenderProofs
from tests.support import keys
from tests.support.dpop import DpopKey, ath

NOW = 1_800_000_000
SKEW = 30
ENDPOINT = "https://exchange.example/token"
SECRET = b"s" * 43
TOKEN = Secret("the.subject.token")
KEY = DpopKey()


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path):
    return open_store(f"sqlite:///{tmp_path}/marks.db")


@pytest.fixture
def nonces(clock):
    return DpopNonces(SECRET, clock)


@pytest.fixture
def proofs(store, nonces, clock):
    return judge(store, nonces, clock)


def judge(store, nonces, clock, *, nonce="required", endpoint=ENDPOINT):
    return DpopProofs(
        token_endpoint=endpoint, nonces=nonces, nonce=nonce, store=store, clock_skew=SKEW, clock=clock
    )


@pytest.fixture
def proof(nonces):
    """Makes a proof; what a test says replaces the genuine."""

    def make(*, header=None, key=KEY, htu=ENDPOINT, **claims):
        return key.proof(htu, header=header, **({"iat": NOW, "nonce": nonces.fresh()} | claims))

    return make


def refusal(proofs, text, token=TOKEN):
    with pytest.raises(Refusal) as caught:
        proofs.verify(Secret(text), token)
    return caught.value


def assert_invalid(proofs, text, fault, token=TOKEN):
    refused = refusal(proofs, text, token)
    assert (refused.reason.slug, refused.detail) == ("dpop_proof_invalid", fault)
    assert refused.reason.error == "invalid_dpop_proof"


@pytest.mark.parametrize("algorithm", sorted(ASYMMETRIC_ALGORITHMS))
def test_a_genuine_proof_tells_the_thumbprint_of_its_key(proofs, proof, algorithm):
    key = DpopKey(algorithm)
    assert proofs.verify(Secret(proof(key=key)), TOKEN) == key.jkt


def test_the_thumbprint_is_that_of_rfc7638(proofs, proof):
    """The members in order, without white space: computed here by hand."""
    jwk = KEY.jwk
    text = f'{{"crv":"P-256","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    assert proofs.verify(Secret(proof()), TOKEN) == digest


class TestOneWellFormedProof:
    def test_two_header_fields_are_refused_though_both_are_genuine(self, proofs, proof):
        assert_invalid(proofs, f"{proof()},{proof()}", ProofFault.NOT_ONE)

    @pytest.mark.parametrize("text", ["{},", ",{}", "{}, ", "", ","])
    def test_a_list_of_one_is_refused_too(self, proofs, proof, text):
        assert_invalid(proofs, text.format(proof()), ProofFault.NOT_ONE)

    @pytest.mark.parametrize("text", ["x", "a.b", "a.b.c", "....", " ", "{}", "DPoP eyJ"])
    def test_what_is_no_jwt_is_refused(self, proofs, text):
        assert_invalid(proofs, text, ProofFault.MALFORMED)

    def test_an_encrypted_one_is_refused(self, proofs):
        assert_invalid(proofs, "a.b.c.d.e", ProofFault.MALFORMED)

    def test_one_that_is_too_large_is_refused_before_it_is_parsed(self, proofs, proof):
        assert_invalid(proofs, proof(padding="x" * MAX_PROOF_BYTES), ProofFault.TOO_LARGE)

    def test_members_that_come_twice_are_refused_though_the_last_would_pass(self, proofs, proof):
        header, payload, signature = proof().split(".")
        claims = base64.urlsafe_b64decode(payload + "==").decode().replace("{", '{"htm":"GET",', 1)
        twice = base64.urlsafe_b64encode(claims.encode()).rstrip(b"=").decode()
        assert_invalid(proofs, f"{header}.{twice}.{signature}", ProofFault.MALFORMED)


class TestHeader:
    @pytest.mark.parametrize(
        "typ", [None, "JWT", "at+jwt", "DPOP+JWT", "application/dpop+jwt", "", ["dpop+jwt"], 1]
    )
    def test_another_type_is_refused(self, proofs, proof, typ):
        header = {"typ": typ} if isinstance(typ, str) else None
        text = proof(header=header) if header else _with_header(proof(), typ=typ)
        assert_invalid(proofs, text, ProofFault.TYPE)

    @pytest.mark.parametrize("alg", ["none", "HS256", "HS384", "HS512", "ES256K", "NONE", ""])
    def test_an_algorithm_that_is_none_symmetric_or_unknown_is_refused(self, proofs, proof, alg):
        assert_invalid(proofs, _with_header(proof(), alg=alg), ProofFault.ALGORITHM)

    def test_a_mac_with_the_public_key_is_refused(self, proofs, proof):
        """The confusion of algorithms: the key in the header as the secret of an HMAC."""
        unsigned = b".".join(
            _segment(part)
            for part in (
                {"typ": "dpop+jwt", "alg": "HS256", "jwk": KEY.jwk},
                {"jti": "j", "htm": "POST", "htu": ENDPOINT, "iat": NOW},
            )
        )
        mac = hmac.digest(json.dumps(KEY.jwk).encode(), unsigned, "sha256")
        text = (unsigned + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()
        assert_invalid(proofs, text, ProofFault.ALGORITHM)

    def test_a_secret_as_jwk_is_refused(self, proofs, proof):
        octets = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}
        assert_invalid(proofs, proof(header={"jwk": octets}), ProofFault.PRIVATE_KEY)

    def test_nothing_critical_is_understood(self, proofs, proof):
        assert_invalid(proofs, _with_header(proof(), crit=["exp"]), ProofFault.CRITICAL)

    @pytest.mark.parametrize(
        "jwk", [None, "x", [], {}, {"kty": "EC"}, {"kty": ["EC"]}, {"kty": "AKP", "pub": "x"}]
    )
    def test_what_is_no_key_is_refused(self, proofs, proof, jwk):
        assert_invalid(proofs, _with_header(proof(), jwk=jwk), ProofFault.KEY)

    @pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
    def test_a_member_of_a_private_key_is_refused_by_its_presence(self, proofs, proof, member):
        assert_invalid(proofs, proof(header={"jwk": KEY.jwk | {member: "x"}}), ProofFault.PRIVATE_KEY)

    def test_the_whole_private_key_is_refused(self, proofs, proof):
        private = ECAlgorithm.to_jwk(keys.private_key("ES256", "dpop"), as_dict=True)
        assert_invalid(proofs, proof(header={"jwk": private}), ProofFault.PRIVATE_KEY)

    def test_a_short_rsa_key_is_refused(self, proofs, proof):
        short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        jwk = RSAAlgorithm.to_jwk(short.public_key(), as_dict=True)
        assert_invalid(proofs, proof(key=DpopKey("RS256"), header={"jwk": jwk}), ProofFault.KEY)

    def test_a_key_of_another_use_is_refused(self, proofs, proof):
        assert_invalid(proofs, proof(header={"jwk": KEY.jwk | {"use": "enc"}}), ProofFault.KEY)

    def test_an_oversized_member_is_refused(self, proofs, proof):
        assert_invalid(proofs, proof(header={"jwk": KEY.jwk | {"x": "A" * 3000}}), ProofFault.KEY)

    @pytest.mark.parametrize("spell", [lambda x: f"{x}=", lambda x: f"AA{x}", lambda x: f"{x} "])
    def test_another_spelling_of_the_key_is_refused(self, proofs, proof, spell):
        assert_invalid(proofs, proof(header={"jwk": KEY.jwk | {"x": spell(KEY.jwk["x"])}}), ProofFault.KEY)

    def test_a_point_that_is_not_on_the_curve_is_refused(self, proofs, proof):
        assert_invalid(proofs, proof(header={"jwk": KEY.jwk | {"y": KEY.jwk["x"]}}), ProofFault.KEY)

    def test_a_curve_that_is_taken_nowhere_is_refused(self, proofs, proof):
        key = ec.generate_private_key(ec.SECP256K1()).public_key()
        assert_invalid(proofs, proof(header={"jwk": ECAlgorithm.to_jwk(key, as_dict=True)}), ProofFault.KEY)

    @pytest.mark.parametrize("more", [{"kid": "k"}, {"alg": "ES256"}, {"use": "sig"}, {"x5t": "whatever"}])
    def test_what_else_a_public_key_says_of_itself_is_no_harm(self, proofs, proof, more):
        assert proofs.verify(Secret(proof(header={"jwk": KEY.jwk | more})), TOKEN) == KEY.jkt


class TestSignature:
    def test_the_key_in_the_header_is_the_one_that_signed(self, proofs, proof):
        other = DpopKey(label="other")
        assert_invalid(proofs, proof(header={"jwk": other.jwk}), ProofFault.SIGNATURE)

    def test_a_proof_that_was_changed_is_refused(self, proofs, proof):
        header, _, signature = proof().split(".")
        _, payload, _ = proof().split(".")
        assert_invalid(proofs, f"{header}.{payload}.{signature}", ProofFault.SIGNATURE)

    def test_an_algorithm_of_another_key_type_is_refused(self, proofs, proof):
        assert_invalid(proofs, _with_header(proof(), alg="RS256"), ProofFault.SIGNATURE)

    def test_no_signature_is_no_proof(self, proofs, proof):
        assert_invalid(proofs, proof().rpartition(".")[0] + ".", ProofFault.SIGNATURE)


class TestRequest:
    @pytest.mark.parametrize("htm", [None, "GET", "post", "POST ", "", ["POST"], 1])
    def test_a_proof_for_another_method_is_refused(self, proofs, proof, htm):
        assert_invalid(proofs, proof(htm=htm), ProofFault.METHOD)

    @pytest.mark.parametrize(
        "htu",
        [
            "https://exchange.example/",
            "https://exchange.example/token/",
            "https://exchange.example/TOKEN",
            "https://exchange.example/introspect",
            "http://exchange.example/token",
            "https://other.example/token",
            "https://exchange.example:8443/token",
            "https://exchange.example.evil.example/token",
            "https://exchange.example@evil.example/token",
            "https://user@exchange.example/token",
            "https://exchange.example\\@evil.example/token",
            "https://exchange.example/token%2F",
            "https://exchange.example/%74oken%00",
            "//exchange.example/token",
            "/token",
            "token",
            "",
            " https://exchange.example/token",
            "https://exchange.example/token\n",
            "https:///token",
            "https://exchange.example\t/token",
            "ftp://exchange.example/token",
        ],
    )
    def test_a_proof_for_another_uri_is_refused(self, proofs, proof, htu):
        assert_invalid(proofs, proof(htu=htu), ProofFault.URI)

    @pytest.mark.parametrize("htu", [1, None, ["https://exchange.example/token"], {}])
    def test_what_is_no_uri_at_all_is_refused(self, proofs, proof, htu):
        assert_invalid(proofs, proof(htu=htu), ProofFault.URI)

    @pytest.mark.parametrize(
        "htu",
        [
            "https://exchange.example/token?x=1",
            "https://exchange.example/token#part",
            "https://exchange.example/token?",
            "HTTPS://EXCHANGE.example/token",
            "https://exchange.example:443/token",
            "https://exchange.example:/token",
            "https://exchange.example/%74oken",
            "https://exchange.example/a/../token",
            "https://exchange.example/./token",
        ],
    )
    def test_another_spelling_of_the_same_uri_passes(self, proofs, proof, htu):
        assert proofs.verify(Secret(proof(htu=htu)), TOKEN) == KEY.jkt

    def test_an_endpoint_that_is_configured_oddly_is_compared_in_the_same_form(
        self, store, nonces, clock, proof
    ):
        odd = judge(store, nonces, clock, endpoint="https://EXCHANGE.example:443/token")
        assert odd.verify(Secret(proof()), TOKEN) == KEY.jkt


class TestTimes:
    @pytest.mark.parametrize("seconds", [-MAX_AGE, -1, 0, 1, SKEW])
    def test_within_the_window_it_passes(self, proofs, proof, seconds):
        assert proofs.verify(Secret(proof(iat=NOW + seconds)), TOKEN) == KEY.jkt

    def test_before_the_window_it_is_too_old(self, proofs, proof):
        assert_invalid(proofs, proof(iat=NOW - MAX_AGE - 1), ProofFault.TOO_OLD)

    def test_behind_the_window_it_is_ahead(self, proofs, proof):
        assert_invalid(proofs, proof(iat=NOW + SKEW + 1), ProofFault.AHEAD)

    @pytest.mark.parametrize("iat", [None, str(NOW), NOW + 0.5, True, [NOW]])
    def test_what_is_no_time_is_refused(self, proofs, proof, iat):
        assert_invalid(proofs, proof(iat=iat), ProofFault.ISSUED_AT_MALFORMED)

    @pytest.mark.parametrize(
        "claims", [{"exp": NOW - SKEW}, {"nbf": NOW + SKEW + 1}, {"exp": "x"}, {"nbf": 1.5}, {"exp": True}]
    )
    def test_a_proof_that_says_that_it_is_over_is_believed(self, proofs, proof, claims):
        assert_invalid(proofs, proof(**claims), ProofFault.OVER)

    def test_a_proof_that_says_that_it_is_valid_passes(self, proofs, proof):
        assert proofs.verify(Secret(proof(exp=NOW + 60, nbf=NOW - 1)), TOKEN) == KEY.jkt


class TestTokenId:
    @pytest.mark.parametrize("jti", [None, "", "x" * 257, 1, ["x"], {}])
    def test_what_cannot_be_told_from_others_is_refused(self, proofs, proof, jti):
        assert_invalid(proofs, proof(jti=jti), ProofFault.TOKEN_ID)

    def test_the_longest_passes(self, proofs, proof):
        assert proofs.verify(Secret(proof(jti="x" * 256)), TOKEN) == KEY.jkt


class TestNonce:
    def needed(self, proofs, text):
        refused = refusal(proofs, text)
        assert (refused.reason.slug, refused.reason.error) == ("dpop_nonce_required", "use_dpop_nonce")
        return refused.detail

    def test_without_one_the_caller_is_asked_for_it(self, proofs, proof):
        assert self.needed(proofs, proof(nonce=None)) == NonceFault.MISSING

    @pytest.mark.parametrize("nonce", ["", "x", "a.b.c", "\x00", "é.é.é", "x" * 5000, "..", "YQ.YQ.YQ"])
    def test_one_that_is_not_ours_is_not_accepted(self, proofs, proof, nonce):
        assert self.needed(proofs, proof(nonce=nonce)) == NonceFault.NOT_ACCEPTED

    @pytest.mark.parametrize("nonce", [1, ["x"], {}, True])
    def test_what_is_no_string_is_no_nonce(self, proofs, proof, nonce):
        assert_invalid(proofs, proof(nonce=nonce), ProofFault.NONCE_MALFORMED)

    def test_one_of_another_secret_is_not_accepted(self, proofs, proof, clock):
        assert (
            self.needed(proofs, proof(nonce=DpopNonces(b"o" * 43, clock).fresh())) == NonceFault.NOT_ACCEPTED
        )

    def test_one_that_is_stale_is_not_accepted(self, proofs, proof, nonces, clock):
        nonce = nonces.fresh()
        clock.now = NOW + LIFETIME
        assert proofs.verify(Secret(proof(nonce=nonce, iat=int(clock.now))), TOKEN) == KEY.jkt
        clock.now = NOW + LIFETIME + 1
        assert self.needed(proofs, proof(nonce=nonce, iat=int(clock.now))) == NonceFault.NOT_ACCEPTED

    def test_one_from_a_clock_that_is_ahead_passes_within_the_skew(self, proofs, proof, nonces, clock):
        clock.now = NOW + SKEW
        ahead = nonces.fresh()
        clock.now = NOW + SKEW + 1
        too_far = nonces.fresh()
        clock.now = NOW
        assert proofs.verify(Secret(proof(nonce=ahead)), TOKEN) == KEY.jkt
        assert self.needed(proofs, proof(nonce=too_far)) == NonceFault.NOT_ACCEPTED

    def test_a_nonce_may_serve_for_several_proofs(self, proofs, proof, nonces):
        nonce = nonces.fresh()
        assert [proofs.verify(Secret(proof(nonce=nonce)), TOKEN) for _ in range(2)] == [KEY.jkt] * 2

    def test_where_it_is_optional_it_may_be_absent_and_not_wrong(self, store, nonces, clock, proof):
        lenient = judge(store, nonces, clock, nonce="optional")
        assert lenient.verify(Secret(proof(nonce=None)), TOKEN) == KEY.jkt
        assert lenient.verify(Secret(proof()), TOKEN) == KEY.jkt
        assert self.needed(lenient, proof(nonce="x")) == NonceFault.NOT_ACCEPTED

    def test_asking_for_a_nonce_uses_nothing_up(self, proofs, proof):
        self.needed(proofs, proof(nonce=None, jti="same"))
        assert proofs.verify(Secret(proof(jti="same")), TOKEN) == KEY.jkt

    def test_a_nonce_has_no_character_that_a_header_cannot_carry(self, nonces):
        assert all(0x21 <= ord(char) <= 0x7E and char not in '"\\' for char in nonces.fresh())

    def test_two_are_never_the_same(self, nonces):
        assert nonces.fresh() != nonces.fresh()

    def test_the_secret_is_in_no_nonce_and_no_repr(self, nonces):
        assert SECRET.decode() not in nonces.fresh() + repr(nonces)


class TestTokenHash:
    def test_the_hash_of_the_subject_token_passes(self, proofs, proof):
        assert proofs.verify(Secret(proof(ath=ath(TOKEN.reveal()))), TOKEN) == KEY.jkt

    @pytest.mark.parametrize(
        "value", ["", "x", 1, True, [], ath("another.subject.token"), ath("the.subject.token") + "="]
    )
    def test_any_other_is_refused(self, proofs, proof, value):
        assert_invalid(proofs, proof(ath=value), ProofFault.TOKEN_HASH)


class TestOnce:
    def test_the_second_time_it_was_used(self, proofs, proof):
        text = proof()
        assert proofs.verify(Secret(text), TOKEN) == KEY.jkt
        refused = refusal(proofs, text)
        assert (refused.reason.slug, refused.detail) == ("dpop_proof_used", None)

    def test_one_jti_is_used_once_whatever_else_the_proof_says(self, proofs, proof):
        assert proofs.verify(Secret(proof(jti="same", iat=NOW)), TOKEN) == KEY.jkt
        assert refusal(proofs, proof(jti="same", iat=NOW - 1)).reason.slug == "dpop_proof_used"

    def test_the_jti_of_another_key_is_another(self, proofs, proof):
        other = DpopKey(label="other")
        assert proofs.verify(Secret(proof(jti="same")), TOKEN) == KEY.jkt
        assert proofs.verify(Secret(proof(jti="same", key=other)), TOKEN) == other.jkt

    @pytest.mark.parametrize("spoilt", [{"htm": "GET"}, {"ath": "x"}, {"iat": NOW - 61}, {"nonce": "x"}])
    def test_what_is_refused_uses_nothing_up(self, proofs, proof, spoilt):
        refusal(proofs, proof(jti="same", **spoilt))
        assert proofs.verify(Secret(proof(jti="same")), TOKEN) == KEY.jkt

    def test_of_many_at_the_same_time_exactly_one_passes(self, proofs, proof):
        text, barrier = proof(), threading.Barrier(8)

        def present(_):
            barrier.wait()
            try:
                return proofs.verify(Secret(text), TOKEN)
            except Refusal as refused:
                return refused.reason.slug

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(present, range(8)))
        assert sorted(answers) == sorted([KEY.jkt] + ["dpop_proof_used"] * 7)

    def test_the_mark_outlives_every_time_at_which_the_proof_passes(self, nonces, clock, proof):
        marks = []

        class Store:
            def add_if_absent(self, namespace, parts, expires_at):
                marks.append((namespace, parts, expires_at))
                return True

            def check(self):
                """Always."""

        judge(Store(), nonces, clock).verify(Secret(proof(jti="j", iat=NOW + SKEW)), TOKEN)
        assert marks == [("dpop_proof", (KEY.jkt, "j"), NOW + SKEW + MAX_AGE + SKEW)]

    def test_without_the_store_nothing_passes(self, nonces, clock, proof):
        class Down:
            def add_if_absent(self, namespace, parts, expires_at):
                raise StoreUnavailable("locked", retry_after=7)

            def check(self):
                raise StoreUnavailable("locked")

        refused = refusal(judge(Down(), nonces, clock), proof())
        assert (refused.reason.slug, refused.detail, refused.retry_after) == (
            "store_unavailable",
            "locked",
            7,
        )


class TestSenderProofs:
    CERTIFICATE = ClientCertificate(b"der", "x5t")

    def test_nothing_brought_is_nothing_proved_and_nothing_asked(self):
        assert SenderProofs(None)(PresentedProof(), TOKEN) == SenderProof()

    def test_a_certificate_counts_as_it_is(self):
        assert SenderProofs(None)(PresentedProof(certificate=self.CERTIFICATE), TOKEN) == SenderProof(
            None, "x5t"
        )

    def test_both_are_proved_together(self, proofs, proof):
        presented = PresentedProof(Secret(proof()), self.CERTIFICATE)
        assert SenderProofs(proofs)(presented, TOKEN) == SenderProof(KEY.jkt, "x5t")

    def test_a_certificate_does_not_stand_in_for_a_bad_proof(self, proofs):
        with pytest.raises(Refusal):
            SenderProofs(proofs)(PresentedProof(Secret("x"), self.CERTIFICATE), TOKEN)

    def test_no_proof_is_in_a_repr(self, proof):
        text = proof()
        assert text not in repr(PresentedProof(Secret(text), self.CERTIFICATE))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["htm", "htu", "iat", "jti", "nonce", "ath", "exp", "nbf", "x"]
IN_HEADER = ["typ", "alg", "jwk", "crit", "kid", "b64", "x5u", "jku", "enc"]


class Nowhere:
    def add_if_absent(self, namespace, parts, expires_at):
        return True

    def check(self):
        """Always."""


@settings(deadline=None)
@given(st.text(max_size=200) | st.builds(lambda *parts: ".".join(parts), st.text(), st.text(), st.text()))
def test_any_text_is_refused_and_never_an_error(text):
    assert (
        refusal(judge(Nowhere(), DpopNonces(SECRET, Clock()), Clock()), text).reason.slug
        == "dpop_proof_invalid"
    )


@settings(deadline=None)
@given(
    header=st.dictionaries(st.sampled_from(IN_HEADER), JSON, max_size=3),
    claims=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4),
)
def test_any_members_are_judged_and_never_an_error(header, claims):
    clock = Clock()
    nonces = DpopNonces(SECRET, clock)
    genuine = {"iat": NOW, "nonce": nonces.fresh(), "htm": "POST", "htu": ENDPOINT, "jti": "j"}
    text = _signed({"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.jwk} | header, genuine | claims)
    outcome = _outcome(judge(Nowhere(), nonces, clock), text)
    assert outcome in {KEY.jkt, *ProofFault, *NonceFault}
    if outcome == KEY.jkt:
        assert header.keys() <= {"kid", "x5u", "jku", "b64"}
        assert all(claims[name] == genuine[name] for name in claims.keys() & {"htm", "htu"})


def _outcome(proofs, text):
    try:
        return proofs.verify(Secret(text), TOKEN)
    except Refusal as refused:
        return refused.detail


def _segment(members):
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=")


def _signed(header, claims):
    """What no library would sign."""
    unsigned = _segment(header) + b"." + _segment(claims)
    signature = jwt.get_algorithm_by_name("ES256").sign(unsigned, keys.private_key("ES256", "dpop"))
    return (unsigned + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def _with_header(text, **changes):
    """The proof signed anew with another header; a member given as ``None`` is left out."""
    header, payload, _ = text.split(".")
    members = json.loads(base64.urlsafe_b64decode(header + "==")) | changes
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return _signed({name: value for name, value in members.items() if value is not None}, claims)
