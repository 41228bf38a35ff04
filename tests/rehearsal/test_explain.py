"""``exchange explain``: for every reason the check that failed, and what it is given and gives."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from exchange.errors import REASONS
from exchange.rehearsal.explanation import CHECK_OF_REASON
from exchange.rehearsal.seen import _SHOWN
from exchange.tokens.checks import Check
from tests.rehearsal import shop
from tests.rehearsal.shop import (
    AT_JWT,
    DENIAL,
    OPENED_BY_ALL,
    PLAIN,
    claims,
    explain,
    explain_claims,
    run,
    signed,
)
from tests.support import keys
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import AUDIENCE, SECRET_CLIENT, issuer_file, secret_client_file
from tests.support.service import REPOSITORY, free_port

Case = tuple[str, str, dict[str, Any], dict[str, Any]]

# The reason, the check that is named, the claims that differ from a genuine clerk's, the header.
OF_CLAIMS: list[Case] = [
    ("too_large", "form", {"padding": "x" * 17_000}, {}),
    ("header_refused", "header", {}, {"crit": ["exp"]}),
    ("algorithm_not_allowed", "header", {}, {"alg": "none"}),
    ("algorithm_not_allowed", "algorithm", {}, {"alg": "RS512"}),
    ("claim_missing", "issuer", {"iss": ...}, {}),
    ("claim_malformed", "issuer", {"iss": 7}, {}),
    ("issuer_not_trusted", "issuer", {"iss": "https://nobody.example"}, {}),
    ("claim_missing", "times", {"exp": None}, {}),
    ("claim_malformed", "times", {"exp": "soon"}, {}),
    ("expired", "times", {"exp": 5}, {}),
    ("not_yet_valid", "times", {"nbf": 9_999_999_999}, {}),
    ("lifetime_too_long", "times", {"exp": 9_999_999_999}, {}),
    ("is_id_token", "kind", {"nonce": "n1"}, {"typ": "JWT"}),
    ("is_other_kind", "kind", {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, {}),
    ("kind_unproven", "kind", {}, {"typ": "JWT"}),
    ("claim_missing", "claims", {"sub": ...}, {}),
    ("claim_malformed", "claims", {"aud": 7}, {}),
    ("audience_mismatch", "audience", {"aud": "https://else.example"}, {}),
    ("claim_refused", "require", {"region": "us"}, {}),
    ("proof_missing", "kept", {"cnf": {"jkt": "x"}}, {}),
    ("claim_malformed", "kept", {"act": "ben"}, {}),
]


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require = {"region": {"one_of": ["eu"]}}
    return shop.shop(
        tmp_path_factory.mktemp("explain"), issuer={"algorithms": ["ES256", "RS256"], "require": require}
    )


def european(**changes: Any) -> dict[str, Any]:
    return claims(**({"region": "eu"} | changes))


@pytest.mark.parametrize(("suffix", "check", "changes", "header"), OF_CLAIMS)
@pytest.mark.parametrize("role", ["subject", "actor"])
def test_the_check_that_a_token_failed_is_named(  # noqa: PLR0917
    policies: Path, role: str, suffix: str, check: str, changes: Any, header: Any
) -> None:
    spoilt, head = json.dumps(european(**changes)), json.dumps(AT_JWT | header)
    genuine = ("--claims", json.dumps(european()), "--header", json.dumps(AT_JWT))
    if role == "actor":
        explanation = explain(policies, *genuine, "--actor-claims", spoilt, "--actor-header", head)
    else:
        explanation = explain(policies, "--claims", spoilt, "--header", head)

    assert explanation["refusal"]["reason"] == f"{role}_token_{suffix}"
    assert explanation["refusal"]["failed"] == f"{role}_token {check}"
    checks = explanation[f"{role}_token"]
    assert [one["check"] for one in checks if one["outcome"] == "failed"] == [check]
    assert checks[-1]["check"] == check
    assert explanation["exit"] == 1


@pytest.mark.parametrize(
    ("token", "suffix", "check"),
    [
        ("opaque", "malformed", "form"),
        ("a.b.c.d.e", "encrypted", "form"),
        (keys.sign(claims(), algorithm="ES256", label="other", header=AT_JWT), "key_unknown", "key"),
        (
            keys.sign(claims(), algorithm="ES256", label="other", header=AT_JWT | {"kid": "ES256-a"}),
            "signature_invalid",
            "signature",
        ),
    ],
)
def test_the_check_that_a_signed_token_failed_is_named(
    policies: Path, token: str, suffix: str, check: str
) -> None:
    explanation = explain(policies, "--subject-token", token)

    assert explanation["refusal"]["reason"] == f"subject_token_{suffix}"
    assert explanation["refusal"]["failed"] == f"subject_token {check}"


@pytest.mark.parametrize(
    ("changes", "suffix", "check"),
    [
        ({"enabled": False}, "issuer_disabled", "issuer"),
        ({"max_token_age": "1s"}, "too_old", "times"),
    ],
)
def test_the_check_that_the_issuers_file_made_fail_is_named(
    tmp_path: Path, changes: dict[str, Any], suffix: str, check: str
) -> None:
    explanation = explain_claims(shop.shop(tmp_path, issuer=changes), claims(iat=claims()["iat"] - 60))

    assert explanation["refusal"]["reason"] == f"subject_token_{suffix}"
    assert explanation["refusal"]["failed"] == f"subject_token {check}"


def test_what_became_of_the_keys_is_shown(tmp_path: Path) -> None:
    nobody = {"keys": {"jwks_uri": f"http://127.0.0.1:{free_port()}/jwks.json"}, "allow_insecure_http": True}
    directory = shop.shop(tmp_path)
    (directory / "issuers" / "idp.yaml").write_text(json.dumps(issuer_file(shop.ISSUER, **nobody)))

    explanation = explain(directory, "--subject-token", signed(claims()))

    assert explanation["refusal"]["reason"] == "issuer_keys_unavailable"
    assert explanation["refusal"]["failed"] == "subject_token key"
    assert explanation["key_fetches"] == [{"issuer": "idp", "outcome": "unreachable"}]


def test_keys_are_fetched_for_a_token_and_never_for_claims(tmp_path: Path) -> None:
    with FakeIssuer(algorithm="ES256") as idp:
        directory = shop.shop(tmp_path)
        (directory / "issuers" / "idp.yaml").write_text(json.dumps(issuer_file(idp.issuer)))
        payload = idp.access_token_claims(tenant="acme-eu")

        by_claims = explain_claims(directory, payload)
        asked_for = list(idp.requests)
        by_token = explain(directory, "--subject-token", idp.sign(payload, header=AT_JWT))

    assert (by_claims["outcome"], by_token["outcome"]) == ("issued", "issued")
    assert asked_for == []
    assert by_token["key_fetches"] == [{"issuer": "idp", "outcome": "fetched"}]


AUDIT_MODE = {"issuer": {"mode": "audit"}}
CHAIN = {
    "act": {"sub": "a", "act": {"sub": "b", "act": {"sub": "c", "act": {"sub": "d", "act": {"sub": "e"}}}}}
}
# The reason, the check that is named, policies, claims, options.
OF_POLICY: list[tuple[str, str, dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ("target_unknown", "target", {}, {}, ("--resource", "https://nobody.example")),
    ("no_rule_permits", "rules", {}, {"tenant": "umbrella"}, ()),
    ("denied_by_rule", "rules", {}, {"guest": True}, ()),
    ("condition_failed_to_evaluate", "rules", {}, {"tenant": ...}, ()),
    (
        "presenter_mismatch",
        "presenter",
        {"clients": {SECRET_CLIENT: secret_client_file(audience=["x"])}},
        {},
        (),
    ),
    ("scope_not_permitted", "scopes", {}, {}, ("--scope", "orders:admin")),
    ("issuer_in_audit_mode", "mode", AUDIT_MODE, {}, ()),
    ("may_act_mismatch", "may_act", {}, {"may_act": {"client_id": "other"}}, ()),
    ("delegation_too_deep", "chain", {}, CHAIN, ()),
]


@pytest.mark.parametrize(("reason", "check", "changes", "payload", "options"), OF_POLICY)
def test_the_check_of_policy_that_failed_is_named(  # noqa: PLR0917
    tmp_path: Path, reason: str, check: str, changes: Any, payload: Any, options: Any
) -> None:
    explanation = explain_claims(shop.shop(tmp_path, **changes), claims(**payload), *options)

    assert explanation["refusal"]["reason"] == reason
    assert explanation["refusal"]["failed"] == check


@pytest.mark.parametrize(
    ("rule", "actor", "reason", "check"),
    [
        ({"delegation": "required"}, None, "delegation_required", "delegation"),
        ({"delegation": "none"}, {"sub": SECRET_CLIENT}, "delegation_not_allowed", "delegation"),
        ({}, {"sub": "eve", "client_id": "eve"}, "actor_not_client", "delegation"),
        ({}, {"sub": "ada", "client_id": SECRET_CLIENT}, "delegation_cycle", "chain"),
    ],
)
def test_the_check_of_delegation_that_failed_is_named(
    tmp_path: Path, rule: Any, actor: Any, reason: str, check: str
) -> None:
    options = (
        ("--actor-claims", json.dumps(claims(**actor)), "--actor-header", json.dumps(AT_JWT)) if actor else ()
    )
    explanation = explain_claims(shop.shop(tmp_path, PLAIN | rule), claims(), *options)

    assert explanation["refusal"]["reason"] == reason
    assert explanation["refusal"]["failed"] == check


def test_requests_that_policy_never_sees_are_named_too(policies: Path) -> None:
    refused = explain_claims(policies, european(), "--subject-token-type", "id_token")

    assert refused["refusal"]["reason"] == "subject_token_type_unsupported"
    assert refused["refusal"]["failed"] == "request"
    assert "subject_token" not in refused


def test_every_reason_of_policy_has_a_check() -> None:
    left_to_the_trace = {
        *("presenter_mismatch", "scope_not_permitted", "actor_not_client"),
        *("delegation_required", "delegation_not_allowed", "sender_constraint_required"),
    }
    of_policy = {
        slug
        for slug, reason in REASONS.items()
        if reason.error in {"invalid_target", "invalid_scope"}
        or slug.startswith(("no_rule", "denied", "issuer_in", "presenter", "condition", "may_act", "actor_not", "deleg", "self_", "sender"))
    }  # fmt: skip

    assert of_policy <= set(CHECK_OF_REASON) | left_to_the_trace


def test_every_check_says_what_it_saw() -> None:
    assert set(_SHOWN) == set(Check)


def test_only_a_rehearsal_goes_past_the_signature() -> None:
    """``accept`` gives a verified token for whatever it is handed: one call too many would be the end."""
    callers = [
        str(path.relative_to(REPOSITORY))
        for path in sorted((REPOSITORY / "exchange").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "accept"
    ]

    assert callers == [
        "exchange/inspection/bench.py",  # the doctor, on tokens that have expired since
        "exchange/rehearsal/rehearse.py",
        "exchange/tokens/validate.py",
    ]


def test_an_unsigned_token_is_worth_nothing_to_the_service(policies: Path) -> None:
    token = shop.unsigned(policies, european())

    assert (
        explain(policies, "--subject-token", token)["refusal"]["reason"] == "subject_token_signature_invalid"
    )


class TestWhatItIsGiven:
    def test_claims_come_from_a_file_from_standard_input_or_from_the_argument(
        self, policies: Path, tmp_path: Path
    ) -> None:
        text = json.dumps(european())
        (tmp_path / "claims.json").write_text(text)
        ask = (
            "explain",
            "--policies",
            policies,
            "--client",
            SECRET_CLIENT,
            "--audience",
            AUDIENCE,
            "--header",
        )

        for given, stdin in ((f"@{tmp_path / 'claims.json'}", None), ("@-", text), (text, None)):
            assert run(*ask, json.dumps(AT_JWT), "--claims", given, stdin=stdin).exit_code == 0

    def test_iss_iat_and_exp_are_filled_in(self, policies: Path) -> None:
        bare = european(iss=..., iat=..., exp=...)

        assert explain_claims(policies, bare, "--issuer", "idp")["outcome"] == "issued"

    def test_an_id_token_never_explains_as_an_access_token_for_want_of_a_header(self, policies: Path) -> None:
        id_token = {"sub": "ada", "aud": BACKEND, "region": "eu"}
        explanation = explain(policies, "--claims", json.dumps(id_token), "--issuer", "idp")

        assert explanation["refusal"]["reason"] == "subject_token_kind_unproven"
        assert "--header" in explanation["refusal"]["hint"]

    def test_a_token_of_ours_is_one_like_any_other(self, tmp_path: Path) -> None:
        own = {"sub": "idp|ada", "aud": BACKEND, "client_id": "another", "jti": "1", "scope": "orders.read"}
        directory = shop.shop(tmp_path, PLAIN | {"subject": {"issuer": "self"}})
        explanation = explain(
            directory, "--claims", json.dumps(own), "--issuer", "self", "--header", json.dumps(AT_JWT)
        )

        assert explanation["issued"]["claims"]["sub"] == "idp|ada"

    def test_a_signed_token_of_ours_is_verified_with_our_keys_and_none_is_made(self, tmp_path: Path) -> None:
        directory = shop.shop(tmp_path, PLAIN | {"subject": {"issuer": "self"}})
        own = {"iss": "https://exchange.example", "sub": "idp|ada"}
        store = tmp_path / "keys"
        result = run(
            *("explain", "--policies", directory, "--client", SECRET_CLIENT, "--subject-token", signed(own)),
            env={"EXCHANGE_KEYS": str(store)},
        )

        assert "REFUSED subject_token_key_unknown" in result.output
        assert not store.exists()

    @pytest.mark.parametrize(
        "options",
        [
            ("--client", SECRET_CLIENT),
            ("--client", "nobody", "--claims", "{}"),
            ("--claims", "{}"),
            ("--client", SECRET_CLIENT, "--claims", "{}", "--subject-token", "x"),
            ("--client", SECRET_CLIENT, "--subject-token", "x", "--header", "{}"),
            ("--client", SECRET_CLIENT, "--subject-token", "x", "--issuer", "idp"),
            ("--client", SECRET_CLIENT, "--claims", "{}", "--issuer", "nobody"),
            ("--client", SECRET_CLIENT, "--claims", "[]"),
            ("--client", SECRET_CLIENT, "--claims", '{"a": 1, "a": 2}'),
            ("--client", SECRET_CLIENT, "--claims", "@/nowhere/at/all"),
            ("--client", SECRET_CLIENT, "--claims", "{}", "--header", "no"),
            ("--client", SECRET_CLIENT, "--claims", "{}", "--actor-header", "{}"),
            ("--request-id", "1"),
            ("--audit", "x", "--request-id", "1", "--client", SECRET_CLIENT),
        ],
    )
    def test_what_makes_no_sense_exits_with_two(self, policies: Path, options: tuple[str, ...]) -> None:
        result = run("explain", "--policies", policies, *options)

        assert (result.exit_code, result.stdout) == (2, "")

    def test_policies_with_faults_exit_with_two(self, tmp_path: Path) -> None:
        result = run("explain", "--policies", tmp_path, "--client", SECRET_CLIENT, "--claims", "{}")

        assert result.exit_code == 2
        assert "server.yaml" in result.stderr


class TestWhatItGives:
    def test_the_yaml_line_that_decided_is_named(self, policies: Path) -> None:
        explanation = explain_claims(policies, european())
        source = explanation["decision"]["decided_by"]["source"]
        file, line, _ = source.rsplit(":", 2)

        assert "clerks" in Path(file).read_text().splitlines()[int(line) - 1]
        assert source in run(
            "explain", "--policies", policies, "--client", SECRET_CLIENT, "--audience", AUDIENCE,
            "--claims", json.dumps(european()), "--header", json.dumps(AT_JWT),
        ).output  # fmt: skip

    def test_each_condition_comes_with_what_it_saw(self, policies: Path) -> None:
        explanation = explain_claims(policies, european(tenant="acme-eu"))
        clerks = next(rule for rule in explanation["decision"]["rules"] if rule["id"] == "clerks")

        assert [(one["kind"], one["held"], one.get("value")) for one in clerks["conditions"]] == [
            ("client", True, SECRET_CLIENT),
            ("subject.issuer", True, "idp"),
            ("subject.claims", True, ["clerk"]),
            ("when", False, None),
        ]

    def test_a_trial_is_shown(self, tmp_path: Path) -> None:
        trial = PLAIN | {"id": "trial", "mode": "audit", "subject": {"issuer": "idp"}}
        directory = shop.shop(tmp_path, DENIAL, trial, OPENED_BY_ALL)
        result = run(
            "explain", "--policies", directory, "--client", SECRET_CLIENT, "--audience", AUDIENCE,
            "--claims", json.dumps(claims(realm=...)), "--header", json.dumps(AT_JWT),
        )  # fmt: skip

        assert result.exit_code == 1
        assert "without mode: audit it would have been permitted by trial" in result.output

    @pytest.mark.parametrize("as_json", [True, False])
    def test_no_token_and_no_escape_reaches_the_terminal(self, policies: Path, as_json: bool) -> None:
        odd = "\x1b[31mred\x9b2J\u202e"
        token = signed(european(sub=odd, may_act={odd: odd}))
        options = ("--json",) if as_json else ()
        result = run(
            "explain", "--policies", policies, "--client", SECRET_CLIENT, "--audience", AUDIENCE,
            "--subject-token", token, *options,
        )  # fmt: skip

        assert all(part not in result.output for part in token.split("."))
        assert "may_act_mismatch" in result.output
        assert not {"\x1b", "\x9b", "\u202e"} & set(result.output)
