"""What becomes of keys and of the requests for them, in closed sets, for those who count it."""

from __future__ import annotations

from typing import Literal, Protocol

FetchCause = Literal["start", "needed", "refresh", "overdue", "unknown_key", "bad_signature"]
"""Why a fetch is begun.

``start``: ahead of the first request; ``needed``: there are no keys that may be used; ``refresh``: in the
background, before they are old; ``overdue``: they are; ``unknown_key``, ``bad_signature``: the issuer may
have rotated.
"""

LookupFailure = Literal["unknown", "cool_down", "source_failing", "gave_up_waiting", "too_many_fetches"]
"""Why a request goes without the key.

``unknown``: its issuer was asked and does not have it; ``cool_down``: not among the keys, and not asked for
again so soon; the others leave it open: no answer to be had, not in time, no thread to ask.
"""


class KeyWatch(Protocol):
    """Told by all caches of a process, from any thread. ``source`` is the label of a cache."""

    def fetch_begun(self, source: str, cause: FetchCause) -> None:
        """A fetch is begun."""

    def fetch_ended(self, source: str, *, fetched: bool) -> None:
        """A fetch brought keys, or the source is failing."""

    def lookup_failed(self, source: str, cause: LookupFailure) -> None:
        """A request goes without its key."""

    def source_forgotten(self, source: str) -> None:
        """No policy names this source any more."""


class Unwatched:
    """Nobody counts."""

    def fetch_begun(self, source: str, cause: FetchCause) -> None:
        """See ``KeyWatch``."""

    def fetch_ended(self, source: str, *, fetched: bool) -> None:
        """See ``KeyWatch``."""

    def lookup_failed(self, source: str, cause: LookupFailure) -> None:
        """See ``KeyWatch``."""

    def source_forgotten(self, source: str) -> None:
        """See ``KeyWatch``."""
