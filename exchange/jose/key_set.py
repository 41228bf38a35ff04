"""Public keys of others: JSON Web Key Sets (RFC 7517, RFC 7518 §6, RFC 8037 §2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from exchange.strict_json import InvalidJson, parse_object

RSA_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
ASYMMETRIC_ALGORITHMS: Final = RSA_ALGORITHMS | {"ES256", "ES384", "ES512", "EdDSA"}
"""What is ever verified (RFC 7518 §3.1, RFC 8037 §3.1). ``none``, HMAC and ES256K are not in here."""

MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048
"""RFC 7518 §3.3."""
MAX_RSA_BITS: Final = 8192
"""The cost of a verification grows with the key, and an issuer must not choose ours."""
_RSA_EXPONENTS: Final = range(2**16 + 1, 2**32, 2)
"""Odd and above 2^16 (FIPS 186-5 §A.1.1); bounded above because the cost of a verification grows with it."""
_MAX_KEY_MEMBER: Final = 2048
"""Characters of one member of a key; an RSA modulus of 8192 bits has 1366."""

SIGNATURE_USES: Final = frozenset({"sig", "jwt-svid"})
"""``use`` of keys that verify tokens: RFC 7517 §4.2, and SPIFFE Trust Domain and Bundle §4.2.2. Its
``x509-svid`` keys sign certificates, and no token."""
_CURVE_ALGORITHMS: Final[Mapping[str, frozenset[str]]] = {
    "P-256": frozenset({"ES256"}),
    "P-384": frozenset({"ES384"}),
    "P-521": frozenset({"ES512"}),
    "Ed25519": frozenset({"EdDSA"}),
}
KEY_READERS: Final[Mapping[str, type[Algorithm]]] = {
    "RSA": RSAAlgorithm,
    "EC": ECAlgorithm,
    "OKP": OKPAlgorithm,
}

PublicKeyObject = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class InvalidKeySet(Exception):  # noqa: N818
    """The text is no JWK Set (RFC 7517 §5), or one of more than ``MAX_KEYS`` keys."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One usable key of a JWK Set."""

    key_id: str | None
    algorithms: frozenset[str]
    """Those of ``ASYMMETRIC_ALGORITHMS`` that fit the key and its ``alg``, if any (RFC 7517 §4.4)."""
    key: PublicKeyObject
    issuer: str | None = None
    """The ``issuer`` member that some multi-tenant IdPs put on a key: to whose tokens it is confined."""


class KeySet:
    """The usable keys of a JWK Set (RFC 7517 §5): immutable, looked up by key and algorithm together.

    A token whose ``alg`` does not fit the key that its ``kid`` names finds no key. It never reaches a
    verifier, where an RSA key would be taken for ECDSA or, worse, a public key for an HMAC secret.
    """

    __slots__ = ("_by_key_id", "_keys", "_without_key_id")

    def __init__(self, keys: tuple[PublicKey, ...]) -> None:
        self._keys = keys
        self._by_key_id: dict[tuple[str, str], PublicKey] = {}
        for key in keys:
            if key.key_id is not None:
                for algorithm in key.algorithms:
                    self._by_key_id.setdefault((key.key_id, algorithm), key)
        fitting = {name: [key for key in keys if name in key.algorithms] for name in ASYMMETRIC_ALGORITHMS}
        self._without_key_id = {name: found[0] for name, found in fitting.items() if len(found) == 1}

    @classmethod
    def from_document(cls, document: str | bytes) -> KeySet:
        """Return the usable keys; each secret, private, weak or odd one is left out (RFC 7517 §5).

        Raises ``InvalidKeySet`` when the document as a whole is none. The set may turn out empty.
        """
        try:
            text = document if isinstance(document, str) else document.decode("utf-8")
            members = parse_object(text).get("keys")
        except (InvalidJson, UnicodeDecodeError):
            raise InvalidKeySet("not a JSON object") from None
        if not isinstance(members, list):
            raise InvalidKeySet("no array of keys")
        if len(members) > MAX_KEYS:
            raise InvalidKeySet("too many keys")
        found = (_usable_key(member) for member in members)
        return cls(tuple(key for key in found if key is not None))

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[PublicKey]:
        return iter(self._keys)

    def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """Return the key that the token names, or, when it names none, the only one that fits."""
        if key_id is None:
            return self._without_key_id.get(algorithm)
        return self._by_key_id.get((key_id, algorithm))


def _usable_key(member: object) -> PublicKey | None:
    try:
        return public_key(member) if isinstance(member, dict) else None
    except Exception:  # noqa: BLE001  # one odd key must not cost the others, and libraries raise anything here
        return None


def public_key(member: Mapping[str, Any]) -> PublicKey | None:
    """Return the key of one JWK, ``None`` when it is unfit. An odd one may raise anything."""
    if member.get("use", "sig") not in SIGNATURE_USES or "verify" not in member.get("key_ops", ["verify"]):
        return None  # RFC 7517 §4.2, §4.3: an encryption key must not verify
    if "d" in member:
        return None  # whoever reads the document can sign with it
    if any(len(member.get(name, "")) > _MAX_KEY_MEMBER for name in ("n", "e", "x", "y")):
        return None
    key_id, issuer = member.get("kid"), member.get("issuer")
    if not isinstance(key_id, str | None) or not isinstance(issuer, str | None):
        return None
    algorithms = _algorithms_of(member)
    if not algorithms:
        return None
    reader: Any = KEY_READERS[member["kty"]]
    key = reader.from_jwk(dict(member))
    return PublicKey(key_id, algorithms, key, issuer) if _strong(key) else None


def _algorithms_of(member: Mapping[str, Any]) -> frozenset[str]:
    fitting = RSA_ALGORITHMS if member["kty"] == "RSA" else _CURVE_ALGORITHMS[member["crv"]]
    named = member.get("alg")
    if named is None:
        return fitting
    # RFC 9864 §2.2 calls EdDSA with this curve Ed25519; it is the same key and the same signature.
    return fitting & {"EdDSA" if named == "Ed25519" else named}


def _strong(key: PublicKeyObject) -> bool:
    if not isinstance(key, rsa.RSAPublicKey):
        return True  # the curve is fixed by the algorithm, and cryptography refuses points that are not on it
    return MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS and key.public_numbers().e in _RSA_EXPONENTS
