"""``mode: audit`` over HTTP: decided in full, recorded as what would have been, and nothing is issued for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.idp import FakeIssuer
from tests.support.policies import BASIC, audience_file, issuer_file, rule, write_policies
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, RunningService

ORDERS, TRIAL, DENIED = "https://orders.example", "https://trial.example", "https://denied.example"
SUBJECT = {"issuer": ["idp", "tried"]}


def api(audience: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return audience_file(*rules, audience=audience, resources=[f"{audience}/api"])


@pytest.fixture(scope="module")
def tried() -> Iterator[FakeIssuer]:
    with FakeIssuer(label="tried") as issuer:
        yield issuer


@pytest.fixture(scope="module")
def service(
    idp: FakeIssuer, tried: FakeIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    on_trial = rule(
        id="on-trial",
        mode="audit",
        subject=SUBJECT,
        scopes={"orders:read": "always", "orders:write": "always"},
    )
    denial = {"id": "no-more", "mode": "audit", "client": "shop", "deny": "Not any more."}
    policies = write_policies(
        tmp_path_factory.mktemp("audit-mode") / "policies",
        issuer=idp.issuer,
        issuers={"tried": issuer_file(tried.issuer, mode="audit")},
        clients={"shop-with-key": None},
        audiences={
            "orders": api(ORDERS, on_trial, rule(subject=SUBJECT)),
            "trial": api(TRIAL, on_trial),
            "denied": api(DENIED, denial, rule(subject=SUBJECT)),
        },
    )
    with RunningService(policies, workers=1) as running:
        yield running


def test_a_rule_on_trial_never_decides(service: RunningService, idp: FakeIssuer) -> None:
    token = idp.access_token(scope="orders.read")
    answer = service.exchange(token, BASIC, audience=ORDERS)
    record = assert_issued(service, answer)
    assert answer.json()["scope"] == "orders:read"
    assert [entry["outcome"] for entry in record["trace"]["rules"]] == ["would_have_been", "decided"]
    assert record["rule"] == "shop-reads-orders"
    assert record["trace"]["would_have_been"] == {
        "on_trial": "rule",
        "outcome": "permitted",
        "rules": ["on-trial"],
        "scopes": ["orders:read", "orders:write"],
    }


def test_a_rule_on_trial_permits_nobody(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.exchange(idp.access_token(), BASIC, audience=TRIAL)
    record = assert_refused(service, answer, "no_rule_permits")
    assert record["trace"]["would_have_been"]["outcome"] == "permitted"
    assert record["trace"]["decided_by"] is None


def test_a_denial_on_trial_denies_nobody(service: RunningService, idp: FakeIssuer) -> None:
    record = assert_issued(service, service.exchange(idp.access_token(), BASIC, audience=DENIED))
    assert record["trace"]["would_have_been"]["reason"] == "denied_by_rule"


def test_nothing_is_issued_for_an_issuer_on_trial(service: RunningService, tried: FakeIssuer) -> None:
    answer = service.exchange(tried.access_token(), BASIC, audience=DENIED)
    record = assert_refused(service, answer, "issuer_in_audit_mode")
    assert record["trace"]["would_have_been"] == {
        "on_trial": "issuer",
        "outcome": "permitted",
        "rules": ["shop-reads-orders"],
        "scopes": ["orders:read", "orders:write"],
    }


def test_what_would_have_been_refused_is_recorded(service: RunningService, tried: FakeIssuer) -> None:
    answer = service.exchange(tried.access_token(), BASIC, audience=ORDERS, scope="made:up")
    record = assert_refused(service, answer, "issuer_in_audit_mode")
    assert record["trace"]["would_have_been"]["reason"] == "scope_not_permitted"
    assert "would" not in answer.text


def test_everything_about_a_token_of_an_issuer_on_trial_is_checked(
    service: RunningService, tried: FakeIssuer
) -> None:
    expired = tried.access_token(exp=1_000_000_000, iat=999_999_000)
    assert_refused(service, service.exchange(expired, BASIC, audience=ORDERS), "subject_token_expired")
    id_token = tried.id_token(at_hash="x")
    assert_refused(service, service.exchange(id_token, BASIC, audience=ORDERS), "subject_token_is_id_token")


def test_an_actor_of_an_issuer_on_trial_is_refused(
    service: RunningService, idp: FakeIssuer, tried: FakeIssuer
) -> None:
    def acting(issuer: FakeIssuer) -> dict[str, str]:
        actor = issuer.access_token(sub="svc-shop", client_id="shop")
        return {"actor_token": actor, "actor_token_type": ACCESS_TOKEN}

    answer = service.exchange(idp.access_token(), BASIC, audience=DENIED, **acting(tried))
    assert_refused(service, answer, "issuer_in_audit_mode")
    assert_issued(service, service.exchange(idp.access_token(), BASIC, audience=DENIED, **acting(idp)))
