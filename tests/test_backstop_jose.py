"""What we rely on in PyJWT and joserfc. A new version that changes one of these is looked at before it is taken."""

from __future__ import annotations

import json
import time

import jwt
import pytest
from joserfc.jwk import import_key

from exchange.jose.jws import _FastJws
from tests.support import keys


def test_pyjwt_still_decodes_segments_through_the_method_that_is_replaced(monkeypatch):
    """If this fails nothing is unsafe: large tokens became slower, and ``_FastJws`` can go or follow the new name."""
    seen = []
    stock = _FastJws._decode_base64url_segment
    monkeypatch.setattr(
        _FastJws,
        "_decode_base64url_segment",
        staticmethod(lambda segment, name: seen.append(name) or stock(segment, name)),
    )
    _FastJws().decode_complete(
        keys.sign({"a": 1}), keys.private_key("RS256", "a").public_key(), algorithms=["RS256"]
    )
    assert seen == ["header", "payload", "crypto"]


def test_pyjwt_only_verifies_the_algorithms_it_is_given():
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.PyJWS().decode(
            keys.sign({}, algorithm="ES256"),
            keys.private_key("RS256", "a").public_key(),
            algorithms=["RS256"],
        )


def test_pyjwt_without_algorithms_refuses():
    with pytest.raises(jwt.DecodeError):
        jwt.PyJWS().decode(keys.sign({}), keys.private_key("RS256", "a").public_key())


def test_pyjwt_never_verifies_none_even_where_it_is_listed():
    bare = jwt.PyJWS().encode(b"{}", "", algorithm="none")
    with pytest.raises(jwt.PyJWTError):
        jwt.PyJWS().decode(bare, "", algorithms=["none"])


def test_pyjwt_refuses_unknown_crit():
    token = keys.sign({}, header={"crit": ["exp"], "exp": 1})
    with pytest.raises(jwt.InvalidTokenError):
        jwt.PyJWS().decode(token, keys.private_key("RS256", "a").public_key(), algorithms=["RS256"])


def test_pyjwt_answers_a_foreign_key_with_an_error_of_another_family():
    """Why ``verify_signature`` catches everything, and why keys are looked up by kid and alg together."""
    with pytest.raises(TypeError):
        jwt.PyJWS().decode(keys.sign({}), keys.private_key("ES256", "a").public_key(), algorithms=["RS256"])


def test_pyjwt_kills_a_whole_set_for_one_odd_key():
    """Why keys are built one by one."""
    with pytest.raises(TypeError):
        jwt.PyJWKSet.from_dict({"keys": [{**keys.public_jwk(), "alg": ["RS256"]}, keys.public_jwk("ES256")]})


def test_pyjwt_accepts_padding_that_we_refuse():
    decoded = jwt.PyJWS().decode(
        keys.sign({"a": 1}) + "==", keys.private_key("RS256", "a").public_key(), algorithms=["RS256"]
    )
    assert json.loads(decoded) == {"a": 1}


def test_pyjwt_takes_key_objects_without_reading_them_again():
    """A PEM text costs a consistency check of the key on each signature: a hundred times the signature itself."""
    started = time.perf_counter()
    for _ in range(20):
        keys.sign({"a": 1})
    assert time.perf_counter() - started < 2


def test_joserfc_makes_the_thumbprint_of_rfc_7638_appendix():
    """RFC 7638 §3.1."""
    jwk = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
    }
    assert import_key(jwk).thumbprint() == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
