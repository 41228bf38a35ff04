"""``workload``: a platform's word for a client, as a client assertion (RFC 7521 §4.2, RFC 7523 §2.2, §3).

The assertion is the identity token that Kubernetes, a CI platform or SPIFFE gave to the process. Nobody can
make another one on demand, so it may be used again until it expires: it proves as much as a bearer token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exchange.clients.assertion import ASSERTION_TYPE, check_audience, parse_assertion
from exchange.clients.context import AuthenticationContext
from exchange.clients.failure import AuthenticationFailure, authentication_failed
from exchange.config.values import RegisteredClient, WorkloadMethod
from exchange.errors import Refusal
from exchange.jose import MalformedJws, parse_unverified
from exchange.model import Claims, ClientCredentials, PresentedToken, Role, TokenTypeIdentifier, VerifiedToken

WORKLOAD = "workload"
_OURS_OR_A_PEERS = 500
"""Statuses from here on say that nothing is wrong with the assertion."""


@dataclass(frozen=True, slots=True)
class _Known:
    client: RegisteredClient
    method: WorkloadMethod


class WorkloadAssertions:
    """Judges client assertions of trusted issuers with ``kind: workload``."""

    def __init__(self, context: AuthenticationContext) -> None:
        self._context = context
        self._issuers = frozenset(iss for iss, issuer in context.issuers.items() if issuer.kind == WORKLOAD)
        self._known = dict(_by_issuer_and_subject(context))

    def are_presented(self, credentials: ClientCredentials) -> bool:
        """Tell whether the assertion says that it is a workload issuer's, by ``iss`` alone.

        Nothing is believed for it: it decides whose keys must verify. No client has the name of such an
        issuer, so an assertion that a client signed itself never looks like one.
        """
        if not self._issuers or credentials.client_assertion is None:
            return False
        if credentials.client_assertion_type != ASSERTION_TYPE:
            return False
        try:
            unverified = parse_unverified(credentials.client_assertion)
        except MalformedJws:
            return False
        iss = unverified.claims.get("iss")
        return isinstance(iss, str) and iss in self._issuers

    def authenticate(self, credentials: ClientCredentials) -> tuple[RegisteredClient, VerifiedToken]:
        """Return the client whose workload the assertion is about, and what it says, verified.

        Raises ``Refusal``: ``client_authentication_failed``; ``issuer_keys_unavailable`` when the keys of the
        platform cannot be fetched.
        """
        unverified = parse_assertion(credentials)
        known = self._claimed_client(unverified.claims, credentials)
        ours = self._context.audiences(known.method.assertion_audience)
        assertion = PresentedToken(unverified.token, Role.SUBJECT, TokenTypeIdentifier.JWT)
        try:
            verified = self._context.verify_workload(assertion, ours)
        except Refusal as refusal:
            raise _as_failed_authentication(refusal) from None
        check_audience(verified.claims, ours)
        if verified.in_audit_mode:  # on trial: nothing is issued on its word, and this would be
            raise authentication_failed(AuthenticationFailure.WORKLOAD_ISSUER_IN_AUDIT_MODE)
        return known.client, verified

    def _claimed_client(self, unverified_claims: Claims, credentials: ClientCredentials) -> _Known:
        # One look-up, before any signature: a stranger's token of a platform that everybody shares costs
        # neither a fetch nor a verification.
        issuer, subject = unverified_claims.get("iss"), unverified_claims.get("sub")
        if not isinstance(issuer, str) or not isinstance(subject, str):
            raise authentication_failed(AuthenticationFailure.ASSERTION_SUBJECT_MALFORMED)
        known = self._known.get((issuer, subject))
        if known is None:
            raise authentication_failed(AuthenticationFailure.WORKLOAD_UNKNOWN)
        # RFC 7521 §4.2: client_id is optional here, and must name the same client.
        if credentials.unverified_client_id not in {None, known.client.client_id}:
            raise authentication_failed(AuthenticationFailure.CLIENT_ID_MISMATCH)
        return known


def _by_issuer_and_subject(context: AuthenticationContext) -> Iterator[tuple[tuple[str, str], _Known]]:
    named: Mapping[str, str] = {issuer.name: iss for iss, issuer in context.issuers.items()}
    for client in context.clients.values():
        method = client.workload
        for identity in method.identities if method is not None else ():
            if method is not None and identity.issuer in named:
                yield (named[identity.issuer], identity.subject), _Known(client, method)


def _as_failed_authentication(refusal: Refusal) -> Refusal:
    """Return the one face of every failure, with what is wrong for the operator; a 503 stays what it is."""
    if refusal.reason.status >= _OURS_OR_A_PEERS:
        return refusal
    what = refusal.reason.slug.removeprefix(f"{Role.SUBJECT}_token_")
    detail = f"{what}: {refusal.detail}" if refusal.detail else what
    return authentication_failed(AuthenticationFailure.WORKLOAD_TOKEN_REFUSED, detail)
