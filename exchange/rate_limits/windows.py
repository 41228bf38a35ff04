"""One limit: the windows of ``limits`` over our store, and a memory of who is shut out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from limits import (
    RateLimitItem,
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
    RateLimitItemPerSecond,
)
from limits.strategies import FixedWindowRateLimiter

from exchange.config.values import Rate
from exchange.errors import Refusal
from exchange.rate_limits.shut_out import ShutOut
from exchange.rate_limits.storage import StoreStorage
from exchange.stores import Store, StoreUnavailable

Clock = Callable[[], float]
"""Returns seconds since the epoch."""

_ITEMS: Final[Mapping[str, type[RateLimitItem]]] = MappingProxyType(
    {
        "s": RateLimitItemPerSecond,
        "m": RateLimitItemPerMinute,
        "h": RateLimitItemPerHour,
        "d": RateLimitItemPerDay,
    }
)


class Window:
    """So many of one kind, for each who: a window begins with the first and ends after its time.

    Within a window the count only grows, so whoever is beyond it stays so to its end. That is what makes
    ``Retry-After`` exact, and lets a worker refuse the same caller again without asking the store.
    """

    def __init__(self, name: str, rate: Rate, store: Store, clock: Clock) -> None:
        self._text = f"{name} {rate}"
        self._item = _ITEMS[rate.unit](rate.amount, namespace=name)
        self._storage = StoreStorage(store, seconds=self._item.get_expiry(), clock=clock)
        self._limiter = FixedWindowRateLimiter(self._storage)
        self._shut_out = ShutOut(clock)

    def __str__(self) -> str:
        """Such as ``per_client 600/m``: for the audit record."""
        return self._text

    def count(self, who: str) -> int:
        """Count one; return 0, or if that was too many the seconds until one more is not.

        Raises ``Refusal`` (``store_unavailable``).
        """
        return self._ask(who, self._limiter.hit)

    def seconds_remembered(self, who: str) -> int:
        """Return 0, or the seconds for which this worker knows without asking that ``who`` is beyond."""
        return math.ceil(self._shut_out.seconds_left(who))

    def seconds_until_open(self, who: str) -> int:
        """Return 0, or the seconds until one more would not be too many. Counts nothing.

        Raises ``Refusal`` (``store_unavailable``).
        """
        return self._ask(who, self._limiter.test)

    def _ask(self, who: str, question: Callable[[RateLimitItem, str], bool]) -> int:
        seconds = self._shut_out.seconds_left(who)
        if not seconds:
            try:
                if question(self._item, who):
                    return 0
                found = self._storage.count(self._item.key_for(who))
            except StoreUnavailable as unavailable:
                # Whoever can bring the store down must not be able to guess without end afterwards.
                raise Refusal(
                    "store_unavailable", detail=unavailable.cause, retry_after=unavailable.retry_after
                ) from None
            if found.value >= self._item.amount:  # else the window has just ended, and another one begun
                seconds = found.seconds_left
                self._shut_out.remember(who, seconds)
        return max(1, math.ceil(seconds))
