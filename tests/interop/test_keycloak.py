"""Tokens of a real Keycloak, found by discovery."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from tests.interop.doctor import inspect
from tests.interop.exchanging import (
    assert_refused,
    exchange,
    issued,
    service_that_asks,
    service_that_trusts,
    unverified,
)
from tests.interop.keycloak_server import ASKER, Keycloak
from tests.support.idp import BACKEND
from tests.support.policies import write_policies
from tests.support.service import ACCESS_TOKEN, ID_TOKEN, JWT, RunningService


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    with Keycloak(tmp_path_factory.mktemp("keycloak")) as running:
        yield running


@pytest.fixture(scope="module")
def trusting(keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that trusts it by its own profile."""
    directory = tmp_path_factory.mktemp("by-keycloak")
    with service_that_trusts(keycloak.issuer, "keycloak", directory) as service:
        yield service


@pytest.fixture(scope="module")
def strict(keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that takes ``at+jwt`` from it and nothing else."""
    directory = tmp_path_factory.mktemp("by-rfc9068")
    with service_that_trusts(keycloak.issuer, "rfc9068", directory) as service:
        yield service


@pytest.fixture(scope="module")
def ada(keycloak: Keycloak) -> dict[str, Any]:
    """What Ada's browser got for the client of the backend."""
    return keycloak.log_in("shop-web")


@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT])
def test_a_users_access_token_is_exchanged(
    trusting: RunningService, ada: dict[str, Any], declared: str
) -> None:
    claims = issued(exchange(trusting, ada["access_token"], subject_token_type=declared))

    presented = unverified(ada["access_token"])
    assert presented["typ"] == "Bearer"
    assert claims["sub"] == f"idp|{presented['sub']}"
    assert claims["scope"] == "orders:read"
    assert claims["exp"] <= presented["exp"]


@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT, ID_TOKEN])
def test_the_same_users_id_token_is_refused_whatever_it_is_called(
    trusting: RunningService, ada: dict[str, Any], declared: str
) -> None:
    answer = exchange(trusting, ada["id_token"], subject_token_type=declared)

    reason = "subject_token_type_unsupported" if declared == ID_TOKEN else "subject_token_is_id_token"
    assert_refused(trusting, answer, reason)


def test_an_id_token_is_no_actor_either(trusting: RunningService, ada: dict[str, Any]) -> None:
    answer = exchange(
        trusting, ada["access_token"], actor_token=ada["id_token"], actor_token_type=ACCESS_TOKEN
    )

    assert_refused(trusting, answer, "actor_token_is_id_token")


def test_a_refresh_token_is_refused(trusting: RunningService, ada: dict[str, Any]) -> None:
    header = jwt.get_unverified_header(ada["refresh_token"])
    assert (header["alg"], unverified(ada["refresh_token"])["typ"]) == ("HS512", "Refresh")

    assert_refused(trusting, exchange(trusting, ada["refresh_token"]), "subject_token_algorithm_not_allowed")


def test_signed_userinfo_is_refused(
    trusting: RunningService, keycloak: Keycloak, ada: dict[str, Any]
) -> None:
    userinfo = keycloak.signed_userinfo(ada["access_token"])
    assert "exp" not in unverified(userinfo)

    assert_refused(trusting, exchange(trusting, userinfo), "subject_token_claim_missing")


def test_a_service_accounts_access_token_is_exchanged(trusting: RunningService, keycloak: Keycloak) -> None:
    token = keycloak.service_account_token("shop-web")

    assert issued(exchange(trusting, token))["sub"] == f"idp|{unverified(token)['sub']}"


def test_an_access_token_for_no_audience_is_refused(trusting: RunningService, keycloak: Keycloak) -> None:
    token = keycloak.log_in("shop-without-audience")["access_token"]
    assert "aud" not in unverified(token)  # what one gets of Keycloak without an audience mapper

    assert_refused(trusting, exchange(trusting, token), "subject_token_audience_mismatch")


def test_a_users_lightweight_access_token_is_refused_since_it_names_nobody(
    trusting: RunningService, keycloak: Keycloak
) -> None:
    token = keycloak.log_in("shop-lightweight")["access_token"]
    assert "sub" not in unverified(token)

    record = assert_refused(trusting, exchange(trusting, token), "subject_token_claim_missing")
    assert record["detail"].startswith("sub is missing")


def test_a_service_accounts_lightweight_access_token_names_it_and_is_exchanged(
    trusting: RunningService, keycloak: Keycloak
) -> None:
    token = keycloak.service_account_token("shop-lightweight")

    assert issued(exchange(trusting, token))["sub"] == f"idp|{unverified(token)['sub']}"


def test_mappers_cannot_dress_an_id_token_up(trusting: RunningService, keycloak: Keycloak) -> None:
    token = keycloak.log_in("shop-look-alike")["id_token"]
    claims = unverified(token)
    assert BACKEND in claims["aud"]  # one mapper put it there; the other did not get its way:
    assert claims["typ"] == "ID"

    assert_refused(trusting, exchange(trusting, token), "subject_token_is_id_token")


def test_an_access_token_with_a_nonce_is_exchanged(trusting: RunningService, keycloak: Keycloak) -> None:
    token = keycloak.log_in("shop-look-alike", nonce="n-1")["access_token"]
    assert unverified(token)["nonce"] == "n-1"

    assert issued(exchange(trusting, token))["scope"] == "orders:read"


def test_a_token_that_names_a_claim_twice_is_refused(trusting: RunningService, keycloak: Keycloak) -> None:
    token = keycloak.log_in("shop-twice")["access_token"]
    payload = jwt.utils.base64url_decode(token.split(".")[1])
    assert payload.count(b'"sid":') == 2

    assert_refused(trusting, exchange(trusting, token), "subject_token_malformed")


def test_with_the_at_jwt_switch_no_profile_is_needed(strict: RunningService, keycloak: Keycloak) -> None:
    tokens = keycloak.log_in("shop-at-jwt")
    assert jwt.get_unverified_header(tokens["access_token"])["typ"] == "at+jwt"

    assert issued(exchange(strict, tokens["access_token"]))["scope"] == "orders:read"
    assert issued(exchange(strict, keycloak.service_account_token("shop-at-jwt")))
    assert_refused(strict, exchange(strict, tokens["id_token"]), "subject_token_is_id_token")


def test_with_the_at_jwt_switch_the_profile_takes_it_too(
    trusting: RunningService, keycloak: Keycloak
) -> None:
    token = keycloak.log_in("shop-at-jwt")["access_token"]

    assert issued(exchange(trusting, token))["scope"] == "orders:read"


def test_without_the_switch_and_without_the_profile_nothing_proves_the_kind(
    strict: RunningService, ada: dict[str, Any]
) -> None:
    assert_refused(strict, exchange(strict, ada["access_token"]), "subject_token_kind_unproven")
    assert_refused(strict, exchange(strict, ada["id_token"]), "subject_token_is_id_token")


@pytest.fixture(scope="module")
def asking(keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that asks it about each token."""
    directory = tmp_path_factory.mktemp("asking")
    with service_that_asks(keycloak.issuer, keycloak.introspection_endpoint, ASKER, directory) as service:
        yield service


def test_a_lightweight_access_token_is_exchanged_by_what_keycloak_says_of_it(
    asking: RunningService, keycloak: Keycloak
) -> None:
    token = keycloak.log_in("shop-asked-about")["access_token"]
    assert {"sub", "realm_access"}.isdisjoint(unverified(token))

    claims = issued(exchange(asking, token))

    assert claims["sub"] == f"idp|{keycloak.says_of(token)['sub']}"
    assert claims["scope"] == "orders:read"


def test_an_id_token_is_refused_although_keycloak_says_that_it_is_active(
    asking: RunningService, keycloak: Keycloak
) -> None:
    token = keycloak.log_in("shop-asked-about")["id_token"]
    assert keycloak.says_of(token)["active"] is True

    assert_refused(asking, exchange(asking, token), "subject_token_is_id_token")


@pytest.mark.parametrize(("client", "profile"), [("shop-web", "keycloak"), ("shop-at-jwt", "rfc9068")])
def test_the_doctors_proposal_loads_and_works(
    keycloak: Keycloak, tmp_path: Path, client: str, profile: str
) -> None:
    tokens = keycloak.log_in(client)
    diagnosis = inspect(keycloak.issuer, tmp_path, tokens)
    assert diagnosis.returncode == 0, diagnosis.stderr
    assert yaml.safe_load(diagnosis.stdout)["profile"] == profile

    policies = write_policies(
        tmp_path / "policies", issuer=keycloak.issuer, issuers={"idp": diagnosis.stdout}
    )
    with RunningService(policies) as service:
        assert issued(exchange(service, tokens["access_token"]))["scope"] == "orders:read"
        assert_refused(service, exchange(service, tokens["id_token"]), "subject_token_is_id_token")


def test_the_doctor_knows_it_by_its_endpoints(keycloak: Keycloak, tmp_path: Path) -> None:
    diagnosis = inspect(keycloak.issuer, tmp_path)

    assert diagnosis.returncode == 0, diagnosis.stderr
    assert yaml.safe_load(diagnosis.stdout)["profile"] == "keycloak"


def test_a_token_signed_with_a_new_key_is_exchanged_at_once(
    trusting: RunningService, keycloak: Keycloak, ada: dict[str, Any]
) -> None:
    assert issued(exchange(trusting, ada["access_token"]))  # by the old key, which every worker may know
    keycloak.rotate_keys()
    token = keycloak.service_account_token("shop-web")
    old, new = (jwt.get_unverified_header(each)["kid"] for each in (ada["access_token"], token))
    assert old != new

    assert issued(exchange(trusting, token))
    assert issued(exchange(trusting, ada["access_token"]))
