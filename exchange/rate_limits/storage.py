"""What ``limits`` asks of a storage, asked of our store, so that all workers share one count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from limits.storage import Storage

from exchange.stores import Count, Store, StoreUnavailable

_NAMESPACE: Final = "rate_limit"


class StoreStorage(Storage):
    """The counts of windows of ``seconds``. Raises ``StoreUnavailable``, as it is."""

    STORAGE_SCHEME = None  # not to be found by an address: it is made here alone

    def __init__(self, store: Store, *, seconds: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._store = store
        self._seconds = seconds
        self._clock = clock

    @property
    def base_exceptions(self) -> type[Exception]:
        return StoreUnavailable

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:  # noqa: ARG002  # it is of this window
        return self._increment(key, amount).value

    def get(self, key: str) -> int:
        return self.count(key).value

    def get_expiry(self, key: str) -> float:
        return self._clock() + self.count(key).seconds_left

    def count(self, key: str) -> Count:
        """Return how often ``key`` was counted in its window, and how long that still runs."""
        return self._increment(key, 0)

    def check(self) -> bool:
        self._store.check()
        return True

    def reset(self) -> None:
        """Nobody forgets the counts of everybody."""
        raise NotImplementedError

    def clear(self, key: str) -> None:
        """Nobody forgets a count."""
        raise NotImplementedError

    def _increment(self, key: str, amount: int) -> Count:
        return self._store.increment(_NAMESPACE, (key,), amount, self._seconds)
