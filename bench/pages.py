"""What the pages cost on the data of the demo: processor time of the backend and of the process that serves them.

    BADGES_DSN=... python3 example/demo.py --large --no-serve     # once
    BADGES_DSN=... python3 bench/pages.py [--before SRC DSN]

A page is requested anew (nothing is remembered), again, and after an award of another badge, which is revoked
afterwards. `--before` compares with another version: the folder `src` of a checkout, and a database of its own that
`create_badge_triggers` of that version has brought up to date. Each version has a process of its own; they take turns
in each round. `count` is the hand-written count of the holders of all badges, in the same session.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "example")]

PAGES = {
    "all badges": "/badges/",
    "a badge": "/badges/badge/collector/",
    "its page 1,000": "/badges/badge/collector/?page=1000",
    "leaderboard": "/badges/leaderboard/",
    "page 1,000 of it": "/badges/leaderboard/?page=1000",
    "badges of the API": "/api/badges/",
}
STATES = ("anew", "again", "award")
COUNT = "SELECT code, count(*) FROM badges_badge GROUP BY code"
AWARDED = "virtuoso"


class Version:
    """A process that requests pages from one version of the package."""

    def __init__(self, source: str, dsn: str) -> None:
        environment = {**os.environ, "BADGES_DSN": dsn, "PYTHONPATH": source}
        command = [sys.executable, __file__, "--serve"]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def request(self, path: str, state: str) -> list[float]:
        """Milliseconds: processor time of the backend, of the client, and wall time."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps([path, state]), file=self.process.stdin, flush=True)
        found: list[float] = json.loads(self.process.stdout.readline())
        return found


def serve() -> None:
    """Request what the other process names; the site of the demo, for a user who is logged in."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415

    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["testserver"]
    django.setup()
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from django.core.cache import cache  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    from badges.models import Badge  # noqa: PLC0415
    from bench.measure import timed, undisturbed  # noqa: PLC0415

    holders = Badge.objects.filter(code=AWARDED).values("user")
    viewer, other = get_user_model().objects.exclude(pk__in=holders)[50_000:50_002]
    client = Client()
    client.force_login(viewer)
    with connection.cursor() as cursor:
        # Parallel workers would hide what they do.
        cursor.execute("SET max_parallel_workers_per_gather = 0")

    def get(path: str) -> None:
        if path:
            assert client.get(path).status_code == 200
        else:
            with connection.cursor() as cursor:
                cursor.execute(COUNT)
                cursor.fetchall()

    def measured(path: str, state: str) -> list[float]:
        if state == "anew":
            cache.clear()
        elif state == "award":
            Badge.objects.award(other, AWARDED)
        with undisturbed():
            sample = timed(connection.connection.info.backend_pid, lambda: get(path))
        if state == "award":
            Badge.objects.revoke(other, AWARDED)
        return [each / 1000 for each in (sample.cpu or 0, sample.client, sample.wall)]

    get(PAGES["all badges"])
    for line in sys.stdin:
        print(json.dumps(measured(*json.loads(line))), flush=True)


def main() -> None:
    """Print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--before", nargs=2, metavar=("SRC", "DSN"))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    versions = {"now": Version(str(REPOSITORY / "src"), os.environ["BADGES_DSN"])}
    if arguments.before:
        versions["before"] = Version(*arguments.before)
    samples: dict[Any, list[list[float]]] = {}
    for _ in range(arguments.rounds):
        for page, path in {"count": "", **PAGES}.items():
            for state in STATES if path else STATES[:1]:
                for name, version in versions.items():
                    samples.setdefault((page, state, name), []).append(version.request(path, state))
    print("CPU of the backend, of the client, wall; in ms")
    for (page, state, name), found in samples.items():
        backend, client, wall = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{page:20}{state:8}{name:8}{backend:8.1f}{client:8.1f}{wall:8.1f}")


if __name__ == "__main__":
    main()
