"""``private_key_jwt``: a client assertion (RFC 7521 §4.2, RFC 7523 §2.2, §3, RFC 10070)."""

from __future__ import annotations

from exchange.clients.assertion import check_audience, parse_assertion
from exchange.clients.context import AuthenticationContext
from exchange.clients.failure import AuthenticationFailure, authentication_failed
from exchange.config.values import PrivateKeyJwtMethod, RegisteredClient
from exchange.errors import Refusal
from exchange.jose import ASYMMETRIC_ALGORITHMS, SignatureInvalid, UnverifiedJws, verify_signature
from exchange.model import Claims, ClientCredentials
from exchange.stores import StoreUnavailable
from exchange.trust.key_cache import KeysUnavailable, KeyUnknown

MAX_LIFETIME = 3600
"""Seconds. A stolen assertion that was never used is good until it expires."""

MAX_JTI_LENGTH = 256

_TYPES = frozenset({"jwt", "client-authentication+jwt"})


class ClientAssertions:
    """Judges client assertions; each passes once."""

    def __init__(self, context: AuthenticationContext) -> None:
        self._context = context

    def authenticate(self, credentials: ClientCredentials) -> RegisteredClient:
        """Return the client that signed ``client_assertion`` for us, now, and for the first time.

        Raises ``Refusal``: ``client_authentication_failed``; ``issuer_keys_unavailable`` when the client's
        keys cannot be fetched; ``store_unavailable`` when nobody can say whether it was used before.
        """
        unverified = parse_assertion(credentials)
        client, method = self._claimed_client(unverified.claims, credentials)
        algorithm = _check_header(unverified.header, method)
        self._verify_signature(unverified, client, method, algorithm)
        claims = unverified.claims  # from here on they are the client's word
        check_audience(claims, self._context.audiences(method.assertion_audience))
        expires_at = self._check_times(claims)
        self._use_once(client, claims, expires_at)  # last: a refused assertion must not use anything up
        return client

    def _claimed_client(
        self, unverified_claims: Claims, credentials: ClientCredentials
    ) -> tuple[RegisteredClient, PrivateKeyJwtMethod]:
        # RFC 7523 §3 items 1 and 2: iss and sub are both the client_id. Until the signature is verified the
        # value is a key into the configured clients and nothing else; it decides whose keys may verify.
        subject = unverified_claims.get("sub")
        if not isinstance(subject, str):
            raise authentication_failed(AuthenticationFailure.ASSERTION_SUBJECT_MALFORMED)
        if unverified_claims.get("iss") != subject:
            raise authentication_failed(AuthenticationFailure.ASSERTION_ISSUER_MISMATCH)
        # RFC 7521 §4.2: client_id is optional here, and must name the same client.
        if credentials.unverified_client_id not in {None, subject}:
            raise authentication_failed(AuthenticationFailure.CLIENT_ID_MISMATCH)
        client = self._context.clients.get(subject)
        if client is None:
            raise authentication_failed(AuthenticationFailure.CLIENT_UNKNOWN)
        method = client.private_key_jwt
        if method is None or not client.check_endpoint_auth_method("private_key_jwt", "token"):
            raise authentication_failed(AuthenticationFailure.METHOD_NOT_REGISTERED)
        return client, method

    def _verify_signature(
        self, unverified: UnverifiedJws, client: RegisteredClient, method: PrivateKeyJwtMethod, algorithm: str
    ) -> None:
        # Only the client's configured keys; jwk, jku, x5u and x5c in the header are never looked at.
        named = unverified.header.get("kid")
        key_id = named if isinstance(named, str) else None
        keys = self._context.key_caches.for_source(method.keys, f"client:{client.name}")
        try:
            key = keys.find(key_id, algorithm)
            try:
                verify_signature(unverified, key, algorithm)
            except SignatureInvalid:
                newer = keys.find_newer(key_id, algorithm, key)  # it may have rotated under the old kid
                if newer is None:
                    raise
                verify_signature(unverified, newer, algorithm)
        except KeyUnknown:
            raise authentication_failed(AuthenticationFailure.ASSERTION_KEY_UNKNOWN) from None
        except SignatureInvalid:
            raise authentication_failed(AuthenticationFailure.ASSERTION_SIGNATURE_INVALID) from None
        except KeysUnavailable as unavailable:
            raise Refusal("issuer_keys_unavailable", retry_after=unavailable.retry_after) from None

    def _check_times(self, claims: Claims) -> int:
        """Return ``exp`` (RFC 7523 §3 items 4 to 6), in seconds since the epoch."""
        now, skew = self._context.clock(), self._context.clock_skew
        expires_at, issued_at, not_before = (_seconds(claims, name) for name in ("exp", "iat", "nbf"))
        if expires_at is None:
            raise authentication_failed(AuthenticationFailure.ASSERTION_TIME_MALFORMED)
        if expires_at + skew <= now:
            raise authentication_failed(AuthenticationFailure.ASSERTION_EXPIRED)
        if any(start is not None and start > now + skew for start in (issued_at, not_before)):
            raise authentication_failed(AuthenticationFailure.ASSERTION_NOT_YET_VALID)
        # Measured from now as well: iat is optional, and the client writes it.
        if expires_at - now > MAX_LIFETIME + skew or (
            issued_at is not None and expires_at - issued_at > MAX_LIFETIME
        ):
            raise authentication_failed(AuthenticationFailure.ASSERTION_LIFETIME_TOO_LONG)
        return expires_at

    def _use_once(self, client: RegisteredClient, claims: Claims, expires_at: int) -> None:
        token_id = claims.get("jti")
        if not isinstance(token_id, str) or not 0 < len(token_id) <= MAX_JTI_LENGTH:
            raise authentication_failed(AuthenticationFailure.ASSERTION_JTI_MALFORMED)
        try:
            first_use = self._context.store.add_if_absent(
                "client_assertion", (client.client_id, token_id), expires_at + self._context.clock_skew
            )
        except StoreUnavailable as unavailable:
            raise Refusal(
                "store_unavailable", detail=unavailable.cause, retry_after=unavailable.retry_after
            ) from None
        if not first_use:
            raise authentication_failed(AuthenticationFailure.ASSERTION_USED)


def _check_header(header: Claims, method: PrivateKeyJwtMethod) -> str:
    """Return ``alg``, which is one of the client's own and asymmetric (RFC 8725 §3.1)."""
    algorithm = header.get("alg")
    if algorithm not in method.algorithms & ASYMMETRIC_ALGORITHMS or not isinstance(algorithm, str):
        raise authentication_failed(AuthenticationFailure.ASSERTION_ALGORITHM_NOT_ALLOWED)
    # An access token or a DPoP proof that the client signed for somebody else is not an assertion.
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in _TYPES:
        raise authentication_failed(AuthenticationFailure.ASSERTION_TYP_REFUSED)
    if "crit" in header:  # RFC 7515 §4.1.11: we understand no extension, so none may be critical
        raise authentication_failed(AuthenticationFailure.ASSERTION_CRIT_REFUSED)
    return algorithm


def _seconds(claims: Claims, name: str) -> int | None:
    """Return a NumericDate, ``None`` when absent; what is no integer, ``true`` included, is refused."""
    if name not in claims:
        return None
    value = claims[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise authentication_failed(AuthenticationFailure.ASSERTION_TIME_MALFORMED)
    return value
