"""Secrets beside the keys: made once, for their owner alone, and shared by all who share the directory."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ProcessPoolExecutor

import pytest

from exchange.issuance.key_files import read_keys
from exchange.issuance.signing_keys import SigningKeyRing
from exchange.private_files import KeyDirectoryNotWritable, KeyFault, shared_secret


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_it_for_its_owner_alone(tmp_path):
    secret = shared_secret(tmp_path / "keys", "dpop-nonce")
    assert len(secret) >= 32
    assert mode(tmp_path / "keys") == 0o700
    assert mode(tmp_path / "keys/dpop-nonce.secret") == 0o600


def test_the_next_start_finds_the_same(tmp_path):
    assert shared_secret(tmp_path, "a") == shared_secret(tmp_path, "a")
    assert shared_secret(tmp_path, "a") != shared_secret(tmp_path, "b")


def test_processes_that_start_together_agree_on_one(tmp_path):
    with ProcessPoolExecutor(4) as pool:
        assert len({*pool.map(shared_secret, [tmp_path / "keys"] * 8, ["a"] * 8)}) == 1


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o666])
def test_one_that_others_can_read_stops_the_start(tmp_path, bits):
    shared_secret(tmp_path, "a")
    (tmp_path / "a.secret").chmod(bits)
    with pytest.raises(KeyFault, match=r"a\.secret: others can read"):
        shared_secret(tmp_path, "a")


@pytest.mark.parametrize("content", [b"", b"short", b"\n" * 100])
def test_one_that_can_be_guessed_stops_the_start_and_is_not_shown(tmp_path, content):
    (tmp_path / "a.secret").write_bytes(content)
    (tmp_path / "a.secret").chmod(0o600)
    with pytest.raises(KeyFault, match="too short") as caught:
        shared_secret(tmp_path, "a")
    assert "short\n" not in str(caught.value)


def test_a_directory_in_its_place_stops_the_start(tmp_path):
    (tmp_path / "a.secret").mkdir(mode=0o700)
    with pytest.raises(KeyFault, match="cannot be read"):
        shared_secret(tmp_path, "a")


def test_a_directory_that_others_can_write_to_stops_the_start(tmp_path):
    shared_secret(tmp_path / "keys", "a")
    (tmp_path / "keys").chmod(0o777)
    with pytest.raises(KeyFault, match="others can put keys here"):
        shared_secret(tmp_path / "keys", "a")


def test_where_it_is_there_the_directory_is_only_read(tmp_path, monkeypatch):
    secret = shared_secret(tmp_path, "a")
    monkeypatch.setattr("exchange.private_files.locked", None)  # would be called to write
    assert shared_secret(tmp_path, "a") == secret


def test_where_nothing_can_be_written_that_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KeyDirectoryNotWritable):
        shared_secret(tmp_path / "file" / "keys", "a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_directory_is_one_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(KeyDirectoryNotWritable):
        shared_secret(tmp_path, "a")


def test_it_is_not_taken_for_a_key(tmp_path):
    ring = SigningKeyRing.open(tmp_path, "ES256")
    shared_secret(tmp_path, "dpop-nonce")
    assert [stored.key.key_id for stored in read_keys(tmp_path)] == [ring.current.key_id]
    assert len(SigningKeyRing.open(tmp_path, "ES256").public_jwks()["keys"]) == 1
