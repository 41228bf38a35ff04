"""The given tokens: what each was called, what it says of itself, and what it is taken for meanwhile.

What a token is taken for only chooses between profiles. Whether it is accepted is asked of the service's
validator, and a token that is not surely an access token must be refused by what is proposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from exchange.config.values import TrustedIssuer
from exchange.jose import MalformedJws, parse_unverified
from exchange.model import NO_CLAIMS, Claims, Secret, TokenKind
from exchange.tokens import signs
from exchange.tokens.classify import classify

_CLIENT_CLAIMS: Final = ("azp", "client_id", "cid", "appid")


class Meaning(StrEnum):
    ACCESS_TOKEN = "access token"
    ID_TOKEN = "ID token"
    OTHER = "token of another kind"
    UNKNOWN = "token of unknown kind"


@dataclass(frozen=True, slots=True)
class GivenToken:
    """``label`` says where it came from; ``said`` is what the operator called it, if anything."""

    label: str
    token: Secret
    said: Meaning | None = None


@dataclass(frozen=True, slots=True)
class ReadToken:
    """A given token taken apart. Nothing in it is verified."""

    given: GivenToken
    header: Claims = field(default_factory=lambda: NO_CLAIMS)
    claims: Claims = field(default_factory=lambda: NO_CLAIMS)
    unreadable: str | None = None
    """Why it is no signed JWT; ``None`` where it is one."""

    @property
    def label(self) -> str:
        return self.given.label

    @property
    def issuer(self) -> str | None:
        """``iss``, where it is a string."""
        iss = self.claims.get("iss")
        return iss if isinstance(iss, str) else None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a claim that is a string or a list of strings, such as ``aud``; others are empty."""
        value = self.claims.get(name)
        listed = value if isinstance(value, list) else [value]
        return tuple(item for item in listed if isinstance(item, str) and item)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a token is taken for, and by what."""

    meaning: Meaning
    why: str
    sure: bool
    """The token, or the operator, says so itself."""
    contradicted: bool = False
    """The operator said otherwise."""


_UNREADABLE: Final = {
    "malformed": "it is no well-formed signed JWT",
    "too_large": "it is larger than 16 KiB",
    "encrypted": "it is encrypted, and only its recipient can read it",
}
OPAQUE: Final = "it is opaque: its issuer alone knows what it says"


def read_token(given: GivenToken) -> ReadToken:
    """Return the token taken apart; raises nothing."""
    try:
        jws = parse_unverified(given.token)
    except MalformedJws as malformed:
        opaque = malformed.cause == "malformed" and "." not in given.token.reveal()
        return ReadToken(given, unreadable=OPAQUE if opaque else _UNREADABLE[malformed.cause])
    return ReadToken(given, jws.header, jws.claims)


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """The issuer under several profiles, as loaded: by these a token is taken for something."""

    strict: TrustedIssuer
    """Under ``rfc9068``."""
    of_the_product: tuple[TrustedIssuer, ...]
    """Under the profiles of the product whose issuer this is known to be."""
    others: tuple[TrustedIssuer, ...]
    """Under all other profiles with a sound marker."""


def take(token: ReadToken, by: Yardsticks) -> Taken:
    """Return what ``token`` is taken for: what it says itself comes before what the operator says."""
    own = _by_itself(token, by)
    said = token.given.said
    if said is None:
        return own or _by_looks(token, by)
    if own is None or own.meaning is said:
        return Taken(said, "you said so", sure=True)
    # An ID token that was called one stays one: nothing may be proposed that takes it.
    meaning = said if said is Meaning.ID_TOKEN else own.meaning
    return Taken(meaning, own.why, sure=True, contradicted=True)


def _by_itself(token: ReadToken, by: Yardsticks) -> Taken | None:
    strict = classify(token.header, token.claims, by.strict)
    if strict.kind is TokenKind.OTHER:
        return Taken(Meaning.OTHER, strict.evidence, sure=True)
    if strict.kind is TokenKind.ID_TOKEN and strict.evidence != signs.NONCE:
        return Taken(Meaning.ID_TOKEN, strict.evidence, sure=True)
    if strict.kind is TokenKind.ACCESS_TOKEN:
        return Taken(Meaning.ACCESS_TOKEN, strict.evidence, sure=True)
    if described := describes_itself(token.claims):
        return Taken(Meaning.ACCESS_TOKEN, f"claim {described} says so", sure=True)
    for issuer in by.of_the_product:
        found = classify(token.header, token.claims, issuer)
        if found.kind is TokenKind.ACCESS_TOKEN:
            return Taken(Meaning.ACCESS_TOKEN, found.evidence, sure=True)
    return None


def describes_itself(claims: Claims) -> str | None:
    """Return the claim in which a token says that it is an access token (``token_use`` …)."""
    for description in signs.SELF_DESCRIPTIONS:
        value = claims.get(description.claim)
        spelled = description.spelled.get(value.lower()) if isinstance(value, str) else None
        if spelled and spelled[0] is TokenKind.ACCESS_TOKEN:
            return description.claim
    return None


def _by_looks(token: ReadToken, by: Yardsticks) -> Taken:
    """A guess, which a proposal says is one. Looks prove nothing: many products break each of these rules."""
    if hint := looks_like_id_token(token):
        return Taken(Meaning.ID_TOKEN, hint, sure=False)
    for issuer in by.others:
        found = classify(token.header, token.claims, issuer)
        if found.kind is TokenKind.ACCESS_TOKEN:
            return Taken(Meaning.ACCESS_TOKEN, f"it meets the marker of {issuer.profile.name}", sure=False)
    return Taken(Meaning.UNKNOWN, "nothing in it says what it is", sure=False)


def looks_like_id_token(token: ReadToken) -> str | None:
    """Return what makes the token look like an ID token, though it may be none."""
    if signs.NONCE in token.claims:
        return "it has a nonce"
    clients = {client for name in _CLIENT_CLAIMS for client in token.texts(name)}
    audience = set(token.texts("aud"))
    return "aud is only the client" if audience and audience <= clients else None


def doubt(taken: Sequence[tuple[ReadToken, Taken]]) -> tuple[tuple[ReadToken, Taken], ...]:
    """Return ``taken`` with doubts about tokens that pass for access tokens among several, and were called
    nothing.

    An access token and an ID token were probably given. Where both pass for access tokens, one that looks
    like an ID token may be it: at this IdP the mark would prove nothing. Only the operator knows.
    """
    passing = [token for token, one in taken if one.meaning is Meaning.ACCESS_TOKEN]
    if len(passing) < 2:  # noqa: PLR2004
        return tuple(taken)
    return tuple((token, _doubted(token, one)) for token, one in taken)


def _doubted(token: ReadToken, one: Taken) -> Taken:
    hint = looks_like_id_token(token)
    if one.meaning is not Meaning.ACCESS_TOKEN or token.given.said is not None or hint is None:
        return one
    why = f"it passes for an access token ({one.why}), and looks like an ID token: {hint}"
    return Taken(Meaning.UNKNOWN, why, sure=False)


def distinguishing(access: Iterable[ReadToken], others: Iterable[ReadToken]) -> tuple[str, ...]:
    """Return the names of claims that every one of ``access`` has, and none of ``others``."""
    with_it = [set(token.claims) for token in access]
    without = set().union(*(token.claims for token in others))
    return tuple(sorted(set.intersection(*with_it) - without)) if with_it else ()


def seconds_left(claims: Mapping[str, object], now: float) -> int | None:
    """Return the seconds until ``exp``, negative when it is past; ``None`` without one."""
    expires_at = claims.get("exp")
    return expires_at - int(now) if isinstance(expires_at, int) else None
