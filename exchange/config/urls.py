"""URLs that ``policies/`` may name: https, or http on loopback where that is allowed."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

# RFC 3986 §2. urlsplit() drops tabs and line ends without a word: what was checked would not be what is used.
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", re.ASCII)
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^#]+", re.ASCII)
_MAX_PORT: Final = 65535


def check_url(text: str, *, allow_insecure_http: bool = False, allow_query: bool = False) -> None:
    """Raise ``ValueError``, with what to write instead, unless ``text`` is a URL that may be believed.

    ``allow_insecure_http`` lets http:// through on loopback alone: anywhere else, whoever is on the network
    would choose the keys. An issuer identifier has neither query nor fragment (RFC 8414 §2).
    """
    url = _split(text)
    if url.scheme not in {"https", "http"} or not text.startswith(f"{url.scheme}://") or not url.hostname:
        raise ValueError("write an absolute https:// URL")
    if "@" in url.netloc:
        raise ValueError("write the URL without a user name or password")
    if "#" in text or ("?" in text and not allow_query):
        raise ValueError("write the URL without " + ("a fragment" if allow_query else "query and fragment"))
    if url.scheme == "http" and not allow_insecure_http:
        raise ValueError(
            "write an https:// URL; http:// is for loopback in development, with `allow_insecure_http: true`"
        )
    if url.scheme == "http" and not _is_loopback(url.hostname):
        raise ValueError("write an https:// URL; http:// is for loopback alone (localhost, 127.0.0.0/8, ::1)")


def check_name(text: str) -> None:
    """Raise ``ValueError`` unless ``text`` is made of the characters of a URI; nobody fetches from it."""
    if not _URI_CHARACTERS.fullmatch(text):
        raise ValueError("write the issuer as its tokens have it in `iss`, without spaces or quotes")


def check_resource(text: str) -> None:
    """Raise ``ValueError`` unless ``text`` is an absolute URI without a fragment (RFC 8707 §2)."""
    if not _URI_CHARACTERS.fullmatch(text) or not _ABSOLUTE_URI.fullmatch(text):
        raise ValueError("write an absolute URI without a fragment (RFC 8707 §2)")


def _split(text: str) -> SplitResult:
    if not _URI_CHARACTERS.fullmatch(text):
        raise ValueError("write an absolute https:// URL, percent-encoded where it must be")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError("write an absolute https:// URL with a valid host and port") from None
    if port is not None and not 0 < port <= _MAX_PORT:
        raise ValueError("write an absolute https:// URL with a valid host and port")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
