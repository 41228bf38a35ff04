"""``server.yaml``: this service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError

from exchange.config.fields import (
    SIGNING_ALGORITHMS,
    Choice,
    Count,
    Duration,
    Name,
    Section,
    StrictSchema,
    parse_duration,
)
from exchange.config.policy_file import PolicyFile
from exchange.config.rate_limit_fields import RateLimitSchema, read_rate_limit
from exchange.config.urls import check_url
from exchange.config.values import ServerSettings

ISSUER_VARIABLE: Final = "EXCHANGE_ISSUER"
_TOKEN_LIFETIME: Final = 300
_MAX_TOKEN_LIFETIME: Final = 3600


class ServerSchema(StrictSchema):
    issuer = Name()
    signing_algorithm = Choice(*SIGNING_ALGORITHMS, load_default="ES256")
    token_lifetime = Duration()
    max_token_lifetime = Duration(load_default=_MAX_TOKEN_LIFETIME)
    # RFC 7519 §4.1.4: "no more than a few minutes"; more would keep expired tokens alive.
    clock_skew = Duration(zero=True, maximum="10m", load_default=30)
    max_delegation_depth = Count(minimum=1, maximum=16, load_default=4)
    max_targets = Count(minimum=1, maximum=16, load_default=1)
    dpop_nonce = Choice("required", "optional", load_default="required")
    rate_limit = Section(RateLimitSchema)


_SERVER = ServerSchema()


def read_server(file: PolicyFile, environ: Mapping[str, str]) -> ServerSettings | None:
    """Return the settings of this service; ``None`` when there are faults, which ``file`` has then.

    ``EXCHANGE_ISSUER`` in ``environ`` replaces ``issuer``; set to nothing it counts as not set.
    """
    if not file.is_mapping:
        return None
    loaded = file.load(_SERVER, file.data)
    issuer = _issuer(file, loaded, environ)
    maximum = loaded.get("max_token_lifetime", _MAX_TOKEN_LIFETIME)
    lifetime = loaded.get("token_lifetime", min(_TOKEN_LIFETIME, maximum))
    if lifetime > maximum:
        file.fault(("token_lifetime",), "longer than max_token_lifetime; write a shorter one, or raise that")
    if file.faults or issuer is None:
        return None
    return ServerSettings(
        issuer=issuer,
        signing_algorithm=loaded["signing_algorithm"],
        token_lifetime=lifetime,
        max_token_lifetime=maximum,
        clock_skew=loaded["clock_skew"],
        max_delegation_depth=loaded["max_delegation_depth"],
        max_targets=loaded["max_targets"],
        dpop_nonce=loaded["dpop_nonce"],
        rate_limit=read_rate_limit(loaded),
    )


def max_token_lifetime(file: PolicyFile) -> int | None:
    """Return ``max_token_lifetime`` in seconds, ``None`` when it is wrong; other faults do not matter."""
    try:
        return parse_duration(file.data.get("max_token_lifetime", _MAX_TOKEN_LIFETIME))
    except ValidationError:
        return None


def _issuer(file: PolicyFile, loaded: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    declared = loaded.get("issuer")
    if isinstance(declared, str):
        _check_issuer(file, declared, "")
    override = environ.get(ISSUER_VARIABLE)
    if override:
        _check_issuer(file, override, f"{ISSUER_VARIABLE}: ")
        return override
    if "issuer" not in file.data:
        file.fault(("issuer",), f"is missing; write this service's https:// URL, or set {ISSUER_VARIABLE}")
    return declared if isinstance(declared, str) else None


def _check_issuer(file: PolicyFile, issuer: str, origin: str) -> None:
    try:
        check_url(issuer, allow_insecure_http=True)
    except ValueError as error:
        file.fault(("issuer",), f"{origin}{error}")
