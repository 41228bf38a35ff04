"""Google's way: ``tokeninfo``, asked with ``access_token`` alone, for it takes ``id_token`` just as well."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

from exchange.config.values import Introspection
from exchange.introspection.answer import INACTIVE, Answer, AnswerRefused, check_status, json_members
from exchange.model import Secret
from exchange.outbound import HttpAnswer, Question

_BAD_REQUEST: Final = 400
_SECONDS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_TEXTS: Final = ("aud", "azp", "sub", "scope", "email", "access_type", "hd")
_OF_AN_ID_TOKEN: Final = ("iss", "at_hash", "c_hash", "s_hash", "nonce", "token_use")
"""No answer about an access token has them; kept so that one which has is refused for it."""
_BOOLEANS: Final = {"true": True, "false": False}


def question(introspection: Introspection, token: Secret) -> Question:
    """Return the request; Google asks for no credentials of ours."""
    separator = "&" if "?" in introspection.endpoint else "?"
    query = urlencode({"access_token": token.reveal()})
    return Question("GET", f"{introspection.endpoint}{separator}{query}", {"Accept": "application/json"})


def read(http: HttpAnswer, now: float) -> Answer:
    """Return the answer with the names and types of RFC 7662 §2.2; raises ``AnswerRefused``.

    Google writes numbers and booleans as strings. An unknown, expired or revoked token is status 400.
    """
    if http.status == _BAD_REQUEST and json_members(http).get("error") == "invalid_token":
        return INACTIVE
    check_status(http)
    members = json_members(http)
    claims: dict[str, object] = {
        name: members[name] for name in (*_TEXTS, *_OF_AN_ID_TOKEN) if name in members
    }
    claims["exp"] = _expiry(members, now)
    verified = members.get("email_verified")
    if isinstance(verified, (str, bool)) and str(verified).lower() in _BOOLEANS:
        claims["email_verified"] = _BOOLEANS[str(verified).lower()]
    return Answer(active=True, claims=MappingProxyType(claims), size=len(http.body))


def _expiry(members: dict[str, object], now: float) -> int:
    at, seconds = _number(members.get("exp")), _number(members.get("expires_in"))
    if at is not None:
        return at
    if seconds is None:
        raise AnswerRefused("answer_malformed")
    return int(now) + seconds


def _number(value: object) -> int | None:
    if type(value) is int:
        return value
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        return int(value)
    if value is None:
        return None
    raise AnswerRefused("answer_malformed")
