"""Rehearsals of workload tokens and of tenants: what nobody says suits the issuer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from exchange.cli import main
from tests.support import keys
from tests.support.policies import SECRET_CLIENT, audience_file, rule, secret_client_file, write_policies

OURS, STRANGER = "72f988bf-86f1-41af-91ab-2d7cd011db47", "99999999-9999-4999-8999-999999999999"
POD = "system:serviceaccount:shop:bff"
KEYS = {"jwks": {"keys": [keys.public_jwk("RS256")]}}
POD_CLAIMS = {
    "sub": POD,
    "aud": "https://exchange.example",
    "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "bff", "uid": "u3"}},
}
PERSON = {
    "oid": "o1",
    "sub": "p",
    "aud": "https://shop.example",
    "ver": "2.0",
    "azp": "c",
    "azpacr": "1",
    "scp": "orders.read",
}


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    audiences = {
        "orders": audience_file(
            rule(id="pods", subject={"issuer": "cluster"}, scopes={"orders:read": "always"}, presenter="any"),
            rule(id="people", subject={"issuer": "entra"}),
        )
    }
    issuers: dict[str, Any] = {
        "idp": None,
        "cluster": {
            "issuer": "https://kubernetes.default.svc",
            "kind": "workload",
            "profile": "kubernetes",
            "audience": ["https://exchange.example"],
            "keys": KEYS,
        },
        "entra": {
            "issuer": "https://login.microsoftonline.com/{tenant}/v2.0",
            "profile": "entra-v2",
            "audience": ["https://shop.example"],
            "tenant": {"claim": "tid", "allow": [OURS, "also-ours"]},
            "keys": KEYS,
        },
    }
    clients = {SECRET_CLIENT: secret_client_file(authorized_party=[POD]), "shop-with-key": None}
    return write_policies(
        tmp_path / "policies",
        issuer="https://idp.example",
        issuers=issuers,
        clients=clients,
        audiences=audiences,
    )


def explain(policies: Path, issuer: str, claims: dict[str, Any], *more: str) -> dict[str, Any]:
    given = [
        "--client",
        SECRET_CLIENT,
        "--issuer",
        issuer,
        "--claims",
        json.dumps(claims),
        "--audience",
        "https://orders.example",
    ]
    answer = CliRunner().invoke(main, ["explain", "--json", "--policies", str(policies), *given, *more])
    assert answer.exit_code in {0, 1}, answer.output
    found: dict[str, Any] = json.loads(answer.output)
    return found


def test_a_workload_s_claims_are_explained_as_a_jwt_s(policies: Path) -> None:
    assert explain(policies, "cluster", POD_CLAIMS)["outcome"] == "issued"


def test_what_the_request_says_is_what_counts(policies: Path) -> None:
    found = explain(policies, "cluster", POD_CLAIMS, "--subject-token-type", "access_token")
    assert found["refusal"]["reason"] == "subject_token_is_other_kind"
    assert found["refusal"]["failed"] == "subject_token kind"


def test_a_workload_acts_as_a_jwt(policies: Path) -> None:
    found = explain(
        policies,
        "entra",
        {"tid": OURS, **PERSON},
        "--actor-issuer",
        "cluster",
        "--actor-claims",
        json.dumps(POD_CLAIMS),
    )
    assert found["issued"]["claims"]["act"] == {"sub": POD, "iss": "https://kubernetes.default.svc"}


@pytest.mark.parametrize(
    ("tenant", "outcome"),
    [
        ({"tid": OURS}, f"entra|{OURS}|o1"),
        ({"tid": "also-ours"}, "entra|also-ours|o1"),
        ({"tid": STRANGER}, "subject_token_tenant_not_allowed"),
        ({}, "subject_token_claim_missing"),
        ({"tid": 7}, "subject_token_tenant_not_allowed"),
        (
            {"tid": "also-ours", "iss": f"https://login.microsoftonline.com/{OURS}/v2.0"},
            "subject_token_tenant_not_allowed",
        ),
    ],
)
def test_the_issuer_of_many_tenants_is_that_of_the_tenant_in_the_claims(
    policies: Path, tenant: dict[str, Any], outcome: str
) -> None:
    found = explain(policies, "entra", {**tenant, **PERSON})
    assert outcome in {
        found.get("refusal", {}).get("reason"),
        found.get("issued", {}).get("claims", {}).get("sub"),
    }


def test_decisions_about_both_hold(policies: Path) -> None:
    about_pod = {
        "client": SECRET_CLIENT,
        "subject": {"issuer": "cluster", "claims": POD_CLAIMS},
        "request": {"audience": "https://orders.example"},
    }
    tests = [
        {"name": "a pod reads", **about_pod, "expect": {"rule": "pods", "scope": ["orders:read"]}},
        {
            "name": "and not with an access token, which it has not",
            **about_pod,
            "request": {"audience": "https://orders.example", "subject_token_type": "access_token"},
            "expect": {"refuse": "subject_token_is_other_kind"},
        },
        {
            "name": "a stranger's tenant",
            **about_pod,
            "subject": {"issuer": "entra", "claims": {"tid": STRANGER, **PERSON}},
            "expect": {"refuse": "subject_token_tenant_not_allowed"},
        },
    ]
    (policies / "tests").mkdir()
    (policies / "tests" / "all.yaml").write_text(json.dumps(tests))
    answer = CliRunner().invoke(main, ["test", str(policies)])
    assert answer.exit_code == 0, answer.output
