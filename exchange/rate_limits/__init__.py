"""How often is too often: requests and failures counted for all workers, a 429 for what is beyond."""

from __future__ import annotations

from exchange.rate_limits.limits import NO_LIMITS, Limits, limits_of

__all__ = ["NO_LIMITS", "Limits", "limits_of"]
