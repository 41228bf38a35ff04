"""Callers from several addresses: all of 127.0.0.0/8 is this machine, and a connection may begin anywhere in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from tests.support.service import RunningService


class _From(HTTPAdapter):
    def __init__(self, address: str) -> None:
        self._source = (address, 0)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, source_address=self._source, **options)


@contextmanager
def session_from(address: str) -> Iterator[requests.Session]:
    """Lend a session whose connections come from ``address``."""
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", _From(address))
        yield session


def post_from(
    address: str,
    service: RunningService,
    form: Mapping[str, Any],
    auth: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """POST ``form`` to ``/token`` from ``address``, over a connection of its own: any worker may answer."""
    with session_from(address) as session:
        return session.post(
            f"{service.url}/token", data=form, auth=auth, headers=headers, timeout=15, allow_redirects=False
        )
