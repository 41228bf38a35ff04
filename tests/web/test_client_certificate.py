"""A header is a certificate when a trusted proxy sends exactly one; from anybody else there is no such header."""

from __future__ import annotations

import base64
from contextlib import suppress
from urllib.parse import quote

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from exchange.errors import Refusal
from exchange.model import ClientCertificate
from exchange.settings import Settings
from exchange.web.client_certificate import MAX_HEADER, CertificateHeader
from tests.support.certificates import Certificate

PROXY = "10.0.0.7"
CLIENT = Certificate.make(dns="bff.acme.example")
VICTIM = Certificate.make(label="tls-victim", dns="victim.acme.example")
CHAIN = quote(CLIENT.pem + VICTIM.pem, safe="")
CLIENT_CERT, XFCC, NGINX = "Client-Cert", "X-Forwarded-Client-Cert", "X-Client-Certificate"
GENUINE = {CLIENT_CERT: CLIENT.client_cert, XFCC: CLIENT.xfcc(), NGINX: CLIENT.escaped}


def each(argument: str, values: list[str]) -> pytest.MarkDecorator:
    """Parametrize with values that differ from run to run, as certificates do."""
    return pytest.mark.parametrize(argument, values, ids=map(str, range(len(values))))


def header(name: str, proxies: str = PROXY) -> CertificateHeader:
    environ = {"EXCHANGE_TLS_HEADER": name, "EXCHANGE_TRUSTED_PROXIES": proxies}
    found = CertificateHeader.of(Settings.from_environ(environ))
    assert found is not None
    return found


def sent(name: str, value: str, peer: str | None = PROXY) -> ClientCertificate | None:
    """Return what becomes of ``name: value`` from ``peer``."""
    environ = EnvironBuilder(path="/token", method="POST").get_environ()
    environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    environ.pop("REMOTE_ADDR", None)
    if peer is not None:
        environ["REMOTE_ADDR"] = peer
    return header(name).certificate(Request(environ))


def refused(name: str, value: str) -> None:
    with pytest.raises(Refusal) as caught:
        sent(name, value)
    assert (caught.value.reason.slug, caught.value.detail) == (
        "client_authentication_failed",
        "certificate_malformed",
    )
    assert sent(name, GENUINE[name]) is not None


@pytest.mark.parametrize("name", GENUINE)
class TestWhoIsBelieved:
    def test_a_trusted_proxy_is(self, name: str) -> None:
        assert sent(name, GENUINE[name]) == ClientCertificate(CLIENT.der, CLIENT.thumbprint)

    @pytest.mark.parametrize("peer", ["10.0.0.8", "127.0.0.1", "::1", "", None, "10.0.0.7, 10.0.0.8"])
    def test_nobody_else_is(self, name: str, peer: str | None) -> None:
        assert sent(name, GENUINE[name], peer) is None

    def test_what_others_send_is_not_even_looked_at(self, name: str) -> None:
        assert sent(name, "nonsense", "10.0.0.8") is None

    def test_another_header_is_none(self, name: str) -> None:
        environ = EnvironBuilder(headers={"X-Other": GENUINE[name]}).get_environ() | {"REMOTE_ADDR": PROXY}

        assert header(name).certificate(Request(environ)) is None

    def test_an_empty_header_is_none(self, name: str) -> None:
        assert sent(name, "") is None

    def test_the_name_is_the_same_in_capitals(self, name: str) -> None:
        environ = EnvironBuilder(headers={name: GENUINE[name]}).get_environ() | {"REMOTE_ADDR": PROXY}

        assert header(name.upper()).certificate(Request(environ)) is not None


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"EXCHANGE_TLS_HEADER": CLIENT_CERT},
        {"EXCHANGE_TRUSTED_PROXIES": PROXY},
        {"EXCHANGE_TLS_HEADER": CLIENT_CERT, "EXCHANGE_TRUSTED_PROXIES": " "},
    ],
)
def test_without_both_settings_no_header_is_believed(environ: dict[str, str]) -> None:
    assert CertificateHeader.of(Settings.from_environ(environ)) is None


@pytest.mark.parametrize("name", GENUINE)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: f"{value},{value}",  # sent twice: gunicorn joins the two
        lambda value: f"{value}, {value}",
        lambda value: f"{value},",
        lambda value: f",{value}",
        lambda value: value[: len(value) // 2],
        lambda value: value.replace("M", "\xff", 1),
        lambda value: value.replace("M", "%00", 1),
        lambda value: " " * MAX_HEADER + value,
        lambda value: "(null)",
        lambda value: "-",
        lambda value: "::",
    ],
)
def test_anything_but_one_certificate_is_refused(name: str, spoil) -> None:
    refused(name, spoil(GENUINE[name]))


class TestClientCert:
    """RFC 9440 §2.1, RFC 8941 §3.3.5."""

    def test_it_may_come_without_padding(self) -> None:
        padded = next(found for found in map(_with_serial, range(9)) if found.client_cert.endswith("=:"))

        assert sent(CLIENT_CERT, padded.client_cert) == sent(CLIENT_CERT, padded.client_cert.replace("=", ""))

    @each(
        "value",
        [
            CLIENT.client_cert.strip(":"),
            CLIENT.client_cert + ";a=1",
            f"({CLIENT.client_cert})",
            f'"{CLIENT.client_cert}"',
            CLIENT.client_cert.replace("+", "-").replace("/", "_").replace("M", "-", 1),
            CLIENT.escaped,
            CLIENT.xfcc(),
            f":{base64.b64encode(CLIENT.pem.encode()).decode()}:",
            f":{base64.b64encode(CLIENT.der + VICTIM.der).decode()}:",
        ],
    )
    def test_another_form_is_refused(self, value: str) -> None:
        refused(CLIENT_CERT, value)

    @given(st.text(alphabet=st.characters(max_codepoint=255), max_size=80))
    def test_no_text_does_anything_else(self, value: str) -> None:
        if value:
            refused(CLIENT_CERT, value)


def _with_serial(number: int) -> Certificate:
    return Certificate.make(f"CN={'c' * number or 'c'}")


class TestEscapedPem:
    @pytest.mark.parametrize("safe", ["", "+=/", "-"])
    def test_what_proxies_leave_unescaped_is_taken(self, safe: str) -> None:
        assert sent(NGINX, quote(CLIENT.pem, safe=safe)) == sent(NGINX, CLIENT.escaped)

    @each(
        "value",
        [
            CHAIN,
            CLIENT.pem.replace("\n", " "),
            CLIENT.pem.replace("\n", "\t"),
            quote(CLIENT.escaped, safe=""),
            quote(CLIENT.pem, safe="").replace("%0A", ""),
            CLIENT.escaped + "%FF",
            CLIENT.escaped + "%4",
            CLIENT.client_cert,
            CLIENT.xfcc(),
            quote(CLIENT.key_pem, safe=""),
        ],
    )
    def test_another_form_is_refused(self, value: str) -> None:
        if value == quote(CLIENT.pem, safe="").replace("%0A", ""):
            assert sent(NGINX, value) == sent(NGINX, CLIENT.escaped)  # base64 without line ends is the same
            return
        refused(NGINX, value)

    @given(st.text(alphabet=st.characters(max_codepoint=255), max_size=80))
    def test_no_text_does_anything_else(self, value: str) -> None:
        if value:
            refused(NGINX, value)


def quoted(value: str) -> str:
    """Return a value as Envoy's documentation says it is quoted."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


DETAILS = st.tuples(
    st.sampled_from(["Subject", "Chain", "URI", "DNS", "By", "subject", "uri", "Later"]),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
).map(lambda pair: f"{pair[0]}={quoted(pair[1])}")


def unique(details: list[str]) -> bool:
    names = [detail.partition("=")[0].lower() for detail in details]
    single = [name for name in names if name not in {"uri", "dns", "by"}]
    return len(single) == len(set(single))


class TestForwardedClientCert:
    @each(
        "value",
        [
            f'Cert="{CLIENT.escaped}"',
            f"Cert={CLIENT.escaped}",
            f'cert="{CLIENT.escaped}"',
            f"By=spiffe://acme.example/proxy;{CLIENT.xfcc()}",
            CLIENT.xfcc('Subject="CN=bff\\\\,O=\\"Acme, Inc; x=1\\""', "URI=spiffe://acme.example/bff?a=b"),
            CLIENT.xfcc("DNS=a.example", "DNS=b.example", "URI=", 'Subject=""'),
            CLIENT.xfcc(f'Chain="{CHAIN}"'),
            CLIENT.xfcc().replace(";", "; "),
            CLIENT.xfcc().replace(CLIENT.xfcc()[5:69], CLIENT.xfcc()[5:69].upper()),
        ],
    )
    def test_the_certificate_of_the_one_element_is_taken(self, value: str) -> None:
        assert sent(XFCC, value) == ClientCertificate(CLIENT.der, CLIENT.thumbprint)

    @each(
        "value",
        [
            CLIENT.xfcc().partition(";")[0],  # a hash proves nothing about what is in the certificate
            'Hash=00;Subject="CN=bff";DNS=bff.acme.example',
            'Cert=""',
            "Cert=",
            "Cert",
            CLIENT.escaped,
            CLIENT.client_cert,
            f'Cert="{CHAIN}"',
            f'Chain="{CLIENT.escaped}"',
            f'Cert="{CLIENT.escaped}',
            f'Cert="{CLIENT.escaped}"x',
            f'Cert="{CLIENT.escaped}";',
            f'Cert=x"{CLIENT.escaped}"',
            f'Cert="{CLIENT.escaped}\\"',
            f"Cert='{CLIENT.escaped}'",
            f'Cert="{CLIENT.pem}"'.replace("\n", " "),
            f'Cert="{CLIENT.escaped}" DNS=a',
            f'Cert="{CLIENT.escaped}";Cert="{CLIENT.escaped}"',
            f'Cert="{CLIENT.escaped}";cert="{VICTIM.escaped}"',
        ],
    )
    def test_without_exactly_one_certificate_it_is_refused(self, value: str) -> None:
        refused(XFCC, value)

    @each(
        "value",
        [
            f"{VICTIM.xfcc()},{CLIENT.xfcc()}",
            f"{CLIENT.xfcc()},{VICTIM.xfcc()}",
            f"{VICTIM.xfcc()},By=x;Hash=00",  # what a client wrote, before what the proxy appended
            f"By=x,{CLIENT.xfcc()}",
        ],
    )
    def test_several_elements_are_refused(self, value: str) -> None:
        refused(XFCC, value)

    @each(
        "name",
        [
            f'x;Cert="{VICTIM.escaped}"',
            f"x;{VICTIM.xfcc()}",
            f"x,{VICTIM.xfcc()}",
            f'";Cert="{VICTIM.escaped}',
            f'\\";Cert="{VICTIM.escaped}',
        ],
    )
    @pytest.mark.parametrize("detail", ["URI={}", "DNS={}", 'Subject="{}"'])
    @pytest.mark.parametrize("with_cert", [True, False])
    def test_a_name_of_a_certificate_cannot_be_another_certificate(
        self, name: str, detail: str, with_cert: bool
    ) -> None:
        """Envoy writes names as they are, and whoever signs a certificate himself writes any name into it."""
        own = CLIENT.xfcc() if with_cert else CLIENT.xfcc().partition(";")[0]
        with suppress(Refusal):
            found = sent(XFCC, f"{own};{detail.format(name)}")
            assert found == ClientCertificate(CLIENT.der, CLIENT.thumbprint)

    @given(st.lists(DETAILS, max_size=6).filter(unique), st.integers(0, 6))
    def test_what_is_quoted_stays_inside_its_quotes(self, details: list[str], at: int) -> None:
        pairs = [*details[:at], f'Cert="{CLIENT.escaped}"', *details[at:]]

        assert sent(XFCC, ";".join(pairs)) == ClientCertificate(CLIENT.der, CLIENT.thumbprint)
        refused(XFCC, ",".join([*pairs, VICTIM.xfcc()]))

    @given(st.text(alphabet='",;=\\ Certab', max_size=60))
    def test_no_text_does_anything_else(self, value: str) -> None:
        if value:
            refused(XFCC, value)
