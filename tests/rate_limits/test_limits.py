"""How often is too often: on a real store, with a clock that the test sets."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exchange.config.values import Rate, RateLimit
from exchange.errors import Refusal
from exchange.rate_limits import NO_LIMITS, Limits, limits_of, shut_out
from exchange.stores import Count, StoreUnavailable
from exchange.stores.sqlite import SqliteStore
from tests.stores.contract import NOW, SettableClock

ALL = RateLimit(
    per_client=Rate(3, "m"),
    per_issuer=Rate(4, "h"),
    per_address=Rate(5, "s"),
    failed_authentication=Rate(2, "d"),
)
HERE, THERE = "192.0.2.1", "192.0.2.2"


class CountedStore(SqliteStore):
    """Says how often it was asked, and for how much."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        super().__init__(path, clock=clock)
        self.amounts: list[int] = []

    def increment(self, namespace: str, parts: tuple[str, ...], amount: int, seconds: int) -> Count:
        self.amounts.append(amount)
        return super().increment(namespace, parts, amount, seconds)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def store(tmp_path, clock) -> CountedStore:
    return CountedStore(tmp_path / "exchange.db", clock)


@pytest.fixture
def limits(store, clock) -> Limits:
    return limits_of(ALL, store, clock)


def refused(call: Callable[[], None]) -> tuple[str, int | None, str | None]:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.reason.slug, caught.value.retry_after, caught.value.detail


VERBS = {
    "per_client 3/m": (3, 60, lambda limits, who: limits.authenticated(who)),
    "per_issuer 4/h": (4, 3600, lambda limits, who: limits.permitted(who)),
    "per_address 5/s": (5, 1, lambda limits, who: limits.admit(who)),
}


@pytest.mark.parametrize("name", VERBS)
def test_so_many_pass_and_the_next_one_when_the_window_is_over(limits, clock, name):
    amount, seconds, verb = VERBS[name]
    for _ in range(amount):
        verb(limits, "a")
    assert refused(lambda: verb(limits, "a")) == ("rate_limited", seconds, name)
    clock.now = NOW + seconds - 0.25
    assert refused(lambda: verb(limits, "a")) == ("rate_limited", 1, name)
    clock.now = NOW + seconds
    for _ in range(amount):
        verb(limits, "a")
    assert refused(lambda: verb(limits, "a")) == ("rate_limited", seconds, name)


@pytest.mark.parametrize("name", VERBS)
def test_what_one_uses_up_is_not_missing_to_another(limits, name):
    amount, _, verb = VERBS[name]
    for _ in range(amount):
        verb(limits, "a")
    refused(lambda: verb(limits, "a"))
    verb(limits, "b")


def test_clients_issuers_and_addresses_of_one_name_are_counted_apart(limits):
    for _ in range(3):
        limits.authenticated("a")
    limits.permitted("a")
    limits.admit("a")


@pytest.mark.parametrize(("one", "other"), [("a", "a/3/1/minute"), ("a/3", "a"), ("", "/"), ("a//", "a/")])
def test_no_name_can_be_chosen_that_uses_up_what_is_anothers(limits, one, other):
    for _ in range(3):
        limits.authenticated(one)
    limits.authenticated(other)


def test_retry_after_is_a_whole_number_of_seconds_after_which_one_passes(limits, clock):
    for _ in range(3):
        limits.authenticated("a")
    for elapsed in (0.0, 0.1, 17.7, 59.0, 59.999):
        clock.now = NOW + elapsed
        _, retry_after, _ = refused(lambda: limits.authenticated("a"))
        assert isinstance(retry_after, int)
        assert NOW + 60 <= clock.now + retry_after < NOW + 61
    clock.now += retry_after
    limits.authenticated("a")


class TestFailedAuthentication:
    def test_who_failed_too_often_is_refused_before_he_can_try_again(self, limits, clock):
        for _ in range(2):
            limits.admit(HERE)
            limits.authentication_failed(HERE)
        assert refused(lambda: limits.admit(HERE)) == (
            "rate_limited",
            86400,
            "failed_authentication 2/d",
        )
        clock.now = NOW + 86400
        limits.admit(HERE)

    def test_another_address_may_try(self, limits):
        for _ in range(3):
            limits.authentication_failed(HERE)
        limits.admit(THERE)

    def test_a_failure_says_nothing_more_of_itself(self, limits):
        for _ in range(10):
            limits.authentication_failed(HERE)  # the request is refused anyway, with its own reason

    def test_successes_are_not_counted(self, store, clock):
        limits = limits_of(RateLimit(failed_authentication=Rate(1, "m")), store, clock)
        for _ in range(10):
            limits.admit(HERE)
            limits.authenticated("shop")


class TestWhatTheStoreIsAsked:
    def test_nothing_without_limits(self, store, clock):
        limits = limits_of(RateLimit(), store, clock)
        assert limits is NO_LIMITS
        limits.admit(HERE)
        limits.authentication_failed(HERE)
        limits.authenticated("shop")
        limits.permitted("idp")
        assert store.amounts == []

    def test_nothing_is_imported_without_limits(self):
        program = "import sys, exchange.app; sys.exit('limits' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0

    def test_one_step_for_each_limit_of_which_only_the_look_at_failures_does_not_write(self, limits, store):
        limits.admit(HERE)
        limits.authenticated("shop")
        limits.permitted("idp")
        assert store.amounts == [1, 0, 1, 1]

    def test_what_is_not_limited_is_not_counted(self, store, clock):
        limits = limits_of(RateLimit(per_client=Rate(3, "m")), store, clock)
        limits.admit(HERE)
        limits.authentication_failed(HERE)
        limits.permitted("idp")
        assert store.amounts == []

    def test_a_failure_costs_one_step_more(self, limits, store):
        limits.admit(HERE)
        before = len(store.amounts)
        limits.authentication_failed(HERE)
        assert store.amounts[before:] == [1]

    def test_who_is_shut_out_costs_a_worker_two_steps_once_and_then_none(self, limits, store, clock):
        for _ in range(3):
            limits.authenticated("a")
        store.amounts.clear()
        refused(lambda: limits.authenticated("a"))
        assert store.amounts == [1, 0]
        for _ in range(100):
            refused(lambda: limits.authenticated("a"))
        assert store.amounts == [1, 0]
        clock.now = NOW + 60
        limits.authenticated("a")
        assert store.amounts == [1, 0, 1]

    def test_an_address_that_is_shut_out_for_its_failures_is_not_counted_any_more(self, limits, store):
        for _ in range(2):
            limits.authentication_failed(HERE)
        assert refused(lambda: limits.admit(HERE))[2] == "failed_authentication 2/d"
        store.amounts.clear()
        for _ in range(20):
            assert refused(lambda: limits.admit(HERE))[2] == "failed_authentication 2/d"
        assert store.amounts == []

    def test_no_address_and_no_name_is_written_to_the_store(self, limits, store, tmp_path):
        limits.admit(HERE)
        limits.authenticated("a-client-with-a-long-name")
        store.close()
        written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert HERE.encode() not in written
        assert b"a-client-with-a-long-name" not in written


class TestMemoryOfAWorker:
    def test_it_is_bounded_and_who_is_forgotten_is_refused_all_the_same(self, limits, store, monkeypatch):
        monkeypatch.setattr(shut_out, "MOST", 2)
        for who in "abc":
            for _ in range(3):
                limits.authenticated(who)
            refused(lambda who=who: limits.authenticated(who))
        store.amounts.clear()
        for who in "bc":
            refused(lambda who=who: limits.authenticated(who))
        assert store.amounts == []
        refused(lambda: limits.authenticated("a"))
        assert store.amounts == [1, 0]

    def test_a_window_that_ends_in_between_shuts_nobody_out(self, tmp_path, clock):
        class EndsInBetween(SqliteStore):
            def increment(self, namespace, parts, amount, seconds):
                if amount == 0:
                    clock.now = NOW + 60
                    super().increment(namespace, parts, 1, seconds)
                return super().increment(namespace, parts, amount, seconds)

        store = EndsInBetween(tmp_path / "exchange.db", clock=clock)
        limits = limits_of(RateLimit(per_client=Rate(3, "m")), store, clock)
        for _ in range(3):
            limits.authenticated("a")
        assert refused(lambda: limits.authenticated("a"))[1] == 1
        limits.authenticated("a")


class TestManyWorkers:
    def test_workers_share_what_they_count(self, tmp_path, clock):
        path = tmp_path / "exchange.db"
        one, other = (limits_of(ALL, SqliteStore(path, clock=clock), clock) for _ in range(2))
        one.authenticated("a")
        other.authenticated("a")
        one.authenticated("a")
        refused(lambda: other.authenticated("a"))
        refused(lambda: one.authenticated("a"))

    def test_of_many_at_once_exactly_so_many_pass(self, store, clock):
        limits = limits_of(RateLimit(per_client=Rate(37, "m")), store, clock)

        def ask(_: int) -> bool:
            try:
                limits.authenticated("a")
            except Refusal:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(ask, range(200))) == 37

    def test_another_limit_counts_anew(self, store, clock):
        for _ in range(3):
            limits_of(RateLimit(per_client=Rate(3, "m")), store, clock).authenticated("a")
        limits_of(RateLimit(per_client=Rate(4, "m")), store, clock).authenticated("a")


@pytest.mark.parametrize("verb", ["admit", "authentication_failed", "authenticated", "permitted"])
def test_a_store_out_of_reach_refuses_and_lets_nobody_pass(tmp_path, clock, verb):
    (tmp_path / "file").write_text("")
    limits = limits_of(ALL, SqliteStore(tmp_path / "file" / "exchange.db", clock=clock), clock)
    reason, retry_after, detail = refused(lambda: getattr(limits, verb)("a"))
    assert (reason, detail) == ("store_unavailable", StoreUnavailable("unwritable").cause)
    assert retry_after is not None


def test_a_store_that_works_again_is_asked_again(limits, store, tmp_path):
    limits.authenticated("a")
    holder = sqlite3.connect(tmp_path / "exchange.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert refused(lambda: limits.authenticated("a"))[0] == "store_unavailable"
    holder.execute("ROLLBACK")
    holder.close()
    limits.authenticated("a")
