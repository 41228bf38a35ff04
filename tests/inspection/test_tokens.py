"""What is said of given tokens, and of what is wrong with them; nothing of a person is ever printed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.given import FAULT
from exchange.inspection.draft import PLACEHOLDER_AUDIENCE
from tests.inspection.clinic import SpokenFor, given, in_file, inspect, keycloak_tokens, loaded, run
from tests.support import keys
from tests.support.idp import BACKEND


@pytest.fixture
def idp() -> Iterator[SpokenFor]:
    with SpokenFor() as issuer:
        yield issuer


def test_each_token_is_classified_with_its_evidence(idp: SpokenFor, tmp_path: Path) -> None:
    tokens = in_file(
        tmp_path, idp.access_token(), idp.id_token(), idp.sign({"iss": idp.issuer, "events": {}})
    )

    examined = inspect(idp.issuer, "--token", tokens)

    assert examined.exit == 0
    access, id_token, other = (examined.token(number) for number in range(3))
    assert (access["taken_for"], access["because"]) == ("access token", "header.typ=at+jwt")
    assert (access["outcome"], access["signature_verified"]) == ("accepted", True)
    assert access["header"] == ["alg", "kid", "typ"]
    assert access["claims"] == ["aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"]
    assert access["values"]["aud"] == BACKEND
    assert 3500 < access["expires_in"] <= 3600
    assert (id_token["taken_for"], id_token["because"]) == ("ID token", "claim.at_hash")
    assert (id_token["outcome"], id_token["reason"]) == ("refused", "subject_token_is_id_token")
    assert (other["taken_for"], other["because"]) == ("token of another kind", "claim.events")
    assert other["label"].endswith(":3")


def test_a_bearer_prefix_is_no_part_of_a_token(idp: SpokenFor, tmp_path: Path) -> None:
    examined = inspect(idp.issuer, *given(tmp_path, token=f"Bearer {idp.access_token()}"))

    assert (examined.exit, examined.profile) == (0, "rfc9068")


SPOILT: dict[str, tuple[dict[str, Any], dict[str, Any], set[str], str]] = {
    "no aud": ({"aud": None}, {}, {"audience_missing", "token_refused"}, "subject_token_audience_mismatch"),
    "an empty aud": (
        {"aud": []},
        {},
        {"audience_missing", "token_refused"},
        "subject_token_audience_mismatch",
    ),
    "no sub": ({"sub": None}, {}, {"token_refused"}, "subject_token_claim_missing"),
    "no exp": ({"exp": None}, {}, {"token_refused"}, "subject_token_claim_missing"),
    "no iat": ({"iat": None}, {}, {"token_refused"}, "subject_token_claim_missing"),
    "bound to a key": ({"cnf": {"jkt": "x"}}, {}, {"token_refused"}, "subject_token_proof_missing"),
    "an unknown key": ({}, {"kid": "other"}, {"token_refused"}, "subject_token_key_unknown"),
    "a critical header": ({}, {"crit": ["exp"]}, {"token_refused"}, "subject_token_header_refused"),
}


@pytest.mark.parametrize(("claims", "header", "codes", "reason"), SPOILT.values(), ids=SPOILT)
def test_what_is_wrong_with_an_access_token_is_said_in_the_words_of_the_service(  # noqa: PLR0917
    idp: SpokenFor, tmp_path: Path, claims: Any, header: Any, codes: set[str], reason: str
) -> None:
    payload = {k: v for k, v in (idp.access_token_claims() | claims).items() if v is not None}
    token = keys.sign_anything(payload, header={"typ": "at+jwt"} | header)

    examined = inspect(idp.issuer, *given(tmp_path, token=token))

    assert (examined.exit, examined.wrong) == (1, codes)
    assert examined.token()["reason"] == reason
    assert (examined.profile is not None) is examined.token()["signature_verified"]


def test_a_signature_that_does_not_verify_is_said(idp: SpokenFor, tmp_path: Path) -> None:
    token = idp.sign(idp.access_token_claims(), header={"typ": "at+jwt", "kid": "RS256-a"}, label="other")

    examined = inspect(idp.issuer, *given(tmp_path, token=token))

    assert (examined.exit, examined.wrong) == (1, {"token_refused"})
    assert (examined.token()["reason"], examined.token()["signature_verified"]) == (
        "subject_token_signature_invalid",
        False,
    )


def test_an_expired_token_still_shows_its_profile(idp: SpokenFor, tmp_path: Path) -> None:
    now = int(time.time())

    examined = inspect(idp.issuer, *given(tmp_path, token=idp.access_token(iat=now - 7200, exp=now - 3600)))

    assert (examined.exit, examined.profile, examined.wrong) == (0, "rfc9068", set())
    assert "until then it would have been accepted" in examined.text_of("token_expired")


def test_an_expired_id_token_is_told_from_an_access_token_all_the_same(
    idp: SpokenFor, tmp_path: Path
) -> None:
    """Times are checked before the kind: a refusal for being expired must not pass for one of an ID token."""
    now = int(time.time())
    payload = idp.access_token_claims(iat=now - 7200, exp=now - 3600, azp="shop-web", client_id=None)
    access = idp.sign(idp.access_token_claims(azp="shop-web", client_id=None))

    examined = inspect(idp.issuer, *given(tmp_path, access=access, id_token=idp.sign(payload)))

    assert (examined.exit, examined.wrong, examined.profile) == (1, {"indistinguishable"}, None)


def test_a_missing_typ_is_noted(idp: SpokenFor, tmp_path: Path) -> None:
    access, id_token = keycloak_tokens(idp)

    examined = inspect(idp.issuer, *given(tmp_path, token=[access, id_token]))

    assert (examined.exit, examined.profile) == (0, "keycloak")
    assert "at+jwt (RFC 9068)" in examined.text_of("typ_missing")


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_token_of_another_issuer_is_named(idp: SpokenFor, tmp_path: Path, slash: str) -> None:
    iss = f"{idp.issuer}/" if slash else "https://login.example"

    examined = inspect(idp.issuer, *given(tmp_path, token=idp.access_token(iss=iss)))

    assert {"token_of_another_issuer", "access_token_needed"} == examined.wrong
    assert ("slash" in examined.text_of("token_of_another_issuer")) is bool(slash)
    assert examined.token()["reason"] == "subject_token_issuer_not_trusted"


def test_an_opaque_token_is_said_to_be_one(idp: SpokenFor, tmp_path: Path) -> None:
    idp.changes["introspection_endpoint"] = f"{idp.issuer}/introspect"

    examined = inspect(idp.issuer, *given(tmp_path, token="ory_at_1234567890"))

    assert examined.wrong == {"token_unreadable", "access_token_needed"}
    assert f"{idp.issuer}/introspect" in examined.text_of("token_unreadable")


@pytest.mark.parametrize("token", ["a.b.c.d.e", "a.b.c", "x" * 20_000])
def test_what_is_no_signed_jwt_is_said(idp: SpokenFor, tmp_path: Path, token: str) -> None:
    examined = inspect(idp.issuer, *given(tmp_path, token=token))

    assert (examined.exit, "token_unreadable" in examined.wrong) == (1, True)


def test_an_id_token_alone_is_not_enough(idp: SpokenFor, tmp_path: Path) -> None:
    examined = inspect(idp.issuer, *given(tmp_path, token=idp.id_token()))

    assert (examined.exit, examined.wrong, examined.profile) == (1, {"access_token_needed"}, None)


def test_an_id_token_that_was_given_as_an_access_token_is_found_out(idp: SpokenFor, tmp_path: Path) -> None:
    examined = inspect(idp.issuer, *given(tmp_path, access=idp.id_token()))

    assert (examined.exit, examined.profile) == (1, None)
    assert examined.wrong == {"not_what_was_said", "access_token_needed"}


def test_a_token_that_says_nothing_must_be_called_something(idp: SpokenFor, tmp_path: Path) -> None:
    bare = idp.sign({"iss": idp.issuer, "sub": "ada", "aud": BACKEND, "exp": int(time.time()) + 60})

    unnamed = inspect(idp.issuer, *given(tmp_path, token=bare))
    named = inspect(idp.issuer, *given(tmp_path, access=bare))

    assert unnamed.wrong == {"token_unknown", "access_token_needed"}
    assert "no_profile_fits" in named.wrong
    assert (unnamed.exit, named.exit) == (1, 1)


def test_nothing_of_a_person_and_no_token_is_printed(idp: SpokenFor, tmp_path: Path) -> None:
    person = {"sub": "ada-7f", "email": "ada@shop.example", "name": "Ada Lovelace", "sid": "sid-8812"}
    tokens = [idp.access_token(**person), idp.id_token(**person)]
    arguments = (idp.issuer, "--allow-insecure-http", *given(tmp_path, token=tokens))

    for result in (run(*arguments), run(*arguments, "--json")):
        assert result.exit_code == 0
        for secret in (
            *person.values(),
            "n-0S6_WzA2Mj",
            *(part for token in tokens for part in token.split(".")),
        ):
            assert secret not in result.output


def test_no_control_character_of_a_stranger_reaches_the_terminal(idp: SpokenFor, tmp_path: Path) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\u202eevil\r\nissuer"
    idp.changes |= {"issuer": f"https://a.example/{evil}", "id_token_signing_alg_values_supported": [evil]}
    idp.jwks = {"keys": [keys.public_jwk(kid=evil)]}
    token = idp.access_token(header={"kid": evil}, aud=evil, **{evil: 1})

    result = run(
        idp.issuer, "--allow-insecure-http", *given(tmp_path, token=[token, idp.access_token(iss=evil)])
    )

    assert result.exit_code == 1
    assert all(character.isprintable() for line in result.output.split("\n") for character in line)


def test_values_of_a_stranger_are_cut(idp: SpokenFor, tmp_path: Path) -> None:
    idp.changes |= {"issuer": "https://a.example/" + "a" * 100_000}

    assert len(run(idp.issuer, "--allow-insecure-http").output) < 5_000


@pytest.mark.parametrize(
    "audience", ["https://shop.example\"]}#'", "*shop", "&a", "!!str", "no", "{a:b}", "-", "x:"]
)
def test_an_audience_cannot_break_out_of_its_place(idp: SpokenFor, tmp_path: Path, audience: str) -> None:
    examined = inspect(idp.issuer, *given(tmp_path, token=idp.access_token(aud=audience)))

    assert (examined.exit, examined.profile) == (0, "rfc9068")
    (issuer,) = loaded(examined.yaml, tmp_path).issuers.values()
    assert issuer.audience == {audience}


@pytest.mark.parametrize("audience", ["a\nprofile: keycloak", "a # b", "a\u2028b", "\x1b[2J", "\t"])
def test_what_nobody_could_review_is_not_proposed_as_an_audience(
    idp: SpokenFor, tmp_path: Path, audience: str
) -> None:
    examined = inspect(idp.issuer, *given(tmp_path, token=idp.access_token(aud=audience)))

    assert (examined.exit, examined.wrong) == (1, {"token_refused"})
    (issuer,) = loaded(examined.yaml, tmp_path).issuers.values()
    assert (issuer.profile.name, issuer.audience) == ("rfc9068", {PLACEHOLDER_AUDIENCE})


@pytest.mark.parametrize(
    "arguments",
    [
        ("--token", "@/does/not/exist"),
        ("--name", "self"),
        ("--name", "Acme"),
        ("--profile", "unknown"),
        ("--token", ""),
    ],
)
def test_wrong_usage_exits_with_2(idp: SpokenFor, arguments: tuple[str, ...]) -> None:
    result = run(idp.issuer, *arguments)

    assert (result.exit_code, result.stdout) == (FAULT, "")
    assert idp.requests == []
