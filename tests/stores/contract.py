"""What any ``Store`` must do. A backend's test module subclasses ``StoreContract`` and says how to open it."""

from __future__ import annotations

import multiprocessing
import threading
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.stores.store import GRACE, Count, Store, mark_key

NOW = 1_800_000_000
EXPIRES = NOW + 300
WINDOW = 60


class SettableClock:
    """Seconds since the epoch, as the test says."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


OpenStore = Callable[[Callable[[], float]], Store]


def add_equal_keys(open_store: OpenStore, barrier, count: int, wins) -> None:
    """Run in another process: mark keys that the other processes mark as well."""
    store = open_store(SettableClock())
    barrier.wait()
    wins.put([i for i in range(count) if store.add_if_absent("race", ("client", str(i)), EXPIRES)])


def count_equal_keys(open_store: OpenStore, barrier, count: int, seen) -> None:
    """Run in another process: count what the other processes count as well."""
    store = open_store(SettableClock())
    barrier.wait()
    seen.put([store.increment("race", ("client",), 1, WINDOW).value for _ in range(count)])


class StoreContract:
    """Subclasses give ``open_store``: a picklable callable that opens the same store again and again."""

    @pytest.fixture
    @abstractmethod
    def open_store(self, tmp_path) -> OpenStore: ...

    @pytest.fixture
    def clock(self) -> SettableClock:
        return SettableClock()

    @pytest.fixture
    def store(self, open_store, clock) -> Store:
        return open_store(clock)

    def test_the_first_use_is_told_from_the_second(self, store):
        assert store.add_if_absent("client_assertion", ("bff", "j1"), EXPIRES) is True
        assert store.add_if_absent("client_assertion", ("bff", "j1"), EXPIRES) is False

    @pytest.mark.parametrize(
        ("namespace", "parts"),
        [
            ("dpop_proof", ("bff", "j1")),
            ("client_assertion", ("bff", "j2")),
            ("client_assertion", ("other", "j1")),
            ("client_assertion", ("bffj", "1")),
            ("client_assertion", ("bff",)),
            ("client_assertion", ("bff", "j1", "")),
            ("client_assertion", ('bff", "j1',)),
            ("client_assertion", ("bff\x00j1",)),
        ],
    )
    def test_another_mark_is_another_first_use(self, store, namespace, parts):
        store.add_if_absent("client_assertion", ("bff", "j1"), EXPIRES)
        assert store.add_if_absent(namespace, parts, EXPIRES) is True

    @pytest.mark.parametrize("text", ["", "\ud800", "é", "x" * 100_000, "'; DROP TABLE mark; --", "\0"])
    def test_any_text_can_be_marked(self, store, text):
        assert store.add_if_absent("n", (text,), EXPIRES) is True
        assert store.add_if_absent("n", (text,), EXPIRES) is False

    @pytest.mark.parametrize("late", [0, 1, GRACE])
    def test_a_mark_outlives_its_expiry_by_the_grace(self, store, clock, late):
        store.add_if_absent("n", ("a",), EXPIRES)
        clock.now = EXPIRES + late
        assert store.add_if_absent("n", ("a",), EXPIRES + 300) is False

    def test_an_expired_mark_can_be_made_anew_and_holds_again(self, store, clock):
        store.add_if_absent("n", ("a",), EXPIRES)
        clock.now = EXPIRES + GRACE + 1
        assert store.add_if_absent("n", ("a",), EXPIRES + 600) is True
        assert store.add_if_absent("n", ("a",), EXPIRES + 600) is False

    def test_a_refused_second_use_does_not_prolong_the_mark(self, store, clock):
        store.add_if_absent("n", ("a",), EXPIRES)
        assert store.add_if_absent("n", ("a",), EXPIRES + 100_000) is False
        clock.now = EXPIRES + GRACE + 1
        assert store.add_if_absent("n", ("a",), EXPIRES + 600) is True

    def test_marks_outlive_a_restart(self, open_store, clock):
        open_store(clock).add_if_absent("n", ("a",), EXPIRES)
        assert open_store(clock).add_if_absent("n", ("a",), EXPIRES) is False

    def test_check_passes_and_leaves_no_mark(self, store):
        store.check()
        store.check()
        assert store.add_if_absent("n", ("a",), EXPIRES) is True

    def test_equal_keys_from_many_threads_win_once_each(self, store):
        barrier = threading.Barrier(8)

        def add(_: int) -> int:
            barrier.wait()
            return sum(store.add_if_absent("race", ("client", str(i)), EXPIRES) for i in range(200))

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(add, range(8))) == 200

    def test_an_expired_key_is_won_once_by_many_threads(self, store, clock):
        for i in range(100):
            store.add_if_absent("race", (str(i),), EXPIRES)
        clock.now = EXPIRES + GRACE + 1
        barrier = threading.Barrier(8)

        def add(_: int) -> int:
            barrier.wait()
            return sum(store.add_if_absent("race", (str(i),), EXPIRES + 600) for i in range(100))

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(add, range(8))) == 100

    @pytest.mark.parametrize("method", ["spawn", "fork"])
    def test_equal_keys_from_four_processes_win_once_each(self, open_store, method):
        context = multiprocessing.get_context(method)
        barrier, wins = context.Barrier(4), context.Queue()
        processes = [
            context.Process(target=add_equal_keys, args=(open_store, barrier, 500, wins)) for _ in range(4)
        ]
        for process in processes:
            process.start()
        won = [key for _ in processes for key in wins.get(timeout=60)]
        for process in processes:
            process.join(timeout=60)
        assert sorted(won) == list(range(500))

    def test_a_store_used_before_a_fork_works_on_both_sides_of_it(self, store):
        assert store.add_if_absent("n", ("before",), EXPIRES) is True
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(
            target=lambda: answers.put(
                [store.add_if_absent("n", (name,), EXPIRES) for name in ("before", "child")]
            )
        )
        child.start()
        assert answers.get(timeout=60) == [False, True]
        child.join(timeout=60)
        assert store.add_if_absent("n", ("child",), EXPIRES) is False
        assert store.add_if_absent("n", ("parent",), EXPIRES) is True

    def test_what_is_counted_is_counted_on(self, store):
        assert store.increment("n", ("a",), 1, WINDOW) == Count(1, WINDOW)
        assert store.increment("n", ("a",), 1, WINDOW) == Count(2, WINDOW)
        assert store.increment("n", ("a",), 5, WINDOW) == Count(7, WINDOW)

    @pytest.mark.parametrize(
        ("namespace", "parts"), [("m", ("a",)), ("n", ("b",)), ("n", ("a", "")), ("n", ('a","',)), ("n", ())]
    )
    def test_something_else_has_a_count_of_its_own(self, store, namespace, parts):
        store.increment("n", ("a",), 3, WINDOW)
        assert store.increment(namespace, parts, 1, WINDOW).value == 1
        assert store.increment("n", ("a",), 1, WINDOW).value == 4

    def test_a_mark_is_no_count_and_a_count_no_mark(self, store):
        assert store.add_if_absent("n", ("a",), EXPIRES) is True
        assert store.increment("n", ("a",), 1, WINDOW).value == 1
        assert store.add_if_absent("n", ("b",), EXPIRES) is True
        assert store.increment("n", ("b",), 0, WINDOW).value == 0

    def test_a_window_is_over_after_its_seconds_and_not_before(self, store, clock):
        store.increment("n", ("a",), 3, WINDOW)
        clock.now = NOW + WINDOW - 0.25
        assert store.increment("n", ("a",), 1, WINDOW) == Count(4, 0.25)
        clock.now = NOW + WINDOW
        assert store.increment("n", ("a",), 0, WINDOW) == Count(0, 0)
        assert store.increment("n", ("a",), 1, WINDOW) == Count(1, WINDOW)

    def test_what_is_counted_late_does_not_prolong_the_window(self, store, clock):
        store.increment("n", ("a",), 1, WINDOW)
        clock.now = NOW + WINDOW - 1
        store.increment("n", ("a",), 1, WINDOW)
        clock.now = NOW + WINDOW
        assert store.increment("n", ("a",), 1, WINDOW).value == 1

    def test_reading_a_count_changes_nothing(self, store, clock):
        assert store.increment("n", ("a",), 0, WINDOW) == Count(0, 0)
        clock.now = NOW + 10
        assert store.increment("n", ("a",), 1, WINDOW) == Count(1, WINDOW)
        clock.now = NOW + 20
        assert store.increment("n", ("a",), 0, WINDOW) == Count(1, WINDOW - 10)
        assert store.increment("n", ("a",), 0, WINDOW) == Count(1, WINDOW - 10)

    def test_counts_outlive_a_restart(self, open_store, clock):
        open_store(clock).increment("n", ("a",), 3, WINDOW)
        assert open_store(clock).increment("n", ("a",), 1, WINDOW).value == 4

    def test_no_count_of_many_threads_is_lost_or_given_twice(self, store):
        barrier = threading.Barrier(8)

        def count(_: int) -> list[int]:
            barrier.wait()
            return [store.increment("race", ("client",), 1, WINDOW).value for _ in range(100)]

        with ThreadPoolExecutor(8) as pool:
            seen = [value for values in pool.map(count, range(8)) for value in values]
        assert sorted(seen) == list(range(1, 801))

    @pytest.mark.parametrize("method", ["spawn", "fork"])
    def test_no_count_of_four_processes_is_lost_or_given_twice(self, open_store, method):
        context = multiprocessing.get_context(method)
        barrier, seen = context.Barrier(4), context.Queue()
        processes = [
            context.Process(target=count_equal_keys, args=(open_store, barrier, 250, seen)) for _ in range(4)
        ]
        for process in processes:
            process.start()
        values = [value for _ in processes for value in seen.get(timeout=60)]
        for process in processes:
            process.join(timeout=60)
        assert sorted(values) == list(range(1, 1001))


names = st.text(max_size=8)


@given(st.tuples(names, st.lists(names, max_size=4)), st.tuples(names, st.lists(names, max_size=4)))
def test_only_equal_marks_share_a_key(one, other):
    same = mark_key(one[0], tuple(one[1])) == mark_key(other[0], tuple(other[1]))
    assert same is (one == other)
