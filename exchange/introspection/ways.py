"""Which question is put to an issuer, and how its answer is read: one row for each way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exchange.config.values import Introspection, TrustedIssuer
from exchange.introspection import github, google, rfc7662
from exchange.introspection.answer import Answer
from exchange.model import Secret
from exchange.outbound import HttpAnswer, Question
from exchange.trust import KeyCache


@dataclass(frozen=True, slots=True)
class Way:
    """Both halves of one way. ``read`` gets the time last, and raises ``AnswerRefused``."""

    question: Callable[[Introspection, Secret], Question]
    read: Callable[[HttpAnswer, TrustedIssuer, Introspection, KeyCache, float], Answer]


WAYS: Final[Mapping[str, Way]] = MappingProxyType(
    {
        "rfc7662": Way(
            rfc7662.question, lambda http, issuer, _asked, keys, now: rfc7662.read(http, issuer, keys, now)
        ),
        "google-tokeninfo": Way(
            google.question, lambda http, _issuer, _asked, _keys, now: google.read(http, now)
        ),
        "github": Way(
            github.question, lambda http, _issuer, asked, _keys, now: github.read(http, asked, now)
        ),
    }
)
