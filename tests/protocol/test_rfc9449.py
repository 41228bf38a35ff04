"""RFC 9449 and RFC 7800 over HTTP: proofs, nonces, bound tokens in and out, on several workers and machines."""

from __future__ import annotations

import http.client
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from exchange.issuance.signing_keys import SigningKeyRing
from tests.support import dpop
from tests.support.certificates import Certificate
from tests.support.dpop import DpopKey
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    CLIENT_SECRET,
    SECRET_CLIENT,
    audience_file,
    client_assertion,
    rule,
    server_file,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService
from tests.support.services import api_client, basic, verified_claims

KEY, OTHER = DpopKey(), DpopKey(label="other")
BOUND = "https://bound.example"
EITHER = "https://either.example"
CHAIN = "https://chain.example"
LENIENT = {"dpop_nonce": "optional"}


def policies(directory: Path, issuer: str, **server: Any) -> Path:
    """Orders as everywhere; an API that takes only tokens bound to a key, one that takes either kind, and one that
    exchanges them further.
    """
    return write_policies(
        directory / "policies",
        issuer=issuer,
        server=server_file(max_targets=2, **server),
        clients={"chain": api_client("chain", CHAIN)},
        audiences={
            "bound": audience_file(
                rule(id="bound"),
                rule(
                    id="ours",
                    client="chain",
                    subject={"issuer": "self"},
                    scopes={"orders:read": ["orders:read"]},
                ),
                audience=BOUND,
                resources=[f"{BOUND}/api"],
                sender_constraint="dpop",
            ),
            "either": audience_file(
                rule(id="either"),
                rule(
                    id="also-ours",
                    client="chain",
                    subject={"issuer": "self"},
                    scopes={"orders:read": ["orders:read"]},
                ),
                audience=EITHER,
                resources=[f"{EITHER}/api"],
            ),
            "chain": audience_file(rule(id="to-chain"), audience=CHAIN, resources=[f"{CHAIN}/api"]),
        },
    )


@pytest.fixture(scope="module")
def service(idp: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(policies(tmp_path_factory.mktemp("dpop"), idp.issuer), workers=4) as running:
        yield running


def exchange(service: RunningService, token: str, key: DpopKey = KEY, **parameters: Any) -> requests.Response:
    return dpop.exchange(service, token, BASIC, key, **({"audience": AUDIENCE} | parameters))


def send(service: RunningService, token: str, proof: str | None, **parameters: Any) -> requests.Response:
    return dpop.send(service, token, BASIC, proof, **({"audience": AUDIENCE} | parameters))


def genuine(service: RunningService, key: DpopKey = KEY, **claims: Any) -> str:
    htu = claims.pop("htu", f"{service.issuer}/token")
    return key.proof(htu, **({"nonce": dpop.nonce(service)} | claims))


# ── what is issued ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "EdDSA", "RS256", "PS256"])
def test_with_a_proof_the_token_is_bound_to_its_key(
    service: RunningService, idp: FakeIssuer, algorithm: str
) -> None:
    key = DpopKey(algorithm)
    answer = exchange(service, idp.access_token(), key)
    assert_issued(service, answer)
    assert answer.json()["token_type"] == "DPoP"
    claims = verified_claims(service, answer.json()["access_token"], AUDIENCE)
    assert claims["cnf"] == {"jkt": key.jkt}


def test_without_a_proof_it_is_a_bearer_token_as_ever(service: RunningService, idp: FakeIssuer) -> None:
    answer = send(service, idp.access_token(), None)
    assert answer.json()["token_type"] == "Bearer"
    assert "cnf" not in verified_claims(service, answer.json()["access_token"], AUDIENCE)
    assert "DPoP-Nonce" not in answer.headers


def test_every_client_authentication_goes_with_a_proof(service: RunningService, idp: FakeIssuer) -> None:
    token, own = idp.access_token(), idp.access_token(aud=f"{BACKEND}/with-key")
    form = {"audience": AUDIENCE, "client_id": SECRET_CLIENT, "client_secret": CLIENT_SECRET}
    by_post = dpop.exchange(service, token, None, KEY, **form)
    by_key = dpop.exchange(service, own, None, KEY, audience=AUDIENCE, **client_assertion(service.issuer))
    assert [answer.json().get("token_type") for answer in (by_post, by_key)] == ["DPoP", "DPoP"]


def test_the_metadata_names_the_algorithms(service: RunningService) -> None:
    metadata = service.get("/.well-known/oauth-authorization-server").json()
    assert {"ES256", "EdDSA", "RS256"} <= set(metadata["dpop_signing_alg_values_supported"])
    assert not {"none", "HS256"} & set(metadata["dpop_signing_alg_values_supported"])


def test_the_audit_record_has_the_thumbprint_and_never_the_proof(
    service: RunningService, idp: FakeIssuer
) -> None:
    proof = genuine(service)
    answer = send(service, idp.access_token(), proof)
    (record,) = service.audit(request_id=answer.headers["X-Request-ID"])
    assert record["proof"] == {"jkt": KEY.jkt}
    assert record["issued"]["claims"]["cnf"] == {"jkt": KEY.jkt}
    output = service.stdout() + service.stderr()
    assert not [part for part in (proof, *proof.split(".")[1:]) if part in output]


# ── proofs ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("claims", "detail"),
    [
        ({"htm": "GET"}, "htm is not POST"),
        ({"htu": "https://exchange.example/token"}, "htu is not the token endpoint"),
        ({"iat": 5}, "iat is too long ago"),
        ({"jti": None}, "jti is missing, or no string of at most 256 characters"),
        ({"ath": "x"}, "ath is not the hash of the subject_token"),
    ],
)
def test_a_proof_with_one_thing_wrong_is_invalid_dpop_proof(
    service: RunningService, idp: FakeIssuer, claims: dict[str, Any], detail: str
) -> None:
    answer = send(service, idp.access_token(), genuine(service, **claims))
    assert_refused(service, answer, "dpop_proof_invalid")
    assert answer.json()["error"] == "invalid_dpop_proof"
    (record,) = service.audit(request_id=answer.json()["request_id"])
    assert record["detail"] == detail


def test_the_hash_of_the_subject_token_may_be_in_it(service: RunningService, idp: FakeIssuer) -> None:
    token = idp.access_token()
    assert_issued(service, exchange(service, token, proof={"ath": dpop.ath(token)}))


def raw(service: RunningService, token: str, *headers: tuple[str, str]) -> requests.Response:
    """Send header fields one by one: requests would join or replace them."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=15)
    body = urlencode(
        {
            "grant_type": GRANT_TYPE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "audience": AUDIENCE,
            "client_id": SECRET_CLIENT,
            "client_secret": CLIENT_SECRET,
        }
    )
    connection.putrequest("POST", "/token")
    fields = (("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(body))))
    for name, value in (*fields, *headers):
        connection.putheader(name, value)
    connection.endheaders(body.encode())
    received = connection.getresponse()
    answer = requests.Response()
    answer.status_code, answer._content = received.status, received.read()
    answer.headers.update(received.getheaders())
    connection.close()
    return answer


def test_two_header_fields_are_refused_in_either_order_and_spelling(
    service: RunningService, idp: FakeIssuer
) -> None:
    token = idp.access_token()
    for fields in (
        [("DPoP", genuine(service)), ("DPoP", genuine(service))],
        [("DPoP", genuine(service)), ("dpop", "")],
        [("DPOP", ""), ("DPoP", genuine(service))],
        [("DPoP", f"{genuine(service)}, {genuine(service)}")],
        [("DPoP", "")],
    ):
        assert_refused(service, raw(service, token, *fields), "dpop_proof_invalid")
    assert raw(service, token, ("dpop", genuine(service))).json()["token_type"] == "DPoP"


def test_who_is_not_authenticated_hears_nothing_of_the_proof(
    service: RunningService, idp: FakeIssuer
) -> None:
    proof = genuine(service)
    answer = dpop.send(service, idp.access_token(), (SECRET_CLIENT, "wrong"), proof, audience=AUDIENCE)
    assert_refused(service, answer, "client_authentication_failed")
    assert_issued(service, send(service, idp.access_token(), proof))  # it was not used up


def test_a_proof_is_judged_before_the_token_is(service: RunningService) -> None:
    assert_refused(
        service, send(service, "no.token.atall", genuine(service, htm="GET")), "dpop_proof_invalid"
    )
    assert_refused(service, send(service, "no.token.atall", genuine(service)), "subject_token_malformed")


# ── nonces ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_nonce_one_is_given_and_the_next_request_passes(
    service: RunningService, idp: FakeIssuer
) -> None:
    token, endpoint = idp.access_token(), f"{service.issuer}/token"
    asked = send(service, token, KEY.proof(endpoint))
    assert_refused(service, asked, "dpop_nonce_required")
    assert (asked.status_code, asked.json()["error"]) == (400, "use_dpop_nonce")
    assert asked.headers["Cache-Control"] == "no-store"
    assert_issued(service, send(service, token, KEY.proof(endpoint, nonce=asked.headers["DPoP-Nonce"])))


def test_every_answer_to_a_proof_has_a_fresh_nonce(service: RunningService, idp: FakeIssuer) -> None:
    token = idp.access_token()
    answers = [
        exchange(service, token),
        exchange(service, token, scope="no:such"),
        exchange(service, token, proof={"htm": "GET"}),
        exchange(service, token, proof={"nonce": "stale"}),
        dpop.send(service, token, ("nobody", "x"), "x"),
        service.post_token({}, headers={"DPoP": ""}),
        service.post("/token?x=1", data={}, headers={"DPoP": "x"}),
        service.post(
            "/token",
            data=b"x" * 70_000,
            headers={"DPoP": "x", "Content-Type": "application/x-www-form-urlencoded"},
        ),
    ]
    nonces = [answer.headers["DPoP-Nonce"] for answer in answers]
    assert len(set(nonces)) == len(answers)
    for nonce in nonces:
        assert_issued(service, exchange(service, token, proof={"nonce": nonce}))


def test_what_may_be_cached_has_no_nonce(service: RunningService) -> None:
    assert "DPoP-Nonce" not in service.get("/jwks.json", headers={"DPoP": "x"}).headers


@pytest.fixture(scope="module")
def machines(idp: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningService]]:
    """Two services under one name that share keys and store."""
    root = tmp_path_factory.mktemp("machines")
    files = policies(root, idp.issuer)
    env = {
        "EXCHANGE_ISSUER": "https://exchange.example",
        "EXCHANGE_KEYS": str(root / "keys"),
        "EXCHANGE_STORE": f"sqlite:///{root}/store.db",
    }
    with RunningService(files, env, workers=1) as one, RunningService(files, env, workers=1) as two:
        yield [one, two]


def test_a_nonce_of_one_machine_is_taken_by_another(machines: list[RunningService], idp: FakeIssuer) -> None:
    one, two = machines
    proof = KEY.proof("https://exchange.example/token", nonce=dpop.nonce(one))
    assert_issued(two, send(two, idp.access_token(), proof))


def test_a_proof_that_was_used_on_one_machine_is_used_on_all(
    machines: list[RunningService], idp: FakeIssuer
) -> None:
    one, two = machines
    proof = KEY.proof("https://exchange.example/token", nonce=dpop.nonce(one))
    assert_issued(one, send(one, idp.access_token(), proof))
    for machine in (two, one):
        answer = send(machine, idp.access_token(), proof)
        assert_refused(machine, answer, "dpop_proof_used")
        assert answer.json()["error"] == "invalid_dpop_proof"


def test_of_many_replays_at_once_exactly_one_passes(service: RunningService, idp: FakeIssuer) -> None:
    token, barrier = idp.access_token(), threading.Barrier(12)
    for _ in range(3):
        proof = genuine(service)

        def present(_: int, proof: str = proof) -> str:
            barrier.wait()
            answer = raw(service, token, ("DPoP", proof)).json()
            return str(answer.get("reason", "issued"))

        with ThreadPoolExecutor(12) as pool:
            outcomes = sorted(pool.map(present, range(12)))
        assert outcomes == ["dpop_proof_used"] * 11 + ["issued"]


@pytest.fixture
def own(idp: FakeIssuer, tmp_path: Path) -> Iterator[RunningService]:
    """A service that a test may change; its name does not change when it starts again."""
    env = {"EXCHANGE_ISSUER": "https://exchange.example"}
    with RunningService(policies(tmp_path, idp.issuer), env, workers=2, directory=tmp_path) as running:
        yield running


def test_a_nonce_is_good_after_a_reload_and_after_a_restart(own: RunningService, idp: FakeIssuer) -> None:
    before = dpop.nonce(own)
    own.signal(signal.SIGHUP)
    time.sleep(0.5)
    own.wait_until_ready()
    assert_issued(own, exchange(own, idp.access_token(), proof={"nonce": before}))
    proof = genuine(own)
    assert_issued(own, send(own, idp.access_token(), proof))
    own.restart()
    assert_issued(own, exchange(own, idp.access_token(), proof={"nonce": before}))
    assert_refused(own, send(own, idp.access_token(), proof), "dpop_proof_used")


def test_nonces_may_be_optional(idp: FakeIssuer, tmp_path: Path) -> None:
    with RunningService(policies(tmp_path, idp.issuer, **LENIENT), workers=1) as lenient:
        endpoint = f"{lenient.issuer}/token"
        answer = send(lenient, idp.access_token(), KEY.proof(endpoint))
        assert_issued(lenient, answer)
        # RFC 9449 §11.3: who was given a nonce must use it from then on, so nobody is given one unasked.
        assert "DPoP-Nonce" not in answer.headers
        refused = send(lenient, idp.access_token(), KEY.proof(endpoint, nonce="x"))
        assert_refused(lenient, refused, "dpop_nonce_required")
        assert refused.headers["DPoP-Nonce"]


def test_without_the_store_no_proof_passes_and_no_bearer_is_in_its_way(
    own: RunningService, idp: FakeIssuer
) -> None:
    assert_issued(own, exchange(own, idp.access_token()))
    own.stop()
    (database,) = own.directory.glob("var/exchange.db")
    holder = sqlite3.connect(database, isolation_level=None)
    own.start()
    proof = genuine(own)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        refused = send(own, idp.access_token(), proof)
        bearer = send(own, idp.access_token(), None)
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert_refused(own, refused, "store_unavailable")
    assert (refused.status_code, bearer.status_code) == (503, 200)
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["DPoP-Nonce"]


def test_the_secret_of_the_nonces_is_a_file_of_its_owner_alone(own: RunningService) -> None:
    secret = own.directory / "var/keys/dpop-nonce.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    dpop.nonce(own)
    assert secret.read_text() not in own.stdout() + own.stderr()


def test_where_no_secret_can_be_kept_the_workers_share_one_of_this_start(
    idp: FakeIssuer, tmp_path: Path
) -> None:
    """A mounted directory of keys: nothing can be written there, whoever tries."""
    SigningKeyRing.open(tmp_path / "keys", "ES256")
    (tmp_path / "keys/.lock").unlink()
    (tmp_path / "keys/.lock").mkdir()
    env = {"EXCHANGE_KEYS": str(tmp_path / "keys")}
    with RunningService(policies(tmp_path, idp.issuer), env, workers=4) as running:
        assert "good on this machine alone" in running.stderr()
        nonces = [raw(running, "x", ("DPoP", "x")).headers["DPoP-Nonce"] for _ in range(8)]
        for nonce in nonces:
            proof = KEY.proof(f"{running.issuer}/token", nonce=nonce)
            assert raw(running, idp.access_token(), ("DPoP", proof)).json()["token_type"] == "DPoP"
    assert sorted(path.name for path in (tmp_path / "keys").iterdir() if path.suffix == ".secret") == []


# ── bound tokens ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bound_subject_token_is_exchanged_with_its_own_proof_and_stays_bound(
    service: RunningService, idp: FakeIssuer
) -> None:
    token = idp.access_token(cnf={"jkt": KEY.jkt})
    answer = exchange(service, token)
    assert_issued(service, answer)
    assert verified_claims(service, answer.json()["access_token"], AUDIENCE)["cnf"] == {"jkt": KEY.jkt}
    assert_refused(service, exchange(service, token, OTHER), "subject_token_proof_invalid")
    assert_refused(service, send(service, token, None), "subject_token_proof_missing")


@pytest.mark.parametrize("more", [{"x5t#S256": "x"}, {"kid": "k"}, {"jwk": {}}])
def test_what_else_it_is_bound_to_is_not_overlooked(
    service: RunningService, idp: FakeIssuer, more: dict[str, Any]
) -> None:
    answer = exchange(service, idp.access_token(cnf={"jkt": KEY.jkt} | more))
    assert_refused(service, answer, "subject_token_proof_missing")


def test_an_actor_token_is_held_to_its_constraint_too(service: RunningService, idp: FakeIssuer) -> None:
    def ask(key: DpopKey, **claims: Any) -> requests.Response:
        actor = idp.access_token(sub="shop", client_id=SECRET_CLIENT, **claims)
        return exchange(service, idp.access_token(), key, actor_token=actor, actor_token_type=ACCESS_TOKEN)

    assert_issued(service, ask(KEY, cnf={"jkt": KEY.jkt}))
    assert_refused(service, ask(OTHER, cnf={"jkt": KEY.jkt}), "actor_token_proof_invalid")
    assert_refused(service, ask(KEY, cnf={"jwk": KEY.jwk}), "actor_token_proof_missing")


def test_a_token_of_ours_that_is_bound_is_exchanged_further_with_its_proof_alone(
    service: RunningService, idp: FakeIssuer
) -> None:
    first = exchange(service, idp.access_token(), audience=CHAIN).json()["access_token"]

    def further(key: DpopKey | None, audience: str) -> requests.Response:
        if key is None:
            return dpop.send(service, first, basic("chain"), None, audience=audience)
        return dpop.exchange(service, first, basic("chain"), key, audience=audience)

    for audience in (BOUND, EITHER):
        answer = further(KEY, audience)
        assert_issued(service, answer)
        claims = verified_claims(service, answer.json()["access_token"], audience)
        assert claims["cnf"] == {"jkt": KEY.jkt}
        assert_refused(service, further(OTHER, audience), "subject_token_proof_invalid")
        assert_refused(service, further(None, audience), "subject_token_proof_missing")


# ── sender_constraint ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("target", [{"audience": BOUND}, {"audience": None, "resource": f"{BOUND}/api"}])
def test_a_target_that_takes_only_bound_tokens_gets_no_other(
    service: RunningService, idp: FakeIssuer, target: dict[str, Any]
) -> None:
    refused = send(service, idp.access_token(), None, **target)
    assert_refused(service, refused, "sender_constraint_required")
    assert refused.json()["error"] == "invalid_request"
    answer = exchange(service, idp.access_token(), **target)
    assert verified_claims(service, answer.json()["access_token"], BOUND)["cnf"] == {"jkt": KEY.jkt}


def test_beside_a_target_that_takes_any_the_strict_one_is_not_evaded(
    service: RunningService, idp: FakeIssuer
) -> None:
    both = {"audience": [AUDIENCE, BOUND]}
    assert_refused(service, send(service, idp.access_token(), None, **both), "sender_constraint_required")
    answer = exchange(service, idp.access_token(), **both)
    assert verified_claims(service, answer.json()["access_token"], BOUND)["cnf"] == {"jkt": KEY.jkt}
    (record,) = service.audit(request_id=answer.headers["X-Request-ID"])
    (check,) = [one for one in record["trace"]["checks"] if one["name"] == "sender_constraint"]
    assert (check["text"], check["held"]) == ("dpop", True)


# ── beside a certificate (RFC 8705) ─────────────────────────────────────────────────────────────────────────

CERTIFICATE, STRANGER = Certificate.make("CN=shop"), Certificate.make("CN=stranger", label="stranger")


@pytest.fixture(scope="module")
def behind_a_proxy(idp: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    files = policies(tmp_path_factory.mktemp("both"), idp.issuer, **LENIENT)
    mtls = (files / "audiences/bound.yaml").read_text().replace("dpop", "mtls")
    (files / "audiences/bound.yaml").write_text(mtls)
    env = {"EXCHANGE_TRUSTED_PROXIES": "127.0.0.1", "EXCHANGE_TLS_HEADER": "Client-Cert"}
    with RunningService(files, env, workers=1) as running:
        yield running


def over(
    service: RunningService, token: str, certificate: Certificate | None, key: DpopKey | None, audience: str
) -> requests.Response:
    headers = {"Client-Cert": certificate.client_cert} if certificate else {}
    if key is not None:
        headers["DPoP"] = key.proof(f"{service.issuer}/token")
    form = {"grant_type": GRANT_TYPE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    return service.post_token(form | {"audience": audience}, BASIC, headers=headers)


@pytest.mark.parametrize(
    ("key", "audience", "members", "token_type"),
    [
        (None, AUDIENCE, (), "Bearer"),
        (KEY, AUDIENCE, ("jkt",), "DPoP"),
        (None, BOUND, ("x5t#S256",), "Bearer"),
        (KEY, BOUND, ("jkt", "x5t#S256"), "DPoP"),
    ],
)
def test_a_certificate_binds_where_it_is_wanted_and_a_proof_wherever_it_comes(
    behind_a_proxy: RunningService,
    idp: FakeIssuer,
    *,
    key: DpopKey | None,
    audience: str,
    members: tuple[str, ...],
    token_type: str,
) -> None:
    answer = over(behind_a_proxy, idp.access_token(), CERTIFICATE, key, audience)
    assert_issued(behind_a_proxy, answer)
    both = {"jkt": KEY.jkt, "x5t#S256": CERTIFICATE.thumbprint}
    claims = verified_claims(behind_a_proxy, answer.json()["access_token"], audience)
    assert claims.get("cnf", {}) == {name: both[name] for name in members}
    assert answer.json()["token_type"] == token_type


def test_a_token_that_is_bound_to_both_needs_both_and_keeps_both(
    behind_a_proxy: RunningService, idp: FakeIssuer
) -> None:
    cnf = {"jkt": KEY.jkt, "x5t#S256": CERTIFICATE.thumbprint}
    token = idp.access_token(cnf=cnf)

    def ask(certificate: Certificate | None, key: DpopKey | None) -> requests.Response:
        return over(behind_a_proxy, token, certificate, key, AUDIENCE)

    answer = ask(CERTIFICATE, KEY)
    assert_issued(behind_a_proxy, answer)
    assert verified_claims(behind_a_proxy, answer.json()["access_token"], AUDIENCE)["cnf"] == cnf
    for certificate, key in ((None, KEY), (CERTIFICATE, None), (None, None)):
        assert_refused(behind_a_proxy, ask(certificate, key), "subject_token_proof_missing")
    for certificate, key in ((STRANGER, KEY), (CERTIFICATE, OTHER)):
        assert_refused(behind_a_proxy, ask(certificate, key), "subject_token_proof_invalid")


def test_a_proof_does_not_stand_in_for_the_certificate_that_a_target_wants(
    behind_a_proxy: RunningService, idp: FakeIssuer
) -> None:
    answer = over(behind_a_proxy, idp.access_token(), None, KEY, BOUND)
    assert_refused(behind_a_proxy, answer, "sender_constraint_required")


def test_nobody_but_the_proxy_is_believed_about_certificates(
    service: RunningService, idp: FakeIssuer
) -> None:
    token = idp.access_token(cnf={"x5t#S256": CERTIFICATE.thumbprint})
    answer = over(service, token, CERTIFICATE, None, AUDIENCE)
    assert_refused(service, answer, "subject_token_proof_missing")
