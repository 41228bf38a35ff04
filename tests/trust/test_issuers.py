from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from exchange.config.values import KeySource, Profile, TrustedIssuer
from exchange.outbound import Fetcher
from exchange.trust import KeyCaches, TrustedIssuers
from exchange.trust.issuers import MAX_WARMED
from tests.support import keys
from tests.support.hostile_idp import HostileIdp
from tests.support.tokens import trusted_issuer


@pytest.fixture
def idp() -> Iterator[HostileIdp]:
    with HostileIdp() as server:
        yield server


def issuer(
    iss: str, *, name: str = "acme", enabled: bool = True, keys_from: KeySource | None = None
) -> TrustedIssuer:
    source = keys_from or KeySource(discovery=iss, allow_insecure_http=True)
    return trusted_issuer(issuer=iss, name=name, enabled=enabled, keys=source)


def trusted(*issuers: TrustedIssuer, caches: KeyCaches | None = None) -> TrustedIssuers:
    return TrustedIssuers({one.issuer: one for one in issuers}, caches or KeyCaches(Fetcher()))


class NoNetwork:
    def get(self, url: str, **_: object) -> bytes:
        raise AssertionError(url)


@pytest.mark.parametrize(
    "iss",
    [
        "https://idp.example/",
        "https://idp.example ",
        "HTTPS://idp.example",
        "https://IDP.example",
        "https://idp.example:443",
        "https://idp.example/realms/main/",
        "https://idp.example/realms/%6dain",
        "https://mallory.example/https://idp.example",
        "",
        "*",
    ],
)
def test_an_issuer_is_found_by_its_exact_name_alone_and_without_network(iss):
    issuers = trusted(
        issuer("https://idp.example"),
        issuer("https://idp.example/realms/main"),
        caches=KeyCaches(NoNetwork()),
    )
    assert issuers.get(iss) is None
    found = issuers.get("https://idp.example")
    assert found is not None
    assert found[0].issuer == "https://idp.example"


def test_the_keys_found_are_those_of_the_issuer_and_the_same_each_time(idp):
    one = idp.serve_issuer(keys.public_jwk("ES256", "a"), path="/one")
    other = idp.serve_issuer(keys.public_jwk("ES256", "b"), path="/other")
    issuers = trusted(issuer(one, name="one"), issuer(other, name="other"))
    assert issuers.get(one) is issuers.get(one)
    assert issuers.get(one)[1].find(None, "ES256").key_id == "ES256-a"
    assert issuers.get(other)[1].find(None, "ES256").key_id == "ES256-b"


def test_keys_outlive_a_reload_of_the_policies(idp):
    iss, caches = idp.serve_issuer(keys.public_jwk("ES256")), KeyCaches(Fetcher())
    for _ in range(3):
        found = trusted(issuer(iss), caches=caches).get(iss)
        assert found[1].find("ES256-a", "ES256")
    assert idp.hits["/jwks"] == 1


def eventually(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_warming_fetches_the_keys_of_enabled_issuers_before_anybody_asks(idp):
    paths = [f"/t{number}" for number in range(6)]
    enabled = [issuer(idp.serve_issuer(keys.public_jwk("ES256"), path=path), name=path[1:]) for path in paths]
    disabled = issuer(idp.serve_issuer(keys.public_jwk("ES256"), path="/off"), name="off", enabled=False)
    issuers = trusted(*enabled, disabled)
    issuers.warm()
    eventually(lambda: all(idp.hits[f"{path}/jwks"] for path in paths))
    eventually(lambda: not any(thread.name.startswith("key-") for thread in threading.enumerate()))
    for one in enabled:
        assert issuers.get(one.issuer)[1].find("ES256-a", "ES256")
    assert {path: count for path, count in idp.hits.items() if count != 1} == {}
    assert not any(path.startswith("/off") for path in idp.hits)


def test_warming_asks_no_issuer_whose_tokens_are_never_accepted(idp):
    genuine = issuer(idp.serve_issuer(keys.public_jwk("ES256"), path="/genuine"), name="genuine")
    profile = Profile("dex", "Dex", never="both kinds have one shape", weak=None, advice="")
    never = replace(issuer(idp.serve_issuer(keys.public_jwk("ES256"), path="/never")), profile=profile)
    trusted(never, genuine).warm()
    eventually(lambda: idp.hits["/genuine/jwks"])
    eventually(lambda: not any(thread.name.startswith("key-") for thread in threading.enumerate()))
    assert not any(path.startswith("/never") for path in idp.hits)


def test_warming_neither_waits_nor_fails_nor_prints_when_idps_do(idp, capfd):
    hanging = idp.on("/hang/.well-known/openid-configuration", idp.hang)
    issuers = trusted(
        issuer(hanging.removesuffix("/.well-known/openid-configuration")),
        issuer(idp.url + "/missing"),
        issuer("not a url"),
        issuer("https://inline.example", keys_from=KeySource(document="{")),
    )
    started = time.monotonic()
    issuers.warm()
    assert time.monotonic() - started < 0.5
    eventually(lambda: idp.hits["/hang/.well-known/openid-configuration"])
    idp.let_go.set()
    eventually(lambda: not any(thread.name.startswith("key-") for thread in threading.enumerate()))
    assert capfd.readouterr() == ("", "")


def test_warming_is_bounded_whatever_the_number_of_issuers():
    asked = []

    class Counting:
        def get(self, url: str, **_: object) -> bytes:
            asked.append(url)
            return json.dumps({"keys": [keys.public_jwk("ES256")]}).encode()

    many = [
        issuer(
            f"https://idp.example/{number}",
            keys_from=KeySource(jwks_uri=f"https://idp.example/{number}/jwks"),
        )
        for number in range(1000)
    ]
    issuers = trusted(*many, caches=KeyCaches(Counting()))
    issuers.warm()
    eventually(lambda: not any(thread.name.startswith("key-") for thread in threading.enumerate()))
    assert len(asked) == MAX_WARMED


def test_warming_nobody_is_nothing():
    trusted().warm()


def test_ten_thousand_issuers_cost_nothing_until_they_are_asked_for():
    source = KeySource(jwks_uri="https://idp.example/jwks")
    many = {
        f"https://idp.example/{number}": issuer("https://idp.example", keys_from=source)
        for number in range(10_000)
    }
    tracemalloc.start()
    issuers = TrustedIssuers(many, KeyCaches(NoNetwork()))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 100_000
    assert issuers.get("https://idp.example/9999") is not None


def test_a_worker_that_starts_waits_for_its_keys_and_not_for_long(idp):
    quick = [idp.serve_issuer(keys.public_jwk("ES256"), path=f"/{number}") for number in range(6)]
    issuers = trusted(*(issuer(one) for one in quick))
    issuers.warm(wait_seconds=20)
    assert all(idp.hits[f"/{number}/jwks"] == 1 for number in range(6))
    hanging = idp.on("/hang/.well-known/openid-configuration", idp.hang)
    started = time.monotonic()
    trusted(issuer(hanging.removesuffix("/.well-known/openid-configuration"))).warm(wait_seconds=0.2)
    assert 0.1 < time.monotonic() - started < 2
    idp.let_go.set()


def test_workers_do_not_ask_all_idps_in_the_same_order():
    def order():
        asked = []

        class Listing:
            def get(self, url: str, **_: object) -> bytes:
                asked.append(url)
                return json.dumps({"keys": [keys.public_jwk("ES256")]}).encode()

        many = [
            issuer(f"https://{n}.example", keys_from=KeySource(jwks_uri=f"https://{n}.example/jwks"))
            for n in range(30)
        ]
        trusted(*many, caches=KeyCaches(Listing())).warm(wait_seconds=20)
        return asked

    orders = [order() for _ in range(3)]
    assert all(sorted(one) == sorted(orders[0]) for one in orders)
    assert len({tuple(one) for one in orders}) > 1
