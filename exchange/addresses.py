"""Which addresses are public, and which of the others an operator can open."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

# Reachable by anybody, by the special-purpose registries of IANA (RFC 6890): all but these.
_NOT_PUBLIC_V4: Final = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        ),
    )
)
# Of IPv6 only global unicast is public, without its transition, documentation and protocol assignments.
_PUBLIC_V6: Final = ip_network("2000::/3")
_NOT_PUBLIC_V6: Final = tuple(map(ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_NAT64: Final = ip_network("64:ff9b::/96")
# What allow_private_network opens. Link-local stays shut: it is where clouds keep their credentials.
_PRIVATE: Final = tuple(
    map(
        ip_network,
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
            *("fc00::/7", "::1/128"),
        ),
    )
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether anybody on the Internet can reach ``address``."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address in _NAT64:  # RFC 6052 §3.1: what is reached is the IPv4 address inside
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def is_private(address: IPv4Address | IPv6Address) -> bool:
    """Return whether ``allow_private_network`` opens ``address``."""
    return any(address in network for network in _PRIVATE)
