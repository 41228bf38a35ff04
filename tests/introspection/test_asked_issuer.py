from __future__ import annotations

import threading
import time

import pytest

from exchange.introspection import Answer, IntrospectionUnavailable
from exchange.introspection.asked_issuer import (
    MAX_OUT_OF_ORDER_SECONDS,
    MAX_QUESTIONS_PER_ISSUER,
    OUTAGES_TO_OPEN,
)
from exchange.introspection.kept_answers import KeptAnswers
from exchange.model import Secret
from tests.introspection.bench import Bench, asked_issuer, at_once, unavailable
from tests.support.introspection import Endpoint, PartnerServer, json_answer
from tests.support.tokens import trusted_issuer

ACTIVE = {"active": True, "sub": "ada", "exp": int(time.time()) + 3600}


@pytest.fixture
def endpoint():
    with Endpoint(lambda _: json_answer(ACTIVE)) as serving:
        yield serving


@pytest.fixture
def bench():
    return Bench(time.time)


def eventually(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestKept:
    def test_a_token_is_asked_about_once(self, endpoint, bench):
        asked = bench.asked(asked_issuer(endpoint.url))
        assert [asked(Secret("t")).claims["sub"] for _ in range(3)] == ["ada"] * 3
        assert (len(endpoint.asked), bench.results, bench.hits) == (1, ["active"], 2)

    def test_another_token_is_another_question(self, endpoint, bench):
        asked = bench.asked(asked_issuer(endpoint.url))
        asked(Secret("t"))
        asked(Secret("u"))
        assert [question.form["token"] for question in endpoint.asked] == ["t", "u"]

    def test_a_dead_token_is_asked_about_once_too(self, endpoint, bench):
        endpoint.answer = lambda _: json_answer({"active": False})
        asked = bench.asked(asked_issuer(endpoint.url))
        assert [asked(Secret("t")).active for _ in range(50)] == [False] * 50
        assert (len(endpoint.asked), bench.results) == (1, ["inactive"])

    def test_no_cache_is_no_cache(self, endpoint, bench):
        asked = bench.asked(asked_issuer(endpoint.url, cache=0))
        asked(Secret("t"))
        asked(Secret("t"))
        assert len(endpoint.asked) == 2

    def test_nothing_is_kept_beyond_the_end_of_the_token(self, endpoint):
        now = time.time()
        bench = Bench(lambda: now)
        asked = bench.asked(asked_issuer(endpoint.url))
        endpoint.answer = lambda _: json_answer({**ACTIVE, "exp": int(now)})
        asked(Secret("ends-now"))
        asked(Secret("ends-now"))
        assert len(endpoint.asked) == 2

    def test_no_answer_is_kept(self, endpoint, bench):
        asked = bench.asked(asked_issuer(endpoint.url))
        endpoint.answer = lambda _: json_answer({})
        unavailable(asked)
        endpoint.answer = lambda _: json_answer(ACTIVE)
        assert asked(Secret("t")).active

    def test_a_revoked_token_is_dead_when_its_answer_is_old(self, bench):
        with PartnerServer() as partner:
            token = partner.issue()
            asked = bench.asked(asked_issuer(f"{partner.url}/introspect", cache=1))
            assert asked(Secret(token)).active
            partner.revoke(token)
            assert asked(Secret(token)).active
            eventually(lambda: not asked(Secret(token)).active)


class TestBounds:
    def test_the_oldest_answers_make_room(self):
        kept = KeptAnswers(max_answers=2)
        for name in (b"a", b"b"):
            kept.put(name, Answer(active=True, claims={}), 10)
        kept.get(b"a", 0)
        kept.put(b"c", Answer(active=True, claims={}), 10)
        assert [kept.get(name, 0) is not None for name in (b"a", b"b", b"c")] == [True, False, True]

    def test_large_answers_make_room_by_their_bytes(self):
        kept = KeptAnswers(max_bytes=1000)
        for index in range(100):
            kept.put(bytes([index]), Answer(active=True, claims={}, size=300), 10)
        assert len(kept) == 3
        kept.put(b"huge", Answer(active=True, claims={}, size=5000), 10)
        assert len(kept) == 0

    def test_an_answer_ends_at_its_time(self):
        kept = KeptAnswers()
        kept.put(b"a", Answer(active=True, claims={}, size=7), 10)
        assert kept.get(b"a", 9.9)
        assert kept.get(b"a", 10) is None
        assert len(kept) == 0


class TestAtOnce:
    def test_the_same_token_is_asked_about_once_by_all(self, endpoint, bench):
        endpoint.hold = True
        asked = bench.asked(asked_issuer(endpoint.url))
        release_soon(endpoint)
        found = at_once(8, lambda _: asked(Secret("t")))
        assert [answer.active for answer in found] == [True] * 8
        assert len(endpoint.asked) == 1

    def test_a_slow_issuer_holds_two_requests_and_no_more(self, endpoint):
        endpoint.hold = True
        bench = Bench(time.time, grace=0.05)
        asked = bench.asked(asked_issuer(endpoint.url))
        release_soon(endpoint, seconds=0.6)
        started = time.monotonic()
        waited = []

        def work(index):
            try:
                return asked(Secret(f"t{index}"))
            finally:
                waited.append(time.monotonic() - started)

        found = at_once(MAX_QUESTIONS_PER_ISSUER, work)
        assert sum(isinstance(answer, Answer) for answer in found) == 2
        refused = [answer for answer in found if isinstance(answer, IntrospectionUnavailable)]
        assert [refusal.cause for refusal in refused] == ["slow"] * 6
        assert sum(seconds > 0.5 for seconds in waited) == 2

    def test_what_was_too_slow_to_wait_for_is_there_the_next_time(self, endpoint):
        endpoint.hold = True
        bench = Bench(time.time, grace=0.02, max_waiting_per_issuer=1, max_waiting=1)
        asked = bench.asked(asked_issuer(endpoint.url))
        release_soon(endpoint, seconds=0.2)
        at_once(3, lambda index: asked(Secret(f"t{index}")))
        eventually(lambda: len(bench.results) == 3)
        assert all(asked(Secret(f"t{index}")).active for index in range(3))
        assert len(endpoint.asked) == 3

    def test_four_requests_wait_for_all_issuers_together(self, endpoint):
        endpoint.hold = True
        bench = Bench(time.time, grace=0.02)
        release_soon(endpoint, seconds=0.5)
        issuers = [bench.asked(asked_issuer(f"{endpoint.url}/{index}")) for index in range(6)]
        found = at_once(6, lambda index: issuers[index](Secret("t")))
        assert sum(isinstance(answer, Answer) for answer in found) == 4

    def test_no_more_questions_are_put_than_threads_may_ask(self, endpoint):
        endpoint.hold = True
        bench = Bench(time.time, grace=0.02, max_questions_per_issuer=2, max_waiting=1)
        asked = bench.asked(asked_issuer(endpoint.url))
        found = at_once(6, lambda index: asked(Secret(f"t{index}")) if index else None)
        endpoint.let_go.set()
        causes = [answer.cause for answer in found if isinstance(answer, IntrospectionUnavailable)]
        assert causes.count("busy") == 3
        eventually(lambda: len(bench.results) == 2)

    def test_the_limit_of_the_process_is_given_back(self, endpoint):
        bench = Bench(time.time, max_questions=1)
        asked = bench.asked(asked_issuer(endpoint.url, cache=0))
        for _ in range(5):
            assert asked(Secret("t")).active


class TestOutages:
    def test_after_three_outages_nobody_is_asked_for_a_moment(self, endpoint, bench):
        endpoint.answer = lambda _: json_answer({}, 503)
        asked = bench.asked(asked_issuer(endpoint.url))
        causes = [unavailable(asked, f"t{index}").cause for index in range(6)]
        assert causes == ["server_error"] * OUTAGES_TO_OPEN + ["out_of_order"] * 3
        assert len(endpoint.asked) == OUTAGES_TO_OPEN

    def test_kept_answers_are_used_while_the_issuer_is_down(self, endpoint, bench):
        asked = bench.asked(asked_issuer(endpoint.url))
        asked(Secret("known"))
        endpoint.answer = lambda _: json_answer({}, 503)
        for index in range(6):
            unavailable(asked, f"t{index}")
        assert asked(Secret("known")).active

    def test_one_question_tries_again_and_an_answer_ends_it(self, endpoint, bench):
        endpoint.answer = lambda _: json_answer({}, 500)
        asked = bench.asked(asked_issuer(endpoint.url))
        for index in range(OUTAGES_TO_OPEN):
            unavailable(asked, f"t{index}")
        asked._open_until = 0.0  # the moment is over
        assert unavailable(asked).cause == "server_error"
        assert unavailable(asked).cause == "out_of_order"
        asked._open_until = 0.0
        endpoint.answer = lambda _: json_answer(ACTIVE)
        assert all(asked(Secret(f"t{index}")).active for index in range(6))

    def test_while_it_tries_again_there_is_one_question_at_a_time(self, endpoint):
        bench = Bench(time.time, grace=0.02)
        endpoint.answer = lambda _: json_answer({}, 500)
        asked = bench.asked(asked_issuer(endpoint.url))
        for index in range(OUTAGES_TO_OPEN):
            unavailable(asked, f"t{index}")
        asked._open_until = 0.0
        endpoint.asked.clear()
        endpoint.hold = True
        release_soon(endpoint, seconds=0.2)
        at_once(5, lambda index: asked(Secret(f"u{index}")))
        assert len(endpoint.asked) == 1

    def test_it_is_left_alone_for_longer_each_time_and_never_for_long(self, endpoint, bench):
        endpoint.answer = lambda _: json_answer({}, 502)
        asked = bench.asked(asked_issuer(endpoint.url))
        waits = []
        for index in range(12):
            asked._open_until = 0.0
            unavailable(asked, f"t{index}")
            waits.append(asked._open_until - time.monotonic())
        grown = waits[OUTAGES_TO_OPEN - 1 :]
        assert grown[0] == pytest.approx(1, abs=0.2)
        assert grown[1] == pytest.approx(2, abs=0.2)
        assert max(grown) <= MAX_OUT_OF_ORDER_SECONDS

    def test_one_token_that_makes_its_issuer_stumble_stops_nobody_else(self, endpoint, bench):
        asked = bench.asked(asked_issuer(endpoint.url))
        endpoint.answer = lambda question: json_answer({} if question.form["token"] == "evil" else ACTIVE)
        for index in range(20):
            assert unavailable(asked, "evil").cause == "answer_malformed"
            assert asked(Secret(f"t{index}")).active

    @pytest.mark.parametrize(
        ("status", "cause"),
        [
            (401, "credentials_refused"),
            (403, "credentials_refused"),
            (429, "rate_limited"),
            (500, "server_error"),
            (302, "redirected"),
            (400, "status_refused"),
            (204, "status_refused"),
        ],
    )
    def test_what_is_no_answer_says_why(self, endpoint, bench, status, cause):
        endpoint.answer = lambda _: json_answer(ACTIVE, status)
        assert unavailable(bench.asked(asked_issuer(endpoint.url))).cause == cause
        assert bench.results == [cause]

    def test_an_issuer_that_is_not_there_is_an_outage(self, bench):
        with Endpoint(lambda _: json_answer({})) as gone:
            url = gone.url
        assert unavailable(bench.asked(asked_issuer(url))).cause == "unreachable"

    def test_the_host_may_be_in_our_own_network_only_where_the_file_says_so(self, bench):
        asked = bench.asked(asked_issuer("https://127.0.0.1:1/introspect"))
        assert unavailable(asked).cause == "address_refused"


class TestSettings:
    def test_answers_outlive_a_reload_that_changes_nothing_and_no_other(self, endpoint, bench):
        issuer = asked_issuer(endpoint.url)
        asked = bench.asked(issuer)
        bench.introspections.retain([issuer])
        assert bench.asked(asked_issuer(endpoint.url)) is asked
        for changed in (
            asked_issuer(endpoint.url, client_secret=Secret("another")),
            asked_issuer(endpoint.url, cache=10),
            asked_issuer(endpoint.url, issuer="https://other.example"),
        ):
            assert bench.asked(changed) is not asked
        bench.introspections.retain([asked_issuer(endpoint.url, cache=10)])
        assert bench.asked(issuer) is not asked

    def test_an_issuer_that_is_not_asked_cannot_be(self, bench):
        with pytest.raises(ValueError, match="not asked"):
            bench.asked(trusted_issuer())


def release_soon(endpoint, seconds=0.2):
    threading.Timer(seconds, endpoint.let_go.set).start()
