"""The address that a request comes from: of the connection, or as the proxies before us saw it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from flask import Request

from exchange.settings import TrustedProxies

_X_FORWARDED_FOR: Final = "X-Forwarded-For"
_FORWARDED: Final = "Forwarded"

_WITH_PORT: Final = re.compile(r"\[([^\[\]]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}", re.ASCII)
# RFC 7239 §4. The alternatives begin with different characters, so that matching takes linear time.
_PAIR: Final = re.compile(
    r"[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([!#$%&'*+.^_`|~0-9A-Za-z-]+)))?"
    r"[ \t]*([;,]|\Z)",
    re.ASCII,
)
_V6_NETWORK: Final = 64
"""Bits. Whoever has one IPv6 address has at least as many as there are behind these (RFC 6177 §2)."""


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """Who a request comes from, as far as the network can tell."""

    text: str
    """For the audit record; empty for a connection without an address."""
    network: str
    """What requests are counted by: an IPv4 address, or the /64 of an IPv6 address."""


NOWHERE: Final = ClientAddress("", "")

_Address = IPv4Address | IPv6Address


def client_address(request: Request, proxies: TrustedProxies) -> ClientAddress:
    """Return where ``request`` comes from.

    That is the peer of the connection. If it is one of ``proxies``, it is the right-most address in
    ``X-Forwarded-For`` or ``Forwarded`` (RFC 7239) that is not: each proxy adds on the right whom it saw, and
    what stands further left was written by just that caller, who may write anything. Where the headers
    contradict each other, one of them is the caller's own; then, and where what a proxy added is no address,
    the answer is the peer, so that nobody gets a clean slate by sending rubbish.
    """
    peer = _address(request.environ.get("REMOTE_ADDR") or "")
    if peer is None:
        return NOWHERE
    if str(peer) not in proxies:
        return _found(peer)
    named = {
        _first_stranger(entries, proxies)
        for entries in (_x_forwarded_for(request), _forwarded(request))
        if entries is not None
    }
    (only,) = named if len(named) == 1 else (None,)
    return _found(only or peer)


def _found(address: _Address) -> ClientAddress:
    if isinstance(address, IPv4Address):
        return ClientAddress(str(address), str(address))
    network = IPv6Address(int(address) >> _V6_NETWORK << _V6_NETWORK)
    return ClientAddress(str(address), f"{network}/{_V6_NETWORK}")


def _first_stranger(entries: list[str], proxies: TrustedProxies) -> _Address | None:
    for entry in reversed(entries):
        address = _address(entry)
        if address is None or str(address) not in proxies:
            return address
    return None


def _x_forwarded_for(request: Request) -> list[str] | None:
    value = request.headers.get(_X_FORWARDED_FOR)  # of several fields, all in their order
    return None if value is None else [entry.strip(" \t") for entry in value.split(",")]


def _forwarded(request: Request) -> list[str] | None:
    """Return the ``for`` of each element, empty for one without; a single empty one if it is malformed."""
    value = request.headers.get(_FORWARDED)
    if value is None:
        return None
    entries, named, at = [""], False, 0
    while True:
        match = _PAIR.match(value, at)
        if match is None:
            return [""]
        name, quoted, token, separator = match.groups()
        if name is not None and name.lower() == "for":
            if named:  # RFC 7239 §4: each parameter once
                return [""]
            entries[-1], named = token or re.sub(r"\\(.)", r"\1", quoted or ""), True
        if not separator:
            return entries
        if separator == ",":
            entries.append("")
            named = False
        at = match.end()


def _address(text: str) -> _Address | None:
    """Return the address in ``text``, which may have a port; ``None`` for ``unknown`` and the like."""
    match = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:  # of a socket that takes both
            return address.ipv4_mapped
        return IPv6Address(int(address))  # without the zone, which is the host's own
    return address
