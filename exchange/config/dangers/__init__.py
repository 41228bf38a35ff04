"""What loads and is still worth a second look: each danger with its file and line, for ``exchange check``."""

from __future__ import annotations

from collections.abc import Iterable

from exchange.config.dangers.clients import client_dangers
from exchange.config.dangers.issuers import issuer_dangers
from exchange.config.dangers.names import name_dangers
from exchange.config.dangers.reach import reach_dangers
from exchange.config.dangers.rules import rule_dangers
from exchange.config.directory import PolicyDirectory
from exchange.config.faults import Fault, YamlPath, readable_path
from exchange.config.policy_file import PolicyFile
from exchange.config.values import Policies


def find_dangers(policies: Policies, files: PolicyDirectory) -> tuple[Fault, ...]:
    """Return the dangers in ``policies``, loaded from ``files`` without a fault; sorted by place."""
    issuers = {issuer.name: issuer for issuer in policies.issuers.values()}
    targets = {target.name: target for target in policies.targets.values()}
    found: list[Fault] = []
    for file in files.issuers:
        found.extend(_at(file, issuer_dangers(file, issuers[file.name], policies)))
    for file in files.clients:
        found.extend(_at(file, client_dangers(file, policies)))
    for file in files.audiences:
        found.extend(_at(file, rule_dangers(targets[file.name], policies)))
        found.extend(_at(file, reach_dangers(targets[file.name])))
    for file in (*files.issuers, *files.clients, *files.audiences):
        found.extend(_at(file, name_dangers(file, policies)))
    return tuple(sorted(set(found)))


def _at(file: PolicyFile, dangers: Iterable[tuple[YamlPath, str]]) -> Iterable[Fault]:
    return (Fault(file.source(path), readable_path(path), message) for path, message in dangers)
