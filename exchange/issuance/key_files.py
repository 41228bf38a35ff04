"""Private keys on disk: one file a key, readable by its owner alone, written whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from exchange.jose import InvalidSigningKey, SigningKey, signing_key_from_jwk, signing_key_to_jwk
from exchange.strict_json import InvalidJson, parse_object

MAX_KEY_FILE_BYTES: Final = 64 * 1024
_MEMBERS: Final = frozenset({"status", "created_at", "jwk"})
_LOCK: Final = ".lock"
_UNFINISHED: Final = ".unfinished"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class KeyFault(ValueError):  # noqa: N818  # a finding about a file, not a defect
    """A key or its directory cannot be used. Names the file and what to do; never holds its content."""


class KeyStatus(StrEnum):
    """What a key is for. All three are published; ``current`` alone signs."""

    CURRENT = "current"
    NEXT = "next"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A signing key and what its file says of it."""

    key: SigningKey
    status: KeyStatus
    created_at: int
    """Seconds since the epoch."""


def read_keys(directory: Path) -> tuple[StoredKey, ...]:
    """Return every key in ``directory``, the oldest first; none when there is no such directory.

    Raises ``KeyFault`` at the first file that is not a key of ours, or that others can read: a key that is
    left out in silence would make tokens that nobody can verify.
    """
    try:
        paths = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise KeyFault(f"{directory}: cannot be listed: {error.strerror}") from None
    _refuse_shared_directory(directory)
    keys = (_read_key(path) for path in paths if not path.is_dir())
    return tuple(sorted(keys, key=lambda stored: (stored.created_at, stored.key.key_id)))


def write_key(directory: Path, stored: StoredKey) -> None:
    """Write a key for its owner alone, whole or not at all. The caller holds the lock."""
    for leftover in directory.glob(f".*{_UNFINISHED}"):
        leftover.unlink()
    document = {
        "status": stored.status.value,
        "created_at": stored.created_at,
        "jwk": signing_key_to_jwk(stored.key),
    }
    unfinished = directory / f".{stored.key.key_id}{_UNFINISHED}"
    # The mode is given at creation: between a write and a later chmod, others could open the file.
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(descriptor)
    unfinished.rename(directory / f"{stored.key.key_id}.json")
    _sync_directory(directory)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory against other writers, in this process and others; make it when it is absent.

    Raises ``KeyFault`` when it cannot be made or written to.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyFault(f"{directory}: a key cannot be written here: {error.strerror}") from None
    try:
        _refuse_shared_directory(directory)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which lets go of the lock, as the end of the process would


def _refuse_shared_directory(directory: Path) -> None:
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


def _read_key(path: Path) -> StoredKey:
    if path.suffix != ".json":
        raise KeyFault(f"{path}: not a key file of this service; keep nothing else here")
    try:
        document = parse_object(_read_private(path).decode("utf-8"))
        return _stored_key(document, path.stem)
    except OSError as error:
        raise KeyFault(f"{path}: cannot be read: {error.strerror}") from None
    except KeyFault:
        raise
    except (InvalidJson, InvalidSigningKey, ValueError):
        # ``from None``, because messages further down may quote the file.
        raise KeyFault(
            f"{path}: not a key file of this service, or damaged; restore it or move it away"
        ) from None


def _read_private(path: Path) -> bytes:
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


def _stored_key(document: dict[str, object], key_id: str) -> StoredKey:
    """Return the key of a file; raises ``ValueError`` or ``InvalidSigningKey`` when it is not one of ours."""
    jwk, created_at = document.get("jwk"), document.get("created_at")
    if document.keys() != _MEMBERS or not isinstance(jwk, dict) or type(created_at) is not int:
        raise ValueError("not the members of a key file")
    key = signing_key_from_jwk(jwk)
    # RFC 7638: the name is computed anew, so that no file can pass one key off under the name of another.
    thumbprint = signing_key_from_jwk({name: value for name, value in jwk.items() if name != "kid"}).key_id
    if not key.key_id == thumbprint == key_id:
        raise ValueError("the name is not the thumbprint of the key")
    return StoredKey(key, KeyStatus(str(document["status"])), created_at)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
