"""What must hold between files: names that only one may claim, and names that must exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from exchange.config.directory import PolicyDirectory
from exchange.config.faults import YamlPath
from exchange.config.policy_file import PolicyFile
from exchange.config.tenant_fields import Named, issuers_named
from exchange.config.values import SELF, ServerSettings
from exchange.config.workload_client import check_workload_clients, issuers_of_workloads

NO_CLIENT: Final = "no client has this client_id"
NO_ISSUER: Final = "no file of issuers/ has this name"
NOT_ASKED: Final = "this issuer is not asked about tokens; write `introspection` in its file"


def check_references(directory: PolicyDirectory, server: ServerSettings | None) -> None:
    """Record, in the files, names that two files claim and references to what does not exist.

    Works on what the files say and not on what was built from them, so that one file's fault does not make
    every reference to it look wrong too.
    """
    issuers = [named for file in directory.issuers for named in issuers_named(file)]
    clients = [named for file in directory.clients for named in _client_id(file)]
    received = [named for file in directory.clients for named in names_at(file, ("audience",))]
    targets = [
        named
        for file in directory.audiences
        for key in ("audience", "resources")
        for named in names_at(file, (key,))
    ]
    _check_unique(issuers, "issuer")
    _check_unique(clients, "client_id")
    _check_unique(received, "audience of a client")
    _check_unique(targets, "audience or resource")
    if server is not None:
        _check_not_self(issuers, server)
    known_clients = {name for _, _, name in clients}
    known_issuers = {file.name for file in directory.issuers}
    known_targets = {name for _, _, name in targets}
    check_known(_rule_names(directory, ("client",)), known_clients, NO_CLIENT)
    for party in ("subject", "actor"):
        check_known(_rule_names(directory, (party, "issuer")), known_issuers | {SELF}, NO_ISSUER)
    check_known(
        (named for file in directory.clients for named in names_at(file, ("default_target",))),
        known_targets,
        "no file of audiences/ has this audience or resource",
    )
    opaque = [
        named
        for file in directory.clients
        if isinstance(file.data.get("opaque_tokens_from"), str)  # what is no name is another check's fault
        for named in names_at(file, ("opaque_tokens_from",))
    ]
    check_known(opaque, known_issuers, NO_ISSUER)
    vouching = (named for file in directory.clients for named in issuers_of_workloads(file))
    check_known(vouching, known_issuers, NO_ISSUER)
    check_workload_clients(directory)
    _check_asked(opaque, directory)


def client_ids(directory: PolicyDirectory) -> Iterator[str]:
    """Yield how the clients are called."""
    return (name for file in directory.clients for _, _, name in _client_id(file))


def rule_ids(directory: PolicyDirectory) -> Iterator[str]:
    """Yield the ``id`` of every rule of every audience."""
    return (name for _, _, name in _rule_names(directory, ("id",)))


def _client_id(file: PolicyFile) -> Iterator[Named]:
    if "client_id" in file.data:
        yield from names_at(file, ("client_id",))
    else:
        yield file, (), file.name


def names_at(file: PolicyFile, path: YamlPath) -> Iterator[Named]:
    """Yield the name, or each of the names, at ``path``; what is no name is another check's fault."""
    value = file.document.data
    for part in path:
        if isinstance(part, str) and isinstance(value, dict):
            value = value.get(part)
        elif isinstance(part, int) and isinstance(value, list):
            value = value[part]
        else:
            return
    if isinstance(value, str):
        yield file, path, value
    elif isinstance(value, list):
        yield from ((file, (*path, index), item) for index, item in enumerate(value) if isinstance(item, str))


def _rule_names(directory: PolicyDirectory, path: YamlPath) -> Iterator[Named]:
    for file in directory.audiences:
        rules = file.data.get("rules")
        for index in range(len(rules) if isinstance(rules, list) else 0):
            yield from names_at(file, ("rules", index, *path))


def _check_unique(names: Iterable[Named], what: str) -> None:
    first: dict[str, tuple[PolicyFile, YamlPath]] = {}
    for file, path, name in names:
        other, place = first.setdefault(name, (file, path))
        if other is not file:
            line = other.source(place).line
            file.fault(path, f"this {what} is already in {other.label}:{line}; one file alone may claim it")


def _check_not_self(issuers: Iterable[Named], server: ServerSettings) -> None:
    # Our own tokens under another name would escape the rules for `self`, such as no renewal.
    for file, path, name in issuers:
        if name == server.issuer:
            file.fault(path, "this is the service's own issuer; it cannot be configured as another's")


def _check_asked(names: Iterable[Named], directory: PolicyDirectory) -> None:
    not_asked = {file.name for file in directory.issuers if "introspection" not in file.data}
    for file, path, name in names:
        if name in not_asked:
            file.fault(path, NOT_ASKED)


def check_known(names: Iterable[Named], known: Collection[str], message: str) -> None:
    """Record a fault for each of ``names`` that is not among ``known``."""
    for file, path, name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            advice = f"did you mean {close[0]}?" if close else "add it, or correct this"
            file.fault(path, f"{message}; {advice}")
