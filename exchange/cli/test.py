"""``exchange test``: the decisions in ``policies/tests/``, by the code that serves requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from exchange.cli.given import FAULT, faulty, loaded_policies, policies_directory
from exchange.config.faults import PolicyFaults
from exchange.config.test_file import DecisionTest, load_tests
from exchange.config.values import Policies
from exchange.rehearsal.decision_tests import Coverage, Outcome, coverage, run
from exchange.rehearsal.explanation import explain
from exchange.rehearsal.junit import junit
from exchange.rehearsal.rehearse import Rehearsal
from exchange.rehearsal.text import readable_explanation


@click.command("test")
@click.argument("directory", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@click.option(
    "--junit", "junit_file", metavar="FILE", type=click.Path(path_type=Path), help="Write JUnit XML."
)
@click.option(
    "--coverage-min",
    metavar="PERCENT",
    type=click.IntRange(0, 100),
    default=0,
    help="Fail when tests decide by fewer of the rules than this.",
)
def command(directory: Path | None, junit_file: Path | None, coverage_min: int) -> None:
    """Run the tests of the policies in DIR ($EXCHANGE_POLICIES, or policies).

    Exits with 0 when every decision comes out as expected, 1 when one does not, 2 when the policies or the
    tests have faults. Nothing is fetched, issued or recorded.
    """
    directory = policies_directory(directory)
    policies, tests, now = loaded_policies(directory), _tests(directory), time.time()
    rehearsal = Rehearsal.of_claims(policies, now=now)
    outcomes = [run(test, rehearsal, policies, now=now) for test in tests]
    report = {str(outcome.test.source): _failure(outcome, policies, now) for outcome in outcomes}
    for outcome in outcomes:
        _print(outcome, report)
    covered = coverage(outcomes, policies)
    failed = sum(bool(outcome.differences) for outcome in outcomes)
    _summarise(directory, len(outcomes), failed, covered)
    if junit_file is not None:
        _write(junit_file, outcomes, report)
    raise SystemExit(1 if failed or covered.percent < coverage_min else 0)


def _tests(directory: Path) -> tuple[DecisionTest, ...]:
    try:
        return load_tests(directory)
    except PolicyFaults as faults:
        raise faulty(faults) from None


def _print(outcome: Outcome, report: dict[str, str]) -> None:
    source = outcome.test.source
    click.echo(f"{'FAIL' if outcome.differences else 'ok':4}  {source}: {outcome.test.name}")
    if outcome.differences:
        click.echo("\n".join(f"      {line}".rstrip() for line in report[str(source)].splitlines()))


def _failure(outcome: Outcome, policies: Policies, now: float) -> str:
    if not outcome.differences:
        return ""
    width = max(len(one.what) for one in outcome.differences)
    lines = [
        line
        for one in outcome.differences
        for line in (
            f"{one.what:{width}}  expected  {one.expected}",
            f"{'':{width}}  got       {one.got}",
        )
    ]
    return "\n".join((*lines, "", readable_explanation(explain(outcome.answer, policies, now=now))))


def _summarise(directory: Path, tests: int, failed: int, covered: Coverage) -> None:
    for rule in covered.never:
        click.echo(f"no test decides by {rule.id}  ({rule.source})")
    rules = len(covered.decided) + len(covered.never)
    click.echo(
        f"{directory}: {tests} tests, {failed} failed; they decide by {len(covered.decided)} of {rules} rules"
    )


def _write(file: Path, outcomes: Sequence[Outcome], report: dict[str, str]) -> None:
    try:
        file.write_bytes(junit(outcomes, report))
    except OSError as error:
        click.echo(f"--junit: the file cannot be written: {error.strerror}", err=True)
        raise SystemExit(FAULT) from None
