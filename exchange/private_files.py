"""Keys and secrets on disk: one file each, readable by its owner alone, written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MAX_KEY_FILE_BYTES: Final = 64 * 1024
SECRET_SUFFIX: Final = ".secret"
"""Of files that hold a secret and no key; they stand among the keys, since who shares these shares those."""
_SECRET_BYTES: Final = 32
_LOCK: Final = ".lock"
_UNFINISHED: Final = ".unfinished"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class KeyFault(ValueError):  # noqa: N818  # a finding about a file, not a defect
    """A key or its directory cannot be used. Names the file and what to do; never holds its content."""


class KeyDirectoryNotWritable(KeyFault):
    """Nothing can be made here; what is here may be fine."""


def shared_secret(directory: Path, name: str) -> bytes:
    """Return the secret of ``directory/NAME.secret``, which is made when there is none.

    Processes that start together agree on one, and so do machines that share the directory; where it is
    there, the directory is only read. Raises ``KeyFault``; ``KeyDirectoryNotWritable`` when there is none.
    """
    path = directory / f"{name}{SECRET_SUFFIX}"
    if not path.exists():
        try:
            _make_secret(path)
        except OSError as error:
            raise KeyDirectoryNotWritable(f"{path}: cannot be made: {error.strerror}") from None
    return _read_secret(path)


def _make_secret(path: Path) -> None:
    with locked(path.parent):
        if not path.exists():  # the first of several processes made it meanwhile
            write_private(path.parent, path.name, secrets.token_urlsafe(_SECRET_BYTES).encode())


def _read_secret(path: Path) -> bytes:
    refuse_shared_directory(path.parent)
    try:
        secret = read_private(path).strip()
    except KeyFault:
        raise
    except (OSError, ValueError):
        raise KeyFault(f"{path}: cannot be read as a secret; remove it, and a new one is made") from None
    if len(secret) < _SECRET_BYTES:
        raise KeyFault(f"{path}: too short for a secret; remove it, and a new one is made")
    return secret


def read_private(path: Path) -> bytes:
    """Return what is in ``path``.

    Raises ``OSError``; ``KeyFault`` when others can read it; ``ValueError`` when it is no file of a size that
    keys have.
    """
    # One descriptor for the checks and the reading: the file that was checked is the file that is read.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_KEY_FILE_BYTES:
            raise ValueError("not a file of a key's size")
        if found.st_mode & _OTHERS:
            raise KeyFault(
                f"{path}: others can read this private key; make a new one, or run `chmod 600` on it"
            )
        _refuse_other_owner(path, found)
        return file.read(MAX_KEY_FILE_BYTES)


def write_private(directory: Path, name: str, content: bytes) -> None:
    """Write a file for its owner alone, whole or not at all. The caller holds the lock."""
    for leftover in directory.glob(f".*{_UNFINISHED}"):
        leftover.unlink()
    unfinished = directory / f".{name}{_UNFINISHED}"
    # The mode is given at creation: between a write and a later chmod, others could open the file.
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    unfinished.rename(directory / name)
    _sync_directory(directory)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory against other writers, in this process and others; make it when it is absent.

    Raises ``KeyDirectoryNotWritable`` when it cannot be made or written to.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyDirectoryNotWritable(
            f"{directory}: a key cannot be written here: {error.strerror}"
        ) from None
    try:
        refuse_shared_directory(directory)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which lets go of the lock, as the end of the process would


def refuse_shared_directory(directory: Path) -> None:
    """Raise ``KeyFault`` when others can put keys into ``directory``."""
    found = directory.stat()
    if found.st_mode & _OTHERS_WRITE:
        raise KeyFault(
            f"{directory}: others can put keys here; run `chmod go-w` on it, or name a directory inside"
        )
    _refuse_other_owner(directory, found)


def _refuse_other_owner(path: Path, found: os.stat_result) -> None:
    # Whoever owns a file can read it, whatever its mode says, and whoever owns a directory can replace it.
    if found.st_uid not in {0, os.geteuid()}:
        raise KeyFault(f"{path}: belongs to another user than the one who runs this; run `chown` on it")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
