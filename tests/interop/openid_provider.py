"""npm's ``oidc-provider`` in a process of its own, and a browser's part of logging in there."""

from __future__ import annotations

import base64
import hashlib
import secrets
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from tests.interop.node import HERE, node_or_skip
from tests.support.idp import BACKEND
from tests.support.service import free_port

CLIENT = ("shop-web", "known-to-this-test-alone")
CALLBACK = "https://shop.example/callback"


class OpenIdProvider:
    """``with OpenIdProvider(log) as provider:`` runs ``provider.mjs``; ``log`` gets what it says on standard error."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.issuer = ""

    def __enter__(self) -> Self:
        node, port = node_or_skip(), free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [node, "provider.mjs", str(port), BACKEND],
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        first_line = self._process.stdout.readline()  # empty when it ended without listening
        if first_line != "listening\n":
            self._stop()
            raise AssertionError(f"provider.mjs did not start: {self._log.read_text()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def log_in(self, *, resource: str | None = None, nonce: str | None = "n-0S6_WzA2Mj") -> dict[str, Any]:
        """Go through the authorization code flow with PKCE; returns the token response, ID token included.

        With ``resource`` the access token is a JWT for it, without it is opaque.
        """
        with requests.Session() as browser:
            browser.trust_env = False
            verifier = secrets.token_urlsafe(32)
            code = self._authorize(browser, verifier, {"resource": resource, "nonce": nonce})
            answer = browser.post(
                f"{self.issuer}/token",
                data={
                    "grant_type": "authorization_code",
                    "code": code,
                    "redirect_uri": CALLBACK,
                    "code_verifier": verifier,
                },
                auth=CLIENT,
                timeout=10,
            )
            assert answer.status_code == 200, answer.text
            tokens: dict[str, Any] = answer.json()
            return tokens

    def _authorize(self, browser: requests.Session, verifier: str, parameters: dict[str, str | None]) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        query = {
            "client_id": CLIENT[0],
            "response_type": "code",
            "scope": "openid orders.read",
            "redirect_uri": CALLBACK,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
            **{name: value for name, value in parameters.items() if value is not None},
        }
        answer = browser.get(f"{self.issuer}/auth", params=query, allow_redirects=False, timeout=10)
        for _ in range(8):  # login, consent, and back
            assert answer.status_code == 303, answer.text
            location = urljoin(answer.url, answer.headers["Location"])
            if location.startswith(CALLBACK):
                return parse_qs(urlsplit(location).query)["code"][0]
            answer = browser.get(location, allow_redirects=False, timeout=10)
        raise AssertionError("the provider keeps redirecting")

    def client_credentials_token(self) -> str:
        """Return a machine's own access token, a JWT for the backend."""
        answer = requests.post(
            f"{self.issuer}/token",
            data={"grant_type": "client_credentials", "scope": "orders.read", "resource": BACKEND},
            auth=CLIENT,
            timeout=10,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])
