"""Print what the shipped profiles make of the corpus: ``python -m tests.corpus.report``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tests.corpus.shapes import (
    Case,
    cases,
    issuers,
    own_token,
    swapped,
    verdict,
)
from tests.profiles.token_files import local_profiles
from tests.support.shapes import FORM_REASONS, KIND_REASONS

KINDS = ("access_token", "id_token", "other")


def own(profile: str) -> Counter[tuple[str, str]]:
    """Count (kind, verdict) of the cases whose product has this profile, as their product makes them."""
    return Counter((case.kind, verdict(own_token(case))) for case in cases() if case.profile == profile)


def foreign(profile: str) -> Counter[tuple[str, str]]:
    """Count (kind, verdict) of all cases, as if an issuer under this profile had made them."""
    return Counter((case.kind, verdict(swapped(case, profile))) for case in cases())


def accepted_elsewhere(profile: str) -> Iterable[Case]:
    """Yield what is no access token and is accepted under this profile: there must be none."""
    return (
        case
        for case in cases()
        if case.kind != "access_token" and verdict(swapped(case, profile)) == "accepted"
    )


def differences() -> Iterator[str]:
    """Yield a line for each case whose kind we see otherwise than the corpus does, in either of its modes.

    Its modes are a token under the profile of its product, and under the generic one. A token of the right
    kind that is of no use otherwise (nobody is its subject, it is for nobody) is told, too.
    """
    for case in cases():
        yield from _difference(case, "generic", swapped_verdict(case, "rfc9068"), accept=case.accept_generic)
        if case.profile in local_profiles():
            found = verdict(own_token(case)) if is_loadable(case) else swapped_verdict(case, case.profile)
            yield from _difference(case, f"preset {case.profile}", found, accept=case.accept)
        else:
            yield f"{case}: preset {case.profile}: not looked at here (introspection, workload or none)"


def swapped_verdict(case: Case, profile: str) -> str:
    return verdict(swapped(case, profile))


def is_loadable(case: Case) -> bool:
    return case.claims.get("iss") in issuers()


def _difference(case: Case, mode: str, found: str, *, accept: bool) -> Iterator[str]:
    if accept and found != "accepted":
        yield f"{case}: {mode}: the corpus accepts the kind, and it is refused: {found}"
    if not accept and found not in KIND_REASONS | FORM_REASONS:
        missing = "exp" not in case.claims and found == "claim_missing"
        yield f"{case}: {mode}: the corpus refuses the kind; here: {found}{' (exp)' if missing else ''}"


def _line(profile: str, counts: Counter[tuple[str, str]]) -> str:
    columns = []
    for kind in KINDS:
        accepted = counts[kind, "accepted"]
        refused = sum(count for (found, verdict_), count in counts.items() if found == kind) - accepted
        columns.append(f"{accepted:>4} {refused:>4}")
    return f"{profile:<15} " + "   ".join(columns)


def main() -> None:
    print(f"{len(cases())} shapes: {dict(Counter(case.kind for case in cases()))}")
    for title, count in (("own product", own), ("every shape, issuer swapped in", foreign)):
        print(f"\n{title}: accepted and refused\n{'profile':<15} access tok   ID token     other")
        for profile in local_profiles():
            print(_line(profile, count(profile)))
    print("\nwhere the corpus and these profiles differ:")
    for line in differences():
        print(f"  {line}")
    wrong = [(profile, str(case)) for profile in local_profiles() for case in accepted_elsewhere(profile)]
    print(f"\nno access tokens that are accepted: {wrong or 'none'}")


if __name__ == "__main__":
    main()
