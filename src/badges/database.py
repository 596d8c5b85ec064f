"""Connections, statements from the folder `sql/`, and transactions, for all stages that take a connection."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any, cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionDoesNotExist
from psycopg import sql

from badges import exceptions


def connect(alias: str = DEFAULT_DB_ALIAS) -> BaseDatabaseWrapper:
    """The connection of a database alias, open.

    :raises UnsupportedDatabase: the alias is no PostgreSQL database, or is reached through psycopg 2.
    """
    try:
        connection = connections[alias]
    except ConnectionDoesNotExist:
        known = ", ".join(connections)
        raise exceptions.UnsupportedDatabase(f'There is no database "{alias}" in DATABASES, only {known}.') from None
    if connection.vendor != "postgresql":
        raise exceptions.UnsupportedDatabase(
            f'The database "{alias}" is {connection.display_name}. Badges are awarded by PostgreSQL\'s triggers: '
            f"name a PostgreSQL database with --database."
        )
    try:
        connection.ensure_connection()
    except OperationalError as error:
        raise exceptions.UnsupportedDatabase(f'The database "{alias}" cannot be reached: {error}') from error
    if not isinstance(connection.connection, psycopg.Connection):
        raise exceptions.UnsupportedDatabase(
            f'The database "{alias}" is reached through psycopg 2. Install psycopg 3: pip install "psycopg[binary]"'
        )
    return connection


def own_session(alias: str) -> tuple[dict[str, Any], str]:
    """The settings of a database alias for a psycopg session beside Django's connection: for LISTEN.

    :returns: the parameters of `psycopg.connect`, and a statement to execute first (empty if none is needed).
    """
    connection = connections[alias]
    params = connection.get_connection_params()
    # Django's way of reading rows; psycopg's own is used here.
    for name in ("cursor_factory", "context"):
        params.pop(name, None)
    role = connection.settings_dict["OPTIONS"].get("assume_role")
    first = sql.SQL("SET ROLE {}").format(sql.Identifier(role)).as_string() if role else ""
    return {**params, "autocommit": True}, first


@functools.cache
def template(name: str) -> sql.SQL:
    """A whole statement from the folder `sql/`, whose `{placeholders}` take composables."""
    return trusted(resources.files("badges").joinpath("sql", name).read_text("utf-8"))


def trusted(text: str) -> sql.SQL:
    """SQL that is inserted unchanged: the package's templates, and conditions that PostgreSQL has parsed."""
    return sql.SQL(text)


def qualified(schema: str, name: str) -> sql.Composed:
    return sql.SQL("{}.{}").format(sql.Identifier(schema), sql.Identifier(name))


def fetch(connection: BaseDatabaseWrapper, query: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return list(cursor.fetchall())


def fetch_file(connection: BaseDatabaseWrapper, file: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query from the folder `sql/`, with a literal for each of its placeholders."""
    literals = {key: sql.Literal(value) for key, value in values.items()}
    return fetch(connection, template(file).format(**literals).as_string())


def from_json(value: Any) -> Any:
    """A JSON value from a query without a model: text on Django's connections, already decoded on psycopg's own."""
    return json.loads(value) if isinstance(value, str) else value


@contextlib.contextmanager
def read_committed(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A transaction at READ COMMITTED, or a savepoint in the caller's transaction at its isolation level."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(using=connection.alias):
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield


@contextlib.contextmanager
def rolled_back(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A block whose effects are undone at its end: tables, settings, locks."""
    with transaction.atomic(using=connection.alias):
        savepoint = cast("str", connection.savepoint())
        try:
            yield
        finally:
            connection.savepoint_rollback(savepoint)
            connection.savepoint_commit(savepoint)


@contextlib.contextmanager
def read_only(connection: BaseDatabaseWrapper, timeout: int, lock_timeout: int, **others: str) -> Iterator[None]:
    """A read-only block, undone at its end: the functions that it calls cannot write either.

    :param timeout: milliseconds that each statement may take.
    :param lock_timeout: milliseconds that each statement may wait for a lock.
    :param others: further settings that apply within the block.
    """
    settings = {
        "transaction_read_only": "on",
        "statement_timeout": str(timeout),
        "lock_timeout": str(lock_timeout),
        **others,
    }
    with rolled_back(connection):
        with connection.cursor() as cursor:
            values = ", ".join(["set_config(%s, %s, true)"] * len(settings))
            cursor.execute(f"SELECT {values}", [text for setting in settings.items() for text in setting])
        yield
