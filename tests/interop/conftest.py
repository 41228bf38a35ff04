"""A real OpenID provider, and the service that trusts it by discovery."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.exchanging import service_that_asks
from tests.interop.openid_provider import INTROSPECTING_CLIENT, OpenIdProvider
from tests.support.policies import write_policies
from tests.support.service import RunningService


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    with OpenIdProvider(tmp_path_factory.mktemp("provider") / "stderr.log") as running:
        yield running


@pytest.fixture(scope="module")
def trusting_service(
    provider: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    policies = write_policies(tmp_path_factory.mktemp("interop") / "policies", issuer=provider.issuer)
    with RunningService(policies, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def asking_service(
    provider: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """A service that asks the provider about each token (RFC 7662)."""
    endpoint, directory = f"{provider.issuer}/token/introspection", tmp_path_factory.mktemp("introspection")
    with service_that_asks(provider.issuer, endpoint, INTROSPECTING_CLIENT, directory) as running:
        yield running
