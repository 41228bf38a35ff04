"""One process that asks one issuer: its clock, its limits, and what it reported."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from exchange.config.values import Introspection, KeySource, TrustedIssuer
from exchange.introspection import AskedIssuer, AskLimits, Introspections, IntrospectionUnavailable
from exchange.model import Secret
from exchange.outbound import Fetcher
from exchange.trust import KeyCaches
from tests.support import keys
from tests.support.introspection import CLIENT_ID, SECRET
from tests.support.tokens import inline_keys, trusted_issuer

FETCHER = Fetcher()


def introspection(endpoint: str, **changes: Any) -> Introspection:
    settings: dict[str, Any] = {
        "way": "rfc7662",
        "endpoint": endpoint,
        "client_id": CLIENT_ID,
        "client_secret": Secret(SECRET),
        "authentication": "client_secret_basic",
        "cache": 30,
        "signed_response": False,
        "every_token": True,
        "jwt_types": frozenset(),
        "prefixes": (),
        "lifetime": None,
        "allow_insecure_http": True,
        "allow_private_network": False,
    }
    return Introspection(**(settings | changes))


def asked_issuer(
    endpoint: str, *, issuer: str = "https://login.partner.example", **changes: Any
) -> TrustedIssuer:
    asked = introspection(endpoint, **changes)
    trusted = trusted_issuer(name="partner", issuer=issuer, keys=partner_keys(), introspection=asked)
    return replace(trusted, answers=replace(trusted, introspection=None))


def partner_keys() -> KeySource:
    return inline_keys(keys.public_jwk("ES256", "partner"))


class Bench:
    def __init__(self, now: Callable[[], float], **limits: Any) -> None:
        self.results: list[str] = []
        self.hits = 0
        self.introspections = Introspections(
            FETCHER, now, observer=self, limits=AskLimits(**limits), jitter=lambda: 0.5
        )

    def introspection(self, issuer: str, result: str) -> None:
        assert issuer == "partner"
        self.results.append(result)

    def introspection_cache_hit(self, issuer: str) -> None:
        assert issuer == "partner"
        self.hits += 1

    def asked(self, issuer: TrustedIssuer) -> AskedIssuer:
        return self.introspections.of_issuer(issuer, KeyCaches(FETCHER).for_source(issuer.keys))


def unavailable(asked: AskedIssuer, token: str = "t") -> IntrospectionUnavailable:
    """Ask, and return why there was no answer."""
    with pytest.raises(IntrospectionUnavailable) as found:
        asked(Secret(token))
    assert found.value.retry_after >= 1
    return found.value


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Run ``work`` in ``count`` threads at once; returns what each gave or raised, in order."""
    found: list[object] = [None] * count

    def run(index: int) -> None:
        try:
            found[index] = work(index)
        except Exception as error:  # noqa: BLE001  # what it raises is what is asked for
            found[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found
