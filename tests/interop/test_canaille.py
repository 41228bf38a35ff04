"""Tokens of a real Canaille: an access token has nothing that an ID token has not, so none is exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.canaille_server import Canaille
from tests.interop.doctor import inspect
from tests.interop.exchanging import assert_refused, exchange, service_that_trusts, unverified
from tests.support.service import ACCESS_TOKEN, JWT, RunningService


@pytest.fixture(scope="module")
def canaille(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaille]:
    with Canaille(tmp_path_factory.mktemp("canaille")) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(canaille: Canaille) -> dict[str, Any]:
    return canaille.log_in()


@pytest.fixture(scope="module")
def trusting(canaille: Canaille, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_that_trusts(canaille.issuer, "canaille", tmp_path_factory.mktemp("by-canaille")) as service:
        yield service


@pytest.fixture(scope="module")
def strict(canaille: Canaille, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    directory = tmp_path_factory.mktemp("by-rfc9068")
    as_it_is = {"algorithms": ["RS256", "RS512"], "max_token_lifetime": "30d"}
    with service_that_trusts(canaille.issuer, "rfc9068", directory, **as_it_is) as service:
        yield service


def test_an_access_token_has_no_claim_of_its_own(tokens: dict[str, Any]) -> None:
    assert set(unverified(tokens["access_token"])) < set(unverified(tokens["id_token"]))


@pytest.mark.parametrize("kind", ["access_token", "id_token"])
@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT])
def test_neither_is_exchanged_and_the_answer_says_why(
    trusting: RunningService, tokens: dict[str, Any], kind: str, declared: str
) -> None:
    answer = exchange(trusting, tokens[kind], subject_token_type=declared)

    assert_refused(trusting, answer, "subject_token_issuer_unrecognisable")
    assert "cannot be told from ID tokens" in answer.json()["error_description"]


def test_a_wrong_profile_lets_neither_in(strict: RunningService, tokens: dict[str, Any]) -> None:
    assert_refused(strict, exchange(strict, tokens["access_token"]), "subject_token_kind_unproven")
    assert_refused(strict, exchange(strict, tokens["id_token"]), "subject_token_is_id_token")


def test_a_refreshed_access_token_is_refused_too(
    trusting: RunningService, strict: RunningService, canaille: Canaille, tokens: dict[str, Any]
) -> None:
    refreshed = canaille.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])

    for service, reason in (
        (trusting, "subject_token_issuer_unrecognisable"),
        (strict, "subject_token_kind_unproven"),
    ):
        assert_refused(service, exchange(service, refreshed["access_token"]), reason)


def test_a_machines_access_token_is_opaque_and_refused(trusting: RunningService, canaille: Canaille) -> None:
    token = canaille.token(grant_type="client_credentials", scope="openid")["access_token"]
    assert "." not in token

    assert_refused(trusting, exchange(trusting, token), "subject_token_malformed")


def test_the_doctor_knows_it_and_proposes_nothing(canaille: Canaille, tmp_path: Path) -> None:
    for tokens in (None, canaille.log_in()):
        diagnosis = inspect(canaille.issuer, tmp_path, tokens)

        assert (diagnosis.returncode, diagnosis.stdout.strip()) == (1, "")
        assert "this is Canaille" in diagnosis.stderr
