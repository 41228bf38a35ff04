"""From where an issuer's keys come to the keys themselves: metadata, then JWK Set, within one deadline.

OpenID Connect Discovery 1.0 §4 appends its well-known path to the issuer; RFC 8414 §3 inserts its own between
host and path. The first is by far the more common and is tried first.
"""

from __future__ import annotations

import time
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from exchange.config.tenant_template import as_template
from exchange.config.values import KeySource
from exchange.jose import InvalidKeySet, KeySet
from exchange.outbound import FetchFailed
from exchange.strict_json import InvalidJson, parse_object

KeysRefusal = Literal[
    "metadata_malformed", "metadata_of_another_issuer", "key_set_malformed", "no_usable_keys"
]

DISCOVERED_SECONDS: Final = 60.0
"""For so long after metadata without keys the next fetch may begin where that one failed."""


class Fetch(Protocol):
    """``exchange.outbound.Fetcher``: bytes, or ``FetchFailed``."""

    def get(
        self, url: str, *, allow_insecure_http: bool, allow_private_network: bool, deadline: float
    ) -> bytes: ...


class KeysRefused(Exception):  # noqa: N818  # an outcome to be handled, not a defect
    """What came back is not to be used. ``cause`` is from a closed set; nothing of the other side is kept."""

    def __init__(self, cause: KeysRefusal) -> None:
        super().__init__(cause)
        self.cause = cause


class KeySetFetch:
    """Fetches the keys of ``source``. For one thread at a time.

    Where the metadata came and the keys did not, the next fetch begins with the keys: every second server of
    an IdP may be dead, and asked from the start each time, the keys would always be asked of the dead one.
    """

    def __init__(self, source: KeySource, fetch: Fetch) -> None:
        self._source = source
        self._fetch = fetch
        self._discovered: tuple[str, float] | None = None

    def __call__(self, deadline: float) -> KeySet:
        """Return the keys, at least one, before ``deadline`` (seconds of ``time.monotonic``).

        Raises ``FetchFailed`` or ``KeysRefused``. A set without a usable key is refused: an IdP that makes
        a mistake must not empty a cache that still holds its good keys.
        """
        jwks_uri = self._source.jwks_uri or self._take_discovered()
        if jwks_uri is None:
            jwks_uri = _discover_jwks_uri(self._source, self._fetch, deadline)
            self._discovered = (jwks_uri, time.monotonic() + DISCOVERED_SECONDS)
        document = _get(jwks_uri, self._source, self._fetch, deadline)
        self._discovered = None
        return _usable_keys(document)

    def _take_discovered(self) -> str | None:
        # Once: an IdP that moved its keys must not be looked for where they were.
        discovered, self._discovered = self._discovered, None
        return discovered[0] if discovered is not None and time.monotonic() < discovered[1] else None


def fetch_key_set(source: KeySource, fetch: Fetch, deadline: float) -> KeySet:
    """Return the keys of ``source`` as ``KeySetFetch`` does, from the start."""
    return KeySetFetch(source, fetch)(deadline)


def _usable_keys(document: bytes) -> KeySet:
    try:
        keys = KeySet.from_document(document)
    except InvalidKeySet:
        raise KeysRefused("key_set_malformed") from None
    if not keys:
        raise KeysRefused("no_usable_keys")
    return keys


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Return where the metadata of ``issuer`` may be: OpenID Connect Discovery §4.1, then RFC 8414 §3.1."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
    )


def _discover_jwks_uri(source: KeySource, fetch: Fetch, deadline: float) -> str:
    issuer = source.discovery or ""
    openid_configuration, authorization_server = metadata_urls(issuer)
    try:
        document = _get(openid_configuration, source, fetch, deadline)
    except FetchFailed as failed:
        if failed.cause != "not_found":
            raise
        document = _get(authorization_server, source, fetch, deadline)
    try:
        metadata = parse_object(document.decode("utf-8"))
    except (InvalidJson, UnicodeDecodeError):
        raise KeysRefused("metadata_malformed") from None
    # RFC 8414 §3.3, OpenID Connect Discovery §4.3: identical. Else one tenant of a host speaks for another.
    if not _is_of(metadata.get("issuer"), source):
        raise KeysRefused("metadata_of_another_issuer")
    jwks_uri = metadata.get("jwks_uri")
    if not isinstance(jwks_uri, str):
        raise KeysRefused("metadata_malformed")
    return jwks_uri


def _is_of(named: object, source: KeySource) -> bool:
    """Entra's metadata may name every tenant's issuer: ours, with ``{tenantid}`` in the tenant's place."""
    if named == source.discovery:
        return True
    template = source.metadata_template
    return template is not None and isinstance(named, str) and as_template(named) == template


def _get(url: str, source: KeySource, fetch: Fetch, deadline: float) -> bytes:
    return fetch.get(
        url,
        allow_insecure_http=source.allow_insecure_http,
        allow_private_network=source.allow_private_network,
        deadline=deadline,
    )
