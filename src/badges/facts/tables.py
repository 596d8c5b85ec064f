"""Tables, looked up by the name that an author writes. Takes a connection."""

from __future__ import annotations

from django.db import DataError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from badges.database import fetch, fetch_file
from badges.facts.types import Column, Table, nearest


def find_table(connection: BaseDatabaseWrapper, written: str) -> Table | None:
    """The table that an author means by `written`: the exact name, or else the name as SQL would read it."""
    for parts in ([written], written.split(".", 1), _parse_ident(connection, written)):
        if len(parts) in (1, 2):
            schema, name = (None, *parts)[-2:]
            if table := table_named(connection, schema, str(name)):
                return table
    return None


def table_named(connection: BaseDatabaseWrapper, schema: str | None, name: str) -> Table | None:
    """The table of exactly this name, in the search path if no schema is given."""
    for *facts, names, types, identical, virtual in fetch_file(
        connection, "facts/find_table.sql", schema=schema, name=name
    ):
        return Table(*[*facts, tuple(map(Column, names, types, identical, virtual))])
    return None


def nearest_table(connection: BaseDatabaseWrapper, written: str) -> str | None:
    """The name of the existing table that is most like `written`."""
    rows = fetch(
        connection,
        """
        SELECT n.nspname, c.relname, pg_table_is_visible(c.oid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
          AND n.nspname !~ '^pg_temp'
        """,
    )
    elsewhere = [f"{schema}.{name}" for schema, name, _ in rows if name == written]
    names = [name for _, name, is_visible in rows if is_visible] + [f"{schema}.{name}" for schema, name, _ in rows]
    return elsewhere[0] if elsewhere else nearest(written, names)


def _parse_ident(connection: BaseDatabaseWrapper, written: str) -> list[str]:
    try:
        with transaction.atomic(using=connection.alias):
            return list(fetch(connection, "SELECT parse_ident(%s)", [written])[0][0])
    except DataError:
        return []  # what SQL cannot read as a name names no table
