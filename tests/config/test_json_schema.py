"""The schemas for editors: current, and of one mind with the loader about what they can see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

from exchange.cli import main
from exchange.config.json_schema import NAMES, json_schema
from exchange.config.json_schema.texts import TEXTS
from exchange.config.profiles import shipped_profiles
from exchange.config.yaml_document import read_yaml
from exchange.errors import REASONS
from exchange.matchers import MATCHER_NAMES
from tests.config.policy_texts import (
    AUDIENCE,
    CLIENT,
    FULL_AUDIENCE,
    FULL_ISSUER,
    HASH,
    ISSUER,
    SERVER,
    faults,
)
from tests.config.test_decision_tests import EXAMPLE, TEST
from tests.config.test_not_yet import REFUSED
from tests.docs.pages import page, policy_files, spoilt_files
from tests.support.service import REPOSITORY

FOLDERS = {"issuers": "issuer", "clients": "client", "audiences": "audience", "tests": "test"}
SHIPPED = sorted((REPOSITORY / "policies").rglob("*.yaml"))
DOCUMENTED = {
    path: text for path, text in policy_files(page("policies.md")).items() if path.endswith(".yaml")
}


def kind_of(path: str) -> str:
    """Return the schema's name for ``policies/issuers/acme.yaml``."""
    return "server" if path.endswith("server.yaml") else FOLDERS[Path(path).parent.name]


def accepted(kind: str, text: str) -> bool:
    return Draft7Validator(json.loads(json_schema(kind))).is_valid(read_yaml(text.encode()).data)


@pytest.mark.parametrize("name", NAMES)
def test_each_schema_is_one_and_everything_in_it_is_described(name):
    schema = json.loads(json_schema(name))
    Draft7Validator.check_schema(schema)
    undescribed = [
        key
        for part in walk(schema)
        for key, value in part.get("properties", {}).items()
        if part.get("additionalProperties") is False and "description" not in value and key not in {"header", "claims"}
    ]  # fmt: skip
    assert undescribed == []


def walk(value):
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def test_no_text_is_about_a_key_that_is_not_there():
    everything = "".join(json_schema(name) for name in NAMES)
    keys = {path.rpartition(".")[2] for path in TEXTS}
    refused = {
        "kind",
        "tenant",
        "allow",
        "introspection",
        "endpoint",
        "cache",
        "tls_client_auth",
        "self_signed",
    }
    refused |= {"workload", "opaque_tokens_from", *FOLDERS, "server"}
    assert {key for key in keys if f'"{key}": {{' not in everything} <= refused


def test_what_is_committed_is_what_the_loader_makes():
    checked = CliRunner().invoke(main, ["schema", "--check", "--dir", str(REPOSITORY / "policies/schema")])
    assert (checked.exit_code, checked.output) == (0, "")
    assert sorted(path.stem for path in (REPOSITORY / "policies/schema").iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_names_its_schema_and_fits_it(path):
    first = path.read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == REPOSITORY / f"policies/schema/{kind_of(str(path))}.json"
    assert accepted(kind_of(str(path)), path.read_text())


@pytest.mark.parametrize("path", DOCUMENTED)
def test_every_documented_file_fits(path):
    assert accepted(kind_of(path), DOCUMENTED[path])


@pytest.mark.parametrize(
    "spoilt",
    [spoilt for spoilt in spoilt_files(page("policies.md")) if "warning: " not in spoilt.output],
    ids=lambda spoilt: spoilt.path,
)
def test_every_documented_file_with_faults_does_not_fit(spoilt):
    assert not accepted(kind_of(spoilt.path), spoilt.text)


SECRET_CLIENT = f"authentication: {{client_secret: {{hash: ['{HASH}', '${{SHOP_HASH}}']}}}}\n"
RULE = "{id: a, client: orders-bff, subject: {issuer: acme}, scopes: {orders:read: always}%s}"
HEAD = AUDIENCE.partition("  - id")[0]

FITS = [
    ("server", SERVER),
    ("server", "issuer: https://exchange.acme.example\nmax_targets: 3\nclock_skew: 0\ntoken_lifetime: 300\n"),
    ("issuer", ISSUER),
    ("issuer", FULL_ISSUER),
    ("issuer", FULL_ISSUER.replace("mode: enforce", "mode: audit")),
    ("issuer", ISSUER + "keys: {jwks_uri: https://a.example/k}\nsubject: {claim: [tid, /user/id]}\n"),
    ("issuer", ISSUER + "require: {a: {type: [string, 'null']}, b: {present: false}, /c/d: 1.5, e: true}\n"),
    ("client", CLIENT),
    ("client", SECRET_CLIENT),
    ("client", "authentication: {client_secret: '${SHOP_SECRET}'}\n"),
    ("audience", AUDIENCE),
    ("audience", FULL_AUDIENCE),
    ("audience", HEAD + "  - {id: a, deny: closed}\n"),
    (
        "audience",
        HEAD + f"  - {RULE % ', actor: {issuer: [acme, self]}, delegation: required, mode: audit'}\n",
    ),
    ("test", EXAMPLE),
    ("test", TEST.replace("{rule: shop-reads-orders}", "{scope: [], claims: {a: null}, lifetime: 1m}")),
]
SPOILT = [
    ("server", SERVER + "log_level: debug\n"),
    ("server", SERVER.replace("ES256  ", "HS256  ")),
    ("server", SERVER.replace("max_targets: 1 ", "max_targets: 0 ")),
    ("server", SERVER.replace("5m ", "5 minutes ")),
    ("server", SERVER.replace("5m ", "-5 ")),
    ("server", "- a\n"),
    ("issuer", ISSUER.replace("keycloak  ", "keycloack  ")),
    ("issuer", ISSUER.partition("audience")[0]),
    ("issuer", ISSUER.partition("audience")[0] + "audience: []\n"),
    ("issuer", ISSUER.replace("https://bff.acme.example", "")),
    ("issuer", ISSUER.replace("issuer: https:", "issuer: file:")),
    ("issuer", ISSUER + "enabled: yes\n"),
    ("issuer", ISSUER + "algorithms: [RS256, HS256]\n"),
    ("issuer", ISSUER + "keys: {discovery: true, jwks_uri: https://a.example/k}\n"),
    ("issuer", ISSUER + "keys: {}\n"),
    ("issuer", ISSUER + "require: {}\n"),
    ("issuer", ISSUER + "require: {a: []}\n"),
    ("issuer", ISSUER + "require: {a: ~}\n"),
    ("issuer", ISSUER + "require: {a: {equal: 1}}\n"),
    ("issuer", ISSUER + "require: {a: {prefix: a, glob: a}}\n"),
    ("issuer", ISSUER + "require: {/a~b: 1}\n"),
    ("issuer", ISSUER + "access_token: {marker: []}\n"),
    ("issuer", ISSUER + "access_token: {marker: [{}]}\n"),
    ("client", CLIENT.partition("authentication")[0]),
    ("client", CLIENT.partition("  private")[0].replace("authentication:", "authentication: {}")),
    ("client", CLIENT.replace("jwks_file: keys/orders-bff.json", "jwks_file: a, jwks_uri: https://a.example")),
    ("client", SECRET_CLIENT.replace(HASH, "correct-horse-battery")),
    ("client", "authentication: {client_secret: correct-horse-battery}\n"),
    ("client", "authentication: {client_secret: {hash: []}}\n"),
    ("audience", AUDIENCE.replace("audience: https", "audienze: https")),
    ("audience", AUDIENCE.partition("rules:")[0]),
    ("audience", AUDIENCE.partition("rules:")[0] + "rules: []\n"),
    ("audience", AUDIENCE.replace("    client: orders-bff\n", "")),
    ("audience", AUDIENCE.replace("      issuer: acme\n", "")),
    ("audience", AUDIENCE.replace("{copy: tenant}", "{copy: tenant, value: a}")),
    ("audience", AUDIENCE.replace("tenant: {copy", "sub: {copy")),
    ("audience", AUDIENCE.replace("[orders.write]", "[]")),
    ("audience", AUDIENCE.replace("presenter: audience", "presenter: anyone")),
    ("audience", AUDIENCE.replace("https://orders.acme.example/api", "orders/api")),
    ("audience", HEAD + f"  - {RULE % ', presenter: any'}\n"),
    ("audience", HEAD + f"  - {RULE % ', deny: closed'}\n"),
    ("audience", HEAD + f"  - {RULE % ', actor: {issuer: acme}, delegation: none'}\n"),
    ("audience", HEAD + f"  - {RULE % ', actor: {}'}\n"),
    ("audience", HEAD + "  - {id: a}\n"),
    ("test", "[]\n"),
    ("test", TEST.replace("rule:", "rules:")),
    ("test", TEST.replace("rule: shop-reads-orders", "")),
    ("test", TEST.replace("rule: shop-reads-orders", "refuse: no_such_reason")),
    ("test", TEST.replace("rule:", "refuse: target_missing, rule:")),
]  # fmt: skip
PLACES = {
    "server": "server",
    "issuer": "issuers/acme",
    "client": "clients/orders-bff",
    "audience": "audiences/orders",
}


@pytest.mark.parametrize(("kind", "text"), FITS)
def test_what_loads_fits(kind, text, tmp_path):
    assert accepted(kind, text)
    if kind in PLACES:
        environ = {"SHOP_HASH": f"sha256:{'cd' * 32}", "SHOP_SECRET": "correct-horse-battery"}
        assert faults(tmp_path, environ, **{PLACES[kind]: text}) == []


@pytest.mark.parametrize(("kind", "text"), SPOILT)
def test_what_is_spoilt_does_not_fit_and_does_not_load(kind, text, tmp_path):
    assert not accepted(kind, text)
    if kind in PLACES:
        assert faults(tmp_path, **{PLACES[kind]: text})


@pytest.mark.parametrize(("name", "text", "_"), REFUSED)
def test_what_this_version_refuses_by_name_does_not_fit(name, text, _):
    assert not accepted(kind_of(f"policies/{name}.yaml"), text)


def test_an_editor_can_complete_profiles_matchers_and_reasons():
    issuer, test = json.loads(json_schema("issuer")), json.loads(json_schema("test"))
    profiles = issuer["properties"]["profile"]["oneOf"]
    assert {entry["const"]: entry["description"] for entry in profiles} == {
        name: found.profile.title for name, found in shipped_profiles().by_name.items()
    }
    matcher = issuer["definitions"]["matcher"]["anyOf"][1]
    assert tuple(matcher["properties"]) == MATCHER_NAMES
    refuse = test["items"]["properties"]["expect"]["properties"]["refuse"]["oneOf"]
    assert {entry["const"] for entry in refuse} == set(REASONS)


def test_the_command_prints_one_or_all_and_writes_them(tmp_path):
    run = CliRunner().invoke
    assert run(main, ["schema", "server"]).output == json_schema("server")
    assert json.loads(run(main, ["schema"]).output) == {name: json.loads(json_schema(name)) for name in NAMES}
    assert run(main, ["schema", "--dir", str(tmp_path / "new/schema")]).exit_code == 0
    assert {path.name for path in (tmp_path / "new/schema").iterdir()} == {f"{name}.json" for name in NAMES}
    assert run(main, ["schema", "robot"]).exit_code == 2


def test_a_schema_that_is_missing_or_old_is_named(tmp_path):
    CliRunner().invoke(main, ["schema", "--dir", str(tmp_path)])
    (tmp_path / "server.json").write_text("{}")
    (tmp_path / "test.json").unlink()
    checked = CliRunner().invoke(main, ["schema", "--check", "--dir", str(tmp_path)])
    assert checked.exit_code == 1
    assert [line.partition(" is out")[0] for line in checked.output.splitlines()] == [
        str(tmp_path / "server.json"),
        str(tmp_path / "test.json"),
    ]
