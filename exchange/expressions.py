"""Expressions of ``policies/``: CEL, compiled and type-checked when the policies load, bounded in cost.

The only module that knows the CEL runtime. The runtime *returns* its errors as values that look true, and takes
some inputs for a reason to crash; everything but a result of the right type is ``ExpressionFailed`` here, which
refuses the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from cel_expr_python import cel

MAX_LENGTH: Final = 2048
"""Characters of one expression."""

VARIABLES: Final = ("subject", "actor", "client", "request")


class ExpressionFailed(Exception):  # noqa: N818  # an outcome to be handled, not a defect
    """The expression has no value for this request. Carries nothing of the request."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled expression. Made by ``compile_condition`` and ``compile_value`` alone."""

    text: str
    _evaluate: Callable[[Mapping[str, Any]], object] = field(repr=False, compare=False)

    def evaluate(self, variables: Mapping[str, Any]) -> object:
        """Return the value as plain JSON; raises ``ExpressionFailed``, and nothing else."""
        return self._evaluate(variables)
