"""OAuth 2.0 Token Introspection (RFC 7662), and its signed answers (RFC 9701)."""

from __future__ import annotations

import base64
from types import MappingProxyType
from typing import Final
from urllib.parse import quote_plus, urlencode

from exchange.config.values import Introspection, TrustedIssuer
from exchange.introspection.answer import INACTIVE, Answer, AnswerRefused, check_status, json_members
from exchange.introspection.signed_answer import MEDIA_TYPE, verified_members
from exchange.model import Secret
from exchange.outbound import HttpAnswer, Question
from exchange.trust import KeyCache

_FORM: Final = "application/x-www-form-urlencoded"


def question(introspection: Introspection, token: Secret) -> Question:
    """Return the request of RFC 7662 §2.1, with our own credentials as RFC 6749 §2.3.1 has them."""
    form = {"token": token.reveal(), "token_type_hint": "access_token"}
    headers = {
        "Accept": MEDIA_TYPE if introspection.signed_response else "application/json",
        "Content-Type": _FORM,
    }
    client_id, secret = introspection.client_id or "", introspection.client_secret or Secret("")
    if introspection.authentication == "client_secret_post":
        form |= {"client_id": client_id, "client_secret": secret.reveal()}
    else:
        # Each is form-encoded before they are joined: a colon in either would else move the border.
        headers["Authorization"] = basic(quote_plus(client_id), quote_plus(secret.reveal()))
    return Question("POST", introspection.endpoint, headers, urlencode(form).encode())


def basic(name: str, password: str) -> str:
    """Return the value of ``Authorization`` (RFC 7617 §2)."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def read(http: HttpAnswer, issuer: TrustedIssuer, keys: KeyCache, now: float) -> Answer:
    """Return what RFC 7662 §2.2 says; raises ``AnswerRefused``. ``active`` is a boolean, and is there."""
    check_status(http)
    introspection = issuer.introspection
    if introspection is not None and introspection.signed_response:
        members = dict(verified_members(http, issuer, keys, now))
    else:
        members = json_members(http)
    active = members.pop("active", None)
    if active is True:
        return Answer(active=True, claims=MappingProxyType(members), size=len(http.body))
    if active is False:
        return INACTIVE
    raise AnswerRefused("answer_malformed")
