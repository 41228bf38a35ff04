"""What this version cannot do is refused by name, key by key; the harmless value of the same key loads."""

from __future__ import annotations

import pytest

from tests.config.policy_texts import AUDIENCE, CLIENT, ISSUER, SERVER, faults

REFUSED = [
    ("server", SERVER.replace("{}", "{per_client: 600/m, failed_authentication: 60/m}"), "8:13: rate_limit"),
    ("issuers/acme", ISSUER + "single_use: true\n", "5:13: single_use"),
    (
        "clients/orders-bff",
        CLIENT + '  workload: {issuer: cluster, subject: "system:serviceaccount:shop:bff"}\n',
        "6:13: authentication.workload",
    ),
    ("audiences/orders", AUDIENCE.replace("token_format: jwt", "token_format: opaque"), "4:15: token_format"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), REFUSED)
def test_what_is_not_available_is_refused_by_name(tmp_path, name, text, expected):
    (line,) = faults(tmp_path, **{name: text})
    assert line.startswith(f"policies/{name}.yaml:")
    assert expected in line
    assert line.endswith("is not available in this version; leave it out")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("server", SERVER),
        ("issuers/acme", ISSUER + "single_use: false\n"),
    ],
)
def test_the_value_that_asks_for_nothing_loads(tmp_path, name, text):
    assert faults(tmp_path, **{name: text}) == []


def test_a_key_that_is_not_available_is_checked_all_the_same(tmp_path):
    (first, second) = faults(tmp_path, server=SERVER.replace("{}", "5"))
    assert "rate_limit: rate limiting is not available" in first
    assert "rate_limit: write a mapping" in second
