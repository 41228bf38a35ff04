"""Sockets that keep a deadline: libraries start theirs anew with each byte, and with each step.

Deadlines are in seconds of ``time.monotonic``; beyond one, ``TimeoutError`` is raised.
"""

from __future__ import annotations

import io
import socket
import time
from typing import Any

from urllib3.connection import HTTPSConnection


class TooMuchRead(Exception):  # noqa: N818  # an outcome to be handled, not a defect
    """More came than is ever read, whatever of it was the document."""


def remaining(deadline: float) -> float:
    """Return the seconds that are left; raises ``TimeoutError``."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


class TlsConnection(HTTPSConnection):
    """Gives the handshake what connecting has left, where urllib3 gives it the whole time once more."""

    def __init__(self, *args: Any, until: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._until = until

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        try:
            connected.settimeout(remaining(self._until))
        except BaseException:
            connected.close()
            raise
        return connected


class DeadlineSocket:
    """A connected socket of which every read, for headers too, gets only the time that is left altogether."""

    def __init__(self, connected: Any, deadline: float, limit: int) -> None:
        self._connected = connected
        self._deadline = deadline
        self._limit = limit

    def sendall(self, data: bytes) -> None:
        self._connected.settimeout(remaining(self._deadline))
        self._connected.sendall(data)

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._connected, self._deadline, self._limit))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected, name)


class _DeadlineReader(io.RawIOBase):
    def __init__(self, connected: Any, deadline: float, limit: int) -> None:
        super().__init__()
        self._connected = connected
        self._deadline = deadline
        self._limit = limit
        self._file = connected.makefile("rb", buffering=0)  # keeps the socket open until both are closed
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._connected.settimeout(remaining(self._deadline))
        count: int | None = self._file.readinto(buffer)
        self._read += count or 0
        if self._read > self._limit:
            raise TooMuchRead
        return count

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
