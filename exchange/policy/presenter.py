"""Who may present this subject token: the backend that it was sent to, or issued to."""

from __future__ import annotations

from exchange.config.values import Rule
from exchange.errors import Refusal
from exchange.policy.question import Question, is_ours
from exchange.policy.trace import TraceRecorder


def check_presenter(rule: Rule, question: Question, trace: TraceRecorder) -> None:
    """Refuse a client that presents somebody else's token, found or stolen: ``presenter_mismatch``.

    Two empty sets never meet: a token without an audience was sent to nobody.
    """
    presented, expected = _compared(rule, question)
    held = rule.presenter == "any" or not presented.isdisjoint(expected)
    trace.checked("presenter", rule.presenter, ("token", presented), ("client", expected), held=held)
    if not held:
        raise Refusal("presenter_mismatch", detail=f"rule {rule.id}, presenter: {rule.presenter}")


def _compared(rule: Rule, question: Question) -> tuple[frozenset[str], frozenset[str]]:
    client, subject = question.client, question.subject
    if rule.presenter != "authorized_party":
        return subject.audience, client.audience
    # What an IdP calls this client may be another's client_id here, by which alone our tokens know clients.
    own_name = frozenset({client.client_id})
    return subject.authorized_party, own_name if is_ours(subject) else client.authorized_party
