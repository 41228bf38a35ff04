"""``exchange client-secret``: a new secret, shown once, and what ``policies/`` keeps of it."""

from __future__ import annotations

import json

import click

from exchange.clients.client_secret import new_secret, secret_digest


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with client_secret and hash.")
def command(*, as_json: bool) -> None:
    """Make a client secret. It is shown once; keep the hash in policies/clients/, never the secret."""
    secret = new_secret()
    digest = f"sha256:{secret_digest(secret).hex()}"
    if as_json:
        click.echo(json.dumps({"client_secret": secret.reveal(), "hash": digest}))
        return
    click.echo(f"client_secret, for the client, shown once:  {secret.reveal()}")
    click.echo(f'authentication, for policies/clients/:      client_secret: {{hash: ["{digest}"]}}')
