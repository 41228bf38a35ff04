"""Backends on Node.js that nobody here wrote: ``openid-client`` and ``oauth4webapi``, by ``node_client.mjs``."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.interop.exchanging import private_jwk
from tests.interop.node import node_or_skip
from tests.interop.peers import HERE
from tests.support.policies import CLIENT_SECRET, KEY_CLIENT, SECRET_CLIENT

LIBRARIES = ("openid-client", "oauth4webapi")


def call(library: str, issuer: str, method: str, *, dpop: str | None = None, **asked: Any) -> dict[str, Any]:
    """Exchange once, with ``parameters``; returns what the library made of the answer, verified by ``jose``.

    The client is the one of ``policies.py`` that uses ``method``; ``dpop`` is the algorithm of a new key.
    """
    credentials = {
        "client_secret_basic": {"client_id": SECRET_CLIENT, "secret": CLIENT_SECRET},
        "client_secret_post": {"client_id": SECRET_CLIENT, "secret": CLIENT_SECRET},
        "private_key_jwt": {"client_id": KEY_CLIENT, "key": private_jwk()},
    }.get(method, {})
    sent = {"library": library, "issuer": issuer, "method": method, "dpop": dpop} | credentials | asked
    done = subprocess.run(
        [node_or_skip(), str(HERE / "node_client.mjs")],
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
