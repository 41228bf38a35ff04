"""Dangers of names: an audience that tells nothing."""

from __future__ import annotations

from collections.abc import Iterator

from exchange.config.dangers.matching import Danger
from exchange.config.faults import YamlPath
from exchange.config.policy_file import PolicyFile
from exchange.config.values import Policies


def name_dangers(file: PolicyFile, policies: Policies) -> Iterator[Danger]:
    """Yield the audiences that are client ids, as is the ``aud`` of an ID token (OpenID Connect Core §2)."""
    client_ids = {name for client in policies.clients.values() for name in client.authorized_party}
    for path, name in listed(file, "audience"):
        if name in client_ids:
            yield path, "an audience that is a client id; use a name of the API, such as its URL"


def listed(file: PolicyFile, key: str) -> Iterator[tuple[YamlPath, object]]:
    """Yield each of the names at ``key`` with its place; one may stand alone."""
    declared = file.data.get(key)
    if isinstance(declared, list):
        yield from (((key, index), name) for index, name in enumerate(declared))
    elif declared is not None:
        yield (key,), declared
