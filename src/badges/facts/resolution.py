"""Resolution: the tables and columns that definitions name. Takes a connection."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, fetch_file
from badges.definitions.errors import Errors
from badges.definitions.types import Definition, name_of_path
from badges.exceptions import Notice
from badges.facts import probes, rights
from badges.facts.tables import find_tables, named_tables, nearest_table
from badges.facts.types import INTEGERS, Column, Hop, Table, Target, UserPath, Watched

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
    paths = {
        (table, path): _follow(connection, target, found_table, path)
        for each in definitions
        for table, path in (
            (each.trigger_table, each.user_path),
            *((watch.table, watch.user_path) for watch in each.watches),
        )
        if path and isinstance(found_table := tables[table], Table)
    }
    elsewhere = _elsewhere(connection, target, [*_user_columns(tables, paths, definitions)])
    intervals = dict.fromkeys(each.expires_after for each in definitions if each.expires_after)
    endless = {interval: _interval_error(connection, interval) for interval in intervals}
    users = _Users(target, elsewhere, paths)
    return {each: _named(errors, users, each, tables, endless) for each in definitions}


@dataclasses.dataclass(frozen=True, slots=True)
class _Way:
    """The way that a path leads: to the last table, of which its last column should hold the user."""

    hops: tuple[Hop, ...]
    table: Table
    lacking: tuple[str, ...]
    """Rights on these tables that the owner of the badges lacks."""


_Paths = Mapping[tuple[str, tuple[str, ...]], _Way | Notice]


def _follow(connection: BaseDatabaseWrapper, target: Target, table: Table, path: Sequence[str]) -> _Way | Notice:
    """The way that a path leads from a table, or why it leads nowhere."""
    hops: list[Hop] = []
    rights_: list[str] = []
    for written, following in itertools.pairwise(path):
        column = table.column(written)
        if column is None:
            return _no_column(table, written)
        keys = fetch_file(
            connection, "facts/foreign_keys.sql", relation=table.oid, name=column.name, owner=target.badges_owner
        )
        found = [
            (column, next_table, key, operator, tuple(lacking))
            for schema, name, key, *operator, width, lacking in keys
            if width == 1 and (next_table := named_tables(connection, [(schema, name)]).get((schema, name)))
        ]
        if not found:
            several = "a foreign key of several columns, which a path cannot follow" if keys else "no foreign key"
            return Notice(
                f"{table.qualified_name}.{column.name} has {several}, so it leads to no other row.",
                "A path names columns that have a foreign key each, and last the column that holds the user.",
            )
        # Of several foreign keys, the one that leads on.
        column, table, key, operator, lacking = next((each for each in found if each[1].column(following)), found[0])
        if isinstance(watchable := _watchable(target, table.qualified_name, table), Notice):
            return watchable
        key_column = table.column(key)
        if key_column is None:
            return _no_column(table, key)
        hops.append(Hop(column, table, key_column, (operator[0], operator[1])))
        rights_ += lacking
    return _Way(tuple(hops), table, tuple(dict.fromkeys(rights_)))


def _user_columns(
    tables: Mapping[str, Table | Notice], paths: _Paths, definitions: Sequence[Definition]
) -> Iterator[tuple[Table, Column]]:
    """The columns that hold a user, according to the definitions."""
    for each in definitions:
        for name, user_field, path in (
            (each.trigger_table, each.user_field, each.user_path),
            *((watch.table, watch.user_field, watch.user_path) for watch in each.watches),
        ):
            way = paths.get((name, path))
            table = way.table if isinstance(way, _Way) else None if path else tables[name]
            if isinstance(table, Table) and (column := table.column(path[-1] if path else user_field)):
                yield table, column


def _elsewhere(
    connection: BaseDatabaseWrapper, target: Target, columns: Sequence[tuple[Table, Column]]
) -> dict[tuple[int, str], tuple[str, list[str] | None]]:
    """Those of the columns, by table and name, whose foreign keys do not lead to the key of a user.

    :returns: the table that the column refers to, and a path from there to a user, if there is one.
    """
    if not columns:
        return {}
    wanted = {(table.oid, column.name) for table, column in columns}
    rows = fetch_file(
        connection,
        "facts/references.sql",
        relations=[relation for relation, _ in wanted],
        names=[name for _, name in wanted],
        users=target.users.oid,
        user_key=target.user_key.name,
    )
    return {
        (relation, name): (referenced, path) for relation, name, referenced, is_of_user, path in rows if not is_of_user
    }


@dataclasses.dataclass(frozen=True, slots=True)
class _Users:
    """What is known of the columns and paths that should lead to users."""

    target: Target
    elsewhere: Mapping[tuple[int, str], tuple[str, list[str] | None]]
    paths: _Paths

    def find(
        self, errors: Errors, table: Table, name: str, written: str, path: tuple[str, ...]
    ) -> tuple[Table, Column] | None:
        """The table whose rows have the user in a column, of their own or at the end of the path, and that column.

        :param name: the name of the table as the author has it.
        """
        if not path:
            column = self._column(errors, table, written)
            return (table, column) if column else None
        way = self.paths[name, path]
        if isinstance(way, Notice):
            errors.add(way.message, way.hint)
            return None
        for right in way.lacking:
            errors.add(
                f'the path is followed with the rights of the owner of the badges, "{self.target.badges_owner}", who '
                f"lacks {right}.",
                f"Needed: GRANT {right} TO {sql.Identifier(self.target.badges_owner).as_string()};",
            )
        last = self._column(errors, way.table, path[-1], (*path[:-1],))
        if last is None or way.lacking:
            return None
        found = UserPath(way.hops, last, name_of_path([*(hop.column.name for hop in way.hops), last.name]))
        way_on: UserPath | None = found
        for each in (table, *found.tables):
            if way_on and any(column.name == way_on.name for column in each.columns):
                message = f"{each.qualified_name} has a column {way_on.name}, the name of the user by this path."
                errors.add(message, "Rename the column.")
                return None
            way_on = way_on.rest if way_on else None
        table = table.with_path(found)
        user = table.column(found.name)
        return (table, user) if user else None

    def _column(self, errors: Errors, table: Table, written: str, before: tuple[str, ...] = ()) -> Column | None:
        """The column that holds the key of the user.

        :param before: the columns that lead to its row.
        """
        found, key = _column(errors, table, written), self.target.user_key
        if found is None:
            return None
        place = f"{table.qualified_name}.{found.name}"
        if (table.oid, found.name) in self.elsewhere:
            referenced, path = self.elsewhere[table.oid, found.name]
            hint = "Name the column that holds the key of the user."
            if path:
                hint = f'Name the path to the user: "user_field": {json.dumps([*before, *path], ensure_ascii=False)}.'
            errors.add(
                f"{place} refers to {referenced}, so its values are no keys of users "
                f"({self.target.users.qualified_name}.{key.name}).",
                hint,
            )
            return None
        if found.type != key.type and not any({found.type, key.type} <= types for types in _SAME_TYPES):
            errors.add(
                f"{place} is of type {found.type}, but users are known by "
                f"{self.target.users.qualified_name}.{key.name}, of type {key.type}.",
                "Name the column that holds the key of the user.",
            )
            return None
        return found


def _named(
    errors: Errors,
    users: _Users,
    definition: Definition,
    tables: Mapping[str, Table | Notice],
    intervals: Mapping[str, Notice | None],
) -> Named:
    badge = errors.at(definition.place, definition.number)
    table = _table(badge.at(definition.trigger_table_key), tables[definition.trigger_table])
    user = per = None
    if table:
        per = _subject_column(badge.at("per"), table, definition.per) if definition.per else None
        found = users.find(
            badge.at(definition.user_field_key),
            table,
            definition.trigger_table,
            definition.user_field,
            definition.user_path,
        )
        if found:
            table, user = found
    watches = []
    for number, watch in enumerate(definition.watches, start=2):
        trigger = badge.at(f"triggers {number}")
        if watched := _table(trigger.at("table"), tables[watch.table]):
            found = users.find(trigger.at("user_field"), watched, watch.table, watch.user_field, watch.user_path)
            if found:
                watches.append(Watched(*found, watch.events, "named in triggers"))
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


def _no_column(table: Table, written: str) -> Notice:
    near = table.nearest_column(written)
    hint = f'Did you mean "{near}"?' if near else f"Its columns: {table.column_names}."
    return Notice(f'{table.qualified_name} has no column "{written}".', hint)


def _column(errors: Errors, table: Table, written: str) -> Column | None:
    """The column of a trigger table that is meant by `written`, if triggers see its value."""
    found = table.column(written)
    if found is None:
        notice = _no_column(table, written)
        errors.add(notice.message, notice.hint)
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
