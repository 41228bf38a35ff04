"""The command as an operator runs it, and IdPs with products' own endpoints."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from exchange.cli import main
from exchange.config.load import load
from exchange.config.values import Policies
from tests.support.idp import FakeIssuer

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Examined:
    """One run of the command with ``--json``."""

    exit: int
    report: Mapping[str, Any]

    @property
    def wrong(self) -> set[str]:
        return {one["code"] for one in self.report["findings"] if one["level"] == "wrong"}

    @property
    def codes(self) -> set[str]:
        return {one["code"] for one in self.report["findings"]}

    @property
    def profile(self) -> str | None:
        return self.report["proposal"] and self.report["proposal"]["profile"]

    @property
    def yaml(self) -> str:
        return str(self.report["proposal"]["yaml"])

    def text_of(self, code: str) -> str:
        (text,) = [one["text"] for one in self.report["findings"] if one["code"] == code]
        return str(text)

    def token(self, number: int = 0) -> Mapping[str, Any]:
        return self.report["tokens"][number]


def run(*arguments: object) -> Any:
    """Run ``exchange issuer inspect``; an exception that is no exit fails the test."""
    result = CliRunner().invoke(main, ["issuer", "inspect", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def inspect(url: str, *arguments: object) -> Examined:
    """Inspect an IdP on loopback, and return what was found."""
    result = run(url, "--allow-insecure-http", "--json", *arguments)
    assert result.stderr == ""
    return Examined(result.exit_code, json.loads(result.stdout))


def in_file(directory: Path, *tokens: str) -> str:
    """Write tokens one a line, and return the argument that names the file."""
    path = directory / f"token-{next(_NUMBERS)}"
    path.write_text("\n".join(tokens) + "\n")
    return f"@{path}"


def given(directory: Path, *, token: Any = (), access: Any = (), id_token: Any = ()) -> list[str]:
    """Return the arguments that give tokens; each is one or a list."""
    arguments = []
    for option, tokens in (("--token", token), ("--access-token", access), ("--id-token", id_token)):
        for one in [tokens] if isinstance(tokens, str) else tokens:
            arguments += [option, in_file(directory, one)]
    return arguments


def loaded(yaml: str, directory: Path, name: str = "acme") -> Policies:
    """Return policies that hold ``yaml`` as ``issuers/NAME.yaml``, read by the real loader."""
    for section in ("issuers", "clients", "audiences"):
        (directory / "policies" / section).mkdir(parents=True, exist_ok=True)
    (directory / "policies" / "server.yaml").write_text("issuer: https://exchange.example\n")
    (directory / "policies" / "issuers" / f"{name}.yaml").write_text(yaml)
    return load(directory / "policies", environ={})


def keycloak_tokens(idp: FakeIssuer) -> tuple[str, str]:
    """An access token and an ID token as Keycloak makes them."""
    access = idp.access_token_claims(typ="Bearer", azp="shop-web", client_id=None)
    id_token = idp.id_token_claims(typ="ID", at_hash=None, nonce=None)
    return idp.sign(access, header={"typ": "JWT"}), idp.sign(id_token, header={"typ": "JWT"})


class SpokenFor(FakeIssuer):
    """An IdP whose metadata a test changes; ``None`` leaves a member out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.changes: dict[str, Any] = {}

    def metadata(self) -> dict[str, Any]:
        changed = super().metadata() | self.changes
        return {name: value for name, value in changed.items() if value is not None}
