"""``htu``: which URI a DPoP proof was made for, in the one form in which two are compared.

RFC 9449 §4.3: without query and fragment, after syntax-based and scheme-based normalisation (RFC 3986 §6.2.2,
§6.2.3). The grammar here is that of ``http`` URIs (RFC 9110 §4.2) and no wider: lenient parsers read through
tabs, backslashes and user names, and then see another host than the sender did.
"""

from __future__ import annotations

import re
from typing import Final

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PORTS: Final = {"http": "80", "https": "443"}
_PCHAR: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_URI: Final = re.compile(
    r"(?P<scheme>[hH][tT][tT][pP][sS]?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)"
    r"(?::(?P<port>[0-9]*))?"
    rf"(?P<path>(?:/{_PCHAR}*)*)"
    rf"(?:\?(?:{_PCHAR}|[/?])*)?"
    rf"(?:\#(?:{_PCHAR}|[/?])*)?"
)
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")


def normalised(uri: str) -> str | None:
    """Return ``uri`` normalised, without query and fragment; ``None`` when it is no absolute ``http`` URI."""
    found = _URI.fullmatch(uri)
    if found is None:
        return None
    scheme = found["scheme"].lower()
    host = _without_needless_escapes(found["host"]).lower()
    host = _ESCAPE.sub(lambda escape: escape[0].upper(), host)
    port = (found["port"] or "").lstrip("0")
    authority = host if port in {"", _PORTS[scheme]} else f"{host}:{port}"
    path = _without_dot_segments(_without_needless_escapes(found["path"]))
    return f"{scheme}://{authority}{path}"


def _without_needless_escapes(text: str) -> str:
    """RFC 3986 §6.2.2.1, §6.2.2.2: unreserved characters are plain, the other escapes are in capitals."""

    def plain(escape: re.Match[str]) -> str:
        octet = int(escape[1], 16)
        return chr(octet) if octet in _UNRESERVED else escape[0].upper()

    return _ESCAPE.sub(plain, text)


def _without_dot_segments(path: str) -> str:
    """RFC 3986 §5.2.4, for a path that is absolute; no path is the root (§6.2.3)."""
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
