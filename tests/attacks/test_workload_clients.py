"""RFC 7521, RFC 7523: a platform's token is its own workload's way in, and nobody else's.

Each attack spoils one thing beside a flow that is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.attacks.forge import access_claims, forged, header
from tests.attacks.test_workload_tokens import (
    CLUSTER,
    GITHUB,
    GITLAB,
    IDP,
    INLINE,
    POD,
    github,
    gitlab,
    pod,
    times,
    workload_file,
)
from tests.support import keys
from tests.support.idp import FakeIssuer
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    CLIENT_ASSERTION_TYPE,
    CLIENT_SECRET,
    SECRET_CLIENT,
    audience_file,
    client_assertion,
    rule,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import JWT, RunningService

FAILED = "client_authentication_failed"
EXCHANGE = "https://exchange.example"
BFF_BACKEND = "https://bff.example"
JOB = "repo:acme/shop:ref:refs/heads/main"
SVID = "spiffe://acme.example/ns/shop/sa/bff"
SPIRE = "https://spire.acme.example"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    identities = [{"issuer": "cluster", "subject": POD}, {"issuer": "spire", "subject": SVID}]
    policies = write_policies(
        tmp_path_factory.mktemp("workload-clients") / "policies",
        issuer=IDP,
        issuers={
            "idp": {"issuer": IDP, "audience": [BFF_BACKEND, "https://shop.example"], "keys": INLINE},
            "github": workload_file(GITHUB, "github-actions", require={"repository_owner_id": "1234567"}),
            "gitlab": workload_file(GITLAB, "gitlab-ci", require={"namespace_id": "72"}),
            "cluster": workload_file(CLUSTER, "kubernetes"),
            "spire": workload_file(SPIRE, "spiffe"),
            "old-cluster": workload_file("https://old.example", "kubernetes", enabled=False),
            "trial": workload_file("https://trial.example", "kubernetes", mode="audit"),
        },
        clients={
            "bff": {
                "audience": [BFF_BACKEND],
                "authorized_party": [POD],
                "authentication": {"workload": identities},
            },
            "deployer": {
                "audience": ["https://deployer.example"],
                "authentication": {
                    "assertion_audience": "issuer",
                    "workload": {"issuer": "github", "subject": JOB},
                },
            },
            "retired": {
                "authentication": {"workload": {"issuer": "old-cluster", "subject": POD}},
            },
            "on-trial": {"authentication": {"workload": {"issuer": "trial", "subject": POD}}},
        },
        audiences={
            "orders": audience_file(
                rule(
                    client=["bff", "deployer", "retired", "on-trial", SECRET_CLIENT],
                    subject={"issuer": "idp"},
                )
            )
        },
    )
    with RunningService(policies, env={"EXCHANGE_ISSUER": EXCHANGE}, workers=4) as running:
        yield running


def said(token: str) -> dict[str, str]:
    return {"client_assertion_type": CLIENT_ASSERTION_TYPE, "client_assertion": token}


def svid(**changes: Any) -> str:
    claims = {"iss": SPIRE, "sub": SVID, "aud": [EXCHANGE]} | times(300) | changes
    return forged(header(typ="JWT"), {name: value for name, value in claims.items() if value is not ...})


def ask(
    service: RunningService, *more: dict[str, Any], aud: str = BFF_BACKEND, **changes: Any
) -> requests.Response:
    form: dict[str, Any] = {"audience": AUDIENCE}
    for parameters in more:
        form |= parameters
    auth = changes.pop("auth", None)
    return service.exchange(forged(payload=access_claims(IDP, aud=aud)), auth, **form | changes)


def what_is_learnt(answer: requests.Response) -> str:
    return json.dumps([answer.status_code, {k: v for k, v in answer.json().items() if k != "request_id"}])


@pytest.mark.parametrize("client_id", [None, "bff"])
@pytest.mark.parametrize("make", [pod, svid])
def test_a_workload_is_its_client_on_every_worker_as_often_as_it_asks(
    service: RunningService, make: Any, client_id: str | None
) -> None:
    same = said(make())
    for _ in range(8):
        service._session.close()  # a new connection, so that several workers are asked
        record = assert_issued(service, ask(service, same, client_id=client_id))
        assert (record["client_id"], record["client_authentication"]) == ("bff", "workload")
        vouched = record["client_assertion"]
        assert (vouched["issuer"], vouched["sub"], vouched["kind"]) in {
            ("cluster", POD, "workload"),
            ("spire", SVID, "workload"),
        }
        assert same["client_assertion"] not in service.stdout()


@pytest.mark.parametrize("aud", [EXCHANGE, [EXCHANGE], f"{EXCHANGE}/token", [f"{EXCHANGE}/token"]])
def test_each_of_our_names_alone_is_an_audience(service: RunningService, aud: Any) -> None:
    assert_issued(service, ask(service, said(pod(aud=aud))))


def test_a_client_may_be_asked_for_the_issuer_s_name(service: RunningService) -> None:
    form = {"aud": "https://shop.example"}
    assert_refused(service, ask(service, said(github()), **form), "presenter_mismatch")  # it is who it says
    assert_refused(service, ask(service, said(github(aud=f"{EXCHANGE}/token")), **form), FAILED)


SPOILT: dict[str, Any] = {
    "another pod": lambda: pod(sub="system:serviceaccount:shop:other"),
    "a pod of another namespace": lambda: pod(sub="system:serviceaccount:attacker:bff"),
    "the node": lambda: pod(sub="system:node:worker-1"),
    "for the API server": lambda: pod(aud=["https://kubernetes.default.svc"]),
    "for nobody": lambda: pod(aud=...),
    "for us and somebody else": lambda: pod(aud=[EXCHANGE, "https://other.example"]),
    "for both our names": lambda: pod(aud=[EXCHANGE, f"{EXCHANGE}/token"]),
    "for something that begins so": lambda: pod(aud=f"{EXCHANGE}.attacker.example"),
    "for the client": lambda: pod(aud="bff"),
    "expired": lambda: pod(-10),
    "of a legacy Secret": lambda: pod(exp=..., aud=...),
    "for longer than a year": lambda: pod(367 * 86400),
    "without what marks it": lambda: pod(**{"kubernetes.io": ...}),
    "an ID token": lambda: pod(nonce="n"),
    "bound to a key": lambda: pod(cnf={"jkt": "x"}),
    "by another key": lambda: forged(
        header(typ="JWT"), {"iss": CLUSTER, "sub": POD, "aud": EXCHANGE} | times(), label="attacker"
    ),
    "an access token by its name": lambda: forged(payload=access_claims(CLUSTER, sub=POD, aud=EXCHANGE)),
    "the subject in another cluster": lambda: svid(sub=POD),
    "the subject of a job": lambda: pod(sub=JOB),
    "a stranger's job": lambda: github(sub="repo:stranger/x:ref:refs/heads/main", repository_owner_id="666"),
    "a stranger's job with our subject": lambda: github(repository_owner_id="666"),
    "a job that is no client": gitlab,
    "a login at GitLab": lambda: gitlab(auth_time=1),
    "a disabled issuer's": lambda: pod(iss="https://old.example"),
    "an issuer's on trial": lambda: pod(iss="https://trial.example"),
    "an unknown issuer's": lambda: pod(iss="https://attacker.example"),
    "an ordinary issuer's": lambda: pod(iss=IDP),
    "a person's access token": lambda: forged(payload=access_claims(IDP, aud=EXCHANGE)),
    "no list for iss": lambda: pod(iss=[CLUSTER]),
    "nothing in it": lambda: pod(iss=..., sub=...),
    "cut off": lambda: pod().rsplit(".", 1)[0],
    "without a signature": lambda: pod().rsplit(".", 1)[0] + ".",
}


def test_every_failure_looks_alike_and_names_nobody(service: RunningService) -> None:
    learnt = set()
    for what, make in SPOILT.items():
        answer = ask(service, said(make()))
        record = assert_refused(service, answer, FAILED)
        assert "client_id" not in record, what
        assert "client_assertion" not in record, what
        learnt.add(what_is_learnt(answer))
        assert_refused(service, ask(service, said(make()), client_id="bff"), FAILED)
    assert len(learnt) == 1
    assert_issued(service, ask(service, said(pod())))


def test_the_operator_sees_which_failure_it_was(service: RunningService) -> None:
    for make, detail in (
        (SPOILT["another pod"], "workload_unknown"),
        (SPOILT["for us and somebody else"], "assertion_audience_not_single"),
        (SPOILT["expired"], "workload_token_refused: expired"),
        (SPOILT["a stranger's job with our subject"], "workload_token_refused: claim_refused"),
        (SPOILT["a disabled issuer's"], "workload_token_refused: issuer_disabled"),
        (SPOILT["an issuer's on trial"], "workload_issuer_in_audit_mode"),
    ):
        record = assert_refused(service, ask(service, said(make())), FAILED)
        assert record["detail"].startswith(detail)
        assert record["client_authentication"] == "workload"


def test_a_name_beside_it_must_be_its_own(service: RunningService) -> None:
    for client_id in ("deployer", SECRET_CLIENT, POD, "nobody", "BFF"):
        assert_refused(service, ask(service, said(pod()), client_id=client_id), FAILED)


def test_it_is_one_method_and_beside_it_there_is_no_other(service: RunningService) -> None:
    secret = {"client_id": SECRET_CLIENT, "client_secret": CLIENT_SECRET}
    assert_refused(service, ask(service, said(pod()), auth=BASIC), FAILED)
    assert_refused(service, ask(service, said(pod()), secret), FAILED)
    assert_refused(service, ask(service, said(pod()), client_assertion_type=None), FAILED)
    assert_refused(service, ask(service, said(pod()), client_assertion_type=JWT), FAILED)
    answer = service.post_token(
        [("grant_type", "x"), *said(pod()).items(), ("client_assertion", pod())],
    )
    assert answer.status_code == 400


def test_a_client_s_own_assertion_by_the_platform_s_name_is_not_the_platform_s(
    service: RunningService,
) -> None:
    for claims in (
        {"iss": CLUSTER},
        {"iss": CLUSTER, "sub": POD},
        {"sub": POD},
        {"iss": "bff", "sub": "bff"},
    ):
        assert_refused(service, ask(service, client_assertion(f"{EXCHANGE}/token", **claims)), FAILED)


def test_the_same_token_may_say_who_acts_as_well(service: RunningService) -> None:
    token = pod()
    answer = ask(service, said(token), actor_token=token, actor_token_type=JWT)
    assert_issued(service, answer)


def test_a_workload_assertion_is_no_subject_token_of_a_person(service: RunningService) -> None:
    answer = service.exchange(pod(), None, audience=AUDIENCE, **said(pod()))
    assert_refused(service, answer, "subject_token_is_other_kind")
    answer = service.exchange(pod(), None, audience=AUDIENCE, subject_token_type=JWT, **said(pod()))
    assert_refused(service, answer, "no_rule_permits")


def test_the_metadata_name_what_is_registered_alone(service: RunningService) -> None:
    document = service.get("/.well-known/oauth-authorization-server").json()
    assert document["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ]
    assert "RS256" in document["token_endpoint_auth_signing_alg_values_supported"]


def test_keys_of_the_platform_out_of_reach_are_503_and_its_rotation_is_no_outage(tmp_path: Path) -> None:
    with FakeIssuer(label="cluster") as cluster:
        cluster.down = True
        policies = write_policies(
            tmp_path / "policies",
            issuer=IDP,
            issuers={
                "idp": {"issuer": IDP, "audience": [BFF_BACKEND], "keys": INLINE},
                "cluster": {
                    "issuer": cluster.issuer,
                    "kind": "workload",
                    "profile": "kubernetes",
                    "audience": [EXCHANGE],
                    "allow_insecure_http": True,
                },
            },
            clients={
                "bff": {
                    "audience": [BFF_BACKEND],
                    "authentication": {"workload": {"issuer": "cluster", "subject": POD}},
                },
                SECRET_CLIENT: None,
                "shop-with-key": None,
            },
            audiences={"orders": audience_file(rule(client="bff"))},
        )

        def by(label: str, **changes: Any) -> dict[str, str]:
            claims = {
                "iss": cluster.issuer,
                "aud": EXCHANGE,
                "sub": POD,
                "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "bff", "uid": "u"}},
            }
            return said(cluster.sign(claims | times() | changes, label=label))

        with RunningService(policies, env={"EXCHANGE_ISSUER": EXCHANGE}) as service:
            answer = ask(service, by("cluster"))
            assert_refused(service, answer, "issuer_keys_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
            before = len(cluster.requests)
            assert_refused(service, ask(service, by("cluster", sub="system:serviceaccount:x:y")), FAILED)
            assert len(cluster.requests) == before, "nobody is asked for a stranger"
        cluster.down = False
        with RunningService(policies, env={"EXCHANGE_ISSUER": EXCHANGE}) as service:
            for _ in range(4):
                assert_issued(service, ask(service, by("cluster")))
            cluster.jwks = {"keys": [keys.public_jwk("RS256", "new"), keys.public_jwk("RS256", "cluster")]}
            for _ in range(4):
                assert_issued(service, ask(service, by("new")))
                assert_issued(service, ask(service, by("cluster")))
                assert_refused(service, ask(service, by("attacker")), FAILED)
