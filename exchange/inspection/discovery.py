"""What an IdP says about itself: where its metadata is, whose it says it is, and where it keeps its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from exchange.config.urls import check_url
from exchange.inspection.fetching import Door, in_words
from exchange.inspection.findings import Finding, listed, note, ok, shown, wrong
from exchange.jose import ASYMMETRIC_ALGORITHMS
from exchange.model import NO_CLAIMS, Claims
from exchange.outbound import FetchFailed
from exchange.strict_json import InvalidJson, parse_object
from exchange.trust.discovery import metadata_urls

_WELL_KNOWN: Final = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
_PLACEHOLDER: Final = re.compile(r"\{[A-Za-z]+\}")
_ABOUT: Final = "discovery"


@dataclass(slots=True)
class Discovered:
    """What is known of the issuer when its metadata was looked at."""

    issuer: str
    """The identifier to trust: what was given, or the IdP's own spelling of it."""
    findings: list[Finding] = field(default_factory=list)
    metadata: Claims = field(default_factory=lambda: NO_CLAIMS)
    url: str | None = None
    """Where the metadata is."""
    jwks_uri: str | None = None
    """Where the keys are, when that is an address that may be fetched from."""
    fetchable: bool = False
    """``issuer`` is an identifier that a file may name, and that may be fetched from."""
    believed: bool = False
    """The metadata speaks for ``issuer``."""
    placeholder: str | None = None
    """Such as ``{tenantid}``, where one set of metadata is for many tenants; it stands in ``issuer``."""
    otherwise: str | None = None
    """Another issuer of the same origin that the metadata speaks for instead."""


def issuer_of(url: str) -> str:
    """Return the issuer identifier whose metadata may be at ``url``, or ``url`` itself."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path
    for place in _WELL_KNOWN:
        if path.endswith(place):
            return origin + path.removesuffix(place)
        if path.startswith(f"{place}/"):
            return origin + path.removeprefix(place)
    return url


def discover(url: str, door: Door) -> Discovered:
    """Look at the metadata of the issuer at ``url``, an identifier or the address of its metadata."""
    found = Discovered(issuer_of(url))
    try:
        check_url(found.issuer, allow_insecure_http=door.allow_insecure_http)
    except ValueError as error:
        found.findings.append(wrong(_ABOUT, "url_refused", f"{found.issuer}: {error}"))
        return found
    found.fetchable = True
    if found.issuer != url:
        text = f"that was the address of the metadata; the issuer is {found.issuer}"
        found.findings.append(note(_ABOUT, "metadata_url_given", text))
    if _fetch_metadata(found, door):
        _compare_issuer(found, exact=found.issuer == url)
        _look_at_jwks_uri(found, door)
        found.findings.extend(_algorithms(found.metadata))
    return found


def _fetch_metadata(found: Discovered, door: Door) -> bool:
    """As the service does it: OpenID Connect's place, then RFC 8414's where there is nothing at the first."""
    places = metadata_urls(found.issuer)
    for place in places:
        try:
            body = door.get(place)
        except FetchFailed as failed:
            if failed.cause == "not_found":
                continue
            text = f"{place}: {in_words(failed.cause)}"
            found.findings.append(wrong(_ABOUT, "metadata_unreachable", text))
            return False
        found.url = place
        return _read_metadata(found, body)
    text = f"there is no metadata, neither at {places[0]} nor at {places[1]}; check the address"
    found.findings.append(wrong(_ABOUT, "metadata_not_found", text))
    return False


def _read_metadata(found: Discovered, body: bytes) -> bool:
    try:
        found.metadata = parse_object(body.decode("utf-8"))
    except (InvalidJson, UnicodeDecodeError):
        text = f"what is at {found.url} is no JSON object with one meaning"
        found.findings.append(wrong(_ABOUT, "metadata_malformed", text))
        return False
    found.findings.append(ok(_ABOUT, "metadata_found", f"metadata is at {found.url}"))
    return True


def _compare_issuer(found: Discovered, *, exact: bool) -> None:
    """RFC 8414 §3.3 and OpenID Connect Discovery §4.3: identical, character by character."""
    given, declared = found.issuer, found.metadata.get("issuer")
    if not isinstance(declared, str):
        found.findings.append(wrong(_ABOUT, "metadata_malformed", "the metadata has no `issuer`"))
    elif declared == given:
        found.believed = True
        found.findings.append(ok(_ABOUT, "issuer_matches", f"it says that its issuer is {declared}"))
    elif placeholder := _template(declared, given):
        found.issuer, found.placeholder, found.believed = declared, placeholder, True
        text = f"many tenants share this metadata, and the issuer of each is {shown(declared)}"
        found.findings.append(note(_ABOUT, "many_tenants", text))
    elif declared.rstrip("/") == given.rstrip("/"):
        found.issuer, found.believed = declared, True
        found.findings.append(_slash(given, declared) if exact else _own_spelling(declared))
    else:
        _name_other_issuer(found, given, declared)


def _slash(given: str, declared: str) -> Finding:
    has, lacks = ("has", "lacks") if declared.endswith("/") else ("lacks", "has")
    text = (
        f"it says that its issuer is {shown(declared)}, and that {has} the slash at its end"
        f" which {given}"
        f" {lacks}. Issuers are compared character by character; what follows is for {shown(declared)}"
    )
    return wrong(_ABOUT, "issuer_mismatch", text)


def _own_spelling(declared: str) -> Finding:
    return note(_ABOUT, "issuer_spelled", f"it writes its issuer as {shown(declared)}; so it is used")


def _name_other_issuer(found: Discovered, given: str, declared: str) -> None:
    text = (
        f"it says that its issuer is {shown(declared)}, not {given}. Compare with `iss` in a"
        f" token, and"
        " give that"
    )
    if _origin(declared) == _origin(given):
        found.otherwise = declared
    found.findings.append(wrong(_ABOUT, "issuer_mismatch", text))


def _template(declared: str, given: str) -> str | None:
    """Return the one placeholder of ``declared`` if ``given`` is the same with something in its place."""
    found = _PLACEHOLDER.findall(declared)
    if len(found) != 1:
        return None
    before, after = declared.split(found[0])
    fits = given.startswith(before) and given.endswith(after) and len(given) > len(before) + len(after)
    return found[0] if fits and "/" not in given[len(before) : len(given) - len(after)] else None


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def _look_at_jwks_uri(found: Discovered, door: Door) -> None:
    jwks_uri = found.metadata.get("jwks_uri")
    if not isinstance(jwks_uri, str):
        text = "the metadata names no `jwks_uri`: there are no keys by which a signature could be verified"
        found.findings.append(wrong(_ABOUT, "jwks_uri_missing", text))
        return
    try:
        check_url(jwks_uri, allow_insecure_http=door.allow_insecure_http, allow_query=True)
    except ValueError as error:
        found.findings.append(wrong(_ABOUT, "jwks_uri_refused", f"jwks_uri {shown(jwks_uri)}: {error}"))
        return
    found.jwks_uri = jwks_uri
    host, own = urlsplit(jwks_uri).hostname, urlsplit(found.issuer).hostname
    if host != own:
        text = f"the keys are at another host, {shown(str(host))}; make sure that it belongs to the same IdP"
        found.findings.append(note(_ABOUT, "jwks_uri_elsewhere", text))


def _algorithms(metadata: Mapping[str, object]) -> Iterator[Finding]:
    """What is advertised is about ID tokens; access tokens are signed alike nearly everywhere."""
    advertised = metadata.get("id_token_signing_alg_values_supported")
    names = [name for name in advertised if isinstance(name, str)] if isinstance(advertised, list) else []
    if not names:
        return
    taken = sorted(ASYMMETRIC_ALGORITHMS.intersection(names))
    refused = sorted(set(names) - ASYMMETRIC_ALGORITHMS)
    if not taken:
        text = (
            f"it signs with {listed(refused)}, and only"
            f" {', '.join(sorted(ASYMMETRIC_ALGORITHMS))} are taken. Have it sign with RS256 or ES256"
        )
        yield wrong(_ABOUT, "no_usable_algorithm", text)
        return
    never = f"; never {listed(refused)}" if refused else ""
    yield ok(_ABOUT, "algorithms", f"of what it signs with, {', '.join(taken)} is taken{never}")
