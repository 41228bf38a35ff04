"""Which JOSE headers are looked at any further (RFC 7515 §4.1, RFC 8725 §3). No key is asked for before."""

from __future__ import annotations

from typing import Final

from exchange.errors import token_refusal
from exchange.jose import ASYMMETRIC_ALGORITHMS
from exchange.model import Claims, Role

_REFUSED: Final = ("crit", "b64")
_FOR_ANOTHER_RESOURCE: Final = (
    "The token is for another resource, which alone can verify it (Microsoft Graph marks its tokens so);"
    " get an access token with a scope of this service."
)


def check_header(header: Claims, role: Role) -> None:
    """Refuse an unverified header that no honest access token has.

    Raises ``Refusal``: ``…_algorithm_not_allowed`` for ``none``, HMAC and unknown ones; ``…_header_refused``.
    ``jwk``, ``jku``, ``x5u`` and ``x5c`` are ignored: keys come from the issuer's configuration alone.
    """
    # `none` needs no key at all, and whoever can check an HMAC can make one (RFC 8725 §3.1, §3.2).
    if header.get("alg") not in ASYMMETRIC_ALGORITHMS:
        raise token_refusal(role, "algorithm_not_allowed", detail="alg is none, symmetric or unknown")
    for name in _REFUSED:
        # RFC 7515 §4.1.11: what is critical and not understood makes it invalid; none is understood.
        if name in header:
            raise token_refusal(role, "header_refused", detail=f"header {name}")
    if "nonce" in header:
        detail = "header nonce: a token for Microsoft Graph, or for another resource that hashes it"
        raise token_refusal(role, "header_refused", description=_FOR_ANOTHER_RESOURCE, detail=detail)
    for name in ("typ", "kid"):
        if not isinstance(header.get(name, ""), str):
            raise token_refusal(role, "header_refused", detail=f"header {name} is not a string")
    _refuse_nested(header, role)


def _refuse_nested(header: Claims, role: Role) -> None:
    """A JWT inside a JWT (RFC 7519 §5.2): the outer claims are not those that the issuer vouches for."""
    content = header.get("cty", "")
    if not isinstance(content, str) or content.lower().endswith("jwt"):
        raise token_refusal(role, "header_refused", detail="header cty: a nested token")
