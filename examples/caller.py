"""Exchange the access token on standard input, and print the issued one. Needs requests.

EXCHANGE=https://exchange.example CLIENT_ID=shop CLIENT_SECRET=… TARGET=https://orders.example \
        python examples/caller.py <token.txt
"""

from __future__ import annotations

import os
import sys
import time
from urllib.parse import quote_plus

import requests

RETRIED = {429, 503}
"""The service, or what it depends on, asks for patience; `Retry-After` says for how much."""


def exchange(subject_token: str, *, target: str, scope: str = "", attempts: int = 3) -> str:
    """Return an access token for ``target``; raises ``SystemExit`` with the reason of a refusal."""
    for attempt in range(attempts):
        answer = requests.post(
            f"{os.environ['EXCHANGE']}/token",
            # RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
            auth=(quote_plus(os.environ["CLIENT_ID"]), quote_plus(os.environ["CLIENT_SECRET"])),
            data={
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token": subject_token,
                "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "audience": target,
                "scope": scope,
            },
            allow_redirects=False,  # a redirect would carry the token to somebody else
            timeout=15,
        )
        if answer.status_code not in RETRIED or attempt == attempts - 1:
            break
        time.sleep(int(answer.headers.get("Retry-After", "1")))
    body = answer.json()
    if answer.status_code != requests.codes.ok:
        raise SystemExit(f"{body['reason']} (request {body['request_id']}): {body['error_description']}")
    return str(body["access_token"])


if __name__ == "__main__":
    print(exchange(sys.stdin.read().strip(), target=os.environ["TARGET"], scope=os.environ.get("SCOPE", "")))
