"""Promise 2: ``iss`` is a key into the configured issuers and nothing else, and each issuer has its own keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.attacks.forge import access_claims, forged, header
from tests.support import keys
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import AUDIENCE, BASIC, audience_file, issuer_file, rule, write_policies
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, RunningService

SHARED_KID = "the-key"


@dataclass(frozen=True)
class World:
    """Two issuers whose keys have one ``kid``, one that is switched off, and one that nobody configured."""

    service: RunningService
    first: FakeIssuer
    second: FakeIssuer
    disabled: FakeIssuer
    stranger: FakeIssuer

    def exchange(self, token: str, **parameters: Any) -> Any:
        return self.service.exchange(token, BASIC, audience=AUDIENCE, **parameters)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as running:
        first, second, disabled, stranger = (
            running.enter_context(FakeIssuer(label=label, path="/realms/main"))
            for label in ("first", "second", "disabled", "stranger")
        )
        for issuer in (first, second):
            issuer.jwks = {
                "keys": [
                    keys.public_jwk("RS256", issuer.label, kid=SHARED_KID),
                    keys.public_jwk("RS256", f"{issuer.label}-own"),
                ]
            }
        policies = write_policies(
            tmp_path_factory.mktemp("issuers") / "policies",
            issuer=first.issuer,
            issuers={
                "idp": None,
                "first": issuer_file(first.issuer),
                "second": issuer_file(second.issuer),
                "off": issuer_file(disabled.issuer, enabled=False),
            },
            clients={"shop-with-key": None},
            audiences={"orders": audience_file(rule(subject={"issuer": ["first", "second", "off"]}))},
        )
        service = running.enter_context(RunningService(policies, workers=2))
        yield World(service, first, second, disabled, stranger)


def signed(issuer: str, label: str, *, kid: Any = SHARED_KID, **changes: Any) -> str:
    return forged(header(kid=kid), access_claims(issuer, **changes), label=label)


def test_a_token_of_each_configured_issuer_is_exchanged(world: World) -> None:
    for issuer in (world.first, world.second):
        assert_issued(world.service, world.exchange(signed(issuer.issuer, issuer.label)))


@pytest.mark.parametrize("role", ["subject", "actor"])
def test_an_issuer_that_is_not_configured_causes_no_request(world: World, role: str) -> None:
    genuine = signed(world.first.issuer, "first")
    for kid in (SHARED_KID, "RS256-stranger", ...):
        token = signed(world.stranger.issuer, "stranger", kid=kid)
        answer = (
            world.exchange(token)
            if role == "subject"
            else world.exchange(genuine, actor_token=token, actor_token_type=ACCESS_TOKEN)
        )
        assert_refused(world.service, answer, f"{role}_token_issuer_not_trusted")
    assert world.stranger.requests == []


def test_urls_of_all_kinds_as_iss_cause_no_request(world: World) -> None:
    stranger = world.stranger.origin
    for iss in (
        stranger,
        f"{stranger}/",
        f"{world.first.issuer}@{stranger.removeprefix('http://')}",
        f"{stranger}/?{world.first.issuer}",
        f"{stranger}#{world.first.issuer}",
        f"{world.first.issuer}/../../../{stranger}",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "gopher://127.0.0.1:1/",
    ):
        answer = world.exchange(signed(iss, "stranger"))
        assert_refused(world.service, answer, "subject_token_issuer_not_trusted")
    assert world.stranger.requests == []


SPELLINGS: dict[str, Callable[[str], str]] = {
    "a trailing slash": lambda issuer: f"{issuer}/",
    "a prefix": lambda issuer: issuer[:-1],
    "the origin": lambda issuer: issuer.removesuffix("/realms/main"),
    "longer": lambda issuer: f"{issuer}-2",
    "upper case": lambda issuer: issuer.upper(),
    "the scheme in upper case": lambda issuer: issuer.replace("http", "HTTP"),
    "the host by another name": lambda issuer: issuer.replace("127.0.0.1", "localhost"),
    "https": lambda issuer: issuer.replace("http", "https"),
    "a space behind": lambda issuer: f"{issuer} ",
    "a newline behind": lambda issuer: f"{issuer}\n",
    "an encoded path": lambda issuer: issuer.replace("realms", "%72ealms"),
    "a dot segment": lambda issuer: issuer.replace("/realms", "/./realms"),
    "a query": lambda issuer: f"{issuer}?",
    "a fragment": lambda issuer: f"{issuer}#",
    "the name of its file": lambda issuer: "first",
    "empty": lambda issuer: "",
    "a glob": lambda issuer: "*",
    "the service's own name": lambda issuer: "self",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_iss_is_compared_character_by_character(world: World, name: str) -> None:
    # PyJWT CVE-2024-53861 took a part of the issuer for the issuer.
    answer = world.exchange(signed(SPELLINGS[name](world.first.issuer), "first"))
    assert_refused(world.service, answer, "subject_token_issuer_not_trusted")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("list", "claim_malformed"),
        ("list of both", "claim_malformed"),
        ("object", "claim_malformed"),
        ("number", "claim_malformed"),
        ("true", "claim_malformed"),
        ("null", "claim_missing"),
        ("absent", "claim_missing"),
    ],
)
def test_iss_that_is_no_string_is_refused(world: World, name: str, reason: str) -> None:
    iss = {
        "list": [world.first.issuer],
        "list of both": [world.first.issuer, world.second.issuer],
        "object": {world.first.issuer: 1},
        "number": 1,
        "true": True,
        "null": None,
        "absent": ...,
    }[name]
    answer = world.exchange(forged(header(kid=SHARED_KID), access_claims(iss=iss), label="first"))
    assert_refused(world.service, answer, f"subject_token_{reason}")


def test_a_key_of_one_issuer_does_not_sign_for_another(world: World) -> None:
    for signer, named in ((world.first, world.second), (world.second, world.first)):
        own = f"{signer.label}-own"
        assert_issued(world.service, world.exchange(signed(signer.issuer, own, kid=f"RS256-{own}")))
        answer = world.exchange(signed(named.issuer, own, kid=f"RS256-{own}"))
        assert_refused(world.service, answer, "subject_token_key_unknown")


def test_two_issuers_with_one_kid_are_not_mistaken_for_each_other(world: World) -> None:
    for signer, named in ((world.first, world.second), (world.second, world.first)):
        assert_issued(world.service, world.exchange(signed(signer.issuer, signer.label)))
        answer = world.exchange(signed(named.issuer, signer.label))
        assert_refused(world.service, answer, "subject_token_signature_invalid")


def test_a_disabled_issuer_is_refused_and_never_asked(world: World) -> None:
    answer = world.exchange(signed(world.disabled.issuer, "disabled", kid="RS256-disabled"))
    assert_refused(world.service, answer, "subject_token_issuer_disabled")
    assert world.disabled.requests == []
    assert_issued(world.service, world.exchange(signed(world.first.issuer, "first")))


@pytest.mark.parametrize("sub", ["ada", "second|ada", "first|ada", "a|b", "a\\|b", "|", "\\"])
def test_one_sub_at_two_issuers_is_two_subjects(world: World, sub: str) -> None:
    issued = [
        assert_issued(world.service, world.exchange(signed(issuer.issuer, issuer.label, sub=sub)))["issued"]
        for issuer in (world.first, world.second)
    ]
    subjects = [found["claims"]["sub"] for found in issued]
    assert subjects[0] != subjects[1]
    assert [subject.split("|", 1)[0] for subject in subjects] == ["first", "second"]


def test_a_token_of_ours_is_not_renewed(world: World) -> None:
    issued = world.exchange(signed(world.first.issuer, "first")).json()["access_token"]
    assert_refused(world.service, world.exchange(issued), "self_renewal")


def test_our_issuer_with_an_algorithm_of_theirs_is_refused(world: World) -> None:
    answer = world.exchange(signed(world.service.issuer, "first", aud=BACKEND))
    assert_refused(world.service, answer, "subject_token_algorithm_not_allowed")


@pytest.mark.parametrize("names_our_key", [False, True])
def test_our_issuer_with_a_key_of_theirs_is_refused(world: World, names_our_key: bool) -> None:
    (ours,) = world.service.jwks()["keys"]
    claims = access_claims(world.service.issuer, aud=BACKEND)
    kid = {"kid": ours["kid"]} if names_our_key else {}
    token = keys.sign(claims, algorithm="ES256", label="theirs", header={"typ": "at+jwt", **kid})
    reason = "subject_token_signature_invalid" if names_our_key else "subject_token_key_unknown"
    assert_refused(world.service, world.exchange(token), reason)
