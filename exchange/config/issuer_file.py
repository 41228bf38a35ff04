"""``issuers/NAME.yaml``: whom we believe, completed from a profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from exchange.config.claim_fields import Conditions
from exchange.config.directory import PolicyDirectory
from exchange.config.fields import Choice, Duration, Flag, Name, Names, Section
from exchange.config.introspection_fields import IntrospectionSchema
from exchange.config.issuer_introspection import read_introspection, with_introspection
from exchange.config.issuer_shape import SHAPE_DEFAULTS, IssuerShapeSchema, labelled
from exchange.config.key_documents import KeysSchema, read_key_source
from exchange.config.policy_file import PolicyFile
from exchange.config.profiles import DEFAULT_PROFILE, Profiles, ShippedProfile
from exchange.config.tenant_fields import TenantSchema, check_tenants, issuer_as_url, per_tenant
from exchange.config.urls import check_name, check_url
from exchange.config.values import SELF, Introspection, KeySource, MarkerAlternative, TrustedIssuer
from exchange.config.workload_fields import (
    MAX_WORKLOAD_TOKEN_LIFETIME,
    WORKLOAD_SHAPE,
    check_kind,
    is_workload,
)

MAX_TOKEN_LIFETIME: Final = 25 * 3600


class IssuerSchema(IssuerShapeSchema):
    issuer = Name(required=True)
    profile = Name(load_default=DEFAULT_PROFILE)
    kind = Choice("workload")
    audience = Names("audience", required=True)
    enabled = Flag(load_default=True)
    mode = Choice("enforce", "audit", load_default="enforce")
    keys = Section(KeysSchema, load_default=lambda: {"discovery": True})
    require = Conditions(load_default=())
    max_token_age = Duration()
    max_token_lifetime = Duration()
    single_use = Flag(load_default=False)
    allow_insecure_http = Flag()
    allow_private_network = Flag()
    accept_weak_marker = Flag()
    tenant = Section(TenantSchema)
    introspection = Section(IntrospectionSchema)


_ISSUER = IssuerSchema()


def read_issuers(
    file: PolicyFile, directory: PolicyDirectory, profiles: Profiles, environ: Mapping[str, str]
) -> tuple[TrustedIssuer, ...]:
    """Return the issuer that ``file`` describes, or one for each of its tenants.

    None at all when there are faults, which ``file`` has then.
    """
    if not file.is_mapping:
        return ()
    loaded = file.load(_ISSUER, file.data)
    profile = _profile(file, loaded, profiles)
    check_kind(file, loaded, profile, profiles)
    check_tenants(file, loaded)
    _check_name_and_issuer(file, loaded, profile)
    keys = _keys(file, loaded, directory)
    asked = read_introspection(file, loaded, profile, directory, environ)
    _check_single_use(file, loaded, asked)
    if file.faults or profile is None or keys is None:
        return ()
    issuer = _trusted_issuer(file, loaded, profile, keys)
    return per_tenant(with_introspection(issuer, asked, loaded, profile.introspection), loaded)


def _check_single_use(file: PolicyFile, loaded: Mapping[str, Any], asked: Introspection | None) -> None:
    # A mark holds until the token ends. Where nobody says when, it would be over before the token is.
    if loaded.get("single_use") is True and asked is not None and asked.lifetime is not None:
        file.fault(
            ("single_use",),
            "this IdP does not say when a token ends, so nobody knows how long to remember it; leave it out",
        )


def _check_name_and_issuer(
    file: PolicyFile, loaded: Mapping[str, Any], profile: ShippedProfile | None
) -> None:
    if file.name == SELF:
        file.fault((), "a rule's `self` means this service; give the file another name")
    issuer = issuer_as_url(loaded)
    if not issuer or "{" in issuer:
        return
    try:
        if (profile is not None and profile.profile.never is not None) or _is_name_alone(loaded):
            # Nothing is ever fetched from it: AD FS calls itself http://HOST/adfs/services/trust, and Google
            # has a spelling without a scheme. The file must load all the same, to say why they are refused.
            check_name(issuer)
        else:
            check_url(issuer, allow_insecure_http=loaded.get("allow_insecure_http") is True)
    except ValueError as error:
        file.fault(("issuer",), str(error))


def _is_name_alone(loaded: Mapping[str, Any]) -> bool:
    """A cluster may be called anything (``spiffe://example.org``), where its keys are named and not found."""
    found = "discovery" in loaded.get("keys", {"discovery": True})
    return is_workload(loaded) and not found and not loaded["issuer"].startswith(("https:", "http:"))


def _profile(file: PolicyFile, loaded: Mapping[str, Any], profiles: Profiles) -> ShippedProfile | None:
    name = loaded.get("profile")
    if name is None:
        return None
    shipped = profiles.by_name.get(name)
    if shipped is None:
        file.fault(("profile",), f"unknown profile; write one of {', '.join(profiles.by_name)}")
        return None
    other = profiles.other_product(name, str(loaded.get("issuer", "")))
    if other:
        file.fault(("issuer",), f"this is an issuer of {other}; the profile {name} does not fit its tokens")
    weak = shipped.profile.weak
    # A marker of the file's own replaces the weak one, so there is nothing to acknowledge.
    if weak and "access_token" not in loaded and loaded.get("accept_weak_marker") is not True:
        file.fault(
            ("profile",), f"its marker is weak: {weak}; write `accept_weak_marker: true` to accept that"
        )
    return shipped


def _keys(file: PolicyFile, loaded: Mapping[str, Any], directory: PolicyDirectory) -> KeySource | None:
    if "keys" not in loaded or "issuer" not in loaded:
        return None
    return read_key_source(file, ("keys",), loaded["keys"], directory, issuer=loaded["issuer"], flags=loaded)


def _trusted_issuer(
    file: PolicyFile, loaded: Mapping[str, Any], shipped: ShippedProfile, keys: KeySource
) -> TrustedIssuer:
    workload = is_workload(loaded)
    shape = {**SHAPE_DEFAULTS, **(WORKLOAD_SHAPE if workload else {}), **shipped.shape, **loaded}
    marker, tolerate = _marker(loaded, shipped)
    return TrustedIssuer(
        name=file.name,
        source=file.source(),
        issuer=loaded["issuer"],
        profile=shipped.profile,
        enabled=loaded["enabled"],
        audience=frozenset(loaded["audience"]),
        algorithms=frozenset(shape["algorithms"]),
        keys=keys,
        marker=marker,
        tolerate=tolerate,
        required_claims=shape["required_claims"],
        require=loaded["require"],
        subject=shape["subject"]["claim"],
        subject_otherwise=shape["subject"].get("otherwise"),
        subject_format=shape["subject_format"],
        scope=shape["scope"]["claim"],
        client=shape["client"]["claim"],
        audience_claim=shape["audience_claim"],
        max_token_age=loaded.get("max_token_age"),
        max_token_lifetime=loaded.get(
            "max_token_lifetime", MAX_WORKLOAD_TOKEN_LIFETIME if workload else MAX_TOKEN_LIFETIME
        ),
        mode=loaded["mode"],
        kind="workload" if workload else "access_token",
        single_use=loaded["single_use"],
    )


def _marker(
    loaded: Mapping[str, Any], shipped: ShippedProfile
) -> tuple[tuple[MarkerAlternative, ...], frozenset[str]]:
    """Return the marker and what it tolerates: the file's, which replaces the profile's as a whole."""
    if shipped.workload is not None:
        return shipped.workload, frozenset()
    own = loaded.get("access_token")
    access_token: Any = own or shipped.shape.get("access_token", {})
    origin = "access_token.marker" if own else shipped.profile.name
    return labelled(access_token.get("marker", ()), origin), frozenset(access_token.get("tolerate", ()))
