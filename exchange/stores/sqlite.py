"""The store of one machine: an SQLite file that all workers share and that restarts keep.

Write-ahead log with ``synchronous=NORMAL``: a worker that is killed at any moment loses no mark that it had
answered for; a crash of the operating system may lose the last ones (``docs/adr/0040-sqlite-store.md``).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exchange.stores.store import GRACE, Count, StoreUnavailable, mark_key

BUSY_TIMEOUT = 1.0
"""Seconds to wait for other writers before giving up."""

CLEAN_EVERY = 256
CLEAN_BATCH = 500
"""One in ``CLEAN_EVERY`` new rows also deletes up to ``CLEAN_BATCH`` that are over from each table: more than
came, so the file is bounded by what is alive, and little enough that no request notices."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS mark (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS mark_by_expiry ON mark (expires_at)",
    """CREATE TABLE IF NOT EXISTS tally (key BLOB PRIMARY KEY, count INTEGER NOT NULL, ends_at REAL NOT NULL)
    WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS tally_by_end ON tally (ends_at)",
)

# The one atomic step: a row changes if there was none, or if the one there is over. Reading first and
# deleting the expired row second would let two requests both find it expired.
_ADD = """
    INSERT INTO mark (key, expires_at) VALUES (?, ?)
    ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at WHERE mark.expires_at < ?
"""
# One statement as well: a count that is read, added to and written back loses what others add in between.
_COUNT = """
    INSERT INTO tally (key, count, ends_at) VALUES (:key, :amount, :now + :seconds)
    ON CONFLICT (key) DO UPDATE SET
        count = excluded.count + iif(tally.ends_at > :now, tally.count, 0),
        ends_at = iif(tally.ends_at > :now, tally.ends_at, excluded.ends_at)
    RETURNING count, ends_at
"""
_READ_COUNT = "SELECT count, ends_at FROM tally WHERE key = :key AND ends_at > :now"
_CLEAN = (
    "DELETE FROM mark WHERE key IN (SELECT key FROM mark WHERE expires_at < ? ORDER BY expires_at LIMIT ?)"
)
_CLEAN_COUNTS = (
    "DELETE FROM tally WHERE key IN (SELECT key FROM tally WHERE ends_at <= ? ORDER BY ends_at LIMIT ?)"
)
_PROBE = "INSERT INTO mark (key, expires_at) VALUES (x'00', ?) ON CONFLICT (key) DO UPDATE SET expires_at = ?"
"""Writes a row that is over as soon as it is there; its key is shorter than any other."""

_LAST_SECOND = 2**62  # SQLite's integers end at 2**63 - 1

_CAUSES = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "unwritable",
    sqlite3.SQLITE_CANTOPEN: "unwritable",
    sqlite3.SQLITE_PERM: "unwritable",
    sqlite3.SQLITE_IOERR: "unwritable",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
}


class SqliteStore:
    """A ``Store`` in the SQLite file ``path``, opened at first use.

    One connection per process, under one lock: SQLite has one writer at a time anyway, and a thread that
    waits for a lock is woken sooner than one that polls a busy file. ``clock`` gives seconds since the epoch.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path.absolute()  # a later chdir must not open a second, empty store
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._until_cleaning = 1
        _STORES.add(self)

    def add_if_absent(self, namespace: str, parts: tuple[str, ...], expires_at: int) -> bool:
        """See ``Store.add_if_absent``."""
        key = mark_key(namespace, parts)
        now = int(self._clock())
        with self._exclusive() as connection:
            added = connection.execute(_ADD, (key, min(expires_at, _LAST_SECOND), now - GRACE)).rowcount == 1
            if added:
                self._clean_now_and_then(connection, now)
        return added

    def increment(self, namespace: str, parts: tuple[str, ...], amount: int, seconds: int) -> Count:
        """See ``Store.increment``. Reading takes no lock of the file."""
        now = self._clock()
        row = {"key": mark_key(namespace, parts), "amount": amount, "now": now, "seconds": seconds}
        with self._exclusive() as connection:
            # All rows of one, for a statement that writes is over only when nothing is left to fetch.
            found = connection.execute(_COUNT if amount else _READ_COUNT, row).fetchall()
            if amount and found[0][0] == amount:
                self._clean_now_and_then(connection, int(now))
        return Count(found[0][0], found[0][1] - now) if found else Count(0, 0.0)

    def check(self) -> None:
        """See ``Store.check``. Writes one row, because only a write proves that a write works."""
        over = int(self._clock()) - GRACE - 1
        with self._exclusive() as connection:
            connection.execute(_PROBE, (over, over))

    def close(self) -> None:
        """Let go of the file. The next use opens it again."""
        with self._lock:
            self._disconnect()

    @contextmanager
    def _exclusive(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection to one thread; whatever fails closes it and is ``StoreUnavailable``."""
        if not self._lock.acquire(timeout=BUSY_TIMEOUT):
            raise StoreUnavailable("locked")
        try:
            yield self._connected()
        except sqlite3.Error as error:
            self._disconnect()  # a new connection finds a repaired file; an old one may not
            raise StoreUnavailable(_cause(error)) from None
        except OSError:
            self._disconnect()
            raise StoreUnavailable("unwritable") from None
        except StoreUnavailable:
            self._disconnect()
            raise
        finally:
            self._lock.release()

    def _connected(self) -> sqlite3.Connection:
        # A file that was removed or replaced lives on for those who hold it open, unseen by workers that
        # start later: the same assertion would pass once in each. All must look at the file that has the
        # name.
        if self._connection is not None and self._identity != _identity(self._path):
            self._disconnect()
        if self._connection is None:
            _create_private(self._path)
            connection = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
            self._connection = connection
            _prepare(connection)
            self._identity = _identity(self._path)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _clean_now_and_then(self, connection: sqlite3.Connection, now: int) -> None:
        self._until_cleaning -= 1
        if self._until_cleaning:
            return
        self._until_cleaning = CLEAN_EVERY
        # The row is made and its caller is answered; that tidying up failed is not the caller's concern.
        with suppress(sqlite3.Error):
            connection.execute(_CLEAN, (now - GRACE, CLEAN_BATCH))
            connection.execute(_CLEAN_COUNTS, (now, CLEAN_BATCH))

    def __del__(self) -> None:
        self._disconnect()


def _prepare(connection: sqlite3.Connection) -> None:
    """Bring file and connection into the state that the statements above rely on.

    Switching a new file to the write-ahead log needs it exclusively, and SQLite answers ``BUSY`` at once
    rather than wait when several workers start together: try again within the same bound.
    """
    give_up = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode != "wal":  # such as on a network file system, whose locks cannot be relied on either
                raise StoreUnavailable("unwritable")
            connection.execute("PRAGMA synchronous=NORMAL")
            for statement in _SCHEMA:
                connection.execute(statement)
        except sqlite3.OperationalError as error:
            if _cause(error) != "locked" or time.monotonic() > give_up:
                raise
            time.sleep(0.005)
        else:
            return


def _create_private(path: Path) -> None:
    """Create the file for its owner alone, and the directory around it. SQLite's side files follow its mode.

    Never opens a file that exists: closing any descriptor of it would drop this process's locks on it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _cause(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", None) or 0
    return _CAUSES.get(code & 0xFF, "failed")  # the low byte is the primary code, the rest refines it


# SQLite's locks belong to a process and its book-keeping of them to memory. A child that inherits an open
# connection believes in locks that it does not hold, and the parent may then delete the log under the child's
# feet. So no connection is open while a process forks; both sides open their own at the next use.
_STORES: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
_forking: list[SqliteStore] = []


def _before_fork() -> None:
    for store in list(_STORES):
        store._lock.acquire()  # noqa: SLF001  # so that no thread is within a statement
        store._disconnect()  # noqa: SLF001
        _forking.append(store)


def _after_fork() -> None:
    while _forking:
        _forking.pop()._lock.release()  # noqa: SLF001


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
