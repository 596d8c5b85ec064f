"""Processes of the site beside the tests' own: a listener, a server of pages."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.db import connection

import badges

TESTS = Path(__file__).parent
#: How long to wait for what must happen. It takes that long only where it does not, on however busy a machine.
SECONDS = 180


def environment(log: Path, **settings: Any) -> dict[str, str]:
    """What a process needs to be the same site, with these settings."""
    database = {key: connection.settings_dict[key] for key in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")}
    # The package that the tests themselves have imported is first, wherever another one is installed.
    places = [Path(badges.__file__).parents[1], *(TESTS.parent / name for name in ("tests", "example", "tools"))]
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "settings_of_a_process",
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "BADGES_TEST_SITE": json.dumps({"database": database, **settings}),
        "BADGES_TEST_LOG": str(log),
    }


@contextlib.contextmanager
def process(*command: str, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end, if it still runs."""
    started = subprocess.Popen(
        [sys.executable, *command], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        started.stdout.close()


def eventually(found: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait until `found` gives something true; gives that."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value
