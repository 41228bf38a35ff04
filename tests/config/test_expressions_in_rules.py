"""``when``, ``actor``, ``delegation``, ``mode`` and claims by ``expression``: what loads and where it is wrong."""

from __future__ import annotations

import pytest

from tests.config.policy_texts import AUDIENCE, ISSUER, SERVER, faults, loaded

WHEN = """subject.claims.tenant == "acme" && !("guest" in subject.claims.groups)"""


def the_rule(tmp_path, text, **changes):
    (rule,) = loaded(tmp_path, audiences__orders=text, **changes).targets["https://orders.acme.example"].rules
    return rule


def test_a_rule_without_them_asks_for_nothing(tmp_path):
    text = AUDIENCE.replace("    delegation: allowed ", "    # ").replace("    mode: enforce\n", "")
    rule = the_rule(tmp_path, text)
    assert (rule.when, rule.actor_issuers, rule.actor_claims) == (None, None, ())
    assert (rule.delegation, rule.mode) == ("allowed", "enforce")


def test_when_is_compiled(tmp_path):
    rule = the_rule(tmp_path, AUDIENCE + f"    when: {WHEN}\n")
    assert rule.when.text == WHEN


def test_an_actor_has_issuers_and_claims(tmp_path):
    text = AUDIENCE + "    actor: {issuer: [acme, self], claims: {kind: robot}}\n"
    rule = the_rule(tmp_path, text.replace("delegation: allowed", "delegation: required"))
    assert rule.actor_issuers == {"acme", "self"}
    assert [str(condition) for condition in rule.actor_claims] == ["kind equals robot"]
    assert rule.delegation == "required"


def test_our_own_tokens_are_called_self(tmp_path):
    assert the_rule(tmp_path, AUDIENCE.replace("issuer: acme", "issuer: [acme, self]")).subject_issuers == {
        *("acme", "self")
    }


def test_trial_runs_are_marked(tmp_path):
    policies = loaded(
        tmp_path,
        issuers__acme=ISSUER + "mode: audit\n",
        audiences__orders=AUDIENCE.replace("mode: enforce", "mode: audit"),
    )
    assert {issuer.mode for issuer in policies.issuers.values()} == {"audit"}
    assert {rule.mode for target in policies.targets.values() for rule in target.rules} == {"audit"}


def test_a_request_may_name_several_targets(tmp_path):
    assert (
        loaded(tmp_path, server=SERVER.replace("max_targets: 1 ", "max_targets: 3 ")).server.max_targets == 3
    )


def test_a_claim_may_come_from_an_expression(tmp_path):
    text = """'has(subject.claims.plan) && subject.claims.plan == "gold" ? "gold" : "basic"'"""
    rule = the_rule(tmp_path, AUDIENCE.replace("{value: eu}", f"{{expression: {text}}}"))
    (source,) = (source for source in rule.claims if source.name == "region")
    assert (source.copy, source.value, source.expression.text) == (None, None, text.strip("'"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # in the line itself: the place in the file is that of the mistake
        ("    when: subject.claims.a == subject.foo\n", "27:38: rules[0].when: unknown name subject.foo"),
        ("    when: 'true && subject.foo'\n", "27:27: rules[0].when: unknown name subject.foo"),
        ('    when: "true && subject.foo"\n', "27:27: rules[0].when: unknown name subject.foo"),
        # escapes and several lines: the place in the expression is named
        ("    when: 'subject.foo == ''a'''\n", "27:11: rules[0].when: line 1, column 8 of it: unknown name"),
        ("    when: |\n      true &&\n      tenant == 'a'\n", "27:11: rules[0].when: line 2, column 1 of it: unknown"),
        ("    when: >-\n      true &&\n      tenant == 'a'\n", "27:11: rules[0].when: line 1, column 9 of it: unknown"),
        ("    when: subject.id\n", "27:11: rules[0].when: the expression must be true or false"),
        ("    when: true\n", "27:11: rules[0].when: write a text"),
        ("    when: ''\n", "27:11: rules[0].when: write a text"),
        ("    when: subject.claims.a ==\n", "27:30: rules[0].when: not CEL"),
        ("    actor: {}\n", "27:12: rules[0].actor: name `issuer` or `claims`"),
        ("    actor: {issuer: nobody}\n", "27:21: rules[0].actor.issuer: no file of issuers/ has this name"),
        ("    actor: {issuer: []}\n", "27:21: rules[0].actor.issuer: list at least one issuer"),
        ("    actor: {claims: {}}\n", "27:21: rules[0].actor.claims: write at least one condition"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, expected):
    (line,) = faults(tmp_path, audiences__orders=AUDIENCE + text)
    assert expected in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{expression: subject.claims.a + }", "24:46: rules[0].claims.region.expression: not CEL"),
        ("{expression: timestamp('x')}", "24:28: rules[0].claims.region.expression: the expression must be a string"),
        ("{expression: 'true', value: 1}", "24:15: rules[0].claims.region: write exactly one of `copy`"),
        ("{expression: 1}", "24:28: rules[0].claims.region.expression: write a text"),
    ],
)  # fmt: skip
def test_a_wrong_claim_is_said_with_its_place(tmp_path, text, expected):
    (line,) = faults(tmp_path, audiences__orders=AUDIENCE.replace("{value: eu}", text))
    assert expected in line


def test_an_actor_where_there_is_never_one_is_a_fault(tmp_path):
    text = AUDIENCE.replace("delegation: allowed", "delegation: none   ") + "    actor: {issuer: acme}\n"
    (line,) = faults(tmp_path, audiences__orders=text)
    assert "27:5: rules[0].actor: with `delegation: none` there is never an actor" in line


def test_a_denial_may_ask_for_an_actor_and_an_expression(tmp_path):
    head = AUDIENCE.partition("  - id")[0]
    text = (
        head
        + "  - {id: a, deny: no robots, actor: {claims: {kind: robot}}, when: client.id == 'x', mode: audit}\n"
    )
    rule = the_rule(tmp_path, text)
    assert (rule.deny, rule.when.text, rule.mode) == ("no robots", "client.id == 'x'", "audit")
