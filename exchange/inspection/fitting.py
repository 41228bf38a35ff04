"""Which profiles take the access tokens and refuse everything else, and which of them to propose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from exchange.config.profiles import DEFAULT_PROFILE
from exchange.config.values import MarkerAlternative
from exchange.inspection.bench import Bench, Verdict
from exchange.inspection.draft import Draft
from exchange.inspection.products import Product
from exchange.inspection.tokens import ReadToken, describes_itself
from exchange.model import TokenKind

_OF_ANY_VALUE: Final = frozenset({"type", "present"})
_MARKED_BY_NAME: Final = 3
"""The last rank at which the product, the token itself, or the specification says that the profile is
right.
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A profile that loads for this issuer."""

    name: str
    title: str
    weak: str | None
    has_pattern: bool
    draft: Draft
    bench: Bench


@dataclass(frozen=True, slots=True)
class Fit:
    """How the given tokens fare under one candidate."""

    candidate: Candidate
    refused: tuple[tuple[ReadToken, str], ...]
    """Access tokens that it does not take for such, each with the evidence."""
    let_in: tuple[tuple[ReadToken, str], ...]
    """Tokens that may be anything, ID tokens among them, and that it takes for access tokens."""
    verdicts: tuple[Verdict, ...]
    """Of the access tokens, each in its own time."""
    rank: int
    strictness: int

    @property
    def fits(self) -> bool:
        return not self.refused and not self.let_in

    @property
    def surely(self) -> bool:
        """Not by the marker alone: the product, the token itself or the specification says so, too."""
        return self.rank <= _MARKED_BY_NAME

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        return {
            "profile": self.candidate.name,
            "fits": self.fits,
            "lets_in": bool(self.let_in),
            "why": self.why(),
        }

    def why(self) -> str:
        """Return in words how the tokens fare."""
        let_in = [
            f"it would take {token.label} for an access token ({evidence})" for token, evidence in self.let_in
        ]
        refused = [f"it does not take {token.label} ({evidence})" for token, evidence in self.refused]
        if let_in or refused:
            return "; ".join((*let_in, *refused))
        verdict = next((one for one in self.verdicts if not one.accepted), None)
        return (
            f"but a token would be refused: {verdict.reason}"
            if verdict
            else "it takes what it should, and no more"
        )


def try_candidate(
    candidate: Candidate, access: Sequence[ReadToken], others: Iterable[ReadToken], product: Product
) -> Fit:
    """Return how the tokens fare; ``others`` are those that must not be taken for access tokens."""
    kinds = [(token, candidate.bench.kind(token)) for token in access]
    taken = [(token, candidate.bench.kind(token)) for token in others]
    return Fit(
        candidate,
        refused=tuple(
            (token, kind.evidence) for token, kind in kinds if kind.kind is not TokenKind.ACCESS_TOKEN
        ),
        let_in=tuple((token, kind.evidence) for token, kind in taken if kind.kind is TokenKind.ACCESS_TOKEN),
        verdicts=tuple(candidate.bench.validate_in_its_time(token) for token in access),
        rank=_rank(candidate, access, product),
        strictness=min((_strictness(candidate, token) for token in access), default=0),
    )


def best_fit(fits: Iterable[Fit]) -> Fit | None:
    """Return the one to propose; ``None`` where none fits.

    Of profiles that are equally likely those come first under which the token is not refused for something
    else, and then the one whose marker pins down the most.
    """
    return min((fit for fit in fits if fit.fits), key=_order, default=None)


def _order(fit: Fit) -> tuple[int, bool, int, str]:
    refused = any(not verdict.accepted for verdict in fit.verdicts)
    return (fit.rank, refused, -fit.strictness, fit.candidate.name)


def _rank(candidate: Candidate, access: Sequence[ReadToken], product: Product) -> int:
    """Strongest first: the specification, the product's own profile, a token that says what it is, a
    look-alike.
    """
    if candidate.name == DEFAULT_PROFILE:
        return 0
    if candidate.weak is not None:
        return 7 if candidate.name in product.known + product.supposed else 8
    if candidate.name in product.known:
        return 1
    if candidate.name in product.supposed:
        return 2
    if access and all(_says_so_itself(candidate, token) for token in access):
        return _MARKED_BY_NAME
    return 5 if candidate.has_pattern else 4


def _says_so_itself(candidate: Candidate, token: ReadToken) -> bool:
    held, claim = _held(candidate, token), describes_itself(token.claims)
    return held is not None and any(condition.path.text == claim for condition in held.claims)


def _held(candidate: Candidate, token: ReadToken) -> MarkerAlternative | None:
    label = candidate.bench.kind(token).marker
    return next((one for one in candidate.bench.issuer.marker if one.label == label), None)


def _strictness(candidate: Candidate, token: ReadToken) -> int:
    """How much of the token the marker pins down: a value of the product's own says more than a type."""
    held = _held(candidate, token)
    if held is None:
        return 0
    return sum(
        1 if condition.matcher.name in _OF_ANY_VALUE else 10 for condition in (*held.header, *held.claims)
    )
