from __future__ import annotations

import json
import queue
import threading
import time

import pytest

from exchange.config.values import KeySource
from exchange.outbound import Fetcher
from exchange.trust import KeyCaches, KeysUnavailable, KeyUnknown
from exchange.trust.circuit import MAX_BACK_OFF_SECONDS, UNKNOWN_KEY_COOL_DOWN_SECONDS
from exchange.trust.fetched_keys import FRESH_SECONDS, LAST_GOOD_SECONDS, REFRESH_AFTER_SECONDS
from exchange.trust.key_cache import FetchLimits, since_boot
from tests.support import keys
from tests.support.hostile_idp import HostileIdp, answer, json_of


@pytest.fixture
def idp():
    with HostileIdp() as server:
        yield server


class Clock:
    """Time that passes when the test says so."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


class Counting:
    """A ``KeyWatch`` that keeps what it is told."""

    def __init__(self):
        self.begun = []
        self.ended = []
        self.failed = []
        self.forgotten = []

    def fetch_begun(self, source, cause):
        self.begun.append((source, cause))

    def fetch_ended(self, source, *, fetched):
        self.ended.append((source, fetched))

    def lookup_failed(self, source, cause):
        self.failed.append((source, cause))

    def source_forgotten(self, source):
        self.forgotten.append(source)


class Bench:
    """One process: its caches, its clock and what they reported."""

    def __init__(self, **limits):
        self.clock = Clock()
        self.outcomes = queue.Queue()
        self.watch = Counting()
        self.caches = KeyCaches(
            Fetcher(),
            self.clock,
            observe=lambda label, outcome: self.outcomes.put((label, outcome)),
            watch=self.watch,
            limits=FetchLimits(**limits),
            jitter=lambda: 0.5,
        )

    def cache(self, url, label="idp"):
        return self.caches.for_source(KeySource(jwks_uri=url, allow_insecure_http=True), label)

    def outcome(self, cache):
        """Wait for the fetch under way to be over; returns what it reported."""
        found = self.outcomes.get(timeout=10)
        while cache._flight is not None:
            time.sleep(0.001)
        return found[1]


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def patient(monkeypatch):
    """Let a probe be waited for until it ends: this machine may be busy."""
    monkeypatch.setattr("exchange.trust.fetched_keys.GRACE_SECONDS", 5.0)


def publish(idp, *jwks, path="/jwks"):
    return idp.on(path, json_of({"keys": list(jwks)}))


A, B, C = (keys.public_jwk("ES256", label) for label in "abc")


def has(cache, kid):
    return cache.find(kid, "ES256").key_id == kid


def unavailable(cache, kid="ES256-a"):
    with pytest.raises(KeysUnavailable) as info:
        cache.find(kid, "ES256")
    assert isinstance(info.value.retry_after, int)
    assert info.value.retry_after >= 1
    return info.value.retry_after


def unknown(cache, kid="made-up"):
    with pytest.raises(KeyUnknown):
        cache.find(kid, "ES256")
    return True


def in_threads(count, work):
    """Run ``work`` in ``count`` threads at once; returns their results, exceptions included."""
    results, barrier = [], threading.Barrier(count)

    def run():
        barrier.wait()
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a result
            results.append(type(error))

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- the ordinary life of a key set -----------------------------------------------------------------------------


def test_keys_are_fetched_by_the_first_who_asks_and_kept(idp, bench):
    cache = bench.cache(publish(idp, A, B))
    assert not idp.hits
    assert has(cache, "ES256-a")
    assert has(cache, "ES256-b")
    assert cache.find("ES256-a", "ES256") is cache.find("ES256-a", "ES256")
    assert idp.hits == {"/jwks": 1}
    assert bench.outcome(cache) == "fetched"


def test_a_kid_finds_no_key_for_another_algorithm(idp, bench):
    cache = bench.cache(publish(idp, A))
    for algorithm in ("RS256", "HS256", "none", "ES384"):
        with pytest.raises(KeyUnknown):
            cache.find("ES256-a", algorithm)


def test_a_token_without_kid_finds_the_only_key(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert cache.find(None, "ES256").key_id == "ES256-a"


def test_discovery_leads_to_the_keys(idp, bench):
    source = KeySource(discovery=idp.serve_issuer(A), allow_insecure_http=True)
    assert has(bench.caches.for_source(source), "ES256-a")


def test_a_refresh_happens_in_the_background_and_is_seen_by_later_requests(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    publish(idp, B)
    bench.clock.pass_(REFRESH_AFTER_SECONDS - 1)
    assert has(cache, "ES256-a")
    assert idp.hits["/jwks"] == 1
    bench.clock.pass_(2)
    assert has(cache, "ES256-a")  # the old set answers, and nobody waits
    assert bench.outcome(cache) == "fetched"
    assert has(cache, "ES256-b")
    assert unknown(cache, "ES256-a")
    assert idp.hits["/jwks"] == 3  # the last one asks for the kid that is gone


def test_nobody_waits_for_a_background_refresh(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    idp.on("/jwks", idp.hang)
    bench.clock.pass_(REFRESH_AFTER_SECONDS + 1)
    started = time.monotonic()
    for _ in range(50):
        assert has(cache, "ES256-a")
    assert time.monotonic() - started < 2


def test_a_withdrawn_key_does_not_outlive_its_freshness_because_nobody_asked(idp, bench):
    cache = bench.cache(publish(idp, A, B))
    assert has(cache, "ES256-a")
    publish(idp, B)
    bench.clock.pass_(FRESH_SECONDS + 1)
    assert unknown(cache, "ES256-a")
    assert has(cache, "ES256-b")


# --- an IdP that is down ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("patient")
def test_a_dead_idp_is_survived_until_the_limit_and_then_it_is_unavailable(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    idp.on("/jwks", answer(500))
    bench.clock.pass_(REFRESH_AFTER_SECONDS + 1)
    assert has(cache, "ES256-a")
    assert bench.outcome(cache) == "status_refused"
    bench.clock.pass_(LAST_GOOD_SECONDS - REFRESH_AFTER_SECONDS - 2)
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    bench.clock.pass_(2)
    assert unavailable(cache)
    bench.clock.pass_(MAX_BACK_OFF_SECONDS + 4)
    publish(idp, A)
    assert has(cache, "ES256-a")


@pytest.mark.parametrize(
    "spoil",
    [
        answer(500),
        answer(body=b'{"keys":[]}'),
        answer(body=b"<html>"),
        json_of({"keys": [{"kty": "oct", "k": "AAAA", "kid": "ES256-a"}]}),
    ],
)
def test_a_bad_answer_never_replaces_good_keys(idp, bench, spoil):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    idp.on("/jwks", spoil)
    bench.clock.pass_(FRESH_SECONDS + 1)
    assert has(cache, "ES256-a")
    assert bench.outcome(cache) != "fetched"
    assert has(cache, "ES256-a")


@pytest.mark.usefixtures("patient")
def test_a_cold_cache_of_a_dead_idp_backs_off_doubling_and_recovers(idp, bench):
    cache = bench.cache(idp.on("/jwks", answer(503)))
    waits = []
    for attempt in range(1, 9):
        waits.append(unavailable(cache))
        assert unavailable(cache) == waits[-1]
        assert idp.hits["/jwks"] == attempt
        bench.clock.pass_(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    publish(idp, A)
    assert has(cache, "ES256-a")
    idp.on("/jwks", answer(503))
    bench.clock.pass_(LAST_GOOD_SECONDS + 1)
    assert unavailable(cache) == 1  # a success resets the back-off


def test_the_back_off_is_spread_so_that_workers_do_not_ask_together():
    spread = set()
    for jitter in (0.0, 0.5, 0.999):
        caches = KeyCaches(Fetcher(), Clock(), jitter=lambda jitter=jitter: jitter)
        cache = caches.for_source(KeySource(jwks_uri="ftp://refused/"))
        unavailable(cache)
        spread.add(round(cache._circuit._back_off_until - 1_000_000.0, 3))
    assert spread == {0.9, 1.0, 1.1}


def test_old_keys_are_used_after_a_short_wait_when_the_idp_hangs(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    idp.on("/jwks", idp.hang)
    bench.clock.pass_(FRESH_SECONDS + 1)
    started = time.monotonic()
    assert has(cache, "ES256-a")
    assert time.monotonic() - started < 2


# --- a kid that is not there ------------------------------------------------------------------------------------


def test_a_rotation_is_no_outage_even_right_after_a_fetch(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    publish(idp, A, B)
    assert has(cache, "ES256-b")
    assert idp.hits["/jwks"] == 2


def test_a_flood_of_unknown_kids_is_one_fetch_per_cool_down(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    for number in range(100):
        assert unknown(cache, f"made-up-{number}")
    assert idp.hits["/jwks"] == 2
    bench.clock.pass_(UNKNOWN_KEY_COOL_DOWN_SECONDS - 1)
    assert unknown(cache)
    assert idp.hits["/jwks"] == 2
    bench.clock.pass_(1)
    publish(idp, B)
    assert has(cache, "ES256-b")
    assert idp.hits["/jwks"] == 3


def test_a_flood_from_many_threads_is_one_fetch_too(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    results = in_threads(16, lambda: cache.find("made-up", "ES256"))
    assert idp.hits["/jwks"] == 2
    assert set(results) <= {KeyUnknown, KeysUnavailable}


def test_a_cold_cache_does_not_ask_twice_for_a_kid_that_is_not_there(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert unknown(cache)
    assert idp.hits["/jwks"] == 1


def test_a_scheduled_refresh_does_not_start_the_cool_down(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    bench.clock.pass_(REFRESH_AFTER_SECONDS + 1)
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    publish(idp, B)
    assert has(cache, "ES256-b")


def test_those_who_need_the_new_key_wait_for_the_fetch_that_is_under_way(idp):
    bench = Bench(max_waiting=8, max_waiting_per_cache=8)
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    asked = threading.Event()

    def slow(request):
        asked.set()
        time.sleep(0.2)
        json_of({"keys": [A, B]})(request)

    idp.on("/jwks", slow)
    assert in_threads(6, lambda: has(cache, "ES256-b")) == [True] * 6
    assert asked.is_set()
    assert idp.hits["/jwks"] == 2


def test_a_rotation_during_a_refresh_that_asked_too_early_is_seen_by_asking_again(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    asked, go_on = threading.Event(), threading.Event()

    def early_then_rotated(request):
        if asked.is_set():
            json_of({"keys": [A, B]})(request)
            return
        asked.set()
        go_on.wait(10)
        json_of({"keys": [A]})(request)

    idp.on("/jwks", early_then_rotated)
    bench.clock.pass_(REFRESH_AFTER_SECONDS + 1)
    assert has(cache, "ES256-a")
    assert asked.wait(10)
    threading.Timer(0.1, go_on.set).start()
    assert has(cache, "ES256-b")
    assert idp.hits["/jwks"] == 3


@pytest.mark.usefixtures("patient")
def test_an_unknown_kid_does_not_cut_the_back_off_short(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    idp.on("/jwks", answer(500))
    for fetches in range(2, 7):  # back-off 1, 2, 4, 8 and then 16 seconds: longer than the cool-down
        unavailable(cache, "made-up")
        assert idp.hits["/jwks"] == fetches
        bench.clock.pass_(UNKNOWN_KEY_COOL_DOWN_SECONDS)
    assert unavailable(cache, "made-up") == 6
    assert idp.hits["/jwks"] == 6
    bench.clock.pass_(6)
    unavailable(cache, "made-up")
    assert idp.hits["/jwks"] == 7


def test_who_looked_before_a_fetch_ended_does_not_start_another(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    assert cache._start("needed", seen=None) is None  # as a request does that found no keys a moment ago
    assert idp.hits["/jwks"] == 1


def test_known_keys_are_found_while_an_unknown_one_is_being_asked_for(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    idp.on("/jwks", idp.hang)
    waiting = threading.Thread(target=in_threads, args=(1, lambda: cache.find("made-up", "ES256")))
    waiting.start()
    while idp.hits["/jwks"] != 2:
        time.sleep(0.001)
    started = time.monotonic()
    for _ in range(100):
        assert has(cache, "ES256-a")
    assert time.monotonic() - started < 2
    idp.let_go.set()
    waiting.join()


def test_an_unknown_kid_is_no_verdict_while_the_idp_cannot_be_asked(idp, bench):
    """Its issuer may have rotated: "unknown" would be final for an honest client, "unavailable" is not."""
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    idp.on("/jwks", answer(500))
    assert unavailable(cache, "ES256-b")
    assert unavailable(cache, "ES256-b")
    assert has(cache, "ES256-a")
    assert idp.hits["/jwks"] == 2


def refusal_of_unknown(cache, kid="made-up"):
    with pytest.raises(KeyUnknown) as info:
        cache.find(kid, "ES256")
    return info.value


def test_unknown_is_final_for_who_asked_and_open_for_who_came_in_the_cool_down(idp, bench):
    """The issuer may have rotated since it was asked for somebody else's made-up ``kid``: when to try again."""
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    asked = refusal_of_unknown(cache)
    assert (asked.cause, asked.retry_after) == ("unknown", None)
    publish(idp, A, B)
    bench.clock.pass_(3)
    in_between = refusal_of_unknown(cache, "ES256-b")
    assert (in_between.cause, in_between.retry_after) == ("cool_down", 7)
    bench.clock.pass_(in_between.retry_after)
    assert has(cache, "ES256-b")
    assert bench.watch.failed == [("idp", "unknown"), ("idp", "cool_down")]
    assert idp.hits["/jwks"] == 3


def test_a_flood_delays_a_rotation_by_no_more_than_the_cool_down(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    for second in range(60):
        for number in range(20):
            assert unknown(cache, f"made-up-{second}-{number}")
        if second == 31:
            publish(idp, A, B)
        if second > 31 and second % 10 == 0:  # from the first cool-down that ends after the rotation
            assert has(cache, "ES256-b")
        assert has(cache, "ES256-a")
        bench.clock.pass_(1)
    assert idp.hits["/jwks"] == 1 + 6


@pytest.mark.usefixtures("patient")
def test_a_flood_that_meets_a_failing_issuer_is_bounded_by_the_back_off(idp, bench):
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    idp.on("/jwks", answer(500))
    for _ in range(120):
        for number in range(5):
            unavailable(cache, f"made-up-{number}")
        assert has(cache, "ES256-a")
        bench.clock.pass_(1)
    assert idp.hits["/jwks"] == 1 + 8  # after 0, 1, 3, 7, 15, 31, 61, 91 seconds
    assert {cause for _, cause in bench.watch.failed} == {"source_failing"}


@pytest.mark.usefixtures("patient")
def test_a_fetch_that_failed_is_no_answer_and_the_rotation_is_seen_after_the_back_off(idp, bench):
    """A flapping IdP: the time to wait that is told is one after which the key can be had."""
    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    idp.on("/jwks", answer(500))
    wait = unavailable(cache, "ES256-b")
    publish(idp, A, B)
    bench.clock.pass_(wait)
    assert has(cache, "ES256-b")


# --- a key that is replaced under its own name ------------------------------------------------------------------


def newer(cache, key, kid):
    found = cache.find_newer(kid, "ES256", key)
    return found and found.key.public_numbers()


def named(jwk, kid):
    return {name: value for name, value in jwk.items() if name != "kid"} | ({"kid": kid} if kid else {})


@pytest.mark.parametrize("kid", ["the-key", None])
def test_a_new_key_under_the_old_name_is_found_within_the_cool_down(idp, bench, kid):
    cache = bench.cache(publish(idp, named(A, kid)))
    old = cache.find(kid, "ES256")
    publish(idp, named(B, kid))
    assert newer(cache, old, kid) is None  # what was fetched a moment ago is what there is
    assert idp.hits["/jwks"] == 1
    bench.clock.pass_(UNKNOWN_KEY_COOL_DOWN_SECONDS)
    found = newer(cache, old, kid)
    assert found == keys.private_key("ES256", "b").public_key().public_numbers()
    assert cache.find(kid, "ES256").key.public_numbers() == found
    assert bench.watch.begun == [("idp", "needed"), ("idp", "bad_signature")]


def test_a_flood_of_bad_signatures_is_one_fetch_per_cool_down_and_shares_it_with_unknown_kids(idp, bench):
    cache = bench.cache(publish(idp, A))
    key = cache.find("ES256-a", "ES256")
    for second in range(30):
        for _ in range(10):
            assert newer(cache, key, "ES256-a") is None
            assert unknown(cache) or second == 0
        bench.clock.pass_(1)
    assert idp.hits["/jwks"] == 1 + 3


def test_a_bad_signature_is_no_outage_when_the_issuer_cannot_be_asked(idp, bench):
    cache = bench.cache(publish(idp, A))
    key = cache.find("ES256-a", "ES256")
    idp.on("/jwks", answer(500))
    bench.clock.pass_(UNKNOWN_KEY_COOL_DOWN_SECONDS)
    assert newer(cache, key, "ES256-a") is None
    assert has(cache, "ES256-a")


def test_a_key_that_is_gone_is_replaced_by_none(idp, bench):
    cache = bench.cache(publish(idp, A))
    key = cache.find("ES256-a", "ES256")
    publish(idp, B)
    bench.clock.pass_(UNKNOWN_KEY_COOL_DOWN_SECONDS)
    assert newer(cache, key, "ES256-a") is None


# --- who waits, and for whom ------------------------------------------------------------------------------------


def test_only_one_thread_fetches_for_many_who_ask_at_once(idp):
    bench = Bench(max_waiting=32, max_waiting_per_cache=32)

    def slow(request):
        time.sleep(0.1)
        json_of({"keys": [A]})(request)

    cache = bench.cache(idp.on("/jwks", slow))
    assert in_threads(32, lambda: has(cache, "ES256-a")) == [True] * 32
    assert idp.hits["/jwks"] == 1


def test_a_burst_waits_for_a_healthy_idp_whatever_the_number_of_waiters(idp, bench, monkeypatch):
    monkeypatch.setattr("exchange.trust.fetched_keys.GRACE_SECONDS", 5.0)  # this machine may be busy

    def quick(request):
        time.sleep(0.05)
        json_of({"keys": [A, B]})(request)

    cache = bench.cache(publish(idp, A))
    assert has(cache, "ES256-a")
    idp.on("/jwks", quick)
    assert in_threads(12, lambda: has(cache, "ES256-b")) == [True] * 12


def test_beyond_a_few_nobody_waits_for_a_cold_cache(idp, bench):
    cache = bench.cache(idp.on("/jwks", idp.hang))
    waiting = [threading.Thread(target=in_threads, args=(1, lambda: has(cache, "ES256-a"))) for _ in range(2)]
    for thread in waiting:
        thread.start()
    while cache._waiting._ours._value:
        time.sleep(0.001)
    started = time.monotonic()
    assert {unavailable(cache) for _ in range(20)} == {1}
    assert time.monotonic() - started < 2
    assert idp.hits["/jwks"] == 1
    idp.let_go.set()
    for thread in waiting:
        thread.join()


def test_a_hanging_idp_does_not_delay_the_keys_of_another(idp, bench):
    hanging = bench.cache(idp.on("/hang", idp.hang), "hanging")
    healthy = bench.cache(publish(idp, A), "healthy")
    waiting = [
        threading.Thread(target=in_threads, args=(1, lambda: has(hanging, "ES256-a"))) for _ in range(4)
    ]
    for thread in waiting:
        thread.start()
    while hanging._waiting._ours._value:
        time.sleep(0.001)
    started = time.monotonic()
    assert has(healthy, "ES256-a")
    publish(idp, A, B)
    assert has(healthy, "ES256-b")
    assert time.monotonic() - started < 2
    idp.let_go.set()
    for thread in waiting:
        thread.join()


def test_a_process_has_few_waiters_altogether(idp):
    bench = Bench(max_waiting=1)
    first = bench.cache(idp.on("/first", idp.hang))
    second = bench.cache(idp.on("/second", idp.hang))
    waiting = threading.Thread(target=in_threads, args=(1, lambda: has(first, "ES256-a")))
    waiting.start()
    while first._waiting._ours._value == 2:
        time.sleep(0.001)
    started = time.monotonic()
    assert unavailable(second) == 1
    assert time.monotonic() - started < 2
    idp.let_go.set()
    waiting.join()


def test_a_process_has_few_fetches_altogether(idp):
    """An unverified ``iss`` may start one fetch for each trusted issuer: thousands of threads without a bound."""
    bench = Bench(max_fetches=1)
    first = bench.cache(idp.on("/first", idp.hang))
    waiting = threading.Thread(target=in_threads, args=(1, lambda: has(first, "ES256-a")))
    waiting.start()
    while not idp.hits["/first"]:
        time.sleep(0.001)
    assert unavailable(bench.cache(publish(idp, A))) == 1
    assert not idp.hits["/jwks"]
    idp.let_go.set()
    waiting.join()
    bench.outcome(first)
    assert has(bench.cache(publish(idp, A)), "ES256-a")


def test_a_waiter_gives_up_at_the_deadline(idp, bench, monkeypatch):
    monkeypatch.setattr("exchange.trust.fetched_keys.FETCH_SECONDS", 0.3)
    cache = bench.cache(idp.on("/jwks", idp.hang))
    started = time.monotonic()
    unavailable(cache)
    assert time.monotonic() - started < 2


def test_a_resolver_that_hangs_holds_up_no_request_beyond_the_deadline(bench, monkeypatch):
    monkeypatch.setattr("exchange.trust.fetched_keys.FETCH_SECONDS", 0.2)
    let_go = threading.Event()

    def resolve(_host, _port):
        let_go.wait(10)
        return []

    caches = KeyCaches(Fetcher(resolve=resolve), bench.clock)
    cache = caches.for_source(KeySource(jwks_uri="https://idp.test/jwks"))
    started = time.monotonic()
    unavailable(cache)
    assert time.monotonic() - started < 2
    let_go.set()


def test_nobody_waits_long_for_a_source_that_failed_before(idp, bench, monkeypatch):
    """The probe that asks whether it is back costs a moment, not five seconds of two threads each time."""
    monkeypatch.setattr("exchange.trust.fetched_keys.GRACE_SECONDS", 0.05)
    cache = bench.cache(idp.on("/jwks", answer(500)))
    wait = unavailable(cache)
    idp.on("/jwks", idp.hang)
    bench.clock.pass_(wait)
    started = time.monotonic()
    for _ in range(5):
        unavailable(cache)
    assert time.monotonic() - started < 2
    assert idp.hits["/jwks"] == 2
    publish(idp, A)
    idp.let_go.set()
    bench.outcome(cache)  # of the first
    bench.outcome(cache)
    bench.clock.pass_(5)
    assert has(cache, "ES256-a") or unavailable(cache)
    assert ("idp", "gave_up_waiting") in bench.watch.failed


def test_a_name_that_never_resolves_keeps_no_flight_and_no_thread(bench, monkeypatch):
    monkeypatch.setattr("exchange.trust.fetched_keys.FETCH_SECONDS", 0.1)
    let_go = threading.Event()

    def resolve(host, _port):
        if host.startswith("hang"):
            let_go.wait(20)
        return ["127.0.0.1"]

    outcomes = []
    caches = KeyCaches(
        Fetcher(resolve=resolve),
        bench.clock,
        observe=lambda _, outcome: outcomes.append(outcome),
        limits=FetchLimits(max_fetches=2),
    )
    hanging = [caches.for_source(KeySource(jwks_uri=f"https://hang-{n}.test/"), f"h{n}") for n in range(2)]
    for _ in range(6):  # three times as often as there are threads that may fetch
        for cache in hanging:
            unavailable(cache)
            while cache._flight is not None:
                time.sleep(0.001)
        bench.clock.pass_(MAX_BACK_OFF_SECONDS * 2)
    assert outcomes == ["lookup_timeout"] * 12
    with HostileIdp() as idp:
        url = publish(idp, A).replace("127.0.0.1", "idp.test")
        monkeypatch.setattr("exchange.trust.fetched_keys.FETCH_SECONDS", 5.0)
        assert has(caches.for_source(KeySource(jwks_uri=url, allow_insecure_http=True)), "ES256-a")
    let_go.set()


# --- what must not happen in a thread ---------------------------------------------------------------------------


class BrokenFetcher:
    def get(self, url, **_):
        raise ZeroDivisionError("words of a stranger")


def test_an_error_in_a_thread_is_an_outcome_and_prints_nothing(capfd, caplog):
    outcomes = []

    def observe(label, outcome):
        outcomes.append((label, outcome))
        raise ZeroDivisionError

    cache = KeyCaches(BrokenFetcher(), observe=observe).for_source(
        KeySource(jwks_uri="https://a.example/"), "idp"
    )
    unavailable(cache)
    assert outcomes == [("idp", "internal_error")]
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.usefixtures("patient")
def test_a_thread_that_cannot_be_started_is_a_failed_fetch(idp, bench, monkeypatch):
    cache = bench.cache(publish(idp, A))

    def no_more(_):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        unavailable(cache)
    bench.clock.pass_(2)
    assert has(cache, "ES256-a")


def test_threads_that_fetch_do_not_keep_the_process_alive(idp, bench):
    cache = bench.cache(idp.on("/jwks", idp.hang))
    waiting = threading.Thread(target=in_threads, args=(1, lambda: has(cache, "ES256-a")))
    waiting.start()
    while not idp.hits["/jwks"]:
        time.sleep(0.001)
    assert {thread.daemon for thread in threading.enumerate() if thread.name == "key-fetch"} == {True}
    idp.let_go.set()
    waiting.join()


def test_who_counts_cannot_keep_a_fetch_from_its_end(idp, bench, monkeypatch):
    def breaks(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(bench.watch, "fetch_begun", breaks)
    monkeypatch.setattr(bench.watch, "fetch_ended", breaks)
    assert has(bench.cache(publish(idp, A)), "ES256-a")


# --- what is counted --------------------------------------------------------------------------------------------


def test_every_fetch_is_counted_by_its_cause(idp, bench):
    cache = bench.cache(publish(idp, A))
    cache.prefetch()
    bench.outcome(cache)
    bench.clock.pass_(REFRESH_AFTER_SECONDS + 1)
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    bench.clock.pass_(FRESH_SECONDS)
    assert has(cache, "ES256-a")
    bench.outcome(cache)
    unknown(cache)
    bench.outcome(cache)
    bench.clock.pass_(LAST_GOOD_SECONDS)
    assert has(cache, "ES256-a")
    assert [cause for _, cause in bench.watch.begun] == [
        "start",
        "refresh",
        "overdue",
        "unknown_key",
        "needed",
    ]
    assert bench.watch.ended == [("idp", True)] * 5


@pytest.mark.usefixtures("patient")
def test_a_source_that_fails_and_comes_back_is_told_of(idp, bench):
    cache = bench.cache(idp.on("/jwks", answer(500)))
    wait = unavailable(cache)
    publish(idp, A)
    bench.clock.pass_(wait)
    assert has(cache, "ES256-a")
    assert bench.watch.ended == [("idp", False), ("idp", True)]
    assert bench.watch.failed == [("idp", "source_failing")]


def test_a_process_without_threads_left_says_so(idp):
    bench = Bench(max_fetches=1)
    first = bench.cache(idp.on("/first", idp.hang), "first")
    waiting = threading.Thread(target=in_threads, args=(1, lambda: has(first, "ES256-a")))
    waiting.start()
    while not idp.hits["/first"]:
        time.sleep(0.001)
    unavailable(bench.cache(publish(idp, A), "second"))
    assert bench.watch.failed == [("second", "too_many_fetches")]
    idp.let_go.set()
    waiting.join()


# --- one cache for each source ----------------------------------------------------------------------------------


def test_equal_sources_share_a_cache_and_others_do_not(idp, bench):
    url = publish(idp, A)
    assert bench.cache(url) is bench.cache(url, "another label")
    assert bench.cache(url) is not bench.cache(url + "?")
    strict = bench.caches.for_source(KeySource(jwks_uri=url))
    assert strict is not bench.cache(url)
    assert unavailable(strict)


def test_two_caches_never_lend_each_other_keys(idp, bench):
    one, other = bench.cache(publish(idp, A, path="/one")), bench.cache(publish(idp, B, path="/other"))
    assert has(one, "ES256-a")
    assert has(other, "ES256-b")
    assert unknown(one, "ES256-b")
    assert unknown(other, "ES256-a")


def test_inline_keys_are_never_fetched(bench):
    cache = bench.caches.for_source(KeySource(document=json.dumps({"keys": [A]})))
    assert has(cache, "ES256-a")
    assert unknown(cache)
    bench.clock.pass_(LAST_GOOD_SECONDS * 1000)
    assert has(cache, "ES256-a")
    assert bench.outcomes.empty()


@pytest.mark.parametrize("document", ["", "{}", "[]", '{"keys":[]}', '{"keys":[{}]}'])
def test_inline_keys_that_are_none_are_trusted_with_nothing(bench, document):
    assert unknown(bench.caches.for_source(KeySource(document=document)), "ES256-a")


def test_labels_are_given_by_the_policies_and_not_by_who_asks_first(idp, bench):
    url = publish(idp, A)
    source, other = KeySource(jwks_uri=url, allow_insecure_http=True), KeySource(jwks_uri=url + "?b")
    bench.caches.retain({source: "acme", other: "client:acme"})
    assert has(bench.caches.for_source(source, "somebody"), "ES256-a")
    unavailable(bench.caches.for_source(other, "somebody"))
    assert [name for name, _ in bench.watch.begun] == ["acme", "client:acme"]
    bench.caches.retain({source: "renamed"})
    unknown(bench.caches.for_source(source))
    assert bench.watch.begun[-1] == ("renamed", "unknown_key")
    assert bench.watch.forgotten == ["acme", "client:acme"]
    assert has(bench.caches.for_source(source), "ES256-a")
    assert idp.hits["/jwks"] == 2  # its keys outlived the change


def test_keys_age_while_the_machine_sleeps():
    """Withdrawn keys must not be fresh after a night with the lid closed."""
    assert since_boot() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1)
    assert KeyCaches(Fetcher())._clock is since_boot
