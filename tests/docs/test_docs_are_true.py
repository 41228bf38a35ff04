"""The pages of ``docs/`` against the code: what they name exists, what exists they name, what they show happens."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jwt
import pytest
from click.testing import CliRunner
from marshmallow import Schema, fields

import exchange
from exchange import config, name_lookup
from exchange.cli import main
from exchange.config.audience_file import AudienceSchema
from exchange.config.client_file import ClientSchema, _SecretSchema
from exchange.config.fields import StrictSchema
from exchange.config.issuer_file import IssuerSchema
from exchange.config.issuer_shape import SHAPE_KEYS, _AlternativeSchema
from exchange.config.load import load
from exchange.config.not_yet import NOT_YET
from exchange.config.profiles import _KnownIssuerSchema, _ProfileSchema
from exchange.config.rules import ClaimSourceSchema, RuleSchema
from exchange.config.server_file import ServerSchema
from exchange.config.test_file import DecisionTestSchema
from exchange.config.workload_client import WorkloadIdentitySchema
from exchange.errors import REASONS
from exchange.introspection import asked_issuer, kept_answers, signed_answer
from exchange.introspection.answer import AnswerRefusal
from exchange.matchers import MATCHER_NAMES
from exchange.metrics import Metrics
from exchange.outbound import FetchFailure
from exchange.stores import sqlite, store
from exchange.trust import circuit, discovery, fetched_keys, flight, issuers
from exchange.trust.discovery import KeysRefusal
from exchange.trust.key_watch import FetchCause, LookupFailure
from exchange.web.token_request import _INSTEAD
from tests.docs.pages import (
    DOCS,
    Spoilt,
    all_pages,
    anchors,
    blocks,
    code,
    first_cells,
    page,
    policy_files,
    section,
    spoilt_files,
    write,
)
from tests.support import keys
from tests.support.idp import FakeIssuer
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    CLIENT_SECRET,
    KEY_CLIENT,
    SECRET_CLIENT,
    audience_file,
    client_assertion,
    key_client_file,
    rule,
    secret_client_file,
    write_policies,
)
from tests.support.service import REPOSITORY, RunningService

POLICIES = page("policies.md")
OPERATING = page("operating.md")
PACKAGE = Path(exchange.__file__).parent
NESTED = {
    "access_token.marker": _AlternativeSchema,
    "authentication.client_secret": _SecretSchema,
    "authentication.workload": WorkloadIdentitySchema,
    "rules": RuleSchema,
    "rules.claims": ClaimSourceSchema,
}
"""Schemas inside values that marshmallow sees as one; the others are found as sections of their file."""
FILES = {
    "server.yaml": ServerSchema,
    "issuers/NAME.yaml": IssuerSchema,
    "clients/NAME.yaml": ClientSchema,
    "audiences/NAME.yaml": AudienceSchema,
    "tests/NAME.yaml": DecisionTestSchema,
    "Profiles are files of the same form": _ProfileSchema,
}


def keys_of(schema: Schema, prefix: str = "") -> Iterator[tuple[str, type[Schema]]]:
    """Yield the path of every key of a file, with the schema that has it."""
    for name, field in schema.fields.items():
        path = prefix + name
        yield path, type(schema)
        if isinstance(field, fields.Nested):
            yield from keys_of(field.schema, f"{path}.")
        elif path in NESTED:
            yield from keys_of(NESTED[path](), f"{path}.")


def sources() -> dict[str, str]:
    return {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment without settings of this machine's own."""
    for name in [name for name in os.environ if name.startswith("EXCHANGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LENDER_INTROSPECTION_SECRET", "as any reader of policies.md would")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestPolicies:
    @pytest.mark.parametrize("heading", FILES)
    def test_every_key_of_a_file_has_its_row_and_no_row_is_about_another(self, heading: str) -> None:
        expected = {path for path, _ in keys_of(FILES[heading]())}
        if FILES[heading] is _ProfileSchema:
            expected = {path for path in expected if path.partition(".")[0] not in SHAPE_KEYS}

        assert set(first_cells(section(POLICIES, heading))) == expected

    def test_no_schema_of_the_loader_is_left_out(self) -> None:
        for module in pkgutil.iter_modules(config.__path__):
            importlib.import_module(f"{config.__name__}.{module.name}")
        reached = {found for schema in FILES.values() for _, found in keys_of(schema())}
        reached |= {ancestor for schema in reached for ancestor in schema.__mro__}

        # of the file of known issuers, which is no policy
        assert set(all_subclasses(StrictSchema)) - reached == {_KnownIssuerSchema}

    def test_the_directory_that_the_page_shows_loads_as_it_stands(self, here: Path) -> None:
        policies = load(write(policy_files(POLICIES), here), environ=os.environ)

        assert {issuer.name for issuer in policies.issuers.values()} == {
            "acme",
            "partner",
            "actions",
            "entra",
            "lender",
        }
        assert set(policies.clients) == {"orders-bff", "reports"}

    def test_the_page_shows_what_exchange_check_says_of_that_directory(self, here: Path) -> None:
        write(policy_files(POLICIES), here)

        answer = CliRunner().invoke(main, ["check", "--strict", "policies"])

        assert answer.exit_code == 0
        assert answer.output in POLICIES

    @pytest.mark.parametrize("spoilt", spoilt_files(POLICIES), ids=lambda spoilt: spoilt.text.splitlines()[0])
    def test_what_the_page_says_is_wrong_with_a_file_is_what_is_said(
        self, here: Path, spoilt: Spoilt
    ) -> None:
        write(policy_files(POLICIES) | {spoilt.path: spoilt.text}, here)

        assert CliRunner().invoke(main, ["check", "policies"]).output == spoilt.output

    def test_faults_are_shown_for_every_kind_of_file(self) -> None:
        shown = {spoilt.path.split("/")[1] for spoilt in spoilt_files(POLICIES)}

        assert shown == {"server.yaml", "issuers", "clients", "audiences", "tests"}

    def test_every_issuer_key_is_in_the_example_unless_it_is_refused(self) -> None:
        files = policy_files(POLICIES)
        full = "".join(f"\n{text}" for path, text in files.items() if path.startswith("policies/issuers/"))
        refused = {row.path[0] for row in NOT_YET if row.section == "issuers"} - {"mode", "single_use"}

        assert {name for name in IssuerSchema().fields if f"\n{name}:" not in full} == refused

    def test_every_matcher_has_its_row(self) -> None:
        rows = set(first_cells(section(POLICIES, "Conditions and matchers")))

        assert rows == set(MATCHER_NAMES)

    def test_everything_that_is_refused_by_name_is_listed(self) -> None:
        listed = code(section(POLICIES, "Refused by name in this version"))

        assert [row.path for row in NOT_YET if row.path[-1] not in listed] == []


class TestOperating:
    def test_every_variable_that_the_code_reads_is_named(self) -> None:
        text = "\n".join(sources().values())
        read = set(re.findall(r"\bEXCHANGE_[A-Z_]+", text))
        read |= set(re.findall(r"os\.environ(?:\.get\(|\[)[\"']([A-Z_]+)", text))
        read |= set(re.findall(r"\bSSL_CERT_[A-Z]+", text))

        assert {"EXCHANGE_POLICIES", "PORT", "WEB_CONCURRENCY", "SSL_CERT_FILE"} <= read
        assert read <= set(first_cells(OPERATING))

    def test_every_metric_is_named_with_its_labels(self) -> None:
        metrics = Metrics()
        metrics.attempt("issued", "", 0.1)
        metrics.key_fetch("demo", "fetched")
        metrics.keys.fetch_begun("demo", "start")
        metrics.keys.fetch_ended("demo", fetched=True)
        metrics.keys.lookup_failed("demo", "unknown")
        metrics.introspections.introspection("demo", "active")
        metrics.introspections.introspection_cache_hit("demo")
        metrics.policies_in_force("0" * 64)
        rows = re.findall(r"^\| `(exchange_\w+)` \| \w+ \| ([^|]*) \|", OPERATING, re.MULTILINE)
        documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
        real: dict[str, set[str]] = {}
        for family in metrics.registry.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            real[name] = {label for sample in family.samples for label in sample.labels} - {"le"}

        assert documented == real

    def test_every_member_of_an_audit_record_is_named(self, service: RunningService, idp: FakeIssuer) -> None:
        documented = set(first_cells(section(OPERATING, "The audit record")))
        answers = [
            service.exchange(idp.access_token(), BASIC, audience=AUDIENCE, scope="orders:read"),
            service.exchange(idp.access_token(), BASIC, resource="https://nobody.example"),
            service.exchange(
                idp.access_token(), None, audience=AUDIENCE, **client_assertion("https://x.example")
            ),
        ]
        records = [
            record for sent in answers for record in service.audit(request_id=sent.headers["X-Request-ID"])
        ]

        assert [record["outcome"] for record in records] == ["issued", "refused", "refused"]
        assert {member for record in records for member in members(record)} <= documented

    def test_the_audit_record_that_is_shown_has_the_members_of_a_real_one(
        self, service: RunningService, idp: FakeIssuer
    ) -> None:
        shown = json.loads(blocks(section(OPERATING, "The audit record"), "json")[0])
        answer = service.exchange(idp.access_token(), BASIC, audience=AUDIENCE, scope="orders:read")
        (real,) = service.audit(request_id=answer.headers["X-Request-ID"])

        assert list(shown) == list(real)
        assert list(members(shown)) == list(members(real))

    def test_the_timings_are_those_of_the_code(self) -> None:
        rows = re.findall(r"^\| [^|]+ \| `([A-Z_]+)` \| ([0-9.]+) \|$", OPERATING, re.MULTILINE)
        documented = {name: float(number) for name, number in rows}
        rooms = (
            asked_issuer,
            kept_answers,
            signed_answer,
            circuit,
            discovery,
            fetched_keys,
            flight,
            issuers,
            name_lookup,
        )
        real = {
            name: value
            for room in rooms
            for name, value in vars(room).items()
            if name.endswith("_SECONDS") or name.startswith("MAX_")
        } | {
            "BUSY_TIMEOUT": sqlite.BUSY_TIMEOUT,
            "RETRY_AFTER": store.RETRY_AFTER,
            "GRACE": store.GRACE,
        }

        assert documented == real

    def test_every_result_of_a_fetch_is_explained(self) -> None:
        results = {
            "internal_error",
            *get_args(FetchFailure),
            *get_args(KeysRefusal),
            *get_args(AnswerRefusal),
        }

        assert results <= set(first_cells(section(OPERATING, "Metrics")))

    def test_every_cause_that_keys_are_counted_by_is_explained(self) -> None:
        explained = set(first_cells(section(OPERATING, "Metrics")))

        assert {*get_args(FetchCause), *get_args(LookupFailure)} <= explained

    def test_the_procfile_is_shown_as_it_is(self) -> None:
        assert (REPOSITORY / "Procfile").read_text() in blocks(OPERATING, "")


@pytest.fixture(scope="module")
def shop(idp: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service with the client of the page, which has a secret and a key."""
    methods = {
        name: method
        for file in (secret_client_file(), key_client_file())
        for name, method in file["authentication"].items()
    }
    directory = write_policies(
        tmp_path_factory.mktemp("shop") / "policies",
        issuer=idp.issuer,
        clients={SECRET_CLIENT: secret_client_file(authentication=methods), KEY_CLIENT: None},
        audiences={"orders": audience_file(rule())},
    )
    with RunningService(directory, workers=1) as running:
        yield running


class TestCalling:
    @pytest.mark.parametrize("number", range(4))
    def test_the_python_that_is_shown_exchanges_a_token(
        self, shop: RunningService, idp: FakeIssuer, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        shown = blocks(page("calling.md"), "python")
        given = {
            "subject_token": idp.access_token(),
            "client_secret": CLIENT_SECRET,
            "private_key": keys.private_key("ES256", "client"),
            "key_id": "ES256-client",
            "dpop_key": keys.private_key("ES256", "dpop"),
        }

        exec(shown[number].replace("https://exchange.example", shop.url), given)

        assert len(shown) == 4
        claims = jwt.decode(str(given["token"]), options={"verify_signature": False})
        assert (claims["aud"], claims["scope"]) == (AUDIENCE, "orders:read")

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
    def test_the_curl_that_is_shown_exchanges_a_token(self, shop: RunningService, idp: FakeIssuer) -> None:
        (command,) = [block for block in blocks(page("calling.md"), "") if block.startswith("curl")]
        environment = {
            "PATH": os.environ["PATH"],
            "CLIENT_SECRET": CLIENT_SECRET,
            "ACCESS_TOKEN": idp.access_token(),
        }

        ran = subprocess.run(
            ["/bin/sh", "-c", command.replace("https://exchange.example", shop.url)],
            env=environment | {"NO_PROXY": "*"},
            capture_output=True,
            text=True,
            check=True,
        )

        assert json.loads(ran.stdout)["scope"] == "orders:read"

    def test_the_refusals_that_are_shown_are_what_is_said(self) -> None:
        for name in ("calling.md", "why-access-tokens.md", "operating.md"):
            shown = [
                json.loads(text)
                for text in re.findall(r"^\{\s*\"error\".*?\}$", page(name), re.MULTILINE | re.DOTALL)
            ]
            assert shown
            for refusal in shown:
                reason = REASONS[refusal["reason"]]
                assert list(refusal) == ["error", "error_description", "error_uri", "reason", "request_id"]
                assert refusal["error"] == reason.error
                assert refusal["error_description"] in {reason.description, *_INSTEAD.values()}

    def test_the_members_of_the_answer_are_explained(self, shop: RunningService, idp: FakeIssuer) -> None:
        answer = shop.exchange(idp.access_token(), BASIC, audience=AUDIENCE, scope="orders:read").json()

        assert set(first_cells(section(page("calling.md"), "The answer"))) == set(answer)

    @pytest.mark.parametrize("name", ["calling.md", "operating.md", "why-access-tokens.md"])
    def test_every_reason_that_is_explained_exists(self, name: str) -> None:
        named = set(
            re.findall(r"`((?:subject_token|actor_token|target|scope|client|parameter)_\w+)`", page(name))
        )
        parameters = {
            "subject_token_type",
            "actor_token_type",
            "client_id",
            "client_secret",
            "client_assertion",
        }
        others = {
            "client_assertion_type",
            "client_secret_basic",
            "client_secret_post",
            "client_authentication",
            "client_address",
        }

        assert named - parameters - others <= set(REASONS)


class TestAllPages:
    def test_every_command_in_them_exists(self) -> None:
        named = {
            (words[0], words[1])
            for path in all_pages()
            for words in re.findall(r"\bexchange ([a-z][a-z-]+)(?: ([a-z]+))?", code(path.read_text()))
        }

        assert ("check", "") in named
        assert {command for command, _ in named} <= set(main.commands)
        for command, sub in named:
            group: Any = main.commands[command]
            assert not hasattr(group, "commands") or not sub or sub in group.commands, (command, sub)

    def test_every_relative_link_leads_somewhere(self) -> None:
        dead = []
        for path in all_pages():
            for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", path.read_text()):
                file, _, anchor = link.partition("#")
                target = (path.parent / file).resolve() if file else path
                known = target.exists() and (not anchor or anchor in anchors(target.read_text()))
                dead.extend([] if known else [f"{path.relative_to(REPOSITORY)}: {link}"])

        assert dead == []

    def test_the_index_names_every_page(self) -> None:
        linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)#\s]+\.md)", page("README.md"))}
        adr = {path.resolve() for path in (DOCS / "adr").glob("0*.md")}
        profiles = {path.resolve() for path in (DOCS / "profiles").glob("*.md") if path.name != "README.md"}
        pages = {path.resolve() for path in DOCS.rglob("*.md")} - adr - {(DOCS / "README.md").resolve()}

        assert pages - profiles <= linked  # those of the profiles have an index of their own

    def test_what_is_made_from_the_code_is_current(self) -> None:
        command = [sys.executable, "docs/generate.py", "--check"]
        made = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

        assert (made.returncode, made.stdout) == (0, "")


def all_subclasses(parent: type) -> Iterator[type]:
    for child in parent.__subclasses__():
        if child.__module__.startswith("exchange."):
            yield child
        yield from all_subclasses(child)


def members(record: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the path of every member; what is in an issued token, or was compared, has names of its own."""
    for name, value in record.items():
        path = prefix + name
        yield path
        if path in {"issued.claims", "trace.checks.value", "decided_on.subject.claims"}:
            continue
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            yield from members(inner, f"{path}.")
