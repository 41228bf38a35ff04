"""Whole lines to a descriptor that threads and processes share: no record is cut by another."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import stat
import tempfile
import threading
from pathlib import Path

PIPE_BUF = 4096
"""POSIX's floor and Linux's value: a write of at most this many bytes to a pipe is never interleaved."""


class LineWriter:
    """Writes lines to a file or a pipe.

    A file takes any line in one piece. A pipe that is full may take a line longer than ``PIPE_BUF`` in
    pieces, and the line of another worker could land between them. So on a pipe a long line excludes the
    others while it is written; short lines share the lock and never wait for each other. The lock is a file
    that each thread opens for itself, because ``flock`` belongs to the open file and would not hold apart
    two users of one descriptor.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_stream = not stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._local = threading.local()
        self._lock_path = _lock_file() if self._is_stream else None

    def __call__(self, line: bytes) -> None:
        """Write ``line``, which ends in a newline. Raises ``OSError`` when it cannot be written in full."""
        if self._lock_path is None:
            self._write(line)
            return
        lock = self._lock()
        fcntl.flock(lock, fcntl.LOCK_SH if len(line) <= PIPE_BUF else fcntl.LOCK_EX)
        try:
            self._write(line)
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)

    def _write(self, line: bytes) -> None:
        view = memoryview(line)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _lock(self) -> int:
        # Opened anew after a fork: an inherited descriptor would be the parent's open file, and its lock.
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.lock = os.open(str(self._lock_path), os.O_RDONLY | os.O_CLOEXEC)
            self._local.pid = os.getpid()
        lock: int = self._local.lock
        return lock


def _lock_file() -> Path:
    descriptor, name = tempfile.mkstemp(prefix="exchange-audit-", suffix=".lock")
    os.close(descriptor)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not in a worker that was forked from the owner
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108  # at exit, pathlib may be gone already

    atexit.register(remove)
    return Path(name)
