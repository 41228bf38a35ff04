"""One thing spoilt at a time: the fault, where it is, and what it says."""

from __future__ import annotations

import json

import pytest

from tests.config.policy_texts import (
    AUDIENCE,
    CLIENT,
    FULL_ISSUER,
    HASH,
    ISSUER,
    SERVER,
    faults,
    loaded,
    write,
)
from tests.config.policy_texts import faults_of as faults_of_directory
from tests.support import keys

SERVER_FAULTS = [
    (
        ("issuer: https://exchange.acme.example ", "issuer: http://exchange.acme.example "),
        "1:9: issuer: write",
    ),
    (("issuer: https://exchange.acme.example ", "issuer: https://u:p@x.example "), "1:9: issuer: write"),
    (("issuer: https://exchange.acme.example ", "issuer: https://x.example?a=b "), "1:9: issuer: write"),
    (
        ("issuer: https://exchange.acme.example ", "issuer: [https://x.example] "),
        "1:9: issuer: write a string",
    ),
    (("ES256 ", "HS256 "), "2:20: signing_algorithm: write ES256 or EdDSA or RS256 or PS256"),
    (("ES256 ", "none "), "2:20: signing_algorithm"),
    (
        ("token_lifetime: 5m  ", "token_lifetime: 2h  "),
        "3:17: token_lifetime: longer than max_token_lifetime",
    ),
    (
        ("token_lifetime: 5m  ", "token_lifetime: 0  "),
        "3:17: token_lifetime: write a duration longer than nothing",
    ),
    (("token_lifetime: 5m  ", "token_lifetime: -5m  "), "3:17: token_lifetime: write a duration"),
    (("token_lifetime: 5m  ", "token_lifetime: 1.5  "), "3:17: token_lifetime: write a duration"),
    (("token_lifetime: 5m  ", "token_lifetime: true  "), "3:17: token_lifetime: write a duration"),
    (("token_lifetime: 5m  ", "token_lifetime: 5 m  "), "3:17: token_lifetime: write a duration"),
    (("token_lifetime: 5m  ", "token_lifetime:  "), "3:16: token_lifetime: has no value"),
    (("clock_skew: 30s", "clock_skew: 1h"), "5:13: clock_skew: write a duration of at most 10m"),
    (("depth: 4 ", "depth: 0 "), "6:23: max_delegation_depth: write a whole number from 1"),
    (("depth: 4 ", 'depth: "4" '), "6:23: max_delegation_depth: write a whole number"),
    (("depth: 4 ", "depth: true "), "6:23: max_delegation_depth: write a whole number"),
    (("depth: 4 ", "depths: 4 "), "6:1: max_delegation_depths: unknown key"),
]

ISSUER_FAULTS = [
    (("issuer: https", "issuer: http"), "1:9: issuer: write an https:// URL"),
    (("realms/main ", "realms/main?x=1 "), "1:9: issuer: write the URL without query"),
    (("realms/main ", "realms/main#x "), "1:9: issuer: write the URL without query"),
    (("https://login", "https://me@login"), "1:9: issuer: write the URL without a user name"),
    (("https://login.acme.example/realms/main", "login.acme.example"), "1:9: issuer: write an absolute"),
    (
        ("profile: keycloak", "profile: keycloack"),
        "2:10: profile: unknown profile; write one of adfs, apple, auth0",
    ),
    (("  - https://bff.acme.example\n", "  []\n"), "4:3: audience: list at least one audience"),
    (("  - https://bff.acme.example\n", "  - a\n  - a\n"), "5:5: audience[1]: this audience is listed twice"),
    (("  - https://bff.acme.example\n", "  - 12\n"), "4:5: audience[0]: write a string"),
    (("  - https://bff.acme.example\n", "  - ''\n"), "4:5: audience[0]: write a name that is not empty"),
    (("  - https://bff.acme.example\n", "  a: b\n"), "4:3: audience: write one audience, or a list"),
    (("enabled: true ", "enabled: yes "), "5:10: enabled: write true or false"),
    (("enabled: true ", "enabled: 1 "), "5:10: enabled: write true or false"),
    (("mode: enforce", "mode: dry-run"), "6:7: mode: write enforce or audit"),
    (("[RS256] ", "[RS256, none] "), "7:21: algorithms[1]: `none` and HMAC are never accepted"),
    (("[RS256] ", "[HS256] "), "7:14: algorithms[0]: `none` and HMAC are never accepted"),
    (("[RS256] ", "[ES256K] "), "7:14: algorithms[0]: unknown algorithm"),
    (("[RS256] ", "[] "), "7:13: algorithms: list at least one algorithm"),
    (("{discovery: true} ", "{} "), "8:7: keys: name exactly one of discovery"),
    (("{discovery: true} ", "{discovery: false} "), "8:19: keys.discovery: write true"),
    (
        ("{discovery: true} ", "{discovery: true, jwks_uri: https://a.example} "),
        "8:7: keys: name exactly one of",
    ),
    (("{discovery: true} ", "{jwks_uri: http://a.example/} "), "8:18: keys.jwks_uri: write an https:// URL"),
    (("{discovery: true} ", "{jwks_url: https://a.example/} "), "8:8: keys.jwks_url: unknown key"),
    (("{discovery: true} ", "{jwks_file: keys/none.json} "), "8:19: keys.jwks_file: the file does not exist"),
    (("{discovery: true} ", "{jwks_file: ../keys.json} "), "8:19: keys.jwks_file: name a file inside"),
    (("{discovery: true} ", "{jwks_file: keys/../../k.json} "), "8:19: keys.jwks_file: name a file inside"),
    (("{discovery: true} ", "{jwks_file: /etc/passwd} "), "8:19: keys.jwks_file: name a file inside"),
    (("{discovery: true} ", "{jwks_file: server.yaml} "), "8:19: keys.jwks_file: the file is not a JWK Set"),
    (("{discovery: true} ", "{jwks: {keys: []}} "), "8:14: keys.jwks: write a JWK Set with at least one key"),
    (("{discovery: true} ", "{jwks: [1]} "), "8:14: keys.jwks: write a mapping"),
    (
        ("{discovery: true} ", "{jwks: {keys: [{kty: oct, k: c2VjcmV0}]}} "),
        "8:22: keys.jwks.keys[0]: a symmetric key",
    ),
    (
        ("- claims: {typ: {one_of: [Bearer, DPoP]}}", "- claims: {nonce: {present: false}}"),
        "11:7: access_token.marker[0]: a marker of absences alone",
    ),
    (("- header: {typ: at+jwt}", "- {}"), "12:7: access_token.marker[1]: a marker of absences alone"),
    (
        ("- header: {typ: at+jwt}", "- headers: {typ: at+jwt}"),
        "12:7: access_token.marker[1].headers: unknown key",
    ),
    (
        ("- header: {typ: at+jwt}", "- header: {typ: {equal: x}}"),
        "access_token.marker[1].header.typ: unknown matcher",
    ),
    (("- header: {typ: at+jwt}", "- header: {typ: {pattern: (}}"), "12:"),
    (
        ("  tolerate: [nonce] ", "  tolerate: [at_hash] "),
        "13:14: access_token.tolerate[0]: write one of nonce",
    ),
    (("  tolerate: [nonce] ", "  tolerate: [] "), "13:13: access_token.tolerate: list at least one hint"),
    (("[sub, iat, exp]", "[]"), "14:18: required_claims: list at least one claim"),
    (("[sub, iat, exp]", "[/a~b]"), "14:19: required_claims[0]: a JSON Pointer"),
    (("{tenant: {one_of: [acme, acme-eu]}} ", "{} "), "15:10: require: write at least one condition"),
    (
        ("{tenant: {one_of: [acme, acme-eu]}} ", "{tenant: {one_of: []}} "),
        "15:19: require.tenant: one_of: list at",
    ),
    (("{tenant: {one_of: [acme, acme-eu]}} ", "{tenant: } "), "require.tenant: equals: write a value"),
    (("subject: {claim: sub} ", "subject: {claims: sub} "), "16:11: subject.claims: unknown key"),
    (("subject: {claim: sub} ", "subject: {claim: []} "), "16:18: subject.claim: list at least one claim"),
    (("subject: {claim: sub} ", "subject: sub "), "16:10: subject: write a mapping"),
    (
        ("subject_format: qualified ", "subject_format: hashed "),
        "17:17: subject_format: write qualified or plain",
    ),
    (("max_token_age: 1h", "max_token_age: 1w"), "21:16: max_token_age: write a duration"),
    (("insecure_http: false", "insecure_http: 'true'"), "24:22: allow_insecure_http: write true or false"),
]

CLIENT_FAULTS = [
    (("client_id: orders-bff ", "client_id: 12 "), "1:12: client_id: write a string"),
    (("client_id: orders-bff ", "client_id: é "), "1:12: client_id: write at most 255 printable ASCII"),
    (("[https://bff.acme.example]", "[]"), "2:11: audience: list at least one audience"),
    (("orders.acme.example ", "other.acme.example "), "3:17: default_target: no file of audiences/ has this"),
    (("private_key_jwt: {jwks_file: keys/orders-bff.json}", "{}"), "5:3: authentication: name at least one method"),
    (("{jwks_file: keys/orders-bff.json}", "{}"), "5:20: authentication.private_key_jwt: name exactly one of jwks_uri"),
    (("{jwks_file: keys/orders-bff.json}", "{discovery: true}"), "5:21: authentication.private_key_jwt.discovery: unknown"),
    (("{jwks_file: keys/orders-bff.json}", "{jwks_uri: http://127.0.0.1/}"), "5:31: authentication.private_key_jwt.jwks_uri: write an https"),
    (("{jwks_file: keys/orders-bff.json}", "{jwks_uri: https://a.example/, algorithms: HS256}"), "`none` and HMAC are never"),
    (("{jwks_file: keys/orders-bff.json}", "{jwks_uri: https://a.example/, assertion_audience: us}"), "write issuer or any"),
    (("private_key_jwt", "private_key"), "5:3: authentication.private_key: unknown key"),
    (("authentication:\n", "authentication:\n  client_secret: hunter2\n"), "5:18: authentication.client_secret: write `sha256:`"),
    (("authentication:\n", "authentication:\n  client_secret: {hash: hunter2}\n"), "5:25: authentication.client_secret.hash: write `sha256:`"),
    (("authentication:\n", "authentication:\n  client_secret: {hash: [hunter2]}\n"), "5:26: authentication.client_secret.hash[0]: write"),
    (("authentication:\n", "authentication:\n  client_secret: {hash: []}\n"), "5:25: authentication.client_secret.hash: list at least one"),
    (("authentication:\n", f"authentication:\n  client_secret: {{hash: [{HASH}, {HASH}]}}\n"), "list every hash once"),
    (("authentication:\n", f"authentication:\n  client_secret: {{hash: {HASH.upper()}}}\n"), "5:25: authentication.client_secret.hash"),
    (("authentication:\n", "authentication:\n  client_secret: {secret: hunter2}\n"), "5:19: authentication.client_secret.secret: unknown"),
    (("authentication:\n", "authentication:\n  client_secret: ${UNSET}\n"), "5:18: authentication.client_secret: the environment variable UNSET is not set"),
    (("authentication:\n", "authentication:\n  client_secret: {hash: '${PLAIN}'}\n"), "environment variable PLAIN holds something else"),
    (("authentication:\n", "authentication:\n  client_secret: ${BROKEN}\n"), "environment variable BROKEN holds something else"),
    (("authentication:\n", "assertion_audience: issuer\nauthentication:\n  assertion_audience: issuer\n"), "4:21: assertion_audience: said twice"),
]  # fmt: skip

AUDIENCE_FAULTS = [
    (("audience: https", "audiences: https"), "1:1: audience: is missing"),
    (("[https://orders.acme.example/api] ", "[/api] "), "2:13: resources[0]: write an absolute URI"),
    (("[https://orders.acme.example/api] ", "'https://a.example/#x' "), "2:12: resources: write an absolute URI"),
    (("[https://orders.acme.example/api] ", "[] "), "2:12: resources: list at least one resource"),
    (("token_lifetime: 2m", "token_lifetime: 2h"), "3:17: token_lifetime: longer than the server's"),
    (("token_format: jwt", "token_format: saml"), "4:15: token_format: write jwt or opaque"),
    (("[orders:read, orders:write] ", "[] "), "6:9: scopes: list at least one scope"),
    (("[orders:read, orders:write] ", "[orders:read] "), "rules[0].scopes.orders:write: not a scope of this API"),
    (("[orders:read, orders:write] ", '[orders:read, orders:write, "a\\"b"] '), "6:37: scopes[2]: write a scope"),
    (("  - id: shop-reads-orders\n", "  - id: ''\n"), "8:9: rules[0].id: write a name"),
    (("  - id: shop-reads-orders\n    why", "  - why"), "8:5: rules[0].id: is missing"),
    (("    client: orders-bff\n", ""), "8:5: rules[0].client: is missing"),
    (("    client: orders-bff\n", "    client: []\n"), "10:13: rules[0].client: list at least one client"),
    (("    client: orders-bff\n", "    client: orders-bf\n"), "no client has this client_id; did you mean orders-bff?"),
    (("      issuer: acme\n", ""), "12:7: rules[0].subject.issuer: is missing"),
    (("issuer: acme\n", "issuer: [acme, other]\n"), "12:22: rules[0].subject.issuer[1]: no file of issuers/"),
    (("issuer: acme\n", "issuer: https://login.acme.example/realms/main\n"), "no file of issuers/ has this name"),
    (("email_verified: true", "email_verified: {is: true}"), "rules[0].subject.claims.email_verified: unknown matcher"),
    (("presenter: audience ", "presenter: anyone "), "16:16: rules[0].presenter: write audience or"),
    (("delegation: allowed ", "delegation: maybe "), "17:17: rules[0].delegation: write none or"),
    (("orders:write: [orders.write]", "orders:write: []"), "20:21: rules[0].scopes.orders:write: list at least one"),
    (("orders:write: [orders.write]", "orders:write: true"), "20:21: rules[0].scopes.orders:write: write a string"),
    (("{copy: tenant}", "{}"), "22:15: rules[0].claims.tenant: write exactly one of"),
    (("{copy: tenant}", "{copy: tenant, value: 1}"), "22:15: rules[0].claims.tenant: write exactly one of"),
    (("{copy: tenant}", "tenant"), "22:15: rules[0].claims.tenant: write a mapping"),
    (("{value: eu}", "{value: null}"), "24:23: rules[0].claims.region.value: has no value"),
    (("region: {value: eu}", "/a/b: {value: eu}"), "24:7: rules[0].claims./a/b: an issued claim has a plain name"),
    (("token_lifetime: 60s", "token_lifetime: 61m"), "25:21: rules[0].token_lifetime: longer than the server's"),
    (("    mode: enforce", "    note: x"), "26:5: rules[0].note: unknown key"),
    (("    mode: enforce", "    deny: no"), "18:5: rules[0].scopes: a rule grants"),
]  # fmt: skip

ENVIRON = {"PLAIN": "a-secret-in-the-environment", "BROKEN": "sha256:abc"}


def spoilt(text: str, change: tuple[str, str]) -> str:
    assert change[0] in text
    return text.replace(*change, 1)


def assert_fault(found: list[str], file: str, expected: str) -> None:
    assert [line for line in found if line.startswith(f"policies/{file}") and expected in line], found


@pytest.mark.parametrize(("change", "expected"), SERVER_FAULTS)
def test_a_spoilt_server_file(tmp_path, change, expected):
    assert_fault(faults(tmp_path, server=spoilt(SERVER, change)), "server.yaml", expected)


@pytest.mark.parametrize(("change", "expected"), ISSUER_FAULTS)
def test_a_spoilt_issuer_file(tmp_path, change, expected):
    assert_fault(faults(tmp_path, issuers__acme=spoilt(FULL_ISSUER, change)), "issuers/acme.yaml", expected)


@pytest.mark.parametrize(("change", "expected"), CLIENT_FAULTS)
def test_a_spoilt_client_file(tmp_path, change, expected):
    found = faults(tmp_path, ENVIRON, clients__orders_bff=spoilt(CLIENT, change))
    assert_fault(found, "clients/orders-bff.yaml", expected)
    for secret in ("hunter2", *ENVIRON.values()):
        assert secret not in "".join(found)


@pytest.mark.parametrize(("change", "expected"), AUDIENCE_FAULTS)
def test_a_spoilt_audience_file(tmp_path, change, expected):
    found = faults(tmp_path, audiences__orders=spoilt(AUDIENCE, change))
    assert_fault(found, "audiences/orders.yaml", expected)


@pytest.mark.parametrize(
    "name",
    ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "act", "may_act", "cnf", "txn"],
)
def test_a_registered_claim_is_never_set_by_a_rule(tmp_path, name):
    found = faults(
        tmp_path, audiences__orders=AUDIENCE.replace("region: {value: eu}", f"{name}: {{value: eu}}")
    )
    assert found == [
        (
            f"policies/audiences/orders.yaml:24:7: rules[0].claims.{name}: a registered claim is made by the service"
            " alone; remove it"
        )
    ]


# ── rules that permit, and rules that deny ──────────────────────────────────────────────────────────────────


def rules(*lines: str) -> str:
    return AUDIENCE.partition("rules:")[0] + "rules:\n" + "".join(f"  - {line}\n" for line in lines)


@pytest.mark.parametrize(
    "key", ["presenter: audience", "claims: {a: {value: 1}}", "token_lifetime: 5", "delegation: none"]
)
def test_a_rule_that_denies_issues_nothing(tmp_path, key):
    good = rules("{id: a, deny: No more., client: orders-bff}")
    assert faults(tmp_path / "a", audiences__orders=good) == []
    bad = good.replace("deny: No more.", f"deny: No more., {key}")
    assert "a rule that denies issues nothing" in faults(tmp_path / "b", audiences__orders=bad)[0]


def test_a_rule_grants_or_denies(tmp_path):
    both = rules("{id: a, deny: No., client: orders-bff, subject: {issuer: acme}, scopes: {}}")
    neither = rules("{id: a, client: orders-bff, subject: {issuer: acme}}")
    assert "keep `scopes` or `deny`" in faults(tmp_path / "a", audiences__orders=both)[0]
    assert (
        "say which scopes the rule grants, or `deny`" in faults(tmp_path / "b", audiences__orders=neither)[0]
    )


def test_any_presenter_needs_a_reason(tmp_path):
    bad = rules("{id: a, client: orders-bff, subject: {issuer: acme}, scopes: {}, presenter: any}")
    assert "rules[0].why: is missing" in faults(tmp_path / "a", audiences__orders=bad)[0]
    assert faults(tmp_path / "b", audiences__orders=bad.replace("any}", "any, why: Shared by design.}")) == []


def test_rule_ids_are_unique_in_an_audience(tmp_path):
    one = "{id: a, client: orders-bff, subject: {issuer: acme}, scopes: {}}"
    found = faults(tmp_path, audiences__orders=rules(one, one))
    assert found == [
        (
            "policies/audiences/orders.yaml:9:10: rules[1].id: another rule, on line 8, has this id; give every rule"
            " its own"
        )
    ]


@pytest.mark.parametrize("text", ["rules: []\n", "rules: {}\n", "rules: [x]\n", "rules:\n", ""])
def test_an_audience_has_rules(tmp_path, text):
    assert faults(tmp_path, audiences__orders=AUDIENCE.partition("rules:")[0] + text)


# ── between files ───────────────────────────────────────────────────────────────────────────────────────────


def test_two_files_may_not_claim_one_name(tmp_path):
    found = faults(tmp_path, issuers__other=ISSUER, clients__other=CLIENT, audiences__other=AUDIENCE)
    said = "\n".join(found)
    assert "orders.yaml" in said
    assert "policies/clients/other.yaml:1:12: client_id: this client_id is already in" in said
    assert "policies/clients/other.yaml:2:12: audience[0]: this audience of a client is already in" in said
    assert "policies/issuers/other.yaml:1:9: issuer: this issuer is already in" in said


def test_a_client_id_that_is_a_file_name_counts(tmp_path):
    nameless = CLIENT.partition("\n")[2].replace("https://bff.acme.example", "https://b2.acme.example")
    assert faults(tmp_path / "a", clients__second=nameless) == []
    found = faults(
        tmp_path / "b",
        clients__second=nameless.replace("b2", "b3"),
        clients__third=f"client_id: second\n{nameless}",
    )
    assert "policies/clients/third.yaml:1:12: client_id" in found[0]


def test_an_audience_and_its_own_resource_may_be_the_same(tmp_path):
    assert faults(tmp_path, audiences__orders=AUDIENCE.replace("example/api]", "example]")) == []


def test_a_fault_in_a_file_does_not_make_references_to_it_wrong(tmp_path):
    found = faults(tmp_path, issuers__acme=ISSUER + "x: 1\n", clients__orders_bff=CLIENT + "x: 1\n")
    assert [line.partition(": ")[0] for line in found] == [
        "policies/clients/orders-bff.yaml:6:1",
        "policies/issuers/acme.yaml:5:1",
    ]


def test_this_service_is_no_other_issuer(tmp_path):
    own = ISSUER.replace("https://login.acme.example/realms/main", "https://exchange.acme.example")
    assert "own issuer" in faults(tmp_path / "a", issuers__acme=own.replace("keycloak", "rfc9068"))[0]
    assert "`self` means this service" in "".join(
        faults(tmp_path / "b", issuers__self=ISSUER, issuers__acme=None)
    )


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({"kty": "oct", "k": "c2VjcmV0"}, "a symmetric key"),
        ({**keys.public_jwk("ES256"), "d": "c2VjcmV0"}, "a private key"),
        ({**keys.public_jwk("RS256"), "p": "c2VjcmV0"}, "a private key"),
        ({"kty": "RSA", "n": "c2VjcmV0", "e": "AQAB"}, "at least 2048 bits"),
        ({"kty": "RSA", "n": "!", "e": "AQAB"}, "at least 2048 bits"),
        ({"kty": "RSA", "n": 5, "e": "AQAB"}, "a RSA key has n, e"),
        ({"kty": "EC", "crv": "secp256k1", "x": "a", "y": "b"}, "use a curve among"),
        ({"kty": "OKP", "crv": "X25519", "x": "a"}, "use a curve among"),
        ({"kty": "EC", "crv": "P-256", "x": "a"}, "a EC key has"),
        ({"kty": ["RSA"]}, "kty is RSA, EC or OKP"),
        ({}, "kty is RSA, EC or OKP"),
        ("key", "write a JWK"),
        ({**keys.public_jwk("RS256"), "use": "enc"}, "no key here is for signatures"),
    ],
)
def test_a_key_set_holds_usable_public_keys_alone(tmp_path, key, message):
    document = {"keys": [key]}
    inline = ISSUER + f"keys: {{jwks: {json.dumps(document)}}}\n"
    found = faults(tmp_path / "a", issuers__acme=inline)
    assert message in found[0]
    root = write(tmp_path / "policies", issuers__acme=ISSUER + "keys: {jwks_file: keys/idp.json}\n")
    (root / "keys/idp.json").write_text(json.dumps(document))
    found = faults_of_directory(root)
    assert message in found[0]
    assert found[0].startswith("policies/issuers/acme.yaml:5:19: keys.jwks_file: ")
    assert "c2VjcmV0" not in found[0]


def test_a_key_set_of_an_issuer_loads_with_its_encryption_key(tmp_path):
    document = {"keys": [keys.public_jwk("RS256"), {**keys.public_jwk("RS256", "b"), "use": "enc"}]}
    document["keys"] += [keys.public_jwk("ES512"), keys.public_jwk("EdDSA")]
    policies = loaded(tmp_path, issuers__acme=ISSUER + f"keys: {{jwks: {json.dumps(document)}}}\n")
    (issuer,) = policies.issuers.values()
    assert json.loads(issuer.keys.document) == document
    assert issuer.keys.discovery is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"keys": 1}', b"\xff", b'{"keys": [], "keys": []}', b"[" * 100_000]
)
def test_a_key_file_that_is_no_key_set_is_a_fault(tmp_path, content):
    root = write(tmp_path / "policies")
    (root / "keys/orders-bff.json").write_bytes(content)
    (line,) = faults_of_directory(root)
    assert line.startswith(
        "policies/clients/orders-bff.yaml:5:32: authentication.private_key_jwt.jwks_file: "
    )


# ── http:// ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "127.9.9.9", "[::1]:80"])
def test_http_is_for_loopback_when_the_file_says_so(tmp_path, host):
    text = ISSUER.replace("https://login.acme.example/realms/main", f"http://{host}/realms/main")
    assert faults(tmp_path / "a", issuers__acme=text) != []
    policies = loaded(tmp_path / "b", issuers__acme=text + "allow_insecure_http: true\n")
    (issuer,) = policies.issuers.values()
    assert issuer.keys.allow_insecure_http


@pytest.mark.parametrize(
    "url",
    ["http://login.acme.example", "http://10.0.0.1", "http://localhost.evil.example", "http://127.0.0.1.nip.io",
     "http://localhost@evil.example", "http://[::2]", "http://2130706433", "HTTP://localhost", "http:/localhost",
     "http://localhost:0", "http://localhost:99999", "http://[::1", "ftp://localhost", "http://"],
)  # fmt: skip
def test_http_is_for_nothing_but_loopback(tmp_path, url):
    text = (
        ISSUER.replace("https://login.acme.example/realms/main ", f"'{url}' ") + "allow_insecure_http: true\n"
    )
    assert faults(tmp_path, issuers__acme=text)[0].startswith("policies/issuers/acme.yaml:1:9: issuer: ")


@pytest.mark.parametrize(
    "text", ['"https://a.example/\\n"', '"https://a\\t.example/"', "https://a.example/é", "'https://a b'"]
)
def test_a_url_is_not_cleaned_up_before_it_is_checked(tmp_path, text):
    text = ISSUER.replace("https://login.acme.example/realms/main ", f"{text} ")
    assert faults(tmp_path, issuers__acme=text)[0].startswith("policies/issuers/acme.yaml:1:9: issuer: ")


# ── client authentication ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "declared",
    [f"{{hash: [{HASH}]}}", f"{{hash: {HASH}}}", "{hash: ['${HASHED}']}", "{hash: '${HASHED}'}", "${HASHED}"],
)
def test_a_hash_stands_in_the_file_or_in_the_environment(tmp_path, declared):
    text = CLIENT.replace("authentication:\n", f"authentication:\n  client_secret: {declared}\n")
    policies = loaded(tmp_path, {"HASHED": HASH}, clients__orders_bff=text)
    assert policies.clients["orders-bff"].client_secret.sha256 == (b"\xab" * 32,)


def test_a_secret_itself_may_come_from_the_environment(tmp_path):
    text = CLIENT.replace("authentication:\n", "authentication:\n  client_secret: ${SECRET}\n")
    policies = loaded(tmp_path, {"SECRET": "abc"}, clients__orders_bff=text)
    (digest,) = policies.clients["orders-bff"].client_secret.sha256
    assert digest.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "{jwks_file: keys/orders-bff.json}",
            "{jwks_file: keys/orders-bff.json, assertion_audience: issuer}",
        ),
        ("authentication:\n", "authentication:\n  assertion_audience: issuer\n"),
        ("authentication:\n", "assertion_audience: issuer\nauthentication:\n"),
    ],
)
def test_an_assertion_may_be_bound_to_the_issuer_alone(tmp_path, before, after):
    client = loaded(tmp_path, clients__orders_bff=CLIENT.replace(before, after)).clients["orders-bff"]
    assert client.private_key_jwt.assertion_audience == "issuer"


def test_keys_of_a_client_may_be_fetched(tmp_path):
    text = CLIENT.replace(
        "{jwks_file: keys/orders-bff.json}",
        "{jwks_uri: 'http://127.0.0.1:9/k?x=1', allow_insecure_http: true, allow_private_network: true,"
        " algorithms: ES256}",
    )
    method = loaded(tmp_path, clients__orders_bff=text).clients["orders-bff"].private_key_jwt
    assert method.keys.jwks_uri == "http://127.0.0.1:9/k?x=1"
    assert (method.keys.allow_insecure_http, method.keys.allow_private_network) == (True, True)
    assert method.algorithms == {"ES256"}


def test_what_the_idps_call_a_client_includes_its_id(tmp_path):
    client = loaded(tmp_path, clients__orders_bff=CLIENT + "authorized_party: [bff-1, bff-2]\n").clients[
        "orders-bff"
    ]
    assert client.authorized_party == {"orders-bff", "bff-1", "bff-2"}
