"""``exchange issuer inspect`` at a real IdP."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any


def inspect(
    issuer: str, directory: Path, tokens: dict[str, Any] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the doctor, with the access token and the ID token of a token response when there are some."""
    arguments = ["issuer", "inspect", issuer, "--allow-insecure-http"]
    for name, option in (("access_token", "--access-token"), ("id_token", "--id-token")):
        if tokens:
            (directory / name).write_text(tokens[name])
            arguments += [option, f"@{name}"]
    return subprocess.run(
        [str(Path(sys.executable).parent / "exchange"), *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
