"""What an issuer's file and a profile have in common: how access tokens look, and what is where in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from marshmallow import ValidationError

from exchange.claim_path import ClaimPath
from exchange.config.claim_fields import ClaimName, ClaimNames, Conditions
from exchange.config.fields import (
    ASYMMETRIC_ALGORITHMS,
    Algorithms,
    Choice,
    Field,
    Names,
    Section,
    StrictSchema,
)
from exchange.config.values import MarkerAlternative
from exchange.matchers import Condition

TOLERABLE_HINTS: Final = ("nonce",)
"""ID-token hints that products are known to put into access tokens; every other sign refuses all the same."""


class _AlternativeSchema(StrictSchema):
    header = Conditions()
    claims = Conditions()


_ALTERNATIVE = _AlternativeSchema()


class Markers(Field):
    """The alternatives of a marker. Read as a tuple of ``MarkerAlternative`` without labels."""

    def read(self, value: object) -> tuple[MarkerAlternative, ...]:
        if not isinstance(value, list) or not value:
            raise ValidationError("list at least one alternative, each with `header` or `claims`")
        errors: dict[int, object] = {}
        alternatives = []
        for index, item in enumerate(value):
            try:
                alternatives.append(_read_alternative(item))
            except ValidationError as error:
                errors[index] = error.messages
        if errors:
            raise ValidationError(errors)
        return tuple(alternatives)


def _read_alternative(item: object) -> MarkerAlternative:
    loaded = _ALTERNATIVE.load(item)  # type: ignore[arg-type]  # a wrong type is reported like any fault
    header: tuple[Condition, ...] = loaded.get("header", ())
    claims: tuple[Condition, ...] = loaded.get("claims", ())
    # An ID token lacks most things too: what is absent proves nothing (token-shapes, step 5).
    if not any(condition.matcher.proves_presence for condition in (*header, *claims)):
        raise ValidationError(
            "a marker of absences alone proves nothing; add a condition on something that is present"
        )
    return MarkerAlternative(header, claims, label="")


class AccessTokenSchema(StrictSchema):
    marker = Markers(required=True)
    tolerate = Names("hint", among=TOLERABLE_HINTS)


class _ClaimSchema(StrictSchema):
    claim = ClaimNames(required=True)


class _SubjectSchema(_ClaimSchema):
    otherwise = ClaimName()


class IssuerShapeSchema(StrictSchema):
    """The keys that a profile may set and an issuer's file may replace."""

    algorithms = Algorithms("algorithm")
    access_token = Section(AccessTokenSchema)
    required_claims = ClaimNames()
    subject = Section(_SubjectSchema)
    subject_format = Choice("qualified", "plain")
    scope = Section(_ClaimSchema)
    client = Section(_ClaimSchema)
    audience_claim = ClaimName()


SHAPE_KEYS: Final = tuple(IssuerShapeSchema().fields)

SHAPE_DEFAULTS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "algorithms": ASYMMETRIC_ALGORITHMS,
        "required_claims": tuple(ClaimPath(name) for name in ("sub", "iat", "exp")),
        "subject": {"claim": (ClaimPath("sub"),)},
        "subject_format": "qualified",
        "scope": {"claim": (ClaimPath("scope"),)},
        "client": {"claim": (ClaimPath("client_id"),)},
        "audience_claim": ClaimPath("aud"),
    }
)
"""For what neither a profile nor a file says: the claims of RFC 9068 §2.2."""


def labelled(alternatives: Iterable[MarkerAlternative], origin: str) -> tuple[MarkerAlternative, ...]:
    """Return the alternatives with the labels that audit and ``explain`` show: ``keycloak[0]``."""
    return tuple(
        MarkerAlternative(alternative.header, alternative.claims, f"{origin}[{index}]")
        for index, alternative in enumerate(alternatives)
    )
