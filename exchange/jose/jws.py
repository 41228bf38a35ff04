"""Compact JWS (RFC 7515): looked at once and not believed, then verified, or made."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from jwt import PyJWS
from jwt.exceptions import DecodeError

from exchange.jose.key_set import ASYMMETRIC_ALGORITHMS, PublicKey
from exchange.jose.signing_key import SigningKey
from exchange.model import Claims, Secret
from exchange.strict_json import InvalidJson, parse_object

MAX_TOKEN_BYTES: Final = 16 * 1024
_COMPACT_JWS_SEGMENTS: Final = 3
_COMPACT_JWE_SEGMENTS: Final = 5


class MalformedJws(Exception):  # noqa: N818  # a finding about a token, not a defect
    """The text is no compact JWS of ours to look at. Carries no part of the text."""

    def __init__(self, cause: Literal["malformed", "too_large", "encrypted"]) -> None:
        super().__init__(cause)
        self.cause = cause


class SignatureInvalid(Exception):  # noqa: N818
    """The signature does not verify with the key and algorithm given."""


@dataclass(frozen=True, slots=True)
class UnverifiedJws:
    """A compact JWS, taken apart and not believed."""

    token: Secret
    header: Claims
    """The JOSE header; ``alg`` is a string, and so is ``kid`` where there is one."""
    claims: Claims


def parse_unverified(token: Secret) -> UnverifiedJws:
    """Take a compact JWS apart (RFC 7515 §7.1) without believing any of it.

    Both mappings are read-only; nested values are plain JSON. Raises ``MalformedJws``, and nothing else.
    """
    text = token.reveal()
    if len(text) > MAX_TOKEN_BYTES:
        raise MalformedJws("too_large")
    segments = text.split(".", _COMPACT_JWE_SEGMENTS)
    if len(segments) == _COMPACT_JWE_SEGMENTS:  # RFC 7516 §9
        raise MalformedJws("encrypted")
    if len(segments) != _COMPACT_JWS_SEGMENTS:
        raise MalformedJws("malformed")
    try:
        header_json, claims_json, _ = [_decode_base64url(segment.encode("ascii")) for segment in segments]
        header = parse_object(header_json.decode("utf-8"))
        _refuse_header_form(header)
        claims = parse_object(claims_json.decode("utf-8"))
    except (InvalidJson, ValueError):
        raise MalformedJws("malformed") from None
    return UnverifiedJws(token, MappingProxyType(header), MappingProxyType(claims))


def _refuse_header_form(header: Mapping[str, object]) -> None:
    if "enc" in header:
        raise MalformedJws("encrypted")
    # RFC 7515 §4.1.1, §4.1.4: both are strings. A list or an object here is unhashable or worse further on.
    if not isinstance(header.get("alg"), str) or not isinstance(header.get("kid", ""), str):
        raise MalformedJws("malformed")


def _decode_base64url(segment: bytes) -> bytes:
    """Return the bytes of the one spelling that RFC 7515 §2 allows; raises ``ValueError`` on any other.

    One token must have one spelling: padding, stray bits, whitespace and foreign alphabets are refused.
    Lenient decoders read through them, so that one signature would verify under many spellings.
    """
    try:
        decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
        raise ValueError("not the canonical base64url")
    return decoded


class _FastJws(PyJWS):
    """PyJWT's JWS without its Python loop over each byte, most of the cost of a large token.

    The overridden name is private. Should PyJWT rename it, its own and equally strict method is used again.
    """

    @staticmethod
    def _decode_base64url_segment(segment: bytes, name: str) -> bytes:
        try:
            return _decode_base64url(segment)
        except ValueError:
            raise DecodeError(f"Invalid {name} padding") from None


_JWS: Final = _FastJws(
    algorithms=sorted(ASYMMETRIC_ALGORITHMS),
    options={"verify_signature": True, "enforce_minimum_key_length": True},
)


def verify_signature(unverified: UnverifiedJws, key: PublicKey, algorithm: str) -> None:
    """Verify the text that ``unverified`` was taken from (RFC 7515 §5.2) with this key and this algorithm.

    Raises ``SignatureInvalid``, and nothing else, whatever is wrong.
    """
    if algorithm not in key.algorithms:
        raise SignatureInvalid
    try:
        _JWS.decode_complete(unverified.token.reveal(), key.key, algorithms=[algorithm])
    except Exception:  # noqa: BLE001  # not all failures are PyJWT's own, and each of them means: not verified
        raise SignatureInvalid from None


def sign(claims: Mapping[str, object], key: SigningKey, *, typ: str) -> Secret:
    """Return a compact JWS of ``claims`` with ``alg``, ``kid`` and ``typ`` in its header (RFC 7515 §5.1).

    Read-only mappings and tuples among the claims are written as objects and arrays. Raises ``TypeError`` or
    ``ValueError`` for what JSON cannot say, NaN included.
    """
    payload = json.dumps(claims, separators=(",", ":"), allow_nan=False, default=_as_json_object).encode()
    headers = {"kid": key.key_id, "typ": typ}
    return Secret(_JWS.encode(payload, key.private_key, algorithm=key.algorithm, headers=headers))


def _as_json_object(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError("a claim is not JSON")
