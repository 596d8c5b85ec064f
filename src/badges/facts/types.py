"""The target database, and the facts of each definition, as frozen dataclasses. Pure."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
from collections.abc import Collection, Mapping
from typing import Literal

from psycopg import sql

from badges.database import qualified
from badges.definitions.types import Definition, TriggerEvent, name_of_path

INTEGERS = frozenset({"smallint", "integer", "bigint"})
"""The types of whole numbers, by PostgreSQL's names."""

FOLLOW_USER = "badges_follow_user"
"""The trigger on the users' table that has pending checks follow a user whose key changes, and its function."""

SHORT = INTEGERS | {
    "boolean",
    "date",
    "double precision",
    "interval",
    "real",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
    "uuid",
}
"""Types whose values are all shorter than evidence may be, by PostgreSQL's names."""


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    """PostgreSQL's name of the type below any domain, for example `bigint`."""
    equal_means_identical: bool
    """DISTINCT merges only values that are the same to every condition; not so for numeric (1.0 = 1.00) or citext."""
    is_virtual: bool
    """Generated when it is read (PostgreSQL 18), and empty in the rows that triggers see."""
    is_own: bool
    """Its type, below any domain, is none of PostgreSQL's own: its owner can make casts for it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hop:
    """A foreign key of one column, by which a path leads from a row to another one."""

    column: Column
    table: Table
    """The table that the column refers to."""
    key: Column
    """The column there."""
    operator: tuple[str, str]
    """Schema and name of the operator by which the foreign key compares: `key = column`."""


@dataclasses.dataclass(frozen=True, slots=True)
class UserPath:
    """The way from a row to its user: by foreign keys to a row that has the user in a column."""

    hops: tuple[Hop, ...]
    last: Column
    """The column of the last table that holds the user."""
    name: str
    """The name under which the row has its user, beside its own columns."""

    @property
    def first(self) -> Column:
        """The column of the row itself."""
        return self.hops[0].column

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(hop.table for hop in self.hops)

    @property
    def rest(self) -> UserPath | None:
        """The way from the next row; None if that row has the user in a column of its own."""
        return dataclasses.replace(self, hops=self.hops[1:], name=self.rest_name) if self.hops[1:] else None

    @property
    def rest_name(self) -> str:
        return name_of_path([*(hop.column.name for hop in self.hops[1:]), self.last.name])

    def __str__(self) -> str:
        return " -> ".join([*(f"{hop.column.name} -> {hop.table.qualified_name}" for hop in self.hops), self.last.name])


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
    children: tuple[str, ...] = ()
    """The tables that inherit from it, as schema.table, but no partitions: a write straight to them fires no trigger of
    this table."""
    path: UserPath | None = None
    """The way to the user of a row, who is then among the columns under the path's name."""

    def with_path(self, path: UserPath) -> Table:
        """The same table, whose rows have the user at the end of a path as one more column."""
        user = dataclasses.replace(path.last, name=path.name, is_virtual=False)
        return dataclasses.replace(self, columns=(*self.columns, user), path=path)

    @property
    def copy(self) -> str:
        """Distinguishes the copies on which conditions are tried."""
        digest = hashlib.sha256(self.path.name.encode()).hexdigest()[:8] if self.path else ""
        return f"{self.oid}_{digest}" if digest else str(self.oid)

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

    @property
    def has_own_types(self) -> bool:
        """The type of one of its columns is none of PostgreSQL's own."""
        return any(column.is_own for column in self.columns)

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
class Target:
    """What all definitions of one database share."""

    database: str
    role: str
    search_path: str
    """The schemas in force, each quoted where it must be, without pg_temp."""
    own_schema: str
    """The first schema of the path: the functions that depend on badges live there, beside the tables of the site."""
    badges: Table
    definitions: Table
    pending: Table
    failures: Table
    events: Table
    deliveries: Table
    secret: Table
    former_keys: Table
    overruns: Table
    users: Table
    user_key: Column
    badges_owner: str
    """The owner of the table of badges. The generated functions run with the rights of that role."""
    owner_reads_users: bool
    owner_locks_users: bool
    """The functions look up the users."""
    owner_reads_definitions: bool
    """The history records the version of the rule."""
    owner_reads_secret: bool
    """The functions sign with it what they remember in a transaction."""
    owner_keeps_former_keys: bool
    """Pending checks follow a user whose key changes."""
    owner_keeps_overruns: bool
    """Badges that take too long are deferred."""
    owner_writes_events: bool
    """The functions write the history."""
    owner_writes_deliveries: bool
    follows_keys: bool
    """The trigger FOLLOW_USER is there, or can be made."""
    can_create_temporary: bool
    trusted_roles: frozenset[str]
    """The roles that may act with the rights of that owner, although they are no members of it."""
    citus_tables: frozenset[int]
    """The tables that Citus manages, by oid: writes to them fire the triggers of shards, which have other names."""
    wait: int
    """BADGES_WAIT, in milliseconds."""
    budget: int
    """BADGES_BUDGET, in milliseconds; 0 if there is none."""
    buckets: int
    """BADGES_BUCKETS."""
    notifies: bool | None
    """BADGES_NOTIFY; None leaves it to the server's settings."""
    sends_signals: bool
    """BADGES_SIGNALS."""
    is_subscriber: bool
    """BADGES_SUBSCRIBERS names this database."""
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    """The values that are pinned of the settings in `session.ALL`, the time zone among them."""

    def zone_of(self, definition: Definition) -> str:
        """The time zone in which a badge's condition reads days and hours."""
        return definition.time_zone or self.settings["TimeZone"]

    @property
    def schema(self) -> str:
        """Where the functions live that do not depend on any badge: beside the table of badges."""
        return self.badges.schema

    @property
    def tenant(self) -> str:
        """The own schema, if it shares the table of badges with others; empty if not."""
        return "" if self.own_schema == self.schema else self.own_schema

    @property
    def following(self) -> str:
        """The name of the trigger that has pending checks follow a user whose key changes, and of its function."""
        if self.users.schema == self.schema:
            return FOLLOW_USER
        # Other tables of badges may have a trigger of their own on the table of users.
        return f"{FOLLOW_USER}_{hashlib.sha256(self.schema.encode()).hexdigest()[:8]}"

    @property
    def function_search_path(self) -> str:
        """`search_path` of the generated functions: what the author saw, and temporary objects last."""
        return f"{self.search_path}, pg_temp" if self.search_path else "pg_temp"


def nearest(written: str, names: list[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(written.strip('"').lower(), list(by_lower), n=1)
    return by_lower[near[0]] if near else None


def fold(written: str) -> str:
    """A column's name as SQL reads it: quotes keep it, otherwise capitals become small."""
    if len(written) > 1 and written[0] == written[-1] == '"':
        return written[1:-1].replace('""', '"')
    return written.strip().lower()


@dataclasses.dataclass(frozen=True, slots=True)
class ReadTable:
    """A table that a condition reads beside the changed row."""

    table: str
    """As schema.table."""
    oid: int
    columns: tuple[str, ...]
    """Those that are read, in the order of the table."""
    user: Column | None
    """The one among them that equals the user wherever the table is read; None if there is none."""
    is_way: bool = False
    """Its rows only lead from rows of the trigger table to their users: what changes there, the path's watches see."""


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """A condition that compares one count of rows with a number, or a progress that is one."""

    counted: str
    """What is counted, as the author wrote it; empty for all rows."""
    rows: str
    """The FROM and WHERE clauses, as the author wrote them."""
    operator: str = ""
    number: int = 0
    """What a condition compares the count with, and how; no operator for a progress."""

    @property
    def enough(self) -> int:
        """So many rows decide the comparison: any more have the same result."""
        return self.number if self.operator in (">=", "<") else self.number + 1


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What PostgreSQL has found out about the condition of one badge, checked after one event."""

    table: Table
    user: Column
    new_columns: tuple[str, ...]
    old_columns: tuple[str, ...]
    """The columns of the changed row that the condition reads, in the order of the table."""
    tables: tuple[str, ...]
    """The other tables it reads, as schema.table."""
    is_time_dependent: bool
    is_opaque: bool
    """It calls a function of the site's own that may read tables and the clock."""
    reads: tuple[ReadTable, ...] = ()
    """The same as `tables`, in the same order, with what it reads of them."""
    per: Column | None = None
    """The column that names the subject of which there is one badge each."""
    is_expression: bool = False
    """The condition is valid between parentheses as well as behind SELECT."""
    select_list: str = ""
    from_clause: str = ""
    """The two halves of a condition that is one row of aggregates, if another condition has the same FROM clause."""
    count: Count | None = None
    """Its parts, if it is nothing but a count that PostgreSQL knows for one."""
    type: str = "boolean"
    """The type of what it gives: a condition true or false, a progress a number."""
    settings: tuple[str, ...] = ()
    """The settings of a session that can change its meaning, by PostgreSQL's names."""

    @property
    def is_cross_row(self) -> bool:
        """The changed row alone does not decide it."""
        return bool(self.tables) or self.is_opaque

    @property
    def depends_on_its_row(self) -> bool:
        """Of two rows of one user, one may meet the condition and the other not."""
        return not {self.user.name}.issuperset(self.new_columns + self.old_columns)

    @property
    def is_reevaluable(self) -> bool:
        """The condition reads only NEW columns of the changed row, which can be read from the table later."""
        return not self.old_columns

    @property
    def decided_by(self) -> Literal["user", "row"]:
        """Whether knowing the user is enough to evaluate the condition, or a row of the trigger table must meet it.

        A condition that reads nothing but its row asks for that row: `true` means that there is one.
        """
        needs_row = self.depends_on_its_row or not self.is_cross_row or self.per is not None
        return "row" if needs_row else "user"


def deciding(facts: Mapping[TriggerEvent, Facts]) -> TriggerEvent | None:
    """The event by whose facts the rows that exist decide a badge; None if none do."""
    for event in TriggerEvent:
        each = facts.get(event)
        if each and (not each.old_columns if event.has_new else each.decided_by == "user"):
            return event
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class Watched:
    """Further changes that cause a check of a badge, beside its own events, for the user in the changed row."""

    table: Table
    user: Column
    events: tuple[TriggerEvent, ...]
    reason: str
    link: Column | None = None
    """The column by which rows of another table refer to this one, if only changes of whose rows those are count."""


@dataclasses.dataclass(frozen=True, slots=True)
class AnalysedDefinition:
    """A definition with its facts for each of its events, and the further tables that are watched for it."""

    definition: Definition
    facts: dict[TriggerEvent, Facts]
    watches: tuple[Watched, ...] = ()
    unwatched: tuple[str, ...] = ()
    """Changes that may make the condition false unnoticed: sentences, each with its hint."""

    @property
    def primary(self) -> Facts:
        """The facts of its first event: table, user and subject are those of all."""
        return next(iter(self.facts.values()))

    @property
    def table(self) -> Table:
        return self.primary.table

    @property
    def tables(self) -> frozenset[str]:
        """The other tables that decide it, as schema.table: those that the condition reads, and those of paths."""
        on_the_way = {
            table.qualified_name
            for each in (self.table, *(watched.table for watched in self.watches))
            if each.path
            for table in each.path.tables
        }
        return frozenset(on_the_way.union(*(each.tables for each in self.facts.values())))

    @property
    def children(self) -> tuple[str, ...]:
        """The tables whose rows the watched tables show, and whose own writes check nothing."""
        watched = {self.table.qualified_name: self.table}
        watched |= {each.table.qualified_name: each.table for each in self.watches}
        return tuple(sorted({child for table in watched.values() for child in table.children} - watched.keys()))

    @property
    def unchecked_tables(self) -> tuple[str, ...]:
        """The tables that the condition reads and whose changes do not check the badge, as schema.table."""
        checked = {self.table.qualified_name, *(each.table.qualified_name for each in self.watches if not each.link)}
        checked |= {read.table for each in self.facts.values() for read in each.reads if read.is_way}
        return tuple(sorted({name for each in self.facts.values() for name in each.tables} - checked))

    @property
    def reads_others(self) -> bool:
        """It reads rows of its own table by another column than its watches go by: a change there concerns others."""
        watched = {
            (self.table.oid, self.primary.user.name),
            *((each.table.oid, each.user.name) for each in self.watches if not each.link),
        }
        return any(
            not read.is_way and (read.user is None or (read.oid, read.user.name) not in watched)
            for each in self.facts.values()
            for read in each.reads
            if read.oid == self.table.oid
        )

    @property
    def needs_catch_up(self) -> bool:
        """Triggers alone do not keep it current: it depends on the time, ends, or reads rows that are not watched."""
        return bool(
            self.definition.expires_after
            or self.unchecked_tables
            or self.reads_others
            or self.unwatched
            or self.children
            or any(each.is_time_dependent or each.is_opaque for each in self.facts.values())
        )
