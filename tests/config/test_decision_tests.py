"""``policies/tests/``: what a test may say, and whom its faults concern."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from exchange.cli.check import command
from exchange.config.faults import PolicyFaults
from exchange.config.load import load
from exchange.config.test_file import load_tests
from exchange.model import TokenTypeIdentifier
from tests.config.policy_texts import write

EXAMPLE = """\
- name: a customer reads orders through the shop
  client: orders-bff
  subject:
    issuer: acme
    claims: {sub: u1, aud: https://bff.acme.example, typ: Bearer, scope: orders.read, tenant: acme,
             groups: [], email_verified: true, realm_access: {roles: [customer]}}
  request: {audience: https://orders.acme.example, scope: orders:read}
  expect:
    rule: shop-reads-orders
    scope: [orders:read]
    claims: {tenant: acme, sub: acme|u1}

- name: the same person's ID token is refused
  client: orders-bff
  subject:
    issuer: acme
    claims: {sub: u1, aud: orders-bff, typ: ID, nonce: n1}
  request: {audience: https://orders.acme.example}
  expect: {refuse: subject_token_is_id_token}
"""
TEST = """\
- name: one
  client: orders-bff
  subject: {issuer: acme, claims: {sub: u1}}
  request: {audience: https://orders.acme.example}
  expect: {rule: shop-reads-orders}
"""


def directory(tmp_path, text=EXAMPLE, name="shop.yaml", **changes):
    root = write(tmp_path / "policies", **changes)
    (root / "tests").mkdir()
    (root / "tests" / name).write_text(text)
    return root


def faults(root):
    with pytest.raises(PolicyFaults) as found:
        load_tests(root)
    return [str(fault).replace(f"{root}/tests/", "") for fault in found.value.faults]


def test_the_example_of_the_language_loads(tmp_path):
    first, second = load_tests(directory(tmp_path))
    assert (first.name, first.client) == ("a customer reads orders through the shop", "orders-bff")
    assert (first.source.line, first.subject.issuer, first.actor) == (1, "acme", None)
    assert first.subject.claims["realm_access"] == {"roles": ("customer",)}
    assert first.subject.header == {}
    assert first.request.audiences == ("https://orders.acme.example",)
    assert (first.request.resources, first.request.scopes) == ((), ("orders:read",))
    assert first.request.subject_token_type is None
    assert first.expect.rules == ("shop-reads-orders",)
    assert first.expect.scopes == {"orders:read"}
    assert first.expect.claims == {"tenant": "acme", "sub": "acme|u1"}
    assert (first.expect.refuse, first.expect.lifetime) == (None, None)
    assert (second.expect.refuse, second.expect.rules) == ("subject_token_is_id_token", None)
    assert second.request.scopes is None


def test_everything_that_a_test_may_say_is_read(tmp_path):
    text = """\
- name: full
  client: orders-bff
  subject: {issuer: self, claims: {sub: u1}, header: {typ: at+jwt}}
  actor: {issuer: acme, claims: {sub: robot}}
  request: {audience: [a, b], resource: c, scope: "x y", subject_token_type: jwt, actor_token_type: jwt}
  expect: {rule: [shop-reads-orders], scope: [], claims: {email: null}, lifetime: 1m}
- {name: little, client: orders-bff, subject: {issuer: acme, claims: {}}, expect: {scope: orders:read}}
"""
    full, little = load_tests(directory(tmp_path, text))
    assert full.subject.header == {"typ": "at+jwt"}
    assert full.actor.claims == {"sub": "robot"}
    assert (full.request.audiences, full.request.resources) == (("a", "b"), ("c",))
    assert full.request.scopes == ("x", "y")
    assert {full.request.subject_token_type, full.request.actor_token_type} == {TokenTypeIdentifier.JWT}
    assert (full.expect.scopes, full.expect.claims, full.expect.lifetime) == (
        frozenset(),
        {"email": None},
        60,
    )
    assert (little.request.audiences, little.request.scopes) == ((), None)


def test_there_need_not_be_any_tests(tmp_path):
    root = write(tmp_path / "policies")
    assert load_tests(root) == ()
    (root / "tests").mkdir()
    assert load_tests(root) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEST.replace("orders-bff", "order-bff"), "shop.yaml:2:11: [0].client: no client has this client_id"),
        (TEST.replace("acme,", "acm,"), "shop.yaml:3:21: [0].subject.issuer: no file of issuers/"),
        (TEST.replace("rule: shop", "rule: a-shop"), "5:18: [0].expect.rule: no audience has a rule with"),
        (TEST.replace("rule: shop-reads-orders", ""), "5:11: [0].expect: say what must come out"),
        (TEST.replace("rule: shop-reads-orders", "refuse: no_such_reason"), "[0].expect.refuse: unknown reason"),
        (TEST.replace("rule:", "refuse: target_missing, rule:"), "5:12: [0].expect.refuse: nothing is issued"),
        (TEST.replace("rule:", "rules:"), "5:12: [0].expect.rules: unknown key"),
        (TEST.replace("audience: https", "actor_token_type: jwt, audience: https"), "this test has no `actor`"),
        (TEST + TEST, "6:9: [1].name: another test, on line 1, has this name"),
        (TEST.replace("  client: orders-bff\n", ""), "[0].client: is missing"),
        (TEST.replace("{sub: u1}", "[]"), "[0].subject.claims: write a mapping"),
        (TEST.replace("request: {audience: https://orders.acme.example}", "request: {audience: []}"), "list at least"),
        ("[]", "shop.yaml:1:1: list at least one test"),
        ("a: b", "shop.yaml:1:1: write a list"),
        ("- a", "shop.yaml:1:3: [0]: write a mapping"),
        ("", "shop.yaml:1:1: the file is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_test_is_said_with_its_place(tmp_path, text, expected):
    (line,) = faults(directory(tmp_path, text))
    assert expected in line


def test_a_file_of_another_name_is_a_fault_and_a_readme_is_not(tmp_path):
    root = directory(tmp_path, name="shop.yml")
    assert faults(root) == [
        "shop.yml:1:1: a file here is called [a-z0-9][a-z0-9-]* plus .yaml; rename or remove it"
    ]
    (root / "tests/shop.yml").rename(root / "tests/README.md")
    assert load_tests(root) == ()


def test_faults_of_tests_concern_the_check_and_never_the_service(tmp_path):
    root = directory(tmp_path, TEST.replace("orders-bff", "nobody"))
    before = load(write(tmp_path / "plain"), environ={}).sha256
    assert load(root, environ={}).sha256 == before
    checked = CliRunner().invoke(command, [str(root)])
    assert checked.exit_code == 1
    assert "tests/shop.yaml:2:11: [0].client: no client has this client_id" in checked.output


def test_faults_of_tests_and_policies_are_shown_together(tmp_path):
    root = directory(tmp_path, TEST.replace("orders-bff", "nobody"), server="issuer: x\n")
    output = CliRunner().invoke(command, [str(root)]).output.replace(str(root), "policies").splitlines()
    assert [line.partition(": ")[0] for line in output] == [
        "policies/server.yaml:1:9",
        "policies/tests/shop.yaml:2:11",
    ]


def test_the_tests_are_counted(tmp_path):
    output = CliRunner().invoke(command, [str(directory(tmp_path))]).output
    assert output.endswith("1 rule, 2 tests: no faults\n")
