"""The tables and columns that a badge file names, or what is wrong with the names. Takes a connection."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import trusted
from badges.exceptions import Notice
from badges.facts.tables import nearest_table
from badges.facts.types import INTEGERS, Column, Table, Target

_SAME_TYPES = (
    INTEGERS,
    frozenset({"text", "character varying", "character", "citext"}),
)

_TEXT_DEPENDS_ON_SESSION = (
    "date", "time without time zone", "time with time zone", "timestamp without time zone", "timestamp with time zone",
    "interval", "bytea", "real", "double precision", "money",
)  # fmt: skip
"""By DateStyle, TimeZone, IntervalStyle, bytea_output, extra_float_digits, lc_monetary."""


def trigger_table(connection: BaseDatabaseWrapper, target: Target, written: str, table: Table | None) -> Table | Notice:
    """The table that is meant by `written`, if there is one and its changes can be watched."""
    if table is None:
        near = nearest_table(connection, written)
        hint = f'Did you mean "{near}"?' if near else "Create the table first (python manage.py migrate)."
        return Notice(f'there is no table "{written}".', hint)
    kinds = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "i": "an index"}
    if table.kind not in ("r", "p"):
        kind = kinds.get(table.kind, "no table")
        hint = "Name the table whose rows change; writes through an updatable view reach it too."
        if table.kind == "f":
            hint = "Its rows change on another server, where no trigger of this database fires."
        return Notice(f'"{written}" is {kind}; only a table can be watched.', hint)
    if table.schema in ("pg_catalog", "information_schema") or table.is_temporary:
        kind, hint = "a system table", "PostgreSQL fires no triggers for its own tables."
        if table.is_temporary:
            kind, hint = "a temporary table", "It is gone at the end of the session that made it."
        return Notice(f'"{written}" is {kind}; it cannot be watched.', hint)
    if not table.can_select:
        message = f'the role "{target.role}" may not read {table.qualified_name}.'
        return Notice(message, f"Needed: {grant('SELECT', table, target.role)}")
    return table


def column(table: Table, written: str) -> Column | Notice:
    """The column of a trigger table that is meant by `written`, if triggers see its value."""
    found = table.column(written)
    if found is None:
        near = table.nearest_column(written)
        hint = f'Did you mean "{near}"?' if near else f"Its columns: {table.column_names}."
        return Notice(f'{table.qualified_name} has no column "{written}".', hint)
    if found.is_virtual:
        message = f"{table.qualified_name}.{found.name} is a virtual generated column, which triggers do not see."
        return Notice(message, "Name another column, or make this one STORED.")
    return found


def thing_column(table: Table, written: str) -> Column | Notice:
    """The same for a column that names the thing of which there is one badge each, by its text."""
    found = column(table, written)
    if isinstance(found, Column) and found.type in _TEXT_DEPENDS_ON_SESSION:
        message = (
            f"{table.qualified_name}.{found.name} is of type {found.type}, whose text is not the same in every "
            "session: one thing could earn two badges."
        )
        return Notice(message, "Name a column of whole numbers, text or UUIDs, such as a key.")
    return found


def user_column(target: Target, table: Table, written: str) -> Column | Notice:
    """The same for a column that holds the key of the user."""
    found = column(table, written)
    if isinstance(found, Notice):
        return found
    key = target.user_key
    if found.type != key.type and not any({found.type, key.type} <= types for types in _SAME_TYPES):
        users = f"{target.users.qualified_name}.{key.name}"
        message = (
            f"{table.qualified_name}.{found.name} is of type {found.type}, but users are known by {users}, "
            f"of type {key.type}."
        )
        return Notice(message, "Name the column that holds the key of the user.")
    return found


def grant(privilege: str, table: Table, role: str) -> str:
    """The statement that would give a role what it lacks."""
    return (
        sql.SQL("GRANT {} ON {} TO {};").format(trusted(privilege), table.identifier, sql.Identifier(role)).as_string()
    )
