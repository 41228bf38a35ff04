"""Limits by address around a request: who may come in, and what a failure of his costs him."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from exchange.errors import INVALID_CLIENT, Refusal
from exchange.rate_limits import Limits
from exchange.web.client_address import ClientAddress


@contextmanager
def limited_by_address(limits: Limits, address: ClientAddress) -> Iterator[None]:
    """Let a request in, or refuse it before its body is read; count it if its client fails to authenticate.

    Raises ``Refusal``: ``rate_limited``, ``store_unavailable``, and whatever the request is refused for. A
    failure that cannot be counted is answered as ``store_unavailable``: a guess must cost its sender one.
    """
    limits.admit(address.network)
    try:
        yield
    except Refusal as refusal:
        if refusal.reason.error == INVALID_CLIENT:
            limits.authentication_failed(address.network)
        raise
