"""Rehearsals of tokens of which the issuer is asked: ``explain`` asks, ``test`` takes claims for the answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.shop import explain, run
from tests.support import keys
from tests.support.idp import BACKEND
from tests.support.introspection import CREDENTIALS, SECRET, VARIABLE, PartnerServer
from tests.support.policies import AUDIENCE, audience_file, rule, secret_client_file, write_policies

TESTS = f"""\
- name: a customer reads orders
  client: shop
  subject:
    issuer: idp
    claims: {{sub: u1, aud: {BACKEND}, token_type: Bearer, client_id: shop-web, scope: orders.read}}
  request: {{audience: {AUDIENCE}}}
  expect: {{rule: shop-reads-orders, scope: [orders:read], claims: {{sub: idp|u1}}}}
- name: the same person's ID token is refused
  client: shop
  subject:
    issuer: idp
    claims: {{sub: u1, aud: shop-web, typ: ID, nonce: n1}}
  request: {{audience: {AUDIENCE}}}
  expect: {{refuse: subject_token_is_id_token}}
- name: what says nothing of its kind is refused
  client: shop
  subject:
    issuer: idp
    claims: {{sub: u1, aud: {BACKEND}}}
  request: {{audience: {AUDIENCE}}}
  expect: {{refuse: subject_token_kind_unproven}}
"""


@pytest.fixture
def partner() -> Iterator[PartnerServer]:
    with PartnerServer() as serving:
        yield serving


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)


@pytest.fixture
def policies(tmp_path: Path, partner: PartnerServer) -> Path:
    asked: dict[str, Any] = {
        "issuer": partner.issuer,
        "profile": "opaque",
        "audience": [BACKEND],
        "allow_insecure_http": True,
        "introspection": {"endpoint": f"{partner.url}/introspect", **CREDENTIALS},
    }
    return write_policies(
        tmp_path / "policies",
        issuer=partner.issuer,
        issuers={"idp": asked},
        clients={"shop": secret_client_file(opaque_tokens_from="idp"), "shop-with-key": None},
        audiences={"orders": audience_file(rule())},
        files={"tests/orders.yaml": TESTS},
    )


def checks(explanation: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["check"]: (one["outcome"], one["seen"]) for one in explanation["subject_token"]}


def test_explain_asks_the_issuer_and_shows_what_it_answers(policies: Path, partner: PartnerServer) -> None:
    token = partner.issue(sub="grace")
    explanation = explain(policies, "--subject-token", token)
    seen = checks(explanation)
    assert explanation["exit"] == 0
    assert explanation["introspections"] == [{"issuer": "idp", "outcome": "active"}]
    assert seen["issuer"][1].startswith("idp, ")
    assert seen["introspection"] == ("ok", "active, and what follows is the answer")
    assert "marker opaque.introspection[0]" in seen["kind"][1]
    assert '"grace"' in seen["claims"][1]
    assert "key" not in seen
    assert token not in str(explanation)


def test_explain_says_what_became_of_the_question(policies: Path, partner: PartnerServer) -> None:
    dead = explain(policies, "--subject-token", "dead")
    assert dead["refusal"]["reason"] == "subject_token_inactive"
    assert dead["refusal"]["failed"] == "subject_token introspection"
    text = run(
        "explain",
        "--policies",
        policies,
        "--client",
        "shop",
        "--audience",
        AUDIENCE,
        "--subject-token",
        "dead",
    ).output
    assert "idp was asked: inactive" in text


def test_explain_shows_the_check_of_the_answer_that_failed(policies: Path, partner: PartnerServer) -> None:
    explanation = explain(policies, "--subject-token", partner.issue(token_type=None))
    assert explanation["refusal"]["failed"] == "subject_token kind"
    assert checks(explanation)["kind"] == ("failed", "unproven, evidence: unproven")
    id_token = keys.sign({"iss": partner.issuer, "sub": "ada", "nonce": "n"}, header={"typ": "JWT"})
    explanation = explain(policies, "--subject-token", id_token)
    assert checks(explanation)["kind"] == ("failed", "id_token, evidence: nonce")
    assert "introspections" not in explanation


def test_the_decisions_that_must_hold_take_claims_for_the_answer(
    policies: Path, partner: PartnerServer
) -> None:
    result = run("test", policies)
    assert result.exit_code == 0, result.output
    assert "3 tests, 0 failed" in result.output
    assert partner.asked == []


def test_claims_that_prove_nothing_are_told_what_an_answer_says(policies: Path) -> None:
    explanation = explain(policies, "--issuer", "idp", "--claims", '{"sub": "u1"}')
    assert "token_type: Bearer" in explanation["refusal"]["hint"]
    assert checks(explanation)["introspection"] == ("not checked", "there are claims alone")
