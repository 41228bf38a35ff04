"""``tls_client_auth`` and ``self_signed_tls_client_auth`` (RFC 8705 §2): each check spoiled alone, beside what passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.certificates import Authorities, ExpectedName, parse_der
from exchange.clients.assertion import ASSERTION_TYPE
from exchange.clients.authenticate import METHODS
from exchange.config.values import SelfSignedMethod, TlsClientAuthMethod
from exchange.model import ClientCertificate, ClientCredentials, Secret
from tests.clients.desk import CLIENTS, NOW, SECRET, Desk, assertion, basic, post, registered
from tests.support.certificates import DAY, SERVER_USAGE, Certificate

CA = Certificate.authority(since=NOW)
NAMES = {
    "san_dns": ("dns", "bff.acme.example"),
    "san_uri": ("uri", "spiffe://acme.example/bff"),
    "san_ip": ("ip", "10.0.0.7"),
    "san_email": ("email", "bff@acme.example"),
}


def make(subject="CN=client", **options):
    return Certificate.make(subject, **({"since": NOW} | options))


OWN = make(label="tls-own")
OLD = make(label="tls-old")


def named(client_id, kind, text, authorities=None):
    method = TlsClientAuthMethod(ExpectedName.parse(kind, text), authorities)
    return replace(registered(client_id), tls_client_auth=method)


def known(client_id, *thumbprints, **more):
    return replace(registered(client_id), self_signed=SelfSignedMethod(thumbprints), **more)


BY_DNS = named("dns", "san_dns", "bff.acme.example")
ALL = (
    *CLIENTS,
    BY_DNS,
    *(named(kind, kind, text) for kind, (_, text) in NAMES.items()),
    named("subject", "subject_dn", "CN=bff,O=Acme"),
    named("strict", "san_dns", "bff.acme.example", Authorities((CA.x509,))),
    known("own", OWN.thumbprint),
    known("rotating-own", OWN.thumbprint, OLD.thumbprint),
    known("moving", OWN.thumbprint, tls_client_auth=BY_DNS.tls_client_auth),
    replace(registered("secret-too", secrets=(SECRET,)), tls_client_auth=BY_DNS.tls_client_auth),
)


@pytest.fixture
def desk(tmp_path):
    with Desk(tmp_path, clients=ALL) as desk:
        yield desk


def over(certificate, client_id="dns", **more):
    """Return what a request says of itself that comes over a connection with this certificate."""
    return ClientCredentials(unverified_client_id=client_id, certificate=parse_der(certificate.der), **more)


GENUINE = make(dns="bff.acme.example")


class TestNamed:
    @pytest.mark.parametrize("kind", NAMES)
    def test_a_certificate_with_the_name_is_taken(self, desk, kind):
        name, text = NAMES[kind]
        assert desk.accepts(over(make(**{name: text}), kind)) == kind

    def test_a_certificate_with_the_subject_is_taken(self, desk):
        assert desk.accepts(over(make("CN=bff,O=Acme"), "subject")) == "subject"

    def test_a_certificate_of_the_authority_is_taken(self, desk):
        assert desk.accepts(over(make(authority=CA, dns="bff.acme.example"), "strict")) == "strict"

    @pytest.mark.parametrize(
        ("client_id", "certificate"),
        [
            ("dns", make(dns="other.acme.example")),
            ("dns", make(dns="*.acme.example")),
            ("dns", make("CN=bff.acme.example")),
            ("dns", make(uri="https://bff.acme.example")),
            ("dns", make()),
            ("san_uri", make(uri="spiffe://acme.example/bff2")),
            ("san_uri", make(dns="spiffe.acme.example")),
            ("san_ip", make(ip="10.0.0.8")),
            ("san_ip", make(dns="10.0.0.7")),
            ("san_email", make(email="bff@evil.example")),
            ("subject", make("CN=bff,O=Evil")),
            ("subject", make("CN=bff", dns="bff.acme.example")),
            ("strict", make(authority=CA, dns="other.acme.example")),
        ],
    )
    def test_another_name_is_refused(self, desk, client_id, certificate):
        desk.refuses(over(certificate, client_id), "certificate_name_mismatch")

    @pytest.mark.parametrize("valid", [(-DAY, -1), (1, DAY)])
    @pytest.mark.parametrize("client_id", ["dns", "strict"])
    def test_a_certificate_out_of_its_time_is_refused(self, desk, client_id, valid):
        authority = CA if client_id == "strict" else None
        certificate = make(authority=authority, dns="bff.acme.example", valid=valid)
        desk.refuses(over(certificate, client_id), "certificate_not_valid_now")

    @pytest.mark.parametrize(
        "certificate",
        [
            make(dns="bff.acme.example"),
            make(dns="bff.acme.example", issuer="CN=Acme CA"),
            make(dns="bff.acme.example", authority=Certificate.authority(label="tls-evil", since=NOW)),
            make(dns="bff.acme.example", authority=CA, extensions=SERVER_USAGE),
            make(dns="bff.acme.example", authority=make(authority=CA, label="tls-no-authority")),
        ],
        ids=["self-signed", "says-its-issuer", "another-authority", "for-servers", "issued-by-a-client"],
    )
    def test_a_certificate_that_the_authority_did_not_issue_is_refused(self, desk, certificate):
        desk.refuses(over(certificate, "strict"), "certificate_issuer_unknown")

    @pytest.mark.parametrize("client_id", ["dns", "own"])
    def test_what_is_no_certificate_is_refused(self, desk, client_id):
        credentials = ClientCredentials(
            unverified_client_id=client_id, certificate=ClientCertificate(b"nonsense", OWN.thumbprint)
        )
        desk.refuses(credentials, "certificate_malformed")


class TestKnown:
    def test_the_very_certificate_is_taken(self, desk):
        assert desk.accepts(over(OWN, "own")) == "own"

    @pytest.mark.parametrize("certificate", [OWN, OLD])
    def test_while_it_is_replaced_each_of_the_two_is_taken(self, desk, certificate):
        assert desk.accepts(over(certificate, "rotating-own")) == "rotating-own"

    @pytest.mark.parametrize(
        "certificate",
        [OLD, GENUINE, make(label="tls-own"), make(label="tls-own", authority=CA)],
        ids=["another", "of-somebody-else", "same-key-again", "same-key-issued"],
    )
    def test_another_certificate_is_refused(self, desk, certificate):
        desk.refuses(over(certificate, "own"), "certificate_unknown")

    @pytest.mark.parametrize("at", [NOW - DAY - 1, NOW + DAY + 1])
    def test_it_is_refused_out_of_its_time(self, desk, at):
        desk.now = at
        desk.refuses(over(OWN, "own"), "certificate_not_valid_now")


class TestWhichMethod:
    @pytest.mark.parametrize(
        ("client_id", "certificate", "method"),
        [
            ("dns", GENUINE, "tls_client_auth"),
            ("own", OWN, "self_signed_tls_client_auth"),
            ("moving", GENUINE, "tls_client_auth"),
            ("moving", OWN, "self_signed_tls_client_auth"),
        ],
    )
    def test_the_one_that_the_client_has_is_named_and_passes(self, desk, client_id, certificate, method):
        credentials = over(certificate, client_id)
        assert desk.authenticator.presented_method(credentials) == method
        assert METHODS[method](desk.authenticator, credentials).client.client_id == client_id

    @pytest.mark.parametrize(
        ("client_id", "method"),
        [("dns", "self_signed_tls_client_auth"), ("own", "tls_client_auth"), ("web", "tls_client_auth")],
    )
    def test_one_that_it_does_not_have_does_not_pass(self, desk, client_id, method):
        certificate = OWN if client_id == "own" else GENUINE
        with pytest.raises(Exception, match="client_authentication_failed"):
            METHODS[method](desk.authenticator, over(certificate, client_id))

    def test_a_client_without_certificates_is_refused(self, desk):
        desk.refuses(over(GENUINE, "web"), "method_not_registered")

    def test_nobodys_client_id_is_refused(self, desk):
        desk.refuses(over(GENUINE, "nobody"), "client_unknown")

    def test_a_client_id_without_a_certificate_is_no_method(self, desk):
        desk.refuses(ClientCredentials(unverified_client_id="dns"), "no_method")

    def test_a_certificate_without_a_client_id_is_no_method(self, desk):
        desk.refuses(ClientCredentials(certificate=parse_der(GENUINE.der)), "no_method")

    @pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
    def test_neither_method_passes_without_its_parts(self, desk, method):
        for credentials in (
            ClientCredentials(unverified_client_id="dns"),
            ClientCredentials(certificate=parse_der(GENUINE.der)),
        ):
            with pytest.raises(Exception, match="client_authentication_failed"):
                METHODS[method](desk.authenticator, credentials)


class TestBesideAnotherMethod:
    """A connection has its certificate whatever the request says; it proves a client only alone."""

    @pytest.mark.parametrize(
        ("credentials", "method"),
        [
            (basic("web", SECRET), "client_secret_basic"),
            (post("web", SECRET), "client_secret_post"),
            (assertion(), "private_key_jwt"),
        ],
    )
    def test_the_other_method_is_the_one(self, desk, credentials, method):
        credentials = replace(credentials, certificate=parse_der(GENUINE.der))
        assert desk.authenticator.presented_method(credentials) == method
        assert desk.accepts(credentials) in {"web", "orders-bff"}

    @pytest.mark.parametrize(
        ("credentials", "cause"),
        [
            (basic("secret-too", "wrong"), "secret_wrong"),
            (post("secret-too", "wrong"), "secret_wrong"),
            (basic("dns", SECRET), "method_not_registered"),
            (
                ClientCredentials(unverified_client_id="secret-too", client_assertion_type=ASSERTION_TYPE),
                "assertion_missing",
            ),
            (
                ClientCredentials(unverified_client_id="secret-too", other_authorization_scheme=True),
                "authorization_scheme_unknown",
            ),
            (
                ClientCredentials(
                    unverified_client_id="secret-too",
                    unverified_basic=basic("secret-too", SECRET).unverified_basic,
                    client_secret=Secret(SECRET),
                ),
                "several_methods",
            ),
        ],
    )
    def test_a_right_certificate_does_not_mend_it(self, desk, credentials, cause):
        assert desk.accepts(over(GENUINE, "secret-too")) == "secret-too"
        desk.refuses(replace(credentials, certificate=parse_der(GENUINE.der)), cause)
