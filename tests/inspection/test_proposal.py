"""What is proposed loads, exchanges the access token, and never lets the ID token through."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from exchange.config.profiles import shipped_profiles
from exchange.inspection.doctor import Asked, inspect_issuer
from exchange.inspection.products import _ENDPOINTS
from exchange.inspection.report import Inspection
from exchange.inspection.tokens import GivenToken, Meaning
from exchange.model import Secret
from tests.inspection.clinic import SpokenFor, given, inspect, keycloak_tokens, loaded, run
from tests.profiles import token_files
from tests.support import keys, shapes
from tests.support.idp import BACKEND
from tests.support.policies import AUDIENCE, BASIC, write_policies
from tests.support.service import RunningService
from tests.support.tokens import NOW


@pytest.fixture
def idp() -> Iterator[SpokenFor]:
    with SpokenFor() as issuer:
        yield issuer


def test_the_file_alone_goes_to_standard_output_and_loads(idp: SpokenFor, tmp_path: Path) -> None:
    result = run(
        idp.issuer, "--allow-insecure-http", *given(tmp_path, token=[idp.access_token(), idp.id_token()])
    )

    assert result.exit_code == 0
    (issuer,) = loaded(result.stdout, tmp_path).issuers.values()
    assert (issuer.issuer, issuer.profile.name, issuer.audience) == (idp.issuer, "rfc9068", {BACKEND})
    assert "proposed: policies/issuers/idp.yaml with profile rfc9068" in result.stderr


def test_without_a_token_the_file_loads_and_says_what_to_replace(idp: SpokenFor, tmp_path: Path) -> None:
    examined = inspect(idp.issuer)

    (issuer,) = loaded(examined.yaml, tmp_path).issuers.values()
    assert issuer.profile.name == "rfc9068"
    assert "REPLACE" in examined.yaml
    assert {"no_token_given", "replace_placeholder"} <= examined.codes


def test_the_audience_and_the_name_may_be_given(idp: SpokenFor, tmp_path: Path) -> None:
    examined = inspect(idp.issuer, "--audience", "api://a", "--audience", "b", "--name", "acme")

    (issuer,) = loaded(examined.yaml, tmp_path).issuers.values()
    assert issuer.audience == {"api://a", "b"}
    assert "policies/issuers/acme.yaml" in examined.yaml
    assert "REPLACE" not in examined.yaml


@pytest.mark.parametrize("product", ["rfc9068", "keycloak"])
def test_the_proposal_exchanges_the_access_token_and_refuses_the_id_token(
    idp: SpokenFor, tmp_path: Path, product: str
) -> None:
    tokens = keycloak_tokens(idp) if product == "keycloak" else (idp.access_token(), idp.id_token())
    examined = inspect(idp.issuer, *given(tmp_path, token=tokens), "--name", "idp")
    assert (examined.exit, examined.profile) == (0, product)

    policies = write_policies(
        tmp_path / "in-service",
        issuer=idp.issuer,
        clients={"shop-with-key": None},
        issuers={"idp": examined.yaml},
        audiences={
            "orders": {
                "audience": AUDIENCE,
                "scopes": ["orders:read"],
                "rules": [
                    {
                        "id": "shop-reads-orders",
                        "client": "shop",
                        "subject": {"issuer": "idp"},
                        "scopes": {"orders:read": ["orders.read"]},
                    }
                ],
            }
        },
    )
    with RunningService(policies, workers=1) as service:
        good, bad = (service.exchange(token, BASIC, audience=AUDIENCE) for token in tokens)

    claims = jwt.decode(good.json()["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["scope"]) == ("idp|ada", "orders:read")
    assert (bad.status_code, bad.json()["reason"]) == (400, "subject_token_is_id_token")


def lookalikes(idp: SpokenFor, **differences: Any) -> tuple[str, str]:
    """An access token in the shape of Auth0's, and an ID token of the same shape but for ``differences``."""
    shape = {"azp": "shop-web", "client_id": None}
    return (
        idp.sign(idp.access_token_claims(**shape)),
        idp.sign(idp.access_token_claims(**(shape | {"aud": "shop-web"} | differences))),
    )


@pytest.mark.parametrize("named", [True, False])
def test_two_tokens_of_one_shape_get_no_proposal(idp: SpokenFor, tmp_path: Path, named: bool) -> None:
    access, id_token = lookalikes(idp)
    arguments = (
        given(tmp_path, access=access, id_token=id_token)
        if named
        else given(tmp_path, token=[access, id_token])
    )

    examined = inspect(idp.issuer, *arguments)

    assert (examined.exit, examined.profile) == (1, None)
    assert examined.wrong == {"indistinguishable"}
    assert "same shape" in examined.text_of("indistinguishable")


def test_nothing_is_proposed_on_standard_output_either(idp: SpokenFor, tmp_path: Path) -> None:
    access, id_token = lookalikes(idp)

    result = run(idp.issuer, "--allow-insecure-http", *given(tmp_path, access=access, id_token=id_token))

    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing is proposed" in result.stderr


def test_a_claim_that_only_the_access_token_has_is_suggested_and_never_proposed(
    idp: SpokenFor, tmp_path: Path
) -> None:
    shape = {"client_id": None, "scope": None, "jti": None}
    access = idp.sign(idp.access_token_claims(**shape, our_own_mark=1))
    id_token = idp.sign(idp.access_token_claims(**shape))

    examined = inspect(idp.issuer, *given(tmp_path, access=access, id_token=id_token))

    assert (examined.exit, examined.profile, examined.wrong) == (1, None, {"no_profile_fits"})
    text = examined.text_of("marker_of_your_own")
    assert "our_own_mark" in text
    assert "never puts it into an ID token" in text


def test_an_id_token_that_is_typed_as_an_access_token_stops_every_profile(
    idp: SpokenFor, tmp_path: Path
) -> None:
    examined = inspect(idp.issuer, *given(tmp_path, access=idp.access_token(), id_token=idp.access_token()))

    assert (examined.exit, examined.profile) == (1, None)
    assert examined.wrong == {"not_what_was_said", "indistinguishable"}


BEARER, TYPED, USE = {"typ": "Bearer"}, {"typ": "at+jwt"}, {"token_use": "access"}


@pytest.mark.parametrize(
    ("mark", "header", "looks"),
    [
        (BEARER, {}, {"aud": "shop-web"}),
        (BEARER, {}, {"nonce": "n-1"}),  # which Keycloak's profile tolerates
        ({}, TYPED, {"aud": "shop-web"}),
        (USE, {}, {"aud": "shop-web"}),
    ],
)
def test_a_mark_that_the_id_token_has_too_is_no_mark(
    idp: SpokenFor, tmp_path: Path, mark: Any, header: Any, looks: Any
) -> None:
    """Neither token is called anything, and both pass for access tokens: one looks like the ID token."""
    access, id_token = (
        idp.sign(idp.access_token_claims(azp="shop-web", **(mark | more)), header=header)
        for more in ({}, looks)
    )

    examined = inspect(idp.issuer, *given(tmp_path, token=[access, id_token]))

    assert (examined.exit, examined.profile) == (1, None)
    assert examined.wrong == {"token_unknown", "indistinguishable"}


def test_access_tokens_of_a_user_and_of_a_machine_may_be_given_together(
    idp: SpokenFor, tmp_path: Path
) -> None:
    tokens = [idp.access_token(), idp.access_token(sub="shop-web"), idp.id_token()]

    examined = inspect(idp.issuer, *given(tmp_path, token=tokens))

    assert (examined.exit, examined.profile) == (0, "rfc9068")


def test_a_look_alike_alone_is_proposed_only_when_it_is_called_an_access_token(
    idp: SpokenFor, tmp_path: Path
) -> None:
    access, _ = lookalikes(idp)

    unnamed = inspect(idp.issuer, *given(tmp_path, token=access))
    named = inspect(idp.issuer, *given(tmp_path, access=access))
    compared = inspect(idp.issuer, *given(tmp_path, token=[access, idp.id_token()]))

    assert (unnamed.exit, unnamed.profile, unnamed.wrong) == (1, None, {"not_enough"})
    assert (named.exit, named.profile) == (0, "auth0")
    assert {"look_alike", "not_compared"} <= named.codes
    assert (compared.exit, compared.profile) == (0, "auth0")
    assert "not_compared" not in compared.codes


def test_the_products_endpoints_choose_between_look_alikes(idp: SpokenFor, tmp_path: Path) -> None:
    idp.changes["token_endpoint"] = f"{idp.issuer}/protocol/openid-connect/token"

    without = inspect(idp.issuer)
    access, id_token = keycloak_tokens(idp)
    with_tokens = inspect(idp.issuer, *given(tmp_path, token=[access, id_token]))

    assert (without.exit, without.profile) == (0, "keycloak")
    assert (with_tokens.exit, with_tokens.profile) == (0, "keycloak")


def test_a_look_alike_is_not_proposed_where_the_endpoints_say_that_it_is_another_product(
    idp: SpokenFor, tmp_path: Path
) -> None:
    access, _ = lookalikes(idp)
    idp.changes["token_endpoint"] = f"{idp.issuer}/protocol/openid-connect/token"
    arguments = given(tmp_path, access=access, id_token=idp.id_token())

    examined = inspect(idp.issuer, *arguments)
    insisted = inspect(idp.issuer, *arguments, "--profile", "auth0")

    assert (examined.exit, examined.profile, examined.wrong) == (1, None, {"another_product"})
    assert (insisted.exit, insisted.profile) == (0, "auth0")


def test_the_endpoints_that_are_known_are_those_of_profiles() -> None:
    assert set(_ENDPOINTS) <= set(token_files.profiles())


def weak_tokens(idp: SpokenFor) -> tuple[str, str]:
    """As Spring Authorization Server makes them."""
    now = int(time.time())
    shape = {"client_id": None, "aud": "shop-web", "nbf": now, "scope": ["orders.read"]}
    access = idp.sign(idp.access_token_claims(**shape))
    id_token = idp.id_token_claims(at_hash=None, nonce=None, sid="s", nbf=now, jti="j")
    return access, idp.sign(id_token)


def test_a_weak_profile_is_proposed_only_beside_an_id_token_that_it_refuses(
    idp: SpokenFor, tmp_path: Path
) -> None:
    access, id_token = weak_tokens(idp)

    alone = inspect(idp.issuer, *given(tmp_path, access=access))
    beside = inspect(idp.issuer, *given(tmp_path, access=access, id_token=id_token))

    assert (alone.exit, alone.profile, alone.wrong) == (1, None, {"weak_unproven"})
    assert (beside.exit, beside.profile) == (0, "spring")
    assert "accept_weak_marker: true" in beside.yaml
    assert "weak_marker" in beside.codes


def test_one_profile_can_be_asked_for(idp: SpokenFor, tmp_path: Path) -> None:
    access, id_token = keycloak_tokens(idp)

    fitting = inspect(idp.issuer, *given(tmp_path, token=[access, id_token]), "--profile", "auth0")
    other = inspect(idp.issuer, *given(tmp_path, token=[access, id_token]), "--profile", "cognito")

    assert (fitting.exit, fitting.profile) == (0, "auth0")
    assert (other.exit, other.profile, other.wrong) == (1, None, {"no_profile_fits"})


def test_names_that_are_in_everybodys_tokens_are_no_audience(idp: SpokenFor, tmp_path: Path) -> None:
    idp.changes["userinfo_endpoint"] = f"{idp.issuer}/me"
    audience = [BACKEND, "account", idp.issuer, f"{idp.issuer}/me", f"{idp.issuer}/userinfo"]

    examined = inspect(idp.issuer, *given(tmp_path, token=idp.access_token(aud=audience)))

    (issuer,) = loaded(examined.yaml, tmp_path).issuers.values()
    assert issuer.audience == {BACKEND}


def test_an_algorithm_that_the_profile_does_not_list_is_listed(tmp_path: Path) -> None:
    with SpokenFor(algorithm="ES512") as idp:
        examined = inspect(idp.issuer, *given(tmp_path, token=idp.access_token()))

    assert (examined.exit, examined.profile) == (0, "rfc9068")
    assert "algorithms: [ES512]" in examined.yaml


def test_where_a_typed_token_names_its_client_is_found(idp: SpokenFor, tmp_path: Path) -> None:
    examined = inspect(idp.issuer, *given(tmp_path, token=idp.access_token(client_id=None, azp="shop-web")))

    assert (examined.exit, examined.profile) == (0, "rfc9068")
    assert "client: {claim: azp}" in examined.yaml


def test_metadata_of_another_issuer_on_the_same_origin_needs_a_token_that_says_so(
    idp: SpokenFor, tmp_path: Path
) -> None:
    issuer = f"{idp.origin}/tenant/v2.0/"
    idp.changes["issuer"] = issuer

    alone = inspect(idp.issuer)
    token = inspect(idp.issuer, *given(tmp_path, token=idp.access_token(iss=issuer)))
    forged = inspect(
        idp.issuer,
        *given(
            tmp_path,
            token=keys.sign(
                idp.access_token_claims(iss=issuer), label="other", header={"typ": "at+jwt", "kid": "RS256-a"}
            ),
        ),
    )

    assert (alone.exit, alone.profile, alone.wrong) == (1, None, {"issuer_mismatch"})
    assert (token.exit, token.wrong) == (0, set())
    assert f'keys: {{jwks_uri: "{idp.jwks_uri}"}}' in token.yaml
    assert (forged.exit, forged.profile, forged.wrong) == (1, None, {"token_refused"})


def test_metadata_of_another_origin_is_never_believed_whatever_a_token_says(
    idp: SpokenFor, tmp_path: Path
) -> None:
    idp.changes["issuer"] = "https://accounts.google.com"

    examined = inspect(
        idp.issuer, *given(tmp_path, token=idp.access_token(iss="https://accounts.google.com"))
    )

    assert (examined.exit, examined.profile) == (1, None)
    assert "issuer_mismatch" in examined.wrong


def test_many_tenants_are_proposed_one_by_one(tmp_path: Path) -> None:
    tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"
    with SpokenFor(path="/common/v2.0") as idp:
        template = f"{idp.origin}/{{tenantid}}/v2.0"
        idp.changes["issuer"] = template
        idp.answers[f"/{tenant}/v2.0/.well-known/openid-configuration"] = lambda: (
            200,
            {},
            keys_of(idp, template.replace("{tenantid}", tenant)),
        )
        own = {"iss": f"{idp.origin}/{tenant}/v2.0", "tid": tenant}
        examined = inspect(idp.issuer, *given(tmp_path, token=idp.access_token(**own)))
        unseen = inspect(idp.issuer)

    assert (examined.exit, examined.wrong) == (0, set())
    assert f"issuer: {idp.origin}/{{tenant}}/v2.0" in examined.yaml.replace('"', "")
    assert f"tenant: {{claim: tid, allow: [{tenant}]}}" in examined.yaml.replace('"', "")
    assert unseen.exit == 0
    assert "# REPLACE this" in unseen.yaml


def keys_of(idp: SpokenFor, issuer: str) -> bytes:
    return json.dumps({"issuer": issuer, "jwks_uri": idp.jwks_uri}).encode()


class Documents:
    """Stands for the internet where a product's own issuer cannot be served: metadata and keys by URL."""

    def __init__(self, issuer: str) -> None:
        self._metadata = {"issuer": issuer, "jwks_uri": f"{issuer.rstrip('/')}/keys-of-the-test"}

    def get(self, url: str, **_: Any) -> bytes:
        found = self._metadata
        return json.dumps(shapes.inline_keys()["jwks"] if url == found["jwks_uri"] else found).encode()

    def get_dated(self, url: str, **options: Any) -> tuple[bytes, str]:
        return self.get(url, **options), ""


def examine(issuer: str, *tokens: GivenToken) -> Inspection:
    asked = Asked(issuer, tokens, audience=(BACKEND,))
    fetcher: Any = Documents(issuer)
    return inspect_issuer(asked, fetcher=fetcher, clock=lambda: NOW)


@pytest.mark.parametrize(
    ("issuer", "code"),
    [
        ("https://accounts.google.com", "never_accepted"),
        ("https://securetoken.google.com/project", "never_accepted"),
        ("https://appleid.apple.com", "never_accepted"),
        ("https://token.actions.githubusercontent.com", "workload_identity"),
        ("https://oidc.circleci.com/org/0000", "workload_identity"),
        ("https://acme.okta.com", "introspection_only"),
        ("https://acme.onelogin.com/oidc/2", "introspection_only"),
    ],
)
def test_products_whose_tokens_are_not_accepted_as_they_are_get_words_and_no_proposal(
    issuer: str, code: str
) -> None:
    inspection = examine(issuer)

    assert inspection.proposal is None
    assert code in {finding.code for finding in inspection.findings}


@pytest.mark.parametrize(
    ("issuer", "profile"),
    [
        ("https://acme.eu.auth0.com/", "auth0"),
        ("https://acme.okta.com/oauth2/default", "okta"),
        ("https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0", "entra-v2"),
        ("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc", "cognito"),
    ],
)
def test_products_are_known_by_their_issuer(issuer: str, profile: str) -> None:
    inspection = examine(issuer)

    assert inspection.proposal is not None
    assert inspection.proposal.profile == profile


PAIRS = 80
"""How many pairs of tokens are drawn of all that the profiles' data has."""


def test_no_pair_of_tokens_of_any_products_leads_to_a_proposal_that_lets_the_id_token_in() -> None:
    """An access token of one product and another token of any, at the issuer of the first, called nothing or what
    they are. That the audience differs hides nothing: the kind of a token is decided before its audience.
    """
    every = [token for name in token_files.profiles() for token in token_files.tokens(name)]
    shaped = [token for token in every if "alg" in token.header]
    access = [
        token for token in shaped if token.kind == "access_token" and token.issuer.startswith("https://")
    ]
    others = [token for token in shaped if token.kind != "access_token"]
    draw = random.Random(7)
    proposals = 0
    for _ in range(PAIRS):
        first, second = draw.choice(access), draw.choice(others)
        named = draw.choice([True, False])
        inspection = examine(
            first.issuer,
            GivenToken("first", token_at(first, first.issuer), Meaning.ACCESS_TOKEN if named else None),
            GivenToken("second", token_at(second, first.issuer), Meaning.ID_TOKEN if named else None),
        )
        if inspection.proposal is not None:
            proposals += 1
            (verdict,) = [one.verdict for one in inspection.tokens if one.token.label == "second"]
            assert verdict is not None
            about = (str(first), str(second), inspection.proposal.profile, verdict)
            assert not verdict.accepted, about
            assert not verdict.is_refused_for("audience_mismatch"), about
    assert proposals > PAIRS // 10


@pytest.mark.parametrize("profile", token_files.local_profiles())
def test_a_products_own_tokens_lead_to_its_profile_or_to_the_strict_one(profile: str) -> None:
    tokens = token_files.looked_at_here(profile)
    id_tokens = [token for token in tokens if token.kind == "id_token"]
    for token in tokens:
        genuine = token.kind == "access_token" and token.expect == "accepted"
        if not genuine or "access_token" in token.settings or not token.issuer.startswith("https://"):
            continue
        issuer = token.issuer
        given_tokens = [GivenToken("access", token_at(token, issuer), Meaning.ACCESS_TOKEN)]
        given_tokens += [GivenToken("id", token_at(one, issuer), Meaning.ID_TOKEN) for one in id_tokens]

        inspection = examine(issuer, *given_tokens)

        assert inspection.proposal is not None, (str(token), [one.to_json() for one in inspection.findings])
        fits = {fit.candidate.name for fit in inspection.fits if fit.fits}
        assert profile in fits, str(token)
        pattern = shipped_profiles().by_name[profile].issuers
        if pattern is not None and pattern.matches(issuer):
            assert inspection.proposal.profile in {profile, "rfc9068"}


def token_at(token: token_files.ShapedToken, issuer: str) -> Secret:
    """Sign a shaped token as of ``issuer``, valid now, so that its kind refuses it and not its time."""
    claims = token.claims if issuer == token.issuer else shapes.with_issuer(token.claims, issuer)
    return shapes.signed(token.header, claims)
