"""A cheap answer to "has anything under ``policies/`` changed?", from names and ``stat`` alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

Fingerprint = bytes
"""Equal for two looks between which nothing changed."""

_Entry = tuple[str, int, int, int, int, int]
"""Name, device, inode, size, and the times of the last change of content and of inode, in nanoseconds."""


def fingerprint(root: Path) -> Fingerprint:
    """Return the fingerprint of every file that the loader may read under ``root``.

    Links are followed, to files and to directories: in a Kubernetes ConfigMap every name is a link through
    ``..data``, which is swapped as a whole, and ``root`` itself may be one. The time of the inode is in it
    because a copy that keeps size and modification time is still a change. Never raises: what cannot be
    looked at is in the fingerprint as such.
    """
    return hashlib.sha256(repr(sorted(_walk(root))).encode("utf-8", "surrogateescape")).digest()


def _walk(root: Path) -> Iterator[_Entry]:
    seen: set[tuple[int, int]] = set()  # of directories: a link to a parent would never end
    ahead = [""]
    while ahead:
        prefix = ahead.pop()
        try:
            here = os.stat(root / prefix)  # noqa: PTH116  # thousands of these: os is several times as fast
            if (here.st_dev, here.st_ino) in seen:
                continue
            seen.add((here.st_dev, here.st_ino))
            with os.scandir(root / prefix) as found:
                listed = [entry for entry in found if not _is_bookkeeping(entry.name)]
        except OSError:
            yield (prefix, -1, -1, -1, -1, -1)
            continue
        yield (prefix, here.st_dev, here.st_ino, 0, 0, 0)
        for entry in listed:
            name = f"{prefix}{entry.name}"
            if _is_directory(entry):
                ahead.append(f"{name}/")
            else:
                yield _entry(name, entry)


def _is_bookkeeping(name: str) -> bool:
    # Of Git, and of Kubernetes, whose revisions are reached by the links. A key file may be anywhere else.
    return name == ".git" or name.startswith("..")


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _entry(name: str, path: os.DirEntry[str]) -> _Entry:
    try:
        # Not the entry's own stat(): where that is no link it may be an old answer of the directory's.
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return (name, -1, -1, -1, -1, -1)
    return (name, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
