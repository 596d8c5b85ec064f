"""Resolution: the tables and columns that definitions name. Takes a connection."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from badges.database import fetch, fetch_file
from badges.definitions.errors import Errors
from badges.definitions.types import Definition
from badges.exceptions import Notice
from badges.facts import probes, rights
from badges.facts.tables import find_tables, nearest_table
from badges.facts.types import INTEGERS, Column, Table, Target, Watched

_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "i": "an index"}
"""By relkind, the relations that cannot be watched."""

_SAME_TYPES = (
    INTEGERS,
    frozenset({"text", "character varying", "character", "citext"}),
)
"""Types of which a column may have one and the key of the users another."""

_TEXT_DEPENDS_ON_SESSION = (
    "date", "time without time zone", "time with time zone", "timestamp without time zone", "timestamp with time zone",
    "interval", "bytea", "real", "double precision", "money",
)  # fmt: skip
"""By DateStyle, TimeZone, IntervalStyle, bytea_output, extra_float_digits, lc_monetary."""

_TEXTS = frozenset({"text", "character varying"})

_EQUAL_IN_OTHER_TEXTS = re.compile(r"\[\]|range$|^jsonb$|^json$|^xml$|^record$")
"""Types of which equal values may have different texts. Those of numeric, citext and character are made the same."""


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """The table and the columns that a definition names; None for each that is not there or cannot serve."""

    table: Table | None
    user: Column | None
    per: Column | None
    watches: tuple[Watched, ...]
    """The further triggers of the file."""
    is_complete: bool
    """No name has an error, nor has the interval after which the badge ends."""


def resolve(
    errors: Errors, connection: BaseDatabaseWrapper, target: Target, definitions: Sequence[Definition]
) -> dict[Definition, Named]:
    """Look up all names of all definitions, each name once."""
    written = dict.fromkeys(
        name for each in definitions for name in (each.trigger_table, *(watch.table for watch in each.watches))
    )
    found = find_tables(connection, written)
    tables = {
        name: _watchable(target, name, found[name]) if name in found else _missing(connection, name) for name in written
    }
    elsewhere = _elsewhere(connection, target, tables, definitions)
    intervals = dict.fromkeys(each.expires_after for each in definitions if each.expires_after)
    endless = {interval: _interval_error(connection, interval) for interval in intervals}
    return {each: _named(errors, target, each, tables, elsewhere, endless) for each in definitions}


def _elsewhere(
    connection: BaseDatabaseWrapper,
    target: Target,
    tables: Mapping[str, Table | Notice],
    definitions: Sequence[Definition],
) -> dict[tuple[int, str], tuple[str, str | None]]:
    """The user columns, by table and name, whose foreign keys do not lead to the key of a user.

    :returns: the table that the column refers to, and the column of that table that holds a user, if there is one.
    """
    written = {
        (table, name)
        for each in definitions
        for table, name in (
            (each.trigger_table, each.user_field),
            *((watch.table, watch.user_field) for watch in each.watches),
        )
    }
    columns = {
        (table.oid, column.name)
        for name, user_field in written
        if isinstance(table := tables[name], Table) and (column := table.column(user_field))
    }
    if not columns:
        return {}
    rows = fetch_file(
        connection,
        "facts/references.sql",
        relations=[relation for relation, _ in columns],
        names=[name for _, name in columns],
        users=target.users.oid,
        user_key=target.user_key.name,
    )
    return {
        (relation, name): (referenced, column)
        for relation, name, referenced, is_of_user, column in rows
        if not is_of_user
    }


def _named(
    errors: Errors,
    target: Target,
    definition: Definition,
    tables: Mapping[str, Table | Notice],
    elsewhere: Mapping[tuple[int, str], tuple[str, str | None]],
    intervals: Mapping[str, Notice | None],
) -> Named:
    badge = errors.at(definition.place, definition.number)
    table = _table(badge.at(definition.trigger_table_key), tables[definition.trigger_table])
    user = per = None
    if table:
        user = _user_column(badge.at(definition.user_field_key), target, table, definition.user_field, elsewhere)
        per = _subject_column(badge.at("per"), table, definition.per) if definition.per else None
    watches = []
    for number, watch in enumerate(definition.watches, start=2):
        trigger = badge.at(f"triggers {number}")
        if watched := _table(trigger.at("table"), tables[watch.table]):
            column = _user_column(trigger.at("user_field"), target, watched, watch.user_field, elsewhere)
            if column:
                watches.append(Watched(watched, column, watch.events, "named in triggers"))
    if error := intervals.get(definition.expires_after):
        badge.at("expires_after").add(error.message, error.hint)
    return Named(table, user, per, tuple(watches), is_complete=not badge)


def _missing(connection: BaseDatabaseWrapper, written: str) -> Notice:
    near = nearest_table(connection, written)
    hint = f'Did you mean "{near}"?' if near else "Create the table first (python manage.py migrate)."
    return Notice(f'there is no table "{written}".', hint)


def _watchable(target: Target, written: str, table: Table) -> Table | Notice:
    """The table that is meant by `written`, or why its changes cannot be watched."""
    if table.kind not in ("r", "p"):
        hint = "Name the table whose rows change; writes through an updatable view reach it too."
        if table.kind == "f":
            hint = "Its rows change on another server, where no trigger of this database fires."
        return Notice(f'"{written}" is {_KINDS.get(table.kind, "no table")}; only a table can be watched.', hint)
    if table.is_temporary:
        message = f'"{written}" is a temporary table; it cannot be watched.'
        return Notice(message, "It disappears at the end of the session that created it.")
    if table.schema in ("pg_catalog", "information_schema"):
        message = f'"{written}" is a system table; it cannot be watched.'
        return Notice(message, "PostgreSQL fires no triggers for its own tables.")
    if table.oid in target.citus_tables:
        message = f'Citus manages "{written}": a write to it fires the triggers of a shard, where no badge is awarded.'
        return Notice(message, rights.citus_hint(table))
    if not table.can_select:
        message = f'the role "{target.role}" may not read {table.qualified_name}.'
        return Notice(message, f"Needed: {rights.grant('SELECT', table, target.role)}")
    return table


def _table(errors: Errors, found: Table | Notice) -> Table | None:
    if isinstance(found, Table):
        return found
    errors.add(found.message, found.hint)
    return None


def _column(errors: Errors, table: Table, written: str) -> Column | None:
    """The column of a trigger table that is meant by `written`, if triggers see its value."""
    found = table.column(written)
    if found is None:
        near = table.nearest_column(written)
        hint = f'Did you mean "{near}"?' if near else f"Its columns: {table.column_names}."
        errors.add(f'{table.qualified_name} has no column "{written}".', hint)
        return None
    if found.is_virtual:
        message = f"{table.qualified_name}.{found.name} is a virtual generated column, which triggers do not see."
        errors.add(message, "Name another column, or make this one STORED.")
        return None
    return found


def _subject_column(errors: Errors, table: Table, written: str) -> Column | None:
    """The column that names the subject of which there is one badge each, by its text."""
    found = _column(errors, table, written)
    if found and found.type in _TEXT_DEPENDS_ON_SESSION:
        errors.add(
            f"{table.qualified_name}.{found.name} is of type {found.type}, whose text is not the same in every "
            "session: one subject could earn two badges.",
            "Name a column of whole numbers, text or UUIDs, such as a key.",
        )
        return None
    if found and (
        _EQUAL_IN_OTHER_TEXTS.search(found.type) or (found.type in _TEXTS and not found.equal_means_identical)
    ):
        errors.add(
            f"{table.qualified_name}.{found.name} is of type {found.type}, of which equal values may have different "
            "texts: one subject could earn two badges.",
            "Name a column of numbers, text or UUIDs, such as a key; text without a nondeterministic collation.",
        )
        return None
    return found


def _user_column(
    errors: Errors,
    target: Target,
    table: Table,
    written: str,
    elsewhere: Mapping[tuple[int, str], tuple[str, str | None]],
) -> Column | None:
    """The column that holds the key of the user."""
    found, key = _column(errors, table, written), target.user_key
    if found and found.type != key.type and not any({found.type, key.type} <= types for types in _SAME_TYPES):
        errors.add(
            f"{table.qualified_name}.{found.name} is of type {found.type}, but users are known by "
            f"{target.users.qualified_name}.{key.name}, of type {key.type}.",
            "Name the column that holds the key of the user.",
        )
        return None
    if found and (table.oid, found.name) in elsewhere:
        referenced, column = elsewhere[table.oid, found.name]
        hint = (
            f"The user is in {referenced}.{column}: name {referenced} as the table."
            if column
            else "Name the column that holds the key of the user."
        )
        errors.add(
            f"{table.qualified_name}.{found.name} refers to {referenced}, so its values are no keys of users "
            f"({target.users.qualified_name}.{key.name}).",
            hint,
        )
        return None
    return found


_IS_ALWAYS_POSITIVE = """
    -- Hours that are taken away may be more than a day has, when the clocks change.
    SELECT bool_and(at + i.ends > at + CASE WHEN i.ends - date_trunc('day', i.ends) < interval '0'
                                            THEN interval '2 hours' ELSE interval '0' END)
    FROM (SELECT %s::interval AS ends) AS i
    CROSS JOIN generate_series(timestamp '2023-01-01', '2027-01-01', '1 day') AS at
"""


def _interval_error(connection: BaseDatabaseWrapper, written: str) -> Notice | None:
    """Why a badge that is awarded now would not end at a time that PostgreSQL knows and that is in the future."""
    try:
        with transaction.atomic(using=connection.alias):
            [(is_positive,)] = fetch(
                connection,
                "SELECT isfinite(now() + %s::interval) AND now() + %s::interval > now()",
                [written, written],
            )
            [(is_always_positive,)] = fetch(connection, _IS_ALWAYS_POSITIVE, [written]) if is_positive else [(False,)]
    except DatabaseError as error:
        message = f"{probes.cause(error).diag.message_primary}."
        return Notice(message, 'Write an interval as PostgreSQL reads it, such as "90 days" or "1 year".')
    if is_always_positive:
        return None
    if is_positive:
        message = f'"{written}" is not positive in every month and on every day: a badge would end before it is held.'
        return Notice(message, "Write a positive interval without negative parts.")
    hint = "Write a positive, finite interval; leave the key out for badges that stay."
    return Notice(f'a badge that ends after "{written}" would never be held.', hint)
