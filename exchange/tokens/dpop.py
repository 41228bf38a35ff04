"""DPoP proofs (RFC 9449 §4.3): who sends this request holds this key, now, and says so for the first time."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Literal

from exchange.errors import Refusal
from exchange.jose import (
    ASYMMETRIC_ALGORITHMS,
    EmbeddedKey,
    EmbeddedKeyRefused,
    MalformedJws,
    SignatureInvalid,
    UnverifiedJws,
    embedded_key,
    parse_unverified,
    verify_signature,
)
from exchange.model import Claims, Secret
from exchange.stores import Store, StoreUnavailable
from exchange.tokens.dpop_nonce import DpopNonces
from exchange.tokens.htu import normalised

MAX_PROOF_BYTES: Final = 8 * 1024
MAX_JTI_LENGTH: Final = 256
MAX_AGE: Final = 60
"""Seconds since ``iat``. Ahead of our clock a proof may be by ``clock_skew``."""
NAMESPACE: Final = "dpop_proof"
"""Of the marks in the store."""
_TYPE: Final = "dpop+jwt"
_METHOD: Final = "POST"

Clock = Callable[[], float]
"""Seconds since the epoch."""


class ProofFault(StrEnum):
    """What is wrong with a proof: a closed set, for the audit record. Nothing of the proof is ever in it."""

    NOT_ONE = "not exactly one DPoP header field with one proof"
    TOO_LARGE = "longer than 8 KiB"
    MALFORMED = "not a well-formed signed JWT"
    TYPE = "typ is not dpop+jwt"
    ALGORITHM = "alg is not an asymmetric algorithm that is taken here"
    CRITICAL = "crit names extensions, and none is understood"
    KEY = "jwk is not a usable public key"
    PRIVATE_KEY = "jwk holds a private or symmetric key"
    SIGNATURE = "the signature does not verify with jwk and alg"
    METHOD = "htm is not POST"
    URI = "htu is not the token endpoint"
    ISSUED_AT_MALFORMED = "iat is missing or no integer"
    TOO_OLD = "iat is too long ago"
    AHEAD = "iat is in the future"
    OVER = "the proof says itself that it is not valid now"
    TOKEN_ID = "jti is missing, or no string of at most 256 characters"
    NONCE_MALFORMED = "nonce is no string"
    TOKEN_HASH = "ath is not the hash of the subject_token"


class NonceFault(StrEnum):
    """Why the caller is asked for another nonce."""

    MISSING = "no nonce"
    NOT_ACCEPTED = "a nonce that is not ours, or too old"


class DpopProofs:
    """Judges the proofs of requests to the token endpoint; each passes once."""

    def __init__(
        self,
        *,
        token_endpoint: str,
        nonces: DpopNonces,
        nonce: Literal["required", "optional"],
        store: Store,
        clock_skew: int,
        clock: Clock,
    ) -> None:
        """``token_endpoint`` is the configured one: no header of a request says where we are."""
        self._token_endpoint = normalised(token_endpoint)
        self._nonces = nonces
        self._nonce_required = nonce == "required"
        self._store = store
        self._skew = clock_skew
        self._clock = clock

    def verify(self, unverified_proof: Secret, subject_token: Secret) -> str:
        """Return the thumbprint of the key that the sender holds (``jkt``, RFC 9449 §6.1).

        The lines are RFC 9449 §4.3 in its order. Raises ``Refusal``: ``dpop_proof_invalid``,
        ``dpop_nonce_required``, ``dpop_proof_used``; ``store_unavailable`` when nobody can say whether it is.
        """
        jws = _parse(unverified_proof)
        algorithm = _check_header(jws.header)
        embedded = _key(jws.header)
        _verify_signature(jws, embedded, algorithm)
        claims = jws.claims  # from here on they are the key holder's word
        self._check_request(claims)
        issued_at = self._check_times(claims)
        token_id = _token_id(claims)
        self._check_nonce(claims)
        _check_token_hash(claims, subject_token)
        self._use_once(embedded.thumbprint, token_id, issued_at)  # last: what is refused uses nothing up
        return embedded.thumbprint

    def _check_request(self, claims: Claims) -> None:
        if claims.get("htm") != _METHOD:
            raise _invalid(ProofFault.METHOD)
        htu = claims.get("htu")
        uri = normalised(htu) if isinstance(htu, str) else None
        if uri is None or uri != self._token_endpoint:
            raise _invalid(ProofFault.URI)

    def _check_times(self, claims: Claims) -> int:
        """Return ``iat``, in seconds since the epoch."""
        now, issued_at = self._clock(), claims.get("iat")
        if type(issued_at) is not int:  # not isinstance: `true` is an int in Python
            raise _invalid(ProofFault.ISSUED_AT_MALFORMED)
        if issued_at < now - MAX_AGE:
            raise _invalid(ProofFault.TOO_OLD)
        if issued_at > now + self._skew:
            raise _invalid(ProofFault.AHEAD)
        # No proof needs these two, and one that has them means them (RFC 7519 §4.1.4, §4.1.5).
        expires_at, not_before = claims.get("exp", issued_at + MAX_AGE), claims.get("nbf", issued_at)
        if type(expires_at) is not int or type(not_before) is not int:
            raise _invalid(ProofFault.OVER)
        if expires_at + self._skew <= now or not_before > now + self._skew:
            raise _invalid(ProofFault.OVER)
        return issued_at

    def _check_nonce(self, claims: Claims) -> None:
        nonce = claims.get("nonce")
        if nonce is None:
            if self._nonce_required:
                raise Refusal("dpop_nonce_required", detail=NonceFault.MISSING)
            return
        if not isinstance(nonce, str):
            raise _invalid(ProofFault.NONCE_MALFORMED)
        if not self._nonces.accepts(nonce, skew=self._skew):
            raise Refusal("dpop_nonce_required", detail=NonceFault.NOT_ACCEPTED)

    def _use_once(self, thumbprint: str, token_id: str, issued_at: int) -> None:
        # By the key as well: nobody can use up the jti of another. The mark outlives the time in which the
        # proof passes, by the skew, for the clocks of the machines that share the store.
        expires_at = issued_at + MAX_AGE + self._skew
        try:
            first_use = self._store.add_if_absent(NAMESPACE, (thumbprint, token_id), expires_at)
        except StoreUnavailable as unavailable:
            raise Refusal(
                "store_unavailable", detail=unavailable.cause, retry_after=unavailable.retry_after
            ) from None
        if not first_use:
            raise Refusal("dpop_proof_used")


def _invalid(fault: ProofFault) -> Refusal:
    return Refusal("dpop_proof_invalid", detail=fault)


def _parse(unverified_proof: Secret) -> UnverifiedJws:
    text = unverified_proof.reveal()
    # Several header fields of one name come as one, joined with commas (RFC 9110 §5.2): with two proofs, the
    # one that is checked need not be the one that somebody else acts on.
    if not text or "," in text:
        raise _invalid(ProofFault.NOT_ONE)
    if len(text) > MAX_PROOF_BYTES:
        raise _invalid(ProofFault.TOO_LARGE)
    try:
        return parse_unverified(unverified_proof)
    except MalformedJws:
        raise _invalid(ProofFault.MALFORMED) from None


def _check_header(header: Claims) -> str:
    """Return ``alg``. ``typ`` keeps every other JWT that the key has signed from being a proof (§11.6)."""
    if header.get("typ") != _TYPE:
        raise _invalid(ProofFault.TYPE)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ASYMMETRIC_ALGORITHMS:
        raise _invalid(ProofFault.ALGORITHM)
    if "crit" in header:  # RFC 7515 §4.1.11
        raise _invalid(ProofFault.CRITICAL)
    return algorithm


def _key(header: Claims) -> EmbeddedKey:
    try:
        return embedded_key(header.get("jwk"))
    except EmbeddedKeyRefused as refused:
        raise _invalid(ProofFault.PRIVATE_KEY if refused.cause == "private" else ProofFault.KEY) from None


def _verify_signature(jws: UnverifiedJws, embedded: EmbeddedKey, algorithm: str) -> None:
    try:
        verify_signature(jws, embedded.key, algorithm)
    except SignatureInvalid:
        raise _invalid(ProofFault.SIGNATURE) from None


def _token_id(claims: Claims) -> str:
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not 0 < len(token_id) <= MAX_JTI_LENGTH:
        raise _invalid(ProofFault.TOKEN_ID)
    return token_id


def _check_token_hash(claims: Claims, subject_token: Secret) -> None:
    """``ath`` is for protected resources (§4.2) and no client sends it here; one that does must mean it."""
    if "ath" not in claims:
        return
    digest = hashlib.sha256(subject_token.reveal().encode()).digest()
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=")
    given = claims["ath"]
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected):
        raise _invalid(ProofFault.TOKEN_HASH)
