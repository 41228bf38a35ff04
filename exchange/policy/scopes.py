"""Which scopes the issued token gets: never beyond the rule, never beyond the subject token."""

from __future__ import annotations

from exchange.config.values import Rule, TargetService
from exchange.errors import Refusal
from exchange.model import TokenExchangeRequest, VerifiedToken
from exchange.policy.trace import TraceRecorder


def grant_scopes(
    rule: Rule,
    target: TargetService,
    request: TokenExchangeRequest,
    subject: VerifiedToken,
    trace: TraceRecorder,
) -> tuple[str, ...]:
    """Return the requested scopes, each once; without a request all that is granted, which may be none.

    Raises ``Refusal``: ``scope_not_permitted`` when one requested scope lies beyond the grant (RFC 6749 §3.3,
    RFC 8693 §2.2.2). A request is never cut down in silence to what would be allowed.
    """
    granted = tuple(
        grant.scope for grant in rule.scopes if grant.always or not grant.needs.isdisjoint(subject.scopes)
    )
    if request.scopes is None:
        trace.checked("scopes", "all that are granted", ("granted", granted), held=True)
        return granted
    requested = tuple(dict.fromkeys(request.scopes))
    beyond = [scope for scope in requested if scope not in granted]
    # Only names that the target has are written down; what else the caller sent may be a misplaced token.
    known = tuple(scope for scope in requested if scope in target.scopes)
    compared = (("granted", granted), ("requested", known), ("unknown", len(requested) - len(known)))
    trace.checked("scopes", "requested within granted", *compared, held=not beyond)
    if beyond:
        named = [scope for scope in beyond if scope in target.scopes]
        detail = f"rule {rule.id}: beyond the grant: {named}; unknown: {len(beyond) - len(named)}"
        raise Refusal("scope_not_permitted", detail=detail)
    return requested
