"""Canaille in a process of its own: ``canaille/app.py``."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.interop import browser
from tests.interop.peers import CANAILLE
from tests.interop.process import PeerProcess
from tests.support.idp import BACKEND
from tests.support.service import free_port

CLIENT = (BACKEND, "known-to-this-test-alone")


class Canaille:
    """``with Canaille(directory) as canaille:`` runs it."""

    def __init__(self, directory: Path) -> None:
        home, port = CANAILLE.home_or_skip(), free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        python, app = home / "venv" / "bin" / "python", CANAILLE.pins / "app.py"
        self._process = PeerProcess(
            [str(python), "-I", str(app), str(port)],
            ready=f"{self.issuer}/.well-known/openid-configuration",
            log=directory / "canaille.log",
            seconds=60,
        )

    def __enter__(self) -> Self:
        self._process.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)

    def log_in(self) -> dict[str, Any]:
        """Log Ada in with a code; returns the token response, ID token included."""
        answers = {"login": "ada", "username": "ada", "password": "known-to-this-test-alone"}
        return browser.log_in(
            self.issuer, CLIENT, answers, scope="openid email profile", nonce="n-0S6_WzA2Mj"
        )

    def token(self, **parameters: str) -> dict[str, Any]:
        """Ask the token endpoint."""
        return browser.token_response(f"{self.issuer}/oauth/token", CLIENT, **parameters)
