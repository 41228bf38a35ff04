"""RFC 7523, RFC 6749 §2.3.1: a client changes its key or its secret without an outage, and the old one stops.

Over HTTP, against several workers; ``jwks_uri`` is a server inside the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.attacks.forge import access_claims, both_workers, forged
from tests.support import keys
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.machine import Machine
from tests.support.policies import (
    AUDIENCE,
    KEY_CLIENT,
    SECRET_CLIENT,
    client_assertion,
    issuer_file,
    key_client_file,
    secret_client_file,
    secret_hash,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService

ISSUER = "https://idp.example"
FAILED = "client_authentication_failed"
UNAVAILABLE = "issuer_keys_unavailable"
KEY_BACKEND = f"{BACKEND}/with-key"
COOL_DOWN, FRESH, LAST_GOOD = 10, 300, 3600
OLD_SECRET = "the-secret-that-is-being-replaced_0123456789abc"
NEW_SECRET = "the-secret-that-replaces-it_0123456789abcdefghi"
TURNS = 6
"""Requests in a row, each on a connection of its own, so that every worker is among those who answer."""


@pytest.fixture
def publisher() -> Iterator[FakeIssuer]:
    """The client's own server, where it publishes its keys; it is nobody's issuer."""
    with FakeIssuer(algorithm="ES256", label="one") as server:
        yield server


@contextmanager
def serving(directory: Path, publisher: FakeIssuer, **options: Any) -> Iterator[RunningService]:
    method = {"private_key_jwt": {"jwks_uri": publisher.jwks_uri, "allow_insecure_http": True}}
    secrets = {"client_secret": {"hash": [secret_hash(OLD_SECRET), secret_hash(NEW_SECRET)]}}
    policies = write_policies(
        directory / "policies",
        issuer=ISSUER,
        issuers={
            "idp": issuer_file(
                ISSUER, audience=[BACKEND, KEY_BACKEND], keys={"jwks": {"keys": [keys.public_jwk()]}}
            )
        },
        clients={
            KEY_CLIENT: key_client_file(authentication=method),
            SECRET_CLIENT: secret_client_file(authentication=secrets),
        },
    )
    with RunningService(policies, **options) as service:
        both_workers(service)
        yield service


def publish(publisher: FakeIssuer, *labels: str) -> None:
    publisher.jwks = {"keys": [keys.public_jwk("ES256", label) for label in labels]}


def ask(service: RunningService, **more: Any) -> requests.Response:
    auth = more.pop("auth", None)
    form = {
        "grant_type": GRANT_TYPE,
        "subject_token": forged(payload=access_claims(aud=[BACKEND, KEY_BACKEND])),
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
    }
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"{service.url}/token", data=form | more, auth=auth, timeout=15)


def by(service: RunningService, label: str, **changes: Any) -> requests.Response:
    """Ask with a new assertion, signed with the client's key ``label``."""
    return ask(service, **client_assertion(f"{service.issuer}/token", label=label, **changes))


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_assertion_with_a_new_key_passes_in_that_very_request(
    tmp_path: Path, publisher: FakeIssuer
) -> None:
    with serving(tmp_path, publisher) as service:
        for _ in range(TURNS):
            assert_issued(service, by(service, "one"))
        publish(publisher, "two", "one")
        assert_issued(service, by(service, "two"))
        for _ in range(TURNS):
            assert_issued(service, by(service, "one"))
            assert_issued(service, by(service, "two"))
            assert_refused(service, by(service, "attacker", header={"kid": "ES256-two"}), FAILED)


def test_a_withdrawn_key_stops_passing_as_soon_as_the_new_one_is_seen_or_the_old_are_not_fresh(
    tmp_path: Path, publisher: FakeIssuer
) -> None:
    machine = Machine(tmp_path / "machine")
    with serving(tmp_path, publisher, env=machine.env) as service:
        for _ in range(TURNS):
            assert_issued(service, by(service, "one"))
        publish(publisher, "two")
        machine.sleep(FRESH + 1)
        for _ in range(TURNS):
            assert_issued(service, by(service, "two"))
            assert_refused(service, by(service, "one"), FAILED)


def test_a_new_key_under_the_old_kid_passes_within_the_cool_down(
    tmp_path: Path, publisher: FakeIssuer
) -> None:
    def named(label: str) -> None:
        publisher.jwks = {"keys": [keys.public_jwk("ES256", label, kid="the-key")]}

    machine = Machine(tmp_path / "machine")
    head = {"header": {"kid": "the-key"}}
    named("one")
    with serving(tmp_path, publisher, env=machine.env) as service:
        for _ in range(TURNS):
            assert_issued(service, by(service, "one", **head))
        named("two")
        machine.sleep(COOL_DOWN)
        for _ in range(TURNS):
            assert_issued(service, by(service, "two", **head))
            assert_refused(service, by(service, "attacker", **head), FAILED)
        machine.sleep(FRESH + 1)  # a worker that met no new assertion has the old key for so long
        for _ in range(TURNS):
            assert_refused(service, by(service, "one", **head), FAILED)


def test_a_publisher_that_is_down_costs_nothing_while_keys_are_fresh_and_is_503_without(
    tmp_path: Path, publisher: FakeIssuer
) -> None:
    machine = Machine(tmp_path / "machine")
    with serving(tmp_path, publisher, env=machine.env) as service:
        for _ in range(TURNS):
            assert_issued(service, by(service, "one"))
        publisher.down = True
        for _ in range(TURNS):
            assert_issued(service, by(service, "one"))
        machine.sleep(LAST_GOOD + FRESH)
        for _ in range(TURNS):
            answer = by(service, "one")
            record = assert_refused(service, answer, UNAVAILABLE)
            assert answer.json()["error"] != "invalid_client"
            assert int(answer.headers["Retry-After"]) >= 1
            assert "client_id" not in record
            assert_issued(service, ask(service, auth=(SECRET_CLIENT, OLD_SECRET)))
        publisher.down = False
        machine.sleep(60)  # past what it waits between two tries
        for _ in range(TURNS):
            assert_issued(service, by(service, "one"))


def test_a_publisher_that_was_never_reached_is_503_and_not_invalid_client(
    tmp_path: Path, publisher: FakeIssuer
) -> None:
    publisher.down = True
    with serving(tmp_path, publisher) as service:
        for label in ("one", "attacker"):
            assert_refused(service, by(service, label), UNAVAILABLE)
        asked = len(publisher.requests)
        for claims in ({"iss": "nobody", "sub": "nobody"}, {"iss": SECRET_CLIENT, "sub": SECRET_CLIENT}):
            assert_refused(service, by(service, "one", **claims), FAILED)
        assert len(publisher.requests) == asked, "a stranger's assertion has nobody asked"


def test_an_assertion_that_could_not_be_judged_is_not_used_up(tmp_path: Path, publisher: FakeIssuer) -> None:
    machine = Machine(tmp_path / "machine")
    publisher.down = True
    with serving(tmp_path, publisher, env=machine.env) as service:
        same = client_assertion(f"{service.issuer}/token", label="one")
        assert_refused(service, ask(service, **same), UNAVAILABLE)
        publisher.down = False
        machine.sleep(60)
        assert_issued(service, ask(service, **same))
        assert_refused(service, ask(service, **same), FAILED)


def test_a_key_set_that_is_taken_away_is_not_the_end_of_good_keys(
    tmp_path: Path, publisher: FakeIssuer
) -> None:
    """Whoever gets the publisher to answer nonsense withdraws no key, and brings in none."""
    machine = Machine(tmp_path / "machine")
    with serving(tmp_path, publisher, env=machine.env) as service:
        for _ in range(TURNS):
            assert_issued(service, by(service, "one"))
        publisher.answers["/jwks.json"] = b'{"keys": "none"}'
        machine.sleep(FRESH + 1)
        for _ in range(TURNS):
            assert_issued(service, by(service, "one"))
            assert by(service, "attacker").status_code in {401, 503}


# ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_both_secrets_pass_while_one_is_rotated_and_the_old_one_stops(
    tmp_path: Path, publisher: FakeIssuer
) -> None:
    with serving(tmp_path, publisher) as service:
        for secret in (OLD_SECRET, NEW_SECRET) * 2:
            assert_issued(service, ask(service, auth=(SECRET_CLIENT, secret)))
            assert_issued(service, ask(service, client_id=SECRET_CLIENT, client_secret=secret))
        both = f"{OLD_SECRET}{NEW_SECRET}"
        for wrong in (both, OLD_SECRET[:20] + NEW_SECRET[20:], secret_hash(NEW_SECRET)):
            assert_refused(service, ask(service, auth=(SECRET_CLIENT, wrong)), FAILED)
        one = {"client_secret": {"hash": secret_hash(NEW_SECRET)}}
        write_policies(
            tmp_path / "policies",
            issuer=ISSUER,
            issuers={
                "idp": issuer_file(
                    ISSUER, audience=[BACKEND, KEY_BACKEND], keys={"jwks": {"keys": [keys.public_jwk()]}}
                )
            },
            clients={SECRET_CLIENT: secret_client_file(authentication=one)},
        )
        service.restart()
        for _ in range(TURNS):
            assert_issued(service, ask(service, auth=(SECRET_CLIENT, NEW_SECRET)))
            assert_refused(service, ask(service, auth=(SECRET_CLIENT, OLD_SECRET)), FAILED)
