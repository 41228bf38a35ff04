"""``exchange check``: every fault of the policies, and every danger, with file and line."""

from __future__ import annotations

import os
from pathlib import Path

import click

from exchange.config.dangers import find_dangers
from exchange.config.directory import PolicyDirectory
from exchange.config.faults import Fault, PolicyFaults
from exchange.config.load import load_with_files
from exchange.config.test_file import load_tests
from exchange.config.values import Policies


@click.command("check")
@click.argument("directory", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Exit 1 on dangers too.")
def command(directory: Path | None, *, strict: bool) -> None:
    """Check the policies in DIR ($EXCHANGE_POLICIES, or policies).

    Exits with 1 when there is a fault: the service would not start with it, unless it is one of tests/.
    """
    directory = directory or Path(os.environ.get("EXCHANGE_POLICIES") or "policies")
    policies, files, tests = _loaded(directory)
    dangers = find_dangers(policies, files)
    for danger in dangers:
        click.echo(f"warning: {danger}")
    click.echo(_summary(directory, policies, tests))
    if strict and dangers:
        raise SystemExit(1)


def _loaded(directory: Path) -> tuple[Policies, PolicyDirectory, int]:
    """Return the policies and the number of their tests, or print every fault of both and exit with 1."""
    faults: list[Fault] = []
    tests = 0
    try:
        tests = len(load_tests(directory))
    except PolicyFaults as found:
        faults.extend(found.faults)
    try:
        policies, files = load_with_files(directory, environ=os.environ)
    except PolicyFaults as found:
        faults.extend(found.faults)
    if not faults:
        return policies, files, tests
    for fault in sorted(faults):
        click.echo(str(fault))
    raise SystemExit(1)


def _summary(directory: Path, policies: Policies, tests: int) -> str:
    audiences = {target.name: target for target in policies.targets.values()}
    counted = (
        _count(len({issuer.name for issuer in policies.issuers.values()}), "issuer"),
        _count(len(policies.clients), "client"),
        _count(len(audiences), "audience"),
        _count(sum(len(target.rules) for target in audiences.values()), "rule"),
        *([_count(tests, "test")] if tests else []),
    )
    return f"{directory}: {', '.join(counted)}: no faults"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
