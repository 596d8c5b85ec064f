"""Sessions whose steps a test writes down one by one, in the manner of PostgreSQL's own isolation specs.

Each statement of a session runs to its end before the next step, whichever session that belongs to; so the order on the
page is the order in the database. Only a step that is meant to wait for another session is started by `start`, and
whether it waits is asked of the server. Time decides nothing.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connections
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from badges import definitions
from badges.installation import executor
from badges.operations import backfill
from badges.operations.settle import settle

#: The Django database that is the site's.
ALIAS = "isolation"

READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE = LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")

#: Ends a step that would wait for ever, so that a test fails and does not hang.
HANGS = "180s"

#: Seconds that a step may take on a busy machine if it waits for no lock; usually a few hundredths of a second.
AT_ONCE = 60

#: Repeated alone, a transaction succeeds at once.
REPETITIONS = 5


class Session:
    """One connection. What fails with 40001 at SERIALIZABLE is repeated at the commit, as applications do."""

    def __init__(self, conninfo: str) -> None:
        self.connection = psycopg.connect(conninfo, autocommit=True, options=f"-c statement_timeout={HANGS}")
        self.level = ""
        self.has_failed = False
        self.steps: list[tuple[str, Any]] = []
        self._thread = ThreadPoolExecutor(1)

    def close(self) -> None:
        self.connection.close()
        self._thread.shutdown()

    def begin(self, level: str = READ_COMMITTED) -> None:
        """Begin a transaction and take its snapshot, if its level fixes one."""
        self.level, self.has_failed, self.steps = level, False, []
        self._execute(f"BEGIN ISOLATION LEVEL {level}", None)
        self._execute("SELECT", None)

    def run(self, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
        """One statement, inside the transaction that is open or by itself."""
        self.steps.append((statement, params))
        if self.has_failed:
            return []
        try:
            return self._execute(statement, params)
        except errors.SerializationFailure:
            self._expect_failures()
            return []

    def start(self, statement: str, params: Any = None) -> Future[list[tuple[Any, ...]]]:
        """A statement that waits for another session: comes back as soon as it does so."""
        step = self._thread.submit(self.run, statement, params)
        with psycopg.connect(self.connection.info.dsn, autocommit=True, dbname="postgres") as monitor:
            blockers = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
            while not monitor.execute(blockers, [self.connection.info.backend_pid]).fetchone()[0]:
                assert not step.done(), "it did not wait"
                time.sleep(0.001)
        return step

    def commit(self) -> None:
        """End the transaction, repeating it from its first step as long as it fails with 40001."""
        for _ in range(REPETITIONS):
            if not self.has_failed:
                try:
                    self._execute("COMMIT", None)
                except errors.SerializationFailure:
                    self._expect_failures()
                else:
                    return
            steps = self.steps
            self.rollback()
            self.begin(self.level)
            for statement, params in steps:
                self.run(statement, params)
        raise AssertionError(f"40001 {REPETITIONS} times")

    def rollback(self) -> None:
        self._execute("ROLLBACK", None)

    def savepoint(self) -> None:
        self.run("SAVEPOINT here")

    def rollback_to_savepoint(self) -> None:
        self.run("ROLLBACK TO SAVEPOINT here")

    def insert(self, *users: int, views: int = 0) -> None:
        """A sketch for each of the users, by one statement."""
        self.run(
            "INSERT INTO dummy_sketch (user_id, title, hit_views) SELECT unnest(%s::bigint[]), 'Sketch', %s",
            [list(users), views],
        )

    def award(self, user: int, code: str) -> bool:
        return self.run("SELECT badges_award(%s, %s)", [user, code])[0][0]

    def revoke(self, user: int, code: str) -> bool:
        return self.run("SELECT badges_revoke(%s, %s)", [user, code])[0][0]

    def settle(self) -> tuple[int, int]:
        """Settle all; gives how many were settled and how many kept."""
        return self.run("SELECT settled, kept FROM badges_settle(NULL, 100)")[0]

    def _expect_failures(self) -> None:
        if self.level != SERIALIZABLE:
            raise AssertionError(f"a serialization failure at {self.level or 'READ COMMITTED'}")
        self.has_failed = True

    def _execute(self, statement: str, params: Any) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


class Site:
    """A separate database with the tables of the example, and sessions on it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.conninfo = conninfo(name)
        self.badge_file = folder / "badge.json"
        self.sessions: list[Session] = []
        self._watch = self.session()

    def session(self) -> Session:
        self.sessions.append(Session(self.conninfo))
        return self.sessions[-1]

    def close(self) -> None:
        """End all sessions, whatever they were at."""
        if not self.sessions:
            return
        for (name,) in self.sql("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
            self.sql(f"ROLLBACK PREPARED '{name}'")
        connections[ALIAS].close()
        for session in self.sessions:
            session.close()
        self.sessions.clear()

    def migrate(self) -> None:
        call_command("migrate", database=ALIAS, verbosity=0)

    def declare(self, *entries: dict[str, Any]) -> None:
        """Install these badges, in place of those that are there."""
        self.badge_file.write_text(json.dumps(entries), "utf-8")
        executor.apply(connections[ALIAS], definitions.load(self.badge_file), self.badge_file)

    def make_patient(self) -> None:
        """Let writes wait far longer than the setting allows, so that a test can do something meanwhile."""
        waiting = (
            "SELECT oid::regprocedure::text FROM pg_proc"
            " WHERE proname LIKE 'badges\\_%' AND proname <> 'badges_settle' AND 'lock_timeout=10ms' = ANY (proconfig)"
        )
        for (function,) in self.sql(waiting):
            self.sql(f"ALTER FUNCTION {function} SET lock_timeout = '120s'")

    def sql(self, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
        """A statement outside the sessions of the test, which commits."""
        return self._watch._execute(statement, params)

    def users(self, number: int) -> list[int]:
        """New users, no two of whom share a bucket."""
        rows = self.sql(
            """
            WITH made AS (
                INSERT INTO auth_user (username, password, first_name, last_name, email,
                                       is_superuser, is_staff, is_active, date_joined)
                SELECT gen_random_uuid()::text, '', '', '', '', false, false, true, now()
                FROM generate_series(1, %s * 3 + 10)
                RETURNING id
            )
            SELECT min(id) AS id FROM made GROUP BY id & 1023 ORDER BY id LIMIT %s
            """,
            [number, number],
        )
        assert len(rows) == number
        return [user for (user,) in rows]

    def badges(self) -> list[tuple[int, str]]:
        """All badges of all users, each as often as it is held."""
        return self.sql("SELECT user_id, code FROM badges_badge ORDER BY 1, 2")

    def pending(self) -> int:
        return self.sql("SELECT count(*) FROM badges_pendingcheck")[0][0]

    def failures(self) -> list[tuple[str, str]]:
        return self.sql("SELECT DISTINCT code, sqlstate FROM badges_failure ORDER BY 1")

    def settle(self) -> tuple[int, int]:
        """Settle as `award_badges` does; gives how many were settled and how many remain."""
        return settle(connections[ALIAS])

    def award(self) -> None:
        """What `award_badges` does."""
        for _ in backfill.award(connections[ALIAS], definitions.load(self.badge_file), self.badge_file):
            pass

    def drop_foreign_keys(self, table: str) -> None:
        """As in a database whose keys are not constrained."""
        keys = "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'"
        for (name,) in self.sql(keys, [table]):
            self.sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")

    def settled_badges(self) -> list[tuple[int, str]]:
        """All that is held once everything is settled, of which nothing may be left."""
        self.settle()
        assert self.pending() == 0
        return self.badges()


@contextlib.contextmanager
def fresh_site(name: str, folder: Path, template: str = "") -> Iterator[Site]:
    """A site in a database of that name, which is a copy of the template or else empty; gone afterwards.

    `folder` is for the badge file.
    """
    with database_named(name, template), _site(name, folder) as site:
        yield site


@contextlib.contextmanager
def recycled_site(name: str, folder: Path, template: str) -> Iterator[Site]:
    """The same in the database of the test before, if that has changed nothing but rows: a copy takes far longer.

    The last one stays when the tests end.
    """
    if name not in _as_copied:
        create_database(name, template)
        with psycopg.connect(conninfo(name)) as session:
            _as_copied[name] = _catalog(session)
    try:
        with _site(name, folder) as site:
            yield site
    finally:
        before = _as_copied.pop(name)
        with psycopg.connect(conninfo(name)) as session:
            if _catalog(session) == before:
                _delete_rows(session)
                _as_copied[name] = before


_as_copied: dict[str, Any] = {}
"""The catalog of each database for `recycled_site` that is as its template, as it was when it was copied."""

_KEPT = ("django_migrations", "django_content_type", "auth_permission", "badges_badgedefinition", "badges_secret")
"""The tables that have rows in a template."""


def _catalog(session: psycopg.Connection[Any]) -> Any:
    """What a test may change in a database beside the rows of tables, and the rows that it must leave alone."""
    objects = (
        "pg_class", "pg_proc", "pg_trigger", "pg_constraint", "pg_type", "pg_rewrite", "pg_namespace", "pg_policy",
        "pg_operator", "pg_cast", "pg_extension", "pg_event_trigger", "pg_publication", "pg_default_acl",
    )  # fmt: skip
    versions = " UNION ALL ".join(f"SELECT '{each}', oid::text, xmin::text FROM {each}" for each in objects)
    queries = [
        f"SELECT md5(string_agg(o::text, ',' ORDER BY o)) FROM ({versions}) AS o",
        "SELECT md5(string_agg(attrelid || ' ' || attnum || xmin, ',' ORDER BY attrelid, attnum)) FROM pg_attribute",
        "SELECT count(*), (SELECT count(*) FROM pg_class WHERE oid >= 16384 AND reltuples >= 0) FROM pg_statistic",
        "SELECT xmin FROM pg_database WHERE datname = current_database()",
        "SELECT count(*) FROM pg_db_role_setting",
    ]
    queries += [f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {each} AS t" for each in _KEPT]
    return [session.execute(query).fetchone() for query in queries]


def _delete_rows(session: psycopg.Connection[Any]) -> None:
    """Delete what a test has written, past triggers and foreign keys, and begin all sequences anew."""
    session.execute(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    session.execute("SET LOCAL session_replication_role = replica")
    tables = session.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE oid >= 16384 AND relkind = 'r' AND relname <> ALL (%s)",
        [list(_KEPT)],
    ).fetchall()
    session.execute("; ".join(f"DELETE FROM {table}" for (table,) in tables))
    session.execute(
        "SELECT setval(s.seqrelid, s.seqstart, false) FROM pg_sequence s "
        "JOIN pg_depend d ON d.objid = s.seqrelid AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass "
        "JOIN pg_class c ON c.oid = d.refobjid WHERE c.relname <> ALL (%s)",
        [list(_KEPT)],
    )


@contextlib.contextmanager
def database_named(name: str, template: str = "") -> Iterator[str]:
    """The DSN of a new database, a copy of the template or else empty; dropped afterwards."""
    create_database(name, template)
    try:
        yield conninfo(name)
    finally:
        drop_database(name)


def create_database(name: str, template: str = "") -> None:
    drop_database(name)
    create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template:
        # Quicker than by the write-ahead log, in which it would be written.
        create += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(template))
    with psycopg.connect(conninfo(), autocommit=True) as server:
        server.execute(create)


def drop_database(name: str) -> None:
    with psycopg.connect(conninfo(), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def _site(name: str, folder: Path) -> Iterator[Site]:
    connections.settings[ALIAS] = {**connections.settings["default"], "NAME": name}
    if hasattr(connections._connections, ALIAS):
        del connections[ALIAS]
    site = Site(name, folder)
    try:
        yield site
    finally:
        site.close()


def conninfo(database: str = "postgres") -> str:
    options = django_settings.DATABASES["default"]
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    return make_conninfo(dbname=database, **{name: options[key] for name, key in names.items()})
