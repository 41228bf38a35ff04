"""What the metrics say of the policies, beside the counts of attempts."""

from __future__ import annotations

from pathlib import Path

from exchange.metrics import Metrics
from tests.reload.looking import exchange, metric
from tests.support.idp import FakeIssuer
from tests.support.policies import audience_file, issuer_file, rule, write_policies
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import RunningService

WOULD_HAVE_BEEN = 'exchange_would_have_been_total{{outcome="{}"}}'


def test_trials_are_counted_by_what_would_have_been(tmp_path: Path, idp: FakeIssuer) -> None:
    with FakeIssuer(label="b") as tried:
        policies = write_policies(
            tmp_path / "policies",
            issuer=idp.issuer,
            issuers={"tried": issuer_file(tried.issuer, mode="audit")},
            audiences={"orders": audience_file(rule(subject={"issuer": ["idp", "tried"]}))},
        )
        with RunningService(policies, workers=1) as service:
            for _ in range(2):
                assert_refused(service, exchange(service, tried.access_token()), "issuer_in_audit_mode")
            assert_refused(
                service,
                exchange(service, tried.access_token(scope="other", aud="https://other.example")),
                "subject_token_audience_mismatch",
            )
            assert_issued(service, exchange(service, idp.access_token()))
            assert metric(service, WOULD_HAVE_BEEN.format("permitted")) == 2
            assert metric(service, WOULD_HAVE_BEEN.format("refused")) == 0


def test_policies_that_nobody_serves_any_more_are_not_shown() -> None:
    metrics = Metrics()
    for sha256 in ("a" * 64, "b" * 64, "c" * 64, "b" * 64):
        metrics.policies_in_force(sha256)
    text = metrics.exposition().decode()
    assert [line for line in text.splitlines() if line.startswith("exchange_policies_info{")] == [
        f'exchange_policies_info{{sha256="{"b" * 64}"}} 1.0'
    ]
