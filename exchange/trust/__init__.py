"""Whom we believe, and by which keys: nothing is trusted or fetched that the policies do not name."""

from __future__ import annotations

from exchange.trust.issuers import TrustedIssuers
from exchange.trust.key_cache import KeyCache, KeyCaches, KeysUnavailable, KeyUnknown
from exchange.trust.own_issuer import own_issuer

__all__ = ["KeyCache", "KeyCaches", "KeyUnknown", "KeysUnavailable", "TrustedIssuers", "own_issuer"]
