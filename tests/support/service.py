"""The service as a black box: the Procfile's own command, in a process of its own, on a free loopback port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

REPOSITORY = Path(__file__).parents[2]
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_ADDRESS_TAKEN = "Address already in use"


class ServiceDidNotStartError(Exception):
    """The service ended, or was not ready in time; the message carries what it wrote."""


class RunningService:
    """``with RunningService(policies) as service:`` runs the service on ``policies`` until the block ends.

    It runs in an empty temporary directory with the default relative paths (``var/keys``, ``var/exchange.db``), its
    issuer is its own URL unless ``env`` says otherwise, and it is stopped by its process id. ``directory`` keeps the
    state elsewhere, so that a second service can start on what a first one left; it is then not removed.
    """

    def __init__(
        self,
        policies: Path,
        env: Mapping[str, str] | None = None,
        workers: int = 2,
        *,
        directory: Path | None = None,
        wait_until_ready: bool = True,
    ) -> None:
        self._policies = policies.resolve()
        self._env = dict(env or {})
        self._workers = workers
        self._keeps_directory = directory is not None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="exchange-service-"))
        self._wait_until_ready = wait_until_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy or a .netrc of this machine is no part of a test
        self.port = 0

    @property
    def url(self) -> str:
        """The service's own address, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        """``iss`` of what it issues."""
        return self._env.get("EXCHANGE_ISSUER", self.url)

    @property
    def pid(self) -> int:
        """The process id of gunicorn's master."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._remove_directory()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._session.close()
        self._remove_directory()

    def start(self) -> None:
        """Start it and wait for ``/readyz``; raises ``ServiceDidNotStartError``."""
        for attempt in range(3):
            self.port = free_port()
            self._launch()
            try:
                if self._wait_until_ready:
                    self.wait_until_ready()
            except ServiceDidNotStartError:
                self.stop()
                if attempt == 2 or _ADDRESS_TAKEN not in self.stderr():
                    raise
            else:
                return

    def _launch(self) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("EXCHANGE_", "GUNICORN_"))
        }
        environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
            "TMPDIR": str(self.directory),  # what a killed gunicorn leaves goes with the directory
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(self._workers),
            "EXCHANGE_POLICIES": str(self._policies),
            "EXCHANGE_ISSUER": self.url,
        } | self._env
        with self._log("stdout").open("wb") as out, self._log("stderr").open("wb") as err:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {procfile_command()}"],
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # a group of its own, so that only what was started here is ever ended
            )

    def wait_until_ready(self) -> None:
        """Return when ``/readyz`` answers 200; raises ``ServiceDidNotStartError``."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise ServiceDidNotStartError(f"it ended at once:\n{self.stderr()}")
            try:
                if self.get("/readyz").status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.05)
        raise ServiceDidNotStartError(f"it was not ready after {_START_SECONDS:.0f} s:\n{self.stderr()}")

    def stop(self) -> int | None:
        """End it, by process id; returns the exit code (0 after an orderly stop)."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    def restart(self) -> None:
        """Stop and start again on the same directory: same keys, same store, another port."""
        self.stop()
        self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to gunicorn's master (SIGHUP reloads)."""
        os.kill(self.pid, number)

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET a path of the service; redirects are not followed."""
        return self._request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        """POST to a path of the service; redirects are not followed."""
        return self._request("POST", path, **options)

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", 15)
        return self._session.request(method, self.url + path, allow_redirects=False, **options)

    def post_token(self, data: Any, auth: tuple[str, str] | None = None, **options: Any) -> requests.Response:
        """POST a form to ``/token``; ``auth`` is HTTP Basic. ``data`` is anything that requests encodes as a form."""
        return self.post("/token", data=data, auth=auth, **options)

    def exchange(
        self, subject_token: str, auth: tuple[str, str] | None = None, /, **parameters: Any
    ) -> requests.Response:
        """Exchange ``subject_token`` as an access token; ``parameters`` add to the form, or replace (``None`` drops)."""
        form = {
            "grant_type": GRANT_TYPE,
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN,
        } | parameters
        return self.post_token({name: value for name, value in form.items() if value is not None}, auth)

    def jwks(self) -> dict[str, Any]:
        """The public keys of the service."""
        document: dict[str, Any] = self.get("/jwks.json").json()
        return document

    def audit(self, *, request_id: str | None = None) -> list[dict[str, Any]]:
        """The audit records so far, in the order written; with ``request_id`` those of one request.

        Raises ``AssertionError`` when standard output holds anything but JSON objects, one on each line.
        """
        records = []
        for line in self.stdout().splitlines():
            record = json.loads(line)
            assert isinstance(record, dict), f"not an audit record: {line!r}"
            records.append(record)
        return [record for record in records if request_id is None or record.get("request_id") == request_id]

    def stdout(self) -> str:
        """What it wrote to standard output since its last start: the audit trail."""
        return self._log("stdout").read_text()

    def stderr(self) -> str:
        """What it wrote to standard error since its last start: the operator's log."""
        return self._log("stderr").read_text()

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _remove_directory(self) -> None:
        if not self._keeps_directory:
            shutil.rmtree(self.directory, ignore_errors=True)


def procfile_command(process: str = "web") -> str:
    """Return the command line of one process type of the Procfile."""
    for line in (REPOSITORY / "Procfile").read_text().splitlines():
        name, separator, command = line.partition(":")
        if separator and name.strip() == process:
            return command.strip()
    raise LookupError(f"the Procfile has no {process!r}")


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
