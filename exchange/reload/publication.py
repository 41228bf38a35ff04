"""What gunicorn's master hands to its workers: which policies are in force, their files, and what is wrong.

A private directory for the life of one master::

    status.json     which policies are in force, and the first fault of a set that was not taken
    SHA256/         a copy of the files of these policies
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

_STATUS: Final = "status.json"
_SECTIONS: Final = ("issuers", "clients", "audiences")
_KEPT: Final = 2
"""Copies: the one in force, and the one before it, which a worker may be about to read."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is in force, and what is wrong with what the directory holds instead."""

    sha256: str
    faults: int = 0
    fault: str | None = None
    """The first of the faults, with its place."""


class Publication:
    """One writer, the master, and many readers, who see the status before or after a change, never half."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._copies: list[Path] = []

    @classmethod
    def create(cls) -> Publication:
        """Make the directory, for its owner alone; raises ``OSError``."""
        return cls(Path(tempfile.mkdtemp(prefix="exchange-policies-")))

    def files_of(self, sha256: str) -> Path:
        """Return the directory that a worker loads these policies from."""
        return self.directory / sha256

    def publish(self, status: Status, contents: Mapping[str, bytes]) -> None:
        """Put new policies in force: their files first, then the word. Raises ``OSError``."""
        copy = self.files_of(status.sha256)
        if copy not in self._copies:
            shutil.rmtree(copy, ignore_errors=True)
            for folder in {*_SECTIONS, *(str(PurePosixPath(name).parent) for name in contents)}:
                (copy / folder).mkdir(parents=True, exist_ok=True)
            for name, content in contents.items():
                (copy / name).write_bytes(content)
        self.announce(status)
        self._copies = [*(known for known in self._copies if known != copy), copy]
        while len(self._copies) > _KEPT:
            shutil.rmtree(self._copies.pop(0), ignore_errors=True)

    def announce(self, status: Status) -> None:
        """Replace the status in one step. Raises ``OSError``."""
        draft = self.directory / f"{_STATUS}.new"
        draft.write_text(json.dumps(asdict(status)), encoding="utf-8")
        os.replace(draft, self.directory / _STATUS)  # noqa: PTH105  # says "atomic" louder than a method of Path

    def status(self) -> Status | None:
        """Return the status; ``None`` before there is one. Raises ``OSError`` and ``ValueError``."""
        try:
            text = (self.directory / _STATUS).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return replace(Status(""), **json.loads(text))

    def remove(self) -> None:
        """Remove the directory with all that is in it."""
        shutil.rmtree(self.directory, ignore_errors=True)
