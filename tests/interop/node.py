"""Whether the peers that run on Node.js can run here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache

import pytest

from tests.interop.peers import HERE, NOT_RUN

MINIMUM = 20


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
    packages = json.loads((HERE / "package.json").read_text())["dependencies"]
    if not all((HERE / "node_modules" / name).is_dir() for name in packages):
        return "the npm packages are not installed; run `make dev`"
    return None
