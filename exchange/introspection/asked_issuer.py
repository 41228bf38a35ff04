"""One issuer that is asked: once for each token at a time, by few threads, and not while it is out of order.

::

    kept answer ──▶ used at once
    none ──▶ a question in a thread of its own; everybody who has the same token waits for that one
             wait: a short grace for all, then 2 requests for this issuer and 4 for all of them
    3 outages in a row ──▶ 503 at once for 1 s … 30 s ──▶ one question tries ──▶ closed again, or longer
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from exchange.config.values import Introspection, TrustedIssuer
from exchange.introspection.answer import Answer, AnswerRefused
from exchange.introspection.kept_answers import KeptAnswers
from exchange.introspection.ways import WAYS
from exchange.model import Secret
from exchange.outbound import FetchFailed, HttpAnswer, Question
from exchange.trust import KeyCache

ANSWER_SECONDS: Final = 5.0
"""For one question, from the name to the last byte, and for whoever waits for it."""
ANSWER_GRACE_SECONDS: Final = 0.5
"""From the start of a question anybody may wait so long: a healthy issuer answers within it."""
MAX_WAITING_FOR_AN_ISSUER: Final = 2
MAX_WAITING_FOR_ANSWERS: Final = 4
MAX_QUESTIONS_PER_ISSUER: Final = 8
MAX_QUESTIONS: Final = 32
"""Threads that ask at once, per process."""
OUTAGES_TO_OPEN: Final = 3
"""In a row. One alone may be the doing of one token, and must not stop all the others."""
OUT_OF_ORDER_SECONDS: Final = 1.0
MAX_OUT_OF_ORDER_SECONDS: Final = 30.0


class Ask(Protocol):
    """``exchange.outbound.Fetcher.ask``."""

    def __call__(
        self, question: Question, *, allow_insecure_http: bool, allow_private_network: bool, deadline: float
    ) -> HttpAnswer: ...


class Observer(Protocol):
    """Is told of each question that was put, and of each that need not be."""

    def introspection(self, issuer: str, result: str) -> None:
        """``active``, ``inactive``, or the slug of why there was no answer."""

    def introspection_cache_hit(self, issuer: str) -> None: ...


class IntrospectionUnavailable(Exception):  # noqa: N818  # an outcome to be handled, not a defect
    """It cannot be asked now. ``cause`` is a slug; ``retry_after`` is in whole seconds, at least 1."""

    def __init__(self, cause: str, retry_after: int = 1) -> None:
        super().__init__(cause)
        self.cause = cause
        self.retry_after = retry_after


class AskLimits:
    """What all issuers of a process share: how many threads ask, and how many requests wait for them."""

    def __init__(
        self,
        *,
        max_questions: int = MAX_QUESTIONS,
        max_questions_per_issuer: int = MAX_QUESTIONS_PER_ISSUER,
        max_waiting: int = MAX_WAITING_FOR_ANSWERS,
        max_waiting_per_issuer: int = MAX_WAITING_FOR_AN_ISSUER,
        grace: float = ANSWER_GRACE_SECONDS,
    ) -> None:
        self.questions = threading.BoundedSemaphore(max_questions)
        self.waiting = threading.BoundedSemaphore(max_waiting)
        self.max_questions_per_issuer = max_questions_per_issuer
        self.max_waiting_per_issuer = max_waiting_per_issuer
        self.grace = grace


@dataclass(slots=True)
class _Flight:
    """One question under way, and what its waiters wait for."""

    token: Secret
    started: float
    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    cause: str = "timeout"


class AskedIssuer:
    """Safe to share between threads, but not across ``fork`` during a question."""

    def __init__(
        self,
        issuer: TrustedIssuer,
        introspection: Introspection,
        keys: KeyCache,
        *,
        ask: Ask,
        clock: Callable[[], float],
        observer: Observer,
        limits: AskLimits,
        jitter: Callable[[], float],
    ) -> None:
        self._issuer = issuer
        self._introspection = introspection
        self._keys = keys
        self._ask = ask
        self._clock = clock
        self._observer = observer
        self._limits = limits
        self._jitter = jitter
        self._waiting = threading.BoundedSemaphore(limits.max_waiting_per_issuer)
        # Below: guarded by the lock, which is never held while anything is waited for.
        self._lock = threading.Lock()
        self._kept = KeptAnswers()
        self._flights: dict[bytes, _Flight] = {}
        self._outages = 0
        self._open_until = -math.inf

    def __call__(self, token: Secret) -> Answer:
        """Return what the issuer says of ``token``; raises ``IntrospectionUnavailable``."""
        digest = hashlib.sha256(token.reveal().encode()).digest()
        with self._lock:
            kept = self._kept.get(digest, time.monotonic())
            flight = (
                None if kept is not None else self._flights.get(digest) or self._new_flight(digest, token)
            )
        if kept is not None:
            self._observer.introspection_cache_hit(self._issuer.name)
            return kept
        assert flight is not None  # noqa: S101  # for the type checker
        if not self._wait(flight):
            raise IntrospectionUnavailable("slow")
        if flight.answer is None:
            raise IntrospectionUnavailable(flight.cause, self._retry_after())
        return flight.answer

    def _new_flight(self, digest: bytes, token: Secret) -> _Flight:
        now = time.monotonic()
        if now < self._open_until:
            raise IntrospectionUnavailable("out_of_order", math.ceil(self._open_until - now))
        trying_again = self._outages >= OUTAGES_TO_OPEN
        if len(self._flights) >= (1 if trying_again else self._limits.max_questions_per_issuer):
            raise IntrospectionUnavailable("busy")
        if not self._limits.questions.acquire(blocking=False):
            raise IntrospectionUnavailable("busy")
        flight = self._flights[digest] = _Flight(token, now)
        try:
            threading.Thread(
                target=self._run, args=(digest, flight), name="introspection", daemon=True
            ).start()
        except RuntimeError:  # no more threads to be had
            del self._flights[digest]
            self._limits.questions.release()
            raise IntrospectionUnavailable("busy") from None
        return flight

    def _run(self, digest: bytes, flight: _Flight) -> None:
        outage = False
        try:
            flight.answer = self._answer(flight)
            result = "active" if flight.answer.active else "inactive"
        except FetchFailed as failure:
            result, outage = failure.cause, True
        except AnswerRefused as refused:
            result, outage = refused.cause, refused.is_outage
        except Exception:  # noqa: BLE001  # a thread that dies would print a stranger's words, and never settle
            result = "internal_error"
        flight.cause = result
        with contextlib.suppress(Exception):
            self._observer.introspection(self._issuer.name, result)
        self._settle(digest, flight, outage=outage)

    def _answer(self, flight: _Flight) -> Answer:
        asked = self._introspection
        way = WAYS[asked.way]
        http = self._ask(
            way.question(asked, flight.token),
            allow_insecure_http=asked.allow_insecure_http,
            allow_private_network=asked.allow_private_network,
            deadline=flight.started + ANSWER_SECONDS,
        )
        return way.read(http, self._issuer, asked, self._keys, self._clock())

    def _settle(self, digest: bytes, flight: _Flight, *, outage: bool) -> None:
        with self._lock:
            if flight.answer is not None:
                seconds = self._good_for(flight.answer)
                if seconds > 0:
                    self._kept.put(digest, flight.answer, flight.started + seconds)
            self._outages = self._outages + 1 if outage else 0
            if self._outages >= OUTAGES_TO_OPEN:
                self._open_until = time.monotonic() + self._back_off()
            del self._flights[digest]
        self._limits.questions.release()
        flight.done.set()

    def _good_for(self, answer: Answer) -> float:
        """Never beyond ``exp``: an answer is not good for longer than the token that it is about."""
        expires_at = answer.claims.get("exp")
        if not answer.active or type(expires_at) is not int:
            return self._introspection.cache
        return min(self._introspection.cache, expires_at - self._clock())

    def _back_off(self) -> float:
        times = min(self._outages - OUTAGES_TO_OPEN, 10)
        seconds: float = min(OUT_OF_ORDER_SECONDS * 2.0**times, MAX_OUT_OF_ORDER_SECONDS)
        # Up to a tenth either way, so that workers and machines do not all ask at once.
        return seconds * (0.9 + 0.2 * self._jitter())

    def _wait(self, flight: _Flight) -> bool:
        """Return whether it ended in time. Beyond its grace only few may wait; the others give up."""
        if flight.done.wait(_seconds_until(flight.started + self._limits.grace)):
            return True
        with contextlib.ExitStack() as held:
            for places in (self._waiting, self._limits.waiting):
                if not places.acquire(blocking=False):
                    return flight.done.is_set()
                held.callback(places.release)
            return flight.done.wait(_seconds_until(flight.started + ANSWER_SECONDS))

    def _retry_after(self) -> int:
        with self._lock:
            seconds = self._open_until - time.monotonic()
        return max(1, math.ceil(seconds)) if math.isfinite(seconds) else 1


def _seconds_until(monotonic: float) -> float:
    return max(0.0, monotonic - time.monotonic())
