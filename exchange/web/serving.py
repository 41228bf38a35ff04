"""What the endpoints serve from: one immutable snapshot of the policies, and what outlives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import flask
from flask import current_app

from exchange.audit import AuditTrail
from exchange.config.values import Policies
from exchange.metrics import Metrics
from exchange.rate_limits import Limits
from exchange.settings import NO_PROXIES, TrustedProxies
from exchange.web.authorization_server import TokenExchangeServer
from exchange.web.client_certificate import CertificateHeader
from exchange.web.endpoint_urls import EndpointUrls

_SNAPSHOT = "exchange.snapshot"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that follows from one loaded ``policies/``. A request takes it once and uses no other."""

    policies: Policies
    loaded_at: str
    """RFC 3339, UTC."""
    urls: EndpointUrls
    server: TokenExchangeServer
    limits: Limits
    metadata: Mapping[str, object]
    public_jwks: Callable[[], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Policies that were not taken up; those before them stay in force."""

    faults: int
    first: str
    """The first fault, with its place."""


@dataclass(slots=True)
class Serving:
    """The one object that hangs on the Flask app; ``snapshot`` is replaced in one step."""

    snapshot: Snapshot
    audit: AuditTrail
    metrics: Metrics
    check_store: Callable[[], None]
    """Raises when the store cannot be reached."""
    fresh_dpop_nonce: Callable[[], str]
    """Returns a nonce that every worker takes."""
    not_taken: NotTaken | None = None
    certificate_header: CertificateHeader | None = None
    """Who is believed about client certificates; ``None`` for nobody."""
    proxies: TrustedProxies = NO_PROXIES
    """Who is believed about the address that a request comes from."""


def serving() -> Serving:
    """Return the object of the app that handles the current request."""
    found: Serving = current_app.extensions["exchange"]
    return found


def take_snapshot(environ: dict[str, object], found: Serving) -> Snapshot:
    """Take the snapshot of a request, before anything of the request is looked at."""
    taken = environ[_SNAPSHOT] = found.snapshot
    return taken


def snapshot() -> Snapshot:
    """Return what the current request is answered from, from its first look at the path to its last error.

    A reload in the middle of a request must not mix two sets of policies.
    """
    return cast("Snapshot", flask.request.environ[_SNAPSHOT])
