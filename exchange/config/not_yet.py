"""Keys of the configuration language that this version refuses by name.

They are part of the language, and checked like every other key; but what they ask for is not built, and a
policy that says "only with this proof" must never load where the proof is not checked. One row each: the
feature takes its row away when it arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from exchange.config.policy_file import PolicyFile


@dataclass(frozen=True, slots=True)
class _NotYet:
    section: str
    path: tuple[str, ...]
    """Keys from the top of a file."""
    feature: str
    applies: Callable[[object], bool] = lambda _value: True


def _is(wanted: object) -> Callable[[object], bool]:
    return lambda value: value == wanted


NOT_YET: Final = (_NotYet("audiences", ("token_format",), "token_format: opaque", _is("opaque")),)


def refuse_not_yet(section: str, file: PolicyFile) -> None:
    """Record a fault for every key of ``file`` that asks for what this version cannot do."""
    for row in NOT_YET:
        if row.section == section:
            value = _at(file.data, row.path)
            if value is not None and row.applies(value):
                file.fault(row.path, f"{row.feature} is not available in this version; leave it out")


def _at(value: object, path: tuple[str, ...]) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
