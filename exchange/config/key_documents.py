"""Where the keys of an issuer or client come from, and JWK Sets that ``policies/`` holds itself (RFC 7517).

Only the structure is checked here, when the policies are loaded: a private key in a file that is reviewed by
everybody, or a symmetric one that would let every reader mint tokens, must never go into service unnoticed.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from typing import Final

from exchange.config.directory import PolicyDirectory
from exchange.config.faults import YamlPath
from exchange.config.fields import AnyMapping, Flag, Name, StrictSchema
from exchange.config.policy_file import PolicyFile
from exchange.config.urls import check_url
from exchange.config.values import KeySource
from exchange.jose import SIGNATURE_USES, InvalidKeySet, KeySet
from exchange.strict_json import InvalidJson, parse_object

SOURCES: Final = ("discovery", "jwks_uri", "jwks_file", "jwks")
_PRIVATE_MEMBERS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_PUBLIC_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_CURVES: Final = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
_MIN_RSA_BYTES: Final = 256
_MAX_KEYS: Final = 100


class KeysSchema(StrictSchema):
    """``keys`` of an issuer: one of the four."""

    discovery = Flag()
    jwks_uri = Name()
    jwks_file = Name()
    jwks = AnyMapping()


def read_key_source(
    file: PolicyFile,
    path: YamlPath,
    keys: Mapping[str, object],
    directory: PolicyDirectory,
    *,
    issuer: str | None,
    flags: Mapping[str, object],
) -> KeySource | None:
    """Return where the keys come from; ``None`` when that became a fault of ``file``.

    ``issuer`` is what discovery starts from; ``None`` where there is none. ``flags`` may hold
    ``allow_insecure_http`` and ``allow_private_network``.
    """
    choices = [name for name in SOURCES if name in keys and (name != "discovery" or issuer is not None)]
    insecure = flags.get("allow_insecure_http") is True
    private = flags.get("allow_private_network") is True
    if len(choices) != 1:
        offered = SOURCES if issuer is not None else SOURCES[1:]
        file.fault(path, f"name exactly one of {', '.join(offered)}")
        return None
    chosen, value = choices[0], keys[choices[0]]
    if chosen == "discovery":
        if value is not True:
            file.fault((*path, "discovery"), "write true, or name jwks_uri, jwks_file or jwks instead")
        return KeySource(discovery=issuer, allow_insecure_http=insecure, allow_private_network=private)
    if chosen == "jwks_uri":
        try:
            check_url(str(value), allow_insecure_http=insecure, allow_query=True)
        except ValueError as error:
            file.fault((*path, "jwks_uri"), str(error))
        return KeySource(jwks_uri=str(value), allow_insecure_http=insecure, allow_private_network=private)
    if chosen == "jwks_file":
        return _read_key_file(file, (*path, "jwks_file"), str(value), directory)
    return _read_inline(file, (*path, "jwks"), value)


def _read_key_file(
    file: PolicyFile, path: YamlPath, name: str, directory: PolicyDirectory
) -> KeySource | None:
    try:
        content = directory.key_file(name)
        document = parse_object(content.decode("utf-8"))
    except (InvalidJson, UnicodeDecodeError):
        file.fault(path, 'the file is not a JWK Set; write JSON such as {"keys": [...]}')
        return None
    except ValueError as error:
        file.fault(path, str(error))
        return None
    for index, message in _faults_of(document):
        file.fault(path, message if index is None else f"keys[{index}]: {message}")
    return KeySource(document=json.dumps(document))


def _read_inline(file: PolicyFile, path: YamlPath, document: object) -> KeySource | None:
    if not isinstance(document, Mapping):
        return None
    for index, message in _faults_of(document):
        file.fault(path if index is None else (*path, "keys", index), message)
    return KeySource(document=json.dumps(document))


def _faults_of(document: Mapping[str, object]) -> Iterator[tuple[int | None, str]]:
    """Yield what is wrong with a JWK Set, and with which of its keys; ``None`` is the whole."""
    keys = document.get("keys")
    if not isinstance(keys, list) or not keys:
        yield None, "write a JWK Set with at least one key: {keys: [...]}"
        return
    if len(keys) > _MAX_KEYS:
        yield None, f"write at most {_MAX_KEYS} keys"
        return
    messages = [(index, message) for index, key in enumerate(keys) if (message := _fault_of_key(key))]
    yield from messages
    if all(isinstance(key, Mapping) and not _is_for_signatures(key) for key in keys):
        yield None, "no key here is for signatures; add one whose `use` is sig"
    elif not messages and not _has_usable_key(document):
        yield None, "no key here can verify a signature; check alg, crv and the numbers of each key"


def _is_for_signatures(key: Mapping[str, object]) -> bool:
    use = key.get("use", "sig")
    return isinstance(use, str) and use in SIGNATURE_USES


def _has_usable_key(document: Mapping[str, object]) -> bool:
    # Asked of the very reader that serves requests: a set that it cannot use would refuse every token.
    try:
        return len(KeySet.from_document(json.dumps(document))) > 0
    except (InvalidKeySet, TypeError, ValueError):
        return False


def _fault_of_key(key: object) -> str | None:
    """Return what is wrong with one key, never echoing a member of it."""
    if not isinstance(key, Mapping):
        return "write a JWK, a mapping with kty"
    if key.get("kty") == "oct":
        return "a symmetric key; whoever holds it can mint tokens: use public keys, and replace this one"
    if any(member in key for member in _PRIVATE_MEMBERS):
        return "a private key; write its public part alone, and replace the key, for it was disclosed"
    kty = key.get("kty")
    if not isinstance(kty, str) or kty not in _PUBLIC_MEMBERS:
        return "write a public key whose kty is RSA, EC or OKP"
    return _fault_of_public_key(kty, key)


def _fault_of_public_key(kty: str, key: Mapping[str, object]) -> str | None:
    members = {name: key.get(name) for name in _PUBLIC_MEMBERS[kty]}
    if not all(isinstance(member, str) and member for member in members.values()):
        return f"a {kty} key has {', '.join(members)}, each a string"
    if not _is_for_signatures(key):
        return None  # an encryption key in a set that was copied from an issuer: it is passed over
    if kty == "RSA" and _size(str(members["n"])) < _MIN_RSA_BYTES:
        return "use an RSA key of at least 2048 bits"
    if kty in _CURVES and members["crv"] not in _CURVES[kty]:
        return f"use a curve among {', '.join(_CURVES[kty])}"
    return None


def _size(number: str) -> int:
    """Return the bytes of a base64url number without leading zeros; 0 when it is none."""
    try:
        return len(urlsafe_b64decode(number + "=" * (-len(number) % 4)).lstrip(b"\x00"))
    except (binascii.Error, ValueError):
        return 0
