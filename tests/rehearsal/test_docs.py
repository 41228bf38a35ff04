"""What docs/explain.md and docs/testing-policies.md show is what comes out."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.audit import AuditTrail
from exchange.cli import main
from exchange.config.load import load
from exchange.model import Role
from exchange.rehearsal.explanation import CHECK_OF_REASON
from exchange.rehearsal.rehearse import Rehearsal, RehearsalRequest, form
from exchange.rehearsal.unsigned import unsigned_token
from exchange.tokens.checks import Check
from tests.docs.pages import blocks, first_cells, page, section
from tests.support.service import ACCESS_TOKEN, REPOSITORY

PAGES = ("explain.md", "testing-policies.md")
_COMMAND = re.compile(r"^```\n\$ (exchange [^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MADE_ANEW = re.compile(r"\b(?:\d{10}|[0-9a-f]{32})\b|(?<=\.yaml:)\d+:\d+")
"""Times, request ids, and places in files, which a comment moves."""
CUSTOMER = {
    "sub": "ada",
    "aud": "https://shop.example",
    "scope": "orders.read",
    "tenant": "acme",
    "roles": ["customer"],
}
NOW = 1_795_368_917


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the commands of the pages are run."""
    directory = tmp_path_factory.mktemp("desk")
    policies, candidate = directory / "policies", directory / "candidate"
    for copy in (policies, candidate):
        shutil.copytree(REPOSITORY / "policies", copy)
    orders = candidate / "audiences" / "orders.yaml"
    clerks, customers = orders.read_text().split("  - id: shop-reads-orders")
    narrower = customers.replace("tenant: {one_of: [acme, acme-eu]}", "tenant: acme")
    orders.write_text(f"{clerks}  - id: shop-reads-orders{narrower}")
    (directory / "ada.json").write_text(blocks(page("explain.md"), "json")[0])
    (directory / "audit.log").write_bytes(audit_log(policies))
    return directory


def audit_log(directory: Path) -> bytes:
    """Two customers of acme-eu, one of acme, and an ID token."""
    policies, lines = load(directory, environ={}), []
    trail = AuditTrail(write=lines.append, count=lambda _attempt, _seconds: None, clock=lambda: NOW)
    for changes in ({}, {"tenant": "acme-eu"}, {"tenant": "acme-eu", "sub": "ben"}, {"typ": "ID"}):
        with trail.attempt() as attempt:
            attempt.client_id = "shop"
            token = unsigned_token(
                CUSTOMER | changes, issuer="demo", header={"typ": "at+jwt"}, policies=policies, now=NOW
            )
            asked = form({"subject_token": token.reveal(), "subject_token_type": ACCESS_TOKEN})
            answer = Rehearsal.of_claims(policies, now=NOW)(RehearsalRequest("shop", asked, frozenset(Role)))
            attempt.request, attempt.issued, attempt.refusal = answer.request, answer.issued, answer.refusal
            if answer.decision is not None:
                attempt.trace, attempt.decided_on = answer.decision.trace, answer.decision.decided_on
    return b"".join(lines)


def output(command: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(directory)
    monkeypatch.delenv("EXCHANGE_POLICIES", raising=False)
    return CliRunner().invoke(main, shlex.split(command)[1:]).output


@pytest.mark.parametrize("name", PAGES)
def test_what_is_shown_comes_out(name: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _COMMAND.findall(page(name))

    assert shown
    for command, text in shown:
        real = output(command, desk, monkeypatch)
        assert _MADE_ANEW.sub("N", text) == _MADE_ANEW.sub("N", real)


def test_every_check_is_explained() -> None:
    assert first_cells(section(page("explain.md"), "The checks of a token")) == [
        check.value for check in Check
    ]


def test_every_check_of_a_decision_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", section(page("explain.md"), "The checks of a token")))

    in_the_trace = {"presenter", "delegation", "sender_constraint", "scopes"}
    assert set(CHECK_OF_REASON.values()) | in_the_trace | {"mint", "client", "request"} <= named
