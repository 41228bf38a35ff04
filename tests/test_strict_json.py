from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.strict_json import MAX_DEPTH, InvalidJson, parse_object


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a":1,"a":1}', id="duplicate member"),
        pytest.param('{"x":{"a":1,"\\u0061":2}}', id="duplicate member, nested and escaped"),
        pytest.param('{"a":NaN}', id="NaN"),
        pytest.param('{"a":Infinity}', id="Infinity"),
        pytest.param('{"a":-Infinity}', id="minus Infinity"),
        pytest.param('{"a":1e400}', id="a number that overflows to infinity"),
        pytest.param('{"a":9223372036854775808}', id="2^63"),
        pytest.param('{"a":-9223372036854775809}', id="below -2^63"),
        pytest.param('{"a":' + "9" * 5000 + "}", id="more digits than int() takes"),
        pytest.param('{"a":"\\ud800"}', id="lone surrogate"),
        pytest.param('{"a":"\\udc00\\ud800"}', id="surrogates in the wrong order"),
        pytest.param('{"\\uDFFF":1}', id="lone surrogate in a name"),
        pytest.param('{"a":"\ud800"}', id="unescaped lone surrogate"),
        pytest.param('{"a":[["\\ud800"]]}', id="lone surrogate, nested"),
        pytest.param("[]", id="array"),
        pytest.param('"a"', id="string"),
        pytest.param("null", id="null"),
        pytest.param("1", id="number"),
        pytest.param("", id="nothing"),
        pytest.param("{", id="cut off"),
        pytest.param('{"a":1}{"b":2}', id="two objects"),
        pytest.param('{"a":1}\x00', id="trailing NUL"),
        pytest.param('\ufeff{"a":1}', id="byte order mark"),
        pytest.param("{'a':1}", id="single quotes"),
        pytest.param('{"a":1,}', id="trailing comma"),
        pytest.param('{"a":"\n"}', id="raw control character"),
        pytest.param('{"a":\u0661}', id="a digit that is not ASCII"),
        pytest.param('{"a":01}', id="leading zero"),
        pytest.param('{"a":' * 5000, id="deep and cut off"),
        pytest.param('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", id="100,000 levels"),
    ],
)
def test_what_has_more_or_less_than_one_meaning_is_refused(text):
    with pytest.raises(InvalidJson) as refused:
        parse_object(text)
    assert refused.value.__cause__ is None
    assert len(str(refused.value)) < 60


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": [1, -1, 0.5, 1e300, True, False, None, "", {"b": []}]},
        {"max": 2**63 - 1, "min": -(2**63)},
        {"emoji": "😀", "nul": "\x00", "quote": '"\\', "brackets": '{"[' * 50},
    ],
)
def test_ordinary_objects_are_read_as_the_standard_library_reads_them(value):
    assert parse_object(json.dumps(value)) == value
    assert parse_object(json.dumps(value, ensure_ascii=False, indent=2)) == value


def nested(levels: int) -> str:
    return '{"a":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


def test_depth_is_bounded_exactly_and_brackets_in_strings_are_no_depth():
    assert parse_object(nested(MAX_DEPTH))
    with pytest.raises(InvalidJson):
        parse_object(nested(MAX_DEPTH + 1))
    wide = {"a": [{"b": ["]}[{" * 9, '\\"[[[']} for _ in range(200)]}
    assert parse_object(json.dumps(wide)) == wide


def test_alternating_brackets_count_as_one_level_each():
    with pytest.raises(InvalidJson):
        parse_object('{"a":[' * 9 + "]}" * 9)


@pytest.mark.parametrize("text", ['"\\' * 200_000, '{"a":"' + '\\"' * 200_000 + "\\", "[{" * 200_000])
def test_hostile_text_takes_linear_time(text):
    """Quadratic time would be minutes here: an unterminated string is scanned once, not once for each quote."""
    started = time.monotonic()
    with pytest.raises(InvalidJson):
        parse_object("[" * 17 + text)
    assert time.monotonic() - started < 5


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), JSON_VALUES, max_size=5))
def test_every_shallow_object_survives(value):
    text = json.dumps(value)
    depth = _depth(value)
    if depth <= MAX_DEPTH:
        assert parse_object(text) == value
    else:
        with pytest.raises(InvalidJson):
            parse_object(text)


def _depth(value):
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InvalidJson):
        assert isinstance(parse_object(text), dict)
