from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.claim_path import MISSING, ClaimPath
from exchange.matchers import MATCHER_NAMES, Condition, compile_matcher
from tests.test_claim_path import json_values

ANYTHING = [MISSING, None, True, False, 0, 1, 1.5, "", "1", "true", "acme", [], ["acme"], {}, {"acme": 1}]


def matching(spec, values=ANYTHING):
    matcher = compile_matcher(spec)
    return [value for value in values if matcher.matches(value)]


@pytest.mark.parametrize(
    ("spec", "matched"),
    [
        ("acme", ["acme"]),
        ({"equals": "acme"}, ["acme"]),
        (True, [True]),
        (False, [False]),
        (1, [1]),
        (0, [0]),
        ("1", ["1"]),
        ("true", ["true"]),
        ({"one_of": ["acme", 1]}, [1, "acme"]),
        ({"one_of": "acme"}, ["acme"]),
        ({"contains": "acme"}, [["acme"]]),
        ({"contains_any": ["x", "acme"]}, [["acme"]]),
        ({"contains_all": ["acme"]}, [["acme"]]),
        ({"contains_all": ["x", "acme"]}, []),
        ({"glob": "a*e"}, ["acme"]),
        ({"glob": "acm?"}, ["acme"]),
        ({"pattern": "ac.e"}, ["acme"]),
        ({"prefix": "ac"}, ["acme"]),
        ({"present": True}, [v for v in ANYTHING if v is not None and v is not MISSING]),
        ({"present": False}, [MISSING]),
        ({"type": "string"}, ["", "1", "true", "acme"]),
        ({"type": "number"}, [0, 1, 1.5]),
        ({"type": "boolean"}, [True, False]),
        ({"type": "array"}, [[], ["acme"]]),
        ({"type": "object"}, [{}, {"acme": 1}]),
        ({"type": "null"}, [None]),
        ({"type": ["null", "array"]}, [None, [], ["acme"]]),
    ],
)
def test_a_matcher_matches_exactly_what_it_names(spec, matched):
    found = matching(spec)
    assert [(type(v), v) for v in found] == [(type(v), v) for v in matched]


def test_numbers_are_compared_as_json_does_and_never_with_booleans():
    assert compile_matcher(1).matches(1.0)
    assert compile_matcher(1.0).matches(1)
    assert not compile_matcher({"contains": 1}).matches([True])
    assert not compile_matcher({"contains_any": [True]}).matches([1, "true"])
    assert compile_matcher({"one_of": [1, True]}).matches(True)


@pytest.mark.parametrize("name", ["contains", "contains_any", "contains_all"])
def test_contains_never_looks_inside_a_string(name):
    assert not compile_matcher({name: "admin"}).matches("not-admin")
    assert not compile_matcher({name: "admin"}).matches("admin")
    assert not compile_matcher({name: "admin"}).matches({"admin": True})
    assert compile_matcher({name: "admin"}).matches(["admin", {"nested": []}, None])


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({"pattern": "a|b"}, "ab"),
        ({"pattern": "a|b"}, "xb"),
        ({"pattern": "acme"}, "acme\n"),
        ({"pattern": "^acme$"}, "acme\n"),
        ({"pattern": "(?m)^acme$"}, "evil\nacme"),
        ({"pattern": "acme"}, "xacme"),
        ({"glob": "acme-*"}, "x-acme-eu"),
        ({"glob": "a.c"}, "abc"),
        ({"glob": "a[bc]"}, "ab"),
        ({"glob": "acme"}, "acme\n"),
        ({"prefix": "acme"}, "Acme"),
        ({"pattern": "."}, "\ud800"),
        ({"glob": "*"}, "\ud800"),
    ],
)
def test_a_pattern_matches_the_whole_value_or_nothing(spec, value):
    assert not compile_matcher(spec).matches(value)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({"pattern": "a|b"}, "b"),
        ({"pattern": "^acme$"}, "acme"),
        ({"pattern": "é."}, "éü"),
        ({"glob": "https://*.acme.example"}, "https://bff.acme.example"),
        ({"glob": "repo:acme/*"}, "repo:acme/shop:ref:refs/heads/main"),
        ({"glob": "a?c"}, "a\nc"),
        ({"glob": "a[bc]"}, "a[bc]"),
        ({"glob": "é*"}, "éü"),
    ],
)
def test_legitimate_values_pass_their_pattern(spec, value):
    assert compile_matcher(spec).matches(value)


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        ["acme"],
        {},
        {"equals": "a", "prefix": "b"},
        {"regex": "a"},
        {"equals": None},
        {"equals": ["a"]},
        {"equals": {"a": 1}},
        {"equals": float("nan")},
        {"equals": float("inf")},
        {"one_of": []},
        {"one_of": ["a", "a"]},
        {"one_of": ["a", None]},
        {"one_of": {"a": 1}},
        {"contains": ["a"]},
        {"contains_any": []},
        {"contains_all": []},
        {"glob": ""},
        {"glob": 1},
        {"pattern": ""},
        {"pattern": "("},
        {"pattern": "(?=a)"},
        {"pattern": r"(a)\1"},
        {"pattern": "a" * 2000},
        {"pattern": "((a{1000}){1000}){1000}"},
        {"pattern": "\ud800"},
        {"prefix": ""},
        {"prefix": ["a"]},
        {"present": "true"},
        {"present": 1},
        {"type": []},
        {"type": "text"},
        {"type": None},
        {"type": True},
    ],
)
def test_a_matcher_that_means_nothing_is_refused(spec):
    with pytest.raises(ValueError, match=r"write|list|RE2"):
        compile_matcher(spec)


@pytest.mark.parametrize("spec", [{"present": False}, {"type": "null"}, {"type": ["string", "null"]}])
def test_absence_and_null_prove_nothing(spec):
    assert not compile_matcher(spec).proves_presence


@pytest.mark.parametrize("spec", ["x", False, {"present": True}, {"type": "string"}, {"glob": "*"}])
def test_what_needs_a_value_proves_its_presence(spec):
    assert compile_matcher(spec).proves_presence


@given(
    st.sampled_from(
        [
            *("a", True, 1, {"one_of": ["a", 2]}, {"contains": "a"}, {"contains_any": ["a", 1]}),
            *({"contains_all": "a"}, {"glob": "*a*"}, {"pattern": ".*a"}, {"prefix": "a"}),
            *({"present": True}, {"type": ["string", "array"]}),
        ]
    ),
    st.just(MISSING) | json_values,
)
def test_matching_is_total_and_a_match_proves_presence_when_it_says_so(spec, value):
    matcher = compile_matcher(spec)
    assert isinstance(matcher.matches(value), bool)
    if matcher.proves_presence:
        assert not matcher.matches(MISSING)
        assert not matcher.matches(None)


@given(st.sampled_from(MATCHER_NAMES), json_values)
def test_compiling_raises_nothing_but_value_error(name, argument):
    for spec in (argument, {name: argument}):
        with contextlib.suppress(ValueError):
            compile_matcher(spec)


@pytest.mark.parametrize(
    "spec", [{"pattern": "(a+)+b"}, {"pattern": "(a|aa)+$b"}, {"glob": "*a*a*a*a*a*a*b"}]
)
def test_time_is_linear_where_backtracking_would_take_years(spec):
    matcher = compile_matcher(spec)
    assert not matcher.matches("a" * 16_384)


def test_a_condition_reads_as_a_sentence():
    condition = Condition(ClaimPath.parse("tenant"), compile_matcher({"one_of": ["acme", "acme-eu"]}))
    assert str(condition) == "tenant one_of [acme, acme-eu]"
    assert str(Condition(ClaimPath.parse("v"), compile_matcher(True))) == "v equals true"
    assert condition.holds({"tenant": "acme-eu"})
    assert not condition.holds({"tenant": "acme2"})
    assert not condition.holds({})
