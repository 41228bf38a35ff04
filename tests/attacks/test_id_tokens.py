"""Promise 1: an ID token is never exchanged, whatever it is declared to be and however little shows what it is.

Six issuers, one for each kind of product. The audience and ``sub`` of every refused token are those of a token that
passes, so that no refusal here is one of anything else than its kind.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.attacks.forge import forged, header
from tests.corpus.shapes import of_kind
from tests.support import keys
from tests.support.idp import BACKEND
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    audience_file,
    issuer_file,
    rule,
    secret_client_file,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, ID_TOKEN, JWT, RunningService
from tests.support.tokens import NOW, signed_as_it_is

TENANT = "00000000-0000-4000-8000-00000000aaaa"
APP = "1example23456789client000"
"""The application's client identifier, which is what an ID token is for."""
SIGNS: Mapping[str, Mapping[str, Any]] = {
    "nonce": {"nonce": "n-0S6_WzA2Mj"},
    "at_hash": {"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"},
    "c_hash": {"c_hash": "LDktKdoQak3Pk0cnXxCltA"},
    "s_hash": {"s_hash": "LDktKdoQak3Pk0cnXxCltA"},
    "nonce and hashes": {
        "nonce": "n-1",
        "at_hash": "77QmUPtjPfzWtF2AnpK9RQ",
        "c_hash": "LDktKdoQak3Pk0cnXxCltA",
    },
    "null hash": {"at_hash": None},
    "neither": {},
}
TYPES: Mapping[str, Any] = {"JWT": "JWT", "absent": ..., "jwt in lower case": "jwt", "JOSE": "JOSE"}


@dataclass(frozen=True)
class Product:
    """An issuer, and the claims in which its two tokens for one person differ."""

    issuer: str
    access_header: Mapping[str, Any]
    access_token: Mapping[str, Any]
    id_token: Mapping[str, Any]
    bare: str = "kind_unproven"
    """How its ID token is refused when it carries neither nonce nor hash."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """What both have."""


PERSON = {"name": "Ada", "email": "ada@shop.example", "email_verified": True, "preferred_username": "ada"}
PRODUCTS: Mapping[str, Product] = {
    "rfc9068": Product(
        "https://idp.example",
        {"typ": "at+jwt"},
        {"client_id": APP, "scope": "openid orders.read"},
        {"azp": APP, **PERSON},
    ),
    "keycloak": Product(
        "https://sso.example/realms/shop",
        {"typ": "JWT"},
        {
            "typ": "Bearer",
            "azp": APP,
            "scope": "openid orders.read",
            "realm_access": {"roles": ["customer"]},
            **PERSON,
        },
        {
            "typ": "ID",
            "azp": APP,
            "sid": "s-1",
            "acr": "1",
            "realm_access": {"roles": ["customer"]},
            **PERSON,
        },
        bare="is_id_token",
    ),
    "auth0": Product(
        "https://shop-tenant.eu.auth0.com/",
        {"typ": "JWT"},
        {"azp": APP, "scope": "openid orders.read"},
        {**PERSON, "sid": "s-1", "updated_at": "2026-01-01T00:00:00Z"},
    ),
    "okta": Product(
        "https://shop.okta.com/oauth2/default",
        {"typ": ...},
        {"ver": 1, "jti": "AT.1", "cid": APP, "uid": "00u1", "scp": ["openid", "orders.read"]},
        {"ver": 1, "jti": "ID.1", "idp": "00o1", "amr": ["pwd"], "uid": "00u1", **PERSON},
        bare="is_id_token",
    ),
    "entra-v2": Product(
        f"https://login.microsoftonline.com/{TENANT}/v2.0",
        {"typ": "JWT"},
        {"azp": APP, "azpacr": "1", "scp": "orders.read"},
        {"rh": "r", "uti": "u", **PERSON},
        own={"ver": "2.0", "tid": TENANT, "oid": "00000000-0000-4000-8000-00000000f001"},
    ),
    "cognito": Product(
        "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE01",
        {"typ": ...},
        {"token_use": "access", "aud": ..., "scope": "orders.read", "username": "ada"},
        {"token_use": "id", "cognito:username": "ada", **PERSON},
        bare="is_id_token",
        own={"client_id": APP},
    ),
}
DECLARED = {"access_token": ACCESS_TOKEN, "jwt": JWT}

every_profile = pytest.mark.parametrize("profile", PRODUCTS)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    issuers = {
        profile: issuer_file(
            product.issuer,
            profile=profile,
            audience=[BACKEND, APP],
            keys={"jwks": {"keys": [keys.public_jwk(), keys.public_jwk("ES256")]}},
        )
        for profile, product in PRODUCTS.items()
    }
    policies = write_policies(
        tmp_path_factory.mktemp("products") / "policies",
        issuer="",
        issuers={"idp": None, **issuers},
        clients={"shop": secret_client_file(audience=[BACKEND, APP]), "shop-with-key": None},
        audiences={"orders": audience_file(rule(subject={"issuer": list(PRODUCTS)}))},
    )
    with RunningService(policies, workers=2) as running:
        yield running


def claims_of(product: Product, *own: Mapping[str, Any]) -> dict[str, Any]:
    now = int(time.time())
    found: dict[str, Any] = {
        "iss": product.issuer,
        "sub": "ada",
        "aud": [APP, BACKEND],
        "iat": now,
        "exp": now + 3600,
        "auth_time": now,
        "jti": "j-1",
        **product.own,
    }
    for more in own:
        found |= more
    return {name: value for name, value in found.items() if value is not ...}


def access_token(profile: str) -> str:
    product = PRODUCTS[profile]
    return forged(header(**product.access_header), claims_of(product, product.access_token))


def id_token(profile: str, *more: Mapping[str, Any], typ: Any = "JWT") -> str:
    product = PRODUCTS[profile]
    return forged(header(typ=typ), claims_of(product, product.id_token, *more))


def present(
    service: RunningService, profile: str, token: str, role: str, declared: str = "access_token"
) -> Any:
    if role == "subject":
        return service.exchange(token, BASIC, audience=AUDIENCE, subject_token_type=DECLARED[declared])
    return service.exchange(
        access_token(profile),
        BASIC,
        audience=AUDIENCE,
        actor_token=token,
        actor_token_type=DECLARED[declared],
    )


@every_profile
@pytest.mark.parametrize("declared", DECLARED)
def test_a_genuine_access_token_of_each_product_is_exchanged(
    service: RunningService, profile: str, declared: str
) -> None:
    record = assert_issued(service, present(service, profile, access_token(profile), "subject", declared))
    assert record["subject"]["issuer"] == profile
    assert record["subject"]["kind"] == "access_token"
    assert record["issued"]["claims"]["scope"] == "orders:read"


@every_profile
def test_each_product_may_type_its_access_tokens(service: RunningService, profile: str) -> None:
    product = PRODUCTS[profile]
    for typ in ("at+jwt", "application/at+jwt", "AT+JWT"):
        token = forged(header(typ=typ), claims_of(product, product.access_token))
        assert_issued(service, present(service, profile, token, "subject"))


@every_profile
@pytest.mark.parametrize("role", ["subject", "actor"])
@pytest.mark.parametrize("declared", DECLARED)
@pytest.mark.parametrize("sign", SIGNS)
def test_an_id_token_is_refused_with_and_without_its_signs(
    service: RunningService, profile: str, sign: str, declared: str, role: str
) -> None:
    expected = "is_id_token" if SIGNS[sign] else PRODUCTS[profile].bare
    for typ in TYPES.values():
        answer = present(service, profile, id_token(profile, SIGNS[sign], typ=typ), role, declared)
        assert_refused(service, answer, f"{role}_token_{expected}")


@every_profile
@pytest.mark.parametrize("role", ["subject", "actor"])
@pytest.mark.parametrize("declared", DECLARED)
@pytest.mark.parametrize(
    "typ", ["id_token+jwt", "application/id_token+jwt", "id+jwt", "ID_TOKEN+JWT", "dpop+id_token"]
)
def test_a_header_that_says_id_token_is_refused(
    service: RunningService, profile: str, typ: str, declared: str, role: str
) -> None:
    answer = present(service, profile, id_token(profile, typ=typ), role, declared)
    assert_refused(service, answer, f"{role}_token_is_id_token")


@every_profile
@pytest.mark.parametrize("role", ["subject", "actor"])
@pytest.mark.parametrize("sign", ["at_hash", "c_hash", "s_hash", "nonce and hashes", "null hash"])
def test_a_hash_shows_an_id_token_even_under_the_type_of_access_tokens(
    service: RunningService, profile: str, sign: str, role: str
) -> None:
    # Some servers stamp at+jwt on everything they sign.
    answer = present(service, profile, id_token(profile, SIGNS[sign], typ="at+jwt"), role)
    assert_refused(service, answer, f"{role}_token_is_id_token")


@every_profile
def test_an_access_token_with_a_hash_of_an_id_token_is_none(service: RunningService, profile: str) -> None:
    product = PRODUCTS[profile]
    for name in ("at_hash", "c_hash", "s_hash"):
        token = forged(header(**product.access_header), claims_of(product, product.access_token, {name: "x"}))
        assert_refused(service, present(service, profile, token, "subject"), "subject_token_is_id_token")


@every_profile
def test_an_id_token_declared_as_one_is_refused_by_its_type(service: RunningService, profile: str) -> None:
    answer = service.exchange(id_token(profile), BASIC, audience=AUDIENCE, subject_token_type=ID_TOKEN)
    assert_refused(service, answer, "subject_token_type_unsupported")
    answer = service.exchange(access_token(profile), BASIC, audience=AUDIENCE, subject_token_type=ID_TOKEN)
    assert_refused(service, answer, "subject_token_type_unsupported")


BORROWED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "keycloak: typ in a list": ({"typ": ["Bearer"]}, "kind_unproven"),
    "keycloak: typ in another case": ({"typ": "bearer"}, "kind_unproven"),
    "keycloak: typ with a space": ({"typ": "Bearer "}, "kind_unproven"),
    "keycloak: typ ID in lower case": ({"typ": "id"}, "is_id_token"),
    "keycloak: Serialized-ID": ({"typ": "Serialized-ID"}, "is_id_token"),
    "auth0: scope without azp": ({"scope": "openid"}, "kind_unproven"),
    "auth0: azp without scope": ({"azp": APP}, "kind_unproven"),
    "auth0: scope as a list": ({"azp": APP, "scope": ["openid"]}, "kind_unproven"),
    "auth0: permissions as a string": ({"azp": APP, "permissions": "orders"}, "kind_unproven"),
    "okta: cid without scp": ({"cid": APP, "jti": "x"}, "kind_unproven"),
    "okta: scp as a string": ({"cid": APP, "scp": "openid", "jti": "x"}, "kind_unproven"),
    "okta: AT. is no proof": ({"jti": "AT.1"}, "kind_unproven"),
    "entra-v2: azp alone": ({"azp": APP}, "kind_unproven"),
    "entra-v2: ver as a number": ({"ver": 2.0, "azp": APP, "azpacr": "1"}, "kind_unproven"),
    "entra-v2: another version": ({"ver": "1.0", "azp": APP, "azpacr": "1"}, "kind_unproven"),
    "cognito: token_use in a list": ({"token_use": ["access"]}, "is_other_kind"),
    "cognito: both uses": ({"token_use": ["access", "id"]}, "is_id_token"),
    "cognito: no token_use": ({"token_use": ...}, "kind_unproven"),
    "cognito: another use": ({"token_use": "refresh"}, "is_other_kind"),
    "rfc9068: every claim of RFC 9068": ({"client_id": APP, "scope": "orders.read"}, "kind_unproven"),
    "rfc9068: typ as a claim": ({"typ": "at+jwt"}, "kind_unproven"),
    "rfc9068: token_use": ({"token_use": "access"}, "kind_unproven"),
}


@pytest.mark.parametrize("name", BORROWED)
def test_claims_of_an_access_token_that_fall_short_of_the_proof_do_not_help(
    service: RunningService, name: str
) -> None:
    profile = name.partition(":")[0]
    more, reason = BORROWED[name]
    for role in ("subject", "actor"):
        answer = present(service, profile, id_token(profile, more), role)
        assert_refused(service, answer, f"{role}_token_{reason}")


def test_two_descriptions_that_contradict_each_other_are_refused(service: RunningService) -> None:
    for more in ({"typ": "Bearer", "token_use": "id"}, {"typ": "ID", "token_use": "access"}):
        answer = present(service, "keycloak", id_token("keycloak", more), "subject")
        assert_refused(service, answer, "subject_token_is_other_kind")


@pytest.mark.parametrize(
    ("profile", "other"),
    [
        (profile, other)
        for profile in PRODUCTS
        for other in PRODUCTS
        # at+jwt is proof for all, and what Keycloak writes holds Auth0's marker: azp and scope
        if other not in {profile, "rfc9068"} and (profile, other) != ("auth0", "keycloak")
    ],
)
def test_the_proof_of_one_product_proves_nothing_for_another(
    service: RunningService, profile: str, other: str
) -> None:
    foreign = {name: value for name, value in PRODUCTS[other].access_token.items() if name != "aud"}
    token = forged(header(**PRODUCTS[other].access_header), claims_of(PRODUCTS[profile], foreign))
    answer = present(service, profile, token, "subject")
    assert_refused(service, answer, "subject_token_kind_unproven")


NO_SUB = {"sub": ...}
OTHER_KINDS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], str]] = {
    "logout token": ({"typ": "logout+jwt"}, {"events": {}, "sid": "s-1"}, "is_other_kind"),
    "logout token, untyped": (
        {"typ": "JWT"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}, "sid": "s-1"},
        "is_other_kind",
    ),
    "logout token of Keycloak": ({"typ": "JWT"}, {"typ": "Logout", "sid": "s-1"}, "is_other_kind"),
    "security event token": ({"typ": "secevent+jwt"}, {"events": {"urn:acme:event": {}}}, "is_other_kind"),
    "security event token, events as a string": ({"typ": "JWT"}, {"events": "{}"}, "is_other_kind"),
    "refresh token": ({"typ": "rt+jwt"}, {"client_id": APP, "scope": "orders.read"}, "is_other_kind"),
    "refresh token of Keycloak": (
        {"typ": "JWT"},
        {"typ": "Refresh", "azp": APP, "scope": "openid"},
        "is_other_kind",
    ),
    "offline token of Keycloak": (
        {"typ": "JWT"},
        {"typ": "Offline", "azp": APP, "scope": "openid"},
        "is_other_kind",
    ),
    "refresh token by token_type": ({"typ": "JWT"}, {"token_type": "refresh"}, "is_other_kind"),
    "DPoP proof": ({"typ": "dpop+jwt"}, {"htm": "POST", "htu": "https://a.example/"}, "is_other_kind"),
    "DPoP proof, untyped": ({"typ": "JWT"}, {"htm": "POST", "htu": "https://a.example/"}, "is_other_kind"),
    "client assertion": ({"typ": "client-authentication+jwt"}, {}, "is_other_kind"),
    "UMA requesting party token": (
        {"typ": "JWT"},
        {
            "typ": "Bearer",
            "azp": APP,
            "scope": "orders.read",
            "authorization": {"permissions": [{"rsid": "1"}]},
        },
        "is_other_kind",
    ),
    "userinfo as a JWT": ({"typ": ...}, PERSON, "kind_unproven"),
    "authorization response (JARM)": ({"typ": "JWT"}, {**NO_SUB, "code": "c", "state": "s"}, "is_other_kind"),
    "request object": ({"typ": "oauth-authz-req+jwt"}, {"response_type": "code"}, "is_other_kind"),
    "request object, untyped": (
        {"typ": "JWT"},
        {
            "response_type": "code",
            "redirect_uri": "https://shop.example/cb",
            "client_id": APP,
            "scope": "openid",
        },
        "is_other_kind",
    ),
    "introspection response": (
        {"typ": "token-introspection+jwt"},
        {"token_introspection": {"active": True}},
        "is_other_kind",
    ),
    "ID-JAG": ({"typ": "oauth-id-jag+jwt"}, {"client_id": APP, "scope": "orders.read"}, "is_other_kind"),
    "transaction token": ({"typ": "txntoken+jwt"}, {"txn": "1", "scope": "orders.read"}, "is_other_kind"),
    "credential": ({"typ": "vc+jwt"}, {"vc": {}}, "is_other_kind"),
    "SD-JWT": ({"typ": "JWT"}, {"vct": "https://a.example", "_sd": ["x"]}, "is_other_kind"),
    "entity statement": ({"typ": "entity-statement+jwt"}, {"jwks": {"keys": []}}, "is_other_kind"),
    "software statement": ({"typ": "JWT"}, {"software_id": "s", "redirect_uris": []}, "is_other_kind"),
    "SPIFFE JWT-SVID": ({"typ": "JWT"}, {"sub": "spiffe://shop.example/bff"}, "is_other_kind"),
    "Kubernetes service account": ({"typ": ...}, {"sub": "system:serviceaccount:shop:bff"}, "is_other_kind"),
    "a type that nobody knows": (
        {"typ": "acme+jwt"},
        {"client_id": APP, "scope": "orders.read"},
        "is_other_kind",
    ),
    "an empty type": ({"typ": ""}, {"client_id": APP, "scope": "orders.read"}, "is_other_kind"),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
@pytest.mark.parametrize("profile", ["rfc9068", "keycloak", "auth0"])
def test_a_token_of_another_kind_is_refused(service: RunningService, profile: str, name: str) -> None:
    head, more, reason = OTHER_KINDS[name]
    product = PRODUCTS[profile]
    for role in ("subject", "actor"):
        for declared in DECLARED:
            answer = present(
                service, profile, forged(header(**head), claims_of(product, more)), role, declared
            )
            assert_refused(service, answer, f"{role}_token_{reason}")


@every_profile
def test_a_token_about_its_own_issuer_is_refused(service: RunningService, profile: str) -> None:
    # A client assertion and a self-issued ID token have iss = sub, and may fill every claim of RFC 9068.
    product = PRODUCTS[profile]
    token = forged(header(), claims_of(product, product.access_token, {"sub": product.issuer}))
    assert_refused(service, present(service, profile, token, "subject"), "subject_token_is_other_kind")


KINDS = {"subject_token_is_id_token", "subject_token_is_other_kind", "subject_token_kind_unproven"}
FORM = {"subject_token_algorithm_not_allowed", "subject_token_header_refused"}
TIMES = {"exp", "iat", "nbf", "auth_time"}


@every_profile
def test_no_id_token_of_the_corpus_is_exchanged_whosever_it_is(service: RunningService, profile: str) -> None:
    product = PRODUCTS[profile]
    now = int(time.time())
    for case in of_kind("id_token", "other"):
        shifted = {
            name: value - NOW + now if name in TIMES and type(value) is int and value else value
            for name, value in case.claims.items()
        }
        claims = {"exp": now + 60, "iat": now, **shifted, "iss": product.issuer, "aud": [APP, BACKEND]}
        if "sub" in case.claims and case.claims["sub"] == case.claims.get("iss"):
            claims["sub"] = product.issuer
        head = {name: value for name, value in case.header.items() if name not in {"kid", "alg"}}
        token = signed_as_it_is(head, claims, algorithm="RS256").reveal()
        answer = present(service, profile, token, "subject")
        assert answer.status_code == 400, case
        assert answer.json()["reason"] in KINDS | FORM, case
