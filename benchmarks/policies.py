"""What many issuers and rules cost: ``python benchmarks/policies.py`` prints a table and writes JSON.

Everything is measured in one run, in turns, and told as a ratio to the smallest case: the machine may be shared, and
an absolute time says little about another machine.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from exchange.config.audience_file import _rules_by_client  # noqa: E402
from exchange.config.load import load  # noqa: E402
from exchange.config.values import Policies  # noqa: E402
from exchange.model import PresentedToken, Role, Secret, TokenExchangeRequest, TokenTypeIdentifier  # noqa: E402
from exchange.outbound import Fetcher  # noqa: E402
from exchange.policy.decide import PolicyDecider  # noqa: E402
from exchange.tokens.validate import TokenValidator  # noqa: E402
from exchange.trust import KeyCaches, TrustedIssuers  # noqa: E402
from tests.support import keys  # noqa: E402
from tests.support.policies import AUDIENCE, SECRET_CLIENT, issuer_file, write_policies  # noqa: E402
from tests.support.service import RunningService  # noqa: E402

ISSUER = "https://login.acme.example"
ROUNDS = 15
CALLS = 300
RULES = (1, 100, 100_000)
ISSUERS = (1, 10_000)


def main() -> None:
    """Measure, print, and write ``benchmarks/results/policies.json``."""
    with tempfile.TemporaryDirectory() as directory:
        one = _policies(Path(directory) / "one", 1)
        figures = {
            "decide, by rules of the target": _decide(load(one, environ={})),
            "validate, by issuers": _validate(load(one, environ={})),
            "load and memory, by issuer files": _load(Path(directory), one),
        }
    for title, rows in figures.items():
        _print(title, rows)
    results = REPOSITORY / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    (results / "policies.json").write_text(json.dumps(figures, indent=2) + "\n")


def _policies(directory: Path, issuers: int) -> Path:
    jwks = {"jwks": {"keys": [keys.public_jwk("RS256", "a")]}}
    files = {
        f"idp-{number}": issuer_file(f"https://idp-{number}.example", keys=jwks)
        for number in range(1, issuers)
    }
    return write_policies(directory, issuer=ISSUER, issuers={"idp": issuer_file(ISSUER, keys=jwks), **files})


def _decide(policies: Policies) -> list[dict[str, Any]]:
    target = policies.targets[AUDIENCE]
    client = policies.clients[SECRET_CLIENT]
    (rule,) = [rule for rule in target.rules if rule.clients and SECRET_CLIENT in rule.clients]
    validator = _validator(policies, 1)
    subject = validator(PresentedToken(_token(), Role.SUBJECT))
    request = TokenExchangeRequest(_token(), TokenTypeIdentifier.ACCESS_TOKEN, audiences=(AUDIENCE,))
    cases: dict[int, Callable[[], object]] = {}
    for count in RULES:
        others = (replace(rule, id=f"r{n}", clients=frozenset({f"c{n}"})) for n in range(count - 1))
        rules = (*others, rule)
        many = replace(target, rules=rules, rules_by_client=MappingProxyType(_rules_by_client(rules)))
        targets = MappingProxyType(dict.fromkeys(policies.targets, many))
        decider = PolicyDecider(replace(policies, targets=targets))
        cases[count] = lambda decider=decider: decider(request, client, subject, None)  # type: ignore[misc]
    return _compared(cases, "rules")


def _validate(policies: Policies) -> list[dict[str, Any]]:
    token = _token()
    cases: dict[int, Callable[[], object]] = {}
    for count in ISSUERS:
        validator = _validator(policies, count)
        cases[count] = lambda validator=validator: validator(PresentedToken(token, Role.SUBJECT))  # type: ignore[misc]
    return _compared(cases, "issuers")


def _validator(policies: Policies, count: int) -> TokenValidator:
    issuer = policies.issuers[ISSUER]
    others = {
        f"https://idp-{number}.example": replace(
            issuer, name=f"idp-{number}", issuer=f"https://idp-{number}.example"
        )
        for number in range(1, count)
    }
    issuers = TrustedIssuers(MappingProxyType({**others, ISSUER: issuer}), KeyCaches(Fetcher()))
    return TokenValidator(issuers=issuers, server=policies.server, clock=time.time)


def _token() -> Secret:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "sub": "ada",
        "aud": "https://shop.example",
        "client_id": "shop-web",
        "scope": "orders.read orders.write",
        "iat": now,
        "exp": now + 3600,
        "jti": "1",
    }
    return Secret(keys.sign(claims, header={"typ": "at+jwt"}))


def _compared(cases: Mapping[int, Callable[[], object]], what: str) -> list[dict[str, Any]]:
    seconds: dict[int, list[float]] = {count: [] for count in cases}
    for case in cases.values():
        case()
    for _ in range(ROUNDS):  # in turns, so that a busy moment hits every case
        for count, case in cases.items():
            begin = time.perf_counter()
            for _ in range(CALLS):
                case()
            seconds[count].append((time.perf_counter() - begin) / CALLS)
    base = min(cases)
    return [
        {
            what: count,
            "microseconds": round(statistics.median(found) * 1e6, 1),
            "ratio": round(statistics.median(a / b for a, b in zip(found, seconds[base], strict=True)), 3),
        }
        for count, found in seconds.items()
    ]


def _load(directory: Path, one: Path) -> list[dict[str, Any]]:
    many = _policies(directory / "many", ISSUERS[-1])
    rows = []
    for count, policies in zip(ISSUERS, (one, many), strict=True):
        begin = time.perf_counter()
        load(policies, environ={})
        loaded = time.perf_counter() - begin
        rows.append({"issuers": count, "load seconds": round(loaded, 2), **_started(policies)})
    return rows


def _started(policies: Path) -> dict[str, Any]:
    """Start the service on ``policies``, change one file, and say how long each took and what a worker weighs."""
    begin = time.perf_counter()
    with RunningService(policies, workers=2) as service:
        ready = time.perf_counter() - begin
        megabytes = [_unique_megabytes(pid) for pid in _children(service.pid)]
        before = service.get("/readyz").json()["checks"]["policies"]["sha256"]
        path = policies / "issuers" / "idp.yaml"
        path.write_text(path.read_text() + "max_token_age: 1h\n")
        begin = time.perf_counter()
        while service.get("/readyz").json()["checks"]["policies"]["sha256"] == before:
            time.sleep(0.05)
        reloaded = time.perf_counter() - begin
    return {
        "ready after seconds": round(ready, 2),
        "reloaded after seconds": round(reloaded, 2),
        "unique MB a worker": round(statistics.mean(megabytes), 1),
    }


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _unique_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def _print(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{title}")
    print("  " + "  ".join(f"{name:>22}" for name in rows[0]))
    for row in rows:
        print("  " + "  ".join(f"{value:>22}" for value in row.values()))


if __name__ == "__main__":
    main()
