"""``EXCHANGE_STORE``: which addresses open a store, and what the others are told."""

from __future__ import annotations

import pytest

from exchange.stores.open import open_store
from tests.stores.contract import EXPIRES, SettableClock


def test_three_slashes_are_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///var/exchange.db", clock=SettableClock())
    assert store.add_if_absent("n", ("a",), EXPIRES) is True
    assert (tmp_path / "var" / "exchange.db").exists()


def test_four_slashes_are_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    open_store(f"sqlite:///{tmp_path}/exchange.db").check()
    assert (tmp_path / "exchange.db").exists()


def test_opening_touches_nothing_yet(tmp_path):
    open_store(f"sqlite:///{tmp_path}/var/exchange.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@localhost/0",
        "rediss://user:hunter2@localhost/0",
        "REDIS://user:hunter2@localhost",
        "postgres://user:hunter2@localhost/0",
        "sqlite://user:hunter2@localhost/exchange.db",
        "sqlite:///hunter2.db?mode=memory",
        "sqlite:///hunter2.db#fragment",
        "sqlite:///hunter2/",
        "sqlite:///:memory:",
        "sqlite:///",
        "sqlite://",
        "sqlite:hunter2.db",
        "sqlite",
        "redis:",
        "var/hunter2.db",
        "",
    ],
)
def test_other_addresses_are_refused_in_a_plain_sentence_without_the_address(url):
    with pytest.raises(ValueError, match=r"sqlite:///relative/path or sqlite:////absolute/path") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_redis_is_refused_by_name(scheme):
    with pytest.raises(
        ValueError, match="this version has the SQLite store only, Redis and Valkey are not built"
    ):
        open_store(f"{scheme}://localhost:6379/0")
