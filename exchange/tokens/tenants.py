"""Tokens of one tenant of many: what the token says, and to whom the key that signed it is confined."""

from __future__ import annotations

from typing import Final

from exchange.claim_path import MISSING, ClaimPath
from exchange.config.tenant_template import filled_in
from exchange.config.values import TrustedIssuer
from exchange.errors import Refusal, token_refusal
from exchange.jose import PublicKey
from exchange.model import Claims, Role
from exchange.trust import TrustedIssuers

_MICROSOFT_S_CLAIM: Final = ClaimPath("tid")
"""Microsoft's keys are the ones that are confined, and its tokens name the tenant so."""


def check_tenant(claims: Claims, issuer: TrustedIssuer, role: Role) -> None:
    """Raise ``Refusal`` unless the token names the tenant that is in its ``iss``.

    One key set is for all tenants: nothing but what the token says ties it to one of them.
    ``…_claim_missing``, ``…_tenant_not_allowed``.
    """
    binding = issuer.tenant
    if binding is None:
        return
    named = binding.claim.find(claims)
    if named is MISSING or named is None:
        raise token_refusal(role, "claim_missing", detail=f"{binding.claim}, which names the tenant")
    if named != binding.tenant:
        detail = f"issuer {issuer.name}: {binding.claim} is not the tenant that is in iss"
        raise token_refusal(role, "tenant_not_allowed", detail=detail)


def refuse_unknown(iss: str, issuers: TrustedIssuers, role: Role) -> Refusal:
    """Return the refusal of a token whose ``iss`` nobody configured: somebody else's, or another tenant's."""
    template = issuers.of_another_tenant(iss)
    if template is None:
        return token_refusal(role, "issuer_not_trusted")
    if not template.enabled:
        return token_refusal(role, "issuer_disabled", detail=f"issuer {template.name}")
    detail = f"the tenant in iss is not in tenant.allow of issuer {template.name}"
    return token_refusal(role, "tenant_not_allowed", detail=detail)


def is_key_of(key: PublicKey, issuer: TrustedIssuer, unverified_claims: Claims) -> bool:
    """Tell whether a key may verify tokens of ``issuer``.

    Entra confines the keys of a set that tenants share: to one tenant's issuer, or, with its own placeholder
    in the tenant's place, to the issuer of the tenant that the token names. The claim is not verified yet. It
    can only make this fail: what it is put into must come out as the very issuer that is configured.
    """
    confined_to = key.issuer
    if confined_to is None or "://" not in confined_to:
        return True
    if "{" in confined_to:
        claim = issuer.tenant.claim if issuer.tenant is not None else _MICROSOFT_S_CLAIM
        tenant = claim.find(unverified_claims)
        return isinstance(tenant, str) and filled_in(confined_to, tenant) == issuer.issuer
    return confined_to == issuer.issuer
