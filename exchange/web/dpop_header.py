"""The ``DPoP`` header of a request, and the ``DPoP-Nonce`` header of its answer (RFC 9449 §4.1, §8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Request, Response

from exchange.model import Secret

_PROOF: Final = "DPoP"
_NONCE: Final = "DPoP-Nonce"


def unverified_dpop(request: Request) -> Secret | None:
    """Return what stands in the ``DPoP`` header, be it empty; of several header fields, all of them."""
    value = request.headers.get(_PROOF)
    return Secret(value) if value is not None else None


def hand_out_nonce(
    request: Request, response: Response, fresh_nonce: Callable[[], str], *, is_needed: bool
) -> None:
    """Give whoever came with a proof a nonce for the next one, whatever became of this one (§8.2).

    Not where he may come without one: whom a server has given a nonce, it must not take a proof without a
    nonce from (§11.3).
    """
    if is_needed and _PROOF in request.headers:
        response.headers[_NONCE] = fresh_nonce()
