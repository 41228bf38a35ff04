"""What docs/trust-a-new-idp.md and docs/issuer-requirements.md show and name is what there is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.cli import main
from exchange.config.issuer_file import MAX_TOKEN_LIFETIME
from exchange.errors import REASONS
from exchange.jose import ASYMMETRIC_ALGORITHMS
from tests.docs.pages import first_cells, page, section
from tests.inspection.clinic import SpokenFor
from tests.inspection.realm import SHOWN, realm, write_tokens
from tests.support.service import REPOSITORY

PAGE = page("trust-a-new-idp.md")
REQUIREMENTS = page("issuer-requirements.md")
_COMMAND = re.compile(r"^```\n\$ (exchange [^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MADE_ANEW = re.compile(r"\d+(?= s\b)|\d+(?= other profiles)")


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpokenFor]:
    with realm() as running:
        yield running


def spoken(text: str) -> str:
    """The text without what is made anew and without the breaks of its lines, which hang on the length of a port."""
    return " ".join(_MADE_ANEW.sub("N", text).split())


def test_what_is_shown_comes_out(idp: SpokenFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tokens(idp, tmp_path)
    monkeypatch.chdir(tmp_path)
    shown = _COMMAND.findall(PAGE)

    assert len(shown) == 2
    for command, text in shown:
        result = CliRunner().invoke(main, shlex.split(command.replace(SHOWN, idp.origin))[1:])
        real = spoken(result.output.replace(idp.origin, SHOWN))
        place = 0
        for part in filter(None, (spoken(part) for part in text.split("…"))):
            assert part in real[place:]
            place = real.index(part, place) + len(part)
        assert place == len(real)
        assert result.exit_code == (0 if "proposed:" in text else 1)


def test_every_finding_has_its_row() -> None:
    sources = "\n".join(path.read_text() for path in (REPOSITORY / "exchange" / "inspection").glob("*.py"))
    codes = set(re.findall(r'\b(?:ok|note|wrong)\(\s*(?:_ABOUT|"\w+"),\s*"(\w+)"', sources))
    rows = section(PAGE, "What is found, and what to do")

    assert len(codes) > 40
    assert {name for name in first_cells(rows) if name != "…"} == codes


def test_every_requirement_names_a_reason_that_exists() -> None:
    rows = re.findall(r"^\| [^|]+ \| [^|]+ \| ([^|]+) \|$", REQUIREMENTS, re.MULTILINE)
    named = set(re.findall(r"`(subject_token_\w+|issuer_\w+)`", REQUIREMENTS))

    assert all("`" in cell or "loader" in cell for cell in rows if set(cell) != {"-"} and cell != "otherwise")
    assert {name for name in named if name != "subject_token_"} <= set(REASONS)


def test_the_numbers_are_those_of_the_code() -> None:
    assert MAX_TOKEN_LIFETIME == 25 * 3600
    ends = {f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in (256, 384, 512)}
    assert ends | {"EdDSA"} == ASYMMETRIC_ALGORITHMS
