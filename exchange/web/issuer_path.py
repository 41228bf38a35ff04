"""An issuer with a path, such as ``https://host/exchange``, is served under that path too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class IssuerPath:
    """Takes the issuer's path off the request, for proxies that pass it on and clients that come without
    one.
    """

    def __init__(self, app: WsgiApp, path: Callable[[dict[str, Any]], str]) -> None:
        """``path`` returns the issuer's path for the request with this ``environ``."""
        self._app = app
        self._path = path

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        prefix = self._path(environ)
        path = environ.get("PATH_INFO", "")
        if prefix and path.startswith(f"{prefix}/"):
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
            environ["PATH_INFO"] = path[len(prefix) :]
        return self._app(environ, start_response)
