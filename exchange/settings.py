"""Settings of the process, from the environment; what is believed and allowed is in ``policies/``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_POLICIES = "policies"
DEFAULT_KEYS = "var/keys"
DEFAULT_STORE = "sqlite:///var/exchange.db"

NOT_AVAILABLE = ("EXCHANGE_TRUSTED_PROXIES", "EXCHANGE_TLS_HEADER")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the process finds its policies, keys and store."""

    policies: Path
    keys: Path
    store: str
    environ: Mapping[str, str]
    """For ``EXCHANGE_ISSUER`` and the ``${NAME}`` references of ``policies/``."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings; an empty variable counts as absent."""
        return cls(
            policies=Path(environ.get("EXCHANGE_POLICIES") or DEFAULT_POLICIES),
            keys=Path(environ.get("EXCHANGE_KEYS") or DEFAULT_KEYS),
            store=environ.get("EXCHANGE_STORE") or DEFAULT_STORE,
            environ=environ,
        )

    @property
    def not_available(self) -> tuple[str, ...]:
        """Variables that are set and that this version does not act on; no header is ever believed."""
        return tuple(name for name in NOT_AVAILABLE if self.environ.get(name))
