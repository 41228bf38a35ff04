"""The example files of the language, as they are written for people."""

from __future__ import annotations

import json
from pathlib import Path

from exchange.config.faults import PolicyFaults
from exchange.config.load import load
from exchange.config.values import Policies
from tests.support import keys

SERVER = """\
issuer: https://exchange.acme.example   # `iss` of what we issue; EXCHANGE_ISSUER overrides it
signing_algorithm: ES256                # ES256 (default), EdDSA, RS256, PS256
token_lifetime: 5m                      # default for issued tokens
max_token_lifetime: 1h                  # no audience or rule may ask for more
clock_skew: 30s
max_delegation_depth: 4                 # longest `act` chain we issue
max_targets: 1                          # how many audiences one request may name
rate_limit: {}                          # off by default
"""

ISSUER = """\
issuer: https://login.acme.example/realms/main   # compared with `iss`, character by character
profile: keycloak            # how this IdP's access tokens prove what they are
audience:                    # a token must be meant for at least one of these (required)
  - https://bff.acme.example
"""

FULL_ISSUER = (
    ISSUER
    + """\
enabled: true                # false is the kill switch: every token of this issuer is refused
mode: enforce
algorithms: [RS256]          # asymmetric only; `none` and HMAC are never accepted
keys: {discovery: true}      # or {jwks_uri: …}, {jwks_file: …}, {jwks: {keys: [...]}}
access_token:                # replaces what the profile says
  marker:                    # one of these must hold in full: the positive proof
    - claims: {typ: {one_of: [Bearer, DPoP]}}
    - header: {typ: at+jwt}
  tolerate: [nonce]          # an ID-token hint that this IdP is known to put into access tokens
required_claims: [sub, iat, exp]
require: {tenant: {one_of: [acme, acme-eu]}}     # further conditions on every token of this issuer
subject: {claim: sub}        # who the token is about; several are joined
subject_format: qualified    # issued `sub` is `NAME|sub`, so two IdPs never collide; `plain` copies it
scope: {claim: scope}        # where scopes are: a space-separated string or a list
client: {claim: azp}         # who the token was issued to
audience_claim: aud
max_token_age: 1h
max_token_lifetime: 25h
single_use: false
allow_insecure_http: false
allow_private_network: false
"""
)

CLIENT = """\
client_id: orders-bff                      # default: the file's name
audience: [https://bff.acme.example]       # the names under which this backend receives tokens
default_target: https://orders.acme.example  # when a request names neither `audience` nor `resource`
authentication:
  private_key_jwt: {jwks_file: keys/orders-bff.json}   # or jwks_uri, jwks
"""

AUDIENCE = """\
audience: https://orders.acme.example      # `aud` of the issued token
resources: [https://orders.acme.example/api]  # RFC 8707 URIs that mean this audience
token_lifetime: 2m
token_format: jwt
sender_constraint: none
scopes: [orders:read, orders:write]        # every scope this API knows
rules:
  - id: shop-reads-orders
    why: The shop shows customers their own orders.
    client: orders-bff
    subject:
      issuer: acme
      claims:
        email_verified: true
        /realm_access/roles: {contains: customer}
    presenter: audience                    # default
    delegation: allowed                    # none | allowed (default) | required
    scopes:
      orders:read: [orders.read, openid-orders]   # granted if the subject token carries one of these
      orders:write: [orders.write]
    claims:
      tenant: {copy: tenant}
      roles: {copy: /realm_access/roles}
      region: {value: eu}
    token_lifetime: 60s
    mode: enforce
"""

FULL_AUDIENCE = AUDIENCE.replace(
    "    presenter: audience ",
    """\
    when: subject.claims.tenant == "acme" && !("guest" in subject.claims.groups)
    presenter: audience """,
).replace(
    "      region: {value: eu}\n",
    """\
      region: {value: eu}
      tier: {expression: 'has(subject.claims.plan) && subject.claims.plan == "gold" ? "gold" : "basic"'}
""",
)

HASH = "sha256:" + "ab" * 32


def key_set() -> str:
    return json.dumps({"keys": [keys.public_jwk("ES256", "client")]})


def write(directory: Path, **changes: str | bytes | None) -> Path:
    """Write the example, with ``server``, ``issuers/acme`` … replaced, added or, with ``None``, left out.

    A keyword's ``__`` is ``/``, so ``issuers__acme=…`` is ``issuers/acme.yaml``; other names go into ``files``.
    """
    texts: dict[str, str | bytes | None] = {
        "server": SERVER,
        "issuers/acme": ISSUER,
        "clients/orders-bff": CLIENT,
        "audiences/orders": AUDIENCE,
        **{name.replace("__", "/").replace("_", "-"): text for name, text in changes.items()},
    }
    for folder in ("issuers", "clients", "audiences", "keys"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    (directory / "keys/orders-bff.json").write_text(key_set())
    for name, text in texts.items():
        if text is not None:
            path = directory / f"{name}.yaml"
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return directory


def loaded(directory: Path, environ: dict[str, str] | None = None, **changes: str | None) -> Policies:
    return load(write(directory / "policies", **changes), environ=environ or {})


def faults(
    directory: Path, environ: dict[str, str] | None = None, **changes: str | bytes | None
) -> list[str]:
    """Return the lines of the faults, with the directory named ``policies``; empty when it loads."""
    root = write(directory / "policies", **changes)
    return faults_of(root, environ)


def faults_of(root: Path, environ: dict[str, str] | None = None) -> list[str]:
    try:
        load(root, environ=environ or {})
    except PolicyFaults as found:
        return [str(fault).replace(str(root), "policies") for fault in found.faults]
    return []
