"""Real proxies that end mutual TLS in front of the service, with the very configuration that the docs show."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

import pytest
import requests

from tests.docs.pages import blocks, page
from tests.interop.peers import NOT_RUN
from tests.support.certificates import SERVER_USAGE, Certificate
from tests.support.service import free_port

_START_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One proxy: its block in ``docs/operating.md``, and what that page says of self-signed certificates."""

    program: str
    header: str
    strict: str
    lax: str
    directory: str
    """Where the page has its files."""
    around: str
    """What a whole file needs beside the block; ``{}`` is the block, ``[home]`` where temporary files go."""
    command: Callable[[str, Path], list[str]]


_NGINX_AROUND: Final = """\
daemon off;
master_process off;
error_log stderr;
pid [home]/nginx.pid;
events {}
http {
access_log off;
client_body_temp_path [home]/body;
proxy_temp_path [home]/proxy;
fastcgi_temp_path [home]/fastcgi;
uwsgi_temp_path [home]/uwsgi;
scgi_temp_path [home]/scgi;
BLOCK}
"""
_HAPROXY_AROUND: Final = """\
defaults
    timeout connect 5s
    timeout client 15s
    timeout server 15s

BLOCK"""

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "nginx": Kind(
            program="nginx",
            header="X-Client-Certificate",
            strict="ssl_verify_client optional;",
            lax="ssl_verify_client optional_no_ca;",
            directory="/etc/nginx/",
            around=_NGINX_AROUND,
            command=lambda program, file: [program, "-p", str(file.parent), "-e", "stderr", "-c", str(file)],
        ),
        "haproxy": Kind(
            program="haproxy",
            header="Client-Cert",
            strict="verify optional",
            lax="verify optional ca-ignore-err all crt-ignore-err all",
            directory="/etc/haproxy/",
            around=_HAPROXY_AROUND,
            command=lambda program, file: [program, "-db", "-f", str(file)],
        ),
    }
)


def program_or_skip(name: str) -> str:
    """Return the path of ``name``, or skip the tests that need it, loudly."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{NOT_RUN}: {name} is not installed; run `make proxies`")
    return found


class Proxy:
    """``with Proxy(kind, ...) as proxy:`` ends TLS at ``proxy.url`` and passes on to ``upstream``."""

    def __init__(
        self, kind: Kind, directory: Path, *, upstream: str, authority: Certificate, self_signed: bool
    ) -> None:
        self._program = program_or_skip(kind.program)
        self._kind = kind
        self._directory = directory
        self._upstream = upstream
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = directory / "proxy.log"
        server_ca = Certificate.authority("CN=Server CA", label="tls-server-authority")
        server = Certificate.make(
            "CN=exchange", label="tls-server", authority=server_ca, ip="127.0.0.1", extensions=SERVER_USAGE
        )
        (directory / "exchange.pem").write_text(server.pem + server.key_pem)
        (directory / "exchange.key").write_text(server.key_pem)
        (directory / "clients-ca.pem").write_text(authority.pem)
        (directory / "server-ca.pem").write_text(server_ca.pem)
        self._file = directory / "proxy.conf"
        self._file.write_text(self._configuration(self_signed=self_signed))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def server_authority(self) -> Path:
        """The file of the authority that its own certificate comes from."""
        return self._directory / "server-ca.pem"

    def post(
        self,
        path: str,
        data: Mapping[str, str],
        *,
        certificate: Certificate | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """POST over TLS, with a certificate of the client or without."""
        pair = certificate.write(self._directory, "client") if certificate else None
        with requests.Session() as session:
            session.trust_env = False
            return session.post(
                self.url + path,
                data=data,
                headers=headers,
                cert=pair,
                verify=str(self.server_authority),
                timeout=15,
            )

    def _configuration(self, *, self_signed: bool) -> str:
        (block,) = blocks(page("operating.md"), self._kind.program)
        here = {
            self._kind.directory: f"{self._directory}/",
            "listen 443 ssl": f"listen 127.0.0.1:{self._port} ssl",
            "bind :443": f"bind 127.0.0.1:{self._port}",
            "127.0.0.1:8080": self._upstream.removeprefix("http://"),
        }
        if self_signed:
            here[self._kind.strict] = self._kind.lax
        for shown, meant in here.items():
            block = block.replace(shown, meant)
        assert (self._kind.lax in block) == self_signed
        return self._kind.around.replace("[home]", str(self._directory)).replace("BLOCK", block)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._kind.command(self._program, self._file),
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, so that only what was started here is ever ended
            )
        try:
            self._wait_until_it_listens()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _wait_until_it_listens(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{self._program} did not start: {self._log.read_text()[-4000:]}")

    def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
