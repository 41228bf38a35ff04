"""The command line: ``exchange COMMAND``; one module a command."""

from __future__ import annotations

import click

from exchange.cli import check, client_secret, diff, explain, issuer, keys, schema, test


@click.group()
@click.version_option(package_name="token-exchange-service")
def main() -> None:
    """Token exchange (RFC 8693): look after its policies, clients and keys."""


COMMANDS = {
    "check": check.command,
    "client-secret": client_secret.command,
    "diff": diff.command,
    "explain": explain.command,
    "issuer": issuer.command,
    "keys": keys.command,
    "schema": schema.command,
    "test": test.command,
}

for _name, _command in COMMANDS.items():
    main.add_command(_command, _name)
