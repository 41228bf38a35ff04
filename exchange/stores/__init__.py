"""What must not happen twice, or often, remembered for all workers and across restarts."""

from __future__ import annotations

from exchange.stores.open import open_store
from exchange.stores.store import GRACE, Count, Store, StoreUnavailable

__all__ = ["GRACE", "Count", "Store", "StoreUnavailable", "open_store"]
