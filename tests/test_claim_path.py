from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.claim_path import MISSING, ClaimPath

CLAIMS = {
    "tenant": "acme",
    "https://acme.example/roles": ["admin"],
    "realm_access": {"roles": ["customer", "guest"], "a/b": 1, "m~n": 2, "~1": 3, "": 4},
    "null": None,
    "a/b": "literal",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tenant", "acme"),
        ("https://acme.example/roles", ["admin"]),
        ("a/b", "literal"),
        ("/tenant", "acme"),
        ("/realm_access/roles", ["customer", "guest"]),
        ("/realm_access/roles/1", "guest"),
        ("/realm_access/a~1b", 1),
        ("/realm_access/m~0n", 2),
        ("/realm_access/~01", 3),
        ("/realm_access/", 4),
        ("null", None),
    ],
)
def test_a_claim_is_found_by_its_literal_name_or_by_a_json_pointer(text, found):
    assert ClaimPath.parse(text).find(CLAIMS) == found


@pytest.mark.parametrize(
    "text",
    [
        "absent",
        "realm_access/roles",
        "/absent/roles",
        "/tenant/0",
        "/null/x",
        "/realm_access/roles/2",
        "/realm_access/roles/-",
        "/realm_access/roles/-1",
        "/realm_access/roles/01",
        "/realm_access/roles/+1",
        "/realm_access/roles/1_0",
        "/realm_access/roles/\N{ARABIC-INDIC DIGIT ONE}",
        "/realm_access/roles/" + "9" * 5000,
    ],
)
def test_a_claim_that_is_not_there_is_missing_and_not_null(text):
    assert ClaimPath.parse(text).find(CLAIMS) is MISSING


@pytest.mark.parametrize("text", ["", "/a~", "/a~2b", "/~/b"])
def test_a_malformed_name_is_refused(text):
    with pytest.raises(ValueError, match=r"claim|RFC 6901"):
        ClaimPath.parse(text)


def test_a_path_prints_as_it_was_written_and_equals_its_like():
    assert str(ClaimPath.parse("/realm_access/roles")) == "/realm_access/roles"
    assert ClaimPath.parse("a") == ClaimPath("a")
    assert hash(ClaimPath.parse("a")) == hash(ClaimPath("a"))
    assert ClaimPath.parse("a") != ClaimPath("/a")


def test_missing_is_falsy_and_prints_its_name():
    assert not MISSING
    assert repr(MISSING) == "MISSING"


@given(st.text(), st.dictionaries(st.text(), json_values, max_size=3))
def test_finding_never_raises(text, claims):
    try:
        path = ClaimPath.parse(text)
    except ValueError:
        return
    path.find(claims)


@given(st.text(min_size=1), json_values)
def test_every_member_can_be_named_by_a_pointer(name, value):
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    assert ClaimPath.parse(pointer).find({name: value}) is value
