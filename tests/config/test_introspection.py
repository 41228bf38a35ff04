"""``introspection`` of an issuer's file and ``opaque_tokens_from`` of a client's: what loads, and every fault."""

from __future__ import annotations

import dataclasses

import pytest

from exchange.model import Secret
from tests.config.policy_texts import CLIENT, ISSUER, faults, loaded

PARTNER = """\
issuer: https://login.partner.example
profile: opaque
audience: [https://bff.acme.example]
introspection:
  endpoint: https://login.partner.example/introspect
  client_id: exchange
  client_secret: ${PARTNER_INTROSPECTION_SECRET}
  cache: 30s                 # never beyond `exp`, never over 60s; 0 for none
"""
SECRET = "s3cret-of-the-environment"
ENVIRON = {"PARTNER_INTROSPECTION_SECRET": SECRET}


def partner(text=PARTNER, **changes):
    return {"environ": ENVIRON, "issuers__partner": text, **changes}


def the_issuer(tmp_path, text=PARTNER, **changes):
    return loaded(tmp_path, **partner(text, **changes)).issuers["https://login.partner.example"]


def test_the_file_of_the_contract_loads_as_it_stands(tmp_path):
    client = CLIENT + "opaque_tokens_from: partner\n"
    policies = loaded(tmp_path, **partner(clients__orders_bff=client))
    asked = policies.issuers["https://login.partner.example"].introspection
    assert asked.endpoint == "https://login.partner.example/introspect"
    assert (asked.client_id, asked.client_secret) == ("exchange", Secret(SECRET))
    assert (asked.authentication, asked.cache, asked.signed_response) == ("client_secret_basic", 30, False)
    assert asked.every_token
    assert policies.clients["orders-bff"].opaque_tokens_from == "partner"


def test_the_secret_is_in_no_text_of_the_policies(tmp_path):
    issuer = the_issuer(tmp_path)
    assert SECRET not in repr(issuer)
    assert hash(issuer.introspection)
    changed = dataclasses.replace(issuer.introspection, client_secret=Secret("another"))
    assert changed != issuer.introspection


@pytest.mark.parametrize(("cache", "seconds"), [("0", 0), ("45", 45), ("60s", 60), ("1m", 60)])
def test_an_answer_is_kept_for_a_minute_at_most(tmp_path, cache, seconds):
    text = PARTNER.replace("cache: 30s", f"cache: {cache}")
    assert the_issuer(tmp_path, text).introspection.cache == seconds


def test_without_a_word_an_answer_is_kept_for_half_a_minute(tmp_path):
    text = "".join(line for line in PARTNER.splitlines(keepends=True) if "cache" not in line)
    assert the_issuer(tmp_path, text).introspection.cache == 30


def test_the_secret_may_be_in_a_file_beside_the_policies(tmp_path):
    root = tmp_path / "policies"
    (root / "secrets").mkdir(parents=True)
    (root / "secrets/partner").write_text("s3cret-of-the-file\n")
    text = PARTNER.replace("${PARTNER_INTROSPECTION_SECRET}", "secrets/partner")
    assert the_issuer(tmp_path, text).introspection.client_secret == Secret("s3cret-of-the-file")


def test_a_marker_of_the_file_is_about_answers_and_one_of_access_token_about_jwts(tmp_path):
    own = PARTNER + "  marker:\n    - claims: {kind: access}\n"
    issuer = the_issuer(tmp_path, own)
    assert [alternative.label for alternative in issuer.answers.marker] == ["introspection.marker[0]"]
    assert [alternative.label for alternative in issuer.marker] == ["opaque[0]"]


def test_an_issuer_of_jwts_may_be_asked_about_what_is_no_jwt(tmp_path):
    text = PARTNER.replace("profile: opaque", "profile: keycloak")
    issuer = the_issuer(tmp_path, text)
    assert not issuer.introspection.every_token
    assert [str(path) for path in issuer.answers.scope] == ["scope"]
    assert [str(path) for path in issuer.answers.client] == ["client_id", "azp"]
    assert [str(path) for path in issuer.client] == ["azp"]
    assert issuer.answers.required_claims == ()
    assert issuer.answers.marker[0].label == "introspection[0]"


def test_what_the_file_says_of_claims_holds_for_answers_too(tmp_path):
    more = "scope: {claim: rights}\nclient: {claim: app}\nrequired_claims: [sub, exp, jti]\n"
    issuer = the_issuer(tmp_path, PARTNER.replace("profile: opaque", "profile: keycloak") + more)
    assert [str(path) for path in issuer.answers.scope] == ["rights"]
    assert [str(path) for path in issuer.answers.client] == ["app"]
    assert [str(path) for path in issuer.answers.required_claims] == ["sub", "exp", "jti"]


SPOILT = [
    ("client_secret: ${PARTNER_INTROSPECTION_SECRET}", "client_secret: hunter2hunter2", "7:18: introspection.client_secret: write ${NAME}"),
    ("client_secret: ${PARTNER_INTROSPECTION_SECRET}", "client_secret: ../outside", "introspection.client_secret: write ${NAME}"),
    ("client_secret: ${PARTNER_INTROSPECTION_SECRET}", "client_secret: 12345678", "introspection.client_secret: write ${NAME}"),
    ("client_secret: ${PARTNER_INTROSPECTION_SECRET}", "client_secret: ${UNSET}", "the environment variable UNSET is not set"),
    ("client_secret: ${PARTNER_INTROSPECTION_SECRET}", "client_secret: ${TWO_LINES}", "holds something else than one line"),
    ("  client_secret: ${PARTNER_INTROSPECTION_SECRET}\n", "", "client_secret is missing"),
    ("  client_id: exchange\n", "", "client_id is missing"),
    ("  endpoint: https://login.partner.example/introspect\n", "", "endpoint is missing"),
    ("https://login.partner.example/introspect", "http://login.partner.example/introspect", "introspection.endpoint: write an https:// URL"),
    ("https://login.partner.example/introspect", "https://user:pw@login.partner.example/", "without a user name"),
    ("cache: 30s", "cache: 61s", "introspection.cache: write a duration of at most 60s"),
    ("cache: 30s", "caches: 30s", "introspection.caches: unknown key"),
    ("cache: 30s", "authentication: private_key_jwt", "introspection.authentication: write client_secret_basic or"),
    ("cache: 30s", "marker: [{header: {typ: at+jwt}}]", "introspection.marker[0]: an answer has no header"),
    ("cache: 30s", "marker: [{claims: {nonce: {present: false}}}]", "a marker of absences alone proves nothing"),
    ("profile: opaque", "profile: dex", "introspection: no token of Dex"),
    ("profile: opaque", "profile: google-tokeninfo", "introspection.client_id: Google access tokens takes none"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), SPOILT)
def test_a_spoilt_section_is_a_fault_that_shows_no_secret(tmp_path, before, after, expected):
    assert before in PARTNER
    environ = {**ENVIRON, "TWO_LINES": "first\nsecond"}
    found = faults(tmp_path, **{**partner(PARTNER.replace(before, after)), "environ": environ})
    assert any(expected in line for line in found), found
    assert not any(secret in line for line in found for secret in ("hunter2", "12345678", SECRET, "second"))


@pytest.mark.parametrize("profile", ["opaque", "okta-org", "onelogin", "google-tokeninfo", "github"])
def test_a_profile_that_asks_needs_to_be_told_whom(tmp_path, profile):
    text = PARTNER.partition("introspection:")[0].replace("profile: opaque", f"profile: {profile}")
    (line,) = faults(tmp_path, **partner(text))
    assert "write `introspection`" in line


def test_what_ends_at_no_known_time_is_not_remembered_as_used(tmp_path):
    head = "issuer: https://github.com\nprofile: github\naudience: [Iv1.8a61]\nsingle_use: true\n"
    asked = 'introspection: {client_id: Iv1.8a61, client_secret: "${SECRET}"}\n'
    (line,) = faults(tmp_path, {"SECRET": "x"}, **{"issuers/github": head + asked})
    assert "github.yaml:4:13: single_use: this IdP does not say when a token ends" in line


def test_google_needs_neither_endpoint_nor_credentials_and_github_no_endpoint(tmp_path):
    head = PARTNER.partition("introspection:")[0]
    google = the_issuer(
        tmp_path, head.replace("opaque", "google-tokeninfo") + "introspection: {}\n"
    ).introspection
    assert google.endpoint == "https://oauth2.googleapis.com/tokeninfo"
    credentials = "introspection: {client_id: Iv1.8a61, client_secret: '${PARTNER_INTROSPECTION_SECRET}'}\n"
    github = the_issuer(tmp_path, head.replace("opaque", "github") + credentials).introspection
    assert github.endpoint == "https://api.github.com/applications/Iv1.8a61/token"


def test_google_does_not_sign_its_answers(tmp_path):
    head = PARTNER.partition("introspection:")[0].replace("opaque", "google-tokeninfo")
    (line,) = faults(tmp_path, **partner(head + "introspection: {signed_response: true}\n"))
    assert "does not sign its answers" in line


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("nobody", "no file of issuers/ has this name"),
        ("acme", "this issuer is not asked about tokens"),
        ("[partner, acme]", "a token is never shown to one that was guessed"),
        ("[partner]", "name one issuer"),
        ("self", "no file of issuers/ has this name"),
    ],
)
def test_a_client_names_one_issuer_that_is_asked(tmp_path, names, expected):
    found = faults(tmp_path, **partner(clients__orders_bff=CLIENT + f"opaque_tokens_from: {names}\n"))
    assert len(found) == 1
    assert "opaque_tokens_from" in found[0]
    assert expected in found[0]


def test_an_issuer_that_loads_without_it_is_not_asked(tmp_path):
    (issuer,) = loaded(tmp_path, issuers__acme=ISSUER).issuers.values()
    assert issuer.introspection is None
    assert issuer.answers is None
