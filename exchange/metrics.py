"""Prometheus metrics, right across gunicorn's workers when ``PROMETHEUS_MULTIPROC_DIR`` is set
(gunicorn_conf).

Labels come from closed sets only: reasons, outcomes and names of files under ``policies/``. A subject, a
``jti`` or anything a caller can choose is never a label: it would leak, and grow without bound.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


_POLICIES = "exchange_policies_info"
_FETCHED_AT = "exchange_keys_fetched_timestamp_seconds"
_PAUSES = (0.002, 0.01, 0.05)
"""Seconds before the files of the workers are read once more."""
_RELOADS = ("loaded", "faulty")
_TRIAL_OUTCOMES = ("permitted", "refused")


class Metrics:
    """What the service counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._attempts = Counter(
            "exchange_attempts_total",
            "Token exchange attempts by outcome (issued, refused, failed) and reason (empty when issued).",
            ["outcome", "reason"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "exchange_attempt_duration_seconds",
            "Time from the opened to the recorded attempt.",
            ["outcome"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._key_fetches = Counter(
            "exchange_key_fetches_total",
            "Fetches of the keys of an issuer or client, by its file's name and result.",
            ["source", "result"],
            registry=self.registry,
        )
        self.keys = KeyMetrics(self.registry)
        self.introspections = IntrospectionMetrics(self.registry)
        self._policies = Gauge(
            _POLICIES,
            "The policies in force; the value is 1.",
            ["sha256"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._reloads = Counter(
            "exchange_policy_reloads_total",
            "Changes of the policies by result: loaded, or faulty, which leaves the last good ones in force.",
            ["result"],
            registry=self.registry,
        )
        self._faulty = Gauge(
            "exchange_policies_faulty",
            "1 while what the directory holds has faults and is not in force, else 0.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        for result in _RELOADS:
            self._reloads.labels(result)
        self._would_have_been = Counter(
            "exchange_would_have_been_total",
            "Decisions that something in mode: audit could have changed, by what would have been.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in _TRIAL_OUTCOMES:
            self._would_have_been.labels(outcome)
        self._in_force: str | None = None

    def attempt(self, outcome: str, reason: str, seconds: float) -> None:
        """Count one attempt."""
        self._attempts.labels(outcome, reason).inc()
        self._seconds.labels(outcome).observe(seconds)

    def would_have_been(self, outcome: str) -> None:
        """Count one decision that ``mode: audit`` held back: ``permitted`` or ``refused``."""
        self._would_have_been.labels(outcome).inc()

    def key_fetch(self, source: str, result: str) -> None:
        """Count one fetch of keys; ``source`` is a configured name, ``result`` a slug of a closed set."""
        self._key_fetches.labels(source, result).inc()

    def policies_in_force(self, sha256: str) -> None:
        """Say in this worker which policies it serves."""
        if self._in_force is not None and self._in_force != sha256:
            self._policies.labels(self._in_force).set(0)
        self._policies.labels(sha256).set(1)
        self._in_force = sha256

    def reload_ended(self, *, faulty: bool) -> None:
        """Count one change of the policies, and say whether it was refused."""
        self._reloads.labels("faulty" if faulty else "loaded").inc()
        self._faulty.set(int(faulty))

    def exposition(self) -> bytes:
        """Return the text format: of all workers together where they share a directory, else of this
        process.
        """
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(_WithoutPast(self.registry))
        for pause in _PAUSES:
            try:
                return _of_all_workers()
            except (OSError, RuntimeError, ValueError, struct.error):
                # A worker has just made its file, and not yet written the length of what is in it.
                time.sleep(pause)
        return _of_all_workers()


def _of_all_workers() -> bytes:
    return generate_latest(_WithoutPast(MultiProcessCollector(None)))  # type: ignore[no-untyped-call]


class KeyMetrics:
    """What becomes of fetched keys (``exchange.trust.key_watch.KeyWatch``), by the name of their source.

    Two gauges are of all workers together: how many find the source failing, and when the one with the oldest
    keys fetched them. A moment, and not an age, because an age would be wrong as soon as it is written.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._begun = Counter(
            "exchange_key_fetches_begun_total",
            "Fetches of keys that were begun, by source and cause.",
            ["source", "cause"],
            registry=registry,
        )
        self._failed_lookups = Counter(
            "exchange_key_lookups_failed_total",
            "Requests that went without a key, by its source and cause.",
            ["source", "cause"],
            registry=registry,
        )
        self._failing = Gauge(
            "exchange_key_source_failing",
            "In how many workers the last fetch from a source failed.",
            ["source"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._fetched_at = Gauge(
            _FETCHED_AT,
            "When keys were last fetched from a source, in epoch seconds, in the worker with the oldest.",
            ["source"],
            registry=registry,
            multiprocess_mode="livemin",
        )

    def fetch_begun(self, source: str, cause: str) -> None:
        """Count one fetch; ``source`` is a configured name, ``cause`` a slug of a closed set."""
        self._begun.labels(source, cause).inc()

    def fetch_ended(self, source: str, *, fetched: bool) -> None:
        """Say whether the source is failing in this worker, and how old its keys are."""
        self._failing.labels(source).set(int(not fetched))
        if fetched:
            self._fetched_at.labels(source).set_to_current_time()

    def lookup_failed(self, source: str, cause: str) -> None:
        """Count one request that went without its key; ``cause`` is a slug of a closed set."""
        self._failed_lookups.labels(source, cause).inc()

    def source_forgotten(self, source: str) -> None:
        """Let nobody be woken by the age of keys that are not used any more."""
        self._failing.labels(source).set(0)
        self._fetched_at.labels(source).set(0)


class IntrospectionMetrics:
    """What issuers answer about tokens (``exchange.introspection.Observer``), by the names of their files."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._asked = Counter(
            "exchange_introspections_total",
            "Questions to an issuer about a token, by its file's name and result.",
            ["issuer", "result"],
            registry=registry,
        )
        self._kept = Counter(
            "exchange_introspection_cache_hits_total",
            "Tokens about which an issuer was not asked again, by its file's name.",
            ["issuer"],
            registry=registry,
        )

    def introspection(self, issuer: str, result: str) -> None:
        """Count one question; ``result`` is active, inactive, or a slug of a closed set."""
        self._asked.labels(issuer, result).inc()

    def introspection_cache_hit(self, issuer: str) -> None:
        """Count one question that need not be put."""
        self._kept.labels(issuer).inc()


class _WithoutPast:
    """What ``inner`` collects, without the policies and the keys that no worker serves any more.

    Samples cannot be taken out of the files that workers share, only set to zero, and there would be one more
    with each reload.
    """

    def __init__(self, inner: Collector) -> None:
        self._inner = inner

    def collect(self) -> Iterator[Metric]:
        for metric in self._inner.collect():
            if metric.name in {_POLICIES, _FETCHED_AT}:
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric
