"""What is wrong with an IdP is named: each problem spoils an otherwise healthy one, and is found in the report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from exchange.config.server_file import ServerSchema
from exchange.inspection import fetching
from exchange.inspection.clock import ALLOWED_SKEW, compare_clocks
from exchange.inspection.doctor import Asked, inspect_issuer
from exchange.outbound import FetchFailure
from exchange.trust.discovery import KeysRefusal
from tests.inspection.clinic import SpokenFor, given, inspect, run
from tests.support import keys
from tests.support.hostile_idp import HostileIdp, answer, json_of, raw
from tests.support.service import free_port

Spoil = Callable[[SpokenFor], None]


@pytest.fixture
def idp() -> Iterator[SpokenFor]:
    with SpokenFor(path="/realms/main") as issuer:
        yield issuer


def test_a_healthy_idp_has_nothing_wrong(idp: SpokenFor) -> None:
    examined = inspect(idp.issuer)

    assert (examined.exit, examined.wrong) == (0, set())
    assert {"metadata_found", "issuer_matches", "algorithms", "keys_usable", "clock_agrees"} <= examined.codes
    assert idp.requests[0] == "/realms/main/.well-known/openid-configuration"


def metadata(**changes: Any) -> Spoil:
    return lambda idp: idp.changes.update(changes)


def jwks(*members: Any) -> Spoil:
    return lambda idp: idp.jwks.update(keys=list(members))


def raw_jwks(body: bytes) -> Spoil:
    return lambda idp: idp.answers.update({f"{idp.path}/jwks.json": body})


def raw_metadata(body: bytes) -> Spoil:
    return lambda idp: idp.answers.update({f"{idp.path}/.well-known/openid-configuration": body})


def status(path: str, code: int) -> Spoil:
    return lambda idp: idp.answers.update({idp.path + path: lambda: (code, {}, b"")})


def of_size(bits: int) -> dict[str, Any]:
    public = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    return RSAAlgorithm.to_jwk(public, as_dict=True) | {"kid": "small"}


GOOD = keys.public_jwk()
SYMMETRIC = {"kty": "oct", "k": "c2VjcmV0LXRoYXQtaXMtcHVibGlzaGVk", "kid": "s", "alg": "HS256"}
PRIVATE = RSAAlgorithm.to_jwk(keys.private_key(), as_dict=True) | {"kid": "p"}

PROBLEMS: dict[str, tuple[Spoil, set[str]]] = {
    "another issuer": (metadata(issuer="https://login.example"), {"issuer_mismatch"}),
    "no issuer": (metadata(issuer=None), {"metadata_malformed"}),
    "metadata that is no JSON": (raw_metadata(b"<html>"), {"metadata_malformed"}),
    "metadata with two meanings": (raw_metadata(b'{"issuer": "a", "issuer": "b"}'), {"metadata_malformed"}),
    "metadata that fails": (status("/.well-known/openid-configuration", 500), {"metadata_unreachable"}),
    "metadata that redirects": (status("/.well-known/openid-configuration", 302), {"metadata_unreachable"}),
    "no jwks_uri": (metadata(jwks_uri=None), {"jwks_uri_missing"}),
    "jwks_uri without TLS": (metadata(jwks_uri="http://keys.example/jwks"), {"jwks_uri_refused"}),
    "jwks_uri that is none": (metadata(jwks_uri="file:///etc/passwd"), {"jwks_uri_refused"}),
    "HMAC alone": (
        metadata(id_token_signing_alg_values_supported=["HS256", "none"]),
        {"no_usable_algorithm"},
    ),
    "keys that are not there": (status("/jwks.json", 404), {"keys_unreachable"}),
    "keys that fail": (status("/jwks.json", 503), {"keys_unreachable"}),
    "keys that are no JSON": (raw_jwks(b"keys"), {"key_set_malformed"}),
    "keys that are no list": (raw_jwks(b'{"keys": {}}'), {"key_set_malformed"}),
    "no keys": (jwks(), {"no_usable_keys"}),
    "too many keys": (jwks(*[GOOD] * 101), {"too_many_keys"}),
    "a small key alone": (jwks(of_size(1024)), {"no_usable_keys"}),
    "an encryption key alone": (jwks(GOOD | {"use": "enc"}), {"no_usable_keys"}),
    "a symmetric key": (jwks(GOOD, SYMMETRIC), {"secret_published"}),
    "a private key": (jwks(GOOD, PRIVATE), {"secret_published"}),
}


@pytest.mark.parametrize(("spoil", "codes"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_named_and_nothing_is_proposed(idp: SpokenFor, spoil: Spoil, codes: set[str]) -> None:
    spoil(idp)

    examined = inspect(idp.issuer)

    assert (examined.exit, examined.wrong) == (1, codes)
    assert examined.report["proposal"] is None


def test_why_each_key_is_left_out_is_said(idp: SpokenFor) -> None:
    idp.jwks = {"keys": [GOOD, of_size(1024), GOOD | {"use": "enc", "kid": "e"}, {"kty": "EC"}, "x"]}

    examined = inspect(idp.issuer)

    assert (examined.exit, examined.wrong) == (0, set())
    why = [key.get("dropped", "used").split(":")[0] for key in examined.report["keys"]]
    assert why == [
        "used",
        "it is too small",
        "it is not for signatures",
        "its type, curve, algorithm or numbers are none that are taken",
        "it is no JSON object",
    ]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ([GOOD | {"kid": None}, keys.public_jwk(label="b")], "key_without_kid"),
        ([{k: v for k, v in GOOD.items() if k != "kid"}, keys.public_jwk(label="b")], "key_without_kid"),
        ([GOOD, keys.public_jwk(label="b", kid="RS256-a")], "key_repeated"),
    ],
)
def test_names_of_keys_that_get_in_each_others_way_are_noted(idp: SpokenFor, members: Any, code: str) -> None:
    idp.jwks = {"keys": members}

    examined = inspect(idp.issuer)

    assert code in examined.codes
    assert (examined.exit, examined.wrong) == (0, set())


def test_keys_on_another_host_are_noted(idp: SpokenFor) -> None:
    idp.changes["jwks_uri"] = idp.jwks_uri.replace("127.0.0.1", "localhost")

    examined = inspect(idp.issuer)

    assert (examined.exit, examined.wrong) == (0, set())
    assert "localhost" in examined.text_of("jwks_uri_elsewhere")


def test_a_slash_at_the_end_is_spelled_out_and_the_idps_own_spelling_is_proposed(idp: SpokenFor) -> None:
    idp.changes["issuer"] = f"{idp.issuer}/"

    examined = inspect(idp.issuer)

    assert (examined.exit, examined.wrong) == (1, {"issuer_mismatch"})
    assert "has the slash at its end" in examined.text_of("issuer_mismatch")
    assert f"issuer: {idp.issuer}/\n" in examined.yaml


def test_the_address_of_the_metadata_will_do(idp: SpokenFor) -> None:
    for address in (
        f"{idp.issuer}/.well-known/openid-configuration",
        f"{idp.origin}/.well-known/oauth-authorization-server/realms/main",
    ):
        examined = inspect(address)

        assert (examined.exit, examined.report["issuer"]) == (0, idp.issuer)
        assert "metadata_url_given" in examined.codes


def test_the_slash_is_taken_from_metadata_whose_address_was_given(idp: SpokenFor) -> None:
    idp.changes["issuer"] = f"{idp.issuer}/"

    examined = inspect(f"{idp.issuer}/.well-known/openid-configuration")

    assert (examined.exit, examined.report["issuer"]) == (0, f"{idp.issuer}/")


def test_the_second_well_known_place_is_found_too(idp: SpokenFor) -> None:
    idp.answers[f"{idp.path}/.well-known/openid-configuration"] = lambda: (404, {}, b"")

    examined = inspect(idp.issuer)

    assert examined.exit == 0
    assert "/.well-known/oauth-authorization-server/realms/main" in examined.text_of("metadata_found")


def test_no_metadata_at_all_names_both_places(idp: SpokenFor) -> None:
    examined = inspect(f"{idp.origin}/realms/other")

    assert (examined.exit, examined.wrong) == (1, {"metadata_not_found"})
    assert examined.text_of("metadata_not_found").count("/.well-known/") == 2


@pytest.mark.parametrize("flags", [(), ("--allow-insecure-http",)])
def test_http_is_refused_anywhere_but_on_loopback(flags: tuple[str, ...]) -> None:
    elsewhere = run("http://login.example", *flags)

    assert (elsewhere.exit_code, elsewhere.stdout) == (1, "")
    assert "url refused" in elsewhere.stderr
    assert "http:// is for loopback alone" in " ".join(elsewhere.stderr.split())


def test_http_on_loopback_needs_no_flag_and_the_file_says_what_it_is(idp: SpokenFor, tmp_path: Path) -> None:
    result = run(idp.issuer, *given(tmp_path, token=[idp.access_token(), idp.id_token()]))

    assert "allow_insecure_http: true" in result.stdout


def test_nobody_at_the_address_is_said() -> None:
    examined = inspect(f"http://127.0.0.1:{free_port()}")

    assert (examined.exit, examined.wrong) == (1, {"metadata_unreachable"})
    assert "nobody answers" in examined.text_of("metadata_unreachable")


def test_a_private_address_is_refused_unless_it_was_allowed() -> None:
    result = run("https://10.0.0.1")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "--allow-private-network" in " ".join(result.stderr.split())


@pytest.mark.parametrize("seconds", [-120, 120])
def test_a_clock_that_is_off_is_named(idp: SpokenFor, seconds: int) -> None:
    asked = Asked(idp.issuer, allow_insecure_http=True)

    report = inspect_issuer(asked, clock=lambda: time.time() - seconds).to_json()

    (wrong,) = [one for one in report["findings"] if one["level"] == "wrong"]  # type: ignore[attr-defined]
    assert wrong["code"] == "clock_off"
    assert ("ahead of" if seconds > 0 else "behind") in wrong["text"]
    assert report["proposal"]  # it is no reason not to trust


def test_a_token_from_the_future_shows_a_clock_too(idp: SpokenFor, tmp_path: Any) -> None:
    now = int(time.time())
    token = idp.access_token(iat=now + 300, exp=now + 600)

    examined = inspect(idp.issuer, *given(tmp_path, token=token))

    assert (examined.exit, examined.wrong) == (1, {"clock_off", "token_refused"})


def test_an_answer_without_a_date_is_no_clock() -> None:
    with HostileIdp() as idp:
        issuer = idp.serve_issuer(GOOD)
        body = json.dumps({"issuer": issuer, "jwks_uri": f"{issuer}/jwks"}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        idp.on("/.well-known/openid-configuration", raw(head + body))

        examined = inspect(issuer)

    assert (examined.exit, "clock_unknown" in examined.codes) == (0, True)


@pytest.mark.parametrize(
    "date", ["", "soon", "Mon, 01 Jan 0001 00:00:00", "1", "Fri, 31 Dec 9999 23:59:59 -2359"]
)
def test_a_date_that_is_none_breaks_nothing(date: str) -> None:
    assert compare_clocks(date, now=time.time(), skew=30).code in {"clock_unknown", "clock_off"}


def test_an_idp_that_says_nothing_costs_no_more_than_the_service_waits(monkeypatch: Any) -> None:
    monkeypatch.setattr(fetching, "FETCH_SECONDS", 0.2)
    with HostileIdp() as idp:
        idp.on("/.well-known/openid-configuration", idp.hang)
        began = time.monotonic()
        examined = inspect(idp.url)

    assert time.monotonic() - began < 3
    assert (examined.exit, examined.wrong) == (1, {"metadata_unreachable"})


def test_a_document_that_is_too_large_is_not_read() -> None:
    with HostileIdp() as idp:
        idp.on("/.well-known/openid-configuration", answer(body=b" " * 600_000))

        examined = inspect(idp.url)

    assert examined.wrong == {"metadata_unreachable"}
    assert "larger than 512 KiB" in examined.text_of("metadata_unreachable")


def test_an_idp_that_answers_the_service_otherwise_than_the_doctor_is_not_proposed() -> None:
    with HostileIdp() as idp:
        issuer = idp.serve_issuer(GOOD)
        honest, empty = idp.behaviours["/jwks"], json_of({"keys": []})

        def turn(request: Any) -> None:
            behave = honest if idp.hits["/jwks"] == 1 else empty
            behave(request)

        idp.on("/jwks", turn)

        examined = inspect(issuer)

    assert (examined.exit, examined.wrong) == (1, {"keys_not_found"})


def test_every_way_in_which_a_fetch_can_fail_has_its_words() -> None:
    assert {*get_args(FetchFailure), *get_args(KeysRefusal)} <= set(fetching.CAUSES)


def test_the_skew_is_the_services_own() -> None:
    assert ServerSchema().fields["clock_skew"].load_default == ALLOWED_SKEW
