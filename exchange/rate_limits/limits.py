"""What is limited, by what it is counted, and when a request is refused for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from exchange.config.values import NO_RATE_LIMIT, RateLimit
from exchange.errors import Refusal
from exchange.stores import Store

if TYPE_CHECKING:
    from exchange.rate_limits.windows import Clock, Window


class Limits(Protocol):
    """Each raises ``Refusal``: ``rate_limited``, or ``store_unavailable`` when nobody can say how often."""

    def admit(self, address: str) -> None:
        """Count a request from ``address``; refuse it before anything else is done for it."""

    def authentication_failed(self, address: str) -> None:
        """Count a failure, after which this request is refused anyway; the next one may not even try."""

    def authenticated(self, client_id: str) -> None:
        """Count a request of an authenticated client."""

    def permitted(self, issuer_name: str) -> None:
        """Count a permitted exchange of a token of the issuer, a file under ``issuers/``."""


class _NoLimits:
    """Asks the store nothing."""

    def admit(self, address: str) -> None:
        pass

    def authentication_failed(self, address: str) -> None:
        pass

    def authenticated(self, client_id: str) -> None:
        pass

    def permitted(self, issuer_name: str) -> None:
        pass


class _Limits:
    """Those of one ``server.yaml``; what is not limited is not counted.

    Failures are counted by address alone. By the client that a request claims to be, anybody could lock a
    client out who knows its name, and every name is in some log: guessing its secret would do. Issuers are
    counted when a rule has permitted the exchange: before, whoever holds a token, or writes `iss` into one of
    his own, could use up what others need.
    """

    def __init__(
        self,
        *,
        per_address: Window | None,
        failed_authentication: Window | None,
        per_client: Window | None,
        per_issuer: Window | None,
    ) -> None:
        self._per_address = per_address
        self._failed_authentication = failed_authentication
        self._per_client = per_client
        self._per_issuer = per_issuer

    def admit(self, address: str) -> None:
        for window in (self._per_address, self._failed_authentication):
            if window is not None:  # first of all, so that a flood of those who are shut out costs no step
                _refuse(window, window.seconds_remembered(address))
        _count(self._per_address, address)
        if self._failed_authentication is not None:
            _refuse(self._failed_authentication, self._failed_authentication.seconds_until_open(address))

    def authentication_failed(self, address: str) -> None:
        if self._failed_authentication is not None:
            self._failed_authentication.count(address)

    def authenticated(self, client_id: str) -> None:
        _count(self._per_client, client_id)

    def permitted(self, issuer_name: str) -> None:
        _count(self._per_issuer, issuer_name)


def _count(window: Window | None, who: str) -> None:
    if window is not None:
        _refuse(window, window.count(who))


def _refuse(window: Window, seconds: int) -> None:
    if seconds:
        raise Refusal("rate_limited", detail=str(window), retry_after=seconds)


NO_LIMITS = _NoLimits()


def limits_of(settings: RateLimit, store: Store, clock: Clock) -> Limits:
    """Return the limits that ``settings`` ask for; ``clock`` gives seconds since the epoch."""
    if settings == NO_RATE_LIMIT:
        return NO_LIMITS
    # Half a second of imports, which a service without limits does not need.
    from exchange.rate_limits.windows import Window  # noqa: PLC0415

    def window(name: str) -> Window | None:
        rate = getattr(settings, name)
        return Window(name, rate, store, clock) if rate is not None else None

    return _Limits(
        per_address=window("per_address"),
        failed_authentication=window("failed_authentication"),
        per_client=window("per_client"),
        per_issuer=window("per_issuer"),
    )
