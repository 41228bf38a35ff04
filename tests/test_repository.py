"""What the README promises exists; what is installed is locked, and every dependency has its reason."""

from __future__ import annotations

import configparser
import json
import re

import pytest

from tests.support.service import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
MAKEFILE = (REPOSITORY / "Makefile").read_text()
LOCKS = ("requirements.lock", "requirements-dev.lock")


def code(text: str) -> str:
    """Return the code blocks and the inline code of Markdown."""
    return "\n".join(re.findall(r"```.*?\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (REPOSITORY / name).read_text(), re.MULTILINE))


def required() -> set[str]:
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    lines = setup["options"]["install_requires"] + setup["options.extras_require"]["dev"]
    return set(re.findall(r"^([a-z0-9-]+)", lines, re.MULTILINE))


def test_every_make_target_in_the_readme_is_in_the_makefile_and_explained() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", code(README)))

    assert named >= {"run", "test", "demo"}
    assert named <= set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))


def test_every_exchange_command_in_the_readme_exists() -> None:
    from exchange.cli import main  # noqa: PLC0415  # the other tests here need no code

    assert set(re.findall(r"\bexchange ([a-z-]+)", code(README))) <= set(main.commands)


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", README)

    assert links
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_the_procfile_is_one_line() -> None:
    expected = "web: gunicorn -c python:exchange.gunicorn_conf 'exchange.app:create_app()'\n"
    assert (REPOSITORY / "Procfile").read_text() == expected


def test_every_dependency_has_its_reason() -> None:
    page = (REPOSITORY / "docs" / "dependencies.md").read_text()
    explained = set(re.findall(r"[a-z0-9-]+", " ".join(re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE))))

    assert required() <= explained


def test_every_dependency_is_locked_and_both_locks_agree() -> None:
    runtime, development = (locked(name) for name in LOCKS)

    assert required() <= set(development)
    assert runtime.items() <= development.items()


@pytest.mark.parametrize("name", [*LOCKS, "tests/interop/canaille/requirements.lock"])
def test_a_lock_has_a_hash_for_everything_and_names_no_host(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]

    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "index-url" not in text


def test_the_npm_lock_names_no_host_to_fetch_from() -> None:
    packages = json.loads((REPOSITORY / "tests" / "interop" / "package-lock.json").read_text())["packages"]

    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in packages.items() if name)
