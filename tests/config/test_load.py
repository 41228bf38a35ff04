"""What the example of the contract means, and what the whole directory must look like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exchange.claim_path import ClaimPath
from exchange.config.load import PolicyFaults, load
from exchange.config.values import ScopeGrant
from tests.config.policy_texts import (
    AUDIENCE,
    CLIENT,
    FULL_AUDIENCE,
    FULL_ISSUER,
    ISSUER,
    SERVER,
    faults,
    faults_of,
    key_set,
    loaded,
    write,
)


def test_the_example_of_the_contract_loads_as_written(tmp_path):
    policies = loaded(tmp_path, issuers__acme=FULL_ISSUER, audiences__orders=FULL_AUDIENCE)

    server = policies.server
    assert (server.issuer, server.signing_algorithm) == ("https://exchange.acme.example", "ES256")
    assert (server.token_lifetime, server.max_token_lifetime, server.clock_skew) == (300, 3600, 30)
    assert (server.max_delegation_depth, server.max_targets) == (4, 1)

    client = policies.clients["orders-bff"]
    assert client.audience == {"https://bff.acme.example"}
    assert client.authorized_party == {"orders-bff"}
    assert client.default_target == "https://orders.acme.example"
    assert client.client_secret is None
    assert client.private_key_jwt.keys.document == key_set()
    assert client.private_key_jwt.assertion_audience == "any"

    target = policies.targets["https://orders.acme.example"]
    assert policies.targets["https://orders.acme.example/api"] is target
    assert (target.token_lifetime, target.scopes) == (120, {"orders:read", "orders:write"})
    (rule,) = target.rules
    assert rule.when.text == 'subject.claims.tenant == "acme" && !("guest" in subject.claims.groups)'
    assert rule.claims[-1].expression.text.endswith('? "gold" : "basic"')


@pytest.mark.parametrize("constraint", ["none", "dpop", "mtls", "any"])
def test_an_audience_says_what_its_tokens_must_be_bound_to(tmp_path, constraint):
    bound = AUDIENCE.replace("constraint: none", f"constraint: {constraint}")
    targets = loaded(tmp_path / "a", audiences__orders=bound).targets.values()
    assert {target.sender_constraint for target in targets} == {constraint}
    silent = AUDIENCE.replace("sender_constraint: none\n", "")
    targets = loaded(tmp_path / "b", audiences__orders=silent).targets.values()
    assert {target.sender_constraint for target in targets} == {"none"}


def test_nonces_of_dpop_proofs_are_required_unless_they_are_optional(tmp_path):
    assert loaded(tmp_path / "a").server.dpop_nonce == "required"
    assert loaded(tmp_path / "b", server=SERVER + "dpop_nonce: optional\n").server.dpop_nonce == "optional"


def test_an_issuer_takes_what_it_does_not_say_from_its_profile(tmp_path):
    short = loaded(tmp_path / "a").issuers["https://login.acme.example/realms/main"]
    full = loaded(tmp_path / "b", issuers__acme=FULL_ISSUER).issuers["https://login.acme.example/realms/main"]

    assert [str(c) for m in short.marker for c in m.claims] == ["typ one_of [Bearer, DPoP]"]
    assert [m.label for m in short.marker] == [f"keycloak[{index}]" for index in range(len(short.marker))]
    assert [m.label for m in full.marker] == ["access_token.marker[0]", "access_token.marker[1]"]
    assert [str(c) for c in full.marker[1].header] == ["typ equals at+jwt"]
    assert full.tolerate == {"nonce"}
    assert [str(c) for c in full.require] == ["tenant one_of [acme, acme-eu]"]
    assert (short.max_token_age, short.max_token_lifetime) == (None, 25 * 3600)
    assert (full.max_token_age, full.algorithms) == (3600, {"RS256"})
    for issuer in (short, full):
        assert issuer.name == "acme"
        assert issuer.profile.name == "keycloak"
        assert issuer.audience == {"https://bff.acme.example"}
        assert issuer.keys.discovery == issuer.issuer
        assert issuer.required_claims == (ClaimPath("sub"), ClaimPath("iat"), ClaimPath("exp"))
        assert issuer.subject == (ClaimPath("sub"),)
        assert issuer.client == (ClaimPath("azp"),)
        assert issuer.subject_format == "qualified"
        assert issuer.enabled


def test_what_an_access_token_looks_like_is_replaced_as_a_whole(tmp_path):
    own = ISSUER + "access_token: {marker: [{claims: {kind: access}}]}\n"
    issuer = next(iter(loaded(tmp_path, issuers__acme=own).issuers.values()))
    assert [str(c) for c in issuer.marker[0].claims] == ["kind equals access"]
    assert len(issuer.marker) == 1
    assert issuer.tolerate == frozenset()


def test_the_rule_of_the_example_means_what_it_says(tmp_path):
    target = loaded(tmp_path).targets["https://orders.acme.example"]
    (rule,) = target.rules
    assert (rule.id, rule.source.line, rule.source.column) == ("shop-reads-orders", 8, 5)
    assert (rule.clients, rule.subject_issuers) == ({"orders-bff"}, {"acme"})
    assert [str(c) for c in rule.subject_claims] == [
        "email_verified equals true",
        "/realm_access/roles contains customer",
    ]
    assert rule.scopes == (
        ScopeGrant("orders:read", always=False, needs=frozenset({"orders.read", "openid-orders"})),
        ScopeGrant("orders:write", always=False, needs=frozenset({"orders.write"})),
    )
    assert [(c.name, c.copy and str(c.copy), c.value) for c in rule.claims] == [
        ("tenant", "tenant", None),
        ("roles", "/realm_access/roles", None),
        ("region", None, "eu"),
    ]
    assert (rule.presenter, rule.deny, rule.token_lifetime) == ("audience", None, 60)
    assert target.rules_by_client == {"orders-bff": (rule,)}


def test_rules_are_found_by_client_in_the_order_of_the_file(tmp_path):
    text = AUDIENCE.partition("rules:")[0] + (
        "rules:\n"
        "  - {id: nobody-from-evil, deny: Left the group., subject: {issuer: acme, claims: {tenant: evil}}}\n"
        "  - {id: a, client: orders-bff, subject: {issuer: acme}, scopes: {orders:read: always}}\n"
        "  - {id: b, client: other, subject: {issuer: [acme]}, scopes: {orders:read: x}}\n"
        "  - {id: c, client: [orders-bff, denied], deny: Never more.}\n"
    )
    other = CLIENT.replace("orders-bff  ", "other").replace("audience: [https://bff", "audience: [https://b2")
    denied = other.replace("other", "denied").replace("b2", "b3")
    target = loaded(tmp_path, audiences__orders=text, clients__other=other, clients__denied=denied).targets[
        "https://orders.acme.example"
    ]
    found = {client: [rule.id for rule in rules] for client, rules in target.rules_by_client.items()}
    assert found == {
        "orders-bff": ["nobody-from-evil", "a", "c"],
        "other": ["nobody-from-evil", "b"],
        "denied": ["nobody-from-evil", "c"],
    }
    assert target.rules[0].clients is None
    assert target.rules[3].subject_issuers is None
    assert target.rules[1].scopes[0].always


def test_what_is_fixed_in_a_claim_is_frozen(tmp_path):
    text = AUDIENCE.replace("{value: eu}", "{value: {a: [1, {b: false}]}}")
    rule = loaded(tmp_path, audiences__orders=text).targets["https://orders.acme.example"].rules[0]
    value = rule.claims[2].value
    assert value["a"][1]["b"] is False
    with pytest.raises(TypeError):
        value["a"] = 1
    assert isinstance(value["a"], tuple)


def test_values_cannot_be_changed(tmp_path):
    policies = loaded(tmp_path)
    for mapping in (policies.issuers, policies.clients, policies.targets):
        with pytest.raises(TypeError):
            mapping["x"] = None


def test_the_environment_overrides_the_issuer(tmp_path):
    assert loaded(tmp_path / "a", {"EXCHANGE_ISSUER": "http://127.0.0.1:8080"}).server.issuer == (
        "http://127.0.0.1:8080"
    )
    assert loaded(tmp_path / "b", {"EXCHANGE_ISSUER": ""}).server.issuer == "https://exchange.acme.example"
    without = SERVER.partition("\n")[2]
    assert loaded(
        tmp_path / "c", {"EXCHANGE_ISSUER": "https://x.example/a/"}, server=without
    ).server.issuer == ("https://x.example/a/")
    assert faults(tmp_path / "d", server=without)[0].startswith(
        "policies/server.yaml:1:1: issuer: is missing"
    )
    assert "EXCHANGE_ISSUER: write" in faults(tmp_path / "e", {"EXCHANGE_ISSUER": "http://x.example"})[0]


def test_server_has_the_defaults_of_the_contract(tmp_path):
    server = loaded(tmp_path / "a", server="issuer: https://exchange.acme.example\n").server
    assert (server.token_lifetime, server.max_token_lifetime, server.clock_skew) == (300, 3600, 30)
    assert (server.signing_algorithm, server.max_delegation_depth, server.max_targets) == ("ES256", 4, 1)
    short = "issuer: https://exchange.acme.example\nmax_token_lifetime: 90\n"
    audience = AUDIENCE.replace("2m", "1m")
    assert loaded(tmp_path / "b", server=short, audiences__orders=audience).server.token_lifetime == 90


# ── the directory ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_directory_or_file_is_a_fault(tmp_path):
    assert faults_of(tmp_path / "none") == ["policies:1:1: the policies directory does not exist"]
    (tmp_path / "empty").mkdir()
    assert [line.partition(": ")[0] for line in faults_of(tmp_path / "empty")] == [
        "policies/audiences:1:1",
        "policies/clients:1:1",
        "policies/issuers:1:1",
        "policies/server.yaml:1:1",
    ]


def test_directories_may_be_empty_and_then_nothing_is_allowed(tmp_path):
    policies = loaded(tmp_path, issuers__acme=None, clients__orders_bff=None, audiences__orders=None)
    assert (dict(policies.issuers), dict(policies.clients), dict(policies.targets)) == ({}, {}, {})


@pytest.mark.parametrize(
    "name",
    ["Acme.yaml", "acme.yml", "acme_2.yaml", "-a.yaml", "notes.txt", "a.b.yaml", "acmé.yaml", "x.yaml~"],
)
def test_a_file_of_another_name_is_a_fault(tmp_path, name):
    root = write(tmp_path / "p")
    (root / "issuers" / name).write_text(ISSUER)
    (line,) = faults_of(root)
    assert line.startswith(f"policies/issuers/{name}:1:1: a file here is called")


def test_a_directory_where_a_file_belongs_is_a_fault(tmp_path):
    root = write(tmp_path / "p")
    (root / "issuers/other.yaml").mkdir()
    assert faults_of(root)


def test_dot_files_and_a_readme_are_not_policy(tmp_path):
    root = write(tmp_path / "p")
    (root / "issuers/.gitkeep").touch()
    (root / "issuers/.acme.yaml.swp").write_text("x")
    (root / "issuers/README.md").write_text("# Issuers")
    (root / "tests").mkdir()
    (root / "tests/anything.yaml").write_text("- name: x")
    assert faults_of(root) == []


def test_a_mounted_config_map_loads(tmp_path):
    """Kubernetes mounts files as links through ``..data``."""
    root = write(tmp_path / "p")
    data = root / "issuers/..2024_01_01"
    data.mkdir()
    (root / "issuers/acme.yaml").rename(data / "acme.yaml")
    (root / "issuers/..data").symlink_to("..2024_01_01")
    (root / "issuers/acme.yaml").symlink_to("..data/acme.yaml")
    assert len(load(root, environ={}).issuers) == 1


def test_a_pipe_is_not_waited_for(tmp_path):
    root = write(tmp_path / "p", issuers__acme=None)
    os.mkfifo(root / "issuers/acme.yaml")
    assert faults_of(root)


def test_faults_name_the_directory_as_it_was_given(tmp_path, monkeypatch):
    write(tmp_path / "policies", issuers__acme=ISSUER.replace("audience:  ", "audiences:"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PolicyFaults) as found:
        load(Path("policies"), environ={})
    assert str(found.value).startswith("policies/issuers/acme.yaml:1:1: audience: is missing")


def test_all_faults_come_at_once_and_sorted_by_place(tmp_path):
    found = faults(
        tmp_path,
        server="issuer: ftp://x\nunknown: 1\nclock_skew: no\n",
        issuers__acme="issuer: http://x.example\nprofile: nobody\naudience:\n  []\nenabled: yes\nenabled: no\n",
        clients__orders_bff="authentication: {client_secret: hunter2}\nnonsense: 1\n",
        audiences__orders=AUDIENCE.replace("orders-bff", "nobody")
        .replace("2m", "2h")
        .replace("eu}", "eu, copy: a}"),
    )
    assert [line.partition(" ")[0] for line in found] == [
        "policies/audiences/orders.yaml:3:17:",
        "policies/audiences/orders.yaml:10:13:",
        "policies/audiences/orders.yaml:24:15:",
        "policies/clients/orders-bff.yaml:1:33:",
        "policies/clients/orders-bff.yaml:2:1:",
        "policies/issuers/acme.yaml:1:9:",
        "policies/issuers/acme.yaml:2:10:",
        "policies/issuers/acme.yaml:4:3:",
        "policies/issuers/acme.yaml:5:10:",
        "policies/issuers/acme.yaml:6:1:",
        "policies/server.yaml:1:9:",
        "policies/server.yaml:2:1:",
        "policies/server.yaml:3:13:",
    ]
    assert "policies/issuers/acme.yaml:4:3: audience: list at least one audience" in found
    assert not [line for line in found if "hunter2" in line]


def test_the_digest_changes_with_every_byte_that_was_read_and_with_nothing_else(tmp_path):
    first = loaded(tmp_path / "a").sha256
    assert len(first) == 64
    assert loaded(tmp_path / "b").sha256 == first
    assert loaded(tmp_path / "c", issuers__acme=ISSUER + "#\n").sha256 != first
    root = write(tmp_path / "d")
    (root / "keys/orders-bff.json").write_text(key_set() + " ")
    assert load(root, environ={}).sha256 != first
    (root / "keys/orders-bff.json").write_text(key_set())
    (root / "notes.txt").write_text("not policy")
    assert load(root, environ={}).sha256 == first


def test_a_thousand_issuers_load(tmp_path):
    root = write(tmp_path / "p")
    for number in range(1000):
        text = f"issuer: https://idp-{number}.example/realms/main\nprofile: keycloak\naudience: [https://a.example]\n"
        (root / f"issuers/i{number}.yaml").write_text(text)
    assert len(load(root, environ={}).issuers) == 1001
