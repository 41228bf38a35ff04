"""``tests/NAME.yaml``: decisions that must hold, which ``exchange test`` reads and the service does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from marshmallow import ValidationError

from exchange.config.directory import PolicyDirectory
from exchange.config.faults import PolicyFaults, YamlPath
from exchange.config.fields import (
    AnyMapping,
    Choice,
    Duration,
    Field,
    Name,
    Names,
    Section,
    StrictSchema,
    Text,
    frozen,
    read_list,
    read_scope,
)
from exchange.config.policy_file import PolicyFile
from exchange.config.references import NO_CLIENT, NO_ISSUER, check_known, client_ids, names_at, rule_ids
from exchange.config.values import SELF, Source
from exchange.errors import REASONS
from exchange.model import NO_PROOF, Claims, SenderProof, TokenTypeIdentifier

_TOKEN_TYPES: Final = {"access_token": TokenTypeIdentifier.ACCESS_TOKEN, "jwt": TokenTypeIdentifier.JWT}


@dataclass(frozen=True, slots=True)
class ExampleToken:
    """A token of a test: what is in it. ``iss``, ``iat`` and ``exp`` are filled in where it has none."""

    source: Source
    issuer: str
    """The name of a file under ``issuers/``, or ``self``."""
    claims: Claims
    header: Claims
    """Beside ``alg`` and ``kid``; ``typ`` is what most profiles look at."""


@dataclass(frozen=True, slots=True)
class ExampleRequest:
    """What a test's client asks for (RFC 8693 §2.1)."""

    audiences: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    """Without either, the client's ``default_target`` is meant, as in a real request."""
    scopes: tuple[str, ...] | None = None
    """``None`` when the request has no ``scope``."""
    subject_token_type: TokenTypeIdentifier | None = None
    """``None`` is what suits the token's issuer: ``jwt`` for a workload's, otherwise ``access_token``."""
    actor_token_type: TokenTypeIdentifier | None = None
    proof: SenderProof = NO_PROOF
    """What the request counts as having proved to hold."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must come out: a refusal with this reason, or a token; ``None`` is whatever comes out."""

    source: Source
    refuse: str | None = None
    """A reason of ``exchange.errors``; then everything else is ``None``."""
    rules: tuple[str, ...] | None = None
    """The rules that decide, one for each target."""
    scopes: frozenset[str] | None = None
    """Exactly the granted ones."""
    claims: Claims | None = None
    """What the issued token must hold, besides others; a claim that is ``None`` here must be absent."""
    lifetime: int | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True)
class DecisionTest:
    """One decision that must hold."""

    name: str
    source: Source
    client: str
    """Its ``client_id``."""
    subject: ExampleToken
    actor: ExampleToken | None
    request: ExampleRequest
    expect: Expectation


def load_tests(directory: Path) -> tuple[DecisionTest, ...]:
    """Return the tests of ``directory/tests``, in the order of the files; none without such a folder.

    Raises ``PolicyFaults`` with every fault of the test files; the policies' own are not looked at.
    """
    policies = PolicyDirectory(directory)
    policies.read()
    found = policies.read_tests()
    known = _Known(
        clients=frozenset(client_ids(policies)),
        issuers=frozenset({SELF, *(file.name for file in policies.issuers)}),
        rules=frozenset(rule_ids(policies)),
    )
    tests = [test for file in found.tests for test in _read_file(file, known)]
    if faults := found.faults():
        raise PolicyFaults(faults)
    return tuple(tests)


# ── the form ────────────────────────────────────────────────────────────────────────────────────────────────


class RequestedScope(Field):
    """As a request sends it, ``orders:read orders:write``, or as a list. Read as a tuple."""

    def read(self, value: object) -> tuple[str, ...]:
        names = value.split(" ") if isinstance(value, str) else value
        return tuple(read_list(names, "scope", read_scope))


class GrantedScopes(Field):
    """The scopes that are granted; an empty list says that none is. Read as a frozenset."""

    def read(self, value: object) -> frozenset[str]:
        return frozenset(read_list(value, "scope", read_scope) if value != [] else ())


class ReasonName(Field):
    """A reason of the closed set, as callers get it."""

    def read(self, value: object) -> str:
        if isinstance(value, str) and value in REASONS:
            return value
        close = get_close_matches(str(value), REASONS, n=1)
        raise ValidationError(
            f"unknown reason; did you mean {close[0]}?"
            if close
            else "unknown reason; docs/errors.md lists them"
        )


class _TokenSchema(StrictSchema):
    issuer = Name(required=True)
    claims = AnyMapping(required=True)
    header = AnyMapping(load_default=dict)


class _ProofSchema(StrictSchema):
    jkt = Name()
    x5t_s256 = Name()


class _RequestSchema(StrictSchema):
    audience = Names("audience", load_default=())
    resource = Names("resource", load_default=())
    scope = RequestedScope(load_default=None)
    subject_token_type = Choice(*_TOKEN_TYPES)
    actor_token_type = Choice(*_TOKEN_TYPES)
    proof = Section(_ProofSchema)


class _ExpectSchema(StrictSchema):
    refuse = ReasonName()
    rule = Names("rule")
    scope = GrantedScopes()
    claims = AnyMapping()
    lifetime = Duration()


class DecisionTestSchema(StrictSchema):
    name = Text(required=True)
    client = Name(required=True)
    subject = Section(_TokenSchema, required=True)
    actor = Section(_TokenSchema)
    request = Section(_RequestSchema, load_default=lambda: _RequestSchema().load({}))
    expect = Section(_ExpectSchema, required=True)


_TEST = DecisionTestSchema()


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Known:
    """The names that the policies have."""

    clients: frozenset[str]
    issuers: frozenset[str]
    rules: frozenset[str]


def _read_file(file: PolicyFile, known: _Known) -> Iterator[DecisionTest]:
    listed = file.document.data
    if not isinstance(listed, list):
        return
    if not listed:
        file.fault((), "list at least one test")
    first: dict[str, int] = {}
    for index, raw in enumerate(listed):
        loaded = file.load(_TEST, raw, (index,))
        if isinstance(raw, dict):
            _check_name(file, index, raw, first)
            _check_expectation(file, index, raw)
            _check_proof(file, index, raw)
            _check_references(file, index, known)
        if not file.faults:
            yield _test(file, index, loaded)


def _check_name(file: PolicyFile, index: int, raw: Mapping[str, Any], first: dict[str, int]) -> None:
    name = raw.get("name")
    if isinstance(name, str) and (earlier := first.setdefault(name, index)) != index:
        line = file.source((earlier, "name")).line
        file.fault((index, "name"), f"another test, on line {line}, has this name; give every test its own")


def _check_expectation(file: PolicyFile, index: int, raw: Mapping[str, Any]) -> None:
    expected, path = raw.get("expect"), (index, "expect")
    if not isinstance(expected, dict):
        return
    if not expected:
        file.fault(path, "say what must come out: `refuse`, or `rule`, `scope`, `claims`, `lifetime`")
    if "refuse" in expected and len(expected) > 1:
        file.fault(
            (*path, "refuse"), "nothing is issued with a refusal; keep `refuse`, or the others", at_key=True
        )
    if "actor" not in raw and isinstance(raw.get("request"), dict) and "actor_token_type" in raw["request"]:
        file.fault(
            (index, "request", "actor_token_type"), "this test has no `actor`; remove this", at_key=True
        )


def _check_proof(file: PolicyFile, index: int, raw: Mapping[str, Any]) -> None:
    request = raw.get("request")
    if isinstance(request, dict) and request.get("proof") == {}:
        file.fault((index, "request", "proof"), "say what is proved: `jkt`, `x5t_s256` or both")


def _check_references(file: PolicyFile, index: int, known: _Known) -> None:
    check_known(names_at(file, (index, "client")), known.clients, NO_CLIENT)
    for party in ("subject", "actor"):
        check_known(names_at(file, (index, party, "issuer")), known.issuers, NO_ISSUER)
    check_known(names_at(file, (index, "expect", "rule")), known.rules, "no audience has a rule with this id")


def _test(file: PolicyFile, index: int, loaded: Mapping[str, Any]) -> DecisionTest:
    request, expected = loaded["request"], loaded["expect"]
    return DecisionTest(
        name=loaded["name"],
        source=file.source((index,)),
        client=loaded["client"],
        subject=_token(file, (index, "subject"), loaded["subject"]),
        actor=_token(file, (index, "actor"), loaded["actor"]) if "actor" in loaded else None,
        request=ExampleRequest(
            audiences=request["audience"],
            resources=request["resource"],
            scopes=request["scope"],
            subject_token_type=_TOKEN_TYPES.get(request.get("subject_token_type")),
            actor_token_type=_TOKEN_TYPES.get(request.get("actor_token_type")),
            proof=SenderProof(**request.get("proof", {})),
        ),
        expect=Expectation(
            source=file.source((index, "expect")),
            refuse=expected.get("refuse"),
            rules=expected.get("rule"),
            scopes=expected.get("scope"),
            claims=_claims(expected["claims"]) if "claims" in expected else None,
            lifetime=expected.get("lifetime"),
        ),
    )


def _token(file: PolicyFile, path: YamlPath, loaded: Mapping[str, Any]) -> ExampleToken:
    return ExampleToken(
        source=file.source(path),
        issuer=loaded["issuer"],
        claims=_claims(loaded["claims"]),
        header=_claims(loaded["header"]),
    )


def _claims(members: Mapping[str, object]) -> Claims:
    return MappingProxyType({name: frozen(value) for name, value in members.items()})
