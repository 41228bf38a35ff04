"""The profiles that are shipped, and what an issuer's file may do with one."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from exchange.config import load as load_module
from exchange.config.faults import PolicyFaults
from exchange.config.profiles import read_profiles, shipped_profiles
from tests.config.policy_texts import ISSUER, faults, loaded

WEAK = b"""\
title: Weak
sources: [nobody]
advice: Ask for a better one.
weak: a mapped attribute can look the same
access_token: {marker: [{claims: {kind: access}}]}
"""
NEVER = b"""\
title: Never
sources: [nobody]
advice: Use another.
never: its access tokens look like its ID tokens
issuer_pattern: https://never\\.example/.*
"""


@pytest.fixture
def more_profiles(monkeypatch):
    extra = read_profiles({"weak": WEAK, "never": NEVER})
    shipped = shipped_profiles()
    both = replace(
        shipped,
        by_name=MappingProxyType({**shipped.by_name, **extra.by_name}),
        products=(*shipped.products, *extra.products),
    )
    monkeypatch.setattr(load_module, "shipped_profiles", lambda: both)


def issuer_text(issuer: str, profile: str, *more: str) -> str:
    lines = (f"issuer: {issuer}", f"profile: {profile}", "audience: [https://bff.acme.example]", *more)
    return "\n".join(lines) + "\n"


def test_every_shipped_profile_loads_and_proves_something_or_says_why_not():
    profiles = shipped_profiles()
    assert {"rfc9068", "keycloak"} <= profiles.by_name.keys()
    for shipped in profiles.by_name.values():
        assert shipped.profile.title
        assert shipped.profile.advice
        marker = shipped.shape.get("access_token", shipped.introspection or {}).get("marker")
        assert shipped.profile.never or marker or shipped.workload
    assert shipped_profiles() is profiles


def asked(way):
    if way == "google-tokeninfo":
        return "introspection: {cache: 30s}"
    return "introspection: {endpoint: https://idp.example/i, client_id: exchange, client_secret: '${SECRET}'}"


@pytest.mark.parametrize("profile", sorted(shipped_profiles().by_name))
def test_every_shipped_profile_can_be_named(tmp_path, profile):
    shipped = shipped_profiles().by_name[profile]
    lines = ["accept_weak_marker: true"] if shipped.profile.weak else []
    if shipped.workload:
        lines.append("kind: workload\nrequire: {sub: the-one-that-is-meant}")
    if shipped.introspection:
        lines.append(asked(shipped.introspection["way"]))
    text = issuer_text("https://idp.custom.example/", profile, *lines)
    (issuer,) = loaded(tmp_path, environ={"SECRET": "s3cret"}, issuers__acme=text).issuers.values()
    assert issuer.profile == shipped.profile


def test_the_default_is_rfc_9068(tmp_path):
    text = "issuer: https://idp.example\naudience: https://bff.acme.example\n"
    (issuer,) = loaded(tmp_path, issuers__acme=text).issuers.values()
    assert issuer.profile.name == "rfc9068"
    assert [[str(c) for c in m.header] for m in issuer.marker] == [["typ equals at+jwt"]]
    assert not any(m.claims for m in issuer.marker)


@pytest.mark.parametrize(
    ("issuer", "profile", "product"),
    [
        ("https://accounts.google.com", "keycloak", "Google"),
        ("https://token.actions.githubusercontent.com", "keycloak", "GitHub Actions"),
        ("https://tenant.eu.auth0.com/", "keycloak", "Auth0"),
        ("https://acme.okta.com/oauth2/default", "keycloak", "Okta"),
        ("https://acme.okta.com", "okta", "Okta, org"),
        ("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc", "auth0", "Cognito"),
    ],
)
def test_an_issuer_of_another_product_is_refused(tmp_path, issuer, profile, product):
    (line,) = faults(tmp_path, issuers__acme=issuer_text(issuer, profile))
    assert line.startswith("policies/issuers/acme.yaml:1:9: issuer: this is an issuer of ")
    assert product in line


@pytest.mark.parametrize(
    ("issuer", "profile"),
    [
        ("https://login.custom.example/", "auth0"),
        ("https://tenant.eu.auth0.com/", "auth0"),
        ("https://tenant.eu.auth0.com/", "rfc9068"),
        ("https://acme.okta.com/oauth2/default", "okta"),
        ("https://sso.custom.example", "keycloak"),
        ("https://sso.custom.example/realms/main", "rfc9068"),
    ],
)
def test_custom_domains_and_the_generic_profile_stay_possible(tmp_path, issuer, profile):
    assert faults(tmp_path, issuers__acme=issuer_text(issuer, profile)) == []


@pytest.mark.usefixtures("more_profiles")
def test_a_weak_marker_must_be_acknowledged(tmp_path):
    text = issuer_text("https://idp.example", "weak")
    (line,) = faults(tmp_path / "a", issuers__acme=text)
    assert (
        "its marker is weak: a mapped attribute can look the same; write `accept_weak_marker: true`" in line
    )
    assert faults(tmp_path / "b", issuers__acme=text + "accept_weak_marker: false\n") == [line]
    (issuer,) = loaded(tmp_path / "c", issuers__acme=text + "accept_weak_marker: true\n").issuers.values()
    assert issuer.profile.weak
    assert issuer.marker[0].label == "weak[0]"
    own = text + "access_token: {marker: [{claims: {typ: at}}]}\n"
    assert faults(tmp_path / "d", issuers__acme=own) == []


@pytest.mark.usefixtures("more_profiles")
def test_the_file_of_an_issuer_that_is_never_accepted_loads(tmp_path):
    (issuer,) = loaded(
        tmp_path / "a", issuers__acme=issuer_text("https://never.example/x", "never")
    ).issuers.values()
    assert issuer.profile.never == "its access tokens look like its ID tokens"
    assert issuer.marker == ()
    assert (
        "an issuer of Never"
        in faults(tmp_path / "b", issuers__acme=issuer_text("https://never.example/x", "weak"))[0]
    )


@pytest.mark.usefixtures("more_profiles")
@pytest.mark.parametrize(
    "name",
    [
        "http://sts.acme.example/services/trust",  # the form that AD FS has
        "sts.acme.example",  # the form of the older spelling of Google
        "https://never.example/x",
        "urn:acme:sts",
    ],
)
def test_an_issuer_that_is_never_asked_for_keys_may_have_any_name(tmp_path, name):
    (issuer,) = loaded(tmp_path / "a", issuers__acme=issuer_text(name, "never")).issuers.values()
    assert issuer.issuer == name
    if not name.startswith("https:"):
        (line,) = faults(tmp_path / "b", issuers__acme=issuer_text(name, "weak", "accept_weak_marker: true"))
        assert "issuer: write an" in line


@pytest.mark.usefixtures("more_profiles")
@pytest.mark.parametrize("name", ['"a b"', '"https://never.example/\\u00e9"', '"https://never.example\\n"'])
def test_its_name_is_still_made_of_the_characters_of_a_uri(tmp_path, name):
    (line,) = faults(tmp_path, issuers__acme=issuer_text(name, "never"))
    assert "policies/issuers/acme.yaml:1:9: issuer: " in line


def test_an_unknown_profile_is_a_fault_that_lists_the_known_ones(tmp_path):
    (line,) = faults(tmp_path, issuers__acme=ISSUER.replace("keycloak", "keycloack"))
    assert "unknown profile; write one of adfs, " in line


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x", b"", "empty"),
        ("x", b"title: X\nadvice: A\nsources: [a]\n", "say how an access token proves what it is"),
        ("x", b"title: X\nadvice: A\nnever: N\n", "sources: is missing"),
        ("x", NEVER.replace(b"https://never", b"("), "RE2"),
        ("x", NEVER + b"keys: {discovery: true}\n", "unknown key"),
        ("known_issuers", b"title: X\n", "write a list at the top"),
        ("known_issuers", b"- title: X\n", "issuer_pattern: is missing"),
    ],
)
def test_a_broken_profile_stops_everything(name, content, message):
    with pytest.raises(PolicyFaults) as found:
        read_profiles({name: content})
    assert message in str(found.value)
    assert str(found.value).startswith(f"profiles/{name}.yaml:")
