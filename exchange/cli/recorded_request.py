"""``exchange explain --audit LOG --request-id ID``: what was answered, and what would be answered now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from exchange.cli.given import log_lines
from exchange.config.values import Policies
from exchange.rehearsal.explanation import Explanation, explain_record, explain_replayed
from exchange.rehearsal.recorded import CannotReplay, read_record, recorded_decision
from exchange.rehearsal.replay import Replay


def explain_again(audit: Path, request_id: str, policies: Policies) -> Explanation:
    """Return what the log says of the request, and how ``policies`` decide it.

    ``outcome`` is that of ``policies``, or the recorded one where it cannot be decided again. Exits with 2
    when the log does not have it.
    """
    record = _found(audit, request_id)
    recorded: Explanation = {
        "request_id": request_id,
        "time": record.get("time"),
        "recorded": explain_record(record),
    }
    try:
        replayed = Replay(policies)(recorded_decision(record))
    except CannotReplay as cannot:
        return {**recorded, "outcome": record.get("outcome"), "not_decided_again": cannot.cause}
    return {**recorded, **explain_replayed(replayed)}


def _found(audit: Path, request_id: str) -> Mapping[str, Any]:
    for line in log_lines(audit):
        if request_id in line:  # before the line is parsed: logs are long
            try:
                record = read_record(line)
            except CannotReplay:
                continue
            if record.get("request_id") == request_id:
                return record
    raise click.UsageError("--request-id: the log has no such request")
