"""What becomes of a token once it is known what it is: taken, or refused with what its sender must hear."""

from __future__ import annotations

from typing import Final

from exchange.config.values import MarkerAlternative, TrustedIssuer
from exchange.errors import token_refusal
from exchange.model import Role, TokenKind, TokenTypeIdentifier
from exchange.tokens.classify import Classification

DECLARED_AS_ACCESS_TOKEN: Final = (
    "The {role}_token is a workload identity token; send it with {role}_token_type"
    " urn:ietf:params:oauth:token-type:jwt."
)
_REFUSED: Final = {
    TokenKind.ACCESS_TOKEN: "is_other_kind",
    TokenKind.WORKLOAD: "is_other_kind",
    TokenKind.ID_TOKEN: "is_id_token",
    TokenKind.OTHER: "is_other_kind",
    TokenKind.UNPROVEN: "kind_unproven",
}
_MAKES: Final = {"access_token": TokenKind.ACCESS_TOKEN, "workload": TokenKind.WORKLOAD}


def require_kind(
    classification: Classification, issuer: TrustedIssuer, role: Role, declared: TokenTypeIdentifier
) -> None:
    """Raise ``Refusal`` unless the token is what its issuer makes, and is not called something else.

    RFC 8725 §3.12: what was issued as another kind is never taken for this one. ``…_is_id_token``,
    ``…_is_other_kind``, ``…_kind_unproven``. A workload token is about no person and carries no grant, so
    whoever sends it must know that it is no access token (RFC 8693 §3).
    """
    if classification.kind is not _MAKES[issuer.kind]:
        raise token_refusal(role, _REFUSED[classification.kind], detail=_evidence(classification, issuer))
    if issuer.kind == "workload" and declared is not TokenTypeIdentifier.JWT:
        raise token_refusal(
            role,
            "is_other_kind",
            description=DECLARED_AS_ACCESS_TOKEN.format(role=role),
            detail=f"a workload token of issuer {issuer.name}, declared as an access token",
        )


def _evidence(classification: Classification, issuer: TrustedIssuer) -> str:
    made = "Workload" if issuer.kind == "workload" else "Access"
    markers = "; or ".join(_readable(alternative) for alternative in issuer.marker)
    return (
        f"evidence: {classification.evidence}. {made} tokens of issuer {issuer.name} (profile"
        f" {issuer.profile.name}) are marked by {markers}. {issuer.profile.advice}"
    )


def _readable(alternative: MarkerAlternative) -> str:
    headers = (f"header {condition}" for condition in alternative.header)
    return " and ".join((*headers, *(f"claim {condition}" for condition in alternative.claims)))
