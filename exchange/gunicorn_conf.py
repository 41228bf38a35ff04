"""How gunicorn serves us; ``Procfile`` names this module (``gunicorn -c python:exchange.gunicorn_conf``)."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

# Before anything imports prometheus_client: it chooses its value class by this variable when it is imported.
_metrics_owner = os.getpid()
_metrics_given = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
_metrics_directory = Path(_metrics_given or tempfile.mkdtemp(prefix="exchange-metrics-"))
_metrics_directory.mkdir(parents=True, exist_ok=True)
for _stale in _metrics_directory.glob("*.db"):
    _stale.unlink()
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_metrics_directory)

bind = f"0.0.0.0:{os.environ.get('PORT') or '8080'}"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)

# Threads, so that a request that waits for an IdP's keys does not hold up the others; few, because the work
# between the waits holds the interpreter lock.
worker_class = "gthread"
threads = 8
timeout = 30
graceful_timeout = 10
keepalive = 5

# Loaded once before the fork: faults stop the start, memory is shared, and all workers begin with one set
# of keys.
preload_app = True

# The same parser on every machine; "auto" takes whatever C extension happens to be installed.
http_parser = "python"
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 20_480

# No header moves the path or the scheme of a request: gunicorn would believe some from a peer on loopback.
forwarded_allow_ips = ""
forwarder_headers = ""

# Two instances of one user would share the path of the control socket.
control_socket_disable = True

# No access log: what matters is in the audit record, and a URL may hold what a careless client put there.
accesslog = None
errorlog = "-"
loglevel = os.environ.get("EXCHANGE_LOG_LEVEL") or "warning"


def _reloading(wsgi: Any) -> Any:
    return wsgi.extensions["exchange.reload"]


def when_ready(server: Any) -> None:
    """Watch the policies; before the first fork, so that every worker knows where to look."""
    _reloading(server.app.wsgi()).started_in_master()


def on_reload(server: Any) -> None:
    """SIGHUP: read the policies at once, before gunicorn forks the new workers."""
    _reloading(server.app.wsgi()).asked_for()


def post_worker_init(worker: Any) -> None:
    """Start what cannot live through a fork: background threads and this worker's gauges."""
    _reloading(worker.wsgi).started_in_worker()


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001  # gunicorn's signature
    """Forget the live gauges of a worker that is gone."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  # see the top

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the metrics of this run, if the directory is ours, and what the workers were handed."""
    if os.getpid() != _metrics_owner:
        return
    _reloading(server.app.wsgi()).stopped_in_master()
    if _metrics_given is None:
        shutil.rmtree(_metrics_directory, ignore_errors=True)
