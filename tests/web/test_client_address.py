"""Where a request comes from: what proxies say of it, and what its sender would like them to have said."""

from __future__ import annotations

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from exchange.settings import NO_PROXIES, TrustedProxies
from exchange.web.client_address import ClientAddress, client_address

PROXIES = TrustedProxies.parse("10.0.0.0/8 fd00::/16")
PROXY = "10.0.0.7"


def asked(
    peer: str | None,
    *,
    xff: str | None = None,
    forwarded: str | None = None,
    proxies: TrustedProxies = PROXIES,
) -> ClientAddress:
    environ = EnvironBuilder("/token").get_environ()
    environ.pop("REMOTE_ADDR", None)
    for name, value in (
        ("REMOTE_ADDR", peer),
        ("HTTP_X_FORWARDED_FOR", xff),
        ("HTTP_FORWARDED", forwarded),
    ):
        if value is not None:
            environ[name] = value
    return client_address(Request(environ), proxies)


def test_it_is_the_peer_where_no_proxy_is_trusted():
    assert asked("192.0.2.1", proxies=NO_PROXIES) == ClientAddress("192.0.2.1", "192.0.2.1")


@pytest.mark.parametrize("header", ["xff", "forwarded"])
def test_a_peer_that_is_no_trusted_proxy_is_not_asked_about_others(header):
    value = {"xff": "192.0.2.99", "forwarded": "for=192.0.2.99"}[header]
    assert asked("192.0.2.1", **{header: value}).text == "192.0.2.1"
    assert asked(PROXY, **{header: value}).text == "192.0.2.99"
    assert asked(PROXY, **{header: value}, proxies=NO_PROXIES).text == PROXY


@pytest.mark.parametrize(
    ("xff", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("  192.0.2.1\t", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.1.1.1", "192.0.2.1"),
        ("192.0.2.1,10.1.1.1,fd00::2", "192.0.2.1"),
        # written by the caller: anything but the last one that no proxy of ours added
        ("192.0.2.99, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.99, 192.0.2.1, 10.1.1.1", "192.0.2.1"),
        ("10.1.1.1, 192.0.2.1", "192.0.2.1"),
        ("<script>, 192.0.2.1", "192.0.2.1"),
        (",,,, 192.0.2.1", "192.0.2.1"),
        (", ".join(["10.0.0.1"] * 500 + ["192.0.2.1"]), "192.0.2.1"),
    ],
)
def test_it_is_the_right_most_address_that_no_proxy_of_ours_has(xff, expected):
    assert asked(PROXY, xff=xff).text == expected


@pytest.mark.parametrize(
    "xff",
    [
        *("", " ", "unknown", "192.0.2.1, ", "192.0.2.1, unknown", "192.0.2.1, 999.0.0.1", "192.0.2", "1"),
        *("192.0.2.1, nonsense, 10.1.1.1", "10.1.1.1", "10.1.1.1, 10.1.1.2", "192.0.2.1 192.0.2.2"),
        *("[192.0.2.1", "192.0.2.1:", "192.0.2.1:123456", "0300.0.2.1", "http://192.0.2.1", "192.0.2.1/32"),
        *("[]", "[::1]x", "٣.0.2.1", "192.0.2.1%1", "x" * 10_000),
    ],
)
def test_what_is_no_address_counts_for_the_proxy(xff):
    assert asked(PROXY, xff=xff).text == PROXY


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=192.0.2.1;proto=https;by=10.0.0.7", "192.0.2.1"),
        ("proto=https; for=192.0.2.1", "192.0.2.1"),
        ('for="192.0.2.1:4711"', "192.0.2.1"),
        ('for="[2001:db8::1]:4711"', "2001:db8::1"),
        ('for="[2001:db8::1]"', "2001:db8::1"),
        (r'for="192\.0.2.1"', "192.0.2.1"),
        ("for=192.0.2.99, for=192.0.2.1, for=10.1.1.1", "192.0.2.1"),
        ('for="a,b;c", for=192.0.2.1', "192.0.2.1"),
        ("for=unknown, for=192.0.2.1", "192.0.2.1"),
        ("by=10.0.0.7, for=192.0.2.1", "192.0.2.1"),
    ],
)
def test_rfc_7239_says_the_same(forwarded, expected):
    assert asked(PROXY, forwarded=forwarded).text == expected


@pytest.mark.parametrize(
    "forwarded",
    [
        *(
            "",
            "192.0.2.1",
            "for=",
            "for=unknown",
            "for=_hidden",
            "for=192.0.2.1, for=_hidden",
            "by=192.0.2.1",
        ),
        *(
            "for=192.0.2.1, by=10.0.0.7",
            "for=192.0.2.1;for=192.0.2.2",
            "for=2001:db8::1",
            "for=[2001:db8::1]",
        ),
        # a quote that the caller opened swallows what the proxy adds; then nobody knows who he is
        *('for="192.0.2.99, for=192.0.2.1', 'for="x, for="[2001:db8::1]"', 'for="\\, for=192.0.2.1'),
        *("for =192.0.2.1", "for=192.0.2.1;;;x", '"' * 10_000, "for=" * 5_000, "\\" * 10_000),
    ],
)
def test_what_rfc_7239_does_not_know_counts_for_the_proxy(forwarded):
    assert asked(PROXY, forwarded=forwarded).text == PROXY


def test_where_two_headers_agree_it_is_so():
    assert asked(PROXY, xff="192.0.2.9, 192.0.2.1", forwarded="for=192.0.2.1").text == "192.0.2.1"


@pytest.mark.parametrize(
    ("xff", "forwarded"),
    [
        ("192.0.2.1", "for=192.0.2.99"),
        ("192.0.2.99", "for=192.0.2.1"),
        ("192.0.2.1", "for=unknown"),
        ("192.0.2.1", ""),
        ("", "for=192.0.2.1"),
    ],
)
def test_where_two_headers_contradict_each_other_one_is_the_callers_own_and_none_counts(xff, forwarded):
    assert asked(PROXY, xff=xff, forwarded=forwarded).text == PROXY


@pytest.mark.parametrize("peer", [None, "", "unix:", "nowhere"])
def test_a_connection_without_an_address_comes_from_nowhere_whatever_it_says(peer):
    assert asked(peer, xff="192.0.2.1") == ClientAddress("", "")


def test_an_ipv6_address_is_counted_by_its_network_and_recorded_as_it_is():
    one = asked("2001:db8:1:2:aaaa::1")
    assert one == ClientAddress("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64")
    assert asked("2001:db8:1:2:ffff:ffff:ffff:ffff").network == one.network
    assert asked("2001:db8:1:3::1").network != one.network
    assert asked(PROXY, xff="2001:db8:1:2::77").network == one.network


@pytest.mark.parametrize("peer", ["::ffff:192.0.2.1", "192.0.2.1"])
def test_an_ipv4_address_is_one_however_it_is_written(peer):
    assert asked(peer) == ClientAddress("192.0.2.1", "192.0.2.1")


def test_the_zone_of_an_address_is_the_hosts_own():
    assert asked("fe80::1%eth0") == asked("fe80::1%eth1") == ClientAddress("fe80::1", "fe80::/64")


@given(st.text(max_size=60), st.one_of(st.none(), st.text(max_size=60)))
def test_anything_can_be_sent_and_it_is_an_address_that_comes_out(xff, forwarded):
    found = asked(PROXY, xff=xff, forwarded=forwarded)
    assert found.text
    assert asked(found.text, proxies=NO_PROXIES) == found


@given(st.text(alphabet='for=";,\\ 192.0[]:', max_size=60))
def test_what_the_caller_writes_never_replaces_what_the_proxy_adds(written):
    assert asked(PROXY, xff=f"{written}, 192.0.2.1").text == "192.0.2.1"
    assert asked(PROXY, forwarded=f"{written}, for=192.0.2.1").text in {"192.0.2.1", PROXY}
