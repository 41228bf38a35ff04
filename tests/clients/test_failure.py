"""The causes are a closed set, each with a test of its own, and none has a face of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exchange.clients.failure import AuthenticationFailure, authentication_failed
from tests.clients.desk import PUBLIC_FACE


@pytest.mark.parametrize("cause", AuthenticationFailure)
def test_every_cause_has_the_one_public_face(cause):
    refusal = authentication_failed(cause)
    assert (refusal.reason.error, refusal.reason.status, refusal.reason.description) == PUBLIC_FACE
    assert (refusal.detail, refusal.retry_after) == (cause.value, None)
    assert cause.value not in str(refusal)


@pytest.mark.parametrize("cause", AuthenticationFailure)
def test_every_cause_is_brought_about_by_a_test(cause):
    written = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert f'"{cause.value}"' in written


def test_causes_are_slugs():
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", cause.value) for cause in AuthenticationFailure)
