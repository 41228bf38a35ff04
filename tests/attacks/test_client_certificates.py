"""RFC 8705 §2, §6.5, §7.4: nobody is a client by a header that he wrote, or by a certificate that is not the client's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.attacks.forge import ISSUER, access_claims, forged
from tests.support import keys
from tests.support.certificates import DAY, Certificate
from tests.support.idp import BACKEND
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    CLIENT_SECRET,
    SECRET_CLIENT,
    audience_file,
    client_assertion,
    issuer_file,
    rule,
    secret_client_file,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService

LEDGER = "https://ledger.example"
"""Takes only tokens that are bound to a certificate."""
FAILED = "client_authentication_failed"
AUTHORITY = Certificate.authority()
EVIL_AUTHORITY = Certificate.authority(label="tls-evil-authority")  # of the same name
BFF = Certificate.make(label="tls-bff", authority=AUTHORITY, dns="bff.acme.example")
OTHER = Certificate.make(label="tls-other", authority=AUTHORITY, dns="other.acme.example")
OWN = Certificate.make("CN=own", label="tls-own")
STRANGER = Certificate.make(label="tls-stranger", dns="stranger.example")
CLIENTS = ("by-name", "by-name-and-authority", "by-thumbprint", "by-uri", "by-subject", "other")
FORMS = {
    "Client-Cert": lambda certificate: certificate.client_cert,
    "X-Forwarded-Client-Cert": lambda certificate: certificate.xfcc(),
    "X-Client-Certificate": lambda certificate: certificate.escaped,
}


def authentication(client_id: str) -> dict[str, Any]:
    strict = {"san_dns": "bff.acme.example", "ca_file": "keys/ca.pem"}
    return {
        "by-name": {"tls_client_auth": {"san_dns": "bff.acme.example"}},
        "by-name-and-authority": {"tls_client_auth": strict},
        "by-uri": {"tls_client_auth": {"san_uri": "spiffe://acme.example/bff"}},
        "by-subject": {"tls_client_auth": {"subject_dn": "CN=bff,O=Acme"}},
        "other": {"tls_client_auth": {"san_dns": "other.acme.example"}},
        "by-thumbprint": {"self_signed": {"x5t_s256": OWN.thumbprint}},
    }[client_id]


def policies(directory: Path) -> Path:
    names = {client_id: f"{BACKEND}/{client_id}" for client_id in CLIENTS}
    jwks = {"jwks": {"keys": [keys.public_jwk()]}}
    return write_policies(
        directory / "policies",
        issuer=ISSUER,
        issuers={"idp": issuer_file(ISSUER, audience=[BACKEND, *names.values()], keys=jwks)},
        clients={
            client_id: secret_client_file(
                client_id=client_id, audience=[name], authentication=authentication(client_id)
            )
            for client_id, name in names.items()
        },
        audiences={
            "orders": audience_file(rule(client=[SECRET_CLIENT, *CLIENTS])),
            "ledger": audience_file(
                rule(id="ledger", client=[SECRET_CLIENT, *CLIENTS]),
                audience=LEDGER,
                resources=[f"{LEDGER}/api"],
                sender_constraint="mtls",
            ),
        },
        files={"keys/ca.pem": AUTHORITY.pem},
    )


def believing(directory: Path, header: str, proxies: str = "127.0.0.1") -> RunningService:
    env = {"EXCHANGE_TLS_HEADER": header, "EXCHANGE_TRUSTED_PROXIES": proxies}
    return RunningService(policies(directory), env, workers=1)


@pytest.fixture(scope="module", params=FORMS)
def form_of(request: pytest.FixtureRequest) -> str:
    """The header in which the proxy passes certificates on."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def service(form_of: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with believing(tmp_path_factory.mktemp("certificates"), form_of) as running:
        yield running


def form(client_id: str | None, **changes: Any) -> dict[str, Any]:
    subject_token = forged(payload=access_claims(aud=f"{BACKEND}/{client_id}"))
    found = {
        "grant_type": GRANT_TYPE,
        "subject_token": subject_token,
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
        "client_id": client_id,
    } | changes
    return {name: value for name, value in found.items() if value is not None}


def ask(
    service: RunningService, name: str, certificate: Certificate | str, client_id: str | None, **changes: Any
) -> requests.Response:
    """Exchange over a connection with ``certificate``, as the proxy passes it on, or with this header value."""
    value = certificate if isinstance(certificate, str) else FORMS[name](certificate)
    return service.post_token(form(client_id, **changes), headers={name: value})


def refused(service: RunningService, answer: requests.Response, cause: str) -> None:
    record = assert_refused(service, answer, FAILED)
    assert record["detail"] == cause
    assert "client_id" not in record
    assert answer.json()["error_description"] == (
        "Client authentication failed; check the client identifier, the method and its credentials."
    )


def raw(
    service: RunningService, headers: Sequence[tuple[str, str]], fields: dict[str, Any]
) -> tuple[int, str]:
    """Send these very headers, repeated and misspelt as they are; returns the status and the reason."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=15)
    try:
        body = urlencode(fields).encode()
        connection.putrequest("POST", "/token")
        connection.putheader("Content-Type", "application/x-www-form-urlencoded")
        connection.putheader("Content-Length", str(len(body)))
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    return answer.status, text


# ── who may vouch ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("client_id", "certificate"),
    [
        ("by-name", BFF),
        ("by-name-and-authority", BFF),
        ("by-thumbprint", OWN),
        ("by-uri", Certificate.make(uri="spiffe://acme.example/bff")),
        ("by-subject", Certificate.make("CN=bff,O=Acme")),
        ("other", OTHER),
    ],
)
def test_each_client_is_known_by_its_own_certificate(
    service: RunningService, form_of: str, client_id: str, certificate: Certificate
) -> None:
    record = assert_issued(service, ask(service, form_of, certificate, client_id))
    method = "self_signed_tls_client_auth" if client_id == "by-thumbprint" else "tls_client_auth"
    assert (record["client_id"], record["client_authentication"]) == (client_id, method)


def test_from_anybody_but_the_proxy_the_header_does_not_exist(form_of: str, tmp_path: Path) -> None:
    with believing(tmp_path, form_of, proxies="10.0.0.7, ::1, 127.0.0.2") as service:
        refused(service, ask(service, form_of, BFF, "by-name"), "no_method")
        refused(service, ask(service, form_of, OWN, "by-thumbprint"), "no_method")
        # No clue either, and no harm: what is not believed is not looked at.
        fields = form(None, subject_token=forged(payload=access_claims(aud=BACKEND)))
        assert_issued(service, service.post_token(fields, BASIC, headers={form_of: "nonsense"}))


@pytest.mark.parametrize("variables", [("EXCHANGE_TLS_HEADER",), ("EXCHANGE_TRUSTED_PROXIES",), ()])
def test_without_both_settings_nobody_is_believed(variables: tuple[str, ...], tmp_path: Path) -> None:
    values = {"EXCHANGE_TLS_HEADER": "Client-Cert", "EXCHANGE_TRUSTED_PROXIES": "127.0.0.1"}
    env = {name: values[name] for name in variables}
    with RunningService(policies(tmp_path), env, workers=1) as service:
        refused(service, ask(service, "Client-Cert", BFF, "by-name"), "no_method")
        log = service.stderr()
        assert ("no header is believed" in log) == ("EXCHANGE_TLS_HEADER" in variables)
        assert "clients/by-name.yaml:1:1: nobody can authenticate with a certificate" in log
        document = service.get("/.well-known/oauth-authorization-server").json()
        assert not {"tls_client_auth", "self_signed_tls_client_auth"} & set(
            document["token_endpoint_auth_methods_supported"]
        )
        assert "tls_client_certificate_bound_access_tokens" not in document


def test_a_forwarded_address_makes_nobody_a_proxy(tmp_path: Path) -> None:
    claims = {"X-Forwarded-For": "10.0.0.7", "Forwarded": "for=10.0.0.7", "X-Real-IP": "10.0.0.7"}
    with believing(tmp_path, "Client-Cert", proxies="10.0.0.7") as service:
        headers = {"Client-Cert": BFF.client_cert, "Remote-Addr": "10.0.0.7"} | claims
        refused(service, service.post_token(form("by-name"), headers=headers), "no_method")


@pytest.mark.parametrize("other", [name for name in FORMS if name != "Client-Cert"])
def test_another_header_than_the_configured_one_is_not_believed(other: str, tmp_path: Path) -> None:
    with believing(tmp_path, "Client-Cert") as service:
        refused(service, ask(service, other, BFF, "by-name"), "no_method")
        # A second header of another name does not win, and does not disturb.
        headers = {other: FORMS[other](OTHER), "Client-Cert": BFF.client_cert}
        assert_issued(service, service.post_token(form("by-name"), headers=headers))
        refused(service, service.post_token(form("other"), headers=headers), "certificate_name_mismatch")


def test_underscores_do_not_pass_for_dashes(service: RunningService, form_of: str) -> None:
    spoofed = (form_of.replace("-", "_"), FORMS[form_of](BFF))

    assert raw(service, [(form_of, FORMS[form_of](BFF))], form("by-name"))[0] == 200
    assert raw(service, [spoofed], form("by-name"))[0] in {400, 401}
    status, text = raw(service, [spoofed, (form_of, FORMS[form_of](OTHER))], form("by-name"))
    assert (status, FAILED in text) in {(401, True), (400, False)}


def test_two_headers_are_two_clients_and_none(service: RunningService, form_of: str) -> None:
    for first, second in ((BFF, BFF), (BFF, STRANGER), (STRANGER, BFF)):
        headers = [(form_of, FORMS[form_of](first)), (form_of, FORMS[form_of](second))]
        status, text = raw(service, headers, form("by-name"))
        assert (status, FAILED in text) == (401, True)
    assert raw(service, [(form_of, FORMS[form_of](BFF))], form("by-name"))[0] == 200


@pytest.mark.parametrize("value", ["nonsense", ":AAAA:", "x" * 17_000, "%2D", 'Cert="";Hash=00'])
def test_a_header_that_is_no_certificate_ends_every_attempt(
    service: RunningService, form_of: str, value: str
) -> None:
    refused(service, ask(service, form_of, value, "by-name"), "certificate_malformed")
    # With another method, too: what the proxy meant to bind to a key must not go on without it.
    fields = form(None, subject_token=forged(payload=access_claims(aud=BACKEND)))
    answer = service.post_token(fields, BASIC, headers={form_of: value})
    refused(service, answer, "certificate_malformed")
    assert_issued(service, service.post_token(fields, BASIC))


# ── which client ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("client_id", [name for name in CLIENTS if not name.startswith("by-name")])
def test_a_certificate_is_of_one_client_alone(service: RunningService, form_of: str, client_id: str) -> None:
    unknown = "certificate_unknown" if client_id == "by-thumbprint" else "certificate_name_mismatch"
    refused(service, ask(service, form_of, BFF, client_id), unknown)
    assert_issued(service, ask(service, form_of, BFF, "by-name"))


@pytest.mark.parametrize(
    "certificate",
    [
        Certificate.make("CN=bff.acme.example"),
        Certificate.make("CN=bff.acme.example", dns="stranger.example"),
        Certificate.make(uri="https://bff.acme.example"),
        Certificate.make(email="root@bff.acme.example"),
        Certificate.make(dns="*.acme.example"),
        Certificate.make(dns="bff.acme.example.stranger.example"),
        Certificate.make(dns="bff.acme.example\0.stranger.example"),
        OTHER,
        OWN,
    ],
    ids=["cn", "cn-beside-san", "uri", "email", "wildcard", "longer", "nul", "another-client", "thumbprint"],
)
def test_nothing_but_the_configured_name_is_the_client(
    service: RunningService, form_of: str, certificate: Certificate
) -> None:
    refused(service, ask(service, form_of, certificate, "by-name"), "certificate_name_mismatch")
    assert_issued(service, ask(service, form_of, BFF, "by-name"))


@pytest.mark.parametrize(
    "certificate",
    [
        Certificate.make(dns="bff.acme.example"),
        Certificate.make(dns="bff.acme.example", issuer="CN=Acme CA"),
        Certificate.make(dns="bff.acme.example", authority=EVIL_AUTHORITY),
        Certificate.make(dns="bff.acme.example", authority=OTHER),
    ],
    ids=["self-signed", "says-its-issuer", "authority-of-the-same-name", "issued-by-a-client"],
)
def test_a_certificate_that_claims_a_name_needs_its_authority(
    service: RunningService, form_of: str, certificate: Certificate
) -> None:
    client_id = "by-name-and-authority"
    refused(service, ask(service, form_of, certificate, client_id), "certificate_issuer_unknown")
    assert_issued(service, ask(service, form_of, BFF, client_id))


@pytest.mark.parametrize("valid", [(-2 * DAY, -DAY), (DAY, 2 * DAY)])
def test_a_certificate_out_of_its_time_is_nobodys(
    service: RunningService, form_of: str, valid: tuple[float, float]
) -> None:
    certificate = Certificate.make(authority=AUTHORITY, dns="bff.acme.example", valid=valid)
    for client_id in ("by-name", "by-name-and-authority"):
        refused(service, ask(service, form_of, certificate, client_id), "certificate_not_valid_now")


def test_a_certificate_with_the_same_key_is_not_the_certificate(
    service: RunningService, form_of: str
) -> None:
    again = Certificate.make("CN=own", label="tls-own", valid=(-DAY, 2 * DAY))
    refused(service, ask(service, form_of, again, "by-thumbprint"), "certificate_unknown")
    assert_issued(service, ask(service, form_of, OWN, "by-thumbprint"))


@pytest.mark.parametrize("client_id", [None, "nobody", "BY-NAME", "shop"])
def test_the_certificate_names_no_client_by_itself(
    service: RunningService, form_of: str, client_id: str | None
) -> None:
    subject_token = forged(payload=access_claims(aud=f"{BACKEND}/by-name"))
    answer = ask(service, form_of, BFF, client_id, subject_token=subject_token)
    cause = {None: "no_method", "shop": "method_not_registered"}.get(client_id, "client_unknown")
    refused(service, answer, cause)


def test_all_failures_look_alike(service: RunningService, form_of: str) -> None:
    tries = [
        (STRANGER, "by-name"),
        (STRANGER, "by-thumbprint"),
        (STRANGER, "nobody"),
        (STRANGER, "shop"),
        (Certificate.make(dns="bff.acme.example"), "by-name-and-authority"),
        ("nonsense", "by-name"),
    ]
    answers = [ask(service, form_of, certificate, client_id) for certificate, client_id in tries]
    learnt = [{**answer.json(), "request_id": ""} for answer in answers]

    assert {answer.status_code for answer in answers} == {401}
    assert all(body == learnt[0] for body in learnt)
    assert not any("WWW-Authenticate" in answer.headers for answer in answers)


# ── beside another method ───────────────────────────────────────────────────────────────────────────────────


def test_a_certificate_beside_a_secret_authenticates_nobody(service: RunningService, form_of: str) -> None:
    token = forged(payload=access_claims(aud=BACKEND))
    headers = {form_of: FORMS[form_of](BFF)}

    right = service.post_token(form(None, subject_token=token), BASIC, headers=headers)
    record = assert_issued(service, right)
    assert (record["client_id"], record["client_authentication"]) == (SECRET_CLIENT, "client_secret_basic")

    wrong = service.post_token(form("by-name"), ("by-name", CLIENT_SECRET), headers=headers)
    refused(service, wrong, "method_not_registered")
    wrong = service.post_token(form("by-name", client_secret=CLIENT_SECRET), headers=headers)
    refused(service, wrong, "method_not_registered")
    wrong = service.post_token(form("by-name"), (SECRET_CLIENT, CLIENT_SECRET), headers=headers)
    refused(service, wrong, "client_id_mismatch")
    wrong = service.post_token(form("by-name", client_assertion="x"), headers=headers)
    refused(service, wrong, "assertion_type_unknown")
    assertion = client_assertion(f"{service.issuer}/token", iss="by-name", sub="by-name")
    wrong = service.post_token(form("by-name", **assertion), headers=headers)
    refused(service, wrong, "method_not_registered")


def test_no_certificate_is_written_down(service: RunningService, form_of: str) -> None:
    assert_issued(service, ask(service, form_of, BFF, "by-name"))
    refused(service, ask(service, form_of, STRANGER, "by-name"), "certificate_name_mismatch")
    written = service.stdout() + service.stderr()

    for certificate in (BFF, STRANGER):
        assert certificate.client_cert.strip(":")[:60] not in written
    assert "stranger.example" not in written
    assert hashlib.sha256(STRANGER.der).hexdigest() not in written


def test_metadata_says_what_is_switched_on(service: RunningService) -> None:
    document = service.get("/.well-known/oauth-authorization-server").json()

    methods = document["token_endpoint_auth_methods_supported"]
    assert methods[-2:] == ["tls_client_auth", "self_signed_tls_client_auth"]
    assert document["tls_client_certificate_bound_access_tokens"] is True


def test_a_method_that_no_client_uses_is_not_offered(tmp_path: Path) -> None:
    env = {"EXCHANGE_TLS_HEADER": "Client-Cert", "EXCHANGE_TRUSTED_PROXIES": "127.0.0.1"}
    directory = write_policies(tmp_path / "policies", issuer=ISSUER)
    with RunningService(directory, env, workers=1) as service:
        document = service.get("/.well-known/oauth-authorization-server").json()
    assert not {"tls_client_auth", "self_signed_tls_client_auth"} & set(
        document["token_endpoint_auth_methods_supported"]
    )
    assert document["tls_client_certificate_bound_access_tokens"] is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXCHANGE_TRUSTED_PROXIES", "localhost"),
        ("EXCHANGE_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("EXCHANGE_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("EXCHANGE_TLS_HEADER", "Client_Cert"),
    ],
)
def test_a_malformed_setting_stops_the_start(name: str, value: str, tmp_path: Path) -> None:
    right = {"EXCHANGE_TLS_HEADER": "Client-Cert", "EXCHANGE_TRUSTED_PROXIES": "127.0.0.1"}
    service = RunningService(policies(tmp_path), right | {name: value}, workers=1)
    with pytest.raises(Exception, match=f"The service does not start: {name}: "), service:
        pass
