"""The names of the checks, for whoever watches one being made: ``exchange explain``, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Check(StrEnum):
    """The checks that a token passes, in their order; ``exchange explain`` says which one it failed."""

    FORM = "form"
    HEADER = "header"
    ISSUER = "issuer"
    PROFILE = "profile"
    ALGORITHM = "algorithm"
    KEY = "key"
    SIGNATURE = "signature"
    INTROSPECTION = "introspection"
    """In place of key and signature: its issuer is asked."""
    TIMES = "times"
    KIND = "kind"
    CLAIMS = "claims"
    AUDIENCE = "audience"
    REQUIRE = "require"
    KEPT = "kept"
    """What an exchange must not lose: a sender constraint, a delegation."""


Entered = Callable[[Check], None]
"""Told of each check before it is made."""


def unwatched(_check: Check) -> None:
    """Nobody watches where requests are served."""
