from __future__ import annotations

import itertools
import json
import time

import pytest

from exchange.config.values import KeySource
from exchange.outbound import Fetcher, FetchFailed
from exchange.trust.discovery import KeySetFetch, KeysRefused, fetch_key_set, metadata_urls
from tests.support import keys
from tests.support.hostile_idp import HostileIdp, answer, json_of, raw


@pytest.fixture
def idp():
    with HostileIdp() as server:
        yield server


def fetch(source: KeySource, seconds: float = 5.0):
    return fetch_key_set(source, Fetcher(), time.monotonic() + seconds)


def by_discovery(issuer: str) -> KeySource:
    return KeySource(discovery=issuer, allow_insecure_http=True)


def by_uri(uri: str) -> KeySource:
    return KeySource(jwks_uri=uri, allow_insecure_http=True)


def cause_of(source: KeySource, seconds: float = 5.0) -> str:
    with pytest.raises((FetchFailed, KeysRefused)) as failed:
        fetch(source, seconds)
    return failed.value.cause


@pytest.mark.parametrize(
    ("issuer", "openid_configuration", "authorization_server"),
    [
        (
            "https://a.example",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example/",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example:8443/t/1",
            "https://a.example:8443/t/1/.well-known/openid-configuration",
            "https://a.example:8443/.well-known/oauth-authorization-server/t/1",
        ),
        (
            "https://a.example/t/1/",
            "https://a.example/t/1/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server/t/1",
        ),
    ],
)
def test_openid_connect_appends_the_well_known_path_and_rfc_8414_inserts_it(
    issuer, openid_configuration, authorization_server
):
    assert metadata_urls(issuer) == (openid_configuration, authorization_server)


@pytest.mark.parametrize("path", ["", "/realms/main", "/realms/main/"])
def test_keys_are_found_through_openid_connect_metadata(idp, path):
    jwks_uri = idp.on("/keys", json_of({"keys": [keys.public_jwk()]}))
    issuer = idp.url + path
    idp.on(
        f"{path.rstrip('/')}/.well-known/openid-configuration",
        json_of({"issuer": issuer, "jwks_uri": jwks_uri}),
    )
    assert fetch(by_discovery(issuer)).find("RS256-a", "RS256")


def test_keys_are_found_through_rfc_8414_metadata_where_the_other_is_missing(idp):
    jwks_uri = idp.on("/keys", json_of({"keys": [keys.public_jwk()]}))
    issuer = f"{idp.url}/tenant"
    idp.on(
        "/.well-known/oauth-authorization-server/tenant", json_of({"issuer": issuer, "jwks_uri": jwks_uri})
    )
    assert fetch(by_discovery(issuer)).find("RS256-a", "RS256")


def test_only_a_missing_document_gives_way_to_the_other(idp):
    """A redirect or an error there is a fault to be seen, not a reason to look elsewhere."""
    idp.on(
        "/.well-known/oauth-authorization-server", json_of({"issuer": idp.url, "jwks_uri": f"{idp.url}/keys"})
    )
    idp.on("/.well-known/openid-configuration", answer(500))
    assert cause_of(by_discovery(idp.url)) == "status_refused"
    idp.on(
        "/.well-known/openid-configuration", answer(302, Location="/.well-known/oauth-authorization-server")
    )
    assert cause_of(by_discovery(idp.url)) == "redirected"
    assert not idp.hits["/.well-known/oauth-authorization-server"]


def test_an_issuer_without_any_metadata_is_not_found(idp):
    assert cause_of(by_discovery(idp.url)) == "not_found"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda issuer: issuer + "/",
        lambda issuer: issuer.replace("127.0.0.1", "localhost"),
        str.upper,
        lambda _: "https://mallory.example",
        lambda _: None,
        lambda issuer: [issuer],
    ],
)
def test_metadata_must_name_the_very_issuer(idp, spoil):
    issuer = idp.serve_issuer(keys.public_jwk())
    assert fetch(by_discovery(issuer))
    jwks_hits = idp.hits["/jwks"]
    idp.serve_issuer(keys.public_jwk(), issuer=spoil(issuer))
    assert cause_of(by_discovery(issuer)) == "metadata_of_another_issuer"
    assert idp.hits["/jwks"] == jwks_hits


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>log in</html>",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"issuer":"a","issuer":"b"}',
        b'{"issuer":NaN}',
        b'{"issuer":' + b"[" * 100_000,
    ],
    ids=["nothing", "html", "array", "null", "not UTF-8", "issuer twice", "NaN", "deep"],
)
def test_metadata_that_is_no_json_object_is_refused(idp, body):
    idp.on("/.well-known/openid-configuration", answer(body=body))
    assert cause_of(by_discovery(idp.url)) == "metadata_malformed"


@pytest.mark.parametrize("jwks_uri", [None, 5, ["a"], {}])
def test_metadata_without_a_textual_jwks_uri_is_refused(idp, jwks_uri):
    idp.serve_issuer(keys.public_jwk(), jwks_uri=jwks_uri)
    assert cause_of(by_discovery(idp.url)) == "metadata_malformed"


@pytest.mark.parametrize(
    ("jwks_uri", "cause"),
    [
        ("file:///etc/passwd", "url_refused"),
        ("/jwks", "url_refused"),
        ("", "url_refused"),
        ("https://user@idp.example/jwks", "url_refused"),
        ("http://169.254.169.254/latest/meta-data", "address_refused"),
        ("https://169.254.169.254/latest/meta-data", "address_refused"),
        ("https://127.0.0.1:1/", "address_refused"),
        ("https://10.0.0.1/", "address_refused"),
    ],
)
def test_a_jwks_uri_of_hostile_metadata_leads_nowhere_inside(idp, jwks_uri, cause):
    idp.serve_issuer(keys.public_jwk(), jwks_uri=jwks_uri)
    assert cause_of(by_discovery(idp.url)) == cause


def test_http_is_refused_unless_the_issuer_may(idp):
    issuer = idp.serve_issuer(keys.public_jwk())
    assert cause_of(KeySource(discovery=issuer)) == "url_refused"
    assert cause_of(KeySource(jwks_uri=f"{issuer}/jwks")) == "url_refused"
    assert not idp.hits


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"", "key_set_malformed"),
        (b"<html></html>", "key_set_malformed"),
        (b'{"keys":{}}', "key_set_malformed"),
        (b'{"keys":[],"keys":[]}', "key_set_malformed"),
        (json.dumps({"keys": [keys.public_jwk()] * 500}).encode(), "key_set_malformed"),
        (b'{"keys":[]}', "no_usable_keys"),
        (b'{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}', "no_usable_keys"),
    ],
    ids=["nothing", "html", "object of keys", "keys twice", "500 keys", "no keys", "a secret only"],
)
def test_a_key_set_of_no_use_is_refused(idp, body, cause):
    assert cause_of(by_uri(idp.on("/keys", answer(body=body)))) == cause


def test_metadata_and_keys_share_one_deadline(idp):
    issuer = idp.serve_issuer(keys.public_jwk())

    def late(request):
        time.sleep(0.3)
        json_of({"issuer": issuer, "jwks_uri": f"{issuer}/jwks"})(request)

    idp.on("/.well-known/openid-configuration", late)
    idp.on("/jwks", raw(b"HTTP/1.1 200 OK\r\nX: ", again=0.05))
    started = time.monotonic()
    assert cause_of(by_discovery(issuer), seconds=0.6) == "timeout"
    assert time.monotonic() - started < 1.2


def test_a_source_that_names_nothing_fetches_nothing():
    assert cause_of(KeySource()) == "url_refused"


# --- an IdP of which every second answer fails ------------------------------------------------------------------


def flapping(idp: HostileIdp, issuer: str):
    """Let every second request fail, whatever it asks for: one of two servers is dead."""
    count = itertools.count(1)
    for path, behave in list(idp.behaviours.items()):

        def every_second(request, behave=behave):
            (behave if next(count) % 2 else answer(500))(request)

        idp.on(path, every_second)
    return KeySetFetch(by_discovery(issuer), Fetcher())


def test_an_idp_of_which_every_second_answer_fails_is_no_trap(idp):
    again = flapping(idp, idp.serve_issuer(keys.public_jwk("ES256")))
    with pytest.raises(FetchFailed):
        again(time.monotonic() + 5)
    assert again(time.monotonic() + 5).find("ES256-a", "ES256")
    assert idp.hits == {"/.well-known/openid-configuration": 1, "/jwks": 2}


def test_after_keys_came_the_metadata_is_asked_for_again(idp):
    fetches = KeySetFetch(by_discovery(idp.serve_issuer(keys.public_jwk("ES256"))), Fetcher())
    for _ in range(3):
        assert fetches(time.monotonic() + 5)
    assert idp.hits == {"/.well-known/openid-configuration": 3, "/jwks": 3}


def test_keys_that_moved_are_looked_for_where_they_were_only_once(idp):
    issuer = idp.serve_issuer(keys.public_jwk("ES256"))
    fetches = KeySetFetch(by_discovery(issuer), Fetcher())
    idp.on("/jwks", answer(500))
    for _ in range(2):
        with pytest.raises(FetchFailed):
            fetches(time.monotonic() + 5)
    moved = idp.on("/moved", json_of({"keys": [keys.public_jwk("ES256", "b")]}))
    idp.on("/.well-known/openid-configuration", json_of({"issuer": issuer, "jwks_uri": moved}))
    assert fetches(time.monotonic() + 5).find("ES256-b", "ES256")
    assert idp.hits["/jwks"] == 2


def test_metadata_is_remembered_for_a_minute_and_not_beyond_a_refused_document(idp, monkeypatch):
    fetches = KeySetFetch(by_discovery(idp.serve_issuer(keys.public_jwk("ES256"))), Fetcher())
    good = idp.behaviours["/jwks"]
    for spoilt, again in ((answer(500), True), (answer(body=b"no keys"), False)):
        idp.hits.clear()
        idp.on("/jwks", spoilt)
        with pytest.raises((FetchFailed, KeysRefused)):
            fetches(time.monotonic() + 5)
        idp.on("/jwks", good)
        assert fetches(time.monotonic() + 5)
        assert idp.hits["/.well-known/openid-configuration"] == (1 if again else 2)
    monkeypatch.setattr("exchange.trust.discovery.DISCOVERED_SECONDS", 0.0)
    idp.hits.clear()
    idp.on("/jwks", answer(500))
    for _ in range(2):
        with pytest.raises(FetchFailed):
            fetches(time.monotonic() + 5)
    assert idp.hits["/.well-known/openid-configuration"] == 2


@pytest.mark.parametrize(
    ("named", "fits"),
    [
        ("{origin}/t1/v2.0", True),
        ("{origin}/{{tenantid}}/v2.0", True),
        ("{origin}/{{tenant}}/v2.0", True),
        ("{origin}/t2/v2.0", False),
        ("{origin}/{{tenantid}}/{{tenantid}}", False),
        ("{origin}/{{tenant id}}/v2.0", False),
        ("{origin}/{{}}/v2.0", False),
        ("https://x.example/{{tenantid}}/v2.0", False),
    ],
)
def test_metadata_of_a_tenant_names_it_or_with_a_placeholder_all_of_them(idp, named, fits):
    issuer = f"{idp.url}/t1/v2.0"
    metadata = {"issuer": named.format(origin=idp.url), "jwks_uri": f"{idp.url}/jwks.json"}
    idp.on("/t1/v2.0/.well-known/openid-configuration", json_of(metadata))
    idp.on("/jwks.json", json_of({"keys": [keys.public_jwk("ES256")]}))
    one_of_many = KeySource(
        discovery=issuer, metadata_template=f"{idp.url}/{{tenant}}/v2.0", allow_insecure_http=True
    )
    if fits:
        assert len(fetch(one_of_many)) == 1
    else:
        assert cause_of(one_of_many) == "metadata_of_another_issuer"
    if "{{" in named:
        assert cause_of(by_discovery(issuer)) == "metadata_of_another_issuer"
