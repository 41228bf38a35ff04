"""Dangers of who may ask."""

from __future__ import annotations

from collections.abc import Iterator

from exchange.config.dangers.matching import Danger
from exchange.config.dangers.names import listed
from exchange.config.policy_file import PolicyFile
from exchange.config.values import Policies


def client_dangers(file: PolicyFile, policies: Policies) -> Iterator[Danger]:
    """Yield the dangers of the client that ``file`` describes."""
    for path, name in listed(file, "authorized_party"):
        others = (other for other in policies.clients.values() if other.name != file.name)
        if any(name in other.authorized_party for other in others):
            yield (
                path,
                "another client has this name too, so each may present the other's tokens; keep it in one",
            )
    own = next((client for client in policies.clients.values() if client.name == file.name), None)
    if own and own.private_key_jwt and own.private_key_jwt.keys.allow_private_network:
        text = "the host of the keys may lead into your own network; use a public name, or a jwks_file"
        yield ("authentication", "private_key_jwt", "allow_private_network"), text
