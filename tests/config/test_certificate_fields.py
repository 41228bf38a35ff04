"""``tls_client_auth`` and ``self_signed``: what loads as what, and what is wrong with the rest."""

from __future__ import annotations

import subprocess
from shutil import which

import pytest

from exchange.certificates import ExpectedName
from exchange.config.certificate_fields import _NOT_A_THUMBPRINT
from exchange.config.values import SelfSignedMethod
from tests.config.policy_texts import CLIENT, faults, loaded
from tests.config.test_dangers import SECOND_CLIENT, warnings
from tests.docs.pages import blocks, page
from tests.support.certificates import Certificate

HEAD = CLIENT.partition("  private_key_jwt")[0]
SECOND = SECOND_CLIENT.partition("  private_key_jwt")[0]
ONE, TWO = "A" * 43, "E" * 43
AUTHORITY = Certificate.authority()
NAMES = {
    "san_dns": "BFF.acme.example",
    "san_uri": "spiffe://acme.example/bff",
    "san_ip": "10.0.0.7",
    "san_email": "bff@acme.example",
    "subject_dn": "'CN=bff,O=Acme'",
}


def client(methods: str) -> dict[str, str]:
    return {"clients/orders-bff": f"{HEAD}  {methods}\n"}


@pytest.fixture
def pem(tmp_path):
    (tmp_path / "policies" / "keys").mkdir(parents=True)
    (tmp_path / "policies" / "keys" / "ca.pem").write_text(AUTHORITY.pem)
    (tmp_path / "policies" / "keys" / "client.pem").write_text(Certificate.make().pem)
    (tmp_path / "policies" / "keys" / "key.pem").write_text(AUTHORITY.pem + AUTHORITY.key_pem)
    return tmp_path


@pytest.mark.parametrize("kind", NAMES)
def test_each_name_loads(tmp_path, kind):
    method = loaded(tmp_path, **client(f"tls_client_auth: {{{kind}: {NAMES[kind]}}}")).clients["orders-bff"]

    assert method.tls_client_auth.name == ExpectedName.parse(kind, NAMES[kind].strip("'"))
    assert method.tls_client_auth.authorities is None
    assert method.check_endpoint_auth_method("tls_client_auth", "token")
    assert not method.check_endpoint_auth_method("self_signed_tls_client_auth", "token")


def test_authorities_are_read_from_the_policies(pem):
    method = loaded(pem, **client("tls_client_auth: {san_dns: a, ca_file: keys/ca.pem}")).clients[
        "orders-bff"
    ]

    assert method.tls_client_auth.authorities.certificates == (AUTHORITY.x509,)


@pytest.mark.parametrize(
    ("methods", "thumbprints"),
    [
        (f"self_signed: {{x5t_s256: {ONE}}}", (ONE,)),
        (f"self_signed: {{x5t_s256: [{ONE}, {TWO}]}}", (ONE, TWO)),
        (f"tls_client_auth: {{self_signed: {{x5t_s256: {ONE}}}}}", (ONE,)),
    ],
)
def test_thumbprints_load(tmp_path, methods, thumbprints):
    method = loaded(tmp_path, **client(methods)).clients["orders-bff"]

    assert (method.self_signed, method.tls_client_auth) == (SelfSignedMethod(thumbprints), None)
    assert method.check_endpoint_auth_method("self_signed_tls_client_auth", "token")
    assert not method.check_endpoint_auth_method("tls_client_auth", "token")


def test_a_client_may_have_both_while_it_moves_from_one_to_the_other(tmp_path):
    both = client(f"tls_client_auth: {{san_dns: a}}\n  self_signed: {{x5t_s256: {ONE}}}")
    method = loaded(tmp_path, **both).clients["orders-bff"]

    assert method.tls_client_auth is not None
    assert method.self_signed == SelfSignedMethod((ONE,))


EXACTLY_ONE = "name exactly one of subject_dn, san_dns, san_uri, san_ip, san_email, self_signed"
FAULTS = [
    ("tls_client_auth: {}", f"5:20: authentication.tls_client_auth: {EXACTLY_ONE}"),
    ("tls_client_auth: {ca_file: keys/ca.pem}", f"5:20: authentication.tls_client_auth: {EXACTLY_ONE}"),
    ("tls_client_auth: {san_dns: a, san_uri: 'x:y'}", f"5:20: authentication.tls_client_auth: {EXACTLY_ONE}"),
    (f"tls_client_auth: {{san_dns: a, self_signed: {{x5t_s256: {ONE}}}}}", f"authentication.tls_client_auth: {EXACTLY_ONE}"),
    ("tls_client_auth: {san_dns: '*.acme.example'}", "5:30: authentication.tls_client_auth.san_dns: write a DNS name"),
    ("tls_client_auth: {san_dns: [a, b]}", "authentication.tls_client_auth.san_dns: write one name, as text"),
    ("tls_client_auth: {san_uri: acme}", "authentication.tls_client_auth.san_uri: write it as it stands"),
    ("tls_client_auth: {san_ip: 10.0.0.0/8}", "authentication.tls_client_auth.san_ip: write an IP address"),
    ("tls_client_auth: {san_email: bff}", "authentication.tls_client_auth.san_email: write it as it stands"),
    ("tls_client_auth: {subject_dn: 'CN=bff, O=Acme'}", "authentication.tls_client_auth.subject_dn: write a distinguished name"),
    ("tls_client_auth: {common_name: bff, san_dns: a}", "authentication.tls_client_auth.common_name: unknown key"),
    ("tls_client_auth: bff", "5:20: authentication.tls_client_auth: write a mapping"),
    ("tls_client_auth:", "authentication.tls_client_auth: has no value"),
    ("tls_client_auth: {san_dns: a, ca_file: keys/no.pem}", "tls_client_auth.ca_file: the file does not exist"),
    ("tls_client_auth: {san_dns: a, ca_file: ../ca.pem}", "tls_client_auth.ca_file: name a file inside the policies"),
    ("tls_client_auth: {san_dns: a, ca_file: keys/client.pem}", "ca_file: certificate 1 of the file is not that of an authority"),
    ("tls_client_auth: {san_dns: a, ca_file: keys/key.pem}", "tls_client_auth.ca_file: the file has a private key"),
    (f"tls_client_auth: {{self_signed: {{x5t_s256: {ONE}}}, ca_file: keys/ca.pem}}", "ca_file: is about certificates that an authority issued"),
    ("self_signed: {}", "5:16: authentication.self_signed.x5t_s256: is missing"),
    ("self_signed: {x5t_s256: []}", "authentication.self_signed.x5t_s256: list at least one thumbprint"),
    (f"self_signed: {{x5t_s256: [{ONE}, {ONE}]}}", "authentication.self_signed.x5t_s256[1]: this thumbprint is listed twice"),
    ("self_signed: {x5t_s256: abc}", "authentication.self_signed.x5t_s256: write the SHA-256 of the certificate in base64url"),
    (f"self_signed: {{x5t_s256: {'ab' * 32}}}", "authentication.self_signed.x5t_s256: write the SHA-256"),
    (f"self_signed: {{x5t_s256: '{':'.join(['AB'] * 32)}'}}", "authentication.self_signed.x5t_s256: write the SHA-256"),
    (f"self_signed: {{x5t_s256: {ONE}=}}", "authentication.self_signed.x5t_s256: write the SHA-256"),
    (f"self_signed: {{sha256: {ONE}, x5t_s256: {ONE}}}", "authentication.self_signed.sha256: unknown key"),
    (
        f"tls_client_auth: {{self_signed: {{x5t_s256: {ONE}}}}}\n  self_signed: {{x5t_s256: {ONE}}}",
        "6:16: authentication.self_signed: said twice",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("methods", "expected"), FAULTS)
def test_what_is_wrong_is_told_at_its_place(pem, methods, expected):
    (line,) = faults(pem, **client(methods))

    assert line.startswith("policies/clients/orders-bff.yaml:")
    assert expected in line


@pytest.mark.parametrize("number", range(2))
def test_what_the_page_shows_loads(pem, number):
    (pem / "policies" / "keys" / "clients-ca.pem").write_text(AUTHORITY.pem)
    _, _, rest = page("policies.md").partition("### Certificates of clients")
    shown = blocks(rest, "yaml")[number]

    method = loaded(pem, **{"clients/orders-bff": HEAD.partition("authentication:")[0] + shown})

    assert bool(method.clients["orders-bff"].tls_client_auth) == (number == 0)
    assert bool(method.clients["orders-bff"].self_signed) == (number == 1)


@pytest.mark.skipif(not (which("openssl") and which("basenc")), reason="openssl or basenc is not installed")
def test_the_command_that_the_page_shows_makes_a_thumbprint(tmp_path):
    (tmp_path / "client.pem").write_text(AUTHORITY.pem)
    (command,) = [block for block in blocks(page("policies.md"), "sh") if "basenc" in block]

    made = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert made.stdout.strip() == AUTHORITY.thumbprint
    assert command.strip() in _NOT_A_THUMBPRINT


ANYBODY = "authentication.tls_client_auth: a proxy that lets self-signed certificates"
BY_NAME = "tls_client_auth: {san_dns: bff.acme.example}"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (BY_NAME, f"self_signed: {{x5t_s256: {ONE}}}", [ANYBODY]),
        (BY_NAME.replace("}", ", ca_file: keys/ca.pem}"), f"self_signed: {{x5t_s256: {ONE}}}", []),
        (BY_NAME, BY_NAME.replace("bff", "other"), []),
        (BY_NAME, BY_NAME, ["another client has this name too"] * 2),
        (BY_NAME, BY_NAME.replace("san_dns: bff", "san_dns: BFF"), ["another client has this name too"] * 2),
        (f"self_signed: {{x5t_s256: {ONE}}}", f"self_signed: {{x5t_s256: {TWO}}}", []),
        (
            f"self_signed: {{x5t_s256: {ONE}}}",
            f"self_signed: {{x5t_s256: [{TWO}, {ONE}]}}",
            ["another client has this certificate too"] * 2,
        ),
    ],
)
def test_a_danger_is_told_beside_what_is_none(pem, first, second, expected):
    files = client(first) | {"clients/second": f"{SECOND}  {second}\n"}
    told = [line for line in warnings(pem, files) if "authentication" in line]

    assert len(told) == len(expected)
    assert all(text in line for text, line in zip(expected, told, strict=True))
