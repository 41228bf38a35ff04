"""Writes the pages that are made from the code: ``python docs/generate.py``; ``--check`` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from exchange.errors import REASONS, Reason

HERE = Path(__file__).parent

_ERRORS_HEAD = """\
# Errors

Made from `exchange/errors.py` by `make docs`; do not edit.

Every refusal is JSON. `reason` is the stable word: it is the same in the answer, the audit record and the metrics.
`request_id` is in the audit record and in the `X-Request-ID` header: name it when you ask the operator.

```json
{
  "error": "invalid_request",
  "error_description": "The subject_token is an OpenID Connect ID token; present the access token issued with it.",
  "error_uri": "https://exchange.example/errors#subject_token_is_id_token",
  "reason": "subject_token_is_id_token",
  "request_id": "3f0c…"
}
```

A caller whose client authentication failed learns nothing else, and the sentence is the same whatever the cause; the
audit record's `detail` has the cause. An unknown path is 404 (`not_found`) and another method is 405
(`method_not_allowed`), in the same form.

| reason | error | status | what it says |
|---|---|---|---|
"""


def errors_page() -> str:
    """Return ``docs/errors.md``."""
    return _ERRORS_HEAD + "".join(_row(reason) for reason in REASONS.values())


def _row(reason: Reason) -> str:
    return f"| `{reason.slug}` | `{reason.error}` | {reason.status} | {reason.description} |\n"


PAGES = {"errors.md": errors_page}


def main() -> int:
    """Write the pages, or with ``--check`` say which are out of date; returns the exit code."""
    stale = [name for name, page in PAGES.items() if not _is_current(name, page())]
    if "--check" not in sys.argv[1:]:
        for name in stale:
            (HERE / name).write_text(PAGES[name]())
        return 0
    for name in stale:
        print(f"docs/{name} is out of date: run `make docs`")
    return 1 if stale else 0


def _is_current(name: str, text: str) -> bool:
    path = HERE / name
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
