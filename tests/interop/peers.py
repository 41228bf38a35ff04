"""The IdPs that ``make interop`` installs: what pins each, where it is, and the line nobody can overlook without it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
NOT_RUN = "INTEROP NOT RUN"


@dataclass(frozen=True, slots=True)
class Peer:
    """An IdP in a process of its own. The files of ``tests/interop/NAME`` pin it; ``.cache/NAME`` holds it."""

    name: str
    title: str

    @property
    def pins(self) -> Path:
        """Where its versions, checksums and settings are."""
        return HERE / self.name

    @property
    def home(self) -> Path:
        """Where it is installed."""
        return CACHE / self.name

    def fingerprint(self) -> str:
        """Return a digest of all that pins it, so that a changed pin is never taken for installed."""
        digest = hashlib.sha256()
        for path in sorted(self.pins.iterdir()):
            if path.is_file():
                digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def is_installed(self) -> bool:
        """Whether what is in ``home`` is whole and is what the pins say."""
        stamp = self.home / "installed"
        return stamp.is_file() and stamp.read_text() == self.fingerprint()

    def set_installed(self) -> None:
        """Remember that ``home`` is whole."""
        (self.home / "installed").write_text(self.fingerprint())

    def home_or_skip(self) -> Path:
        """Return ``home``, or skip the tests that need it, loudly."""
        if not self.is_installed():
            pytest.skip(f"{NOT_RUN}: {self.title} is not installed; run `make interop`")
        return self.home


KEYCLOAK = Peer("keycloak", "Keycloak")
DEX = Peer("dex", "Dex")
CANAILLE = Peer("canaille", "Canaille")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in red what did not run. Under xdist only the controller prints, so ``tests/conftest.py`` has this hook."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    reasons = Counter(text.partition(f"{NOT_RUN}: ")[2].rstrip("')\"") for text in skipped if NOT_RUN in text)
    if reasons:
        terminalreporter.section(NOT_RUN, sep="!", red=True, bold=True)
    for reason, count in reasons.items():
        terminalreporter.line(f"{count} tests with real peers did not run: {reason}", red=True)
