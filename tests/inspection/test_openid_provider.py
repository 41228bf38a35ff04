"""The doctor at a real OpenID provider, npm's ``oidc-provider``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inspection.clinic import given, inspect, loaded
from tests.interop.openid_provider import OpenIdProvider
from tests.support.idp import BACKEND


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    with OpenIdProvider(tmp_path_factory.mktemp("provider") / "stderr.log") as running:
        yield running


@pytest.mark.parametrize("nonce", ["n-0S6_WzA2Mj", None])
def test_its_tokens_are_told_apart_and_a_file_is_proposed(
    provider: OpenIdProvider, tmp_path: Path, nonce: str | None
) -> None:
    tokens = provider.log_in(resource=BACKEND, nonce=nonce)

    examined = inspect(
        provider.issuer, *given(tmp_path, token=tokens["access_token"], id_token=tokens["id_token"])
    )

    assert (examined.exit, examined.profile, examined.wrong) == (0, "rfc9068", set())
    (issuer,) = loaded(examined.yaml, tmp_path).issuers.values()
    assert (issuer.issuer, issuer.audience) == (provider.issuer, {BACKEND})
    assert [token["outcome"] for token in examined.report["tokens"]] == ["accepted", "refused"]


def test_its_opaque_access_token_is_said_to_be_one(provider: OpenIdProvider, tmp_path: Path) -> None:
    tokens = provider.log_in()

    examined = inspect(provider.issuer, *given(tmp_path, token=[tokens["access_token"], tokens["id_token"]]))

    assert (examined.exit, examined.profile) == (1, None)
    assert {"token_unreadable", "access_token_needed"} <= examined.wrong
