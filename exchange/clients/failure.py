"""Why a client is not who it says: a closed set for the operator, and one face for the caller."""

from __future__ import annotations

from enum import StrEnum

from exchange.errors import Refusal


class AuthenticationFailure(StrEnum):
    """The private cause of ``client_authentication_failed``, as written to the audit record."""

    NO_METHOD = "no_method"
    SEVERAL_METHODS = "several_methods"
    AUTHORIZATION_SCHEME_UNKNOWN = "authorization_scheme_unknown"
    METHOD_NOT_REGISTERED = "method_not_registered"
    CLIENT_UNKNOWN = "client_unknown"
    CLIENT_ID_MISSING = "client_id_missing"
    CLIENT_ID_MISMATCH = "client_id_mismatch"
    BASIC_MALFORMED = "basic_malformed"
    SECRET_MALFORMED = "secret_malformed"
    SECRET_WRONG = "secret_wrong"
    CERTIFICATE_MALFORMED = "certificate_malformed"
    CERTIFICATE_NOT_VALID_NOW = "certificate_not_valid_now"
    CERTIFICATE_ISSUER_UNKNOWN = "certificate_issuer_unknown"
    CERTIFICATE_NAME_MISMATCH = "certificate_name_mismatch"
    CERTIFICATE_UNKNOWN = "certificate_unknown"
    ASSERTION_TYPE_UNKNOWN = "assertion_type_unknown"
    ASSERTION_MISSING = "assertion_missing"
    ASSERTION_MALFORMED = "assertion_malformed"
    ASSERTION_TOO_LARGE = "assertion_too_large"
    ASSERTION_ENCRYPTED = "assertion_encrypted"
    ASSERTION_SUBJECT_MALFORMED = "assertion_subject_malformed"
    ASSERTION_ISSUER_MISMATCH = "assertion_issuer_mismatch"
    ASSERTION_TYP_REFUSED = "assertion_typ_refused"
    ASSERTION_CRIT_REFUSED = "assertion_crit_refused"
    ASSERTION_ALGORITHM_NOT_ALLOWED = "assertion_algorithm_not_allowed"
    ASSERTION_KEY_UNKNOWN = "assertion_key_unknown"
    ASSERTION_SIGNATURE_INVALID = "assertion_signature_invalid"
    ASSERTION_AUDIENCE_MALFORMED = "assertion_audience_malformed"
    ASSERTION_AUDIENCE_NOT_SINGLE = "assertion_audience_not_single"
    ASSERTION_AUDIENCE_MISMATCH = "assertion_audience_mismatch"
    ASSERTION_TIME_MALFORMED = "assertion_time_malformed"
    ASSERTION_EXPIRED = "assertion_expired"
    ASSERTION_NOT_YET_VALID = "assertion_not_yet_valid"
    ASSERTION_LIFETIME_TOO_LONG = "assertion_lifetime_too_long"
    ASSERTION_JTI_MALFORMED = "assertion_jti_malformed"
    ASSERTION_USED = "assertion_used"
    WORKLOAD_UNKNOWN = "workload_unknown"
    WORKLOAD_TOKEN_REFUSED = "workload_token_refused"
    """By the checks of its issuer's tokens; the detail says which, as the reasons of an exchange do."""
    WORKLOAD_ISSUER_IN_AUDIT_MODE = "workload_issuer_in_audit_mode"


def authentication_failed(cause: AuthenticationFailure, more: str | None = None) -> Refusal:
    """Return the one answer to every failure (RFC 6749 §5.2 ``invalid_client``); ``more`` is private, too.

    A caller that could tell the causes apart would learn which clients exist and which method each uses, and
    could try the parts of a forged assertion one at a time.
    """
    return Refusal("client_authentication_failed", detail=f"{cause.value}: {more}" if more else cause.value)
