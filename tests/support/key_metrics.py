"""What ``/metrics`` says of keys."""

from __future__ import annotations

from collections.abc import Mapping

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.service import RunningService

_LABEL = {
    "exchange_key_fetches_total": "result",
    "exchange_key_fetches_begun_total": "cause",
    "exchange_key_lookups_failed_total": "cause",
}


class KeyCounters:
    """One look at the metrics, by source."""

    def __init__(self, service: RunningService) -> None:
        with requests.Session() as session:  # of its own: one that was kept may have been closed meanwhile
            session.trust_env = False
            said = session.get(f"{service.url}/metrics", timeout=15)
        assert said.status_code == 200, said.text
        families = text_string_to_metric_families(said.text)
        self._samples = [sample for family in families for sample in family.samples]

    def ended(self, source: str) -> dict[str, int]:
        """Fetches by result."""
        return self._by_label("exchange_key_fetches_total", source)

    def begun(self, source: str) -> dict[str, int]:
        """Fetches by cause."""
        return self._by_label("exchange_key_fetches_begun_total", source)

    def failed_lookups(self, source: str) -> dict[str, int]:
        """Requests that went without a key, by cause."""
        return self._by_label("exchange_key_lookups_failed_total", source)

    def failing(self, source: str) -> int | None:
        """In how many workers the source is failing; ``None`` where it was never asked."""
        value = self._gauge("exchange_key_source_failing", source)
        return None if value is None else int(value)

    def fetched_at(self, source: str) -> float | None:
        """When its keys were fetched, in epoch seconds."""
        return self._gauge("exchange_keys_fetched_timestamp_seconds", source)

    def labels(self) -> set[str]:
        """Return every label value of a metric of keys."""
        return {
            value
            for sample in self._samples
            if sample.name.startswith("exchange_key")
            for value in sample.labels.values()
        }

    def _gauge(self, name: str, source: str) -> float | None:
        found = [one.value for one in self._samples if one.name == name and one.labels == {"source": source}]
        return found[0] if found else None

    def _by_label(self, name: str, source: str) -> dict[str, int]:
        found: Mapping[str, int] = {
            sample.labels[_LABEL[name]]: int(sample.value)
            for sample in self._samples
            if sample.name == name and sample.labels["source"] == source
        }
        return {label: value for label, value in found.items() if value}
