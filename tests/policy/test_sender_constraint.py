"""To whom an issued token is bound, and what a target wants (RFC 9449 §6, RFC 8705 §3, RFC 7800 §3.1)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from exchange.model import NO_PROOF, SenderProof
from tests.policy.values import (
    BILLING,
    ORDERS,
    SERVER,
    Question,
    actor,
    ask,
    reason,
    request,
    rule,
    target,
    token,
)

KEY, CERTIFICATE, BOTH = SenderProof("k"), SenderProof(None, "c"), SenderProof("k", "c")
BOUND_TO = {
    "nothing": None,
    "key": {"jkt": "k"},
    "certificate": {"x5t#S256": "c"},
    "both": {"jkt": "k", "x5t#S256": "c"},
}


def decide(constraint, proof, **changes):
    return ask(targets=(target(rule(), sender_constraint=constraint),), proof=proof, **changes)


def cnf(decision):
    confirmation = decision.permit_or_refuse().confirmation
    return dict(confirmation) if confirmation is not None else None


@pytest.mark.parametrize(
    ("constraint", "proof", "expected"),
    [
        ("none", NO_PROOF, None),
        ("none", KEY, {"jkt": "k"}),
        ("none", CERTIFICATE, None),
        ("none", BOTH, {"jkt": "k"}),
        ("dpop", KEY, {"jkt": "k"}),
        ("dpop", BOTH, {"jkt": "k"}),
        ("mtls", CERTIFICATE, {"x5t#S256": "c"}),
        ("mtls", BOTH, {"jkt": "k", "x5t#S256": "c"}),
        ("any", KEY, {"jkt": "k"}),
        ("any", CERTIFICATE, {"x5t#S256": "c"}),
        ("any", BOTH, {"jkt": "k"}),
    ],
)
def test_a_token_is_bound_to_what_is_proved_and_wanted(constraint, proof, expected):
    assert cnf(decide(constraint, proof)) == expected


@pytest.mark.parametrize(
    ("constraint", "proof"),
    [("dpop", NO_PROOF), ("dpop", CERTIFICATE), ("mtls", NO_PROOF), ("mtls", KEY), ("any", NO_PROOF)],
)
def test_a_target_that_wants_a_bound_token_gets_no_other(constraint, proof):
    decision = decide(constraint, proof)
    assert reason(decision) == "sender_constraint_required"
    assert decision.refusal.detail == f"orders: {constraint}"


@pytest.mark.parametrize(("bound", "constraint"), list(product(BOUND_TO, ("none", "dpop", "mtls", "any"))))
def test_a_constraint_is_never_dropped(bound, constraint):
    confirmation = BOUND_TO[bound]
    issued = cnf(decide(constraint, BOTH, subject=token(confirmation=confirmation)))
    assert (confirmation or {}).items() <= issued.items()


def test_a_token_that_is_bound_to_a_certificate_stays_so_where_nobody_wants_it():
    bound = token(confirmation={"x5t#S256": "c"})
    assert cnf(decide("none", CERTIFICATE, subject=bound)) == {"x5t#S256": "c"}


def test_what_an_actor_token_is_bound_to_is_kept_too():
    bound = actor(confirmation={"x5t#S256": "c"})
    assert cnf(decide("none", CERTIFICATE, actor=bound)) == {"x5t#S256": "c"}


@pytest.mark.parametrize(
    ("constraints", "proof", "expected"),
    [
        (("none", "dpop"), KEY, {"jkt": "k"}),
        (("dpop", "none"), KEY, {"jkt": "k"}),
        (("dpop", "mtls"), BOTH, {"jkt": "k", "x5t#S256": "c"}),
        (("any", "mtls"), CERTIFICATE, {"x5t#S256": "c"}),
        (("none", "dpop"), NO_PROOF, None),
        (("dpop", "none"), CERTIFICATE, None),
        (("dpop", "mtls"), KEY, None),
        (("dpop", "mtls"), CERTIFICATE, None),
    ],
)
def test_of_several_targets_each_gets_what_it_wants(constraints, proof, expected):
    first, second = constraints
    targets = (
        target(rule(), sender_constraint=first),
        target(
            rule(id="bills"),
            name="billing",
            audience=BILLING,
            resources=frozenset(),
            sender_constraint=second,
        ),
    )
    decision = Question(
        targets=targets,
        request=request(audiences=(ORDERS, BILLING)),
        proof=proof,
        server=replace(SERVER, max_targets=2),
    ).decide()
    if expected is None:
        assert reason(decision) == "sender_constraint_required"
    else:
        assert cnf(decision) == expected


def test_the_trace_says_what_was_wanted_and_what_was_proved():
    decision = decide("any", NO_PROOF)
    (check,) = [check.to_json() for check in decision.trace.checks if check.name == "sender_constraint"]
    assert check == {
        "name": "sender_constraint",
        "text": "any",
        "held": False,
        "value": {"proved": [], "bound_to": []},
    }
    (check,) = [
        check.to_json() for check in decide("mtls", BOTH).trace.checks if check.name == "sender_constraint"
    ]
    assert check["value"] == {"proved": ["jkt", "x5t#S256"], "bound_to": ["jkt", "x5t#S256"]}


def test_where_nothing_is_wanted_bound_or_proved_there_is_nothing_to_trace():
    assert "sender_constraint" not in [check.name for check in decide("none", NO_PROOF).trace.checks]


def test_the_presenter_is_looked_at_first():
    decision = decide("dpop", NO_PROOF, subject=token(audience=frozenset({"https://other.example"})))
    assert reason(decision) == "presenter_mismatch"


def test_a_trial_knows_what_is_proved():
    trial = rule(id="trial", mode="audit")
    bound = target(
        trial,
        rule(id="no", deny="nobody", clients=None, scopes={}, subject_claims={}),
        sender_constraint="dpop",
    )
    without = ask(targets=(bound,), proof=NO_PROOF).trace.would_have_been
    with_proof = ask(targets=(bound,), proof=KEY).trace.would_have_been
    assert without.reason == "sender_constraint_required"
    assert with_proof.rules == ("trial",)


def test_the_record_of_a_decision_says_what_was_proved_and_bound():
    decision = decide("dpop", KEY, subject=token(confirmation={"jkt": "k"}))
    record = decision.decided_on.to_json()
    assert record["proof"] == {"jkt": "k"}
    assert record["subject"]["cnf"] == {"jkt": "k"}
    assert "proof" not in decide("none", NO_PROOF).decided_on.to_json()
