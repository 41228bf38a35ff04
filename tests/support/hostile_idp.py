"""An IdP that misbehaves in every way that HTTP allows, over real sockets on loopback."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import ipaddress
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Behaviour = Callable[[BaseHTTPRequestHandler], None]


class HostileIdp:
    """Serves ``behaviours[path]``, by default 404, and counts the requests of each path in ``hits``.

    ``with HostileIdp() as idp:`` serves until the block ends. With ``tls`` it speaks https.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.hits: Counter[str] = Counter()
        self.host_headers: list[str | None] = []
        self.request_headers: list[dict[str, str]] = []
        self.let_go = threading.Event()
        """Ends every ``hang``."""
        self._scheme = "https" if tls else "http"
        self._server = _Server((host, port), _handler_of(self))
        if tls:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def on(self, path: str, behaviour: Behaviour) -> str:
        """Serve ``behaviour`` at ``path``; returns the whole URL."""
        self.behaviours[path] = behaviour
        return self.url + path

    def serve_issuer(self, *jwks: Any, path: str = "", **metadata: Any) -> str:
        """Serve honest metadata and keys; returns the issuer identifier."""
        issuer = self.url + path
        jwks_uri = self.on(f"{path}/jwks", json_of({"keys": list(jwks)}))
        self.on(
            f"{path}/.well-known/openid-configuration",
            json_of({"issuer": issuer, "jwks_uri": jwks_uri, **metadata}),
        )
        return issuer

    def hang(self, _: BaseHTTPRequestHandler) -> None:
        """Say nothing until ``let_go``."""
        self.let_go.wait(30)


def json_of(value: object) -> Behaviour:
    return answer(body=json.dumps(value).encode())


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Behaviour:
    """An ordinary answer; ``Content_Type="text/html"`` sets a header."""

    def behave(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return behave


def raw(data: bytes, *, again: float | None = None) -> Behaviour:
    """Bytes as they are, head included; sent again and again every ``again`` seconds where given."""

    def behave(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(data)
        while again is not None:
            time.sleep(again)
            request.wfile.write(data)

    return behave


def drip_body(request: BaseHTTPRequestHandler) -> None:
    """One byte now and then: no single read ever times out."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(600):
        request.wfile.write(b" ")
        time.sleep(0.05)


def drip_headers(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(600):
        request.wfile.write(b"a")
        time.sleep(0.05)


def endless_chunks(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        request.wfile.write(b"4000\r\n" + b" " * 0x4000 + b"\r\n")


def gzip_bomb(request: BaseHTTPRequestHandler) -> None:
    answer(body=gzip.compress(b" " * 20_000_000), Content_Encoding="gzip")(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Whoever hangs up on a hostile server is right."""


def _handler_of(idp: HostileIdp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            idp.hits[self.path] += 1
            idp.host_headers.append(self.headers["Host"])
            idp.request_headers.append(dict(self.headers))
            self.close_connection = True
            with contextlib.suppress(OSError):
                idp.behaviours.get(self.path, answer(404))(self)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class Authority:
    """A certificate authority of our own, in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority")])
        certificate = self._build(self._name, self._key.public_key(), ca=True, alternative=None)
        self.file = directory / "authority.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server_context(self, *names: str) -> ssl.SSLContext:
        """TLS for a server that proves to be each of ``names``, host names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName([_general_name(name) for name in names])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        certificate = self._build(subject, key.public_key(), ca=False, alternative=alternative)
        file = self._directory / f"server-{certificate.serial_number}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.file)

    def _build(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        ca: bool,
        alternative: x509.SubjectAlternativeName | None,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if alternative:
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
