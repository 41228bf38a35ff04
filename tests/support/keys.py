"""Key pairs for tests, made once per process: RSA keys are slow to make."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm


def private_key(algorithm: str = "RS256", label: str = "a") -> Any:
    """Return a private key that fits ``algorithm``; another ``label`` gives another key."""
    return _private_key(algorithm, label)


@cache
def _private_key(algorithm: str, label: str) -> Any:  # label makes distinct keys
    if algorithm.startswith(("RS", "PS")):
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[algorithm]
    return ec.generate_private_key(curve)


def public_jwk(algorithm: str = "RS256", label: str = "a", *, kid: str | None = None) -> dict[str, Any]:
    """Return the public JWK of ``private_key(algorithm, label)``; ``kid`` defaults to ``algorithm-label``."""
    key = private_key(algorithm, label).public_key()
    kinds: dict[str, Any] = {"RS": RSAAlgorithm, "PS": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}
    jwk = kinds[algorithm[:2]].to_jwk(key, as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, "use": "sig", "alg": algorithm, "kid": kid or f"{algorithm}-{label}"}


def sign(
    claims: dict[str, Any],
    *,
    algorithm: str = "RS256",
    label: str = "a",
    header: dict[str, Any] | None = None,
) -> str:
    """Return a compact JWS of ``claims``, with ``kid`` as in ``public_jwk`` unless ``header`` says otherwise."""
    headers = {"kid": f"{algorithm}-{label}", **(header or {})}
    return jwt.encode(claims, private_key(algorithm, label), algorithm=algorithm, headers=headers)


def sign_anything(
    claims: dict[str, Any],
    *,
    algorithm: str = "RS256",
    label: str = "a",
    header: dict[str, Any] | None = None,
) -> str:
    """Return a compact JWS as ``sign`` does, of claims that PyJWT's encoder would refuse, such as a list as ``iss``."""
    headers = {"typ": "JWT", "kid": f"{algorithm}-{label}", **(header or {})}
    payload = json.dumps(claims).encode()
    return jwt.PyJWS().encode(payload, private_key(algorithm, label), algorithm=algorithm, headers=headers)
