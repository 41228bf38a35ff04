"""Exactly one method a request (RFC 6749 §2.3)."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from exchange.clients.assertion import ASSERTION_TYPE
from exchange.clients.authenticate import METHODS
from exchange.errors import Refusal
from exchange.model import ClientCertificate, ClientCredentials, Secret
from tests.clients.desk import SECRET, Desk, assertion, basic, post, registered
from tests.clients.test_workload import bff, from_pod, platform

PARTS = {
    "unverified_basic": basic("both", SECRET).unverified_basic,
    "client_secret": Secret(SECRET),
    "client_assertion": assertion(iss="both", sub="both").client_assertion,
}


@pytest.mark.parametrize(
    ("credentials", "method"),
    [
        (basic("both", SECRET), "client_secret_basic"),
        (post("both", SECRET), "client_secret_post"),
        (assertion(iss="both", sub="both"), "private_key_jwt"),
    ],
)
def test_the_one_method_is_named_and_passes(desk, credentials, method):
    assert desk.authenticator.presented_method(credentials) == method
    assert METHODS[method](desk.authenticator, credentials).client.client_id == "both"


@pytest.mark.parametrize("names", [*combinations(PARTS, 2), tuple(PARTS)])
def test_several_methods_are_refused_though_each_is_right(desk, names):
    credentials = ClientCredentials(
        unverified_client_id="both",
        client_assertion_type=ASSERTION_TYPE if "client_assertion" in names else None,
        **{name: PARTS[name] for name in names},
    )
    desk.refuses(credentials, "several_methods")


@pytest.mark.parametrize("sent", [basic("both", SECRET), post("both", SECRET)])
def test_half_an_assertion_beside_a_secret_is_a_second_method(desk, sent):
    credentials = ClientCredentials(
        unverified_basic=sent.unverified_basic,
        unverified_client_id=sent.unverified_client_id,
        client_secret=sent.client_secret,
        client_assertion_type=ASSERTION_TYPE,
    )
    desk.refuses(credentials, "several_methods")


def test_no_method_is_refused(desk):
    desk.refuses(ClientCredentials(), "no_method")


def test_a_client_id_alone_is_no_method(desk):
    desk.refuses(ClientCredentials(unverified_client_id="both"), "no_method")


def test_another_authorization_scheme_is_refused_though_a_secret_is_right(desk):
    credentials = ClientCredentials(
        other_authorization_scheme=True, unverified_client_id="both", client_secret=Secret(SECRET)
    )
    desk.refuses(credentials, "authorization_scheme_unknown")


@pytest.mark.parametrize(
    "credentials",
    [
        basic("orders-bff", SECRET),
        post("orders-bff", SECRET),
        assertion(iss="web", sub="web"),
        assertion(iss="no-method", sub="no-method"),
        basic("no-method", SECRET),
    ],
)
def test_a_method_that_the_client_does_not_have_is_refused(desk, credentials):
    desk.refuses(credentials, "method_not_registered")


BASIC = basic("both", SECRET).unverified_basic
CERTIFICATE = ClientCertificate(b"not looked at here", "x" * 43)
OWN, PODS = assertion(iss="both", sub="both").client_assertion, from_pod().client_assertion


def expected(
    *, scheme: bool, basic: bool, secret: bool, sent: Secret | None, typed: bool, named: bool, tls: bool
) -> str:
    """What RFC 6749 §2.3 comes to, said as a count."""
    count = basic + secret + (sent is not None or typed)
    if scheme:
        return "authorization_scheme_unknown"
    if count > 1:
        return "several_methods"
    if basic:
        return "client_secret_basic"
    if secret:
        return "client_secret_post"
    if sent is not None or typed:
        return "workload" if sent is PODS and typed else "private_key_jwt"
    return "tls_client_auth" if named and tls else "no_method"


def test_of_all_that_can_be_sent_together_exactly_one_method_is_ever_found(tmp_path):
    clients = (bff(), registered("both", secrets=(SECRET,)))
    with Desk(tmp_path, clients=clients, issuers=(platform(),)) as desk:
        flags = product(*[(False, True)] * 6, (None, OWN, PODS))
        for scheme, with_basic, secret, typed, named, tls, sent in flags:
            credentials = ClientCredentials(
                other_authorization_scheme=scheme,
                unverified_basic=BASIC if with_basic else None,
                client_secret=Secret(SECRET) if secret else None,
                client_assertion_type=ASSERTION_TYPE if typed else None,
                client_assertion=sent,
                unverified_client_id="both" if named else None,
                certificate=CERTIFICATE if tls else None,
            )
            try:
                found = desk.authenticator.presented_method(credentials)
                assert found in METHODS
            except Refusal as refusal:
                found = refusal.detail
            assert found == expected(
                scheme=scheme, basic=with_basic, secret=secret, sent=sent, typed=typed, named=named, tls=tls
            ), credentials
