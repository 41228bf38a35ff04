"""The callers of ``examples/``: each exchanges a token, and says the reason when it is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import jwt
import pytest

from tests.support.idp import FakeIssuer
from tests.support.policies import AUDIENCE, CLIENT_SECRET, SECRET_CLIENT
from tests.support.service import REPOSITORY, RunningService

EXAMPLES = REPOSITORY / "examples"
CALLERS = {
    "python": [sys.executable, str(EXAMPLES / "caller.py")],
    "node": ["node", str(EXAMPLES / "caller.mjs")],
    "shell": ["sh", str(EXAMPLES / "caller.sh")],
}
NEEDS = {"python": (), "node": ("node",), "shell": ("curl", "jq")}


def call(
    caller: str, service: RunningService, token: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    absent = [tool for tool in NEEDS[caller] if shutil.which(tool) is None]
    if absent:
        pytest.skip(f"the {caller} caller was not run: {', '.join(absent)} is not installed")
    settings = {
        "EXCHANGE": service.url,
        "CLIENT_ID": SECRET_CLIENT,
        "CLIENT_SECRET": CLIENT_SECRET,
        "TARGET": AUDIENCE,
    }
    return subprocess.run(
        CALLERS[caller],
        input=f"{token}\n",
        env={**os.environ, "NO_PROXY": "*", **settings, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("caller", CALLERS)
def test_a_caller_prints_the_issued_token(caller: str, service: RunningService, idp: FakeIssuer) -> None:
    done = call(caller, service, idp.access_token(), SCOPE="orders:read")

    assert (done.returncode, done.stderr) == (0, "")
    claims = jwt.decode(done.stdout.strip(), options={"verify_signature": False})
    assert (claims["aud"], claims["scope"]) == (AUDIENCE, "orders:read")


@pytest.mark.parametrize("caller", CALLERS)
def test_a_caller_without_a_scope_gets_all_that_the_rule_grants(
    caller: str, service: RunningService, idp: FakeIssuer
) -> None:
    done = call(caller, service, idp.access_token(scope="orders.read orders.write"))

    assert done.returncode == 0, done.stderr
    claims = jwt.decode(done.stdout.strip(), options={"verify_signature": False})
    assert set(claims["scope"].split()) == {"orders:read", "orders:write"}


@pytest.mark.parametrize("caller", CALLERS)
def test_a_caller_says_why_it_was_refused_and_prints_no_token(
    caller: str, service: RunningService, idp: FakeIssuer
) -> None:
    token = idp.id_token()
    done = call(caller, service, token)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("subject_token_is_id_token (request ")
    assert token not in done.stderr
    assert CLIENT_SECRET not in done.stderr
