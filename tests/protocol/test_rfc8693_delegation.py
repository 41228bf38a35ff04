"""RFC 8693 §1.1, §4.1 and §4.4 over HTTP: who acts is said and kept, over as many hops as are allowed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import BASIC, SECRET_CLIENT, audience_file, rule, server_file, write_policies
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, JWT, RunningService
from tests.support.services import api_client, basic, verified_claims

ORDERS = "https://orders.example"
STOCK = "https://stock.example"
LEDGER = "https://ledger.example"
SCOPES: dict[str, Any] = {"scopes": {"orders:read": ["orders.read", "orders:read"]}}


def api(audience: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return audience_file(*rules, audience=audience, resources=[f"{audience}/api"], scopes=["orders:read"])


def hop(client: str, issuer: str = "self", **changes: Any) -> dict[str, Any]:
    return rule(id=f"{client}-on", client=client, subject={"issuer": issuer}, **(SCOPES | changes))


@pytest.fixture(scope="module")
def service(idp: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The shop calls orders, orders calls stock, stock calls the ledger; each is a client and an API."""
    policies = write_policies(
        tmp_path_factory.mktemp("delegation") / "policies",
        issuer=idp.issuer,
        server=server_file(max_delegation_depth=2),
        clients={
            "shop-with-key": None,
            "orders": api_client("orders", ORDERS),
            "stock": api_client("stock", STOCK),
        },
        audiences={
            "orders": api(ORDERS, hop(SECRET_CLIENT, "idp")),
            "stock": api(STOCK, hop("orders")),
            "ledger": api(LEDGER, hop("stock"), hop("orders", presenter="authorized_party")),
            "alone": api("https://alone.example", hop(SECRET_CLIENT, "idp", delegation="none")),
            "together": api("https://together.example", hop(SECRET_CLIENT, "idp", delegation="required")),
            "gateway": api(
                "https://gateway.example",
                hop(SECRET_CLIENT, "idp", actor={"issuer": "idp", "claims": {"sub": "svc-gateway"}}),
            ),
            "own": api(
                "https://own.example",
                hop("orders", presenter="any", why="To be renewed, were that possible."),
            ),
        },
    )
    with RunningService(policies, workers=2) as running:
        yield running


def service_token(idp: FakeIssuer, client: str, **claims: Any) -> str:
    """The token with which ``client`` acts."""
    return idp.access_token(**({"sub": f"svc-{client}", "client_id": client, "scope": None} | claims))


def exchange(
    service: RunningService,
    token: str,
    actor: str | None = None,
    *,
    to: str = ORDERS,
    auth: tuple[str, str] = BASIC,
    **parameters: Any,
) -> requests.Response:
    acting = {"actor_token": actor, "actor_token_type": ACCESS_TOKEN} if actor else {}
    return service.exchange(token, auth, audience=to, **(acting | parameters))


def issued(service: RunningService, answer: requests.Response) -> str:
    assert_issued(service, answer)
    token: str = answer.json()["access_token"]
    return token


def acting(idp: FakeIssuer, client: str) -> dict[str, Any]:
    return {"sub": f"svc-{client}", "iss": idp.issuer, "client_id": client}


# ── the chain ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_actor_token_makes_a_delegated_token(service: RunningService, idp: FakeIssuer) -> None:
    answer = exchange(service, idp.access_token(), service_token(idp, SECRET_CLIENT))
    claims = verified_claims(service, issued(service, answer), ORDERS)
    assert claims["act"] == acting(idp, SECRET_CLIENT)
    assert (claims["sub"], claims["client_id"]) == ("idp|ada", SECRET_CLIENT)
    assert "may_act" not in claims


def two_hops(service: RunningService, idp: FakeIssuer) -> str:
    first = exchange(service, idp.access_token(), service_token(idp, SECRET_CLIENT))
    second = exchange(
        service, issued(service, first), service_token(idp, "orders"), to=STOCK, auth=basic("orders")
    )
    return issued(service, second)


def test_the_chain_is_nested_over_two_hops_and_the_subject_stays_who_it_was(
    service: RunningService, idp: FakeIssuer
) -> None:
    claims = verified_claims(service, two_hops(service, idp), STOCK)
    assert claims["act"] == {**acting(idp, "orders"), "act": acting(idp, SECRET_CLIENT)}
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("idp|ada", "orders", "orders:read")


def test_a_chain_is_never_longer_than_the_server_allows(service: RunningService, idp: FakeIssuer) -> None:
    token = two_hops(service, idp)
    third = exchange(service, token, service_token(idp, "stock"), to=LEDGER, auth=basic("stock"))
    assert_refused(service, third, "delegation_too_deep")
    # Without another actor the chain stays as long as it is, and is not dropped.
    onward = exchange(service, token, to=LEDGER, auth=basic("stock"))
    chain = verified_claims(service, issued(service, onward), LEDGER)["act"]
    assert chain == {**acting(idp, "orders"), "act": acting(idp, SECRET_CLIENT)}


def test_a_chain_that_an_idp_began_is_kept(service: RunningService, idp: FakeIssuer) -> None:
    began = {"sub": "svc-gateway", "iss": "https://gateway.example", "email": "x@gateway.example", "exp": 1}
    kept = {"sub": "svc-gateway", "iss": "https://gateway.example"}
    token = idp.access_token(act=began)
    without = exchange(service, token)
    assert verified_claims(service, issued(service, without), ORDERS)["act"] == kept
    with_actor = exchange(service, token, service_token(idp, SECRET_CLIENT))
    chain = verified_claims(service, issued(service, with_actor), ORDERS)["act"]
    assert chain == {**acting(idp, SECRET_CLIENT), "act": kept}


def test_a_party_never_comes_back_into_the_chain(service: RunningService, idp: FakeIssuer) -> None:
    began = idp.access_token(act={"sub": f"svc-{SECRET_CLIENT}", "iss": idp.issuer})
    actor = service_token(idp, SECRET_CLIENT)
    assert_refused(service, exchange(service, began, actor), "delegation_cycle")
    elsewhere = idp.access_token(act={"sub": f"svc-{SECRET_CLIENT}", "iss": "https://other.example"})
    assert_issued(service, exchange(service, elsewhere, actor))


def test_a_party_never_comes_back_over_hops(service: RunningService, idp: FakeIssuer) -> None:
    first = exchange(service, idp.access_token(), service_token(idp, SECRET_CLIENT))
    again = service_token(idp, SECRET_CLIENT, client_id="orders")
    second = exchange(service, issued(service, first), again, to=STOCK, auth=basic("orders"))
    assert_refused(service, second, "delegation_cycle")


def test_nobody_acts_for_itself(service: RunningService, idp: FakeIssuer) -> None:
    itself = service_token(idp, SECRET_CLIENT, sub="ada")
    assert_refused(service, exchange(service, idp.access_token(), itself), "delegation_cycle")


@pytest.mark.parametrize("act", [None, {}, "svc", [], {"sub": 7}, {"sub": "a", "act": "b"}], ids=str)
def test_a_chain_that_cannot_be_read_is_refused(service: RunningService, idp: FakeIssuer, act: Any) -> None:
    token = idp.sign({**idp.access_token_claims(), "act": act}, header={"typ": "at+jwt"})
    assert_refused(service, exchange(service, token), "subject_token_claim_malformed")


def test_an_actor_that_is_itself_delegated_is_refused(service: RunningService, idp: FakeIssuer) -> None:
    actor = service_token(idp, SECRET_CLIENT, act={"sub": "svc-other"})
    assert_refused(service, exchange(service, idp.access_token(), actor), "delegation_not_allowed")


# ── the actor token ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_actor_must_be_the_client(service: RunningService, idp: FakeIssuer) -> None:
    other = service_token(idp, "orders")
    assert_refused(service, exchange(service, idp.access_token(), other), "actor_not_client")
    assert_issued(service, exchange(service, idp.access_token(), service_token(idp, "x", sub=SECRET_CLIENT)))


def test_a_rule_may_name_the_actor(service: RunningService, idp: FakeIssuer) -> None:
    target = "https://gateway.example"
    gateway = service_token(idp, "gateway")
    answer = exchange(service, idp.access_token(), gateway, to=target)
    assert verified_claims(service, issued(service, answer), target)["act"] == acting(idp, "gateway")
    other = exchange(service, idp.access_token(), service_token(idp, SECRET_CLIENT), to=target)
    assert_refused(service, other, "no_rule_permits")
    assert_refused(service, exchange(service, idp.access_token(), to=target), "no_rule_permits")


@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT])
def test_an_id_token_never_acts(service: RunningService, idp: FakeIssuer, declared: str) -> None:
    actor = idp.id_token(sub=f"svc-{SECRET_CLIENT}", aud=BACKEND)
    answer = exchange(service, idp.access_token(), actor, actor_token_type=declared)
    assert answer.json()["reason"] in {"actor_token_is_id_token", "actor_token_kind_unproven"}
    assert_refused(service, answer, answer.json()["reason"])


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"exp": 1_000_000_000, "iat": 999_999_000}, "actor_token_expired"),
        ({"aud": "https://elsewhere.example"}, "actor_token_audience_mismatch"),
        ({"iss": "https://elsewhere.example"}, "actor_token_issuer_not_trusted"),
        ({"cnf": {"jkt": "x"}}, "actor_token_proof_missing"),
        ({"sub": None}, "actor_token_claim_missing"),
        ({"act": "svc"}, "actor_token_claim_malformed"),
        ({"may_act": "svc"}, "actor_token_claim_malformed"),
        ({"at_hash": "x"}, "actor_token_is_id_token"),
    ],
    ids=str,
)
def test_an_actor_token_is_held_to_every_rule_of_a_subject_token(
    service: RunningService, idp: FakeIssuer, spoilt: dict[str, Any], reason: str
) -> None:
    actor = service_token(idp, SECRET_CLIENT, **spoilt)
    assert_refused(service, exchange(service, idp.access_token(), actor), reason)


def test_a_token_of_ours_does_not_act_where_no_rule_says_so(service: RunningService, idp: FakeIssuer) -> None:
    ours = issued(service, exchange(service, idp.access_token(sub="bob")))
    answer = exchange(service, idp.access_token(), ours)
    assert_refused(service, answer, "actor_token_issuer_not_trusted")


def test_the_issued_token_never_outlives_the_actor_token(service: RunningService, idp: FakeIssuer) -> None:
    expiry = int(time.time()) + 40
    actor = service_token(idp, SECRET_CLIENT, exp=expiry)
    answer = exchange(service, idp.access_token(), actor)
    assert verified_claims(service, issued(service, answer), ORDERS)["exp"] == expiry


def test_a_rule_allows_forbids_or_requires_an_actor(service: RunningService, idp: FakeIssuer) -> None:
    token, actor = idp.access_token(), service_token(idp, SECRET_CLIENT)
    alone, together = "https://alone.example", "https://together.example"
    assert_issued(service, exchange(service, token, to=alone))
    assert_refused(service, exchange(service, token, actor, to=alone), "delegation_not_allowed")
    delegated = idp.access_token(act={"sub": "svc"})
    assert_refused(service, exchange(service, delegated, to=alone), "delegation_not_allowed")
    assert_issued(service, exchange(service, token, actor, to=together))
    assert_refused(service, exchange(service, token, to=together), "delegation_required")


# ── may_act ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_whom_the_subject_token_allows_may_act_and_it_is_kept(
    service: RunningService, idp: FakeIssuer
) -> None:
    may_act = {"sub": f"svc-{SECRET_CLIENT}", "iss": idp.issuer}
    answer = exchange(service, idp.access_token(may_act=may_act), service_token(idp, SECRET_CLIENT))
    claims = verified_claims(service, issued(service, answer), ORDERS)
    assert claims["may_act"] == may_act
    assert claims["act"] == acting(idp, SECRET_CLIENT)
    # It is obeyed on the next hop as well, where another one would act.
    onward = exchange(
        service,
        answer.json()["access_token"],
        service_token(idp, "orders"),
        to=STOCK,
        auth=basic("orders"),
    )
    assert_refused(service, onward, "may_act_mismatch")


@pytest.mark.parametrize(
    "may_act", [{"sub": "svc-other"}, {"client_id": "other"}, {"iss": "https://other.example"}, {}], ids=str
)
@pytest.mark.parametrize("with_actor", [True, False])
def test_another_than_whom_it_allows_is_refused(
    service: RunningService, idp: FakeIssuer, may_act: dict[str, Any], with_actor: bool
) -> None:
    actor = service_token(idp, SECRET_CLIENT) if with_actor else None
    answer = exchange(service, idp.access_token(may_act=may_act), actor)
    assert_refused(service, answer, "may_act_mismatch")


@pytest.mark.parametrize("may_act", [{"client_id": SECRET_CLIENT}, {"sub": SECRET_CLIENT}], ids=str)
def test_without_an_actor_token_the_client_is_whom_it_must_allow(
    service: RunningService, idp: FakeIssuer, may_act: dict[str, Any]
) -> None:
    answer = exchange(service, idp.access_token(may_act=may_act))
    claims = verified_claims(service, issued(service, answer), ORDERS)
    assert (claims["may_act"], "act" in claims) == (may_act, False)


# ── our own tokens ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_of_ours_is_never_renewed(service: RunningService, idp: FakeIssuer) -> None:
    own = "https://own.example"
    first = issued(service, exchange(service, idp.access_token()))
    second = issued(service, exchange(service, first, to=own, auth=basic("orders")))
    assert_refused(service, exchange(service, second, to=own, auth=basic("orders")), "self_renewal")
    assert_refused(service, exchange(service, first), "self_renewal")


def test_a_token_of_ours_is_exchanged_only_by_its_recipient_and_where_a_rule_says_self(
    service: RunningService, idp: FakeIssuer
) -> None:
    for_orders = issued(service, exchange(service, idp.access_token()))
    assert_refused(
        service, exchange(service, for_orders, to=STOCK, auth=basic("stock")), "target_not_permitted"
    )
    assert_refused(
        service, exchange(service, for_orders, to=LEDGER, auth=basic("stock")), "presenter_mismatch"
    )
    assert_refused(
        service, exchange(service, for_orders, to=LEDGER, auth=basic("orders")), "presenter_mismatch"
    )
    assert_refused(service, exchange(service, for_orders, to="https://alone.example"), "no_rule_permits")
    for_stock = issued(service, exchange(service, for_orders, to=STOCK, auth=basic("orders")))
    assert_issued(service, exchange(service, for_stock, to=LEDGER, auth=basic("orders")))


def test_a_token_of_ours_never_grows(service: RunningService, idp: FakeIssuer) -> None:
    expiry = int(time.time()) + 40
    narrow = exchange(service, idp.access_token(scope="other", exp=expiry))
    onward = exchange(service, issued(service, narrow), to=STOCK, auth=basic("orders"))
    claims = verified_claims(service, issued(service, onward), STOCK)
    assert "scope" not in claims
    assert claims["exp"] == expiry


def test_a_token_in_our_name_that_another_signed_is_refused(service: RunningService, idp: FakeIssuer) -> None:
    claims = idp.access_token_claims(iss=service.issuer, aud=ORDERS, client_id=SECRET_CLIENT)
    for algorithm in ("RS256", "ES256"):
        token = idp.sign(claims, header={"typ": "at+jwt"}, algorithm=algorithm)
        answer = exchange(service, token, to=STOCK, auth=basic("orders"))
        assert answer.json()["reason"] in {
            "subject_token_algorithm_not_allowed",
            "subject_token_key_unknown",
        }
        assert_refused(service, answer, answer.json()["reason"])
