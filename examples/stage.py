"""Starts and stops a demo IdP, a backend, and the service as the Procfile says."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import demo_backend
import demo_idp

REPOSITORY = Path(__file__).resolve().parents[1]
SERVICE_PORT = 8080
START_SECONDS = 30


class Failed(Exception):  # noqa: N818  # it is what the demonstration did
    """Something did not happen as it should; the message says what."""


@dataclass(frozen=True)
class Place:
    """Where a run happens: addresses, and the directory with policies/ that gets var/ (keys, store)."""

    service: str
    idp: str
    backend_port: int
    directory: Path


class Service:
    """The exchange service, started by the Procfile's own command."""

    def __init__(self, place: Place) -> None:
        self.url = place.service
        self.command = procfile_command()
        self.audit: list[str] = []
        self.log: list[str] = []
        self.echo = False
        # What this machine's own service is told must not reach the demonstration.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
        environment |= {
            "GUNICORN_CMD_ARGS": f"--bind {urlsplit(place.service).netloc}",  # for this machine alone
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
            "PORT": place.service.rpartition(":")[2],
            "EXCHANGE_ISSUER": place.service,
        }
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {self.command}"],
            cwd=place.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for stream, lines in ((self.process.stdout, self.audit), (self.process.stderr, self.log)):
            assert stream is not None  # noqa: S101  # both are pipes
            threading.Thread(target=self._read, args=(stream, lines), daemon=True).start()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip())
            if self.echo:
                print(line.rstrip(), flush=True)

    def audit_of(self, request_id: str) -> str:
        """Return the audit line of one request; it is written before the answer leaves."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for line in self.audit:
                if request_id in line:
                    return line
            time.sleep(0.02)
        raise Failed("there is no audit record of a request")


def procfile_command() -> str:
    """Return the command of the Procfile's `web:` line."""
    for line in (REPOSITORY / "Procfile").read_text().splitlines():
        if line.startswith("web:"):
            return line.removeprefix("web:").strip()
    raise Failed("the Procfile has no web: line")


@contextmanager
def fixed_place() -> Iterator[Place]:
    """The ports that policies/ names, and PORT; refuses when one is taken."""
    port = int(os.environ.get("PORT") or SERVICE_PORT)
    users = ((port, "the service"), (demo_idp.PORT, "the demo IdP"), (demo_backend.PORT, "the demo backend"))
    for number, user in users:
        if not is_free(number):
            raise Failed(
                f"Port {number} is taken, and {user} needs it. Stop what listens there"
                + (", or choose another: make run PORT=8090." if number == port else ".")
                + " `make demo` works on any free ports."
            )
    yield Place(
        service=f"http://127.0.0.1:{port}",
        idp=f"http://127.0.0.1:{demo_idp.PORT}",
        backend_port=demo_backend.PORT,
        directory=REPOSITORY,
    )


@contextmanager
def temporary_place() -> Iterator[Place]:
    """Free ports, and a copy of policies/ that names them, in a directory that is removed afterwards."""
    service, idp, backend = free_ports(3)
    directory = Path(tempfile.mkdtemp(prefix="exchange-demo-"))
    try:
        policies = directory / "policies"
        shutil.copytree(REPOSITORY / "policies", policies)
        for path in policies.rglob("*.yaml"):
            text = path.read_text().replace(f"127.0.0.1:{demo_idp.PORT}", f"127.0.0.1:{idp}")
            path.write_text(text.replace(f"127.0.0.1:{demo_backend.PORT}", f"127.0.0.1:{backend}"))
        yield Place(
            service=f"http://127.0.0.1:{service}",
            idp=f"http://127.0.0.1:{idp}",
            backend_port=backend,
            directory=directory,
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def is_free(port: int) -> bool:
    """Tell whether somebody could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104  # as the service does
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def wait_for(url: str, process: subprocess.Popen[str], log: list[str]) -> None:
    """Return when ``url`` answers 200."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if demo_backend.get(url)[0] == 200:  # noqa: PLR2004  # HTTP's own
                return
        except (OSError, ValueError):
            pass  # not listening yet
        time.sleep(0.05)
    raise Failed("\n  ".join([f"{url} does not answer.", *log[-30:]]))


@contextmanager
def stopping(process: subprocess.Popen[str]) -> Iterator[None]:
    """End the process, by its id, when the block ends."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def everything(place: Place) -> Iterator[tuple[Service, demo_backend.Backend]]:
    """The IdP, the backend and the service, all answering; none of them is left over."""
    with ExitStack() as stack:
        program = [sys.executable, str(REPOSITORY / "examples" / "demo_idp.py"), place.idp.rpartition(":")[2]]
        idp = subprocess.Popen(program, stdin=subprocess.DEVNULL, text=True)
        stack.enter_context(stopping(idp))
        backend = demo_backend.Backend(issuer=place.service, idp=place.idp, port=place.backend_port)
        backend.start()
        stack.callback(backend.stop)
        service = Service(place)
        stack.enter_context(stopping(service.process))
        wait_for(f"{place.idp}/jwks.json", idp, [])
        wait_for(f"{place.service}/readyz", service.process, service.log)
        yield service, backend
