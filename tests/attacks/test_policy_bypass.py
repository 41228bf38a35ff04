"""Promises 3, 5 and 6: default deny, authority only shrinks, claims are built from empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.attacks.forge import ISSUER, access_claims, forged
from tests.support import dpop, keys
from tests.support.dpop import DpopKey
from tests.support.idp import BACKEND
from tests.support.policies import (
    BASIC,
    SECRET_CLIENT,
    audience_file,
    issuer_file,
    rule,
    secret_client_file,
    secret_hash,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, RunningService, ServiceDidNotStartError

OTHER_ISSUER = "https://other-idp.example"
OTHER_BACKEND = f"{BACKEND}/other"
OTHER = ("other-shop", "the-secret-of-another-client_0123456789abcdefgh")
REGISTERED = {"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope"}


def target(name: str) -> str:
    return f"https://{name}.example"


def api(name: str, *rules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return audience_file(
        *rules, **({"audience": target(name), "resources": [f"{target(name)}/api"]} | changes)
    )


def claims_rule(rule_id: str, claims: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return rule(id=rule_id, subject={"issuer": "idp", "claims": claims}, **changes)


def denial(rule_id: str, **changes: Any) -> dict[str, Any]:
    return {"id": rule_id, "client": SECRET_CLIENT, "deny": "Not here.", **changes}


WRITE = {"orders:write": ["orders.write"]}
READ = {"orders:read": ["orders.read"]}
MATCHERS: dict[str, dict[str, Any]] = {
    "verified": {"email_verified": True},
    "level": {"level": 1},
    "tenant": {"tenant": {"one_of": ["acme", "acme-eu"]}},
    "role": {"roles": {"contains": "admin"}},
    "roles": {"roles": {"contains_all": ["admin", "auditor"]}},
    "any-role": {"roles": {"contains_any": ["admin", "auditor"]}},
    "nested": {"/realm_access/roles": {"contains": "admin"}},
    "first": {"/groups/0": "admin"},
    "glob": {"tenant": {"glob": "acme-*"}},
    "pattern": {"tenant": {"pattern": "acme-[a-z]+"}},
    "prefix": {"tenant": {"prefix": "acme/"}},
    "present": {"tenant": {"present": True}},
    "absent": {"guest": {"present": False}},
    "text": {"tenant": {"type": "string"}},
}
AUDIENCES: dict[str, dict[str, Any]] = {
    "orders": api("orders", rule()),
    "billing": api("billing", rule(client=OTHER[0])),
    "nobody": api("nobody", denial("deny-all")),
    "foreign": api("foreign", rule(subject={"issuer": "other"})),
    "deny-first": api(
        "deny-first", denial("deny", subject={"issuer": "idp", "claims": {"guest": True}}), rule()
    ),
    "deny-last": api("deny-last", rule(), denial("deny", subject={"issuer": "idp"})),
    "split": api("split", rule(id="read", scopes=READ), rule(id="write", scopes=WRITE)),
    "presented": api(
        "presented",
        rule(id="strict", subject={"issuer": "idp"}),
        rule(id="lax", presenter="any", scopes={**READ, **WRITE}),
    ),
    "always": api("always", rule(scopes={"orders:read": "always", "orders:write": ["orders.write"]})),
    "copied": api(
        "copied",
        rule(
            claims={
                "tenant": {"copy": "tenant"},
                "roles": {"copy": "/realm_access/roles"},
                "region": {"value": "eu"},
            }
        ),
    ),
    **{name: api(name, claims_rule(name, claims)) for name, claims in MATCHERS.items()},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    jwks = {"jwks": {"keys": [keys.public_jwk()]}}
    policies = write_policies(
        tmp_path_factory.mktemp("bypass") / "policies",
        issuer=ISSUER,
        issuers={
            "idp": issuer_file(ISSUER, audience=[BACKEND, OTHER_BACKEND], keys=jwks),
            "other": issuer_file(OTHER_ISSUER, audience=[BACKEND, OTHER_BACKEND], keys=jwks),
        },
        clients={
            "shop-with-key": None,
            "other-shop": secret_client_file(
                client_id=OTHER[0],
                audience=[OTHER_BACKEND],
                authentication={"client_secret": {"hash": [secret_hash(OTHER[1])]}},
            ),
        },
        audiences=AUDIENCES,
    )
    with RunningService(policies, workers=2) as running:
        yield running


def exchange(
    service: RunningService,
    name: str | None,
    auth: tuple[str, str] = BASIC,
    *,
    iss: str = ISSUER,
    **parts: Any,
) -> Any:
    """Exchange a token with the claims in ``parts`` for the target ``name``; ``request`` are more parameters."""
    request = parts.pop("request", {})
    named = {"audience": target(name)} if name else {}
    return service.exchange(forged(payload=access_claims(iss, **parts)), auth, **named, **request)


def issued_claims(service: RunningService, answer: Any) -> dict[str, Any]:
    assert_issued(service, answer)
    found: dict[str, Any] = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    return found


# ── default deny ────────────────────────────────────────────────────────────────────────────────────────────


def test_client_issuer_and_target_must_all_be_named_by_one_rule(service: RunningService) -> None:
    assert_issued(service, exchange(service, "orders"))
    assert_issued(service, exchange(service, "billing", OTHER, aud=OTHER_BACKEND))
    assert_issued(service, exchange(service, "foreign", iss=OTHER_ISSUER))
    assert_refused(service, exchange(service, "billing"), "target_not_permitted")
    assert_refused(service, exchange(service, "orders", OTHER, aud=OTHER_BACKEND), "target_not_permitted")
    assert_refused(service, exchange(service, "orders", iss=OTHER_ISSUER), "no_rule_permits")
    assert_refused(service, exchange(service, "foreign"), "no_rule_permits")
    assert_refused(service, exchange(service, "nobody", OTHER, aud=OTHER_BACKEND), "target_not_permitted")


def test_a_client_that_only_a_denial_names_is_denied_by_it(service: RunningService) -> None:
    assert_refused(service, exchange(service, "nobody"), "denied_by_rule")


def test_a_refused_claim_is_not_repeated_to_the_client(service: RunningService) -> None:
    answer = exchange(service, "tenant", tenant="LeakMarker0123456789")
    record = assert_refused(service, answer, "no_rule_permits")
    assert "LeakMarker" not in answer.text
    assert record["trace"]["rules"][-1]["conditions"][-1]["text"] == "tenant one_of [acme, acme-eu]"


# ── targets ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"resource": "https://billing.example/api"}, "target_not_permitted"),
        (
            {"audience": "https://orders.example", "resource": "https://billing.example/api"},
            "too_many_targets",
        ),
        (
            {"audience": "https://billing.example", "resource": "https://orders.example/api"},
            "too_many_targets",
        ),
        ({"audience": ["https://orders.example", "https://billing.example"]}, "too_many_targets"),
        ({"audience": ["https://billing.example", "https://orders.example"]}, "too_many_targets"),
        ({"resource": ["https://orders.example/api", "https://billing.example/api"]}, "too_many_targets"),
        (
            {"audience": "https://orders.example", "resource": "https://nobody-knows.example/api"},
            "target_unknown",
        ),
        (
            {"audience": "https://nobody-knows.example", "resource": "https://orders.example/api"},
            "target_unknown",
        ),
        ({"resource": "https://orders.example/api/"}, "target_unknown"),
        ({"resource": "https://orders.example/api/../api"}, "target_unknown"),
        ({"resource": "https://ORDERS.example/api"}, "target_unknown"),
        ({"resource": "https://orders.example:443/api"}, "target_unknown"),
        ({"audience": "orders"}, "target_unknown"),
        ({"audience": "*"}, "target_unknown"),
        ({"audience": "https://orders.example https://billing.example"}, "target_unknown"),
        ({"audience": f"{BACKEND}"}, "target_unknown"),
    ],
    ids=str,
)
def test_neither_audience_nor_resource_is_a_way_around_the_other(
    service: RunningService, request_: dict[str, Any], reason: str
) -> None:
    # Abblix PR 205: an allow-list of audiences that resource walked around.
    assert_refused(service, exchange(service, None, request=request_), reason)


@pytest.mark.parametrize(
    "request_",
    [
        {"audience": "https://orders.example"},
        {"resource": "https://orders.example/api"},
        {"audience": "https://orders.example", "resource": "https://orders.example/api"},
    ],
    ids=str,
)
def test_a_permitted_target_is_answered_by_either_name(
    service: RunningService, request_: dict[str, Any]
) -> None:
    claims = issued_claims(service, exchange(service, None, request=request_))
    assert claims["aud"] == "https://orders.example"


# ── the choice of a rule ────────────────────────────────────────────────────────────────────────────────────


def test_a_denial_that_comes_first_decides(service: RunningService) -> None:
    assert_issued(service, exchange(service, "deny-first"))
    assert_issued(service, exchange(service, "deny-first", guest=False))
    record = assert_refused(service, exchange(service, "deny-first", guest=True), "denied_by_rule")
    assert record["rule"] == "deny"


def test_a_denial_that_comes_last_is_not_reached(service: RunningService) -> None:
    assert assert_issued(service, exchange(service, "deny-last"))["rule"] == "shop-reads-orders"


def test_a_presenter_mismatch_does_not_fall_through_to_a_later_rule(service: RunningService) -> None:
    assert assert_issued(service, exchange(service, "presented"))["rule"] == "strict"
    answer = exchange(service, "presented", aud=OTHER_BACKEND)
    assert assert_refused(service, answer, "presenter_mismatch")["rule"] == "strict"


def test_a_scope_of_a_later_rule_is_not_granted(service: RunningService) -> None:
    answer = exchange(service, "split", request={"scope": "orders:read"})
    assert assert_issued(service, answer)["rule"] == "read"
    for scope in ("orders:write", "orders:read orders:write"):
        answer = exchange(service, "split", request={"scope": scope})
        assert assert_refused(service, answer, "scope_not_permitted")["rule"] == "read"


# ── scopes ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("carried", "granted"),
    [
        ("orders.read", "orders:read"),
        ("orders.write openid orders.read", "orders:read orders:write"),
        (["orders.read"], "orders:read"),
        ("  orders.read  ", "orders:read"),
        ("orders:read orders:write", None),
        ("ORDERS.READ", None),
        ("orders.read,orders.write", None),
        ("orders.read\torders.write", None),
        ("orders.read\norders.write", None),
        ("orders.read\u00a0orders.write", None),
        ("orders.reader xorders.read", None),
        (["orders.read orders.write"], None),
        ("*", None),
        ("", None),
        ([], None),
        (None, None),
        (..., None),
    ],
    ids=repr,
)
def test_scopes_are_what_the_subject_token_carries_and_the_rule_maps(
    service: RunningService, carried: Any, granted: str | None
) -> None:
    answer = exchange(service, "orders", scope=carried)
    claims = issued_claims(service, answer)
    assert answer.json().get("scope") == granted
    assert claims.get("scope") == granted
    for wanted in ("orders:read", "orders:write"):
        asked = exchange(service, "orders", scope=carried, request={"scope": wanted})
        if granted and wanted in granted.split():
            assert issued_claims(service, asked)["scope"] == wanted
        else:
            assert_refused(service, asked, "scope_not_permitted")


@pytest.mark.parametrize("carried", [1, True, {"orders.read": True}, ["orders.read", 1], [["orders.read"]]])
def test_scopes_of_another_type_are_refused(service: RunningService, carried: Any) -> None:
    answer = exchange(service, "orders", scope=carried)
    assert_refused(service, answer, "subject_token_claim_malformed")


@pytest.mark.parametrize(
    "scope", ["made:up", "orders.read", "ORDERS:READ", "orders:read orders:delete", "openid", "*", "orders:*"]
)
def test_a_scope_beyond_the_grant_is_refused_and_never_cut_down(service: RunningService, scope: str) -> None:
    assert_refused(service, exchange(service, "orders", request={"scope": scope}), "scope_not_permitted")


def test_a_scope_that_is_always_granted_grants_no_other(service: RunningService) -> None:
    assert issued_claims(service, exchange(service, "always", scope=...))["scope"] == "orders:read"
    answer = exchange(service, "always", scope=..., request={"scope": "orders:write"})
    assert_refused(service, answer, "scope_not_permitted")


# ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────

MUCH = {
    "tenant": "acme",
    "realm_access": {"roles": ["customer"], "secret": "x"},
    "roles": ["admin"],
    "email": "ada@shop.example",
    "admin": True,
    "groups": ["root"],
    "azp": "shop-web",
    "sid": "s-1",
    "auth_time": 1,
    "acr": "9",
    "region": "us",
    "entitlements": ["all"],
    "txn": "t-1",
    "permissions": ["all"],
}


def test_no_claim_is_copied_that_no_rule_lists(service: RunningService) -> None:
    assert set(issued_claims(service, exchange(service, "orders", **MUCH))) == REGISTERED


def test_listed_claims_are_copied_and_no_others(service: RunningService) -> None:
    claims = issued_claims(service, exchange(service, "copied", **MUCH))
    assert set(claims) == REGISTERED | {"tenant", "roles", "region"}
    assert (claims["tenant"], claims["roles"], claims["region"]) == ("acme", ["customer"], "eu")


def test_a_claim_that_is_absent_or_null_is_left_out(service: RunningService) -> None:
    for absent in ({}, {"tenant": None}, {"realm_access": "x"}, {"realm_access": {"roles": None}}):
        assert set(issued_claims(service, exchange(service, "copied", **absent))) == REGISTERED | {"region"}


def test_registered_claims_are_ours_whatever_the_subject_token_says(service: RunningService) -> None:
    answer = exchange(
        service, "orders", jti="theirs", client_id="root", nbf=1, txn="x", aud=[BACKEND, "root"]
    )
    claims = issued_claims(service, answer)
    assert claims["iss"] == service.issuer
    assert claims["aud"] == "https://orders.example"
    assert claims["client_id"] == SECRET_CLIENT
    assert claims["sub"] == "idp|ada"
    assert claims["jti"] != "theirs"
    assert not {"nbf", "txn", "act", "cnf", "may_act"} & set(claims)


@pytest.mark.parametrize(
    "name",
    ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "act", "may_act", "cnf", "txn"],
)
def test_a_policy_that_writes_a_registered_claim_does_not_start(tmp_path: Path, name: str) -> None:
    policies = write_policies(
        tmp_path / "policies",
        issuer=ISSUER,
        issuers={"idp": issuer_file(ISSUER, keys={"jwks": {"keys": [keys.public_jwk()]}})},
        clients={"shop-with-key": None},
        audiences={"orders": audience_file(rule(claims={name: {"value": "x"}}))},
    )
    with pytest.raises(ServiceDidNotStartError, match=rf"audiences/orders\.yaml:\d+:\d+: .*claims\.{name}"):
        RunningService(policies, workers=1).__enter__()


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"cnf": {"jkt": "x"}}, "subject_token_proof_missing"),
        ({"cnf": {"x5t#S256": "x"}}, "subject_token_proof_missing"),
        ({"cnf": {"kid": "x"}}, "subject_token_proof_missing"),
        ({"cnf": {}}, "subject_token_proof_missing"),
        ({"cnf": None}, "subject_token_proof_missing"),
        ({"act": {}}, "subject_token_claim_malformed"),
        ({"act": None}, "subject_token_claim_malformed"),
        ({"may_act": {"client_id": "somebody"}}, "may_act_mismatch"),
        ({"may_act": {}}, "may_act_mismatch"),
        ({"may_act": None}, "subject_token_claim_malformed"),
    ],
    ids=str,
)
def test_what_would_be_lost_is_refused(service: RunningService, claims: dict[str, Any], reason: str) -> None:
    assert_refused(service, exchange(service, "orders", **claims), reason)


KEY, THIEF = DpopKey(), DpopKey(label="thief")


def test_a_bound_token_is_exchanged_by_the_holder_of_its_key_alone(service: RunningService) -> None:
    token = forged(payload=access_claims(cnf={"jkt": KEY.jkt}))
    asked = {"audience": target("orders")}
    answer = dpop.exchange(service, token, BASIC, KEY, **asked)
    assert issued_claims(service, answer)["cnf"] == {"jkt": KEY.jkt}
    stolen = dpop.exchange(service, token, BASIC, THIEF, **asked)
    assert_refused(service, stolen, "subject_token_proof_invalid")
    assert_refused(service, service.exchange(token, BASIC, **asked), "subject_token_proof_missing")


@pytest.mark.parametrize(
    "cnf",
    [
        {},
        None,
        [],
        "x",
        {"jkt": None},
        {"jkt": []},
        {"jkt": ""},
        {"jkt": KEY.jkt, "kid": "x"},
        {"jwk": KEY.jwk},
    ],
)
def test_a_constraint_that_a_proof_does_not_meet_whole_is_not_met(service: RunningService, cnf: Any) -> None:
    token = forged(payload=access_claims(cnf=cnf))
    answer = dpop.exchange(service, token, BASIC, KEY, audience=target("orders"))
    assert_refused(service, answer, "subject_token_proof_missing")


def test_an_actor_token_is_never_ignored(service: RunningService) -> None:
    actor = {"actor_token": forged(payload=access_claims(sub="actor")), "actor_token_type": ACCESS_TOKEN}
    assert_refused(service, exchange(service, "orders", request=actor), "actor_not_client")


# ── matchers, over real tokens ──────────────────────────────────────────────────────────────────────────────

HOLDS: list[tuple[str, dict[str, Any]]] = [
    ("verified", {"email_verified": True}),
    ("level", {"level": 1}),
    ("level", {"level": 1.0}),
    ("tenant", {"tenant": "acme"}),
    ("tenant", {"tenant": "acme-eu"}),
    ("role", {"roles": ["user", "admin"]}),
    ("roles", {"roles": ["auditor", "admin"]}),
    ("any-role", {"roles": ["auditor"]}),
    ("nested", {"realm_access": {"roles": ["admin"]}}),
    ("first", {"groups": ["admin"]}),
    ("glob", {"tenant": "acme-eu"}),
    ("pattern", {"tenant": "acme-eu"}),
    ("prefix", {"tenant": "acme/eu"}),
    ("present", {"tenant": ""}),
    ("present", {"tenant": False}),
    ("absent", {}),
    ("text", {"tenant": ""}),
]
FAILS: list[tuple[str, dict[str, Any]]] = [
    *(
        ("verified", {"email_verified": value})
        for value in ("true", "True", 1, 1.0, [True], {"0": True}, None, False)
    ),
    ("verified", {}),
    ("verified", {"Email_Verified": True}),
    *(("level", {"level": value}) for value in (True, "1", [1], 1.5, 2, None)),
    *(
        ("tenant", {"tenant": value})
        for value in (
            "acme ",
            " acme",
            "ACME",
            "acme\n",
            "acme\x00",
            "acm",
            "acme-",
            ["acme"],
            {"acme": 1},
            "",
            None,
        )
    ),
    *(
        ("role", {"roles": value})
        for value in (
            "admin",
            "not-admin admin",
            "user admin",
            ["not-admin"],
            ["admin "],
            ["ADMIN"],
            [["admin"]],
            [{"name": "admin"}],
            {"admin": True},
            {"0": "admin"},
            ["user,admin"],
            [],
            None,
            True,
        )
    ),
    ("roles", {"roles": ["admin", "admin"]}),
    ("roles", {"roles": "admin auditor"}),
    ("any-role", {"roles": "admin"}),
    ("any-role", {"roles": ["user"]}),
    ("nested", {"/realm_access/roles": ["admin"]}),
    ("nested", {"realm_access.roles": ["admin"]}),
    ("nested", {"realm_access/roles": ["admin"]}),
    ("nested", {"realm_access": {"roles": "admin"}}),
    ("nested", {"realm_access": [{"roles": ["admin"]}]}),
    ("nested", {"realm_access": '{"roles": ["admin"]}'}),
    ("nested", {"roles": ["admin"]}),
    ("first", {"groups": "admin"}),
    ("first", {"groups": []}),
    ("first", {"groups": ["user", "admin"]}),
    *(
        (name, {"tenant": value})
        for name in ("glob", "pattern")
        for value in ("acme", "xacme-eu", "ACME-EU", ["acme-eu"], "evil\nacme-eu", {"acme-eu": 1}, None)
    ),
    ("pattern", {"tenant": "acme-eu\n"}),
    ("pattern", {"tenant": "acme-eu\nevil"}),
    ("pattern", {"tenant": "acme-eu2"}),
    ("prefix", {"tenant": "acme"}),
    ("prefix", {"tenant": ["acme/eu"]}),
    ("prefix", {"tenant": " acme/eu"}),
    ("present", {}),
    ("present", {"tenant": None}),
    ("absent", {"guest": True}),
    ("absent", {"guest": False}),
    ("absent", {"guest": None}),
    ("text", {"tenant": 1}),
    ("text", {"tenant": None}),
    ("text", {"tenant": ["x"]}),
]


@pytest.mark.parametrize(("name", "claims"), HOLDS, ids=repr)
def test_a_claim_that_is_what_the_rule_asks_for_is_answered(
    service: RunningService, name: str, claims: dict[str, Any]
) -> None:
    assert_issued(service, exchange(service, name, **claims))


@pytest.mark.parametrize(("name", "claims"), FAILS, ids=repr)
def test_a_claim_that_only_looks_like_it_is_refused(
    service: RunningService, name: str, claims: dict[str, Any]
) -> None:
    assert_refused(service, exchange(service, name, **claims), "no_rule_permits")


def test_a_pattern_takes_linear_time(service: RunningService) -> None:
    # 10 kB that make a backtracking engine try for years
    answer = exchange(service, "pattern", tenant="acme-" + "a" * 10_000 + "!")
    assert_refused(service, answer, "no_rule_permits")
