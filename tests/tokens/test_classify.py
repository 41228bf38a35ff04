"""The kind of a token, by what it is (RFC 8725 §3.11, §3.12): each sign alone, beside what passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.model import TokenKind
from exchange.tokens.classify import classify
from exchange.tokens.signs import HASH_CLAIMS, OTHER_TYPES, SELF_DESCRIPTIONS, TELLS
from tests.support.tokens import ISSUER, KEYCLOAK_MARKER, trusted_issuer

AT = {"alg": "ES256", "typ": "at+jwt"}
JWT = {"alg": "ES256", "typ": "JWT"}
CLAIMS = {
    "iss": ISSUER,
    "sub": "u1",
    "aud": "https://api.example",
    "exp": 2,
    "iat": 1,
    "scope": "orders.read",
}
GENERIC = trusted_issuer()
KEYCLOAK = trusted_issuer(marker=KEYCLOAK_MARKER)
TOLERANT = trusted_issuer(marker=KEYCLOAK_MARKER, tolerate=frozenset({"nonce"}))


def kind_of(header, claims, issuer=GENERIC):
    return classify(header, claims, issuer).kind


class TestHeaderType:
    @pytest.mark.parametrize(
        "typ", ["at+jwt", "AT+JWT", "at+JWT", "application/at+jwt", "Application/AT+jwt"]
    )
    def test_at_jwt_is_proof_in_every_spelling_of_rfc_9068(self, typ):
        found = classify({"typ": typ}, CLAIMS, GENERIC)
        assert (found.kind, found.evidence) == (TokenKind.ACCESS_TOKEN, "header.typ=at+jwt")

    @pytest.mark.parametrize(
        "typ",
        [
            *(" at+jwt", "at+jwt ", "at+jwt;x", "at+jwt\n", "", "x", "application/application/at+jwt"),
            *(
                "text/at+jwt",
                "at",
                "acme-thing+jwt",
                "bat+jwt",
                "application/",
                ["at+jwt"],
                1,
                None,
                {},
                True,
            ),
        ],
    )
    def test_an_explicit_type_that_is_unknown_is_another_kind_whatever_the_marker(self, typ):
        found = classify({"typ": typ}, CLAIMS | {"typ": "Bearer"}, KEYCLOAK)
        assert (found.kind, found.evidence) == (TokenKind.OTHER, "header.typ unknown")

    @pytest.mark.parametrize("header", [{}, {"typ": "JWT"}, {"typ": "jwt"}, {"typ": "JOSE"}])
    def test_a_type_that_says_nothing_leaves_it_to_the_marker(self, header):
        assert kind_of(header, CLAIMS | {"typ": "Bearer"}, KEYCLOAK) is TokenKind.ACCESS_TOKEN
        assert kind_of(header, CLAIMS, KEYCLOAK) is TokenKind.UNPROVEN

    @pytest.mark.parametrize(
        "typ", ["id_token+jwt", "ID_TOKEN+JWT", "dpop+id_token", "application/id+jwt", "id_token"]
    )
    def test_an_id_token_type_is_an_id_token_whatever_the_marker(self, typ):
        assert kind_of({"typ": typ}, CLAIMS | {"typ": "Bearer"}, KEYCLOAK) is TokenKind.ID_TOKEN

    @pytest.mark.parametrize("typ", OTHER_TYPES)
    def test_a_known_other_type_is_named(self, typ):
        found = classify({"typ": f"application/{typ.upper()}"}, CLAIMS | {"typ": "Bearer"}, KEYCLOAK)
        assert (found.kind, found.evidence) == (TokenKind.OTHER, f"header.typ={typ}")


ID_WORDS = [
    (description.claim, spelling)
    for description in SELF_DESCRIPTIONS
    for kind, spelling in description.spelled.values()
    if kind is TokenKind.ID_TOKEN
]
OTHER_WORDS = [
    (description.claim, spelling)
    for description in SELF_DESCRIPTIONS
    for kind, spelling in description.spelled.values()
    if kind is TokenKind.OTHER
]
ACCESS_WORDS = [
    (description.claim, spelling)
    for description in SELF_DESCRIPTIONS
    for kind, spelling in description.spelled.values()
    if kind is TokenKind.ACCESS_TOKEN
]


class TestSelfDescription:
    @pytest.mark.parametrize(("claim", "word"), ID_WORDS)
    @pytest.mark.parametrize(
        "spell", [str, str.upper, str.lower, lambda word: f" {word} ", lambda word: [word]]
    )
    def test_a_token_that_calls_itself_an_id_token_is_one_even_under_at_jwt(self, claim, word, spell):
        found = classify(AT, CLAIMS | {claim: spell(word)}, GENERIC)
        assert (found.kind, found.evidence) == (TokenKind.ID_TOKEN, f"claim.{claim}={word}")

    @pytest.mark.parametrize(("claim", "word"), OTHER_WORDS)
    def test_a_token_that_calls_itself_another_kind_is_one_even_under_at_jwt(self, claim, word):
        found = classify(AT, CLAIMS | {claim: word.swapcase()}, GENERIC)
        assert (found.kind, found.evidence) == (TokenKind.OTHER, f"claim.{claim}={word}")

    @pytest.mark.parametrize("claim", ["token_use", "tokenName", "token_usage"])
    @pytest.mark.parametrize("value", ["refresh", "", 1, True, None, {}, [], ["access"], ["x"]])
    def test_a_claim_with_no_other_use_refuses_what_it_does_not_know(self, claim, value):
        assert kind_of(AT, CLAIMS | {claim: value}) is TokenKind.OTHER

    @pytest.mark.parametrize("value", [["treatment"], "treatment", 1, {"code": "id"}])
    def test_a_claim_with_other_uses_may_hold_anything_else(self, value):
        assert kind_of(AT, CLAIMS | {"purpose": value}) is TokenKind.ACCESS_TOKEN

    @pytest.mark.parametrize(("claim", "word"), ACCESS_WORDS)
    def test_calling_itself_an_access_token_proves_nothing_unless_the_marker_asks_for_it(self, claim, word):
        assert kind_of(JWT, CLAIMS | {claim: word}) is TokenKind.UNPROVEN
        named = trusted_issuer(marker=[{"claims": {claim: word}}])
        assert kind_of(JWT, CLAIMS | {claim: word}, named) is TokenKind.ACCESS_TOKEN

    @pytest.mark.parametrize("value", [["Bearer"], {"Bearer": True}, 1, True, None, "BEARER "])
    def test_a_self_description_of_another_json_type_opens_no_door(self, value):
        assert kind_of(JWT, CLAIMS | {"typ": value}, KEYCLOAK) is TokenKind.UNPROVEN

    def test_a_list_says_no_access_token_that_an_id_token_could_contradict(self):
        found = classify(JWT, CLAIMS | {"typ": ["Bearer", "ID"]}, KEYCLOAK)
        assert (found.kind, found.evidence) == (TokenKind.ID_TOKEN, "claim.typ=ID")

    @pytest.mark.parametrize(("access_claim", "access_word"), ACCESS_WORDS)
    @pytest.mark.parametrize(("id_claim", "id_word"), ID_WORDS)
    def test_a_contradiction_is_refused_whatever_the_marker(
        self, access_claim, access_word, id_claim, id_word
    ):
        if access_claim == id_claim:
            return
        issuer = trusted_issuer(
            marker=[{"claims": {access_claim: access_word}}, {"header": {"typ": "at+jwt"}}]
        )
        found = classify(AT, CLAIMS | {access_claim: access_word, id_claim: id_word}, issuer)
        assert found.kind is TokenKind.OTHER
        assert found.evidence.startswith("contradiction ")

    def test_okta_s_jti_prefix_of_id_tokens_refuses_and_its_twin_proves_nothing(self):
        assert kind_of(AT, CLAIMS | {"jti": "ID.abc"}) is TokenKind.ID_TOKEN
        assert kind_of(AT, CLAIMS | {"jti": "AT.abc"}) is TokenKind.ACCESS_TOKEN
        assert kind_of(JWT, CLAIMS | {"jti": "AT.abc"}) is TokenKind.UNPROVEN
        assert kind_of(AT, CLAIMS | {"jti": "IDabc"}) is TokenKind.ACCESS_TOKEN


PRESENT = [
    tell.evidence.removeprefix("claim.")
    for tell in TELLS
    if " " not in tell.evidence and "=" not in tell.evidence
]
NAMES = [name for name in PRESENT if name != "authorization.permissions"]


class TestStructure:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("value", [{"urn:x": {}}, '{"urn:x": {}}', [], None, False])
    def test_a_tell_refuses_whatever_its_json_type_even_under_at_jwt(self, name, value):
        found = classify(AT, CLAIMS | {name: value}, GENERIC)
        assert (found.kind, found.evidence) == (TokenKind.OTHER, f"claim.{name}")

    @pytest.mark.parametrize("name", ["code", "state"])
    def test_an_authorization_response_has_no_sub(self, name):
        without = {claim: value for claim, value in CLAIMS.items() if claim != "sub"}
        assert kind_of(AT, without | {name: "x"}) is TokenKind.OTHER
        assert kind_of(AT, without | {name: "x", "sub": None}) is TokenKind.OTHER
        assert kind_of(AT, CLAIMS | {name: "x"}) is TokenKind.ACCESS_TOKEN

    @pytest.mark.parametrize("subject", [ISSUER, "spiffe://x/y", "system:serviceaccount:a:b", "mch_01"])
    def test_a_subject_that_is_no_subject_of_an_access_token_refuses(self, subject):
        assert kind_of(AT, CLAIMS | {"sub": subject}) is TokenKind.OTHER

    @pytest.mark.parametrize("subject", ["https://spiffe", "xspiffe://", "serviceaccount:a", "MCH_1", ""])
    def test_a_subject_that_only_resembles_one_passes(self, subject):
        assert kind_of(AT, CLAIMS | {"sub": subject}) is TokenKind.ACCESS_TOKEN

    def test_a_uma_requesting_party_token_is_refused_although_it_calls_itself_bearer(self):
        claims = CLAIMS | {"typ": "Bearer", "authorization": {"permissions": []}}
        assert kind_of(JWT, claims, KEYCLOAK) is TokenKind.OTHER
        assert (
            kind_of(JWT, CLAIMS | {"typ": "Bearer", "authorization": "x"}, KEYCLOAK) is TokenKind.ACCESS_TOKEN
        )


class TestHashes:
    @pytest.mark.parametrize("name", HASH_CLAIMS)
    @pytest.mark.parametrize("value", ["x", "", None, 1, []])
    def test_a_hash_claim_is_an_id_token_even_under_at_jwt(self, name, value):
        found = classify(AT, CLAIMS | {name: value}, GENERIC)
        assert (found.kind, found.evidence) == (TokenKind.ID_TOKEN, f"claim.{name}")

    @pytest.mark.parametrize("name", HASH_CLAIMS)
    def test_no_issuer_can_tolerate_a_hash_claim(self, name):
        issuer = trusted_issuer(marker=KEYCLOAK_MARKER, tolerate=frozenset({name, "nonce"}))
        assert kind_of(JWT, CLAIMS | {"typ": "Bearer", name: "x"}, issuer) is TokenKind.ID_TOKEN


class TestMarker:
    def test_without_a_marker_nothing_is_an_access_token(self):
        assert kind_of(AT, CLAIMS, trusted_issuer(marker=[])) is TokenKind.UNPROVEN

    def test_an_alternative_without_conditions_holds_for_nothing(self):
        assert kind_of(AT, CLAIMS, trusted_issuer(marker=[{}])) is TokenKind.UNPROVEN

    def test_all_conditions_of_an_alternative_must_hold(self):
        issuer = trusted_issuer(marker=[{"claims": {"a": 1, "b": 2}, "header": {"tty": "x"}}])
        whole = CLAIMS | {"a": 1, "b": 2}
        assert kind_of({"tty": "x"}, whole, issuer) is TokenKind.ACCESS_TOKEN
        assert kind_of({}, whole, issuer) is TokenKind.UNPROVEN
        assert kind_of({"tty": "x"}, CLAIMS | {"a": 1}, issuer) is TokenKind.UNPROVEN

    def test_the_alternative_that_held_is_the_evidence(self):
        found = classify(JWT, CLAIMS | {"typ": "Bearer"}, KEYCLOAK)
        assert (found.evidence, found.marker) == ("marker test[0]", "test[0]")
        found = classify(AT, CLAIMS | {"typ": "Bearer"}, KEYCLOAK)
        assert (found.evidence, found.marker) == ("header.typ=at+jwt", "test[1]")

    def test_at_jwt_proves_nothing_where_the_marker_leaves_it_out(self):
        issuer = trusted_issuer(marker=[{"claims": {"typ": "Bearer"}}])
        assert kind_of(AT, CLAIMS, issuer) is TokenKind.UNPROVEN
        assert kind_of(AT, CLAIMS | {"typ": "Bearer"}, issuer) is TokenKind.ACCESS_TOKEN

    def test_a_nonce_is_an_id_token_unless_it_is_tolerated_or_the_type_is_at_jwt(self):
        marked = CLAIMS | {"typ": "Bearer", "nonce": "n"}
        found = classify(JWT, marked, KEYCLOAK)
        assert (found.kind, found.evidence) == (TokenKind.ID_TOKEN, "nonce")
        assert kind_of(JWT, marked, TOLERANT) is TokenKind.ACCESS_TOKEN
        assert kind_of(AT, marked, KEYCLOAK) is TokenKind.ACCESS_TOKEN
        assert kind_of(JWT, CLAIMS | {"nonce": "n"}, TOLERANT) is TokenKind.UNPROVEN

    @pytest.mark.parametrize("nonce", [None, "", 0, []])
    def test_a_nonce_counts_whatever_it_holds(self, nonce):
        assert kind_of(JWT, CLAIMS | {"typ": "Bearer", "nonce": nonce}, KEYCLOAK) is TokenKind.ID_TOKEN

    def test_a_nonce_overrules_another_marker_where_at_jwt_is_left_out(self):
        issuer = trusted_issuer(marker=[{"claims": {"typ": "Bearer"}}])
        assert kind_of(AT, CLAIMS | {"typ": "Bearer", "nonce": "n"}, issuer) is TokenKind.UNPROVEN

    @pytest.mark.parametrize(
        "hint", ["auth_time", "acr", "amr", "sid", "azp", "email", "name", "preferred_username", "client_id"]
    )
    def test_what_access_tokens_carry_too_is_no_sign_of_an_id_token(self, hint):
        assert kind_of(JWT, CLAIMS | {"typ": "Bearer", hint: "x"}, KEYCLOAK) is TokenKind.ACCESS_TOKEN


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SIGN_NAMES = sorted(
    {*HASH_CLAIMS, *NAMES, *(item.claim for item in SELF_DESCRIPTIONS), "jti", "nonce", "authorization"}
)
any_claims = st.dictionaries(st.sampled_from(SIGN_NAMES) | st.text(max_size=8), json_values, max_size=6)


@given(st.dictionaries(st.text(max_size=5) | st.just("typ"), json_values, max_size=4), any_claims)
def test_classification_is_total(header, claims):
    for issuer in (GENERIC, KEYCLOAK, TOLERANT):
        assert classify(header, claims, issuer).evidence


@given(any_claims)
def test_no_claim_makes_up_for_a_missing_marker(claims):
    assert kind_of(JWT, CLAIMS | claims, GENERIC) is not TokenKind.ACCESS_TOKEN


@given(any_claims, st.sampled_from(HASH_CLAIMS))
def test_no_claim_makes_up_for_a_hash(claims, name):
    for issuer in (GENERIC, KEYCLOAK, TOLERANT):
        assert (
            kind_of(AT, {**CLAIMS, "typ": "Bearer", **claims, name: "x"}, issuer)
            is not TokenKind.ACCESS_TOKEN
        )
