"""Private keys of ours: made, kept as JWK (RFC 7517), named by their thumbprint (RFC 7638)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import import_key
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKeyObject = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

SIGNING_ALGORITHMS: Final = frozenset({"ES256", "EdDSA", "RS256", "PS256"})
"""What is ever signed with. ES256 is the default: the cheapest to sign with that every library verifies."""

_RSA_BITS: Final = 2048
_FORMS: Final[Mapping[str, type[Algorithm]]] = {
    "ES256": ECAlgorithm,
    "EdDSA": OKPAlgorithm,
    "RS256": RSAAlgorithm,
    "PS256": RSAAlgorithm,
}


class InvalidSigningKey(Exception):  # noqa: N818  # a finding about a document, not a defect
    """The JWK is no private key of ours. Carries no part of it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key of this service."""

    key_id: str
    algorithm: str
    """One of ``SIGNING_ALGORITHMS``."""
    private_key: PrivateKeyObject = field(repr=False)


def generate_signing_key(algorithm: str) -> SigningKey:
    """Return a new key, named by its thumbprint. Raises ``ValueError`` beyond ``SIGNING_ALGORITHMS``."""
    if algorithm not in SIGNING_ALGORITHMS:
        raise ValueError("not an algorithm that is signed with")
    return _named(algorithm, _new_private_key(algorithm))


def _new_private_key(algorithm: str) -> PrivateKeyObject:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


def _named(algorithm: str, private_key: PrivateKeyObject) -> SigningKey:
    return SigningKey(
        import_key(_members(algorithm, private_key.public_key())).thumbprint(), algorithm, private_key
    )


def public_jwk(key: SigningKey) -> dict[str, Any]:
    """Return the JWK to publish: the public members, ``kid``, ``alg`` and ``use``."""
    members = _members(key.algorithm, key.private_key.public_key())
    return {**members, "kid": key.key_id, "alg": key.algorithm, "use": "sig"}


def signing_key_to_jwk(key: SigningKey) -> dict[str, Any]:
    """Return the private JWK, to be kept where only we can read it."""
    return {**_members(key.algorithm, key.private_key), "kid": key.key_id, "alg": key.algorithm, "use": "sig"}


def signing_key_from_jwk(jwk: Mapping[str, Any]) -> SigningKey:
    """Return the key of a private JWK that ``signing_key_to_jwk`` made; a missing ``kid`` is the thumbprint.

    Raises ``InvalidSigningKey`` for anything else: another algorithm, a public key, a key unfit for ``alg``.
    """
    try:
        algorithm = jwk["alg"]
        form: Any = _FORMS[algorithm]
        key = _named(algorithm, _of_algorithm(algorithm, form.from_jwk(dict(jwk))))
        key_id = jwk.get("kid", key.key_id)
    except Exception:  # noqa: BLE001  # libraries raise anything here, with parts of the key in their messages
        raise InvalidSigningKey("not a private JWK of ours") from None
    if not isinstance(key_id, str) or not key_id:
        raise InvalidSigningKey("kid is not a string")
    return SigningKey(key_id, algorithm, key.private_key)


def _of_algorithm(algorithm: str, key: object) -> PrivateKeyObject:
    if algorithm == "ES256" and isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        return key
    if algorithm == "EdDSA" and isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if algorithm in {"RS256", "PS256"} and isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _RSA_BITS:
        return key
    raise InvalidSigningKey("not a private key of its algorithm")


def _members(algorithm: str, key: object) -> dict[str, Any]:
    form: Any = _FORMS[algorithm]
    members: dict[str, Any] = form.to_jwk(key, as_dict=True)
    members.pop("key_ops", None)
    return members
