"""``authentication.workload``: which process is this client; who may vouch for it, and what is never two clients."""

from __future__ import annotations

import json

import jsonschema
import pytest

from exchange.config.json_schema import json_schema
from exchange.config.values import WorkloadIdentity
from tests.config.policy_texts import CLIENT, faults, loaded
from tests.config.test_workload_issuers import CLUSTER, GITHUB
from tests.docs.pages import blocks, page

POD = "system:serviceaccount:shop:bff"
HEAD = "client_id: bff\nauthentication:\n"
ONE = f'  workload: {{issuer: cluster, subject: "{POD}"}}\n'
TENANTS = """\
issuer: https://oidc.circleci.com/org/{tenant}
kind: workload
profile: circleci
tenant: {claim: oidc.circleci.com/org-id, allow: [TENANTS]}
audience: [https://exchange.acme.example]
"""


def files(client: str = HEAD + ONE, **more: str) -> dict[str, str]:
    return {"issuers/cluster": CLUSTER, "clients/bff": client, **more}


def method_of(tmp_path, client, **more):
    return loaded(tmp_path, **files(client, **more)).clients["bff"].workload


def test_issuer_and_subject_say_whose_token_it_is(tmp_path):
    method = method_of(tmp_path, HEAD + ONE)
    assert method.identities == (WorkloadIdentity("cluster", POD),)
    assert method.assertion_audience == "any"


def test_the_contract_s_methods_stand_side_by_side(tmp_path):
    text = HEAD + "  private_key_jwt: {jwks_file: keys/orders-bff.json}\n" + ONE
    client = loaded(tmp_path, **files(text)).clients["bff"]
    assert client.workload
    assert client.private_key_jwt
    assert client.check_endpoint_auth_method("workload", "token")


def test_a_list_is_several_processes_of_one_client(tmp_path):
    text = (
        HEAD
        + f'  workload:\n  - {{issuer: cluster, subject: "{POD}"}}\n  - {{issuer: ci, subject: "repo:acme/shop"}}\n'
    )
    found = method_of(tmp_path, text, **{"issuers/ci": GITHUB}).identities
    assert found == (WorkloadIdentity("cluster", POD), WorkloadIdentity("ci", "repo:acme/shop"))


@pytest.mark.parametrize(
    ("client", "narrowed"),
    [
        (HEAD + "  assertion_audience: issuer\n" + ONE, ("issuer", None)),
        ("assertion_audience: issuer\n" + HEAD + ONE, ("issuer", None)),
        ("assertion_audience: any\n" + HEAD + ONE, ("any", None)),
        (HEAD + "  assertion_audience: issuer\n  private_key_jwt: {jwks_file: keys/orders-bff.json}\n" + ONE, ("issuer", "issuer")),
        (HEAD + "  private_key_jwt: {jwks_file: keys/orders-bff.json, assertion_audience: issuer}\n" + ONE, ("any", "issuer")),
    ],
)  # fmt: skip
def test_the_audience_is_narrowed_where_it_is_said_for_all_assertions(tmp_path, client, narrowed):
    found = loaded(tmp_path, **files(client)).clients["bff"]
    own = found.private_key_jwt.assertion_audience if found.private_key_jwt else None
    assert (found.workload.assertion_audience, own) == narrowed


FAULTS = [
    (ONE.replace("cluster", "clutser"), {}, "3:22: authentication.workload.issuer: no file of issuers/ has this name; did you mean cluster?"),
    (ONE.replace("cluster", "acme"), {}, "3:22: authentication.workload.issuer: this issuer is not of `kind: workload`"),
    (ONE.replace("cluster", "self"), {}, "authentication.workload.issuer: no file of issuers/ has this name"),
    (ONE.replace("issuer: cluster, ", ""), {}, "authentication.workload.issuer: is missing"),
    ("  workload: {issuer: cluster}\n", {}, "authentication.workload.subject: is missing"),
    (ONE.replace(f'"{POD}"', f'["{POD}"]'), {}, "authentication.workload.subject: write a string"),
    (ONE.replace(f'"{POD}"', "{prefix: 'system:'}"), {}, "authentication.workload.subject: write a string"),
    (ONE.replace(f'"{POD}"', '""'), {}, "authentication.workload.subject: write a name that is not empty"),
    (ONE.replace("issuer: cluster", "issuer: [cluster]"), {}, "authentication.workload.issuer: write a string"),
    (ONE.replace("}", ", audience: x}"), {}, "authentication.workload.audience: unknown key"),
    ("  workload: []\n", {}, "authentication.workload: list at least one issuer and subject"),
    ("  workload: cluster\n", {}, "authentication.workload: write a mapping"),
    (f'  workload: [{{issuer: cluster, subject: "{POD}"}}, {{issuer: cluster}}]\n', {}, "authentication.workload[1].subject: is missing"),
    (f'  workload: [{{issuer: cluster, subject: "{POD}"}}, {{issuer: cluster, subject: "{POD}"}}]\n', {}, "authentication.workload[1]: this issuer and subject are already in"),
    (ONE, {"clients/other": HEAD.replace("bff", "other") + ONE}, "clients/other.yaml:3:13: authentication.workload: this issuer and subject are already in policies/clients/bff.yaml:3"),
    (ONE.replace("cluster", "tenants"), {"issuers/tenants": TENANTS.replace("TENANTS", "one, two")}, "authentication.workload.issuer: this file is about several tenants"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "more", "expected"), FAULTS)
def test_what_is_wrong_is_said_at_its_place(tmp_path, text, more, expected):
    (line,) = faults(tmp_path, **files(HEAD + text, **more))
    assert expected in line


def test_one_tenant_of_a_template_vouches(tmp_path):
    one = TENANTS.replace("TENANTS", "one")
    text = HEAD + ONE.replace("cluster", "tenants")
    assert method_of(tmp_path, text, **{"issuers/tenants": one}).identities[0].issuer == "tenants"


@pytest.mark.parametrize(
    "name", ["client_id: https://kubernetes.default.svc\n", "client_id: https://oidc.circleci.com/org/one\n"]
)
def test_no_client_has_the_name_of_an_issuer_that_vouches(tmp_path, name):
    (line,) = faults(
        tmp_path,
        **files(**{
            "issuers/tenants": TENANTS.replace("TENANTS", "one"),
            "clients/named": name + "authentication: {private_key_jwt: {jwks_file: keys/orders-bff.json}}\n",
        }),
    )  # fmt: skip
    assert "clients/named.yaml:1:12: client_id: this is the issuer of a `kind: workload` file" in line


def test_a_client_may_have_the_name_of_any_other_issuer(tmp_path):
    assert faults(tmp_path, **{"clients/orders-bff": CLIENT}) == []
    named = CLIENT.replace("client_id: orders-bff", "client_id: https://login.acme.example/realms/main")
    found = faults(tmp_path, **{"clients/orders-bff": named})
    assert not [line for line in found if "this is the issuer" in line]


def test_a_shared_platform_must_be_bound_although_a_client_names_its_subject(tmp_path):
    unbound = GITHUB.partition("require")[0]
    text = HEAD + '  workload: {issuer: ci, subject: "repo:acme/shop:ref:refs/heads/main"}\n'
    (line,) = faults(tmp_path, **files(text, **{"issuers/ci": unbound}))
    assert "strangers get tokens of GitHub Actions too" in line


@pytest.mark.parametrize("number", range(2))
def test_what_the_page_shows_loads(tmp_path, number):
    _, _, rest = page("policies.md").partition("### Workloads as clients")
    spire = CLUSTER.replace("kubernetes.default.svc", "spire.acme.example").replace("kubernetes", "spiffe")
    shown = "client_id: bff\n" + blocks(rest, "yaml")[number]
    assert len(method_of(tmp_path, shown, **{"issuers/spire": spire}).identities) == number + 1


@pytest.mark.parametrize(
    ("workload", "fits"),
    [
        ({"issuer": "cluster", "subject": POD}, True),
        ([{"issuer": "cluster", "subject": POD}], True),
        ([], False),
        ({"issuer": "cluster"}, False),
        ("cluster", False),
        ({"issuer": "cluster", "subject": {"prefix": "x"}}, False),
    ],
)
def test_an_editor_knows_its_form(workload, fits):
    validator = jsonschema.Draft7Validator(json.loads(json_schema("client")))
    assert validator.is_valid({"authentication": {"workload": workload}}) is fits
