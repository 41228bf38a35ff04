"""Signed tokens and the keys that verify and make them (RFC 7515, RFC 7517, RFC 7518, RFC 7519, RFC 8037).

The only room that knows a JOSE library. A token is looked at once, and what comes out is called unverified;
``verify_signature`` then has PyJWT check the very same text, with one algorithm and one key of our choosing.
The token's own word (``jwk``, ``jku``, ``x5u``, ``x5c``) never chooses either; a DPoP proof, which proves no
more than that its sender holds the key in it, is the exception (``embedded_key``).
"""

from __future__ import annotations

from exchange.jose.embedded_key import EmbeddedKey, EmbeddedKeyRefused, embedded_key
from exchange.jose.jws import (
    MAX_TOKEN_BYTES,
    MalformedJws,
    SignatureInvalid,
    UnverifiedJws,
    parse_unverified,
    sign,
    verify_signature,
)
from exchange.jose.key_set import (
    ASYMMETRIC_ALGORITHMS,
    MAX_KEYS,
    SIGNATURE_USES,
    InvalidKeySet,
    KeySet,
    PublicKey,
)
from exchange.jose.signing_key import (
    SIGNING_ALGORITHMS,
    InvalidSigningKey,
    SigningKey,
    generate_signing_key,
    public_jwk,
    signing_key_from_jwk,
    signing_key_to_jwk,
)

__all__ = [
    "ASYMMETRIC_ALGORITHMS",
    "MAX_KEYS",
    "MAX_TOKEN_BYTES",
    "SIGNATURE_USES",
    "SIGNING_ALGORITHMS",
    "EmbeddedKey",
    "EmbeddedKeyRefused",
    "InvalidKeySet",
    "InvalidSigningKey",
    "KeySet",
    "MalformedJws",
    "PublicKey",
    "SignatureInvalid",
    "SigningKey",
    "UnverifiedJws",
    "embedded_key",
    "generate_signing_key",
    "parse_unverified",
    "public_jwk",
    "sign",
    "signing_key_from_jwk",
    "signing_key_to_jwk",
    "verify_signature",
]
