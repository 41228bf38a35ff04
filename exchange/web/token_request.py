"""Form to ``TokenExchangeRequest``, in the order of RFC 8693 §2.1."""

from __future__ import annotations

import re

from exchange.errors import Refusal, token_refusal
from exchange.model import Role, Secret, TokenExchangeRequest, TokenTypeIdentifier
from exchange.web.form import Form, single

_MAX_TARGET = 2048
_MAX_SCOPE = 4096
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3
_PRESENTABLE = frozenset({TokenTypeIdentifier.ACCESS_TOKEN, TokenTypeIdentifier.JWT})
_ISSUABLE = _PRESENTABLE

# What to send instead, for the types of RFC 8693 §3 that we know and refuse.
_INSTEAD = {
    TokenTypeIdentifier.ID_TOKEN: (
        "An ID token says who signed in, to one client; it is not accepted."
        " Present the access token that was issued with it."
    ),
    TokenTypeIdentifier.REFRESH_TOKEN: (
        "A refresh token is not accepted. Use it at its issuer, and present the access token that it gives."
    ),
    TokenTypeIdentifier.SAML1: "A SAML 1.1 assertion is not accepted. Present an access token.",
    TokenTypeIdentifier.SAML2: "A SAML 2.0 assertion is not accepted. Present an access token.",
}


def parse_token_request(form: Form) -> TokenExchangeRequest:
    """Return the request. Unknown parameters are ignored (RFC 6749 §3.2).

    Raises ``Refusal`` with a reason of the request group, or ``subject_token_type_unsupported`` and its twin.
    """
    # resource, audience (OPTIONAL, may repeat)
    resources = _names(form, "resource")
    audiences = _names(form, "audience")
    # scope (OPTIONAL)
    scopes = _scopes(single(form, "scope"))
    # requested_token_type (OPTIONAL)
    requested = _requested_token_type(single(form, "requested_token_type"))
    # subject_token, subject_token_type (REQUIRED)
    subject_token = _required(form, "subject_token")
    subject_token_type = _presented_type(_required(form, "subject_token_type"), Role.SUBJECT)
    # actor_token (OPTIONAL), actor_token_type (REQUIRED with it, and MUST NOT be sent without it)
    actor_token, actor_token_type = _actor(single(form, "actor_token"), single(form, "actor_token_type"))
    return TokenExchangeRequest(
        subject_token=Secret(subject_token),
        subject_token_type=subject_token_type,
        actor_token=actor_token,
        actor_token_type=actor_token_type,
        audiences=audiences,
        resources=resources,
        scopes=scopes,
        requested_token_type=requested,
    )


def _required(form: Form, name: str) -> str:
    value = single(form, name)
    if value is None:
        raise Refusal("parameter_missing", detail=name)
    return value


def _names(form: Form, name: str) -> tuple[str, ...]:
    values = form.get(name, ())
    if any(len(value) > _MAX_TARGET for value in values):
        raise Refusal("parameter_malformed", detail=name)
    return values


def _scopes(value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    scopes = value.split(" ")
    if len(value) > _MAX_SCOPE or not all(_SCOPE_TOKEN.fullmatch(scope) for scope in scopes):
        raise Refusal("parameter_malformed", detail="scope")
    return tuple(dict.fromkeys(scopes))


def _requested_token_type(value: str | None) -> TokenTypeIdentifier:
    if value is None:
        return TokenTypeIdentifier.ACCESS_TOKEN
    if value not in _ISSUABLE:
        raise Refusal("requested_token_type_unsupported")
    return TokenTypeIdentifier(value)


def _presented_type(value: str, role: Role) -> TokenTypeIdentifier:
    if value in _PRESENTABLE:
        return TokenTypeIdentifier(value)
    instead = next((text for known, text in _INSTEAD.items() if known == value), None)
    raise token_refusal(role, "type_unsupported", description=instead)


def _actor(token: str | None, declared: str | None) -> tuple[Secret | None, TokenTypeIdentifier | None]:
    if token is None:
        if declared is not None:
            raise Refusal("actor_token_type_without_actor_token")
        return None, None
    if declared is None:
        raise Refusal("parameter_missing", detail="actor_token_type")
    return Secret(token), _presented_type(declared, Role.ACTOR)
