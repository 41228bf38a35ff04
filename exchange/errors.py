"""Every way in which the service says no: a closed set of reasons, and the one exception that carries them.

A reason is a stable slug. It decides the wire ``error``, the HTTP status and the public sentence, and it is
the same in the response, the audit record, the metrics, ``exchange explain`` and the tests. Public
sentences are constants: nothing of a request, a token or another server is ever put into one (RFC 6749 §5.2
also limits their characters, and an echo is how tokens get into other people's logs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from exchange.model import Role

INVALID_REQUEST = "invalid_request"
INVALID_CLIENT = "invalid_client"
INVALID_TARGET = "invalid_target"
INVALID_SCOPE = "invalid_scope"
UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
INVALID_DPOP_PROOF = "invalid_dpop_proof"
USE_DPOP_NONCE = "use_dpop_nonce"
TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
SERVER_ERROR = "server_error"


@dataclass(frozen=True, slots=True)
class Reason:
    """One entry of the closed set: the wire code (RFC 6749 §5.2, RFC 8693 §2.2.2), status and public
    sentence.
    """

    slug: str
    error: str
    status: int
    description: str


class Refusal(Exception):  # noqa: N818  # it is an answer, not a defect
    """A well-defined no.

    ``reason`` is a slug of ``REASONS`` (anything else is a bug and raises ``KeyError``). ``description``
    replaces the public sentence where one reason has several kinds; it must be a constant too. ``detail``
    is private: it goes to the audit record and never to the client. ``retry_after`` is in seconds.
    """

    def __init__(
        self,
        reason: str,
        *,
        description: str | None = None,
        detail: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        entry = REASONS[reason]
        super().__init__(reason)
        self.reason = replace(entry, description=description) if description else entry
        self.detail = detail
        self.retry_after = retry_after


def token_refusal(
    role: Role,
    suffix: str,
    *,
    description: str | None = None,
    detail: str | None = None,
    retry_after: int | None = None,
) -> Refusal:
    """Return the refusal of a subject token or of its twin, the actor token: ``expired`` →
    ``…_token_expired``.
    """
    return Refusal(f"{role}_token_{suffix}", description=description, detail=detail, retry_after=retry_after)


_REQUEST_IS_WRONG: Final = {
    "content_type_unsupported": "Send the parameters as application/x-www-form-urlencoded in the body.",
    "query_string_refused": (
        "Send every parameter in the body; a query string is refused because URLs end up in logs."
    ),
    "parameter_missing": (
        "A required parameter is missing; send grant_type, subject_token and subject_token_type."
    ),
    "parameter_repeated": "A parameter was sent more than once; only audience and resource may repeat.",
    "parameter_malformed": (
        "A parameter is malformed or too long; compare the request with the documentation."
    ),
    "requested_token_type_unsupported": (
        "Only access tokens are issued; leave requested_token_type out, or send the URN of access_token"
        " or jwt."
    ),
    "actor_token_type_without_actor_token": "Send actor_token and actor_token_type together, or neither.",
}

_CLIENT_IS_NOT_KNOWN: Final = {
    "client_authentication_failed": (
        "Client authentication failed; check the client identifier, the method and its credentials."
    ),
    "client_not_allowed": "This client may not use this endpoint.",
}

# Each has its twin for the actor token; {token} becomes subject_token or actor_token.
_TOKEN_IS_REFUSED: Final = {
    "type_unsupported": "Present an access token; {token}_type must be the URN of access_token or jwt.",
    "malformed": (
        "The {token} is not a well-formed signed JWT; present the access token as it was received."
    ),
    "too_large": "The {token} is too large; send at most 16 KiB.",
    "encrypted": (
        "The {token} is encrypted; have its issuer issue signed JWT access tokens for this client."
    ),
    "issuer_not_trusted": (
        "The issuer of the {token} is not trusted here; ask the operator to configure it."
    ),
    "issuer_disabled": "The issuer of the {token} is switched off here; ask the operator.",
    "issuer_unrecognisable": (
        "The issuer of the {token} makes access tokens that cannot be told from ID tokens; they are refused."
    ),
    "algorithm_not_allowed": "The {token} is signed with an algorithm that is not allowed for its issuer.",
    "key_unknown": (
        "The key that signed the {token} is not among the keys of its issuer; get a fresh token."
    ),
    "signature_invalid": "The signature of the {token} does not verify; present the token unchanged.",
    "header_refused": (
        "The {token} has a header parameter that is refused; get a plain signed access token."
    ),
    "expired": "The {token} has expired; get a fresh one from its issuer.",
    "not_yet_valid": "The {token} is not yet valid; check the clocks.",
    "too_old": "The {token} was issued too long ago; get a fresh one from its issuer.",
    "lifetime_too_long": "The {token} was issued for longer than is accepted here.",
    "claim_missing": "The {token} lacks a claim that is required for its issuer.",
    "claim_malformed": "A claim of the {token} has the wrong type or form.",
    "claim_refused": "A claim of the {token} does not meet what is required for its issuer.",
    "tenant_not_allowed": "The {token} was issued by a tenant that is not allowed here.",
    "is_id_token": "The {token} is an OpenID Connect ID token; present the access token issued with it.",
    "is_other_kind": "The {token} is a token of another kind; present an access token.",
    "kind_unproven": (
        "Nothing shows that the {token} is an access token; present the access token, or ask the"
        " operator whether the profile of its issuer fits."
    ),
    "audience_mismatch": "The {token} was issued for another audience than is accepted here.",
    "inactive": "The issuer says that the {token} is not active; get a fresh one.",
    "revoked": "The {token} was revoked; get a fresh one.",
    "used": "The {token} may be exchanged once and was used before; get a fresh one.",
    "proof_missing": "The {token} is bound to a key or certificate, and its proof was not presented.",
    "proof_invalid": "The {token} is bound to another key or certificate than was presented.",
}

_TARGET_IS_REFUSED: Final = {
    "target_missing": "Name the target with audience or resource.",
    "target_unknown": "The requested audience or resource is not known here.",
    "target_not_permitted": (
        "No rule of the requested target names this client; ask the owner of the target for one."
    ),
    "too_many_targets": "The request names more targets than are allowed at once.",
}

_POLICY_REFUSES: Final = {
    "no_rule_permits": (
        "No rule permits this exchange; ask the owner of the target, and name the request_id."
    ),
    "denied_by_rule": "A rule denies this exchange; ask the owner of the target, and name the request_id.",
    "issuer_in_audit_mode": (
        "The issuer of the token is on trial here: its exchanges are recorded and nothing is issued."
    ),
    "presenter_mismatch": (
        "The subject_token was neither sent to this client nor issued to it; present a token meant for"
        " this client."
    ),
    "condition_failed_to_evaluate": (
        "A condition of the policy could not be evaluated for this token; ask the owner of the target."
    ),
    "may_act_mismatch": "The may_act claim of the subject_token names another actor.",
    "actor_not_client": "The actor_token does not identify the authenticated client.",
    "delegation_required": "This exchange needs an actor_token; send one.",
    "delegation_not_allowed": "Delegation is not allowed here; send no actor_token.",
    "delegation_cycle": "The actor is already in the delegation chain.",
    "delegation_too_deep": "The delegation chain would become too long.",
    "self_renewal": "A token of ours is not renewed by exchange; exchange the original token again.",
    "sender_constraint_required": (
        "The target takes only tokens bound to a key or certificate; send a DPoP proof or use mutual TLS."
    ),
}

_SCOPE_IS_REFUSED: Final = {
    "scope_not_permitted": (
        "A requested scope is unknown or beyond what may be granted; ask for less, or leave scope out."
    ),
}

_DPOP_PROOF_IS_WRONG: Final = {
    "dpop_proof_invalid": "The DPoP proof is not valid; make a fresh one.",
    "dpop_proof_used": "The DPoP proof was used before; make a fresh one.",
}

_OUT_OF_REACH: Final = {
    "issuer_keys_unavailable": (
        "The keys of the issuer of a token cannot be fetched now; try again after Retry-After seconds."
    ),
    "introspection_unavailable": (
        "The issuer of a token cannot be asked about it now; try again after Retry-After seconds."
    ),
    "store_unavailable": "The store cannot be reached now; try again after Retry-After seconds.",
}


def _group(error: str, status: int, sentences: Mapping[str, str]) -> tuple[Reason, ...]:
    return tuple(Reason(slug, error, status, sentence) for slug, sentence in sentences.items())


def _twins() -> dict[str, str]:
    return {
        f"{role}_token_{suffix}": sentence.format(token=f"{role}_token")
        for role in Role
        for suffix, sentence in _TOKEN_IS_REFUSED.items()
    }


_ALL: Final = (
    *_group(INVALID_REQUEST, 400, _REQUEST_IS_WRONG),
    Reason(
        "grant_type_unsupported",
        UNSUPPORTED_GRANT_TYPE,
        400,
        "Use grant_type urn:ietf:params:oauth:grant-type:token-exchange.",
    ),
    Reason("body_too_large", INVALID_REQUEST, 413, "The request body is too large; send at most 64 KiB."),
    Reason(
        "rate_limited",
        TEMPORARILY_UNAVAILABLE,
        429,
        "Too many requests; try again after Retry-After seconds.",
    ),
    *_group(INVALID_CLIENT, 401, _CLIENT_IS_NOT_KNOWN),
    *_group(INVALID_REQUEST, 400, _twins()),
    *_group(INVALID_TARGET, 400, _TARGET_IS_REFUSED),
    *_group(INVALID_REQUEST, 400, _POLICY_REFUSES),
    *_group(INVALID_SCOPE, 400, _SCOPE_IS_REFUSED),
    *_group(INVALID_DPOP_PROOF, 400, _DPOP_PROOF_IS_WRONG),
    Reason(
        "dpop_nonce_required",
        USE_DPOP_NONCE,
        400,
        "Use the nonce of the DPoP-Nonce header in the DPoP proof.",
    ),
    *_group(TEMPORARILY_UNAVAILABLE, 503, _OUT_OF_REACH),
    Reason(
        "internal_error",
        SERVER_ERROR,
        500,
        "Something went wrong here; name the request_id to the operator.",
    ),
)

REASONS: Final[Mapping[str, Reason]] = MappingProxyType({reason.slug: reason for reason in _ALL})
"""The closed set. ``docs/errors.md`` is made from it and a test keeps the two alike."""
