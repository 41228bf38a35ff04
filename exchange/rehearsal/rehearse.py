"""One request put through the code that serves ``/token``, without HTTP and without a trace of it left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

from exchange.audit import Attempt
from exchange.config.values import Policies, RegisteredClient
from exchange.errors import Refusal
from exchange.introspection import Introspections
from exchange.issuance.mint import Minter
from exchange.jose import SigningKey, generate_signing_key
from exchange.model import (
    NO_PROOF,
    IssuedToken,
    PresentedProof,
    PresentedToken,
    Role,
    Secret,
    SenderProof,
    TokenExchangeRequest,
    VerifiedToken,
)
from exchange.outbound import FetchFailed
from exchange.policy.decide import Decision, PolicyDecider
from exchange.rehearsal.believed import NO_KEYS
from exchange.token_exchange import TokenExchange
from exchange.tokens.checks import Check
from exchange.tokens.unverified import UnverifiedToken
from exchange.tokens.validate import TokenValidator
from exchange.trust import KeyCaches, TrustedIssuers, own_issuer
from exchange.web.form import Form
from exchange.web.token_request import parse_token_request

TOKEN_ID: Final = "rehearsal"
"""``jti`` of what is never issued."""


@dataclass(frozen=True, slots=True)
class RehearsalRequest:
    """What a client would send, the client authenticated."""

    client_id: str
    form: Form
    """The parameters of RFC 8693 §2.1."""
    unsigned: frozenset[Role] = frozenset()
    """Whose token is of ``unsigned_token``: its signature is not looked at."""
    proof: SenderProof = NO_PROOF
    """What counts as proved; a proof itself is good once, and for its own request alone."""


@dataclass(frozen=True, slots=True)
class Examined:
    """How one token fared."""

    role: Role
    token: Secret
    unsigned: bool
    checks: tuple[Check, ...]
    """Those that were made, in order; the last of them failed where ``verified`` is ``None``."""
    verified: VerifiedToken | None
    read: UnverifiedToken | None = None
    """What was checked: the token taken apart or, where its issuer was asked, its answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service would say, and how it came to it. ``issued`` or ``refusal``, never both."""

    client: RegisteredClient | None
    request: TokenExchangeRequest | None
    """``None`` when the parameters were refused already."""
    examined: tuple[Examined, ...]
    decision: Decision | None
    issued: IssuedToken | None
    refusal: Refusal | None


class Rehearsal:
    """Answers requests by ``policies``, as of ``now`` (seconds since the epoch).

    ``key_caches`` fetches keys for tokens that are signed, and ``public_jwks`` are our own; with
    ``introspections`` issuers are asked about tokens that they alone can read. For unsigned tokens nothing is
    ever fetched, and nobody is asked.
    """

    def __init__(
        self,
        policies: Policies,
        *,
        key_caches: KeyCaches,
        now: float,
        public_jwks: Mapping[str, Any] = NO_KEYS,
        introspections: Introspections | None = None,
    ) -> None:
        self._policies = policies
        self._validator = TokenValidator(
            issuers=TrustedIssuers(policies.issuers, key_caches, own_issuer(policies, public_jwks)),
            server=policies.server,
            clock=lambda: now,
            introspections=introspections,
        )
        self._decide = PolicyDecider(policies)
        self._mint = Minter(
            issuer=policies.server.issuer, keys=ThrowawayKey(), clock=lambda: now, new_id=lambda: TOKEN_ID
        )

    @classmethod
    def of_claims(cls, policies: Policies, *, now: float) -> Self:
        """Return a rehearsal that fetches nothing: the keys of every issuer are out of reach."""
        return cls(policies, key_caches=KeyCaches(_Offline()), now=now)

    def __call__(self, asked: RehearsalRequest) -> Answer:
        """Return the answer; never raises: what would be ``internal_error`` over HTTP is so here."""
        client = self._policies.clients.get(asked.client_id)
        tokens = _WatchedValidator(self._validator, asked.unsigned)
        decider = _WatchedDecider(self._decide)
        attempt = Attempt(request_id=TOKEN_ID, started=0)
        exchange = TokenExchange(
            prove=lambda _presented, _token: asked.proof,
            validate=tokens,
            decide=decider,
            mint=self._mint,
            use_up=lambda _subject, _actor: None,  # a rehearsal leaves no mark
        )
        issued = refusal = None
        try:
            issued = _exchange(exchange, asked, client, attempt)
        except Refusal as refused:
            refusal = refused
        except Exception as error:  # noqa: BLE001  # as at the edge: the type alone, for a text may quote a token
            refusal = Refusal("internal_error", detail=type(error).__name__)
        return Answer(client, attempt.request, tuple(tokens.examined), decider.decision, issued, refusal)


def _exchange(
    exchange: TokenExchange, asked: RehearsalRequest, client: RegisteredClient | None, attempt: Attempt
) -> IssuedToken:
    """The same steps, in the same order, as ``TokenExchangeGrant``."""
    if client is None:
        raise Refusal("client_authentication_failed", detail="no file in clients/ has this client_id")
    attempt.request = parse_token_request(asked.form)
    return exchange.exchange(attempt.request, client, PresentedProof(), attempt)


class _WatchedValidator:
    """The service's validator, and which checks it made; it stops at the signature where there is none."""

    def __init__(self, validator: TokenValidator, unsigned: frozenset[Role]) -> None:
        self._validator = validator
        self._unsigned = unsigned
        self.examined: list[Examined] = []

    def __call__(self, presented: PresentedToken) -> VerifiedToken:
        role = presented.role
        checks: list[Check] = []
        verified = read = None
        unsigned = role in self._unsigned
        try:
            read = self._validator.read(presented, checks.append)
            if not unsigned:
                read = self._validator.vouch(read, checks.append)
            verified = self._validator.accept(read, checks.append)
        finally:
            self.examined.append(Examined(role, presented.token, unsigned, tuple(checks), verified, read))
        return verified


class _WatchedDecider:
    def __init__(self, decide: PolicyDecider) -> None:
        self._decide = decide
        self.decision: Decision | None = None

    def __call__(
        self,
        request: TokenExchangeRequest,
        client: RegisteredClient,
        subject: VerifiedToken,
        actor: VerifiedToken | None,
        proof: SenderProof = NO_PROOF,
    ) -> Decision:
        self.decision = self._decide(request, client, subject, actor, proof)
        return self.decision


class _Offline:
    """Opens no connection."""

    def get(self, url: str, **_: object) -> bytes:  # noqa: ARG002  # the signature of a fetcher
        raise FetchFailed("unreachable")


class ThrowawayKey:
    """A key that no verifier knows: what it signs is worth nothing."""

    @cached_property
    def current(self) -> SigningKey:
        return generate_signing_key("ES256")


def form(parameters: Mapping[str, str | tuple[str, ...] | None]) -> Form:
    """Return ``parameters`` as the edge would; what is absent or empty counts as absent (RFC 6749 §3.2)."""
    listed = {
        name: (value,) if isinstance(value, str) else tuple(value or ()) for name, value in parameters.items()
    }
    present = {name: tuple(value for value in values if value) for name, values in listed.items()}
    return {name: values for name, values in present.items() if values}
