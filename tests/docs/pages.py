"""What can be read out of a page: its code blocks, its tables, its headings and its links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.support.service import REPOSITORY

DOCS = REPOSITORY / "docs"
_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_POLICY_FILE = re.compile(r"# (?P<path>policies/[\w/.-]+\.yaml)(?P<spoilt>, with (?:faults|dangers))?\n")
_KEY_FILE = re.compile(r"^`(policies/keys/[\w.-]+)`:\n\n```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CHECK = "$ exchange check policies\n"


def page(name: str) -> str:
    """Return the text of a page of ``docs/``."""
    return (DOCS / name).read_text()


def all_pages() -> list[Path]:
    """Return the Markdown files that a reader is meant to find."""
    return [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced code blocks of one language, in order."""
    return [match["text"] for match in _BLOCK.finditer(text) if match["language"] == language]


def code(text: str) -> str:
    """Return the code of a page, blocks and inline."""
    inline = re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text))
    return "\n".join([*(match["text"] for match in _BLOCK.finditer(text)), *inline])


def section(text: str, heading: str) -> str:
    """Return what stands under a heading of the second level."""
    return re.split(r"^## ", text.split(f"\n## {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """Return what stands in backticks in the first cell of each row of the tables."""
    rows = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as they are made on GitHub."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@dataclass(frozen=True)
class Spoilt:
    """A file that a page shows with its faults or dangers, and what it says comes out of the check."""

    path: str
    text: str
    output: str


def policy_files(text: str) -> dict[str, str]:
    """Return the files of the directory that a page shows: YAML by the path in its first line, and key files."""
    marked = ((block, _POLICY_FILE.match(block)) for block in blocks(text, "yaml"))
    files = {found["path"]: block for block, found in marked if found and not found["spoilt"]}
    return {**files, **dict(_KEY_FILE.findall(text))}


def spoilt_files(text: str) -> list[Spoilt]:
    """Return the spoilt files, each with the output that follows it."""
    found = [(match["language"], match["text"]) for match in _BLOCK.finditer(text)]
    spoilt = []
    for (_, block), (_, output) in pairwise(found):
        marked = _POLICY_FILE.match(block)
        if marked and marked["spoilt"]:
            assert output.startswith(_CHECK), output
            spoilt.append(Spoilt(marked["path"], block, output.removeprefix(_CHECK)))
    return spoilt


def write(files: dict[str, str], directory: Path) -> Path:
    """Write the files below ``directory`` and return its ``policies``."""
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return directory / "policies"
