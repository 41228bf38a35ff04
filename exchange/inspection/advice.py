"""What follows from the tokens and the profiles, in sentences that say what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exchange.config.profiles import Profiles, ShippedProfile
from exchange.inspection.bench import Verdict
from exchange.inspection.findings import Finding, listed, note, shown, wrong
from exchange.inspection.fitting import Fit
from exchange.inspection.products import Product, takes_jwts
from exchange.inspection.tokens import OPAQUE, Meaning, ReadToken, Taken, distinguishing
from exchange.model import Claims
from exchange.tokens.classify import normalised_type
from exchange.tokens.signs import ACCESS_TOKEN_TYPE

STOPS = frozenset({"never_accepted", "introspection_only", "workload_identity"})
"""Findings about a product of which no access token can be accepted as a JWT."""
_TYPE_THEM = "have the IdP give its access tokens the header typ at+jwt (RFC 9068)"


def about_unreadable(token: ReadToken, metadata: Claims) -> Finding:
    """Say what to do about a token that is no signed JWT."""
    text = f"{token.label}: {token.unreadable}"
    if token.unreadable == OPAQUE:
        endpoint = metadata.get("introspection_endpoint")
        asked = f" at {shown(endpoint)}" if isinstance(endpoint, str) else ""
        text += (
            f". Have the IdP issue JWT access tokens for this audience, or ask it about each of them{asked}:"
            " profile opaque, with `introspection`"
        )
    return wrong("tokens", "token_unreadable", text)


def about_product(product: Product, profiles: Profiles, only: str | None) -> Iterator[Finding]:
    """Say which product this is, and stop where no access token of it can be accepted as a JWT.

    ``only`` is the profile that the operator wants: with it, looks alone stop nothing.
    """
    names = product.known or (() if only else product.supposed)
    for name in names:
        how = "issuer" if name in product.known else "endpoints"
        text = f"by its {how} this is {profiles.by_name[name].profile.title} (profile {name})"
        yield note("profile", "product", text)
    if names and not any(takes_jwts(profiles.by_name[name]) for name in names):
        for name in names:
            yield _about_stop(profiles.by_name[name])
    if product.title is not None and not product.known:
        text = f"by its issuer this is {product.title}, for which there is no profile"
        yield note("profile", "product_without_profile", text)


def _about_stop(shipped: ShippedProfile) -> Finding:
    profile = shipped.profile
    if profile.never is not None:
        text = f"no access token of {profile.title} is accepted as it is: {profile.never}. {profile.advice}"
        return wrong("profile", "never_accepted", text)
    if shipped.workload is not None:
        text = (
            f"{profile.title} issues workload identity tokens: they are about a machine, and no access"
            f" tokens. Write a"
            f" file with kind: workload, profile: {profile.name} and a `require` that binds the subject; they"
            f" are taken"
            f" as …:jwt alone. {profile.advice}"
        )
        return wrong("profile", "workload_identity", text)
    text = (
        f"access tokens of {profile.title} are believed only when it is asked about each of them: write a"
        f" file with"
        f" profile {profile.name} and `introspection`, and name it in the client's file"
        f" (`opaque_tokens_from`)."
        f" {profile.advice}"
    )
    return wrong("profile", "introspection_only", text)


def about_taken(token: ReadToken, taken: Taken) -> Iterator[Finding]:
    """Say where a token is not what it was called, or where that is only supposed."""
    if taken.contradicted and token.given.said is not None:
        text = f"{token.label} was given as an {token.given.said}, and shows that it is none: {taken.why}"
        yield wrong("tokens", "not_what_was_said", text)
    elif taken.meaning is Meaning.UNKNOWN:
        text = f"{token.label}: {taken.why}; if you know, give it with --access-token or --id-token"
        yield wrong("tokens", "token_unknown", text)
    elif not taken.sure:
        text = (
            f"{token.label} is taken for an {taken.meaning}, because {taken.why}; say --access-token or"
            f" --id-token"
        )
        yield note("tokens", "token_supposed", text)


def about_type(token: ReadToken, meaning: Meaning) -> Iterator[Finding]:
    """Say where the one proof that is sound at every IdP is missing."""
    declared = normalised_type(token.header)
    if meaning is Meaning.ACCESS_TOKEN and declared != ACCESS_TOKEN_TYPE:
        says = "no `typ`" if declared is None else "a `typ` that says nothing"
        text = f"the header of {token.label} has {says}; {_TYPE_THEM}, where it can"
        yield note("tokens", "typ_missing", text)


def about_foreign(token: ReadToken, issuer: str) -> Finding:
    """Say that a token is somebody else's."""
    iss = token.issuer
    if iss is None:
        return wrong("tokens", "token_of_another_issuer", f"{token.label} has no `iss`")
    slash = ": they differ in the slash at the end" if iss.rstrip("/") == issuer.rstrip("/") else ""
    text = f"{token.label} says that {shown(iss)} issued it, not {issuer}{slash}"
    return wrong("tokens", "token_of_another_issuer", text)


def about_verdict(token: ReadToken, verdict: Verdict, in_its_time: Verdict) -> Iterator[Finding]:
    """Say why an access token would be refused under the proposal."""
    if verdict.accepted:
        return
    if verdict.is_refused_for("expired") and in_its_time.accepted:
        text = f"{token.label} has expired ({verdict.detail}); until then it would have been accepted"
        yield note("tokens", "token_expired", text)
        return
    detail = f" ({verdict.detail})" if verdict.detail else ""
    text = f"{token.label} would be refused, {verdict.reason}: {verdict.description}{detail}"
    yield wrong("tokens", "token_refused", text)


def about_audience(token: ReadToken, claim: object) -> Finding:
    """Say that a token is for nobody in particular."""
    text = (
        f"{token.label} has no {claim}, so that it is for nobody. Have the IdP put the name"
        f" of your"
        " backend there"
    )
    return wrong("tokens", "audience_missing", text)


def about_no_access_token() -> Finding:
    text = (
        "an access token is needed: by what was given alone no profile can be chosen. Give one that this IdP"
        " issued"
        " for your backend (--access-token @file)"
    )
    return wrong("profile", "access_token_needed", text)


def about_no_fit(
    fits: Sequence[Fit], access: Sequence[ReadToken], others: Sequence[ReadToken]
) -> Iterator[Finding]:
    """Say why nothing is proposed, although there are access tokens."""
    traps = [fit.candidate.name for fit in fits if fit.let_in and not fit.refused]
    different = distinguishing(access, others)
    if traps:
        same = "" if different else ": they have the same shape"
        text = (
            f"the access token cannot be told from the other token{same}. Every profile that takes the one"
            f" takes the"
            f" other ({', '.join(traps)}), so that an ID token would be let in; {_TYPE_THEM}"
        )
        yield wrong("profile", "indistinguishable", text)
    else:
        text = f"no profile takes the access token: nothing that is known marks it as one; {_TYPE_THEM}"
        yield wrong("profile", "no_profile_fits", text)
    if different and others:
        text = (
            f"only the access token has {listed(different)}. A marker of your own (`access_token:"
            f" {{marker: ...}}`)"
            " could rest on one of these, but only if you know that the IdP never puts it into an ID token,"
            " whatever"
            " its administrators configure; nothing here shows that"
        )
        yield note("profile", "marker_of_your_own", text)


def about_fit(fit: Fit, fits: Sequence[Fit], *, compared: bool) -> Iterator[Finding]:
    """Say how far the proposed profile is to be trusted."""
    candidate = fit.candidate
    if candidate.weak is not None:
        text = (
            f"the marker of profile {candidate.name} is weak: {candidate.weak}."
            f" {candidate.bench.issuer.profile.advice}"
        )
        yield note("profile", "weak_marker", text)
    elif not fit.surely:
        text = f"nothing but the look of the token says that this is {candidate.title}; make sure that it is"
        yield note("profile", "look_alike", text)
    if not compared:
        text = "no ID token was compared; give one of the same IdP too (--id-token @file), to see it refused"
        yield note("profile", "not_compared", text)
    others = [one.candidate.name for one in fits if one.fits and one is not fit]
    if others and not fit.surely:
        yield note("profile", "others_fit", f"these profiles fit as well: {', '.join(sorted(others))}")


def about_another_product(fit: Fit) -> Finding:
    name = fit.candidate.name
    text = (
        f"no profile of this product takes the access token. {name} would, but it is that of"
        f" {fit.candidate.title}, and"
        f" its marker is sound there alone; {_TYPE_THEM}, or say --profile {name} if you know better"
    )
    return wrong("profile", "another_product", text)


def about_unsure(fit: Fit) -> Finding:
    text = (
        f"profile {fit.candidate.name} takes it, but nothing else shows that it is an access token, or that"
        f" this is"
        f" {fit.candidate.title}. Give an ID token of the same IdP too (--id-token @file), or say that it is"
        f" an access"
        " token (--access-token @file)"
    )
    return wrong("profile", "not_enough", text)


def about_weak_unproven(fit: Fit) -> Finding:
    text = (
        f"profile {fit.candidate.name} takes it, but its marker is weak: {fit.candidate.weak}. It is proposed"
        f" only when"
        " an ID token of the same IdP is given too and refused (--id-token @file)"
    )
    return wrong("profile", "weak_unproven", text)


def about_nothing_seen(profile: str) -> Finding:
    text = (
        f"no token was given, so profile {profile} is chosen by the issuer alone. Give an access token and an"
        f" ID token"
        " of the same IdP (--access-token @file, --id-token @file) to see what becomes of them"
    )
    return note("profile", "no_token_given", text)


def about_placeholder() -> Finding:
    text = "the file loads as it is, and lets nobody in: replace what is marked REPLACE, or give --audience"
    return note("profile", "replace_placeholder", text)
