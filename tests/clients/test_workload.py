"""``workload``: a platform's token as client assertion; each check spoiled alone, beside what passes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from exchange.config.values import KeySource, TrustedIssuer, WorkloadIdentity
from exchange.errors import Refusal
from exchange.model import ClientCredentials
from tests.clients.desk import (
    A_KEYS,
    ABSENT,
    ISSUER,
    NOW,
    SECRET,
    TOKEN_ENDPOINT,
    Desk,
    assertion,
    presented,
    registered,
    signed,
)
from tests.support import keys
from tests.support.idp import FakeIssuer
from tests.support.tokens import conditions, inline_keys, paths, trusted_issuer

CLUSTER = "https://kubernetes.default.svc"
POD = "system:serviceaccount:shop:bff"
MARKER = ({"claims": {"/kubernetes.io/namespace": {"type": "string"}}},)
YEAR = 365 * 86400


def platform(name: str = "cluster", **changes: Any) -> TrustedIssuer:
    return trusted_issuer(
        **{
            "marker": MARKER,
            "name": name,
            "issuer": CLUSTER,
            "kind": "workload",
            "audience": frozenset({"https://of-an-exchange.example"}),
            "algorithms": frozenset({"RS256"}),
            "keys": inline_keys(keys.public_jwk("RS256")),
            "max_token_lifetime": 366 * 86400,
            **changes,
        }
    )


def bff(*more: WorkloadIdentity, **changes: Any):
    return registered("bff", workload=(WorkloadIdentity("cluster", POD), *more), **changes)


def claims(**changes: Any) -> dict[str, Any]:
    valid = {
        "iss": CLUSTER,
        "sub": POD,
        "aud": [ISSUER],
        "iat": NOW - 3600,
        "nbf": NOW - 3600,
        "exp": NOW + 3600,
        "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "bff", "uid": "1"}},
    }
    return {name: value for name, value in {**valid, **changes}.items() if value is not ABSENT}


def token(*, header: dict[str, Any] | None = None, label: str = "a", **changes: Any) -> str:
    members = {"alg": "RS256", "kid": f"RS256-{label}", **(header or {})}
    return signed(
        {name: value for name, value in members.items() if value is not ABSENT},
        claims(**changes),
        label=label,
    )


def from_pod(*, client_id: str | None = None, **changes: Any) -> ClientCredentials:
    return presented(token(**changes), unverified_client_id=client_id)


def desk_of(tmp_path, *issuers: TrustedIssuer, clients=None) -> Desk:
    return Desk(tmp_path, clients=clients or (bff(),), issuers=issuers or (platform(),))


@pytest.fixture
def desk(tmp_path):
    with desk_of(tmp_path) as desk:
        yield desk


@pytest.mark.parametrize(
    "sent",
    [
        from_pod(),
        from_pod(client_id="bff"),
        from_pod(aud=ISSUER),
        from_pod(aud=TOKEN_ENDPOINT),
        from_pod(aud=[TOKEN_ENDPOINT]),
        from_pod(iat=NOW - 10, exp=NOW - 10 + YEAR),
        from_pod(header={"kid": ABSENT}),
        from_pod(jti="j"),
    ],
)
def test_a_pod_is_its_client_as_often_as_it_likes_and_uses_nothing_up(desk, sent):
    assert desk.authenticator.presented_method(sent) == "workload"
    assert [desk.accepts(sent) for _ in range(3)] == ["bff"] * 3
    assert desk.marks() == 0


def test_what_the_platform_said_is_told(desk):
    said = desk.authenticator.authenticate(from_pod()).workload
    assert (said.issuer_name, said.subject, said.kind) == ("cluster", POD, "workload")


def test_a_client_may_be_several_workloads(tmp_path):
    client = bff(
        WorkloadIdentity("cluster", "system:serviceaccount:shop:blue"), WorkloadIdentity("ci", "job:1")
    )
    ci = platform("ci", issuer="https://ci.example")
    with desk_of(tmp_path, platform(), ci, clients=(client,)) as desk:
        assert desk.accepts(from_pod(sub="system:serviceaccount:shop:blue")) == "bff"
        assert desk.accepts(from_pod(iss="https://ci.example", sub="job:1")) == "bff"
        desk.refuses(
            from_pod(iss="https://ci.example"), "workload_unknown"
        )  # a pod's name, in another's mouth


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"sub": "system:serviceaccount:shop:bff2"}, "workload_unknown"),
        ({"sub": POD.upper()}, "workload_unknown"),
        ({"sub": f"{POD} "}, "workload_unknown"),
        ({"sub": ""}, "workload_unknown"),
        ({"sub": ABSENT}, "assertion_subject_malformed"),
        ({"sub": [POD]}, "assertion_subject_malformed"),
        ({"sub": None}, "assertion_subject_malformed"),
        ({"aud": ABSENT}, "workload_token_refused: audience_mismatch: "),
        ({"aud": []}, "workload_token_refused: audience_mismatch: "),
        ({"aud": "https://of-an-exchange.example"}, "workload_token_refused: audience_mismatch: "),
        ({"aud": f"{ISSUER}/"}, "workload_token_refused: audience_mismatch: "),
        ({"aud": "bff"}, "workload_token_refused: audience_mismatch: "),
        ({"aud": [ISSUER, "https://other.example"]}, "assertion_audience_not_single"),
        ({"aud": [ISSUER, TOKEN_ENDPOINT]}, "assertion_audience_not_single"),
        ({"aud": [ISSUER, ISSUER]}, "assertion_audience_not_single"),
        ({"aud": {"url": ISSUER}}, "workload_token_refused: claim_malformed: "),
        ({"exp": NOW}, "workload_token_refused: expired: "),
        ({"exp": ABSENT}, "workload_token_refused: claim_missing: "),
        ({"exp": str(NOW + 60)}, "workload_token_refused: claim_malformed: "),
        ({"iat": NOW + 31}, "workload_token_refused: not_yet_valid: "),
        ({"nbf": NOW + 31}, "workload_token_refused: not_yet_valid: "),
        ({"exp": NOW + 367 * 86400}, "workload_token_refused: lifetime_too_long: "),
        ({"kubernetes.io": ABSENT}, "workload_token_refused: kind_unproven: "),
        ({"nonce": "n"}, "workload_token_refused: is_id_token: "),
        ({"cnf": {"jkt": "x"}}, "workload_token_refused: proof_missing: "),
        ({"header": {"typ": "at+jwt"}}, "workload_token_refused: is_other_kind: "),
        ({"header": {"alg": "RS512"}}, "workload_token_refused: algorithm_not_allowed: "),
        ({"header": {"crit": ["x"], "x": 1}}, "workload_token_refused: header_refused: "),
        ({"header": {"kid": "made up"}}, "workload_token_refused: key_unknown: "),
        ({"label": "b", "header": {"kid": "RS256-a"}}, "workload_token_refused: signature_invalid: "),
        ({"client_id": "other"}, "client_id_mismatch"),
        ({"client_id": POD}, "client_id_mismatch"),
        ({"client_id": ""}, "client_id_mismatch"),
    ],
)
def test_a_spoilt_assertion_is_refused(desk, changes, cause):
    with pytest.raises(Refusal) as caught:
        desk.accepts(from_pod(**changes))
    detail = caught.value.detail or ""
    assert detail.startswith(cause) if cause.endswith(" ") else detail == cause, detail
    desk.refuses(from_pod(**changes), detail)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"enabled": False}, "workload_token_refused: issuer_disabled: "),
        ({"mode": "audit"}, "workload_issuer_in_audit_mode"),
        ({"require": conditions({"tenant": "acme"})}, "workload_token_refused: claim_refused: "),
        ({"required_claims": paths("sub", "iat", "exp", "jti")}, "workload_token_refused: claim_missing: "),
        ({"max_token_age": 600}, "workload_token_refused: too_old: "),
        ({"max_token_lifetime": 600}, "workload_token_refused: lifetime_too_long: "),
    ],
)
def test_what_its_issuer_s_file_asks_for_is_asked_for_here_too(tmp_path, changes, cause):
    with desk_of(tmp_path, platform(**changes)) as desk, pytest.raises(Refusal) as caught:
        desk.accepts(from_pod())
    assert caught.value.reason.slug == "client_authentication_failed"
    assert (caught.value.detail or "").startswith(cause)


def test_the_issuer_s_name_alone_is_taken_where_the_client_says_so(tmp_path):
    with desk_of(tmp_path, clients=(bff(assertion_audience="issuer"),)) as desk:
        assert desk.accepts(from_pod()) == "bff"
        with pytest.raises(Refusal) as caught:
            desk.accepts(from_pod(aud=TOKEN_ENDPOINT))
        cause, _, reason = (caught.value.detail or "").partition(": ")
        assert cause == "workload_token_refused"
        assert reason.startswith("audience_mismatch: ")


def test_an_issuer_of_access_tokens_vouches_for_nobody(tmp_path):
    ordinary = platform(kind="access_token")
    with desk_of(tmp_path, ordinary) as desk:
        assert desk.authenticator.presented_method(from_pod()) == "private_key_jwt"
        desk.refuses(from_pod(), "assertion_issuer_mismatch")


def test_a_client_s_own_key_is_not_the_platform_s_and_the_other_way_round(tmp_path):
    both = replace(bff(), private_key_jwt=registered("x", keys_of=A_KEYS).private_key_jwt)
    other = platform(keys=inline_keys(keys.public_jwk("RS256", "b")))
    with desk_of(tmp_path, other, clients=(both,)) as desk:
        assert desk.accepts(assertion(iss="bff", sub="bff")) == "bff"
        assert desk.accepts(from_pod(label="b")) == "bff"
        with pytest.raises(Refusal) as caught:
            desk.accepts(from_pod(header={"kid": "RS256-b"}))  # signed by the client itself
        assert (caught.value.detail or "").startswith("workload_token_refused: signature_invalid")
        desk.refuses(assertion(iss="bff", sub="bff", label="b"), "assertion_key_unknown", marks=1)
        desk.refuses(assertion(iss="bff", sub=POD, jti="2"), "assertion_issuer_mismatch", marks=1)


def test_another_type_of_assertion_is_none(desk):
    for kind in (None, "", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"):
        desk.refuses(presented(token(), client_assertion_type=kind), "assertion_type_unknown")


def test_nobody_is_asked_for_keys_on_a_stranger_s_word(tmp_path):
    with FakeIssuer() as idp:
        source = KeySource(jwks_uri=idp.jwks_uri, allow_insecure_http=True)
        shared = platform(issuer=idp.issuer, keys=source)
        with desk_of(tmp_path, shared) as desk:
            desk.refuses(
                from_pod(iss=idp.issuer, sub="repo:stranger/x:ref:refs/heads/main"), "workload_unknown"
            )
            desk.refuses(from_pod(iss=idp.issuer, client_id="other"), "client_id_mismatch")
            assert idp.requests == []


def test_keys_out_of_reach_are_said_to_be(tmp_path):
    with FakeIssuer() as idp:
        idp.down = True
        source = KeySource(jwks_uri=idp.jwks_uri, allow_insecure_http=True)
        with desk_of(tmp_path, platform(issuer=idp.issuer, keys=source)) as desk:
            with pytest.raises(Refusal) as caught:
                desk.accepts(from_pod(iss=idp.issuer))
            assert caught.value.reason.slug == "issuer_keys_unavailable"
            assert caught.value.retry_after is not None


def test_a_client_without_the_method_is_no_workload(tmp_path):
    clients = (registered("bff", keys_of=A_KEYS), registered("web", secrets=(SECRET,)))
    with desk_of(tmp_path, clients=clients) as desk:
        desk.refuses(from_pod(), "workload_unknown")
        desk.refuses(from_pod(client_id="bff"), "workload_unknown")


def test_what_is_no_jwt_is_no_workload_s(desk):
    for text in ("", "x", "a.b.c", json.dumps(claims()), token().rsplit(".", 1)[0]):
        assert desk.authenticator.presented_method(presented(text)) == "private_key_jwt"
        desk.refuses(presented(text), "assertion_malformed")
