"""RFC 9449 §11, the attacks on DPoP by the names that the RFC gives them, over HTTP.

| section | attack | where |
|---|---|---|
| 11.1 | DPoP Proof Replay | here; on several machines and at once: ``test_of_many_replays_at_once_exactly_one_passes`` |
| 11.2 | DPoP Proof Pre-generation | here; how long a nonce lives: ``tests/tokens/test_dpop.py`` |
| 11.3 | DPoP Nonce Downgrade | here; where nonces are optional none is handed out unasked: ``test_nonces_may_be_optional`` |
| 11.4 | Untrusted Code in the Client Context | not ours: no browser and no grant that is silent; what a thief of tokens \
can do is 11.8 |
| 11.5 | Signed JWT Swapping | here |
| 11.6 | Signature Algorithms | here |
| 11.7 | Request Integrity | here |
| 11.8 | Access Token and Public Key Binding | here; actor tokens: ``test_an_actor_token_is_held_to_its_constraint_too`` |
| 11.9 | Authorization Code and Public Key Binding | does not apply: there are no authorization codes |
| 11.10 | Hash Algorithm Agility | here |
| 11.11 | Binding to Client Identity | here |
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from exchange.tokens.dpop_nonce import DpopNonces
from tests.attacks.forge import forged, forged_with_secret
from tests.support import dpop
from tests.support.dpop import DpopKey
from tests.support.idp import FakeIssuer
from tests.support.policies import AUDIENCE, BASIC, KEY_CLIENT, audience_file, rule, write_policies
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import RunningService
from tests.support.services import api_client, basic, verified_claims

KEY, THIEF = DpopKey(), DpopKey(label="thief")
THIEVES_BACKEND = "https://thief.example"


@pytest.fixture(scope="module")
def service(idp: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """With two clients that may do the same, each with the tokens that were sent to it."""
    policies = write_policies(
        tmp_path_factory.mktemp("section-11") / "policies",
        issuer=idp.issuer,
        clients={"thief": api_client("thief", THIEVES_BACKEND)},
        audiences={"orders": audience_file(rule(), rule(id="another", client="thief"))},
        issuers={
            "idp": {
                "issuer": idp.issuer,
                "audience": ["https://shop.example", THIEVES_BACKEND],
                "allow_insecure_http": True,
            }
        },
    )
    with RunningService(policies, workers=2) as running:
        yield running


def genuine(service: RunningService, key: DpopKey = KEY, **changes: Any) -> str:
    htu = changes.pop("htu", f"{service.issuer}/token")
    return key.proof(htu, **({"nonce": dpop.nonce(service)} | changes))


def send(
    service: RunningService,
    token: str,
    proof: str | None,
    auth: tuple[str, str] = BASIC,
    **parameters: Any,
) -> requests.Response:
    return dpop.send(service, token, auth, proof, **({"audience": AUDIENCE} | parameters))


def refused(service: RunningService, answer: requests.Response, reason: str = "dpop_proof_invalid") -> None:
    assert_refused(service, answer, reason)
    assert answer.json()["error"] == (
        "use_dpop_nonce" if reason == "dpop_nonce_required" else "invalid_dpop_proof"
    )


def bound_to(service: RunningService, answer: requests.Response) -> Any:
    assert_issued(service, answer)
    assert answer.json()["token_type"] == "DPoP"
    return verified_claims(service, answer.json()["access_token"], AUDIENCE)["cnf"]


# ── 11.1 ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_11_1_dpop_proof_replay(service: RunningService, idp: FakeIssuer) -> None:
    proof = genuine(service)
    assert bound_to(service, send(service, idp.access_token(), proof)) == {"jkt": KEY.jkt}
    for _ in range(4):
        service._session.close()  # a new connection, so that both workers are asked
        refused(service, send(service, idp.access_token(), proof), "dpop_proof_used")
    assert_issued(service, send(service, idp.access_token(), genuine(service)))


def test_11_1_a_replay_under_another_nonce_and_time_is_one(service: RunningService, idp: FakeIssuer) -> None:
    used = {"jti": "the-same"}
    assert_issued(service, send(service, idp.access_token(), genuine(service, **used)))
    later = genuine(service, iat=int(time.time()) + 5, **used)
    refused(service, send(service, idp.access_token(), later), "dpop_proof_used")


def test_11_1_a_proof_is_accepted_for_a_short_time(service: RunningService, idp: FakeIssuer) -> None:
    old = genuine(service, iat=int(time.time()) - 120)
    refused(service, send(service, idp.access_token(), old))


def test_11_1_no_jti_fills_the_memory(service: RunningService, idp: FakeIssuer) -> None:
    refused(service, send(service, idp.access_token(), genuine(service, jti="x" * 5000)))


@pytest.mark.parametrize("htu", ["https://other.example/token", "{issuer}/introspect", "{issuer}/token/x"])
def test_11_a_proof_for_another_endpoint_is_not_replayed_here(
    service: RunningService, idp: FakeIssuer, htu: str
) -> None:
    elsewhere = genuine(service, htu=htu.format(issuer=service.issuer))
    refused(service, send(service, idp.access_token(), elsewhere))


# ── 11.2, 11.3 ──────────────────────────────────────────────────────────────────────────────────────────────


def test_11_2_dpop_proof_pre_generation(service: RunningService, idp: FakeIssuer) -> None:
    endpoint, now = f"{service.issuer}/token", int(time.time())
    for_tomorrow = KEY.proof(endpoint, iat=now + 86_400, nonce=dpop.nonce(service))
    refused(service, send(service, idp.access_token(), for_tomorrow))
    without = KEY.proof(endpoint)
    refused(service, send(service, idp.access_token(), without), "dpop_nonce_required")
    for secret in (b"", b"guessed", b"dpop-nonce"):
        predicted = KEY.proof(endpoint, nonce=DpopNonces(secret, time.time).fresh())
        refused(service, send(service, idp.access_token(), predicted), "dpop_nonce_required")
    one, two = dpop.nonce(service), dpop.nonce(service)
    spliced = KEY.proof(endpoint, nonce=".".join([*one.split(".")[:-1], two.split(".")[-1]]))
    refused(service, send(service, idp.access_token(), spliced), "dpop_nonce_required")
    assert_issued(service, send(service, idp.access_token(), genuine(service)))


@pytest.mark.parametrize(
    "instead", [{"nonce": None}, {"nonce": ""}, {"nonce": "x"}, {"Nonce": "x", "nonce": None}]
)
def test_11_3_dpop_nonce_downgrade(service: RunningService, idp: FakeIssuer, instead: dict[str, Any]) -> None:
    assert_issued(service, send(service, idp.access_token(), genuine(service)))  # a nonce has been provided
    asked = send(service, idp.access_token(), genuine(service, **instead))
    refused(service, asked, "dpop_nonce_required")
    assert_issued(
        service, send(service, idp.access_token(), genuine(service, nonce=asked.headers["DPoP-Nonce"]))
    )


def test_11_3_a_nonce_in_the_header_is_none(service: RunningService, idp: FakeIssuer) -> None:
    nonce = dpop.nonce(service)
    moved = KEY.proof(f"{service.issuer}/token", header={"nonce": nonce})
    refused(service, send(service, idp.access_token(), moved), "dpop_nonce_required")


# ── 11.5, 11.6 ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "typ", ["JWT", "at+jwt", "client-authentication+jwt", "jwt", "dpop", "dpop+jwt;", "logout+jwt", "", None]
)
def test_11_5_signed_jwt_swapping(service: RunningService, idp: FakeIssuer, typ: str | None) -> None:
    """With every claim that a proof has: the type alone tells a JWT that was made for another purpose."""
    refused(service, send(service, idp.access_token(), genuine(service, header={"typ": typ})))
    assert_issued(service, send(service, idp.access_token(), genuine(service, header={"typ": "dpop+jwt"})))


def test_11_5_a_proof_passes_for_nothing_else(service: RunningService, idp: FakeIssuer) -> None:
    proof_of_the_idp = idp.access_token(header={"typ": "dpop+jwt"})
    assert_refused(service, send(service, proof_of_the_idp, None), "subject_token_is_other_kind")
    assertion = genuine(
        service, iss=KEY_CLIENT, sub=KEY_CLIENT, aud=service.issuer, exp=int(time.time()) + 60
    )
    sent = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
    }
    answer = dpop.send(service, idp.access_token(), None, None, audience=AUDIENCE, **sent)
    assert_refused(service, answer, "client_authentication_failed")


def claims(service: RunningService) -> dict[str, Any]:
    """Return what a genuine proof says."""
    payload = genuine(service).split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


@pytest.mark.parametrize(
    "alg", ["none", "None", "HS256", "HS512", "ES256K", "RS1", "RSA-OAEP", "ES384", "RS256"]
)
def test_11_6_signature_algorithms(service: RunningService, idp: FakeIssuer, alg: str) -> None:
    head = {"typ": "dpop+jwt", "alg": alg, "jwk": KEY.jwk}
    signed = forged(head, claims(service), algorithm="ES256", label=KEY.label)
    refused(service, send(service, idp.access_token(), signed))
    refused(service, send(service, idp.access_token(), f"{signed.rpartition('.')[0]}."))
    assert_issued(service, send(service, idp.access_token(), genuine(service)))


def test_11_6_the_public_key_is_no_hmac_secret(service: RunningService, idp: FakeIssuer) -> None:
    oct_jwk = {"kty": "oct", "k": "c2VjcmV0"}
    for jwk in (KEY.jwk, oct_jwk):
        head = {"typ": "dpop+jwt", "alg": "HS256", "jwk": jwk}
        for secret in (json.dumps(jwk).encode(), b"secret"):
            refused(
                service, send(service, idp.access_token(), forged_with_secret(secret, head, claims(service)))
            )


# ── 11.7 ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", [{}, {"scope": "orders:delete"}, {"audience": "https://nobody.example"}])
def test_11_7_request_integrity(service: RunningService, idp: FakeIssuer, first: dict[str, str]) -> None:
    """The body is not in the proof: who changes it needs the proof again, whatever became of the first request."""
    proof = genuine(service)
    send(service, idp.access_token(), proof, **first)
    for changed in ({"scope": "orders:write"}, {"resource": "https://orders.example/api"}, {}):
        refused(service, send(service, idp.access_token(), proof, **changed), "dpop_proof_used")


def test_11_7_the_subject_token_may_be_in_the_proof(service: RunningService, idp: FakeIssuer) -> None:
    mine, another = idp.access_token(), idp.access_token(sub="eve")
    refused(service, send(service, another, genuine(service, ath=dpop.ath(mine))))
    assert_issued(service, send(service, mine, genuine(service, ath=dpop.ath(mine))))


# ── 11.8, 11.10 ─────────────────────────────────────────────────────────────────────────────────────────────


def test_11_8_access_token_and_public_key_binding(service: RunningService, idp: FakeIssuer) -> None:
    stolen = idp.access_token(cnf={"jkt": KEY.jkt})
    answer = send(service, stolen, genuine(service, THIEF))
    assert_refused(service, answer, "subject_token_proof_invalid")
    assert_refused(service, send(service, stolen, None), "subject_token_proof_missing")
    assert bound_to(service, send(service, stolen, genuine(service))) == {"jkt": KEY.jkt}


def test_11_8_the_key_of_somebody_else_in_the_header_proves_nothing(
    service: RunningService, idp: FakeIssuer
) -> None:
    stolen = idp.access_token(cnf={"jkt": KEY.jkt})
    for jwk in (KEY.jwk, KEY.jwk | {"x": THIEF.jwk["x"]}, THIEF.jwk | {"kid": KEY.jkt}, [THIEF.jwk, KEY.jwk]):
        answer = send(service, stolen, genuine(service, THIEF, header={"jwk": jwk}))
        body = answer.json()
        assert body["reason"] in {"dpop_proof_invalid", "subject_token_proof_invalid"}, body
        assert_refused(service, answer, body["reason"])


def respelt(jwk: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same key in other words: RFC 7638 §3.3 gives it one thumbprint."""
    yield jwk | {"kid": "k", "use": "sig", "alg": "RS256"}
    yield dict(reversed(jwk.items()))
    yield jwk | {"e": "AAEAAQ"}
    yield jwk | {"e": "AQAB=="}
    yield jwk | {"n": "AA" + jwk["n"]}
    yield jwk | {
        "n": base64.urlsafe_b64encode(b"\0" + base64.urlsafe_b64decode(jwk["n"] + "==")).decode().rstrip("=")
    }
    yield jwk | {"n": f"{jwk['n']}=="}


def test_11_8_a_key_has_one_thumbprint_however_it_is_spelt(service: RunningService, idp: FakeIssuer) -> None:
    key, taken = DpopKey("RS256"), 0
    for jwk in respelt(key.jwk):
        answer = send(service, idp.access_token(), genuine(service, key, header={"jwk": jwk}))
        if answer.status_code == 200:
            assert bound_to(service, answer) == {"jkt": key.jkt}
            taken += 1
        else:
            refused(service, answer)
    assert taken >= 2  # other members and another order change nothing


def test_11_10_hash_algorithm_agility(service: RunningService, idp: FakeIssuer) -> None:
    """Another hash comes under another name, and what stands there is never taken for SHA-256, nor overlooked."""
    canonical = json.dumps(KEY.jwk, sort_keys=True, separators=(",", ":")).encode()
    by_sha512 = base64.urlsafe_b64encode(hashlib.sha512(canonical).digest()).decode().rstrip("=")
    by_sha256 = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).decode().rstrip("=")
    assert by_sha256 == KEY.jkt
    for cnf, ending in (
        ({"jkt": by_sha512}, "proof_invalid"),
        ({"jkt": by_sha256[:22]}, "proof_invalid"),
        ({"jkt": hashlib.sha256(canonical).hexdigest()}, "proof_invalid"),
        ({"jkt#S512": by_sha512}, "proof_missing"),
        ({"jkt": by_sha256, "jkt#S512": by_sha512}, "proof_missing"),
    ):
        answer = send(service, idp.access_token(cnf=cnf), genuine(service))
        assert_refused(service, answer, f"subject_token_{ending}")
    assert_issued(service, send(service, idp.access_token(cnf={"jkt": by_sha256}), genuine(service)))

    token = idp.access_token()
    by_another = base64.urlsafe_b64encode(hashlib.sha512(token.encode()).digest()).decode().rstrip("=")
    refused(service, send(service, token, genuine(service, ath=by_another)))


# ── 11.11 ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_11_11_binding_to_client_identity(service: RunningService, idp: FakeIssuer) -> None:
    """A copied proof gives its thief a token for the key of the other, which is of no use to him."""
    theirs = idp.access_token(aud=THIEVES_BACKEND)
    copied = genuine(service)
    assert bound_to(service, send(service, theirs, copied, basic("thief"))) == {"jkt": KEY.jkt}
    refused(service, send(service, idp.access_token(), copied), "dpop_proof_used")  # nobody can use it again
    assert_issued(service, send(service, idp.access_token(), genuine(service)))


def test_11_11_a_proof_makes_nobody_another_client(service: RunningService, idp: FakeIssuer) -> None:
    stolen = idp.access_token(cnf={"jkt": KEY.jkt})
    answer = send(service, stolen, genuine(service), basic("thief"))
    assert_refused(service, answer, "presenter_mismatch")
    answer = dpop.send(service, stolen, None, genuine(service), audience=AUDIENCE, client_id="shop")
    assert_refused(service, answer, "client_authentication_failed")
    assert_issued(service, send(service, stolen, genuine(service)))
