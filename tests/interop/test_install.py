"""What becomes of an IdP that cannot be downloaded, is not what was pinned, or does not build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop import install, peers
from tests.interop.peers import Peer

PEER = Peer("example", "Example")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pins and cache of their own, and no pause between tries."""
    monkeypatch.setattr(peers, "HERE", tmp_path)
    monkeypatch.setattr(peers, "CACHE", tmp_path / ".cache")
    monkeypatch.setattr(install, "PAUSE_SECONDS", 0)
    PEER.pins.mkdir()
    (PEER.pins / "pin.toml").write_text("version = 1")
    return tmp_path


def installed_by(installer: Callable[[Peer], None], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(install, "INSTALLERS", {PEER: installer})
    return install.main()


def shell(directory: Path, script: str) -> list[str]:
    """Return a command that counts how often it ran."""
    return ["sh", "-c", f"echo x >> {directory}/runs; {script}"]


def runs(directory: Path) -> int:
    return len((directory / "runs").read_text().splitlines())


def test_what_works_is_installed_once(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def installer(peer: Peer) -> None:
        install.fetch(shell(elsewhere, "exit 0"), cwd=peer.home)

    assert installed_by(installer, monkeypatch) == 0
    assert installed_by(installer, monkeypatch) == 0

    assert runs(elsewhere) == 1
    assert PEER.home_or_skip() == PEER.home


def test_a_changed_pin_makes_it_not_installed(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed_by(lambda peer: None, monkeypatch) == 0
    (PEER.pins / "pin.toml").write_text("version = 2")

    with pytest.raises(pytest.skip.Exception, match="INTEROP NOT RUN: Example is not installed"):
        PEER.home_or_skip()


def test_what_is_out_of_reach_is_tried_again_then_said_and_left_out(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def installer(peer: Peer) -> None:
        install.fetch(shell(elsewhere, "echo no route to host; exit 1"), cwd=peer.home)

    assert installed_by(installer, monkeypatch) == 0

    assert runs(elsewhere) == install.TRIES
    said = capsys.readouterr().err
    assert "INTEROP NOT RUN: Example could not be installed" in said
    assert "no route to host" in said
    assert not PEER.is_installed()


def test_a_missing_tool_is_said_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def installer(peer: Peer) -> None:
        install.fetch(["a-tool-that-is-nowhere"], cwd=peer.home)

    assert installed_by(installer, monkeypatch) == 0
    assert "there is no a-tool-that-is-nowhere here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["verifying module: checksum mismatch", "THESE PACKAGES DO NOT MATCH THE HASHES"]
)
def test_a_wrong_checksum_is_an_error_and_not_tried_again(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def installer(peer: Peer) -> None:
        install.fetch(shell(elsewhere, f"echo {words}; exit 1"), cwd=peer.home)

    assert installed_by(installer, monkeypatch) == 1
    assert runs(elsewhere) == 1
    assert not PEER.is_installed()


def test_what_does_not_build_is_an_error(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def installer(peer: Peer) -> None:
        install.build(shell(elsewhere, "exit 2"), cwd=peer.home)

    assert installed_by(installer, monkeypatch) == 1
    assert not PEER.is_installed()


def test_an_unknown_name_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(install, "INSTALLERS", {PEER: lambda peer: None})

    assert install.main(["exmaple"]) == 2
    assert "known are: example" in capsys.readouterr().err
