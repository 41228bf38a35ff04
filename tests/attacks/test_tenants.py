"""An IdP with one key set and an issuer per tenant: those that are listed, and nobody from any other.

The world is Microsoft's: every tenant's tokens are signed by keys that all tenants share, so nothing but exact names
keeps them apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from tests.attacks.forge import forged, header
from tests.support import keys
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import AUDIENCE, BASIC, audience_file, rule, write_policies
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, JWT, RunningService

OURS = "72f988bf-86f1-41af-91ab-2d7cd011db47"
ALSO_OURS = "11111111-2222-4333-8444-555555555555"
STRANGER = "99999999-9999-4999-8999-999999999999"
HOST = "https://login.microsoftonline.com"
SINGLE = "https://login.single.example"


def entra(tenant: str) -> str:
    return f"{HOST}/{tenant}/v2.0"


@dataclass(frozen=True)
class World:
    service: RunningService
    idp: FakeIssuer
    """Metadata and keys of every tenant, found by discovery."""

    def exchange(self, token: str, **parameters: Any) -> Any:
        return self.service.exchange(token, BASIC, audience=AUDIENCE, **parameters)


def confined(label: str, issuer: str) -> dict[str, Any]:
    return {**keys.public_jwk("RS256", label), "issuer": issuer}


def publish(idp: FakeIssuer, tenant: str, issuer: str) -> None:
    """Serve metadata of ``tenant`` that says it is ``issuer``."""
    metadata = {**idp.metadata(), "issuer": issuer, "jwks_uri": f"{idp.origin}/jwks.json"}
    idp.answers[f"/{tenant}/v2.0/.well-known/openid-configuration"] = json.dumps(metadata).encode()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    shared = {
        "jwks": {
            "keys": [
                confined("a", f"{HOST}/{{tenantid}}/v2.0"),
                confined("only-ours", entra(OURS)),
                confined("elsewhere", "https://other.example/{tenantid}/v2.0"),
                keys.public_jwk("RS256", "unconfined"),
            ]
        }
    }
    with ExitStack() as running:
        idp = running.enter_context(FakeIssuer(label="found"))
        publish(idp, OURS, f"{idp.origin}/{OURS}/v2.0")
        publish(idp, ALSO_OURS, f"{idp.origin}/{{tenantid}}/v2.0")
        publish(idp, STRANGER, f"{idp.origin}/{STRANGER}/v2.0")
        template = f"{idp.origin}/{{tenant}}/v2.0"
        tenant = {"claim": "tid", "allow": [OURS, ALSO_OURS]}
        common = {"profile": "entra-v2", "audience": [BACKEND], "tenant": tenant}
        policies = write_policies(
            tmp_path_factory.mktemp("tenants") / "policies",
            issuer=idp.origin,
            issuers={
                "idp": None,
                "entra": {"issuer": f"{HOST}/{{tenant}}/v2.0", "keys": shared, **common},
                "found": {"issuer": template, "allow_insecure_http": True, **common},
                "off": {
                    "issuer": "https://off.example/{tenant}/v2.0",
                    "keys": shared,
                    "enabled": False,
                    **common,
                },
                "single": {
                    "issuer": f"{SINGLE}/{OURS}/v2.0",
                    "profile": "entra-v2",
                    "audience": [BACKEND],
                    "keys": {"jwks": {"keys": [confined("a", f"{SINGLE}/{{tenantid}}/v2.0")]}},
                },
            },
            clients={"shop-with-key": None},
            audiences={
                "orders": audience_file(rule(subject={"issuer": ["entra", "found", "off", "single"]}))
            },
        )
        yield World(running.enter_context(RunningService(policies)), idp)


def token(tenant: str = OURS, *, issuer: str = "", label: str = "a", **changes: Any) -> str:
    """Return an Entra access token of ``tenant``; ``...`` leaves a claim out."""
    now = int(time.time())
    claims = {
        "iss": issuer or entra(tenant),
        "tid": tenant,
        "oid": "00000000-0000-4000-8000-00000000f001",
        "sub": "pairwise",
        "aud": BACKEND,
        "azp": "c1",
        "azpacr": "1",
        "scp": "orders.read",
        "ver": "2.0",
        "iat": now,
        "exp": now + 3600,
    }
    made = {name: value for name, value in (claims | changes).items() if value is not ...}
    return forged(header(typ="JWT", kid=f"RS256-{label}"), made, label=label)


@pytest.mark.parametrize("tenant", [OURS, ALSO_OURS])
def test_each_listed_tenant_s_token_is_exchanged_and_its_people_stay_apart(world: World, tenant: str) -> None:
    answer = world.exchange(token(tenant))
    record = assert_issued(world.service, answer)
    assert record["subject"]["issuer"] == "entra"
    issued = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert issued["sub"] == f"entra|{tenant}|00000000-0000-4000-8000-00000000f001"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tid": STRANGER}, "tenant_not_allowed"),
        ({"tid": ALSO_OURS}, "tenant_not_allowed"),
        ({"tid": OURS.upper()}, "tenant_not_allowed"),
        ({"tid": [OURS]}, "tenant_not_allowed"),
        ({"tid": True}, "tenant_not_allowed"),
        ({"tid": ""}, "tenant_not_allowed"),
        ({"tid": ...}, "claim_missing"),
        ({"tid": None}, "claim_missing"),
    ],
)
def test_the_token_must_name_the_tenant_that_is_in_its_issuer(
    world: World, changes: dict[str, Any], reason: str
) -> None:
    """With a key that is confined to nobody: nothing but the claim ties the token to a tenant."""
    assert_refused(
        world.service, world.exchange(token(label="unconfined", **changes)), f"subject_token_{reason}"
    )
    assert_issued(world.service, world.exchange(token(label="unconfined")))


@pytest.mark.parametrize("changes", [{"tid": STRANGER}, {"tid": ALSO_OURS}, {"tid": ...}, {"tid": [OURS]}])
def test_a_key_for_all_tenants_verifies_the_tenant_that_the_token_names(
    world: World, changes: dict[str, Any]
) -> None:
    assert_refused(world.service, world.exchange(token(**changes)), "subject_token_key_unknown")


def test_a_key_of_one_tenant_verifies_no_other_s(world: World) -> None:
    assert_issued(world.service, world.exchange(token(OURS, label="only-ours")))
    assert_refused(
        world.service, world.exchange(token(ALSO_OURS, label="only-ours")), "subject_token_key_unknown"
    )


def test_a_key_whose_template_is_of_another_host_verifies_nothing_here(world: World) -> None:
    assert_refused(world.service, world.exchange(token(label="elsewhere")), "subject_token_key_unknown")


def test_a_file_of_one_tenant_holds_the_key_to_its_tenant_too(world: World) -> None:
    issuer = f"{SINGLE}/{OURS}/v2.0"
    assert_issued(world.service, world.exchange(token(OURS, issuer=issuer)))
    for tid in (STRANGER, ...):
        answer = world.exchange(token(OURS, issuer=issuer, tid=tid))
        assert_refused(world.service, answer, "subject_token_key_unknown")


@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT])
@pytest.mark.parametrize("tenant", [STRANGER, "common", "organizations", "*", "tenant", OURS.upper()])
def test_a_tenant_that_is_not_listed_is_refused_as_that_where_it_can_be_one(
    world: World, tenant: str, declared: str
) -> None:
    reason = "issuer_not_trusted" if tenant == "*" else "tenant_not_allowed"
    answer = world.exchange(token(tenant), subject_token_type=declared)
    assert_refused(world.service, answer, f"subject_token_{reason}")


def test_a_tenant_that_is_not_listed_is_refused_as_an_actor_too(world: World) -> None:
    answer = world.exchange(token(), actor_token=token(STRANGER), actor_token_type=ACCESS_TOKEN)
    assert_refused(world.service, answer, "actor_token_tenant_not_allowed")


SPELLINGS = [
    f"{HOST}/{{tenant}}/v2.0",
    f"{HOST}/{{tenantid}}/v2.0",
    f"{HOST}//v2.0",
    f"{HOST}/{OURS}/{OURS}/v2.0",
    f"{HOST}/{STRANGER}/../{OURS}/v2.0",
    f"{HOST}/{OURS}%2Fv2.0",
    f"{HOST}/{OURS}/v2.0/",
    f"{HOST}/{OURS}/v1.0",
    f"{HOST}.evil.example/{OURS}/v2.0",
    f"https://evil.example/{OURS}/v2.0",
    f"http://login.microsoftonline.com/{OURS}/v2.0",
    f"{HOST}:443/{OURS}/v2.0",
    f"{HOST}/{OURS}?/v2.0",
    f"{HOST}/{OURS}#/v2.0",
    f"{HOST}/{OURS}\n/v2.0",
    f"{HOST}/{'/'.join('x' * 4000)}/v2.0",
]


@pytest.mark.parametrize("issuer", SPELLINGS)
def test_what_fits_the_template_only_nearly_is_nobody_s_issuer(world: World, issuer: str) -> None:
    answer = world.exchange(token(issuer=issuer))
    assert_refused(world.service, answer, "subject_token_issuer_not_trusted")


def test_every_tenant_of_a_file_that_is_switched_off_is_switched_off(world: World) -> None:
    for tenant in (OURS, STRANGER):
        answer = world.exchange(
            token(tenant, issuer=f"https://off.example/{tenant}/v2.0", label="unconfined")
        )
        assert_refused(world.service, answer, "subject_token_issuer_disabled")


class TestKeysFoundByDiscovery:
    def of(self, world: World, tenant: str, **changes: Any) -> str:
        return token(tenant, issuer=f"{world.idp.origin}/{tenant}/v2.0", label="found", **changes)

    def test_metadata_may_name_the_tenant_or_all_tenants(self, world: World) -> None:
        for tenant in (OURS, ALSO_OURS):
            assert_issued(world.service, world.exchange(self.of(world, tenant)))

    def test_an_unlisted_tenant_causes_no_request(self, world: World) -> None:
        before = list(world.idp.requests)
        answer = world.exchange(self.of(world, STRANGER))
        assert_refused(world.service, answer, "subject_token_tenant_not_allowed")
        assert world.idp.requests == before


@pytest.mark.parametrize(
    "named",
    [
        "{origin}/{stranger}/v2.0",
        "{origin}/{{tenantid}}/v1.0",
        "{origin}/{{a}}/{{b}}",
        "https://x.example/{{tenantid}}/v2.0",
    ],
)
def test_metadata_of_anybody_else_is_refused(tmp_path: Any, named: str) -> None:
    with FakeIssuer(label="found", path=f"/{OURS}/v2.0") as idp:
        genuine = idp.metadata
        idp.metadata = lambda: {**genuine(), "issuer": named.format(origin=idp.origin, stranger=STRANGER)}  # type: ignore[method-assign]
        policies = write_policies(
            tmp_path / "policies",
            issuer=idp.issuer,
            issuers={
                "idp": {
                    "issuer": f"{idp.origin}/{{tenant}}/v2.0",
                    "profile": "entra-v2",
                    "audience": [BACKEND],
                    "allow_insecure_http": True,
                    "tenant": {"claim": "tid", "allow": [OURS]},
                }
            },
        )
        with RunningService(policies) as service:
            own = token(OURS, issuer=idp.issuer, label="found")
            answer = service.exchange(own, BASIC, audience=AUDIENCE)
            assert_refused(service, answer, "issuer_keys_unavailable")
