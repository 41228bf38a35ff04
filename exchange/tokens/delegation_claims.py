"""``act`` and ``may_act``: who acts, and who may (RFC 8693 §4.1, §4.4), in the shape that the RFC gives them.

Presence counts: ``null`` is no object either, and a chain that cannot be read is never taken for none.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exchange.errors import token_refusal
from exchange.model import Claims, Role

IDENTITY_CLAIMS: Final = ("sub", "iss", "client_id")
"""What identifies a party (RFC 8693 §4.1, RFC 9068 §2.2): all that is kept of a link of the chain."""
MAX_LINKS: Final = 16
"""Links of a chain that is read at all; ``max_delegation_depth`` bounds what is issued."""
_ACT: Final = "act"
_MAY_ACT: Final = "may_act"


def read_act(claims: Claims, role: Role) -> Claims | None:
    """Return the chain of actors with identity claims only, each prior actor nested in ``act``, unbroken.

    ``None`` when the token carries none. Raises ``Refusal``: ``…_claim_malformed`` for a link that is no
    object or names nobody (neither ``sub`` nor ``client_id``), and for a chain that is too long.
    """
    links = []
    holder: Mapping[str, object] = claims
    while _ACT in holder:
        holder = _object(holder[_ACT], _ACT, role)
        links.append(_identity(holder, role))
        if len(links) > MAX_LINKS:
            raise token_refusal(role, "claim_malformed", detail=f"act has more than {MAX_LINKS} links")
    chain: Claims | None = None
    for link in reversed(links):
        chain = MappingProxyType(link if chain is None else {**link, _ACT: chain})
    return chain


def read_may_act(claims: Claims, role: Role) -> Claims | None:
    """Return whom the token allows to act, as it is written; ``None`` when it says nothing.

    Raises ``Refusal``: ``…_claim_malformed`` unless it is an object whose identity claims are strings.
    """
    if _MAY_ACT not in claims:
        return None
    may_act = _object(claims[_MAY_ACT], _MAY_ACT, role)
    _check_texts(may_act, _MAY_ACT, role)
    return MappingProxyType(dict(may_act))


def _identity(link: Mapping[str, object], role: Role) -> dict[str, object]:
    _check_texts(link, _ACT, role)
    identity = {name: link[name] for name in IDENTITY_CLAIMS if name in link}
    if identity.keys() <= {"iss"}:
        raise token_refusal(role, "claim_malformed", detail="a link of act names nobody")
    return identity


def _object(value: object, name: str, role: Role) -> Mapping[str, object]:
    if isinstance(value, Mapping):
        return value
    raise token_refusal(role, "claim_malformed", detail=f"{name} is not an object")


def _check_texts(party: Mapping[str, object], name: str, role: Role) -> None:
    for member in IDENTITY_CLAIMS:
        value = party.get(member, "absent")
        if not (isinstance(value, str) and value):
            detail = f"{member} in {name} is not a non-empty string"
            raise token_refusal(role, "claim_malformed", detail=detail)
