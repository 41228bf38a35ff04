"""A fetch under way, and who may wait for it: few, because threads are what a worker has least of."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

FETCH_SECONDS: Final = 5.0
"""For names, metadata and keys together, and for whoever waits for them."""
GRACE_SECONDS: Final = 0.25
"""From the start of a fetch anybody may wait so long: a healthy IdP answers, and a burst is no outage."""
MAX_WAITING_PER_CACHE: Final = 2
MAX_WAITING: Final = 4
MAX_FETCHES: Final = 32
"""Threads that fetch at once, per process: an unverified ``iss`` may start one for each trusted issuer."""


@dataclass(slots=True)
class Flight:
    """One fetch under way, and what its waiters wait for."""

    grace_until: float
    deadline: float
    for_unknown_key: bool
    probe: bool
    """Whether it asks if a source that failed is back: worth a moment of anybody's time, and no more."""
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


class WaitingRoom:
    """Where the requests for one source wait: any number for a moment, few for longer."""

    def __init__(self, limits: FetchLimits) -> None:
        self._ours = threading.BoundedSemaphore(limits.max_waiting_per_cache)
        self._everybodys = limits.waiting

    def wait(self, flight: Flight, give_up: float) -> bool:
        """Return whether the fetch ended before ``give_up`` (seconds of ``time.monotonic``).

        Beyond its grace only few may wait, and nobody for a source that was failing before.
        """
        if flight.done.wait(seconds_until(min(flight.grace_until, give_up))):
            return True
        if flight.probe or not self._ours.acquire(blocking=False):
            return False
        try:
            if not self._everybodys.acquire(blocking=False):
                return False
            try:
                return flight.done.wait(seconds_until(min(flight.deadline, give_up)))
            finally:
                self._everybodys.release()
        finally:
            self._ours.release()


def seconds_until(monotonic: float) -> float:
    """Return the seconds until a moment of ``time.monotonic``, never less than none."""
    return max(0.0, monotonic - time.monotonic())
