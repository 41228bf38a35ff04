"""Whether the IdP's clock and ours agree: a token of a clock that is ahead is not yet valid here."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

from exchange.inspection.findings import Finding, note, ok, wrong

ALLOWED_SKEW: Final = 30
"""Seconds: the default of ``clock_skew`` in ``server.yaml``."""
_ABOUT: Final = "clock"


def compare_clocks(date: str, *, now: float, skew: int) -> Finding:
    """Return what ``Date`` of an answer (RFC 9110 §6.6.1) says; ``now`` in epoch seconds."""
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):  # a stranger's text, and a year that no clock has
        theirs = None
    if theirs is None:
        return note(_ABOUT, "clock_unknown", "the IdP's answers say no time: give a fresh token to compare")
    ahead = theirs - now
    if abs(ahead) > skew:
        text = f"the IdP's is {_said(ahead)} ours, and {skew} s are allowed (`clock_skew`). Set both by NTP"
        return wrong(_ABOUT, "clock_off", text)
    return ok(
        _ABOUT, "clock_agrees", f"the IdP's clock agrees with ours within {max(1, round(abs(ahead)))} s"
    )


def _said(ahead: float) -> str:
    return f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}"


def clock_of_token_off(ahead: float, *, skew: int) -> Finding:
    """Say that a token was issued ``ahead`` seconds from now."""
    text = (
        f"a token says that it was issued {ahead:.0f} s from now, and {skew} s are allowed. Set both by NTP"
    )
    return wrong(_ABOUT, "clock_off", text)
