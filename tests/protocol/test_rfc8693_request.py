"""RFC 8693 §2.1: each parameter, missing, repeated, malformed, unsupported; and RFC 6749 §3.2 for forms."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.idp import FakeIssuer
from tests.support.policies import AUDIENCE, BASIC, RESOURCE
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, ID_TOKEN, JWT, RunningService

TYPE = "urn:ietf:params:oauth:token-type:"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def form(idp: FakeIssuer, **changes: Any) -> dict[str, Any]:
    genuine = {
        "grant_type": GRANT_TYPE,
        "subject_token": idp.access_token(),
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
    }
    return {name: value for name, value in (genuine | changes).items() if value is not None}


def test_a_well_formed_request_is_answered(service: RunningService, idp: FakeIssuer) -> None:
    assert_issued(service, service.post_token(form(idp), BASIC))


@pytest.mark.parametrize("name", ["grant_type", "subject_token", "subject_token_type"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_required_parameter_that_is_missing_or_empty_is_invalid_request(
    service: RunningService, idp: FakeIssuer, name: str, value: str | None
) -> None:
    answer = service.post_token(form(idp, **{name: value}), BASIC)
    assert_refused(service, answer, "parameter_missing")


@pytest.mark.parametrize(
    "name",
    [
        "grant_type",
        "subject_token",
        "subject_token_type",
        "scope",
        "requested_token_type",
        "client_id",
        "made_up",
    ],
)
def test_a_repeated_parameter_is_invalid_request(service: RunningService, idp: FakeIssuer, name: str) -> None:
    fields = form(idp, scope="orders:read", requested_token_type=ACCESS_TOKEN, client_id="shop", made_up="x")
    answer = service.post_token([*fields.items(), (name, fields[name])], BASIC)
    assert_refused(service, answer, "parameter_repeated")


def test_an_empty_repetition_counts_as_absent(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.post_token([*form(idp, scope="orders:read").items(), ("scope", "")], BASIC)
    assert_issued(service, answer)


def test_an_unknown_parameter_is_ignored(service: RunningService, idp: FakeIssuer) -> None:
    assert_issued(service, service.post_token(form(idp, options="{}", made_up="x"), BASIC))


@pytest.mark.parametrize(
    "grant_type",
    ["authorization_code", "client_credentials", GRANT_TYPE.upper(), f"{GRANT_TYPE} ", "token-exchange"],
)
def test_another_grant_type_is_unsupported_grant_type(
    service: RunningService, idp: FakeIssuer, grant_type: str
) -> None:
    answer = service.post_token(form(idp, grant_type=grant_type), BASIC)
    assert_refused(service, answer, "grant_type_unsupported")


@pytest.mark.parametrize("declared", ["id_token", "refresh_token", "saml1", "saml2", "made_up"])
def test_a_subject_token_type_that_is_not_an_access_token_is_refused_by_name(
    service: RunningService, idp: FakeIssuer, declared: str
) -> None:
    answer = service.post_token(form(idp, subject_token_type=TYPE + declared), BASIC)
    assert_refused(service, answer, "subject_token_type_unsupported")
    assert "access token" in answer.json()["error_description"]


@pytest.mark.parametrize(
    "declared", ["access_token", TYPE, ACCESS_TOKEN.upper(), f" {ACCESS_TOKEN}", "Bearer"]
)
def test_a_subject_token_type_is_compared_character_by_character(
    service: RunningService, idp: FakeIssuer, declared: str
) -> None:
    answer = service.post_token(form(idp, subject_token_type=declared), BASIC)
    assert_refused(service, answer, "subject_token_type_unsupported")


def test_an_access_token_declared_as_jwt_is_exchanged(service: RunningService, idp: FakeIssuer) -> None:
    assert_issued(service, service.post_token(form(idp, subject_token_type=JWT), BASIC))


@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT])
def test_an_id_token_is_refused_whatever_it_is_declared_to_be(
    service: RunningService, idp: FakeIssuer, declared: str
) -> None:
    answer = service.post_token(form(idp, subject_token=idp.id_token(), subject_token_type=declared), BASIC)
    assert_refused(service, answer, "subject_token_is_id_token")


@pytest.mark.parametrize("requested", [ID_TOKEN, f"{TYPE}refresh_token", f"{TYPE}saml2", "access_token"])
def test_a_requested_token_type_that_is_not_issued_is_invalid_request(
    service: RunningService, idp: FakeIssuer, requested: str
) -> None:
    answer = service.post_token(form(idp, requested_token_type=requested), BASIC)
    assert_refused(service, answer, "requested_token_type_unsupported")


def test_an_actor_token_type_without_actor_token_is_invalid_request(
    service: RunningService, idp: FakeIssuer
) -> None:
    answer = service.post_token(form(idp, actor_token_type=ACCESS_TOKEN), BASIC)
    assert_refused(service, answer, "actor_token_type_without_actor_token")


def test_an_actor_token_without_its_type_is_invalid_request(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.post_token(form(idp, actor_token=idp.access_token()), BASIC)
    assert_refused(service, answer, "parameter_missing")


def test_an_actor_token_of_an_unsupported_type_is_refused_by_name(
    service: RunningService, idp: FakeIssuer
) -> None:
    answer = service.post_token(form(idp, actor_token=idp.id_token(), actor_token_type=ID_TOKEN), BASIC)
    assert_refused(service, answer, "actor_token_type_unsupported")


def test_an_actor_token_that_is_not_the_clients_is_refused_and_never_ignored(
    service: RunningService, idp: FakeIssuer
) -> None:
    answer = service.post_token(
        form(idp, actor_token=idp.access_token(), actor_token_type=ACCESS_TOKEN), BASIC
    )
    assert_refused(service, answer, "actor_not_client")


@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT])
def test_an_id_token_as_actor_token_is_refused_as_one(
    service: RunningService, idp: FakeIssuer, declared: str
) -> None:
    answer = service.post_token(form(idp, actor_token=idp.id_token(), actor_token_type=declared), BASIC)
    assert_refused(service, answer, "actor_token_is_id_token")


@pytest.mark.parametrize(
    "scope",
    [
        "orders:read  orders:write",
        " orders:read",
        "orders:read\torders:write",
        'orders:"read"',
        "a\\b",
        "ordérs",
        " ",
    ],
)
def test_a_malformed_scope_is_invalid_request(service: RunningService, idp: FakeIssuer, scope: str) -> None:
    assert_refused(service, service.post_token(form(idp, scope=scope), BASIC), "parameter_malformed")


@pytest.mark.parametrize(
    ("name", "value"),
    [("scope", "a" * 5000), ("audience", "a" * 3000), ("resource", "https://a.example/" + "a" * 3000)],
)
def test_a_parameter_that_is_too_long_is_invalid_request(
    service: RunningService, idp: FakeIssuer, name: str, value: str
) -> None:
    assert_refused(service, service.post_token(form(idp, **{name: value}), BASIC), "parameter_malformed")


def test_a_subject_token_that_is_too_large_is_refused_as_such(
    service: RunningService, idp: FakeIssuer
) -> None:
    token = idp.access_token(padding="x" * 20_000)
    assert_refused(
        service, service.post_token(form(idp, subject_token=token), BASIC), "subject_token_too_large"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=%zz",
        b"grant_type=%ff%fe",
        b"grant_type=\xff\xfe",
        b"&".join(b"a%d=1" % number for number in range(200)),
        b"n" * 200 + b"=1",
    ],
)
def test_a_body_that_is_not_a_clean_form_is_invalid_request(service: RunningService, body: bytes) -> None:
    answer = service.post("/token", data=body, headers=FORM, auth=BASIC)
    assert_refused(service, answer, "parameter_malformed")


def test_an_empty_body_misses_its_parameters(service: RunningService) -> None:
    assert_refused(service, service.post("/token", data=b"", headers=FORM, auth=BASIC), "parameter_missing")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencoded-x",
        "application/x-www-form-urlencoded; charset=utf-16",
    ],
)
def test_another_content_type_is_invalid_request(
    service: RunningService, idp: FakeIssuer, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type is not None else {}
    answer = service.post("/token", data=urlencode(form(idp)).encode(), headers=headers, auth=BASIC)
    assert_refused(service, answer, "content_type_unsupported")


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded;charset=UTF-8", "APPLICATION/X-WWW-FORM-URLENCODED"]
)
def test_the_content_type_may_name_its_charset(
    service: RunningService, idp: FakeIssuer, content_type: str
) -> None:
    answer = service.post(
        "/token", data=urlencode(form(idp)).encode(), headers={"Content-Type": content_type}, auth=BASIC
    )
    assert_issued(service, answer)


@pytest.mark.parametrize("query", ["grant_type=x", "subject_token=secret", "x"])
def test_a_query_string_is_refused(service: RunningService, idp: FakeIssuer, query: str) -> None:
    answer = service.post(f"/token?{query}", data=form(idp), auth=BASIC)
    assert_refused(service, answer, "query_string_refused")


def test_parameters_in_the_query_string_never_count(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.post(f"/token?{urlencode(form(idp))}", data=b"", headers=FORM, auth=BASIC)
    assert_refused(service, answer, "query_string_refused")


@pytest.mark.parametrize("size", [66_000, 500_000])
def test_a_body_over_the_limit_is_413(service: RunningService, idp: FakeIssuer, size: int) -> None:
    answer = service.post_token(form(idp, padding="x" * size), BASIC)
    assert_refused(service, answer, "body_too_large")


def test_a_chunked_body_over_the_limit_is_413(service: RunningService) -> None:
    chunks = (b"x" * 1000 for _ in range(100))
    answer = service.post("/token", data=chunks, headers=FORM, auth=BASIC)
    assert_refused(service, answer, "body_too_large")


def test_a_chunked_body_is_read_like_any_other(service: RunningService, idp: FakeIssuer) -> None:
    body = urlencode(form(idp)).encode()
    answer = service.post(
        "/token", data=(body[i : i + 100] for i in range(0, len(body), 100)), headers=FORM, auth=BASIC
    )
    assert_issued(service, answer)


def test_a_dpop_header_that_is_no_proof_is_never_ignored(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.post_token(form(idp), BASIC, headers={"DPoP": "eyJ0eXAiOiJkcG9wK2p3dCJ9.e30.c2ln"})
    assert_refused(service, answer, "dpop_proof_invalid")


def test_resource_and_audience_of_one_target_go_together(service: RunningService, idp: FakeIssuer) -> None:
    assert_issued(service, service.post_token(form(idp, resource=RESOURCE), BASIC))


def test_a_repeated_audience_that_means_one_target_is_answered(
    service: RunningService, idp: FakeIssuer
) -> None:
    assert_issued(service, service.post_token(form(idp, audience=[AUDIENCE, AUDIENCE]), BASIC))
