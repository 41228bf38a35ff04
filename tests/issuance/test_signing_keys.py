"""Keys of ours: made once, for their owner alone, published without anything private."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from joserfc.jwk import import_key

from exchange.issuance.key_files import KeyFault, KeyStatus, StoredKey, locked, read_keys, write_key
from exchange.issuance.signing_keys import PUBLIC_MEMBERS, SigningKeyRing, add_key
from exchange.jose import SIGNING_ALGORITHMS, generate_signing_key

ALGORITHMS = sorted(SIGNING_ALGORITHMS)
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def clock() -> float:
    return 2_000_000_000.9


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "var" / "keys"


@pytest.fixture
def key_file(directory: Path) -> Path:
    """The one key file of a directory that was just started with."""
    SigningKeyRing.open(directory, "ES256", clock=clock)
    (path,) = directory.glob("*.json")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ── first start ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_first_start_makes_a_key_and_the_next_start_finds_it(directory, algorithm):
    first = SigningKeyRing.open(directory, algorithm, clock=clock)
    second = SigningKeyRing.open(directory, algorithm, clock=clock)
    assert first.current.key_id == second.current.key_id
    assert first.current.algorithm == algorithm
    assert first.public_jwks() == second.public_jwks()


def test_only_the_owner_can_read_what_was_made(key_file):
    assert mode(key_file) == 0o600
    assert mode(key_file.parent) == 0o700


def test_a_generous_umask_gives_nobody_else_the_key(directory):
    before = os.umask(0)
    try:
        SigningKeyRing.open(directory, "ES256", clock=clock)
    finally:
        os.umask(before)
    assert {mode(path) for path in directory.iterdir()} == {0o600}
    assert mode(directory) == 0o700


def test_the_file_says_what_the_key_is_for_and_is_named_by_its_thumbprint(key_file):
    document = json.loads(key_file.read_text())
    assert (document["status"], document["created_at"]) == ("current", 2_000_000_000)
    assert key_file.stem == document["jwk"]["kid"] == import_key(document["jwk"]).thumbprint()


def test_nothing_unfinished_is_left_behind(directory):
    directory.mkdir(parents=True, mode=0o700)
    (directory / ".crashed.unfinished").write_text("half a key")
    SigningKeyRing.open(directory, "ES256", clock=clock)
    assert sorted(path.suffix for path in directory.iterdir() if path.name != ".lock") == [".json"]


def test_another_algorithm_gets_its_own_key_and_the_old_one_stays_published(directory):
    old = SigningKeyRing.open(directory, "ES256", clock=clock)
    new = SigningKeyRing.open(directory, "EdDSA", clock=clock)
    assert new.current.algorithm == "EdDSA"
    assert [jwk["kid"] for jwk in new.public_jwks()["keys"]] == [new.current.key_id, old.current.key_id]


@pytest.mark.parametrize("algorithm", ["HS256", "none", "ES256K", "RS512", ""])
def test_an_algorithm_that_we_do_not_sign_with_makes_no_key(directory, algorithm):
    with pytest.raises(KeyFault, match="use one of"):
        SigningKeyRing.open(directory, algorithm)
    assert not directory.exists()


def _start(directory: str, barrier, found) -> None:
    barrier.wait(30)
    found.put(SigningKeyRing.open(Path(directory), "ES256").current.key_id)


def test_processes_that_start_together_agree_on_one_key(directory):
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_start, args=(str(directory), barrier, found)) for _ in range(4)]
    for process in processes:
        process.start()
    key_ids = {found.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(60)
    assert len(key_ids) == 1
    assert len(list(directory.glob("*.json"))) == 1


def test_a_directory_that_has_its_key_is_only_read(key_file):
    (key_file.parent / ".lock").unlink()
    SigningKeyRing.open(key_file.parent, "ES256")
    assert [path.name for path in key_file.parent.iterdir()] == [key_file.name]


# ── who else could read or write ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("others", [0o640, 0o604, 0o660, 0o622, 0o644, 0o610])
def test_a_key_that_others_can_reach_is_refused(key_file, others):
    key_file.chmod(others)
    with pytest.raises(KeyFault, match=r"others can read this private key.*chmod 600"):
        SigningKeyRing.open(key_file.parent, "ES256")


@pytest.mark.parametrize("owners", [0o600, 0o400])
def test_a_key_that_its_owner_alone_can_reach_is_used(key_file, owners):
    key_file.chmod(owners)
    assert SigningKeyRing.open(key_file.parent, "ES256").current.key_id == key_file.stem


@pytest.mark.parametrize("others", [0o770, 0o707, 0o1777, 0o722])
def test_a_directory_that_others_can_write_to_is_refused(key_file, others):
    key_file.parent.chmod(others)
    with pytest.raises(KeyFault, match=r"others can put keys here.*chmod go-w"):
        SigningKeyRing.open(key_file.parent, "ES256")


def test_no_key_is_made_in_a_directory_that_others_can_write_to(directory):
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    with pytest.raises(KeyFault, match="others can put keys here"):
        SigningKeyRing.open(directory, "ES256")
    assert not list(directory.glob("*.json"))


def test_a_directory_that_others_can_list_is_used(key_file):
    key_file.parent.chmod(0o755)
    assert SigningKeyRing.open(key_file.parent, "ES256").current.key_id == key_file.stem


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("which", ["file", "directory"])
def test_what_another_user_owns_is_refused(key_file, which):
    os.chown(key_file if which == "file" else key_file.parent, 12345, -1)
    with pytest.raises(KeyFault, match="belongs to another user"):
        SigningKeyRing.open(key_file.parent, "ES256")


# ── files that are no keys ──────────────────────────────────────────────────────────────────────────────────


def spoil(document: dict, change: str) -> None:
    changes = {
        "unknown status": lambda: document.update(status="active"),
        "status of another type": lambda: document.update(status=["current"]),
        "no status": lambda: document.pop("status"),
        "an unknown member": lambda: document.update(note="x"),
        "created_at as text": lambda: document.update(created_at="2033-05-18"),
        "created_at as bool": lambda: document.update(created_at=True),
        "no key": lambda: document.update(jwk=None),
        "a public key": lambda: document["jwk"].pop("d"),
        "the name of another key": lambda: document["jwk"].update(kid="other"),
        "another algorithm": lambda: document["jwk"].update(alg="HS256"),
        "another curve": lambda: document["jwk"].update(crv="P-384"),
        "a symmetric key": lambda: document.update(jwk={"kty": "oct", "k": "c2VjcmV0", "alg": "ES256"}),
    }
    changes[change]()


SPOILT = [
    *("unknown status", "status of another type", "no status", "an unknown member", "created_at as text"),
    *("created_at as bool", "no key", "a public key", "the name of another key", "another algorithm"),
    *("another curve", "a symmetric key"),
]


@pytest.mark.parametrize("change", SPOILT)
def test_a_spoilt_file_is_named_and_not_quoted(key_file, change):
    document = json.loads(key_file.read_text())
    secret = document["jwk"]["d"]
    spoil(document, change)
    key_file.write_text(json.dumps(document))
    with pytest.raises(KeyFault, match="not a key file of this service, or damaged") as fault:
        SigningKeyRing.open(key_file.parent, "ES256")
    assert key_file.name in str(fault.value)
    assert secret not in str(fault.value)
    assert fault.value.__cause__ is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"status": "current"', "\0", "[" * 5000, "x" * 70_000]
)
def test_a_damaged_file_is_named(key_file, text):
    key_file.write_text(text)
    with pytest.raises(KeyFault, match=key_file.name):
        SigningKeyRing.open(key_file.parent, "ES256")


def test_a_file_that_is_not_text_is_named(key_file):
    key_file.write_bytes(b"\xff\xfe{}")
    with pytest.raises(KeyFault, match="or damaged"):
        SigningKeyRing.open(key_file.parent, "ES256")


def test_a_key_under_the_name_of_another_is_refused(key_file):
    key_file.rename(key_file.with_name("other.json"))
    with pytest.raises(KeyFault, match=r"other\.json"):
        SigningKeyRing.open(key_file.parent, "ES256")


def test_a_name_that_file_and_key_agree_on_is_refused_when_it_is_not_the_thumbprint(key_file):
    # Otherwise one key could be published under the identifier of another.
    document = json.loads(key_file.read_text())
    document["jwk"]["kid"] = "other"
    key_file.write_text(json.dumps(document))
    key_file.rename(key_file.with_name("other.json"))
    with pytest.raises(KeyFault, match=r"other\.json: not a key file"):
        SigningKeyRing.open(key_file.parent, "ES256")


@pytest.mark.parametrize("name", ["key.pem", "notes.txt", "keys.json.bak", "README"])
def test_a_file_that_is_no_key_is_named(key_file, name):
    key_file.with_name(name).write_text("")
    with pytest.raises(KeyFault, match=f"{name}: not a key file"):
        SigningKeyRing.open(key_file.parent, "ES256")


def test_hidden_files_and_directories_are_passed_over(key_file):
    key_file.with_name(".gitkeep").write_text("")
    key_file.with_name("lost+found").mkdir()
    assert SigningKeyRing.open(key_file.parent, "ES256").current.key_id == key_file.stem


def test_a_pipe_among_the_keys_does_not_stop_the_start_for_ever(key_file):
    os.mkfifo(key_file.with_name("pipe.json"), 0o600)
    with pytest.raises(KeyFault, match=r"pipe\.json"):
        SigningKeyRing.open(key_file.parent, "ES256")


def test_a_key_that_is_a_link_is_read_where_it_points(key_file, tmp_path):
    # Kubernetes mounts secrets as links into a directory of its own.
    elsewhere = tmp_path / "data"
    key_file.rename(elsewhere)
    key_file.symlink_to(elsewhere)
    assert SigningKeyRing.open(key_file.parent, "ES256").current.key_id == key_file.stem


def test_a_link_that_points_nowhere_is_named(key_file):
    key_file.with_name("gone.json").symlink_to("nowhere")
    with pytest.raises(KeyFault, match=r"gone\.json: cannot be read"):
        SigningKeyRing.open(key_file.parent, "ES256")


def test_a_file_in_place_of_the_directory_is_named(tmp_path):
    (tmp_path / "keys").write_text("")
    with pytest.raises(KeyFault, match="keys: cannot be listed"):
        SigningKeyRing.open(tmp_path / "keys", "ES256")


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "var").write_text("")
    with pytest.raises(KeyFault, match=r"var/keys: cannot be listed"):
        SigningKeyRing.open(tmp_path / "var" / "keys", "ES256")


def test_two_current_keys_of_one_algorithm_are_refused(directory):
    for _ in range(2):
        write(directory, KeyStatus.CURRENT)
    with pytest.raises(KeyFault, match="a second current key for ES256"):
        SigningKeyRing.open(directory, "ES256")


# ── what is published ───────────────────────────────────────────────────────────────────────────────────────


def write(directory: Path, status: KeyStatus, created_at: int = 1, algorithm: str = "ES256") -> str:
    stored = StoredKey(generate_signing_key(algorithm), status, created_at)
    with locked(directory):
        write_key(directory, stored)
    return stored.key.key_id


def test_next_current_and_retired_keys_are_published_in_a_fixed_order(directory):
    retired = [write(directory, KeyStatus.RETIRED, 1), write(directory, KeyStatus.RETIRED, 2)]
    following = write(directory, KeyStatus.NEXT, 9)
    current = write(directory, KeyStatus.CURRENT, 5)
    ring = SigningKeyRing.open(directory, "ES256")
    assert [jwk["kid"] for jwk in ring.public_jwks()["keys"]] == [current, following, *retired]
    assert ring.current.key_id == current


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_private_is_ever_published(directory, algorithm):
    ring = SigningKeyRing.open(directory, algorithm)
    (jwk,) = ring.public_jwks()["keys"]
    assert jwk.keys() <= PUBLIC_MEMBERS
    assert not jwk.keys() & PRIVATE_MEMBERS
    assert {"kid": ring.current.key_id, "alg": algorithm, "use": "sig"}.items() <= jwk.items()
    assert not import_key(jwk).is_private
    private = json.loads(next(directory.glob("*.json")).read_text())["jwk"]
    secrets = {private[name] for name in PRIVATE_MEMBERS & private.keys()}
    assert secrets
    assert not any(secret in json.dumps(ring.public_jwks()) for secret in secrets)


def test_no_member_that_is_private_anywhere_counts_as_public():
    assert not PUBLIC_MEMBERS & PRIVATE_MEMBERS


def test_changing_what_was_published_does_not_change_the_ring(directory):
    ring = SigningKeyRing.open(directory, "ES256")
    ring.public_jwks()["keys"][0]["kid"] = "other"
    assert ring.public_jwks()["keys"][0]["kid"] == ring.current.key_id


def test_a_private_key_is_not_in_its_repr(directory):
    SigningKeyRing.open(directory, "ES256")
    (stored,) = read_keys(directory)
    document = json.loads(next(directory.glob("*.json")).read_text())
    assert document["jwk"]["d"] not in repr(stored)


# ── generating ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_key_of_an_algorithm_is_current_and_later_ones_are_next(directory):
    statuses = [add_key(directory, name).status for name in ("ES256", "ES256", "EdDSA", "ES256")]
    assert statuses == [KeyStatus.CURRENT, KeyStatus.NEXT, KeyStatus.CURRENT, KeyStatus.NEXT]


def test_a_next_key_is_published_and_does_not_sign(directory):
    current = add_key(directory, "ES256")
    following = add_key(directory, "ES256")
    ring = SigningKeyRing.open(directory, "ES256")
    assert ring.current.key_id == current.key.key_id
    assert following.key.key_id in {jwk["kid"] for jwk in ring.public_jwks()["keys"]}
