"""The answers of one issuer that may be used again, bounded in number, bytes and time. Not thread-safe."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from exchange.introspection.answer import Answer

MAX_ANSWERS: Final = 10_000
MAX_BYTES_OF_ANSWERS: Final = 4 * 1024 * 1024
"""Of answers as they came: ten thousand of some 400 bytes."""


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Answer
    until: float
    size: int


class KeptAnswers:
    """By the SHA-256 of the token, least recently used first; times are of one clock of the caller's."""

    def __init__(self, *, max_answers: int = MAX_ANSWERS, max_bytes: int = MAX_BYTES_OF_ANSWERS) -> None:
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._max_answers = max_answers
        self._max_bytes = max_bytes
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, digest: bytes, now: float) -> Answer | None:
        """Return the answer that is still good."""
        kept = self._kept.get(digest)
        if kept is None:
            return None
        if now >= kept.until:
            self._drop(digest)
            return None
        self._kept.move_to_end(digest)
        return kept.answer

    def put(self, digest: bytes, answer: Answer, until: float) -> None:
        """Keep ``answer``, and forget what has not been asked for the longest as far as room is needed."""
        self._drop(digest)
        size = answer.size + len(digest)
        self._kept[digest] = _Kept(answer, until, size)
        self._bytes += size
        while len(self._kept) > self._max_answers or self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, digest: bytes) -> None:
        dropped = self._kept.pop(digest, None)
        if dropped is not None:
            self._bytes -= dropped.size
