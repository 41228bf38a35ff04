"""``exchange check``: faults, dangers and the exit code."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from exchange.cli.check import command
from tests.config.policy_texts import AUDIENCE, CLIENT, ISSUER, SERVER, write


def check(directory, *arguments, env=None, **changes):
    root = write(directory / "policies", **changes)
    result = CliRunner().invoke(command, [str(root), *arguments], env=env)
    return result.exit_code, result.output.replace(str(root), "policies").splitlines()


def test_policies_without_a_fault_are_summed_up(tmp_path):
    assert check(tmp_path) == (0, ["policies: 1 issuer, 1 client, 1 audience, 1 rule: no faults"])
    assert check(tmp_path, "--strict")[0] == 0
    code, lines = check(tmp_path / "two", clients__second=CLIENT.partition("\n")[2].replace("//bff", "//b2"))
    assert (code, lines[-1]) == (0, "policies: 1 issuer, 2 clients, 1 audience, 1 rule: no faults")


def test_faults_go_to_standard_output_one_a_line(tmp_path):
    code, lines = check(tmp_path, issuers__acme=ISSUER + "x: 1\n", server=SERVER + "y: 1\n")
    assert code == 1
    assert [line.partition(": ")[0] for line in lines] == [
        "policies/issuers/acme.yaml:5:1",
        "policies/server.yaml:9:1",
    ]


def test_the_directory_comes_from_the_environment_or_is_called_policies(tmp_path, monkeypatch):
    write(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    environ = {"EXCHANGE_POLICIES": "elsewhere"}
    assert CliRunner().invoke(command, [], env=environ).output.startswith("elsewhere: 1 issuer")
    result = CliRunner().invoke(command, [], env={"EXCHANGE_POLICIES": ""})
    assert (result.exit_code, result.output) == (1, "policies:1:1: the policies directory does not exist\n")


SECOND_RULE = (
    "  - {id: second, client: orders-bff, subject: {issuer: acme%s}, scopes: {orders:read: orders.read}}\n"
)
OPEN_RULE = AUDIENCE.replace(
    "      claims:\n        email_verified: true\n        /realm_access/roles: {contains: customer}\n", ""
)

DANGERS = [
    (
        {"audiences/orders": AUDIENCE.replace("presenter: audience ", "presenter: any ")},
        "policies/audiences/orders.yaml:16:16: rules[0].presenter: whoever holds",
    ),
    (
        {"audiences/orders": AUDIENCE.replace("[orders.write]", "always")},
        "policies/audiences/orders.yaml:20:21: rules[0].scopes.orders:write: granted always",
    ),
    (
        {"issuers/acme": ISSUER + "subject: {claim: email}\n"},
        "policies/issuers/acme.yaml:5:18: subject.claim: the subject is email, which may change",
    ),
    (
        {"issuers/acme": ISSUER + "subject: {claim: [tid, /user/Email]}\n"},
        "policies/issuers/acme.yaml:5:18: subject.claim: the subject is /user/Email",
    ),
    (
        {"issuers/acme": ISSUER + "  - orders-bff\n"},
        "policies/issuers/acme.yaml:5:5: audience[1]: an audience that is a client id",
    ),
    (
        {"clients/orders-bff": CLIENT.replace("[https://bff.acme.example]", "orders-bff")},
        "policies/clients/orders-bff.yaml:2:11: audience: an audience that is a client id",
    ),
    (
        {"clients/orders-bff": CLIENT + "authorized_party: https://bff.acme.example\n"},
        "policies/issuers/acme.yaml:4:5: audience[0]: an audience that is a client id",
    ),
    (
        {"issuers/acme": ISSUER + "require: {tenant: {pattern: 'acme.*'}}\n"},
        "policies/issuers/acme.yaml:5:29: require.tenant.pattern: begins or ends with anything",
    ),
    (
        {"audiences/orders": AUDIENCE.replace("{contains: customer}", "{pattern: '^.+@acme.example$'}")},
        "policies/audiences/orders.yaml:15:40: rules[0].subject.claims./realm_access/roles.pattern: begins",
    ),
    (
        {"audiences/orders": AUDIENCE.replace("{contains: customer}", "{glob: '*@acme.example'}")},
        "policies/audiences/orders.yaml:15:37: rules[0].subject.claims./realm_access/roles.glob: begins",
    ),
    (
        {"issuers/acme": ISSUER + "access_token: {marker: [{claims: {kind: {pattern: 'access|.*'}}}]}\n"},
        "policies/issuers/acme.yaml:5:51: access_token.marker[0].claims.kind.pattern: begins or ends",
    ),
    (
        {"issuers/acme": ISSUER + "access_token: {marker: [{claims: {aud: {present: true}}, header: {typ: JWT}}]}\n"},
        "policies/issuers/acme.yaml:5:25: access_token.marker[0]: ID tokens hold this too",
    ),
    (
        {"audiences/orders": OPEN_RULE + SECOND_RULE % ""},
        "rules[1]: can never be reached: shop-reads-orders, on line 8, decides first",
    ),
    (
        {"audiences/orders": OPEN_RULE + SECOND_RULE % ", claims: {tenant: acme}"},
        "rules[1]: can never be reached",
    ),
    (
        {"audiences/orders": AUDIENCE + SECOND_RULE % ", claims: {email_verified: true, tenant: a,"
                                                      " /realm_access/roles: {contains: customer}}"},
        "rules[1]: can never be reached",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), DANGERS)
def test_a_danger_is_a_warning_and_with_strict_an_error(tmp_path, changes, expected):
    code, lines = check(tmp_path, **changes)
    assert code == 0
    assert [line for line in lines if line.startswith("warning: ") and expected in line], lines
    assert lines[-1].endswith("no faults")
    assert check(tmp_path, "--strict", **changes)[0] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"audiences/orders": AUDIENCE + SECOND_RULE % ""},
        {"audiences/orders": AUDIENCE + SECOND_RULE % ", claims: {email_verified: 1}"},
        {"audiences/orders": OPEN_RULE + (SECOND_RULE % "").replace("acme", "other"), "issuers/other": "issuer: https://o.example\naudience: a\n"},
        {"issuers/acme": ISSUER + "require: {ref: {pattern: 'refs/tags/v[0-9]+\\.*'}}\n"},
        {"issuers/acme": ISSUER + "require: {ref: {glob: 'refs/heads/*'}}\n"},
        {"issuers/acme": ISSUER + "access_token: {marker: [{header: {typ: at+jwt}}]}\n"},
    ],
)  # fmt: skip
def test_what_is_no_danger_is_not_warned_about(tmp_path, changes):
    code, lines = check(tmp_path, "--strict", **changes)
    assert (code, len(lines)) == (0, 1), lines


def test_rules_that_together_leave_nothing_are_seen(tmp_path):
    rule = "  - {id: %s, client: %s, subject: {issuer: acme}, scopes: {orders:read: orders.read}}\n"
    head = AUDIENCE.partition("  - id")[0]
    second = CLIENT.replace("orders-bff  ", "second  ").replace("//bff", "//b2")
    text = head + rule % ("a", "orders-bff") + rule % ("b", "second") + rule % ("c", "[orders-bff, second]")
    _, lines = check(tmp_path, audiences__orders=text, clients__second=second)
    assert "rules[2]: can never be reached" in lines[0]
    partly = head + rule % ("a", "orders-bff") + rule % ("c", "[orders-bff, second]")
    _, lines = check(tmp_path / "partly", audiences__orders=partly, clients__second=second)
    assert len(lines) == 1


def test_a_secret_is_never_printed(tmp_path):
    text = CLIENT.replace("authentication:\n", "authentication:\n  client_secret: correct-horse-battery\n")
    code, lines = check(tmp_path, clients__orders_bff=text)
    assert code == 1
    assert "correct-horse-battery" not in "".join(lines)
