"""One issuer and one service for all tests that only send requests; a test that changes either starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.interop.peers import pytest_terminal_summary  # noqa: F401  # a hook: pytest finds it here by name
from tests.support.idp import FakeIssuer
from tests.support.policies import write_policies
from tests.support.service import RunningService

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def idp() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="session")
def service(idp: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    policies = write_policies(tmp_path_factory.mktemp("shared") / "policies", issuer=idp.issuer)
    with RunningService(policies, workers=2) as running:
        yield running
