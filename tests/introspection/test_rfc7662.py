from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.introspection.answer import AnswerRefused
from exchange.introspection.rfc7662 import question, read
from exchange.model import Secret
from exchange.outbound import HttpAnswer
from exchange.trust import KeyCaches
from tests.introspection.bench import FETCHER, Bench, asked_issuer, introspection, unavailable
from tests.support.introspection import (
    CLIENT_ID,
    SECRET,
    SIGNED,
    Endpoint,
    PartnerServer,
    json_answer,
    signed_answer,
)

NO_KEYS = KeyCaches(FETCHER).for_source(asked_issuer("https://x.example").keys)


@pytest.fixture
def bench():
    return Bench(time.time)


@pytest.fixture
def endpoint():
    with Endpoint(lambda _: json_answer({"active": True})) as serving:
        yield serving


class TestTheQuestion:
    def test_it_is_a_form_with_our_credentials_in_the_header(self, endpoint, bench):
        bench.asked(asked_issuer(endpoint.url))(Secret("tok en+/="))
        (asked,) = endpoint.asked
        assert (asked.method, asked.query) == ("POST", {})
        assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert asked.headers["Accept"] == "application/json"
        assert asked.form == {"token": "tok en+/=", "token_type_hint": "access_token"}
        assert asked.basic == (CLIENT_ID, SECRET)

    def test_by_post_the_credentials_are_in_the_body_alone(self, endpoint, bench):
        bench.asked(asked_issuer(endpoint.url, authentication="client_secret_post"))(Secret("t"))
        (asked,) = endpoint.asked
        assert "Authorization" not in asked.headers
        assert asked.form["client_id"] == CLIENT_ID
        assert asked.form["client_secret"] == SECRET

    def test_a_colon_in_a_name_or_secret_does_not_move_the_border(self, endpoint, bench):
        odd = {"client_id": "a:b", "client_secret": Secret("c:d %é".encode().decode("latin-1"))}
        bench.asked(asked_issuer(endpoint.url, **odd))(Secret("t"))
        assert endpoint.asked[0].basic[0] == "a:b"

    def test_nothing_of_it_is_ever_printed(self):
        made = question(introspection("https://x.example/introspect"), Secret("the-token"))
        for hidden in ("the-token", SECRET, "Basic", "x.example"):
            assert hidden not in repr(made)

    @pytest.mark.parametrize("authentication", ["client_secret_basic", "client_secret_post"])
    def test_a_real_server_understands_it(self, bench, authentication):
        with PartnerServer() as partner:
            asked = bench.asked(asked_issuer(f"{partner.url}/introspect", authentication=authentication))
            answer = asked(Secret(partner.issue(sub="grace")))
            assert (answer.active, answer.claims["sub"]) == (True, "grace")
            assert "active" not in answer.claims
            assert not asked(Secret("unknown")).active

    def test_a_real_server_refuses_other_credentials_and_that_is_no_word_about_the_token(self, bench):
        with PartnerServer() as partner:
            wrong = asked_issuer(f"{partner.url}/introspect", client_secret=Secret("wrong"))
            found = unavailable(bench.asked(wrong), partner.issue())
            assert found.cause in {"credentials_refused", "status_refused"}


class TestTheAnswer:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"true",
            b"not json",
            b"{}",
            b'{"active": "true"}',
            b'{"active": 1}',
            b'{"active": null}',
            b'{"active": [true]}',
            b'{"active": true, "active": false}',
            b'{"active": false, "active": true}',
            b'{"active": true, "exp": NaN}',
            b'{"active": true, "exp": 1e999}',
            b'{"active": true, "a": "\\ud800"}',
            b'{"active": true, "a": ' + b"[" * 40 + b"]" * 40 + b"}",
            b'\xff{"active": true}',
        ],
    )
    def test_anything_but_a_boolean_in_one_object_is_no_answer(self, endpoint, bench, body):
        endpoint.answer = lambda _: (200, {"Content-Type": "application/json"}, body)
        assert unavailable(bench.asked(asked_issuer(endpoint.url))).cause == "answer_malformed"

    @pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", ""])
    def test_json_is_json(self, endpoint, bench, content_type):
        headers = {"Content-Type": content_type} if content_type else {}
        endpoint.answer = lambda _: (200, headers, b'{"active": true, "sub": "ada"}')
        assert bench.asked(asked_issuer(endpoint.url))(Secret("t")).active

    @pytest.mark.parametrize("content_type", ["text/html", "text/plain", SIGNED, "application/jwt"])
    def test_another_content_type_is_no_answer(self, endpoint, bench, content_type):
        endpoint.answer = lambda _: (200, {"Content-Type": content_type}, b'{"active": true}')
        assert unavailable(bench.asked(asked_issuer(endpoint.url))).cause == "answer_malformed"

    def test_a_huge_answer_is_no_answer(self, endpoint, bench):
        endpoint.answer = lambda _: json_answer({"active": True, "filler": "x" * 70_000})
        assert unavailable(bench.asked(asked_issuer(endpoint.url))).cause == "too_large"

    def test_a_redirect_is_not_followed(self, endpoint, bench):
        endpoint.answer = lambda _: (307, {"Location": f"{endpoint.url}/elsewhere"}, b"")
        assert unavailable(bench.asked(asked_issuer(endpoint.url))).cause == "redirected"
        assert len(endpoint.asked) == 1

    def test_nothing_of_an_answer_is_printed(self):
        answer = read(
            http(json.dumps({"active": True, "sub": "somebody"}).encode()),
            asked_issuer("https://x"),
            NO_KEYS,
            0,
        )
        assert "somebody" not in repr(answer)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["active", "sub", "exp"]), x, max_size=3)).map(lambda value: json.dumps(value).encode()))  # fmt: skip
    def test_whatever_comes_it_is_active_only_by_the_word_true(self, body):
        try:
            answer = read(http(body), asked_issuer("https://x"), NO_KEYS, 0)
        except AnswerRefused:
            return
        assert json.loads(body)["active"] is answer.active


def http(body, content_type="application/json"):
    return HttpAnswer(200, content_type, body)


class TestSignedAnswers:
    """RFC 9701."""

    @pytest.fixture
    def partner(self):
        with PartnerServer() as serving:
            yield serving

    def asked(self, bench, partner, **changes):
        return bench.asked(asked_issuer(f"{partner.url}/introspect", signed_response=True, **changes))

    def test_a_signed_answer_is_asked_for_and_taken(self, bench, partner):
        answer = self.asked(bench, partner)(Secret(partner.issue(sub="grace")))
        assert (answer.active, answer.claims["sub"]) == (True, "grace")

    def test_a_signed_no_is_a_no(self, bench, partner):
        assert not self.asked(bench, partner)(Secret("unknown")).active

    def test_a_plain_answer_is_none(self, endpoint, bench):
        endpoint.answer = lambda _: json_answer({"active": True})
        found = unavailable(bench.asked(asked_issuer(endpoint.url, signed_response=True)))
        assert found.cause == "answer_unsigned"
        assert endpoint.asked[0].headers["Accept"] == SIGNED

    def spoilt(self, endpoint, bench, body, **changes):
        endpoint.answer = lambda _: (200, {"Content-Type": f"{SIGNED}; charset=utf-8"}, body.encode())
        return unavailable(bench.asked(asked_issuer(endpoint.url, signed_response=True, **changes))).cause

    NOW = int(time.time())

    @pytest.mark.parametrize(
        ("claims", "cause"),
        [
            ({"iss": "https://login.other.example"}, "answer_not_trusted"),
            ({"iss": None}, "answer_not_trusted"),
            ({"aud": "somebody-else"}, "answer_not_trusted"),
            ({"aud": None}, "answer_not_trusted"),
            ({"aud": []}, "answer_not_trusted"),
            ({"iat": NOW - 3600}, "answer_not_trusted"),
            ({"iat": NOW + 3600}, "answer_not_trusted"),
            ({"iat": None}, "answer_not_trusted"),
            ({"iat": True}, "answer_not_trusted"),
            ({"token_introspection": None}, "answer_malformed"),
            ({"token_introspection": []}, "answer_malformed"),
            ({"token_introspection": {}}, "answer_malformed"),
        ],
    )
    def test_each_claim_is_checked(self, endpoint, bench, claims, cause):
        assert self.spoilt(endpoint, bench, signed_answer({"active": True}, **claims)) == cause

    @pytest.mark.parametrize(
        ("header", "cause"),
        [
            ({"typ": "JWT"}, "answer_unsigned"),
            ({"typ": "at+jwt"}, "answer_unsigned"),
            ({"crit": ["b64"]}, "answer_not_trusted"),
            ({"kid": "unknown"}, "answer_not_trusted"),
        ],
    )
    def test_the_header_is_checked(self, endpoint, bench, header, cause):
        assert self.spoilt(endpoint, bench, signed_answer({"active": True}, header=header)) == cause

    def test_the_signature_is_checked(self, endpoint, bench):
        forged = signed_answer({"active": True}, header={"kid": "ES256-partner"}, label="forger")
        assert self.spoilt(endpoint, bench, forged) == "answer_not_trusted"
        tampered = signed_answer({"active": False}).split(".")
        tampered[1] = signed_answer({"active": True}).split(".")[1]
        assert self.spoilt(endpoint, bench, ".".join(tampered)) == "answer_not_trusted"

    def test_an_audience_among_others_is_ours_too(self, endpoint, bench):
        body = signed_answer({"active": True}, aud=["other", CLIENT_ID])
        endpoint.answer = lambda _: (200, {"Content-Type": SIGNED}, body.encode())
        assert bench.asked(asked_issuer(endpoint.url, signed_response=True))(Secret("t")).active

    @pytest.mark.parametrize("body", ["", "a.b.c", "é", "a.b.c.d.e"])
    def test_what_is_no_jwt_is_none(self, endpoint, bench, body):
        assert self.spoilt(endpoint, bench, body) == "answer_unsigned"
