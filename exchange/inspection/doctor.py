"""One inspection from beginning to end: what ``exchange issuer inspect`` runs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchange.inspection.clock import ALLOWED_SKEW, compare_clocks
from exchange.inspection.discovery import Discovered, discover
from exchange.inspection.draft import DraftLoader
from exchange.inspection.drafting import Known, name_for
from exchange.inspection.fetching import Door, in_words
from exchange.inspection.findings import Level, note, wrong
from exchange.inspection.keys import KeysSeen, look_at_keys
from exchange.inspection.proposing import Proposer
from exchange.inspection.report import Inspection
from exchange.inspection.tokens import GivenToken, ReadToken, read_token
from exchange.outbound import Fetcher, FetchFailed

_TENANT: Final = "{tenant}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the operator gave."""

    url: str
    """The issuer identifier, or the address of its metadata."""
    tokens: tuple[GivenToken, ...] = ()
    audience: tuple[str, ...] = ()
    name: str | None = None
    """Of the proposed file."""
    profile: str | None = None
    """The only one to try."""
    allow_insecure_http: bool = False
    allow_private_network: bool = False


def inspect_issuer(
    asked: Asked, *, fetcher: Fetcher | None = None, clock: Callable[[], float] = time.time
) -> Inspection:
    """Return all that can be found out about the IdP at ``asked.url``; what fails is a finding, and never
    raised.

    ``clock`` gives seconds since the epoch.
    """
    fetcher = fetcher or Fetcher()
    report = Inspection(asked.url, clock())
    door = Door.open(
        fetcher,
        allow_insecure_http=asked.allow_insecure_http,
        allow_private_network=asked.allow_private_network,
    )
    found = discover(asked.url, door)
    if found.url is not None:
        report.findings.append(compare_clocks(door.date, now=clock(), skew=ALLOWED_SKEW))
    tokens = [read_token(given) for given in asked.tokens]
    jwks_uri = _adopt_other_issuer(found, tokens)
    report.issuer = found.issuer
    report.findings.extend(found.findings)
    keys = _look_at_keys(found, door, report)
    if found.fetchable:
        known, name = _known(asked, found, keys, jwks_uri), asked.name or name_for(found.issuer)
        with tempfile.TemporaryDirectory(prefix="exchange-inspect-") as directory:
            load = DraftLoader(Path(directory), name)
            proposer = Proposer(
                report, known, name=name, load=load, only=asked.profile, fetcher=fetcher, clock=clock
            )
            proposer.propose(tokens, may_propose=not _is_blocked(found, report))
    return report


def _adopt_other_issuer(found: Discovered, tokens: Sequence[ReadToken]) -> str | None:
    """Return where the keys are if the metadata is rightly another issuer's: ``found`` is that issuer's then.

    Azure AD B2C has its metadata at an address that names a policy, and an issuer that does not. The operator
    named the address, its origin is the issuer's, and a token says the same; its signature is verified later.
    """
    if found.otherwise is None or not any(token.issuer == found.otherwise for token in tokens):
        return None
    found.findings = [finding for finding in found.findings if finding.code != "issuer_mismatch"]
    text = (
        f"the metadata is not where the issuer {found.otherwise} says, so its keys are named in the file; a"
        f" token"
        " names the same issuer"
    )
    found.findings.append(note("discovery", "keys_named", text))
    found.issuer, found.believed = found.otherwise, True
    return found.jwks_uri


def _look_at_keys(found: Discovered, door: Door, report: Inspection) -> KeysSeen:
    if found.jwks_uri is None:
        return KeysSeen((), ())
    try:
        keys = look_at_keys(door.get(found.jwks_uri))
    except FetchFailed as failed:
        text = f"{found.jwks_uri}: {in_words(failed.cause)}"
        keys = KeysSeen((), (wrong("keys", "keys_unreachable", text),))
    report.keys = keys.keys
    report.findings.extend(keys.findings)
    return keys


def _known(asked: Asked, found: Discovered, keys: KeysSeen, jwks_uri: str | None) -> Known:
    return Known(
        issuer=found.issuer.replace(found.placeholder, _TENANT) if found.placeholder else found.issuer,
        metadata=found.metadata,
        access=(),
        audience=asked.audience,
        key_algorithms=keys.algorithms,
        jwks_uri=jwks_uri,
        allow_insecure_http=asked.allow_insecure_http and found.issuer.startswith("http://"),
        allow_private_network=asked.allow_private_network,
    )


def _is_blocked(found: Discovered, report: Inspection) -> bool:
    """Nobody is to be trusted by keys that cannot be had, or by the word of another issuer's metadata."""
    return not found.believed or any(
        finding.level is Level.WRONG and finding.about in {"discovery", "keys"}
        for finding in report.findings
        if finding.code != "issuer_mismatch"  # of a slash alone, where the metadata is believed
    )
