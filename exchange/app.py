"""The one place that builds the collaborators and imports every room."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path

from flask import Flask

from exchange.audit import Attempt, AuditTrail
from exchange.clients.authenticate import ClientAuthenticator
from exchange.clients.context import AuthenticationContext
from exchange.config.load import PolicyFaults, load
from exchange.config.values import KeySource, Policies
from exchange.introspection import Introspections
from exchange.issuance.mint import Minter
from exchange.issuance.signing_keys import SigningKeyRing
from exchange.line_writer import LineWriter
from exchange.metrics import Metrics
from exchange.outbound import Fetcher
from exchange.policy.decide import PolicyDecider
from exchange.policy.trace import Trace
from exchange.private_files import KeyDirectoryNotWritable, shared_secret
from exchange.rate_limits import limits_of
from exchange.reload.fingerprint import fingerprint
from exchange.reload.publication import Status
from exchange.reload.reloading import Reloading
from exchange.settings import NO_PROXIES, Settings, TrustedProxies
from exchange.stores import Store, open_store
from exchange.token_exchange import TokenExchange
from exchange.tokens.dpop import DpopProofs
from exchange.tokens.dpop_nonce import SECRET_NAME, DpopNonces
from exchange.tokens.sender_proof import SenderProofs
from exchange.tokens.single_use import SingleUse
from exchange.tokens.validate import TokenValidator
from exchange.trust.issuers import TrustedIssuers
from exchange.trust.key_cache import KeyCaches
from exchange.trust.own_issuer import own_issuer
from exchange.web.authorization_server import TokenExchangeServer
from exchange.web.believed import believed_certificate_header, believed_proxies
from exchange.web.client_certificate import CertificateHeader
from exchange.web.endpoint_urls import EndpointUrls
from exchange.web.endpoints import endpoints
from exchange.web.errors import install_error_handlers
from exchange.web.form import MAX_BODY
from exchange.web.issuer_path import IssuerPath
from exchange.web.metadata import metadata
from exchange.web.serving import NotTaken, Serving, Snapshot, take_snapshot

log = logging.getLogger("exchange")


@dataclass(frozen=True, slots=True)
class Foundation:
    """What outlives a change of the policies."""

    store: Store
    key_caches: KeyCaches
    introspections: Introspections
    clock: Callable[[], float]
    open_keys: Callable[[str], SigningKeyRing]
    """Opens the keys for an algorithm; raises ``ValueError`` or ``OSError``."""
    dpop_nonces: DpopNonces
    certificate_header: CertificateHeader | None = None
    """Who is believed about client certificates; ``None`` for nobody."""
    proxies: TrustedProxies = NO_PROXIES
    """Who is believed about the address that a request comes from."""


@dataclass(frozen=True, slots=True)
class Built:
    """A snapshot, and what of it the next one may take over."""

    snapshot: Snapshot
    keys: SigningKeyRing
    issuers: TrustedIssuers


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI application; gunicorn calls this.

    Raises ``SystemExit`` with every fault, one a line, when the policies do not load: the service does not
    start on a configuration that somebody misread.
    """
    settings = settings or Settings.from_environ(os.environ)
    _prepare_log()
    seen = fingerprint(settings.policies)  # before they are read: a change in between is a change
    policies = _load(settings)
    metrics = Metrics()
    foundation, built = _start(settings, policies, metrics)
    serving = _serving(foundation, built.snapshot, metrics)
    app = Flask("exchange", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY + 1  # see web/form.py
    app.extensions["exchange"] = serving
    app.extensions["exchange.reload"] = Reloading(
        settings.policies, settings.environ, seen, _Swap(serving, foundation, built), metrics
    )
    app.register_blueprint(endpoints)
    install_error_handlers(app)
    app.wsgi_app = IssuerPath(  # type: ignore[method-assign]
        app.wsgi_app, lambda environ: take_snapshot(environ, serving).urls.path
    )
    return app


def _prepare_log() -> None:
    # Authlib logs whole tokens at DEBUG.
    logging.getLogger("authlib").setLevel(logging.INFO)
    log.setLevel(logging.INFO)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s"))
        log.addHandler(handler)


def _load(settings: Settings) -> Policies:
    try:
        return load(settings.policies, environ=settings.environ)
    except PolicyFaults as faults:
        raise SystemExit(f"The policies have faults; the service does not start.\n{faults}") from None


def _start(settings: Settings, policies: Policies, metrics: Metrics) -> tuple[Foundation, Built]:
    fetcher = Fetcher()
    try:
        foundation = Foundation(
            store=open_store(settings.store),
            key_caches=KeyCaches(fetcher=fetcher, observe=metrics.key_fetch, watch=metrics.keys),
            introspections=Introspections(fetcher, observer=metrics.introspections),
            clock=time.time,
            open_keys=lambda algorithm: SigningKeyRing.open(settings.keys, algorithm),
            dpop_nonces=DpopNonces(_dpop_nonce_secret(settings.keys), time.time),
            certificate_header=believed_certificate_header(settings, policies),
            proxies=believed_proxies(settings, policies),
        )
        keys = foundation.open_keys(policies.server.signing_algorithm)
    except (ValueError, OSError) as error:
        raise SystemExit(f"The service does not start: {error}") from None
    foundation.key_caches.retain(key_labels(policies))
    return foundation, _build(policies, foundation, keys)


def _dpop_nonce_secret(directory: Path) -> bytes:
    """Keys may be mounted read-only: then this start has a secret of its own, which all its workers share."""
    try:
        return shared_secret(directory, SECRET_NAME)
    except KeyDirectoryNotWritable as fault:
        log.warning("%s; nonces for DPoP proofs are good on this machine alone, until it restarts", fault)
        return secrets.token_bytes(32)


def _serving(foundation: Foundation, snapshot: Snapshot, metrics: Metrics) -> Serving:
    return Serving(
        snapshot=snapshot,
        audit=AuditTrail(
            write=LineWriter(sys.stdout.fileno()), count=_counter(metrics), clock=foundation.clock
        ),
        metrics=metrics,
        check_store=foundation.store.check,
        fresh_dpop_nonce=foundation.dpop_nonces.fresh,
        certificate_header=foundation.certificate_header,
        proxies=foundation.proxies,
    )


class _Swap:
    """What reloading changes: the snapshot that requests are answered from, in one step."""

    def __init__(self, serving: Serving, foundation: Foundation, built: Built) -> None:
        self._serving = serving
        self._foundation = foundation
        self._built = built

    @property
    def sha256(self) -> str:
        """Of the policies in force in this process."""
        return self._built.snapshot.policies.sha256

    def prepare(self, policies: Policies) -> Callable[[], None]:
        """See ``exchange.reload.reloading.Swap``."""
        keys = self._built.keys
        if policies.server.signing_algorithm != self._built.snapshot.policies.server.signing_algorithm:
            keys = self._foundation.open_keys(policies.server.signing_algorithm)
        built = _build(policies, self._foundation, keys)

        def commit() -> None:
            self._built = built
            self._serving.snapshot = built.snapshot
            self._foundation.key_caches.retain(key_labels(policies))
            self._foundation.introspections.retain(policies.issuers.values())

        return commit

    def warm(self, *, wait_seconds: float) -> None:
        """Fetch the keys of issuers that have none yet, in the background."""
        self._built.issuers.warm(wait_seconds=wait_seconds)

    def tell(self, status: Status) -> None:
        """Have ``/readyz`` say what was not taken up."""
        self._serving.not_taken = NotTaken(status.faults, status.fault) if status.fault else None


def _build(policies: Policies, foundation: Foundation, keys: SigningKeyRing) -> Built:
    urls = EndpointUrls(policies.server.issuer)
    own = own_issuer(policies, keys.public_jwks())
    issuers = TrustedIssuers(policies.issuers, foundation.key_caches, own)
    limits = limits_of(policies.server.rate_limit, foundation.store, foundation.clock)
    dpop = DpopProofs(
        token_endpoint=urls.token,
        nonces=foundation.dpop_nonces,
        nonce=policies.server.dpop_nonce,
        store=foundation.store,
        clock_skew=policies.server.clock_skew,
        clock=foundation.clock,
    )
    validate = TokenValidator(
        issuers=issuers,
        server=policies.server,
        clock=foundation.clock,
        introspections=foundation.introspections,
    )
    exchange = TokenExchange(
        prove=SenderProofs(dpop),
        validate=validate,
        decide=PolicyDecider(policies),
        mint=Minter(issuer=urls.issuer, keys=keys, clock=foundation.clock),
        use_up=SingleUse(foundation.store, clock_skew=policies.server.clock_skew),
        count_permitted=limits.permitted,
    )
    clients = ClientAuthenticator(
        AuthenticationContext(
            clients=policies.clients,
            issuers=policies.issuers,
            issuer=urls.issuer,
            token_endpoint=urls.token,
            key_caches=foundation.key_caches,
            verify_workload=validate.workload,
            store=foundation.store,
            clock_skew=policies.server.clock_skew,
            clock=foundation.clock,
        )
    )
    snapshot = Snapshot(
        policies=policies,
        loaded_at=datetime.fromtimestamp(foundation.clock(), UTC).isoformat(timespec="seconds"),
        urls=urls,
        server=TokenExchangeServer(clients=clients, token_exchange=exchange, limits=limits),
        limits=limits,
        metadata=metadata(policies, urls, mutual_tls=foundation.certificate_header is not None),
        public_jwks=keys.public_jwks,
    )
    return Built(snapshot, keys, issuers)


def key_labels(policies: Policies) -> dict[KeySource, str]:
    """Return what the metrics call each source of keys: the file that names it, the same in every worker.

    An issuer and a client may have files of one name, and may have one source; then it is the issuer's.
    """
    issuers = [(issuer.name, issuer.keys) for issuer in policies.issuers.values()]
    methods = [(f"client:{client.name}", client.private_key_jwt) for client in policies.clients.values()]
    clients = [(name, method.keys) for name, method in methods if method is not None]
    labels: dict[KeySource, str] = {}
    for listed in (issuers, clients):
        for name, source in sorted(listed, key=itemgetter(0)):
            labels.setdefault(source, name)
    return labels


def _counter(metrics: Metrics) -> Callable[[Attempt, float], None]:
    def count(attempt: Attempt, seconds: float) -> None:
        metrics.attempt(attempt.outcome, attempt.reason, seconds)
        if isinstance(attempt.trace, Trace) and attempt.trace.would_have_been is not None:
            metrics.would_have_been(attempt.trace.would_have_been.outcome)

    return count
