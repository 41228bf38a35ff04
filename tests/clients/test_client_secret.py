"""``client_secret_basic`` and ``client_secret_post`` (RFC 6749 §2.3.1)."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exchange.clients import client_secret
from exchange.clients.client_secret import COMPARED, MAX_SECRET_LENGTH, secret_digest
from exchange.errors import Refusal
from exchange.model import ClientCredentials, Secret
from tests.clients.desk import ODD_SECRET, ROTATED_SECRET, SECRET, basic, post, registered

COLON_ID = "https://web.acme.example/a:b"


def header(raw: bytes) -> ClientCredentials:
    return ClientCredentials(unverified_basic=base64.b64encode(raw).decode())


@pytest.mark.parametrize("encoded", [True, False])
@pytest.mark.parametrize(("client_id", "secret"), [("web", SECRET), ("odd", ODD_SECRET)])
def test_basic_passes_encoded_and_as_it_stands(desk, client_id, secret, encoded):
    assert desk.accepts(basic(client_id, secret, encoded=encoded)) == client_id


@pytest.mark.parametrize(("client_id", "secret"), [("web", SECRET), ("odd", ODD_SECRET), (COLON_ID, SECRET)])
def test_post_passes(desk, client_id, secret):
    assert desk.accepts(post(client_id, secret)) == client_id


def test_a_client_id_with_a_colon_passes_when_encoded(desk):
    assert desk.accepts(basic(COLON_ID, SECRET)) == COLON_ID


def test_a_client_id_with_a_colon_that_is_not_encoded_is_somebody_else(desk):
    desk.refuses(basic(COLON_ID, SECRET, encoded=False), "client_unknown")


@pytest.mark.parametrize("secret", [SECRET, ROTATED_SECRET])
@pytest.mark.parametrize("present", [basic, post])
def test_every_secret_passes_while_it_is_rotated(desk, present, secret):
    assert desk.accepts(present("rotating", secret)) == "rotating"


@pytest.mark.parametrize("present", [basic, post])
@pytest.mark.parametrize(
    ("client_id", "secret", "cause"),
    [
        ("web", ROTATED_SECRET, "secret_wrong"),
        ("web", SECRET[:-1], "secret_wrong"),
        ("web", SECRET + "A", "secret_wrong"),
        ("web", SECRET.swapcase(), "secret_wrong"),
        ("web", secret_digest(Secret(SECRET)).hex(), "secret_wrong"),
        ("web", "", "secret_malformed"),
        ("web", "x" * (MAX_SECRET_LENGTH + 1), "secret_malformed"),
        ("nobody", SECRET, "client_unknown"),
        ("WEB", SECRET, "client_unknown"),
        ("web ", SECRET, "client_unknown"),
        ("no-digest", SECRET, "secret_wrong"),
        ("no-digest", "", "secret_malformed"),
        ("orders-bff", SECRET, "method_not_registered"),
    ],
)
def test_a_wrong_pair_is_refused(desk, present, client_id, secret, cause):
    desk.refuses(present(client_id, secret), cause)


def test_a_secret_that_is_not_unicode_is_refused(desk):
    desk.refuses(post("web", "\udcff"), "secret_wrong")


def test_the_longest_secret_is_hashed_and_the_next_is_not(desk, monkeypatch):
    hashed = []
    monkeypatch.setattr(client_secret, "secret_digest", lambda secret: hashed.append(len(secret)) or b"")
    desk.refuses(post("web", "x" * MAX_SECRET_LENGTH), "secret_wrong")
    desk.refuses(post("web", "x" * (MAX_SECRET_LENGTH + 1)), "secret_malformed")
    assert hashed == [MAX_SECRET_LENGTH]


def test_unknown_client_and_wrong_secret_look_the_same_and_cost_the_same(desk, monkeypatch):
    compared = []
    real = client_secret.hmac.compare_digest
    monkeypatch.setattr(
        client_secret.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or real(a, b)
    )
    faces = []
    for client_id in ("web", "nobody", "orders-bff"):
        with pytest.raises(Refusal) as caught:
            desk.accepts(post(client_id, ROTATED_SECRET))
        faces.append((caught.value.reason, caught.value.retry_after, str(caught.value)))
    assert faces[0] == faces[1] == faces[2]
    assert compared == [(32, 32)] * 3 * COMPARED


@pytest.fixture
def work(monkeypatch):
    """What was hashed and compared, in the order of it: work is counted, because time on a busy machine is not."""
    done = []
    compare, digest = client_secret.hmac.compare_digest, client_secret.secret_digest
    monkeypatch.setattr(
        client_secret.hmac, "compare_digest", lambda a, b: done.append((len(a), len(b))) or compare(a, b)
    )
    monkeypatch.setattr(client_secret, "secret_digest", lambda given: done.append("hash") or digest(given))
    return done


@pytest.mark.parametrize("way", [post, basic])
@pytest.mark.parametrize(
    ("client_id", "secret"),
    [
        ("web", SECRET),
        ("web", ODD_SECRET),
        ("rotating", SECRET),
        ("rotating", ROTATED_SECRET),
        ("rotating", ODD_SECRET),
        ("orders-bff", SECRET),
        ("nobody", SECRET),
    ],
)
def test_the_work_is_the_same_for_right_wrong_unknown_and_rotated(desk, work, way, client_id, secret):
    with suppress(Refusal):
        desk.accepts(way(client_id, secret))
    readings = 2 if way is basic and secret == ODD_SECRET else 1  # what was sent decides, not who is known
    assert work == ["hash", *[(32, 32)] * COMPARED] * readings


def test_a_client_may_have_more_secrets_than_are_always_compared(work):
    given = tuple(f"secret number {number}" for number in range(COMPARED + 3))
    client = registered("many", secrets=given)
    for secret in given:
        assert client_secret.authenticate_post({"many": client}, post("many", secret)) is client
    assert work == ["hash", *[(32, 32)] * len(given)] * len(given)


@pytest.mark.parametrize(
    "unverified_basic",
    [
        "",
        "=",
        "not base64!",
        base64.b64encode(f"web:{SECRET}".encode()).decode() + "\n",
        " " + base64.b64encode(f"web:{SECRET}".encode()).decode(),
        base64.b64encode(f"web:{SECRET}".encode()).decode().rstrip("=") + "*",
        base64.urlsafe_b64encode("odd:¿¿¿>>>".encode()).decode(),
        "wéb",
        "\udcff",
        "A" * 1_000_000,
    ],
)
def test_a_basic_header_that_is_not_base64_is_refused(desk, unverified_basic):
    desk.refuses(ClientCredentials(unverified_basic=unverified_basic), "basic_malformed")


@pytest.mark.parametrize(
    "raw",
    [
        b"web",
        b":" + SECRET.encode(),
        b"",
        b"web:\xff\xfe",
        b"\xff\xfe:" + SECRET.encode(),
        b"w%ffb:" + SECRET.encode(),
        b"web:%ff",
        b"web:" + b"x" * 10_000,
    ],
)
def test_a_basic_header_of_another_form_is_refused(desk, raw):
    desk.refuses(header(raw), "basic_malformed")


def test_basic_without_a_secret_is_refused(desk):
    desk.refuses(header(b"web:"), "secret_malformed")


def test_basic_with_the_same_client_id_in_the_body_passes(desk):
    assert desk.accepts(basic("web", SECRET, unverified_client_id="web")) == "web"
    assert desk.accepts(basic(COLON_ID, SECRET, unverified_client_id=COLON_ID)) == COLON_ID


@pytest.mark.parametrize("client_id", ["rotating", "WEB", "web%", "nobody"])
def test_basic_with_another_client_id_in_the_body_is_refused(desk, client_id):
    desk.refuses(basic("web", SECRET, unverified_client_id=client_id), "client_id_mismatch")


def test_post_without_a_client_id_is_refused(desk):
    desk.refuses(post(None, SECRET), "client_id_missing")


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode()))
)
@example("d2Vi")
def test_no_header_does_anything_but_fail(desk, unverified_basic):
    with pytest.raises(Refusal) as caught:
        desk.accepts(ClientCredentials(unverified_basic=unverified_basic))
    assert caught.value.reason.slug == "client_authentication_failed"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text, text)
def test_what_is_encoded_is_what_is_read(desk, client_id, secret):
    if (client_id, secret) == ("web", SECRET):
        return
    with pytest.raises(Refusal):
        desk.accepts(basic(client_id, secret))
    with pytest.raises(Refusal):
        desk.accepts(basic(client_id, secret, encoded=False))
