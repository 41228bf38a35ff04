"""A whole token exchange on this machine, told step by step: `make run` and `make demo`.

    python examples/demo.py            free ports, temporary files; exit code 0 only if all of it happened
    python examples/demo.py --serve    the ports of policies/, state in var/; keeps serving until Ctrl-C

The service is started as the Procfile says. Every step is checked, so what is printed is what happened.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import NoReturn

import demo_backend
import stage
import story


def serve(service: stage.Service, backend: demo_backend.Backend) -> None:
    """Say how to try it, and go on until somebody stops it."""
    story.invitation(service.url, backend.url)
    service.echo = True
    try:
        while service.process.poll() is None:
            time.sleep(0.2)
    finally:
        service.echo = False  # Ctrl-C reaches its workers too, and how they end is no news
    raise stage.Failed("\n  ".join(["The service ended.", *service.log[-30:]]))


def main() -> int:
    """Return the exit code: 0 when everything happened as it should."""
    keeps_serving = "--serve" in sys.argv[1:]
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with (
            stage.fixed_place() if keeps_serving else stage.temporary_place() as place,
            stage.everything(place) as (service, backend),
        ):
            story.tell(service, backend)
            if keeps_serving:
                serve(service, backend)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0 if keeps_serving else 130
    except (stage.Failed, story.Unexpected) as failure:
        print(f"\nThe demonstration failed. {failure}", file=sys.stderr)
        return 1
    return 0


def interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001  # a signal handler's signature
    """Treat SIGTERM like Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
