"""Over HTTP, every token that the shipped profiles know of: access tokens are exchanged, and nothing else ever is.

One issuer for each profile, which is for whatever any token is for, and a client that receives whatever is sent to
anybody: no refusal here is one of the audience or of the presenter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.profiles.token_files import (
    ShapedToken,
    every_audience,
    foreign_file,
    foreign_issuer,
    local_profiles,
    tokens,
)
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    audience_file,
    rule,
    secret_client_file,
    write_policies,
)
from tests.support.service import ACCESS_TOKEN, JWT, RunningService
from tests.support.shapes import signed, with_issuer
from tests.support.tokens import NOW, genuine_claims

TIMES = {"exp", "iat", "nbf"}
PROFILES = [name for name in local_profiles() if tokens(name)]
every_profile = pytest.mark.parametrize("profile", PROFILES)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    every_client = {"scopes": {"orders:read": "always"}, "why": "Every token of every product is tried."}
    policies = write_policies(
        tmp_path_factory.mktemp("idps") / "policies",
        issuer="",
        issuers={"idp": None, **{name: foreign_file(name) for name in PROFILES}},
        clients={"shop": secret_client_file(audience=list(every_audience())), "shop-with-key": None},
        audiences={
            "orders": audience_file(
                rule(subject={"issuer": PROFILES}, presenter="any", delegation="allowed", **every_client)
            )
        },
    )
    with RunningService(policies, workers=2) as running:
        yield running


def shifted(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims with their times as if they had been told just now."""
    ahead = int(time.time()) - NOW
    return {name: value + ahead if name in TIMES and value else value for name, value in claims.items()}


def present(service: RunningService, token: ShapedToken, role: str, declared: str) -> Any:
    claims = with_issuer(token.claims, foreign_issuer(token.profile))
    presented = signed(token.header, shifted(claims)).reveal()
    if role == "subject":
        return service.exchange(presented, BASIC, audience=AUDIENCE, subject_token_type=declared)
    genuine = genuine_claims(iss=foreign_issuer("rfc9068"), aud=every_audience()[0])
    subject = signed({"alg": "RS256", "typ": "at+jwt"}, shifted(genuine)).reveal()
    return service.exchange(
        subject, BASIC, audience=AUDIENCE, actor_token=presented, actor_token_type=declared
    )


@every_profile
def test_what_is_no_access_token_is_never_exchanged(service: RunningService, profile: str) -> None:
    for token in tokens(profile):
        if token.kind == "access_token":
            continue
        for role, declared in (("subject", ACCESS_TOKEN), ("subject", JWT), ("actor", JWT)):
            answer = present(service, token, role, declared)
            assert answer.status_code == 400, f"{token} as {role}: {answer.text}"
            assert answer.json()["reason"].startswith(f"{role}_token_"), f"{token}: {answer.text}"


@every_profile
def test_the_access_tokens_of_each_product_are_exchanged(service: RunningService, profile: str) -> None:
    for token in tokens(profile):
        ours = token.expect == "accepted" and not token.settings and "may_act" not in token.claims
        if token.kind == "access_token" and ours:
            answer = present(service, token, "subject", ACCESS_TOKEN)
            assert answer.status_code == 200, f"{token}: {answer.text}"
