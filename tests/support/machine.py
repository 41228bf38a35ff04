"""The machine that the service runs on, in the hands of a test: its name servers, and the clock since its boot.

``sitecustomize`` is imported by every Python before anything else, so the service runs as it is, under gunicorn, and
asks the C library as it always does; only what the C library would answer comes from files that the test writes.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path

_SITECUSTOMIZE = """
import json, os, socket, time

_machine = os.environ["TEST_MACHINE"]
_asked = {}
_getaddrinfo, _clock_gettime = socket.getaddrinfo, time.clock_gettime


def _answer(host):
    with open(f"{_machine}/zone.json") as file:
        answers = json.load(file).get(host, [[]])
    return answers[min(_asked[host], len(answers)) - 1]


def getaddrinfo(host, port, *args, **kwargs):
    if not isinstance(host, str) or not host.endswith(".test"):
        return _getaddrinfo(host, port, *args, **kwargs)
    _asked[host] = _asked.get(host, 0) + 1
    with open(f"{_machine}/asked", "a") as file:
        file.write(f"{os.getpid()} {host}\\n")
    while _answer(host) == "hang":
        time.sleep(0.02)
    found = [info for address in _answer(host) for info in _getaddrinfo(address, port, *args, **kwargs)]
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    return found


def clock_gettime(clock):
    now = _clock_gettime(clock)
    if clock == time.CLOCK_BOOTTIME:
        now += os.stat(f"{_machine}/slept").st_size
    return now


socket.getaddrinfo, time.clock_gettime = getaddrinfo, clock_gettime
"""


class Machine:
    """``RunningService(policies, env=machine.env)`` runs on it. Names end in ``.test``."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._zone: dict[str, list[list[str] | str]] = {}
        self._slept = 0
        (directory / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        (directory / "asked").touch()
        (directory / "slept").touch()
        self._write()

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process on this machine."""
        path = os.pathsep.join(filter(None, (str(self._directory), os.environ.get("PYTHONPATH"))))
        return {"PYTHONPATH": path, "TEST_MACHINE": str(self._directory)}

    def resolve(self, host: str, *answers: list[str] | str) -> None:
        """Have each process that asks for ``host`` get these answers in turn, the last one for ever.

        An answer is a list of addresses, or ``"hang"``: until another one is set.
        """
        self._zone[host] = list(answers)
        self._write()

    def asked(self, host: str) -> Counter[int]:
        """Return how often each process asked for ``host``."""
        lines = (line.split() for line in (self._directory / "asked").read_text().splitlines())
        return Counter(int(process) for process, name in lines if name == host)

    def sleep(self, seconds: int) -> None:
        """Let the clock since boot be ``seconds`` ahead, and none of the others: the machine slept so long."""
        self._slept += seconds
        with (self._directory / "slept").open("wb") as file:
            file.truncate(self._slept)  # a size is read in one step, and costs no space

    def _write(self) -> None:
        draft = self._directory / f"zone.{time.monotonic_ns()}"
        draft.write_text(json.dumps(self._zone))
        draft.replace(self._directory / "zone.json")
