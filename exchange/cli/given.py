"""What the commands that rehearse are given: policies, tokens and claims, from arguments and files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import click

from exchange.config.load import PolicyFaults, load
from exchange.config.values import Policies
from exchange.model import Claims
from exchange.settings import Settings
from exchange.strict_json import InvalidJson, parse_object

FAULT: Final = 2
"""Exit code for usage, and for policies with faults; click's own for usage is the same."""
_MAX_FILE: Final = 1024 * 1024
_STANDARD_INPUT: Final = "-"


def policies_directory(given: Path | None) -> Path:
    """Return the directory that was named, or the service's own ($EXCHANGE_POLICIES, or policies)."""
    return given or Settings.from_environ(os.environ).policies


def loaded_policies(directory: Path, environ: Mapping[str, str] | None = None) -> Policies:
    """Return the policies; prints their faults and exits with 2 when there are any."""
    try:
        return load(directory, environ=os.environ if environ is None else environ)
    except PolicyFaults as faults:
        raise faulty(faults) from None


def faulty(faults: PolicyFaults) -> SystemExit:
    """Print the faults, and return the exit for the caller to raise."""
    for fault in faults.faults:
        click.echo(str(fault), err=True)
    return SystemExit(FAULT)


def given_text(value: str, option: str) -> str:
    """Return ``value``, or what is in the file that it names after an ``@``; ``@-`` is standard input."""
    if not value.startswith("@"):
        return value
    try:
        if value[1:] == _STANDARD_INPUT:
            return sys.stdin.read(_MAX_FILE)
        with Path(value[1:]).open(encoding="utf-8") as file:
            return file.read(_MAX_FILE)
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise click.UsageError(f"{option}: the file cannot be read: {cause}") from None


def log_lines(audit: Path) -> Iterator[str]:
    """Yield the lines of an audit log; exits with 2 when it cannot be read."""
    try:
        with audit.open(encoding="utf-8", errors="replace") as log:
            yield from (line for line in log if line.strip())
    except OSError as error:
        click.echo(f"--audit: the file cannot be read: {error.strerror}", err=True)
        raise SystemExit(FAULT) from None


def given_object(value: str, option: str) -> Claims:
    """Return the JSON object that ``value`` is or names, read as strictly as a token's."""
    try:
        return parse_object(given_text(value, option))
    except InvalidJson as invalid:
        raise click.UsageError(f"{option}: not one JSON object: {invalid}") from None
