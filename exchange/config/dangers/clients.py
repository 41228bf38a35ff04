"""Dangers of who may ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exchange.config.dangers.matching import Danger
from exchange.config.dangers.names import listed
from exchange.config.policy_file import PolicyFile
from exchange.config.values import Policies, RegisteredClient

_ANYBODY: Final = (
    "a proxy that lets self-signed certificates of other clients through lets one through that anybody made"
    " with this name; name the authorities that issue it in ca_file"
)


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
    if own:
        yield from _certificate_dangers(own, policies)
    if own and own.private_key_jwt and own.private_key_jwt.keys.allow_private_network:
        text = "the host of the keys may lead into your own network; use a public name, or a jwks_file"
        yield ("authentication", "private_key_jwt", "allow_private_network"), text


def _certificate_dangers(own: RegisteredClient, policies: Policies) -> Iterator[Danger]:
    method, others = own.tls_client_auth, [other for other in policies.clients.values() if other is not own]
    path = ("authentication", "tls_client_auth")
    if (
        method
        and method.authorities is None
        and any(client.self_signed for client in policies.clients.values())
    ):
        yield path, _ANYBODY
    if method and any(
        other.tls_client_auth and other.tls_client_auth.name == method.name for other in others
    ):
        yield path, "another client has this name too, so one certificate is both; give each its own"
    known = set(own.self_signed.x5t_s256) if own.self_signed else set()
    if any(other.self_signed and known & set(other.self_signed.x5t_s256) for other in others):
        place = ("authentication", "self_signed")
        yield place, "another client has this certificate too, so it is both; give each its own"
