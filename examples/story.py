"""What the demonstration shows: an exchange, the same person's ID token refused, and the audit records."""

from __future__ import annotations

import json
import textwrap
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import jwt
from demo_backend import TARGET, Backend, get, post
from stage import Service

SECRETS = {"subject_token", "client_assertion", "access_token"}
REFUSED_AS_ID_TOKEN = {"subject_token_is_id_token", "subject_token_kind_unproven"}
WIDTH = 34


class Unexpected(Exception):  # noqa: N818  # it is what the answer was
    """An answer is not what it must be; the message says how."""


def tell(service: Service, backend: Backend) -> None:
    """Do the exchange and the refusal, show each step, and check it; raises ``Unexpected``."""
    print(f"The service    {service.url}    started by the Procfile: {service.command}")
    print(f"A demo IdP     {backend.idp}    trusted by policies/issuers/demo.yaml")
    print(f"A backend      {backend.url}    known by policies/clients/shop.yaml")

    heading(1, "Ada logs in. The backend receives her access token")
    tokens = backend.login("ada")
    print(f"  access token  {shortened(tokens['access_token'])}")
    print(f"  ID token      {shortened(tokens['id_token'])}  (meant for the front end alone)")

    heading(2, "The backend exchanges it for one that the orders API accepts")
    answer = ask(service, backend, tokens["access_token"])
    expect(answer.get("status") == HTTPStatus.OK, f"the exchange was refused: {answer.get('reason')}")
    issued = verified(service, answer["access_token"])

    heading(3, "What went in, and what came out")
    side_by_side(unverified(tokens["access_token"]), issued)

    heading(4, "Ada's ID token, called an access token, is refused")
    refusal = ask(service, backend, tokens["id_token"])
    expect(refusal.get("status") == HTTPStatus.BAD_REQUEST, "the ID token was not refused")
    expect(refusal.get("reason") in REFUSED_AS_ID_TOKEN, f"it was refused for {refusal.get('reason')}")

    heading(5, "Both are in the audit trail: one line of JSON each, without a token")
    show_audit(service.audit_of(issued["claims"]["jti"]))
    show_audit(service.audit_of(refusal["request_id"]))
    expect(
        not any(token in line for line in service.audit for token in tokens.values() if "." in str(token)),
        "a token is in the audit trail",
    )


def ask(service: Service, backend: Backend, subject_token: str) -> dict[str, Any]:
    """POST the exchange, show request and answer; returns the answer's members and ``status``."""
    form = backend.form(subject_token)
    print(f"  POST {service.url}/token")
    table({name: shortened(value) if name in SECRETS else value for name, value in form.items()})
    status, answer = post(f"{service.url}/token", form)
    print(f"\n  HTTP {status}")
    table({name: shortened(value) if name in SECRETS else str(value) for name, value in answer.items()})
    return {**answer, "status": status}


def verified(service: Service, token: str) -> dict[str, Any]:
    """Check the issued token as the orders API would (RFC 9068 §4); returns header and claims."""
    _, jwks = get(f"{service.url}/jwks.json")
    keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(jwks).keys}
    header = jwt.get_unverified_header(token)
    expect(header.get("typ") == "at+jwt", "the issued token does not say that it is an access token")
    expect(header.get("kid") in keys, "the issued token names a key that /jwks.json does not have")
    key = keys[header["kid"]]
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=TARGET,
            issuer=service.url,
            options={"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]},
        )
    except jwt.PyJWTError as error:
        raise Unexpected(f"the issued token does not verify: {error}") from None
    expect(claims["sub"] == "demo|ada", "the issued token is not about Ada")
    expect(claims.get("scope") == "orders:read", "the issued token has another scope than was granted")
    return {"header": header, "claims": claims}


def unverified(token: str) -> dict[str, Any]:
    """Decode a token to show it; nothing here relies on it."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return {"header": jwt.get_unverified_header(token), "claims": claims}


def side_by_side(subject: dict[str, Any], issued: dict[str, Any]) -> None:
    """Print both tokens, member by member."""
    print(f"  {'':<10}{'access token of the IdP':<{WIDTH}}issued token, signature verified")
    rows = [("typ", subject["header"], issued["header"]), ("alg", subject["header"], issued["header"])]
    names = [*subject["claims"], *(name for name in issued["claims"] if name not in subject["claims"])]
    rows += [(name, subject["claims"], issued["claims"]) for name in names]
    for name, left, right in rows:
        print(f"  {name:<10}{shown(name, left):<{WIDTH}}{shown(name, right)}")


def show_audit(line: str) -> None:
    """Print one audit record, one member a line; it is written as one line of JSON."""
    record = json.loads(line)
    trace = record.pop("trace", {"rules": []})
    table({name: shown(name, record) for name in record})
    for rule in trace["rules"]:
        print(f"    {'trace':<22} {rule['id']}, {rule['source']}: {rule['outcome']}")
        for condition in rule["conditions"]:
            held = "holds" if condition["held"] else "fails"
            print(f"    {'':<22}   {held}  {condition['kind']} {condition['text']}")
    print()


def invitation(service: str, backend: str) -> None:
    """Say where it serves and how to try it."""
    metadata = f"{service}/.well-known/oauth-authorization-server"
    print(f"\nServing at {service} until Ctrl-C; audit records follow. Try, in another terminal:\n")
    print(f"  an exchange           curl -s {backend}/demo/access_token | curl -s -d @- {service}/token")
    print(f"  an ID token, refused  curl -s {backend}/demo/id_token | curl -s -d @- {service}/token")
    print(f"  the request alone     curl -s {backend}/demo/access_token | tr '&' '\\n'")
    print(f"  metadata and keys     curl -s {metadata} {service}/jwks.json")
    print("\nEach request is made ready for Ada, with a client assertion that works once.\n", flush=True)


def heading(number: int, text: str) -> None:
    """Print the title of a step."""
    print(f"\n{number}. {text}\n", flush=True)


def table(rows: dict[str, str]) -> None:
    """Print names and values in two columns."""
    for name, value in rows.items():
        lines = textwrap.wrap(value, 84, break_on_hyphens=False, break_long_words=False) or [""]
        print(f"    {name:<22} {lines[0]}")
        for line in lines[1:]:
            print(f"    {'':<22} {line}")


def shown(name: str, members: dict[str, Any]) -> str:
    """Return a claim as text: times as times, and a dash for what is not there."""
    if name not in members:
        return "-"
    value = members[name]
    if name in {"iat", "exp", "nbf"}:
        return datetime.fromtimestamp(value, UTC).strftime("%H:%M:%S UTC")
    return value if isinstance(value, str) else json.dumps(value)


def shortened(secret: str) -> str:
    """Return enough of a token to recognise it, and too little to use it."""
    return f"{secret[:12]}…{secret[-4:]} ({len(secret)} characters)"


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001  # reads as a sentence
    """Raise ``Unexpected`` unless it holds."""
    if not holds:
        raise Unexpected(otherwise)
