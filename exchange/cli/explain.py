"""``exchange explain``: one request, decided by the code that serves requests, and why it came out so."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from exchange.cli.given import given_object, given_text, loaded_policies, policies_directory
from exchange.cli.recorded_request import explain_again
from exchange.config.values import Policies
from exchange.introspection import Introspections
from exchange.issuance.key_files import KeyFault, read_keys
from exchange.jose import public_jwk
from exchange.model import Role, Secret, SenderProof, TokenTypeIdentifier
from exchange.outbound import Fetcher
from exchange.rehearsal.believed import NO_KEYS, says_it_is_ours, type_to_declare
from exchange.rehearsal.explanation import Explanation, explain
from exchange.rehearsal.rehearse import Rehearsal, RehearsalRequest, form
from exchange.rehearsal.text import readable_explanation
from exchange.rehearsal.unsigned import issuer_named, unsigned_token
from exchange.settings import Settings
from exchange.trust import KeyCaches

_TYPE_URN = "urn:ietf:params:oauth:token-type:"


@click.command("explain")
@click.option("--client", metavar="ID", help="The client_id; it counts as authenticated.")
@click.option(
    "--subject-token", metavar="@FILE", help="The token; its issuer's keys are fetched, or it is asked."
)
@click.option("--claims", metavar="@FILE", help="In its place the claims of the subject token, as JSON.")
@click.option("--issuer", metavar="NAME", help="The file in issuers/ that gives --claims their iss.")
@click.option("--header", metavar="JSON", help="The header that goes with --claims, such as its typ.")
@click.option("--actor-token", metavar="@FILE", help="As --subject-token, for the actor.")
@click.option("--actor-claims", metavar="@FILE", help="As --claims, for the actor.")
@click.option("--actor-issuer", metavar="NAME", help="As --issuer, for the actor.")
@click.option("--actor-header", metavar="JSON", help="As --header, for the actor.")
@click.option("--audience", metavar="NAME", multiple=True, help="May repeat.")
@click.option("--resource", metavar="URI", multiple=True, help="May repeat.")
@click.option("--scope", metavar="SCOPES", help="Several are separated by a space.")
@click.option(
    "--subject-token-type", metavar="TYPE", help="access_token, jwt, or a URN; default: what suits the token."
)
@click.option("--actor-token-type", metavar="TYPE", help="As --subject-token-type.")
@click.option("--requested-token-type", metavar="TYPE", help="As --subject-token-type.")
@click.option(
    "--dpop-jkt", metavar="JKT", help="A DPoP proof of the key with this thumbprint counts as given."
)
@click.option("--x5t-s256", metavar="X5T", help="As --dpop-jkt, for the client's certificate.")
@click.option("--audit", metavar="LOG", type=click.Path(path_type=Path), help="In this audit log …")
@click.option("--request-id", metavar="ID", help="… this request, and none of the above.")
@click.option("--policies", metavar="DIR", type=click.Path(path_type=Path), help="Default: as the service.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(policies: Path | None, *, as_json: bool, **options: Any) -> None:
    """Decide one request by the policies as they are, and say why it comes out so.

    @FILE is @ and a file's name, or @- for standard input. Nothing is issued or recorded, and no token is
    printed. Exits with 0 when a token would be issued, 1 when the request is refused, 2 when it cannot be
    asked: wrong usage, or policies with faults.
    """
    known = loaded_policies(policies_directory(policies))
    recorded = _of_a_record(options)
    explanation = _explain(options, known) if recorded is None else explain_again(*recorded, known)
    click.echo(json.dumps(explanation, indent=2) if as_json else readable_explanation(explanation))
    raise SystemExit(0 if explanation["outcome"] == "issued" else 1)


def _explain(options: dict[str, Any], policies: Policies) -> Explanation:
    now, fetches = time.time(), _Fetches()
    asked = _request(options, policies, now)
    fetcher = Fetcher()
    rehearsal = Rehearsal(
        policies,
        key_caches=KeyCaches(fetcher, observe=fetches),
        introspections=Introspections(fetcher, observer=fetches),
        now=now,
        public_jwks=_own_keys(asked, policies),
    )
    return {**explain(rehearsal(asked), policies, now=now), **fetches.to_json()}


def _of_a_record(options: dict[str, Any]) -> tuple[Path, str] | None:
    audit, request_id = options.pop("audit"), options.pop("request_id")
    if audit is None and request_id is None:
        return None
    if audit is None or request_id is None or any(value not in {None, ()} for value in options.values()):
        raise click.UsageError("--audit and --request-id go together, and with no other request")
    return audit, request_id


def _own_keys(asked: RehearsalRequest, policies: Policies) -> Mapping[str, Any]:
    """Our public keys, for a token that says it is of ours; no key is ever made here."""
    tokens = (asked.form.get(f"{role}_token", ("",))[0] for role in Role if role not in asked.unsigned)
    if not any(says_it_is_ours(Secret(token), policies) for token in tokens):
        return NO_KEYS
    try:
        stored = read_keys(Settings.from_environ(os.environ).keys)
    except (KeyFault, OSError) as fault:
        raise click.ClickException(str(fault)) from None
    return {"keys": [public_jwk(one.key) for one in stored]}


class _Fetches:
    """What became of each fetch of keys and each question: the first thing to know of an outage."""

    def __init__(self) -> None:
        self._fetched: list[dict[str, str]] = []
        self._asked: list[dict[str, str]] = []

    def __call__(self, issuer: str, outcome: str) -> None:
        self._fetched.append({"issuer": issuer, "outcome": outcome})

    def introspection(self, issuer: str, result: str) -> None:
        self._asked.append({"issuer": issuer, "outcome": result})

    def introspection_cache_hit(self, issuer: str) -> None:
        """An actor token that is the subject token."""

    def to_json(self) -> dict[str, object]:
        found = {"key_fetches": self._fetched, "introspections": self._asked}
        return {name: seen for name, seen in found.items() if seen}


def _request(options: dict[str, Any], policies: Policies, now: float) -> RehearsalRequest:
    client = options["client"]
    if client is None:
        raise click.UsageError("say who asks: --client ID")
    if client not in policies.clients:
        known = ", ".join(sorted(policies.clients)) or "none"
        raise click.UsageError(f"--client: no file in clients/ has this client_id; there are: {known}")
    subject = _token(Role.SUBJECT, options, policies, now)
    if subject is None:
        raise click.UsageError("give the subject token: --subject-token @FILE, or --claims @FILE")
    actor = _token(Role.ACTOR, options, policies, now)
    parameters = form(
        {
            "subject_token": subject,
            "subject_token_type": _declared(options["subject_token_type"], subject, policies),
            "actor_token": actor,
            "actor_token_type": _declared(options["actor_token_type"], actor, policies),
            "requested_token_type": _urn(options["requested_token_type"]),
            "audience": options["audience"],
            "resource": options["resource"],
            "scope": options["scope"],
        }
    )
    unsigned = frozenset(role for role in Role if options[_names(role)[1]] is not None)
    return RehearsalRequest(
        client, parameters, unsigned, SenderProof(options["dpop_jkt"], options["x5t_s256"])
    )


def _names(role: Role) -> tuple[str, str, str, str]:
    """The options that make up the token of ``role``: signed, claims, issuer, header."""
    if role is Role.SUBJECT:
        return "subject_token", "claims", "issuer", "header"
    return "actor_token", "actor_claims", "actor_issuer", "actor_header"


def _token(role: Role, options: dict[str, Any], policies: Policies, now: float) -> str | None:
    names = _names(role)
    token, claims, issuer, header = (options[name] for name in names)
    switches = [f"--{name.replace('_', '-')}" for name in names]
    if token is not None and claims is not None:
        raise click.UsageError(f"give {switches[0]} or {switches[1]}, not both")
    if claims is None and (issuer is not None or header is not None):
        raise click.UsageError(f"{switches[2]} and {switches[3]} go with {switches[1]}; a token has its own")
    if claims is None:
        return given_text(token, switches[0]).strip() if token is not None else None
    if issuer is not None and issuer_named(issuer, policies) is None:
        names_known = ", ".join(sorted(known.name for known in policies.issuers.values())) or "none"
        raise click.UsageError(f"{switches[2]}: no file in issuers/ has this name; there are: {names_known}")
    return unsigned_token(
        given_object(claims, switches[1]),
        issuer=issuer,
        header=given_object(header, switches[3]) if header is not None else None,
        policies=policies,
        now=now,
    ).reveal()


def _declared(named: str | None, token: str | None, policies: Policies) -> str | None:
    """What is said, or what suits the token; without a token nothing, unless it is said."""
    if named is None and token is not None:
        return type_to_declare(Secret(token), policies)
    return _urn(named)


def _urn(name: str | None) -> str | None:
    known = {kind.value for kind in TokenTypeIdentifier}
    return f"{_TYPE_URN}{name}" if name is not None and f"{_TYPE_URN}{name}" in known else name
