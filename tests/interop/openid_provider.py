"""npm's ``oidc-provider`` in a process of its own: ``provider.mjs``."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.interop import browser
from tests.interop.node import node_or_skip
from tests.interop.peers import HERE
from tests.interop.process import PeerProcess
from tests.support.idp import BACKEND
from tests.support.service import free_port

CLIENT = ("shop-web", "known-to-this-test-alone")
INTROSPECTING_CLIENT = ("exchange", "known-to-this-test-alone")
OPAQUE = f"{BACKEND}/opaque"
"""As ``resource`` it asks for an opaque access token whose audience is the backend."""


class OpenIdProvider:
    """``with OpenIdProvider(log) as provider:`` runs ``provider.mjs``; ``log`` gets what it says."""

    def __init__(self, log: Path) -> None:
        node, port = node_or_skip(), free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        self._process = PeerProcess(
            [node, str(HERE / "provider.mjs"), str(port), BACKEND],
            ready=f"{self.issuer}/.well-known/openid-configuration",
            log=log,
            seconds=60,
        )

    def __enter__(self) -> Self:
        self._process.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)

    def log_in(self, **parameters: str) -> dict[str, Any]:
        """Log Ada in with a code; returns the token response, ID token included.

        With ``resource=BACKEND`` the access token is a JWT, otherwise it is opaque.
        """
        return browser.log_in(self.issuer, CLIENT, {}, scope="openid orders.read", **parameters)

    def client_credentials_token(self, resource: str = BACKEND) -> str:
        """Return a machine's own access token for the backend."""
        tokens = browser.token_response(
            f"{self.issuer}/token",
            CLIENT,
            grant_type="client_credentials",
            scope="orders.read",
            resource=resource,
        )
        return str(tokens["access_token"])
