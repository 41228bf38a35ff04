"""What must not happen twice, remembered for all workers and across restarts."""

from __future__ import annotations

from exchange.stores.open import open_store
from exchange.stores.store import GRACE, Store, StoreUnavailable

__all__ = ["GRACE", "Store", "StoreUnavailable", "open_store"]
