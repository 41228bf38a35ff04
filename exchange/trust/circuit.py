"""How often one source is asked: less and less while it fails, and not for every made-up ``kid``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

Clock = Callable[[], float]
"""Seconds since some epoch."""

UNKNOWN_KEY_COOL_DOWN_SECONDS: Final = 10.0
BACK_OFF_SECONDS: Final = 1.0
MAX_BACK_OFF_SECONDS: Final = 30.0


class Circuit:
    """The circuit of one source: closed, or open while it fails. Guarded by the lock of its cache.

    Open, it lets one fetch through whenever the back-off is over, and nobody should wait for that one.
    """

    def __init__(self, clock: Clock, jitter: Callable[[], float]) -> None:
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._back_off_until = -math.inf
        self._cool_down_until = -math.inf

    @property
    def open(self) -> bool:
        """Whether the last fetch failed."""
        return self._failures > 0

    @property
    def backs_off(self) -> bool:
        """Whether nothing may be fetched now."""
        return self._clock() < self._back_off_until

    @property
    def cools_down(self) -> bool:
        """Whether nothing may be fetched now for a key that is not there."""
        return self._clock() < self._cool_down_until

    @property
    def retry_after(self) -> int:
        """Whole seconds until something may be fetched, at least 1."""
        return _whole_seconds(self._back_off_until - self._clock())

    @property
    def retry_unknown_after(self) -> int | None:
        """Whole seconds until a key that is not there may be asked for; ``None`` when that is now."""
        return _whole_seconds(self._cool_down_until - self._clock()) if self.cools_down else None

    def begun_for_unknown_key(self) -> None:
        """Begin the cool-down.

        From here, and not from the last scheduled fetch: a rotation right after that one is seen at once.
        """
        self._cool_down_until = self._clock() + UNKNOWN_KEY_COOL_DOWN_SECONDS

    def failed(self, *, for_unknown_key: bool) -> None:
        """Back off: 1 s, and twice as long each time, up to 30 s."""
        self._failures += 1
        seconds = min(BACK_OFF_SECONDS * 2.0 ** min(self._failures - 1, 10), MAX_BACK_OFF_SECONDS)
        self._back_off_until = self._clock() + spread(seconds, self._jitter)
        if for_unknown_key:
            # The question was not answered. The back-off says when to ask again, and it only grows.
            self._cool_down_until = -math.inf

    def answered(self) -> None:
        """Close."""
        self._failures = 0
        self._back_off_until = -math.inf


def spread(seconds: float, jitter: Callable[[], float]) -> float:
    """Return ``seconds``, up to a tenth more or less: workers and machines must not all ask at once."""
    return seconds * (0.9 + 0.2 * jitter())


def _whole_seconds(seconds: float) -> int:
    return max(1, math.ceil(seconds)) if math.isfinite(seconds) else 1
