"""A real IdP in a process of its own: started, awaited, and ended by its process id."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

_STOP_SECONDS = 20.0
_KEPT = ("PATH", "HOME", "JAVA_HOME", "LANG", "TMPDIR")


class PeerProcess:
    """``with PeerProcess(command, ready=url, log=path):`` runs ``command`` from when ``ready`` answers 200.

    It sees nothing of this environment but what it needs to be found and run.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        ready: str,
        log: Path,
        seconds: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._ready = ready
        self._log = log
        self._seconds = seconds
        self._environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._environment |= environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._log.parent,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, so that only what was started here is ever ended
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._seconds
        with requests.Session() as session:
            session.trust_env = False
            while time.monotonic() < deadline and self._process.poll() is None:
                try:
                    if session.get(self._ready, timeout=10).status_code == 200:
                        return
                except requests.RequestException:
                    pass
                time.sleep(0.2)
        raise AssertionError(f"{self._command[0]} did not start: {self._log.read_text()[-4000:]}")

    def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
