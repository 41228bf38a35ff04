"""The SQLite store: the contract, and what can go wrong with a file."""

from __future__ import annotations

import functools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from exchange.stores import sqlite
from exchange.stores.sqlite import SqliteStore
from exchange.stores.store import GRACE, StoreUnavailable
from tests.stores.contract import (
    EXPIRES,
    NOW,
    SettableClock,
    StoreContract,
    test_only_equal_marks_share_a_key,
)

__all__ = ["test_only_equal_marks_share_a_key"]


def open_at(path: Path, clock) -> SqliteStore:
    return SqliteStore(path, clock=clock)


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return functools.partial(open_at, tmp_path / "var" / "exchange.db")


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "var" / "exchange.db"


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def store(path, clock) -> SqliteStore:
    return SqliteStore(path, clock=clock)


def unavailable(call) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        call()
    assert caught.value.retry_after > 0
    assert str(caught.value) == caught.value.cause
    assert caught.value.__cause__ is None
    return caught.value.cause


def refuses(store, path) -> str:
    """Assert that all verbs refuse for the same cause, without the path in what they say."""
    cause = unavailable(lambda: store.add_if_absent("n", ("a",), EXPIRES))
    assert unavailable(lambda: store.increment("n", ("a",), 1, 60)) == cause
    assert unavailable(store.check) == cause
    assert path.name not in cause
    return cause


def rows(path: Path, table: str = "mark") -> int:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        connection.close()


def test_making_a_store_opens_nothing(store, path):
    assert not path.parent.exists()


def test_directory_and_files_are_for_the_owner_alone(store, path):
    before = os.umask(0)
    try:
        store.check()
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    files = list(path.parent.iterdir())
    assert {file.name for file in files} >= {"exchange.db", "exchange.db-wal"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_the_write_ahead_log_is_on(store, path):
    store.check()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_relative_path_is_not_moved_by_chdir(tmp_path, monkeypatch, clock):
    monkeypatch.chdir(tmp_path)
    store = SqliteStore(Path("exchange.db"), clock=clock)
    monkeypatch.chdir("/")
    store.check()
    assert (tmp_path / "exchange.db").exists()


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path, clock):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "exchange.db"
    assert refuses(SqliteStore(path, clock=clock), path) == "unwritable"


def test_a_directory_in_place_of_the_file_is_unavailable(path, store):
    path.mkdir(parents=True)
    assert refuses(store, path) == "unwritable"


def test_a_file_that_is_no_database_is_unavailable_and_left_alone(path, store):
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, and it is somebody's" * 100)
    before = path.read_bytes()
    assert refuses(store, path) == "corrupt"
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_unavailable(path, store):
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mark (something TEXT)")
    connection.close()
    assert refuses(store, path) == "failed"


def test_a_file_damaged_while_open_is_unavailable_and_one_repaired_is_used(path, store):
    store.check()
    good = path.with_name("good.db")
    SqliteStore(good).check()
    bad = path.with_name("bad.db")
    bad.write_bytes(b"damaged " * 1000)
    bad.rename(path)
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    assert refuses(store, path) == "corrupt"
    good.rename(path)
    assert store.add_if_absent("n", ("a",), EXPIRES) is True


def test_a_removed_file_is_replaced_for_all_workers_alike(path, store, clock):
    store.check()
    for file in path.parent.iterdir():
        file.unlink()
    assert store.add_if_absent("n", ("a",), EXPIRES) is True
    assert SqliteStore(path, clock=clock).add_if_absent("n", ("a",), EXPIRES) is False


@pytest.fixture
def other_writer(path, store):
    """Another process that holds the write lock."""
    store.check()
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def test_a_file_locked_for_too_long_is_unavailable(path, store, other_writer, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.05)
    store.close()
    assert refuses(store, path) == "locked"
    other_writer.execute("ROLLBACK")
    assert store.add_if_absent("n", ("a",), EXPIRES) is True


def test_a_short_lock_is_waited_for(store, other_writer):
    release = threading.Timer(0.1, lambda: other_writer.execute("ROLLBACK"))
    release.start()
    assert store.add_if_absent("n", ("a",), EXPIRES) is True
    release.join()


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )


FILL = """
import json, resource, sys
from pathlib import Path
from exchange.stores.sqlite import SqliteStore
from exchange.stores.store import StoreUnavailable
store = SqliteStore(Path(sys.argv[1]), clock=lambda: 1_800_000_000)
store.check()
limit = 200_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
won, causes = [], []
while len(causes) < 3:
    try:
        assert store.add_if_absent("n", (str(len(won) + len(causes)),), 1_800_000_300)
        won.append(len(won) + len(causes))
    except StoreUnavailable as error:
        causes.append(error.cause)
print(json.dumps([won, causes]))
"""


def test_a_full_disk_is_unavailable_and_loses_no_mark(path, store):
    filler = run(FILL, path)
    won, causes = json.loads(filler.communicate(timeout=60)[0])
    assert set(causes) <= {"full", "unwritable"}
    assert len(won) > 10
    assert not any(store.add_if_absent("n", (str(i),), EXPIRES) for i in won)


OPEN_AS_NOBODY = """
import os, sys
from pathlib import Path
from exchange.stores.sqlite import SqliteStore
from exchange.stores.store import StoreUnavailable
store = SqliteStore(Path(sys.argv[1]), clock=lambda: 1_800_000_000)
if os.geteuid() == 0:
    os.setuid(65534)
for call in (store.check, lambda: store.add_if_absent("n", ("a",), 1_800_000_300)):
    try:
        call()
    except StoreUnavailable as error:
        print(error.cause)
"""


@pytest.mark.parametrize(
    ("directory_mode", "file_mode"), [(0o555, None), (0o555, 0o444), (0o777, 0o444), (0o000, None)]
)
def test_what_may_not_be_written_is_unavailable(directory_mode, file_mode):
    with tempfile.TemporaryDirectory() as outside:  # tmp_path is closed to others, and would decide alone
        os.chmod(outside, 0o755)  # noqa: PTH101
        path = Path(outside) / "var" / "exchange.db"
        path.parent.mkdir()
        if file_mode is not None:
            store = SqliteStore(path)
            store.check()
            store.close()
            path.chmod(file_mode)
        path.parent.chmod(directory_mode)
        try:
            assert run(OPEN_AS_NOBODY, path).communicate(timeout=60)[0].split() == ["unwritable"] * 2
        finally:
            path.parent.chmod(0o700)


ADD_FOR_EVER = """
import itertools, sys
from pathlib import Path
from exchange.stores.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]), clock=lambda: 1_800_000_000)
for i in itertools.count():
    assert store.add_if_absent("n", (sys.argv[2], str(i)), 1_800_000_300)
    print(i, flush=True)
"""


def test_killed_workers_lose_no_mark_and_block_nobody(path, store):
    workers = [run(ADD_FOR_EVER, path, name) for name in "ab"]
    for worker in workers:
        worker.stdout.readline()
    time.sleep(0.2)
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
    for name, worker in zip("ab", workers, strict=True):
        answered = len(worker.communicate(timeout=60)[0].splitlines()) + 1
        assert answered > 10
        assert not any(store.add_if_absent("n", (name, str(i)), EXPIRES) for i in range(answered))
    store.check()


def test_expired_marks_are_deleted_in_bounded_batches(path, store, clock, monkeypatch):
    monkeypatch.setattr(sqlite, "CLEAN_EVERY", 10)
    monkeypatch.setattr(sqlite, "CLEAN_BATCH", 15)
    for i in range(40):
        store.add_if_absent("old", (str(i),), EXPIRES)
    assert rows(path) == 40
    clock.now = EXPIRES + GRACE + 1
    for i in range(10):
        store.add_if_absent("new", (str(i),), EXPIRES + 600)
    assert rows(path) == 40 + 10 - 15
    for i in range(10, 40):
        store.add_if_absent("new", (str(i),), EXPIRES + 600)
    assert rows(path) == 40


def test_counts_that_are_over_are_deleted_in_bounded_batches(path, store, clock, monkeypatch):
    monkeypatch.setattr(sqlite, "CLEAN_EVERY", 10)
    monkeypatch.setattr(sqlite, "CLEAN_BATCH", 15)
    for i in range(40):
        store.increment("old", (str(i),), 1, 60)
    assert rows(path, "tally") == 40
    clock.now = NOW + 60
    for i in range(10):
        store.increment("new", (str(i),), 1, 60)
    assert rows(path, "tally") == 40 + 10 - 15
    for i in range(10, 40):
        store.increment("new", (str(i),), 1, 60)
    assert rows(path, "tally") == 40


def test_a_stranger_with_many_addresses_makes_no_more_rows_than_he_has_in_one_window(
    path, store, clock, monkeypatch
):
    monkeypatch.setattr(sqlite, "CLEAN_EVERY", 10)
    monkeypatch.setattr(sqlite, "CLEAN_BATCH", 15)
    for second in range(600):
        clock.now = NOW + second
        store.increment("n", (str(second),), 1, 60)
        assert rows(path, "tally") <= 60 + 10 + 15


def test_counting_on_makes_no_row_and_reading_writes_nothing(path, store):
    for _ in range(20):
        store.increment("n", ("a",), 1, 60)
    store.increment("n", ("b",), 0, 60)
    assert rows(path, "tally") == 1


def test_a_count_can_be_read_while_another_process_writes(store, other_writer):
    assert store.increment("n", ("a",), 0, 60) == (0, 0)


def test_a_mark_that_is_alive_is_never_cleaned_away(path, store, clock, monkeypatch):
    monkeypatch.setattr(sqlite, "CLEAN_EVERY", 1)
    store.add_if_absent("n", ("a",), EXPIRES)
    clock.now = EXPIRES + GRACE
    store.add_if_absent("n", ("b",), EXPIRES + 600)
    assert store.add_if_absent("n", ("a",), EXPIRES + 600) is False


def test_a_mark_stands_when_cleaning_fails(path, store, monkeypatch):
    monkeypatch.setattr(sqlite, "_CLEAN", "SELECT no_such_function(?, ?)")
    assert store.add_if_absent("n", ("a",), EXPIRES) is True
    assert store.add_if_absent("n", ("a",), EXPIRES) is False


def test_a_mark_far_in_the_future_is_kept(store, clock):
    assert store.add_if_absent("n", ("a",), 2**80) is True
    clock.now = NOW * 1000
    assert store.add_if_absent("n", ("a",), 2**80) is False


def test_check_leaves_one_row_however_often(path, store):
    for _ in range(5):
        store.check()
    assert rows(path) == 1
