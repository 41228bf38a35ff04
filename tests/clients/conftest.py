"""A service that knows a few clients, with a real store and real keys."""

from __future__ import annotations

import pytest

from tests.clients.desk import Desk


@pytest.fixture
def desk(tmp_path):
    with Desk(tmp_path) as desk:
        yield desk
