"""What is wrong with ``policies/``, and where: one line each, all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exchange.config.values import Source

YamlPath = tuple[str | int, ...]
"""Keys and list indices from the top of a file."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault (or danger) at one place. ``message`` says what to write instead, and echoes no secret."""

    source: Source
    path: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.source}: {self.path}: {self.message}" if self.path else f"{self.source}: {self.message}"
        )


class PolicyFaults(Exception):  # noqa: N818  # it holds many
    """``policies/`` cannot be loaded. ``faults`` are all that were found, sorted by place."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


def readable_path(path: YamlPath) -> str:
    """Return ``("rules", 0, "scopes", "orders:read")`` as ``rules[0].scopes.orders:read``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
