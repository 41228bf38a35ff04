"""``EXCHANGE_STORE``: from an address to a store."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from exchange.stores.sqlite import SqliteStore
from exchange.stores.store import Store

_HINT = "use sqlite:///relative/path or sqlite:////absolute/path"


def open_store(url: str, *, clock: Callable[[], float] = time.time) -> Store:
    """Return the store at ``url``: ``sqlite:///`` and a relative path, or ``sqlite:////`` and an absolute
    one.

    A relative path is taken from the working directory at the time of the call. Nothing is opened yet, so
    that a process may call this and fork. ``clock`` gives seconds since the epoch.

    Raises ``ValueError`` with a sentence that never repeats ``url``: a store's address can hold a password.
    """
    scheme, separator, location = url.partition("://")
    if scheme.lower() in {"redis", "rediss"} and separator:
        raise ValueError(f"this version has the SQLite store only, Redis and Valkey are not built; {_HINT}")
    if scheme.lower() != "sqlite" or not separator:
        raise ValueError(
            f"the address of the store is not understood, this version has the SQLite store only; {_HINT}"
        )
    return SqliteStore(_path(location), clock=clock)


def _path(location: str) -> Path:
    if not location.startswith("/"):
        raise ValueError(f"a SQLite store has no host; {_HINT}")
    path = location[1:]
    if not path or path.endswith("/"):
        raise ValueError(f"the SQLite store needs the path of a file; {_HINT}")
    if path == ":memory:":
        raise ValueError(
            f"the store is shared by all workers and kept across restarts, memory is neither; {_HINT}"
        )
    if "?" in path or "#" in path or "\0" in path:
        raise ValueError(f"the path of the SQLite store takes no options; {_HINT}")
    return Path(path)
