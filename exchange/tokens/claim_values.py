"""The claims that an exchange reads, in the types that the specifications give them, and no other.

JSON's ``null`` counts as absent. Nothing is converted: a number is no subject, a string is no list of one.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange.claim_path import MISSING, ClaimPath
from exchange.config.values import TrustedIssuer
from exchange.errors import token_refusal
from exchange.model import Claims, Role
from exchange.tokens.subject import Subject, name_subject

_AUDIENCE = ClaimPath("aud")
_SUBJECT = ClaimPath("sub")
_TOKEN_ID = ClaimPath("jti")


@dataclass(frozen=True, slots=True)
class ClaimValues:
    """What the claims of one token say, read once."""

    subject: Subject
    audience: frozenset[str]
    """Empty when the token names none."""
    scopes: frozenset[str]
    authorized_party: frozenset[str]
    token_id: str | None


def read_claims(claims: Claims, issuer: TrustedIssuer, role: Role) -> ClaimValues:
    """Return the values of the claims that the issuer's file names.

    Raises ``Refusal``: ``…_claim_missing`` for a required claim and for the subject, ``…_claim_malformed``.
    """
    return _Reader(claims, issuer, role).read()


@dataclass(frozen=True, slots=True)
class _Reader:
    claims: Claims
    issuer: TrustedIssuer
    role: Role

    def read(self) -> ClaimValues:
        for required in self.issuer.required_claims:
            self._required(required)
        token_id = self._text(_TOKEN_ID)
        self._text(_SUBJECT)  # the subject may be other claims; `sub` is a non-empty string all the same
        audience = self._texts(_AUDIENCE)
        if self.issuer.audience_claim != _AUDIENCE:
            audience = self._texts(self.issuer.audience_claim)
        parts = [self._subject_part(path) for path in self._subject_paths()]
        return ClaimValues(
            subject=name_subject(self.issuer.name, parts, self.issuer.subject_format),
            audience=frozenset(audience or ()),
            scopes=self._scopes(),
            authorized_party=self._authorized_party(),
            token_id=token_id,
        )

    def _find(self, path: ClaimPath) -> object:
        value = path.find(self.claims)
        return None if value is MISSING else value

    def _required(self, path: ClaimPath) -> object:
        value = self._find(path)
        if value is None:
            detail = f"{path} is missing; {self.issuer.profile.advice}"
            raise token_refusal(self.role, "claim_missing", detail=detail)
        return value

    def _text(self, path: ClaimPath) -> str | None:
        value = self._find(path)
        if value is None or (isinstance(value, str) and value):
            return value
        raise token_refusal(self.role, "claim_malformed", detail=f"{path} is not a non-empty string")

    def _texts(self, path: ClaimPath) -> tuple[str, ...] | None:
        """A string, or a list of strings, as ``aud`` is (RFC 7519 §4.1.3)."""
        value = self._find(path)
        if value is None:
            return None
        listed = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        texts = tuple(item for item in listed if isinstance(item, str) and item)
        if len(texts) != len(listed):
            detail = f"{path} is neither a non-empty string nor a list of them"
            raise token_refusal(self.role, "claim_malformed", detail=detail)
        return texts

    def _subject_paths(self) -> tuple[ClaimPath, ...]:
        otherwise = self.issuer.subject_otherwise
        if otherwise is None or any(self._find(path) is not None for path in self.issuer.subject):
            return self.issuer.subject
        return (otherwise,)

    def _subject_part(self, path: ClaimPath) -> str:
        self._required(path)
        return self._text(path) or ""

    def _scopes(self) -> frozenset[str]:
        """RFC 6749 §3.3: separated by a space, not by all that Python calls space. A list stays as it is."""
        for path in self.issuer.scope:
            value = self._find(path)
            if isinstance(value, str):
                return frozenset(scope for scope in value.split(" ") if scope)
            if value is not None:
                return frozenset(self._texts(path) or ())
        return frozenset()

    def _authorized_party(self) -> frozenset[str]:
        for path in self.issuer.client:
            texts = self._texts(path)
            if texts is not None:
                return frozenset(texts)
        return frozenset()
