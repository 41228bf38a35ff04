"""``kind: workload`` in an issuer's file: what must stand with it, whose tokens it takes, and what is dangerous."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from exchange.cli.check import command
from exchange.config.profiles import shipped_profiles
from tests.config.policy_texts import AUDIENCE, faults, loaded, write

PROFILES = "buildkite, circleci, github-actions, gitlab-ci, kubernetes, spiffe, vault"
GITHUB = """\
issuer: https://token.actions.githubusercontent.com
kind: workload
profile: github-actions
audience: [https://exchange.acme.example]
require: {repository_owner_id: "1234567", ref: refs/heads/main}   # the loader refuses a shared issuer without a binding
"""
CLUSTER = """\
issuer: https://kubernetes.default.svc
kind: workload
profile: kubernetes
audience: [https://exchange.acme.example]
"""
ORDINARY = "issuer: https://login.other.example\nprofile: keycloak\naudience: https://bff.acme.example\n"
RULE = """\
  - id: pods
    client: orders-bff
    subject: {issuer: ci}
    presenter: any
    why: A pod brings its own token.
    scopes: {orders:read: always}
"""


def test_the_example_of_the_language_loads_as_it_stands(tmp_path):
    issuer = loaded(tmp_path, issuers__ci=GITHUB).issuers["https://token.actions.githubusercontent.com"]
    assert issuer.kind == "workload"
    assert [str(path) for path in issuer.subject] == ["sub"]
    assert issuer.scope == ()
    assert issuer.client == ()
    assert issuer.max_token_lifetime == 366 * 86400
    assert not issuer.tolerate


def test_an_ordinary_issuer_keeps_its_own_defaults(tmp_path):
    (issuer,) = loaded(tmp_path).issuers.values()
    assert issuer.kind == "access_token"
    assert issuer.max_token_lifetime == 25 * 3600


def test_a_file_may_say_more_of_a_workload_issuer(tmp_path):
    text = CLUSTER + "max_token_lifetime: 2h\nclient: {claim: sub}\nsubject_format: plain\nenabled: false\n"
    issuer = loaded(tmp_path, issuers__ci=text).issuers["https://kubernetes.default.svc"]
    assert issuer.max_token_lifetime == 7200
    assert [str(path) for path in issuer.client] == ["sub"]
    assert issuer.enabled is False


@pytest.mark.parametrize("name", PROFILES.split(", "))
def test_a_profile_of_workloads_has_a_marker_of_its_own_and_none_of_access_tokens(name):
    shipped = shipped_profiles().by_name[name]
    assert shipped.workload
    assert "access_token" not in shipped.shape


def test_no_other_profile_is_one_of_workloads():
    assert ", ".join(name for name, one in shipped_profiles().by_name.items() if one.workload) == PROFILES


FAULTS = [
    (ORDINARY + "kind: workload\n", "2:10: profile: keycloak is a profile of access tokens; with `kind: workload` write one of buildkite"),
    (ORDINARY.replace("profile: keycloak", "kind: workload"), f"2:7: kind: `kind: workload` needs the profile of its platform; write one of {PROFILES}"),
    (CLUSTER.replace("kind: workload\n", ""), "2:10: profile: kubernetes is a profile of workload tokens; write `kind: workload` too"),
    (CLUSTER.replace("workload", "machine"), "2:7: kind: write workload"),
    (CLUSTER + "access_token: {marker: [{claims: {typ: Bearer}}]}\n", "5:1: access_token: not with `kind: workload`"),
    (CLUSTER + "scope: {claim: scope}\n", "5:1: scope: not with `kind: workload`: its tokens carry no scopes; grant `always`"),
    (CLUSTER + "accept_weak_marker: true\n", "5:1: accept_weak_marker: not with `kind: workload`"),
    (CLUSTER.replace("kubernetes.default.svc", "x.example").replace("profile: kubernetes", "profile: google"), "profile: google is a profile of access tokens"),
    (CLUSTER.replace("https://kubernetes.default.svc", "spiffe://acme.example").replace("kubernetes", "spiffe"), "1:9: issuer: write an absolute https:// URL"),
    (CLUSTER.replace("https:", "http:"), "1:9: issuer: write an https:// URL"),
    (GITHUB.replace("github-actions", "gitlab-ci"), "1:9: issuer: this is an issuer of GitHub Actions; the profile gitlab-ci does not fit"),
    (GITHUB.partition("require")[0], "1:9: issuer: strangers get tokens of GitHub Actions too"),
    (GITHUB.replace('repository_owner_id: "1234567", ', ""), "5:10: require: strangers get tokens of GitHub Actions too"),
    (GITHUB.replace('repository_owner_id: "1234567"', "repository: acme/shop"), "5:10: require: strangers get"),
    (GITHUB.replace('"1234567"', "{present: true}"), "5:10: require: strangers get"),
    (GITHUB.replace('repository_owner_id: "1234567"', "sub: {glob: '*'}"), "5:10: require: strangers get"),
    (GITHUB.replace('repository_owner_id: "1234567"', "sub: {pattern: .*}"), "5:10: require: strangers get"),
    (GITHUB + "enabled: false\n" + "mode: audit\n", None),
    (CLUSTER.replace("https://kubernetes.default.svc", "https://gitlab.com").replace("kubernetes", "gitlab-ci"), "1:9: issuer: strangers get tokens of gitlab.com too"),
    (CLUSTER.replace("https://kubernetes.default.svc", "https://agent.buildkite.com").replace("kubernetes", "buildkite"), "strangers get tokens of Buildkite too"),
    (CLUSTER.replace("https://kubernetes.default.svc", "https://oidc.circleci.com/org/x").replace("kubernetes", "circleci"), "strangers get tokens of CircleCI too"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FAULTS)
def test_what_does_not_go_together_is_a_fault_that_says_what_to_write(tmp_path, text, expected):
    found = faults(tmp_path, issuers__ci=text)
    if expected is None:
        assert found == []
    else:
        assert [line for line in found if expected in line], found
        assert len(found) == 1, found


def test_a_rule_that_binds_does_not_make_up_for_a_shared_issuer_that_does_not(tmp_path):
    bound = RULE.replace("{issuer: ci}", '{issuer: ci, claims: {repository_owner_id: "1"}}')
    found = faults(tmp_path, issuers__ci=GITHUB.partition("require")[0], audiences__orders=AUDIENCE + bound)
    assert len(found) == 1
    assert "strangers get tokens" in found[0]


def test_an_issuer_that_is_no_url_is_taken_where_its_keys_are_named(tmp_path):
    named = CLUSTER.replace("https://kubernetes.default.svc", "spiffe://acme.example").replace(
        "kubernetes", "spiffe"
    )
    policies = loaded(tmp_path, issuers__ci=named + "keys: {jwks_uri: https://spire.acme.example/bundle}\n")
    assert "spiffe://acme.example" in policies.issuers


def test_the_tenant_is_a_binding_where_the_issuer_has_one(tmp_path):
    text = """\
issuer: https://oidc.circleci.com/org/{tenant}
kind: workload
profile: circleci
tenant: {claim: oidc.circleci.com/org-id, allow: [5f0d6c3e-8a1b-4c2d-9e7f-0a1b2c3d4e5f]}
audience: [https://exchange.acme.example]
"""
    (issuer,) = (one for one in loaded(tmp_path, issuers__ci=text).issuers.values() if one.name == "ci")
    assert issuer.issuer == "https://oidc.circleci.com/org/5f0d6c3e-8a1b-4c2d-9e7f-0a1b2c3d4e5f"


def warnings(tmp_path, issuer, rule):
    root = write(tmp_path / "policies", **{"issuers/ci": issuer, "audiences/orders": AUDIENCE + rule})
    result = CliRunner().invoke(command, [str(root)])
    assert result.exit_code == 0, result.output
    return [line for line in result.output.splitlines() if "warning" in line and "presenter: any" not in line]


def said(tmp_path, issuer, rule):
    found = warnings(tmp_path, issuer, rule)
    return [line for line in found if "presenter: whoever holds" not in line]


def test_a_rule_for_any_pod_of_the_cluster_is_a_danger(tmp_path):
    (line,) = said(tmp_path, CLUSTER, RULE)
    assert "ci.yaml:1:9: issuer: a rule takes the token of any workload of this issuer" in line


@pytest.mark.parametrize(
    ("issuer", "rule"),
    [
        (CLUSTER + "require: {/kubernetes.io/namespace: shop}\n", RULE),
        (
            CLUSTER,
            RULE.replace("{issuer: ci}", '{issuer: ci, claims: {sub: "system:serviceaccount:shop:bff"}}'),
        ),
        (CLUSTER, ""),
        (GITHUB, RULE),
        (CLUSTER, "  - {id: no, deny: nothing for pods, subject: {issuer: ci}}\n"),
    ],
)
def test_where_the_subject_is_bound_or_nothing_is_permitted_it_is_none(tmp_path, issuer, rule):
    assert said(tmp_path, issuer, rule) == []


def test_always_is_the_one_way_to_grant_a_workload_something_and_no_danger(tmp_path):
    bound = CLUSTER + "require: {/kubernetes.io/namespace: shop}\n"
    mixed = RULE.replace("issuer: ci", "issuer: [ci, acme]")
    assert any("granted always" in line for line in said(tmp_path, bound, mixed))


def test_a_scope_that_a_workload_s_token_would_have_to_carry_is_a_danger(tmp_path):
    bound = CLUSTER + "require: {/kubernetes.io/namespace: shop}\n"
    (line,) = said(tmp_path, bound, RULE.replace("always", "[orders.read]"))
    assert "never granted, for a workload's token carries no scopes; write `always`" in line
