"""What the endpoints serve from: one immutable snapshot of the policies, and what outlives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import current_app

from exchange.audit import AuditTrail
from exchange.config.values import Policies
from exchange.metrics import Metrics
from exchange.web.authorization_server import TokenExchangeServer
from exchange.web.endpoint_urls import EndpointUrls


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that follows from one loaded ``policies/``. A request takes it once and uses no other."""

    policies: Policies
    urls: EndpointUrls
    server: TokenExchangeServer
    metadata: Mapping[str, object]


@dataclass(slots=True)
class Serving:
    """The one object that hangs on the Flask app; ``snapshot`` is replaced in one step."""

    snapshot: Snapshot
    audit: AuditTrail
    metrics: Metrics
    public_jwks: Callable[[], Mapping[str, object]]
    check_store: Callable[[], None]
    """Raises when the store cannot be reached."""
    start: Callable[[], None]
    """Starts background work; called once in each worker, after the fork."""

    def started_in_worker(self) -> None:
        """Begin serving in this process."""
        self.metrics.policies_in_force(self.snapshot.policies.sha256)
        self.start()


def serving() -> Serving:
    """Return the object of the app that handles the current request."""
    found: Serving = current_app.extensions["exchange"]
    return found
