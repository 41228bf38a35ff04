"""The metrics of several workers, read while one of them writes its first."""

from __future__ import annotations

import shutil
import struct
import threading
import time
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from exchange.metrics import Metrics

NAME = "exchange_key_source_failing"


def workers_file(directory: Path, worker: int, value: float) -> Path:
    """Write the gauge as a worker does."""
    path = directory / f"gauge_livesum_{worker}.db"
    written = MmapedDict(str(path))
    written.write_value(mmap_key(NAME, NAME, ["source"], ["acme"], "Help."), value, 0.0)
    written.close()
    return path


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "shared"
    directory.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))
    return directory


def test_a_worker_that_has_just_made_its_file_is_waited_for(shared: Path, tmp_path: Path) -> None:
    workers_file(shared, 1, 1.0)
    second = workers_file(tmp_path, 2, 1.0)
    empty = shared / second.name
    empty.touch()

    def write() -> None:
        time.sleep(0.005)
        shutil.copy(second, shared / "new")
        (shared / "new").replace(empty)

    worker = threading.Thread(target=write)
    worker.start()
    said = Metrics().exposition()
    worker.join()

    assert f'{NAME}{{source="acme"}} 2.0' in said.decode()


def test_a_file_that_stays_unreadable_is_an_error_and_no_number_that_is_too_small(shared: Path) -> None:
    workers_file(shared, 1, 1.0)
    (shared / "gauge_livesum_2.db").touch()

    with pytest.raises(struct.error):
        Metrics().exposition()


def test_the_age_of_keys_is_told_until_their_source_is_forgotten() -> None:
    metrics = Metrics()
    metrics.keys.fetch_ended("acme", fetched=True)
    metrics.keys.fetch_ended("other", fetched=False)
    told = metrics.registry.get_sample_value("exchange_keys_fetched_timestamp_seconds", {"source": "acme"})

    assert told == pytest.approx(time.time(), abs=60)
    assert metrics.registry.get_sample_value(NAME, {"source": "acme"}) == 0
    assert metrics.registry.get_sample_value(NAME, {"source": "other"}) == 1
    metrics.keys.source_forgotten("acme")
    assert (
        metrics.registry.get_sample_value("exchange_keys_fetched_timestamp_seconds", {"source": "acme"}) == 0
    )
