"""Our public URLs, all from the configured issuer; no ``Host`` or forwarded header is ever believed."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class EndpointUrls:
    """Where the world finds us."""

    issuer: str
    """Exactly as configured: it is compared character by character (RFC 8414 §3.3)."""

    @property
    def _base(self) -> str:
        return self.issuer.rstrip("/")

    @property
    def path(self) -> str:
        """The issuer's path without a trailing slash; empty when it has none."""
        return urlsplit(self._base).path

    @property
    def token(self) -> str:
        return f"{self._base}/token"

    @property
    def jwks(self) -> str:
        return f"{self._base}/jwks.json"

    @property
    def errors(self) -> str:
        return f"{self._base}/errors"
