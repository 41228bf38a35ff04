"""From the given tokens to a proposal, or to why there is none; every judgement is the service's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from exchange.config.faults import PolicyFaults
from exchange.config.profiles import DEFAULT_PROFILE, shipped_profiles
from exchange.inspection import advice
from exchange.inspection.bench import Bench, Verdict
from exchange.inspection.clock import ALLOWED_SKEW, clock_of_token_off
from exchange.inspection.draft import PLACEHOLDER_AUDIENCE, PLACEHOLDER_TENANT, Draft, DraftLoader
from exchange.inspection.drafting import Known, draft_for, has_audience, strict_draft
from exchange.inspection.fetching import in_words
from exchange.inspection.findings import Finding, wrong
from exchange.inspection.fitting import Candidate, Fit, best_fit, try_candidate
from exchange.inspection.products import recognise, takes_jwts
from exchange.inspection.report import Inspection, Proposal, TokenReport
from exchange.inspection.tokens import Meaning, ReadToken, Taken, Yardsticks, doubt, take
from exchange.outbound import Fetcher
from exchange.trust import KeyCaches

_FETCHED: Final = "fetched"


@dataclass(frozen=True, slots=True)
class _Sorted:
    """The tokens of this issuer, by what they are taken for."""

    taken: tuple[tuple[ReadToken, Taken], ...] = ()

    @property
    def access(self) -> tuple[ReadToken, ...]:
        return tuple(token for token, one in self.taken if one.meaning is Meaning.ACCESS_TOKEN)

    @property
    def others(self) -> tuple[ReadToken, ...]:
        """Whatever is not taken for an access token, what is unknown included: none of it may be let in."""
        return tuple(token for token, one in self.taken if one.meaning is not Meaning.ACCESS_TOKEN)

    @property
    def compared(self) -> bool:
        """There is an ID token, or what looks like one, to be told from the access token."""
        return any(one.meaning is Meaning.ID_TOKEN for _, one in self.taken)

    @property
    def surely_compared(self) -> bool:
        return any(one.meaning is Meaning.ID_TOKEN and one.sure for _, one in self.taken)

    @property
    def surely_access(self) -> bool:
        return all(one.sure for _, one in self.taken if one.meaning is Meaning.ACCESS_TOKEN)

    def of(self, token: ReadToken) -> Taken | None:
        return next((one for known, one in self.taken if known is token), None)


class Proposer:
    """Tries the profiles on the tokens; what comes of it goes into ``report``.

    ``name`` is that of the file to propose, ``only`` the one profile to try, if any.
    """

    def __init__(
        self,
        report: Inspection,
        known: Known,
        *,
        name: str,
        load: DraftLoader,
        only: str | None,
        fetcher: Fetcher,
        clock: Callable[[], float],
    ) -> None:
        self._report = report
        self._known = known
        self._name = name
        self._load = load
        self._only = only
        self._clock = clock
        self._profiles = shipped_profiles()
        self._product = recognise(known.issuer, known.metadata, self._profiles)
        self._fetches: list[str] = []
        self._caches = KeyCaches(fetcher, observe=lambda _label, outcome: self._fetches.append(outcome))

    def propose(self, tokens: Sequence[ReadToken], *, may_propose: bool) -> None:
        """Say what becomes of each token, and propose a file where one fits and ``may_propose``."""
        self._report.findings.extend(advice.about_product(self._product, self._profiles, self._only))
        strict = self._bench(strict_draft(self._known))
        if strict is None:
            return
        by_kind = self._sort(tokens, strict)
        self._known = replace(self._known, access=by_kind.access)
        fits = [
            try_candidate(candidate, by_kind.access, by_kind.others, self._product)
            for candidate in self._candidates()
        ]
        if by_kind.access:
            self._report.fits = sorted(fits, key=lambda fit: (not fit.fits, fit.rank, fit.candidate.name))
        chosen = self._choose(fits, by_kind, given=bool(tokens))
        # What this IdP did not sign shows nothing about it.
        strict = self._bench(strict_draft(self._known)) or strict
        signed = all(strict.validate(token).signature_verified for token in by_kind.access)
        if chosen is not None and may_propose and signed:
            self._propose(chosen, fits, by_kind)
        bench, judged_by = (
            (chosen.candidate.bench, chosen.candidate.name) if chosen else (strict, DEFAULT_PROFILE)
        )
        self._judge(tokens, by_kind, bench, judged_by)

    def _bench(self, draft: Draft) -> Bench | None:
        """Return the draft loaded; ``None`` where the loader refuses it, as it does a profile of another
        product.
        """
        try:
            policies = self._load(draft)
        except PolicyFaults as faults:
            if draft.profile in {self._only, DEFAULT_PROFILE}:
                text = "; ".join(f"{fault.path}: {fault.message}" for fault in faults.faults)
                self._report.findings.append(wrong("profile", "does_not_load", f"{draft.profile}: {text}"))
            return None
        return Bench(policies, self._caches, self._clock)

    def _candidates(self) -> Iterator[Candidate]:
        for name, shipped in self._profiles.by_name.items():
            if takes_jwts(shipped) and self._only in {None, name}:
                draft = draft_for(self._known, name, shipped)
                bench = self._bench(draft)
                if bench is not None:
                    about = shipped.profile
                    patterned = shipped.issuers is not None
                    yield Candidate(name, about.title, about.weak, patterned, draft, bench)

    def _sort(self, tokens: Sequence[ReadToken], strict: Bench) -> _Sorted:
        own = [token for token in tokens if token.unreadable is None and self._is_ours(token)]
        for token in tokens:
            if token.unreadable is not None:
                self._report.findings.append(advice.about_unreadable(token, self._known.metadata))
            elif token not in own:
                self._report.findings.append(advice.about_foreign(token, self._known.issuer))
        if not own:
            return _Sorted()
        sound = [candidate for candidate in self._candidates() if candidate.weak is None]
        products = self._product.known + self._product.supposed
        yardsticks = Yardsticks(
            strict=strict.issuer,
            of_the_product=tuple(one.bench.issuer for one in sound if one.name in products),
            others=tuple(one.bench.issuer for one in sound if one.name not in products),
        )
        taken = doubt([(token, take(token, yardsticks)) for token in own])
        for token, one in taken:
            self._report.findings.extend(advice.about_taken(token, one))
            self._report.findings.extend(advice.about_type(token, one.meaning))
        return _Sorted(taken)

    def _is_ours(self, token: ReadToken) -> bool:
        if token.issuer == self._known.issuer:
            return True
        tenants = token.texts("tid") if self._known.many_tenants else ()
        return any(token.issuer == self._known.issuer.replace("{tenant}", tenant) for tenant in tenants)

    def _choose(self, fits: Sequence[Fit], by_kind: _Sorted, *, given: bool) -> Fit | None:
        """Return the profile to propose, or say why there is none."""
        findings = self._report.findings
        if any(finding.code in advice.STOPS for finding in findings):
            return None
        if not by_kind.access:
            return self._choose_unseen(fits, given=given)
        chosen = best_fit(fits)
        if chosen is None:
            findings.extend(advice.about_no_fit(fits, by_kind.access, by_kind.others))
        elif self._is_of_another_product(chosen):
            findings.append(advice.about_another_product(chosen))
            return None
        elif chosen.candidate.weak is not None and not by_kind.surely_compared:
            findings.append(advice.about_weak_unproven(chosen))
            return None
        elif not (chosen.surely or by_kind.compared or by_kind.surely_access):
            findings.append(advice.about_unsure(chosen))
            return None
        return chosen

    def _is_of_another_product(self, fit: Fit) -> bool:
        """Tell whether only its look speaks for a profile, and the endpoints for another product."""
        supposed = self._product.supposed
        return bool(supposed) and fit.candidate.name not in supposed and not fit.surely and self._only is None

    def _choose_unseen(self, fits: Sequence[Fit], *, given: bool) -> Fit | None:
        """Without an access token only the product's own profile can be right, or else the strictest one.

        With other tokens than that nothing is proposed: they were given to be told from one.
        """
        product, findings = self._product, self._report.findings
        own = self._only or next(iter((*product.known, *product.supposed)), DEFAULT_PROFILE)
        chosen = next((fit for fit in fits if fit.candidate.name == own), None)
        unknown_product = product.title is not None and not product.known and self._only is None
        if given or chosen is None or unknown_product or chosen.candidate.weak is not None:
            findings.append(advice.about_no_access_token())
            return None
        findings.append(advice.about_nothing_seen(chosen.candidate.name))
        return chosen

    def _propose(self, chosen: Fit, fits: Sequence[Fit], by_kind: _Sorted) -> None:
        draft, bench, findings = chosen.candidate.draft, chosen.candidate.bench, self._report.findings
        # What was chosen is asked once more, as the service would: a file that lets one of these in is none.
        let_in = tuple((token, "accepted") for token in by_kind.others if bench.validate(token).accepted)
        if let_in:
            findings.extend(
                advice.about_no_fit([replace(chosen, let_in=let_in)], by_kind.access, by_kind.others)
            )
            return
        if by_kind.access:
            findings.extend(advice.about_fit(chosen, fits, compared=by_kind.compared))
        if PLACEHOLDER_AUDIENCE in draft.audience or PLACEHOLDER_TENANT in draft.tenants:
            findings.append(advice.about_placeholder())
        if PLACEHOLDER_TENANT in draft.tenants or self._keys_are_found(bench):
            self._report.proposal = Proposal(self._name, chosen.candidate.name, draft.yaml(self._name))

    def _keys_are_found(self, bench: Bench) -> bool:
        """Have the service itself find the keys, by the file that is to be proposed."""
        self._caches.for_source(bench.issuer.keys, self._name).prefetch()
        if _FETCHED in self._fetches:
            return True
        cause = self._fetches[-1] if self._fetches else "timeout"
        text = f"the service does not get the keys by this file: {in_words(cause)}"
        self._report.findings.append(wrong("keys", "keys_not_found", text))
        return False

    def _judge(self, tokens: Sequence[ReadToken], by_kind: _Sorted, bench: Bench, judged_by: str) -> None:
        """Ask the service about every token, and say what is wrong with those that it should accept."""
        for token in tokens:
            taken = by_kind.of(token)
            verdict = bench.validate(token) if token.unreadable is None else None
            self._report.tokens.append(TokenReport(token, taken, verdict, judged_by))
            if verdict is not None and token in by_kind.access:
                self._report.findings.extend(self._faults_of(token, verdict, bench))

    def _faults_of(self, token: ReadToken, verdict: Verdict, bench: Bench) -> Iterator[Finding]:
        claim, ahead = bench.issuer.audience_claim, issued_ahead(token, self._clock())
        if not has_audience(token, claim):
            yield advice.about_audience(token, claim)
        if ahead > ALLOWED_SKEW:
            yield clock_of_token_off(ahead, skew=ALLOWED_SKEW)
        if self._report.proposal is not None or not verdict.signature_verified:
            yield from advice.about_verdict(token, verdict, bench.validate_in_its_time(token))


def issued_ahead(token: ReadToken, now: float) -> float:
    """Return by how many seconds ``iat`` is ahead of ``now``; negative in the past, and without one."""
    issued_at = token.claims.get("iat")
    return issued_at - now if isinstance(issued_at, int) else -now
