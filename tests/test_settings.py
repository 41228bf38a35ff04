"""Whom the environment says to believe: exactly those, and nobody when it says nothing."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.settings import Settings, TrustedProxies


def settings(**environ: str) -> Settings:
    return Settings.from_environ(environ)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10.0.0.7", ["10.0.0.7", "::ffff:10.0.0.7"], ["10.0.0.8", "110.0.0.7", "::a00:7"]),
        ("10.1.0.0/16", ["10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3"], ["10.2.0.0", "10.0.255.255"]),
        ("fd00::/64, 127.0.0.1", ["fd00::1", "127.0.0.1"], ["fd00:0:0:1::1", "127.0.0.2", "::1"]),
        ("::1 127.0.0.1\n10.0.0.0/8,", ["::1", "127.0.0.1", "10.255.0.1"], ["::2", "11.0.0.1"]),
    ],
)
def test_a_proxy_is_one_of_those_that_are_listed(text: str, inside: list[str], outside: list[str]) -> None:
    proxies = settings(EXCHANGE_TRUSTED_PROXIES=text).trusted_proxies()

    assert [address for address in inside if address not in proxies] == []
    assert [address for address in outside if address in proxies] == []


@pytest.mark.parametrize(
    "peer", ["", None, "unix:", "localhost", "10.0.0.7:443", "10.0.0.7 ", b"10.0.0.7", "*"]
)
def test_what_is_no_address_is_no_proxy(peer: object) -> None:
    assert peer not in TrustedProxies.parse("10.0.0.7, 10.0.0.0/8, ::/1")


@pytest.mark.parametrize("text", ["", "  "])
def test_without_proxies_nobody_is_one(text: str) -> None:
    proxies = settings(EXCHANGE_TRUSTED_PROXIES=text).trusted_proxies()

    assert proxies == settings().trusted_proxies()
    assert "127.0.0.1" not in proxies


@pytest.mark.parametrize(
    "text", ["localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "*", "10.0.0.1;10.0.0.2", "unix:/run/x", "1"]
)
def test_what_is_neither_an_address_nor_a_block_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"^EXCHANGE_TRUSTED_PROXIES: .*write such as"):
        settings(EXCHANGE_TRUSTED_PROXIES=f"127.0.0.1, {text}").trusted_proxies()


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0"])
def test_everybody_is_no_proxy(text: str) -> None:
    with pytest.raises(ValueError, match="is everybody"):
        settings(EXCHANGE_TRUSTED_PROXIES=text).trusted_proxies()


@given(st.ip_addresses(v=4), st.integers(1, 32), st.ip_addresses(v=4))
def test_a_block_holds_what_it_holds(base: IPv4Address, length: int, peer: IPv4Address) -> None:
    block = ip_network((base, length), strict=False)

    assert (str(peer) in TrustedProxies.parse(str(block))) == (peer in block)


@pytest.mark.parametrize("name", ["Client-Cert", "X-Forwarded-Client-Cert", "ssl-client-cert", "x1"])
def test_a_header_has_a_name(name: str) -> None:
    assert settings(EXCHANGE_TLS_HEADER=f" {name} ").tls_header() == name


@pytest.mark.parametrize(
    "name", ["Client_Cert", "Client Cert", "Client-Cert:", "ü", "a" * 129, "a\nb", "a,b"]
)
def test_what_is_no_header_name_is_refused_with_what_to_write(name: str) -> None:
    with pytest.raises(ValueError, match=r"^EXCHANGE_TLS_HEADER: write the name"):
        settings(EXCHANGE_TLS_HEADER=name).tls_header()


def test_without_a_name_there_is_no_header() -> None:
    assert settings().tls_header() is None
    assert settings(EXCHANGE_TLS_HEADER=" ").tls_header() is None
