"""The watch and the follower on real files, one look at a time."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from exchange.config.load import load, load_with_files
from exchange.config.values import Policies
from exchange.reload.fingerprint import fingerprint
from exchange.reload.follow import Follower
from exchange.reload.publication import Publication, Status
from exchange.reload.watch import MAX_LOGGED_FAULTS, PolicyWatch
from tests.support.policies import server_file, write_policies

ISSUER = "https://login.example"


class Process:
    """Stands where the master's, or a worker's, requests would be answered."""

    def __init__(self, policies: Policies) -> None:
        self.served = policies
        self.told = Status(policies.sha256)
        self.fails: Exception | None = None
        self.ended: list[bool] = []

    @property
    def sha256(self) -> str:
        return self.served.sha256

    def prepare(self, policies: Policies) -> Callable[[], None]:
        if self.fails:
            raise self.fails

        def commit() -> None:
            self.served = policies

        return commit

    def serve(self, policies: Policies) -> None:
        self.prepare(policies)()

    def tell(self, status: Status) -> None:
        self.told = status

    def reload_ended(self, *, faulty: bool) -> None:
        self.ended.append(faulty)


class Stage:
    """A directory, the master's watch of it, and one worker."""

    def __init__(self, tmp_path: Path) -> None:
        self.directory = write_policies(tmp_path / "policies", issuer=ISSUER)
        self.publication = Publication(tmp_path / "handed")
        self.publication.directory.mkdir()
        self.master = Process(load(self.directory, environ={}))
        self.worker = Process(self.master.served)
        self.during_load: Callable[[], object] = lambda: None
        self.loads = 0
        self.watch = PolicyWatch(
            self.directory,
            sha256=self.master.sha256,
            seen=fingerprint(self.directory),
            load=self._load,
            prepare=self.master.prepare,
            publication=self.publication,
            metrics=self.master,
        )
        self.follower = Follower(
            self.publication,
            load=lambda copy: load(copy, environ={}, label=self.directory),
            served=self.worker,
        )

    def _load(self) -> tuple[Policies, Mapping[str, bytes]]:
        self.loads += 1
        policies, files = load_with_files(self.directory, environ={})
        self.during_load()
        return policies, files.contents()

    def change(self, lifetime: str = "2m") -> str:
        write_policies(self.directory, issuer=ISSUER, server=server_file(token_lifetime=lifetime))
        return load(self.directory, environ={}).sha256

    def break_it(self) -> None:
        (self.directory / "server.yaml").write_text("isuer: x\n")

    def look(self, times: int = 2) -> None:
        for _ in range(times):
            self.watch.look()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_what_did_not_change_is_not_loaded(stage: Stage) -> None:
    stage.look(5)
    assert stage.loads == 0
    assert stage.publication.status() is None
    assert stage.follower.look()


def test_a_change_is_taken_at_the_second_look_that_finds_it(stage: Stage) -> None:
    changed = stage.change()
    stage.look(1)
    assert stage.loads == 0
    stage.look(1)
    assert stage.master.sha256 == changed
    assert stage.follower.look()
    assert (
        stage.worker.served == stage.master.served
    )  # to the last source of a rule: the copy is not to be seen
    stage.look(3)
    assert stage.loads == 1


def test_a_set_that_changes_between_looks_is_left_alone(stage: Stage) -> None:
    for turn in range(5):
        stage.change(f"{turn + 60}s")
        stage.look(1)
    assert stage.loads == 0
    stage.look(1)
    assert stage.master.ended == [False]


def test_a_set_that_changes_while_it_is_loaded_is_not_taken(stage: Stage) -> None:
    before = stage.master.sha256
    stage.change("2m")
    stage.during_load = lambda: stage.change("3m")
    stage.look()
    assert stage.master.sha256 == before
    assert stage.master.ended == []
    stage.during_load = lambda: None
    stage.look()
    assert stage.master.served.server.token_lifetime == 180


def test_a_directory_that_never_rests_becomes_a_fault_and_stops_to_be_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.reload.watch.RESTLESS_SECONDS", 0.0)
    for turn in range(3):
        stage.change(f"{turn + 60}s")
        stage.look(1)
    status = stage.publication.status()
    assert status is not None
    assert "does not come to rest" in str(status.fault)
    stage.look()
    assert stage.publication.status() == Status(load(stage.directory, environ={}).sha256)


def test_sighup_does_not_wait_for_a_second_look(stage: Stage) -> None:
    changed = stage.change()
    stage.watch.reload()
    assert stage.master.sha256 == changed


def test_faults_are_logged_once_and_told_until_they_are_gone(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    good = stage.master.sha256
    stage.break_it()
    stage.look(6)
    stage.watch.reload()
    assert (stage.loads, stage.master.ended) == (2, [True])
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert stage.follower.look()
    assert stage.worker.sha256 == good
    assert stage.worker.told.faults == 2
    assert str(stage.worker.told.fault).startswith(f"{stage.directory}/server.yaml:1:1: ")
    write_policies(stage.directory, issuer=ISSUER)
    stage.look()
    assert stage.follower.look()
    assert stage.worker.told == Status(good)
    assert stage.master.ended == [True, False]


def test_a_name_of_a_file_forges_no_line_of_the_log(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    (stage.directory / "issuers" / "x\npolicies are fine").write_text("")
    stage.look()
    assert "\npolicies are fine" not in caplog.text
    assert "policies are fine" in caplog.text


def test_very_many_faults_are_logged_in_part(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    for index in range(MAX_LOGGED_FAULTS + 50):
        (stage.directory / "issuers" / f"i{index}.yaml").write_text("issuer: [\n")
    stage.look()
    assert caplog.text.count("/issuers/") == MAX_LOGGED_FAULTS
    status = stage.publication.status()
    assert status is not None
    assert status.faults >= MAX_LOGGED_FAULTS + 50


@pytest.mark.parametrize("failure", [ValueError("no key"), OSError(28, "No space left on device")])
def test_what_cannot_be_put_in_force_is_tried_again_without_another_change(
    stage: Stage, failure: Exception
) -> None:
    good, changed = stage.master.sha256, stage.change()
    stage.master.fails = failure
    stage.look(8)
    assert stage.master.sha256 == good
    assert stage.master.ended == [True]
    status = stage.publication.status()
    assert status is not None
    assert "cannot be put in force" in str(status.fault)
    stage.master.fails = None
    stage.look()
    assert stage.master.sha256 == changed
    assert stage.publication.status() == Status(changed)


def test_a_publication_that_cannot_be_written_changes_nothing_and_ends_nothing(stage: Stage) -> None:
    good, changed = stage.master.sha256, stage.change()
    handed = stage.publication.directory
    shutil.rmtree(handed)
    handed.write_text("in the way")
    stage.look(4)
    stage.watch.reload()
    assert stage.master.sha256 == good
    handed.unlink()
    handed.mkdir()
    stage.look(4)
    assert stage.master.sha256 == changed
    assert stage.follower.look()
    assert stage.worker.sha256 == changed


def test_a_worker_takes_only_what_was_judged(stage: Stage) -> None:
    good, changed = stage.master.sha256, stage.change()
    stage.look()
    copy = stage.publication.files_of(changed) / "server.yaml"
    genuine = copy.read_text()
    for spoilt in (genuine.replace("2m", "3m"), "isuer: x\n"):
        copy.write_text(spoilt)
        assert not stage.follower.look()
        assert stage.worker.sha256 == good
        assert stage.worker.told.faults == 1
    copy.write_text(genuine)
    assert stage.follower.look()
    assert (stage.worker.sha256, stage.worker.told) == (changed, Status(changed))


def test_loading_gives_way_to_requests_and_only_while_it_lasts(stage: Stage) -> None:
    before, during = sys.getswitchinterval(), []

    def load_copy(copy: Path) -> Policies:
        during.append(sys.getswitchinterval())
        return load(copy, environ={})

    follower = Follower(stage.publication, load=load_copy, served=stage.worker)
    changed = stage.change()
    stage.look()
    (stage.publication.files_of(changed) / "server.yaml").rename(stage.directory / "away")
    assert not follower.look()
    assert sys.getswitchinterval() == before
    (stage.directory / "away").rename(stage.publication.files_of(changed) / "server.yaml")
    assert follower.look()
    assert sys.getswitchinterval() == before
    assert all(seconds < before for seconds in during)
    assert len(during) == 2


def test_a_directory_that_takes_long_to_look_at_is_looked_at_less_often_whatever_loading_takes(
    stage: Stage,
) -> None:
    stage.during_load = lambda: threading.Event().wait(0.3)
    stage.change()
    stage.look()
    assert stage.loads == 1
    assert 0 < stage.watch._seconds_to_look < 0.1


def test_a_status_that_cannot_be_read_changes_nothing(stage: Stage) -> None:
    (stage.publication.directory / "status.json").write_text("{")
    assert not stage.follower.look()
    assert stage.worker.sha256 == stage.master.sha256


def test_only_the_last_two_copies_are_kept_and_an_old_set_may_come_back(stage: Stage) -> None:
    seen = []
    for lifetime in ("2m", "3m", "4m", "2m"):
        seen.append(stage.change(lifetime))
        stage.look()
    copies = {path.name for path in stage.publication.directory.iterdir() if path.is_dir()}
    assert copies == {seen[2], seen[3]}
    assert stage.follower.look()
    assert stage.worker.sha256 == seen[0]


# ── the fingerprint ─────────────────────────────────────────────────────────────────────────────────────────


def edit_in_place(root: Path) -> None:
    """Same size, same modification time: as a copy that keeps times does it."""
    path = root / "issuers" / "idp.yaml"
    status = path.stat()
    path.write_text(path.read_text().replace("login", "nigol"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_by_rename(root: Path) -> None:
    (root / "new").write_text((root / "server.yaml").read_text())
    (root / "new").replace(root / "server.yaml")


CHANGES = [
    edit_in_place,
    replace_by_rename,
    lambda root: (root / "issuers" / "new.yaml").write_text(""),
    lambda root: (root / "issuers" / "idp.yaml").unlink(),
    lambda root: (root / "issuers" / "idp.yaml").rename(root / "issuers" / "other.yaml"),
    lambda root: (root / "clients").rename(root / "away"),
    lambda root: (root / "keys" / "deep").mkdir(parents=True),
    shutil.rmtree,
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_changes_the_fingerprint(tmp_path: Path, change: Callable[[Path], object]) -> None:
    root = write_policies(tmp_path / "policies", issuer=ISSUER)
    before = fingerprint(root)
    assert fingerprint(root) == before
    change(root)
    assert fingerprint(root) != before


def test_what_a_link_leads_to_is_looked_at_and_a_circle_ends(tmp_path: Path) -> None:
    root = write_policies(tmp_path / "policies", issuer=ISSUER)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "keys.json").write_text("{}")
    (root / "keys").symlink_to(tmp_path / "elsewhere")
    (root / "keys" / "back").symlink_to(root)
    (root / "dangling").symlink_to("nowhere")
    before = fingerprint(root)
    (tmp_path / "elsewhere" / "keys.json").write_text('{"keys": []}')
    assert fingerprint(root) != before


def test_the_bookkeeping_of_git_is_not_looked_at(tmp_path: Path) -> None:
    root = write_policies(tmp_path / "policies", issuer=ISSUER)
    (root / ".git").mkdir()
    before = fingerprint(root)
    (root / ".git" / "index").write_text("")
    assert fingerprint(root) == before
