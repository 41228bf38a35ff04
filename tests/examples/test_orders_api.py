"""The downstream API of ``examples/``: it takes what the service issued for it, and says well why it takes nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import dpop
from tests.support.dpop import DpopKey
from tests.support.idp import FakeIssuer
from tests.support.policies import AUDIENCE, BASIC, SECRET_CLIENT, audience_file, rule, write_policies
from tests.support.service import ACCESS_TOKEN, REPOSITORY, RunningService, free_port

BILLING = "https://billing.example"


@pytest.fixture(scope="module")
def issuing(idp: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    billing = audience_file(
        rule(id="shop-bills"), audience=BILLING, resources=["https://billing.example/api"]
    )
    policies = write_policies(
        tmp_path_factory.mktemp("api") / "policies", issuer=idp.issuer, audiences={"billing": billing}
    )
    with RunningService(policies, workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def orders(issuing: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = tmp_path_factory.mktemp("orders") / "log"
    command = [sys.executable, str(REPOSITORY / "examples" / "orders_api.py")]
    given = ["--issuer", issuing.issuer, "--audience", AUDIENCE, "--port", str(port)]
    with log.open("w") as written:
        process = subprocess.Popen([*command, *given], stdout=written, stderr=written)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        try:
            requests.get(url, timeout=1)
        except requests.ConnectionError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())


def issued(service: RunningService, token: str, **parameters: Any) -> str:
    answer = service.exchange(token, BASIC, **({"audience": AUDIENCE} | parameters))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def ask(url: str, token: str | None, *, scheme: str = "Bearer", method: str = "GET", **headers: str) -> Any:
    authorization = {} if token is None else {"Authorization": f"{scheme} {token}"}
    return requests.request(method, f"{url}/orders", headers=authorization | headers, timeout=10)


def assert_challenged(answer: Any, status: int, error: str | None) -> None:
    assert answer.status_code == status, answer.text
    challenges = answer.raw.headers.getlist("WWW-Authenticate")
    assert [challenge.partition(" ")[0] for challenge in challenges] == ["Bearer", "DPoP"]
    for challenge in challenges:
        assert ('error="' in challenge) == (error is not None)
        assert error is None or f'error="{error}"' in challenge


def test_an_issued_token_is_taken_and_says_whose_orders_and_who_asks(
    orders: str, issuing: RunningService, idp: FakeIssuer
) -> None:
    answer = ask(orders, issued(issuing, idp.access_token(sub="ada")))

    assert answer.status_code == 200, answer.text
    assert answer.json() == {"orders_of": "idp|ada", "asked_by": SECRET_CLIENT, "acting": []}


def test_who_acts_is_told_and_may_read_and_may_not_order(
    orders: str, issuing: RunningService, idp: FakeIssuer
) -> None:
    token = issued(
        issuing,
        idp.access_token(sub="ada", scope="orders.read orders.write"),
        actor_token=idp.access_token(sub=SECRET_CLIENT, client_id=SECRET_CLIENT),
        actor_token_type=ACCESS_TOKEN,
    )

    assert ask(orders, token).json()["acting"] == [SECRET_CLIENT]
    assert ask(orders, token, method="POST").status_code == 403


def test_a_person_may_order_where_the_scope_says_so(
    orders: str, issuing: RunningService, idp: FakeIssuer
) -> None:
    token = issued(issuing, idp.access_token(sub="ada", scope="orders.read orders.write"))

    assert ask(orders, token, method="POST").json() == {"placed_for": "idp|ada"}


def test_nobody_without_a_token_is_told_an_error_only_how_to_come_back(orders: str) -> None:
    assert_challenged(ask(orders, None), 401, None)


def test_a_token_short_of_the_scope_is_403(orders: str, issuing: RunningService, idp: FakeIssuer) -> None:
    token = issued(issuing, idp.access_token(scope="orders.read"))

    assert_challenged(ask(orders, token, method="POST"), 403, "insufficient_scope")
    assert ask(orders, token).status_code == 200


def test_the_token_of_the_idp_is_not_the_apis(orders: str, idp: FakeIssuer) -> None:
    assert_challenged(ask(orders, idp.access_token(aud=AUDIENCE)), 401, "invalid_token")


def test_a_token_for_another_api_is_refused(orders: str, issuing: RunningService, idp: FakeIssuer) -> None:
    assert_challenged(
        ask(orders, issued(issuing, idp.access_token(), audience=BILLING)), 401, "invalid_token"
    )


@pytest.mark.parametrize("spoilt", ["nonsense", "a.b.c", "", "e30.e30."])
def test_what_is_no_token_is_refused(orders: str, spoilt: str) -> None:
    answer = ask(orders, spoilt)

    assert answer.status_code == 401


def test_a_token_whose_signature_was_changed_is_refused(
    orders: str, issuing: RunningService, idp: FakeIssuer
) -> None:
    token = issued(issuing, idp.access_token())
    head, _, signature = token.rpartition(".")
    changed = f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"

    assert_challenged(ask(orders, changed), 401, "invalid_token")


@pytest.fixture(scope="module")
def token(issuing: RunningService, idp: FakeIssuer) -> str:
    """Bound to ``TestBoundToAKey.KEY``."""
    key = TestBoundToAKey.KEY
    answer = dpop.exchange(issuing, idp.access_token(sub="ada"), BASIC, key, audience=AUDIENCE)
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "DPoP"
    return str(answer.json()["access_token"])


class TestBoundToAKey:
    KEY = DpopKey()

    def proof(self, orders: str, token: str, key: DpopKey = KEY, **claims: Any) -> str:
        genuine = {"htm": "GET", "ath": dpop.ath(token)}
        return key.proof(f"{orders}/orders", **(genuine | claims))

    def test_with_its_proof_it_is_taken(self, orders: str, token: str) -> None:
        answer = ask(orders, token, scheme="DPoP", DPoP=self.proof(orders, token))

        assert answer.json()["orders_of"] == "idp|ada"

    def test_as_a_bearer_token_it_is_refused(self, orders: str, token: str) -> None:
        assert_challenged(ask(orders, token), 401, "invalid_token")
        assert_challenged(ask(orders, token, DPoP=self.proof(orders, token)), 401, "invalid_token")

    def test_without_a_proof_it_is_refused(self, orders: str, token: str) -> None:
        assert_challenged(ask(orders, token, scheme="DPoP"), 401, "invalid_token")

    def test_with_the_proof_of_another_key_it_is_refused(self, orders: str, token: str) -> None:
        other = self.proof(orders, token, DpopKey(label="somebody-else"))

        assert_challenged(ask(orders, token, scheme="DPoP", DPoP=other), 401, "invalid_token")

    @pytest.mark.parametrize(
        "changes",
        [
            {"htm": "POST"},
            {"htu": "https://elsewhere.example/orders"},
            {"ath": "x"},
            {"iat": 1},
            {"ath": None},
        ],
        ids=str,
    )
    def test_a_proof_for_something_else_is_refused(
        self, orders: str, token: str, changes: dict[str, Any]
    ) -> None:
        url = changes.pop("htu", f"{orders}/orders")
        proof = self.KEY.proof(url, **({"htm": "GET", "ath": dpop.ath(token)} | changes))

        assert_challenged(ask(orders, token, scheme="DPoP", DPoP=proof), 401, "invalid_token")

    def test_a_proof_passes_once(self, orders: str, token: str) -> None:
        proof = self.proof(orders, token)

        assert ask(orders, token, scheme="DPoP", DPoP=proof).status_code == 200
        assert_challenged(ask(orders, token, scheme="DPoP", DPoP=proof), 401, "invalid_token")

    def test_a_token_that_is_bound_to_nobody_is_no_dpop_token(
        self, orders: str, issuing: RunningService, idp: FakeIssuer
    ) -> None:
        token = issued(issuing, idp.access_token())

        refused = ask(orders, token, scheme="DPoP", DPoP=self.proof(orders, token))
        assert_challenged(refused, 401, "invalid_token")
