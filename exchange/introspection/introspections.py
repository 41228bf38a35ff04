"""The issuers that a process asks, each with its kept answers; nothing is shared but the limits."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from exchange.config.values import Introspection, KeySource, TrustedIssuer
from exchange.introspection.asked_issuer import AskedIssuer, AskLimits, Observer
from exchange.outbound import HttpAnswer, Question
from exchange.trust import KeyCache


class Asks(Protocol):
    """``exchange.outbound.Fetcher``."""

    def ask(
        self, question: Question, *, allow_insecure_http: bool, allow_private_network: bool, deadline: float
    ) -> HttpAnswer: ...


class _Unobserved:
    def introspection(self, issuer: str, result: str) -> None:
        """Pass it over."""

    def introspection_cache_hit(self, issuer: str) -> None:
        """Pass it over."""


unobserved: Observer = _Unobserved()
"""For where nobody counts."""


@dataclass(frozen=True, slots=True)
class _Settings:
    """All on which an answer may depend. While it is the same after a reload, the kept answers are good."""

    name: str
    issuer: str
    introspection: Introspection
    algorithms: frozenset[str]
    keys: KeySource


class Introspections:
    """``clock`` gives seconds since the epoch; ``jitter`` gives numbers in [0, 1)."""

    def __init__(
        self,
        fetcher: Asks,
        clock: Callable[[], float] = time.time,
        *,
        observer: Observer = unobserved,
        limits: AskLimits | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._observer = observer
        self._limits = limits or AskLimits()
        self._jitter = jitter
        self._asked: dict[_Settings, AskedIssuer] = {}
        self._lock = threading.Lock()

    def of_issuer(self, issuer: TrustedIssuer, keys: KeyCache) -> AskedIssuer:
        """Return how ``issuer`` is asked; ``keys`` verify signed answers.

        Raises ``ValueError`` for an issuer that is not asked.
        """
        settings = _settings(issuer)
        if settings is None:
            raise ValueError("the issuer is not asked")
        found = self._asked.get(settings)
        if found is not None:
            return found
        made = AskedIssuer(
            issuer,
            settings.introspection,
            keys,
            ask=self._fetcher.ask,
            clock=self._clock,
            observer=self._observer,
            limits=self._limits,
            jitter=self._jitter,
        )
        with self._lock:
            return self._asked.setdefault(settings, made)

    def retain(self, issuers: Iterable[TrustedIssuer]) -> None:
        """Forget the answers of every other issuer, and of those whose settings are no longer the same."""
        wanted = {_settings(issuer) for issuer in issuers}
        with self._lock:
            self._asked = {settings: asked for settings, asked in self._asked.items() if settings in wanted}


def _settings(issuer: TrustedIssuer) -> _Settings | None:
    if issuer.introspection is None:
        return None
    return _Settings(issuer.name, issuer.issuer, issuer.introspection, issuer.algorithms, issuer.keys)
