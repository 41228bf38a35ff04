"""What a token *is*: decided by what it carries and how its issuer marks access tokens, never by its label.

The order is part of the rule. Whatever describes another kind refuses, whatever else the token carries; only
then does a marker of the issuer's profile count, and what no marker proves is refused. Looks prove nothing:
many ID tokens carry no sign of it (no ``nonce``, no hash), and many access tokens carry ``azp``,
``auth_time`` and profile claims.

Why, product by product: ``docs/adr/0030-kind-by-positive-proof.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exchange.config.values import MarkerAlternative, TrustedIssuer
from exchange.model import Claims, TokenKind
from exchange.tokens import signs

_TYPE = "typ"


@dataclass(frozen=True, slots=True)
class Classification:
    """The kind, and what showed it: a stable slug that quotes nothing but words of the tables."""

    kind: TokenKind
    evidence: str
    marker: str | None = None
    """The label of the marker alternative that held; ``None`` unless the token is what its issuer makes."""


def classify(header: Claims, claims: Claims, issuer: TrustedIssuer) -> Classification:
    """Return what kind of token this is, for this issuer (RFC 8725 §3.11 and §3.12, RFC 9068 §4).

    Pure. ``header`` and ``claims`` are those of a verified signature. Never raises, whatever they hold.
    """
    declared = normalised_type(header)
    return (
        _by_header_type(declared)
        or _by_self_description(claims)
        or _by_structure(claims, issuer)
        or _by_hash(claims)
        or _PROOFS[issuer.kind](header, declared, claims, issuer)
    )


def normalised_type(header: Claims) -> str | None:
    """Return the header's ``typ`` as RFC 7515 §4.1.9 compares it: lower case, without ``application/``.

    ``None`` when it is absent. What is no string gives the empty string, which is an unknown type.
    """
    if _TYPE not in header:
        return None
    declared = header[_TYPE]
    return declared.lower().removeprefix("application/") if isinstance(declared, str) else ""


def _by_header_type(declared: str | None) -> Classification | None:
    """Step 1. An explicit type that is unknown never falls through to "some JWT" (RFC 8725 §3.11)."""
    if declared is None or declared in signs.UNINFORMATIVE_TYPES or declared == signs.ACCESS_TOKEN_TYPE:
        return None
    # Riot Sign On and rodauth send id_token+jwt; dpop+id_token was seen.
    if "id_token" in declared or declared == "id+jwt":
        return Classification(TokenKind.ID_TOKEN, "header.typ=id_token")
    known = declared in signs.OTHER_TYPES
    return Classification(TokenKind.OTHER, f"header.typ={declared}" if known else "header.typ unknown")


def _by_self_description(claims: Claims) -> Classification | None:
    """Step 2. A token that says it is no access token is none; one that says both is none either."""
    found = tuple(_self_descriptions(claims))
    id_token = next((item for item in found if item.kind is TokenKind.ID_TOKEN), None)
    access_token = next((item for item in found if item.kind is TokenKind.ACCESS_TOKEN), None)
    if id_token and access_token:
        evidence = f"contradiction {access_token.evidence} {id_token.evidence}"
        return Classification(TokenKind.OTHER, evidence)
    return id_token or next((item for item in found if item.kind is TokenKind.OTHER), None)


def _self_descriptions(claims: Claims) -> Iterator[Classification]:
    for description in signs.SELF_DESCRIPTIONS:
        if description.claim in claims:
            yield from _described_by(description, claims[description.claim])
    token_id = claims.get("jti")
    if isinstance(token_id, str) and token_id.lower().startswith(signs.ID_TOKEN_JTI_PREFIX):
        yield Classification(TokenKind.ID_TOKEN, "claim.jti=ID.")


def _described_by(description: signs.SelfDescription, value: object) -> Iterator[Classification]:
    """A list can only refuse: ``typ: ["ID"]`` still does, and ``typ: ["Bearer"]`` says nothing."""
    name = f"claim.{description.claim}"
    unknown = (TokenKind.OTHER, "") if description.exhaustive else None
    for text in _strings(value):
        described = description.spelled.get(text.strip().lower(), unknown)
        if described is None or (described[0] is TokenKind.ACCESS_TOKEN and not isinstance(value, str)):
            continue
        kind, spelling = described
        yield Classification(kind, f"{name}={spelling}" if spelling else f"{name} unknown")
    if description.exhaustive and not isinstance(value, str):
        yield Classification(TokenKind.OTHER, f"{name} unknown")


def _strings(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, (list, tuple)) else ()


def _by_structure(claims: Claims, issuer: TrustedIssuer) -> Classification | None:
    """Step 3. Other kinds that the same keys sign, some of which fill every claim of RFC 9068."""
    for tell in signs.TELLS:
        if tell.kind == signs.WORKLOAD and issuer.kind == "workload":
            continue  # what refuses an access token is what is asked for here
        if tell.found(claims):
            return Classification(TokenKind.OTHER, tell.evidence)
    return None


def _by_hash(claims: Claims) -> Classification | None:
    """Step 4. Even under ``at+jwt``: some servers stamp that on everything they sign."""
    for name in signs.HASH_CLAIMS:
        if name in claims:
            return Classification(TokenKind.ID_TOKEN, f"claim.{name}")
    return None


def _by_marker(header: Claims, declared: str | None, claims: Claims, issuer: TrustedIssuer) -> Classification:
    """Step 5. The positive proof. A ``nonce`` overrules all but ``at+jwt``, unless it is tolerated."""
    shown = header if declared is None else {**header, _TYPE: declared}
    held = [alternative for alternative in issuer.marker if _holds(alternative, shown, claims)]
    if declared == signs.ACCESS_TOKEN_TYPE:
        for alternative in held:
            if any(condition.path.text == _TYPE for condition in alternative.header):
                return Classification(TokenKind.ACCESS_TOKEN, "header.typ=at+jwt", alternative.label)
    if signs.NONCE in claims and signs.NONCE not in issuer.tolerate:
        kind = TokenKind.UNPROVEN if declared == signs.ACCESS_TOKEN_TYPE else TokenKind.ID_TOKEN
        return Classification(kind, "nonce")
    if held:
        return Classification(TokenKind.ACCESS_TOKEN, f"marker {held[0].label}", held[0].label)
    return Classification(TokenKind.UNPROVEN, "unproven")


def _by_workload_marker(
    header: Claims, declared: str | None, claims: Claims, issuer: TrustedIssuer
) -> Classification:
    """Step 5 for workload tokens. GitLab signs its users' ID tokens with the keys of its jobs' tokens.

    Neither ``at+jwt`` nor a claim that says access token makes one of it: a workload's issuer issues none.
    """
    if declared == signs.ACCESS_TOKEN_TYPE:
        return Classification(TokenKind.OTHER, f"header.typ={declared}")
    if described := next(_self_descriptions(claims), None):  # all others were refused in step 2
        return Classification(TokenKind.OTHER, described.evidence)
    for name in signs.LOGIN_CLAIMS:
        if name in claims:
            return Classification(TokenKind.ID_TOKEN, f"claim.{name}")
    for alternative in issuer.marker:
        if _holds(alternative, header, claims):
            return Classification(TokenKind.WORKLOAD, f"marker {alternative.label}", alternative.label)
    return Classification(TokenKind.UNPROVEN, "unproven")


_PROOFS: Final = {"access_token": _by_marker, "workload": _by_workload_marker}
"""By the ``kind`` of the issuer."""


def _holds(alternative: MarkerAlternative, header: Claims, claims: Claims) -> bool:
    """An alternative without a condition would hold for everything; the loader refuses it, and this does."""
    conditions_met = all(condition.holds(header) for condition in alternative.header) and all(
        condition.holds(claims) for condition in alternative.claims
    )
    return conditions_met and bool(alternative.header or alternative.claims)
