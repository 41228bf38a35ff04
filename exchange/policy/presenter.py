"""Who may present this subject token: the backend that it was sent to, or issued to."""

from __future__ import annotations

from exchange.config.values import RegisteredClient, Rule
from exchange.errors import Refusal
from exchange.model import VerifiedToken
from exchange.policy.trace import TraceRecorder


def check_presenter(
    rule: Rule, client: RegisteredClient, subject: VerifiedToken, trace: TraceRecorder
) -> None:
    """Refuse a client that presents somebody else's token, found or stolen: ``presenter_mismatch``.

    Two empty sets never meet: a token without an audience was sent to nobody.
    """
    presented, expected = _compared(rule, client, subject)
    held = rule.presenter == "any" or not presented.isdisjoint(expected)
    trace.checked("presenter", rule.presenter, ("token", presented), ("client", expected), held=held)
    if not held:
        raise Refusal("presenter_mismatch", detail=f"rule {rule.id}, presenter: {rule.presenter}")


def _compared(
    rule: Rule, client: RegisteredClient, subject: VerifiedToken
) -> tuple[frozenset[str], frozenset[str]]:
    if rule.presenter == "authorized_party":
        return subject.authorized_party, client.authorized_party
    return subject.audience, client.audience
