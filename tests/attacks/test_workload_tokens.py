"""Workload tokens over HTTP: taken as what they are, from whom they must be, and never as access tokens.

Each attack spoils one thing beside a flow that is allowed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from tests.attacks.forge import access_claims, forged, header
from tests.support import keys
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    SECRET_CLIENT,
    audience_file,
    rule,
    secret_client_file,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, ID_TOKEN, JWT, RunningService

EXCHANGE = "https://exchange.example"
GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.com"
CLUSTER = "https://kubernetes.default.svc"
IDP = "https://idp.example"
INLINE = {"jwks": {"keys": [keys.public_jwk("RS256")]}}
POD = "system:serviceaccount:shop:bff"


def workload_file(issuer: str, profile: str, **changes: Any) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "kind": "workload",
        "profile": profile,
        "audience": [EXCHANGE],
        "keys": INLINE,
    } | changes


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    any_presenter = {"presenter": "any", "why": "A job brings its own token, and is nobody's client."}
    rules = [
        rule(
            id="deploys",
            subject={"issuer": "github"},
            scopes={"orders:read": "always", "orders:write": ["orders.write"]},
            **any_presenter,
        ),
        rule(id="jobs", subject={"issuer": "gitlab"}, scopes={"orders:read": "always"}, **any_presenter),
        rule(
            id="pods",
            subject={"issuer": "cluster", "claims": {"sub": POD}},
            scopes={"orders:read": "always"},
            **any_presenter,
        ),
        rule(id="people", subject={"issuer": "idp"}),
    ]
    policies = write_policies(
        tmp_path_factory.mktemp("workloads") / "policies",
        issuer=IDP,
        issuers={
            "idp": {"issuer": IDP, "audience": ["https://shop.example"], "keys": INLINE},
            "github": workload_file(GITHUB, "github-actions", require={"repository_owner_id": "1234567"}),
            "gitlab": workload_file(GITLAB, "gitlab-ci", require={"namespace_id": "72"}),
            "cluster": workload_file(CLUSTER, "kubernetes"),
        },
        clients={
            "shop-with-key": None,
            SECRET_CLIENT: secret_client_file(authorized_party=[POD]),
        },
        audiences={"orders": audience_file(*rules)},
    )
    with RunningService(policies) as running:
        yield running


def times(lifetime: int = 600) -> dict[str, int]:
    now = int(time.time())
    return {"iat": now, "nbf": now, "exp": now + lifetime}


def signed(claims: dict[str, Any], typ: str | None = "JWT", **changes: Any) -> str:
    """Sign claims as the platform would; ``...`` leaves a claim out."""
    made = {name: value for name, value in (claims | changes).items() if value is not ...}
    return forged(header(typ=typ or ...), made)


def github(typ: str | None = "JWT", **changes: Any) -> str:
    claims = {
        "iss": GITHUB,
        "aud": EXCHANGE,
        "sub": "repo:acme/shop:ref:refs/heads/main",
        "repository": "acme/shop",
        "repository_id": "74",
        "repository_owner": "acme",
        "repository_owner_id": "1234567",
        "run_id": "9",
        "ref": "refs/heads/main",
        "workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
        "jti": "gh-1",
    }
    return signed(claims | times(), typ, **changes)


def gitlab(**changes: Any) -> str:
    claims = {
        "iss": GITLAB,
        "aud": EXCHANGE,
        "sub": "project_path:acme/shop:ref_type:branch:ref:main",
        "namespace_id": "72",
        "project_id": "20",
        "pipeline_id": "574",
        "job_id": "302",
    }
    return signed(claims | times(3600), **changes)


def pod(lifetime: int = 3600, **changes: Any) -> str:
    claims = {
        "iss": CLUSTER,
        "aud": [EXCHANGE],
        "sub": POD,
        "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "bff", "uid": "u3"}},
    }
    return signed(claims | times(lifetime), None, **changes)


def person(typ: str = "at+jwt", **changes: Any) -> str:
    return forged(header(typ=typ), access_claims(IDP, **changes))


def exchange(service: RunningService, token: str, declared: str = JWT, **parameters: Any) -> Any:
    return service.exchange(token, BASIC, subject_token_type=declared, audience=AUDIENCE, **parameters)


TOKENS = {"github": github, "gitlab": gitlab, "cluster": pod}


@pytest.mark.parametrize("platform", TOKENS)
def test_a_workload_token_is_exchanged_as_a_jwt_and_gets_what_is_granted_always(
    service: RunningService, platform: str
) -> None:
    answer = exchange(service, TOKENS[platform]())
    record = assert_issued(service, answer)
    assert record["subject"]["kind"] == "workload"
    assert record["subject"]["issuer"] == platform
    issued = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert issued["sub"].startswith(f"{platform}|")
    assert issued["scope"] == "orders:read"


@pytest.mark.parametrize("platform", TOKENS)
def test_a_workload_token_is_no_access_token_and_the_answer_says_what_to_send(
    service: RunningService, platform: str
) -> None:
    answer = exchange(service, TOKENS[platform](), ACCESS_TOKEN)
    assert_refused(service, answer, "subject_token_is_other_kind")
    assert "urn:ietf:params:oauth:token-type:jwt" in answer.json()["error_description"]


def test_the_declared_type_id_token_is_refused_for_a_workload_too(service: RunningService) -> None:
    assert_refused(service, exchange(service, github(), ID_TOKEN), "subject_token_type_unsupported")


def test_an_access_token_is_still_exchanged_as_either(service: RunningService) -> None:
    for declared in (ACCESS_TOKEN, JWT):
        record = assert_issued(service, exchange(service, person(), declared))
        assert record["subject"]["kind"] == "access_token"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"repository_owner_id": "7654321"}, "claim_refused"),
        ({"repository_owner_id": 1234567}, "kind_unproven"),
        ({"repository_owner_id": ["1234567"]}, "kind_unproven"),
        ({"repository_owner_id": ...}, "kind_unproven"),
        ({"run_id": ...}, "kind_unproven"),
        ({"aud": "https://github.com/acme"}, "audience_mismatch"),
        ({"nonce": "n"}, "is_id_token"),
        ({"nonce": None}, "is_id_token"),
        ({"auth_time": 1}, "is_id_token"),
        ({"at_hash": "aGFzaA"}, "is_id_token"),
        ({"c_hash": ""}, "is_id_token"),
        ({"token_use": "id"}, "is_id_token"),
        ({"token_use": "access"}, "is_other_kind"),
        ({"typ": "Bearer"}, "is_other_kind"),
        ({"typ": "Refresh"}, "is_other_kind"),
        ({"events": {}}, "is_other_kind"),
        ({"cnf": {"jkt": "x"}}, "proof_missing"),
        ({"exp": ...}, "claim_missing"),
        ({"exp": int(time.time()) + 367 * 86400}, "lifetime_too_long"),
    ],
)
def test_one_thing_that_is_not_a_job_s_refuses_its_token(
    service: RunningService, changes: dict[str, Any], reason: str
) -> None:
    for declared in (JWT, ACCESS_TOKEN):
        expected = "is_other_kind" if declared == ACCESS_TOKEN and reason in AFTER_THE_KIND else reason
        answer = exchange(service, github(**changes), declared)
        assert_refused(service, answer, f"subject_token_{expected}")


AFTER_THE_KIND = {"claim_refused", "audience_mismatch", "proof_missing"}


@pytest.mark.parametrize(
    ("typ", "reason"),
    [
        ("at+jwt", "is_other_kind"),
        ("application/AT+JWT", "is_other_kind"),
        ("wit+jwt", "is_other_kind"),
        ("logout+jwt", "is_other_kind"),
        ("id_token+jwt", "is_id_token"),
        ("unheard-of", "is_other_kind"),
    ],
)
def test_an_explicit_type_that_no_workload_token_has_refuses_it(
    service: RunningService, typ: str, reason: str
) -> None:
    assert_refused(service, exchange(service, github(typ)), f"subject_token_{reason}")


@pytest.mark.parametrize("changes", [{}, {"auth_time": ...}, {"auth_time": ..., "nonce": "n"}])
def test_gitlab_s_login_id_token_is_refused_though_its_keys_and_issuer_are_right(
    service: RunningService, changes: dict[str, Any]
) -> None:
    login = {
        "iss": GITLAB,
        "aud": EXCHANGE,
        "sub": "72",
        "auth_time": 1,
        "namespace_id": "72",
        "email": "a@b.example",
    }
    for declared in (JWT, ACCESS_TOKEN):
        answer = exchange(service, signed(login | times(), **changes), declared)
        reason = (
            "subject_token_kind_unproven" if changes == {"auth_time": ...} else "subject_token_is_id_token"
        )
        assert_refused(service, answer, reason)


def test_a_legacy_token_of_the_cluster_never_expires_and_is_refused(service: RunningService) -> None:
    assert_refused(service, exchange(service, pod(exp=...)), "subject_token_claim_missing")


def test_a_token_that_the_cluster_extended_for_a_year_is_taken(service: RunningService) -> None:
    assert_issued(service, exchange(service, pod(365 * 86400)))


def test_another_pod_of_the_cluster_gets_nothing_where_the_rule_names_one(service: RunningService) -> None:
    other = pod(sub="system:serviceaccount:kube-system:attacker")
    assert_refused(service, exchange(service, other), "no_rule_permits")


@pytest.mark.parametrize("sub", ["system:node:worker-1", "spiffe://example.org/bff", "ada"])
def test_what_is_about_no_service_account_is_no_token_of_one(service: RunningService, sub: str) -> None:
    assert_refused(service, exchange(service, pod(sub=sub)), "subject_token_kind_unproven")


@pytest.mark.parametrize("platform", TOKENS)
def test_a_workload_token_in_an_ordinary_issuer_s_name_is_refused(
    service: RunningService, platform: str
) -> None:
    for declared in (JWT, ACCESS_TOKEN):
        answer = exchange(service, TOKENS[platform](iss=IDP), declared)
        found = answer.json()["reason"]
        assert found in {"subject_token_is_other_kind", "subject_token_kind_unproven"}
        assert_refused(service, answer, found)


def test_an_access_token_in_a_workload_issuer_s_name_is_refused(service: RunningService) -> None:
    for issuer in (GITHUB, GITLAB, CLUSTER):
        for declared in (JWT, ACCESS_TOKEN):
            answer = exchange(service, person(iss=issuer, aud=EXCHANGE), declared)
            assert_refused(service, answer, "subject_token_is_other_kind")


def test_a_scope_that_needs_one_of_the_token_s_is_never_granted(service: RunningService) -> None:
    """Not even where the token says it has it: the platform granted nothing."""
    token = github(scope="orders.write", scp=["orders.write"])
    assert_refused(service, exchange(service, token, scope="orders:write"), "scope_not_permitted")
    assert exchange(service, token).json()["scope"] == "orders:read"


class TestAsActor:
    def test_the_client_s_own_workload_acts_for_a_person(self, service: RunningService) -> None:
        answer = exchange(service, person(), ACCESS_TOKEN, actor_token=pod(), actor_token_type=JWT)
        record = assert_issued(service, answer)
        assert record["actor"]["kind"] == "workload"
        issued = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
        assert issued["act"] == {"sub": POD, "iss": CLUSTER}
        assert issued["sub"] == "idp|ada"

    def test_declared_as_an_access_token_it_does_not(self, service: RunningService) -> None:
        answer = exchange(service, person(), ACCESS_TOKEN, actor_token=pod(), actor_token_type=ACCESS_TOKEN)
        assert_refused(service, answer, "actor_token_is_other_kind")
        assert "actor_token_type" in answer.json()["error_description"]

    def test_somebody_else_s_workload_does_not(self, service: RunningService) -> None:
        for actor in (pod(sub="system:serviceaccount:shop:other"), github()):
            answer = exchange(service, person(), ACCESS_TOKEN, actor_token=actor, actor_token_type=JWT)
            assert_refused(service, answer, "actor_not_client")

    def test_an_id_token_of_the_platform_does_not(self, service: RunningService) -> None:
        answer = exchange(
            service, person(), ACCESS_TOKEN, actor_token=gitlab(nonce="n"), actor_token_type=JWT
        )
        assert_refused(service, answer, "actor_token_is_id_token")
