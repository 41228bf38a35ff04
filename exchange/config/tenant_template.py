"""Issuers with a tenant in them: one placeholder, which is one whole path segment or one whole host label.

There is no matching of patterns. A template is expanded when the policies load, and what is looked up for a
request is the expanded issuer, character by character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

PLACEHOLDER: Final = "{tenant}"
_TENANT = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_NO_SEGMENT: Final = frozenset({".", ".."})
_ANY_PLACEHOLDER = re.compile(r"\{[A-Za-z][A-Za-z0-9_-]*\}", re.ASCII)
_LONGEST: Final = 512
"""Of an ``iss`` that is compared with templates: a token of 16 KiB must not cost thousands of comparisons."""


def check_template(issuer: str) -> None:
    """Raise ``ValueError``, with what to write, unless ``issuer`` has one placeholder in a whole place."""
    found = issuer.count(PLACEHOLDER)
    if found != 1 or "{" in issuer.replace(PLACEHOLDER, ""):
        raise ValueError(f"with `tenant` there is exactly one placeholder, {PLACEHOLDER}; write one")
    if all(template != issuer for template in templates_of(issuer.replace(PLACEHOLDER, "tenant"))):
        raise ValueError(f"{PLACEHOLDER} must be one whole path segment, or one whole label of the host")


def check_tenant(tenant: str, issuer: str) -> None:
    """Raise ``ValueError`` unless ``tenant`` can stand in the place of the placeholder of ``issuer``.

    A name with ``/`` or, in a host, with ``.`` would reach beyond its place, to another tenant or host.
    """
    if "*" in tenant or PLACEHOLDER in tenant:
        raise ValueError("there is no wildcard tenant; list each tenant that is believed")
    if not _TENANT.fullmatch(tenant) or tenant in _NO_SEGMENT:
        raise ValueError("write a tenant as it stands in `iss`: letters, digits, `.`, `_` and `-`")
    if in_host(issuer) and not _LABEL.fullmatch(tenant):
        raise ValueError("a label of a host is letters, digits and `-`")


def in_host(template: str) -> bool:
    """Tell whether the placeholder is in the host of the URL, and not in its path."""
    return PLACEHOLDER in template.partition("://")[2].partition("/")[0]


def expand(template: str, tenant: str) -> str:
    """Return the issuer of ``tenant``."""
    return template.replace(PLACEHOLDER, tenant)


def templates_of(iss: str) -> Iterator[str]:
    """Yield the templates that ``iss`` may be of: as many as it has host labels and path segments."""
    scheme, separator, rest = iss.partition("://")
    if not separator or len(iss) > _LONGEST:
        return
    host, slash, path = rest.partition("/")
    for replaced in _with_one_replaced(host, ".", _LABEL):
        yield f"{scheme}://{replaced}{slash}{path}"
    for replaced in _with_one_replaced(path, "/", _TENANT):
        yield f"{scheme}://{host}/{replaced}"


def _with_one_replaced(text: str, separator: str, name: re.Pattern[str]) -> Iterator[str]:
    parts = text.split(separator)
    for index, part in enumerate(parts):
        if name.fullmatch(part):
            yield separator.join((*parts[:index], PLACEHOLDER, *parts[index + 1 :]))


def as_template(issuer: str) -> str:
    """Return an issuer with the IdP's own placeholder, such as Entra's ``{tenantid}``, in our words."""
    return _ANY_PLACEHOLDER.sub(PLACEHOLDER, issuer)


def filled_in(issuer: str, tenant: str) -> str:
    """Return an issuer in which ``tenant`` stands where the IdP has its own placeholder."""
    return _ANY_PLACEHOLDER.sub(lambda _: tenant, issuer)
