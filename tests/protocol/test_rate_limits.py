"""``rate_limit`` over HTTP: shared by the workers, answered with 429 and ``Retry-After``, off by default."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.attacks.forge import ISSUER, access_claims, forged
from tests.reload.looking import hash_of, wait_for
from tests.support import keys
from tests.support.from_address import post_from
from tests.support.idp import BACKEND
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    audience_file,
    issuer_file,
    rule,
    server_file,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService
from tests.support.services import api_client, basic

OTHER_ISSUER = "https://other-idp.example"
CLIENTS = ("first", "second", "third")
HERE = "127.0.0.1"


def policies(tmp_path: Path, **rate_limit: str) -> Path:
    trusted = {"keys": {"jwks": {"keys": [keys.public_jwk()]}}}
    names = [f"{BACKEND}/{client}" for client in CLIENTS]
    return write_policies(
        tmp_path / "policies",
        issuer=ISSUER,
        server=server_file(rate_limit=rate_limit),
        issuers={
            "idp": issuer_file(ISSUER, audience=[BACKEND, *names], **trusted),
            "other-idp": issuer_file(OTHER_ISSUER, audience=[BACKEND], **trusted),
        },
        clients={client: api_client(client, f"{BACKEND}/{client}") for client in CLIENTS},
        audiences={
            "orders": audience_file(
                rule(client=["shop", "first", "second"], subject={"issuer": ["idp", "other-idp"]})
            )
        },
    )


def form(issuer: str = ISSUER, aud: str = BACKEND, **changes: Any) -> dict[str, Any]:
    return {
        "grant_type": GRANT_TYPE,
        "subject_token": forged(payload=access_claims(issuer, aud=aud)),
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
    } | changes


def ask(service: RunningService, client: str = "", **changes: Any) -> requests.Response:
    """Ask over a new connection, so that any worker may answer."""
    if not client:
        return post_from(HERE, service, form(**changes), BASIC)
    return post_from(HERE, service, form(aud=f"{BACKEND}/{client}", **changes), basic(client))


def limited(service: RunningService, answer: requests.Response, limit: str) -> Mapping[str, Any]:
    """Assert that ``answer`` is a 429 for ``limit``, and return its record."""
    record = assert_refused(service, answer, "rate_limited")
    assert re.fullmatch("[1-9][0-9]*", answer.headers["Retry-After"])
    assert record["detail"] == limit
    assert record["status"] == 429
    return record


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    directory = policies(tmp_path_factory.mktemp("per-client"), per_client="12/h")
    with RunningService(directory, workers=3) as running:
        yield running


class TestPerClient:
    def test_workers_share_the_count_and_other_clients_have_their_own(self, shared):
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: ask(shared, "first"), range(20)))
        assert sorted(answer.status_code for answer in answers) == [200] * 12 + [429] * 8
        answer = ask(shared, "first")
        record = limited(shared, answer, "per_client 12/h")
        assert record["client_id"] == "first"
        assert 3500 < int(answer.headers["Retry-After"]) <= 3600
        assert_issued(shared, ask(shared, "second"))

    def test_what_is_refused_is_counted_as_well(self, shared):
        for _ in range(12):
            assert_refused(shared, ask(shared, "third"), "target_not_permitted")
        limited(shared, ask(shared, "third"), "per_client 12/h")

    def test_a_stranger_uses_up_nothing_of_the_client_that_he_names(self, shared):
        for _ in range(15):
            refused = post_from(HERE, shared, form(), ("shop", "a guess"))
            assert_refused(shared, refused, "client_authentication_failed")
        assert_issued(shared, ask(shared))

    def test_it_is_in_the_metrics_under_its_reason(self, shared):
        text = shared.get("/metrics").text
        assert 'exchange_attempts_total{outcome="refused",reason="rate_limited"}' in text


def test_one_passes_again_when_retry_after_is_over(tmp_path):
    with RunningService(policies(tmp_path, per_client="3/s"), workers=2) as service:
        for _ in range(10):  # on a busy machine three may take longer than a second, and then all pass
            answers = [ask(service) for _ in range(6)]
            refused = [answer for answer in answers if answer.status_code == 429]
            if refused:
                break
        limited(service, refused[-1], "per_client 3/s")
        assert refused[-1].headers["Retry-After"] == "1"
        time.sleep(1)
        assert_issued(service, ask(service))


def test_issuers_are_counted_by_what_was_permitted(tmp_path):
    with RunningService(policies(tmp_path, per_issuer="4/h"), workers=2) as service:
        stranger = form(subject_token=forged(payload=access_claims(aud=BACKEND), label="attacker"))
        for _ in range(6):
            # neither what somebody wrote into a token, nor a good token in the wrong hands
            assert_refused(
                service, post_from(HERE, service, stranger, BASIC), "subject_token_signature_invalid"
            )
            assert_refused(service, ask(service, "third"), "target_not_permitted")
        for client in ("", "first", "second", ""):
            assert_issued(service, ask(service, client))
        for client in ("", "first"):
            record = limited(service, ask(service, client), "per_issuer 4/h")
            assert record["subject"]["issuer"] == "idp"
        assert_issued(service, ask(service, issuer=OTHER_ISSUER))


def test_addresses_are_counted_before_anything_is_read(tmp_path):
    with RunningService(policies(tmp_path, per_address="5/h"), workers=2) as service:
        for _ in range(4):
            assert_refused(service, post_from("127.0.0.2", service, {"x": "y"}), "parameter_missing")
        answer = post_from("127.0.0.2", service, form(), BASIC)
        assert assert_issued(service, answer)["client_address"] == "127.0.0.2"
        for sent in (form(), {}, {"subject_token": "x" * 70_000}):
            record = limited(service, post_from("127.0.0.2", service, sent, BASIC), "per_address 5/h")
            assert record["client_address"] == "127.0.0.2"
            assert not {"client_id", "client_authentication", "request"} & set(record)
        assert_issued(service, ask(service))


class TestStore:
    def counted(self, service: RunningService) -> int:
        with sqlite3.connect(service.directory / "var/exchange.db") as connection:
            found: int = connection.execute("SELECT count(*) FROM tally").fetchone()[0]
        connection.close()
        return found

    def breaks(self, service: RunningService) -> None:
        for file in (service.directory / "var").glob("exchange.db*"):
            file.unlink()
        (service.directory / "var/exchange.db").mkdir()

    def test_without_limits_nothing_is_counted_and_no_store_is_needed(self, tmp_path):
        with RunningService(policies(tmp_path), workers=1) as service:
            assert_issued(service, ask(service))
            assert self.counted(service) == 0
            self.breaks(service)
            assert_issued(service, ask(service))

    @pytest.mark.parametrize("limit", ["per_client", "per_issuer", "per_address", "failed_authentication"])
    def test_with_a_limit_and_without_a_store_nobody_passes(self, tmp_path, limit):
        with RunningService(policies(tmp_path, **{limit: "1000/h"}), workers=1) as service:
            assert_issued(service, ask(service))
            self.breaks(service)
            answer = ask(service)
            record = assert_refused(service, answer, "store_unavailable")
            assert record["outcome"] == "failed"
            assert int(answer.headers["Retry-After"]) > 0

    def test_a_guess_that_cannot_be_counted_is_not_told_from_any_other(self, tmp_path):
        with RunningService(policies(tmp_path, failed_authentication="1000/h"), workers=1) as service:
            self.breaks(service)
            for auth in (("shop", "a guess"), ("nobody", "a guess"), BASIC):
                assert_refused(service, post_from(HERE, service, form(), auth), "store_unavailable")


def test_a_reload_changes_the_limits(tmp_path):
    directory = policies(tmp_path, per_client="2/h")
    with RunningService(directory, workers=2) as service:
        for _ in range(2):
            assert_issued(service, ask(service))
        limited(service, ask(service), "per_client 2/h")
        policies(tmp_path, per_client="1000/h")
        wait_for(service, hash_of(directory))
        for _ in range(4):
            assert_issued(service, ask(service))
        policies(tmp_path)
        wait_for(service, hash_of(directory))
        assert_issued(service, ask(service))


def test_limits_outlive_a_restart(tmp_path):
    with RunningService(policies(tmp_path, per_client="3/h"), workers=2) as service:
        for _ in range(3):
            assert_issued(service, ask(service))
        service.restart()
        limited(service, ask(service), "per_client 3/h")
        assert_issued(service, ask(service, "first"))
