"""``clients/NAME.yaml``: who may ask, and how it proves who it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from exchange.config.certificate_fields import (
    SelfSignedSchema,
    TlsClientAuthSchema,
    read_self_signed,
    read_tls_client_auth,
)
from exchange.config.directory import PolicyDirectory
from exchange.config.faults import YamlPath
from exchange.config.fields import (
    ASYMMETRIC_ALGORITHMS,
    Algorithms,
    AnyValue,
    Choice,
    Flag,
    Name,
    Names,
    Section,
    StrictSchema,
)
from exchange.config.introspection_fields import OneIssuer
from exchange.config.key_documents import KeysSchema, read_key_source
from exchange.config.policy_file import PolicyFile
from exchange.config.values import (
    ClientSecretMethod,
    PrivateKeyJwtMethod,
    RegisteredClient,
    WorkloadMethod,
)
from exchange.config.workload_client import WorkloadIdentities

_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
# RFC 6749 appendix A.1: client-id = *VSCHAR, without the space that no header needs.
_CLIENT_ID: Final = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_NOT_A_HASH: Final = (
    "write `sha256:` and 64 lower-case hexadecimal digits, as `exchange client-secret` prints, or ${NAME}"
    " of an environment variable that holds that; a secret itself never stands here"
)


class _AssertionKeysSchema(KeysSchema):
    algorithms = Algorithms("algorithm", load_default=ASYMMETRIC_ALGORITHMS)
    assertion_audience = Choice("issuer", "any")
    allow_insecure_http = Flag()
    allow_private_network = Flag()

    class Meta(StrictSchema.Meta):
        exclude = ("discovery",)


class _AuthenticationSchema(StrictSchema):
    client_secret = AnyValue()
    private_key_jwt = Section(_AssertionKeysSchema)
    assertion_audience = Choice("issuer", "any")
    tls_client_auth = Section(TlsClientAuthSchema)
    self_signed = Section(SelfSignedSchema)
    workload = WorkloadIdentities()


class _SecretSchema(StrictSchema):
    hash = AnyValue(required=True)


class ClientSchema(StrictSchema):
    client_id = Name()
    audience = Names("audience", load_default=())
    authorized_party = Names("name", load_default=())
    default_target = Name()
    authentication = Section(_AuthenticationSchema, required=True)
    assertion_audience = Choice("issuer", "any")
    opaque_tokens_from = OneIssuer()


_CLIENT = ClientSchema()
_SECRET = _SecretSchema()
AssertionAudience = Literal["issuer", "any"]
METHODS: Final = ("client_secret", "private_key_jwt", "tls_client_auth", "self_signed", "workload")


def read_client(
    file: PolicyFile, directory: PolicyDirectory, environ: Mapping[str, str]
) -> RegisteredClient | None:
    """Return the client that ``file`` describes; ``None`` when there are faults, which ``file`` has then."""
    if not file.is_mapping:
        return None
    loaded = file.load(_CLIENT, file.data)
    client_id = loaded.get("client_id", file.name)
    if not _CLIENT_ID.fullmatch(client_id):
        file.fault(("client_id",), "write at most 255 printable ASCII characters (RFC 6749 appendix A.1)")
    methods = loaded.get("authentication", {})
    if not methods.keys() & set(METHODS):
        _check_some_method(file)
    client_secret = _client_secret(file, methods, environ)
    audience = _assertion_audience(file, loaded, methods)
    private_key_jwt = _private_key_jwt(file, methods, directory, audience)
    tls_client_auth = read_tls_client_auth(file, methods, directory)
    self_signed = read_self_signed(file, methods)
    if file.faults:
        return None
    return RegisteredClient(
        name=file.name,
        source=file.source(),
        client_id=client_id,
        audience=frozenset(loaded["audience"]),
        authorized_party=frozenset({client_id, *loaded["authorized_party"]}),
        default_target=loaded.get("default_target"),
        client_secret=client_secret,
        private_key_jwt=private_key_jwt,
        opaque_tokens_from=loaded.get("opaque_tokens_from"),
        tls_client_auth=tls_client_auth,
        self_signed=self_signed,
        workload=_workload(methods, audience),
    )


def _check_some_method(file: PolicyFile) -> None:
    # By what the file says: a method that is there and wrong is another fault.
    declared = file.data.get("authentication")
    if isinstance(declared, dict) and not declared.keys() & set(METHODS):
        file.fault(("authentication",), "name at least one method, such as private_key_jwt or client_secret")


# ── client_secret ───────────────────────────────────────────────────────────────────────────────────────────


def _client_secret(
    file: PolicyFile, methods: Mapping[str, Any], environ: Mapping[str, str]
) -> ClientSecretMethod | None:
    path: YamlPath = ("authentication", "client_secret")
    declared = methods.get("client_secret")
    if declared is None:
        return None
    if isinstance(declared, str):
        return ClientSecretMethod(tuple(_digests(file, path, declared, environ, plain=True)))
    hashes = file.load(_SECRET, declared, path).get("hash")
    path = (*path, "hash")
    if hashes is None:
        return None
    if not isinstance(hashes, list):
        return ClientSecretMethod(tuple(_digests(file, path, hashes, environ)))
    if not hashes:
        file.fault(path, "list at least one hash")
    digests = [
        digest
        for index, value in enumerate(hashes)
        for digest in _digests(file, (*path, index), value, environ)
    ]
    if len(set(digests)) != len(digests):
        file.fault(path, "list every hash once")
    return ClientSecretMethod(tuple(digests))


def _digests(
    file: PolicyFile, path: YamlPath, declared: object, environ: Mapping[str, str], *, plain: bool = False
) -> Iterator[bytes]:
    """Yield the digest that ``declared`` means, or record a fault, which never shows the value.

    ``plain`` is for ``client_secret: ${NAME}``, where the variable may hold the secret itself.
    """
    value = declared
    variable = _VARIABLE.fullmatch(declared) if isinstance(declared, str) else None
    if variable:
        value = environ.get(variable[1])
        if not value:
            file.fault(
                path, f"the environment variable {variable[1]} is not set; set it, or write the hash here"
            )
            return
    match = _HASH.fullmatch(value) if isinstance(value, str) else None
    if match:
        yield bytes.fromhex(match[1])
    elif variable and plain and isinstance(value, str) and not value.startswith("sha256:"):
        yield hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()
    elif variable:
        file.fault(path, f"the environment variable {variable[1]} holds something else; {_NOT_A_HASH}")
    else:
        file.fault(path, _NOT_A_HASH)


# ── private_key_jwt ─────────────────────────────────────────────────────────────────────────────────────────


def _private_key_jwt(
    file: PolicyFile, methods: Mapping[str, Any], directory: PolicyDirectory, audience: AssertionAudience
) -> PrivateKeyJwtMethod | None:
    declared = methods.get("private_key_jwt")
    if declared is None:
        return None
    path = ("authentication", "private_key_jwt")
    keys = read_key_source(file, path, declared, directory, issuer=None, flags=declared)
    if keys is None:
        return None
    own: AssertionAudience = declared.get("assertion_audience", audience)
    return PrivateKeyJwtMethod(keys, frozenset(declared.get("algorithms", ())), own)


def _workload(methods: Mapping[str, Any], audience: AssertionAudience) -> WorkloadMethod | None:
    identities = methods.get("workload")
    return None if identities is None else WorkloadMethod(identities, audience)


def _assertion_audience(
    file: PolicyFile, loaded: Mapping[str, Any], methods: Mapping[str, Any]
) -> AssertionAudience:
    """Return what the ``aud`` of every assertion may be; ``private_key_jwt`` may say it for its own alone."""
    method = methods.get("private_key_jwt", {})
    places: tuple[tuple[YamlPath, Mapping[str, Any]], ...] = (
        (("authentication", "private_key_jwt"), method),
        (("authentication",), methods),
        ((), loaded),
    )
    said = [(path, section) for path, section in places if "assertion_audience" in section]
    if len(said) > 1:
        file.fault((*said[1][0], "assertion_audience"), "said twice; write it once")
    if said and "private_key_jwt" not in methods and "workload" not in methods:
        file.fault(
            (*said[0][0], "assertion_audience"),
            "is about private_key_jwt and workload, which this client does not use",
        )
    of_all = [section["assertion_audience"] for path, section in said if "private_key_jwt" not in path]
    return "issuer" if "issuer" in of_all else "any"
