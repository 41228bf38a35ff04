"""What the rest of the service asks of a store: two atomic verbs, and whether it works.

A store remembers what must not happen twice and counts what must not happen often, for all workers and across
restarts. It is never asked "did this happen?" and then told "it happened": between two such calls a second
request passes.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple, Protocol

GRACE = 60
"""Seconds that a mark outlives its ``expires_at``.

The caller checks the clock before it asks the store. A request that was in time a moment ago may reach the
store a moment late, find its own mark expired, and pass for the second time. No request takes this long.
"""

RETRY_AFTER = 5
"""Seconds after which a refused caller may try again when the store is out of reach."""


class StoreUnavailable(Exception):  # noqa: N818  # a state of the world, not a defect of the program
    """The store cannot promise anything now, so the request is refused: it never fails open.

    ``cause`` is a slug for the audit record (``locked``, ``full``, ``unwritable``, ``corrupt``, ``failed``).
    It holds no path, no SQL and nothing that was stored. ``retry_after`` is in seconds.
    """

    def __init__(self, cause: str, *, retry_after: int = RETRY_AFTER) -> None:
        super().__init__(cause)
        self.cause = cause
        self.retry_after = retry_after


class Count(NamedTuple):
    """How often something was counted in the window that is running."""

    value: int
    seconds_left: float
    """Until the window is over and the count begins anew; 0 where none is running."""


class Store(Protocol):
    """Shared memory of all workers; safe to call from every thread and on both sides of a fork."""

    def add_if_absent(self, namespace: str, parts: tuple[str, ...], expires_at: int) -> bool:
        """Mark ``parts`` as used within ``namespace``; tell whether this was the first use. One atomic step.

        ``expires_at`` is in seconds since the epoch; the mark holds until then and for ``GRACE`` longer, and
        may be made anew afterwards. Equal calls from any number of threads and processes return ``True``
        exactly once.

        Raises ``StoreUnavailable``; the mark may or may not have been made then.
        """
        ...

    def increment(self, namespace: str, parts: tuple[str, ...], amount: int, seconds: int) -> Count:
        """Count ``parts`` within ``namespace``, and return the count that this made. One atomic step.

        The first call begins a window of ``seconds``, by the clock of the store; it is not prolonged by what
        is counted in it, and afterwards the count begins anew. Of any number of calls from any number of
        threads and processes none is lost. An ``amount`` of 0 reads: it begins no window and writes nothing.

        Raises ``StoreUnavailable``; it may or may not have been counted then.
        """
        ...

    def check(self) -> None:
        """Prove that a mark could be written now. Raises ``StoreUnavailable``."""
        ...


def mark_key(namespace: str, parts: tuple[str, ...]) -> bytes:
    """Return 16 bytes that stand for ``namespace`` and ``parts``.

    They are written as a JSON array first, so that ``("a", "b:c")`` and ``("a:b", "c")`` never share a mark:
    joined with a separator, one client could use up the ``jti`` of another. The hash bounds what an outsider
    can store; a pair of marks that shares one takes 2**64 tries to find, and gains its finder a refusal.
    """
    return hashlib.sha256(json.dumps([namespace, *parts]).encode()).digest()[:16]
