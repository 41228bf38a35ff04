"""Whom we believe: ``iss`` is a key into the configured issuers, and nothing else.

An issuer that is not in there is not asked, looked up or resolved. There is no pattern and no default.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from exchange.config.tenant_template import templates_of
from exchange.config.values import TrustedIssuer
from exchange.trust.key_cache import KeyCache, KeyCaches, prefetch_all

MAX_WARMED: Final = 64
"""Issuers whose keys are fetched before the first request; those beyond are fetched when first needed."""
_WARMING_THREADS: Final = 4
WARMING_WAIT_SECONDS: Final = 1.0
"""A worker that has just started waits so long for its keys before it takes requests."""


class TrustedIssuers:
    """The configured issuers by ``iss``, each with its keys; made anew for each load of the policies.

    ``own`` is ourselves (``own_issuer``), and comes before an issuer that is configured under our name;
    without it no token of ours is believed.
    """

    def __init__(
        self, issuers: Mapping[str, TrustedIssuer], caches: KeyCaches, own: TrustedIssuer | None = None
    ) -> None:
        self._issuers = issuers
        self._caches = caches
        self._own = own
        self._found: dict[str, tuple[TrustedIssuer, KeyCache]] = {}
        self._templates = {one.tenant.template: one for one in issuers.values() if one.tenant is not None}
        self._by_name = {issuer.name: issuer.issuer for issuer in issuers.values()}

    def get(self, iss: str) -> tuple[TrustedIssuer, KeyCache] | None:
        """Return the issuer that is configured as exactly ``iss``, and its keys; ``None`` when there is none.

        A disabled issuer is returned too, for the refusal to say so; only ``find`` ever fetches.
        """
        found = self._found.get(iss)
        if found is None:
            own = self._own
            issuer = own if own is not None and iss == own.issuer else self._issuers.get(iss)
            if issuer is None:
                return None
            found = self._found[iss] = (issuer, self._caches.for_source(issuer.keys, issuer.name))
        return found

    def of_another_tenant(self, iss: str) -> TrustedIssuer | None:
        """Return an issuer made from a template that ``iss`` fits too, with a tenant that is not allowed.

        For the refusal alone. One look-up for each part of ``iss``, however many issuers there are.
        """
        if not self._templates:
            return None
        found = (self._templates.get(template) for template in templates_of(iss))
        return next((issuer for issuer in found if issuer is not None), None)

    def named(self, name: str) -> tuple[TrustedIssuer, KeyCache] | None:
        """Return the issuer of the file ``name``, as ``get``; ``None`` when there is no such file."""
        iss = self._by_name.get(name)
        return self.get(iss) if iss is not None else None

    def warm(self, *, wait_seconds: float = 0.0) -> None:
        """Fetch the keys of the first enabled issuers in the background. Call it after ``fork``.

        Returns when that is done, or after ``wait_seconds``: an IdP that is slow keeps nobody from starting.
        """
        asked = (one for one in self._issuers.values() if one.enabled and _needs_keys(one))
        caches = [self._caches.for_source(issuer.keys, issuer.name) for issuer in islice(asked, MAX_WARMED)]
        prefetch_all(caches, threads=_WARMING_THREADS, wait_seconds=wait_seconds)


def _needs_keys(issuer: TrustedIssuer) -> bool:
    """Not where no token is ever accepted: its name may be no URL. Not where the issuer vouches for each."""
    asked = issuer.introspection
    if asked is not None and asked.every_token and not asked.signed_response:
        return False
    return issuer.profile.never is None
