"""What this version cannot do is refused by name, key by key; the harmless value of the same key loads."""

from __future__ import annotations

import pytest

from tests.config.policy_texts import AUDIENCE, faults

REFUSED = [
    ("audiences/orders", AUDIENCE.replace("token_format: jwt", "token_format: opaque"), "4:15: token_format"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), REFUSED)
def test_what_is_not_available_is_refused_by_name(tmp_path, name, text, expected):
    (line,) = faults(tmp_path, **{name: text})
    assert line.startswith(f"policies/{name}.yaml:")
    assert expected in line
    assert line.endswith("is not available in this version; leave it out")


def test_the_value_that_asks_for_nothing_loads(tmp_path):
    assert faults(tmp_path, **{"audiences/orders": AUDIENCE}) == []
