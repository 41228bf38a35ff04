"""``exchange diff``: the decisions of an audit log, made again by candidate policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from exchange.cli.given import loaded_policies, log_lines
from exchange.rehearsal.changes import Tally, recorded_result, replayed_result
from exchange.rehearsal.recorded import CannotReplay, read_record, recorded_decision
from exchange.rehearsal.replay import Replay


@click.command("diff")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--audit", metavar="LOG", required=True, type=click.Path(path_type=Path), help="Audit records.")
@click.option(
    "--policies",
    "current",
    metavar="CURRENT",
    type=click.Path(path_type=Path),
    help="Compare with what these policies decide, and not with what was recorded.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(directory: Path, audit: Path, current: Path | None, *, as_json: bool) -> None:
    """Say which decisions of the audit log the policies in DIR would change.

    Exits with 0 when none would change, 1 when some would, 2 when the policies have faults or the log cannot
    be read. Requests that were refused before policy was asked are counted, and not made again.
    """
    candidate = Replay(loaded_policies(directory))
    baseline = Replay(loaded_policies(current)) if current is not None else None
    tally = Tally()
    for line in log_lines(audit):
        _replay(line, candidate, baseline, tally)
    click.echo(json.dumps(tally.to_json(), indent=2) if as_json else _text(tally.to_json()))
    raise SystemExit(1 if tally.counts else 0)


def _replay(line: str, candidate: Replay, baseline: Replay | None, tally: Tally) -> None:
    try:
        recorded = recorded_decision(read_record(line))
        after = replayed_result(candidate(recorded))
        before = recorded_result(recorded.answer) if baseline is None else replayed_result(baseline(recorded))
    except CannotReplay as cannot:
        tally.not_replayed[cannot.cause] += 1
    else:
        tally.add(recorded, before, after)


def _text(report: Mapping[str, Any]) -> str:
    lines = []
    for change in report["changes"]:
        lines.append(f"{change['count']} of client {change['client_id']}")
        lines += [f"  {line}" for line in change["what"]]
        lines += [f"  before  {change['before']}", f"  after   {change['after']}"]
        lines.append(f"  such as {', '.join(change['request_ids'])}")
    lines.append(f"{report['replayed']} decisions made again, {report['changed']} come out otherwise")
    lines += [f"{count} not made again: {cause}" for cause, count in report["not_replayed"].items()]
    return "\n".join(lines)
