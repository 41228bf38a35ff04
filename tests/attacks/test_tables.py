"""The tables of the modules here that are named after a section: what they name exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.service import REPOSITORY

HERE = Path(__file__).parent
TABLES = sorted(HERE.glob("test_rfc*_section*.py"))
TESTS = REPOSITORY / "tests"


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def test_there_are_tables() -> None:
    assert len(TABLES) >= 3


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_test_and_file_that_a_table_names_exists(path: Path) -> None:
    defined = {
        name
        for file in TESTS.glob("*/test_*.py")
        for name in re.findall(r"def (test_\w+)\(", file.read_text())
    }
    named = re.findall(r"``([^`]+)``", docstring(path))
    tests = {name for name in named if name.startswith("test_")}
    files = {name for name in named if "/" in name}

    assert tests
    assert tests <= defined
    assert [name for name in files if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_section_that_is_said_to_be_tested_here_is(path: Path) -> None:
    text = path.read_text()
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in docstring(path).splitlines() if "|" in row
    ]
    here = [re.search(r"[\d.]+$", cells[0]) for cells in rows if re.search(r"\bhere\b", cells[-1])]

    numbers = {found[0].replace(".", "_") for found in here if found}
    assert len(numbers) >= 5
    assert [number for number in numbers if f"def test_{number}_" not in text] == []
