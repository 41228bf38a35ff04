"""``exchange client-secret``: what it prints authenticates."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from exchange.cli.client_secret import command
from exchange.config.values import ClientSecretMethod
from tests.clients.desk import Desk, basic, post, registered


def printed(*arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0
    if arguments:
        document = json.loads(result.output)
        assert set(document) == {"client_secret", "hash"}
        return document["client_secret"], document["hash"]
    secret_line, hash_line = result.output.splitlines()
    secret = re.search(r"client_secret, for the client, shown once: +(\S+)$", secret_line)
    digest = re.search(r'client_secret: \{hash: \["(sha256:[0-9a-f]{64})"\]\}$', hash_line)
    return secret.group(1), digest.group(1)


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_the_secret_authenticates_against_the_hash(tmp_path, arguments):
    secret, digest = printed(*arguments)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)
    client = registered("web", secrets=())
    method = ClientSecretMethod((bytes.fromhex(digest.removeprefix("sha256:")),))
    client = type(client)(
        **{name: getattr(client, name) for name in client.__slots__ if name != "client_secret"},
        client_secret=method,
    )
    with Desk(tmp_path, clients=(client,)) as desk:
        for credentials in (post("web", secret), basic("web", secret), basic("web", secret, encoded=False)):
            assert desk.accepts(credentials) == "web"
        desk.refuses(post("web", printed()[0]), "secret_wrong")


def test_every_secret_is_new():
    assert len({printed()[0] for _ in range(20)}) == 20
