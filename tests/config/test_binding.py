"""Which conditions leave strangers out of an issuer that everybody shares."""

from __future__ import annotations

import re

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from exchange.claim_path import ClaimPath
from exchange.config.binding import (
    SHARED_ISSUERS,
    _literal_beginnings,
    binds_subject,
    leaves_strangers_out,
    shared_issuer,
)
from exchange.matchers import Condition, compile_matcher

GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.com"
CIRCLECI = "https://oidc.circleci.com/org/5f0d6c3e-8a1b-4c2d-9e7f-0a1b2c3d4e5f"
BUILDKITE = "https://agent.buildkite.com"
GOOGLE = "https://accounts.google.com"
PERSONAL = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"

BINDING = [
    (GITHUB, "repository_owner_id", "1234567"),
    (GITHUB, "repository_owner_id", {"one_of": ["1", "2"]}),
    (GITHUB, "/repository_owner_id", {"equals": "1234567"}),
    (GITHUB, "repository_id", "74"),
    (GITHUB, "enterprise_id", "7"),
    (GITHUB, "sub", "repo:acme/shop:ref:refs/heads/main"),
    (GITHUB, "sub", "job_workflow_ref:acme/shop/.github/workflows/x.yml@refs/heads/main"),
    (GITHUB, "sub", {"prefix": "repo:acme/"}),
    (GITHUB, "sub", {"prefix": "repo:acme@123456/shop@74:"}),
    (GITHUB, "sub", {"glob": "repo:acme/*:ref:refs/heads/main"}),
    (GITHUB, "sub", {"pattern": r"repo:acme/(shop|web):ref:refs/heads/.*"}),
    (GITHUB, "sub", {"pattern": r"^repo:acme/shop:.*|repo:acme/web:.*"}),
    (GITHUB, "sub", {"prefix": "repository_owner_id:1234567:"}),
    (GITLAB, "namespace_id", "72"),
    (GITLAB, "project_id", "20"),
    (GITLAB, "sub", {"glob": "project_path:acme/*"}),
    (CIRCLECI, "oidc.circleci.com/org-id", "5f0d6c3e-8a1b-4c2d-9e7f-0a1b2c3d4e5f"),
    (CIRCLECI, "oidc.circleci.com/project-id", "0b9e8d7c-6a5f-4e3d-8c2b-1a0f9e8d7c6b"),
    (CIRCLECI, "sub", {"prefix": "org/5f0d6c3e-8a1b-4c2d-9e7f-0a1b2c3d4e5f/"}),
    (BUILDKITE, "organization_id", "0184990a-477b-4fa8-9968-496074483cee"),
    (BUILDKITE, "pipeline_id", "0184990a-477b-4fa8-9968-496074483cee"),
    (BUILDKITE, "sub", {"prefix": "organization:acme:pipeline:deploy:"}),
    (GOOGLE, "sub", "110000000000000000099"),
    (GOOGLE, "hd", "acme.example"),
    (GOOGLE, "/google/compute_engine/project_id", "acme-project"),
    (PERSONAL, "oid", "00000000-0000-4000-8000-00000000f001"),
]
BINDING_NOBODY = [
    (GITHUB, "repository", "acme/shop"),
    (GITHUB, "repository_owner", "acme"),
    (GITHUB, "ref", "refs/heads/main"),
    (GITHUB, "environment", "production"),
    (GITHUB, "aud", "https://exchange.acme.example"),
    (GITHUB, "actor_id", "12"),
    (GITHUB, "run_id", "9"),
    (GITHUB, "repository_owner_id", {"present": True}),
    (GITHUB, "repository_owner_id", {"present": False}),
    (GITHUB, "repository_owner_id", {"type": "string"}),
    (GITHUB, "repository_owner_id", {"prefix": "12"}),
    (GITHUB, "repository_owner_id", {"glob": "*"}),
    (GITHUB, "repository_owner_id", {"pattern": "[0-9]+"}),
    (GITHUB, "repository_owner_id", {"contains": "12"}),
    (GITHUB, "/x/repository_owner_id", "12"),
    (GITHUB, "sub", {"glob": "*"}),
    (GITHUB, "sub", {"glob": "repo:*"}),
    (GITHUB, "sub", {"glob": "repo:acme*"}),
    (GITHUB, "sub", {"glob": "repo:*/shop:*"}),
    (GITHUB, "sub", {"glob": "*:ref:refs/heads/main"}),
    (GITHUB, "sub", {"prefix": "repo:"}),
    (GITHUB, "sub", {"prefix": "repo:acme"}),
    (GITHUB, "sub", {"pattern": ".*"}),
    (GITHUB, "sub", {"pattern": "repo:[^/]+/shop:.*"}),
    (GITHUB, "sub", {"pattern": "repo:acme.*"}),
    (GITHUB, "sub", {"pattern": "repo:acme/?.*"}),
    (GITHUB, "sub", {"pattern": "repo:acme/shop:.*|.*"}),
    (GITHUB, "sub", {"pattern": "repo:acme/shop|repo:[^/]+/web:.*"}),
    (GITHUB, "sub", {"pattern": r"repo:acme/x\Q(\E|repo:[^/]+/y"}),
    (GITHUB, "sub", {"pattern": r"repo:acme/x[(]|repo:[^/]+/y"}),
    (GITHUB, "sub", {"pattern": "(?i)repo:acme/.*"}),
    (GITHUB, "sub", {"present": True}),
    (GITHUB, "sub", {"type": "string"}),
    (GITLAB, "sub", {"prefix": "project_path:"}),
    (GITLAB, "project_path", "acme/shop"),
    (GITLAB, "namespace_path", "acme"),
    (GITLAB, "user_id", "1"),
    (CIRCLECI, "aud", "5f0d6c3e-8a1b-4c2d-9e7f-0a1b2c3d4e5f"),
    (CIRCLECI, "oidc.circleci.com/vcs-origin", "github.com/acme/shop"),
    (CIRCLECI, "sub", {"prefix": "org/"}),
    (BUILDKITE, "organization_slug", "acme"),
    (BUILDKITE, "sub", {"glob": "organization:*"}),
    (GOOGLE, "sub", {"prefix": "11"}),
    (GOOGLE, "email", "robot@acme.example"),
    (PERSONAL, "tid", "9188040d-6c67-4c5b-b112-36a304b66dad"),
]


def condition(claim: str, spec: object) -> Condition:
    return Condition(ClaimPath.parse(claim), compile_matcher(spec))


@pytest.mark.parametrize(("issuer", "claim", "spec"), BINDING)
def test_a_condition_that_names_whose_it_is_leaves_strangers_out(issuer, claim, spec):
    shared = shared_issuer(issuer)
    assert shared is not None
    assert leaves_strangers_out([condition("aud", "x"), condition(claim, spec)], shared)


@pytest.mark.parametrize(("issuer", "claim", "spec"), BINDING_NOBODY)
def test_a_condition_that_a_stranger_can_meet_binds_nobody(issuer, claim, spec):
    shared = shared_issuer(issuer)
    assert shared is not None
    assert not leaves_strangers_out([condition(claim, spec)], shared)
    assert not leaves_strangers_out([], shared)


@pytest.mark.parametrize(
    "issuer",
    [
        f"{GITHUB}/octocorp",
        "https://gitlab.com/",
        "https://oidc.circleci.com",
        "https://app.terraform.io",
        "accounts.google.com",
        "https://login.microsoftonline.com/common/v2.0",
        "https://sts.windows.net/organizations/",
    ],
)
def test_an_issuer_that_strangers_share_is_known(issuer):
    assert shared_issuer(issuer)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://gitlab.example.com",
        "https://gitlab.com.example",
        "https://github.example.com/_services/token",
        "https://token.actions.acme.ghe.com",
        "https://kubernetes.default.svc",
        "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
    ],
)
def test_an_issuer_of_one_s_own_is_not_shared(issuer):
    assert shared_issuer(issuer) is None


NARROWING = [
    ("sub", "system:serviceaccount:shop:bff"),
    ("sub", {"prefix": "system:serviceaccount:shop:"}),
    ("sub", {"pattern": "spiffe://acme[.]example/ns/shop/.*"}),
    ("sub", {"prefix": "spiffe://acme.example/ns/shop/"}),
    ("/kubernetes.io/namespace", "shop"),
    ("/kubernetes.io/serviceaccount/uid", "u3"),
    ("/kubernetes.io/serviceaccount/name", {"one_of": ["bff", "web"]}),
    ("repository", "acme/shop"),
    ("project_path", {"prefix": "acme/"}),
    ("namespace_id", "72"),
]
NOT_NARROWING = [
    ("sub", {"present": True}),
    ("sub", {"glob": "*"}),
    ("sub", {"prefix": "system:serviceaccount:"}),
    ("sub", {"glob": "system:serviceaccount:*:*"}),
    ("sub", {"prefix": "spiffe://acme.example/"}),
    ("sub", {"glob": "spiffe://acme.example/*"}),
    ("sub", {"pattern": r"spiffe://acme\.example/.*"}),
    ("/kubernetes.io/namespace", {"type": "string"}),
    ("aud", "https://exchange.acme.example"),
    ("ref_protected", "true"),
]


@pytest.mark.parametrize(("claim", "spec"), NARROWING)
def test_at_an_issuer_of_one_s_own_a_name_is_enough(claim, spec):
    assert binds_subject([condition(claim, spec)])


@pytest.mark.parametrize(("claim", "spec"), NOT_NARROWING)
def test_what_every_workload_of_it_meets_narrows_nothing(claim, spec):
    assert not binds_subject([condition(claim, spec)])


PIECES = st.sampled_from(
    ["a", "b", ":", "/", r"\.", ".", "*", "?", "+", "|", "(", ")", "[ab]", "[(]", r"\(", "{2}", "^", "$"]
)


@given(st.lists(PIECES, max_size=8).map("".join), st.text("ab:/.(", max_size=8))
def test_what_a_pattern_matches_begins_as_one_of_its_alternatives_does(pattern, text):
    """Less may be found than there is, and never more: else a stranger's subject would pass for bound."""
    try:
        matched = re2.compile(pattern).fullmatch(text)
    except re2.error:
        return
    if matched:
        assert any(text.startswith(beginning) for beginning in _literal_beginnings(pattern))


def test_the_table_s_patterns_are_whole_and_have_their_dots_escaped():
    for shared in SHARED_ISSUERS:
        assert not re.search(r"(?<!\\)\.(?![*])", shared.issuers.pattern), shared.title
