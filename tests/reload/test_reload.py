"""Promise 10 and hot reload over HTTP: a change reaches every worker whole, and a bad one changes nothing."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import jwt
import pytest
import requests

from tests.attacks.forge import both_workers, worker_ids
from tests.reload.looking import (
    eventually,
    exchange,
    hash_of,
    in_force,
    metric,
    policies_check,
    wait_for,
    wait_for_fault,
)
from tests.support import keys
from tests.support.idp import FakeIssuer
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

BOTH = {"orders": audience_file(rule(subject={"issuer": ["idp", "partner"]}))}
LOADED = 'exchange_policy_reloads_total{result="loaded"}'
FAULTY = 'exchange_policy_reloads_total{result="faulty"}'


@pytest.fixture
def policies(tmp_path: Path, idp: FakeIssuer) -> Path:
    return write_policies(tmp_path / "policies", issuer=idp.issuer)


@pytest.fixture
def service(policies: Path) -> Iterator[RunningService]:
    with RunningService(policies, workers=3) as running:
        eventually(lambda: len(worker_ids(running)) == 3)
        yield running


def switched_off(idp: FakeIssuer) -> dict[str, dict[str, object]]:
    return {"idp": issuer_file(idp.issuer, enabled=False)}


def test_a_change_reaches_all_workers(service: RunningService, policies: Path, idp: FakeIssuer) -> None:
    before = policies_check(service)
    assert in_force(service) == {before["sha256"]} == {hash_of(policies)}
    assert before["faults"] == 0
    assert "fault" not in before
    write_policies(policies, issuer=idp.issuer, server=server_file(token_lifetime="2m"))
    wait_for(service, hash_of(policies))
    assert {policies_check(service)["sha256"] for _ in range(12)} == {hash_of(policies)}
    records = [assert_issued(service, exchange(service, idp.access_token())) for _ in range(12)]
    assert {record["policies"] for record in records} == {hash_of(policies)}
    assert {record["issued"]["claims"]["exp"] - record["issued"]["claims"]["iat"] for record in records} == {
        120
    }
    assert metric(service, LOADED) == 1
    assert f"policies {hash_of(policies)} are in force" in service.stderr()


def test_the_kill_switch_takes_effect_without_a_restart(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    assert_issued(service, exchange(service, idp.access_token()))
    workers = worker_ids(service)
    write_policies(policies, issuer=idp.issuer, issuers=switched_off(idp))
    wait_for(service, hash_of(policies))
    for _ in range(12):
        assert_refused(service, exchange(service, idp.access_token()), "subject_token_issuer_disabled")
    assert worker_ids(service) == workers


def test_a_new_issuer_is_believed_without_a_restart_and_its_removal_too(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    with FakeIssuer(label="b") as partner:
        assert_refused(service, exchange(service, partner.access_token()), "subject_token_issuer_not_trusted")
        write_policies(
            policies, issuer=idp.issuer, issuers={"partner": issuer_file(partner.issuer)}, audiences=BOTH
        )
        wait_for(service, hash_of(policies))
        for _ in range(6):
            assert_issued(service, exchange(service, partner.access_token()))
            assert_issued(service, exchange(service, idp.access_token()))
        (policies / "issuers" / "partner.yaml").unlink()
        write_policies(policies, issuer=idp.issuer)
        wait_for(service, hash_of(policies))
        for _ in range(6):
            assert_refused(
                service, exchange(service, partner.access_token()), "subject_token_issuer_not_trusted"
            )


def test_keys_of_an_issuer_outlive_a_change_while_it_is_down(
    service: RunningService, policies: Path, tmp_path: Path
) -> None:
    fetched = 'exchange_key_fetches_total{result="fetched",source="idp"}'
    eventually(lambda: metric(service, fetched) == 3)  # by each worker, when it started
    with FakeIssuer(label="b") as partner:
        write_policies(policies, issuer=partner.issuer)
        wait_for(service, hash_of(policies))
        eventually(lambda: metric(service, fetched) == 6)
        partner.down = True
        write_policies(policies, issuer=partner.issuer, server=server_file(token_lifetime="2m"))
        wait_for(service, hash_of(policies))
        for _ in range(12):
            assert_issued(service, exchange(service, partner.access_token()))


def test_a_bad_change_keeps_the_last_good_policies_and_is_named_until_it_is_mended(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    good = hash_of(policies)
    (policies / "issuers" / "idp.yaml").write_text("issuer: [\n")
    (policies / "server.yaml").write_text("isuer: https://exchange.example\n")
    check = wait_for_fault(service)
    assert check["sha256"] == good
    assert check["faults"] >= 2
    assert check["fault"].startswith(f"{policies}/issuers/idp.yaml:")
    assert (metric(service, "exchange_policies_faulty"), metric(service, FAULTY)) == (1, 1)
    assert in_force(service) == {good}
    for path in (
        "issuers/idp.yaml:",
        "server.yaml:",
    ):  # all faults, each once, whatever the number of workers
        assert any(line.startswith(f"{policies}/{path}") for line in service.stderr().splitlines())
    assert service.stderr().count("has faults") == 1
    for _ in range(6):
        assert assert_issued(service, exchange(service, idp.access_token()))["policies"] == good
    write_policies(policies, issuer=idp.issuer, server=server_file(token_lifetime="2m"))
    wait_for(service, hash_of(policies))
    eventually(lambda: all(policies_check(service)["faults"] == 0 for _ in range(8)))
    assert "fault" not in policies_check(service)
    assert (metric(service, "exchange_policies_faulty"), metric(service, FAULTY)) == (0, 1)


def test_a_bad_change_that_is_taken_back_leaves_no_fault(service: RunningService, policies: Path) -> None:
    text = (policies / "server.yaml").read_text()
    (policies / "server.yaml").write_text("isuer: https://exchange.example\n")
    wait_for_fault(service)
    (policies / "server.yaml").write_text(text)
    eventually(lambda: all(policies_check(service)["faults"] == 0 for _ in range(8)))
    assert metric(service, "exchange_policies_faulty") == 0


def test_a_secret_in_a_faulty_file_is_nowhere(service: RunningService, policies: Path) -> None:
    secret = "a-secret-that-somebody-pasted-into-a-file"
    (policies / "clients" / "shop.yaml").write_text(
        f"audience: https://shop.example\nauthentication: {{client_secret: {{hash: [{secret}]}}}}\n"
    )
    check = wait_for_fault(service)
    assert secret not in str(check) + service.stderr() + service.get("/metrics").text + service.stdout()


def test_a_missing_directory_keeps_the_last_good_policies(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    good = hash_of(policies)
    away = policies.rename(policies.with_name("away"))
    assert "does not exist" in wait_for_fault(service)["fault"]
    assert assert_issued(service, exchange(service, idp.access_token()))["policies"] == good
    away.rename(policies)
    eventually(lambda: all(policies_check(service)["faults"] == 0 for _ in range(8)))


def test_a_file_that_is_being_written_is_left_alone(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    """The halves are good YAML each, and mean something else: only waiting tells that there is more to come."""
    before = hash_of(policies)
    target = policies / "server.yaml"
    with target.open("w") as writing:
        for line in ("issuer: https://exchange.example\n", *["# more\n"] * 12, "token_lifetime: 2m\n"):
            writing.write(line)
            writing.flush()
            threading.Event().wait(0.15)
            assert in_force(service) == {before}
    wait_for(service, hash_of(policies))
    assert metric(service, LOADED) == 1


def test_a_key_file_that_a_policy_names_is_watched_too(tmp_path: Path, idp: FakeIssuer) -> None:
    documents = {
        label: f'{{"keys": [{json.dumps(keys.public_jwk("RS256", label))}]}}' for label in ("a", "b")
    }
    policies = write_policies(
        tmp_path / "policies",
        issuer=idp.issuer,
        issuers={"idp": issuer_file(idp.issuer, keys={"jwks_file": ".keys/idp.json"})},
        files={".keys/idp.json": documents["a"]},
    )
    with RunningService(policies, workers=2) as service:
        assert_issued(service, exchange(service, idp.access_token()))
        (policies / ".keys" / "idp.json").write_text(documents["b"])
        wait_for(service, hash_of(policies))
        assert_refused(service, exchange(service, idp.access_token()), "subject_token_key_unknown")


def test_another_signing_algorithm_takes_a_key_of_its_own(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    old = service.jwks()["keys"]
    write_policies(policies, issuer=idp.issuer, server=server_file(signing_algorithm="EdDSA"))
    wait_for(service, hash_of(policies))
    kids = set()
    for _ in range(9):
        service._session.close()
        published = {key["kid"]: key for key in service.jwks()["keys"]}
        assert old[0]["kid"] in published, "tokens that it signed still live"
        kids |= set(published)
        answer = exchange(service, idp.access_token())
        header = jwt.get_unverified_header(answer.json()["access_token"])
        assert header["alg"] == "EdDSA"
        assert header["kid"] in published
    assert len(kids) == 2


def test_a_set_that_cannot_be_served_is_a_bad_change(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    good = hash_of(policies)
    signing_keys = service.directory / "var" / "keys"
    signing_keys.chmod(0o777)
    write_policies(policies, issuer=idp.issuer, server=server_file(signing_algorithm="EdDSA"))
    check = wait_for_fault(service)
    assert check["sha256"] == good
    assert "chmod go-w" in check["fault"]
    signing_keys.chmod(0o700)
    wait_for(service, hash_of(policies))


# ── links, as Kubernetes and git-sync use them ──────────────────────────────────────────────────────────────


def test_a_config_map_that_is_swapped_through_its_data_link_is_seen(tmp_path: Path, idp: FakeIssuer) -> None:
    mount = tmp_path / "policies"
    write_policies(mount / "..2026_01_01", issuer=idp.issuer)
    (mount / "..data").symlink_to("..2026_01_01")
    for name in ("server.yaml", "issuers", "clients", "audiences"):
        (mount / name).symlink_to(f"..data/{name}")
    with RunningService(mount, workers=2) as service:
        assert_issued(service, exchange(service, idp.access_token()))
        write_policies(mount / "..2026_01_02", issuer=idp.issuer, issuers=switched_off(idp))
        (mount / "..data_tmp").symlink_to("..2026_01_02")
        (mount / "..data_tmp").replace(mount / "..data")
        wait_for(service, hash_of(mount))
        assert_refused(service, exchange(service, idp.access_token()), "subject_token_issuer_disabled")
        (mount / "..data_tmp").symlink_to("..2026_01_01")  # and back: every file is as it was before
        (mount / "..data_tmp").replace(mount / "..data")
        wait_for(service, hash_of(mount))
        assert_issued(service, exchange(service, idp.access_token()))


def test_a_directory_that_is_a_link_to_another_revision_is_seen(tmp_path: Path, idp: FakeIssuer) -> None:
    write_policies(tmp_path / "one", issuer=idp.issuer)
    write_policies(tmp_path / "two", issuer=idp.issuer, issuers=switched_off(idp))
    link = tmp_path / "current"
    link.symlink_to("one")

    class Linked(RunningService):
        """On the link itself, not on where it leads now."""

        def __init__(self) -> None:
            super().__init__(link, workers=2)
            self._policies = link

    with Linked() as service:
        assert_issued(service, exchange(service, idp.access_token()))
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").replace(link)
        wait_for(service, hash_of(link))
        assert_refused(service, exchange(service, idp.access_token()), "subject_token_issuer_disabled")


# ── workers that come and go ────────────────────────────────────────────────────────────────────────────────


def replace_worker(service: RunningService) -> None:
    """Kill one worker, and wait for the one that takes its place."""
    before = worker_ids(service)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in worker_ids(service) and len(worker_ids(service)) == len(before))


def test_a_worker_that_is_started_anew_has_the_policies_in_force(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    write_policies(policies, issuer=idp.issuer, issuers=switched_off(idp))
    wait_for(service, hash_of(policies))
    for _ in range(3):
        replace_worker(service)
        for _ in range(6):
            assert_refused(service, exchange(service, idp.access_token()), "subject_token_issuer_disabled")
    assert in_force(service) == {hash_of(policies)}


def test_a_worker_that_is_started_anew_does_not_undo_a_kill_switch_while_the_directory_is_faulty(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    """It would if it began with what the service started on: the last good policies are later ones."""
    write_policies(policies, issuer=idp.issuer, issuers=switched_off(idp))
    good = hash_of(policies)
    wait_for(service, good)
    (policies / "server.yaml").write_text("isuer: https://exchange.example\n")
    wait_for_fault(service)
    for _ in range(3):
        replace_worker(service)
    for _ in range(12):
        assert_refused(service, exchange(service, idp.access_token()), "subject_token_issuer_disabled")
        assert policies_check(service)["faults"] > 0
    assert in_force(service) == {good}


# ── SIGHUP ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_sighup_reloads_at_once_and_new_workers_have_the_change_from_their_first_request(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    old = worker_ids(service)
    write_policies(policies, issuer=idp.issuer, issuers=switched_off(idp))
    service.signal(signal.SIGHUP)
    wait_for(service, hash_of(policies))
    eventually(lambda: not (worker_ids(service) & old) and len(worker_ids(service)) == 3, seconds=20)
    for _ in range(12):
        assert_refused(service, exchange(service, idp.access_token()), "subject_token_issuer_disabled")


def test_sighup_on_faults_keeps_the_last_good_policies(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    write_policies(policies, issuer=idp.issuer, issuers=switched_off(idp))
    good = hash_of(policies)
    wait_for(service, good)
    old = worker_ids(service)
    (policies / "server.yaml").write_text("isuer: https://exchange.example\n")
    service.signal(signal.SIGHUP)
    eventually(lambda: not (worker_ids(service) & old) and len(worker_ids(service)) == 3, seconds=20)
    assert wait_for_fault(service)["sha256"] == good
    for _ in range(12):
        assert_refused(service, exchange(service, idp.access_token()), "subject_token_issuer_disabled")


# ── under load ──────────────────────────────────────────────────────────────────────────────────────────────


class Load:
    """Threads that exchange without a pause, each request over a connection of its own, until the block ends."""

    def __init__(self, service: RunningService, idp: FakeIssuer, threads: int = 3) -> None:
        self.outcomes: list[str] = []
        self._stop = threading.Event()
        self._service, self._token = service, idp.access_token()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = exchange(self._service, self._token)
                outcome = "issued" if answer.status_code == 200 else str(answer.json()["reason"])
            except Exception as error:  # noqa: BLE001  # whatever it is, the request was lost
                outcome = f"lost: {error!r}"
            self.outcomes.append(outcome)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_reloads_lose_no_request(service: RunningService, policies: Path, idp: FakeIssuer) -> None:
    hashes = {hash_of(policies)}
    with Load(service, idp) as load:
        for turn in range(10):
            write_policies(policies, issuer=idp.issuer, issuers=switched_off(idp) if turn % 2 == 0 else None)
            hashes.add(hash_of(policies))
            wait_for(service, hash_of(policies), seconds=20)
    assert set(load.outcomes) == {"issued", "subject_token_issuer_disabled"}
    assert len(load.outcomes) > 100
    for record in service.audit():  # nothing in between: each record was made by one of the two sets
        assert record["policies"] in hashes
    assert "Traceback" not in service.stderr()


def test_sighups_lose_no_request(service: RunningService, policies: Path, idp: FakeIssuer) -> None:
    with Load(service, idp) as load:
        for turn in range(3):
            old = worker_ids(service)
            write_policies(policies, issuer=idp.issuer, server=server_file(token_lifetime=f"{turn + 2}m"))
            service.signal(signal.SIGHUP)
            eventually(
                lambda old=old: not (worker_ids(service) & old) and len(worker_ids(service)) == 3, seconds=30
            )
            wait_for(service, hash_of(policies))
    assert set(load.outcomes) == {"issued"}
    assert "Traceback" not in service.stderr()


def test_a_request_under_way_keeps_its_policies(
    service: RunningService, policies: Path, idp: FakeIssuer
) -> None:
    """Its body comes slowly, and the issuer is switched off meanwhile; answer and record are of one set."""
    before = hash_of(policies)
    form = {
        "grant_type": GRANT_TYPE,
        "subject_token": idp.access_token(),
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
    }
    request = requests.Request("POST", f"{service.url}/token", data=form, auth=BASIC).prepare()
    body = str(request.body).encode()
    slow = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    slow.putrequest("POST", "/token")
    for name, value in request.headers.items():
        slow.putheader(name, value)
    slow.endheaders(body[:100])
    eventually(lambda: assert_issued(service, exchange(service, idp.access_token()))["policies"] == before)
    write_policies(policies, issuer=idp.issuer, issuers=switched_off(idp))
    wait_for(service, hash_of(policies))
    assert_refused(service, exchange(service, idp.access_token()), "subject_token_issuer_disabled")
    slow.send(body[100:])
    answer = slow.getresponse()
    assert answer.status == 200, answer.read()
    (record,) = service.audit(request_id=answer.headers["X-Request-ID"])
    assert record["policies"] == before
    slow.close()


def test_what_is_handed_to_the_workers_is_private_and_gone_after_the_end(
    policies: Path, tmp_path: Path, idp: FakeIssuer
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with RunningService(policies, workers=2, directory=state) as service:
        both_workers(service)
        write_policies(policies, issuer=idp.issuer, issuers=switched_off(idp))
        wait_for(service, hash_of(policies))
        (handed,) = state.glob("exchange-policies-*")
        assert handed.stat().st_mode & 0o777 == 0o700
        assert (handed / hash_of(policies) / "server.yaml").exists()
    assert not list(state.glob("exchange-policies-*"))
