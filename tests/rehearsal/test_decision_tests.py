"""``exchange test``: a decision that comes out otherwise is found, shown and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import Result

from tests.rehearsal import shop
from tests.rehearsal.shop import AT_JWT, OPENED_BY_ALL, PLAIN, claims, run, write_tests
from tests.support.policies import AUDIENCE, RESOURCE, SECRET_CLIENT
from tests.support.service import REPOSITORY

CLERK = claims(iss=..., iat=..., exp=...)
ISSUED = {
    "rule": "clerks",
    "scope": ["orders:read", "orders:write"],
    "claims": {"sub": "idp|ada", "tenant": "acme", "tier": "basic", "guest": None},
    "lifetime": "60s",
}


def decision(expect: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """One test: a clerk asks for orders; ``subject`` and ``request`` are replaced in part."""
    subject = {"issuer": "idp", "header": AT_JWT, "claims": CLERK} | changes.pop("subject", {})
    request = {"audience": AUDIENCE} | changes.pop("request", {})
    one = {"name": "one", "client": SECRET_CLIENT, "subject": subject, "request": request, "expect": expect}
    return one | changes


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return shop.shop(tmp_path)


def result_of(policies: Path, *tests: dict[str, Any], options: tuple[object, ...] = ()) -> Result:
    write_tests(policies, *tests)
    return run("test", policies, *options)


@pytest.mark.parametrize(
    "test",
    [
        decision(ISSUED),
        decision({"rule": "clerks"}, request={"resource": RESOURCE}),
        decision({"scope": ["orders:write"]}, request={"scope": "orders:write"}),
        decision({"refuse": "denied_by_rule"}, subject={"claims": CLERK | {"guest": True}}),
        decision({"refuse": "scope_not_permitted"}, request={"scope": "orders:admin"}),
        decision({"refuse": "subject_token_kind_unproven"}, subject={"header": {}}),
        decision(
            {"refuse": "subject_token_is_id_token"},
            subject={"header": {}, "claims": {"sub": "ada", "aud": "web", "nonce": "n1"}},
        ),
        decision({"refuse": "subject_token_expired"}, subject={"claims": CLERK | {"exp": 5}}),
        decision(
            {"refuse": "actor_not_client"},
            actor={"issuer": "idp", "header": AT_JWT, "claims": CLERK | {"sub": "eve"}},
        ),
        decision(
            {"claims": {"act": {"sub": SECRET_CLIENT, "iss": shop.ISSUER, "client_id": "web"}}},
            actor={
                "issuer": "idp",
                "header": AT_JWT,
                "claims": CLERK | {"sub": SECRET_CLIENT, "client_id": "web"},
            },
        ),
    ],
)
def test_what_comes_out_as_expected_is_ok(policies: Path, test: dict[str, Any]) -> None:
    result = result_of(policies, test)

    assert result.output.startswith(f"ok    {policies}/tests/shop.yaml:1:2: one\n"), result.output
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("expect", "what", "expected", "got"),
    [
        ({"rule": "no-guests"}, "rule", "no-guests", "clerks"),
        ({"scope": ["orders:read"]}, "scope", "[orders:read]", "[orders:read, orders:write]"),
        ({"scope": []}, "scope", "[]", "[orders:read, orders:write]"),
        ({"claims": {"tenant": "acme-eu"}}, "claim tenant", '"acme-eu"', '"acme"'),
        ({"claims": {"tenant": None}}, "claim tenant", "absent", '"acme"'),
        ({"claims": {"region": "eu"}}, "claim region", '"eu"', "absent"),
        ({"lifetime": 61}, "lifetime", "61 s", "60 s"),
        ({"refuse": "no_rule_permits"}, "outcome", "refused, no_rule_permits", "issued"),
    ],
)
def test_what_comes_out_otherwise_fails(
    policies: Path, expect: dict[str, Any], what: str, expected: str, got: str
) -> None:
    result = result_of(policies, decision(ISSUED | expect if "refuse" not in expect else expect))
    lines = result.output.splitlines()

    assert result.exit_code == 1
    assert lines[0] == f"FAIL  {policies}/tests/shop.yaml:1:2: one"
    assert lines[1].split() == [*what.split(), "expected", *expected.split()]
    assert lines[2].split() == ["got", *got.split()]
    assert any(line.strip().startswith("decided by clerks") for line in lines)


@pytest.mark.parametrize("expect", [{"rule": "clerks"}, {"refuse": "no_rule_permits"}])
def test_another_refusal_than_expected_fails(policies: Path, expect: dict[str, Any]) -> None:
    result = result_of(policies, decision(expect, subject={"claims": CLERK | {"guest": True}}))

    assert result.exit_code == 1
    assert "got       refused, denied_by_rule" in result.output


@pytest.mark.parametrize(("issued", "expected"), [(1, True), (True, 1), (1, "1"), ("1", 1), ([1], 1)])
def test_a_claim_of_another_type_is_another_claim(tmp_path: Path, issued: Any, expected: Any) -> None:
    policies = shop.shop(tmp_path, PLAIN | {"claims": {"level": {"value": issued}}})

    assert result_of(policies, decision({"claims": {"level": issued}})).exit_code == 0
    assert result_of(policies, decision({"claims": {"level": expected}})).exit_code == 1


def test_a_rule_that_no_test_decides_by_is_named(policies: Path) -> None:
    guest = decision({"refuse": "denied_by_rule"}, name="two", subject={"claims": CLERK | {"guest": True}})
    both = (decision(ISSUED), guest)
    one = result_of(policies, both[0], options=("--coverage-min", 34))
    two = result_of(policies, *both, options=("--coverage-min", 66))

    assert one.output.count("no test decides by") == 2
    assert "no test decides by shop-reads-orders" in one.output
    assert one.output.endswith(f"{policies}: 1 tests, 0 failed; they decide by 1 of 3 rules\n")
    assert one.exit_code == 1
    assert two.exit_code == 0


def test_rules_on_trial_are_not_counted(tmp_path: Path) -> None:
    trial = PLAIN | {"id": "trial", "mode": "audit"}
    result = result_of(
        shop.shop(tmp_path, trial, OPENED_BY_ALL), decision(ISSUED), options=("--coverage-min", 100)
    )

    assert result.exit_code == 0
    assert "they decide by 1 of 1 rules" in result.output


def test_policies_without_tests_pass_and_cover_nothing(policies: Path) -> None:
    result = run("test", policies)

    assert result.exit_code == 0
    assert "0 tests, 0 failed; they decide by 0 of 3 rules" in result.output
    assert run("test", policies, "--coverage-min", 1).exit_code == 1


def test_junit_says_the_same(policies: Path, tmp_path: Path) -> None:
    failing = decision({"refuse": "no_rule_permits"}, name="a ]]> & <name>")
    result_of(policies, decision(ISSUED), failing, options=("--junit", tmp_path / "report.xml"))
    (suite,) = ET.parse(tmp_path / "report.xml").getroot()
    ok, failed = suite

    assert suite.attrib == {"name": f"{policies}/tests/shop.yaml", "tests": "2", "failures": "1"}
    assert (ok.get("name"), list(ok)) == ("one", [])
    (failure,) = failed
    assert failure.get("message") == "outcome: expected refused, no_rule_permits, got issued"
    assert "decided by clerks" in (failure.text or "")


def test_faults_exit_with_two(policies: Path, tmp_path: Path) -> None:
    nowhere = run("test", tmp_path / "nowhere")
    faulty = result_of(policies, decision({"refuse": "no_such_reason"}))
    unwritable = result_of(policies, decision(ISSUED), options=("--junit", tmp_path / "no" / "such.xml"))

    assert (nowhere.exit_code, faulty.exit_code, unwritable.exit_code) == (2, 2, 2)
    assert "unknown reason" in faulty.stderr


def test_the_shipped_tests_hold_and_reach_every_rule() -> None:
    result = run("test", REPOSITORY / "policies", "--coverage-min", 100)

    assert result.exit_code == 0, result.output


def test_a_test_needs_no_network_and_leaves_nothing(policies: Path, tmp_path: Path, monkeypatch: Any) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (policies / "issuers" / "idp.yaml").write_text(
        json.dumps({"issuer": shop.ISSUER, "profile": "rfc9068", "audience": CLERK["aud"]})
    )

    assert result_of(policies, decision(ISSUED)).exit_code == 0
    assert list(elsewhere.iterdir()) == []
