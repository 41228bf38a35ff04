"""``make demo`` and ``make run``: what a newcomer sees first really happens, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import REPOSITORY, free_port

DEMO = [sys.executable, str(REPOSITORY / "examples" / "demo.py")]
FIXED_PORTS = (9400, 9401)
JWT = re.compile(r"eyJ[A-Za-z0-9_-]{20,}")


def start(*arguments: str, temporary: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*DEMO, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", **environment},
        start_new_session=True,  # a process group of its own, to see who is left in it
    )


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def assert_nobody_is_left(group: int) -> None:
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_the_demonstration_succeeds_shows_both_answers_and_cleans_up(tmp_path: Path) -> None:
    process = start(temporary=tmp_path)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert_nobody_is_left(process.pid)
    assert list(tmp_path.iterdir()) == []
    for expected in ("HTTP 200", "HTTP 400", "subject_token_is_id_token", "demo|ada"):
        assert expected in output
    assert re.findall(r"^ *outcome +(.+)$", output, re.MULTILINE) == ["issued", "refused"]
    assert not JWT.search(output)
    assert "\x1b" not in output


def test_it_says_which_port_is_taken_and_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = start("--serve", temporary=tmp_path, PORT=port)
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 1
    assert f"Port {port} is taken, and the service needs it." in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    if any(is_listening(port) for port in FIXED_PORTS):
        pytest.skip("a demonstration is running on this machine")
    process = start("--serve", temporary=tmp_path, PORT=str(free_port()))
    assert process.stdout is not None
    shown = []
    for line in process.stdout:
        shown.append(line)
        if line.startswith("Serving at"):
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 0, errors + "".join(shown)
    assert_nobody_is_left(process.pid)
    assert list(tmp_path.iterdir()) == []
