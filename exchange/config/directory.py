"""The files of ``policies/``: which there must be, which there may be, and what they hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from exchange.config.faults import Fault
from exchange.config.policy_file import PolicyFile
from exchange.config.values import Source
from exchange.config.yaml_document import MAX_BYTES

_FILE_NAME = re.compile(r"([a-z0-9][a-z0-9-]*)\.yaml", re.ASCII)
_README: Final = "README.md"
MAX_KEY_FILE_BYTES: Final = 512 * 1024


@dataclass(slots=True)
class PolicyDirectory:
    """``policies/`` as read: one value that every later step looks into, and adds its faults to."""

    root: Path
    label: Path | None = None
    """What faults and sources call ``root``, where that is a copy; ``None`` is its own path."""
    server: PolicyFile | None = None
    issuers: list[PolicyFile] = field(default_factory=list)
    clients: list[PolicyFile] = field(default_factory=list)
    audiences: list[PolicyFile] = field(default_factory=list)
    tests: list[PolicyFile] = field(default_factory=list)
    """Only in what ``read_tests`` returns."""
    own_faults: list[Fault] = field(default_factory=list)
    _read: dict[str, bytes] = field(default_factory=dict)

    def files(self) -> list[PolicyFile]:
        return [
            *([self.server] if self.server else []),
            *self.issuers,
            *self.clients,
            *self.audiences,
            *self.tests,
        ]

    def faults(self) -> list[Fault]:
        return [*self.own_faults, *(fault for file in self.files() for fault in file.faults)]

    def sha256(self) -> str:
        """Return the digest of the names and bytes of everything that was read, key files included."""
        digest = hashlib.sha256()
        for name, content in sorted(self._read.items()):
            digest.update(f"{len(name.encode())}:{name}:{len(content)}:".encode())
            digest.update(content)
        return digest.hexdigest()

    def contents(self) -> Mapping[str, bytes]:
        """Return everything that was read, key files included, by name relative to ``root``."""
        return self._read

    def key_file(self, name: str) -> bytes:
        """Return the bytes of a file that a policy names; raises ``ValueError`` saying what is wrong.

        A name that leaves the directory is refused: a policy must not be able to make the service read, and
        report on, any file of the machine.
        """
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\x00" in name:
            raise ValueError("name a file inside the policies directory, relative to it and without `..`")
        relative = str(path)
        if relative not in self._read:
            self._read[relative] = self._bytes(self.root / path, MAX_KEY_FILE_BYTES)
        return self._read[relative]

    def _bytes(self, path: Path, limit: int) -> bytes:
        try:
            if not path.is_file():
                raise ValueError("the file does not exist; paths are relative to the policies directory")
            with path.open("rb") as opened:
                content = opened.read(limit + 1)
        except OSError as error:
            raise ValueError(f"the file cannot be read: {error.strerror}") from None
        if len(content) > limit:
            raise ValueError(f"the file is too large; write at most {limit // 1024} KiB")
        return content

    def read(self) -> None:
        """Read every file; what is missing, or has a name it must not have, becomes a fault."""
        if not self.root.is_dir():
            self.fault(self.root, "the policies directory does not exist")
            return
        self.server = self._read_file(self.root / "server.yaml", "server", "server.yaml")
        for section, files in (
            ("issuers", self.issuers),
            ("clients", self.clients),
            ("audiences", self.audiences),
        ):
            self._read_section(section, files)

    def read_tests(self) -> PolicyDirectory:
        """Return what is in ``tests``, which need not be there, as ``tests`` of a directory of its own.

        Neither its files nor their faults are this one's: they concern nobody but who asks for the tests.
        """
        beside = PolicyDirectory(self.root, self.label)
        if (self.root / "tests").exists():
            beside._read_section("tests", beside.tests, is_list=True)
        return beside

    def fault(self, path: Path, message: str) -> None:
        label = str(path).encode("utf-8", "replace").decode()  # a file's name may be no UTF-8 at all
        self.own_faults.append(Fault(Source(label, 1, 1), "", message))

    def _read_section(self, section: str, files: list[PolicyFile], *, is_list: bool = False) -> None:
        directory = self.root / section
        if not directory.is_dir():
            self.fault(directory, "the directory is missing; create it, empty if there is nothing to list")
            return
        try:
            paths = sorted(directory.iterdir())
        except OSError as error:
            self.fault(directory, f"the directory cannot be read: {error.strerror}")
            return
        for path in paths:
            # Dot files are not policy: .gitkeep, editors' swap files, the ..data of a Kubernetes ConfigMap.
            if path.name.startswith(".") or path.name == _README:
                continue
            name = _FILE_NAME.fullmatch(path.name)
            if name is None:
                self.fault(path, "a file here is called [a-z0-9][a-z0-9-]* plus .yaml; rename or remove it")
            elif file := self._read_file(path, name[1], f"{section}/{path.name}", is_list=is_list):
                files.append(file)

    def _read_file(self, path: Path, name: str, relative: str, *, is_list: bool = False) -> PolicyFile | None:
        try:
            content = self._bytes(path, MAX_BYTES)
        except ValueError as error:
            self.fault(path, str(error) if path.exists() else "the file is missing")
            return None
        self._read[relative] = content
        return PolicyFile.read(name, str((self.label or self.root) / relative), content, is_list=is_list)
