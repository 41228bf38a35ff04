from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from exchange import deadline_socket
from exchange.name_lookup import LookupTimedOut, NameLookup
from exchange.outbound import MAX_ANSWER_BYTES, MAX_DOCUMENT_BYTES, Fetcher, FetchFailed, Question
from tests.support.hostile_idp import (
    Authority,
    HostileIdp,
    answer,
    drip_body,
    drip_headers,
    endless_chunks,
    gzip_bomb,
    json_of,
    raw,
)
from tests.support.introspection import Endpoint


@pytest.fixture
def idp():
    with HostileIdp() as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def unplugged(monkeypatch):
    """Nothing leaves this machine: what was found acceptable is as far as it goes."""

    def connect(*_):
        raise FetchFailed("unreachable")

    monkeypatch.setattr(Fetcher, "_connect", connect)


def get(url, *, fetcher=None, http=True, private=False, seconds=5.0):
    return (fetcher or Fetcher()).get(
        url, allow_insecure_http=http, allow_private_network=private, deadline=time.monotonic() + seconds
    )


def cause_of(url, **options):
    with pytest.raises(FetchFailed) as failed:
        get(url, **options)
    assert failed.value.__cause__ is None
    return failed.value.cause


class Resolver:
    """A DNS of our own: gives the next of ``answers`` each time, and the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, host, port):
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        return found


# --- what comes back --------------------------------------------------------------------------------------------


def test_a_plain_answer_is_returned_whole(idp):
    body = b'{"keys":[' + b" " * 400_000 + b"]}"
    assert get(idp.on("/jwks?tenant=a", answer(body=body))) == body
    assert idp.request_headers[0]["Accept-Encoding"] == "identity"
    assert not {"Cookie", "Authorization"} & set(idp.request_headers[0])


def test_a_chunked_answer_is_returned_whole(idp):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    assert get(idp.on("/", raw(chunked))) == b"{}"


def test_an_answer_of_http_1_0_without_length_is_returned_whole(idp):
    assert get(idp.on("/", raw(b"HTTP/1.0 200 OK\r\n\r\n{}"))) == b"{}"


def test_the_largest_allowed_answer_passes_and_one_byte_more_does_not(idp):
    assert len(get(idp.on("/", answer(body=b" " * MAX_DOCUMENT_BYTES)))) == MAX_DOCUMENT_BYTES
    assert cause_of(idp.on("/", answer(body=b" " * (MAX_DOCUMENT_BYTES + 1)))) == "too_large"


def test_ten_megabytes_are_refused_by_their_announcement_and_by_their_size(idp):
    assert cause_of(idp.on("/", answer(body=b" " * 10_000_000))) == "too_large"
    unannounced = raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b" " * 10_000_000)
    assert cause_of(idp.on("/", unannounced)) == "too_large"
    assert cause_of(idp.on("/", endless_chunks)) == "too_large"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(idp, status):
    elsewhere = idp.on("/elsewhere", json_of({}))
    assert cause_of(idp.on("/", answer(status, Location=elsewhere))) == "redirected"
    assert idp.hits == {"/": 1}


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (404, "not_found"),
        (201, "status_refused"),
        (204, "status_refused"),
        (206, "status_refused"),
        (400, "status_refused"),
        (401, "status_refused"),
        (429, "status_refused"),
        (500, "status_refused"),
        (503, "status_refused"),
    ],
)
def test_only_200_is_an_answer_and_nothing_is_tried_twice(idp, status, cause):
    assert cause_of(idp.on("/", answer(status, b"" if status == 204 else b"{}"))) == cause
    assert idp.hits == {"/": 1}


def test_compressed_answers_are_refused_and_never_inflated(idp):
    assert cause_of(idp.on("/", gzip_bomb)) == "encoding_refused"
    for name in ("br", "zstd", "x-gzip", "gzip, identity"):
        assert cause_of(idp.on("/", answer(body=b"{}", Content_Encoding=name))) == "encoding_refused"
    assert get(idp.on("/", answer(body=b"{}", Content_Encoding="Identity"))) == b"{}"


@pytest.mark.parametrize("behaviour", [drip_body, drip_headers], ids=["body", "headers"])
def test_a_drip_ends_at_the_deadline_though_no_read_ever_times_out(idp, behaviour):
    url, started = idp.on("/", behaviour), time.monotonic()
    assert cause_of(url, seconds=0.4) == "timeout"
    assert time.monotonic() - started < 1.5


def test_endless_interim_answers_end_at_the_deadline(idp):
    url = idp.on("/", raw(b"HTTP/1.1 100 Continue\r\n\r\n", again=0.02))
    assert cause_of(url, seconds=0.4) == "timeout"


def test_silence_ends_at_the_deadline(idp):
    assert cause_of(idp.on("/", idp.hang), seconds=0.3) == "timeout"


def test_a_deadline_that_has_passed_connects_to_nobody(idp):
    assert cause_of(idp.on("/", json_of({})), seconds=-1) == "timeout"
    assert not idp.hits


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
    ],
    ids=[
        "nothing",
        "another protocol",
        "no status",
        "500 headers",
        "long header",
        "length is a word",
        "chunk size is a word",
        "chunk cut off",
        "body cut off",
    ],
)
def test_what_is_not_http_is_broken_and_nothing_else_is_raised(idp, data, caplog):
    assert cause_of(idp.on("/", raw(data))) == "broken"
    assert not caplog.records


def test_headers_that_cannot_be_parsed_are_not_logged(idp, caplog):
    """urllib3 would log the stranger's words at WARNING."""
    get(idp.on("/", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno colon, token=secret\r\nX: y\r\n\r\n{}")))
    assert not caplog.records


# --- where it goes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "idp.example",
        "//idp.example/",
        "ftp://idp.example/",
        "file:///etc/passwd",
        "data:application/json,{}",
        "https://",
        "https:///jwks",
        "https://user@idp.example/",
        "https://user:password@idp.example/",
        "https://@idp.example/",
        "https://idp.example\\@mallory.example/",
        "https://idp.example/ jwks",
        "https://idp.example/\njwks",
        "https://idp.example\t/jwks",
        "https://idp.example/#fragment",
        "https://idp.example:0/",
        "https://idp.example:99999/",
        "https://idp.example:port/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://b\u00fccher.example/",
        "https://idp.example/\u2028",
        "HTTPS\u200b://idp.example/",
    ],
)
def test_an_odd_url_is_refused_before_its_name_is_resolved(url):
    resolver = Resolver(["127.0.0.1"])
    assert cause_of(url, fetcher=Fetcher(resolve=resolver), private=True) == "url_refused"
    assert not resolver.asked


def test_http_needs_permission_and_loopback(idp):
    url = idp.on("/", json_of({}))
    assert cause_of(url, http=False, private=True) == "url_refused"
    assert get(url, http=True, private=False) == b"{}"
    private = Fetcher(resolve=Resolver(["10.0.0.1"]))
    assert cause_of("http://idp.test/", fetcher=private, http=True, private=True) == "address_refused"
    public = Fetcher(resolve=Resolver(["93.184.216.34"]))
    assert cause_of("http://idp.test/", fetcher=public, http=True, private=True) == "address_refused"


NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9"),
    *(
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
    ),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *(
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:93.184.216.34",
        "::127.0.0.1",
        "64:ff9b::a00:1",
    ),
    *(
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:a00:1::",
        "2002:7f00:1::1",
        "2001::1",
        "2001:db8::1",
        "100::1",
    ),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "3fff::1", "4000::1"),
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
@pytest.mark.usefixtures("unplugged")
def test_an_address_that_is_not_public_is_refused(address):
    assert cause_of("https://idp.test/", fetcher=Fetcher(resolve=Resolver([address]))) == "address_refused"


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1", "64:ff9b::808:808"]
)
@pytest.mark.usefixtures("unplugged")
def test_public_addresses_are_not_refused(address):
    assert cause_of("https://idp.test/", fetcher=Fetcher(resolve=Resolver([address]))) == "unreachable"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "ff02::1",
        "::ffff:169.254.169.254",
        "2002:a9fe:a9fe::",
    ],
)
@pytest.mark.usefixtures("unplugged")
def test_not_even_the_private_network_has_these(address):
    fetcher = Fetcher(resolve=Resolver([address]))
    assert cause_of("https://idp.test/", fetcher=fetcher, private=True) == "address_refused"


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "::1", "fd00::1"]
)
@pytest.mark.usefixtures("unplugged")
def test_the_private_network_opens_when_it_is_allowed(address):
    fetcher = Fetcher(resolve=Resolver([address]))
    assert cause_of("https://idp.test/", fetcher=fetcher, private=True) == "unreachable"


@pytest.mark.usefixtures("unplugged")
def test_one_private_address_among_public_ones_is_enough_to_refuse():
    mixed = Fetcher(resolve=Resolver(["93.184.216.34", "10.0.0.1"]))
    assert cause_of("https://idp.test/", fetcher=mixed) == "address_refused"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_every_spelling_of_loopback_is_loopback(host):
    assert cause_of(f"https://{host}:1/") in {"address_refused", "unresolvable"}


@pytest.mark.parametrize("failure", [socket.gaierror(), TimeoutError(), UnicodeError(), OSError()])
def test_a_name_that_does_not_resolve_is_unresolvable(failure):
    assert cause_of("https://idp.test/", fetcher=Fetcher(resolve=Resolver(failure))) == "unresolvable"
    assert cause_of("https://idp.test/", fetcher=Fetcher(resolve=Resolver([]))) == "unresolvable"
    assert cause_of(f"https://{'a' * 64}.test/") == "unresolvable"


def test_a_resolver_that_breaks_is_broken():
    assert cause_of("https://idp.test/", fetcher=Fetcher(resolve=Resolver(RuntimeError()))) == "broken"
    assert cause_of("https://idp.test/", fetcher=Fetcher(resolve=Resolver(["not an address"]))) == "broken"


def test_the_connection_goes_to_the_address_that_was_checked_whatever_dns_says_next(idp):
    """DNS rebinding: the second answer would be another host, and it is never asked for."""
    idp.on("/jwks", json_of({"from": "checked"}))
    with HostileIdp(host="127.0.0.2", port=idp.port) as rebound:
        rebound.on("/jwks", json_of({"from": "rebound"}))
        resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])
        fetcher = Fetcher(resolve=resolver)
        assert get(f"http://idp.test:{idp.port}/jwks", fetcher=fetcher) == b'{"from": "checked"}'
        assert resolver.asked == ["idp.test"]
        assert not rebound.hits
    assert idp.host_headers == [f"idp.test:{idp.port}"]


def test_an_address_that_does_not_answer_gives_way_to_the_next(idp):
    idp.on("/", json_of({}))
    fetcher = Fetcher(resolve=Resolver(["127.0.0.3", "127.0.0.1"]))
    assert get(f"http://idp.test:{idp.port}/", fetcher=fetcher) == b"{}"


def test_a_port_where_nobody_listens_is_unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert cause_of(f"http://127.0.0.1:{unused.getsockname()[1]}/") == "unreachable"


@pytest.mark.parametrize(
    "name", ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
)
def test_proxies_of_the_environment_are_not_used(idp, monkeypatch, name):
    with HostileIdp() as proxy:
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert get(idp.on("/", json_of({}))) == b"{}"
        assert not proxy.hits


# --- to whom it speaks ------------------------------------------------------------------------------------------


def test_https_verifies_the_certificate_for_the_name_and_not_for_the_address(authority):
    with HostileIdp(tls=authority.server_context("idp.test")) as idp:
        idp.on("/jwks", json_of({"keys": []}))
        fetcher = Fetcher(resolve=Resolver(["127.0.0.1"]), tls=authority.client_context())
        url = f"https://idp.test:{idp.port}/jwks"
        assert get(url, fetcher=fetcher, private=True, http=False) == b'{"keys": []}'
        assert cause_of(url, fetcher=fetcher, private=False) == "address_refused"
        assert cause_of(f"https://other.test:{idp.port}/jwks", fetcher=fetcher, private=True) == "tls_failed"
        assert cause_of(f"https://127.0.0.1:{idp.port}/jwks", fetcher=fetcher, private=True) == "tls_failed"
        assert idp.hits == {"/jwks": 1}


def test_a_certificate_for_an_address_serves_that_address(authority):
    with HostileIdp(tls=authority.server_context("127.0.0.1")) as idp:
        idp.on("/jwks", json_of({}))
        fetcher = Fetcher(tls=authority.client_context())
        assert get(f"{idp.url}/jwks", fetcher=fetcher, private=True) == b"{}"


def test_an_authority_that_nobody_added_is_not_believed(authority, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with HostileIdp(tls=authority.server_context("127.0.0.1")) as idp:
        idp.on("/jwks", json_of({}))
        assert cause_of(f"{idp.url}/jwks", private=True) == "tls_failed"
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert get(f"{idp.url}/jwks", private=True) == b"{}"


def test_plain_http_behind_an_https_url_fails(idp):
    assert cause_of(idp.url.replace("http:", "https:") + "/", private=True) in {"tls_failed", "broken"}


# --- within the deadline, altogether ----------------------------------------------------------------------------


class HangingResolver:
    """Name servers that swallow questions, until ``let_go``."""

    def __init__(self):
        self.asked = []
        self.let_go = threading.Event()

    def __call__(self, host, _port):
        self.asked.append(host)
        self.let_go.wait(30)
        return ["127.0.0.1"]


@pytest.fixture
def hanging():
    resolver = HangingResolver()
    yield resolver
    resolver.let_go.set()


def test_name_servers_that_hang_end_at_the_deadline(hanging):
    started = time.monotonic()
    assert cause_of("https://idp.test/", fetcher=Fetcher(resolve=hanging), seconds=0.2) == "lookup_timeout"
    assert time.monotonic() - started < 2


def test_a_name_that_hangs_holds_one_thread_however_often_it_is_asked_for(hanging):
    fetcher = Fetcher(resolve=hanging)
    for _ in range(20):
        assert cause_of("https://idp.test/", fetcher=fetcher, seconds=0.01) == "lookup_timeout"
    assert hanging.asked == ["idp.test"]
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "name-lookup"] == [True]


def test_a_name_is_asked_for_anew_once_its_lookup_has_ended(idp, hanging):
    idp.on("/", json_of({}))
    fetcher = Fetcher(resolve=hanging)
    url = f"http://idp.test:{idp.port}/"
    assert cause_of(url, fetcher=fetcher, seconds=0.05) == "lookup_timeout"
    hanging.let_go.set()
    assert get(url, fetcher=fetcher) == b"{}"
    assert get(url, fetcher=fetcher) == b"{}"
    assert len(hanging.asked) in {2, 3}  # the second may have shared the end of the first


def test_names_that_hang_do_not_hold_up_others_and_are_bounded(hanging):
    def resolve(host, port):
        return hanging(host, port) if "hang" in host else ["127.0.0.1"]

    look_up = NameLookup(resolve, max_lookups=3)
    for number in range(2):
        with pytest.raises(LookupTimedOut):
            look_up(f"hang-{number}.test", 443, time.monotonic())
        assert look_up("idp.test", 443, time.monotonic() + 5) == ["127.0.0.1"]
    with pytest.raises(LookupTimedOut):
        look_up("hang-2.test", 443, time.monotonic())
    with pytest.raises(LookupTimedOut):  # at once: no thread is left to ask
        look_up("idp.test", 443, time.monotonic() + 60)
    assert look_up("10.0.0.1", 443, time.monotonic()) == ["10.0.0.1"]  # an address needs nobody
    hanging.let_go.set()
    wait_until(lambda: not any(thread.name == "name-lookup" for thread in threading.enumerate()))
    assert look_up("idp.test", 443, time.monotonic() + 5) == ["127.0.0.1"]


def test_a_lookup_thread_that_cannot_be_started_is_a_name_that_does_not_resolve(monkeypatch):
    def no_more(_):
        raise RuntimeError

    fetcher = Fetcher(resolve=Resolver(["127.0.0.1"]))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        assert cause_of("https://idp.test:1/", fetcher=fetcher, private=True) == "unresolvable"
    assert cause_of("https://idp.test:1/", fetcher=fetcher, private=True) == "unreachable"


def test_those_who_ask_for_a_name_together_share_the_answer(hanging):
    look_up, found = NameLookup(hanging), []
    threads = [
        threading.Thread(target=lambda: found.append(look_up("idp.test", 443, time.monotonic() + 20)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: hanging.asked)
    time.sleep(0.05)
    hanging.let_go.set()
    for thread in threads:
        thread.join()
    assert found == [["127.0.0.1"]] * 8
    assert len(hanging.asked) <= 2


def wait_until(done):
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TwoFacedServer:
    """Accepts connections, and then does with each what ``behave`` does: nothing that is TLS."""

    def __init__(self, behave):
        self._behave = behave
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._socket.accept()
                threading.Thread(target=self._one, args=(accepted,), daemon=True).start()

    def _one(self, accepted):
        with contextlib.suppress(OSError), accepted:
            self._behave(accepted)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.close()


def drip_handshake(accepted):
    accepted.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")  # a record and a ServerHello that never end
    for _ in range(600):
        accepted.sendall(b"\x00")
        time.sleep(0.02)


@pytest.mark.parametrize("behave", [drip_handshake, lambda _: time.sleep(5)], ids=["drip", "silence"])
def test_a_tls_handshake_gets_no_time_of_its_own(behave):
    """urllib3 would give it the whole time again, after what connecting took."""
    with TwoFacedServer(behave) as server:
        started = time.monotonic()
        url = f"https://127.0.0.1:{server.port}/"
        assert cause_of(url, private=True, seconds=0.4) == "timeout"
        assert time.monotonic() - started < 1.5


def test_a_handshake_begins_with_what_connecting_has_left():
    given = []

    class Connected:
        def settimeout(self, seconds):
            given.append(seconds)

        def close(self):
            given.append("closed")

    for until in (time.monotonic() + 3, time.monotonic() - 1):
        connection = deadline_socket.TlsConnection("127.0.0.1", 1, timeout=5, until=until)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deadline_socket.HTTPSConnection, "_new_conn", lambda _: Connected())
            with contextlib.suppress(TimeoutError):
                connection._new_conn()
    assert 2 < given[0] <= 3
    assert given[1:] == ["closed"]


def test_endless_framing_around_a_small_document_is_too_large(idp):
    """Chunk extensions and trailers are no part of the body, and http.client reads them as long as they come."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def endless(before, again):
        def behave(request):
            request.wfile.write(head + before)
            while True:
                request.wfile.write(again * 500)

        return behave

    trailers = endless(b"2\r\n{}\r\n0\r\n", b"X-Trailer: and so on\r\n")
    assert cause_of(idp.on("/trailers", trailers)) == "too_large"
    tiny = endless(b"", b"1;" + b"x" * 1000 + b"\r\n \r\n")
    assert cause_of(idp.on("/extensions", tiny)) == "too_large"
    interim = raw(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 100_000)
    assert cause_of(idp.on("/interim", interim)) == "too_large"


# --- private addresses in disguise ------------------------------------------------------------------------------


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize(
    "address",
    [
        "::ffff:10.0.0.1",
        "::ffff:a00:1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "2002:a00:1::1",
        "::10.0.0.1",
    ],
)
@pytest.mark.usefixtures("unplugged")
def test_a_private_address_in_the_form_of_ipv6_is_refused(address, private):
    """allow_private_network opens addresses, not ways around them."""
    fetcher = Fetcher(resolve=Resolver([address]))
    assert cause_of("https://idp.test/", fetcher=fetcher, private=private) == "address_refused"
    literal = f"https://[{address}]/"
    assert (
        cause_of(literal, fetcher=Fetcher(resolve=Resolver(AssertionError())), private=private)
        == "address_refused"
    )


@pytest.mark.parametrize("mixed", [["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["2606:4700::1", "::1"]])
@pytest.mark.usefixtures("unplugged")
def test_the_order_of_a_mixed_answer_does_not_matter(mixed):
    assert cause_of("https://idp.test/", fetcher=Fetcher(resolve=Resolver(mixed))) == "address_refused"


# --- questions --------------------------------------------------------------------------------------------------


def ask(url, **headers):
    question = Question("POST", url, {"Content-Type": "text/plain", **headers}, b"the-body")
    deadline = time.monotonic() + 5
    return Fetcher().ask(question, allow_insecure_http=True, allow_private_network=False, deadline=deadline)


def test_a_question_is_sent_as_it_is_and_its_answer_returned_whatever_its_status():
    with Endpoint(lambda _: (418, {"Content-Type": "Text/Plain; charset=utf-8"}, b"short")) as endpoint:
        found = ask(endpoint.url, Authorization="Basic abc")
        assert (found.status, found.content_type, found.body) == (418, "text/plain", b"short")
        (asked,) = endpoint.asked
        assert (asked.method, asked.body, asked.headers["Content-Length"]) == ("POST", b"the-body", "8")
        assert asked.headers["Authorization"] == "Basic abc"


def test_a_question_is_not_put_again_to_where_its_answer_leads():
    with Endpoint(lambda _: (307, {"Location": "/elsewhere"}, b"")) as endpoint:
        assert ask(endpoint.url).status == 307
        assert len(endpoint.asked) == 1


def test_the_largest_answer_passes_and_one_byte_more_does_not():
    with Endpoint(lambda asked: (200, {}, b" " * (MAX_ANSWER_BYTES + len(asked.path) - 1))) as endpoint:
        assert len(ask(endpoint.url + "/").body) == MAX_ANSWER_BYTES
        with pytest.raises(FetchFailed, match="too_large"):
            ask(endpoint.url + "/x")


def test_nothing_of_a_question_is_printed():
    question = Question("POST", "https://x.example/?token=secret", {"Authorization": "secret"}, b"secret")
    assert "secret" not in repr(question)
