"""Who guesses, floods or shuts others out, from which address he says he comes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.attacks.forge import ISSUER, forged, worker_ids
from tests.support import keys
from tests.support.from_address import post_from
from tests.support.idp import BACKEND
from tests.support.policies import AUDIENCE, BASIC, CLIENT_SECRET, issuer_file, server_file, write_policies
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService

FAILED = "client_authentication_failed"
LIMIT = "failed_authentication 5/h"
ATTACKER, SHOP, PROXY = "127.0.0.66", "127.0.0.10", "127.0.0.1"
GUESSES = [("shop", "a guess"), ("shop", ""), ("nobody", "a guess"), ("", ""), ("shop-with-key", "a guess")]


def policies(tmp_path: Path, **rate_limit: str) -> Path:
    return write_policies(
        tmp_path / "policies",
        issuer=ISSUER,
        server=server_file(rate_limit=rate_limit),
        issuers={
            "idp": issuer_file(ISSUER, audience=[BACKEND], keys={"jwks": {"keys": [keys.public_jwk()]}})
        },
    )


def form(**changes: str) -> dict[str, str]:
    return {
        "grant_type": GRANT_TYPE,
        "subject_token": forged(),
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
    } | changes


def guess(
    service: RunningService,
    address: str = ATTACKER,
    auth: tuple[str, str] | None = ("shop", "a guess"),
    **headers: str,
) -> requests.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return post_from(address, service, form(), auth, sent)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    with RunningService(policies(tmp_path, failed_authentication="5/h"), workers=2) as running:
        yield running


@pytest.fixture
def behind_a_proxy(tmp_path: Path) -> Iterator[RunningService]:
    env = {"EXCHANGE_TRUSTED_PROXIES": f"{PROXY}, 10.0.0.0/8"}
    with RunningService(policies(tmp_path, failed_authentication="5/h"), env, workers=2) as running:
        yield running


def use_up(service: RunningService, address: str = ATTACKER, **headers: str) -> None:
    for auth in GUESSES:
        assert_refused(service, guess(service, address, auth, **headers), FAILED)


def shut_out(service: RunningService, answer: requests.Response) -> None:
    record = assert_refused(service, answer, "rate_limited")
    assert record["detail"] == LIMIT
    # Not even looked at: a right guess among those that are too many must not be told from a wrong one.
    assert not {"client_id", "client_authentication"} & set(record)
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert "WWW-Authenticate" not in answer.headers


def test_who_guesses_too_often_is_shut_out_with_the_right_secret_too(service):
    use_up(service)
    shut_out(service, guess(service))
    shut_out(service, guess(service, auth=BASIC))
    shut_out(service, post_from(ATTACKER, service, form(client_id="shop", client_secret=CLIENT_SECRET)))
    shut_out(service, post_from(ATTACKER, service, {}))


def test_nobody_is_shut_out_by_guesses_with_his_name_from_elsewhere(service):
    use_up(service)
    for _ in range(20):
        guess(service)
    assert_issued(service, guess(service, SHOP, BASIC))


def test_a_guess_a_forged_assertion_and_no_credentials_at_all_are_failures_alike(service):
    assertion = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": forged(label="attacker"),
    }
    both = {"client_id": "shop", "client_secret": CLIENT_SECRET}
    attempts = [({}, None), (assertion, None), (assertion | both, None), (both, BASIC), ({}, ("shop", "x"))]
    for fields, auth in attempts:
        assert_refused(service, post_from(ATTACKER, service, form(**fields), auth), FAILED)
    shut_out(service, guess(service))


def test_no_number_of_good_or_faulty_requests_is_a_failure(service):
    for _ in range(8):
        assert_issued(service, guess(service, SHOP, BASIC))
        refused = post_from(SHOP, service, form(subject_token="x"), BASIC)
        assert_refused(service, refused, "subject_token_malformed")
        assert_refused(service, post_from(SHOP, service, {"x": "y"}), "parameter_missing")
    assert_issued(service, guess(service, SHOP, BASIC))


@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded", "X_Real_IP", "True_Client_IP"])
def test_without_a_trusted_proxy_no_header_is_another_address(service, header):
    for number, auth in enumerate(GUESSES):
        value = f"for=192.0.2.{number}" if header == "Forwarded" else f"192.0.2.{number}"
        record = assert_refused(service, guess(service, auth=auth, **{header: value}), FAILED)
        assert record["client_address"] == ATTACKER
    shut_out(service, guess(service, **{header: "192.0.2.77"}))
    assert_issued(service, guess(service, SHOP, BASIC))


def test_a_new_lie_in_front_of_what_the_proxy_adds_is_no_new_address(behind_a_proxy):
    for number, auth in enumerate(GUESSES):
        lies = f"192.0.2.{number}, 10.0.0.{number}"
        answer = guess(behind_a_proxy, PROXY, auth, X_Forwarded_For=f"{lies}, 198.51.100.1, 10.0.0.7")
        assert assert_refused(behind_a_proxy, answer, FAILED)["client_address"] == "198.51.100.1"
    shut_out(behind_a_proxy, guess(behind_a_proxy, PROXY, X_Forwarded_For="192.0.2.200, 198.51.100.1"))
    # the one that he said he was, and everybody else
    assert_issued(behind_a_proxy, guess(behind_a_proxy, PROXY, BASIC, X_Forwarded_For="192.0.2.1"))
    assert_issued(behind_a_proxy, guess(behind_a_proxy, PROXY, BASIC, X_Forwarded_For="203.0.113.5"))


def test_nobody_is_shut_out_by_who_lies_in_the_other_header(behind_a_proxy):
    lie = "for=203.0.113.5"
    for auth in GUESSES:
        answer = guess(behind_a_proxy, PROXY, auth, X_Forwarded_For="198.51.100.1", Forwarded=lie)
        assert assert_refused(behind_a_proxy, answer, FAILED)["client_address"] == PROXY
    shut_out(behind_a_proxy, guess(behind_a_proxy, PROXY, X_Forwarded_For="198.51.100.9", Forwarded=lie))
    shut_out(behind_a_proxy, guess(behind_a_proxy, PROXY, X_Forwarded_For="nonsense"))
    assert_issued(behind_a_proxy, guess(behind_a_proxy, PROXY, BASIC, X_Forwarded_For="203.0.113.5"))


def test_past_the_proxy_its_headers_are_nobodys(behind_a_proxy):
    for number, auth in enumerate(GUESSES):
        answer = guess(behind_a_proxy, ATTACKER, auth, X_Forwarded_For=f"192.0.2.{number}")
        assert assert_refused(behind_a_proxy, answer, FAILED)["client_address"] == ATTACKER
    shut_out(behind_a_proxy, guess(behind_a_proxy, ATTACKER, X_Forwarded_For="192.0.2.200"))
    assert_issued(behind_a_proxy, guess(behind_a_proxy, PROXY, BASIC, X_Forwarded_For="192.0.2.1"))


def test_all_addresses_of_one_ipv6_network_are_one(behind_a_proxy):
    for number, auth in enumerate(GUESSES):
        address = f"2001:db8:0:1:{number:x}::{number}"
        record = assert_refused(
            behind_a_proxy, guess(behind_a_proxy, PROXY, auth, X_Forwarded_For=address), FAILED
        )
        assert record["client_address"] == f"2001:db8:0:1:{number:x}::{number}".replace(":0::0", "::")
    shut_out(behind_a_proxy, guess(behind_a_proxy, PROXY, X_Forwarded_For="[2001:db8:0:1:ffff::1]:4711"))
    assert_issued(behind_a_proxy, guess(behind_a_proxy, PROXY, BASIC, X_Forwarded_For="2001:db8:0:2::1"))


def test_a_worker_that_dies_takes_no_count_with_it(service):
    use_up(service)
    shut_out(service, guess(service))
    for worker in worker_ids(service):
        os.kill(worker, signal.SIGKILL)
    service.wait_until_ready()
    shut_out(service, guess(service))
    service.restart()
    shut_out(service, guess(service, auth=BASIC))
    assert_issued(service, guess(service, SHOP, BASIC))


def test_a_flood_is_recorded_one_by_one_and_shows_no_secret(service):
    use_up(service)
    before = len(service.audit())
    for _ in range(30):
        assert guess(service, auth=("shop", "a-very-secret-guess")).status_code == 429
    records = service.audit()
    assert len(records) == before + 30
    assert "a-very-secret-guess" not in service.stdout() + service.stderr()


def test_one_is_told_when_a_proxy_would_be_taken_for_everybody(service, behind_a_proxy):
    assert "EXCHANGE_TRUSTED_PROXIES is not set: limits by address take a proxy" in service.stderr()
    assert "EXCHANGE_TRUSTED_PROXIES" not in behind_a_proxy.stderr()
