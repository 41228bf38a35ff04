"""Joined subjects: two different subjects never share one string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tokens.subject import join, name_subject

part = st.text(alphabet=st.sampled_from("ab|\\"), min_size=1, max_size=5) | st.text(min_size=1, max_size=5)
several = st.lists(part, min_size=1, max_size=4)


def test_the_example_of_the_configuration_language():
    assert name_subject("acme", ["u1"], "qualified").qualified == "acme|u1"


def test_a_single_claim_is_copied_and_escaped_only_where_it_is_joined():
    named = name_subject("acme", ["auth0|5f"], "qualified")
    assert (named.text, named.qualified) == ("auth0|5f", r"acme|auth0\|5f")
    assert name_subject("acme", ["auth0|5f"], "plain").qualified == "auth0|5f"


def test_several_claims_are_joined_in_the_order_of_the_file():
    named = name_subject("entra", ["tenant", "object"], "qualified")
    assert (named.text, named.qualified) == ("tenant|object", "entra|tenant|object")
    assert name_subject("entra", ["tenant", "object"], "plain").qualified == "tenant|object"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a|b", "c"], ["a", "b|c"]),
        (["a\\", "b"], ["a", "\\b"]),
        (["a\\|b"], ["a\\", "b"]),
        (["a|b"], ["a", "b"]),
    ],
)
def test_a_separator_inside_a_part_forges_no_other_subject(one, other):
    assert join(one) != join(other)


@given(several, several)
def test_joining_is_injective(one, other):
    assert (join(one) == join(other)) == (one == other)


@given(st.tuples(part, several), st.tuples(part, several))
def test_two_subjects_of_any_issuers_never_share_a_qualified_subject(one, other):
    same = name_subject(*one, "qualified").qualified == name_subject(*other, "qualified").qualified
    assert same == (one == other)
