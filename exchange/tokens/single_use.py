"""``single_use: true``: a token of such an issuer is exchanged once, whichever worker is asked.

Whoever got hold of a copy comes too late, or its owner does and hears of it.
"""

from __future__ import annotations

from typing import Final

from exchange.config.values import TrustedIssuer
from exchange.errors import Refusal, token_refusal
from exchange.model import Role, VerifiedToken
from exchange.stores import Store, StoreUnavailable

NAMESPACE: Final = "single_use"
"""Of the marks in the store."""


def single_use_id(
    issuer: TrustedIssuer, role: Role, *, token_id: str | None, sha256: str, is_opaque: bool
) -> str | None:
    """Return what tells the token from all others of its issuer; ``None`` if it may be exchanged again.

    That is ``jti`` (RFC 7519 §4.1.7): the same token can be written in several ways, by another signature of
    the same claims to begin with. Without one an opaque token is what it is, character by character; a JWT is
    refused with ``…_claim_missing``.
    """
    if not issuer.single_use:
        return None
    if token_id is not None:
        return f"jti:{token_id}"
    if not is_opaque:
        raise token_refusal(
            role, "claim_missing", detail=f"jti, which single_use of issuer {issuer.name} needs"
        )
    return f"sha256:{sha256}"


class SingleUse:
    """Marks the tokens of an exchange as used; ``clock_skew`` is in seconds."""

    def __init__(self, store: Store, *, clock_skew: int) -> None:
        self._store = store
        self._skew = clock_skew

    def __call__(self, subject: VerifiedToken, actor: VerifiedToken | None) -> None:
        """Mark what may be exchanged once, each token in one atomic step. Call it when all else is done.

        The actor's token comes first: a machine gets itself another one, and a person may have to sign in
        again. Where the second mark fails, the first stays, and nothing is issued. One token in both roles is
        one use. Raises ``Refusal``: ``…_used``, and ``store_unavailable`` when nobody can say.
        """
        marked = set()
        for token in (actor, subject):
            if token is None or token.single_use_id is None:
                continue
            mark = (token.issuer, token.single_use_id)
            if mark not in marked:
                marked.add(mark)
                self._mark(token, mark)

    def _mark(self, token: VerifiedToken, mark: tuple[str, str]) -> None:
        try:
            first_use = self._store.add_if_absent(NAMESPACE, mark, token.expires_at + self._skew)
        except StoreUnavailable as unavailable:
            raise Refusal(
                "store_unavailable", detail=unavailable.cause, retry_after=unavailable.retry_after
            ) from None
        if not first_use:
            raise token_refusal(token.role, "used", detail=f"issuer {token.issuer_name}")
