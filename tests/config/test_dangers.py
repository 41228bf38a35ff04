"""Each danger beside something like it that is none."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from exchange.cli.check import command
from tests.config.policy_texts import AUDIENCE, CLIENT, ISSUER, write

GITHUB = "issuer: https://token.actions.githubusercontent.com\naudience: https://bff.acme.example\n"
OTHER = "issuer: https://other.example\naudience: https://bff.acme.example\n"
SECOND_CLIENT = CLIENT.replace("orders-bff  ", "second  ").replace("//bff", "//b2")
HEAD = AUDIENCE.partition("  - id")[0]


def rule(number, **keys):
    said = {
        "client": "orders-bff",
        "subject": "{issuer: acme}",
        "scopes": "{orders:read: orders.read}",
    } | keys
    return f"  - {{id: r{number}, {', '.join(f'{key}: {value}' for key, value in said.items() if value)}}}\n"


def rules(*given):
    return {"audiences/orders": HEAD + "".join(rule(number, **keys) for number, keys in enumerate(given))}


def claims(text):
    return rules({"subject": f"{{issuer: acme, claims: {text}}}"})


def when(text):
    return {"audiences/orders": AUDIENCE + f"    when: {text}\n"}


def warnings(tmp_path, changes):
    root = write(tmp_path / "policies", **changes)
    result = CliRunner().invoke(command, [str(root)])
    assert result.exit_code == 0, result.output
    lines = result.output.replace(str(root), "policies").splitlines()
    return [line for line in lines if line.startswith("warning: ")]


DANGERS = [
    # issuers
    ({"issuers/ci": GITHUB}, "policies/issuers/ci.yaml:1:9: issuer: strangers get tokens of GitHub Actions too"),
    ({"issuers/ci": GITHUB + "require: {ref: refs/heads/main}\n"}, "issuer: strangers get tokens of GitHub"),
    ({"issuers/ci": GITHUB + "require: {repository_owner_id: {present: true}}\n"}, "strangers get tokens of GitHub"),
    ({"issuers/ci": GITHUB + "require: {sub: {glob: '*'}}\n"}, "strangers get tokens of GitHub"),
    ({"issuers/ci": GITHUB.replace("https://token.actions.githubusercontent.com", "https://gitlab.com")}, "strangers get tokens of gitlab.com"),
    ({"issuers/ci": GITHUB} | rules({"subject": "{issuer: [acme, ci]}"}), "strangers get tokens of GitHub"),
    ({"issuers/other": OTHER + "subject_format: plain\n"}, "policies/issuers/other.yaml:3:17: subject_format: another issuer's person"),
    ({"issuers/acme": ISSUER + "allow_private_network: true\n"}, "acme.yaml:5:24: allow_private_network: the host of the keys"),
    ({"issuers/acme": ISSUER + "required_claims: [sub, exp]\n"}, "acme.yaml:5:18: required_claims: without iat"),
    ({"issuers/acme": ISSUER + "subject: {claim: upn}\n"}, "the subject is upn, which may change"),
    # clients
    ({"clients/second": SECOND_CLIENT + "authorized_party: orders-bff\n"}, "second.yaml:6:19: authorized_party: another client has this"),
    ({"clients/orders-bff": CLIENT.replace("orders-bff.json", "orders-bff.json").replace("jwks_file: keys/orders-bff.json", "jwks_uri: https://b.example/k, allow_private_network: true")}, "authentication.private_key_jwt.allow_private_network: the host of the keys"),
    # conditions
    (claims("{email: ann@acme.example}"), "rules[0].subject.claims.email: email may change or pass to somebody else"),
    (claims("{/user/UPN: {one_of: [a, b]}}"), "/user/UPN may change or pass to somebody else"),
    (claims("{sub: {prefix: 'repo:acme'}}"), "rules[0].subject.claims.sub.prefix: a longer name begins like this"),
    (claims("{sub: {glob: 'repo:acme*'}}"), "rules[0].subject.claims.sub.glob: a longer name begins like this"),
    (claims("{host: {pattern: 'www.acme'}}"), "rules[0].subject.claims.host.pattern: a dot stands for any character"),
    (rules({"actor": "{issuer: acme, claims: {kind: {pattern: '.*bot'}}}"}), "rules[0].actor.claims.kind.pattern: begins or ends"),
    (rules({"actor": "{claims: {kind: robot}}"}), "rules[0].actor.claims: an actor of any issuer"),
    # expressions
    (when("subject.claims.sub.matches('repo:acme/.*')"), "rules[0].when: `matches` finds its pattern anywhere"),
    (when("subject.claims.sub.matches('^a|b$')"), "rules[0].when: `matches` finds"),
    (when("subject.claims.sub.matches(subject.claims.pattern)"), "rules[0].when: `matches` finds"),
    (when("subject.claims.roles.contains('admin')"), "rules[0].when: `contains` looks inside a text"),
    (when('subject.claims.email == "ann@acme.example"'), "rules[0].when: email may change"),
    (when("subject.claims['email'].endsWith('@acme.example')"), "rules[0].when: email may change"),
    ({"audiences/orders": AUDIENCE.replace("{value: eu}", "{expression: subject.claims.a.contains('b')}")}, "rules[0].claims.region.expression: `contains`"),
    # rules that can never permit, or be reached
    ({"clients/orders-bff": CLIENT.replace("audience: [https://bff.acme.example]", "")}, "rules[0].client: can never permit: no subject token"),
    (rules({"subject": "{issuer: self}"}), "rules[0].client: can never permit: our own tokens"),
    (rules({}, {"subject": "{issuer: acme, claims: {a: 1}}"}), "orders.yaml:9:5: rules[1]: can never be reached: r0, on line 8, decides first; move"),
    (claims("{a: {one_of: [x, y]}}") | rules({"subject": "{issuer: acme, claims: {a: {one_of: [x, y]}}}"}, {"subject": "{issuer: acme, claims: {a: x, b: 1}}"}), "rules[1]: can never be reached"),
    (rules({"subject": "{issuer: acme, claims: {a: {present: true}}}"}, {"subject": "{issuer: acme, claims: {a: {prefix: x-}}}"}), "rules[1]: can never be reached"),
    (rules({"subject": "{issuer: acme, claims: {a: {pattern: '[xy]'}}}"}, {"subject": "{issuer: acme, claims: {a: y}}"}), "rules[1]: can never be reached"),
    (rules({}, {"when": "subject.id == 'a'"}), "rules[1]: can never be reached"),
    (rules({"when": "subject.id == 'a'"}, {"when": "subject.id == 'a'"}), "rules[1]: can never be reached"),
    (rules({}, {"actor": "{issuer: acme}"}), "rules[1]: can never be reached"),
    (rules({"actor": "{issuer: [acme, self]}"}, {"actor": "{issuer: acme, claims: {a: 1}}"}), "rules[1]: can never be reached"),
    (rules({"deny": "closed", "scopes": "", "client": "", "subject": ""}, {}), "rules[1]: can never be reached"),
    (rules({"mode": "audit"}, {"mode": "audit"}), "rules[1]: can never be reached"),
]  # fmt: skip

NO_DANGERS = [
    {"issuers/ci": GITHUB + "require: {repository_owner_id: '1234567', ref: refs/heads/main}\n"},
    {"issuers/ci": GITHUB + "require: {sub: {prefix: 'repo:acme/'}}\n"},
    {"issuers/ci": GITHUB} | rules({"subject": "{issuer: ci, claims: {repository_id: '7'}}"}),
    {"issuers/acme": ISSUER + "subject_format: plain\n"},
    {"issuers/other": OTHER},
    {"clients/second": SECOND_CLIENT + "authorized_party: second-at-acme\n"},
    claims("{email: {present: true}}"),
    claims("{pattern: x, glob: y, prefix: z}"),
    claims("{sub: {prefix: 'repo:acme/'}}"),
    claims("{sub: {glob: 'repo:acme/*'}}"),
    claims(r"{host: {pattern: 'www\.acme[.]example'}}"),
    rules({"actor": "{issuer: acme, claims: {kind: robot}}"}),
    when("subject.claims.sub.matches('^repo:acme/[a-z]+$') && 'a' in subject.scopes"),
    when("subject.claims.sub.matches('^(a|b)$')"),
    when('subject.claims.tenant == "acme" && !("guest" in subject.claims.groups)'),
    when("has(subject.claims.email) && subject.claims.email_verified == true"),
    rules({"subject": "{issuer: self}", "presenter": "authorized_party"}),
    rules({"subject": "{issuer: self}"}) | {"clients/orders-bff": CLIENT.replace("[https://bff", "[https://orders.acme.example, https://bff")},
    rules({"when": "subject.id == 'a'"}, {}),
    rules({"when": "subject.id == 'a'"}, {"when": "subject.id == 'b'"}),
    rules({"actor": "{issuer: acme}"}, {}),
    rules({"actor": "{issuer: acme}"}, {"actor": "{issuer: [acme, self]}"}),
    rules({"actor": "{issuer: acme, claims: {a: 1}}"}, {"actor": "{issuer: acme}"}),
    rules({"mode": "audit"}, {}),
    rules({"subject": "{issuer: acme, claims: {a: x}}"}, {"subject": "{issuer: acme, claims: {a: {one_of: [x, y]}}}"}),
    rules({"subject": "{issuer: acme, claims: {a: 1}}"}, {"subject": "{issuer: acme, claims: {a: true}}"}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), DANGERS)
def test_a_danger_is_said_with_its_place_and_what_to_write(tmp_path, changes, expected):
    found = warnings(tmp_path, changes)
    assert [line for line in found if expected in line], found
    assert all("; " in line for line in found)


@pytest.mark.parametrize("changes", NO_DANGERS)
def test_what_only_looks_like_it_is_no_danger(tmp_path, changes):
    assert warnings(tmp_path, changes) == []


def test_many_rules_are_looked_through_in_good_time(tmp_path):
    text = HEAD + "".join(
        rule(number, subject=f"{{issuer: acme, claims: {{a: {number}}}}}") for number in range(1500)
    )
    assert warnings(tmp_path, {"audiences/orders": text}) == []
