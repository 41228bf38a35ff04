"""Keys under fire: IdPs that rotate, flap, hang, lie and die, over HTTP, against gunicorn with several workers.

Each test says what it shows in its name, and takes the service's own counters as evidence.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from tests.attacks.forge import access_claims, both_workers, forged, forged_with_secret, header
from tests.attacks.test_outages import assert_keys_unavailable, eventually, exchange
from tests.support import keys
from tests.support.hostile_idp import (
    Authority,
    Behaviour,
    HostileIdp,
    answer,
    drip_body,
    drip_headers,
    endless_chunks,
    gzip_bomb,
    json_of,
    raw,
)
from tests.support.idp import BACKEND
from tests.support.key_metrics import KeyCounters
from tests.support.machine import Machine
from tests.support.policies import (
    KEY_CLIENT,
    audience_file,
    client_assertion,
    issuer_file,
    key_client_file,
    key_client_rule,
    rule,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService

METADATA = "/.well-known/openid-configuration"
JWKS = "/jwks"
COOL_DOWN = 10
FRESH = 300
LAST_GOOD = 3600
UNKNOWN = "subject_token_key_unknown"
UNAVAILABLE = "issuer_keys_unavailable"
KEY_BACKEND = f"{BACKEND}/with-key"
A, B, C = (keys.public_jwk("RS256", label) for label in "abc")

Issuers = dict[str, str | dict[str, Any]]
"""Name of the file to the issuer, or to the file."""


def issuer_files(issuers: Issuers) -> dict[str, dict[str, Any] | None]:
    files = {
        name: issuer_file(said, audience=[BACKEND, KEY_BACKEND]) if isinstance(said, str) else said
        for name, said in issuers.items()
    }
    return {"idp": None, **files}


def policies_for(directory: Path, issuers: Issuers, **clients: dict[str, Any]) -> Path:
    names = list(issuers)
    rules = (rule(subject={"issuer": names}), key_client_rule(subject={"issuer": names}))
    return write_policies(
        directory / "policies",
        issuer="",
        issuers=issuer_files(issuers),
        clients=clients,
        audiences={"orders": audience_file(*rules)},
    )


@contextmanager
def trusting(
    directory: Path, issuers: Issuers, *, workers: int = 2, machine: Machine | None = None, **env: str
) -> Iterator[RunningService]:
    """Run the service on ``machine``, once all its workers have had the chance to fetch."""
    on_machine = machine.env if machine else {}
    with RunningService(
        policies_for(directory, issuers), env={**on_machine, **env}, workers=workers
    ) as service:
        if workers == 2:
            both_workers(service)
        yield service


@pytest.fixture
def idp() -> Iterator[HostileIdp]:
    with HostileIdp() as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def publish(idp: HostileIdp, *jwks: Any) -> None:
    idp.on(JWKS, json_of({"keys": list(jwks)}))


def token(issuer: str, label: str = "a", **head: Any) -> str:
    """Return a genuine access token by the key ``label``; ``head`` changes its header."""
    return forged(header(**{"kid": f"RS256-{label}", **head}), access_claims(issuer), label=label)


def made_up(issuer: str, number: int) -> str:
    """Return a token of a key that nobody has."""
    return token(issuer, kid=f"made-up-{number}")


def have_keys(service: RunningService, *names: str, workers: int = 2) -> None:
    """Wait until every worker has the keys of these issuers, so that what follows finds no cold cache."""

    def fetched() -> bool:
        counters = KeyCounters(service)
        return all(counters.ended(name).get("fetched", 0) >= workers for name in names)

    eventually(fetched)


def says_when(said: requests.Response) -> int:
    """Assert that a refusal is one that may be tried again, and return the seconds until then."""
    seconds = int(said.headers["Retry-After"])
    assert 1 <= seconds <= 33
    return seconds


def issued_at_last(service: RunningService, presented: str, *, refusals: set[str], times: int = 12) -> None:
    """Assert that ``presented`` is exchanged ``times`` in a row before long, and meanwhile refused with ``refusals``.

    Many in a row, so that every worker is among those who answered.
    """
    deadline, row = time.monotonic() + 30, 0
    while row < times:
        assert time.monotonic() < deadline, "it was never exchanged"
        said = exchange(service, presented)
        if said.status_code == 200:
            row += 1
            continue
        row = 0
        assert said.json()["reason"] in refusals, said.text
        says_when(said)
        time.sleep(0.1)


@contextmanager
def flood(service: RunningService, make: Callable[[int], str], *, threads: int = 4) -> Iterator[Counter[str]]:
    """Present ``make(0)``, ``make(1)`` and so on until the block ends; the counter has the reasons."""
    stop, reasons, numbers, lock = threading.Event(), Counter[str](), itertools.count(), threading.Lock()

    def run() -> None:
        while not stop.is_set():
            with lock:
                presented = make(next(numbers))
            said = exchange(service, presented)
            with lock:
                reasons[said.json().get("reason", "issued")] += 1

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(run) for _ in range(threads)]
        try:
            eventually(lambda: reasons.total() >= threads)
            yield reasons
        finally:
            stop.set()
        for one in running:
            one.result()


# ── rotation ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rotation_is_no_outage_the_first_token_of_the_new_key_is_exchanged(
    tmp_path: Path, idp: HostileIdp
) -> None:
    issuer = idp.serve_issuer(A)
    with trusting(tmp_path, {"acme": issuer}) as service:
        have_keys(service, "acme")
        publish(idp, B, A)
        for _ in range(10):
            assert_issued(service, exchange(service, token(issuer, "b")))
            assert_issued(service, exchange(service, token(issuer, "a")))
        counters = KeyCounters(service)
        assert counters.failed_lookups("acme") == {}
        assert counters.begun("acme")["start"] == 2
        assert 1 <= counters.begun("acme")["unknown_key"] <= 2  # one in each worker that met the new key
        assert idp.hits[JWKS] <= 4


def test_a_rotation_that_withdraws_the_old_key_at_once_is_no_outage_either(
    tmp_path: Path, idp: HostileIdp, machine: Machine
) -> None:
    issuer = idp.serve_issuer(A)
    with trusting(tmp_path, {"acme": issuer}, machine=machine) as service:
        have_keys(service, "acme")
        publish(idp, B)
        for _ in range(10):
            assert_issued(service, exchange(service, token(issuer, "b")))
        machine.sleep(FRESH + 1)
        for _ in range(10):
            assert_issued(service, exchange(service, token(issuer, "b")))
            assert_refused(service, exchange(service, token(issuer, "a")), UNKNOWN)


@pytest.mark.parametrize("kid", ["the-key", None])
def test_a_new_key_under_the_old_kid_or_without_one_is_seen_within_the_cool_down(
    tmp_path: Path, idp: HostileIdp, machine: Machine, kid: str | None
) -> None:
    def renamed(jwk: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in (jwk | {"kid": kid}).items() if value is not None}

    issuer = idp.serve_issuer(renamed(A))
    head = {"kid": kid or ...}
    with trusting(tmp_path, {"acme": issuer}, machine=machine) as service:
        have_keys(service, "acme")
        assert_issued(service, exchange(service, token(issuer, "a", **head)))
        publish(idp, renamed(B))
        machine.sleep(COOL_DOWN)
        for _ in range(10):
            assert_issued(service, exchange(service, token(issuer, "b", **head)))
            assert_refused(
                service, exchange(service, token(issuer, "c", **head)), "subject_token_signature_invalid"
            )
        assert idp.hits[JWKS] <= 4  # one more in each worker, whatever the number of bad signatures
        assert KeyCounters(service).begun("acme")["bad_signature"] <= 2


def test_a_withdrawn_key_passes_no_longer_than_keys_are_fresh_even_if_nobody_asked_meanwhile(
    tmp_path: Path, idp: HostileIdp, machine: Machine
) -> None:
    issuer = idp.serve_issuer(A, B)
    with trusting(tmp_path, {"acme": issuer}, machine=machine) as service:
        have_keys(service, "acme")
        assert_issued(service, exchange(service, token(issuer, "a")))
        publish(idp, B)
        machine.sleep(FRESH + 1)  # it may as well have been suspended so long
        for _ in range(8):
            assert_refused(service, exchange(service, token(issuer, "a")), UNKNOWN)
            assert_issued(service, exchange(service, token(issuer, "b")))
        assert KeyCounters(service).begun("acme")["overdue"] >= 1


def test_keys_are_refreshed_in_the_background_before_they_are_old_and_nobody_waits(
    tmp_path: Path, idp: HostileIdp, machine: Machine
) -> None:
    issuer = idp.serve_issuer(A)
    with trusting(tmp_path, {"acme": issuer}, machine=machine) as service:
        have_keys(service, "acme")
        fetched_at = KeyCounters(service).fetched_at("acme")
        assert fetched_at is not None
        assert time.time() - 60 < fetched_at <= time.time()
        idp.on(JWKS, idp.hang)
        machine.sleep(270)
        for _ in range(10):  # the refresh hangs, and they are exchanged
            assert_issued(service, exchange(service, token(issuer)))
        counters = KeyCounters(service)
        assert 1 <= counters.begun("acme")["refresh"] <= 2
        assert counters.failed_lookups("acme") == {}
        publish(idp, A)
        idp.let_go.set()
        machine.sleep(10)  # the back-off of what hung

        def refreshed() -> bool:
            assert_issued(service, exchange(service, token(issuer)))
            return (KeyCounters(service).fetched_at("acme") or 0) > fetched_at

        eventually(refreshed)
        assert "overdue" not in KeyCounters(service).begun("acme")


# ── floods of unknown kids ──────────────────────────────────────────────────────────────────────────────────


def test_a_flood_of_unknown_kids_is_one_fetch_per_cool_down_and_worker_and_slows_nobody(
    tmp_path: Path, idp: HostileIdp
) -> None:
    issuer = idp.serve_issuer(A)
    with (
        HostileIdp() as other,
        trusting(tmp_path, {"acme": issuer, "other": other.serve_issuer(B)}) as service,
    ):
        have_keys(service, "acme", "other")
        tokens = [made_up(issuer, number) for number in range(600)]
        begun = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(lambda presented: exchange(service, presented), tokens)
            for _ in range(25):  # in the middle of it
                assert_issued(service, exchange(service, token(issuer)))
                assert_issued(service, exchange(service, token(other.url, "b")))
            reasons = Counter((said.json()["reason"], "Retry-After" in said.headers) for said in answers)
        cool_downs = 1 + int((time.monotonic() - begun) / COOL_DOWN)
        assert idp.hits[JWKS] <= 2 + 2 * cool_downs
        assert idp.hits[METADATA] <= 2 + 2 * cool_downs
        assert {reason for reason, _ in reasons} <= {UNKNOWN, UNAVAILABLE}
        assert reasons[UNKNOWN, True] > 500  # refused by the cool-down, without asking anybody
        assert reasons[UNAVAILABLE, False] == 0
        counters = KeyCounters(service)
        failed = counters.failed_lookups("acme")
        assert sum(failed.values()) == len(tokens)
        assert failed["cool_down"] == reasons[UNKNOWN, True]
        assert failed.get("unknown", 0) == reasons[UNKNOWN, False]
        assert counters.begun("acme")["unknown_key"] <= 2 * cool_downs
        assert counters.begun("other") == {"start": 2}
        assert counters.failed_lookups("other") == {}
        assert other.hits[JWKS] == 2


def test_a_rotation_during_a_flood_is_seen_within_the_cool_down(
    tmp_path: Path, idp: HostileIdp, machine: Machine
) -> None:
    issuer = idp.serve_issuer(A)
    with trusting(tmp_path, {"acme": issuer}, machine=machine) as service:
        have_keys(service, "acme")
        with flood(service, lambda number: made_up(issuer, number)) as reasons:
            eventually(lambda: KeyCounters(service).begun("acme").get("unknown_key") == 2)
            publish(idp, A, B)
            said = exchange(service, token(issuer, "b"))
            if said.status_code != 200:  # the cool-down; the answer says for how long
                assert said.json()["reason"] in {UNKNOWN, UNAVAILABLE}
                assert says_when(said) <= COOL_DOWN
            machine.sleep(COOL_DOWN)
            # From here on never "unknown": at most a moment of waiting for a fetch that the flood began.
            issued_at_last(service, token(issuer, "b"), refusals={UNAVAILABLE})
            for _ in range(5):
                assert_issued(service, exchange(service, token(issuer, "a")))
        assert set(reasons) <= {UNKNOWN, UNAVAILABLE}
        assert idp.hits[JWKS] <= 2 + 2 * 4  # two workers, and never more than one cool-down in a few seconds


def test_in_the_cool_down_a_new_key_is_refused_with_the_time_after_which_it_is_not(
    tmp_path: Path, idp: HostileIdp
) -> None:
    """No clock is moved here: what ``Retry-After`` says is true."""
    issuer = idp.serve_issuer(A)
    with trusting(tmp_path, {"acme": issuer}, workers=1) as service:
        have_keys(service, "acme", workers=1)
        asked = exchange(service, made_up(issuer, 0))
        assert_refused(service, asked, UNKNOWN)
        assert "Retry-After" not in asked.headers  # its issuer was asked for this very token
        publish(idp, A, B)
        early = exchange(service, token(issuer, "b"))
        record = assert_refused(service, early, UNKNOWN)
        assert "moments ago" in record["detail"]
        assert_issued(service, exchange(service, token(issuer, "a")))
        time.sleep(says_when(early))
        assert_issued(service, exchange(service, token(issuer, "b")))
        assert idp.hits[JWKS] == 3
        assert KeyCounters(service).failed_lookups("acme") == {"unknown": 1, "cool_down": 1}


def test_a_flood_of_bad_signatures_is_one_fetch_per_cool_down_and_worker(
    tmp_path: Path, idp: HostileIdp, machine: Machine
) -> None:
    issuer = idp.serve_issuer(A)
    with trusting(tmp_path, {"acme": issuer}, machine=machine) as service:
        have_keys(service, "acme")
        machine.sleep(COOL_DOWN)
        begun = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            forgeries = [token(issuer, "b", kid="RS256-a") for _ in range(200)]
            for said in pool.map(lambda presented: exchange(service, presented), forgeries):
                assert said.json()["reason"] == "subject_token_signature_invalid"
        cool_downs = 1 + int((time.monotonic() - begun) / COOL_DOWN)
        assert idp.hits[JWKS] <= 2 + 2 * cool_downs
        assert_issued(service, exchange(service, token(issuer)))


# ── an IdP that flaps, fails or hangs ───────────────────────────────────────────────────────────────────────


def flap(idp: HostileIdp) -> None:
    """Let every second answer of ``idp`` be 503, whatever is asked for: one of two servers is dead."""
    numbers = itertools.count()

    def every_second(honest: Behaviour) -> Behaviour:
        def behave(request: BaseHTTPRequestHandler) -> None:
            (answer(503) if next(numbers) % 2 else honest)(request)

        return behave

    for path, behave in list(idp.behaviours.items()):
        idp.on(path, every_second(behave))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_idp_of_which_every_second_answer_fails_is_reached_and_its_rotation_seen(
    tmp_path: Path, idp: HostileIdp, workers: int
) -> None:
    issuer = idp.serve_issuer(A)
    flap(idp)
    with trusting(tmp_path, {"acme": issuer}, workers=workers) as service:

        def every_worker_has_keys() -> bool:
            said = exchange(service, token(issuer))
            if said.status_code != 200:
                assert_keys_unavailable(service, said)
            return KeyCounters(service).ended("acme").get("fetched", 0) >= workers

        eventually(every_worker_has_keys, seconds=30)
        idp.serve_issuer(A, B)
        flap(idp)
        done = threading.Event()

        def known_keys() -> int:
            passed = 0
            while not done.is_set():
                assert_issued(service, exchange(service, token(issuer)))
                passed += 1
            return passed

        with ThreadPoolExecutor(1) as pool:
            passing = pool.submit(known_keys)
            try:
                issued_at_last(service, token(issuer, "b"), refusals={UNAVAILABLE})
            finally:
                done.set()
            assert passing.result() > 0
        assert set(KeyCounters(service).ended("acme")) == {"fetched", "status_refused"}


def test_the_circuit_of_an_idp_that_fails_opens_asks_less_and_less_and_closes_when_it_is_back(
    tmp_path: Path, idp: HostileIdp, machine: Machine
) -> None:
    issuer = idp.serve_issuer(A)
    idp.on(METADATA, answer(503))
    with HostileIdp() as other:
        issuers: Issuers = {"dead": issuer, "other": other.serve_issuer(B)}
        with trusting(tmp_path, issuers, workers=1, machine=machine) as service:
            have_keys(service, "other", workers=1)
            waits = []
            for _ in range(7):
                answers = [exchange(service, token(issuer)) for _ in range(5)]
                for said in answers:
                    assert_keys_unavailable(service, said)
                waits.append(says_when(answers[-1]))
                assert_issued(service, exchange(service, token(other.url, "b")))
                machine.sleep(waits[-1] + 1)
            assert idp.hits[METADATA] <= 2 * 8  # 35 requests, and time may really pass besides
            assert max(waits) >= 8
            counters = KeyCounters(service)
            assert (counters.failing("dead"), counters.failing("other")) == (1, 0)
            failed = counters.failed_lookups("dead")
            assert sum(failed.values()) == 35
            assert set(failed) <= {"source_failing", "gave_up_waiting"}
            assert counters.failed_lookups("other") == {}
            assert counters.fetched_at("dead") is None
            machine.sleep(40)
            idp.serve_issuer(A)
            issued_at_last(service, token(issuer), refusals={UNAVAILABLE})
            assert KeyCounters(service).failing("dead") == 0


def test_the_probe_of_an_open_circuit_holds_up_nobody(
    tmp_path: Path, idp: HostileIdp, machine: Machine
) -> None:
    issuer = idp.serve_issuer(A)
    idp.on(JWKS, answer(500))
    with HostileIdp() as other:
        issuers: Issuers = {"slow": issuer, "other": other.serve_issuer(B)}
        with trusting(tmp_path, issuers, workers=1, machine=machine) as service:
            eventually(lambda: KeyCounters(service).failing("slow") == 1)
            for path in (METADATA, JWKS):
                idp.on(path, idp.hang)
            asked_before = idp.hits.total()
            machine.sleep(5)
            with ThreadPoolExecutor(16) as pool:
                waiting = [pool.submit(exchange, service, token(issuer)) for _ in range(32)]
                for _ in range(10):
                    assert_issued(service, exchange(service, token(other.url, "b")))
                for one in waiting:
                    assert_keys_unavailable(service, one.result())
            # All were answered while the probe hangs: none of them waited for its end.
            assert idp.hits.total() == asked_before + 1
            assert KeyCounters(service).ended("slow").get("timeout", 0) == 0
            publish(idp, A)
            idp.let_go.set()


def test_an_idp_that_is_down_costs_nothing_while_keys_are_fresh_and_503_when_they_are_of_no_use(
    tmp_path: Path, idp: HostileIdp, machine: Machine
) -> None:
    issuer = idp.serve_issuer(A)
    with trusting(tmp_path, {"acme": issuer}, machine=machine) as service:
        have_keys(service, "acme")
        for path in (METADATA, JWKS):
            idp.on(path, answer(503))
        for _ in range(6):
            assert_issued(service, exchange(service, token(issuer)))
        assert KeyCounters(service).begun("acme") == {"start": 2}
        machine.sleep(LAST_GOOD - 60)
        for _ in range(6):
            assert_issued(service, exchange(service, token(issuer)))
        machine.sleep(120)
        for _ in range(6):
            assert_keys_unavailable(service, exchange(service, token(issuer)))
        idp.serve_issuer(A)
        machine.sleep(40)
        issued_at_last(service, token(issuer), refusals={UNAVAILABLE})


# ── an IdP that is hostile ──────────────────────────────────────────────────────────────────────────────────


def never_ends(request: BaseHTTPRequestHandler) -> None:
    """Headers in time, and then a body of no end, slowly enough for every time-out of a read."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(600):
        request.wfile.write(b"1\r\n \r\n")
        time.sleep(0.05)


def keys_at(jwks_uri: str) -> Behaviour:
    """Metadata of the issuer that is asked, with its keys elsewhere."""

    def behave(request: BaseHTTPRequestHandler) -> None:
        json_of({"issuer": f"http://{request.headers['Host']}", "jwks_uri": jwks_uri})(request)

    return behave


HOSTILE: dict[str, tuple[str, Behaviour, str]] = {
    "headers-drip": (JWKS, drip_headers, "timeout"),
    "body-drips": (JWKS, drip_body, "timeout"),
    "chunks-drip": (METADATA, never_ends, "timeout"),
    "silent": (METADATA, lambda _: time.sleep(8), "timeout"),
    "endless": (JWKS, endless_chunks, "too_large"),
    "endless-interim": (JWKS, raw(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 200_000), "too_large"),
    "huge": (METADATA, answer(body=b" " * 10_000_000), "too_large"),
    "gzip": (JWKS, gzip_bomb, "encoding_refused"),
    "no-http": (JWKS, raw(b"SSH-2.0-OpenSSH\r\n"), "broken"),
    "hangs-up": (JWKS, raw(b""), "broken"),
    "redirects": (JWKS, answer(302, Location="http://127.0.0.1:1/jwks"), "redirected"),
    "keys-101": (JWKS, json_of({"keys": [A, *[{"kty": "oct"}] * 100]}), "key_set_malformed"),
    "no-json": (JWKS, answer(body=b"<html>"), "key_set_malformed"),
    "only-secrets": (
        JWKS,
        json_of({"keys": [{"kty": "oct", "k": "AAAA", "kid": "RS256-a"}]}),
        "no_usable_keys",
    ),
    "another-issuer": (
        METADATA,
        json_of({"issuer": "https://b.example", "jwks_uri": "x"}),
        "metadata_of_another_issuer",
    ),
    "file": (METADATA, keys_at("file:///etc/passwd"), "url_refused"),
    "private": (METADATA, keys_at("https://10.0.0.1/jwks"), "address_refused"),
    "cloud": (METADATA, keys_at("https://169.254.169.254/jwks"), "address_refused"),
    "loopback-v6": (METADATA, keys_at("https://[::1]/jwks"), "address_refused"),
    "mapped": (METADATA, keys_at("https://[::ffff:127.0.0.1]/jwks"), "address_refused"),
    "nat64": (METADATA, keys_at("https://[64:ff9b::127.0.0.1]/jwks"), "address_refused"),
}


def test_every_hostile_endpoint_ends_by_its_own_cause_and_costs_the_others_nothing(tmp_path: Path) -> None:
    idps = {name: HostileIdp() for name in (*HOSTILE, "honest")}
    for one in idps.values():
        one.__enter__()
    try:
        issuers: Issuers = {name: one.serve_issuer(A) for name, one in idps.items()}
        for name, (path, behave, _) in HOSTILE.items():
            idps[name].on(path, behave)
        with trusting(tmp_path, issuers) as service, ThreadPoolExecutor(len(HOSTILE)) as pool:
            refused = [pool.submit(exchange, service, token(idps[name].url)) for name in HOSTILE]
            for _ in range(10):
                assert_issued(service, exchange(service, token(idps["honest"].url)))
            for one in refused:
                assert_keys_unavailable(service, one.result())

            def all_ended() -> bool:
                counters = KeyCounters(service)
                return all(counters.ended(name) for name in HOSTILE)

            eventually(all_ended, seconds=40)
            counters = KeyCounters(service)
            assert {name: set(counters.ended(name)) for name in HOSTILE} == {
                name: {cause} for name, (_, _, cause) in HOSTILE.items()
            }
            assert counters.failed_lookups("honest") == {}
            assert "Traceback" not in service.stderr()
    finally:
        for one in idps.values():
            one.__exit__()


def test_a_jwks_uri_on_another_host_is_followed_and_only_a_good_key_of_its_set_verifies(
    tmp_path: Path, idp: HostileIdp
) -> None:
    """Metadata of the configured issuer may name another host: large IdPs do. Bad keys cost the good ones nothing."""
    ec = keys.public_jwk("ES256", "a", kid="twice")
    garbage: list[Any] = [
        None, 1, "key", [], {}, {"kty": "RSA"}, {"kty": []}, {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak"},
        {**B, "n": "!!"}, {**A, "kid": ["RS256-a"]}, {**A, "kid": "enc", "use": "enc"}, {**A, "kid": "d", "d": "AQAB"},
        {**ec, "x": ec["y"], "kid": "off-curve"}, {"kty": "oct", "k": "c2VjcmV0", "kid": "RS256-a", "alg": "HS256"},
    ]  # fmt: skip
    padding = [{"kty": "oct", "kid": str(number)} for number in range(96 - len(garbage))]
    with HostileIdp() as host:
        twice = [{**A, "kid": "twice"}, {**C, "kid": "twice"}, ec]
        jwks_uri = host.on("/keys", json_of({"keys": [*garbage, *padding, A, *twice]}))
        issuer = idp.serve_issuer(A, jwks_uri=jwks_uri)
        with trusting(tmp_path, {"acme": issuer}) as service:
            have_keys(service, "acme")
            assert idp.hits[JWKS] == 0
            assert_issued(service, exchange(service, token(issuer)))
            assert_issued(service, exchange(service, token(issuer, kid="twice")))
            of_ec = jwt.encode(
                access_claims(issuer),
                keys.private_key("ES256", "a"),
                algorithm="ES256",
                headers={"kid": "twice", "typ": "at+jwt"},
            )
            assert_issued(service, exchange(service, of_ec))  # one kid, told apart by what the key is for
            # The same name twice for one algorithm: the first, always, and never "one of them will do".
            second = exchange(service, token(issuer, "c", kid="twice"))
            assert_refused(service, second, "subject_token_signature_invalid")
            for kid in ("weak", "enc", "d", "off-curve", ""):
                assert_refused(service, exchange(service, token(issuer, kid=kid)), UNKNOWN)
            # Several keys fit a token without kid: none is guessed.
            assert_refused(service, exchange(service, token(issuer, kid=...)), UNKNOWN)
            secret = forged_with_secret(b"secret", header(alg="HS256"), access_claims(issuer))
            assert_refused(service, exchange(service, secret), "subject_token_algorithm_not_allowed")


def test_one_kid_at_two_issuers_is_two_keys(tmp_path: Path, idp: HostileIdp) -> None:
    with HostileIdp() as other:
        ours, theirs = idp.serve_issuer({**A, "kid": "k"}), other.serve_issuer({**B, "kid": "k"})
        with trusting(tmp_path, {"ours": ours, "theirs": theirs}) as service:
            have_keys(service, "ours", "theirs")
            assert_issued(service, exchange(service, token(ours, "a", kid="k")))
            assert_issued(service, exchange(service, token(theirs, "b", kid="k")))
            for issuer, label in ((ours, "b"), (theirs, "a")):
                answered = exchange(service, token(issuer, label, kid="k"))
                assert_refused(service, answered, "subject_token_signature_invalid")


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def named_issuer(name: str, port: int, **changes: Any) -> dict[str, Any]:
    """An issuer file for a host of the test's own DNS: https, keys at ``/jwks``."""
    host = f"https://{name}.test:{port}"
    return issuer_file(
        host,
        audience=[BACKEND],
        keys={"jwks_uri": f"{host}{JWKS}"},
        **{"allow_private_network": True, **changes},
    )


def test_the_connection_goes_to_the_address_that_was_checked_whatever_dns_says_next(
    tmp_path: Path, machine: Machine, authority: Authority
) -> None:
    tls = authority.server_context("idp.test")
    with HostileIdp(tls=tls) as idp, HostileIdp(host="127.0.0.2", port=idp.port, tls=tls) as rebound:
        for server in (idp, rebound):
            publish(server, A)
        # Checked: the first address. Whoever asked again before connecting would be sent to the second.
        machine.resolve("idp.test", ["127.0.0.1"], ["127.0.0.2"], ["169.254.169.254"])
        issuer = f"https://idp.test:{idp.port}"
        issuers: Issuers = {"named": named_issuer("idp", idp.port)}
        env = {"SSL_CERT_FILE": str(authority.file)}
        with trusting(tmp_path, issuers, machine=machine, **env) as service:
            have_keys(service, "named")
            assert_issued(service, exchange(service, token(issuer)))
            assert idp.hits == {JWKS: 2}
            assert not rebound.hits
            assert set(machine.asked("idp.test").values()) == {1}  # once for each fetch
            assert idp.host_headers == [f"idp.test:{idp.port}"] * 2
            # The third answer is an address of the cloud's own: nobody is connected to, and good keys stay.
            for number in range(40):
                exchange(service, made_up(issuer, number))
                machine.sleep(COOL_DOWN + 1)
                if KeyCounters(service).ended("named").get("address_refused", 0) >= 2:
                    break
            assert KeyCounters(service).ended("named")["address_refused"] >= 2
            assert_issued(service, exchange(service, token(issuer)))
            assert set(rebound.hits) <= {JWKS}  # by the second answer, which was checked in its turn
            assert rebound.hits.total() <= 2


def test_names_that_lead_to_private_addresses_in_any_form_are_refused_and_never_connected_to(
    tmp_path: Path, machine: Machine, authority: Authority
) -> None:
    refused = {
        "strict": ["127.0.0.1"],
        "mixed": ["127.0.0.1", "169.254.169.254"],
        "mixed-public": ["93.184.216.34", "127.0.0.1"],
        "cloud": ["169.254.169.254"],
        "mapped": ["::ffff:127.0.0.1"],
        "nat64": ["64:ff9b::7f00:1"],
        "six-to-four": ["2002:7f00:1::1"],
        "any": ["0.0.0.0"],
    }
    names = [*refused, "good"]
    with HostileIdp(tls=authority.server_context(*(f"{name}.test" for name in names))) as idp:
        publish(idp, A)
        private = {"strict": False, "mixed-public": False}
        issuers: Issuers = {
            name: named_issuer(name, idp.port, allow_private_network=private.get(name, True))
            for name in (*names, "stranger")
        }
        for name, addresses in refused.items():
            machine.resolve(f"{name}.test", addresses)
        for name in ("good", "stranger"):  # no certificate names the stranger
            machine.resolve(f"{name}.test", ["127.0.0.1"])
        env = {"SSL_CERT_FILE": str(authority.file)}
        with trusting(tmp_path, issuers, machine=machine, **env) as service:
            have_keys(service, "good")
            for name in (*refused, "stranger"):
                presented = token(f"https://{name}.test:{idp.port}")
                assert_keys_unavailable(service, exchange(service, presented))
            assert_issued(service, exchange(service, token(f"https://good.test:{idp.port}")))
            counters = KeyCounters(service)
            assert {name: set(counters.ended(name)) for name in refused} == {
                name: {"address_refused"} for name in refused
            }
            assert set(counters.ended("stranger")) == {"tls_failed"}
        assert idp.hits == {JWKS: 2}  # by the good name, in each worker


def test_names_that_hang_hold_up_nobody_and_recover(
    tmp_path: Path, machine: Machine, authority: Authority
) -> None:
    """More of them than a worker has threads that fetch; ``getaddrinfo`` knows no deadline."""
    hanging = [f"hang-{number}" for number in range(40)]
    with (
        HostileIdp() as honest,
        HostileIdp(tls=authority.server_context(*(f"{name}.test" for name in hanging))) as idp,
    ):
        publish(idp, A)
        for name in hanging:
            machine.resolve(f"{name}.test", "hang")
        issuer = honest.serve_issuer(B)
        issuers: Issuers = {"honest": issuer} | {name: named_issuer(name, idp.port) for name in hanging}
        env = {"SSL_CERT_FILE": str(authority.file)}
        with trusting(tmp_path, issuers, workers=1, machine=machine, **env) as service:
            assert_issued(service, exchange(service, token(issuer, "b")))
            with ThreadPoolExecutor(len(hanging)) as pool:
                tokens = [token(f"https://{name}.test:{idp.port}") for name in hanging]
                refused = [pool.submit(exchange, service, presented) for presented in tokens]
                for _ in range(20):
                    assert_issued(service, exchange(service, token(issuer, "b")))
                for one in refused:
                    assert_keys_unavailable(service, one.result())

            eventually(lambda: timed_out(service, hanging) >= 32, seconds=40)
            # A thread for each name that hangs, and not one more for each time that it is asked for.
            asking = {process for name in hanging for process in machine.asked(f"{name}.test")}
            assert threads_of(*asking) < 96
            honest.on(JWKS, json_of({"keys": [B, C]}))
            issued_at_last(service, token(issuer, "c"), refusals={UNAVAILABLE})
            for name in hanging:
                machine.resolve(f"{name}.test", ["127.0.0.1"])
            machine.sleep(40)
            issued_at_last(service, tokens[0], refusals={UNAVAILABLE}, times=3)


def timed_out(service: RunningService, names: list[str]) -> int:
    counters = KeyCounters(service)
    return sum("lookup_timeout" in counters.ended(name) for name in names)


def threads_of(*processes: int) -> int:
    return max(len(list(Path(f"/proc/{process}/task").iterdir())) for process in processes)


# ── restarts, and what is counted ───────────────────────────────────────────────────────────────────────────


def test_a_restart_under_load_is_no_thundering_herd(tmp_path: Path) -> None:
    """Each worker asks for each document once, however many wait for it."""

    def slowly(behave: Behaviour) -> Behaviour:
        def later(request: BaseHTTPRequestHandler) -> None:
            time.sleep(0.15)
            behave(request)

        return later

    with HostileIdp() as idp:
        issuers: Issuers = {
            f"realm-{number}": idp.serve_issuer(A, path=f"/realm-{number}") for number in range(4)
        }
        for path, behave in list(idp.behaviours.items()):
            idp.on(path, slowly(behave))
        tokens = [token(str(issuer)) for issuer in issuers.values()]
        with trusting(tmp_path, issuers) as service:
            have_keys(service, *issuers)
            for _ in range(2):
                idp.hits.clear()
                service.restart()
                with ThreadPoolExecutor(8) as pool:
                    answers = list(pool.map(lambda presented: exchange(service, presented), tokens * 10))
                have_keys(service, *issuers)
                assert Counter(said.status_code for said in answers) == {200: 40}
                assert len(idp.hits) == 8
                assert set(idp.hits.values()) == {2}


def test_an_issuer_and_a_client_of_one_name_are_counted_apart_and_labels_are_names_of_files(
    tmp_path: Path, idp: HostileIdp
) -> None:
    issuer = idp.serve_issuer(A)
    with HostileIdp() as backend:
        client_keys = backend.on("/client-keys", json_of({"keys": [keys.public_jwk("ES256", "client")]}))
        method = {"private_key_jwt": {"jwks_uri": client_keys, "allow_insecure_http": True}}
        policies = policies_for(
            tmp_path,
            {KEY_CLIENT: issuer},
            **{KEY_CLIENT: key_client_file(authentication=method)},
        )
        with RunningService(policies) as service:
            both_workers(service)
            have_keys(service, KEY_CLIENT)
            presented = forged(header(), access_claims(issuer, aud=KEY_BACKEND))
            for _ in range(6):
                form = {
                    "grant_type": GRANT_TYPE,
                    "subject_token": presented,
                    "subject_token_type": ACCESS_TOKEN,
                    "audience": "https://orders.example",
                }
                service._session.close()
                assert_issued(service, service.post_token(form | client_assertion(f"{service.issuer}/token")))
            for number in range(5):
                exchange(service, made_up(issuer, number))
                exchange(service, token(f"https://mallory-{number}.example"))
            counters = KeyCounters(service)
            assert counters.ended(KEY_CLIENT)["fetched"] >= 2
            assert 1 <= counters.ended(f"client:{KEY_CLIENT}")["fetched"] <= 2
            assert counters.labels() <= {
                *(KEY_CLIENT, f"client:{KEY_CLIENT}"),
                *("fetched", "start", "needed", "unknown_key", "unknown", "cool_down", "gave_up_waiting"),
            }


def test_the_age_of_keys_that_no_policy_names_any_more_is_not_told(tmp_path: Path, idp: HostileIdp) -> None:
    issuer = idp.serve_issuer(A)
    with (
        HostileIdp() as other,
        trusting(tmp_path, {"acme": issuer, "other": other.serve_issuer(B)}) as service,
    ):
        have_keys(service, "acme", "other")
        assert KeyCounters(service).fetched_at("other")
        policies = tmp_path / "policies"
        orders = policies / "audiences" / "orders.yaml"
        orders.write_text(json.dumps(audience_file(rule(subject={"issuer": ["acme"]}))))
        (policies / "issuers" / "other.yaml").unlink()
        eventually(lambda: KeyCounters(service).fetched_at("other") is None)
        assert KeyCounters(service).fetched_at("acme")
        assert KeyCounters(service).failing("other") == 0
