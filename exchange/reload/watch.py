"""The master's part: notice a change of ``policies/``, judge it, and put it in force or keep what is."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from exchange.config.faults import PolicyFaults
from exchange.config.values import Policies
from exchange.reload.fingerprint import Fingerprint, fingerprint
from exchange.reload.publication import Publication, Status

log = logging.getLogger("exchange.reload")

POLL_SECONDS: Final = 0.5
"""Between two looks. A change is read when two looks in a row have found the same."""
LOOK_SHARE: Final = 0.1
"""Of a core, looking may take: very large directories are looked at less often."""
RESTLESS_SECONDS: Final = 15.0
"""After so long without two equal looks the faults say that the directory does not come to rest."""
MAX_LOGGED_FAULTS: Final = 100

Load = Callable[[], tuple[Policies, Mapping[str, bytes]]]
"""Returns the policies and the bytes they came from; raises ``PolicyFaults``."""
Commit = Callable[[], None]
Prepare = Callable[[Policies], Commit]
"""Makes ready to serve these policies, and returns the step that does; raises ``ValueError`` or ``OSError``
when they cannot be served.
"""


class Observed(Protocol):
    """The metrics."""

    def reload_ended(self, *, faulty: bool) -> None: ...


class PolicyWatch:
    """Looks at one directory from a thread of gunicorn's master, where it costs no request anything.

    ``sha256`` and ``seen`` are of the policies that are in force already: the fingerprint from before they
    were loaded. A fork waits until a look that is under way has ended, so the new process begins with whole
    policies, and with no lock held for ever by the thread, which it does not have.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sha256: str,
        seen: Fingerprint,
        load: Load,
        prepare: Prepare,
        publication: Publication,
        metrics: Observed,
    ) -> None:
        self._directory = directory
        self._status = Status(sha256)
        self._faults: list[str] = []
        self._judged: Fingerprint | None = seen
        self._last_look: Fingerprint | None = None
        self._restless_since: float | None = None
        self._load = load
        self._prepare = prepare
        self._publication = publication
        self._metrics = metrics
        self._seconds_to_look = 0.0
        self._busy = threading.Lock()
        self._stop = threading.Event()

    def start(self) -> None:
        """Look from now on, until ``stop``."""
        os.register_at_fork(
            before=self._busy.acquire, after_in_parent=self._busy.release, after_in_child=self._busy.release
        )
        threading.Thread(target=self._run, name="policy-watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more, and return when a look that is under way has ended."""
        self._stop.set()
        with self._busy:
            return

    def _run(self) -> None:
        while not self._stop.wait(max(POLL_SECONDS, self._seconds_to_look / LOOK_SHARE)):
            self.look()

    def look(self) -> None:
        """Look once; raises nothing. A change is judged at the second look that finds it, so that a set of
        files which is being written is left alone until nobody has touched it for a while.
        """
        with self._alone():
            if self._stop.is_set():
                return
            now = self._fingerprint()
            if now == self._judged:
                self._restless_since = None
            elif now == self._last_look:
                self._judge(now)
            else:
                self._last_look = now
                self._note_restlessness()

    def reload(self) -> None:
        """Judge what is there at once; raises nothing. Somebody says that it is ready (SIGHUP)."""
        with self._alone():
            for _ in range(3):
                if self._judge(self._fingerprint()):
                    return
            log.warning(
                "the policies are being written while they are read; they are taken when that is over"
            )

    def _fingerprint(self) -> Fingerprint:
        began = time.thread_time()
        found = fingerprint(self._directory)
        self._seconds_to_look = time.thread_time() - began
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # A thread that died would end all reloading unnoticed, and gunicorn ends when a hook of its raises.
        with self._busy:
            try:
                yield
            except Exception as error:  # noqa: BLE001
                self._judged = self._last_look = None
                log.error("looking at the policies failed: %s", type(error).__name__)  # noqa: TRY400

    def _judge(self, before: Fingerprint) -> bool:
        """Load, and return whether what was loaded is what the directory held throughout."""
        faults: list[str] = []
        try:
            policies, contents = self._load()
        except PolicyFaults as found:
            faults = [str(fault) for fault in found.faults]
        if self._fingerprint() != before:
            self._last_look = None
            self._note_restlessness()
            return False
        self._judged, self._restless_since = before, None
        if faults:
            self._keep_last_good(faults)
        else:
            self._put_in_force(policies, contents)
        return True

    def _put_in_force(self, policies: Policies, contents: Mapping[str, bytes]) -> None:
        before, status = self._status, Status(policies.sha256)
        if status == before:
            return
        try:
            commit = self._prepare(policies)
            self._publication.publish(status, contents)
        except (ValueError, OSError) as error:
            self._judged = self._last_look = (
                None  # not the directory's fault: try again without a change of it
            )
            self._keep_last_good([f"{self._directory}: cannot be put in force: {error}"])
            return
        commit()
        self._status, self._faults = status, []
        self._metrics.reload_ended(faulty=False)
        log.info("policies %s are in force (before: %s)", status.sha256, before.sha256)

    def _keep_last_good(self, faults: list[str]) -> None:
        faults = [" ".join(fault.splitlines()) for fault in faults]  # a file's name must not forge a line
        if faults == self._faults:
            return
        self._status, self._faults = Status(self._status.sha256, len(faults), faults[0]), faults
        self._metrics.reload_ended(faulty=True)
        log.error(
            "policies %s stay in force; what the directory holds has faults (%d):\n%s",
            self._status.sha256,
            len(faults),
            "\n".join(faults[:MAX_LOGGED_FAULTS]),
        )
        self._publication.announce(self._status)

    def _note_restlessness(self) -> None:
        now = time.monotonic()
        since = self._restless_since = self._restless_since or now
        if now - since > RESTLESS_SECONDS:
            self._judged = None
            self._keep_last_good([f"{self._directory}: does not come to rest; it is read when it has"])
