"""Private keys on disk: one file a key (how files are kept: ``exchange.private_files``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from exchange.jose import InvalidSigningKey, SigningKey, signing_key_from_jwk, signing_key_to_jwk
from exchange.private_files import (
    SECRET_SUFFIX,
    KeyFault,
    locked,
    read_private,
    refuse_shared_directory,
    write_private,
)
from exchange.strict_json import InvalidJson, parse_object

__all__ = ["KeyFault", "KeyStatus", "StoredKey", "locked", "read_keys", "write_key"]

_MEMBERS: Final = frozenset({"status", "created_at", "jwk"})


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
    refuse_shared_directory(directory)
    keys = (_read_key(path) for path in paths if path.suffix != SECRET_SUFFIX and not path.is_dir())
    return tuple(sorted(keys, key=lambda stored: (stored.created_at, stored.key.key_id)))


def write_key(directory: Path, stored: StoredKey) -> None:
    """Write a key for its owner alone, whole or not at all. The caller holds the lock."""
    document = {
        "status": stored.status.value,
        "created_at": stored.created_at,
        "jwk": signing_key_to_jwk(stored.key),
    }
    write_private(directory, f"{stored.key.key_id}.json", json.dumps(document).encode("ascii"))


def _read_key(path: Path) -> StoredKey:
    if path.suffix != ".json":
        raise KeyFault(f"{path}: not a key file of this service; keep nothing else here")
    try:
        document = parse_object(read_private(path).decode("utf-8"))
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
