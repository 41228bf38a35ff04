"""Install the IdPs of the interop tests: ``python -m tests.interop.install [NAME ...]``, all when none is named.

Each is pinned by the files of its directory and comes from the registry that its tool uses here anyway. What cannot be
downloaded is said and left out, so that nobody without a network is stopped by it, and its tests are skipped. What was
downloaded and is not what the pins say, or does not build, is an error.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import venv
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.interop import keycloak_server
from tests.interop.peers import CANAILLE, DEX, KEYCLOAK, NOT_RUN, Peer

TRIES = 3
PAUSE_SECONDS = 2.0
_MISMATCH = re.compile(r"checksum mismatch|SECURITY ERROR|DO NOT MATCH THE HASHES")


class OutOfReachError(Exception):
    """A tool is not here, or its registry did not answer: skip."""


class BrokenError(Exception):
    """It arrived and is not what was pinned, or does not build: fail."""


def main(names: Sequence[str] = ()) -> int:
    """Install what is missing, at the same time; returns 1 when something is broken, 2 when a name is unknown."""
    known = {peer.name: peer for peer in INSTALLERS}
    if not set(names) <= set(known):
        print(f"known are: {' '.join(known)}", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(len(INSTALLERS)) as pool:
        return max(pool.map(_install, [known[name] for name in names or known]))


def _install(peer: Peer) -> int:
    if peer.is_installed():
        print(f"{peer.title}: installed already", flush=True)
        return 0
    started = time.monotonic()
    shutil.rmtree(peer.home, ignore_errors=True)
    peer.home.mkdir(parents=True)
    try:
        INSTALLERS[peer](peer)
        peer.set_installed()
    except OutOfReachError as error:
        print(f"{NOT_RUN}: {peer.title} could not be installed: {error}", file=sys.stderr, flush=True)
        return 0
    except BrokenError as error:
        print(f"{peer.title} is broken: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        if not peer.is_installed():
            shutil.rmtree(peer.home, ignore_errors=True)
    print(f"{peer.title}: installed in {time.monotonic() - started:.0f} s", flush=True)
    return 0


def keycloak(peer: Peer) -> None:
    """Fetch the distribution with Maven, build it for H2, import the realm into a database that each run copies."""
    _require("java", ("-version",), 17)
    pin = tomllib.loads((peer.pins / "pin.toml").read_text())
    target = f"-DoutputDirectory={peer.home}"
    fetch(
        ["mvn", "-B", "-q", f"{pin['plugin']}:copy", f"-Dartifact={pin['artifact']}", target], cwd=peer.home
    )
    [archive] = peer.home.glob("*.zip")
    with archive.open("rb") as file:
        if hashlib.file_digest(file, "sha512").hexdigest() != pin["sha512"]:
            raise BrokenError(f"{archive.name} is not the one that pin.toml names")
    with zipfile.ZipFile(archive) as distribution:
        distribution.extractall(peer.home)
    archive.unlink()
    program = keycloak_server.program(peer.home)
    Path(program).chmod(0o755)
    environment = {"JAVA_OPTS_APPEND": keycloak_server.JAVA_OPTIONS}
    build([program, "build", "--db=dev-file", "--cache=local"], environment=environment)
    database = keycloak_server.database(peer.home / "database")
    realm = str(peer.pins / "realm.json")
    build([program, "import", "--optimized", "--file", realm, database], environment=environment)


def dex(peer: Peer) -> None:
    """Fetch the modules that ``go.sum`` names and build Dex's own command; the caches of both go afterwards."""
    _require("go", ("version",), 1, 25)
    caches = peer.home / "caches"
    environment = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOVCS": "*:off",  # from the module proxy or not at all
        "GOTOOLCHAIN": "local",
        "GOMODCACHE": str(caches / "modules"),
        "GOCACHE": str(caches / "build"),
        "GOGC": "400",  # the compiler's own: memory for time
    }
    package = "github.com/dexidp/dex/cmd/dex"
    fetch(["go", "list", "-deps", package], cwd=peer.pins, environment=environment)
    quick = ["-gcflags=all=-N -l -dwarf=false", "-ldflags=-s -w"]  # it runs for seconds: not worth optimising
    build(
        ["go", "build", *quick, "-o", str(peer.home / "dex"), package], cwd=peer.pins, environment=environment
    )
    shutil.rmtree(caches)


def canaille(peer: Peer) -> None:
    """Install Canaille into an environment of its own, with hashes."""
    venv.create(peer.home / "venv", with_pip=True)
    python = str(peer.home / "venv" / "bin" / "python")
    requirements = str(peer.pins / "requirements.lock")
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"]
    fetch([python, "-m", "pip", "install", *quiet, "--require-hashes", "-r", requirements], cwd=peer.home)


INSTALLERS: dict[Peer, Callable[[Peer], None]] = {DEX: dex, KEYCLOAK: keycloak, CANAILLE: canaille}


def _require(tool: str, arguments: Sequence[str], *minimum: int) -> None:
    if shutil.which(tool) is None:
        raise OutOfReachError(f"there is no {tool} here")
    answer = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"(\d+)(?:\.(\d+))?", answer.stdout + answer.stderr)
    version = tuple(int(part or 0) for part in found.groups()) if found else (0,)
    if version < minimum:
        needed = ".".join(str(part) for part in minimum)
        raise OutOfReachError(f"{tool} is too old: it needs {needed} or later")


def fetch(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run what downloads, several times if need be; raises ``OutOfReachError``, for a wrong checksum ``BrokenError``."""
    if shutil.which(command[0]) is None:
        raise OutOfReachError(f"there is no {command[0]} here")
    for tried in range(1, TRIES + 1):
        code, output = _run(command, cwd, environment, seconds=300)
        if code == 0:
            return
        if _MISMATCH.search(output):
            raise BrokenError(output[-2000:])
        if tried < TRIES:
            time.sleep(PAUSE_SECONDS * tried)
    raise OutOfReachError(f"{' '.join(command[:4])} failed {TRIES} times: {output[-800:].strip()}")


def build(
    command: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    """Run what needs no network; raises ``BrokenError``."""
    code, output = _run(command, cwd, environment, seconds=900)
    if code != 0:
        raise BrokenError(f"{' '.join(command[:3])} failed: {output[-2000:].strip()}")


def _run(
    command: Sequence[str], cwd: Path | None, environment: Mapping[str, str] | None, *, seconds: float
) -> tuple[int, str]:
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # kc.sh and mvn start Java: a group of its own ends with all that it started
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return 1, f"no answer in {seconds:.0f} s"
    return process.returncode, output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
