"""One record per attempt, refusals included, as a JSON line (promise 9 of the service).

The attempt is opened before the request is read and written before the answer leaves, on return and on
raise. If it cannot be written the exchange fails: a token that nobody can account for is not handed out. A
record never holds a token, a secret or another server's answer; tokens appear as SHA-256 digests.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from exchange.errors import Refusal
from exchange.model import NO_PROOF, IssuedToken, TokenExchangeRequest, VerifiedToken

Clock = Callable[[], float]
"""Returns seconds since the epoch."""

_MAX_NAME = 256
_NAME_THAT_IS_A_URI = re.compile(r"(?:https?://|urn:|api://|spiffe://)[A-Za-z0-9._~:/\[\]-]+")


class Traced(Protocol):
    """The trace of a decision: every rule and condition that was looked at."""

    @property
    def rule(self) -> str | None:
        """The rule that decided, if one did."""

    def to_json(self) -> object: ...


class Recordable(Protocol):
    """What a decision was made on, as far as it may be recorded."""

    def to_json(self) -> object: ...


class Attempt:
    """What is known of one request so far. Rooms fill it in only with what they have proved."""

    def __init__(self, request_id: str, started: float) -> None:
        self.request_id = request_id
        self.started = started
        self.policies: str | None = None
        self.client_address: str | None = None
        self.client_id: str | None = None
        self.client_authentication: str | None = None
        self.workload: VerifiedToken | None = None
        self.request: TokenExchangeRequest | None = None
        self.proof = NO_PROOF
        self.subject: VerifiedToken | None = None
        self.actor: VerifiedToken | None = None
        self.trace: Traced | None = None
        self.decided_on: Recordable | None = None
        self.issued: IssuedToken | None = None
        self.refusal: Refusal | None = None

    @property
    def outcome(self) -> str:
        """``issued``, ``refused`` (the request's fault) or ``failed`` (ours, or a peer's)."""
        if self.refusal is None:
            return "issued"
        return "failed" if self.refusal.reason.status >= 500 else "refused"  # noqa: PLR2004  # HTTP's own border

    @property
    def reason(self) -> str:
        """The slug of the refusal; empty when a token was issued."""
        return self.refusal.reason.slug if self.refusal else ""

    def record(self, finished: float) -> dict[str, object]:
        """Return the audit record; absent members were never reached."""
        parts: dict[str, object | None] = {
            "time": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="milliseconds"),
            "event": "token_exchange",
            "request_id": self.request_id,
            "outcome": self.outcome,
            **_refusal(self.refusal),
            "client_address": self.client_address,
            "client_id": self.client_id,
            "client_authentication": self.client_authentication,
            "client_assertion": _token(self.workload),
            "request": _request(self.request),
            "proof": self.proof.as_confirmation() or None,
            "subject": _token(self.subject),
            "actor": _token(self.actor),
            "rule": self.trace.rule if self.trace else None,
            "trace": self.trace.to_json() if self.trace else None,
            "decided_on": self.decided_on.to_json() if self.decided_on else None,
            "issued": _issued(self.issued),
            "policies": self.policies,
            "duration_us": round((finished - self.started) * 1_000_000),
        }
        return {name: value for name, value in parts.items() if value is not None}


class AuditTrail:
    """Opens attempts and writes each once."""

    def __init__(
        self, *, write: Callable[[bytes], None], count: Callable[[Attempt, float], None], clock: Clock
    ) -> None:
        """``write`` takes one whole line; ``count`` takes the attempt and its seconds, for the metrics."""
        self._write = write
        self._count = count
        self._clock = clock

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Record whatever happens inside, exactly once.

        A ``Refusal`` passes through as it is. Any other exception is recorded as ``internal_error`` and
        passes through too: the edge decides what a client may see.
        """
        attempt = Attempt(request_id=secrets.token_hex(16), started=self._clock())
        try:
            yield attempt
        except Refusal as refusal:
            attempt.refusal = refusal
            raise
        except Exception as error:
            attempt.refusal = Refusal("internal_error", detail=type(error).__name__)
            raise
        finally:
            self._finish(attempt)

    def _finish(self, attempt: Attempt) -> None:
        finished = self._clock()
        line = json.dumps(attempt.record(finished), separators=(",", ":"), ensure_ascii=True)
        try:
            self._write(line.encode("ascii") + b"\n")
        except OSError as error:
            attempt.refusal = Refusal("internal_error", detail=type(error).__name__)
            raise
        finally:
            self._count(attempt, max(0.0, finished - attempt.started))


def loggable(name: str) -> str:
    """Return a requested name if it can only be a name, else a placeholder.

    A caller may paste a token or a secret into the wrong parameter; what is not plainly a URI is not
    written down.
    """
    if len(name) <= _MAX_NAME and "eyJ" not in name and _NAME_THAT_IS_A_URI.fullmatch(name):
        return name
    return "(not recorded)"


def _refusal(refusal: Refusal | None) -> dict[str, object | None]:
    if refusal is None:
        return {}
    reason = refusal.reason
    return {"reason": reason.slug, "error": reason.error, "status": reason.status, "detail": refusal.detail}


def _request(request: TokenExchangeRequest | None) -> dict[str, object] | None:
    if request is None:
        return None
    parts: dict[str, object] = {"subject_token_type": request.subject_token_type.value}
    if request.audiences:
        parts["audience"] = [loggable(name) for name in request.audiences]
    if request.resources:
        parts["resource"] = [loggable(name) for name in request.resources]
    return parts


def _token(token: VerifiedToken | None) -> dict[str, object] | None:
    if token is None:
        return None
    parts: dict[str, object | None] = {
        "issuer": token.issuer_name,
        "sub": token.subject,
        "jti": token.token_id,
        "kind": token.kind.value,
        "evidence": token.evidence,
        "expires_at": token.expires_at,
        "sha256": token.sha256,
    }
    return {name: value for name, value in parts.items() if value is not None}


def _issued(issued: IssuedToken | None) -> dict[str, object] | None:
    if issued is None:
        return None
    return {
        "claims": dict(issued.claims),
        "issued_token_type": issued.issued_token_type.value,
        "sha256": issued.sha256,
    }
