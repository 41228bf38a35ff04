"""``/token``, ``exchange explain`` and ``exchange test`` never disagree."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.audit import Attempt
from exchange.config.values import Policies
from exchange.errors import Refusal
from exchange.issuance.mint import Minter
from exchange.jose import generate_signing_key
from exchange.model import NO_PROOF, PresentedProof, Role, SenderProof
from exchange.policy.decide import PolicyDecider
from exchange.rehearsal.rehearse import Rehearsal, RehearsalRequest, form
from exchange.rehearsal.unsigned import unsigned_token
from exchange.token_exchange import TokenExchange
from exchange.tokens.validate import TokenValidator
from exchange.trust import KeyCaches, TrustedIssuers, own_issuer
from exchange.web.token_request import parse_token_request
from tests.rehearsal import shop
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import AUDIENCE, BASIC, RESOURCE, SECRET_CLIENT, audience_file, write_policies
from tests.support.service import ACCESS_TOKEN, ID_TOKEN, JWT, RunningService

NOW = int(time.time())
SCALARS = st.sampled_from(
    ["acme", "acme-eu", "umbrella", "", "a b", "ada", BACKEND, 1, 0, True, False, None, 1.5]
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
TIMES = st.sampled_from(
    [..., NOW - 10, NOW, NOW + 100, NOW + 3600, NOW - 90_000, NOW + 90_000, "soon", 1.5, None]
)
MEMBERS = {
    "sub": st.sampled_from([..., "ada", "", 7, None]),
    "aud": st.one_of(st.sampled_from([..., BACKEND, [BACKEND, "x"], "https://else.example", []]), VALUES),
    "iat": TIMES,
    "exp": TIMES,
    "nbf": TIMES,
    "scope": st.sampled_from([..., "orders.read", "orders.write orders.read", ["orders.read"], 5]),
    "tenant": VALUES,
    "plan": st.sampled_from([..., "gold"]),
    "guest": st.sampled_from([..., True, "true"]),
    "realm": st.one_of(st.sampled_from([..., {"roles": ["clerk"]}, {"roles": "clerk"}]), VALUES),
    "typ": st.sampled_from([..., "Bearer", "ID"]),
    "nonce": st.sampled_from([..., "n1"]),
    "cnf": st.sampled_from(
        [
            ...,
            {"jkt": "k"},
            {"jkt": "other"},
            {"x5t#S256": "c"},
            {"jkt": "k", "x5t#S256": "c"},
            {},
            {"kid": "k"},
        ]
    ),
    "act": st.sampled_from([..., {"sub": "b"}, "b"]),
    "may_act": st.sampled_from([..., {"client_id": SECRET_CLIENT}, {"client_id": "other"}, {}]),
    "iss": st.sampled_from([..., shop.ISSUER, "https://nobody.example", 3]),
}


def genuine(**changes: Any) -> dict[str, Any]:
    """A clerk's claims as of NOW: the tests may run minutes after this module was read."""
    return shop.claims(**({"iat": NOW, "exp": NOW + 3600} | changes))


@st.composite
def payloads(draw: Any) -> dict[str, Any]:
    """A clerk's claims with a few members of them replaced, most of the time by something odd."""
    changed = draw(st.sets(st.sampled_from(sorted(MEMBERS)), max_size=3))
    return genuine(**{name: draw(MEMBERS[name]) for name in changed})


HEADERS = st.sampled_from(
    [shop.AT_JWT, shop.AT_JWT, {"typ": "JWT"}, {"typ": "logout+jwt"}, {"typ": "at+jwt", "crit": ["b64"]}]
)
PROOFS = st.sampled_from([NO_PROOF, SenderProof("k"), SenderProof(None, "c"), SenderProof("k", "c")])
PARAMETERS = st.fixed_dictionaries(
    {"subject_token_type": st.sampled_from([ACCESS_TOKEN, ACCESS_TOKEN, JWT, ID_TOKEN])},
    optional={
        "audience": st.sampled_from([(AUDIENCE,), (AUDIENCE, AUDIENCE), ("https://nobody.example",)]),
        "resource": st.sampled_from([(RESOURCE,), ("https://nobody.example",)]),
        "scope": st.sampled_from(["orders:read", "orders:write orders:read", "orders:admin", "a  b"]),
        "requested_token_type": st.sampled_from([ACCESS_TOKEN, ID_TOKEN]),
    },
)


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Policies:
    return shop.loaded(shop.shop(tmp_path_factory.mktemp("agreement")))


class _Keys:
    current = generate_signing_key("ES256")


def served(policies: Policies, parameters: dict[str, Any], proof: SenderProof = NO_PROOF) -> tuple[str, Any]:
    """What the service's own collaborators answer to a signed token."""
    caches = KeyCaches(fetcher=None)  # type: ignore[arg-type]  # the keys are in the policies
    issuers = TrustedIssuers(policies.issuers, caches, own_issuer(policies, {"keys": []}))
    exchange = TokenExchange(
        prove=lambda _presented, _token: proof,
        validate=TokenValidator(issuers=issuers, server=policies.server, clock=lambda: NOW),
        decide=PolicyDecider(policies),
        mint=Minter(
            issuer=policies.server.issuer, keys=_Keys(), clock=lambda: NOW, new_id=lambda: "rehearsal"
        ),
        use_up=lambda _subject, _actor: None,
    )
    try:
        request = parse_token_request(form(parameters))
        issued = exchange.exchange(
            request, policies.clients[SECRET_CLIENT], PresentedProof(), Attempt("id", NOW)
        )
    except Refusal as refusal:
        return "refused", (refusal.reason.slug, refusal.detail)
    return "issued", (dict(issued.claims), issued.expires_in, issued.issued_token_type)


def rehearsed(
    policies: Policies, parameters: dict[str, Any], proof: SenderProof = NO_PROOF
) -> tuple[str, Any]:
    answer = Rehearsal.of_claims(policies, now=NOW)(
        RehearsalRequest(SECRET_CLIENT, form(parameters), frozenset({Role.SUBJECT}), proof)
    )
    if answer.refusal is not None:
        return "refused", (answer.refusal.reason.slug, answer.refusal.detail)
    assert answer.issued is not None
    return "issued", (dict(answer.issued.claims), answer.issued.expires_in, answer.issued.issued_token_type)


@settings(max_examples=400, deadline=None)
@given(payload=payloads(), header=HEADERS, parameters=PARAMETERS, proof=PROOFS)
def test_claims_are_decided_as_a_signed_token_of_them_is(
    policies: Policies,
    payload: dict[str, Any],
    header: dict[str, Any],
    parameters: dict[str, Any],
    proof: SenderProof,
) -> None:
    complete = {"iat": NOW, "exp": NOW + 3600, "iss": shop.ISSUER} | payload
    unsigned = unsigned_token(
        complete, issuer="idp", header={"alg": "ES256", **header}, policies=policies, now=NOW
    ).reveal()

    by_service = served(policies, {"subject_token": shop.signed(complete, header), **parameters}, proof)

    assert rehearsed(policies, {"subject_token": unsigned, **parameters}, proof) == by_service


def test_the_property_is_not_about_refusals_alone(policies: Policies) -> None:
    parameters = {
        "subject_token": shop.signed(genuine()),
        "subject_token_type": ACCESS_TOKEN,
        "audience": (AUDIENCE,),
    }

    outcome, (claims, expires_in, _) = served(policies, parameters)

    assert (outcome, claims["tier"], expires_in) == ("issued", "basic", 60)


@pytest.fixture(scope="module")
def real(idp: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningService, Path]]:
    directory = write_policies(
        tmp_path_factory.mktemp("real") / "policies",
        issuer=idp.issuer,
        clients={"shop-with-key": None},
        audiences={"orders": audience_file(shop.DENIAL, shop.OPENED_BY_ALL, shop.PLAIN)},
    )
    with RunningService(directory, workers=1) as running:
        yield running, directory


CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"tenant": "acme", "realm": {"roles": ["clerk"]}}, shop.AT_JWT, {"scope": "orders:write"}),
    ({"tenant": "acme-eu"}, shop.AT_JWT, {}),
    ({"tenant": "acme"}, shop.AT_JWT, {"scope": "orders:admin"}),
    ({"tenant": "umbrella"}, shop.AT_JWT, {}),
    ({"tenant": "acme", "guest": True}, shop.AT_JWT, {}),
    ({"realm": {"roles": ["clerk"]}}, shop.AT_JWT, {}),
    ({"tenant": "acme", "nonce": "n1"}, {"typ": "JWT"}, {}),
    ({"tenant": "acme"}, {"typ": "JWT"}, {}),
    ({"tenant": "acme", "aud": "https://else.example"}, shop.AT_JWT, {}),
    ({"tenant": "acme", "exp": NOW - 5}, shop.AT_JWT, {}),
    ({"tenant": "acme"}, shop.AT_JWT, {"audience": "https://nobody.example"}),
    ({"tenant": "acme"}, shop.AT_JWT, {"subject_token_type": ID_TOKEN}),
]


@pytest.mark.parametrize("case", CASES)
def test_a_token_is_explained_as_it_is_exchanged(
    real: tuple[RunningService, Path], idp: FakeIssuer, tmp_path: Path, case: tuple[Any, Any, Any]
) -> None:
    (changes, header, asked), (service, directory) = case, real
    payload = idp.access_token_claims(**changes)
    token = idp.sign(payload, header=header)
    (tmp_path / "token").write_text(token + "\n")
    parameters = {"audience": AUDIENCE} | asked
    options = [part for name, value in parameters.items() for part in (f"--{name.replace('_', '-')}", value)]
    ask = ("explain", "--policies", directory, "--client", SECRET_CLIENT, "--json", *options)
    env = {"EXCHANGE_ISSUER": service.issuer}

    answer = service.exchange(token, BASIC, **parameters).json()
    by_token = shop.run(*ask, "--subject-token", f"@{tmp_path / 'token'}", env=env)
    by_claims = shop.run(*ask, "--claims", json.dumps(payload), "--header", json.dumps(header), env=env)

    for result in (by_token, by_claims):
        explanation = json.loads(result.output)
        assert token not in result.output
        assert result.exit_code == (0 if "access_token" in answer else 1)
        assert explanation.get("refusal", {}).get("reason") == answer.get("reason")
        assert explanation.get("refusal", {}).get("description") == answer.get("error_description")
        if "access_token" in answer:
            (record,) = [
                one for one in service.audit() if one.get("subject", {}).get("jti") == payload["jti"]
            ]
            made_anew = {"iat", "exp", "jti"}
            claims = explanation["issued"]["claims"]
            assert claims.items() - {(name, claims[name]) for name in made_anew} == {
                pair for pair in record["issued"]["claims"].items() if pair[0] not in made_anew
            }
            assert abs(explanation["issued"]["expires_in"] - answer["expires_in"]) <= 1
