"""A file for ``policies/issuers/`` before it is proposed: written out, and read by the real loader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchange.config.load import load
from exchange.config.values import Policies

PLACEHOLDER_AUDIENCE: Final = "https://replace-me.example"
PLACEHOLDER_TENANT: Final = "00000000-0000-0000-0000-000000000000"
_PLAIN: Final = re.compile(r"https?://[A-Za-z0-9._~/:-]*[A-Za-z0-9_~/-]|[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_NOT_TEXT: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})


@dataclass(frozen=True, slots=True)
class Draft:
    """What an issuer's file is to say; whatever is not said here the profile says."""

    issuer: str
    profile: str
    audience: tuple[str, ...]
    weak: str | None = None
    """Why the profile's marker is weak, which the file then accepts."""
    algorithms: tuple[str, ...] = ()
    client: str | None = None
    tenants: tuple[str, ...] = ()
    """``issuer`` then has ``{tenant}`` in it."""
    tenant_claim: str = "tid"
    jwks_uri: str | None = None
    """Where the keys are, when discovery does not lead there."""
    allow_insecure_http: bool = False
    allow_private_network: bool = False

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield each line of the file, and the comment that goes with it."""
        yield f"issuer: {_scalar(self.issuer)}", ""
        yield f"profile: {self.profile}", ""
        if self.weak:
            yield "accept_weak_marker: true", f"weak: {self.weak}"
        yield "audience:", "a token must be meant for one of these names of your backend"
        for name in self.audience:
            yield f"  - {_scalar(name)}", _to_replace(name)
        if self.tenants:
            allowed = f"tenant: {{claim: {self.tenant_claim}, allow: {_flow(self.tenants)}}}"
            yield allowed, "".join(map(_to_replace, self.tenants))
        yield from self._settings()

    def _settings(self) -> Iterator[tuple[str, str]]:
        if self.algorithms:
            yield f"algorithms: {_flow(self.algorithms)}", ""
        if self.jwks_uri:
            yield f"keys: {{jwks_uri: {json.dumps(self.jwks_uri)}}}", ""
        if self.client:
            yield f"client: {{claim: {_scalar(self.client)}}}", ""
        if self.allow_insecure_http:
            yield "allow_insecure_http: true", "loopback alone, and never in production"
        if self.allow_private_network:
            yield "allow_private_network: true", ""

    def yaml(self, name: str) -> str:
        """Return the text of ``issuers/NAME.yaml``."""
        head = [
            f"# policies/issuers/{name}.yaml, proposed by `exchange issuer inspect`.",
            f"# `{name}` becomes part of the subjects that are issued: choose it once.",
        ]
        body = [
            f"{line}  # {' '.join(comment.split())}" if comment else line for line, comment in self.lines()
        ]
        return "\n".join([*head, *body, ""])


def _to_replace(name: str) -> str:
    return "REPLACE this" if name in {PLACEHOLDER_AUDIENCE, PLACEHOLDER_TENANT} else ""


def _scalar(text: str) -> str:
    """Return YAML for a string that may come from a stranger: quoted and escaped, unless it is plainly
    harmless.
    """
    harmless = _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT
    return text if harmless else json.dumps(text)


def _flow(texts: tuple[str, ...]) -> str:
    return f"[{', '.join(_scalar(text) for text in texts)}]"


class DraftLoader:
    """Loads drafts, one at a time, as policies that hold nothing else; ``directory`` is empty and its own."""

    def __init__(self, directory: Path, name: str) -> None:
        for section in ("issuers", "clients", "audiences"):
            (directory / section).mkdir()
        (directory / "server.yaml").write_text("issuer: https://exchange.invalid\n", encoding="utf-8")
        self._directory = directory
        self._name = name
        self._loaded: dict[Draft, Policies] = {}

    def __call__(self, draft: Draft) -> Policies:
        """Return what the service's own loader makes of ``issuers/NAME.yaml``; raises ``PolicyFaults``."""
        if draft not in self._loaded:
            file = self._directory / "issuers" / f"{self._name}.yaml"
            file.write_text(draft.yaml(self._name), encoding="utf-8")
            self._loaded[draft] = load(self._directory, environ={}, label=Path("policies"))
        return self._loaded[draft]
