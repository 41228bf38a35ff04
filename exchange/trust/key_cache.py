"""One key cache for each source of keys, and nothing shared between them but the limits of the process."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from exchange.config.values import KeySource
from exchange.jose import InvalidKeySet, KeySet, PublicKey
from exchange.trust.circuit import Clock
from exchange.trust.discovery import Fetch
from exchange.trust.fetched_keys import FetchedKeys, KeysUnavailable, KeyUnknown, Observe
from exchange.trust.flight import FetchLimits, seconds_until
from exchange.trust.key_watch import KeyWatch, Unwatched

__all__ = ["FetchLimits", "KeyCache", "KeyCaches", "KeyUnknown", "KeysUnavailable", "prefetch_all"]


class KeyCache(Protocol):
    """Where the validators look keys up."""

    def find(self, key_id: str | None, algorithm: str) -> PublicKey:
        """Return the key for ``kid`` and ``alg``. Raises ``KeyUnknown`` or ``KeysUnavailable``."""

    def find_newer(self, key_id: str | None, algorithm: str, than: PublicKey) -> PublicKey | None:
        """Return the key that is now where ``than`` was found; ``None`` when that is still the one.

        For a signature that ``than`` does not verify: some issuers put a new key under the old ``kid``, or
        sign without one. The issuer is asked no more often than for a ``kid`` that is not there.
        """

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

    def find_newer(self, key_id: str | None, algorithm: str, than: PublicKey) -> PublicKey | None:  # noqa: ARG002
        """There is none: only a change of the policies changes them."""
        return None

    def prefetch(self) -> None:
        return


def since_boot() -> float:
    """Return seconds that never jump, and that pass while the machine sleeps, where the system counts those.

    The clock of Linux that Python calls monotonic stands still meanwhile: withdrawn keys would be taken for
    fresh after a night with the lid closed.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class KeyCaches:
    """The key caches of a process, one for each source; equal sources share one, and nothing else is shared.

    ``clock`` gives seconds and decides ages; ``observe`` is told the outcome of each fetch, ``watch`` what
    else there is to count; ``jitter`` gives numbers in [0, 1).
    """

    def __init__(
        self,
        fetcher: Fetch,
        clock: Clock = since_boot,
        *,
        observe: Observe = lambda _label, _outcome: None,
        watch: KeyWatch | None = None,
        limits: FetchLimits | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._observe = observe
        self._watch = watch or Unwatched()
        self._limits = limits or FetchLimits()
        self._jitter = jitter
        self._caches: dict[KeySource, InlineKeys | FetchedKeys] = {}
        self._labels: Mapping[KeySource, str] = {}
        self._lock = threading.Lock()

    def for_source(self, source: KeySource, label: str = "client") -> KeyCache:
        """Return the cache of ``source``; ``label`` is what it is called where ``retain`` did not say."""
        found = self._caches.get(source)
        if found is not None:
            return found
        made = self._new_cache(source, self._labels.get(source, label))
        with self._lock:
            return self._caches.setdefault(source, made)

    def retain(self, labels: Mapping[KeySource, str]) -> None:
        """Keep the keys of these sources, under these labels, and forget those that nobody names any more.

        A request that is still under way on older policies may make one anew; the next call forgets it.
        """
        with self._lock:
            called = {cache.label for cache in self._caches.values() if isinstance(cache, FetchedKeys)}
            self._labels = dict(labels)
            self._caches = {source: cache for source, cache in self._caches.items() if source in labels}
            for source, cache in self._caches.items():
                if isinstance(cache, FetchedKeys):
                    cache.label = labels[source]
        for label in sorted(called.difference(labels.values())):
            self._watch.source_forgotten(label)

    def _new_cache(self, source: KeySource, label: str) -> InlineKeys | FetchedKeys:
        if source.document is not None:
            return InlineKeys(source.document)
        return FetchedKeys(
            source,
            label,
            fetch=self._fetcher,
            clock=self._clock,
            observe=self._observe,
            watch=self._watch,
            limits=self._limits,
            jitter=self._jitter,
        )


def prefetch_all(caches: Sequence[KeyCache], *, threads: int, wait_seconds: float = 0.0) -> None:
    """Fetch the keys of all ``caches`` in the background, ``threads`` at a time, in an order of chance.

    All workers of all machines begin at the same moment: in one order, they would ask each IdP together.
    Returns when that is done, or after ``wait_seconds``.
    """
    ahead = iter(random.sample(caches, len(caches)))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                cache = next(ahead, None)
            if cache is None:
                return
            cache.prefetch()

    at_work = []
    for _ in range(min(threads, len(caches))):
        with contextlib.suppress(RuntimeError):  # no more threads to be had: the first request will fetch
            thread = threading.Thread(target=work, name="key-prefetch", daemon=True)
            thread.start()
            at_work.append(thread)
    give_up = time.monotonic() + wait_seconds
    for thread in at_work:
        thread.join(seconds_until(give_up))
