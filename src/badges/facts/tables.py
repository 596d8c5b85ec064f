"""Tables, looked up by the names that an author writes. Takes a connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import DataError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from badges.database import fetch, fetch_file
from badges.facts.types import Column, Table, nearest

Name = tuple[str | None, str]
"""A schema, if one is given, and a name, both exactly as the catalog has them."""


def find_tables(connection: BaseDatabaseWrapper, written: Iterable[str]) -> dict[str, Table]:
    """The tables that an author means: each by the exact name, or else by the name as SQL would read it."""
    texts = tuple(dict.fromkeys(written))
    exact = {text: [(None, text), _name(text.split(".", 1))] for text in texts}
    found = _first_found(connection, exact)
    missing = [text for text in texts if text not in found]
    return found | identified_tables(connection, missing)


def identified_tables(connection: BaseDatabaseWrapper, identifiers: Sequence[str]) -> dict[str, Table]:
    """The tables that SQL finds by these identifiers."""
    parsed = zip(identifiers, _parse(connection, identifiers), strict=True)
    return _first_found(connection, {identifier: [_name(parts)] for identifier, parts in parsed})


def named_tables(connection: BaseDatabaseWrapper, names: Iterable[Name]) -> dict[Name, Table]:
    """The tables of exactly these names, in the search path where no schema is given."""
    wanted = tuple(dict.fromkeys(names))
    if not wanted:
        return {}
    rows = fetch_file(
        connection,
        "facts/tables.sql",
        schemas=[schema for schema, _ in wanted],
        names=[name for _, name in wanted],
    )
    return {
        wanted[place - 1]: Table(*[*facts, tuple(map(Column, *columns)), tuple(children)])
        for place, *facts, children, names, types, identical, virtual, own in rows
        for columns in [(names, types, identical, virtual, own)]
    }


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


def _first_found(connection: BaseDatabaseWrapper, candidates: dict[str, list[Name | None]]) -> dict[str, Table]:
    """For each text the table of the first of its names that there is."""
    tables = named_tables(connection, (name for names in candidates.values() for name in names if name))
    return {
        text: table
        for text, names in candidates.items()
        if (table := next((tables[name] for name in names if name in tables), None))
    }


def _name(parts: Sequence[str]) -> Name | None:
    """What is left of a name of three parts or of none is no table of this database."""
    return (None, *parts)[-2:] if len(parts) in (1, 2) else None  # type: ignore[return-value]


def _parse(connection: BaseDatabaseWrapper, identifiers: Sequence[str]) -> list[list[str]]:
    """The parts of each identifier as SQL reads it; none of what it cannot read."""
    if not identifiers:
        return []
    try:
        with transaction.atomic(using=connection.alias):
            rows = fetch(
                connection,
                "SELECT parse_ident(written) FROM unnest(%s::text[]) WITH ORDINALITY AS wanted (written, place)"
                " ORDER BY place",
                [list(identifiers)],
            )
    except DataError:
        # One that cannot be read ends the statement for all.
        return (
            [[]] if len(identifiers) == 1 else [parts for each in identifiers for parts in _parse(connection, [each])]
        )
    return [parts for (parts,) in rows]
