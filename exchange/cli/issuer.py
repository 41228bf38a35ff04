"""``exchange issuer``: look at an IdP before it is trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from exchange.cli.given import given_text
from exchange.config.profiles import shipped_profiles
from exchange.inspection.doctor import Asked, inspect_issuer
from exchange.inspection.report import readable
from exchange.inspection.tokens import GivenToken, Meaning
from exchange.model import Secret

_MAX_TOKENS: Final = 50
_NAME: Final = r"[a-z0-9][a-z0-9-]*"


@click.group()
def command() -> None:
    """Look at an IdP before it is trusted."""


@command.command()
@click.argument("url", metavar="URL")
@click.option(
    "--token", "tokens", metavar="@FILE", multiple=True, help="A token of the IdP, or one a line. May repeat."
)
@click.option(
    "--access-token",
    "access_tokens",
    metavar="@FILE",
    multiple=True,
    help="As --token, known to be an access token.",
)
@click.option(
    "--id-token", "id_tokens", metavar="@FILE", multiple=True, help="As --token, known to be an ID token."
)
@click.option(
    "--audience", metavar="NAME", multiple=True, help="For the file: what tokens call your backend."
)
@click.option("--name", metavar="NAME", help="Of the file; the default is made from the host.")
@click.option("--profile", metavar="PROFILE", help="Try this profile alone.")
@click.option(
    "--allow-insecure-http",
    is_flag=True,
    help="http:// on loopback, for development; an http:// URL says so itself.",
)
@click.option("--allow-private-network", is_flag=True, help="The IdP may have a private address.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, the file in it.")
def inspect(
    url: str,
    *,
    tokens: tuple[str, ...],
    access_tokens: tuple[str, ...],
    id_tokens: tuple[str, ...],
    audience: tuple[str, ...],
    name: str | None,
    profile: str | None,
    allow_insecure_http: bool,
    allow_private_network: bool,
    as_json: bool,
) -> None:
    """Say what is wrong with the IdP at URL and with its tokens, and propose a file for policies/issuers/.

    URL is the issuer, or the address of its metadata. The report goes to standard error and the file to
    standard output, so that `exchange issuer inspect URL > policies/issuers/acme.yaml` writes it. No token is
    printed, and of its claims only names, and the values of iss and aud. Exits with 0 when a file is proposed
    and nothing is wrong, 1 when something is, 2 on wrong usage.
    """
    asked = Asked(
        url=url,
        tokens=(
            *_given("--token", tokens, None),
            *_given("--access-token", access_tokens, Meaning.ACCESS_TOKEN),
            *_given("--id-token", id_tokens, Meaning.ID_TOKEN),
        ),
        audience=audience,
        name=_file_name(name),
        profile=_known_profile(profile),
        # By http the fetcher goes to loopback alone. An https:// IdP that names http:// keys is refused.
        allow_insecure_http=allow_insecure_http or url.startswith("http://"),
        allow_private_network=allow_private_network,
    )
    inspection = inspect_issuer(asked)
    if as_json:
        click.echo(json.dumps(inspection.to_json(), indent=2))
    else:
        click.echo(readable(inspection), err=True)
        if inspection.proposal is not None:
            click.echo(inspection.proposal.yaml, nl=False)
    raise SystemExit(0 if inspection.healthy else 1)


def _given(option: str, values: Iterable[str], said: Meaning | None) -> Iterator[GivenToken]:
    """Yield the tokens that ``option`` gave, each with a name for the report."""
    for value in values:
        source = Path(value[1:]).name if value.startswith("@") and value != "@-" else option
        # Split at line feeds alone: a token has none, and whatever else is in there is part of no token.
        lines = [line.strip() for line in given_text(value, option).split("\n") if line.strip()]
        if not lines:
            raise click.UsageError(f"{option}: there is no token in {source}")
        if len(lines) > _MAX_TOKENS:
            raise click.UsageError(f"{option}: give at most {_MAX_TOKENS} tokens")
        for number, line in enumerate(lines, start=1):
            label = f"{source}:{number}" if len(lines) > 1 else source
            yield GivenToken(label, Secret(line.removeprefix("Bearer ").strip()), said)


def _file_name(name: str | None) -> str | None:
    if name is not None and (not re.fullmatch(_NAME, name, re.ASCII) or name == "self"):
        raise click.UsageError("--name: a file here is called [a-z0-9][a-z0-9-]*, and not self")
    return name


def _known_profile(profile: str | None) -> str | None:
    names = shipped_profiles().by_name
    if profile is not None and profile not in names:
        raise click.UsageError(f"--profile: write one of {', '.join(names)}")
    return profile
