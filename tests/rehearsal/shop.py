"""Policies with one rule of each sort, and a way to ask the commands and the service's own code about them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from exchange.audit import AuditTrail
from exchange.cli import main
from exchange.config.load import load
from exchange.config.values import Policies
from exchange.errors import Refusal
from exchange.issuance.mint import Minter
from exchange.jose import generate_signing_key
from exchange.model import NO_PROOF, PresentedProof, SenderProof
from exchange.policy.decide import PolicyDecider
from exchange.rehearsal.unsigned import unsigned_token
from exchange.token_exchange import TokenExchange
from exchange.tokens.validate import TokenValidator
from exchange.trust import KeyCaches, TrustedIssuers
from exchange.web.token_request import parse_token_request
from tests.support import keys
from tests.support.idp import BACKEND
from tests.support.policies import AUDIENCE, SECRET_CLIENT, audience_file, issuer_file, rule, write_policies
from tests.support.service import ACCESS_TOKEN

ISSUER = "https://idp.example"
AT_JWT = {"typ": "at+jwt"}
OPENED_BY_ALL = rule(
    id="clerks",
    subject={"issuer": "idp", "claims": {"/realm/roles": {"contains": "clerk"}}},
    when='subject.claims.tenant == "acme"',
    scopes={"orders:read": "always", "orders:write": ["orders.write"]},
    claims={
        "tenant": {"copy": "tenant"},
        "tier": {"expression": 'has(subject.claims.plan) ? "gold" : "basic"'},
    },
    token_lifetime=60,
)
DENIAL = {
    "id": "no-guests",
    "deny": "Guests stay outside.",
    "client": SECRET_CLIENT,
    "subject": {"claims": {"guest": True}},
}
PLAIN = rule(subject={"issuer": "idp", "claims": {"tenant": {"one_of": ["acme", "acme-eu"]}}})


def shop(directory: Path, *rules: Mapping[str, Any], **changes: Any) -> Path:
    """Write policies whose one issuer has its keys in its file, and return their directory."""
    key = keys.public_jwk("ES256")
    issuers = {"idp": issuer_file(ISSUER, keys={"jwks": {"keys": [key]}}) | changes.pop("issuer", {})}
    audience = audience_file(*(rules or (DENIAL, OPENED_BY_ALL, PLAIN)), **changes.pop("audience", {}))
    clients = {"shop-with-key": None, **changes.pop("clients", {})}
    return write_policies(
        directory / "policies",
        issuer=ISSUER,
        issuers=issuers,
        clients=clients,
        audiences={"orders": audience},
        **changes,
    )


def loaded(directory: Path) -> Policies:
    return load(directory, environ={})


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a clerk; ``...`` leaves one out. ``iss``, ``iat`` and ``exp`` are there."""
    now = int(time.time())
    genuine = {
        "iss": ISSUER,
        "sub": "ada",
        "aud": BACKEND,
        "iat": now,
        "exp": now + 3600,
        "client_id": "shop-web",
        "scope": "orders.read orders.write",
        "tenant": "acme",
        "realm": {"roles": ["clerk"]},
    }
    return {name: value for name, value in (genuine | changes).items() if value is not ...}


def signed(payload: Mapping[str, Any], header: Mapping[str, Any] = AT_JWT) -> str:
    return keys.sign_anything(dict(payload), algorithm="ES256", header=dict(header))


def unsigned(directory: Path, payload: Mapping[str, Any]) -> str:
    """What a rehearsal makes of claims."""
    policies = loaded(directory)
    header = {"alg": "ES256", "kid": "ES256-a", **AT_JWT}
    return unsigned_token(payload, issuer=None, header=header, policies=policies, now=time.time()).reveal()


def run(*arguments: object, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Result:
    """Run ``exchange`` with ``arguments``; an exception that is no exit fails the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def explain(
    directory: Path, *arguments: object, client: str = SECRET_CLIENT, audience: str = AUDIENCE
) -> dict[str, Any]:
    """Run ``exchange explain --json`` and return what it printed, with its exit code as ``exit``."""
    result = run(
        "explain", "--policies", directory, "--client", client, "--audience", audience, "--json", *arguments
    )
    assert result.exit_code in {0, 1}, result.output
    explanation: dict[str, Any] = json.loads(result.output)
    return explanation | {"exit": result.exit_code}


def explain_claims(
    directory: Path, payload: Mapping[str, Any], *arguments: object, header: Any = AT_JWT
) -> dict[str, Any]:
    """Explain claims with a header, for the shop's client."""
    return explain(directory, "--claims", json.dumps(payload), "--header", json.dumps(header), *arguments)


def record(
    policies: Policies,
    payload: Mapping[str, Any],
    actor: Mapping[str, Any] | None = None,
    proof: SenderProof = NO_PROOF,
    **asked: Any,
) -> str:
    """Exchange a signed token by the service's own collaborators, and return the audit record: one line of JSON."""
    lines: list[bytes] = []
    trail = AuditTrail(write=lines.append, count=lambda _attempt, _seconds: None, clock=time.time)
    issuers = TrustedIssuers(policies.issuers, KeyCaches(fetcher=None))  # type: ignore[arg-type]  # keys are inline
    exchange = TokenExchange(
        prove=lambda _presented, _token: proof,
        validate=TokenValidator(issuers=issuers, server=policies.server, clock=time.time),
        decide=PolicyDecider(policies),
        mint=Minter(issuer=policies.server.issuer, keys=_Keys()),
        use_up=lambda _subject, _actor: None,
    )
    form: dict[str, tuple[str, ...]] = {
        "subject_token": (signed(payload),),
        "subject_token_type": (ACCESS_TOKEN,),
        "audience": (AUDIENCE,),
    }
    if actor is not None:
        form |= {"actor_token": (signed(actor),), "actor_token_type": (ACCESS_TOKEN,)}
    with suppress(Refusal), trail.attempt() as attempt:
        attempt.client_id = SECRET_CLIENT
        attempt.request = parse_token_request(form | {name: (value,) for name, value in asked.items()})
        exchange.exchange(attempt.request, policies.clients[SECRET_CLIENT], PresentedProof(), attempt)
    (line,) = lines
    return line.decode()


class _Keys:
    current = generate_signing_key("ES256")


def write_tests(directory: Path, *tests: Mapping[str, Any], name: str = "shop") -> None:
    """Write ``tests/NAME.yaml``; JSON is YAML."""
    (directory / "tests").mkdir(exist_ok=True)
    (directory / "tests" / f"{name}.yaml").write_text(json.dumps(tests))
