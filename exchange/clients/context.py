"""What every way to authenticate shares, given once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from exchange.config.values import RegisteredClient, TrustedIssuer
from exchange.model import PresentedToken, VerifiedToken
from exchange.stores import Store
from exchange.trust.key_cache import KeyCaches


class VerifyWorkload(Protocol):
    """``TokenValidator.workload``: the checks that a workload's token passes in an exchange, too."""

    def __call__(self, presented: PresentedToken, audience: frozenset[str]) -> VerifiedToken: ...


@dataclass(frozen=True, slots=True)
class AuthenticationContext:
    """The configured clients, how they may name us, and what it takes to judge what they send."""

    clients: Mapping[str, RegisteredClient]
    """By ``client_id``."""
    issuers: Mapping[str, TrustedIssuer]
    """By ``iss``; those of ``kind: workload`` vouch for clients."""
    issuer: str
    token_endpoint: str
    key_caches: KeyCaches
    verify_workload: VerifyWorkload
    store: Store
    clock_skew: int
    """Seconds."""
    clock: Callable[[], float]
    """Seconds since the epoch."""

    def audiences(self, assertion_audience: Literal["issuer", "any"]) -> frozenset[str]:
        """Return how an assertion may name us; the token endpoint is RFC 7523 §3's way."""
        if assertion_audience == "issuer":
            return frozenset({self.issuer})
        return frozenset({self.issuer, self.token_endpoint})
