"""``private_key_jwt``: each check, spoilt alone (RFC 7521 §4.2, RFC 7523 §3, RFC 10070)."""

from __future__ import annotations

import json
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from authlib.oauth2.rfc7523 import private_key_jwt_sign
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc.jwk import RSAKey

from exchange.clients.assertion import ASSERTION_TYPE
from exchange.clients.private_key_jwt import MAX_JTI_LENGTH, MAX_LIFETIME
from exchange.config.values import KeySource
from exchange.errors import Refusal
from exchange.model import ClientCredentials
from exchange.stores.sqlite import SqliteStore
from exchange.stores.store import GRACE
from tests.clients.desk import (
    ABSENT,
    ISSUER,
    NOW,
    SKEW,
    TOKEN_ENDPOINT,
    Desk,
    assertion,
    base64url,
    claims,
    presented,
    registered,
    segment,
)
from tests.support import keys

# What passes.


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_valid_assertion_passes_and_is_marked(desk, algorithm):
    assert desk.accepts(assertion(algorithm=algorithm)) == "orders-bff"
    assert desk.marks() == 1


@pytest.mark.parametrize("aud", [ISSUER, TOKEN_ENDPOINT, [ISSUER], [TOKEN_ENDPOINT]])
def test_the_one_audience_may_be_issuer_or_token_endpoint(desk, aud):
    assert desk.accepts(assertion(aud=aud)) == "orders-bff"


@pytest.mark.parametrize("aud", [ISSUER, [ISSUER]])
def test_a_strict_client_names_the_issuer(desk, aud):
    assert desk.accepts(assertion(iss="strict-bff", sub="strict-bff", aud=aud)) == "strict-bff"


@pytest.mark.parametrize(
    "typ",
    [
        "JWT",
        "jwt",
        "client-authentication+jwt",
        "Client-Authentication+JWT",
        "application/client-authentication+jwt",
    ],
)
def test_an_assertion_may_say_what_it_is(desk, typ):
    assert desk.accepts(assertion(header={"typ": typ})) == "orders-bff"


def test_an_assertion_without_typ_passes(desk):
    assert desk.accepts(assertion(header={"typ": ABSENT})) == "orders-bff"


def test_the_same_client_id_in_the_body_passes(desk):
    sent = assertion()
    assert (
        desk.accepts(presented(sent.client_assertion.reveal(), unverified_client_id="orders-bff"))
        == "orders-bff"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"iat": ABSENT},
        {"nbf": NOW},
        {"nbf": NOW + SKEW, "iat": NOW + SKEW},
        {"exp": NOW - SKEW + 1},
        {"iat": NOW, "exp": NOW + MAX_LIFETIME},
        {"iat": ABSENT, "exp": NOW + MAX_LIFETIME + SKEW},
        {"jti": "x" * MAX_JTI_LENGTH},
        {"anything": {"else": [1]}},
    ],
)
def test_the_edges_of_what_is_allowed_pass(desk, changes):
    assert desk.accepts(assertion(**changes)) == "orders-bff"


def test_a_key_is_found_without_kid_where_one_fits(desk):
    assert desk.accepts(assertion(algorithm="ES256", header={"kid": ABSENT})) == "orders-bff"


@pytest.mark.parametrize("audience", [ISSUER, TOKEN_ENDPOINT])
def test_an_assertion_made_by_authlib_passes(desk, audience):
    pem = keys.private_key("RS256", "a").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    token = private_key_jwt_sign(
        RSAKey.import_key(pem),
        "orders-bff",
        audience,
        header={"kid": "RS256-a"},
        issued_at=NOW,
        expires_in=300,
    )
    assert desk.accepts(presented(token)) == "orders-bff"
    desk.refuses(presented(token), "assertion_used", marks=1)


# What is refused: exactly one thing is spoilt.

YEAR = 365 * 24 * 3600


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"sub": ABSENT}, "assertion_subject_malformed"),
        ({"sub": None}, "assertion_subject_malformed"),
        ({"sub": ["orders-bff"]}, "assertion_subject_malformed"),
        ({"iss": ABSENT}, "assertion_issuer_mismatch"),
        ({"iss": "other-bff"}, "assertion_issuer_mismatch"),
        ({"iss": ["orders-bff"]}, "assertion_issuer_mismatch"),
        ({"iss": ISSUER}, "assertion_issuer_mismatch"),
        ({"iss": "nobody", "sub": "nobody"}, "client_unknown"),
        ({"iss": "", "sub": ""}, "client_unknown"),
        ({"iss": "web", "sub": "web"}, "method_not_registered"),
        ({"iss": "other-bff", "sub": "other-bff"}, "assertion_key_unknown"),
        ({"aud": ABSENT}, "assertion_audience_malformed"),
        ({"aud": None}, "assertion_audience_malformed"),
        ({"aud": 7}, "assertion_audience_malformed"),
        ({"aud": {"": ISSUER}}, "assertion_audience_malformed"),
        ({"aud": [[ISSUER]]}, "assertion_audience_malformed"),
        ({"aud": []}, "assertion_audience_not_single"),
        ({"aud": [ISSUER, TOKEN_ENDPOINT]}, "assertion_audience_not_single"),
        ({"aud": [ISSUER, ISSUER]}, "assertion_audience_not_single"),
        ({"aud": [ISSUER, "https://evil.example"]}, "assertion_audience_not_single"),
        ({"aud": "https://other.example"}, "assertion_audience_mismatch"),
        ({"aud": ISSUER + "/"}, "assertion_audience_mismatch"),
        ({"aud": ISSUER.upper()}, "assertion_audience_mismatch"),
        ({"aud": ISSUER + "/introspect"}, "assertion_audience_mismatch"),
        ({"aud": f"{ISSUER} {TOKEN_ENDPOINT}"}, "assertion_audience_mismatch"),
        ({"aud": ""}, "assertion_audience_mismatch"),
        ({"iss": "strict-bff", "sub": "strict-bff", "aud": TOKEN_ENDPOINT}, "assertion_audience_mismatch"),
        ({"exp": ABSENT}, "assertion_time_malformed"),
        ({"exp": str(NOW + 60)}, "assertion_time_malformed"),
        ({"exp": NOW + 60.5}, "assertion_time_malformed"),
        ({"exp": True}, "assertion_time_malformed"),
        ({"iat": None}, "assertion_time_malformed"),
        ({"iat": str(NOW)}, "assertion_time_malformed"),
        ({"iat": True}, "assertion_time_malformed"),
        ({"nbf": None}, "assertion_time_malformed"),
        ({"nbf": [NOW]}, "assertion_time_malformed"),
        ({"exp": NOW - SKEW}, "assertion_expired"),
        ({"exp": 0}, "assertion_expired"),
        ({"exp": -NOW}, "assertion_expired"),
        ({"nbf": NOW + SKEW + 1}, "assertion_not_yet_valid"),
        ({"iat": NOW + SKEW + 1}, "assertion_not_yet_valid"),
        ({"exp": NOW + 10 * YEAR}, "assertion_lifetime_too_long"),
        ({"exp": NOW + MAX_LIFETIME + SKEW + 1, "iat": ABSENT}, "assertion_lifetime_too_long"),
        ({"exp": NOW + MAX_LIFETIME, "iat": NOW - 1}, "assertion_lifetime_too_long"),
        ({"iat": NOW - 10 * YEAR}, "assertion_lifetime_too_long"),
        ({"exp": 2**62, "iat": 2**62 - 60}, "assertion_not_yet_valid"),
        ({"jti": ABSENT}, "assertion_jti_malformed"),
        ({"jti": ""}, "assertion_jti_malformed"),
        ({"jti": 7}, "assertion_jti_malformed"),
        ({"jti": None}, "assertion_jti_malformed"),
        ({"jti": ["j-1"]}, "assertion_jti_malformed"),
        ({"jti": "x" * (MAX_JTI_LENGTH + 1)}, "assertion_jti_malformed"),
    ],
)
def test_a_spoilt_claim_is_refused_and_uses_nothing_up(desk, changes, cause):
    desk.refuses(assertion(**changes), cause)


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ({"typ": "at+jwt"}, "assertion_typ_refused"),
        ({"typ": "application/at+jwt"}, "assertion_typ_refused"),
        ({"typ": "dpop+jwt"}, "assertion_typ_refused"),
        ({"typ": "logout+jwt"}, "assertion_typ_refused"),
        ({"typ": "oauth-authz-req+jwt"}, "assertion_typ_refused"),
        ({"typ": ""}, "assertion_typ_refused"),
        ({"typ": None}, "assertion_typ_refused"),
        ({"typ": ["JWT"]}, "assertion_typ_refused"),
        ({"typ": 7}, "assertion_typ_refused"),
        ({"typ": "application/application/jwt"}, "assertion_typ_refused"),
        ({"crit": ["exp"], "exp": NOW + 60}, "assertion_crit_refused"),
        ({"crit": []}, "assertion_crit_refused"),
        ({"crit": None}, "assertion_crit_refused"),
        ({"crit": ["b64"], "b64": False}, "assertion_crit_refused"),
        ({"b64": False}, "assertion_signature_invalid"),
        ({"alg": "ES256"}, "assertion_key_unknown"),
        ({"alg": "PS256", "kid": "PS256-a"}, "assertion_signature_invalid"),
        ({"alg": "ES256K"}, "assertion_algorithm_not_allowed"),
        ({"kid": "nobody's"}, "assertion_key_unknown"),
        ({"kid": "ES256-a"}, "assertion_key_unknown"),
        ({"kid": "PS256-a"}, "assertion_key_unknown"),
    ],
)
def test_a_spoilt_header_is_refused_and_uses_nothing_up(desk, header, cause):
    desk.refuses(assertion(header=header), cause)


def test_an_algorithm_beyond_the_clients_own_is_refused(desk):
    changes = {"iss": "one-algorithm", "sub": "one-algorithm"}
    desk.refuses(assertion(algorithm="RS256", **changes), "assertion_algorithm_not_allowed")
    assert desk.accepts(assertion(algorithm="ES256", **changes)) == "one-algorithm"


def test_another_assertion_type_is_refused(desk):
    token = assertion().client_assertion.reveal()
    for other in (
        "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
        ASSERTION_TYPE.upper(),
        ASSERTION_TYPE + " ",
        "",
        None,
    ):
        desk.refuses(presented(token, client_assertion_type=other), "assertion_type_unknown")


def test_a_type_without_an_assertion_is_refused(desk):
    desk.refuses(ClientCredentials(client_assertion_type=ASSERTION_TYPE), "assertion_missing")


@pytest.mark.parametrize(
    ("token", "cause"),
    [
        ("", "assertion_malformed"),
        ("a.b", "assertion_malformed"),
        ("not a token", "assertion_malformed"),
        ("é.é.é", "assertion_malformed"),
        (f"{segment([])}.{segment(claims())}.AAAA", "assertion_malformed"),
        (f"{segment({'alg': 'RS256'})}.{segment([])}.AAAA", "assertion_malformed"),
        ("a.b.c.d.e", "assertion_encrypted"),
        ("a" * 20_000, "assertion_too_large"),
    ],
)
def test_what_is_no_signed_jwt_is_refused(desk, token, cause):
    desk.refuses(presented(token), cause)


@pytest.mark.parametrize("client_id", ["other-bff", "ORDERS-BFF", "nobody"])
def test_another_client_id_in_the_body_is_refused(desk, client_id):
    token = assertion().client_assertion.reveal()
    desk.refuses(presented(token, unverified_client_id=client_id), "client_id_mismatch")


# Attacks on the signature.


def test_an_assertion_without_a_signature_is_refused(desk):
    for alg in ("none", "None", "NONE", "", "nOnE"):
        token = f"{segment({'alg': alg, 'typ': 'JWT'})}.{segment(claims())}."
        desk.refuses(presented(token), "assertion_algorithm_not_allowed")


def test_the_public_key_is_no_hmac_secret(desk):
    public = keys.private_key("RS256", "a").public_key()
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(keys.public_jwk("RS256")).encode(),
    ):
        for client_id in ("orders-bff", "careless"):
            body = f"{segment({'alg': 'HS256', 'kid': 'RS256-a'})}.{segment(claims(iss=client_id, sub=client_id))}"
            mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
                body.encode(), secret
            )
            token = f"{body}.{base64url(mac)}"
            desk.refuses(presented(token), "assertion_algorithm_not_allowed")


def test_an_assertion_signed_with_another_clients_key_is_refused(desk):
    desk.refuses(assertion(label="b"), "assertion_key_unknown")
    desk.refuses(assertion(label="b", header={"kid": "RS256-a"}), "assertion_signature_invalid")


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u"])
def test_a_key_in_the_header_is_not_looked_at(desk, name):
    own = keys.public_jwk("RS256", "c")
    value = {"jwk": own, "jku": "http://127.0.0.1:9/jwks", "x5u": "http://127.0.0.1:9/x5u"}[name]
    header = {name: value, "kid": "RS256-a"}
    desk.refuses(assertion(label="c", header=header), "assertion_signature_invalid")


def test_a_changed_claim_breaks_the_signature(desk):
    head, _, signature = assertion().client_assertion.reveal().split(".")
    token = f"{head}.{segment(claims(jti='j-2'))}.{signature}"
    desk.refuses(presented(token), "assertion_signature_invalid")


def test_a_changed_signature_is_refused(desk):
    token = assertion().client_assertion.reveal()
    head, body, signature = token.split(".")
    changed = ("A" if signature[0] != "A" else "B") + signature[1:]
    desk.refuses(presented(f"{head}.{body}.{changed}"), "assertion_signature_invalid")
    desk.refuses(presented(f"{head}.{body}."), "assertion_signature_invalid")


# Tokens of another kind.


def test_an_id_token_is_no_assertion(desk):
    id_token = keys.sign(
        {"iss": "https://idp.example", "sub": "u1", "aud": "orders-bff", "exp": NOW + 60, "nonce": "n"}
    )
    desk.refuses(presented(id_token), "assertion_issuer_mismatch")


def test_an_access_token_that_a_client_signed_for_itself_is_no_assertion(desk):
    desk.refuses(assertion(header={"typ": "at+jwt"}, scope="orders:read"), "assertion_typ_refused")


# Used once.


def test_an_assertion_is_refused_the_second_time(desk):
    sent = assertion()
    assert desk.accepts(sent) == "orders-bff"
    desk.refuses(sent, "assertion_used", marks=1)
    desk.refuses(sent, "assertion_used", marks=1)


def test_the_mark_outlives_the_assertion_with_its_skew(desk):
    desk.accepts(assertion())
    exp = NOW + 60
    for at in (exp, exp + SKEW - 1):
        desk.now = at
        desk.refuses(assertion(), "assertion_used", marks=1)
    desk.now = exp + SKEW
    desk.refuses(assertion(), "assertion_expired", marks=1)
    assert desk.store.add_if_absent("client_assertion", ("orders-bff", "j-1"), exp) is False
    desk.now = exp + SKEW + GRACE + 1
    assert desk.store.add_if_absent("client_assertion", ("orders-bff", "j-1"), exp) is True


def test_the_same_jti_in_another_spelling_of_the_assertion_is_used(desk):
    desk.accepts(assertion(algorithm="ES256"))
    desk.refuses(assertion(algorithm="RS256", aud=TOKEN_ENDPOINT, exp=NOW + 90), "assertion_used", marks=1)


def test_the_same_jti_of_another_client_is_another(desk):
    assert desk.accepts(assertion()) == "orders-bff"
    assert desk.accepts(assertion(iss="other-bff", sub="other-bff", label="b")) == "other-bff"


def test_a_refused_assertion_may_be_sent_again_when_the_fault_is_gone(desk):
    sent = assertion(nbf=NOW + SKEW + 1)
    desk.refuses(sent, "assertion_not_yet_valid")
    desk.now += 10
    assert desk.accepts(sent) == "orders-bff"


def outcome(desk: Desk, sent: ClientCredentials) -> str:
    try:
        return desk.accepts(sent)
    except Refusal as refusal:
        return refusal.detail or ""


def test_equal_assertions_in_a_race_of_threads_pass_once(desk):
    sent, barrier = assertion(), threading.Barrier(16)

    def present(_: int) -> str:
        barrier.wait()
        return outcome(desk, sent)

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(present, range(16))) == ["assertion_used"] * 15 + ["orders-bff"]


def present_all(directory, barrier, sent, outcomes) -> None:
    with Desk(directory) as desk:
        barrier.wait()
        outcomes.put([outcome(desk, one) for one in sent])


def test_equal_assertions_in_a_race_of_processes_pass_once(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, outcomes = context.Barrier(4), context.Queue()
    sent = [assertion(jti=f"j-{i}") for i in range(25)]
    processes = [
        context.Process(target=present_all, args=(tmp_path, barrier, sent, outcomes)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    answers = [outcomes.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    for of_one in zip(*answers, strict=True):
        assert sorted(of_one) == ["assertion_used"] * 3 + ["orders-bff"]


# What is out of reach.


def test_a_store_out_of_reach_refuses_rather_than_lets_pass(desk, tmp_path):
    (tmp_path / "file").write_text("")
    desk.open(SqliteStore(tmp_path / "file" / "exchange.db", clock=desk.clock))
    with pytest.raises(Refusal) as caught:
        desk.accepts(assertion())
    assert (caught.value.reason.slug, caught.value.detail) == ("store_unavailable", "unwritable")
    assert caught.value.retry_after > 0
    desk.refuses(assertion(exp=NOW - SKEW), "assertion_expired")  # known without the store


class JwksServer(ThreadingHTTPServer):
    """A client's ``jwks_uri`` on loopback."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), JwksHandler)
        self.uri = f"http://127.0.0.1:{self.server_port}/jwks.json"


class JwksHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"keys": [keys.public_jwk("ES256")]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def remote(uri: str) -> KeySource:
    return KeySource(jwks_uri=uri, allow_insecure_http=True, allow_private_network=True)


def test_keys_of_a_jwks_uri_are_fetched(tmp_path):
    with JwksServer() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            with Desk(tmp_path, clients=(registered("orders-bff", keys_of=remote(server.uri)),)) as desk:
                assert desk.accepts(assertion(algorithm="ES256")) == "orders-bff"
        finally:
            server.shutdown()
            serving.join()


def test_keys_out_of_reach_are_said_to_be(tmp_path):
    server = JwksServer()
    server.server_close()
    with Desk(tmp_path, clients=(registered("orders-bff", keys_of=remote(server.uri)),)) as desk:
        with pytest.raises(Refusal) as caught:
            desk.accepts(assertion(algorithm="ES256"))
        assert caught.value.reason.slug == "issuer_keys_unavailable"
        assert caught.value.retry_after > 0
        assert desk.marks() == 0


def test_an_unknown_client_causes_no_fetch(tmp_path):
    with Desk(tmp_path, clients=()) as desk:
        desk.refuses(assertion(header={"jku": "http://127.0.0.1:9/"}), "client_unknown")
