"""``exchange keys``: the keys that sign what we issue. Nothing private is ever printed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from exchange.issuance.key_files import KeyFault, StoredKey, read_keys
from exchange.issuance.signing_keys import add_key
from exchange.jose import SIGNING_ALGORITHMS
from exchange.settings import Settings


@click.group()
def command() -> None:
    """List and make the keys that sign issued tokens, in EXCHANGE_KEYS (default: var/keys)."""


@command.command()
@click.option(
    "--algorithm",
    type=click.Choice(sorted(SIGNING_ALGORITHMS)),
    default="ES256",
    show_default=True,
    help="What the key signs with; the service uses the one of signing_algorithm in server.yaml.",
)
def generate(algorithm: str) -> None:
    """Make a key: the current one when the algorithm has none yet, else a next one.

    A next key is published, from the next start of the service on, and does not sign.
    """
    try:
        stored = add_key(_directory(), algorithm)
    except (KeyFault, OSError) as fault:
        raise click.ClickException(str(fault)) from None
    click.echo(_line(stored))


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_keys(*, as_json: bool) -> None:
    """List the keys: identifier, algorithm, status and when each was made; the oldest first."""
    try:
        keys = read_keys(_directory())
    except (KeyFault, OSError) as fault:
        raise click.ClickException(str(fault)) from None
    if as_json:
        click.echo(json.dumps([_description(stored) for stored in keys], indent=2))
        return
    for stored in keys:
        click.echo(_line(stored))


def _directory() -> Path:
    return Settings.from_environ(os.environ).keys


def _description(stored: StoredKey) -> dict[str, str]:
    created = datetime.fromtimestamp(stored.created_at, UTC)
    return {
        "kid": stored.key.key_id,
        "algorithm": stored.key.algorithm,
        "status": stored.status.value,
        "created": created.isoformat().replace("+00:00", "Z"),
    }


def _line(stored: StoredKey) -> str:
    about = _description(stored)
    return f"{about['kid']}  {about['algorithm']:5}  {about['status']:7}  {about['created']}"
