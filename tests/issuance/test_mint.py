"""An issued token is an RFC 9068 access token that says what the permit allows, for no longer."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import replace
from types import MappingProxyType

import jwt
import pytest
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt as joserfc_jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from exchange.errors import Refusal
from exchange.issuance.claims import RESERVED_CLAIMS
from exchange.issuance.key_files import KeyStatus, StoredKey
from exchange.issuance.mint import Minter, new_token_id
from exchange.issuance.signing_keys import SigningKeyRing
from exchange.jose import SIGNING_ALGORITHMS, SigningKey, generate_signing_key
from exchange.model import Permit, TokenTypeIdentifier

NOW = 2_000_000_000
ISSUER = "https://exchange.acme.example"
ORDERS = "https://orders.acme.example"
ACCESS_TOKEN = TokenTypeIdentifier.ACCESS_TOKEN

PERMIT = Permit(
    rules=("shop-reads-orders",),
    client_id="orders-bff",
    subject="acme|u1",
    audience=(ORDERS,),
    scopes=("orders:read", "orders:write"),
    claims=MappingProxyType({"tenant": "acme", "roles": ("customer",), "org": MappingProxyType({"id": 7})}),
    lifetime=120,
    not_after=NOW + 3600,
)


EDDSA_BY_ITS_OLD_NAME = pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")


def ring_of(algorithm: str) -> SigningKeyRing:
    return SigningKeyRing((StoredKey(generate_signing_key(algorithm), KeyStatus.CURRENT, NOW),), algorithm)


RINGS = {algorithm: ring_of(algorithm) for algorithm in sorted(SIGNING_ALGORITHMS)}


def minter(keys=RINGS["ES256"], now: float = NOW, new_id=lambda: "token-1") -> Minter:
    return Minter(issuer=ISSUER, keys=keys, clock=lambda: now, new_id=new_id)


class Watched:
    """A ring that counts how often a key was asked for: without a key nothing is signed."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def current(self) -> SigningKey:
        self.asked += 1
        return RINGS["ES256"].current


def test_the_claims_of_an_issued_token():
    issued = minter()(PERMIT, ACCESS_TOKEN)
    golden = {
        "iss": "https://exchange.acme.example",
        "sub": "acme|u1",
        "aud": "https://orders.acme.example",
        "client_id": "orders-bff",
        "iat": 2_000_000_000,
        "exp": 2_000_000_120,
        "jti": "token-1",
        "scope": "orders:read orders:write",
        "tenant": "acme",
        "roles": ["customer"],
        "org": {"id": 7},
    }
    assert jwt.decode(issued.access_token.reveal(), options={"verify_signature": False}) == golden
    assert json.loads(json.dumps(dict(issued.claims))) == golden


def test_what_is_said_of_the_issued_token():
    issued = minter()(PERMIT, TokenTypeIdentifier.JWT)
    assert issued.issued_token_type is TokenTypeIdentifier.JWT
    assert issued.token_type == "Bearer"
    assert (issued.expires_in, issued.expires_at) == (120, NOW + 120)
    assert issued.scopes == ("orders:read", "orders:write")
    assert issued.token_id == "token-1"
    assert issued.sha256 == hashlib.sha256(issued.access_token.reveal().encode()).hexdigest()
    assert issued.access_token.reveal() not in repr(issued)


def test_the_header_says_that_it_is_an_access_token_and_by_which_key():
    header = jwt.get_unverified_header(minter()(PERMIT, ACCESS_TOKEN).access_token.reveal())
    assert header == {"typ": "at+jwt", "alg": "ES256", "kid": RINGS["ES256"].current.key_id}


# ── others verify it ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("algorithm", RINGS)
def test_pyjwt_verifies_it_by_the_published_keys(algorithm):
    token = minter(RINGS[algorithm])(PERMIT, ACCESS_TOKEN).access_token.reveal()
    keys = jwt.PyJWKSet.from_dict(RINGS[algorithm].public_jwks())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    options = {
        "require": ["iss", "sub", "aud", "exp", "iat", "jti"],
        "verify_exp": False,
        "verify_iat": False,
    }
    options["strict_aud"] = True
    claims = jwt.decode(token, key, algorithms=[algorithm], audience=ORDERS, issuer=ISSUER, options=options)
    assert claims["sub"] == "acme|u1"


@EDDSA_BY_ITS_OLD_NAME
@pytest.mark.parametrize("algorithm", RINGS)
def test_joserfc_verifies_it_by_the_published_keys(algorithm):
    token = minter(RINGS[algorithm])(PERMIT, ACCESS_TOKEN).access_token.reveal()
    keys = KeySet.import_key_set(RINGS[algorithm].public_jwks())
    decoded = joserfc_jwt.decode(token, keys, algorithms=[algorithm])
    registry = joserfc_jwt.JWTClaimsRegistry(
        now=NOW,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": ORDERS},
        client_id={"essential": True, "value": "orders-bff"},
    )
    registry.validate(decoded.claims)
    assert decoded.header["typ"] == "at+jwt"


@EDDSA_BY_ITS_OLD_NAME
@pytest.mark.parametrize("algorithm", RINGS)
def test_a_changed_token_does_not_verify(algorithm):
    token = minter(RINGS[algorithm])(PERMIT, ACCESS_TOKEN).access_token.reveal()
    header, payload, signature = token.split(".")
    keys = KeySet.import_key_set(RINGS[algorithm].public_jwks())
    other = minter(RINGS[algorithm])(replace(PERMIT, subject="acme|u2"), ACCESS_TOKEN).access_token.reveal()
    forged = f"{header}.{other.split('.')[1]}.{signature}"
    assert payload != other.split(".")[1]
    with pytest.raises(BadSignatureError):
        joserfc_jwt.decode(forged, keys, algorithms=[algorithm])


class OrdersApi(JWTBearerTokenValidator):
    """A downstream API that verifies with Authlib (RFC 9068 §4)."""

    def get_jwks(self):
        return KeySet.import_key_set(RINGS["ES256"].public_jwks())


def test_an_api_on_authlib_accepts_it():
    token = minter(now=time.time())(replace(PERMIT, not_after=2**33), ACCESS_TOKEN).access_token.reveal()
    api = OrdersApi(issuer=ISSUER, resource_server=ORDERS)
    claims = api.authenticate_token(token)
    assert claims is not None
    api.validate_token(claims, ["orders:read"], None)
    assert claims["client_id"] == "orders-bff"


# ── lifetime ────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_never_outlives_what_it_was_issued_from():
    issued = minter()(replace(PERMIT, not_after=NOW + 5), ACCESS_TOKEN)
    assert (issued.expires_in, issued.expires_at, issued.claims["exp"]) == (5, NOW + 5, NOW + 5)


@pytest.mark.parametrize("not_after", [NOW, NOW - 1, 0])
def test_when_nothing_is_left_nothing_is_minted(not_after):
    keys, ids = Watched(), []
    mint = Minter(issuer=ISSUER, keys=keys, clock=lambda: NOW + 0.5, new_id=lambda: ids.append(1) or "x")
    with pytest.raises(Refusal) as refused:
        mint(replace(PERMIT, not_after=not_after), ACCESS_TOKEN)
    assert refused.value.reason.slug == "subject_token_expired"
    assert (keys.asked, ids) == (0, [])


def test_one_second_that_is_left_is_minted():
    assert minter(now=NOW + 0.9)(replace(PERMIT, not_after=NOW + 1), ACCESS_TOKEN).expires_in == 1


@given(now=st.floats(0, 2**32), lifetime=st.integers(1, 2**31), not_after=st.integers(0, 2**33))
def test_the_lifetime_is_beyond_no_bound(now, lifetime, not_after):
    permit = replace(PERMIT, lifetime=lifetime, not_after=not_after)
    if not_after <= int(now):
        with pytest.raises(Refusal, match="subject_token_expired"):
            minter(now=now)(permit, ACCESS_TOKEN)
        return
    issued = minter(now=now)(permit, ACCESS_TOKEN)
    assert 0 < issued.expires_in <= lifetime
    assert issued.expires_at <= not_after
    assert issued.claims["exp"] - issued.claims["iat"] == issued.expires_in
    assert issued.claims["iat"] <= now


# ── delegation and several audiences ────────────────────────────────────────────────────────────────────────


def test_the_chain_of_actors_and_who_may_act_are_signed_as_the_permit_has_them():
    prior = MappingProxyType({"sub": "svc-a", "iss": "https://idp.example"})
    act = MappingProxyType({"sub": "svc-b", "iss": "https://idp.example", "client_id": "bff", "act": prior})
    may_act = MappingProxyType({"client_id": "bff", "groups": ("a",)})
    issued = minter()(replace(PERMIT, act=act, may_act=may_act), ACCESS_TOKEN)
    signed = jwt.decode(issued.access_token.reveal(), options={"verify_signature": False})
    assert signed["act"] == {
        "sub": "svc-b",
        "iss": "https://idp.example",
        "client_id": "bff",
        "act": {"sub": "svc-a", "iss": "https://idp.example"},
    }
    assert signed["may_act"] == {"client_id": "bff", "groups": ["a"]}
    assert json.loads(json.dumps(dict(issued.claims))) == signed


@pytest.mark.parametrize(
    ("confirmation", "token_type"),
    [
        (None, "Bearer"),
        ({"jkt": "k"}, "DPoP"),
        ({"x5t#S256": "c"}, "Bearer"),
        ({"jkt": "k", "x5t#S256": "c"}, "DPoP"),
    ],
)
def test_a_bound_token_says_so_and_its_type_does_where_it_is_a_key(confirmation, token_type):
    permit = replace(PERMIT, confirmation=MappingProxyType(confirmation) if confirmation else None)
    issued = minter()(permit, ACCESS_TOKEN)
    signed = jwt.decode(issued.access_token.reveal(), options={"verify_signature": False})
    assert (signed.get("cnf"), issued.token_type) == (confirmation, token_type)
    assert json.loads(json.dumps(dict(issued.claims))) == signed


def test_several_audiences_are_a_list_in_their_order():
    issued = minter()(replace(PERMIT, audience=(ORDERS, "https://billing.acme.example")), ACCESS_TOKEN)
    assert issued.claims["aud"] == [ORDERS, "https://billing.acme.example"]


# ── claims from empty ───────────────────────────────────────────────────────────────────────────────────────


def test_without_scopes_there_is_no_scope_claim():
    issued = minter()(replace(PERMIT, scopes=()), ACCESS_TOKEN)
    assert "scope" not in issued.claims
    assert issued.scopes == ()


def test_without_listed_claims_only_the_registered_ones_are_there():
    issued = minter()(replace(PERMIT, claims=MappingProxyType({}), scopes=()), ACCESS_TOKEN)
    assert set(issued.claims) == {"iss", "sub", "aud", "client_id", "iat", "exp", "jti"}


@pytest.mark.parametrize("name", sorted(RESERVED_CLAIMS))
def test_a_reserved_claim_is_never_overridden(name):
    keys = Watched()
    mint = Minter(issuer=ISSUER, keys=keys, clock=lambda: NOW)
    with pytest.raises(ValueError, match=name):
        mint(replace(PERMIT, claims=MappingProxyType({name: "other"})), ACCESS_TOKEN)
    assert keys.asked == 0


def test_the_reserved_claims_are_those_of_the_contract():
    contract = "iss sub aud exp nbf iat jti client_id scope act may_act cnf txn"
    assert set(contract.split()) == RESERVED_CLAIMS


def test_the_claims_that_are_recorded_cannot_be_changed():
    issued = minter()(PERMIT, ACCESS_TOKEN)
    with pytest.raises(TypeError):
        issued.claims["sub"] = "other"


def test_a_token_identifier_has_128_random_bits_and_comes_once():
    found = {new_token_id() for _ in range(1000)}
    assert len(found) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", token_id) for token_id in found)


def test_two_tokens_of_one_permit_have_their_own_identifiers():
    mint = Minter(issuer=ISSUER, keys=RINGS["ES256"], clock=lambda: NOW)
    assert mint(PERMIT, ACCESS_TOKEN).token_id != mint(PERMIT, ACCESS_TOKEN).token_id
