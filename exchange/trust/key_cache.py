"""One key cache for each source of keys, and nothing shared between them but the limits of the process."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from exchange.config.values import KeySource
from exchange.jose import InvalidKeySet, KeySet, PublicKey
from exchange.trust.discovery import Fetch
from exchange.trust.fetched_keys import Clock, FetchedKeys, FetchLimits, KeysUnavailable, KeyUnknown, Observe

__all__ = ["FetchLimits", "KeyCache", "KeyCaches", "KeyUnknown", "KeysUnavailable", "prefetch_all"]


class KeyCache(Protocol):
    """Where the validators look keys up."""

    def find(self, key_id: str | None, algorithm: str) -> PublicKey:
        """Return the key for ``kid`` and ``alg``. Raises ``KeyUnknown`` or ``KeysUnavailable``."""

    def prefetch(self) -> None:
        """Fetch now unless there are keys already; waits for the outcome and raises nothing."""


class InlineKeys:
    """The keys that stand in the policies themselves: parsed once, never fetched."""

    def __init__(self, document: str) -> None:
        try:
            self._keys = KeySet.from_document(document)
        except InvalidKeySet:
            self._keys = KeySet(())  # no keys, no trust

    def find(self, key_id: str | None, algorithm: str) -> PublicKey:
        key = self._keys.find(key_id, algorithm)
        if key is None:
            raise KeyUnknown
        return key

    def prefetch(self) -> None:
        return


class KeyCaches:
    """The key caches of a process, one for each source; equal sources share one, and nothing else is shared.

    ``clock`` gives seconds and decides ages; ``observe`` is told the outcome of each fetch; ``jitter`` gives
    numbers in [0, 1).
    """

    def __init__(
        self,
        fetcher: Fetch,
        clock: Clock = time.monotonic,
        *,
        observe: Observe = lambda _label, _outcome: None,
        limits: FetchLimits | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._observe = observe
        self._limits = limits or FetchLimits()
        self._jitter = jitter
        self._caches: dict[KeySource, KeyCache] = {}
        self._lock = threading.Lock()

    def for_source(self, source: KeySource, label: str = "client") -> KeyCache:
        """Return the cache of ``source``; ``label``, of the first to ask, is what ``observe`` is told."""
        found = self._caches.get(source)
        if found is not None:
            return found
        made = self._new_cache(source, label)
        with self._lock:
            return self._caches.setdefault(source, made)

    def retain(self, sources: Collection[KeySource]) -> None:
        """Forget the keys of every other source: nobody names it any more.

        A request that is still under way on older policies may make one anew; the next call forgets it.
        """
        with self._lock:
            self._caches = {source: cache for source, cache in self._caches.items() if source in sources}

    def _new_cache(self, source: KeySource, label: str) -> KeyCache:
        if source.document is not None:
            return InlineKeys(source.document)
        return FetchedKeys(
            source,
            label,
            fetch=self._fetcher,
            clock=self._clock,
            observe=self._observe,
            limits=self._limits,
            jitter=self._jitter,
        )


def prefetch_all(caches: Iterator[KeyCache], *, threads: int) -> None:
    """Fetch the keys of all ``caches`` in the background, ``threads`` at a time."""
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                cache = next(caches, None)
            if cache is None:
                return
            cache.prefetch()

    for _ in range(threads):
        with contextlib.suppress(RuntimeError):  # no more threads to be had: the first request will fetch
            threading.Thread(target=work, name="key-prefetch", daemon=True).start()
