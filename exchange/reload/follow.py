"""A worker's part: serve what the master put in force."""

from __future__ import annotations

import logging
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from exchange.config.values import Policies
from exchange.reload.publication import Publication, Status

log = logging.getLogger("exchange.reload")

POLL_SECONDS: Final = 0.3
"""Between two looks at the status, give or take a third: workers do not all load at the same moment."""
RETRY_SECONDS: Final = 2.0
SWITCH_SECONDS: Final = 0.0005

Load = Callable[[Path], Policies]
"""Loads from a copy; raises ``PolicyFaults``."""


@contextmanager
def _giving_way() -> Iterator[None]:
    """Let requests have the interpreter lock after half a millisecond instead of five.

    Loading never waits for anything, so it keeps the lock that long each time a request comes back to it.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Served(Protocol):
    """What the worker's requests are answered from."""

    @property
    def sha256(self) -> str: ...

    def serve(self, policies: Policies) -> None:
        """Swap in one step; raises ``ValueError`` or ``OSError`` when it cannot."""

    def tell(self, status: Status) -> None:
        """Have ``/readyz`` say this."""


class Follower:
    """Follows one publication from a thread of the worker; requests go on meanwhile."""

    def __init__(self, publication: Publication, *, load: Load, served: Served) -> None:
        self._publication = publication
        self._load = load
        self._served = served

    def start(self) -> None:
        """Look once before the first request, and then from a thread."""
        self.look()
        threading.Thread(target=self._run, name="policy-follower", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()  # never set
        while True:
            seconds = POLL_SECONDS if self.look() else RETRY_SECONDS
            pause.wait(seconds * (0.67 + 0.66 * random.random()))  # noqa: S311  # spreads work, protects nothing

    def look(self) -> bool:
        """Look once, and return whether the worker serves what is in force; raises nothing."""
        try:
            status = self._publication.status()
            if status is None:
                return True
            if status.sha256 != self._served.sha256:
                self._follow(status)
            self._served.tell(status)
        except Exception as error:  # noqa: BLE001  # a thread that dies would end all following, unnoticed
            return self._failed(error)
        return True

    def _follow(self, status: Status) -> None:
        with _giving_way():
            policies = self._load(self._publication.files_of(status.sha256))
        if policies.sha256 != status.sha256:
            raise ValueError("the copy is not what was put in force")
        self._served.serve(policies)

    def _failed(self, error: Exception) -> bool:
        # Where other policies were put in force meanwhile this copy may be gone; the next look finds them.
        log.error("a worker could not take up new policies: %s", type(error).__name__)
        fault = f"this worker could not take up new policies: {type(error).__name__}; it tries again"
        self._served.tell(Status(self._served.sha256, 1, fault))
        return False
