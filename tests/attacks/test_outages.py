"""Promise 10: fail closed, keep serving. IdPs, the store and workers that are slow, hostile or gone."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from tests.attacks.forge import both_workers, forged, header, worker_ids
from tests.support import keys
from tests.support.idp import BACKEND, Answer, FakeIssuer
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    audience_file,
    client_assertion,
    issuer_file,
    key_client_rule,
    rule,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService

KEY_BACKEND = f"{BACKEND}/with-key"
MARK = "LeakMarker0123456789"
METADATA = "/.well-known/openid-configuration"
JWKS = "/jwks.json"
FETCH_SECONDS = 5
"""Within which every fetch ends."""


def eventually(done: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait until ``done``; what must happen soon is never measured, only that it happens."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def trusting(
    directory: Path, *issuers: FakeIssuer, workers: int = 2, **options: Any
) -> Iterator[RunningService]:
    """Run the service; the issuers' files are ``idp-0``, ``idp-1`` and so on."""
    names = [f"idp-{index}" for index in range(len(issuers))]
    policies = write_policies(
        directory / "policies",
        issuer="",
        issuers={
            "idp": None,
            **{
                name: issuer_file(idp.issuer, audience=[BACKEND, KEY_BACKEND])
                for name, idp in zip(names, issuers, strict=True)
            },
        },
        audiences={
            "orders": audience_file(
                rule(subject={"issuer": names}), key_client_rule(subject={"issuer": names})
            )
        },
    )
    with RunningService(policies, workers=workers, **options) as service:
        yield service


def exchange(service: RunningService, token: str) -> requests.Response:
    """Exchange over a connection of its own, so that any worker may answer."""
    with requests.Session() as session:
        session.trust_env = False
        form = {
            "grant_type": GRANT_TYPE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "audience": AUDIENCE,
        }
        return session.post(f"{service.url}/token", data=form, auth=BASIC, timeout=30)


def exchange_with_key(
    service: RunningService, idp: FakeIssuer, assertion: dict[str, str]
) -> requests.Response:
    form = {
        "grant_type": GRANT_TYPE,
        "subject_token": idp.access_token(aud=KEY_BACKEND),
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
    }
    service._session.close()
    return service.post_token(form | assertion)


def assert_keys_unavailable(service: RunningService, answer: requests.Response) -> None:
    assert_refused(service, answer, "issuer_keys_unavailable")
    assert answer.json()["error"] == "temporarily_unavailable"
    assert answer.status_code == 503
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


# ── an IdP that is down ─────────────────────────────────────────────────────────────────────────────────────


def test_an_idp_that_is_down_at_the_start_is_refused_with_503_and_comes_back(tmp_path: Path) -> None:
    with FakeIssuer() as idp, FakeIssuer(label="b") as other:
        idp.down = True
        with trusting(tmp_path, idp, other) as service:
            assert service.get("/readyz").status_code == 200
            assert_keys_unavailable(service, exchange(service, idp.access_token()))
            assert_issued(service, exchange(service, other.access_token()))
            idp.down = False
            eventually(lambda: exchange(service, idp.access_token()).status_code == 200)
            assert_issued(service, exchange(service, other.access_token()))


def test_an_idp_that_goes_down_costs_nothing_while_its_keys_are_fresh(tmp_path: Path) -> None:
    with FakeIssuer() as idp, trusting(tmp_path, idp) as service:
        eventually(lambda: idp.requests.count(JWKS) == 2)  # both workers have them
        assert_issued(service, exchange(service, idp.access_token()))
        idp.down = True
        for _ in range(6):
            assert_issued(service, exchange(service, idp.access_token()))
        # A key that nobody knows is not called unknown while its issuer cannot be asked.
        unknown = forged(header(kid="new"), idp.access_token_claims(), label="new")
        assert_keys_unavailable(service, exchange(service, unknown))
        assert_issued(service, exchange(service, idp.access_token()))


def test_an_idp_that_does_not_even_listen_is_refused_with_503(tmp_path: Path) -> None:
    idp = FakeIssuer()
    with idp:
        token = idp.access_token()
        issuer = idp.issuer
    assert issuer  # the port is closed from here on
    with trusting(tmp_path, idp) as service:
        assert_keys_unavailable(service, exchange(service, token))


# ── an IdP that is slow ─────────────────────────────────────────────────────────────────────────────────────


def test_a_slow_idp_does_not_hold_up_the_others(tmp_path: Path) -> None:
    let_go = threading.Event()

    def hang() -> Answer:
        let_go.wait(60)
        return 503, {}, b""

    with FakeIssuer(label="slow") as slow, FakeIssuer(label="b") as quick:
        slow.answers[METADATA] = hang
        slow.answers["/.well-known/oauth-authorization-server"] = hang
        try:
            with trusting(tmp_path, slow, quick) as service, ThreadPoolExecutor(24) as pool:
                # More requests than the service has threads, all for keys that do not come.
                waiting = [pool.submit(exchange, service, slow.access_token()) for _ in range(24)]
                eventually(lambda: METADATA in slow.requests)
                begun = time.monotonic()
                for _ in range(10):
                    assert_issued(service, exchange(service, quick.access_token()))
                assert service.get("/healthz").status_code == 200
                # All ten together in less than one of the others may take.
                assert time.monotonic() - begun < FETCH_SECONDS
                assert not let_go.is_set()
                for future in waiting:
                    assert_keys_unavailable(service, future.result())
        finally:
            let_go.set()


def test_a_slow_idp_ends_within_its_deadline(tmp_path: Path) -> None:
    let_go = threading.Event()

    def hang() -> Answer:
        let_go.wait(60)
        return 503, {}, b""

    with FakeIssuer() as idp:
        idp.answers[JWKS] = hang
        try:
            with trusting(tmp_path, idp, workers=1) as service:
                begun = time.monotonic()
                assert_keys_unavailable(service, exchange(service, idp.access_token()))
                assert time.monotonic() - begun < 3 * FETCH_SECONDS
        finally:
            let_go.set()


# ── an IdP that is hostile ──────────────────────────────────────────────────────────────────────────────────

Hostile = Callable[[FakeIssuer], bytes | Callable[[], Answer]]


def says(body: str | bytes) -> Hostile:
    return lambda _: body if isinstance(body, bytes) else body.encode()


def sends(status: int, body: str = MARK, **headers: str) -> Hostile:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: lambda: (status, named, body.encode())


def metadata(**changes: Any) -> Hostile:
    """Its own metadata with changes; ``...`` leaves a member out."""

    def answer(idp: FakeIssuer) -> bytes:
        found = idp.metadata() | changes
        return json.dumps({name: value for name, value in found.items() if value is not ...}).encode()

    return answer


def key_set(*listed: Any, **members: Any) -> Hostile:
    return lambda _: json.dumps({"keys": list(listed), **members}).encode()


HOSTILE: dict[str, tuple[str, Hostile]] = {
    "keys of 10 MB": (JWKS, key_set(keys.public_jwk(), padding="x" * 10_000_000)),
    "keys that are no JSON": (JWKS, says(f"<html>{MARK}</html>")),
    "keys that are a list": (JWKS, says(f'["{MARK}"]')),
    "keys that are none": (JWKS, key_set(x=MARK)),
    "keys that are secret": (JWKS, key_set({"kty": "oct", "k": MARK, "kid": "RS256-a", "alg": "RS256"})),
    "keys that are private": (JWKS, key_set(keys.public_jwk() | {"d": MARK})),
    "keys for encryption": (JWKS, key_set(keys.public_jwk() | {"use": "enc"})),
    "keys in binary": (JWKS, says(b"\xff\xfe\x00" + MARK.encode())),
    "500 keys": (
        JWKS,
        key_set(*(keys.public_jwk(kid=str(index)) for index in range(500)), keys.public_jwk()),
    ),
    "deep nesting": (JWKS, says('{"keys": ' + "[" * 100_000)),
    "a duplicate member": (JWKS, says('{"keys": [], "keys": []}')),
    "keys with status 500": (JWKS, sends(500)),
    "keys with status 404": (JWKS, sends(404)),
    "keys with status 204": (JWKS, sends(204, "")),
    "keys in gzip": (JWKS, sends(200, Content_Encoding="gzip")),
    "metadata that is no JSON": (METADATA, says(MARK)),
    "metadata of 10 MB": (METADATA, metadata(padding="x" * 10_000_000)),
    "metadata with status 500": (METADATA, sends(500)),
    "metadata of another issuer": (METADATA, metadata(issuer="https://other.example")),
    "metadata of nobody": (METADATA, metadata(issuer=...)),
    "metadata without jwks_uri": (METADATA, metadata(jwks_uri=...)),
    "metadata whose jwks_uri is a list": (METADATA, metadata(jwks_uri=[f"https://{MARK}.example"])),
    **{
        f"metadata whose jwks_uri is {url}": (METADATA, metadata(jwks_uri=url))
        for url in (
            "file:///etc/passwd",
            "http://169.254.169.254/latest/meta-data",
            "https://169.254.169.254/latest/meta-data",
            "http://10.0.0.1/jwks.json",
            "https://10.0.0.1/jwks.json",
            "https://[::1]/jwks.json",
            "ftp://127.0.0.1/jwks.json",
            "jwks.json",
            "",
        )
    },
}


@pytest.fixture(scope="module")
def hostile(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningService, dict[str, FakeIssuer]]]:
    """One service that trusts all of ``HOSTILE`` and, last, an honest issuer."""
    with ExitStack() as running:
        idps = {name: running.enter_context(FakeIssuer()) for name in (*HOSTILE, "honest")}
        for name, (path, answer) in HOSTILE.items():
            idps[name].answers[path] = answer(idps[name])
        directory = tmp_path_factory.mktemp("hostile")
        service = running.enter_context(trusting(directory, *idps.values()))
        yield service, idps


def everything_said(service: RunningService) -> str:
    return service.stdout() + service.stderr() + service.get("/metrics").text + service.get("/readyz").text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused_and_nothing_of_it_is_repeated(
    hostile: tuple[RunningService, dict[str, FakeIssuer]], name: str
) -> None:
    service, idps = hostile
    answer = exchange(service, idps[name].access_token())
    assert_keys_unavailable(service, answer)
    assert MARK not in answer.text + str(answer.headers) + everything_said(service)
    assert "Traceback" not in service.stderr()
    assert_issued(service, exchange(service, idps["honest"].access_token()))


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with ExitStack() as running:
        elsewhere = running.enter_context(FakeIssuer())
        idps = []
        for path in (METADATA, JWKS):
            for status in (301, 302, 303, 307, 308):
                idp = running.enter_context(FakeIssuer())
                idp.answers[path] = sends(status, Location=f"{elsewhere.origin}{path}")(idp)
                idps.append(idp)
        service = running.enter_context(trusting(tmp_path, *idps, workers=1))
        for idp in idps:
            answer = exchange(service, idp.access_token())
            assert_keys_unavailable(service, answer)
            said = answer.text + everything_said(service)
            assert MARK not in said
            assert elsewhere.origin not in said
        assert elsewhere.requests == []


# ── keys that change ────────────────────────────────────────────────────────────────────────────────────────


def test_a_rotation_is_seen_by_every_worker(tmp_path: Path) -> None:
    with FakeIssuer(label="old") as idp, trusting(tmp_path, idp) as service:
        eventually(lambda: idp.requests.count(JWKS) == 2)
        for _ in range(4):
            assert_issued(service, exchange(service, idp.access_token()))
        idp.jwks = {"keys": [keys.public_jwk("RS256", "old"), keys.public_jwk("RS256", "new")]}
        for _ in range(8):
            for label in ("new", "old"):
                token = idp.sign(idp.access_token_claims(), header={"typ": "at+jwt"}, label=label)
                assert_issued(service, exchange(service, token))


def test_a_key_that_was_withdrawn_is_refused_once_that_is_known(tmp_path: Path) -> None:
    with FakeIssuer(label="old") as idp, trusting(tmp_path, idp, workers=1) as service:
        old = idp.access_token()
        assert_issued(service, exchange(service, old))
        idp.jwks = {"keys": [keys.public_jwk("RS256", "new")]}
        new = idp.sign(idp.access_token_claims(), header={"typ": "at+jwt"}, label="new")
        assert_issued(service, exchange(service, new))  # which makes the worker fetch
        assert_refused(service, exchange(service, old), "subject_token_key_unknown")


def test_a_key_set_that_turns_bad_does_not_cost_the_good_keys(tmp_path: Path) -> None:
    with FakeIssuer() as idp, trusting(tmp_path, idp, workers=1) as service:
        assert_issued(service, exchange(service, idp.access_token()))
        idp.answers[JWKS] = b'{"keys": []}'
        unknown = forged(header(kid="new"), idp.access_token_claims(), label="new")
        assert_keys_unavailable(service, exchange(service, unknown))
        assert_issued(service, exchange(service, idp.access_token()))


def test_a_flood_of_made_up_kids_causes_few_fetches(tmp_path: Path) -> None:
    with FakeIssuer() as idp, trusting(tmp_path, idp) as service:
        eventually(lambda: idp.requests.count(JWKS) == 2)
        begun = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            tokens = [
                forged(header(kid=f"made-up-{index}"), idp.access_token_claims()) for index in range(50)
            ]
            for answer in pool.map(lambda token: exchange(service, token), tokens):
                assert answer.json()["reason"] in {"subject_token_key_unknown", "issuer_keys_unavailable"}
        cool_downs = 1 + int((time.monotonic() - begun) / 10)
        assert idp.requests.count(JWKS) <= 2 + 2 * cool_downs
        assert_issued(service, exchange(service, idp.access_token()))
        assert_refused(service, exchange(service, tokens[0]), "subject_token_key_unknown")


# ── the store ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_store_that_cannot_be_written_refuses_assertions_and_nobody_else(tmp_path: Path) -> None:
    with FakeIssuer() as idp, trusting(tmp_path, idp) as service:
        token_endpoint = f"{service.issuer}/token"
        assert_issued(service, exchange_with_key(service, idp, client_assertion(token_endpoint)))
        unused = client_assertion(token_endpoint)
        store = service.directory / "var" / "exchange.db"
        away = store.with_name("away.db")
        store.rename(away)
        store.mkdir()  # root writes whatever it likes, but no file over a directory
        for _ in range(4):
            answer = exchange_with_key(service, idp, unused)
            assert_refused(service, answer, "store_unavailable")
            assert answer.json()["error"] == "temporarily_unavailable"
            assert int(answer.headers["Retry-After"]) >= 1
            assert_issued(service, exchange(service, idp.access_token()))
        ready = service.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["store"] == {"ok": False, "reason": "store_unavailable"}
        assert ready.json()["checks"]["policies"]["ok"]
        assert service.get("/healthz").status_code == 200
        store.rmdir()
        away.rename(store)
        eventually(lambda: service.get("/readyz").status_code == 200)
        assert_issued(service, exchange_with_key(service, idp, unused))
        assert_refused(service, exchange_with_key(service, idp, unused), "client_authentication_failed")


def test_a_store_that_cannot_be_opened_does_not_keep_the_service_from_starting(tmp_path: Path) -> None:
    blocked = tmp_path / "no-directory"
    blocked.write_text("")
    with (
        FakeIssuer() as idp,
        trusting(
            tmp_path,
            idp,
            env={"EXCHANGE_STORE": f"sqlite:///{blocked}/exchange.db"},
            wait_until_ready=False,
        ) as service,
    ):
        eventually(lambda: answers(service, "/healthz") == 200)
        assert answers(service, "/readyz") == 503
        assert_issued(service, exchange(service, idp.access_token()))
        answer = exchange_with_key(service, idp, client_assertion(f"{service.issuer}/token"))
        assert_refused(service, answer, "store_unavailable")
        assert str(blocked) not in answer.text + service.get("/readyz").text


def answers(service: RunningService, path: str) -> int | None:
    try:
        return service.get(path).status_code
    except requests.RequestException:
        return None


def test_a_store_full_of_garbage_is_unavailable_and_never_ignored(tmp_path: Path) -> None:
    with FakeIssuer() as idp, trusting(tmp_path, idp, workers=1) as service:
        store = service.directory / "var" / "exchange.db"
        for name in ("exchange.db", "exchange.db-wal", "exchange.db-shm"):
            store.with_name(name).unlink(missing_ok=True)
        store.write_bytes(b"this is no database " * 500)
        answer = exchange_with_key(service, idp, client_assertion(f"{service.issuer}/token"))
        assert_refused(service, answer, "store_unavailable")
        assert answers(service, "/readyz") == 503
        assert_issued(service, exchange(service, idp.access_token()))


# ── workers and restarts ────────────────────────────────────────────────────────────────────────────────────


def test_a_killed_worker_is_replaced_and_replay_marks_persist(tmp_path: Path) -> None:
    with FakeIssuer() as idp, trusting(tmp_path, idp) as service:
        used = client_assertion(f"{service.issuer}/token")
        assert_issued(service, exchange_with_key(service, idp, used))
        before = both_workers(service)
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        eventually(lambda: len(worker_ids(service) - before) == 2)
        eventually(lambda: answers(service, "/readyz") == 200)
        for _ in range(6):
            assert_refused(service, exchange_with_key(service, idp, used), "client_authentication_failed")
        assert_issued(service, exchange_with_key(service, idp, client_assertion(f"{service.issuer}/token")))
        assert_issued(service, exchange(service, idp.access_token()))


def test_a_worker_that_is_killed_under_load_loses_no_mark(tmp_path: Path) -> None:
    with FakeIssuer() as idp, trusting(tmp_path, idp) as service:
        passed = []
        before = both_workers(service)
        for index in range(30):
            used = client_assertion(f"{service.issuer}/token")
            if index == 15:
                os.kill(min(before), signal.SIGKILL)
            try:
                if exchange_with_key(service, idp, used).status_code == 200:
                    passed.append(used)
            except requests.RequestException:
                pass  # the worker that had the connection is gone
        assert len(passed) > 15
        both_workers(service)
        for used in passed:
            assert_refused(service, exchange_with_key(service, idp, used), "client_authentication_failed")


@pytest.mark.parametrize("how", ["orderly", "killed"])
def test_a_restart_keeps_marks_and_keys(tmp_path: Path, how: str) -> None:
    issuer = "http://127.0.0.1:8080"
    with FakeIssuer() as idp, trusting(tmp_path, idp, env={"EXCHANGE_ISSUER": issuer}) as service:
        used = client_assertion(f"{issuer}/token")
        issued = exchange_with_key(service, idp, used)
        assert_issued(service, issued)
        published = service.jwks()
        if how == "killed":
            for process in (service.pid, *both_workers(service)):
                os.kill(process, signal.SIGKILL)
        service.restart()
        assert service.jwks() == published
        assert_refused(service, exchange_with_key(service, idp, used), "client_authentication_failed")
        again = exchange_with_key(service, idp, client_assertion(f"{issuer}/token"))
        assert_issued(service, again)
        kids = {jwt.get_unverified_header(answer.json()["access_token"])["kid"] for answer in (issued, again)}
        assert kids == {published["keys"][0]["kid"]}
