"""``exchange keys``: what an operator sees, and never anything private."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exchange.cli.keys import command
from exchange.issuance.signing_keys import SigningKeyRing


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def run(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), env={"EXCHANGE_KEYS": str(directory)})


def listed(directory: Path) -> list[dict[str, str]]:
    return json.loads(run(directory, "list", "--json").output)


def test_generate_makes_the_current_key_and_then_a_next_one(directory):
    for status in ("current", "next"):
        result = run(directory, "generate")
        assert result.exit_code == 0
        assert re.fullmatch(rf"[\w-]{{43}}  ES256  {status} +\S+Z\n", result.output)
    assert sorted(key["status"] for key in listed(directory)) == ["current", "next"]


def test_the_service_signs_with_the_generated_key(directory):
    run(directory, "generate", "--algorithm", "EdDSA")
    (key,) = listed(directory)
    assert SigningKeyRing.open(directory, "EdDSA").current.key_id == key["kid"]


def test_an_algorithm_that_we_do_not_sign_with_is_refused(directory):
    result = run(directory, "generate", "--algorithm", "HS256")
    assert result.exit_code == 2
    assert not directory.exists()


def test_list_says_what_each_key_is(directory):
    SigningKeyRing.open(directory, "RS256", clock=lambda: 2_000_000_000)
    (key,) = listed(directory)
    assert (key["algorithm"], key["status"], key["created"]) == ("RS256", "current", "2033-05-18T03:33:20Z")
    assert run(directory, "list").output == f"{key['kid']}  RS256  current  2033-05-18T03:33:20Z\n"


def test_a_directory_that_is_not_there_has_no_keys_and_is_not_made(directory):
    assert run(directory, "list").output == ""
    assert listed(directory) == []
    assert not directory.exists()


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["generate"]])
def test_nothing_private_is_printed(directory, arguments):
    SigningKeyRing.open(directory, "RS256")
    (path,) = directory.glob("*.json")
    private = json.loads(path.read_text())["jwk"]
    output = run(directory, *arguments).output
    assert not any(private[name] in output for name in ("d", "p", "q", "dp", "dq", "qi"))


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["generate"]])
def test_a_key_that_others_can_read_is_a_fault_with_a_way_out(directory, arguments):
    SigningKeyRing.open(directory, "ES256")
    (path,) = directory.glob("*.json")
    path.chmod(0o644)
    result = run(directory, *arguments)
    assert result.exit_code == 1
    assert "chmod 600" in result.output
    assert path.name in result.output


@pytest.mark.parametrize("not_there", ["rotate", "retire"])
def test_what_is_not_available_is_an_unknown_command(directory, not_there):
    assert run(directory, not_there).exit_code == 2
