"""The one place that builds the collaborators and imports every room."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask

from exchange.audit import Attempt, AuditTrail
from exchange.clients.authenticate import ClientAuthenticator
from exchange.config.load import PolicyFaults, load
from exchange.config.values import Policies
from exchange.issuance.mint import Minter
from exchange.issuance.signing_keys import SigningKeyRing
from exchange.line_writer import LineWriter
from exchange.metrics import Metrics
from exchange.outbound import Fetcher
from exchange.policy.decide import PolicyDecider
from exchange.settings import Settings
from exchange.stores import Store, open_store
from exchange.token_exchange import TokenExchange
from exchange.tokens.validate import TokenValidator
from exchange.trust.issuers import TrustedIssuers
from exchange.trust.key_cache import KeyCaches
from exchange.web.authorization_server import TokenExchangeServer
from exchange.web.endpoint_urls import EndpointUrls
from exchange.web.endpoints import endpoints
from exchange.web.errors import install_error_handlers
from exchange.web.form import MAX_BODY
from exchange.web.issuer_path import IssuerPath
from exchange.web.metadata import metadata
from exchange.web.serving import Serving, Snapshot

log = logging.getLogger("exchange")


@dataclass(frozen=True, slots=True)
class Foundation:
    """What outlives a change of the policies."""

    store: Store
    keys: SigningKeyRing
    key_caches: KeyCaches
    clock: Callable[[], float]


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI application; gunicorn calls this.

    Raises ``SystemExit`` with every fault, one a line, when the policies do not load: the service does not
    start on a configuration that somebody misread.
    """
    settings = settings or Settings.from_environ(os.environ)
    _prepare_log(settings)
    serving = _serving(settings, _load(settings))
    app = Flask("exchange", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY + 1  # see web/form.py
    app.extensions["exchange"] = serving
    app.register_blueprint(endpoints)
    install_error_handlers(app)
    app.wsgi_app = IssuerPath(app.wsgi_app, lambda: serving.snapshot.urls.path)  # type: ignore[method-assign]
    return app


def _prepare_log(settings: Settings) -> None:
    # Authlib logs whole tokens at DEBUG.
    logging.getLogger("authlib").setLevel(logging.INFO)
    for name in settings.not_available:
        log.warning("%s is set, and this version does not use it: no proxy header is believed", name)


def _serving(settings: Settings, policies: Policies) -> Serving:
    metrics = Metrics()
    foundation = _foundation(settings, policies, metrics)
    issuers = TrustedIssuers(policies.issuers, foundation.key_caches)
    return Serving(
        snapshot=_snapshot(policies, foundation, issuers),
        audit=AuditTrail(
            write=LineWriter(sys.stdout.fileno()), count=_counter(metrics), clock=foundation.clock
        ),
        metrics=metrics,
        public_jwks=foundation.keys.public_jwks,
        check_store=foundation.store.check,
        start=issuers.warm,
    )


def _load(settings: Settings) -> Policies:
    try:
        return load(settings.policies, environ=settings.environ)
    except PolicyFaults as faults:
        raise SystemExit(f"The policies have faults; the service does not start.\n{faults}") from None


def _foundation(settings: Settings, policies: Policies, metrics: Metrics) -> Foundation:
    try:
        store = open_store(settings.store)
        keys = SigningKeyRing.open(settings.keys, policies.server.signing_algorithm)
    except (ValueError, OSError) as error:
        raise SystemExit(f"The service does not start: {error}") from None
    caches = KeyCaches(fetcher=Fetcher(), observe=metrics.key_fetch)
    return Foundation(store=store, keys=keys, key_caches=caches, clock=time.time)


def _snapshot(policies: Policies, foundation: Foundation, issuers: TrustedIssuers) -> Snapshot:
    urls = EndpointUrls(policies.server.issuer)
    exchange = TokenExchange(
        validate=TokenValidator(issuers=issuers, server=policies.server, clock=foundation.clock),
        decide=PolicyDecider(policies),
        mint=Minter(issuer=urls.issuer, keys=foundation.keys, clock=foundation.clock),
    )
    clients = ClientAuthenticator(
        clients=policies.clients,
        issuer=urls.issuer,
        token_endpoint=urls.token,
        key_caches=foundation.key_caches,
        store=foundation.store,
        clock_skew=policies.server.clock_skew,
        clock=foundation.clock,
    )
    server = TokenExchangeServer(clients=clients, token_exchange=exchange)
    return Snapshot(policies=policies, urls=urls, server=server, metadata=metadata(policies, urls))


def _counter(metrics: Metrics) -> Callable[[Attempt, float], None]:
    def count(attempt: Attempt, seconds: float) -> None:
        metrics.attempt(attempt.outcome, attempt.reason, seconds)

    return count
