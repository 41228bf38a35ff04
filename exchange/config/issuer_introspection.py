"""``introspection`` of an issuer and of a profile: whom we ask about a token, and how the answer is read.

An answer is not the token. Its members have the names of RFC 7662 and not those of the issuer's JWTs, and
what proves an access token in a JWT proves nothing in an answer. So there are two markers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from urllib.parse import quote

from exchange.claim_path import ClaimPath
from exchange.config.directory import PolicyDirectory
from exchange.config.faults import YamlPath
from exchange.config.introspection_fields import GENERIC
from exchange.config.issuer_shape import labelled
from exchange.config.policy_file import PolicyFile
from exchange.config.urls import check_url
from exchange.config.values import Introspection, MarkerAlternative, Profile, TrustedIssuer
from exchange.matchers import Condition, compile_matcher
from exchange.model import Secret

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
# RFC 6749 appendix A.1 and A.2: client-id = *VSCHAR, client-secret = *VSCHAR
_CREDENTIAL: Final = re.compile(r"[\x20-\x7e]+", re.ASCII)
_NO_SECRET: Final = (
    "write ${NAME} of an environment variable, or the path of a file in the policies directory; a secret"
    " itself never stands here"
)
_CLIENT_ID_IN_URL: Final = "{client_id}"


class _Shipped(Protocol):
    """The profile of the issuer: ``exchange.config.profiles.ShippedProfile``."""

    @property
    def profile(self) -> Profile: ...
    @property
    def introspection(self) -> Mapping[str, Any] | None: ...


_ANY_CASE: Final = (
    ("token_type", "(?i)(bearer|dpop|access_token)"),
    ("token_use", "(?i)(access|access_token)"),
)
"""RFC 7662 §2.2: ``token_type`` is as RFC 6749 §5.1 has it, compared in any case. ``access_token`` is what
older servers write there, and ``token_use`` is what Ory Hydra writes. A refresh token has neither."""


def _generic_marker() -> tuple[MarkerAlternative, ...]:
    return labelled(
        (
            MarkerAlternative((), (Condition(ClaimPath(name), compile_matcher({"pattern": pattern})),), "")
            for name, pattern in _ANY_CASE
        ),
        "introspection",
    )


GENERIC_MARKER: Final = _generic_marker()


def read_introspection(
    file: PolicyFile,
    loaded: Mapping[str, Any],
    shipped: _Shipped | None,
    directory: PolicyDirectory,
    environ: Mapping[str, str],
) -> Introspection | None:
    """Return how the issuer of ``file`` is asked; ``None`` where it is not, or where ``file`` has a fault."""
    if shipped is None:
        return None  # an unknown profile, which is a fault already
    profile, way = shipped.profile, shipped.introspection or GENERIC
    if "introspection" not in file.data:
        if way["every_token"]:
            file.fault(
                ("profile",),
                f"the issuer is asked about every token of {profile.name}; write `introspection`",
            )
        return None
    declared = loaded.get("introspection")
    if declared is None:
        return None
    _check_use(file, loaded, profile)
    reader = _Reader(file, declared, way, profile.title, directory, environ)
    client_id, client_secret = reader.credentials()
    endpoint = reader.endpoint(client_id, insecure=loaded.get("allow_insecure_http") is True)
    _check_marker(file, declared)
    if declared.get("signed_response") and way["way"] != "rfc7662":
        file.fault(
            ("introspection", "signed_response"), f"{profile.title} does not sign its answers; leave it out"
        )
    if endpoint is None or file.faults:
        return None
    return Introspection(
        way=way["way"],
        endpoint=endpoint,
        client_id=client_id,
        client_secret=client_secret,
        authentication=declared["authentication"],
        cache=declared["cache"],
        signed_response=declared["signed_response"],
        every_token=way["every_token"],
        jwt_types=frozenset(name.lower() for name in way["jwt_types"]),
        prefixes=way["prefixes"],
        lifetime=way.get("lifetime"),
        allow_insecure_http=loaded.get("allow_insecure_http") is True,
        allow_private_network=loaded.get("allow_private_network") is True,
    )


def _check_use(file: PolicyFile, loaded: Mapping[str, Any], profile: Profile) -> None:
    path = ("introspection",)
    if profile.never is not None:
        file.fault(path, f"no token of {profile.title} is ever accepted: {profile.never}; leave it out")
    if loaded.get("kind") == "workload":
        file.fault(
            path, "a workload identity token is a signed JWT, and nobody is asked about it; leave it out"
        )
    if "tenant" in file.data:
        file.fault(
            path, "an issuer of many tenants has no one endpoint; write a file for each tenant instead"
        )


def _check_marker(file: PolicyFile, declared: Mapping[str, Any]) -> None:
    for index, alternative in enumerate(declared.get("marker", ())):
        if alternative.header:
            file.fault(("introspection", "marker", index), "an answer has no header; write `claims` alone")


@dataclass(frozen=True, slots=True)
class _Reader:
    """``introspection`` of one file, fault by fault."""

    file: PolicyFile
    declared: Mapping[str, Any]
    way: Mapping[str, Any]
    product: str
    directory: PolicyDirectory
    environ: Mapping[str, str]

    def credentials(self) -> tuple[str | None, Secret | None]:
        """Our own at the endpoint: RFC 7662 §2.1 asks for some, so that tokens cannot be tried out there."""
        names = ("client_id", "client_secret")
        if self.way["way"] == "google-tokeninfo":
            for name in (*names, "authentication"):
                if name in self._written:
                    self._fault(name, f"{self.product} takes none; leave it out")
            return None, None
        for name in names:
            if name not in self._written:
                self.file.fault(
                    ("introspection",), f"{name} is missing; the issuer must know who asks (RFC 7662 §2.1)"
                )
        client_id = self.declared.get("client_id")
        if client_id is not None and not _CREDENTIAL.fullmatch(client_id):
            self._fault("client_id", "write printable ASCII characters (RFC 6749 appendix A.1)")
        return client_id, self._secret()

    def endpoint(self, client_id: str | None, *, insecure: bool) -> str | None:
        given = self.declared.get("endpoint", self.way.get("endpoint"))
        if given is None:
            if "endpoint" not in self._written:
                self.file.fault(("introspection",), "endpoint is missing; write the URL that is asked")
            return None
        endpoint: str = given.replace(_CLIENT_ID_IN_URL, quote(client_id or "", safe=""))
        try:
            check_url(endpoint, allow_insecure_http=insecure, allow_query=True)
        except ValueError as error:
            self._fault("endpoint", str(error))
        return endpoint

    @property
    def _written(self) -> Mapping[str, object]:
        section = self.file.data.get("introspection")
        return section if isinstance(section, dict) else {}

    def _secret(self) -> Secret | None:
        """Return the secret that is meant; a fault about it never shows what stands there."""
        declared = self.declared.get("client_secret")
        if declared is None:
            return None
        value, where = None, ""
        variable = _VARIABLE.fullmatch(declared) if isinstance(declared, str) else None
        if variable:
            value, where = self.environ.get(variable[1]), f"the environment variable {variable[1]}"
            if not value:
                self._fault("client_secret", f"{where} is not set; set it to the secret")
                return None
        elif isinstance(declared, str):
            value, where = self._secret_file(declared), "the file"
        if value is None:
            self._fault("client_secret", _NO_SECRET)
            return None
        if not _CREDENTIAL.fullmatch(value):
            self._fault(
                "client_secret", f"{where} holds something else than one line of printable ASCII characters"
            )
            return None
        return Secret(value)

    def _secret_file(self, name: str) -> str | None:
        try:
            return self.directory.key_file(name).decode("ascii").rstrip("\r\n")
        except ValueError:  # what stands here may be the secret itself: nothing more is said about it
            return None

    def _fault(self, key: str, message: str) -> None:
        path: YamlPath = ("introspection", key)
        self.file.fault(path, message)


def with_introspection(
    issuer: TrustedIssuer,
    introspection: Introspection | None,
    loaded: Mapping[str, Any],
    shipped: Mapping[str, Any] | None,
) -> TrustedIssuer:
    """Return ``issuer`` with how it is asked and how its answers are read.

    Where it is asked about every token, all that the profile says of claims is about answers. Elsewhere the
    profile is about JWTs, and an answer has the members of RFC 7662 besides: ``scope`` and ``client_id``.
    """
    if introspection is None:
        return issuer
    own = loaded["introspection"].get("marker")
    profiled = (shipped or GENERIC).get("marker")
    marker = GENERIC_MARKER
    if own is not None:
        marker = labelled(own, "introspection.marker")
    elif profiled is not None:
        marker = labelled(profiled, f"{issuer.profile.name}.introspection")
    answers = replace(issuer, marker=marker)
    if not introspection.every_token:
        answers = replace(
            answers,
            # RFC 7662 §2.2: all but `active` is optional. The times check asks for `exp` all the same.
            required_claims=loaded.get("required_claims", ()),
            scope=issuer.scope if "scope" in loaded else _first(ClaimPath("scope"), issuer.scope),
            client=issuer.client if "client" in loaded else _first(ClaimPath("client_id"), issuer.client),
        )
    return replace(issuer, introspection=introspection, answers=answers)


def _first(path: ClaimPath, others: tuple[ClaimPath, ...]) -> tuple[ClaimPath, ...]:
    return tuple(dict.fromkeys((path, *others)))
