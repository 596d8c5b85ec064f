"""Connections, statements from the folder `sql/`, and transactions, for all stages that take a connection."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from string import Formatter
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import psycopg
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    NotSupportedError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionDoesNotExist
from psycopg import sql

from badges import exceptions


def connect(alias: str = DEFAULT_DB_ALIAS) -> BaseDatabaseWrapper:
    """The connection of a database alias, open.

    :raises UnsupportedDatabase: the alias is no PostgreSQL database, or is reached through psycopg 2.
    """
    connection = _connection(alias)
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


def holds_badges(alias: str) -> bool:
    """Whether the tables of badges belong into the database of this alias."""
    return connections[alias].vendor == "postgresql" and bool(router.allow_migrate(alias, "badges"))


@contextlib.contextmanager
def calling(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A block that calls a function of the badges.

    :raises OutOfDate: there is no such function.
    :raises InsufficientRights: the role may not execute it.
    :raises UnsupportedDatabase: the session takes no writes.
    """
    try:
        yield
    except DatabaseError as error:
        match error.__cause__:
            case psycopg.errors.UndefinedFunction():
                raise exceptions.OutOfDate from error
            case psycopg.errors.InsufficientPrivilege(diag=diag):
                raise exceptions.InsufficientRights.of_function(diag.message_primary) from error
            case psycopg.errors.ReadOnlySqlTransaction():
                raise takes_no_writes(connection) from error
        raise


def takes_no_writes(connection: BaseDatabaseWrapper) -> exceptions.UnsupportedDatabase:
    """The error for a session that cannot write."""
    return exceptions.UnsupportedDatabase(
        f'The database "{connection.alias}" takes no writes: it is a standby, or the transaction is read-only. '
        f"Name the primary; a standby receives what changes there."
    )


def own_session(alias: str) -> tuple[dict[str, Any], str]:
    """The settings of a database alias for a psycopg session beside Django's connection: for LISTEN.

    :returns: the parameters of `psycopg.connect`, and a statement to execute first (empty if none is needed).
    :raises UnsupportedDatabase: there is no such alias.
    """
    connection = _connection(alias)
    params = connection.get_connection_params()
    # Django's way of reading rows; psycopg's own is used here.
    for name in ("cursor_factory", "context"):
        params.pop(name, None)
    role = connection.settings_dict["OPTIONS"].get("assume_role")
    first = sql.SQL("SET ROLE {}").format(sql.Identifier(role)).as_string() if role else ""
    return {**params, "autocommit": True}, first


#: How often two sessions are compared before a pooler is ruled out.
_ROUNDS = 5


def is_pooled(params: dict[str, Any]) -> bool:
    """Whether `psycopg.connect` leads to a pooler in transaction mode, which lends each transaction a session.

    That of a client whose transaction has ended is lent to another client, or it is itself lent another one. Asked
    several times, as a pooler may take a session back a moment after the end of the transaction is reported.
    """
    with psycopg.connect(**params) as first, psycopg.connect(**params) as second:
        return any(_is_lent(first, second) for _ in range(_ROUNDS))


def _is_lent(first: psycopg.Connection[Any], second: psycopg.Connection[Any]) -> bool:
    own = {backend(first) for _ in range(3)}
    with second.transaction():
        return len(own) > 1 or backend(second) in own or backend(first) not in own


def backend(session: psycopg.Connection[Any]) -> int:
    """The process that serves a session. What the server says of it at the start may be made up by a pooler."""
    row = session.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0


def _connection(alias: str) -> BaseDatabaseWrapper:
    try:
        return connections[alias]
    except ConnectionDoesNotExist:
        known = ", ".join(connections)
        raise exceptions.UnsupportedDatabase(f'There is no database "{alias}" in DATABASES, only {known}.') from None


class Template(sql.SQL):
    """SQL laid out for people: a value that spans lines is indented to the column where it begins.

    A line that holds nothing but an empty value is left out; a semicolon behind it moves up. Only layout is indented,
    that of templates and of plain `sql.SQL`: `trusted` text, literals and identifiers stay to the letter, as a line
    break may be part of a string.
    """

    def format(self, *args: Any, **values: sql.Composable) -> sql.Composed:
        """The template with its `{placeholders}` filled in, which go by name."""
        if args:
            raise TypeError("The placeholders of a template go by name.")
        pieces = _pieces(self._obj)
        following = [text for text, _ in pieces[1:]] + [""]
        parts = _Parts()
        for (text, name), after in zip(pieces, following, strict=True):
            shown = list(_flat(values[name])) if name else []
            parts.add(text)
            if name and not shown and not parts.line.strip() and after[:1] in ("", "\n", ";"):
                parts.drop_line()
            indent = "\n" + " " * len(parts.line)
            for value, is_layout in shown:
                is_indented = is_layout and "\n" in value
                parts.add(_LINE_BREAK.sub(indent, value) if is_indented else value, is_layout=is_layout)
        return parts.composed()


_LINE_BREAK = re.compile(r"\n(?!\n)")


@functools.cache
def _pieces(layout: str) -> list[tuple[str, str | None]]:
    """Each text of a template with the name of the placeholder behind it."""
    return [(text, name) for text, name, _, _ in Formatter().parse(layout)]


class _Parts:
    """SQL that grows: each part with whether it is layout, and the line on which it ends."""

    def __init__(self) -> None:
        self.found: list[tuple[str, bool]] = []
        self.line = ""

    def add(self, text: str, *, is_layout: bool = True) -> None:
        self.found.append((text, is_layout))
        _, line_break, line = text.rpartition("\n")
        self.line = line if line_break else self.line + line

    def drop_line(self) -> None:
        """Take the last line away, which is blank, with the line break before it."""
        text, is_layout = self.found[-1]
        self.found[-1] = (text.rstrip(" ").removesuffix("\n"), is_layout)
        self.line = self.found[-1][0].rpartition("\n")[2]

    def composed(self) -> sql.Composed:
        runs = itertools.groupby(self.found, key=lambda part: part[1])
        joined = (("".join(text for text, _ in run), is_layout) for is_layout, run in runs)
        return sql.Composed([sql.SQL(text) if is_layout else _Exact(text) for text, is_layout in joined])


def _flat(value: sql.Composable) -> Iterator[tuple[str, bool]]:
    """The parts of a value that are not empty, each with whether it is layout: what has no line break may be."""
    # By the type itself, as isinstance() is slow for these classes.
    if type(value) is sql.Composed:
        for part in value:
            yield from _flat(part)
    elif text := value.as_string():
        yield text, "\n" not in text or type(value) in (sql.SQL, Template)


class _Exact(sql.SQL):
    """SQL that stays to the letter."""


@functools.cache
def template(name: str) -> Template:
    """A whole statement from the folder `sql/`, or a part of one, whose `{placeholders}` take composables."""
    return Template(resources.files("badges").joinpath("sql", name).read_text("utf-8").rstrip("\n"))


def trusted(text: str) -> sql.SQL:
    """SQL inserted to the letter: names and types from the catalog, and conditions that PostgreSQL has parsed."""
    return _Exact(text)


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


_PINNED = {
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "check_function_bodies": "on",
    "row_security": "on",
    # Compiling the package's queries of the catalog takes several times as long as running them.
    "jit": "off",
    # The locks of an installation end by lock_timeout, and a preview has a time of its own.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
"""Settings that a database or a role may have otherwise, and that the statements of the package are written for."""

_pinned: weakref.WeakSet[psycopg.Connection[Any]] = weakref.WeakSet()
"""The sessions that are in a block of `read_committed`."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


@contextlib.contextmanager
def read_committed(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A transaction at READ COMMITTED that may write, or a savepoint in the caller's transaction at its level.

    In both the statements mean the same, whatever settings the database or the role has.
    """
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(using=connection.alias):
        session = connection.connection
        if session in _pinned:
            yield
            return
        if is_outermost:
            with connection.cursor() as cursor:
                try:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE, NOT DEFERRABLE")
                except NotSupportedError as error:
                    raise takes_no_writes(connection) from error
        with local_settings(connection, **_PINNED):
            _pinned.add(session)
            try:
                yield
            finally:
                _pinned.discard(session)


def in_transaction(
    function: Callable[Concatenate[BaseDatabaseWrapper, _P], _R],
) -> Callable[Concatenate[BaseDatabaseWrapper, _P], _R]:
    """A function whose first argument is a connection, in a block of `read_committed`."""

    @functools.wraps(function)
    def run(connection: BaseDatabaseWrapper, /, *args: _P.args, **options: _P.kwargs) -> _R:
        with read_committed(connection):
            return function(connection, *args, **options)

    return run


@contextlib.contextmanager
def local_settings(connection: BaseDatabaseWrapper, **settings: str) -> Iterator[None]:
    """A block of a transaction in which these settings apply; what the transaction had before comes back after it."""
    query = (
        "SELECT name, coalesce(current_setting(name, true), ''), set_config(name, value, true) "
        "FROM unnest(%s::text[], %s::text[]) AS s (name, value)"
    )
    before = fetch(connection, query, [list(settings), list(settings.values())])
    yield
    # After an error PostgreSQL puts them back itself, as far as its rollback goes.
    if not connection.needs_rollback:
        fetch(connection, query, [[name for name, *_ in before], [value for _, value, _ in before]])


@contextlib.contextmanager
def rolled_back(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """A block whose effects are undone at its end: tables, settings, locks."""
    with contextlib.nullcontext() if connection.connection in _pinned else read_committed(connection):
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
            set_local(cursor, **settings)
        yield


def set_local(cursor: Any, **settings: str) -> None:
    """Settings that apply until the transaction ends, or the savepoint is rolled back."""
    values = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    cursor.execute(f"SELECT {values}", [text for setting in settings.items() for text in setting])
