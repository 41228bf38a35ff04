"""The keys that an IdP publishes, one by one: which of them the service uses, and why not the others."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from exchange.inspection.findings import MAX_LISTED, Finding, listed, note, ok, shown, wrong
from exchange.jose import MAX_KEYS, InvalidKeySet, KeySet
from exchange.strict_json import InvalidJson, parse_object

_ABOUT: Final = "keys"
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth")
_MIN_RSA_BITS: Final = 2048
_SHOWN: Final = ("kid", "kty", "crv", "use", "alg")


@dataclass(frozen=True, slots=True)
class KeySeen:
    """One member of a JWK Set; ``dropped`` says why the service leaves it out."""

    members: Mapping[str, str]
    """Those of ``_SHOWN`` that are strings. Nothing that could be secret is in here."""
    algorithms: tuple[str, ...]
    dropped: str | None
    secret: bool = False

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        parts: dict[str, object] = {**self.members, "algorithms": list(self.algorithms)}
        return parts | ({"dropped": self.dropped} if self.dropped else {})

    def __str__(self) -> str:
        members = ", ".join(f"{name} {value}" for name, value in self.members.items())
        return members or "a key without a description"


@dataclass(frozen=True, slots=True)
class KeysSeen:
    keys: tuple[KeySeen, ...]
    findings: tuple[Finding, ...]

    @property
    def algorithms(self) -> frozenset[str]:
        """Those that the usable keys fit."""
        return frozenset(name for key in self.keys for name in key.algorithms)


def look_at_keys(document: bytes) -> KeysSeen:
    """Look at each key of a JWK Set (RFC 7517 §5) that is published at ``jwks_uri``."""
    try:
        members = parse_object(document.decode("utf-8")).get("keys")
    except (InvalidJson, UnicodeDecodeError):
        members = None
    if not isinstance(members, list):
        text = "what is at jwks_uri is no JWK Set: a JSON object with an array `keys`"
        return KeysSeen((), (wrong(_ABOUT, "key_set_malformed", text),))
    if len(members) > MAX_KEYS:
        text = f"there are {len(members)} keys; a set of more than {MAX_KEYS} is refused as a whole"
        return KeysSeen((), (wrong(_ABOUT, "too_many_keys", text),))
    keys = tuple(_seen(member) for member in members)
    return KeysSeen(keys, tuple(_findings(keys)))


def _seen(member: object) -> KeySeen:
    """Whether it is used is asked of the very reader that serves requests; the reason is only words."""
    if not isinstance(member, dict):
        return KeySeen({}, (), "it is no JSON object")
    members = {name: shown(value) for name in _SHOWN if isinstance(value := member.get(name), str)}
    try:
        (key,) = KeySet.from_document(json.dumps({"keys": [member]}))
    except (InvalidKeySet, ValueError):
        return KeySeen(members, (), _why_not(member), secret=_is_secret(member))
    # Where the private part is published beside the public one, whoever reads it can sign.
    return KeySeen(members, tuple(sorted(key.algorithms)), None, secret=_is_secret(member))


def _is_secret(member: Mapping[str, Any]) -> bool:
    return member.get("kty") == "oct" or any(name in member for name in _PRIVATE)


def _why_not(member: Mapping[str, Any]) -> str:
    if member.get("kty") == "oct":
        return "it is symmetric: whoever verifies with it can also sign"
    if any(name in member for name in _PRIVATE):
        return "it is a private key"
    if member.get("use", "sig") != "sig" or "verify" not in member.get("key_ops", ["verify"]):
        return "it is not for signatures"
    if member.get("kty") == "RSA" and 0 < _bits(member.get("n")) < _MIN_RSA_BITS:
        return f"it is too small: {_bits(member.get('n'))} bits, and {_MIN_RSA_BITS} are the least"
    return "its type, curve, algorithm or numbers are none that are taken"


def _bits(number: object) -> int:
    if not isinstance(number, str):
        return 0
    try:
        data = base64.urlsafe_b64decode(number + "=" * (-len(number) % 4))
    except (binascii.Error, ValueError):
        return 0
    return int.from_bytes(data).bit_length()


def _findings(keys: tuple[KeySeen, ...]) -> Iterator[Finding]:
    usable = [key for key in keys if key.dropped is None]
    if usable:
        names = "; ".join(str(key) for key in usable[:MAX_LISTED])
        yield ok(_ABOUT, "keys_usable", f"{len(usable)} of {len(keys)} published keys can be used: {names}")
    else:
        text = f"{len(keys)} are published, and none can verify a signature here"
        yield wrong(_ABOUT, "no_usable_keys", text)
    for key in keys:
        if key.secret:
            text = f"a secret is published ({key}): replace that key at the IdP, for anybody can sign with it"
            yield wrong(_ABOUT, "secret_published", text)
        if key.dropped is not None:
            yield note(_ABOUT, "key_left_out", f"left out ({key}): {key.dropped}")
    yield from _about_names(usable)


def _about_names(usable: list[KeySeen]) -> Iterator[Finding]:
    if len(usable) > 1 and any("kid" not in key.members for key in usable):
        text = (
            "a key has no `kid`; where several keys fit, it is never chosen, and a rotation cannot overlap."
            " Have"
            " the IdP name its keys"
        )
        yield note(_ABOUT, "key_without_kid", text)
    named = Counter(
        (key.members["kid"], name) for key in usable if "kid" in key.members for name in key.algorithms
    )
    repeated = sorted({kid for (kid, _), count in named.items() if count > 1})
    if repeated:
        text = f"several keys are called {listed(repeated)}; only the first of each name is used"
        yield note(_ABOUT, "key_repeated", text)
