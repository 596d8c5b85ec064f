"""Databases beside the one that pytest-django makes: each under an alias of its own, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from badges import definitions
from badges.installation import executor
from badges.installation.types import Plan

PARAMETERS = {"dbname": "NAME", "host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}


class Database:
    """A database under an alias of Django's, and as any other client sees it."""

    def __init__(self, alias: str, dsn: str) -> None:
        self.alias = alias
        self.dsn = dsn
        self.sessions: list[psycopg.Connection[Any]] = []

    @property
    def connection(self) -> Any:
        return connections[self.alias]

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """Another session, closed with the database at the latest."""
        self.sessions.append(psycopg.connect(self.dsn, **options))
        return self.sessions[-1]

    def execute(self, query: str, params: Any = None) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    def run(self, command: str, *args: Any, **options: Any) -> str:
        output = io.StringIO()
        call_command(command, *args, database=self.alias, stdout=output, stderr=output, no_color=True, **options)
        return output.getvalue()

    def declare(self, folder: Any, *entries: dict[str, Any]) -> Plan:
        """Write a badge file and install its badges."""
        path = folder / f"{self.alias}.json"
        path.write_text(json.dumps(entries), "utf-8")
        return executor.apply(self.connection, definitions.load(path), path)

    def users(self, count: int) -> None:
        """The users 1, 2, 3 and so on."""
        self.execute(
            "INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser, is_staff, "
            "is_active, date_joined) SELECT n, 'u' || n, '', '', '', '', false, false, true, now() "
            "FROM generate_series(1, %s) AS n",
            [count],
        )

    def held(self) -> list[tuple[int, str]]:
        return self.execute("SELECT user_id, code FROM badges_badge ORDER BY 1, 2")


@contextlib.contextmanager
def alias_for(alias: str, dsn: str) -> Iterator[Database]:
    """A database that exists, under an alias."""
    options = conninfo_to_dict(dsn)
    named = {key: str(options.get(name, "")) for name, key in PARAMETERS.items()}
    connections.databases[alias] = {**connections["default"].settings_dict, **named}
    try:
        # A test that opens another database by itself is stopped by Django.
        connections[alias].connect()
        database = Database(alias, dsn)
        yield database
        for session in database.sessions:
            session.close()
    finally:
        connections[alias].close()
        del connections[alias], connections.databases[alias]


@contextlib.contextmanager
def new_database(admin_dsn: str, name: str, options: str = "") -> Iterator[str]:
    """The DSN of a new database, dropped afterwards."""
    identifier = sql.Identifier(name)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier)
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(drop)
        admin.execute(sql.SQL(f"CREATE DATABASE {{}} {options}").format(identifier))
    try:
        yield make_conninfo(admin_dsn, dbname=name)
    finally:
        with psycopg.connect(admin_dsn, autocommit=True) as admin:
            admin.execute(drop)
