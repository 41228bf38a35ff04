"""Reloading as gunicorn sees it: what to do in the master, in a worker, and on SIGHUP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from exchange.config.load import load, load_with_files
from exchange.config.values import Policies
from exchange.reload.fingerprint import Fingerprint
from exchange.reload.follow import Follower
from exchange.reload.publication import Publication, Status
from exchange.reload.watch import PolicyWatch
from exchange.trust.issuers import WARMING_WAIT_SECONDS


class Swap(Protocol):
    """What the requests of this process are answered from, and how it is exchanged for another."""

    @property
    def sha256(self) -> str: ...

    def prepare(self, policies: Policies) -> Callable[[], None]:
        """Build what serves ``policies``, and return the step that puts it in force.

        Raises ``ValueError`` or ``OSError`` when they cannot be served.
        """

    def warm(self, *, wait_seconds: float) -> None: ...

    def tell(self, status: Status) -> None: ...


class Observed(Protocol):
    """The metrics."""

    def policies_in_force(self, sha256: str) -> None: ...

    def reload_ended(self, *, faulty: bool) -> None: ...


class Reloading:
    """``seen`` is the fingerprint of ``directory`` from before it was loaded for ``swap``."""

    def __init__(
        self,
        directory: Path,
        environ: Mapping[str, str],
        seen: Fingerprint,
        swap: Swap,
        metrics: Observed,
    ) -> None:
        self._directory = directory
        self._environ = environ
        self._seen = seen
        self._swap = swap
        self._metrics = metrics
        self._publication: Publication | None = None
        self._watch: PolicyWatch | None = None

    def started_in_master(self) -> None:
        """Watch the directory from now on. Raises ``OSError`` when there is no place for temporary files."""
        self._publication = Publication.create()
        self._watch = PolicyWatch(
            self._directory,
            sha256=self._swap.sha256,
            seen=self._seen,
            load=self._load,
            prepare=self._swap.prepare,
            publication=self._publication,
            metrics=self._metrics,
        )
        self._watch.start()

    def asked_for(self) -> None:
        """Reload at once, in the master: SIGHUP. Workers that are forked after this have the outcome."""
        if self._watch is not None:
            self._watch.reload()

    def stopped_in_master(self) -> None:
        """Remove what was handed to the workers."""
        if self._watch is not None and self._publication is not None:
            self._watch.stop()
            self._publication.remove()

    def started_in_worker(self) -> None:
        """Say what is in force, fetch keys ahead, and follow the master from now on.

        It waits a little for the keys: a restart is no outage while requests wait in the listening socket,
        and one if they come to a worker that has nothing to verify with.
        """
        self._took_up(wait_seconds=WARMING_WAIT_SECONDS)
        if self._publication is not None:
            Follower(self._publication, load=self._load_copy, served=self).start()

    def _took_up(self, *, wait_seconds: float = 0.0) -> None:
        self._metrics.policies_in_force(self._swap.sha256)
        self._swap.warm(wait_seconds=wait_seconds)

    def _load(self) -> tuple[Policies, Mapping[str, bytes]]:
        policies, files = load_with_files(self._directory, environ=self._environ)
        return policies, files.contents()

    def _load_copy(self, copy: Path) -> Policies:
        return load(copy, environ=self._environ, label=self._directory)

    @property
    def sha256(self) -> str:
        """See ``follow.Served``."""
        return self._swap.sha256

    def serve(self, policies: Policies) -> None:
        """See ``follow.Served``."""
        self._swap.prepare(policies)()
        self._took_up()

    def tell(self, status: Status) -> None:
        """See ``follow.Served``."""
        self._swap.tell(status)
