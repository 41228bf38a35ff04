"""Keycloak in a process of its own, with the realm of ``keycloak/realm.json``."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from tests.interop import browser
from tests.interop.peers import KEYCLOAK
from tests.interop.process import PeerProcess
from tests.support.service import free_port

SECRET = "known-to-this-test-alone"
ASKER = ("exchange", SECRET)
"""The client that may introspect tokens of ``shop-asked-about``."""
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -Djava.net.preferIPv4Stack=true"
"""It runs for a minute, so it is not worth optimising."""


def program(home: Path) -> str:
    """Return the path of ``kc.sh`` below ``home``."""
    pin = tomllib.loads((KEYCLOAK.pins / "pin.toml").read_text())
    return str(home / pin["directory"] / "bin" / "kc.sh")


def database(directory: Path) -> str:
    """Return the option that keeps the database in ``directory``; it is what Keycloak's own default adds to H2."""
    return f"--db-url=jdbc:h2:file:{directory}/keycloak;NON_KEYWORDS=VALUE;DB_CLOSE_ON_EXIT=0"


class Keycloak:
    """``with Keycloak(directory) as keycloak:`` runs it on a copy of the realm as it was imported."""

    def __init__(self, directory: Path) -> None:
        home, port = KEYCLOAK.home_or_skip(), free_port()
        shutil.copytree(home / "database", directory / "database")
        self._origin = f"http://127.0.0.1:{port}"
        self.issuer = f"{self._origin}/realms/shop"
        self.introspection_endpoint = f"{self.issuer}/protocol/openid-connect/token/introspect"
        self._process = PeerProcess(
            [
                program(home),
                *("start", "--optimized", "--cache=local", database(directory / "database")),
                *("--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={port}"),
                f"--hostname={self._origin}",
            ],
            ready=f"{self.issuer}/.well-known/openid-configuration",
            log=directory / "keycloak.log",
            seconds=180,
            environment={"JAVA_OPTS_APPEND": JAVA_OPTIONS},
        )

    def __enter__(self) -> Self:
        self._process.__enter__()
        try:
            self._add_scope("orders.read")
        except BaseException:
            self._process.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)

    def log_in(self, client: str, **parameters: str) -> dict[str, Any]:
        """Log Ada in; returns the token response, ID token included."""
        answers = {"username": "ada", "password": SECRET}
        return browser.log_in(
            self.issuer,
            (client, SECRET),
            answers,
            **({"scope": "openid", "nonce": "n-0S6_WzA2Mj"} | parameters),
        )

    def service_account_token(self, client: str) -> str:
        """Return a machine's own access token."""
        endpoint = f"{self.issuer}/protocol/openid-connect/token"
        tokens = browser.token_response(endpoint, (client, SECRET), grant_type="client_credentials")
        return str(tokens["access_token"])

    def signed_userinfo(self, access_token: str) -> str:
        """Return what the userinfo endpoint signed (OpenID Connect Core §5.3.2)."""
        answer = requests.get(
            f"{self.issuer}/protocol/openid-connect/userinfo",
            headers={"Authorization": f"Bearer {access_token}"},
            timeout=30,
        )
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/jwt"), answer.text
        return answer.text

    def says_of(self, token: str) -> dict[str, Any]:
        """Return its answer about a token (RFC 7662 §2.2)."""
        answer = requests.post(self.introspection_endpoint, data={"token": token}, auth=ASKER, timeout=30)
        members: dict[str, Any] = answer.json()
        return members

    def rotate_keys(self) -> None:
        """Make a new signing key, which signs from now on; the old one stays published."""
        key = {
            "name": "rotated",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": self._administer("GET", "").json()["id"],
            "config": {"priority": ["1000"], "algorithm": ["RS256"], "keySize": ["2048"]},
        }
        self._administer("POST", "/components", json=key)

    def _add_scope(self, name: str) -> None:
        scope = {
            "name": name,
            "protocol": "openid-connect",
            "attributes": {"include.in.token.scope": "true"},
        }
        location = self._administer("POST", "/client-scopes", json=scope).headers["Location"]
        for client in self._administer("GET", "/clients").json():
            if client["clientId"].startswith("shop-"):
                path = f"/clients/{client['id']}/default-client-scopes/{location.rpartition('/')[2]}"
                self._administer("PUT", path)

    def _administer(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = requests.request(
            method,
            f"{self._origin}/admin/realms/shop{path}",
            headers={"Authorization": f"Bearer {self.service_account_token('realm-admin')}"},
            timeout=60,
            **options,
        )
        assert answer.ok, answer.text
        return answer
