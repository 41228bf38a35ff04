"""The endpoints beside ``/token``, and what every answer has in common."""

from __future__ import annotations

import re

import pytest

from exchange.errors import REASONS
from tests.support.idp import FakeIssuer
from tests.support.policies import AUDIENCE, BASIC, write_policies
from tests.support.refused import assert_issued
from tests.support.service import GRANT_TYPE, RunningService


def test_metadata_says_what_is_switched_on(service: RunningService) -> None:
    answer = service.get("/.well-known/oauth-authorization-server")
    document = answer.json()
    assert answer.status_code == 200
    assert document["issuer"] == service.issuer
    assert document["token_endpoint"] == f"{service.issuer}/token"
    assert document["jwks_uri"] == f"{service.issuer}/jwks.json"
    assert document["grant_types_supported"] == [GRANT_TYPE]
    assert document["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ]
    assert "ES256" in document["token_endpoint_auth_signing_alg_values_supported"]
    assert not {"none", "HS256"} & set(document["token_endpoint_auth_signing_alg_values_supported"])
    assert "introspection_endpoint" not in document
    assert "revocation_endpoint" not in document


def test_an_issuer_with_a_path_is_served_under_it(tmp_path, idp: FakeIssuer) -> None:
    policies = write_policies(tmp_path / "policies", issuer=idp.issuer)
    issuer = "http://127.0.0.1:8080/exchange"
    with RunningService(policies, env={"EXCHANGE_ISSUER": issuer}, workers=1) as service:
        location = "/.well-known/oauth-authorization-server/exchange"  # RFC 8414 §3.1
        assert service.get(location).json()["token_endpoint"] == f"{issuer}/token"
        assert service.get("/.well-known/oauth-authorization-server").json()["issuer"] == issuer
        assert service.get(f"{location}/more").status_code == 404
        answer = service.post(
            "/exchange/token",
            data={
                "grant_type": GRANT_TYPE,
                "subject_token": idp.access_token(),
                "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "audience": AUDIENCE,
            },
            auth=BASIC,
        )
        assert_issued(service, answer)


def test_jwks_has_public_members_only_and_may_be_cached(service: RunningService) -> None:
    answer = service.get("/jwks.json")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


def test_healthz_and_readyz_answer(service: RunningService) -> None:
    assert service.get("/healthz").json() == {"status": "ok"}
    ready = service.get("/readyz")
    assert ready.status_code == 200
    assert {name: check["ok"] for name, check in ready.json()["checks"].items()} == {
        "policies": True,
        "keys": True,
        "store": True,
    }


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/token/", "/introspect", "/revoke", "/static/x", "/../etc/passwd"]
)
def test_an_unknown_path_is_404_in_json(service: RunningService, path: str) -> None:
    answer = service.post(path, data={})
    assert answer.status_code == 404
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert path.strip("/") == "" or path not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/token"),
        ("PUT", "/token"),
        ("DELETE", "/token"),
        ("OPTIONS", "/token"),
        ("HEAD", "/token"),
        ("TRACE", "/token"),
        ("POST", "/jwks.json"),
        ("POST", "/.well-known/oauth-authorization-server"),
        ("POST", "/healthz"),
        ("POST", "/readyz"),
        ("POST", "/metrics"),
        ("OPTIONS", "/jwks.json"),
    ],
)
def test_another_method_is_405_in_json(service: RunningService, method: str, path: str) -> None:
    answer = service._request(method, path)
    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Allow"]
    if method != "HEAD":
        assert answer.json()["error"] == "invalid_request"


def test_every_answer_has_a_request_id_of_its_own(service: RunningService) -> None:
    ids = {
        service.get(path).headers["X-Request-ID"]
        for path in ("/healthz", "/readyz", "/jwks.json", "/nothing")
    }
    assert len(ids) == 4
    assert all(re.fullmatch(r"[0-9a-f]{32}", found) for found in ids)


def test_a_request_id_from_outside_is_not_believed(service: RunningService) -> None:
    answer = service.get("/healthz", headers={"X-Request-ID": "forged"})
    assert answer.headers["X-Request-ID"] != "forged"


@pytest.mark.parametrize(
    "header", ["SCRIPT_NAME", "Script-Name", "X-Forwarded-Prefix", "PATH_INFO", "X-Forwarded-Host"]
)
def test_no_header_moves_a_request(service: RunningService, header: str) -> None:
    for value in ("/healthz", "/token", "/elsewhere"):
        answer = service.get("/healthz", headers={header: value})
        assert answer.status_code in {200, 400}, answer.text
        assert "Traceback" not in service.stderr()
    assert service.get("/healthz").status_code == 200


def test_the_error_page_has_an_entry_for_every_reason(service: RunningService) -> None:
    page = service.get("/errors").text
    assert all(f'id="{slug}"' in page for slug in REASONS)


def counted(service: RunningService, outcome: str, reason: str) -> float:
    pattern = rf'^exchange_attempts_total{{outcome="{outcome}",reason="{reason}"}} ([0-9.e+]+)$'
    found = re.search(pattern, service.get("/metrics").text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_metrics_count_attempts_across_workers(tmp_path, idp: FakeIssuer) -> None:
    policies = write_policies(tmp_path / "policies", issuer=idp.issuer)
    with RunningService(policies, workers=3) as service:
        token = idp.access_token()
        for _ in range(12):  # a new connection each, so that several workers take part
            assert_issued(service, service.exchange(token, BASIC, audience=AUDIENCE))
            service._session.close()
        for _ in range(6):
            service.exchange(idp.id_token(), BASIC, audience=AUDIENCE)
            service._session.close()
        assert {counted(service, "issued", "") for _ in range(6)} == {12.0}
        assert counted(service, "refused", "subject_token_is_id_token") == 6.0
        assert "exchange_attempt_duration_seconds_bucket" in service.get("/metrics").text
        assert len(service.audit()) == 18
