"""``kind: workload``: issuers whose tokens are about machines, jobs and pods, and no access tokens.

Anybody who may run a job on a shared platform gets a token with our audience in it, so trust in such an
issuer says nothing until somebody's own subject, project or organisation is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from exchange.config.binding import SharedIssuer, leaves_strangers_out, shared_issuer
from exchange.config.policy_file import PolicyFile
from exchange.config.profiles import Profiles, ShippedProfile
from exchange.config.tenant_fields import issuers_named

WORKLOAD: Final = "workload"
MAX_WORKLOAD_TOKEN_LIFETIME: Final = 366 * 86400
"""Seconds. Kubernetes extends its tokens to a year while clients learn to read the file again."""
WORKLOAD_SHAPE: Final[Mapping[str, object]] = MappingProxyType(
    {"scope": {"claim": ()}, "client": {"claim": ()}}
)
"""A workload has no scopes, and its token was issued to no client: it was given to itself."""
_NOT_OF_WORKLOADS: Final = {
    "access_token": "its issuer makes no access tokens, and the profile says how its tokens are known",
    "scope": "its tokens carry no scopes; grant `always` scopes in the rule",
    "accept_weak_marker": "the profiles of workloads have none",
}


def is_workload(loaded: Mapping[str, Any]) -> bool:
    return loaded.get("kind") == WORKLOAD


def check_kind(
    file: PolicyFile, loaded: Mapping[str, Any], shipped: ShippedProfile | None, profiles: Profiles
) -> None:
    """Record what does not go together: ``kind``, the profile, and keys that are about access tokens.

    Both must say it, the file and the profile. A profile of access tokens would take what one of them signs
    for something else, and a file that does not say ``workload`` reads as if people were meant.
    """
    if shipped is None:
        return
    name = shipped.profile.name
    known = ", ".join(profile for profile, other in profiles.by_name.items() if other.workload is not None)
    if not is_workload(loaded):
        if shipped.workload is not None and "kind" not in file.data:
            file.fault(("profile",), f"{name} is a profile of workload tokens; write `kind: workload` too")
        return
    if "profile" not in file.data:
        file.fault(("kind",), f"`kind: workload` needs the profile of its platform; write one of {known}")
    elif shipped.workload is None:
        file.fault(
            ("profile",), f"{name} is a profile of access tokens; with `kind: workload` write one of {known}"
        )
    for key, why in _NOT_OF_WORKLOADS.items():
        if key in file.data:
            file.fault((key,), f"not with `kind: workload`: {why}; leave it out", at_key=True)
    _check_strangers(file, loaded)


def _check_strangers(file: PolicyFile, loaded: Mapping[str, Any]) -> None:
    for _, _, issuer in issuers_named(file):
        shared = shared_issuer(issuer)
        if shared is None or "tenant" in loaded or leaves_strangers_out(loaded.get("require", ()), shared):
            continue
        place = ("require",) if "require" in file.data else ("issuer",)
        file.fault(place, strangers_message(shared))


def strangers_message(shared: SharedIssuer) -> str:
    """Return what is said of a shared issuer at which nobody's own subject is named."""
    ids = ", ".join("/".join(tokens) for tokens in sorted(shared.ids))
    return (
        f"strangers get tokens of {shared.title} too, and no subject is bound; `require` a sub, or the"
        f" value of one of {ids} (a name such as a repository's may pass to somebody else)"
    )
