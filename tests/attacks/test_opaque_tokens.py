"""Opaque tokens over HTTP: the issuer is asked, its answer is held to every check, and no answer is never a no."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.reload.looking import eventually, in_force
from tests.support import dpop, keys
from tests.support.dpop import DpopKey
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.introspection import (
    CREDENTIALS,
    SECRET,
    SIGNED,
    VARIABLE,
    Endpoint,
    GitHubApi,
    GoogleTokenInfo,
    PartnerServer,
    json_answer,
    partner_answer,
    signed_answer,
)
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    audience_file,
    issuer_file,
    rule,
    secret_client_file,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import RunningService
from tests.support.services import api_client, basic

ISSUER = "https://login.partner.example"
WEB = "100000000000-web.apps.googleusercontent.com"
APP = "Iv1.8a61f9b3a7aba766"
SHOP = basic("shop")
"""Its opaque tokens are the partner's."""
KIOSK = basic("kiosk")
"""Its opaque tokens are of ``endpoint``, which answers whatever a test wants."""
PLAIN = basic("plain")
"""It receives no opaque tokens."""


def asked_file(endpoint: str, **changes: Any) -> dict[str, Any]:
    introspection = {"endpoint": endpoint, **CREDENTIALS, **changes.pop("introspection", {})}
    return {
        "issuer": ISSUER,
        "profile": "opaque",
        "audience": [BACKEND],
        "allow_insecure_http": True,
        "introspection": introspection,
    } | changes


def policies_for(directory: Path, *, idp: str, partner: str, endpoint: str, google: str, github: str) -> Path:
    own = {"audience": [WEB]}
    clients = {
        "shop": api_client("shop", BACKEND, opaque_tokens_from="partner", default_target=AUDIENCE),
        "kiosk": api_client(
            "kiosk", f"{BACKEND}/kiosk", opaque_tokens_from="endpoint", default_target=AUDIENCE
        ),
        "plain": api_client("plain", f"{BACKEND}/plain", default_target=AUDIENCE),
        "googler": api_client("googler", WEB, opaque_tokens_from="google", default_target=AUDIENCE),
        "hubber": api_client("hubber", APP, opaque_tokens_from="github", default_target=AUDIENCE),
        "signer": api_client(
            "signer", f"{BACKEND}/signed", opaque_tokens_from="signed", default_target=AUDIENCE
        ),
        "shop-with-key": None,
    }
    everybody = [name for name, file in clients.items() if file]
    issuers = {
        "idp": issuer_file(idp, audience=[BACKEND, f"{BACKEND}/plain", f"{BACKEND}/kiosk"]),
        "partner": asked_file(f"{partner}/introspect"),
        "endpoint": asked_file(
            f"{endpoint}/introspect",
            issuer="https://endpoint.example",
            audience=[f"{BACKEND}/kiosk"],
            introspection={"cache": 0},
        ),
        "google": asked_file("", **own, issuer="https://accounts.google.com", profile="google-tokeninfo")
        | {"introspection": {"endpoint": f"{google}/tokeninfo"}},
        "github": asked_file("", issuer="https://github.com", profile="github", audience=[APP])
        | {
            "introspection": {
                "endpoint": f"{github}/applications/{{client_id}}/token",
                "client_id": APP,
                "client_secret": f"${{{VARIABLE}}}",
            }
        },
        "signed": asked_file(
            f"{endpoint}/signed",
            issuer="https://signed.example",
            audience=[f"{BACKEND}/signed"],
            keys={"jwks": {"keys": [keys.public_jwk("ES256", "partner")]}},
            introspection={"signed_response": True, "cache": 0},
        ),
    }
    permits = rule(
        client=everybody,
        subject={"issuer": list(issuers)},
        scopes={"orders:read": "always", "orders:write": ["orders.write"]},
        claims={"login": {"copy": "login"}},
    )
    return write_policies(
        directory, issuer=idp, issuers=issuers, clients=clients, audiences={"orders": audience_file(permits)}
    )


@pytest.fixture(scope="module")
def partner() -> Iterator[PartnerServer]:
    with PartnerServer() as serving:
        yield serving


@pytest.fixture(scope="module")
def serving_endpoint() -> Iterator[Endpoint]:
    with Endpoint(lambda _: json_answer({"active": False})) as serving:
        yield serving


@pytest.fixture
def endpoint(serving_endpoint: Endpoint) -> Iterator[Endpoint]:
    serving_endpoint.asked.clear()
    yield serving_endpoint
    serving_endpoint.answer = lambda _: json_answer({"active": False})


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleTokenInfo]:
    with GoogleTokenInfo() as serving:
        yield serving


@pytest.fixture(scope="module")
def github() -> Iterator[GitHubApi]:
    with GitHubApi(APP, SECRET) as serving:
        yield serving


@pytest.fixture(scope="module")
def asking(
    tmp_path_factory: pytest.TempPathFactory,
    partner: PartnerServer,
    serving_endpoint: Endpoint,
    google: GoogleTokenInfo,
    github: GitHubApi,
) -> Iterator[RunningService]:
    with FakeIssuer() as idp:
        policies = policies_for(
            tmp_path_factory.mktemp("asking") / "policies",
            idp=idp.issuer,
            partner=partner.url,
            endpoint=serving_endpoint.url,
            google=google.url,
            github=github.url,
        )
        with RunningService(policies, env={VARIABLE: SECRET}, workers=1) as running:
            yield running


def kiosk_answer(**changes: Any) -> dict[str, Any]:
    said = {"active": True} | partner_answer() | {"aud": f"{BACKEND}/kiosk"} | changes
    return {name: value for name, value in said.items() if value is not None}


def said_of(endpoint: Endpoint, asking: RunningService, **changes: Any) -> requests.Response:
    endpoint.answer = lambda _: json_answer(kiosk_answer(**changes))
    return asking.exchange("an-opaque-token", KIOSK)


# ── what is honest passes ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_opaque_token_is_exchanged(asking: RunningService, partner: PartnerServer) -> None:
    answer = asking.exchange(partner.issue(sub="ada"), SHOP)
    record = assert_issued(asking, answer)
    claims = record["issued"]["claims"]
    assert claims["sub"] == "partner|ada"
    assert set(claims["scope"].split()) == {"orders:read", "orders:write"}
    assert record["subject"]["evidence"] == "marker opaque.introspection[0]"
    assert partner.asked[-1]["token_type_hint"] == "access_token"


def test_the_issued_token_ends_with_the_answer_s(asking: RunningService, partner: PartnerServer) -> None:
    answer = asking.exchange(partner.issue(exp=int(time.time()) + 40), SHOP)
    assert answer.json()["expires_in"] <= 40


def test_a_token_is_asked_about_once_until_its_answer_is_old(
    asking: RunningService, partner: PartnerServer
) -> None:
    token = partner.issue()
    partner.asked.clear()
    for _ in range(5):
        assert_issued(asking, asking.exchange(token, SHOP))
    assert len(partner.asked) == 1


def test_an_opaque_actor_token_is_asked_about_too(asking: RunningService, partner: PartnerServer) -> None:
    """Here it is refused for what it says: the actor is not the client."""
    actor = partner.issue(sub="somebody", client_id="somebody")
    answer = asking.exchange(partner.issue(), SHOP, actor_token=actor, actor_token_type="urn:ietf:params:oauth:token-type:access_token")  # fmt: skip
    assert_refused(asking, answer, "actor_not_client")
    dead = asking.exchange(partner.issue(), SHOP, actor_token="dead", actor_token_type="urn:ietf:params:oauth:token-type:access_token")  # fmt: skip
    assert_refused(asking, dead, "actor_token_inactive")


def test_delegation_in_an_answer_is_kept(asking: RunningService, endpoint: Endpoint) -> None:
    chain = {"sub": "proxy", "iss": ISSUER, "act": {"sub": "earlier", "iss": ISSUER}}
    record = assert_issued(asking, said_of(endpoint, asking, act=chain))
    assert record["issued"]["claims"]["act"] == chain
    assert_refused(asking, said_of(endpoint, asking, may_act={"client_id": "other"}), "may_act_mismatch")
    assert_issued(asking, said_of(endpoint, asking, may_act={"client_id": "kiosk"}))


def test_a_google_access_token_is_exchanged(asking: RunningService, google: GoogleTokenInfo) -> None:
    record = assert_issued(asking, asking.exchange(google.issue("ya29.a0Af", WEB), basic("googler")))
    assert record["issued"]["claims"]["sub"] == "google|100000000000000000001"
    refused = asking.exchange(google.issue("ya29.b", "somebody-else"), basic("googler"))
    assert_refused(asking, refused, "subject_token_audience_mismatch")
    assert_refused(asking, asking.exchange("ya29.unknown", basic("googler")), "subject_token_inactive")


def test_a_token_of_our_github_app_is_exchanged(asking: RunningService, github: GitHubApi) -> None:
    record = assert_issued(asking, asking.exchange(github.issue("gho_abc"), basic("hubber")))
    assert record["issued"]["claims"]["sub"] == "github|583231"
    assert record["issued"]["claims"]["login"] == "octocat"
    assert "gho_abc" not in asking.stdout()
    assert_refused(asking, asking.exchange("gho_unknown", basic("hubber")), "subject_token_inactive")


@pytest.mark.parametrize("token", ["ghp_abc", "ghs_abc", "github_pat_abc", "ghr_abc", "abc"])
def test_other_tokens_of_github_are_not_even_shown_to_it(
    asking: RunningService, github: GitHubApi, token: str
) -> None:
    github.issue(token)
    github.asked.clear()
    assert_refused(asking, asking.exchange(token, basic("hubber")), "subject_token_is_other_kind")
    assert github.asked == []


# ── each check of an answer, spoiled by itself ──────────────────────────────────────────────────────────────────────

SPOILT: dict[str, tuple[dict[str, Any], str]] = {
    "inactive": ({"active": False}, "inactive"),
    "says id_token": ({"token_type": "id_token"}, "is_id_token"),
    "says id": ({"token_use": "id"}, "is_id_token"),
    "says ID as Keycloak does": ({"typ": "ID"}, "is_id_token"),
    "hash of an ID token": ({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, "is_id_token"),
    "nonce": ({"nonce": "n-1"}, "is_id_token"),
    "Okta's ID token": ({"jti": "ID.abc"}, "is_id_token"),
    "refresh token": ({"token_use": "refresh_token"}, "is_other_kind"),
    "refresh token as Keycloak says it": ({"typ": "Refresh"}, "is_other_kind"),
    "logout token": ({"events": {}}, "is_other_kind"),
    "nothing says what it is": ({"token_type": None}, "kind_unproven"),
    "a type that is no access token's": ({"token_type": "N_A"}, "kind_unproven"),
    "another issuer": ({"iss": "https://login.other.example"}, "claim_refused"),
    "iss is null": ({"iss": ["https://endpoint.example"]}, "claim_refused"),
    "no end": ({"exp": None}, "claim_missing"),
    "end is a string": ({"exp": "2000000000"}, "claim_malformed"),
    "expired, and active all the same": ({"exp": 1}, "expired"),
    "not yet valid": ({"nbf": 4_000_000_000}, "not_yet_valid"),
    "issued for years": ({"exp": 4_000_000_000}, "lifetime_too_long"),
    "no subject": ({"sub": None}, "claim_missing"),
    "subject is a number": ({"sub": 7}, "claim_malformed"),
    "another audience": ({"aud": "https://other.example"}, "audience_mismatch"),
    "no audience and no client": ({"aud": None, "client_id": None}, "audience_mismatch"),
    "empty audience": ({"aud": []}, "audience_mismatch"),
    "the client is no audience": ({"aud": None, "client_id": f"{BACKEND}/kiosk"}, "audience_mismatch"),
    "bound to a key": ({"cnf": {"jkt": "x"}}, "proof_missing"),
    "bound to a key that is not said": ({"token_type": "DPoP"}, "proof_missing"),
    "a chain of actors that cannot be read": ({"act": "proxy"}, "claim_malformed"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_an_answer_with_one_thing_wrong_is_refused_for_that(
    asking: RunningService, endpoint: Endpoint, name: str
) -> None:
    changes, reason = SPOILT[name]
    assert_issued(asking, said_of(endpoint, asking))
    assert_refused(asking, said_of(endpoint, asking, **changes), f"subject_token_{reason}")


def test_an_answer_that_binds_the_token_is_met_with_its_proof_alone(
    asking: RunningService, endpoint: Endpoint
) -> None:
    key, other = DpopKey(), DpopKey(label="other")
    endpoint.answer = lambda _: json_answer(kiosk_answer(token_type="DPoP", cnf={"jkt": key.jkt}))
    answer = dpop.exchange(asking, "an-opaque-token", KIOSK, key)
    assert assert_issued(asking, answer)["issued"]["claims"]["cnf"] == {"jkt": key.jkt}
    refused = dpop.exchange(asking, "an-opaque-token", KIOSK, other)
    assert_refused(asking, refused, "subject_token_proof_invalid")
    endpoint.answer = lambda _: json_answer(kiosk_answer(token_type="DPoP"))
    unsaid = dpop.exchange(asking, "an-opaque-token", KIOSK, key)
    assert_refused(asking, unsaid, "subject_token_proof_missing")


NO_ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "401": json_answer({"error": "invalid_client"}, 401),
    "404": json_answer({"active": True}, 404),
    "429": json_answer({}, 429),
    "500 that says active": json_answer(kiosk_answer(), 500),
    "a redirect": (302, {"Location": "/elsewhere"}, b""),
    "an error page": (200, {"Content-Type": "text/html"}, b"<h1>Sign in</h1>"),
    "no JSON": (200, {"Content-Type": "application/json"}, b"active"),
    "a list": json_answer([kiosk_answer()]),
    "nothing": (200, {"Content-Type": "application/json"}, b""),
    "no active": json_answer(kiosk_answer(active=None)),
    "active is a string": json_answer(kiosk_answer(active="true")),
    "active is a number": json_answer(kiosk_answer(active=1)),
    "active twice": (200, {"Content-Type": "application/json"}, b'{"active": false, "active": true}'),
    "too large": json_answer(kiosk_answer(filler="x" * 100_000)),
    "signed without being asked": (200, {"Content-Type": SIGNED}, signed_answer(kiosk_answer()).encode()),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_what_is_no_answer_is_503_and_never_a_no(
    asking: RunningService, endpoint: Endpoint, name: str
) -> None:
    wait_until_asked_again(asking, endpoint)
    endpoint.answer = lambda _: NO_ANSWERS[name]
    answer = asking.exchange("an-opaque-token", KIOSK)
    record = assert_refused(asking, answer, "introspection_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert record["outcome"] == "failed"
    assert record["detail"].startswith("issuer endpoint: ")


def wait_until_asked_again(asking: RunningService, endpoint: Endpoint) -> None:
    """The tests before may have had it left alone for a moment."""
    deadline = time.monotonic() + 15
    while said_of(endpoint, asking).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


class TestSignedAnswers:
    def answered(self, endpoint: Endpoint, asking: RunningService, body: str) -> requests.Response:
        endpoint.answer = lambda _: (200, {"Content-Type": SIGNED}, body.encode())
        return asking.exchange("an-opaque-token", basic("signer"))

    def genuine(self, **changes: Any) -> str:
        members = kiosk_answer(aud=f"{BACKEND}/signed")
        return signed_answer(members, **({"iss": "https://signed.example"} | changes))

    def test_a_signed_answer_is_taken_and_a_plain_one_is_not(
        self, asking: RunningService, endpoint: Endpoint
    ) -> None:
        assert_issued(asking, self.answered(endpoint, asking, self.genuine()))
        assert endpoint.asked[-1].headers["Accept"] == SIGNED
        endpoint.answer = lambda _: json_answer(kiosk_answer(aud=f"{BACKEND}/signed"))
        answer = asking.exchange("an-opaque-token", basic("signer"))
        assert_refused(asking, answer, "introspection_unavailable")

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": ISSUER},
            {"aud": "somebody-else"},
            {"iat": 1},
            {"header": {"typ": "JWT"}},
            {"label": "forger", "header": {"kid": "ES256-partner"}},
        ],
    )
    def test_one_that_is_not_to_be_trusted_is_no_answer(
        self, asking: RunningService, endpoint: Endpoint, changes: dict[str, Any]
    ) -> None:
        refused = self.answered(endpoint, asking, self.genuine(**changes))
        assert_refused(asking, refused, "introspection_unavailable")


# ── which token goes where ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_client_that_names_no_issuer_has_its_opaque_tokens_refused(
    asking: RunningService, partner: PartnerServer
) -> None:
    partner.asked.clear()
    record = assert_refused(asking, asking.exchange(partner.issue(), PLAIN), "subject_token_malformed")
    assert "opaque_tokens_from" in record["detail"]
    assert partner.asked == []


def test_a_token_of_another_client_s_issuer_is_shown_to_nobody_but_ones_own(
    asking: RunningService, partner: PartnerServer, endpoint: Endpoint
) -> None:
    token = partner.issue()
    partner.asked.clear()
    assert_refused(asking, asking.exchange(token, KIOSK), "subject_token_inactive")
    assert partner.asked == []
    assert [asked.form["token"] for asked in endpoint.asked] == [token]


def test_an_opaque_token_is_no_jwt_whatever_the_client_calls_it(
    asking: RunningService, endpoint: Endpoint
) -> None:
    jwt = "urn:ietf:params:oauth:token-type:jwt"
    answer = asking.exchange("an-opaque-token", KIOSK, subject_token_type=jwt)
    assert_refused(asking, answer, "subject_token_malformed")
    assert endpoint.asked == []


FORMS = {
    "a space": ("an opaque token", "malformed"),
    "a line end": ("an-opaque\ntoken", "malformed"),
    "not ASCII": ("an-öpaque-token", "malformed"),
    "too large": ("a" * 16_385, "too_large"),
    "JSON": ('{"payload":"e30","signatures":[]}', "malformed"),
    "a JWT cut off": ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ", "malformed"),
    "a JWT with padding": ("eyJhbGciOiJSUzI1NiJ9==.eyJzdWIiOiJhZGEifQ==.c2ln", "malformed"),
    "a JWT of two times typ": ("eyJhbGciOiJSUzI1NiIsImFsZyI6IlJTMjU2In0.e30.c2ln", "malformed"),
    "a JWE": ("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y3Q.dGFn", "encrypted"),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_is_no_opaque_token_is_shown_to_nobody(
    asking: RunningService, endpoint: Endpoint, name: str
) -> None:
    token, reason = FORMS[name]
    endpoint.answer = lambda _: json_answer(kiosk_answer())
    assert_refused(asking, asking.exchange(token, KIOSK), f"subject_token_{reason}")
    assert endpoint.asked == []


@pytest.mark.parametrize(
    "token", ["ory_at_abc.def", "00D5f000000abcd!AQ8AQ.x", "a.b.c", "a.b.c.d.e", "ya29.a0.b-_c"]
)
def test_dots_do_not_make_a_jwt(asking: RunningService, endpoint: Endpoint, token: str) -> None:
    endpoint.answer = lambda _: json_answer(kiosk_answer())
    assert_issued(asking, asking.exchange(token, KIOSK))
    assert [asked.form["token"] for asked in endpoint.asked] == [token]


def test_a_jwt_goes_to_the_issuer_that_it_names_and_to_no_other(
    asking: RunningService, endpoint: Endpoint
) -> None:
    endpoint.answer = lambda _: json_answer(kiosk_answer())
    stranger = keys.sign({"iss": "https://stranger.example", "sub": "ada"}, header={"typ": "at+jwt"})
    assert_refused(asking, asking.exchange(stranger, KIOSK), "subject_token_issuer_not_trusted")
    assert endpoint.asked == []


class TestJwtsOfAnIssuerThatIsAsked:
    """Its endpoint calls everything active and Bearer, as real ones do."""

    def jwt(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(time.time())
        genuine = {
            "iss": "https://endpoint.example",
            "sub": "ada",
            "aud": "shop-web",
            "iat": now,
            "exp": now + 60,
        }
        return keys.sign(genuine | claims, header={"typ": "at+jwt"} | (header or {}))

    @pytest.fixture(autouse=True)
    def active(self, endpoint: Endpoint) -> None:
        endpoint.answer = lambda _: json_answer(kiosk_answer())

    def test_one_that_is_typed_as_an_access_token_is_asked_about(
        self, asking: RunningService, endpoint: Endpoint
    ) -> None:
        token = self.jwt()
        assert_issued(asking, asking.exchange(token, KIOSK))
        assert [asked.form["token"] for asked in endpoint.asked] == [token]

    @pytest.mark.parametrize(
        ("spoilt", "reason"),
        [
            ({"header": {"typ": "JWT"}}, "kind_unproven"),
            ({"header": {"typ": "JWT"}, "nonce": "n"}, "is_id_token"),
            ({"header": {"typ": "JWT"}, "token_type": "Bearer"}, "kind_unproven"),
            ({"at_hash": "h"}, "is_id_token"),
            ({"header": {"typ": "id_token+jwt"}}, "is_id_token"),
            ({"header": {"typ": "okta-internal-at+jwt"}}, "is_other_kind"),
            ({"header": {"typ": "logout+jwt"}, "events": {}}, "is_other_kind"),
            ({"header": {"crit": ["x"]}}, "header_refused"),
            ({"header": {"nonce": "graph"}}, "header_refused"),
        ],
    )
    def test_another_kind_is_refused_before_anybody_is_asked(
        self, asking: RunningService, endpoint: Endpoint, spoilt: dict[str, Any], reason: str
    ) -> None:
        header = spoilt.pop("header", None)
        token = self.jwt(header, **spoilt)
        spoilt["header"] = header
        for declared in ("access_token", "jwt"):
            urn = f"urn:ietf:params:oauth:token-type:{declared}"
            answer = asking.exchange(token, KIOSK, subject_token_type=urn)
            assert_refused(asking, answer, f"subject_token_{reason}")
        assert endpoint.asked == []

    def test_what_binds_it_is_not_lost_though_the_answer_forgets_it(
        self, asking: RunningService, endpoint: Endpoint
    ) -> None:
        assert_refused(
            asking, asking.exchange(self.jwt(cnf={"jkt": "x"}), KIOSK), "subject_token_proof_missing"
        )
        chain = {"sub": "proxy", "iss": ISSUER}
        record = assert_issued(asking, asking.exchange(self.jwt(act=chain), KIOSK))
        assert record["issued"]["claims"]["act"] == chain
        assert endpoint.asked

    def test_an_audience_of_its_own_is_worth_nothing(
        self, asking: RunningService, endpoint: Endpoint
    ) -> None:
        endpoint.answer = lambda _: json_answer(kiosk_answer(aud="https://other.example"))
        token = self.jwt(aud=f"{BACKEND}/kiosk")
        assert_refused(asking, asking.exchange(token, KIOSK), "subject_token_audience_mismatch")


# ── nothing leaks ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_token_secret_or_answer_is_written_anywhere(asking: RunningService, endpoint: Endpoint) -> None:
    token, word = "the-opaque-token-5f3a", "a-word-of-the-answer-81c2"
    texts = []
    for said in (
        json_answer(kiosk_answer(email=word)),
        json_answer(kiosk_answer(sub=None, email=word)),
        json_answer({"error": word}, 500),
        (200, {"Content-Type": "text/html", "X-Word": word}, word.encode()),
        (302, {"Location": f"https://{word}.example/"}, b""),
    ):
        wait_until_asked_again(asking, endpoint)
        endpoint.answer = lambda _, said=said: said
        texts.append(asking.exchange(token, KIOSK).text)
    texts += [asking.stdout(), asking.stderr(), asking.get("/metrics").text, asking.get("/readyz").text]
    for text in texts:
        for hidden in (token, word, SECRET):
            assert hidden not in text


def test_questions_and_kept_answers_are_counted_by_issuer(
    asking: RunningService, partner: PartnerServer
) -> None:
    token = partner.issue()
    before = asking.get("/metrics").text
    asking.exchange(token, SHOP)
    asking.exchange(token, SHOP)
    asking.exchange("dead", SHOP)
    after = asking.get("/metrics").text

    def grown(sample: str) -> float:
        return number(after, sample) - number(before, sample)

    assert grown('exchange_introspections_total{issuer="partner",result="active"}') == 1
    assert grown('exchange_introspection_cache_hits_total{issuer="partner"}') >= 1


def number(metrics: str, sample: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith(sample))


# ── outages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_issuer_that_hangs_slows_nobody_else_and_ends_in_503(tmp_path: Path) -> None:
    with (
        FakeIssuer() as idp,
        PartnerServer() as partner,
        Endpoint(lambda _: json_answer({})) as hanging,
        Endpoint(lambda _: json_answer({})) as unused,
    ):
        hanging.hold = True
        policies = policies_for(
            tmp_path / "policies",
            idp=idp.issuer,
            partner=partner.url,
            endpoint=hanging.url,
            google=unused.url,
            github=unused.url,
        )
        with RunningService(policies, env={VARIABLE: SECRET}, workers=1) as running:
            assert_issued(running, running.exchange(partner.issue(), SHOP))
            assert_issued(running, running.exchange(idp.access_token(), SHOP))
            answers: list[requests.Response] = []

            def flood(number: int) -> None:
                form = {
                    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                    "subject_token": f"opaque-{number}",
                    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
                }
                answers.append(requests.post(f"{running.url}/token", data=form, auth=KIOSK, timeout=30))

            threads = [threading.Thread(target=flood, args=(number,)) for number in range(24)]
            for thread in threads:
                thread.start()
            time.sleep(0.8)
            slowest = 0.0
            for _ in range(20):
                for token in (partner.issue(), idp.access_token()):
                    started = time.monotonic()
                    assert_issued(running, running.exchange(token, SHOP))
                    slowest = max(slowest, time.monotonic() - started)
            assert running.get("/readyz").status_code == 200
            for thread in threads:
                thread.join(30)
            assert slowest < 2.0
            assert [answer.json()["reason"] for answer in answers] == ["introspection_unavailable"] * 24
            assert all(answer.headers["Retry-After"] for answer in answers)


def test_an_issuer_that_is_down_keeps_nobody_from_starting_and_its_jwts_are_no_others(tmp_path: Path) -> None:
    with FakeIssuer() as idp:
        gone = "http://127.0.0.1:1"
        policies = policies_for(
            tmp_path / "policies", idp=idp.issuer, partner=gone, endpoint=gone, google=gone, github=gone
        )
        with RunningService(policies, env={VARIABLE: SECRET}, workers=1) as running:
            assert_refused(running, running.exchange("opaque", SHOP), "introspection_unavailable")
            assert_issued(running, running.exchange(idp.access_token(), SHOP))
            assert running.get("/readyz").status_code == 200


def test_an_issuer_of_jwts_is_asked_about_what_is_none_and_looked_at_for_the_rest(tmp_path: Path) -> None:
    with FakeIssuer() as idp, PartnerServer() as partner:
        both = issuer_file(idp.issuer) | {
            "introspection": {"endpoint": f"{partner.url}/introspect", **CREDENTIALS}
        }
        policies = write_policies(
            tmp_path / "policies",
            issuer=idp.issuer,
            issuers={"idp": both},
            clients={
                "shop": secret_client_file(opaque_tokens_from="idp", default_target=AUDIENCE),
                "shop-with-key": None,
            },
            audiences={"orders": audience_file(rule())},
        )
        with RunningService(policies, env={VARIABLE: SECRET}, workers=1) as running:
            assert_issued(running, running.exchange(idp.access_token(), BASIC))
            assert partner.asked == []
            assert_issued(running, running.exchange(partner.issue(), BASIC))
            assert_refused(running, running.exchange(idp.id_token(), BASIC), "subject_token_is_id_token")
            assert len(partner.asked) == 1


def test_kept_answers_outlive_a_reload_and_not_a_change_of_how_their_issuer_is_asked(tmp_path: Path) -> None:
    with FakeIssuer() as idp, PartnerServer() as partner:
        directory = write_policies(
            tmp_path / "policies",
            issuer=idp.issuer,
            issuers={"partner": asked_file(f"{partner.url}/introspect")},
            clients={"shop": secret_client_file(opaque_tokens_from="partner"), "shop-with-key": None},
            audiences={"orders": audience_file(rule(subject={"issuer": ["partner", "idp"]}))},
        )
        with RunningService(directory, env={VARIABLE: SECRET}, workers=1) as running:
            token = partner.issue()

            def asked() -> int:
                assert_issued(running, running.exchange(token, BASIC, audience=AUDIENCE))
                return len(partner.asked)

            def changed(file: str, text: str) -> None:
                before = in_force(running)
                with (directory / file).open("a") as appended:
                    appended.write(text)
                eventually(lambda: in_force(running) not in (before, set()))

            assert (asked(), asked()) == (1, 1)
            changed("issuers/partner.yaml", "max_token_age: 1h\n")
            assert asked() == 1
            changed("issuers/partner.yaml", "allow_private_network: true\n")
            assert asked() == 2
