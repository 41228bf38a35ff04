"""RFC 8693 §2.1 and RFC 8707 §2 over HTTP: several targets in one token, all of them permitted or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.idp import FakeIssuer
from tests.support.policies import BASIC, KEY_CLIENT, audience_file, rule, server_file, write_policies
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import RunningService
from tests.support.services import verified_claims

ORDERS, BILLS, OTHERS = "https://orders.example", "https://bills.example", "https://others.example"
ROLES, GUESTS = "https://roles.example", "https://guests.example"


def api(audience: str, scopes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    of_file = {name: changes.pop(name) for name in ("token_lifetime",) if name in changes}
    entry = rule(id="the-rule", scopes=scopes, **changes)
    resources = [f"{audience}/api"]
    return audience_file(entry, audience=audience, resources=resources, scopes=sorted(scopes), **of_file)


@pytest.fixture(scope="module")
def service(idp: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    policies = write_policies(
        tmp_path_factory.mktemp("targets") / "policies",
        issuer=idp.issuer,
        server=server_file(max_targets=2),
        audiences={
            "orders": api(ORDERS, {"orders:read": ["orders.read"], "read": "always"}),
            "bills": api(BILLS, {"bills:read": ["orders.read"]}, token_lifetime="1m"),
            "others": api(OTHERS, {"read": ["others.read"]}, client=KEY_CLIENT),
            "roles": api(ROLES, {"read": ["roles.read"]}, claims={"role": {"value": "admin"}}),
            "guests": api(GUESTS, {"guest": "always"}, claims={"role": {"value": "guest"}}),
        },
    )
    with RunningService(policies, workers=1) as running:
        yield running


def test_two_permitted_targets_are_in_one_token_in_the_order_named(
    service: RunningService, idp: FakeIssuer
) -> None:
    for named in (
        {"audience": [BILLS, ORDERS]},
        {"audience": BILLS, "resource": f"{ORDERS}/api"},
        {"resource": [f"{BILLS}/api", f"{ORDERS}/api"]},
        {"audience": [BILLS, ORDERS], "resource": [f"{BILLS}/api", f"{ORDERS}/api"]},
    ):
        answer = service.exchange(idp.access_token(), BASIC, **named)
        record = assert_issued(service, answer)
        for audience in (ORDERS, BILLS):
            claims = verified_claims(service, answer.json()["access_token"], audience)
        assert claims["aud"] == [BILLS, ORDERS]
        assert claims["scope"] == answer.json()["scope"] == "bills:read orders:read read"
        assert answer.json()["expires_in"] <= 60
        assert record["trace"]["targets"] == ["bills", "orders"]


def test_a_target_that_is_not_permitted_spoils_the_request(service: RunningService, idp: FakeIssuer) -> None:
    for named in ([ORDERS, OTHERS], [OTHERS, ORDERS]):
        answer = service.exchange(idp.access_token(), BASIC, audience=named)
        assert_refused(service, answer, "target_not_permitted")


def test_a_target_that_nobody_knows_spoils_the_request(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.exchange(idp.access_token(), BASIC, audience=[ORDERS, "https://nobody.example"])
    assert_refused(service, answer, "target_unknown")


def test_more_targets_than_the_server_allows_are_too_many(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.exchange(idp.access_token(), BASIC, audience=[ORDERS, BILLS, ROLES])
    assert_refused(service, answer, "too_many_targets")
    named_often = service.exchange(idp.access_token(), BASIC, audience=[ORDERS, BILLS, ORDERS])
    assert_issued(service, named_often)


def test_a_requested_scope_must_be_granted_by_a_target(service: RunningService, idp: FakeIssuer) -> None:
    both = [ORDERS, BILLS]
    answer = service.exchange(idp.access_token(), BASIC, audience=both, scope="bills:read orders:read")
    assert_issued(service, answer)
    assert answer.json()["scope"] == "bills:read orders:read"
    beyond = service.exchange(idp.access_token(), BASIC, audience=both, scope="bills:write")
    assert_refused(service, beyond, "scope_not_permitted")


def test_one_target_never_grants_a_scope_of_another(service: RunningService, idp: FakeIssuer) -> None:
    # `read` is granted always by orders; roles knows a `read` of its own, and does not grant it to this token.
    both = [ORDERS, ROLES]
    answer = service.exchange(idp.access_token(), BASIC, audience=both)
    assert_issued(service, answer)
    assert answer.json()["scope"] == "orders:read"
    named = service.exchange(idp.access_token(), BASIC, audience=both, scope="read")
    assert_refused(service, named, "scope_not_permitted")


def test_one_claim_never_has_two_meanings(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.exchange(idp.access_token(), BASIC, audience=[ROLES, GUESTS])
    assert_refused(service, answer, "too_many_targets")
    assert "each of them" in answer.json()["error_description"]


@pytest.mark.parametrize("parameters", [{}, {"scope": "orders:read"}])
def test_no_target_is_target_missing(service: RunningService, idp: FakeIssuer, parameters: Any) -> None:
    assert_refused(service, service.exchange(idp.access_token(), BASIC, **parameters), "target_missing")
