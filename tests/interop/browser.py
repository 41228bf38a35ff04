"""A browser's part of the authorization code flow: follow redirects, fill in forms, come back with a code."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, quote, urljoin, urlsplit

import requests

CALLBACK = "https://shop.example/callback"
"""Where every client of these tests is called back; nothing is ever sent there."""
_MOST_PAGES = 10


def log_in(
    issuer: str, client: tuple[str, str], answers: Mapping[str, str], **parameters: str
) -> dict[str, Any]:
    """Log in at ``issuer`` with a code and PKCE (RFC 6749 §4.1, RFC 7636); returns the token response.

    ``answers`` are the values of the fields that its forms ask for; ``parameters`` go into the authorization request.
    """
    with requests.Session() as session:
        session.trust_env = False
        metadata = session.get(f"{issuer}/.well-known/openid-configuration", timeout=30).json()
        verifier = secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        query = {
            "client_id": client[0],
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        url = f"{metadata['authorization_endpoint']}"
        answer = session.get(url, params=query | parameters, allow_redirects=False, timeout=30)
        return token_response(
            metadata["token_endpoint"],
            client,
            grant_type="authorization_code",
            code=_code(session, answer, answers),
            redirect_uri=CALLBACK,
            code_verifier=verifier,
        )


def token_response(endpoint: str, client: tuple[str, str], **parameters: str) -> dict[str, Any]:
    """Ask a token endpoint, as a client that authenticates with HTTP Basic, encoded as RFC 6749 §2.3.1 says."""
    encoded = (quote(client[0], safe=""), quote(client[1], safe=""))
    answer = requests.post(endpoint, data=parameters, auth=encoded, timeout=30)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def _code(session: requests.Session, answer: requests.Response, answers: Mapping[str, str]) -> str:
    for _ in range(_MOST_PAGES):
        if answer.is_redirect:
            location = urljoin(answer.url, answer.headers["Location"])
            if location.startswith(CALLBACK):
                return parse_qs(urlsplit(location).query)["code"][0]
            answer = session.get(location, allow_redirects=False, timeout=30)
        else:
            assert answer.status_code == 200, answer.text
            form = _Form(answers)
            form.feed(answer.text)
            assert form.fields, f"no form to fill in at {answer.url}: {answer.text}"
            for cookie in session.cookies:
                cookie.secure = False  # a browser sends these to loopback without TLS; requests does not
            url = urljoin(answer.url, form.action or answer.url)
            answer = session.post(url, data=form.fields, allow_redirects=False, timeout=30)
    raise AssertionError(f"still no code at {answer.url}")


class _Form(HTMLParser):
    """The fields of the first form that asks for one of ``answers``, filled in."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        super().__init__()
        self._answers = answers
        self._found = False
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form" and not self._found:
            self.action, self.fields = attributes.get("action"), {}
        elif tag == "input" and not self._found:
            name = attributes.get("name") or ""
            if name:
                self.fields[name] = self._answers.get(name, attributes.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and not self._found:
            self._found = any(name in self._answers for name in self.fields)
            if not self._found:
                self.fields = {}
