"""Promise 4: a token counts where it was sent, and for the backend it was sent to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.attacks.forge import ISSUER, access_claims, forged
from tests.support import keys
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    audience_file,
    issuer_file,
    rule,
    secret_client_file,
    secret_hash,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import RunningService

OTHER_BACKEND = f"{BACKEND}/with-key"


def token_for(idp: FakeIssuer, aud: Any) -> str:
    """Return a token of the shared issuer with any JSON as ``aud``; ``...`` leaves it out."""
    claims = idp.access_token_claims(aud=None) | ({} if aud is ... else {"aud": aud})
    return keys.sign_anything(claims, header={"typ": "at+jwt"})


@pytest.mark.parametrize(
    "aud",
    [
        BACKEND,
        [BACKEND],
        [BACKEND, "https://other.example"],
        ["https://other.example", BACKEND],
        [BACKEND, BACKEND],
    ],
)
def test_a_token_meant_for_the_presenter_is_exchanged(
    service: RunningService, idp: FakeIssuer, aud: Any
) -> None:
    assert_issued(service, service.exchange(token_for(idp, aud), BASIC, audience=AUDIENCE))


@pytest.mark.parametrize(
    "aud",
    [
        ...,
        None,
        [],
        "https://other.example",
        ["https://other.example"],
        BACKEND[:-1],
        BACKEND[1:],
        f"{BACKEND}/",
        f"{BACKEND}.attacker.example",
        f"{BACKEND} ",
        f" {BACKEND}",
        f"{BACKEND}\n",
        f"{BACKEND} https://other.example",
        f"{BACKEND},https://other.example",
        BACKEND.upper(),
        BACKEND.replace("https", "HTTPS"),
        BACKEND.replace("https://", ""),
        [BACKEND.upper(), f"{BACKEND}/"],
        "*",
        "shop",
        "shop-web",
        ["shop"],
        AUDIENCE,
        [AUDIENCE],
    ],
)
def test_a_token_for_somebody_else_or_nobody_is_refused(
    service: RunningService, idp: FakeIssuer, aud: Any
) -> None:
    # Vault CVE-2024-5798: an audience that was one string was not compared at all.
    answer = service.exchange(token_for(idp, aud), BASIC, audience=AUDIENCE)
    assert_refused(service, answer, "subject_token_audience_mismatch")


@pytest.mark.parametrize(
    "aud",
    [
        "",
        0,
        1.5,
        True,
        False,
        [""],
        [[BACKEND]],
        [BACKEND, 1],
        [BACKEND, None],
        [BACKEND, [BACKEND]],
        [BACKEND, ""],
        {BACKEND: True},
        {"0": BACKEND},
        {},
        [{"aud": BACKEND}],
    ],
)
def test_an_audience_of_another_type_is_refused(service: RunningService, idp: FakeIssuer, aud: Any) -> None:
    answer = service.exchange(token_for(idp, aud), BASIC, audience=AUDIENCE)
    assert_refused(service, answer, "subject_token_claim_malformed")


def test_an_id_token_for_somebody_else_is_still_an_id_token(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.exchange(idp.id_token(aud="https://other.example"), BASIC, audience=AUDIENCE)
    assert_refused(service, answer, "subject_token_is_id_token")


def test_a_token_sent_to_another_client_is_refused_and_its_own_scope_does_not_help(
    service: RunningService, idp: FakeIssuer
) -> None:
    for aud in (OTHER_BACKEND, [OTHER_BACKEND, "shop", "shop-web"]):
        answer = service.exchange(
            token_for(idp, aud), BASIC, audience=AUDIENCE, client_id="shop", scope="orders:read"
        )
        assert_refused(service, answer, "presenter_mismatch")


# ── presenter rules ─────────────────────────────────────────────────────────────────────────────────────────

TARGETS = {name: f"https://{name}.example" for name in ("sent", "issued", "anyone", "nameless")}
NAMELESS = ("nameless", "another-secret-that-only-the-tests-know_012345")


@pytest.fixture(scope="module")
def presenters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One target for each ``presenter``, and a client that has no audience of its own."""

    def target(name: str, **changes: Any) -> dict[str, Any]:
        return audience_file(
            rule(id=f"by-{name}", **changes), audience=TARGETS[name], resources=[f"{TARGETS[name]}/api"]
        )

    policies = write_policies(
        tmp_path_factory.mktemp("presenters") / "policies",
        issuer=ISSUER,
        issuers={
            "idp": issuer_file(
                ISSUER, audience=[BACKEND, OTHER_BACKEND], keys={"jwks": {"keys": [keys.public_jwk()]}}
            )
        },
        clients={
            "shop": secret_client_file(authorized_party=["shop-web", "shop-app"]),
            "nameless": {"authentication": {"client_secret": {"hash": [secret_hash(NAMELESS[1])]}}},
        },
        audiences={
            "orders": None,
            "sent": target("sent"),
            "issued": target("issued", presenter="authorized_party"),
            "anyone": target("anyone", presenter="any"),
            "nameless": target("nameless", client="nameless"),
        },
    )
    with RunningService(policies, workers=1) as running:
        yield running


@pytest.mark.parametrize(
    ("target", "claims"),
    [
        ("sent", {"aud": BACKEND, "client_id": "shop-web"}),
        ("sent", {"aud": BACKEND, "client_id": "somebody-else"}),
        ("sent", {"aud": BACKEND, "client_id": ...}),
        ("issued", {"aud": BACKEND, "client_id": "shop-web"}),
        ("issued", {"aud": OTHER_BACKEND, "client_id": "shop-web"}),
        ("issued", {"aud": OTHER_BACKEND, "client_id": "shop-app"}),
        ("issued", {"aud": OTHER_BACKEND, "client_id": "shop"}),
        ("anyone", {"aud": OTHER_BACKEND, "client_id": "somebody-else"}),
        ("anyone", {"aud": BACKEND, "client_id": ...}),
    ],
)
def test_the_presenter_that_a_rule_asks_for_is_answered(
    presenters: RunningService, target: str, claims: dict[str, Any]
) -> None:
    token = forged(payload=access_claims(**claims))
    assert_issued(presenters, presenters.exchange(token, BASIC, audience=TARGETS[target]))


@pytest.mark.parametrize(
    ("target", "claims"),
    [
        ("sent", {"aud": OTHER_BACKEND, "client_id": "shop-web"}),
        ("sent", {"aud": OTHER_BACKEND, "client_id": "shop"}),
        ("sent", {"aud": OTHER_BACKEND, "client_id": BACKEND}),
        ("issued", {"aud": BACKEND, "client_id": "somebody-else"}),
        ("issued", {"aud": BACKEND, "client_id": ...}),
        ("issued", {"aud": BACKEND, "client_id": None}),
        ("issued", {"aud": BACKEND, "client_id": []}),
        ("issued", {"aud": BACKEND, "client_id": "shop-we"}),
        ("issued", {"aud": BACKEND, "client_id": "shop-web2"}),
        ("issued", {"aud": BACKEND, "client_id": "SHOP-WEB"}),
        ("issued", {"aud": BACKEND, "client_id": "shop-web shop"}),
        ("issued", {"aud": BACKEND, "client_id": BACKEND}),
        ("issued", {"aud": BACKEND, "client_id": "somebody-else", "azp": "shop-web"}),
    ],
)
def test_another_presenter_is_refused(
    presenters: RunningService, target: str, claims: dict[str, Any]
) -> None:
    token = forged(payload=access_claims(**claims))
    answer = presenters.exchange(token, BASIC, audience=TARGETS[target])
    assert_refused(presenters, answer, "presenter_mismatch")


@pytest.mark.parametrize("client_id", ["", 1, True, {"shop-web": 1}, ["shop-web", 1]])
def test_a_client_claim_of_another_type_is_refused(presenters: RunningService, client_id: Any) -> None:
    token = forged(payload=access_claims(client_id=client_id))
    answer = presenters.exchange(token, BASIC, audience=TARGETS["issued"])
    assert_refused(presenters, answer, "subject_token_claim_malformed")


def test_any_presenter_does_not_mean_any_audience(presenters: RunningService) -> None:
    token = forged(payload=access_claims(aud="https://stranger.example"))
    answer = presenters.exchange(token, BASIC, audience=TARGETS["anyone"])
    assert_refused(presenters, answer, "subject_token_audience_mismatch")


def test_a_client_without_an_audience_was_sent_nothing(presenters: RunningService) -> None:
    for aud in (BACKEND, [BACKEND, OTHER_BACKEND], [BACKEND, "nameless"]):
        token = forged(payload=access_claims(aud=aud))
        answer = presenters.exchange(token, NAMELESS, audience=TARGETS["nameless"])
        assert_refused(presenters, answer, "presenter_mismatch")
