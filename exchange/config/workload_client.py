"""``workload`` of ``clients/NAME.yaml``: which process of a trusted platform is this client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from marshmallow import ValidationError

from exchange.config.directory import PolicyDirectory
from exchange.config.faults import YamlPath
from exchange.config.fields import Field, Name, StrictSchema
from exchange.config.policy_file import PolicyFile
from exchange.config.tenant_fields import issuers_named
from exchange.config.values import WorkloadIdentity

WORKLOAD_PATH: Final[YamlPath] = ("authentication", "workload")
_NOT_OF_WORKLOADS: Final = (
    "this issuer is not of `kind: workload`; what others sign about people says nothing of who asks"
)
_SEVERAL_TENANTS: Final = (
    "this file is about several tenants, and each may have such a subject; write a file for the one that is"
    " meant"
)
_TWICE: Final = "this issuer and subject are already"
_ISSUER_S_NAME: Final = (
    "this is the issuer of a `kind: workload` file, whose tokens authenticate others; call the client"
    " otherwise"
)


class WorkloadIdentitySchema(StrictSchema):
    issuer = Name(required=True)
    subject = Name(required=True)


_IDENTITY: Final = WorkloadIdentitySchema()


class WorkloadIdentities(Field):
    """One mapping of issuer and subject, or a list of them. Read as a tuple."""

    def read(self, value: object) -> tuple[WorkloadIdentity, ...]:
        if not isinstance(value, list):
            return (_read(value),)
        if not value:
            raise ValidationError("list at least one issuer and subject")
        errors: dict[int, object] = {}
        found = []
        for index, item in enumerate(value):
            try:
                found.append(_read(item))
            except ValidationError as error:
                errors[index] = error.messages
        if errors:
            raise ValidationError(errors)
        return tuple(found)


def _read(item: object) -> WorkloadIdentity:
    return WorkloadIdentity(**_IDENTITY.load(item))  # type: ignore[arg-type]  # a wrong type is a fault


def check_workload_clients(directory: PolicyDirectory) -> None:
    """Record, in the files of clients, issuers that vouch for nobody and processes that are two clients.

    Works on what the files say, as ``check_references`` does, which finds issuers that do not exist.
    """
    files = {file.name: file for file in directory.issuers}
    first: dict[tuple[str, str], tuple[PolicyFile, YamlPath]] = {}
    for client in directory.clients:
        for path, declared in _declared(client):
            issuer, subject = declared.get("issuer"), declared.get("subject")
            if isinstance(issuer, str) and issuer in files:
                _check_issuer(client, (*path, "issuer"), files[issuer])
            if not isinstance(issuer, str) or not isinstance(subject, str):
                continue
            other, place = first.setdefault((issuer, subject), (client, path))
            if (other, place) != (client, path):
                where = f"{other.label}:{other.source(place).line}"
                client.fault(path, f"{_TWICE} in {where}; one client alone may be it")
    _check_names(directory)


def issuers_of_workloads(file: PolicyFile) -> Iterator[tuple[PolicyFile, YamlPath, str]]:
    """Yield the name, and where it stands, of each file of ``issuers/`` that vouches for this client."""
    for path, declared in _declared(file):
        issuer = declared.get("issuer")
        if isinstance(issuer, str):
            yield file, (*path, "issuer"), issuer


def _declared(file: PolicyFile) -> Iterator[tuple[YamlPath, Mapping[str, Any]]]:
    methods = file.data.get("authentication")
    declared = methods.get("workload") if isinstance(methods, dict) else None
    if isinstance(declared, dict):
        yield WORKLOAD_PATH, declared
    elif isinstance(declared, list):
        for index, item in enumerate(declared):
            if isinstance(item, dict):
                yield (*WORKLOAD_PATH, index), item


def _check_issuer(client: PolicyFile, path: YamlPath, issuer: PolicyFile) -> None:
    if issuer.data.get("kind") != "workload":
        client.fault(path, _NOT_OF_WORKLOADS)
    tenants = [name for _, place, name in issuers_named(issuer) if place[0] == "tenant"]
    if len(tenants) > 1:
        client.fault(path, _SEVERAL_TENANTS)


def _check_names(directory: PolicyDirectory) -> None:
    """An assertion is told by ``iss`` to be a client's own or a platform's, so no name may mean both."""
    issuers = {
        name
        for file in directory.issuers
        if file.data.get("kind") == "workload"
        for _, _, name in issuers_named(file)
    }
    for file in directory.clients:
        client_id = file.data.get("client_id", file.name)
        if isinstance(client_id, str) and client_id in issuers:
            file.fault(("client_id",), _ISSUER_S_NAME)
