"""GitHub's way: "check a token" of an OAuth or GitHub App, which answers for tokens of that app alone."""

from __future__ import annotations

import json
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from exchange.config.values import Introspection
from exchange.introspection.answer import INACTIVE, Answer, AnswerRefused, check_status, json_members
from exchange.introspection.rfc7662 import basic
from exchange.model import Secret
from exchange.outbound import HttpAnswer, Question

API_VERSION: Final = "2022-11-28"
_NOT_FOUND: Final = 404


def question(introspection: Introspection, token: Secret) -> Question:
    """Return the request, with the app's own credentials."""
    secret = introspection.client_secret or Secret("")
    return Question(
        "POST",
        introspection.endpoint,
        {
            "Accept": "application/vnd.github+json",
            "Authorization": basic(introspection.client_id or "", secret.reveal()),
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": API_VERSION,
        },
        json.dumps({"access_token": token.reveal()}).encode(),
    )


def read(http: HttpAnswer, introspection: Introspection, now: float) -> Answer:
    """Return the answer with the names and types of RFC 7662 §2.2; raises ``AnswerRefused``.

    The claims are picked one by one: the answer holds the token itself. For us, a token
    without an end ends after ``introspection.lifetime``.
    """
    if http.status == _NOT_FOUND:
        return INACTIVE
    check_status(http)
    members: dict[str, Any] = json_members(http)
    app, user = members.get("app"), members.get("user")
    # By construction it is the app that asked; an answer that says otherwise is not about our question.
    if not isinstance(app, dict) or app.get("client_id") != introspection.client_id:
        raise AnswerRefused("answer_not_trusted")
    claims: dict[str, object] = {
        "client_id": app["client_id"],
        "exp": _expiry(members.get("expires_at"), int(now) + (introspection.lifetime or 0)),
        "scope": members.get("scopes") or [],
    }
    if isinstance(user, dict):
        claims |= _person(user)
    return Answer(active=True, claims=MappingProxyType(claims), size=len(http.body))


def _person(user: dict[str, Any]) -> dict[str, object]:
    """The numeric id stays with an account for ever; a login can be given up, and taken by somebody else."""
    number, login = user.get("id"), user.get("login")
    if type(number) is not int:
        raise AnswerRefused("answer_malformed")
    return {"sub": str(number), **({"login": login} if isinstance(login, str) else {})}


def _expiry(expires_at: object, otherwise: int) -> int:
    if expires_at is None:
        return otherwise
    try:
        at = datetime.fromisoformat(str(expires_at))
    except ValueError:
        raise AnswerRefused("answer_malformed") from None
    if at.tzinfo is None:
        raise AnswerRefused("answer_malformed")
    return int(at.timestamp())
