"""The outcomes of tests as JUnit XML, which every CI system reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree as ET

from exchange.rehearsal.decision_tests import Outcome

# XML 1.0 §2.2 has no place for most control characters, not even escaped; a test's name may hold some.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(outcomes: Sequence[Outcome], report: dict[str, str]) -> bytes:
    """Return the document: a suite for each file. ``report`` has the text of each failure, by test source."""
    root = ET.Element("testsuites")
    for file, group in groupby(outcomes, key=lambda outcome: outcome.test.source.file):
        listed = list(group)
        failed = sum(bool(outcome.differences) for outcome in listed)
        suite = ET.SubElement(root, "testsuite", name=file, tests=str(len(listed)), failures=str(failed))
        for outcome in listed:
            _case(suite, outcome, report)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _case(suite: ET.Element, outcome: Outcome, report: dict[str, str]) -> None:
    source = outcome.test.source
    case = ET.SubElement(
        suite, "testcase", classname=source.file, name=_text(outcome.test.name), line=str(source.line)
    )
    if outcome.differences:
        message = "; ".join(
            f"{one.what}: expected {one.expected}, got {one.got}" for one in outcome.differences
        )
        failure = ET.SubElement(case, "failure", message=_text(message))
        failure.text = _text(report[str(source)])


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
