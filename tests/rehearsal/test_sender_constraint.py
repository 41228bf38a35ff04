"""The commands know bound tokens: what counts as proved is said, for no proof can be given twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exchange.model import NO_PROOF, SenderProof
from tests.rehearsal import shop
from tests.rehearsal.shop import (
    AT_JWT,
    OPENED_BY_ALL,
    claims,
    explain_claims,
    loaded,
    record,
    run,
    write_tests,
)
from tests.support.policies import AUDIENCE, SECRET_CLIENT

BOUND = claims(iss=..., iat=..., exp=..., cnf={"jkt": "K1"})
PLAIN = claims(iss=..., iat=..., exp=...)


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """Orders take only tokens that are bound to a key."""
    return shop.shop(tmp_path, OPENED_BY_ALL, audience={"sender_constraint": "dpop"})


def decision(payload: dict[str, Any], proof: dict[str, str] | None, expect: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {"audience": AUDIENCE} | ({"proof": proof} if proof is not None else {})
    subject = {"issuer": "idp", "header": AT_JWT, "claims": payload}
    return {"name": "one", "client": SECRET_CLIENT, "subject": subject, "request": request, "expect": expect}


@pytest.mark.parametrize(
    "test",
    [
        decision(PLAIN, {"jkt": "K1"}, {"claims": {"cnf": {"jkt": "K1"}}}),
        decision(BOUND, {"jkt": "K1", "x5t_s256": "C1"}, {"claims": {"cnf": {"jkt": "K1"}}}),
        decision(PLAIN, None, {"refuse": "sender_constraint_required"}),
        decision(PLAIN, {"x5t_s256": "C1"}, {"refuse": "sender_constraint_required"}),
        decision(BOUND, None, {"refuse": "subject_token_proof_missing"}),
        decision(BOUND, {"jkt": "K2"}, {"refuse": "subject_token_proof_invalid"}),
    ],
)
def test_a_test_says_what_is_proved(policies: Path, test: dict[str, Any]) -> None:
    write_tests(policies, test)
    result = run("test", policies)
    assert result.exit_code == 0, result.output


def test_a_proof_of_nothing_is_a_fault(policies: Path) -> None:
    write_tests(policies, decision(PLAIN, {}, {"rule": "clerks"}))
    result = run("test", policies)
    assert result.exit_code == 2
    assert "0.request.proof" in result.output or "proof: say what is proved" in result.output


def test_explain_names_the_check_and_shows_what_it_compared(policies: Path) -> None:
    refused = explain_claims(policies, claims())
    assert refused["refusal"]["reason"] == "sender_constraint_required"
    assert refused["refusal"]["failed"] == "sender_constraint"

    issued = explain_claims(policies, claims(), "--dpop-jkt", "K1", "--x5t-s256", "C1")
    assert issued["issued"]["claims"]["cnf"] == {"jkt": "K1"}
    (check,) = [one for one in issued["decision"]["checks"] if one["name"] == "sender_constraint"]
    assert check["value"] == {"proved": ["jkt", "x5t#S256"], "bound_to": ["jkt"]}


def test_explain_shows_what_a_token_is_bound_to_and_what_is_proved(policies: Path) -> None:
    refused = explain_claims(policies, claims(cnf={"jkt": "K1"}), "--dpop-jkt", "K2")
    assert refused["refusal"]["failed"] == "subject_token kept"
    kept = refused["subject_token"][-1]
    assert (kept["check"], kept["outcome"]) == ("kept", "failed")
    assert kept["seen"] == 'cnf {"jkt": "K1"}; proved: {"jkt": "K2"}'


def diff(tmp_path: Path, candidate: Path, *lines: str) -> dict[str, Any]:
    (tmp_path / "audit.log").write_text("".join(lines))
    result = run("diff", candidate, "--audit", tmp_path / "audit.log", "--json")
    assert result.exit_code in {0, 1}, result.output
    report: dict[str, Any] = json.loads(result.output)
    return report


def test_a_recorded_decision_is_made_again_with_its_proof(tmp_path: Path, policies: Path) -> None:
    proved = record(loaded(policies), claims(cnf={"jkt": "K1"}), proof=SenderProof("K1"))
    assert diff(tmp_path, policies, proved)["changes"] == []


def test_a_constraint_that_is_new_changes_what_came_without_proof(tmp_path: Path, policies: Path) -> None:
    (tmp_path / "before").mkdir()
    before = loaded(shop.shop(tmp_path / "before", OPENED_BY_ALL))
    lines = [record(before, claims(), proof=proof) for proof in (NO_PROOF, SenderProof("K1"))]
    (change,) = diff(tmp_path, policies, *lines)["changes"]
    assert (change["count"], change["after"]) == (1, "refused by clerks: sender_constraint_required")


def test_a_constraint_that_is_gone_shows_where_only_it_bound(tmp_path: Path) -> None:
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    bound = shop.shop(tmp_path / "before", OPENED_BY_ALL, audience={"sender_constraint": "mtls"})
    line = record(loaded(bound), claims(), proof=SenderProof(None, "C1"))
    (change,) = diff(tmp_path, shop.shop(tmp_path / "after", OPENED_BY_ALL), line)["changes"]
    assert change["what"] == ["claim cnf: no longer"]
