"""To whom the issued token is bound (RFC 7800 §3.1), and whether the targets want it bound."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exchange.errors import Refusal
from exchange.model import Claims, VerifiedToken
from exchange.policy.question import Question
from exchange.policy.trace import TraceRecorder

_KEY: Final = "jkt"
"""RFC 9449 §6.1."""
_CERTIFICATE: Final = "x5t#S256"
"""RFC 8705 §3.1."""
_SATISFIED_BY: Final = {
    "dpop": frozenset({_KEY}),
    "mtls": frozenset({_CERTIFICATE}),
    "any": frozenset({_KEY, _CERTIFICATE}),
}
"""One of these must be proved."""


def confirmation_of(question: Question, trace: TraceRecorder) -> Claims | None:
    """Return ``cnf`` of the issued token; ``None`` for a bearer token.

    It is bound to the key of a DPoP proof wherever there is one, to the certificate where a target wants
    that, and to all that the tokens of the request are bound to: a constraint is never dropped. Raises
    ``Refusal``: ``sender_constraint_required``, when what one of the targets wants is not proved.
    """
    wanted = {str(target.sender_constraint) for target in question.targets} - {"none"}
    proved = question.proof.as_confirmation()
    if not wanted and not proved and not _is_bound(question.subject) and not _is_bound(question.actor):
        return None
    held = all(not _SATISFIED_BY[constraint].isdisjoint(proved) for constraint in wanted)
    members = _members(question, wanted, proved)
    text = ", ".join(sorted(wanted)) or "none"
    compared = (("proved", frozenset(proved)), ("bound_to", frozenset(members)))
    trace.checked("sender_constraint", text, *compared, held=held)
    if not held:
        names = ", ".join(target.name for target in question.targets if target.sender_constraint != "none")
        raise Refusal("sender_constraint_required", detail=f"{names}: {text}")
    return MappingProxyType(members) if members else None


def _members(question: Question, wanted: set[str], proved: Mapping[str, str]) -> dict[str, object]:
    # A certificate alone binds nothing: it may only be how the request came here.
    certificate_wanted = "mtls" in wanted or ("any" in wanted and _KEY not in proved)
    members: dict[str, object] = {
        name: value for name, value in proved.items() if name == _KEY or certificate_wanted
    }
    for token in (question.subject, question.actor):
        if token is not None and token.confirmation is not None:
            members.update(token.confirmation)
    return members


def _is_bound(token: VerifiedToken | None) -> bool:
    return token is not None and token.confirmation is not None
