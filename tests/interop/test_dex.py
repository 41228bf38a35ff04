"""Tokens of a real Dex: nothing in them tells an access token from an ID token, so none is exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.dex_server import Dex
from tests.interop.doctor import inspect
from tests.interop.exchanging import assert_refused, exchange, service_that_trusts, unverified
from tests.support.service import ACCESS_TOKEN, JWT, RunningService

Grant = Callable[[Dex], dict[str, Any]]
BOTH_GRANTS = pytest.mark.parametrize("grant", [Dex.log_in, Dex.log_in_with_password])


@pytest.fixture(scope="module")
def dex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dex]:
    with Dex(tmp_path_factory.mktemp("dex")) as running:
        yield running


@pytest.fixture(scope="module")
def trusting(dex: Dex, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_that_trusts(dex.issuer, "dex", tmp_path_factory.mktemp("by-dex")) as service:
        yield service


@pytest.fixture(scope="module")
def strict(dex: Dex, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_that_trusts(dex.issuer, "rfc9068", tmp_path_factory.mktemp("by-rfc9068")) as service:
        yield service


def test_its_tokens_have_the_same_claims(dex: Dex) -> None:
    tokens = dex.log_in_with_password()

    access_token, id_token = unverified(tokens["access_token"]), unverified(tokens["id_token"])
    assert set(access_token) == set(id_token)
    assert {name for name in id_token if access_token[name] != id_token[name]} == {"at_hash"}


@BOTH_GRANTS
@pytest.mark.parametrize("kind", ["access_token", "id_token"])
@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT])
def test_neither_is_exchanged_and_the_answer_says_why(
    trusting: RunningService, dex: Dex, grant: Grant, kind: str, declared: str
) -> None:
    answer = exchange(trusting, grant(dex)[kind], subject_token_type=declared)

    assert_refused(trusting, answer, "subject_token_issuer_unrecognisable")
    assert "cannot be told from ID tokens" in answer.json()["error_description"]


@BOTH_GRANTS
@pytest.mark.parametrize("kind", ["access_token", "id_token"])
def test_a_wrong_profile_lets_neither_in(strict: RunningService, dex: Dex, grant: Grant, kind: str) -> None:
    assert_refused(strict, exchange(strict, grant(dex)[kind]), "subject_token_is_id_token")


def test_the_doctor_knows_it_and_proposes_nothing(dex: Dex, tmp_path: Path) -> None:
    for tokens in (None, dex.log_in()):
        diagnosis = inspect(dex.issuer, tmp_path, tokens)

        assert (diagnosis.returncode, diagnosis.stdout.strip()) == (1, "")
        assert "this is Dex" in diagnosis.stderr
