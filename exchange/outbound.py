"""The only door out: fetch one small document from a host that may be hostile, slow or somebody else's.

The name is resolved once, every address is checked, and the connection goes to the very address that was
checked. A check of the name followed by a fetch of the name would let DNS answer twice (rebinding). One
deadline covers everything, from the name to each read from the socket.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Literal, TypeVar
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse

from exchange.addresses import is_private, is_public
from exchange.deadline_socket import DeadlineSocket, TlsConnection, TooMuchRead, remaining
from exchange.name_lookup import LookupTimedOut, NameLookup, Resolve

FetchFailure = Literal[
    "url_refused",
    "unresolvable",
    "lookup_timeout",
    "address_refused",
    "unreachable",
    "tls_failed",
    "timeout",
    "not_found",
    "redirected",
    "status_refused",
    "encoding_refused",
    "too_large",
    "broken",
]

MAX_DOCUMENT_BYTES: Final = 512 * 1024
MAX_ANSWER_BYTES: Final = 64 * 1024
"""Of an answer to a question of ours, whatever its status."""
_MAX_READ_BYTES: Final = 2 * MAX_DOCUMENT_BYTES
"""Headers, chunk sizes and trailers included: there need not be a document for them to be endless."""
_Read = TypeVar("_Read")
_CHUNK: Final = 16 * 1024
_CONNECT_SECONDS: Final = 1.5
"""For an address when there is another one to try; the last one gets all that is left."""
_MAX_ADDRESSES: Final = 4
_ACCEPTS_JSON: Final = {"Accept": "application/json, application/jwk-set+json"}
_HEADERS: Final = {
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": "token-exchange",
}

# urllib3 warns with the text of headers that it cannot parse: words of a stranger do not go into our log.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


class FetchFailed(Exception):  # noqa: N818  # an outcome to be handled, not a defect
    """Nothing usable came back. ``cause`` is ours, from a closed set; nothing of the other side is kept."""

    def __init__(self, cause: FetchFailure) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class _Location:
    secure: bool
    host: str
    port: int
    authority: str
    target: str


@dataclass(frozen=True, slots=True)
class Question:
    """What one server is asked. It holds a token and a secret of ours: nothing of it is ever printed."""

    method: Literal["GET", "POST"]
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back, whatever it says; nothing is followed, and nothing is inflated."""

    status: int
    content_type: str
    """The media type alone, in lower case; empty when there is none."""
    body: bytes = field(repr=False)


class Fetcher:
    """Fetches documents; safe to share between threads. ``resolve`` and ``tls`` replace the system's own."""

    def __init__(self, *, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._look_up = NameLookup(resolve)
        self._tls = tls or ssl.create_default_context()  # SSL_CERT_FILE and SSL_CERT_DIR add authorities

    def get(
        self, url: str, *, allow_insecure_http: bool, allow_private_network: bool, deadline: float
    ) -> bytes:
        """Return the body of a 200 answer, of at most ``MAX_DOCUMENT_BYTES``.

        ``deadline`` is in seconds of ``time.monotonic`` and covers everything.
        ``https`` only; ``http`` where allowed and to loopback alone. No redirect, retry, proxy, cookie or
        compression. Raises ``FetchFailed``, and nothing else.
        """
        return self._exchange(
            Question("GET", url, _ACCEPTS_JSON),
            _read_document,
            allow_insecure_http=allow_insecure_http,
            allow_private_network=allow_private_network,
            deadline=deadline,
        )

    def get_dated(
        self, url: str, *, allow_insecure_http: bool, allow_private_network: bool, deadline: float
    ) -> tuple[bytes, str]:
        """Return the body as ``get`` does, and what ``Date`` of the answer says, or an empty text."""
        return self._exchange(
            Question("GET", url, _ACCEPTS_JSON),
            lambda response: (_read_document(response), response.headers.get("Date", "")),
            allow_insecure_http=allow_insecure_http,
            allow_private_network=allow_private_network,
            deadline=deadline,
        )

    def ask(
        self, question: Question, *, allow_insecure_http: bool, allow_private_network: bool, deadline: float
    ) -> HttpAnswer:
        """Return the answer, of at most ``MAX_ANSWER_BYTES``, of any status. Otherwise as ``get``."""
        return self._exchange(
            question,
            _read_answer,
            allow_insecure_http=allow_insecure_http,
            allow_private_network=allow_private_network,
            deadline=deadline,
        )

    def _exchange(
        self,
        question: Question,
        read: Callable[[BaseHTTPResponse], _Read],
        *,
        allow_insecure_http: bool,
        allow_private_network: bool,
        deadline: float,
    ) -> _Read:
        try:
            location = _accept(question.url, allow_insecure_http=allow_insecure_http)
            addresses = self._addresses(
                location, allow_private_network=allow_private_network, deadline=deadline
            )
            return self._send(question, read, location, addresses, deadline)
        except FetchFailed:
            raise
        except (TimeoutError, ReadTimeoutError):
            raise FetchFailed("timeout") from None
        except ssl.SSLError:
            raise FetchFailed("tls_failed") from None
        except TooMuchRead:
            raise FetchFailed("too_large") from None
        except Exception:  # noqa: BLE001  # whatever a hostile answer makes a library raise, it ends here
            raise FetchFailed("broken") from None

    def _addresses(self, location: _Location, *, allow_private_network: bool, deadline: float) -> list[str]:
        try:
            found = [ip_address(text) for text in self._look_up(location.host, location.port, deadline)]
        except LookupTimedOut:
            raise FetchFailed("lookup_timeout") from None
        except (OSError, UnicodeError):
            raise FetchFailed("unresolvable") from None
        if not found:
            raise FetchFailed("unresolvable")
        # All of them: a name that answers with a public and a private address is trying something.
        for address in found:
            if location.secure:
                allowed = is_public(address) or (allow_private_network and is_private(address))
            else:
                allowed = address.is_loopback  # reached only where http was allowed
            if not allowed:
                raise FetchFailed("address_refused")
        return [str(address) for address in found[:_MAX_ADDRESSES]]

    def _send(
        self,
        question: Question,
        read: Callable[[BaseHTTPResponse], _Read],
        location: _Location,
        addresses: list[str],
        deadline: float,
    ) -> _Read:
        connection = self._connect(location, addresses, deadline)
        try:
            connection.sock = DeadlineSocket(connection.sock, deadline, _MAX_READ_BYTES)
            connection.request(
                question.method,
                location.target,
                body=question.body or None,
                headers={"Host": location.authority, **_HEADERS, **question.headers},
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            try:
                return read(response)
            finally:
                response.close()
        finally:
            connection.close()

    def _connect(
        self, location: _Location, addresses: list[str], deadline: float
    ) -> HTTPConnection | HTTPSConnection:
        for position, address in enumerate(addresses, start=1):
            last = position == len(addresses)
            until = deadline if last else min(deadline, time.monotonic() + _CONNECT_SECONDS)
            connection = self._connection(location, address, until)
            try:
                connection.connect()
            except (ConnectTimeoutError, NewConnectionError, TimeoutError):
                connection.close()
                if last:
                    raise FetchFailed("unreachable" if time.monotonic() < deadline else "timeout") from None
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise FetchFailed("unreachable")

    def _connection(
        self, location: _Location, address: str, until: float
    ) -> HTTPConnection | HTTPSConnection:
        seconds = remaining(until)
        if not location.secure:
            return HTTPConnection(address, location.port, timeout=seconds)
        # server_hostname is what SNI says and what the certificate must be for; the address is only where.
        return TlsConnection(
            address,
            location.port,
            timeout=seconds,
            server_hostname=location.host,
            ssl_context=self._tls,
            until=until,
        )


def _accept(url: str, *, allow_insecure_http: bool) -> _Location:
    # Parsers differ on control characters, spaces and backslashes; urlsplit drops some of them.
    if not url.isascii() or not url.isprintable() or set(url) & set(" \\#"):
        raise FetchFailed("url_refused")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise FetchFailed("url_refused") from None
    secure = parts.scheme == "https"
    if not secure and not (allow_insecure_http and parts.scheme == "http"):
        raise FetchFailed("url_refused")
    if not host or "@" in parts.netloc or "%" in parts.netloc or port == 0:
        raise FetchFailed("url_refused")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Location(secure, host, port or (443 if secure else 80), parts.netloc, target)


def _read_document(response: BaseHTTPResponse) -> bytes:
    if response.status == 404:  # noqa: PLR2004
        raise FetchFailed("not_found")
    if response.status != 200:  # noqa: PLR2004
        raise FetchFailed("redirected" if 300 <= response.status < 400 else "status_refused")  # noqa: PLR2004
    return _read_body(response, MAX_DOCUMENT_BYTES)


def _read_answer(response: BaseHTTPResponse) -> HttpAnswer:
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return HttpAnswer(response.status, content_type, _read_body(response, MAX_ANSWER_BYTES))


def _read_body(response: BaseHTTPResponse, limit: int) -> bytes:
    # Nothing is ever inflated: 50 kB of gzip are 50 MB of memory.
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise FetchFailed("encoding_refused")
    if int(response.headers.get("Content-Length", "0")) > limit:
        raise FetchFailed("too_large")
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > limit:
            raise FetchFailed("too_large")
    return bytes(body)
