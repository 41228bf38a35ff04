"""RFC 8725: what is wrong with a JWS, from its bytes to its signature; each as subject and as actor token."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from tests.attacks.forge import (
    ISSUER,
    access_claims,
    both_workers,
    forged,
    forged_with_secret,
    header,
    segment,
    signature,
    with_raw,
    worker_ids,
)
from tests.support import keys
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import AUDIENCE, BASIC, issuer_file, write_policies
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, RunningService

Forge = Callable[[], str]
Attack = tuple[Forge, str]
"""Makes the token; the reason without the role."""

MAX_TOKEN = 16 * 1024
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ATTACKER = {"algorithm": "RS256", "label": "attacker"}
ES256 = {"alg": "ES256", "kid": "ES256-a"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    jwks = {"keys": [keys.public_jwk(algorithm) for algorithm in ("RS256", "ES256", "EdDSA")]}
    policies = write_policies(
        tmp_path_factory.mktemp("malformed") / "policies",
        issuer=ISSUER,
        issuers={"idp": issuer_file(ISSUER, audience=[BACKEND, f"{BACKEND}/with-key"], keys={"jwks": jwks})},
    )
    with RunningService(policies, workers=2) as running:
        yield running


def public_pem(
    *, form: serialization.PublicFormat = serialization.PublicFormat.SubjectPublicKeyInfo
) -> bytes:
    return keys.private_key("RS256").public_key().public_bytes(serialization.Encoding.PEM, form)


def headed(**changes: Any) -> Forge:
    return lambda: forged(header(**changes))


def secretly(secret: Callable[[], bytes], **changes: Any) -> Forge:
    return lambda: forged_with_secret(secret(), header(alg="HS256", **changes))


def by_attacker(**changes: Any) -> Forge:
    return lambda: forged(header(**changes), **ATTACKER)


def paid(payload: bytes | Callable[[], bytes]) -> Forge:
    return lambda: forged(payload=payload() if callable(payload) else payload)


def raw_claim(name: str, value: str) -> Forge:
    return lambda: forged(payload=with_raw(name, value))


def unsigned(**changes: Any) -> Forge:
    return lambda: (
        f"{segment(json.dumps(header(**changes)).encode())}.{segment(json.dumps(access_claims()).encode())}."
    )


def changed(change: Callable[[str], str]) -> Forge:
    return lambda: change(forged())


def changed_segments(change: Callable[[list[str]], list[str]]) -> Forge:
    return lambda: ".".join(change(forged().split(".")))


def with_signature(change: Callable[[bytes], bytes], **how: str) -> Forge:
    def forge() -> str:
        token = forged(header(**(ES256 if how else {})), **how)
        head, payload, sent = token.split(".")
        return f"{head}.{payload}.{segment(change(base64.urlsafe_b64decode(sent + '==')))}"

    return forge


def as_der(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def raw_pair(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def stray_bits() -> str:
    """The last character of a 256-byte signature carries four bits that mean nothing, and lenient decoders drop."""
    token = forged()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    assert last % 16 == 0
    return token[:-1] + alphabet[last + 1]


def other_alphabet() -> str:
    while "-" not in (token := forged()).split(".")[2] and "_" not in token.split(".")[2]:
        pass
    head, payload, sent = token.split(".")
    return f"{head}.{payload}.{sent.replace('-', '+').replace('_', '/')}"


def nested(levels: int, open_: str, close: str) -> bytes:
    return with_raw("deep", open_ * levels + ("0" if close == "}" else "") + close * levels)


def nested_token() -> str:
    """A JWT as payload (RFC 7519 §5.2): the inner one is genuine."""
    return forged(header(cty="JWT"), forged().encode())


def five_segments() -> str:
    head = segment(json.dumps({"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": "RS256-a"}).encode())
    return ".".join([head, *(segment(b"x" * 32) for _ in range(4))])


def sized(total: int) -> str:
    """Return a genuine token of exactly ``total`` characters."""
    for stuffing in ("", "x", "xx"):
        head = header(stuffing=stuffing)
        for size in range(total, 0, -1):
            token_size = len(segment(json.dumps(head).encode())) + (size * 4 + 2) // 3 + 342 + 2
            if token_size != total:
                continue
            claims = access_claims(padding="")
            padding = size - len(json.dumps(claims))
            token = forged(head, access_claims(jti=claims["jti"], padding="x" * padding))
            if len(token) == total:
                return token
    raise AssertionError(f"no token has {total} characters")


def members(payload: str) -> bytes:
    """Genuine claims as JSON, and ``payload`` after them."""
    return f"{json.dumps(access_claims())[:-1]}, {payload}}}".encode()


def doubled_header(text: str) -> Forge:
    return lambda: forged(f"{json.dumps(header())[:-1]}, {text}}}".encode())


ALGORITHMS: dict[str, Attack] = {
    **{
        f"alg {name!r} without a signature": (unsigned(alg=name), "algorithm_not_allowed")
        for name in ("none", "None", "NONE", "nOnE", "", " ", "none ")
    },
    "alg none with the signature of RS256": (headed(alg="none"), "algorithm_not_allowed"),
    "alg none without kid": (unsigned(alg="none", kid=...), "algorithm_not_allowed"),
    "HS256 with the public key in PEM": (secretly(public_pem), "algorithm_not_allowed"),
    "HS256 with the public key in PEM, stripped": (
        secretly(lambda: public_pem().strip()),
        "algorithm_not_allowed",
    ),
    "HS256 with the public key in PKCS 1": (
        secretly(lambda: public_pem(form=serialization.PublicFormat.PKCS1)),
        "algorithm_not_allowed",
    ),
    "HS256 with the JWK": (
        secretly(lambda: json.dumps(keys.public_jwk("RS256")).encode()),
        "algorithm_not_allowed",
    ),
    "HS256 with the modulus": (
        secretly(keys.public_jwk("RS256")["n"].encode),
        "algorithm_not_allowed",
    ),
    "HS256 with any secret": (secretly(lambda: b"secret"), "algorithm_not_allowed"),
    "HS256 with an empty secret, without kid": (secretly(lambda: b"", kid=...), "algorithm_not_allowed"),
    "HS512": (headed(alg="HS512"), "algorithm_not_allowed"),
    "an unknown alg": (headed(alg="XS256"), "algorithm_not_allowed"),
    "an alg for encryption": (headed(alg="RSA-OAEP"), "algorithm_not_allowed"),
    "ES256K": (headed(alg="ES256K"), "algorithm_not_allowed"),
    "RS512, which the issuer does not use": (headed(alg="RS512"), "algorithm_not_allowed"),
    "alg in lower case": (headed(alg="rs256"), "algorithm_not_allowed"),
    "alg with a lookalike": (headed(alg="RS\uff1256"), "algorithm_not_allowed"),
    "no alg": (headed(alg=...), "malformed"),
    **{
        f"alg {value!r}": (headed(alg=value), "malformed")
        for value in (None, 0, True, ["RS256"], {"RS256": 1}, 256)
    },
    "the key of RS256 under alg ES256": (headed(alg="ES256"), "key_unknown"),
    "the key of RS256 under alg PS256": (headed(alg="PS256"), "key_unknown"),
    "the key of RS256 under alg EdDSA": (headed(alg="EdDSA"), "key_unknown"),
    "the key of ES256 under alg RS256": (headed(kid="ES256-a"), "key_unknown"),
    "the key of EdDSA under alg RS256": (headed(kid="EdDSA-a"), "key_unknown"),
    "the key of ES256 under alg ES384": (headed(alg="ES384", kid="ES256-a"), "key_unknown"),
    "the signature of another key of the issuer": (
        lambda: forged(header(), algorithm="EdDSA"),
        "signature_invalid",
    ),
    "the signature of ES256 under alg RS256": (
        lambda: forged(header(), algorithm="ES256"),
        "signature_invalid",
    ),
}

KEYS: dict[str, Attack] = {
    **{
        f"kid {value!r}": (headed(kid=value), "malformed") for value in (None, 1, True, ["RS256-a"], {"a": 1})
    },
    **{
        f"kid {value[:40]!r}": (headed(kid=value), "key_unknown")
        for value in (
            "",
            "unknown",
            "RS256-A",
            "RS256-a ",
            "RS256-a\x00",
            "../../../../../../dev/null",
            "/proc/self/environ",
            "file:///etc/passwd",
            "https://attacker.example/jwks.json",
            "' OR '1'='1",
            "RS256-a'; DROP TABLE mark; --",
            "$(id)",
            "{{7*7}}",
            "%00",
            "\u041a" * 50,
            "x" * 10_000,
        )
    },
    "the attacker's key under the issuer's kid": (by_attacker(), "signature_invalid"),
    "the attacker's key without kid": (by_attacker(kid=...), "signature_invalid"),
    "the attacker's key under a kid of his own": (by_attacker(kid="RS256-attacker"), "key_unknown"),
    **{
        f"the attacker's key in {name}, {kid!r}": (
            lambda name=name, kid=kid: by_attacker(kid=kid, **{name: attackers_key(name)})(),
            "key_unknown" if kid == "RS256-attacker" else "signature_invalid",
        )
        for name in ("jwk", "x5c", "jku", "x5u")
        for kid in ("RS256-a", "RS256-attacker", ...)
    },
}

HEADERS: dict[str, Attack] = {
    "crit unknown": (headed(crit=["acme"], acme=1), "header_refused"),
    "crit []": (headed(crit=[]), "header_refused"),
    "crit null": (headed(crit=None), "header_refused"),
    "crit of what is registered": (headed(crit=["exp"]), "header_refused"),
    "crit is a string": (headed(crit="b64"), "header_refused"),
    "b64 false": (headed(crit=["b64"], b64=False), "header_refused"),
    "b64 false without crit": (headed(b64=False), "header_refused"),
    "b64 true": (headed(crit=["b64"], b64=True), "header_refused"),
    "b64 false with a payload that is not encoded": (
        lambda: unencoded_payload(),  # noqa: PLW0108  # it is defined below
        "malformed",
    ),
    "cty JWT": (headed(cty="JWT"), "header_refused"),
    "cty application/jwt": (headed(cty="application/jwt"), "header_refused"),
    "cty no string": (headed(cty=["JWT"]), "header_refused"),
    "a JWT inside": (nested_token, "malformed"),
    "JWE": (five_segments, "encrypted"),
    "JWE that looks like our header": (
        lambda: ".".join([segment(json.dumps(header()).encode()), "", "x", "x", "x"]),
        "encrypted",
    ),
    "enc": (headed(enc="A256GCM"), "encrypted"),
    "enc null": (headed(enc=None), "encrypted"),
    "typ no string": (headed(typ=["at+jwt"]), "header_refused"),
    "nonce in the header": (headed(nonce="x"), "header_refused"),
}

FORM: dict[str, Attack] = {
    "an opaque token": (lambda: "8f14e45fceea167a5a36dedd4bea2543", "malformed"),
    "two segments": (changed(lambda token: token.rpartition(".")[0]), "malformed"),
    "two segments and a dot less": (changed_segments(lambda found: [found[0], found[2]]), "malformed"),
    "four segments": (changed(lambda token: f"{token}.AAAA"), "malformed"),
    "a dot behind": (changed(lambda token: f"{token}."), "malformed"),
    "a dot in front": (changed(lambda token: f".{token}"), "malformed"),
    "six segments": (changed(lambda token: f"{token}.a.b.c"), "malformed"),
    "ten thousand segments": (lambda: "." * 10_000, "malformed"),
    "dots alone": (lambda: "..", "malformed"),
    "an empty header": (changed_segments(lambda found: ["", *found[1:]]), "malformed"),
    "an empty payload": (changed_segments(lambda found: [found[0], "", found[2]]), "malformed"),
    **{
        f"padding behind segment {index}": (
            changed_segments(
                lambda found, index=index: [
                    part + "=" * (-len(part) % 4 or 4) if at == index else part
                    for at, part in enumerate(found)
                ]
            ),
            "malformed",
        )
        for index in range(3)
    },
    **{
        f"{where} {character!r}": (
            changed(
                lambda token, where=where, character=character: {
                    "in front": character + token,
                    "behind": token + character,
                    "inside": token[:40] + character + token[40:],
                    "before a dot": token.replace(".", character + ".", 1),
                }[where]
            ),
            "malformed",
        )
        for where in ("in front", "behind", "inside", "before a dot")
        for character in (" ", "\n", "\r\n", "\t", "\x00", "=", "é", "\u200b", "\ufeff", "\uff05")
    },
    "the scheme in front": (changed(lambda token: f"Bearer {token}"), "malformed"),
    "quotes around": (changed(lambda token: f'"{token}"'), "malformed"),
    "bits behind the end of the signature": (stray_bits, "malformed"),
    "the alphabet of base64": (other_alphabet, "malformed"),
    "percent-encoded once more": (changed(lambda token: token.replace(".", "%2E")), "malformed"),
    "JWS JSON serialization": (
        changed(
            lambda token: json.dumps(
                dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))
            )
        ),
        "malformed",
    ),
    "fullwidth letters": (
        changed(lambda token: "".join(chr(ord(char) + 0xFEE0) if char.isalpha() else char for char in token)),
        "malformed",
    ),
    "16 KiB and one": (lambda: sized(MAX_TOKEN + 1), "too_large"),
    "40 kB": (lambda: forged(payload=access_claims(padding="x" * 30_000)), "too_large"),
}

JSON: dict[str, Attack] = {
    "typ twice, ID then Bearer": (paid(lambda: members('"typ": "ID", "typ": "Bearer"')), "malformed"),
    "typ twice, Bearer then ID": (paid(lambda: members('"typ": "Bearer", "typ": "ID"')), "malformed"),
    "sub twice": (paid(lambda: members('"sub": "root"')), "malformed"),
    "sub twice, one of them escaped": (paid(lambda: members(r'"s\u0075b": "root"')), "malformed"),
    "iss twice": (paid(lambda: members('"iss": "https://attacker.example"')), "malformed"),
    "aud twice, alike": (paid(lambda: members(f'"aud": "{BACKEND}"')), "malformed"),
    "a nested member twice": (paid(lambda: members('"realm_access": {"a": 1, "a": 2}')), "malformed"),
    "alg twice in the header": (doubled_header('"alg": "none"'), "malformed"),
    "alg twice in the header, alike": (doubled_header('"alg": "RS256"'), "malformed"),
    "kid twice in the header": (doubled_header('"kid": "RS256-attacker"'), "malformed"),
    "typ twice in the header": (doubled_header('"typ": "JWT"'), "malformed"),
    **{
        f"payload {payload!r}": (paid(payload), "malformed")
        for payload in (
            b"",
            b"[]",
            b"[{}]",
            b'"sub"',
            b"1",
            b"null",
            b"true",
            b"{",
            b"{}}",
            b"{'sub': 'x'}",
            b"{,}",
        )
    },
    **{
        f"header {head!r}": (lambda head=head: forged(head), "malformed")
        for head in (b"", b"[]", b'"RS256"', b"1", b"null", b"true", b"{", b"{}")
    },
    **{
        f"{levels} levels of {name}": (
            paid(lambda levels=levels, pair=pair: nested(levels, *pair)),
            "malformed",
        )
        for name, pair in (("arrays", ("[", "]")), ("objects", ('{"a":', "}")))
        for levels in (100, 1000)
    },
    "5000 levels of arrays": (paid(lambda: nested(5000, "[", "]")), "malformed"),
    "10000 levels, never closed": (paid(lambda: b"[" * 10_000), "malformed"),
    "100 levels in the header": (
        lambda: forged(f'{json.dumps(header())[:-1]}, "x": {"[" * 100}{"]" * 100}}}'.encode()),
        "malformed",
    ),
    **{
        f"exp {value}": (raw_claim("exp", value), "malformed")
        for value in (
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1e999",
            "9223372036854775808",
            "1" * 100,
            "1" * 5000,
            "0x7fffffff",
            "+1",
            "01",
            ".5",
        )
    },
    "NaN in a claim that nobody reads": (raw_claim("x", "NaN"), "malformed"),
    "a lone surrogate": (raw_claim("sub", r'"\ud800"'), "malformed"),
    "a lone low surrogate as a name": (paid(lambda: members(r'"\udc00": 1')), "malformed"),
    "surrogates in the wrong order": (raw_claim("sub", r'"\udc00\ud800"'), "malformed"),
    "a lone surrogate in the header": (doubled_header(r'"x": "\ud800"'), "malformed"),
    "a NUL byte": (paid(lambda: with_raw("sub", '"ada\x00"')), "malformed"),
    "a newline in a string": (paid(lambda: with_raw("sub", '"ada\nroot"')), "malformed"),
    "a NUL byte behind": (paid(lambda: json.dumps(access_claims()).encode() + b"\x00"), "malformed"),
    "more behind the object": (paid(lambda: json.dumps(access_claims()).encode() + b"{}"), "malformed"),
    "a comment": (paid(lambda: json.dumps(access_claims()).encode()[:-1] + b"/* */}"), "malformed"),
    "UTF-8 that is none": (paid(lambda: with_raw("sub", '"ada"').replace(b"ada", b"\xff\xfe")), "malformed"),
    "overlong UTF-8": (paid(lambda: with_raw("sub", '"ada"').replace(b"ada", b"\xc0\xaf")), "malformed"),
    "a surrogate in UTF-8": (
        paid(lambda: with_raw("sub", '"ada"').replace(b"ada", b"\xed\xa0\x80")),
        "malformed",
    ),
    "a byte order mark": (paid(lambda: b"\xef\xbb\xbf" + json.dumps(access_claims()).encode()), "malformed"),
    "UTF-16": (paid(lambda: json.dumps(access_claims()).encode("utf-16")), "malformed"),
    "UTF-16 without mark": (paid(lambda: json.dumps(access_claims()).encode("utf-16-le")), "malformed"),
    "a header in UTF-16": (lambda: forged(json.dumps(header()).encode("utf-16")), "malformed"),
    "a header with a byte order mark": (
        lambda: forged(b"\xef\xbb\xbf" + json.dumps(header()).encode()),
        "malformed",
    ),
}

LOOKALIKES: dict[str, Attack] = {
    "iss with a Cyrillic letter": (
        lambda: forged(payload=access_claims(iss=ISSUER.replace("e", "\u0435"))),
        "issuer_not_trusted",
    ),
    "iss with a NUL": (lambda: forged(payload=access_claims(iss=f"{ISSUER}\x00")), "issuer_not_trusted"),
    "iss with a zero-width space": (
        lambda: forged(payload=access_claims(iss=f"{ISSUER}\u200b")),
        "issuer_not_trusted",
    ),
    "aud under a Cyrillic name": (
        lambda: forged(payload=access_claims(aud=...) | {"\u0430ud": BACKEND}),
        "audience_mismatch",
    ),
    "aud with a combining mark": (
        lambda: forged(payload=access_claims(aud=f"{BACKEND}\u0301")),
        "audience_mismatch",
    ),
    "typ with a Cyrillic letter": (headed(typ="\u0430t+jwt"), "is_other_kind"),
    "typ with a NUL": (headed(typ="at+jwt\x00"), "is_other_kind"),
    "names in other case": (
        lambda: forged(payload=access_claims(exp=..., EXP=4_000_000_000)),
        "claim_missing",
    ),
}

SIGNATURES: dict[str, Attack] = {
    "an empty signature": (changed_segments(lambda found: [*found[:2], ""]), "signature_invalid"),
    "a truncated signature": (with_signature(lambda raw: raw[:-1]), "signature_invalid"),
    "a short signature": (with_signature(lambda raw: raw[:16]), "signature_invalid"),
    "a longer signature": (with_signature(lambda raw: raw + b"\x00"), "signature_invalid"),
    "a flipped bit": (with_signature(lambda raw: bytes([raw[0] ^ 1, *raw[1:]])), "signature_invalid"),
    "zeros": (with_signature(lambda raw: bytes(len(raw))), "signature_invalid"),
    "the signature of another token": (
        changed_segments(lambda found: [*found[:2], forged().split(".")[2]]),
        "signature_invalid",
    ),
    "another payload": (
        changed_segments(lambda found: [found[0], forged().split(".")[1], found[2]]),
        "signature_invalid",
    ),
    "another header": (
        changed_segments(lambda found: [segment(json.dumps(header(x=1)).encode()), *found[1:]]),
        "signature_invalid",
    ),
    "the header retyped after signing": (
        lambda: ".".join([segment(json.dumps(header()).encode()), *forged(header(typ="JWT")).split(".")[1:]]),
        "signature_invalid",
    ),
    "a payload without its spaces": (
        changed_segments(
            lambda found: [
                found[0],
                segment(base64.urlsafe_b64decode(found[1] + "==").replace(b": ", b":")),
                found[2],
            ]
        ),
        "signature_invalid",
    ),
    "ECDSA in DER": (with_signature(as_der, algorithm="ES256"), "signature_invalid"),
    "ECDSA of zeros": (with_signature(lambda _: bytes(64), algorithm="ES256"), "signature_invalid"),
    "ECDSA of zeros in DER": (
        with_signature(lambda _: encode_dss_signature(0, 0), algorithm="ES256"),
        "signature_invalid",
    ),
    "ECDSA of the order": (
        with_signature(lambda _: raw_pair(P256_ORDER, P256_ORDER), algorithm="ES256"),
        "signature_invalid",
    ),
    "ECDSA of r = 0, s = 1": (
        with_signature(lambda _: raw_pair(0, 1), algorithm="ES256"),
        "signature_invalid",
    ),
    "ECDSA of r = 1, s = 0": (
        with_signature(lambda _: raw_pair(1, 0), algorithm="ES256"),
        "signature_invalid",
    ),
    "ECDSA without bytes": (with_signature(lambda _: b"", algorithm="ES256"), "signature_invalid"),
    "ECDSA of the attacker": (
        lambda: forged(header(**ES256), algorithm="ES256", label="attacker"),
        "signature_invalid",
    ),
    "EdDSA of zeros": (
        lambda: ".".join(
            [
                *forged(header(alg="EdDSA", kid="EdDSA-a"), algorithm="EdDSA").split(".")[:2],
                segment(bytes(64)),
            ]
        ),
        "signature_invalid",
    ),
}

ATTACKS: dict[str, Attack] = {
    **ALGORITHMS,
    **KEYS,
    **HEADERS,
    **FORM,
    **JSON,
    **LOOKALIKES,
    **SIGNATURES,
}


def attackers_key(parameter: str) -> Any:
    jwk = keys.public_jwk("RS256", "attacker")
    der = keys.private_key("RS256", "attacker").public_key()
    return {
        "jwk": jwk,
        "x5c": [
            base64.b64encode(
                der.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
            ).decode()
        ],
        "jku": "https://127.0.0.1:1/jwks.json",
        "x5u": "https://127.0.0.1:1/certificate.pem",
    }[parameter]


def unencoded_payload() -> str:
    head = segment(json.dumps(header(crit=["b64"], b64=False)).encode())
    payload = json.dumps(access_claims()).replace(".", "\\u002e")
    return f"{head}.{payload}.{segment(signature(f'{head}.{payload}'))}"


def send(service: RunningService, token: str, role: str) -> Any:
    if role == "subject":
        return service.exchange(token, BASIC, audience=AUDIENCE)
    return service.exchange(
        forged(), BASIC, audience=AUDIENCE, actor_token=token, actor_token_type=ACCESS_TOKEN
    )


@pytest.mark.parametrize("role", ["subject", "actor"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_malformed_or_forged_token_is_refused(service: RunningService, name: str, role: str) -> None:
    forge, reason = ATTACKS[name]
    record = assert_refused(service, send(service, forge(), role), f"{role}_token_{reason}")
    assert role not in record, "nothing of an unverified token is written down"


GENUINE: dict[str, Forge] = {
    "RS256": forged,
    "ES256": lambda: forged(header(**ES256), algorithm="ES256"),
    "EdDSA": lambda: forged(header(alg="EdDSA", kid="EdDSA-a"), algorithm="EdDSA"),
    "without kid, where one key fits": headed(kid=...),
    "with an unknown header parameter": headed(acme=1),
    "with headers that name another key, which are ignored": headed(
        jwk={"kty": "RSA"}, jku="https://127.0.0.1:1/", x5u="https://127.0.0.1:1/", x5c=["MIIB"], x5t="x"
    ),
    "with spaces in its JSON": lambda: forged(
        json.dumps(header(), indent=2).encode(), json.dumps(access_claims(), indent=2).encode()
    ),
    "of 16 KiB": lambda: sized(MAX_TOKEN),
    "of 15 levels": paid(lambda: nested(15, "[", "]")),
    "with a claim beyond ASCII": lambda: forged(payload=access_claims(name="Ada Löwe 🦁")),
    "with unescaped UTF-8": lambda: forged(
        payload=json.dumps(access_claims(name="Ada Löwe 🦁"), ensure_ascii=False).encode()
    ),
}


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_token_is_exchanged(service: RunningService, name: str) -> None:
    assert_issued(service, send(service, GENUINE[name](), "subject"))


def test_the_other_spelling_of_an_ecdsa_signature_names_the_same_token(service: RunningService) -> None:
    # (r, n - s) verifies as well (RFC 6979 does not help): nothing may take the text of a token for its identity.
    def respelled(raw: bytes) -> bytes:
        r, s = decode_dss_signature(as_der(raw))
        return raw_pair(r, P256_ORDER - s)

    record = assert_issued(service, send(service, with_signature(respelled, algorithm="ES256")(), "subject"))
    assert record["subject"]["jti"]


def test_an_escaped_nul_does_not_shorten_a_subject(service: RunningService) -> None:
    answer = send(service, forged(payload=access_claims(sub="ada\x00root")), "subject")
    assert assert_issued(service, answer)["issued"]["claims"]["sub"] == "idp|ada\x00root"


@pytest.mark.parametrize("parameter", ["jku", "x5u", "jwk"])
@pytest.mark.parametrize("kid", ["RS256-a", "RS256-attacker", ...])
def test_a_url_in_the_header_is_never_fetched(service: RunningService, parameter: str, kid: Any) -> None:
    with FakeIssuer(label="attacker") as attacker:
        named = {
            "kid": kid,
            parameter: attacker.jwks_uri if parameter != "jwk" else {"jku": attacker.jwks_uri},
        }
        answer = send(service, forged(header(**named), **ATTACKER), "subject")
        reason = "key_unknown" if kid == "RS256-attacker" else "signature_invalid"
        assert_refused(service, answer, f"subject_token_{reason}")
        assert_issued(service, send(service, forged(header(**named | {"kid": "RS256-a"})), "subject"))
        assert attacker.requests == []


def test_after_the_whole_list_the_same_workers_answer_and_nothing_was_logged(service: RunningService) -> None:
    before = both_workers(service)
    for forge, reason in ATTACKS.values():
        answer = send(service, forge(), "subject")
        assert answer.json()["reason"] == f"subject_token_{reason}"
        service._session.close()  # a new connection, so that both workers take part
    assert worker_ids(service) == before
    for _ in range(4):
        assert_issued(service, send(service, forged(), "subject"))
        service._session.close()
    assert service.stderr() == ""
