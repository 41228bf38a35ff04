"""RFC 7519 §4.1.4 to §4.1.6: when a token counts. Bounds are generous, so that a slow machine changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from tests.attacks.forge import ISSUER, access_claims, forged, with_raw
from tests.support import keys
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    audience_file,
    issuer_file,
    rule,
    server_file,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, RunningService

HOUR = 3600
SKEW = 60
"""Of the service under test, in seconds; twice the default, so that a test on its inner side is never late."""
STRICT, BRIEF = "https://strict.example", "https://brief.example"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    jwks = {"jwks": {"keys": [keys.public_jwk()]}}
    policies = write_policies(
        tmp_path_factory.mktemp("times") / "policies",
        issuer=ISSUER,
        server=server_file(clock_skew=f"{SKEW}s"),
        issuers={
            "idp": issuer_file(ISSUER, keys=jwks),
            "strict": issuer_file(STRICT, keys=jwks, max_token_age="1h"),
            "brief": issuer_file(BRIEF, keys=jwks, max_token_lifetime="10m"),
        },
        clients={"shop-with-key": None},
        audiences={"orders": audience_file(rule(subject={"issuer": ["idp", "strict", "brief"]}))},
    )
    with RunningService(policies, workers=1) as running:
        yield running


class Now:
    """A time to be taken when the token is made: ``Now(-30)`` is half a minute ago."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def __repr__(self) -> str:
        return f"now{self.seconds:+d}"


def token(issuer: str = ISSUER, **claims: Any) -> str:
    now = int(time.time())
    found = {name: now + value.seconds if isinstance(value, Now) else value for name, value in claims.items()}
    return forged(payload=access_claims(issuer, **found))


def exchange(service: RunningService, presented: str, **parameters: Any) -> Any:
    return service.exchange(presented, BASIC, audience=AUDIENCE, **parameters)


GENUINE = [
    {},
    {"exp": Now(120)},
    {"exp": Now(25 * HOUR), "iat": Now(0)},
    {"iat": Now(-20 * HOUR), "exp": Now(4 * HOUR)},
    {"nbf": Now(-HOUR)},
    {"nbf": Now(0)},
    {"nbf": Now(SKEW // 2)},
    {"nbf": None},
    {"nbf": 0},
    {"iat": Now(SKEW // 2)},
]


@pytest.mark.parametrize("claims", GENUINE, ids=str)
def test_a_token_that_counts_now_is_exchanged(service: RunningService, claims: dict[str, Any]) -> None:
    assert_issued(service, exchange(service, token(**claims)))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"exp": ...}, "claim_missing"),
    ({"exp": None}, "claim_missing"),
    *(
        ({name: value}, "claim_malformed")
        for name in ("exp", "nbf", "iat")
        for value in (
            "4000000000",
            "",
            4e9,
            1.5,
            True,
            False,
            [4_000_000_000],
            {"exp": 1},
            "2030-01-01T00:00:00Z",
        )
    ),
    ({"exp": Now(-HOUR)}, "expired"),
    ({"exp": Now(-1)}, "expired"),
    ({"exp": Now(0)}, "expired"),
    ({"exp": Now(-SKEW // 2)}, "expired"),
    ({"exp": 0}, "expired"),
    ({"exp": -1}, "expired"),
    ({"exp": -(2**63)}, "expired"),
    ({"exp": Now(-HOUR), "iat": Now(-2 * HOUR), "nbf": Now(-2 * HOUR)}, "expired"),
    ({"exp": 2**62}, "lifetime_too_long"),
    ({"exp": 2**63 - 1}, "lifetime_too_long"),
    ({"exp": 2**63}, "malformed"),
    ({"exp": Now(0), "iat": Now(0)}, "expired"),
    ({"exp": 4_000_000_000_000}, "lifetime_too_long"),  # milliseconds
    ({"iat": Now(0), "exp": Now(25 * HOUR + 1)}, "lifetime_too_long"),
    ({"iat": Now(-25 * HOUR), "exp": Now(HOUR)}, "lifetime_too_long"),
    ({"iat": 0}, "lifetime_too_long"),
    ({"iat": -1}, "lifetime_too_long"),
    ({"iat": -(2**63), "exp": Now(60)}, "lifetime_too_long"),
    ({"nbf": Now(HOUR)}, "not_yet_valid"),
    ({"nbf": Now(SKEW * 2)}, "not_yet_valid"),
    ({"nbf": 2**62}, "not_yet_valid"),
    ({"iat": Now(HOUR), "exp": Now(2 * HOUR)}, "not_yet_valid"),
    ({"iat": Now(SKEW * 2)}, "not_yet_valid"),
    ({"iat": 2**62, "exp": 2**62 + 1}, "not_yet_valid"),
    ({"iat": ...}, "claim_missing"),
    ({"iat": None}, "claim_missing"),
    ({"iat": ..., "exp": Now(26 * HOUR)}, "lifetime_too_long"),
]


@pytest.mark.parametrize("role", ["subject", "actor"])
@pytest.mark.parametrize(("claims", "reason"), REFUSED, ids=str)
def test_a_token_that_does_not_count_now_is_refused(
    service: RunningService, claims: dict[str, Any], reason: str, role: str
) -> None:
    if role == "subject":
        answer = exchange(service, token(**claims))
    else:
        answer = exchange(service, token(), actor_token=token(**claims), actor_token_type=ACCESS_TOKEN)
    assert_refused(service, answer, f"{role}_token_{reason}")


@pytest.mark.parametrize("value", ["4e9", "4000000000.0", "4.0E+9"])
def test_a_number_that_is_written_as_a_float_is_refused(service: RunningService, value: str) -> None:
    answer = exchange(service, forged(payload=with_raw("exp", value)))
    assert_refused(service, answer, "subject_token_claim_malformed")


def test_a_token_that_is_too_old_for_its_issuer_is_refused(service: RunningService) -> None:
    old = {"exp": Now(HOUR)}
    assert_issued(service, exchange(service, token(STRICT, iat=Now(-HOUR // 2), **old)))
    assert_issued(service, exchange(service, token(ISSUER, iat=Now(-HOUR - 60), **old)))
    answer = exchange(service, token(STRICT, iat=Now(-HOUR - 60), **old))
    assert_refused(service, answer, "subject_token_too_old")


@pytest.mark.parametrize("iat", [..., None])
def test_an_age_that_nobody_can_tell_is_refused(service: RunningService, iat: Any) -> None:
    answer = exchange(service, token(STRICT, iat=iat))
    assert_refused(service, answer, "subject_token_claim_missing")


def test_a_lifetime_beyond_that_of_its_issuer_is_refused(service: RunningService) -> None:
    assert_issued(service, exchange(service, token(BRIEF, iat=Now(0), exp=Now(600))))
    answer = exchange(service, token(BRIEF, iat=Now(0), exp=Now(601)))
    assert_refused(service, answer, "subject_token_lifetime_too_long")


@pytest.mark.parametrize("left", [20, 120, 2 * HOUR])
def test_what_is_issued_ends_with_the_subject_token_or_before(service: RunningService, left: int) -> None:
    presented = token(exp=Now(left))
    answer = exchange(service, presented)
    assert_issued(service, answer)
    subject, issued = (
        jwt.decode(text, options={"verify_signature": False})
        for text in (presented, answer.json()["access_token"])
    )
    assert issued["exp"] <= subject["exp"]
    assert issued["exp"] - issued["iat"] == answer.json()["expires_in"] <= min(left, 300)
