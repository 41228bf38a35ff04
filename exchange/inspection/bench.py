"""The service's validator over one draft: what would become of a token if the draft were in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.config.values import Policies
from exchange.errors import Refusal
from exchange.inspection.tokens import ReadToken
from exchange.model import PresentedToken, Role
from exchange.tokens.checks import Check
from exchange.tokens.classify import Classification, classify
from exchange.tokens.validate import TokenValidator
from exchange.trust import KeyCaches, TrustedIssuers


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the service says of one token. ``reason`` is ``None`` where it accepts the token."""

    reason: str | None
    description: str = ""
    detail: str = ""
    checks: tuple[Check, ...] = ()
    """Those that were made, in order; the last of them failed where there is a reason."""

    @property
    def accepted(self) -> bool:
        return self.reason is None

    @property
    def signature_verified(self) -> bool:
        """The check of the signature was made, and passed."""
        return Check.SIGNATURE in self.checks and (self.accepted or self.checks[-1] is not Check.SIGNATURE)

    def is_refused_for(self, *suffixes: str) -> bool:
        """Tell whether the reason is that of a subject token with one of ``suffixes`` (``expired``)."""
        return self.reason in {f"{Role.SUBJECT}_token_{suffix}" for suffix in suffixes}


class Bench:
    """Loaded policies with one issuer in them, and the service's own validator."""

    def __init__(self, policies: Policies, key_caches: KeyCaches, clock: Callable[[], float]) -> None:
        self.issuer = next(iter(policies.issuers.values()))
        """The issuer of the draft; where it is one of many tenants, the first of them."""
        self._moment: float | None = None
        self._clock = clock
        self._validator = TokenValidator(
            issuers=TrustedIssuers(policies.issuers, key_caches), server=policies.server, clock=self._now
        )

    def _now(self) -> float:
        return self._clock() if self._moment is None else self._moment

    def kind(self, token: ReadToken) -> Classification:
        """Return what the service takes the token for, whatever its times, its audience and its signature."""
        return classify(token.header, token.claims, self.issuer)

    def validate(self, token: ReadToken) -> Verdict:
        """Return what the service says of the token now."""
        return self._ask(token, unsigned=False)

    def validate_in_its_time(self, token: ReadToken) -> Verdict:
        """As ``validate``, right after the token was issued, and with its signature left alone."""
        times = (token.claims.get("iat"), token.claims.get("nbf"))
        self._moment = max((float(time) for time in times if isinstance(time, int)), default=None)
        try:
            return self._ask(token, unsigned=True)
        finally:
            self._moment = None

    def _ask(self, token: ReadToken, *, unsigned: bool) -> Verdict:
        presented = PresentedToken(token.given.token, Role.SUBJECT)
        checks: list[Check] = []
        try:
            if unsigned:
                self._validator.accept(self._validator.read(presented, checks.append), checks.append)
            else:
                self._validator(presented, checks.append)
        except Refusal as refused:
            return Verdict(
                refused.reason.slug, refused.reason.description, refused.detail or "", tuple(checks)
            )
        return Verdict(None, checks=tuple(checks))
