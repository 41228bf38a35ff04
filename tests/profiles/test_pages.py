"""``docs/profiles/NAME.md``: short, in one form, and with an issuer's file that loads as it stands."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.docs.pages import blocks, section
from tests.profiles.token_files import PAGES, data, profiles
from tests.support.shapes import load_issuers

SECTIONS = ["At the IdP", "What its tokens look like", "The issuer file", "When a token is refused"]
MOST_LINES = 60
every_page = pytest.mark.parametrize(
    "profile", [name for name in profiles() if (PAGES / f"{name}.md").exists()]
)


def page(profile: str) -> str:
    return (PAGES / f"{profile}.md").read_text("utf-8")


@every_page
def test_a_page_has_the_parts_of_every_page_and_is_short(profile):
    text = page(profile)
    assert text.startswith("# ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert len(text.splitlines()) <= MOST_LINES


@every_page
def test_the_issuer_file_of_a_page_loads_as_it_stands(profile):
    (text,) = blocks(page(profile), "yaml")
    assert text in section(page(profile), "The issuer file")
    file: dict[str, Any] = yaml.safe_load(text)
    assert file.get("profile") == profile
    assert load_issuers({profile: text})
    if "weak" in data(profile):
        assert file["accept_weak_marker"] is True


INDEX = (PAGES / "README.md").read_text("utf-8")
ROWS = {
    match[1]: match[0] for match in re.finditer(r"^\| \[`([a-z0-9-]+)`\]\(\1\.md\) \|.*", INDEX, re.MULTILINE)
}


def test_the_index_has_a_row_for_each_profile_and_for_no_other():
    assert sorted(ROWS) == list(profiles())
    assert INDEX.count("\n| [`") == len(ROWS)


def test_the_index_says_which_profiles_are_weak_and_which_never_accept():
    never = section(INDEX, "Never")
    asking = section(INDEX, "Profiles that ask the issuer")
    assert {name for name, row in ROWS.items() if "| weak" in row} == {
        n for n in profiles() if "weak" in data(n)
    }
    assert {name for name, row in ROWS.items() if row in never} == {
        n for n in profiles() if "never" in data(n)
    }
    assert {name for name, row in ROWS.items() if row in asking} == {
        n for n in profiles() if "introspection" in data(n)
    }
