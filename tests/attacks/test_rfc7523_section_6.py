"""RFC 7523 §5 and §6, and what §6 calls in: the attacks on client assertions by their names, over HTTP.

| section | subject | where |
|---|---|---|
| RFC 7523 §5 | RS256 is mandatory to implement | here |
| RFC 7523 §5 | agreed one-time use, lifetime, identifiers | here |
| RFC 7523 §6 | replay protection, optional there and always on here | here; at once, on all workers: \
``test_of_concurrent_identical_assertions_exactly_one_passes`` |
| RFC 7523 §6 | audience ambiguities (§3 item 3, RFC 10070) | here; every spelling: \
``test_an_assertion_for_another_audience_is_refused`` |
| RFC 7521 §8.1 | Forged Assertion | here; each part spoilt alone: ``test_a_spoilt_assertion_is_refused`` |
| RFC 7521 §8.2 | Stolen Assertion | here |
| RFC 7521 §8.3 | Unauthorized Disclosure of Personal Information | here: none is written down |
| RFC 7521 §8.4 | Privacy Considerations | as §8.3 |
| RFC 7519 §11.1 | Trust Decisions | here: the claims alone decide nothing |
| RFC 7519 §11.2 | Signing and Encryption Order | does not apply: an encrypted assertion is refused (here) |
| RFC 6749 §10.1 | Client Authentication | ``tests/attacks/test_client_impersonation.py`` |
| RFC 7523 §2.1 | JWTs as authorization grants | here: there is no such grant |
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.attacks.forge import ISSUER, access_claims, forged
from tests.support import keys
from tests.support.idp import BACKEND
from tests.support.policies import (
    AUDIENCE,
    CLIENT_ASSERTION_TYPE,
    audience_file,
    issuer_file,
    key_client_file,
    rule,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService

VICTIM, THIEF = "victim", "thief"
FAILED = "client_authentication_failed"


def client(client_id: str, *algorithms: str) -> dict[str, Any]:
    jwks = {"keys": [keys.public_jwk(algorithm, client_id) for algorithm in algorithms]}
    return key_client_file(
        client_id=client_id,
        audience=[f"{BACKEND}/{client_id}"],
        authentication={"private_key_jwt": {"jwks": jwks}},
    )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    policies = write_policies(
        tmp_path_factory.mktemp("rfc7523") / "policies",
        issuer=ISSUER,
        issuers={
            "idp": issuer_file(
                ISSUER,
                audience=[f"{BACKEND}/{VICTIM}", f"{BACKEND}/{THIEF}"],
                keys={"jwks": {"keys": [keys.public_jwk()]}},
            )
        },
        clients={
            "shop": None,
            "shop-with-key": None,
            VICTIM: client(VICTIM, "ES256", "RS256"),
            THIEF: client(THIEF, "ES256"),
        },
        audiences={"orders": audience_file(rule(client=[VICTIM, THIEF]))},
    )
    env = {"EXCHANGE_ISSUER": "https://exchange.example"}  # the same after a restart
    with RunningService(policies, env, workers=2) as running:
        yield running


def assertion(
    service: RunningService,
    *,
    who: str = VICTIM,
    algorithm: str = "ES256",
    label: str | None = None,
    header: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Return one as ``who`` makes it; ``...`` leaves a claim out, ``label`` signs with another client's key."""
    now = int(time.time())
    genuine = {
        "iss": who,
        "sub": who,
        "aud": service.issuer,
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid.uuid4()),
    }
    claims = {name: value for name, value in (genuine | changes).items() if value is not ...}
    signer = label or who
    head = {"alg": algorithm, "kid": f"{algorithm}-{signer}"} | (header or {})
    return forged(head, claims, algorithm=algorithm, label=signer)


def send(service: RunningService, sent: str, *, token_of: str = VICTIM, **changes: Any) -> requests.Response:
    form = {
        "grant_type": GRANT_TYPE,
        "subject_token": forged(payload=access_claims(aud=f"{BACKEND}/{token_of}")),
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
        "client_assertion_type": CLIENT_ASSERTION_TYPE,
        "client_assertion": sent,
    } | changes
    return service.post_token({name: value for name, value in form.items() if value is not None})


def refused(service: RunningService, answer: requests.Response, cause: str) -> None:
    assert assert_refused(service, answer, FAILED)["detail"] == cause


# ── RFC 7523 §5: what has to be agreed ──────────────────────────────────────────────────────────────────────


def test_5_rs256_is_implemented_and_named(service: RunningService) -> None:
    record = assert_issued(service, send(service, assertion(service, algorithm="RS256")))
    assert (record["client_id"], record["client_authentication"]) == (VICTIM, "private_key_jwt")
    metadata = service.get("/.well-known/oauth-authorization-server").json()
    assert {"RS256", "ES256"} <= set(metadata["token_endpoint_auth_signing_alg_values_supported"])
    assert not {"none", "HS256"} & set(metadata["token_endpoint_auth_signing_alg_values_supported"])


def test_5_a_maximum_lifetime_is_kept_to(service: RunningService) -> None:
    now = int(time.time())
    assert_issued(service, send(service, assertion(service, exp=now + 3500)))
    for claims in (
        {"exp": now + 86_400},
        {"exp": now + 86_400, "iat": ...},
        {"exp": now + 60, "iat": now - 86_400},
    ):
        refused(service, send(service, assertion(service, **claims)), "assertion_lifetime_too_long")


def test_5_without_what_one_time_use_needs_it_is_refused(service: RunningService) -> None:
    for jti in (..., "", 1):
        refused(service, send(service, assertion(service, jti=jti)), "assertion_jti_malformed")


# ── RFC 7523 §6 ─────────────────────────────────────────────────────────────────────────────────────────────


def test_6_replay_protection(service: RunningService) -> None:
    used = assertion(service)
    assert_issued(service, send(service, used))
    for _ in range(4):
        service._session.close()  # a new connection, so that both workers are asked
        refused(service, send(service, used), "assertion_used")
    service.restart()
    refused(service, send(service, used), "assertion_used")
    assert_issued(service, send(service, assertion(service)))


def test_6_another_signature_over_the_same_assertion_is_a_replay(service: RunningService) -> None:
    """ECDSA signs the same twice with two signatures: it is the jti that was used, and not the text."""
    jti = str(uuid.uuid4())
    assert_issued(service, send(service, assertion(service, jti=jti)))
    for other in ({}, {"algorithm": "RS256"}, {"aud": f"{service.issuer}/token"}):
        refused(service, send(service, assertion(service, jti=jti, **other)), "assertion_used")


def test_6_audience_ambiguities(service: RunningService) -> None:
    """Two audiences would let the one server replay at the other what its client signed for both (RFC 10070)."""
    other = "https://other.example"
    both = assertion(service, aud=[service.issuer, other])
    refused(service, send(service, both), "assertion_audience_not_single")
    for theirs in (other, f"{other}/token", [other], ISSUER, AUDIENCE, VICTIM):
        refused(service, send(service, assertion(service, aud=theirs)), "assertion_audience_mismatch")
    for ours in (service.issuer, [service.issuer], f"{service.issuer}/token"):
        assert_issued(service, send(service, assertion(service, aud=ours)))


# ── RFC 7521 §8 ─────────────────────────────────────────────────────────────────────────────────────────────


def test_8_1_forged_assertion(service: RunningService) -> None:
    """An adversary makes one up, or changes what is in a good one."""
    refused(service, send(service, assertion(service, label=THIEF)), "assertion_key_unknown")
    as_theirs = {"kid": f"ES256-{VICTIM}"}
    refused(
        service,
        send(service, assertion(service, label=THIEF, header=as_theirs)),
        "assertion_signature_invalid",
    )
    own_key = {"jwk": keys.public_jwk("ES256", THIEF), "kid": f"ES256-{VICTIM}"}
    refused(
        service, send(service, assertion(service, label=THIEF, header=own_key)), "assertion_signature_invalid"
    )
    for changed in ({"iss": THIEF}, {"sub": THIEF}):
        refused(service, send(service, assertion(service, **changed)), "assertion_issuer_mismatch")
    one, two = assertion(service).split("."), assertion(service).split(".")
    refused(service, send(service, f"{two[0]}.{two[1]}.{one[2]}"), "assertion_signature_invalid")
    unsigned = assertion(service, header={"alg": "none"}).rpartition(".")[0]
    refused(service, send(service, f"{unsigned}."), "assertion_algorithm_not_allowed")
    assert_issued(service, send(service, assertion(service)))


def test_8_2_stolen_assertion(service: RunningService) -> None:
    """Out of a log, after its time; on its way, after its use; as another client; beside a token of another client."""
    now = int(time.time())
    refused(service, send(service, assertion(service, iat=now - 200, exp=now - 100)), "assertion_expired")
    stolen = assertion(service)
    refused(service, send(service, stolen, client_id=THIEF, token_of=THIEF), "client_id_mismatch")
    assert_issued(service, send(service, stolen))  # what was refused used nothing up
    refused(service, send(service, stolen, token_of=THIEF), "assertion_used")
    answer = send(
        service, assertion(service, who=THIEF)
    )  # his own, with the token that was sent to the victim
    assert_refused(service, answer, "presenter_mismatch")


def test_8_3_unauthorized_disclosure_of_personal_information(service: RunningService) -> None:
    secret = f"ada-{uuid.uuid4()}@shop.example"
    good, bad = assertion(service, email=secret), assertion(service, email=secret, label=THIEF)
    assert_issued(service, send(service, good))
    answer = send(service, bad)
    assert_refused(service, answer, FAILED)
    written = service.stdout() + service.stderr() + answer.text
    assert not [part for part in (secret, *good.split(".")[1:], *bad.split(".")[1:]) if part in written]


# ── RFC 7519 §11 ────────────────────────────────────────────────────────────────────────────────────────────


def test_11_1_trust_decisions(service: RunningService) -> None:
    """What is inside is worth what its key is worth: the IdP's is none of a client's."""
    from_the_idp = forged(
        {"alg": "RS256", "kid": "RS256-a"},
        {
            "iss": VICTIM,
            "sub": VICTIM,
            "aud": service.issuer,
            "exp": int(time.time()) + 60,
            "jti": str(uuid.uuid4()),
        },
    )
    refused(service, send(service, from_the_idp), "assertion_key_unknown")
    refused(service, send(service, forged()), "assertion_issuer_mismatch")
    assert_issued(service, send(service, assertion(service)))


def test_11_2_an_encrypted_assertion_is_refused(service: RunningService) -> None:
    refused(
        service,
        send(service, "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA"),
        "assertion_encrypted",
    )


def test_2_1_an_assertion_is_no_grant(service: RunningService) -> None:
    answer = send(
        service,
        assertion(service),
        grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion=assertion(service),
    )
    assert_refused(service, answer, "grant_type_unsupported")
