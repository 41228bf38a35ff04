"""``exchange diff``: recorded decisions, made again by candidate policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal import shop
from tests.rehearsal.shop import DENIAL, OPENED_BY_ALL, PLAIN, claims, loaded, record, run
from tests.support.policies import AUDIENCE, RESOURCE, issuer_file, secret_client_file


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop.shop(tmp_path_factory.mktemp("current"))


@pytest.fixture(scope="module")
def log(current: Path) -> str:
    """A clerk, two customers, a guest, somebody of another tenant, and what policy never decided."""
    policies = loaded(current)
    customer = claims(realm={"roles": ["customer"]})
    return "".join(
        (
            record(policies, claims(), scope="orders:write"),
            record(policies, customer),
            record(policies, customer | {"sub": "ben", "tenant": "acme-eu"}),
            record(policies, claims(guest=True)),
            record(policies, claims(tenant="umbrella")),
            record(policies, claims(exp=5)),
        )
    )


def changed(rule: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (rule | changes).items() if value is not None}


def diff(tmp_path: Path, log: str, candidate: Path, *arguments: object) -> dict[str, Any]:
    (tmp_path / "audit.log").write_text(log)
    result = run("diff", candidate, "--audit", tmp_path / "audit.log", "--json", *arguments)
    assert result.exit_code in {0, 1}, result.output
    report: dict[str, Any] = json.loads(result.output)
    assert result.exit_code == (1 if report["changes"] else 0)
    return report


def changes(report: dict[str, Any]) -> list[tuple[int, str, str, list[str]]]:
    return [(one["count"], one["before"], one["after"], one["what"]) for one in report["changes"]]


def test_the_same_policies_change_nothing(tmp_path: Path, log: str, current: Path) -> None:
    report = diff(tmp_path, log, current)

    assert (report["replayed"], report["changes"]) == (5, [])
    assert report["not_replayed"] == {"refused before policy decided": 1}


def test_a_rule_that_is_taken_away_refuses_those_it_let_in(tmp_path: Path, log: str) -> None:
    report = diff(tmp_path, log, shop.shop(tmp_path, DENIAL, OPENED_BY_ALL))

    assert changes(report) == [
        (2, "issued by shop-reads-orders", "refused: no_rule_permits", ["issued -> refused"])
    ]
    assert len(report["changes"][0]["request_ids"]) == 2


def test_a_wider_rule_lets_others_in(tmp_path: Path, log: str) -> None:
    wider = changed(PLAIN, subject={"issuer": "idp"})
    report = diff(tmp_path, log, shop.shop(tmp_path, DENIAL, OPENED_BY_ALL, wider))

    assert changes(report) == [
        (1, "refused: no_rule_permits", "issued by shop-reads-orders", ["refused -> issued"])
    ]


def test_another_reason_is_a_change(tmp_path: Path, log: str) -> None:
    denied = changed(DENIAL, id="no-umbrella", subject={"claims": {"tenant": "umbrella"}})
    report = diff(tmp_path, log, shop.shop(tmp_path, DENIAL, denied, OPENED_BY_ALL, PLAIN))

    assert changes(report) == [
        (
            1,
            "refused: no_rule_permits",
            "refused by no-umbrella: denied_by_rule",
            ["refused -> refused otherwise"],
        )
    ]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"scopes": {"orders:write": "always"}}, []),
        ({"scopes": {"orders:read": "always", "orders:write": ["x"]}}, ["issued -> refused"]),
        ({"token_lifetime": 30}, ["lifetime: shorter"]),
        ({"token_lifetime": 90}, ["lifetime: longer"]),
        ({"claims": {"tenant": {"copy": "tenant"}}}, ["claim tier: no longer"]),
        (
            {"claims": OPENED_BY_ALL["claims"] | {"region": {"value": "eu"}}},
            ["claim region: new"],
        ),
        (
            {"claims": {"tenant": {"value": "x"}, "tier": {"value": "basic"}}},
            ["claim tenant: another value"],
        ),
    ],
)
def test_what_is_issued_otherwise_is_named(
    tmp_path: Path, current: Path, change: dict[str, Any], what: list[str]
) -> None:
    log = record(loaded(current), claims(), scope="orders:write")
    report = diff(tmp_path, log, shop.shop(tmp_path, DENIAL, changed(OPENED_BY_ALL, **change), PLAIN))

    assert [one["what"] for one in report["changes"]] == ([what] if what else [])


def test_scopes_that_come_and_go_are_named(tmp_path: Path, current: Path) -> None:
    log = record(loaded(current), claims())
    fewer = changed(OPENED_BY_ALL, scopes={"orders:write": ["orders.write"]})
    report = diff(tmp_path, log, shop.shop(tmp_path, DENIAL, fewer, PLAIN))

    assert [one["what"] for one in report["changes"]] == [["scope orders:read: no longer"]]


@pytest.mark.parametrize(
    ("changes_of_policies", "reason"),
    [
        ({"issuer": {"enabled": False}}, "subject_token_issuer_disabled"),
        ({"issuer": {"audience": ["https://else.example"]}}, "subject_token_audience_mismatch"),
        ({"issuer": {"mode": "audit"}}, "issuer_in_audit_mode"),
        ({"clients": {"shop": secret_client_file(audience=["https://else.example"])}}, "presenter_mismatch"),
    ],
)
def test_what_issuers_and_clients_say_counts(
    tmp_path: Path, current: Path, changes_of_policies: dict[str, Any], reason: str
) -> None:
    log = record(loaded(current), claims())
    report = diff(tmp_path, log, shop.shop(tmp_path, **changes_of_policies))

    (change,) = report["changes"]
    assert change["after"].endswith(f": {reason}")


def test_an_issuer_that_is_gone_is_not_trusted(tmp_path: Path, current: Path) -> None:
    log = record(loaded(current), claims())
    candidate = shop.shop(tmp_path)
    (candidate / "issuers" / "idp.yaml").unlink()
    (candidate / "issuers" / "other.yaml").write_text(json.dumps(issuer_file("https://other.example")))
    audience = candidate / "audiences" / "orders.yaml"
    audience.write_text(audience.read_text().replace("issuer: idp", "issuer: other"))

    report = diff(tmp_path, log, candidate)

    assert [one["after"] for one in report["changes"]] == ["refused: subject_token_issuer_not_trusted"]


def test_each_tenant_is_asked_for_itself(tmp_path: Path) -> None:
    def tenants(name: str, *allowed: str) -> Path:
        template = {"issuer": "https://{tenant}.example", "tenant": {"claim": "tenant", "allow": [*allowed]}}
        return shop.shop(tmp_path / name, PLAIN, issuer=template)

    both = tenants("both", "acme", "acme-eu")
    issued = [
        record(loaded(both), claims(iss=f"https://{one}.example", tenant=one)) for one in ("acme", "acme-eu")
    ]

    assert changes(diff(tmp_path, "".join(issued), both)) == []
    assert changes(diff(tmp_path, "".join(issued), tenants("one", "acme-eu"))) == [
        (
            1,
            "issued by shop-reads-orders",
            "refused: subject_token_tenant_not_allowed",
            ["issued -> refused"],
        )
    ]


def test_a_claim_that_is_not_recorded_is_not_guessed(tmp_path: Path, log: str) -> None:
    staff = changed(PLAIN, subject={"issuer": "idp", "claims": {"staff": {"present": False}}})
    report = diff(tmp_path, log, shop.shop(tmp_path, DENIAL, OPENED_BY_ALL, staff))

    assert report["not_replayed"]["the claim staff of the subject token is not recorded"] == 3
    assert report["replayed"] == 2


def test_a_rule_that_is_not_reached_may_look_at_anything(tmp_path: Path, current: Path) -> None:
    log = record(loaded(current), claims())
    staff = changed(PLAIN, subject={"issuer": "idp", "claims": {"staff": True}})

    assert diff(tmp_path, log, shop.shop(tmp_path, DENIAL, OPENED_BY_ALL, staff))["replayed"] == 1


def test_an_expression_that_may_read_any_claim_is_not_guessed(tmp_path: Path, current: Path) -> None:
    log = record(loaded(current), claims())
    any_claim = changed(OPENED_BY_ALL, when='subject.claims.exists(name, name == "tenant")')
    report = diff(tmp_path, log, shop.shop(tmp_path, DENIAL, any_claim))

    assert report["not_replayed"] == {"an expression looks at claims that its text does not name": 1}


def test_the_baseline_can_be_other_policies(tmp_path: Path, log: str, current: Path) -> None:
    (tmp_path / "without").mkdir()
    without = shop.shop(tmp_path / "without", DENIAL, OPENED_BY_ALL)

    assert changes(diff(tmp_path, log, current, "--policies", without)) == [
        (2, "refused: no_rule_permits", "issued by shop-reads-orders", ["refused -> issued"])
    ]


@pytest.mark.parametrize("target", [{"audience": AUDIENCE}, {"audience": "", "resource": RESOURCE}])
def test_either_name_of_a_target_is_decided_again(
    tmp_path: Path, current: Path, target: dict[str, str]
) -> None:
    asked = {name: value for name, value in target.items() if value}
    line = record(loaded(current), claims(), **asked)

    assert diff(tmp_path, line, current)["replayed"] == 1


def test_what_callers_made_up_is_not_recorded_and_not_guessed(tmp_path: Path, current: Path) -> None:
    policies = loaded(current)
    log = record(policies, claims(), audience="https://made.up.example") + record(
        policies, claims(), scope="orders:read made:up"
    )
    report = diff(tmp_path, log, current)

    assert "made:up" not in log
    assert (report["replayed"], report["changes"]) == (1, [])
    assert report["not_replayed"] == {"asked for a target that was not known": 1}


def test_delegation_is_decided_again(tmp_path: Path, current: Path) -> None:
    policies = loaded(current)
    actor = claims(sub="shop", realm=...)
    log = record(policies, claims(may_act={"sub": "shop"}), actor) + record(
        policies, claims(), claims(sub="eve")
    )
    none = [changed(rule, delegation="none") for rule in (OPENED_BY_ALL, PLAIN)]

    assert diff(tmp_path, log, current)["changes"] == []
    assert changes(diff(tmp_path, log, shop.shop(tmp_path, DENIAL, *none))) == [
        (1, "issued by clerks", "refused by clerks: delegation_not_allowed", ["issued -> refused"]),
        (
            1,
            "refused by clerks: actor_not_client",
            "refused by clerks: delegation_not_allowed",
            ["refused -> refused otherwise"],
        ),
    ]


def test_lines_that_are_no_records_are_counted(tmp_path: Path, log: str, current: Path) -> None:
    odd = 'no json\n{"event": "other"}\n{"event": "token_exchange", "decided_on": {}}\n\n'
    report = diff(tmp_path, log + odd, current)

    assert report["replayed"] == 5
    assert report["not_replayed"] == {
        "refused before policy decided": 1,
        "not a JSON object": 1,
        "not a record of a token exchange": 1,
        "a record of another form": 1,
    }


def test_people_get_the_same_in_words(tmp_path: Path, log: str) -> None:
    (tmp_path / "audit.log").write_text(log)
    result = run("diff", shop.shop(tmp_path, DENIAL, OPENED_BY_ALL), "--audit", tmp_path / "audit.log")
    lines = result.output.splitlines()

    assert result.exit_code == 1
    assert lines[0] == "2 of client shop"
    assert [line for line in lines if not line.startswith("  such as")][1:] == [
        "  issued -> refused",
        "  before  issued by shop-reads-orders",
        "  after   refused: no_rule_permits",
        "5 decisions made again, 2 come out otherwise",
        "1 not made again: refused before policy decided",
    ]


def test_faults_and_a_missing_log_exit_with_two(tmp_path: Path, current: Path) -> None:
    assert run("diff", tmp_path / "nowhere", "--audit", current / "server.yaml").exit_code == 2
    assert run("diff", current, "--audit", tmp_path / "nowhere").exit_code == 2
    assert run("diff", current).exit_code == 2


def test_a_recorded_request_is_explained_and_decided_again(tmp_path: Path, current: Path) -> None:
    line = record(loaded(current), claims(realm=...))
    (tmp_path / "audit.log").write_text(line)
    request_id = json.loads(line)["request_id"]
    ask = ("explain", "--audit", tmp_path / "audit.log", "--request-id", request_id, "--policies")

    same = run(*ask, current)
    other = run(*ask, shop.shop(tmp_path, DENIAL), "--json")

    assert same.exit_code == 0
    assert f"request {request_id}, as recorded at" in same.output
    assert "decided again, by these policies" in same.output
    explanation = json.loads(other.output)
    assert other.exit_code == 1
    assert explanation["recorded"]["issued"]["claims"]["sub"] == "idp|ada"
    assert explanation["refusal"]["reason"] == "no_rule_permits"


def test_a_recorded_request_that_policy_never_saw_is_explained(tmp_path: Path, current: Path) -> None:
    line = record(loaded(current), claims(exp=5))
    (tmp_path / "audit.log").write_text(line)
    ask = ("explain", "--audit", tmp_path / "audit.log", "--policies", current, "--request-id")

    result = run(*ask, json.loads(line)["request_id"])

    assert result.exit_code == 1
    assert "REFUSED subject_token_expired" in result.output
    assert "not decided again: refused before policy decided" in result.output
    assert run(*ask, "another").exit_code == 2
    assert run(*ask[:-1]).exit_code == 2
