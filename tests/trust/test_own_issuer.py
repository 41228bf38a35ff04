"""Our own tokens are verified like anybody's: by our keys, as access tokens, with their subject left as it is."""

from __future__ import annotations

import json

import pytest

from exchange.errors import Refusal
from exchange.issuance.key_files import KeyStatus, StoredKey
from exchange.issuance.mint import Minter
from exchange.issuance.signing_keys import SigningKeyRing
from exchange.jose import generate_signing_key, sign
from exchange.model import PresentedToken, Role, Secret, TokenTypeIdentifier
from exchange.tokens.validate import TokenValidator
from exchange.trust import KeyCaches, TrustedIssuers, own_issuer
from tests.policy.values import BFF, ORDERS, SERVER, ask, client, policies, rule, target
from tests.support.tokens import trusted_issuer

NOW = 2_000_000_000


def ring(*statuses, algorithm="ES256"):
    return SigningKeyRing(
        [StoredKey(generate_signing_key(algorithm), status, NOW) for status in statuses], algorithm
    )


RING = ring(KeyStatus.CURRENT, KeyStatus.NEXT)
POLICIES = policies(target(rule()), clients=(client(),))


class NoNetwork:
    def get(self, url, **_):
        raise AssertionError(url)


def validator(keys=RING, now=NOW + 10, issuers=()):
    caches = KeyCaches(NoNetwork())
    own = own_issuer(POLICIES, keys.public_jwks())
    trusted = TrustedIssuers({one.issuer: one for one in issuers}, caches, own)
    return TokenValidator(issuers=trusted, server=SERVER, clock=lambda: now)


def minted(keys=RING):
    mint = Minter(issuer=SERVER.issuer, keys=keys, clock=lambda: NOW)
    return mint(ask().permit_or_refuse(), TokenTypeIdentifier.ACCESS_TOKEN)


def test_what_we_issued_is_believed_by_our_own_keys():
    issued = minted()
    token = validator()(PresentedToken(issued.access_token, Role.SUBJECT))
    assert (token.issuer, token.issuer_name) == (SERVER.issuer, "self")
    assert (token.audience, token.authorized_party) == ({ORDERS}, {"orders-bff"})
    assert token.scopes == {"orders:read"}
    assert token.expires_at == issued.expires_at


def test_the_subject_stays_who_it_was():
    token = validator()(PresentedToken(minted().access_token, Role.SUBJECT))
    assert (token.subject, token.qualified_subject) == ("acme|u1", "acme|u1")


def test_a_retired_key_is_believed_as_long_as_it_is_published():
    old = ring(KeyStatus.CURRENT)
    both = SigningKeyRing(
        [
            StoredKey(generate_signing_key("ES256"), KeyStatus.CURRENT, NOW),
            StoredKey(old.current, KeyStatus.RETIRED, NOW - 1),
        ],
        "ES256",
    )
    assert validator(both)(PresentedToken(minted(old).access_token, Role.SUBJECT))
    with pytest.raises(Refusal, match="subject_token_key_unknown"):
        validator()(PresentedToken(minted(old).access_token, Role.SUBJECT))


def forged(**changes):
    claims = {**minted().claims, **changes}
    return {name: value for name, value in claims.items() if value is not ...}


@pytest.mark.parametrize(
    ("claims", "typ", "slug"),
    [
        ({}, "JWT", "kind_unproven"),
        ({"at_hash": "x"}, "at+jwt", "is_id_token"),
        ({"aud": "https://elsewhere.example"}, "at+jwt", "audience_mismatch"),
        ({"exp": NOW + 3601}, "at+jwt", "lifetime_too_long"),
        ({"exp": NOW + 10}, "at+jwt", "expired"),
        ({"sub": ...}, "at+jwt", "claim_missing"),
        ({"act": "svc"}, "at+jwt", "claim_malformed"),
        ({"cnf": {}}, "at+jwt", "proof_missing"),
    ],
)
def test_a_token_of_ours_is_held_to_every_rule(claims, typ, slug):
    token = sign(forged(**claims), RING.current, typ=typ)
    with pytest.raises(Refusal, match=f"subject_token_{slug}"):
        validator()(PresentedToken(token, Role.SUBJECT))
    assert validator()(PresentedToken(sign(forged(), RING.current, typ="at+jwt"), Role.SUBJECT))


def test_a_token_that_was_sent_to_a_client_is_accepted_too():
    token = sign(forged(aud=BFF), RING.current, typ="at+jwt")
    assert validator()(PresentedToken(token, Role.SUBJECT)).audience == {BFF}


def test_a_token_that_somebody_else_signed_in_our_name_is_refused():
    stranger = ring(KeyStatus.CURRENT)
    with pytest.raises(Refusal, match="subject_token_key_unknown"):
        validator()(PresentedToken(minted(stranger).access_token, Role.SUBJECT))
    header, payload, _ = minted().access_token.reveal().split(".")
    signature = minted(stranger).access_token.reveal().rsplit(".", 1)[1]
    with pytest.raises(Refusal, match="subject_token_signature_invalid"):
        validator()(PresentedToken(Secret(f"{header}.{payload}.{signature}"), Role.SUBJECT))


def test_an_issuer_under_our_name_never_stands_in_for_us():
    impostor = ring(KeyStatus.CURRENT)
    from_policies = trusted_issuer(
        issuer=SERVER.issuer, keys=own_issuer(POLICIES, impostor.public_jwks()).keys, audience={ORDERS}
    )
    with pytest.raises(Refusal, match="subject_token_key_unknown"):
        validator(issuers=[from_policies])(PresentedToken(minted(impostor).access_token, Role.SUBJECT))


def test_without_ourselves_no_token_of_ours_is_believed():
    trusted = TrustedIssuers({}, KeyCaches(NoNetwork()))
    unaware = TokenValidator(issuers=trusted, server=SERVER, clock=lambda: NOW)
    with pytest.raises(Refusal, match="subject_token_issuer_not_trusted"):
        unaware(PresentedToken(minted().access_token, Role.SUBJECT))


def test_the_keys_are_those_that_we_publish_and_hold_nothing_private():
    document = json.loads(own_issuer(POLICIES, RING.public_jwks()).keys.document)
    assert document == RING.public_jwks()
    assert all("d" not in key for key in document["keys"])
