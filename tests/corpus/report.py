"""Print what the shipped profiles make of the corpus: ``python -m tests.corpus.report``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.corpus.shapes import Case, cases, own_token, shipped, swapped, verdict

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


def _line(profile: str, counts: Counter[tuple[str, str]]) -> str:
    columns = []
    for kind in KINDS:
        accepted = counts[kind, "accepted"]
        refused = sum(count for (found, verdict_), count in counts.items() if found == kind) - accepted
        columns.append(f"{accepted:>4} {refused:>4}")
    return f"{profile:<12} " + "   ".join(columns)


def main() -> None:
    print(f"{len(cases())} shapes: {dict(Counter(case.kind for case in cases()))}")
    for title, count in (("own product", own), ("every shape, issuer swapped in", foreign)):
        print(f"\n{title}: accepted and refused\n{'profile':<12} access tok   ID token     other")
        for profile in shipped():
            print(_line(profile, count(profile)))
    print("\naccess tokens of a profile's own product that are refused:")
    for case in cases():
        if case.kind == "access_token" and case.profile in shipped():
            found = verdict(own_token(case))
            if found != "accepted":
                print(f"  {case.profile}: {case}: {found}")
    wrong = [(profile, str(case)) for profile in shipped() for case in accepted_elsewhere(profile)]
    print(f"\nno access tokens that are accepted: {wrong or 'none'}")


if __name__ == "__main__":
    main()
