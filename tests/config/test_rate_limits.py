"""``rate_limit``: what loads, what it means, and what is no rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from exchange.config.rate_limit_fields import MAX_AMOUNT, UNITS, RateField
from exchange.config.values import NO_RATE_LIMIT, Rate, RateLimit
from tests.config.policy_texts import SERVER, faults, loaded

KEYS = ("per_client", "per_issuer", "per_address", "failed_authentication")


def limits(tmp_path, text: str) -> RateLimit:
    return loaded(tmp_path, server=SERVER.replace("{}", text)).server.rate_limit


def test_nothing_is_limited_that_is_not_written(tmp_path):
    assert limits(tmp_path / "empty", "{}") is NO_RATE_LIMIT
    server = SERVER.replace("rate_limit: {}                          # off by default\n", "")
    assert "rate_limit" not in server
    assert loaded(tmp_path / "absent", server=server).server.rate_limit is NO_RATE_LIMIT


def test_the_example_of_the_language_loads(tmp_path):
    found = limits(tmp_path, "{per_client: 600/m, failed_authentication: 60/m}")
    assert found == RateLimit(per_client=Rate(600, "m"), failed_authentication=Rate(60, "m"))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("unit", UNITS)
def test_every_limit_takes_every_unit(tmp_path, key, unit):
    assert limits(tmp_path, f"{{{key}: 7/{unit}}}") == RateLimit(**{key: Rate(7, unit)})


@pytest.mark.parametrize(
    "text",
    [
        *("0/m", "00/m", "-1/m", "+1/m", "1.5/m", "600", '"600"', "600/", "/m", "600 / m", "600/ m", "600/M"),
        *("600/min", "600/minute", "600/10s", "600/w", "600m", "600/m/m", "'600/m '", "1000001/s", "1e3/m"),
        *("٦/m", "true", "[600/m]", "{count: 600}", "''", "010/m"),
    ],
)
def test_what_is_no_rate_is_a_fault(tmp_path, text):
    (line,) = faults(tmp_path, server=SERVER.replace("{}", f"{{per_client: {text}}}"))
    assert line.startswith("policies/server.yaml:8:26: rate_limit.per_client: write how many in which time")


def test_a_limit_without_a_value_is_a_fault(tmp_path):
    (line,) = faults(tmp_path, server=SERVER.replace("{}", "{per_client: }"))
    assert "rate_limit.per_client: has no value" in line


def test_an_unknown_limit_is_a_fault(tmp_path):
    (line,) = faults(tmp_path, server=SERVER.replace("{}", "{per_user: 600/m}"))
    assert "rate_limit.per_user: unknown key; the keys known here are per_client, per_issuer" in line


@pytest.mark.parametrize("text", ["600/m", "[]", "true"])
def test_what_is_no_mapping_is_a_fault(tmp_path, text):
    (line,) = faults(tmp_path, server=SERVER.replace("{}", text))
    assert "rate_limit: write a mapping of names to values" in line


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.from_regex(r"[0-9]{1,8}/[a-z]")))
def test_a_rate_reads_as_it_is_written_or_not_at_all(value):
    try:
        rate = RateField().read(value)
    except ValidationError:
        return
    assert str(rate) == value
    assert 1 <= rate.amount <= MAX_AMOUNT
