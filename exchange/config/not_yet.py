"""Keys of the configuration language that this version refuses by name.

They are part of the language, and checked like every other key; but what they ask for is not built, and a
policy that says "only with this proof" must never load where the proof is not checked. One row each: the
feature takes its row away when it arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from exchange.config.faults import YamlPath
from exchange.config.policy_file import PolicyFile

_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class _NotYet:
    section: str
    path: tuple[str, ...]
    """Keys from the top of a file; ``*`` is every member."""
    feature: str
    applies: Callable[[object], bool] = lambda _value: True


def _is(wanted: object) -> Callable[[object], bool]:
    return lambda value: value == wanted or (isinstance(value, list) and wanted in value)


_NOT_YET: Final = (
    _NotYet("server", ("max_targets",), "more than one target", lambda value: value != 1),
    _NotYet("server", ("rate_limit",), "rate limiting", lambda value: value != {}),
    _NotYet("issuers", ("mode",), "mode: audit", _is("audit")),
    _NotYet("issuers", ("kind",), "kind: workload", _is("workload")),
    _NotYet("issuers", ("tenant",), "an issuer of many tenants (tenant)"),
    _NotYet("issuers", ("introspection",), "introspection of opaque tokens"),
    _NotYet("issuers", ("single_use",), "single_use: true", _is(True)),
    _NotYet("clients", ("opaque_tokens_from",), "introspection of opaque tokens (opaque_tokens_from)"),
    _NotYet("clients", ("authentication", "tls_client_auth"), "the method tls_client_auth"),
    _NotYet("clients", ("authentication", "self_signed"), "the method self_signed"),
    _NotYet("clients", ("authentication", "workload"), "the method workload"),
    _NotYet("audiences", ("token_format",), "token_format: opaque", _is("opaque")),
    _NotYet("audiences", ("sender_constraint",), "a sender_constraint", lambda value: value != "none"),
    _NotYet("audiences", ("rules", _ANY, "mode"), "mode: audit", _is("audit")),
    _NotYet("audiences", ("rules", _ANY, "when"), "the condition `when`"),
    _NotYet("audiences", ("rules", _ANY, "actor"), "the condition `actor`"),
    _NotYet("audiences", ("rules", _ANY, "subject", "issuer"), "subject: {issuer: self}", _is("self")),
    _NotYet("audiences", ("rules", _ANY, "delegation"), "delegation: required", _is("required")),
    _NotYet("audiences", ("rules", _ANY, "claims", _ANY, "expression"), "a claim made by an expression"),
)


def refuse_not_yet(section: str, file: PolicyFile) -> None:
    """Record a fault for every key of ``file`` that asks for what this version cannot do."""
    for row in _NOT_YET:
        if row.section == section:
            for path, value in _places(file.data, row.path, ()):
                if row.applies(value):
                    file.fault(path, f"{row.feature} is not available in this version; leave it out")


def _places(value: object, wanted: tuple[str, ...], path: YamlPath) -> Iterator[tuple[YamlPath, object]]:
    if not wanted:
        yield path, value
    elif isinstance(value, dict):
        for name in value if wanted[0] == _ANY else wanted[:1]:
            if name in value:
                yield from _places(value[name], wanted[1:], (*path, name))
    elif isinstance(value, list) and wanted[0] == _ANY:
        for index, item in enumerate(value):
            yield from _places(item, wanted[1:], (*path, index))
