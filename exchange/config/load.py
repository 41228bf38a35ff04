"""``policies/`` into frozen values, or every fault that is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from exchange.config.audience_file import read_audience
from exchange.config.client_file import read_client
from exchange.config.directory import PolicyDirectory
from exchange.config.faults import Fault, PolicyFaults
from exchange.config.issuer_file import read_issuers
from exchange.config.profiles import shipped_profiles
from exchange.config.references import check_references
from exchange.config.server_file import max_token_lifetime, read_server
from exchange.config.values import Policies, TargetService

__all__ = ["Fault", "PolicyFaults", "load", "load_with_files"]


def load(directory: Path, *, environ: Mapping[str, str], label: Path | None = None) -> Policies:
    """Return what ``directory`` says, frozen.

    ``environ`` is where ``${NAME}`` and EXCHANGE_ISSUER are looked up; ``label`` is the directory that this
    one is a copy of, for the values to name. Raises ``PolicyFaults`` with every fault that was found: nothing
    is ever loaded in part.
    """
    policies, _ = load_with_files(directory, environ=environ, label=label)
    return policies


def load_with_files(
    directory: Path, *, environ: Mapping[str, str], label: Path | None = None
) -> tuple[Policies, PolicyDirectory]:
    """Return what ``directory`` says, and the files it was read from; raises ``PolicyFaults``."""
    files = PolicyDirectory(directory, label)
    files.read()
    server = read_server(files.server, environ) if files.server else None
    limit = max_token_lifetime(files.server) if files.server else None
    profiles = shipped_profiles()
    issuers = [issuer for file in files.issuers for issuer in read_issuers(file, files, profiles, environ)]
    clients = [read_client(file, files, environ) for file in files.clients]
    targets = [read_audience(file, limit) for file in files.audiences]
    check_references(files, server)
    if (faults := files.faults()) or server is None:
        raise PolicyFaults(faults)
    policies = Policies(
        directory=str(label or directory),
        sha256=files.sha256(),
        server=server,
        issuers=MappingProxyType({issuer.issuer: issuer for issuer in issuers}),
        clients=MappingProxyType({client.client_id: client for client in clients if client}),
        targets=MappingProxyType(_by_name([target for target in targets if target])),
    )
    return policies, files


def _by_name(targets: list[TargetService]) -> dict[str, TargetService]:
    return {name: target for target in targets for name in (target.audience, *sorted(target.resources))}
