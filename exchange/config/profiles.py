"""The profiles: how each product's access tokens prove what they are; the files of ``exchange/profiles/``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final, cast

from exchange.config.faults import PolicyFaults, YamlPath
from exchange.config.fields import Choice, Flag, Names, Section, StrictSchema, Text
from exchange.config.introspection_fields import ProfileIntrospectionSchema
from exchange.config.issuer_shape import SHAPE_KEYS, IssuerShapeSchema, Markers, labelled
from exchange.config.policy_file import PolicyFile
from exchange.config.values import MarkerAlternative, Profile
from exchange.matchers import Matcher, compile_matcher

DEFAULT_PROFILE: Final = "rfc9068"
_KNOWN_ISSUERS: Final = "known_issuers"


@dataclass(frozen=True, slots=True)
class Product:
    """A product whose issuers can be recognised by their form."""

    title: str
    issuers: Matcher


@dataclass(frozen=True, slots=True)
class ShippedProfile:
    """A profile and what an issuer's file takes from it."""

    profile: Profile
    generic: bool
    """Fits the issuers of every product."""
    shape: Mapping[str, object]
    """Loaded values for the keys of ``IssuerShapeSchema``."""
    issuers: Matcher | None
    """What this product's issuers look like; ``None`` when they may look like anything."""
    workload: tuple[MarkerAlternative, ...] | None = None
    """How this platform's workload tokens prove what they are; ``None`` for a profile of access tokens."""
    introspection: Mapping[str, object] | None = None
    """How this product is asked about its tokens; ``None`` where that is as RFC 7662 has it."""


@dataclass(frozen=True, slots=True)
class Profiles:
    by_name: Mapping[str, ShippedProfile]
    products: tuple[Product, ...]

    def other_product(self, name: str, issuer: str) -> str | None:
        """Return the title of another product whose ``issuer`` this is, unless ``name`` fits it too."""
        own = self.by_name[name]
        if own.generic or (own.issuers and own.issuers.matches(issuer)):
            return None
        others = (product.title for product in self.products if product.issuers.matches(issuer))
        return next(others, None)


class _Texts(Names):
    def _read_item(self, value: object) -> str:
        return Text().read(value)


class _ProfileSchema(IssuerShapeSchema):
    title = Text(required=True)
    sources = _Texts("source", required=True)
    issuer_pattern = Text()
    generic = Flag()
    never = Text()
    weak = Text()
    introspection = Section(ProfileIntrospectionSchema)
    kind = Choice("workload")
    marker = Markers()
    advice = Text(required=True)


class _KnownIssuerSchema(StrictSchema):
    title = Text(required=True)
    issuer_pattern = Text(required=True)


_PROFILE = _ProfileSchema()
_KNOWN_ISSUER = _KnownIssuerSchema()


@cache
def shipped_profiles() -> Profiles:
    """Return the profiles of the package, read once.

    Raises ``PolicyFaults`` when one of them is broken: then nothing can be told about any token.
    """
    folder = resources.files("exchange") / "profiles"
    contents = {
        entry.name.removesuffix(".yaml"): entry.read_bytes()
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }
    return read_profiles(contents)


def read_profiles(contents: Mapping[str, bytes]) -> Profiles:
    """Return the profiles in ``contents``, the bytes of each file by its name; raises ``PolicyFaults``."""
    by_name: dict[str, ShippedProfile] = {}
    products: list[Product] = []
    files = []
    for name, content in sorted(contents.items()):
        file = PolicyFile.read(name, f"profiles/{name}.yaml", content, is_list=name == _KNOWN_ISSUERS)
        files.append(file)
        if name == _KNOWN_ISSUERS:
            products.extend(_known_issuers(file))
        else:
            by_name[name] = _profile(file, products)
    if faults := [fault for file in files for fault in file.faults]:
        raise PolicyFaults(faults)
    return Profiles(MappingProxyType(by_name), tuple(products))


def _profile(file: PolicyFile, products: list[Product]) -> ShippedProfile:
    loaded = file.load(_PROFILE, file.data)
    own = list(_product(file, (), loaded)) if "issuer_pattern" in loaded else []
    products.extend(own)
    workload = _workload(file, loaded)
    if workload is None and not loaded.keys() & {"never", "access_token", "introspection"}:
        file.fault(
            (), "say how an access token proves what it is (access_token), or why none is taken (never)"
        )
    profile = Profile(
        name=file.name,
        title=str(loaded.get("title", "")),
        never=cast("str | None", loaded.get("never")),
        weak=cast("str | None", loaded.get("weak")),
        advice=str(loaded.get("advice", "")),
    )
    shape = {key: loaded[key] for key in SHAPE_KEYS if key in loaded}
    issuers = own[0].issuers if own else None
    introspection = cast("Mapping[str, object] | None", loaded.get("introspection"))
    generic = loaded.get("generic") is True
    return ShippedProfile(profile, generic, MappingProxyType(shape), issuers, workload, introspection)


def _workload(file: PolicyFile, loaded: Mapping[str, object]) -> tuple[MarkerAlternative, ...] | None:
    marker = cast("tuple[MarkerAlternative, ...]", loaded.get("marker", ()))
    if "kind" not in loaded:
        if "marker" in loaded:
            file.fault(
                ("marker",), "an access token's marker stands in `access_token`; or write `kind: workload`"
            )
        return None
    if not marker or "access_token" in loaded:
        file.fault(("kind",), "a workload token proves what it is by `marker`, and is no access token")
    return labelled(marker, file.name)


def _known_issuers(file: PolicyFile) -> Iterator[Product]:
    entries = file.document.data if isinstance(file.document.data, list) else []
    for index, entry in enumerate(entries):
        yield from _product(file, (index,), file.load(_KNOWN_ISSUER, entry, (index,)))


def _product(file: PolicyFile, path: YamlPath, loaded: Mapping[str, object]) -> Iterator[Product]:
    try:
        issuers = compile_matcher({"pattern": loaded.get("issuer_pattern")})
    except ValueError as error:
        file.fault((*path, "issuer_pattern"), str(error))
    else:
        yield Product(str(loaded.get("title", "")), issuers)
