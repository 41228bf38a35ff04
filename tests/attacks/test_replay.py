"""RFC 7519 §4.1.7: of a ``single_use`` issuer one token is exchanged once, by whichever worker, and once only.

Each attack stands beside a flow that passes.
"""

from __future__ import annotations

import base64
import os
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.attacks.forge import access_claims, forged, header, segment, worker_ids
from tests.attacks.test_outages import eventually
from tests.support import keys
from tests.support.idp import BACKEND
from tests.support.introspection import CREDENTIALS, SECRET, VARIABLE, Asked, Endpoint, json_answer
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    SECRET_CLIENT,
    audience_file,
    client_assertion,
    issuer_file,
    key_client_rule,
    rule,
    secret_client_file,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService

ONCE, OTHER, AGAIN = "https://once.example", "https://other.example", "https://again.example"
PARTNER = "https://partner.example"
KEY_BACKEND = f"{BACKEND}/with-key"
INLINE = {"jwks": {"keys": [keys.public_jwk("RS256"), keys.public_jwk("ES256")]}}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
USED, ACTOR_USED = "subject_token_used", "actor_token_used"


def policies_for(directory: Path, endpoint: str = "http://127.0.0.1:9/introspect") -> Path:
    issuers = ["once", "other", "again", "partner"]
    rules = (rule(subject={"issuer": issuers}), key_client_rule(subject={"issuer": issuers}))
    return write_policies(
        directory / "policies",
        issuer="",
        issuers={
            "idp": None,
            **{
                name: issuer_file(iss, audience=[BACKEND, KEY_BACKEND], keys=INLINE, **more)
                for name, iss, more in (
                    ("once", ONCE, {"single_use": True}),
                    ("other", OTHER, {"single_use": True}),
                    ("again", AGAIN, {}),
                )
            },
            "partner": {
                "issuer": PARTNER,
                "profile": "opaque",
                "audience": [BACKEND],
                "single_use": True,
                "allow_insecure_http": True,
                "introspection": {"endpoint": endpoint, **CREDENTIALS},
            },
        },
        clients={SECRET_CLIENT: secret_client_file(opaque_tokens_from="partner", authorized_party=["bot"])},
        audiences={"orders": audience_file(*rules)},
    )


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(says) as partner:
        yield partner


def says(asked: Asked) -> Any:
    token = asked.form["token"]
    answer = {
        "active": True,
        "token_type": "Bearer",
        "sub": "ada",
        "aud": BACKEND,
        "scope": "orders.read",
        "exp": int(time.time()) + 600,
    }
    return json_answer(answer | ({"jti": token.partition("_")[2]} if token.startswith("named_") else {}))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, endpoint: Endpoint) -> Iterator[RunningService]:
    policies = policies_for(tmp_path_factory.mktemp("replay"), endpoint.url)
    with RunningService(policies, env={VARIABLE: SECRET}, workers=4) as running:
        yield running


def token(
    issuer: str = ONCE, *, head: dict[str, Any] | None = None, algorithm: str = "RS256", **claims: Any
) -> str:
    found = header(alg=algorithm, kid=f"{algorithm}-a", **(head or {}))
    return forged(found, access_claims(issuer, **claims), algorithm=algorithm)


def exchange(service: RunningService, subject: str, *actor: str, **more: Any) -> requests.Response:
    """Ask on a connection of its own, so that any worker may be the one."""
    form = {
        "grant_type": GRANT_TYPE,
        "subject_token": subject,
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
    }
    if actor:
        form |= {"actor_token": actor[0], "actor_token_type": ACCESS_TOKEN}
    auth = more.pop("auth", BASIC)
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"{service.url}/token", data=form | more, auth=auth, timeout=15)


def bot(issuer: str = ONCE, **claims: Any) -> str:
    """Return the client's own token, with which it acts."""
    return token(issuer, sub="bot", client_id=SECRET_CLIENT, **claims)


def together(count: int, send: Any) -> list[requests.Response]:
    barrier = threading.Barrier(count)

    def run() -> requests.Response:
        barrier.wait(10)
        return send()

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(run) for _ in range(count)]]


# ── once ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_is_exchanged_once_on_all_workers_and_the_next_one_is_another(
    service: RunningService,
) -> None:
    for _ in range(3):
        used = token()
        assert_issued(service, exchange(service, used))
        for _ in range(8):
            record = assert_refused(service, exchange(service, used), USED)
            assert record["rule"] == "shop-reads-orders", "policy permitted it; the mark refused"


def test_tokens_of_an_issuer_that_does_not_say_so_are_exchanged_as_often_as_one_likes(
    service: RunningService,
) -> None:
    same = token(AGAIN)
    for _ in range(8):
        assert_issued(service, exchange(service, same))


@pytest.mark.parametrize("attempt", range(8))
def test_of_concurrent_exchanges_of_one_token_exactly_one_passes(
    service: RunningService, attempt: int
) -> None:
    used = token()
    answers = together(8, lambda: exchange(service, used))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    for answer in answers:
        if answer.status_code == 200:
            assert_issued(service, answer)
        else:
            assert_refused(service, answer, USED)


@pytest.mark.parametrize("attempt", range(4))
def test_of_concurrent_requests_with_one_client_assertion_exactly_one_passes(
    service: RunningService, attempt: int
) -> None:
    same = client_assertion(f"{service.issuer}/token")
    subject = token(AGAIN, aud=KEY_BACKEND)
    answers = together(8, lambda: exchange(service, subject, auth=None, **same))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
    for answer in answers:
        if answer.status_code != 200:
            assert_refused(service, answer, "client_authentication_failed")


def test_it_is_the_jti_that_is_used_however_the_token_is_written(service: RunningService) -> None:
    used = token(algorithm="ES256")
    assert_issued(service, exchange(service, used))
    unsigned, _, sent = used.rpartition(".")
    raw = base64.urlsafe_b64decode(sent + "==")
    s = P256_ORDER - int.from_bytes(raw[32:], "big")
    respelled = f"{unsigned}.{segment(raw[:32] + s.to_bytes(32, 'big'))}"  # verifies as well
    assert_refused(service, exchange(service, respelled), USED)
    jti = str(uuid.uuid4())
    assert_issued(service, exchange(service, token(jti=jti)))
    for later in ({"exp": int(time.time()) + 900}, {"sub": "bob"}, {"algorithm": "ES256"}):
        assert_refused(service, exchange(service, token(jti=jti, **later)), USED)


def test_one_jti_of_two_issuers_is_two_tokens(service: RunningService) -> None:
    jti = str(uuid.uuid4())
    for issuer in (ONCE, OTHER):
        assert_issued(service, exchange(service, token(issuer, jti=jti)))
        assert_refused(service, exchange(service, token(issuer, jti=jti)), USED)


def test_it_is_used_whichever_client_used_it(service: RunningService) -> None:
    used = token(aud=[BACKEND, KEY_BACKEND])
    assert_issued(service, exchange(service, used))
    other = exchange(service, used, auth=None, **client_assertion(f"{service.issuer}/token"))
    assert_refused(service, other, USED)


def test_without_a_jti_a_jwt_is_refused(service: RunningService) -> None:
    for spoilt in (..., None):
        assert_refused(service, exchange(service, token(jti=spoilt)), "subject_token_claim_missing")
    for spoilt in ("", 1, ["j"]):
        assert_refused(service, exchange(service, token(jti=spoilt)), "subject_token_claim_malformed")
    assert_refused(service, exchange(service, token(AGAIN), bot(jti=...)), "actor_token_claim_missing")


def test_what_is_refused_uses_nothing_up(service: RunningService) -> None:
    unused = token()
    for spoilt, reason in (
        ({"audience": "https://nobody.example"}, "target_unknown"),
        ({"scope": "orders:admin"}, "scope_not_permitted"),
        ({"auth": (SECRET_CLIENT, "wrong")}, "client_authentication_failed"),
        (
            {"requested_token_type": "urn:ietf:params:oauth:token-type:saml2"},
            "requested_token_type_unsupported",
        ),
        ({"auth": None, **client_assertion(f"{service.issuer}/token")}, "presenter_mismatch"),
    ):
        assert_refused(service, exchange(service, unused, **spoilt), reason)
    assert_refused(service, exchange(service, unused, token(sub="somebody")), "actor_not_client")
    by_another_key = unused.rpartition(".")[0] + "." + token().rpartition(".")[2]
    assert_refused(service, exchange(service, by_another_key), "subject_token_signature_invalid")
    assert_issued(service, exchange(service, unused))
    assert_refused(service, exchange(service, unused), USED)


# ── opaque tokens ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_opaque_token_is_exchanged_once_by_its_jti_or_by_what_it_is(service: RunningService) -> None:
    for used in (f"named_{uuid.uuid4()}", f"opaque_{uuid.uuid4()}"):
        assert_issued(service, exchange(service, used))
        for _ in range(4):
            assert_refused(service, exchange(service, used), USED)


# ── both tokens ─────────────────────────────────────────────────────────────────────────────────────────────


def test_both_tokens_of_a_delegation_are_used_up(service: RunningService) -> None:
    subject, actor = token(), bot()
    assert_issued(service, exchange(service, subject, actor))
    assert_refused(service, exchange(service, subject, bot()), USED)
    assert_refused(service, exchange(service, token(), actor), ACTOR_USED)
    assert_refused(service, exchange(service, subject), USED)


def test_an_actor_token_that_was_used_costs_the_subject_s_nothing(service: RunningService) -> None:
    subject, actor = token(), bot()
    assert_issued(service, exchange(service, token(), actor))
    assert_refused(service, exchange(service, subject, actor), ACTOR_USED)
    assert_issued(service, exchange(service, subject, bot()))


def test_of_concurrent_delegations_that_share_one_token_exactly_one_passes(service: RunningService) -> None:
    actor = bot()
    answers = together(6, lambda: exchange(service, token(), actor))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 5
    subject = token()
    answers = together(6, lambda: exchange(service, subject, bot()))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 5


# ── the store ───────────────────────────────────────────────────────────────────────────────────────────────


def test_marks_outlive_a_restart(tmp_path: Path) -> None:
    with RunningService(policies_for(tmp_path), env={VARIABLE: SECRET}) as service:
        used = token()
        assert_issued(service, exchange(service, used))
        service.restart()
        assert_refused(service, exchange(service, used), USED)
        assert_issued(service, exchange(service, token()))


def test_a_store_out_of_reach_is_503_and_nothing_is_issued_or_used_up(tmp_path: Path) -> None:
    with RunningService(policies_for(tmp_path), env={VARIABLE: SECRET}) as service:
        unused = token()
        assert_issued(service, exchange(service, token()))
        store = service.directory / "var" / "exchange.db"
        away = store.with_name("away.db")
        store.rename(away)
        store.mkdir()  # root writes whatever it likes, but no file over a directory
        for _ in range(4):
            answer = exchange(service, unused)
            assert_refused(service, answer, "store_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
            assert_issued(service, exchange(service, token(AGAIN)))
            assert_refused(
                service,
                exchange(
                    service, token(AGAIN, aud=KEY_BACKEND), auth=None, **client_assertion(service.issuer)
                ),
                "store_unavailable",
            )
        store.rmdir()
        away.rename(store)
        assert_issued(service, exchange(service, unused))
        assert_refused(service, exchange(service, unused), USED)


def test_a_store_that_can_only_be_read_is_503(tmp_path: Path) -> None:
    with RunningService(policies_for(tmp_path), env={VARIABLE: SECRET}) as service:
        unused = token()
        assert_issued(service, exchange(service, token()))
        # What SQLite does for a file that is mounted read-only: readers read, and nobody may write.
        with closing(
            sqlite3.connect(service.directory / "var" / "exchange.db", isolation_level=None)
        ) as holder:
            holder.execute("BEGIN IMMEDIATE")
            record = assert_refused(service, exchange(service, unused), "store_unavailable")
            assert record["detail"] == "locked"
            holder.execute("ROLLBACK")
        assert_issued(service, exchange(service, unused))


def test_workers_that_are_killed_meanwhile_never_let_a_token_pass_twice(tmp_path: Path) -> None:
    with RunningService(policies_for(tmp_path), env={VARIABLE: SECRET}, workers=4) as service:
        eventually(lambda: len(worker_ids(service)) == 4)
        for _ in range(4):
            used = token()
            issued: list[int] = []

            def send(same: str = used, found: list[int] = issued) -> None:
                try:
                    found.append(exchange(service, same).status_code)
                except requests.RequestException:
                    found.append(0)  # its worker was killed before it could answer

            threads = [threading.Thread(target=send) for _ in range(12)]
            for index, thread in enumerate(threads):
                thread.start()
                if index == 6:
                    os.kill(min(worker_ids(service)), signal.SIGKILL)
            for thread in threads:
                thread.join()
            assert issued.count(200) <= 1
            eventually(lambda: len(worker_ids(service)) == 4)
            last = exchange(service, used)
            if issued.count(200) or last.status_code != 200:
                assert_refused(
                    service, last, USED
                )  # a mark without its answer: the token is lost, not doubled
            assert_refused(service, exchange(service, used), USED)
            assert_issued(service, exchange(service, token()))


def test_a_subject_token_of_ours_is_not_single_use(service: RunningService) -> None:
    issued = exchange(service, token()).json()["access_token"]
    for _ in range(2):  # refused for what it is, both times, and never for having been used
        assert exchange(service, issued).json()["reason"] not in {USED, ACTOR_USED}
