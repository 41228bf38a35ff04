"""RFC 6749 §2.3, RFC 7521, RFC 7523: nobody is taken for a client that he is not, and learns nothing by trying."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.attacks.forge import ISSUER, access_claims, forged, forged_with_secret, segment
from tests.support import keys
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    CLIENT_ASSERTION_TYPE,
    CLIENT_SECRET,
    KEY_CLIENT,
    SECRET_CLIENT,
    client_assertion,
    issuer_file,
    key_client_file,
    secret_client_file,
    secret_hash,
    write_policies,
)
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, ID_TOKEN, RunningService

FAILED = "client_authentication_failed"
OTHER_SECRET = "the-secret-of-another-client_0123456789abcdefgh"
OTHER = ("other-shop", OTHER_SECRET)
UNNAMED = ("unnamed", OTHER_SECRET[::-1])
KEY_BACKEND = f"{BACKEND}/with-key"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

Form = Mapping[str, Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Two clients with a secret, two with a key, and one that no rule names."""

    def secret(client_id: str, value: str) -> dict[str, Any]:
        return secret_client_file(
            client_id=client_id,
            audience=[f"{BACKEND}/{client_id}"],
            authentication={"client_secret": {"hash": [secret_hash(value)]}},
        )

    other_keys = {"jwks": {"keys": [keys.public_jwk("ES256", "other-client")]}}
    policies = write_policies(
        tmp_path_factory.mktemp("clients") / "policies",
        issuer=ISSUER,
        issuers={
            "idp": issuer_file(
                ISSUER, audience=[BACKEND, KEY_BACKEND], keys={"jwks": {"keys": [keys.public_jwk()]}}
            )
        },
        clients={
            "other-shop": secret(*OTHER),
            "unnamed": secret(*UNNAMED),
            "other-with-key": key_client_file(
                client_id="other-with-key",
                audience=[f"{BACKEND}/other-with-key"],
                authentication={"private_key_jwt": other_keys},
            ),
            "strict-with-key": key_client_file(
                client_id="strict-with-key",
                audience=[f"{BACKEND}/strict-with-key"],
                authentication={
                    "private_key_jwt": {
                        "jwks": {"keys": [keys.public_jwk("ES256", "client")]},
                        "assertion_audience": "issuer",
                    }
                },
            ),
        },
    )
    with RunningService(policies, workers=4) as running:
        yield running


def form(*more: Form, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "grant_type": GRANT_TYPE,
        "subject_token": forged(),
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
    }
    for parameters in more:
        found |= parameters
    return {name: value for name, value in (found | changes).items() if value is not None}


def key_form(*more: Form, **changes: Any) -> dict[str, Any]:
    """The same with the token of the client that has a key."""
    return form({"subject_token": forged(payload=access_claims(aud=KEY_BACKEND))}, *more, **changes)


def assertion(service: RunningService, **changes: Any) -> dict[str, str]:
    return client_assertion(f"{service.issuer}/token", **changes)


def raw_assertion(token: str) -> dict[str, str]:
    return {"client_assertion_type": CLIENT_ASSERTION_TYPE, "client_assertion": token}


def what_is_learnt(answer: requests.Response) -> tuple[int, str, dict[str, str]]:
    """Return all of an answer but what differs between any two."""
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    headers = {name: value for name, value in answer.headers.items() if name not in {"X-Request-ID", "Date"}}
    return answer.status_code, json.dumps(body), headers


# ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_way_to_authenticate_is_answered(service: RunningService) -> None:
    assert_issued(service, service.post_token(form(), BASIC))
    assert_issued(service, service.post_token(form(client_id=SECRET_CLIENT), BASIC))
    assert_issued(service, service.post_token(form(client_id=SECRET_CLIENT, client_secret=CLIENT_SECRET)))
    assert_issued(service, service.post_token(key_form(assertion(service))))
    assert_issued(service, service.post_token(key_form(assertion(service), client_id=KEY_CLIENT)))


@pytest.mark.parametrize("how", ["client_secret_basic", "client_secret_post"])
def test_an_unknown_client_and_a_wrong_secret_look_alike(service: RunningService, how: str) -> None:
    answers = []
    for client, secret in (
        ("shop", "wrong"),
        ("shop", OTHER_SECRET),
        ("shop", CLIENT_SECRET[:-1]),
        ("shop", f"{CLIENT_SECRET} "),
        ("shop", CLIENT_SECRET.upper()),
        ("shop", secret_hash(CLIENT_SECRET)),
        ("shop", "x" * 600),
        ("nobody", "wrong"),
        ("nobody", CLIENT_SECRET),
        ("SHOP", CLIENT_SECRET),
        ("shop ", CLIENT_SECRET),
        ("other-shop", CLIENT_SECRET),
        ("unnamed", CLIENT_SECRET),
        (KEY_CLIENT, CLIENT_SECRET),
    ):
        if how == "client_secret_basic":
            answer = service.post_token(form(), (client, secret))
        else:
            answer = service.post_token(form(client_id=client, client_secret=secret))
        record = assert_refused(service, answer, FAILED)
        assert "client_id" not in record, "nobody was authenticated"
        answers.append(what_is_learnt(answer))
    assert all(answer == answers[0] for answer in answers)


def test_all_failures_of_an_assertion_look_alike(service: RunningService) -> None:
    tries = [
        assertion(service, label="attacker"),
        assertion(service, label="attacker", header={"kid": "ES256-client"}),
        assertion(service, iss="nobody", sub="nobody"),
        assertion(service, iss="shop", sub="shop"),
        assertion(service, aud="https://other.example"),
        assertion(service, exp=int(time.time()) - 600),
        raw_assertion("x"),
        {"client_assertion_type": "x", "client_assertion": assertion(service)["client_assertion"]},
    ]
    answers = [service.post_token(key_form(tried)) for tried in tries]
    for answer in answers:
        assert_refused(service, answer, FAILED)
    assert len({json.dumps(what_is_learnt(answer)) for answer in answers}) == 1


def presented(service: RunningService, *ways: str) -> tuple[dict[str, Any], tuple[str, str] | None]:
    parts: dict[str, Form] = {
        "post": {"client_id": SECRET_CLIENT, "client_secret": CLIENT_SECRET},
        "secret alone": {"client_secret": CLIENT_SECRET},
        "assertion": assertion(service),
        "type alone": {"client_assertion_type": CLIENT_ASSERTION_TYPE},
        "assertion alone": {"client_assertion": assertion(service)["client_assertion"]},
    }
    found = form(*(parts[way] for way in ways if way != "basic"))
    return found, BASIC if "basic" in ways else None


@pytest.mark.parametrize(
    "ways",
    [
        ("basic", "post"),
        ("basic", "secret alone"),
        ("basic", "assertion"),
        ("basic", "type alone"),
        ("basic", "assertion alone"),
        ("post", "assertion"),
        ("post", "type alone"),
        ("post", "assertion alone"),
        ("basic", "post", "assertion"),
        ("secret alone",),
        ("type alone",),
        ("assertion alone",),
        (),
    ],
    ids=lambda ways: " and ".join(ways) or "nothing",
)
def test_anything_but_exactly_one_method_is_refused(service: RunningService, ways: tuple[str, ...]) -> None:
    found, auth = presented(service, *ways)
    assert_refused(service, service.post_token(found, auth), FAILED)


def test_a_client_id_alone_is_no_authentication(service: RunningService) -> None:
    for client in (SECRET_CLIENT, KEY_CLIENT, "nobody"):
        assert_refused(service, service.post_token(form(client_id=client)), FAILED)


def test_a_client_id_of_somebody_else_beside_good_credentials_is_refused(service: RunningService) -> None:
    for client in ("other-shop", "nobody", "SHOP", "shop "):
        assert_refused(service, service.post_token(form(client_id=client), BASIC), FAILED)
        answer = service.post_token(key_form(assertion(service), client_id=client))
        assert_refused(service, answer, FAILED)


# ── the Authorization header ────────────────────────────────────────────────────────────────────────────────


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


GOOD = encoded(f"shop:{CLIENT_SECRET}")
SPOILT_BASIC = {
    "nothing": "Basic",
    "spaces": "Basic    ",
    "not base64": "Basic %%%",
    "not encoded": f"Basic shop:{CLIENT_SECRET}",
    "base64url": f"Basic {encoded(b'shop:' + bytes([251, 255, 254]))}".replace("+", "-").replace("/", "_"),
    "no colon": f"Basic {encoded('shop')}",
    "no name": f"Basic {encoded(f':{CLIENT_SECRET}')}",
    "no secret": f"Basic {encoded('shop:')}",
    "colon alone": f"Basic {encoded(':')}",
    "Latin-1": f"Basic {encoded(b'sh' + bytes([246]) + b'p:x')}",
    "a secret that is not UTF-8": f"Basic {encoded(b'shop:' + bytes([255, 254]))}",
    "a NUL behind": f"Basic {encoded(f'shop:{CLIENT_SECRET}' + chr(0))}",
    "a NUL in the name": f"Basic {encoded(f'shop{chr(0)}:{CLIENT_SECRET}')}",
    "a newline behind": f"Basic {encoded(f'shop:{CLIENT_SECRET}' + chr(10))}",
    "percent-encoded wrongly": f"Basic {encoded('shop:%ff%fe')}",
    "padding missing": f"Basic {encoded(f'shop:{CLIENT_SECRET}xx').rstrip('=')}",
    "more behind": f"Basic {GOOD} x",
    "twice in one": f"Basic {GOOD}, Basic {GOOD}",
    "encoded twice": f"Basic {encoded(GOOD)}",
    "a name and a list": f"Basic {encoded('shop,other-shop:x')}",
    "4 kB": f"Basic {encoded('shop:' + 'x' * 3_000)}",
    "15 kB": f"Basic {encoded('shop:' + 'x' * 11_000)}",
    "a huge name": f"Basic {encoded('x' * 11_000 + ':' + CLIENT_SECRET)}",
    "15 kB of no base64": "Basic " + "%" * 15_000,
}


@pytest.mark.parametrize("name", SPOILT_BASIC)
def test_a_malformed_basic_header_is_a_failed_authentication(service: RunningService, name: str) -> None:
    answer = service.post_token(form(), headers={"Authorization": SPOILT_BASIC[name]})
    assert_refused(service, answer, FAILED)
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="')


@pytest.mark.parametrize(
    "value",
    [
        f"Basic {GOOD}",
        f"basic {GOOD}",
        f"BASIC {GOOD}",
        f"Basic  {GOOD}",
        f"Basic {encoded(f'{quote_plus(SECRET_CLIENT)}:{quote_plus(CLIENT_SECRET)}')}",
        f"Basic {encoded(f'%73hop:{CLIENT_SECRET}')}",
    ],
)
def test_each_spelling_of_good_credentials_is_answered(service: RunningService, value: str) -> None:
    assert_issued(service, service.post_token(form(), headers={"Authorization": value}))


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {CLIENT_SECRET}",
        f"Digest {GOOD}",
        GOOD,
        f"Basic\t{GOOD}",
        f"Basi {GOOD}",
        "Negotiate",
        f"DPoP {GOOD}",
    ],
)
def test_another_scheme_is_a_failed_authentication(service: RunningService, value: str) -> None:
    answer = service.post_token(form(), headers={"Authorization": value})
    assert_refused(service, answer, FAILED)
    assert "WWW-Authenticate" not in answer.headers
    with_secret = form(client_id=SECRET_CLIENT, client_secret=CLIENT_SECRET)
    assert_refused(service, service.post_token(with_secret, headers={"Authorization": value}), FAILED)


def test_two_authorization_headers_are_refused(service: RunningService) -> None:
    good, wrong = f"Basic {GOOD}", f"Basic {encoded('other-shop:x')}"
    for pair in ((good, wrong), (wrong, good), (good, good)):
        connection = HTTPConnection("127.0.0.1", service.port, timeout=15)
        body = urlencode(form()).encode()
        connection.putrequest("POST", "/token")
        for value in pair:
            connection.putheader("Authorization", value)
        connection.putheader("Content-Type", "application/x-www-form-urlencoded")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        assert answer.status in {400, 401}
        assert b"access_token" not in answer.read()
        connection.close()


def test_a_challenge_is_sent_only_when_basic_was_tried(service: RunningService) -> None:
    tried = service.post_token(form(), ("shop", "wrong"))
    assert tried.headers["WWW-Authenticate"] == 'Basic realm="token exchange", charset="UTF-8"'
    for answer in (
        service.post_token(form()),
        service.post_token(form(client_id="shop", client_secret="wrong")),
        service.post_token(key_form(assertion(service, label="attacker"))),
    ):
        assert_refused(service, answer, FAILED)
        assert "WWW-Authenticate" not in answer.headers
    assert "WWW-Authenticate" not in service.post_token(form(), BASIC).headers
    refused = service.post_token(form(audience="https://nobody.example"), BASIC)
    assert "WWW-Authenticate" not in refused.headers


# ── assertions ──────────────────────────────────────────────────────────────────────────────────────────────


def signed_assertion(
    service: RunningService, *, head: Any = None, label: str = "client", **claims: Any
) -> dict[str, str]:
    """Return an assertion with any JSON in header and claims; ``...`` leaves one out."""
    now = int(time.time())
    found = {
        "iss": KEY_CLIENT,
        "sub": KEY_CLIENT,
        "aud": f"{service.issuer}/token",
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid.uuid4()),
    } | claims
    payload = {name: value for name, value in found.items() if value is not ...}
    header = {"alg": "ES256", "kid": "ES256-client"} | (head or {})
    present = {name: value for name, value in header.items() if value is not ...}
    return raw_assertion(forged(present, payload, algorithm="ES256", label=label))


@pytest.mark.parametrize(
    "head",
    [{}, {"typ": "JWT"}, {"typ": "client-authentication+jwt"}, {"kid": ...}],
    ids=str,
)
def test_an_assertion_of_each_form_is_answered(service: RunningService, head: Any) -> None:
    assert_issued(service, service.post_token(key_form(signed_assertion(service, head=head))))
    assert_issued(
        service, service.post_token(key_form(signed_assertion(service, head=head, aud=service.issuer)))
    )
    assert_issued(
        service, service.post_token(key_form(signed_assertion(service, head=head, aud=[service.issuer])))
    )


class Ours:
    """What a parametrized audience says of the service, whose port is known later."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


AUDIENCES: list[Any] = [
    "https://other.example/token",
    Ours("{issuer}/"),
    Ours("{issuer}/token/"),
    Ours("{issuer}/Token"),
    Ours("{issuer}/introspect"),
    Ours("{issuer}/jwks.json"),
    Ours("{issuer}/token?x"),
    Ours("{issuer}/token https://other.example"),
    [Ours("{issuer}"), "https://other.example/token"],
    [Ours("{issuer}"), Ours("{issuer}/token")],
    [],
    [[Ours("{issuer}")]],
    {"aud": Ours("{issuer}")},
    KEY_CLIENT,
    "",
    None,
    ...,
    1,
]


def resolved(value: Any, service: RunningService) -> Any:
    if isinstance(value, Ours):
        return value.text.format(issuer=service.issuer)
    if isinstance(value, list):
        return [resolved(item, service) for item in value]
    if isinstance(value, dict):
        return {name: resolved(item, service) for name, item in value.items()}
    return value


@pytest.mark.parametrize("aud", AUDIENCES, ids=str)
def test_an_assertion_for_another_audience_is_refused(service: RunningService, aud: Any) -> None:
    answer = service.post_token(key_form(signed_assertion(service, aud=resolved(aud, service))))
    assert_refused(service, answer, FAILED)


def test_a_client_may_take_assertions_for_the_issuer_alone(service: RunningService) -> None:
    who = {"iss": "strict-with-key", "sub": "strict-with-key"}
    answer = service.post_token(form(signed_assertion(service, aud=service.issuer, **who)))
    assert_refused(service, answer, "target_not_permitted")  # it is who it says, and no rule names it
    answer = service.post_token(form(signed_assertion(service, **who)))
    assert_refused(service, answer, FAILED)


SPOILT_ASSERTIONS: dict[str, dict[str, Any]] = {
    "of another client, by its key": {"iss": "other-with-key", "sub": "other-with-key"},
    "iss of another client": {"iss": "other-with-key"},
    "sub of another client": {"sub": "other-with-key"},
    "of a client with a secret": {"iss": SECRET_CLIENT, "sub": SECRET_CLIENT},
    "of the IdP": {"iss": ISSUER},
    "sub as a list": {"sub": [KEY_CLIENT], "iss": [KEY_CLIENT]},
    "no sub": {"sub": ...},
    "no iss": {"iss": ...},
    "no exp": {"exp": ...},
    "exp as a string": {"exp": "4000000000"},
    "exp as a float": {"exp": 4e9},
    "exp true": {"exp": True},
    "expired": {"exp": 1_000_000_000},
    "for a year": {"exp": 4_000_000_000},
    "issued in the future": {"iat": 4_000_000_000},
    "issued long ago": {"iat": 1_000_000_000},
    "not yet valid": {"nbf": 4_000_000_000},
    "no jti": {"jti": ...},
    "an empty jti": {"jti": ""},
    "a jti that is a number": {"jti": 1},
    "a jti in a list": {"jti": ["a"]},
    "a jti of 1 kB": {"jti": "x" * 1000},
    "another key": {"label": "attacker"},
    "another client's key": {"label": "other-client"},
    "another client's key by its kid": {"label": "other-client", "head": {"kid": "ES256-other-client"}},
    "an unknown kid": {"head": {"kid": "../../dev/null"}},
    "a kid that is no string": {"head": {"kid": 1}},
    "alg none": {"head": {"alg": "none"}},
    "alg HS256": {"head": {"alg": "HS256"}},
    "alg RS256": {"head": {"alg": "RS256"}},
    "alg ES384": {"head": {"alg": "ES384"}},
    "crit": {"head": {"crit": ["exp"]}},
    "the type of access tokens": {"head": {"typ": "at+jwt"}},
    "the type of DPoP proofs": {"head": {"typ": "dpop+jwt"}},
    "the type of ID tokens": {"head": {"typ": "id_token+jwt"}},
    "its own key in the header": {"label": "attacker", "head": {"jwk": keys.public_jwk("ES256", "attacker")}},
    "its own key alone in the header": {
        "label": "attacker",
        "head": {"jwk": keys.public_jwk("ES256", "attacker"), "kid": ...},
    },
}


@pytest.mark.parametrize("name", SPOILT_ASSERTIONS)
def test_a_spoilt_assertion_is_refused(service: RunningService, name: str) -> None:
    answer = service.post_token(key_form(signed_assertion(service, **SPOILT_ASSERTIONS[name])))
    assert_refused(service, answer, FAILED)


def test_a_url_in_the_header_of_an_assertion_is_never_fetched(service: RunningService) -> None:
    with FakeIssuer(algorithm="ES256", label="attacker") as attacker:
        for name in ("jku", "x5u"):
            for kid in ("ES256-client", "ES256-attacker", ...):
                head = {name: attacker.jwks_uri, "kid": kid}
                answer = service.post_token(key_form(signed_assertion(service, head=head, label="attacker")))
                assert_refused(service, answer, FAILED)
        assert attacker.requests == []


def test_an_assertion_by_hmac_with_the_public_key_is_refused(service: RunningService) -> None:
    pem = (
        keys.private_key("ES256", "client")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    now = int(time.time())
    claims = {
        "iss": KEY_CLIENT,
        "sub": KEY_CLIENT,
        "aud": service.issuer,
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid.uuid4()),
    }
    for secret in (pem, json.dumps(keys.public_jwk("ES256", "client")).encode(), CLIENT_SECRET.encode()):
        token = forged_with_secret(secret, {"alg": "HS256", "kid": "ES256-client"}, claims)
        assert_refused(service, service.post_token(key_form(raw_assertion(token))), FAILED)


def test_a_subject_token_is_no_assertion(service: RunningService) -> None:
    assert_refused(service, service.post_token(key_form(raw_assertion(forged()))), FAILED)


# ── replay ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_assertion_is_used_once_on_all_workers(service: RunningService) -> None:
    used = assertion(service)
    assert_issued(service, service.post_token(key_form(used)))
    for _ in range(8):
        service._session.close()  # a new connection, so that several workers are asked
        assert_refused(service, service.post_token(key_form(used)), FAILED)


@pytest.mark.parametrize("attempt", range(10))
def test_of_concurrent_identical_assertions_exactly_one_passes(service: RunningService, attempt: int) -> None:
    used = key_form(assertion(service))
    together = threading.Barrier(6)

    def send() -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            together.wait(10)
            return session.post(f"{service.url}/token", data=used, timeout=15)

    with ThreadPoolExecutor(6) as pool:
        answers = [future.result() for future in [pool.submit(send) for _ in range(6)]]
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401, 401]
    for answer in answers:
        if answer.status_code != 200:
            assert_refused(service, answer, FAILED)


def test_one_jti_with_two_clients_is_two_assertions(service: RunningService) -> None:
    jti = str(uuid.uuid4())
    assert_issued(service, service.post_token(key_form(signed_assertion(service, jti=jti))))
    other = signed_assertion(
        service,
        jti=jti,
        iss="other-with-key",
        sub="other-with-key",
        label="other-client",
        head={"kid": "ES256-other-client"},
    )
    assert_refused(service, service.post_token(form(other)), "target_not_permitted")


def test_another_assertion_with_a_used_jti_is_refused(service: RunningService) -> None:
    jti = str(uuid.uuid4())
    assert_issued(service, service.post_token(key_form(signed_assertion(service, jti=jti))))
    for later in ({"exp": int(time.time()) + 600}, {"aud": service.issuer}, {"head": {"typ": "JWT"}}):
        answer = service.post_token(key_form(signed_assertion(service, jti=jti, **later)))
        assert_refused(service, answer, FAILED)


def test_another_spelling_of_a_used_assertion_is_refused(service: RunningService) -> None:
    used = signed_assertion(service)
    assert_issued(service, service.post_token(key_form(used)))
    unsigned, _, sent = used["client_assertion"].rpartition(".")
    raw = base64.urlsafe_b64decode(sent + "==")
    r, s = raw[:32], P256_ORDER - int.from_bytes(raw[32:], "big")
    for respelled in (
        f"{unsigned}.{segment(r + s.to_bytes(32, 'big'))}",  # verifies as well
        f"{unsigned}.{sent}==",
        f"{unsigned}.{segment(encode_dss_signature(int.from_bytes(r, 'big'), s))}",
    ):
        assert_refused(service, service.post_token(key_form(raw_assertion(respelled))), FAILED)


def test_a_refused_assertion_uses_nothing_up(service: RunningService) -> None:
    jti = str(uuid.uuid4())
    for spoilt in ({"aud": "https://other.example"}, {"label": "attacker"}, {"exp": 1_000_000_000}):
        answer = service.post_token(key_form(signed_assertion(service, jti=jti, **spoilt)))
        assert_refused(service, answer, FAILED)
    answer = service.post_token(key_form(signed_assertion(service, jti=jti), client_id="other-shop"))
    assert_refused(service, answer, FAILED)
    assert_issued(service, service.post_token(key_form(signed_assertion(service, jti=jti))))


def test_a_good_assertion_is_used_up_by_an_exchange_that_is_refused(service: RunningService) -> None:
    # It proved who asks, and that is what it is for: whoever reads it on the way must not use it for another try.
    for spoilt in (
        {"subject_token": forged(payload=access_claims(exp=1))},
        {"audience": "https://nobody.example"},
        {"subject_token_type": ID_TOKEN},
        {"subject_token": None},
    ):
        used = assertion(service)
        answer = service.post_token(key_form(used, spoilt))
        assert answer.status_code == 400
        assert answer.json()["reason"] != FAILED
        assert_refused(service, service.post_token(key_form(used)), FAILED)
        assert_issued(service, service.post_token(key_form(assertion(service))))


# ── what a stranger learns ──────────────────────────────────────────────────────────────────────────────────

FAULTS: dict[str, Form] = {
    "nothing else": {},
    "an unknown target": {"audience": "https://nobody.example"},
    "no target": {"audience": None},
    "a target of somebody else": {"resource": "https://orders.example/api"},
    "an ID token by its declared type": {"subject_token_type": ID_TOKEN},
    "an unknown type": {"subject_token_type": "x"},
    "an ID token": {"subject_token": "id"},
    "a malformed token": {"subject_token": "x"},
    "no token": {"subject_token": None},
    "an issuer that is not trusted": {"subject_token": "stranger"},
    "an unknown scope": {"scope": "made:up"},
    "a malformed scope": {"scope": '"'},
    "another requested type": {"requested_token_type": ID_TOKEN},
    "an actor token without its type": {"actor_token": "x"},
    "an actor type without its token": {"actor_token_type": ACCESS_TOKEN},
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("auth", [("shop", "wrong"), ("nobody", "wrong"), None], ids=str)
def test_a_failed_authentication_says_nothing_of_what_else_is_wrong(
    service: RunningService, name: str, auth: tuple[str, str] | None
) -> None:
    tokens = {
        "id": forged({"alg": "RS256", "kid": "RS256-a"}, access_claims(nonce="n")),
        "stranger": forged(payload=access_claims("https://stranger.example")),
    }
    fault = dict(FAULTS[name])
    fault["subject_token"] = tokens.get(fault.get("subject_token", ""), fault.get("subject_token", forged()))
    answer = service.post_token(form(fault), auth)
    assert_refused(service, answer, FAILED)
    plain = service.post_token(form(), auth)
    assert what_is_learnt(answer) == what_is_learnt(plain)
    if fault["subject_token"] is not None and name not in {"nothing else", "a target of somebody else"}:
        assert service.post_token(form(fault), BASIC).json()["reason"] != FAILED


def test_a_client_that_no_rule_names_is_told_so_for_its_target_alone(service: RunningService) -> None:
    token = forged(payload=access_claims(aud=[BACKEND, f"{BACKEND}/unnamed"]))
    answer = service.post_token(form(subject_token=token), UNNAMED)
    record = assert_refused(service, answer, "target_not_permitted")
    assert record["client_id"] == "unnamed"
    assert_issued(service, service.post_token(form(subject_token=token), BASIC))
    answer = service.post_token(form(subject_token=token, audience="https://nobody.example"), UNNAMED)
    assert_refused(service, answer, "target_unknown")
