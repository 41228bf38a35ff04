"""Dex in a process of its own: one person with a password, one client, everything in memory."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.interop import browser
from tests.interop.peers import DEX
from tests.interop.process import PeerProcess
from tests.support.idp import BACKEND
from tests.support.service import free_port

CLIENT = (BACKEND, "known-to-this-test-alone")
"""What Dex puts into ``aud`` is client ids and nothing else, so the client has the backend's name."""
EMAIL = "ada@shop.example"
PASSWORD = "password"
_PASSWORD_HASH = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"  # bcrypt, of PASSWORD


class Dex:
    """``with Dex(directory) as dex:`` runs it."""

    def __init__(self, directory: Path) -> None:
        home, port = DEX.home_or_skip(), free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        configuration = directory / "dex.yaml"
        configuration.write_text(json.dumps(self._configuration(port)))  # JSON is YAML
        self._process = PeerProcess(
            [str(home / "dex"), "serve", str(configuration)],
            ready=f"{self.issuer}/.well-known/openid-configuration",
            log=directory / "dex.log",
            seconds=30,
        )

    def _configuration(self, port: int) -> dict[str, Any]:
        person = {"email": EMAIL, "username": "ada", "userID": "ada-1", "hash": _PASSWORD_HASH}
        client = {"id": CLIENT[0], "secret": CLIENT[1], "name": "Shop", "redirectURIs": [browser.CALLBACK]}
        return {
            "issuer": self.issuer,
            "storage": {"type": "memory"},
            "web": {"http": f"127.0.0.1:{port}"},
            "oauth2": {
                "skipApprovalScreen": True,
                "passwordConnector": "local",
                "grantTypes": ["authorization_code", "refresh_token", "password"],
            },
            "enablePasswordDB": True,
            "staticPasswords": [person],
            "staticClients": [client],
        }

    def __enter__(self) -> Self:
        self._process.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)

    def log_in(self) -> dict[str, Any]:
        """Log Ada in with a code; returns the token response, ID token included."""
        answers = {"login": EMAIL, "password": PASSWORD}
        return browser.log_in(
            self.issuer, CLIENT, answers, scope="openid email profile", nonce="n-0S6_WzA2Mj"
        )

    def log_in_with_password(self) -> dict[str, Any]:
        """Log Ada in with the password grant (RFC 6749 §4.3), which has neither a nonce nor a code."""
        return browser.token_response(
            f"{self.issuer}/token",
            CLIENT,
            grant_type="password",
            username=EMAIL,
            password=PASSWORD,
            scope="openid email profile",
        )
