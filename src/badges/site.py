"""Where badges live in this database: its schemas, its users, its tables. Takes a connection."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection

from django.contrib.auth import get_user_model
from django.db import DataError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges import exceptions
from badges.conf import badges_settings
from badges.database import fetch, fetch_file, qualified

INTEGERS = frozenset({"smallint", "integer", "bigint"})
"""The types of whole numbers, by PostgreSQL's names."""


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    """PostgreSQL's name of the type below any domain, for example `bigint`."""
    equal_means_identical: bool
    """DISTINCT merges only values that no condition can tell apart; not so for numeric (1.0 = 1.00) or citext."""
    is_virtual: bool
    """Generated when it is read (PostgreSQL 18), and empty in the rows that triggers see."""


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table as the catalog has it."""

    oid: int
    schema: str
    name: str
    kind: str
    """`relkind` of pg_class: r for a table, p for a partitioned table, v, m, f and others for what is none."""
    is_temporary: bool
    has_parent: bool
    """It is a partition, or inherits from another table: writes through the parent fire only its row-level triggers."""
    can_select: bool
    columns: tuple[Column, ...]

    @property
    def identifier(self) -> sql.Composed:
        return qualified(self.schema, self.name)

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"

    @property
    def needs_row_level(self) -> bool:
        """Writes can reach its rows without firing its statement-level triggers."""
        return self.is_partitioned or self.has_parent

    def column(self, written: str) -> Column | None:
        """The column that an author means: the exact name, or else the name as SQL would read it."""
        by_name = {column.name: column for column in self.columns}
        return by_name.get(written) or by_name.get(fold(written))

    def in_order(self, names: Collection[str]) -> tuple[str, ...]:
        """The names of its columns that are among `names`, in the order of the table."""
        return tuple(column.name for column in self.columns if column.name in names)

    @property
    def column_names(self) -> str:
        return ", ".join(column.name for column in self.columns)

    def nearest_column(self, written: str) -> str | None:
        return nearest(written, [column.name for column in self.columns])


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """What all definitions of one database share."""

    database: str
    role: str
    search_path: str
    """The schemas in force, each quoted where it must be, without pg_temp."""
    badges: Table
    definitions: Table
    pending: Table
    failures: Table
    events: Table
    deliveries: Table
    users: Table
    user_key: Column
    badges_owner: str
    owner_reads_users: bool
    owner_reads_definitions: bool
    owner_writes_events: bool
    """The history is written with the rights of that owner, too, and tells the version of the rule."""
    """The generated functions run with the rights of that owner, and look up the users."""
    owner_writes_deliveries: bool
    can_create_temporary: bool
    wait: int
    """BADGES_WAIT, in milliseconds."""
    buckets: int
    """BADGES_BUCKETS."""
    notifies: bool | None
    """BADGES_NOTIFY; None leaves it to the server's settings."""
    sends_signals: bool
    """BADGES_SIGNALS."""
    is_subscriber: bool
    """BADGES_SUBSCRIBERS names this database."""

    @property
    def schema(self) -> str:
        """Where the generated functions live: beside the table of badges."""
        return self.badges.schema

    @property
    def function_search_path(self) -> str:
        """`search_path` of the generated functions: what the author saw, and temporary objects last."""
        return f"{self.search_path}, pg_temp" if self.search_path else "pg_temp"


def describe(connection: BaseDatabaseWrapper) -> Site:
    """Look up the site's tables.

    :raises NotMigrated: the tables of the app "badges" or of the users are missing.
    """
    from badges.models import (  # noqa: PLC0415 - models need apps
        Badge,
        BadgeDefinition,
        BadgeEvent,
        Delivery,
        Failure,
        PendingCheck,
    )

    [(database, role, search_path)] = fetch(
        connection,
        """
        SELECT current_database(), current_user,
               (SELECT coalesce(string_agg(quote_ident(schema), ', ' ORDER BY place), '')
                FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (schema, place)
                WHERE schema !~ '^pg_temp_')
        """,
    )
    user_meta = get_user_model()._meta
    found = []
    for model in (Badge, BadgeDefinition, PendingCheck, Failure, BadgeEvent, Delivery, get_user_model()):
        meta = model._meta
        # Django's own quoting, as db_table may hold a quoted schema and name.
        table = find_table(connection, connection.ops.quote_name(meta.db_table))
        if table is None:
            raise exceptions.NotMigrated(
                f'The table {meta.db_table} is missing in the database "{connection.alias}". '
                "Run `python manage.py migrate` first."
            )
        found.append(table)
    badges, definitions, pending, failures, events, deliveries, users = found
    if badges.column("thing") is None:
        raise exceptions.NotMigrated(
            "The table badges_badge is still that of an earlier version. Run `python manage.py migrate badges` first."
        )
    pk = user_meta.pk
    user_key = users.column(pk.column) if pk is not None and pk.column else None
    if user_key is None:
        raise exceptions.NotMigrated(f"The table {users.qualified_name} lacks the key of {user_meta.label}.")
    [(owner, reads_users, reads_definitions, writes_events, writes_deliveries, can_create_temporary)] = fetch(
        connection,
        """
        SELECT pg_get_userbyid(relowner),
               has_column_privilege(relowner, %s::oid, %s, 'SELECT'),
               has_table_privilege(relowner, %s::oid, 'SELECT'),
               has_table_privilege(relowner, %s::oid, 'SELECT') AND has_table_privilege(relowner, %s::oid, 'INSERT'),
               has_table_privilege(relowner, %s::oid, 'INSERT'),
               has_database_privilege(current_database(), 'TEMPORARY')
        FROM pg_class WHERE oid = %s
        """,
        [users.oid, user_key.name, definitions.oid, events.oid, events.oid, deliveries.oid, badges.oid],
    )
    return Site(
        database=database,
        role=role,
        search_path=search_path,
        badges=badges,
        definitions=definitions,
        pending=pending,
        failures=failures,
        events=events,
        deliveries=deliveries,
        users=users,
        user_key=user_key,
        badges_owner=owner,
        owner_reads_users=reads_users,
        owner_reads_definitions=reads_definitions,
        owner_writes_events=writes_events,
        owner_writes_deliveries=writes_deliveries,
        can_create_temporary=can_create_temporary,
        wait=badges_settings.BADGES_WAIT,
        buckets=badges_settings.BADGES_BUCKETS,
        notifies=badges_settings.BADGES_NOTIFY,
        sends_signals=badges_settings.BADGES_SIGNALS,
        is_subscriber=connection.alias in badges_settings.BADGES_SUBSCRIBERS,
    )


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
    for *facts, names, types, identical, virtual in fetch_file(connection, "find_table.sql", schema=schema, name=name):
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


def nearest(written: str, names: list[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(written.strip('"').lower(), list(by_lower), n=1)
    return by_lower[near[0]] if near else None


def fold(written: str) -> str:
    """A column's name as SQL reads it: quotes keep it, otherwise capitals become small."""
    if len(written) > 1 and written[0] == written[-1] == '"':
        return written[1:-1].replace('""', '"')
    return written.strip().lower()


def _parse_ident(connection: BaseDatabaseWrapper, written: str) -> list[str]:
    try:
        with transaction.atomic(using=connection.alias):
            return list(fetch(connection, "SELECT parse_ident(%s)", [written])[0][0])
    except DataError:
        return []  # what SQL cannot read as a name names no table
