"""The keys behind one URL, at hand for every request and never older than they may be.

A request that finds its key in a fresh set takes no lock and waits for nobody. Whatever needs the network is
done by one thread per cache at a time, and only few requests may wait for it: an IdP that is slow, dead or
hostile costs those who need *its* new keys, and nobody else.

::

    fetched ──── fresh ────▶ refresh in the background ────▶ old: a short wait for a refresh ────▶ of no use
    0                        4 min                           5 min                                 1 h
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from exchange.config.values import KeySource
from exchange.jose import KeySet, PublicKey
from exchange.outbound import FetchFailed
from exchange.trust.discovery import Fetch, KeysRefused, fetch_key_set

Clock = Callable[[], float]
"""Seconds since some epoch."""
Observe = Callable[[str, str], None]
"""The label of a cache and ``fetched``, or the slug of why not: called once per fetch."""

FETCH_SECONDS: Final = 5.0
"""For metadata and keys together, and for whoever waits for them."""
FRESH_SECONDS: Final = 5 * 60.0
REFRESH_AFTER_SECONDS: Final = 0.8 * FRESH_SECONDS
OLD_KEYS_WAIT_SECONDS: Final = 1.0
"""How long a request waits for a refresh before it makes do with keys that are no longer fresh."""
LAST_GOOD_SECONDS: Final = 60 * 60.0
"""For so long after the last success the keys are used while their source is out of reach."""
UNKNOWN_KEY_COOL_DOWN_SECONDS: Final = 10.0
BACK_OFF_SECONDS: Final = 1.0
MAX_BACK_OFF_SECONDS: Final = 30.0

GRACE_SECONDS: Final = 0.25
"""From the start of a fetch anybody may wait so long: a healthy IdP answers, and a burst is no outage."""
MAX_WAITING_PER_CACHE: Final = 2
MAX_WAITING: Final = 4
MAX_FETCHES: Final = 32
"""Threads that fetch at once, per process: an unverified ``iss`` may start one for each trusted issuer."""


class KeyUnknown(Exception):  # noqa: N818  # a finding about a token, not a defect
    """The key that the token names is not among the keys of its issuer."""


class KeysUnavailable(Exception):  # noqa: N818
    """The keys cannot be had now; ``retry_after`` is in whole seconds, at least 1."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class _Held:
    """A key set and the times that go with it, replaced in one step."""

    keys: KeySet
    refresh_at: float
    old_at: float
    useless_at: float


@dataclass(slots=True)
class _Flight:
    """One fetch under way, and what its waiters wait for."""

    grace_until: float
    deadline: float
    for_unknown_key: bool
    done: threading.Event = field(default_factory=threading.Event)


class FetchLimits:
    """What all caches of a process share: how many threads fetch, and how many requests wait for them."""

    def __init__(
        self,
        *,
        max_fetches: int = MAX_FETCHES,
        max_waiting: int = MAX_WAITING,
        max_waiting_per_cache: int = MAX_WAITING_PER_CACHE,
    ) -> None:
        self.fetches = threading.BoundedSemaphore(max_fetches)
        self.waiting = threading.BoundedSemaphore(max_waiting)
        self.max_waiting_per_cache = max_waiting_per_cache


class FetchedKeys:
    """The keys behind a URL. Safe to share between threads, but not across ``fork`` during a fetch."""

    def __init__(
        self,
        source: KeySource,
        label: str,
        *,
        fetch: Fetch,
        clock: Clock,
        observe: Observe,
        limits: FetchLimits,
        jitter: Callable[[], float],
    ) -> None:
        self._source = source
        self._label = label
        self._fetch = fetch
        self._clock = clock
        self._observe = observe
        self._limits = limits
        self._jitter = jitter
        self._waiting = threading.BoundedSemaphore(limits.max_waiting_per_cache)
        self._held: _Held | None = None
        # Below: guarded by the lock, which is never held while anything is waited for.
        self._lock = threading.Lock()
        self._flight: _Flight | None = None
        self._failures = 0
        self._back_off_until = -math.inf
        self._cool_down_until = -math.inf

    def find(self, key_id: str | None, algorithm: str) -> PublicKey:
        held = self._held
        if held is not None and self._clock() < held.refresh_at:
            key = held.keys.find(key_id, algorithm)
            if key is not None:
                return key
        return self._find_with_fetch(key_id, algorithm)

    def prefetch(self) -> None:
        if self._held is None:
            flight = self._start(seen=None)
            if flight is not None:
                flight.done.wait(_seconds_until(flight.deadline))

    def _find_with_fetch(self, key_id: str | None, algorithm: str) -> PublicKey:
        give_up = time.monotonic() + FETCH_SECONDS
        before = self._held
        held = self._current_keys(give_up)
        key = held.keys.find(key_id, algorithm)
        if key is None and held is before:  # else the set is a moment old, and asking again says the same
            key = self._find_after_rotation(key_id, algorithm, give_up)
        if key is None:
            raise KeyUnknown
        return key

    def _current_keys(self, give_up: float) -> _Held:
        """Return keys that may be used, fetching them or having them fetched as their age asks for."""
        held, now = self._held, self._clock()
        if held is None or now >= held.useless_at:
            flight = self._start(seen=held)
            if flight is not None and not self._wait(flight, give_up):
                raise KeysUnavailable(self._retry_after())
        elif now >= held.refresh_at:
            flight = self._start(seen=held)
            if flight is not None and now >= held.old_at:
                # A key that its issuer withdrew must not live on because nobody asked for a while.
                self._wait(flight, time.monotonic() + OLD_KEYS_WAIT_SECONDS)
        held = self._held
        if held is None or self._clock() >= held.useless_at:
            raise KeysUnavailable(self._retry_after())
        return held

    def _find_after_rotation(self, key_id: str | None, algorithm: str, give_up: float) -> PublicKey | None:
        """Ask once more for a key that a good set does not have: its issuer may have rotated just now."""
        for _ in range(2):  # a refresh that was already under way may have asked before the rotation
            flight = self._start_for_unknown_key()
            if flight is not None and not self._wait(flight, give_up):
                raise KeysUnavailable(self._retry_after())
            held = self._held
            key = held.keys.find(key_id, algorithm) if held else None
            if key is not None:
                return key
            if flight is None or flight.for_unknown_key:
                break
        # While the source cannot be asked, "unknown" would be a guess, and final for an honest client.
        if self._failures:
            raise KeysUnavailable(self._retry_after())
        return None

    def _start(self, *, seen: _Held | None) -> _Flight | None:
        """Return the fetch under way, or a new one; ``None`` where there may be or need be none now."""
        with self._lock:
            if self._flight is not None:
                return self._flight
            if self._held is not seen or self._clock() < self._back_off_until:
                return None
            flight = self._new_flight(for_unknown_key=False)
        return self._launch(flight)

    def _start_for_unknown_key(self) -> _Flight | None:
        """As ``_start``, but no more often than the cool-down allows: anybody can make up a ``kid``."""
        with self._lock:
            if self._flight is not None:
                return self._flight
            now = self._clock()
            if now < self._cool_down_until or now < self._back_off_until:
                return None
            flight = self._new_flight(for_unknown_key=True)
            if flight is None:
                raise KeysUnavailable(1)
            # Counted from here, not from the last scheduled fetch: a rotation right after that is seen too.
            self._cool_down_until = now + UNKNOWN_KEY_COOL_DOWN_SECONDS
        return self._launch(flight)

    def _new_flight(self, *, for_unknown_key: bool) -> _Flight | None:
        if not self._limits.fetches.acquire(blocking=False):
            return None
        now = time.monotonic()
        self._flight = _Flight(now + GRACE_SECONDS, now + FETCH_SECONDS, for_unknown_key)
        return self._flight

    def _launch(self, flight: _Flight | None) -> _Flight | None:
        if flight is not None:
            try:
                threading.Thread(target=self._run, args=(flight,), name="key-fetch", daemon=True).start()
            except RuntimeError:  # no more threads to be had
                self._settle(flight, None)
        return flight

    def _run(self, flight: _Flight) -> None:
        keys: KeySet | None = None
        try:
            keys = fetch_key_set(self._source, self._fetch, flight.deadline)
            outcome = "fetched"
        except (FetchFailed, KeysRefused) as failure:
            outcome = failure.cause
        except Exception:  # noqa: BLE001  # a thread that dies would print a stranger's words, and never settle
            outcome = "internal_error"
        with contextlib.suppress(Exception):
            self._observe(self._label, outcome)
        self._settle(flight, keys)

    def _settle(self, flight: _Flight, keys: KeySet | None) -> None:
        now = self._clock()
        with self._lock:
            if keys is None:
                self._failures += 1
                seconds = min(BACK_OFF_SECONDS * 2.0 ** min(self._failures - 1, 10), MAX_BACK_OFF_SECONDS)
                self._back_off_until = now + self._spread(seconds)
            else:
                self._failures = 0
                self._back_off_until = -math.inf
                self._held = _Held(
                    keys,
                    refresh_at=now + self._spread(REFRESH_AFTER_SECONDS),
                    old_at=now + FRESH_SECONDS,
                    useless_at=now + LAST_GOOD_SECONDS,
                )
            self._flight = None
        self._limits.fetches.release()
        flight.done.set()

    def _spread(self, seconds: float) -> float:
        # Up to a tenth either way, so that workers and machines do not all ask at once.
        return seconds * (0.9 + 0.2 * self._jitter())

    def _wait(self, flight: _Flight, give_up: float) -> bool:
        """Return whether the fetch ended in time. Beyond its grace only few may wait; the others give up."""
        if flight.done.wait(_seconds_until(min(flight.grace_until, give_up))):
            return True
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            if not self._limits.waiting.acquire(blocking=False):
                return False
            try:
                return flight.done.wait(_seconds_until(min(flight.deadline, give_up)))
            finally:
                self._limits.waiting.release()
        finally:
            self._waiting.release()

    def _retry_after(self) -> int:
        with self._lock:
            seconds = self._back_off_until - self._clock()
        return max(1, math.ceil(seconds)) if math.isfinite(seconds) else 1


def _seconds_until(monotonic: float) -> float:
    return max(0.0, monotonic - time.monotonic())
