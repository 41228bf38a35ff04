"""Normalised URIs (RFC 3986 §6.2.2, §6.2.3): equal URIs become one text, and others never do."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tokens.htu import normalised


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://a.example", "https://a.example/"),
        ("https://a.example/", "https://a.example/"),
        ("https://a.example?x", "https://a.example/"),
        ("https://a.example#x", "https://a.example/"),
        ("https://a.example/t?x#y", "https://a.example/t"),
        ("HTTPS://A.Example/T", "https://a.example/T"),
        ("https://a.example:443/t", "https://a.example/t"),
        ("https://a.example:0443/t", "https://a.example/t"),
        ("http://a.example:80/t", "http://a.example/t"),
        ("https://a.example:80/t", "https://a.example:80/t"),
        ("https://a.example:/t", "https://a.example/t"),
        ("https://a.example/%7et/%2f%c3%a9", "https://a.example/~t/%2F%C3%A9"),
        ("https://%41.example/", "https://a.example/"),
        ("https://a%c3%a9.example/", "https://a%C3%A9.example/"),
        ("https://a.example/a/b/../c", "https://a.example/a/c"),
        ("https://a.example/a/%2e%2E/c", "https://a.example/c"),
        ("https://a.example/../../c", "https://a.example/c"),
        ("https://a.example/a/.", "https://a.example/a/"),
        ("https://a.example/a/b/..", "https://a.example/a/"),
        ("https://a.example//t", "https://a.example//t"),
        ("https://a.example/t/", "https://a.example/t/"),
        ("http://127.0.0.1:8080/token", "http://127.0.0.1:8080/token"),
        ("http://[::1]:8080/token", "http://[::1]:8080/token"),
        ("http://[FE80::1]/token", "http://[fe80::1]/token"),
    ],
)
def test_one_form(uri, expected):
    assert normalised(uri) == expected
    assert normalised(expected) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "a",
        "/token",
        "//a.example/token",
        "https:/a.example/token",
        "https:///token",
        "https://:443/token",
        "ftp://a.example/token",
        "https://user@a.example/token",
        "https://user:secret@a.example/token",
        "https://a.example/to ken",
        "https://a.example/token\n",
        "\thttps://a.example/token",
        "https://a.example\\token",
        "https://a.exa\tmple/token",
        "https://a.example:44x/token",
        "https://a.example:443:443/token",
        "https://a.example/%4",
        "https://a.example/%zz",
        "https://a.example/é",
        "https://é.example/",
        "https://a.example/t?a b",
        "https://a.example/t#a#b",
        "https://[::1/token",
        "https://::1]/token",
        "https://[v1.x]/token",
        "https://a.example/\x00",
        "https://a.example/|",
    ],
)
def test_what_is_no_absolute_uri_of_the_web_has_none(uri):
    assert normalised(uri) is None


PCHARS = "abzABZ09-._~!$&'()*+,;=:@"
segments = st.lists(
    st.text(PCHARS, max_size=6) | st.sampled_from([".", "..", "%2e", "%41", "%2F"]), max_size=6
)
hosts = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,10}[a-zA-Z0-9])?", fullmatch=True)
ports = st.none() | st.integers(1, 65535)


@st.composite
def uris(draw):
    scheme, host, port = draw(st.sampled_from(["http", "https", "HTTPS"])), draw(hosts), draw(ports)
    path = "".join(f"/{segment}" for segment in draw(segments))
    query = draw(st.sampled_from(["", "?", "?x=/../y", "#f", "?x#f"]))
    return f"{scheme}://{host}{f':{port}' if port is not None else ''}{path}{query}"


@given(uris())
def test_the_normal_form_is_its_own(uri):
    once = normalised(uri)
    assert once is not None
    assert normalised(once) == once


@given(uris())
def test_it_is_about_the_same_host_and_port(uri):
    parts, normal = urlsplit(uri), urlsplit(normalised(uri))
    default = {"http": 80, "https": 443}
    assert normal.hostname == parts.hostname
    assert normal.scheme == parts.scheme
    assert (normal.port or default[normal.scheme]) == (parts.port or default[parts.scheme])
    assert (normal.query, normal.fragment) == ("", "")


@given(uris())
def test_no_dot_segment_is_left_and_nothing_is_decoded_that_means_something(uri):
    path = normalised(uri).partition("://")[2].partition("/")[2]
    assert not {".", ".."} & set(path.split("/"))
    assert uri.upper().count("%2F") >= path.upper().count("%2F")
    assert unquote(path) is not None


@given(uris(), uris())
def test_two_that_differ_in_host_or_port_never_meet(one, other):
    first, second = urlsplit(one), urlsplit(other)
    if first.hostname != second.hostname:
        assert normalised(one) != normalised(other)


@given(st.text(max_size=80))
def test_any_text_has_a_form_or_none_and_never_an_error(text):
    found = normalised(text)
    assert found is None or normalised(found) == found
