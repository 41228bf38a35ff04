"""What a certificate says, and who signed it: one name, of one kind, from one authority."""

from __future__ import annotations

from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from exchange.certificates import (
    Authorities,
    ExpectedName,
    MalformedCertificate,
    is_thumbprint,
    is_valid_at,
    parse_der,
    parse_pem,
)
from tests.support.certificates import CLIENT_USAGE, DAY, SERVER_USAGE, Certificate

NOW = 1_800_000_000.0
NAMES = {
    "dns": "bff.acme.example",
    "uri": "spiffe://acme.example/bff",
    "ip": "10.0.0.7",
    "email": "bff@acme.example",
}
KINDS = {"san_dns": "dns", "san_uri": "uri", "san_ip": "ip", "san_email": "email"}
CA = Certificate.authority(since=NOW)
OTHER_CA = Certificate.authority("CN=Other CA", label="tls-other-authority", since=NOW)


def parsed(certificate: Certificate):
    return parse_der(certificate.der)


def make(subject="CN=client", **options) -> Certificate:
    return Certificate.make(subject, **({"since": NOW} | options))


class TestForm:
    def test_pem_and_der_are_the_same_certificate(self) -> None:
        certificate = make()

        assert parse_pem(certificate.pem) == parse_der(certificate.der)
        assert parse_pem(certificate.pem.replace("\n", "\r\n")).x5t_s256 == certificate.thumbprint
        assert parse_pem(certificate.pem).der == certificate.der

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda der: der + b"\0",
            lambda der: der[:-1],
            lambda der: b"",
            lambda der: der + der,
            lambda der: b"0" + der,
            lambda der: der[:4] + b"\xff" + der[5:],
        ],
    )
    def test_what_is_not_one_whole_certificate_is_refused(self, spoil) -> None:
        with pytest.raises(MalformedCertificate):
            parse_der(spoil(make().der))

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda pem: pem + pem,
            lambda pem: f"text before\n{pem}",
            lambda pem: f"{pem}text after",
            lambda pem: pem.replace("-----BEGIN CERTIFICATE-----", ""),
            lambda pem: pem.replace("CERTIFICATE", "PUBLIC KEY"),
            lambda pem: pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
            lambda pem: "-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
            lambda pem: "-----BEGIN CERTIFICATE-----END CERTIFICATE-----",
            lambda pem: "",
            lambda pem: pem.replace("M", "*", 1),
            lambda pem: make().key_pem + pem,
        ],
    )
    def test_pem_with_anything_else_is_refused(self, spoil) -> None:
        with pytest.raises(MalformedCertificate):
            parse_pem(spoil(make().pem))

    @given(st.binary(max_size=400))
    def test_no_bytes_do_anything_else(self, der: bytes) -> None:
        with pytest.raises(MalformedCertificate):
            parse_der(der)

    @given(st.data())
    def test_a_changed_certificate_is_another_or_none(self, data) -> None:
        certificate = NAMED
        at = data.draw(st.integers(0, len(certificate.der) - 1))
        changed = bytearray(certificate.der)
        changed[at] ^= data.draw(st.integers(1, 255))
        try:
            found = parse_der(bytes(changed))
            is_valid_at(found, NOW)
            for kind, name in KINDS.items():
                ExpectedName.parse(kind, NAMES[name]).is_in(found)
        except MalformedCertificate:
            return
        assert found.x5t_s256 != certificate.thumbprint
        assert not Authorities((CA.x509,)).issued(found, NOW)

    def test_a_thumbprint_is_the_base64url_of_32_bytes(self) -> None:
        thumbprint = make().thumbprint

        assert is_thumbprint(thumbprint)
        assert not is_thumbprint(f"{thumbprint}=")
        assert not is_thumbprint(thumbprint[:-1])
        assert not is_thumbprint("A" * 42 + "B")  # 43 characters hold 258 bits: the last two must be zero
        assert not is_thumbprint(":".join(["AB"] * 32))
        assert not is_thumbprint("AB" * 32)


class TestValidity:
    @pytest.mark.parametrize(("at", "valid"), [(-11, False), (-10, True), (0, True), (20, True), (21, False)])
    def test_both_ends_belong_to_it(self, at: int, valid: bool) -> None:
        assert is_valid_at(parsed(make(valid=(-10, 20))), NOW + at) is valid


class TestNames:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_name_is_found_under_its_kind(self, kind) -> None:
        name = NAMES[KINDS[kind]]

        assert ExpectedName.parse(kind, name).is_in(parsed(make(**NAMES)))
        assert ExpectedName.parse(kind, name).is_in(parsed(make(**{KINDS[kind]: name})))

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_name_is_not_found_under_another_kind(self, kind) -> None:
        others = {other: name for other, name in NAMES.items() if other != KINDS[kind]}

        assert not ExpectedName.parse(kind, NAMES[KINDS[kind]]).is_in(parsed(make(**others)))

    @pytest.mark.parametrize(
        "certificate",
        [
            make("CN=bff.acme.example"),
            make(dns="*.acme.example"),
            make(dns="evil.bff.acme.example"),
            make(dns="bff.acme.example.evil.example"),
            make(dns="bff.acme.example."),
            make(dns="bff.acme.example\0.evil.example"),
            make(dns="bff-acme.example"),
            make(uri="https://bff.acme.example"),
            make(uri="bff.acme.example"),
            make(email="bff.acme.example"),
            make(),
        ],
    )
    def test_nothing_else_stands_for_a_dns_name(self, certificate: Certificate) -> None:
        assert not ExpectedName.parse("san_dns", "bff.acme.example").is_in(parsed(certificate))

    def test_dns_names_are_compared_without_regard_to_case(self) -> None:
        assert ExpectedName.parse("san_dns", "BFF.acme.example").is_in(parsed(make(dns="bff.ACME.example")))

    @pytest.mark.parametrize(
        "uri", ["spiffe://acme.example/BFF", "spiffe://acme.example/bff/", "spiffe://ACME.example/bff"]
    )
    def test_uris_are_compared_character_by_character(self, uri: str) -> None:
        assert not ExpectedName.parse("san_uri", NAMES["uri"]).is_in(parsed(make(uri=uri)))

    def test_addresses_are_compared_as_addresses(self) -> None:
        assert ExpectedName.parse("san_ip", "fd00:0::7").is_in(parsed(make(ip="fd00::7")))
        assert not ExpectedName.parse("san_ip", "10.0.0.7").is_in(parsed(make(ip="::ffff:10.0.0.7")))

    @pytest.mark.parametrize(
        ("text", "subject"),
        [
            ("CN=bff,O=Acme,C=DE", "CN=bff,O=Acme,C=DE"),
            ("CN=bff\\,x,O=Acme", "CN=bff\\2Cx,O=Acme"),
            ("2.5.4.3=bff", "CN=bff"),
            ("emailAddress=bff@acme.example,CN=bff", "1.2.840.113549.1.9.1=bff@acme.example,CN=bff"),
            ("CN=b\\C3\\BCff", "CN=büff"),
            ("OU=a+CN=bff", "CN=bff+OU=a"),
        ],
    )
    def test_a_subject_is_compared_as_what_it_says(self, text: str, subject: str) -> None:
        assert ExpectedName.parse("subject_dn", text).is_in(parsed(make(subject)))

    @pytest.mark.parametrize(
        "subject",
        [
            "CN=bff",
            "O=Acme,CN=bff",
            "CN=bff,O=acme",
            "CN=bff,O=Acme,C=DE",
            "CN=bff\\,O=Acme",
            "CN=bff+O=Acme",
            "CN=bff,OU=Acme",
            "CN=bff,CN=bff,O=Acme",
        ],
    )
    def test_another_subject_is_another_client(self, subject: str) -> None:
        expected = ExpectedName.parse("subject_dn", "CN=bff,O=Acme")

        assert expected.is_in(parsed(make("CN=bff,O=Acme")))
        assert not expected.is_in(parsed(make(subject)))

    def test_a_printable_string_is_what_a_utf8_string_is(self) -> None:
        attribute = x509.NameAttribute(x509.NameOID.COMMON_NAME, "bff", x509.name._ASN1Type.PrintableString)
        subject = x509.Name([attribute]).rfc4514_string()

        assert ExpectedName.parse("subject_dn", "CN=bff").is_in(parsed(make(subject)))

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            *[
                ("san_dns", text)
                for text in ("", "*.acme.example", "a b", "a..b", "a.", "ü.example", "a/b", "-a")
            ],
            *[("san_dns", "a" * 64), ("san_dns", ".".join(["abcdefgh"] * 29))],
            *[("san_uri", text) for text in ("", "bff", "//acme.example/bff", "spiffe://a b", "spiffe:")],
            *[("san_ip", text) for text in ("", "bff", "10.0.0.0/8", "10.0.0.256", "010.0.0.1")],
            *[("san_email", text) for text in ("", "bff", "@acme.example", "a@b@c", "a b@c")],
            *[
                ("subject_dn", text)
                for text in ("", "bff", "CN=", "CN=bff, O=Acme", "CN=bff;O=Acme", "/CN=bff", "X=y")
            ],
        ],
    )
    def test_what_can_be_no_name_is_refused_with_what_to_write(self, kind, text: str) -> None:
        with pytest.raises(ValueError, match=r"^write "):
            ExpectedName.parse(kind, text)

    @given(st.sampled_from([*KINDS, "subject_dn"]), st.text(max_size=40))
    def test_no_text_does_anything_else(self, kind, text: str) -> None:
        with suppress(ValueError):
            assert ExpectedName.parse(kind, text) == ExpectedName.parse(kind, text)


NAMED = make(**NAMES)


def authorities(*certificates: Certificate) -> Authorities:
    return Authorities.parse("".join(certificate.pem for certificate in certificates).encode())


class TestAuthorities:
    @pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
    def test_what_it_issued_is_taken(self, algorithm: str) -> None:
        for extensions in ((), CLIENT_USAGE):
            certificate = make(authority=CA, algorithm=algorithm, extensions=extensions)
            assert authorities(OTHER_CA, CA).issued(parsed(certificate), NOW)

    @pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256"])
    def test_its_key_may_be_of_these_kinds(self, algorithm: str) -> None:
        authority = Certificate.authority(algorithm=algorithm, since=NOW)

        assert authorities(authority).issued(parsed(make(authority=authority)), NOW)

    @pytest.mark.parametrize(
        "certificate",
        [
            make(dns="bff.acme.example"),
            make(issuer="CN=Acme CA"),
            make(authority=OTHER_CA),
            make(authority=Certificate.authority(label="tls-same-name", since=NOW)),
            make(authority=CA, extensions=SERVER_USAGE),
            make(authority=CA, extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True)]),
            make(authority=CA, valid=(-DAY, -1)),
            make(authority=CA, valid=(1, DAY)),
        ],
        ids=["self-signed", "says-its-issuer", "another", "same-name", "for-servers", "critical", "over", "not-yet"],
    )  # fmt: skip
    def test_what_it_did_not_issue_for_a_client_is_not(self, certificate: Certificate) -> None:
        assert not authorities(CA).issued(parsed(certificate), NOW)

    def test_what_a_client_issued_is_not(self) -> None:
        client = make(authority=CA, label="tls-issuing-client")
        forged = make(authority=client, dns="bff.acme.example")

        assert authorities(CA).issued(parsed(client), NOW)
        assert not authorities(CA).issued(parsed(forged), NOW)

    def test_an_authority_that_is_over_is_none(self) -> None:
        over = Certificate.authority(valid=(-2 * DAY, -DAY), since=NOW)

        assert not authorities(over).issued(parsed(make(authority=over)), NOW)

    def test_the_names_that_an_authority_may_give_are_kept_to(self) -> None:
        constraint = x509.NameConstraints([x509.DNSName("acme.example")], None)
        bound = Certificate.authority(extensions=[(constraint, True)], since=NOW)

        assert authorities(bound).issued(parsed(make(authority=bound, dns="bff.acme.example")), NOW)
        assert not authorities(bound).issued(parsed(make(authority=bound, dns="bff.evil.example")), NOW)

    @pytest.mark.parametrize(
        ("pem", "message"),
        [
            (b"", "not PEM"),
            (b"CN=Acme CA", "not PEM"),
            (CA.pem.replace("M", "*").encode(), "not PEM"),
            ((CA.pem + CA.key_pem).encode(), "private key"),
            ((CA.pem + make().pem).encode(), "certificate 2 of the file is not that of an authority"),
            (
                Certificate.make(extensions=[(x509.BasicConstraints(False, None), True)]).pem.encode(),
                "is not that of an authority",
            ),
            (Certificate.authority(algorithm="EdDSA").pem.encode(), "use RSA or EC"),
        ],
    )
    def test_a_file_of_anything_else_is_refused(self, pem: bytes, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Authorities.parse(pem)

    def test_an_authority_that_may_not_sign_certificates_is_refused(self) -> None:
        names = (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
        )
        usage = dict.fromkeys((*names, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False)
        may = Certificate.authority(extensions=[(x509.KeyUsage(**usage | {"key_cert_sign": True}), True)])
        may_not = Certificate.authority(extensions=[(x509.KeyUsage(**usage | {"crl_sign": True}), True)])

        assert Authorities.parse(may.pem.encode()).certificates == (may.x509,)
        with pytest.raises(ValueError, match="keyCertSign"):
            Authorities.parse(may_not.pem.encode())


def test_the_support_makes_what_openssl_would_read() -> None:
    loaded = serialization.load_pem_private_key(CA.key_pem.encode(), None)

    assert loaded.public_key() == CA.x509.public_key()
