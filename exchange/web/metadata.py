"""Authorization server metadata (RFC 8414), built from what is really switched on."""

from __future__ import annotations

from collections.abc import Mapping

from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from exchange.clients.authenticate import METHODS
from exchange.clients.tls_client_auth import MUTUAL_TLS
from exchange.clients.workload import WORKLOAD
from exchange.config.values import Policies
from exchange.jose import ASYMMETRIC_ALGORITHMS
from exchange.web.endpoint_urls import EndpointUrls
from exchange.web.token_exchange_grant import GRANT_TYPE

_REGISTERED: Mapping[str, str] = {WORKLOAD: "private_key_jwt"}
_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", *MUTUAL_TLS)


def metadata(policies: Policies, urls: EndpointUrls, *, mutual_tls: bool = False) -> dict[str, object]:
    """Return the metadata document of RFC 8414 §2.

    ``response_types_supported`` is left out: there is no authorization endpoint, and §3.2 says that members
    without elements are omitted, which wins over its being required (docs/adr/0003). ``mutual_tls`` says
    whether anybody is believed about client certificates: without it nobody could use those methods. A token
    of a workload is sent as ``private_key_jwt`` is, and nothing else is registered for it (docs/adr/0086).
    """
    used = {
        _REGISTERED.get(name, name)
        for name in METHODS
        if (mutual_tls or name not in MUTUAL_TLS)
        and any(client.check_endpoint_auth_method(name, "token") for client in policies.clients.values())
    }
    methods = [name for name in _METHODS if name in used]
    document = AuthorizationServerMetadata(
        issuer=urls.issuer,
        token_endpoint=urls.token,
        jwks_uri=urls.jwks,
        grant_types_supported=[GRANT_TYPE],
    )
    document["dpop_signing_alg_values_supported"] = sorted(ASYMMETRIC_ALGORITHMS)  # RFC 9449 §5.1
    if mutual_tls:  # RFC 8705 §3.3
        document["tls_client_certificate_bound_access_tokens"] = True
    if methods:
        document["token_endpoint_auth_methods_supported"] = methods
    if "private_key_jwt" in methods:
        document["token_endpoint_auth_signing_alg_values_supported"] = sorted(_assertion_algorithms(policies))
    return dict(document)


def _assertion_algorithms(policies: Policies) -> frozenset[str]:
    clients = policies.clients.values()
    own = (client.private_key_jwt.algorithms for client in clients if client.private_key_jwt)
    vouching = {one.issuer for client in clients if client.workload for one in client.workload.identities}
    of_workloads = (issuer.algorithms for issuer in policies.issuers.values() if issuer.name in vouching)
    return frozenset().union(*own, *of_workloads) & ASYMMETRIC_ALGORITHMS
