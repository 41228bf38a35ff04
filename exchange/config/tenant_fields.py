"""``tenant`` of an issuer's file: an IdP with an issuer for each tenant, of which some are believed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from exchange.config.claim_fields import ClaimName
from exchange.config.faults import YamlPath
from exchange.config.fields import Names, StrictSchema
from exchange.config.policy_file import PolicyFile
from exchange.config.tenant_template import PLACEHOLDER, check_template, check_tenant, expand
from exchange.config.values import TenantBinding, TrustedIssuer

Named = tuple[PolicyFile, YamlPath, str]
"""A file, where in it a name stands, and the name."""


class TenantSchema(StrictSchema):
    claim = ClaimName(required=True)
    allow = Names("tenant", required=True)


# What Microsoft's sign-in pages are reached by. A token names the tenant, and never these.
_ENDPOINTS = re.compile(
    r"https://(login\.(microsoftonline\.(com|us)|partner\.microsoftonline\.cn|windows\.net)"
    r"|sts\.(windows\.net|chinacloudapi\.cn))/(common|organizations|consumers)(/.*)?",
    re.ASCII,
)
_WITHOUT_TENANT: Final = (
    f"a placeholder needs `tenant: {{claim: ..., allow: [...]}}`, and is written {PLACEHOLDER};"
    " list the tenants that are believed"
)
_NO_TENANT: Final = (
    f"no token has this issuer, which is an endpoint for many tenants; write {PLACEHOLDER} in its place, and"
    " `tenant: {claim: tid, allow: [...]}`"
)


def check_tenants(file: PolicyFile, loaded: Mapping[str, Any]) -> None:
    """Record what is wrong with the placeholder of ``issuer`` and with the tenants that take its place."""
    issuer = loaded.get("issuer")
    if issuer is None:
        return
    for _, path, named in issuers_named(file):
        if _ENDPOINTS.fullmatch(named):
            file.fault(path, _NO_TENANT)
    if "tenant" in file.data:
        _check_places(file, issuer)
    elif "{" in issuer:
        file.fault(("issuer",), _WITHOUT_TENANT)


def _check_places(file: PolicyFile, template: str) -> None:
    try:
        check_template(template)
    except ValueError as error:
        file.fault(("issuer",), str(error))
        return
    for path, tenant in _allowed(file):
        try:
            check_tenant(tenant, template)
        except ValueError as error:
            file.fault(path, str(error))


def issuer_as_url(loaded: Mapping[str, Any]) -> str:
    """Return ``issuer`` as it looks for some tenant, for the checks of its form; empty when there is none."""
    return expand(loaded.get("issuer", ""), "tenant") if "tenant" in loaded else loaded.get("issuer", "")


def per_tenant(issuer: TrustedIssuer, loaded: Mapping[str, Any]) -> tuple[TrustedIssuer, ...]:
    """Return the issuer of each allowed tenant, in the order of the file; ``issuer`` itself without any.

    They share their keys, unless those are found by discovery: metadata is looked for at each tenant's own.
    """
    tenant = loaded.get("tenant")
    if tenant is None:
        return (issuer,)
    return tuple(
        _of_tenant(issuer, TenantBinding(tenant["claim"], name, issuer.issuer)) for name in tenant["allow"]
    )


def _of_tenant(issuer: TrustedIssuer, binding: TenantBinding) -> TrustedIssuer:
    iss = expand(binding.template, binding.tenant)
    keys = issuer.keys
    if keys.discovery is not None:
        keys = replace(keys, discovery=iss, metadata_template=binding.template)
    return replace(issuer, issuer=iss, keys=keys, tenant=binding)


def issuers_named(file: PolicyFile) -> Iterator[Named]:
    """Yield each ``issuer`` that ``file`` claims: what it says, and what that comes to for each tenant."""
    issuer = file.data.get("issuer")
    if not isinstance(issuer, str):
        return
    yield file, ("issuer",), issuer
    if issuer.count(PLACEHOLDER) == 1:
        for path, tenant in _allowed(file):
            yield file, path, expand(issuer, tenant)


def _allowed(file: PolicyFile) -> Iterator[tuple[YamlPath, str]]:
    section = file.data.get("tenant")
    allow = section.get("allow") if isinstance(section, dict) else None
    if isinstance(allow, str):
        yield ("tenant", "allow"), allow
    elif isinstance(allow, list):
        yield from ((("tenant", "allow", at), name) for at, name in enumerate(allow) if isinstance(name, str))
