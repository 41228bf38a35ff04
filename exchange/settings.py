"""Settings of the process, from the environment; what is believed and allowed is in ``policies/``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final

DEFAULT_POLICIES = "policies"
DEFAULT_KEYS = "var/keys"
DEFAULT_STORE = "sqlite:///var/exchange.db"

PROXIES: Final = "EXCHANGE_TRUSTED_PROXIES"
TLS_HEADER: Final = "EXCHANGE_TLS_HEADER"
# RFC 9110 §5.6.2 without `_`, which gunicorn drops: `Client_Cert` would look like `Client-Cert` to us.
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The addresses whose word is taken for what came with a connection; nobody's, when there are none."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> TrustedProxies:
        """Return the addresses and CIDR blocks of ``text``, which commas and white space part.

        Raises ``ValueError``, saying what to write.
        """
        return cls(tuple(_network(entry) for entry in re.split(r"[,\s]+", text.strip(", \t\r\n"))))

    def __contains__(self, address: object) -> bool:
        """Tell whether ``address``, as text, is one of a proxy; what is no IP address never is."""
        try:
            peer = ip_address(str(address))
        except ValueError:  # the peer of a Unix socket has none
            return False
        if isinstance(peer, IPv6Address) and peer.ipv4_mapped:  # an IPv4 peer of a socket that takes both
            peer = peer.ipv4_mapped
        return any(peer in network for network in self.networks)


NO_PROXIES: Final = TrustedProxies()


def _network(entry: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(entry)
    except ValueError:
        raise ValueError(
            f"{PROXIES}: {entry!r} is neither an address nor a CIDR block without host bits;"
            " write such as 10.0.0.7, 10.1.0.0/16 or fd00::/64, with commas between"
        ) from None
    if network.prefixlen == 0:
        raise ValueError(f"{PROXIES}: {entry!r} is everybody; name the addresses of your proxies alone")
    return network


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the process finds its policies, keys and store."""

    policies: Path
    keys: Path
    store: str
    environ: Mapping[str, str]
    """For ``EXCHANGE_ISSUER``, the proxies, and the ``${NAME}`` references of ``policies/``."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings; an empty variable counts as absent."""
        return cls(
            policies=Path(environ.get("EXCHANGE_POLICIES") or DEFAULT_POLICIES),
            keys=Path(environ.get("EXCHANGE_KEYS") or DEFAULT_KEYS),
            store=environ.get("EXCHANGE_STORE") or DEFAULT_STORE,
            environ=environ,
        )

    def trusted_proxies(self) -> TrustedProxies:
        """Return who may say what came with a connection; raises ``ValueError``, saying what to write."""
        text = self.environ.get(PROXIES, "").strip()
        return TrustedProxies.parse(text) if text else TrustedProxies()

    def tls_header(self) -> str | None:
        """Return the header that carries a certificate; raises ``ValueError``, saying what to write."""
        name = self.environ.get(TLS_HEADER, "").strip()
        if name and not _HEADER_NAME.fullmatch(name):
            raise ValueError(
                f"{TLS_HEADER}: write the name of one header, without `_`, such as Client-Cert,"
                " X-Forwarded-Client-Cert or X-Client-Certificate"
            )
        return name or None
