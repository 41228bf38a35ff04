"""The fields that convert nothing, and the promise that whatever a file says ends in values or in faults."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from exchange.config.fields import parse_duration
from tests.config.policy_texts import AUDIENCE, CLIENT, FULL_ISSUER, SERVER, faults_of, write


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(300, 300), ("300", 300), ("30s", 30), ("5m", 300), ("1h", 3600), ("30d", 2592000), (0, 0), ("0s", 0)],
)
def test_a_duration_is_seconds_or_has_a_unit(value, seconds):
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 1.5, -1, "-1", "+1", "", "s", "5 m", "5M", "1w", "1h30m", "5ms", "1e3", "0x10"),
        *("\N{ARABIC-INDIC DIGIT ONE}s", [5], {}, 10**30, "9" * 5000, "4000d", "\n5", "5\n"),
    ],
)
def test_nothing_else_is_a_duration(value):
    with pytest.raises(ValidationError, match="write a duration"):
        parse_duration(value)


@given(st.text() | st.integers() | st.floats() | st.none() | st.booleans())
def test_a_duration_is_a_number_of_seconds_or_a_fault(value):
    try:
        seconds = parse_duration(value)
    except ValidationError:
        return
    assert type(seconds) is int
    assert 0 <= seconds <= 3660 * 86400


@given(st.integers(0, 3660))
def test_units_are_what_they_are_called(number):
    assert parse_duration(f"{number}s") == parse_duration(number) == parse_duration(str(number))
    assert parse_duration(f"{number}m") == 60 * number
    assert parse_duration(f"{number}h") == 3600 * number
    assert parse_duration(f"{number}d") == 86400 * number


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text("ab/~:${}\x00é.", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
FILES = {
    "server": SERVER,
    "issuers/acme": FULL_ISSUER,
    "clients/orders-bff": CLIENT,
    "audiences/orders": AUDIENCE,
}


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def put(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_stands_anywhere_in_a_file_it_loads_or_is_a_fault(data):
    name = data.draw(st.sampled_from(sorted(FILES)))
    original = yaml.safe_load(FILES[name])
    path = data.draw(st.sampled_from(list(places(original))))
    spoilt = put(original, path, data.draw(values))
    with tempfile.TemporaryDirectory() as directory:
        root = write(Path(directory), **{name: json.dumps(spoilt)})
        for line in faults_of(root):
            assert line.startswith("policies/")
