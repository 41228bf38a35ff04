"""What a running service says about the policies in force, in all of its workers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from exchange.config.load import load
from tests.support.policies import AUDIENCE, BASIC
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService

SECONDS = 10.0
"""A change is in force within a few; a busy machine may take longer, and nothing here measures."""
_IN_FORCE = re.compile(r'^exchange_policies_info\{sha256="([0-9a-f]{64})"\} 1\.0$', re.MULTILINE)


def eventually(done: Callable[[], bool], *, seconds: float = SECONDS) -> None:
    """Wait until ``done``."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def in_force(service: RunningService) -> set[str]:
    """The hashes that the workers report: one, where all of them serve the same."""
    text = service.get("/metrics").text
    assert text.count("exchange_policies_info{") == len(_IN_FORCE.findall(text)), text
    return set(_IN_FORCE.findall(text))


def policies_check(service: RunningService) -> dict[str, Any]:
    """``checks.policies`` of ``/readyz``, of any worker; it is ready, whatever the directory holds."""
    service._session.close()
    answer = service.get("/readyz")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["checks"]["policies"]
    assert found["ok"] is True
    return found


def hash_of(policies: Path) -> str:
    """The hash of what the directory holds now."""
    return load(policies, environ={"EXCHANGE_ISSUER": "http://127.0.0.1:1"}).sha256


def wait_for(service: RunningService, sha256: str, *, seconds: float = SECONDS) -> None:
    """Wait until every worker serves these policies."""
    eventually(lambda: in_force(service) == {sha256}, seconds=seconds)


def wait_for_fault(service: RunningService) -> dict[str, Any]:
    """Wait until every worker that answers names a fault; return the check."""
    found: list[dict[str, Any]] = []

    def everybody_names_one() -> bool:
        found[:] = [policies_check(service) for _ in range(8)]
        return all(check["faults"] for check in found)

    # The last of these and not one more: a worker that answered none of them may still be about to follow.
    eventually(everybody_names_one)
    return found[-1]


def metric(service: RunningService, name: str) -> float:
    """The value of one series."""
    found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", service.get("/metrics").text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def exchange(service: RunningService, token: str) -> requests.Response:
    """Exchange over a connection of its own, so that any worker may answer."""
    with requests.Session() as session:
        session.trust_env = False
        form = {
            "grant_type": GRANT_TYPE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "audience": AUDIENCE,
        }
        return session.post(f"{service.url}/token", data=form, auth=BASIC, timeout=30)
