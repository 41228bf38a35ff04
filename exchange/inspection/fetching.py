"""One look through the service's own door: the same limits, the same flags, and causes put into words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exchange.outbound import Fetcher
from exchange.trust.flight import FETCH_SECONDS

CAUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "url_refused": "it is not a URL that is fetched from: https alone, or http on loopback where allowed",
        "unresolvable": "the name of its host does not resolve",
        "lookup_timeout": "the name servers did not answer in time",
        "address_refused": (
            "its host has a private address; give --allow-private-network if that is meant, and http is for"
            " loopback alone"
        ),
        "unreachable": "nobody answers at its address",
        "tls_failed": "TLS failed: the certificate is not trusted here, or is for another name",
        "timeout": f"it took longer than {FETCH_SECONDS:.0f} s, after which the service gives up",
        "not_found": "there is nothing (404)",
        "redirected": "it redirects, and redirects are not followed; give the address that it leads to",
        "status_refused": "it answers with a status other than 200",
        "encoding_refused": "it sends a compressed answer that was not asked for",
        "too_large": "it is larger than 512 KiB",
        "broken": "the answer is no proper HTTP",
        "metadata_malformed": "the metadata is no JSON object with a jwks_uri",
        "metadata_of_another_issuer": "the metadata names another issuer",
        "key_set_malformed": "the keys are no JWK Set of at most 100 keys",
        "no_usable_keys": "none of the keys can be used",
    }
)
"""For each way in which the service's fetch of keys can fail, what that means."""


def in_words(cause: str) -> str:
    """Return ``cause`` of ``FetchFailed`` or ``KeysRefused`` in plain words."""
    return CAUSES.get(cause, f"it cannot be used ({cause})")


@dataclass(slots=True)
class Door:
    """Fetches for one inspection; ``deadline`` is in seconds of ``time.monotonic`` and covers all of it."""

    fetcher: Fetcher
    deadline: float
    allow_insecure_http: bool = False
    allow_private_network: bool = False
    date: str = ""
    """What the last answer said that the time is (RFC 9110 §6.6.1)."""

    @classmethod
    def open(
        cls, fetcher: Fetcher, *, allow_insecure_http: bool = False, allow_private_network: bool = False
    ) -> Door:
        """Return a door that stays open as long as the service waits for metadata and keys together."""
        deadline = time.monotonic() + FETCH_SECONDS
        return cls(fetcher, deadline, allow_insecure_http, allow_private_network)

    def get(self, url: str) -> bytes:
        """Return the body behind ``url``; raises ``FetchFailed``."""
        body, self.date = self.fetcher.get_dated(
            url,
            allow_insecure_http=self.allow_insecure_http,
            allow_private_network=self.allow_private_network,
            deadline=self.deadline,
        )
        return body
