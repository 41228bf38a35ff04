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
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from exchange.config.values import KeySource
from exchange.jose import KeySet, PublicKey
from exchange.outbound import FetchFailed
from exchange.trust.circuit import UNKNOWN_KEY_COOL_DOWN_SECONDS, Circuit, Clock, spread
from exchange.trust.discovery import Fetch, KeySetFetch, KeysRefused
from exchange.trust.flight import (
    FETCH_SECONDS,
    GRACE_SECONDS,
    FetchLimits,
    Flight,
    WaitingRoom,
    seconds_until,
)
from exchange.trust.key_watch import FetchCause, KeyWatch, LookupFailure

Observe = Callable[[str, str], None]
"""The label of a cache and ``fetched``, or the slug of why not: called once per fetch."""

FRESH_SECONDS: Final = 5 * 60.0
REFRESH_AFTER_SECONDS: Final = 0.8 * FRESH_SECONDS
OLD_KEYS_WAIT_SECONDS: Final = 1.0
"""How long a request waits for a refresh before it makes do with keys that are no longer fresh."""
LAST_GOOD_SECONDS: Final = 60 * 60.0
"""For so long after the last success the keys are used while their source is out of reach."""


class KeyUnknown(Exception):  # noqa: N818  # a finding about a token, not a defect
    """The key that the token names is not among the keys of its issuer.

    ``retry_after`` is in whole seconds where they were fetched before this request: the issuer may have
    rotated since, and is asked again then. ``None`` where it was asked for this very request.
    """

    def __init__(self, cause: LookupFailure = "unknown", retry_after: int | None = None) -> None:
        super().__init__(cause, retry_after)
        self.cause = cause
        self.retry_after = retry_after


class KeysUnavailable(Exception):  # noqa: N818
    """The keys cannot be had now; ``retry_after`` is in whole seconds, at least 1."""

    def __init__(self, retry_after: int, cause: LookupFailure = "source_failing") -> None:
        super().__init__(retry_after, cause)
        self.retry_after = retry_after
        self.cause = cause


@dataclass(frozen=True, slots=True)
class _Held:
    """A key set and the times that go with it, replaced in one step."""

    keys: KeySet
    current_until: float
    """Until then nobody asks whether a key was replaced under its own name."""
    refresh_at: float
    old_at: float
    useless_at: float


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
        watch: KeyWatch,
        limits: FetchLimits,
        jitter: Callable[[], float],
    ) -> None:
        self.label = label
        self._fetch_key_set = KeySetFetch(source, fetch)
        self._clock = clock
        self._observe = observe
        self._watch = watch
        self._limits = limits
        self._jitter = jitter
        self._waiting = WaitingRoom(limits)
        self._held: _Held | None = None
        # Below: guarded by the lock, which is never held while anything is waited for.
        self._lock = threading.Lock()
        self._flight: Flight | None = None
        self._circuit = Circuit(clock, jitter)

    def find(self, key_id: str | None, algorithm: str) -> PublicKey:
        """See ``KeyCache``."""
        held = self._held
        if held is not None and self._clock() < held.refresh_at:
            key = held.keys.find(key_id, algorithm)
            if key is not None:
                return key
        try:
            return self._find_with_fetch(key_id, algorithm)
        except (KeyUnknown, KeysUnavailable) as failure:
            self._watch.lookup_failed(self.label, failure.cause)
            raise

    def find_newer(self, key_id: str | None, algorithm: str, than: PublicKey) -> PublicKey | None:
        """See ``KeyCache``."""
        held = self._held
        if held is not None and self._clock() >= held.current_until:
            with contextlib.suppress(KeysUnavailable):
                flight, _ = self._start_for_rotation("bad_signature")
                if flight is not None:
                    self._waiting.wait(flight, time.monotonic() + FETCH_SECONDS)
            held = self._held
        key = held.keys.find(key_id, algorithm) if held is not None else None
        return None if key == than else key

    def prefetch(self) -> None:
        """See ``KeyCache``."""
        if self._held is None:
            flight = self._start("start", seen=None)
            if flight is not None:
                flight.done.wait(seconds_until(flight.deadline))

    def _find_with_fetch(self, key_id: str | None, algorithm: str) -> PublicKey:
        give_up = time.monotonic() + FETCH_SECONDS
        before = self._held
        held = self._current_keys(give_up)
        key = held.keys.find(key_id, algorithm)
        if key is None and held is before:  # else the set is a moment old, and asking again says the same
            return self._find_after_rotation(key_id, algorithm, give_up)
        if key is None:
            raise KeyUnknown
        return key

    def _current_keys(self, give_up: float) -> _Held:
        """Return keys that may be used, fetching them or having them fetched as their age asks for."""
        held, now = self._held, self._clock()
        if held is None or now >= held.useless_at:
            flight = self._start("needed", seen=held)
            if flight is not None and not self._waiting.wait(flight, give_up):
                raise self._unavailable("gave_up_waiting")
        elif now >= held.old_at:
            flight = self._start("overdue", seen=held)
            if flight is not None:
                # A key that its issuer withdrew must not live on because nobody asked for a while.
                self._waiting.wait(flight, time.monotonic() + OLD_KEYS_WAIT_SECONDS)
        elif now >= held.refresh_at:
            self._start("refresh", seen=held)
        held = self._held
        if held is None or self._clock() >= held.useless_at:
            raise self._unavailable("source_failing" if self._circuit.open else "too_many_fetches")
        return held

    def _find_after_rotation(self, key_id: str | None, algorithm: str, give_up: float) -> PublicKey:
        """Ask once more for a key that a good set does not have: its issuer may have rotated just now."""
        ours = False
        for _ in range(2):  # a refresh that was already under way may have asked before the rotation
            flight, ours = self._start_for_rotation("unknown_key")
            if flight is not None and not self._waiting.wait(flight, give_up):
                raise self._unavailable("gave_up_waiting")
            held = self._held
            key = held.keys.find(key_id, algorithm) if held else None
            if key is not None:
                return key
            if flight is None or flight.for_unknown_key:
                break
        with self._lock:
            failing, retry_after = self._circuit.open, self._circuit.retry_unknown_after
        # While the source cannot be asked, "unknown" would be a guess, and final for an honest client.
        if failing:
            raise self._unavailable("source_failing")
        if ours:
            raise KeyUnknown
        raise KeyUnknown("cool_down", retry_after)

    def _unavailable(self, cause: LookupFailure) -> KeysUnavailable:
        with self._lock:
            return KeysUnavailable(self._circuit.retry_after, cause)

    def _start(self, cause: FetchCause, *, seen: _Held | None) -> Flight | None:
        """Return the fetch under way, or a new one; ``None`` where there may be or need be none now."""
        with self._lock:
            if self._flight is not None:
                return self._flight
            if self._held is not seen or self._circuit.backs_off:
                return None
            flight = self._new_flight(for_unknown_key=False)
        return self._launch(flight, cause)

    def _start_for_rotation(self, cause: FetchCause) -> tuple[Flight | None, bool]:
        """As ``_start``, but no more often than the cool-down allows: anybody can make up a ``kid``.

        Says too whether the fetch is a new one. Raises ``KeysUnavailable`` where no thread is left for it.
        """
        with self._lock:
            if self._flight is not None:
                return self._flight, False
            if self._circuit.cools_down or self._circuit.backs_off:
                return None, False
            flight = self._new_flight(for_unknown_key=True)
            if flight is None:
                raise KeysUnavailable(1, "too_many_fetches")
            self._circuit.begun_for_unknown_key()
        return self._launch(flight, cause), True

    def _new_flight(self, *, for_unknown_key: bool) -> Flight | None:
        if not self._limits.fetches.acquire(blocking=False):
            return None
        now = time.monotonic()
        self._flight = Flight(
            now + GRACE_SECONDS, now + FETCH_SECONDS, for_unknown_key, probe=self._circuit.open
        )
        return self._flight

    def _launch(self, flight: Flight | None, cause: FetchCause) -> Flight | None:
        if flight is not None:
            with contextlib.suppress(Exception):  # who counts must not keep a flight from its end
                self._watch.fetch_begun(self.label, cause)
            try:
                threading.Thread(target=self._run, args=(flight,), name="key-fetch", daemon=True).start()
            except RuntimeError:  # no more threads to be had
                self._settle(flight, None)
        return flight

    def _run(self, flight: Flight) -> None:
        keys: KeySet | None = None
        try:
            keys = self._fetch_key_set(flight.deadline)
            outcome = "fetched"
        except (FetchFailed, KeysRefused) as failure:
            outcome = failure.cause
        except Exception:  # noqa: BLE001  # a thread that dies would print a stranger's words, and never settle
            outcome = "internal_error"
        with contextlib.suppress(Exception):
            self._observe(self.label, outcome)
        with contextlib.suppress(Exception):
            self._watch.fetch_ended(self.label, fetched=keys is not None)
        self._settle(flight, keys)

    def _settle(self, flight: Flight, keys: KeySet | None) -> None:
        with self._lock:
            if keys is None:
                self._circuit.failed(for_unknown_key=flight.for_unknown_key)
            else:
                self._circuit.answered()
                now = self._clock()
                self._held = _Held(
                    keys,
                    current_until=now + UNKNOWN_KEY_COOL_DOWN_SECONDS,
                    refresh_at=now + spread(REFRESH_AFTER_SECONDS, self._jitter),
                    old_at=now + FRESH_SECONDS,
                    useless_at=now + LAST_GOOD_SECONDS,
                )
            self._flight = None
        self._limits.fetches.release()
        flight.done.set()
