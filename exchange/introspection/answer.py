"""What an issuer says of a token, and the ways in which what came back says nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from exchange.model import NO_CLAIMS, Claims
from exchange.outbound import HttpAnswer
from exchange.strict_json import InvalidJson, parse_object

AnswerRefusal = Literal[
    "redirected",
    "credentials_refused",
    "rate_limited",
    "server_error",
    "status_refused",
    "answer_malformed",
    "answer_unsigned",
    "answer_not_trusted",
]

_OK: Final = 200
_BY_STATUS: Final[dict[int, AnswerRefusal]] = {
    401: "credentials_refused",
    403: "credentials_refused",
    429: "rate_limited",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. It may be about anybody: nothing of it is printed."""

    active: bool
    claims: Claims = field(repr=False)
    """What the issuer says of an active token, without ``active``; empty for another."""
    size: int = 0
    """Bytes that came, by which a cache is bounded."""


INACTIVE: Final = Answer(active=False, claims=NO_CLAIMS)


class AnswerRefused(Exception):  # noqa: N818  # an outcome to be handled, not a defect
    """What came back says nothing of the token. ``cause`` is ours; nothing of the other side is kept."""

    def __init__(self, cause: AnswerRefusal) -> None:
        super().__init__(cause)
        self.cause = cause

    @property
    def is_outage(self) -> bool:
        """Whether the next question would end alike, whatever token it is about."""
        return self.cause in {"redirected", "credentials_refused", "rate_limited", "server_error"}


def check_status(http: HttpAnswer) -> None:
    """Raise ``AnswerRefused`` unless the status is 200."""
    if http.status == _OK:
        return
    if 300 <= http.status < 400:  # noqa: PLR2004
        raise AnswerRefused("redirected")
    if http.status >= 500:  # noqa: PLR2004
        raise AnswerRefused("server_error")
    raise AnswerRefused(_BY_STATUS.get(http.status, "status_refused"))


def json_members(http: HttpAnswer) -> dict[str, object]:
    """Return the members of the JSON object in the body; raises ``AnswerRefused``.

    A missing content type is passed over, another one is not: an error page is no answer.
    """
    if http.content_type and http.content_type != "application/json" and not _is_json(http.content_type):
        raise AnswerRefused("answer_malformed")
    try:
        return parse_object(http.body.decode("utf-8"))
    except (InvalidJson, UnicodeDecodeError):
        raise AnswerRefused("answer_malformed") from None


def _is_json(content_type: str) -> bool:
    return content_type.startswith("application/") and content_type.endswith("+json")
