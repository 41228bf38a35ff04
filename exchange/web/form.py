"""The body of a POST, parsed once and strictly (RFC 6749 §3.2, RFC 8693 §2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from exchange.errors import Refusal

MEDIA_TYPE = "application/x-www-form-urlencoded"
MAX_BODY = 64 * 1024
"""Bytes."""
MAX_DISCARDED = 1024 * 1024
"""Bytes of a body that is too large that are read and thrown away."""
MAX_FIELDS = 100
_MAX_NAME = 128
_REPEATABLE = frozenset({"audience", "resource"})
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

Form = Mapping[str, tuple[str, ...]]
"""Parameter names to their values, in the order sent. Only ``audience`` and ``resource`` have more than
one.
"""


def parse_form(request: Request) -> Form:
    """Return the parameters of the body; an empty one counts as absent (RFC 6749 §3.2).

    Raises ``Refusal``: ``query_string_refused``, ``content_type_unsupported``, ``body_too_large``,
    ``parameter_malformed``, ``parameter_repeated``.
    """
    # Authlib and Flask would merge the query string into the form, and it would win; a token or a secret in
    # a URL also ends up in every proxy's log.
    if request.query_string:
        raise Refusal("query_string_refused")
    if request.mimetype != MEDIA_TYPE or request.mimetype_params.get("charset", "utf-8").lower() != "utf-8":
        raise Refusal("content_type_unsupported")
    return _fields(_body(request))


def _body(request: Request) -> bytes:
    try:
        body = request.get_data(cache=False, parse_form_data=False)
    except RequestEntityTooLarge:
        body = None
    # A chunked body has no length to refuse: Werkzeug cuts it off at its limit, which is one byte above ours.
    if body is None or len(body) > MAX_BODY:
        _discard_rest(request)
        raise Refusal("body_too_large")
    return body


def _discard_rest(request: Request) -> None:
    """Read on for a while: closing with unread data resets the connection, and the answer is lost with it."""
    unread = MAX_DISCARDED
    while unread > 0 and (chunk := request.environ["wsgi.input"].read(min(unread, MAX_BODY))):
        unread -= len(chunk)


def _fields(body: bytes) -> Form:
    if _BAD_ESCAPE.search(body):
        raise Refusal("parameter_malformed", detail="percent_escape")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:  # not ASCII, not UTF-8 once decoded, or too many fields
        raise Refusal("parameter_malformed", detail="encoding") from None
    form: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if len(name) > _MAX_NAME:
            raise Refusal("parameter_malformed", detail="name_too_long")
        if value:
            _add(form, name, value)
    return MappingProxyType(form)


def _add(form: dict[str, tuple[str, ...]], name: str, value: str) -> None:
    # First-wins and last-wins parsers disagree, and an attacker picks the one that was not checked.
    if name in form and name not in _REPEATABLE:
        raise Refusal("parameter_repeated")
    form[name] = (*form.get(name, ()), value)


def single(form: Form, name: str) -> str | None:
    """Return the value of a parameter that does not repeat, or ``None``."""
    values = form.get(name)
    return values[0] if values else None
