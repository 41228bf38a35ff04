"""Who is refused until when, in the memory of one worker: a flood of them costs the store nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

MOST: Final = 10_000
"""Callers that are remembered; the first one goes for the next. Whoever is forgotten costs a store step."""


class ShutOut:
    """``clock`` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def seconds_left(self, who: str) -> float:
        """Return for how long ``who`` is still refused; 0 for not at all."""
        until = self._until.get(who)
        return 0.0 if until is None else max(0.0, until - self._clock())

    def remember(self, who: str, seconds: float) -> None:
        """Refuse ``who`` for ``seconds`` from now."""
        with self._lock:
            self._until.pop(who, None)
            if len(self._until) >= MOST:
                del self._until[next(iter(self._until))]
            self._until[who] = self._clock() + seconds
