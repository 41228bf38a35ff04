"""``exchange schema``: JSON Schemas of the files of policies, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from exchange.config.json_schema import NAMES, json_schema


@click.command("schema")
@click.argument("name", required=False, type=click.Choice(NAMES))
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), help="Write the schemas into this directory."
)
@click.option(
    "--check",
    is_flag=True,
    help="Only compare: exit 1 if a schema in --dir (policies/schema) is out of date.",
)
def command(name: str | None, directory: Path | None, *, check: bool) -> None:
    """Print the JSON Schema of one kind of file, or of all of them by name.

    A YAML file names its schema in its first line: # yaml-language-server: $schema=../schema/issuer.json
    """
    names = (name,) if name else NAMES
    if check:
        _check(directory or Path("policies/schema"), names)
    elif directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        for one in names:
            (directory / f"{one}.json").write_text(json_schema(one), encoding="utf-8")
    elif name:
        click.echo(json_schema(name), nl=False)
    else:
        click.echo(
            json.dumps({one: json.loads(json_schema(one)) for one in names}, indent=2, ensure_ascii=False)
        )


def _check(directory: Path, names: tuple[str, ...]) -> None:
    stale = [path for path in (directory / f"{one}.json" for one in names) if not _is_current(path)]
    for path in stale:
        click.echo(f"{path} is out of date: run `exchange schema --dir {directory}`")
    if stale:
        raise SystemExit(1)


def _is_current(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8") == json_schema(path.stem)
    except OSError:
        return False
