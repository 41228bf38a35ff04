"""What a decision is recorded with: what the rules can look at, and nothing else of a token or a request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exchange.expressions import compile_value
from exchange.policy.looked_at import looked_at, named_in, names_all_it_needs
from tests.rehearsal import shop
from tests.rehearsal.shop import claims, loaded, record
from tests.support.policies import AUDIENCE, RESOURCE


def names(expression: str) -> list[str]:
    return [path.text for path in named_in(compile_value(expression))]


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("subject.claims.tenant", ["tenant"]),
        ('subject.claims["https://acme.example/roles"]', ["https://acme.example/roles"]),
        ("subject.claims['a b'] == 'x' && subject.claims . b == 1", ["a b", "b"]),
        ('subject.claims["/roles"]', ["/~1roles"]),
        ("subject.claims.realm.roles[0]", ["realm"]),
        ("has(actor.claims.x) ? actor.claims.x : subject.claims.x", ["x"]),
        ("subject.id", []),
    ],
)
def test_claims_are_told_from_the_text_of_an_expression(expression: str, named: list[str]) -> None:
    assert names(expression) == named
    assert names_all_it_needs(compile_value(expression))


@pytest.mark.parametrize(
    "expression",
    [
        'subject.claims.exists(name, name == "a")',
        "size(subject.claims) > 0",
        "subject.claims[subject.id]",
        'subject.claims["a" + "b"]',
        '"a" in subject.claims',
        "subject.claims",
    ],
)
def test_an_expression_that_may_read_any_claim_is_known_to(expression: str) -> None:
    assert not names_all_it_needs(compile_value(expression))


def test_a_rule_looks_at_conditions_copies_and_expressions(tmp_path: Path) -> None:
    found = looked_at(loaded(shop.shop(tmp_path)).targets[AUDIENCE].rules)

    assert [path.text for path in found.subject] == ["guest", "/realm/roles", "tenant", "plan"]
    assert [path.text for path in found.actor] == ["tenant", "plan"]


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return loaded(
        shop.shop(tmp_path_factory.mktemp("decided"), issuer={"require": {"region": {"present": True}}})
    )


def decided_on(
    policies: Any, payload: dict[str, Any], *actor: dict[str, Any], **asked: str
) -> dict[str, Any]:
    line = record(policies, payload | {"region": "eu"}, *actor, **asked)
    found: dict[str, Any] = json.loads(line)["decided_on"]
    return found


def test_of_the_claims_only_those_that_rules_look_at_are_recorded(policies: Any) -> None:
    private = {"email": "ada@acme.example", "realm": {"roles": ["clerk"], "secret": "hidden"}}
    line = record(policies, claims(**private, region="eu"))
    subject = json.loads(line)["decided_on"]["subject"]

    assert subject["claims"] == {"region": "eu", "/realm/roles": ["clerk"], "tenant": "acme"}
    assert subject["absent"] == ["guest", "plan"]
    assert "ada@acme.example" not in line
    assert "hidden" not in line


def test_of_the_request_only_names_that_are_known_are_recorded(policies: Any) -> None:
    found = decided_on(policies, claims(), resource=RESOURCE, scope="orders:read eyJhbGciOi.secret")

    assert found["request"] == {
        "targets": [AUDIENCE, RESOURCE],
        "unknown_targets": 0,
        "scopes": ["orders:read"],
        "unknown_scopes": 1,
    }


def test_without_scope_none_is_recorded(policies: Any) -> None:
    assert decided_on(policies, claims())["request"] == {"targets": [AUDIENCE], "unknown_targets": 0}


def test_an_unknown_target_is_counted_alone(policies: Any) -> None:
    found = decided_on(policies, claims(), audience="https://made.up.example")

    assert found["request"] == {"targets": [], "unknown_targets": 1}
    assert found["subject"]["claims"] == {"region": "eu"}


def test_what_parties_are_compared_by_is_recorded_of_an_actor(policies: Any) -> None:
    actor = claims(sub="shop", region="eu", email="x@acme.example", staff_id=7)
    found = decided_on(policies, claims(may_act={"sub": "shop", "staff_id": 7}), actor)

    assert found["subject"]["may_act"] == {"sub": "shop", "staff_id": 7}
    assert found["actor"]["claims"] == {"region": "eu", "tenant": "acme", "sub": "shop", "staff_id": 7}
    assert found["actor"]["absent"] == ["plan"]


@pytest.mark.parametrize("name", ["", "/", "/a~b", "~", "a/b", "\u2028"])
def test_any_name_may_stand_in_may_act(policies: Any, name: str) -> None:
    actor = claims(sub="shop", region="eu", **{name: "x"})
    found = decided_on(policies, claims(may_act={"sub": "shop", name: "x"}), actor)

    assert sorted(found["actor"]["claims"].values()) == ["acme", "eu", "shop", "x"]


def test_a_token_that_was_refused_before_policy_is_not_recorded_so(policies: Any) -> None:
    assert "decided_on" not in json.loads(record(policies, claims(exp=5)))
