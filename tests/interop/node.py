"""Whether the peers that run on Node.js can run here, and the line that nobody can overlook when they cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MINIMUM = 20
NOT_RUN = "INTEROP NOT RUN"


def node_or_skip() -> str:
    """Return the path of Node.js; without it skip, or fail where CI=true says that everything must run."""
    missing = _what_is_missing()
    if missing is None:
        node = shutil.which("node")
        assert node is not None
        return node
    message = f"{NOT_RUN}: {missing}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@cache
def _what_is_missing() -> str | None:
    node = shutil.which("node")
    if node is None:
        return f"there is no Node.js here; install version {MINIMUM} or later"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < MINIMUM:
        return f"Node.js {version} is too old; install version {MINIMUM} or later"
    if not (HERE / "node_modules" / "oidc-provider").is_dir():
        return "the npm packages are not installed; run `make dev`"
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in red what did not run. Under xdist only the controller prints, so ``tests/conftest.py`` has this hook."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    not_run = [text for text in skipped if NOT_RUN in text]
    if not_run:
        reason = not_run[0].partition(f"{NOT_RUN}: ")[2].rstrip("')")
        terminalreporter.section(NOT_RUN, sep="!", red=True, bold=True)
        terminalreporter.line(
            f"{len(not_run)} tests with real OpenID providers did not run: {reason}", red=True
        )
