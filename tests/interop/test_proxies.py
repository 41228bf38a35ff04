"""Mutual TLS, ended by a real nginx and a real HAProxy as ``docs/operating.md`` configures them (RFC 8705 §6.5)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import requests

from tests.attacks.test_client_certificates import (
    AUTHORITY,
    BFF,
    EVIL_AUTHORITY,
    LEDGER,
    OTHER,
    OWN,
    believing,
    form,
)
from tests.docs.pages import blocks, page
from tests.interop.proxies import KINDS, Kind, Proxy, program_or_skip
from tests.support.certificates import DAY, Certificate
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import RunningService

FORGED = Certificate.make(dns="bff.acme.example")
"""What anybody can make: the name of a client in a certificate of his own."""
STRANGERS = Certificate.authority("CN=Strangers CA", label="tls-strangers-authority")
HEADERS = {
    "X-Client-Certificate": lambda certificate: certificate.escaped,
    "Client-Cert": lambda certificate: certificate.client_cert,
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    found = KINDS[request.param]
    program_or_skip(found.program)
    return found


@pytest.fixture(scope="module")
def service(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with believing(tmp_path_factory.mktemp("behind"), kind.header) as running:
        yield running


def _proxy(kind: Kind, service: RunningService, directory: Path, *, self_signed: bool) -> Proxy:
    return Proxy(kind, directory, upstream=service.url, authority=AUTHORITY, self_signed=self_signed)


@pytest.fixture(scope="module")
def strict(kind: Kind, service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Lets through what the authority issued."""
    with _proxy(kind, service, tmp_path_factory.mktemp("strict"), self_signed=False) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def lax(kind: Kind, service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Lets any certificate through, as self-signed ones need it."""
    with _proxy(kind, service, tmp_path_factory.mktemp("lax"), self_signed=True) as proxy:
        yield proxy


def ask(
    proxy: Proxy, client_id: str, certificate: Certificate | None, headers: dict[str, str] | None = None
) -> requests.Response:
    return proxy.post("/token", form(client_id), certificate=certificate, headers=headers)


def refused(service: RunningService, answer: requests.Response, cause: str) -> None:
    assert assert_refused(service, answer, "client_authentication_failed")["detail"] == cause


def stopped(answer: requests.Response) -> None:
    """The proxy itself said no."""
    assert (answer.status_code, "access_token" in answer.text) == (400, False)


@pytest.mark.parametrize("client_id", ["by-name", "by-name-and-authority"])
def test_a_client_is_known_by_a_certificate_of_the_authority(
    service: RunningService, strict: Proxy, lax: Proxy, client_id: str
) -> None:
    for proxy in (strict, lax):
        record = assert_issued(service, ask(proxy, client_id, BFF))
        assert (record["client_id"], record["client_authentication"]) == (client_id, "tls_client_auth")
        refused(service, ask(proxy, client_id, OTHER), "certificate_name_mismatch")


def test_a_client_is_known_by_its_self_signed_certificate(service: RunningService, lax: Proxy) -> None:
    record = assert_issued(service, ask(lax, "by-thumbprint", OWN))
    assert record["client_authentication"] == "self_signed_tls_client_auth"
    again = Certificate.make("CN=own", label="tls-own", valid=(-DAY, 2 * DAY))
    refused(service, ask(lax, "by-thumbprint", again), "certificate_unknown")
    refused(service, ask(lax, "by-thumbprint", BFF), "certificate_unknown")


@pytest.mark.parametrize("certificate", [FORGED, OWN], ids=["forged", "own"])
def test_a_strict_proxy_lets_no_other_certificate_through(strict: Proxy, certificate: Certificate) -> None:
    try:
        answer = ask(strict, "by-name", certificate)
    except requests.exceptions.RequestException:
        return  # HAProxy ends the connection in the handshake
    stopped(answer)


@pytest.mark.parametrize(
    "certificate",
    [
        FORGED,
        Certificate.make(dns="bff.acme.example", authority=OTHER),
        Certificate.make(dns="bff.acme.example", authority=STRANGERS),
    ],
    ids=["self-signed", "issued-by-a-client", "another-authority"],
)
def test_what_a_lax_proxy_lets_through_still_needs_its_authority(
    service: RunningService, lax: Proxy, certificate: Certificate
) -> None:
    refused(service, ask(lax, "by-name-and-authority", certificate), "certificate_issuer_unknown")
    # The client without a ca_file is what `exchange check` warns of.
    assert_issued(service, ask(lax, "by-name", certificate))


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"authority": AUTHORITY, "valid": (-2 * DAY, -DAY)}, "certificate_not_valid_now"),
        ({"authority": EVIL_AUTHORITY}, "certificate_issuer_unknown"),
    ],
    ids=["expired", "authority-of-the-same-name"],
)
def test_what_one_proxy_stops_and_another_lets_through_is_refused(
    service: RunningService, kind: Kind, lax: Proxy, options: dict[str, Any], cause: str
) -> None:
    certificate = Certificate.make(dns="bff.acme.example", **options)
    answer = ask(lax, "by-name-and-authority", certificate)
    if kind.program == "nginx":
        stopped(answer)
    else:
        refused(service, answer, cause)
    assert_issued(service, ask(lax, "by-name-and-authority", BFF))


def test_without_a_certificate_nobody_is_a_client(service: RunningService, strict: Proxy, lax: Proxy) -> None:
    for proxy in (strict, lax):
        refused(service, ask(proxy, "by-name", None), "no_method")
        refused(service, ask(proxy, "by-thumbprint", None), "no_method")


@pytest.mark.parametrize("spelling", [str, str.lower, lambda name: name.replace("-", "_")])
def test_a_header_that_a_client_wrote_does_not_get_through(
    service: RunningService, kind: Kind, strict: Proxy, lax: Proxy, spelling: type[str]
) -> None:
    spoofed = {spelling(kind.header): HEADERS[kind.header](BFF)}

    for proxy in (strict, lax):
        refused(service, ask(proxy, "by-name", None, spoofed), "no_method")
        refused(service, ask(proxy, "by-name", OTHER, spoofed), "certificate_name_mismatch")
        assert_issued(service, ask(proxy, "other", OTHER, spoofed))


@pytest.mark.parametrize(("client_id", "certificate"), [("by-name", BFF), ("by-thumbprint", OWN)])
def test_what_is_issued_is_bound_to_the_certificate_of_the_connection(
    service: RunningService, lax: Proxy, client_id: str, certificate: Certificate
) -> None:
    fields = form(client_id, audience=LEDGER)
    record = assert_issued(service, lax.post("/token", fields, certificate=certificate))
    assert record["issued"]["claims"]["cnf"] == {"x5t#S256": certificate.thumbprint}  # RFC 8705 §3.1


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_the_curl_that_the_docs_show_exchanges_a_token(strict: Proxy, tmp_path: Path) -> None:
    (command,) = [block for block in blocks(page("calling.md"), "sh") if "--cert" in block]
    BFF.write(tmp_path, "client")
    (tmp_path / ".curlrc").write_text(f'cacert = "{strict.server_authority}"')
    fields = form("by-name")
    for shown, meant in (
        ("https://exchange.example", strict.url),
        ("https://orders.example", fields["audience"]),
        ("=shop", "=by-name"),
    ):
        command = command.replace(shown, meant)

    ran = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ACCESS_TOKEN": fields["subject_token"]},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(ran.stdout)["token_type"]


def test_a_header_past_the_proxy_is_what_its_address_is_trusted_for(
    kind: Kind, strict: Proxy, tmp_path: Path
) -> None:
    """The same request, not through the proxy, from an address that is nobody's: there is no header."""
    with believing(tmp_path, kind.header, proxies="127.0.0.2") as stranger:
        answer = stranger.post_token(form("by-name"), headers={kind.header: HEADERS[kind.header](BFF)})
        refused(stranger, answer, "no_method")
    assert ask(strict, "by-name", BFF).status_code == 200
