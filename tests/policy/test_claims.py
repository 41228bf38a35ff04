"""Claims are built from empty: what the rule lists, and nothing else of the subject token."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from tests.policy.values import ask, copied, fixed, reason, rule, token_with


def claims(*sources, **of_the_token):
    return dict(ask(rule(claims=sources), subject=token_with(**of_the_token)).permit_or_refuse().claims)


def test_nothing_is_copied_that_is_not_listed():
    assert claims(secret="value", roles=["admin"]) == {}


def test_a_listed_claim_is_copied_from_where_the_rule_says():
    listed = claims(copied("tenant", "tenant"), copied("roles", "/realm_access/roles"))
    assert listed == {"tenant": "acme", "roles": ("customer",)}


def test_a_fixed_value_is_issued_as_written():
    assert claims(fixed("region", "eu"), fixed("limits", (1, 2))) == {"region": "eu", "limits": (1, 2)}


@pytest.mark.parametrize("absent", [..., None])
def test_a_claim_that_the_token_does_not_have_is_left_out(absent):
    assert claims(copied("tenant", "tenant"), fixed("region", "eu"), tenant=absent) == {"region": "eu"}


@pytest.mark.parametrize("value", [False, 0, "", [], {}, 1.5, "x", [1, "a", None], {"a": {"b": [True]}}])
def test_a_value_that_is_there_is_copied_even_when_it_is_empty(value):
    assert "tenant" in claims(copied("tenant", "tenant"), tenant=value)


def test_what_was_copied_cannot_be_changed_any_more():
    source = {"roles": ["customer"], "deep": {"a": [1]}}
    copy = claims(copied("access", "access"), access=source)["access"]
    source["roles"].append("admin")
    assert copy["roles"] == ("customer",)
    assert isinstance(copy, MappingProxyType)
    assert isinstance(copy["deep"], Mapping)
    with pytest.raises(TypeError):
        copy["roles"] = ("admin",)


def nested(levels: int) -> object:
    value: object = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"bytes",
        object(),
        float("nan"),
        float("inf"),
        {1: "a"},
        [object()],
        nested(17),
        nested(100_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_is_no_json_is_refused_and_never_signed_in_part(value):
    decision = ask(rule(claims=(copied("tenant", "tenant"),)), subject=token_with(tenant=value))
    assert reason(decision) == "subject_token_claim_malformed"
    assert decision.permit is None


def test_a_value_of_the_deepest_level_that_is_read_is_copied():
    assert "tenant" in claims(copied("tenant", "tenant"), tenant=nested(16))
