"""Two products' own ways, against stand-ins that answer as their documentation says."""

from __future__ import annotations

import time

import pytest

from exchange.model import Secret
from tests.introspection.bench import Bench, asked_issuer, unavailable
from tests.support.introspection import Endpoint, GitHubApi, GoogleTokenInfo, json_answer

APP = "Iv1.8a61f9b3a7aba766"
APP_SECRET = "the-secret-of-the-app"
NOW = 1_800_000_000
WEB = "100000000000-web.apps.googleusercontent.com"


@pytest.fixture
def bench():
    return Bench(time.time)


class TestGoogle:
    @pytest.fixture
    def google(self):
        with GoogleTokenInfo() as serving:
            yield serving

    def asked(self, bench, google):
        return bench.asked(
            asked_issuer(
                f"{google.url}/tokeninfo",
                way="google-tokeninfo",
                client_id=None,
                client_secret=None,
            )
        )

    def test_it_is_asked_by_access_token_alone_and_without_credentials(self, bench, google):
        token = google.issue("ya29.a0Af+/=", WEB)
        answer = self.asked(bench, google)(Secret(token))
        (asked,) = google.asked
        assert (asked.method, asked.query, asked.body) == ("GET", {"access_token": token}, b"")
        assert "Authorization" not in asked.headers
        assert answer.claims["sub"] == "100000000000000000001"

    def test_numbers_and_booleans_are_made_of_strings(self, bench, google):
        claims = self.asked(bench, google)(Secret(google.issue("ya29.t", WEB))).claims
        assert claims["exp"] == pytest.approx(time.time() + 3599, abs=5)
        assert claims["email_verified"] is True

    def test_the_seconds_that_are_left_do_where_no_end_is_said(self, bench, google):
        google.tokens["ya29.t"] = {"azp": WEB, "aud": WEB, "scope": "openid", "expires_in": 120}
        claims = self.asked(bench, google)(Secret("ya29.t")).claims
        assert claims["exp"] == pytest.approx(time.time() + 120, abs=5)

    def test_an_unknown_token_is_inactive(self, bench, google):
        assert not self.asked(bench, google)(Secret("ya29.unknown")).active

    @pytest.mark.parametrize("error", [{"error": "invalid_request"}, {"error": "unsupported"}, {}])
    def test_another_error_says_nothing_of_the_token(self, bench, google, error):
        google.answer = lambda _: json_answer(error, 400)
        assert unavailable(self.asked(bench, google)).cause == "status_refused"

    @pytest.mark.parametrize(
        "spoilt", [{"exp": "soon"}, {"exp": None, "expires_in": None}, {"exp": -1.5}, {"exp": True}]
    )
    def test_an_answer_without_an_end_that_can_be_read_is_none(self, bench, google, spoilt):
        google.issue("ya29.t", WEB, **spoilt)
        assert unavailable(self.asked(bench, google), "ya29.t").cause == "answer_malformed"


class TestGitHub:
    @pytest.fixture
    def github(self):
        with GitHubApi(APP, APP_SECRET) as serving:
            yield serving

    def asked(self, bench, github, **changes):
        settings = {
            "way": "github",
            "client_id": APP,
            "client_secret": Secret(APP_SECRET),
            "lifetime": 3600,
        }
        endpoint = f"{github.url}/applications/{APP}/token"
        return bench.asked(asked_issuer(endpoint, **(settings | changes)))

    def test_it_is_asked_as_the_app_with_the_token_in_the_body(self, bench, github):
        answer = self.asked(bench, github)(Secret(github.issue("gho_t")))
        (asked,) = github.asked
        assert asked.body == b'{"access_token": "gho_t"}'
        assert asked.headers["Accept"] == "application/vnd.github+json"
        assert asked.headers["X-GitHub-Api-Version"] == "2022-11-28"
        assert answer.claims["sub"] == "583231"
        assert answer.claims["login"] == "octocat"
        assert answer.claims["client_id"] == APP
        assert answer.claims["scope"] == ["read:user", "user:email"]

    def test_the_token_that_the_answer_repeats_is_not_kept(self, bench, github):
        answer = self.asked(bench, github)(Secret(github.issue("gho_t")))
        assert "gho_t" not in str(dict(answer.claims))

    def test_a_token_without_an_end_counts_for_the_lifetime_of_the_profile(self):
        with GitHubApi(APP, APP_SECRET) as github:
            asked = self.asked(Bench(lambda: NOW), github)
            assert asked(Secret(github.issue("gho_t"))).claims["exp"] == NOW + 3600

    def test_a_token_with_an_end_counts_until_then(self, bench, github):
        token = github.issue("ghu_t", expires_at="2027-01-15T08:00:00Z", scopes=[])
        assert self.asked(bench, github)(Secret(token)).claims["exp"] == NOW

    def test_a_token_of_another_app_is_inactive(self, bench, github):
        assert not self.asked(bench, github)(Secret("gho_of-another")).active

    def test_wrong_credentials_say_nothing_of_the_token(self, bench, github):
        asked = self.asked(bench, github, client_secret=Secret("wrong"))
        assert unavailable(asked, github.issue("gho_t")).cause == "credentials_refused"

    @pytest.mark.parametrize(
        ("spoilt", "cause"),
        [
            ({"app": {"client_id": "Iv1.another"}}, "answer_not_trusted"),
            ({"app": None}, "answer_not_trusted"),
            ({"user": {"id": "583231"}}, "answer_malformed"),
            ({"user": {"id": True}}, "answer_malformed"),
            ({"expires_at": "tomorrow"}, "answer_malformed"),
            ({"expires_at": "2027-01-15T08:00:00"}, "answer_malformed"),
        ],
    )
    def test_an_answer_of_another_form_is_none(self, bench, github, spoilt, cause):
        assert unavailable(self.asked(bench, github), github.issue("gho_t", **spoilt)).cause == cause

    def test_a_rate_limit_is_no_word_about_the_token(self, bench):
        with Endpoint(lambda _: json_answer({"message": "secondary rate limit"}, 429)) as limited:
            assert unavailable(self.asked(bench, limited)).cause == "rate_limited"
        with Endpoint(lambda _: json_answer({"message": "Validation failed"}, 422)) as refusing:
            assert unavailable(self.asked(Bench(time.time), refusing)).cause == "status_refused"
