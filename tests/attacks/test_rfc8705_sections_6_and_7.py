"""RFC 8705 §6 and §7, what the RFC warns of in mutual TLS by the names that it gives it, over HTTP.

| section | name | where |
|---|---|---|
| 4 | Public Clients and Certificate-Bound Tokens | here: there are no public clients |
| 6.1 | Authorization Server | here: mutual TLS is optional, and a token is bound only to what was proved |
| 6.2 | Resource Server | not ours: the API behind it checks; ``tests/examples/test_orders_api.py`` is one |
| 6.3 | Certificate Expiration and Bound Access Tokens | here |
| 6.4 | Implicit Grant Unsupported | does not apply: there is no authorization endpoint |
| 6.5 | TLS Termination | here; with real proxies: ``test_a_header_that_a_client_wrote_does_not_get_through``; \
who else may vouch: ``test_from_anybody_but_the_proxy_the_header_does_not_exist`` |
| 7.1 | Certificate-Bound Refresh Tokens | does not apply: no refresh token is issued, and none is taken (here) |
| 7.2 | Certificate Thumbprint Binding | here |
| 7.3 | TLS Versions and Best Practices | the proxy's: ``docs/operating.md`` has its configuration, which \
``tests/interop/test_proxies.py`` runs |
| 7.4 | X.509 Certificate Spoofing | here; each way alone: \
``test_a_certificate_that_claims_a_name_needs_its_authority`` |
| 7.5 | X.509 Certificate Parsing and Validation Complexity | here; the parser: ``tests/test_certificates.py``; \
revocation and chains are the proxy's |
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.attacks.forge import ISSUER, access_claims, forged
from tests.support import keys
from tests.support.certificates import CLIENT_USAGE, DAY, SERVER_USAGE, Certificate
from tests.support.idp import BACKEND
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    SECRET_CLIENT,
    audience_file,
    issuer_file,
    rule,
    secret_client_file,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService
from tests.support.services import verified_claims

HEADER = "Client-Cert"
BOUND = "https://ledger.example"
CLIENT = "by-name"
NAME = "bff.acme.example"
AUTHORITY = Certificate.authority()
SAME_NAME = Certificate.authority(label="tls-evil-authority")
BFF = Certificate.make(label="tls-bff", authority=AUTHORITY, dns=NAME, extensions=CLIENT_USAGE)
RENEWED = Certificate.make(label="tls-bff", authority=AUTHORITY, dns=NAME, extensions=CLIENT_USAGE)
THIEF = Certificate.make(label="tls-thief", authority=AUTHORITY, dns="thief.acme.example")


def policies(directory: Path) -> Path:
    """A client that is known by a certificate of one authority, one with a secret, and an API that wants tokens bound
    to a certificate.
    """
    method = {"tls_client_auth": {"san_dns": NAME, "ca_file": "keys/ca.pem"}}
    anybody = rule(client=[SECRET_CLIENT, CLIENT])
    return write_policies(
        directory / "policies",
        issuer=ISSUER,
        issuers={"idp": issuer_file(ISSUER, audience=[BACKEND, f"{BACKEND}/tls"], keys=_inline_keys())},
        clients={
            CLIENT: secret_client_file(client_id=CLIENT, audience=[f"{BACKEND}/tls"], authentication=method),
            "shop-with-key": None,
        },
        audiences={
            "orders": audience_file(anybody),
            "ledger": audience_file(
                anybody | {"id": "ledger"},
                audience=BOUND,
                resources=[f"{BOUND}/api"],
                sender_constraint="mtls",
            ),
        },
        files={"keys/ca.pem": AUTHORITY.pem},
    )


def _inline_keys() -> dict[str, Any]:
    return {"jwks": {"keys": [keys.public_jwk()]}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    env = {"EXCHANGE_TLS_HEADER": HEADER, "EXCHANGE_TRUSTED_PROXIES": "127.0.0.1"}
    with RunningService(policies(tmp_path_factory.mktemp("rfc8705")), env, workers=2) as running:
        yield running


def ask(
    service: RunningService,
    certificate: Certificate | str | None,
    *,
    token: str | None = None,
    **changes: Any,
) -> requests.Response:
    """Exchange as the client by its certificate, over a connection with ``certificate``."""
    auth = changes.pop("auth", None)
    name = BACKEND if auth else f"{BACKEND}/tls"
    form = {
        "grant_type": GRANT_TYPE,
        "subject_token": token or forged(payload=access_claims(aud=name)),
        "subject_token_type": ACCESS_TOKEN,
        "audience": BOUND,
        "client_id": None if auth else CLIENT,
    } | changes
    value = certificate.client_cert if isinstance(certificate, Certificate) else certificate
    headers = {HEADER: value} if value is not None else {}
    present = {name: value for name, value in form.items() if value is not None}
    return service.post_token(present, auth, headers=headers)


def refused(service: RunningService, answer: requests.Response, cause: str) -> None:
    assert assert_refused(service, answer, "client_authentication_failed")["detail"] == cause


def bound_to(service: RunningService, answer: requests.Response) -> Any:
    assert_issued(service, answer)
    return verified_claims(service, answer.json()["access_token"], BOUND)["cnf"]


# ── 4, 6.1 ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_4_a_public_client_gets_no_token_however_it_would_be_bound(service: RunningService) -> None:
    own = Certificate.make("CN=instance-of-an-app", label="tls-public")
    for client_id in (None, "app", SECRET_CLIENT):
        answer = ask(service, own, client_id=client_id)
        assert_refused(service, answer, "client_authentication_failed")
    assert bound_to(service, ask(service, BFF)) == {"x5t#S256": BFF.thumbprint}


def test_6_1_authorization_server_takes_clients_without_certificates_too(service: RunningService) -> None:
    assert_issued(service, ask(service, None, auth=BASIC, audience=AUDIENCE))
    refused(service, ask(service, None), "no_method")


def test_6_1_a_token_is_bound_only_to_a_certificate_of_this_connection(service: RunningService) -> None:
    assert_refused(service, ask(service, None, auth=BASIC), "sender_constraint_required")
    assert bound_to(service, ask(service, BFF, auth=BASIC)) == {"x5t#S256": BFF.thumbprint}
    for named in ({"x5t#S256": BFF.thumbprint}, {"cnf": f'{{"x5t#S256":"{BFF.thumbprint}"}}'}):
        answer = ask(service, None, auth=BASIC, **named)
        assert_refused(service, answer, "sender_constraint_required")


# ── 6.3, 6.5, 7.1 ───────────────────────────────────────────────────────────────────────────────────────────


def test_6_3_certificate_expiration_and_bound_access_tokens(service: RunningService) -> None:
    over = Certificate.make(label="tls-bff", authority=AUTHORITY, dns=NAME, valid=(-2 * DAY, -DAY))
    refused(service, ask(service, over), "certificate_not_valid_now")
    old = forged(payload=access_claims(aud=f"{BACKEND}/tls", cnf={"x5t#S256": BFF.thumbprint}))
    # With the same key, and valid: yet the token was bound to the certificate before it.
    assert_refused(service, ask(service, RENEWED, token=old), "subject_token_proof_invalid")
    assert bound_to(service, ask(service, BFF, token=old)) == {"x5t#S256": BFF.thumbprint}
    assert bound_to(service, ask(service, RENEWED)) == {"x5t#S256": RENEWED.thumbprint}


@pytest.mark.parametrize(
    "header", ["X-Forwarded-Client-Cert", "X-Client-Cert", "SSL-Client-Cert", "X-SSL-CERT"]
)
def test_6_5_tls_termination(service: RunningService, header: str) -> None:
    """Only the header that the proxy writes, and so replaces, is ever read."""
    for value in (BFF.client_cert, BFF.escaped, BFF.xfcc()):
        fields = {
            "grant_type": GRANT_TYPE,
            "subject_token": forged(payload=access_claims(aud=f"{BACKEND}/tls")),
            "subject_token_type": ACCESS_TOKEN,
            "audience": BOUND,
            "client_id": CLIENT,
        }
        refused(service, service.post_token(fields, headers={header: value}), "no_method")
        with_other = service.post_token(fields, headers={header: value, HEADER: THIEF.client_cert})
        refused(service, with_other, "certificate_name_mismatch")
    assert_issued(service, ask(service, BFF))


def test_7_1_certificate_bound_refresh_tokens(service: RunningService) -> None:
    urn = "urn:ietf:params:oauth:token-type:refresh_token"
    answer = ask(service, BFF, requested_token_type=urn)
    assert_refused(service, answer, "requested_token_type_unsupported")
    answer = ask(service, BFF, subject_token_type=urn)
    assert_refused(service, answer, "subject_token_type_unsupported")
    assert "refresh_token" not in ask(service, BFF).json()


# ── 7.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_7_2_certificate_thumbprint_binding(service: RunningService) -> None:
    def with_cnf(cnf: dict[str, Any]) -> requests.Response:
        token = forged(payload=access_claims(aud=f"{BACKEND}/tls", cnf=cnf))
        return ask(service, BFF, token=token)

    sha1, sha512 = (_thumbprint(BFF, name) for name in ("sha1", "sha512"))
    for cnf, ending in (
        ({"x5t#S256": THIEF.thumbprint}, "proof_invalid"),
        ({"x5t#S256": BFF.thumbprint.lower()}, "proof_invalid"),
        ({"x5t#S256": f"{BFF.thumbprint}="}, "proof_invalid"),
        ({"x5t#S256": BFF.thumbprint[:20]}, "proof_invalid"),
        ({"x5t#S256": hashlib.sha256(BFF.der).hexdigest()}, "proof_invalid"),
        ({"x5t#S256": hashlib.sha256(BFF.pem.encode()).hexdigest()}, "proof_invalid"),
        ({"x5t": sha1}, "proof_missing"),
        ({"x5t#S512": sha512}, "proof_missing"),
        ({"x5t#S256": BFF.thumbprint, "x5t#S512": sha512}, "proof_missing"),
        ({"x5t#S256": [BFF.thumbprint]}, "proof_missing"),
        ({"jkt": BFF.thumbprint}, "proof_missing"),
    ):
        assert_refused(service, with_cnf(cnf), f"subject_token_{ending}")
    assert bound_to(service, with_cnf({"x5t#S256": BFF.thumbprint})) == {"x5t#S256": BFF.thumbprint}


def _thumbprint(certificate: Certificate, name: str) -> str:
    return base64.urlsafe_b64encode(hashlib.new(name, certificate.der).digest()).rstrip(b"=").decode()


def test_7_2_a_stolen_bound_token_is_of_no_use_without_its_certificate(service: RunningService) -> None:
    stolen = forged(payload=access_claims(aud=BACKEND, cnf={"x5t#S256": BFF.thumbprint}))
    for certificate, ending in ((None, "proof_missing"), (THIEF, "proof_invalid")):
        for audience in (AUDIENCE, BOUND):
            answer = ask(service, certificate, token=stolen, auth=BASIC, audience=audience)
            assert_refused(service, answer, f"subject_token_{ending}")
    answer = ask(service, BFF, token=stolen, auth=BASIC, audience=AUDIENCE)
    assert assert_issued(service, answer)["issued"]["claims"]["cnf"] == {"x5t#S256": BFF.thumbprint}


# ── 7.4, 7.5 ────────────────────────────────────────────────────────────────────────────────────────────────


def test_7_4_x_509_certificate_spoofing(service: RunningService) -> None:
    """The same subject from another authority, be it one that the proxy trusts and of the same name."""
    spoofed = Certificate.make(label="tls-thief", authority=SAME_NAME, dns=NAME, extensions=CLIENT_USAGE)
    assert spoofed.x509.issuer == BFF.x509.issuer
    refused(service, ask(service, spoofed), "certificate_issuer_unknown")
    refused(service, ask(service, Certificate.make(dns=NAME)), "certificate_issuer_unknown")
    assert_issued(service, ask(service, BFF))


UNKNOWN_CRITICAL = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
CODE_SIGNING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)


@pytest.mark.parametrize(
    "made",
    [
        {"dns": NAME, "extensions": SERVER_USAGE},
        {"dns": NAME, "extensions": [CODE_SIGNING]},
        {"dns": NAME, "extensions": [UNKNOWN_CRITICAL]},
        {"dns": NAME, "valid": (-2 * DAY, -DAY)},
        {"dns": NAME, "valid": (DAY, 2 * DAY)},
        {"dns": f"{NAME}\0.thief.example"},
        {"dns": f"{NAME}."},
        {"dns": f" {NAME}"},
        {"dns": "*.acme.example"},
        {"dns": f"*.{NAME}"},
        {"subject": f"CN={NAME}"},
        {"subject": f"CN={NAME}", "dns": "thief.acme.example"},
        {"uri": f"https://{NAME}"},
        {"email": f"a@{NAME}"},
    ],
    ids=str,
)
def test_7_5_x_509_certificate_parsing_and_validation_complexity(
    service: RunningService, made: dict[str, Any]
) -> None:
    """By the very authority of the client: usages, critical extensions, validity, NUL bytes, wildcards, other names."""
    certificate = Certificate.make(label="tls-thief", authority=AUTHORITY, **made)
    assert_refused(service, ask(service, certificate), "client_authentication_failed")
    assert_issued(service, ask(service, BFF))


def test_7_5_a_certificate_of_the_authority_makes_no_authority(service: RunningService) -> None:
    """Recursive verification: Basic Constraints of what is between."""
    between = Certificate.make(label="tls-thief", authority=AUTHORITY, dns="thief.acme.example")
    refused(
        service, ask(service, Certificate.make(authority=between, dns=NAME)), "certificate_issuer_unknown"
    )


@pytest.mark.parametrize(
    "value",
    [
        base64.b64encode(BFF.der).decode(),
        f":{base64.b64encode(BFF.der[:-1]).decode()}:",
        f":{base64.b64encode(BFF.der + b'x').decode()}:",
        f":{base64.b64encode(BFF.der + THIEF.der).decode()}:",
        f"{BFF.client_cert}, {THIEF.client_cert}",
        f":{base64.b64encode(BFF.pem.encode()).decode()}:",
        BFF.escaped,
        "::",
        "",
    ],
    ids=["bare", "short", "longer", "two", "list", "pem", "escaped", "nothing", "empty"],
)
def test_7_5_what_is_not_exactly_one_certificate_is_none(service: RunningService, value: str) -> None:
    assert_refused(service, ask(service, value), "client_authentication_failed")
    assert_issued(service, ask(service, BFF))
