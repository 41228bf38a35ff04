"""Rehearsals say what an exchange would use up, use nothing up, and replay no refusal of a mark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.rehearsal import shop
from tests.rehearsal.shop import claims, explain_claims, loaded, record, run
from tests.rehearsal.test_diff import diff


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop.shop(tmp_path_factory.mktemp("once"), issuer={"single_use": True})


def test_explain_says_that_the_token_would_be_used_up_and_uses_nothing_up(once: Path) -> None:
    for _ in range(2):
        explanation = explain_claims(once, claims(jti="one"))
        assert (explanation["outcome"], explanation["used_up"]) == ("issued", ["subject_token"])


def test_of_what_is_refused_and_of_other_issuers_it_says_nothing(once: Path, tmp_path: Path) -> None:
    assert "used_up" not in explain_claims(once, claims(jti="one", guest=True))
    assert "used_up" not in explain_claims(shop.shop(tmp_path), claims(jti="one"))


def test_a_token_without_a_jti_is_refused_in_a_rehearsal_too(once: Path) -> None:
    refusal = explain_claims(once, claims())["refusal"]
    assert (refusal["reason"], refusal["failed"]) == ("subject_token_claim_missing", "subject_token claims")
    assert "single_use" in refusal["detail"]


def test_the_text_says_it_as_well(once: Path) -> None:
    shown = run(
        "explain", "--policies", once, "--client", "shop", "--audience", "https://orders.example",
        "--claims", json.dumps(claims(jti="one")), "--header", '{"typ": "at+jwt"}',
    ).output  # fmt: skip
    assert "subject_token: single_use, so this would use it up" in shown


def test_diff_counts_what_was_used_before_and_makes_it_not_again(once: Path, tmp_path: Path) -> None:
    issued = record(loaded(once), claims(jti="one"))
    used = json.loads(issued)
    del used["issued"]
    used |= {"outcome": "refused", "reason": "subject_token_used", "error": "invalid_request", "status": 400}
    report = diff(tmp_path, issued + json.dumps(used) + "\n", once)
    assert (report["replayed"], report["changes"]) == (1, [])
    assert report["not_replayed"] == {"refused because a token was used before": 1}
