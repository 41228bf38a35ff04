"""``tenant`` in an issuer's file: one placeholder, the tenants that are listed, and one exact issuer for each."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.check import command
from exchange.config.tenant_template import check_template, check_tenant, expand, templates_of
from tests.config.policy_texts import faults, loaded, write

OURS = "72f988bf-86f1-41af-91ab-2d7cd011db47"
ALSO = "11111111-2222-4333-8444-555555555555"
ENTRA = f"""\
issuer: https://login.microsoftonline.com/{{tenant}}/v2.0
profile: entra-v2
tenant: {{claim: tid, allow: [{OURS}]}}
audience: [api://bff]
"""
TWO = ENTRA.replace(f"[{OURS}]", f"[{OURS}, {ALSO}]")
HOST = """\
issuer: https://{tenant}.idp.example/
audience: [api://bff]
tenant: {claim: tenant, allow: [acme, acme-eu]}
"""


def issuers(tmp_path, text):
    found = loaded(tmp_path, **{"issuers/entra": text}).issuers
    return {iss: issuer for iss, issuer in found.items() if issuer.name == "entra"}


def test_the_example_of_the_language_is_one_exact_issuer_for_its_tenant(tmp_path):
    ((iss, issuer),) = issuers(tmp_path, ENTRA).items()
    assert iss == issuer.issuer == f"https://login.microsoftonline.com/{OURS}/v2.0"
    assert (str(issuer.tenant.claim), issuer.tenant.tenant) == ("tid", OURS)
    assert issuer.keys.discovery == iss
    assert issuer.keys.metadata_template == "https://login.microsoftonline.com/{tenant}/v2.0"


def test_each_tenant_is_an_issuer_of_the_same_name_in_the_order_of_the_file(tmp_path):
    assert [issuer.tenant.tenant for issuer in issuers(tmp_path, TWO).values()] == [OURS, ALSO]
    assert list(issuers(tmp_path, HOST)) == ["https://acme.idp.example/", "https://acme-eu.idp.example/"]


def test_one_tenant_may_stand_alone(tmp_path):
    assert len(issuers(tmp_path, ENTRA.replace(f"[{OURS}]", OURS))) == 1


def test_keys_that_are_named_are_one_source_for_all_tenants(tmp_path):
    uri = "keys: {jwks_uri: https://login.microsoftonline.com/common/discovery/v2.0/keys}\n"
    assert len({issuer.keys for issuer in issuers(tmp_path, TWO + uri).values()}) == 1
    assert len({issuer.keys for issuer in issuers(tmp_path, TWO).values()}) == 2


FAULTS = [
    (ENTRA.replace("{tenant}", OURS), "1:9: issuer: with `tenant` there is exactly one placeholder"),
    (ENTRA.replace("/v2.0", "/{tenant}"), "1:9: issuer: with `tenant` there is exactly one placeholder"),
    (ENTRA.replace("{tenant}", "{tenantid}"), "1:9: issuer: with `tenant` there is exactly one placeholder"),
    (ENTRA.replace("{tenant}", "t-{tenant}"), "1:9: issuer: {tenant} must be one whole path segment"),
    (HOST.replace("{tenant}.", "login-{tenant}."), "1:9: issuer: {tenant} must be one whole path segment"),
    (HOST.replace("idp.example/", "idp.example:8443/").replace("{tenant}.idp.example", "idp.{tenant}"), "1:9: issuer: {tenant} must be one whole"),
    (ENTRA.replace("https:", "http:"), "1:9: issuer: write an https:// URL"),
    ("".join(line for line in ENTRA.splitlines(keepends=True) if "claim" not in line), "1:9: issuer: a placeholder needs `tenant: {claim: ..., allow: [...]}`"),
    ("".join(line for line in ENTRA.splitlines(keepends=True) if "claim" not in line).replace("{tenant}", "{tenantid}"), "1:9: issuer: a placeholder needs"),
    (ENTRA.replace(f"[{OURS}]", "[]"), "3:29: tenant.allow: list at least one tenant"),
    (ENTRA.replace(f", allow: [{OURS}]", ""), "tenant.allow: is missing"),
    (ENTRA.replace("claim: tid, ", ""), "tenant.claim: is missing"),
    (ENTRA.replace(OURS, '"*"'), "3:30: tenant.allow[0]: there is no wildcard tenant"),
    (ENTRA.replace(OURS, '"{tenant}"'), "tenant.allow[0]: there is no wildcard tenant"),
    (ENTRA.replace(OURS, "a/b"), "tenant.allow[0]: write a tenant as it stands in `iss`"),
    (ENTRA.replace(OURS, '".."'), "tenant.allow[0]: write a tenant"),
    (ENTRA.replace(OURS, '"%2e"'), "tenant.allow[0]: write a tenant"),
    (ENTRA.replace(OURS, f"{OURS}, {OURS}"), "tenant.allow[1]: this tenant is listed twice"),
    (HOST.replace("acme,", "evil.example,"), "tenant.allow[0]: a label of a host is letters, digits and `-`"),
    (ENTRA.replace(OURS, "common"), "3:30: tenant.allow[0]: no token has this issuer, which is an endpoint"),
    (ENTRA.replace("entra-v2", "keycloak"), "1:9: issuer: this is an issuer of Microsoft Entra ID"),
    (ENTRA + "introspection: {endpoint: https://x.example/i, client_id: a, client_secret: s.txt}\n", "an issuer of many tenants has no one endpoint"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FAULTS)
def test_what_is_no_template_or_no_tenant_is_a_fault(tmp_path, text, expected):
    found = faults(tmp_path, **{"issuers/entra": text})
    assert [line for line in found if expected in line], found


@pytest.mark.parametrize("endpoint", ["common", "organizations", "consumers"])
@pytest.mark.parametrize(
    ("url", "profile"),
    [
        ("https://login.microsoftonline.com/{}/v2.0", "entra-v2"),
        ("https://login.microsoftonline.us/{}/v2.0", "entra-v2"),
        ("https://sts.windows.net/{}/", "entra-v1"),
        ("https://login.microsoftonline.com/{}/v2.0", "rfc9068"),
    ],
)
def test_an_endpoint_for_all_tenants_is_nobody_s_issuer(tmp_path, endpoint, url, profile):
    text = f"issuer: {url.format(endpoint)}\nprofile: {profile}\naudience: [api://bff]\n"
    (line,) = faults(tmp_path, **{"issuers/entra": text})
    assert "1:9: issuer: no token has this issuer" in line
    assert "`tenant: {claim: tid, allow: [...]}`" in line


def test_a_template_and_a_file_of_one_of_its_tenants_claim_the_same_issuer(tmp_path):
    single = ENTRA.replace("{tenant}", ALSO).replace(f"tenant: {{claim: tid, allow: [{OURS}]}}\n", "")
    assert faults(tmp_path / "a", **{"issuers/entra": ENTRA, "issuers/single": single}) == []
    (line,) = faults(tmp_path / "b", **{"issuers/entra": TWO, "issuers/single": single})
    assert (
        "policies/issuers/single.yaml:1:9: issuer: this issuer is already in policies/issuers/entra.yaml:3"
        in line
    )


def test_two_files_do_not_share_a_template(tmp_path):
    other = ENTRA.replace(OURS, ALSO)
    (line,) = faults(tmp_path, **{"issuers/entra": ENTRA, "issuers/second": other})
    assert "second.yaml:1:9: issuer: this issuer is already in policies/issuers/entra.yaml:1" in line


def test_we_are_no_tenant_of_anybody(tmp_path):
    text = (
        "issuer: https://exchange.{tenant}.example\naudience: a\ntenant: {claim: t, allow: [other, acme]}\n"
    )
    (line,) = faults(tmp_path, **{"issuers/entra": text})
    assert "3:35: tenant.allow[1]: this is the service's own issuer" in line


def warnings(tmp_path, text):
    root = write(tmp_path / "policies", **{"issuers/entra": text})
    result = CliRunner().invoke(command, [str(root)])
    assert result.exit_code == 0, result.output
    assert "2 issuers" in result.output
    return [line for line in result.output.splitlines() if line.startswith("warning")]


def test_subjects_that_two_tenants_may_both_have_are_a_danger(tmp_path):
    (line,) = warnings(tmp_path / "a", HOST)
    assert "entra.yaml:3:17: tenant.claim: two tenants may each have such a subject" in line
    assert "`subject: {claim: [tenant, ...]}`" in line
    assert warnings(tmp_path / "b", HOST + "subject: {claim: [tenant, sub]}\n") == []
    assert warnings(tmp_path / "c", HOST.replace("[acme, acme-eu]", "acme")) == []
    assert warnings(tmp_path / "d", TWO) == []


def test_everybody_s_personal_account_is_a_danger_among_tenants_too(tmp_path):
    (line,) = warnings(tmp_path, ENTRA.replace(OURS, f"{OURS}, 9188040d-6c67-4c5b-b112-36a304b66dad"))
    assert "strangers get tokens of Microsoft for personal accounts too" in line


segments = st.text("abc-.", min_size=1, max_size=5).filter(lambda text: text not in {".", ".."})
labels = st.text("abc-", min_size=1, max_size=5)
urls = st.tuples(
    st.lists(labels, min_size=1, max_size=3).map(".".join),
    st.lists(st.one_of(segments, st.just("")), max_size=4).map("/".join),
).map(lambda parts: f"https://{parts[0]}/{parts[1]}")


@given(urls)
def test_every_template_that_an_issuer_fits_comes_back_to_it_for_one_tenant(iss):
    for template in templates_of(iss):
        check_template(template)
        before, after = template.split("{tenant}")
        tenant = iss[len(before) : len(iss) - len(after)]
        assert expand(template, tenant) == iss


@given(
    st.text("abc-._/:%*", max_size=8),
    st.sampled_from(["https://{tenant}.x.example/a", "https://x.example/{tenant}/a"]),
)
def test_a_tenant_that_is_allowed_never_reaches_beyond_its_place(tenant, template):
    try:
        check_tenant(tenant, template)
    except ValueError:
        return
    assert template in set(templates_of(expand(template, tenant)))


@given(st.text("ab./:{}", max_size=600))
def test_any_text_is_looked_at_in_as_many_ways_as_it_has_parts(iss):
    assert len(list(templates_of(iss))) <= iss.count("/") + iss.count(".") + 1


def test_an_issuer_of_thousands_of_parts_is_not_looked_at():
    assert list(templates_of("https://x.example/" + "/".join("a" * 4000))) == []
