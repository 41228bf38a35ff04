"""Asking an issuer about a token that it alone can read (RFC 7662, RFC 9701, and two ways of products' own).

An answer says what the issuer says, and nothing here believes it: what a token is, and whom it is for, is
decided in ``exchange.tokens``. No answer is never "no": whoever cannot be asked now can be asked again.
"""

from __future__ import annotations

from exchange.introspection.answer import Answer
from exchange.introspection.asked_issuer import AskedIssuer, AskLimits, IntrospectionUnavailable, Observer
from exchange.introspection.introspections import Introspections, unobserved

__all__ = [
    "Answer",
    "AskLimits",
    "AskedIssuer",
    "IntrospectionUnavailable",
    "Introspections",
    "Observer",
    "unobserved",
]
