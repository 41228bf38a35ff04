"""Host names to addresses within a deadline, which the resolver of the system does not know.

``getaddrinfo`` takes no timeout: name servers that swallow questions hold whoever asks for half a minute, and
a hostile name has such servers. So it is asked in threads of its own, and who waits leaves at the deadline.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

Resolve = Callable[[str, int], Sequence[str]]
"""Host and port to the textual addresses of the host; raises ``OSError``."""

MAX_LOOKUPS: Final = 64
"""Threads that ask the resolver at once, per process; a lookup that hangs is one of them until it ends."""


class LookupTimedOut(Exception):  # noqa: N818  # an outcome to be handled, not a defect
    """The resolver did not answer before the deadline, or too many of its answers are still awaited."""


@dataclass(slots=True)
class _Lookup:
    """One question to the resolver, and what those who asked it wait for."""

    done: threading.Event = field(default_factory=threading.Event)
    found: Sequence[str] = ()
    failure: Exception | None = None


class NameLookup:
    """Asks ``resolve``, by default the system's. Safe to share between threads.

    Who asks for a name that is being looked up shares that lookup, so that a name whose servers hang holds
    one thread however often it is asked for. Nothing is remembered: the next to ask is answered anew.
    """

    def __init__(self, resolve: Resolve | None = None, *, max_lookups: int = MAX_LOOKUPS) -> None:
        self._resolve = resolve or _resolve_by_system
        self._threads = threading.BoundedSemaphore(max_lookups)
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], _Lookup] = {}

    def __call__(self, host: str, port: int, deadline: float) -> Sequence[str]:
        """Return the addresses of ``host`` before ``deadline`` (seconds of ``time.monotonic``).

        Raises ``LookupTimedOut``, and whatever the resolver raises: ``OSError``, ``UnicodeError``.
        """
        if _is_address(host):
            return [host]
        lookup = self._join(host, port)
        if not lookup.done.wait(max(0.0, deadline - time.monotonic())):
            raise LookupTimedOut
        if lookup.failure is not None:
            raise lookup.failure
        return lookup.found

    def _join(self, host: str, port: int) -> _Lookup:
        with self._lock:
            lookup = self._under_way.get((host, port))
            if lookup is not None:
                return lookup
            if not self._threads.acquire(blocking=False):
                raise LookupTimedOut
            lookup = self._under_way[host, port] = _Lookup()
        try:
            threading.Thread(
                target=self._run, args=(host, port, lookup), name="name-lookup", daemon=True
            ).start()
        except RuntimeError:  # no more threads to be had
            lookup.failure = OSError()
            self._end(host, port, lookup)
        return lookup

    def _run(self, host: str, port: int, lookup: _Lookup) -> None:
        try:
            lookup.found = self._resolve(host, port)
        except Exception as failure:  # noqa: BLE001  # raised where somebody waits for it; a thread would print it
            lookup.failure = failure
        self._end(host, port, lookup)

    def _end(self, host: str, port: int, lookup: _Lookup) -> None:
        with self._lock:
            del self._under_way[host, port]
        self._threads.release()
        lookup.done.set()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _resolve_by_system(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
