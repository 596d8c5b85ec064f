"""Definitions and facts -> trigger functions. Pure: the same input gives the same SQL, to the letter."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import re
from collections.abc import Iterable, Sequence

from psycopg import sql

from badges import routines
from badges.analysis import AnalysedDefinition, Facts
from badges.database import qualified, template, trusted
from badges.definitions import Definition, Event
from badges.routines import Routine, dollar_quoted
from badges.site import Site, Table

NAME_MAX_BYTES = 63
"""PostgreSQL cuts longer names (NAMEDATALEN - 1)."""


class Level(enum.StrEnum):
    STATEMENT = "statement"
    ROW = "row"


@dataclasses.dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger and the function behind it; both have the same name."""

    routine: Routine
    table: Table
    event: Event
    level: Level
    is_always: bool = False
    """It fires for rows that arrive by logical replication, too."""

    @property
    def name(self) -> str:
        return self.routine.name

    @property
    def new_table(self) -> str | None:
        """The name of its transition table of new rows."""
        return "badges_new" if self.level is Level.STATEMENT and self.event.has_new else None

    @property
    def old_table(self) -> str | None:
        return "badges_old" if self.level is Level.STATEMENT and self.event is Event.DELETE else None

    def create(self) -> sql.Composed:
        transition: sql.Composable = sql.SQL("")
        if self.new_table:
            transition = sql.SQL("REFERENCING NEW TABLE AS {}\n").format(sql.Identifier(self.new_table))
        elif self.old_table:
            transition = sql.SQL("REFERENCING OLD TABLE AS {}\n").format(sql.Identifier(self.old_table))
        return sql.SQL("CREATE OR REPLACE TRIGGER {} AFTER {} ON {}\n{}FOR EACH {} EXECUTE FUNCTION {}()").format(
            sql.Identifier(self.name),
            trusted(self.event.upper()),
            self.table.identifier,
            transition,
            trusted(self.level.upper()),
            self.routine.identifier,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """All that is to be installed, the functions in an order in which each can be created."""

    routines: tuple[Routine, ...]
    triggers: tuple[Trigger, ...]


def compile_definitions(site: Site, analysed: Sequence[AnalysedDefinition]) -> Compiled:
    """One trigger for each table, event and level that any definition asks for; what they call; and `badges_check`."""
    badges: dict[tuple[str, Event, Level], list[_Badge]] = {}
    for of_definition in analysed:
        for event, facts in of_definition.facts.items():
            for level in _levels(site, event, facts):
                key = facts.table.qualified_name, event, level
                badges.setdefault(key, []).append(_Badge(of_definition.definition, event, facts))
    triggers = sorted(
        (
            _trigger(site, event, level, sorted(of_trigger, key=lambda badge: badge.definition.code))
            for (_, event, level), of_trigger in badges.items()
        ),
        key=lambda trigger: (trigger.table.qualified_name, trigger.name),
    )
    functions = (*routines.runtime(site), _check(site, analysed), *(trigger.routine for trigger in triggers))
    return Compiled(functions, tuple(triggers))


def name_for(table: Table, event: Event, level: Level) -> str:
    """A readable name within 63 bytes; its hash keeps the names of two long tables apart."""
    key = f"{table.qualified_name}:{event}:{level}"
    suffix = f"_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    row = "_row" if level is Level.ROW else ""
    readable = f"badges_{event}{row}_{table.name}".encode()[: NAME_MAX_BYTES - len(suffix)]
    return readable.decode(errors="ignore") + suffix


@dataclasses.dataclass(frozen=True, slots=True)
class _Badge:
    definition: Definition
    event: Event
    facts: Facts


def _levels(site: Site, event: Event, facts: Facts) -> tuple[Level, ...]:
    """Where the trigger must stand so that it sees every row, and the old row beside the new one if both are read."""
    pairs_rows = event is Event.UPDATE and bool(facts.old_columns)
    if event is Event.UPDATE and facts.table.is_partitioned and not pairs_rows:
        # An update that moves a row to another partition fires no row-level UPDATE trigger, only the parent's
        # statement-level one; an update that names a partition fires only the row-level one.
        return (Level.ROW, Level.STATEMENT)
    is_row_level = pairs_rows or facts.table.needs_row_level or site.is_subscriber
    return (Level.ROW,) if is_row_level else (Level.STATEMENT,)


def _trigger(site: Site, event: Event, level: Level, badges: Sequence[_Badge]) -> Trigger:
    table = badges[0].facts.table
    groups: dict[tuple[object, ...], list[_Badge]] = {}
    for badge in badges:
        facts = badge.facts
        # What is looked at once for each combination of values must not read values that the others do not need.
        read = (facts.new_columns, facts.old_columns) if facts.is_cross_row else ()
        groups.setdefault((facts.is_cross_row, facts.user.name, *read), []).append(badge)
    by_user: dict[str, list[_Badge]] = {}
    for badge in badges:
        by_user.setdefault(badge.facts.user.name, []).append(badge)
    body = template("body.sql").format(
        codes=_comment(", ".join(badge.definition.code for badge in badges)),
        event=trusted(event),
        table=_comment(table.qualified_name),
        key=trusted(site.user_key.type),
        is_own_table=_is_own_table(table, level),
        awards=sql.SQL("\n").join(_award(site, event, level, group) for group in groups.values()),
        one_by_one=sql.SQL("").join(_one_by_one(site, event, level, group) for group in by_user.values()),
    )
    name = name_for(table, event, level)
    create = template("function.sql").format(
        function=qualified(site.schema, name),
        search_path=trusted(site.function_search_path),
        body=trusted(dollar_quoted(body.as_string())),
    )
    codes = tuple(badge.definition.code for badge in badges)
    owned = Routine(site.schema, name, site.badges_owner, create.as_string(), codes)
    return Trigger(owned, table, event, level, site.is_subscriber)


def _award(site: Site, event: Event, level: Level, badges: Sequence[_Badge]) -> sql.Composed:
    """Look at these badges together: all are decided by the changed row alone, or all read the same of it."""
    facts = badges[0].facts
    user = sql.Identifier(event.changed_row, facts.user.name)
    new = {column for badge in badges for column in badge.facts.new_columns}
    old = {column for badge in badges for column in badge.facts.old_columns}
    (new if event.has_new else old).add(facts.user.name)
    rows = distinct = _source(event)
    if level is Level.ROW:
        rows = distinct = _records(facts.table.in_order(new), facts.table.in_order(old))
    elif facts.is_cross_row:
        columns = facts.table.in_order(new if event.has_new else old)
        bounds = user + sql.SQL(" IS NOT NULL")
        distinct = distinct_rows(
            facts.table, event.changed_row, columns, sql.Identifier(f"badges_{event.changed_row}"), bounds
        )
    # Where more names than the changed row's are in sight, a bare column must still mean the changed row's.
    is_scoped = facts.is_cross_row or bool(new and old)
    file = "award_cross_row.sql" if facts.is_cross_row else "award_row_local.sql"
    return template(file).format(
        rows=rows,
        distinct_rows=distinct,
        user=user,
        known_user=_known_user(site, user),
        bucket=routines.bucket(site, user),
        count=sql.Literal(len(badges)),
        codes=_literals(badge.definition.code for badge in badges),
        evidence=_evidence(badges),
        conditions=sql.SQL(",\n").join(_row_of_values(badge, is_scoped) for badge in badges),
        badges=site.badges.identifier,
        pending=site.pending.identifier,
        lock=sql.Literal(routines.ADVISORY_LOCK_CLASS),
        **{name: qualified(site.schema, f"badges_{name}") for name in ("wait", "record", "settle")},
    )


def _known_user(site: Site, user: sql.Composable) -> sql.Composed:
    """The key of the user, or NULL if there is none such; a subquery, which no plan turns into a join."""
    return sql.SQL("(SELECT u.{key} FROM {users} AS u WHERE u.{key} = {user})").format(
        key=sql.Identifier(site.user_key.name), users=site.users.identifier, user=user
    )


def _one_by_one(site: Site, event: Event, level: Level, badges: Sequence[_Badge]) -> sql.Composed:
    """Hand whole rows over, as a condition may have failed because one of their columns is gone."""
    new: sql.Composable = sql.SQL("NULL::jsonb")
    old: sql.Composable = new
    if event.has_new:
        new = sql.SQL("to_jsonb({})").format(trusted("NEW" if level is Level.ROW else "new.*"))
    if event is Event.DELETE or (event.has_old and level is Level.ROW):
        old = sql.SQL("to_jsonb({})").format(trusted("OLD" if level is Level.ROW else "old.*"))
    name = badges[0].facts.user.name
    rows, user = _source(event), sql.Composed([sql.Identifier(event.changed_row, name)])
    if level is Level.ROW:
        # Not under the record's name, which must go on meaning the whole record.
        rows = sql.SQL("(SELECT {} AS user_id) AS changed").format(_columns(event.changed_row.upper(), [name]))
        user = sql.Composed([sql.SQL("changed.user_id")])
    return template("one_by_one.sql").format(
        function=qualified(site.schema, "badges_one_by_one"),
        note_failure=qualified(site.schema, "badges_note_failure"),
        event=sql.Literal(event.value),
        user=user,
        known_user=_known_user(site, user),
        new=new,
        old=old,
        codes=sql.Literal([badge.definition.code for badge in badges]) + sql.SQL("::text[]"),
        cross_row=sql.Literal([badge.facts.is_cross_row for badge in badges]),
        reads=sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(_reads, badges))),
        rows=rows,
    )


def _reads(badge: _Badge) -> sql.Composed:
    """Which columns a condition reads, as JSON: of a row that is kept, the others are left out."""
    reads = {"new": badge.facts.new_columns, "old": badge.facts.old_columns}
    return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(reads, ensure_ascii=False)))


def _check(site: Site, analysed: Sequence[AnalysedDefinition]) -> Routine:
    """The function that looks at one badge by itself: for pending checks, and after a failure."""
    badges = [
        _Badge(of_definition.definition, event, facts)
        for of_definition in sorted(analysed, key=lambda each: each.definition.code)
        for event, facts in of_definition.facts.items()
    ]
    body = template("check_body.sql").format(arms=sql.SQL("").join(map(_check_arm, badges)))
    return routines.routine(
        site,
        "badges_check",
        "check.sql",
        key=trusted(site.user_key.type),
        search_path=trusted(site.function_search_path),
        body=trusted(dollar_quoted(body.as_string())),
    )


def _check_arm(badge: _Badge) -> sql.Composed:
    facts, event = badge.facts, badge.event
    sources = [
        sql.SQL("jsonb_to_record(badges_check.{}) AS {} ({})").format(
            trusted(f"{record}_row"),
            sql.Identifier(record),
            sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(column.name), trusted(column.type))
                for column in facts.table.columns
                if column.name in names
            ),
        )
        for record, names in (("new", facts.new_columns), ("old", facts.old_columns))
        if names
    ]
    return template("check_arm.sql").format(
        name=_comment(badge.definition.name),
        code=sql.Literal(badge.definition.code),
        event=sql.Literal(event.value),
        new=sql.Literal(list(facts.new_columns)) + sql.SQL("::text[]"),
        old=sql.Literal(list(facts.old_columns)) + sql.SQL("::text[]"),
        gone=sql.Literal(f"a column that the condition reads is gone from {facts.table.qualified_name}"),
        condition=_condition(badge, is_scoped=bool(facts.new_columns and facts.old_columns)),
        evidence=evidence(event, facts),
        others=_other_rows(badge),
        rows=sql.SQL("\n        CROSS JOIN ").join(sources) if sources else sql.SQL("(SELECT) AS nothing"),
    )


def _other_rows(badge: _Badge) -> sql.Composable:
    """Look at the user's other rows, of which one may lack just what the row that left the check has brought."""
    facts, row = badge.facts, badge.event.changed_row
    if not (facts.is_cross_row and facts.depends_on_its_row and facts.can_look_again):
        return sql.SQL("")
    return template("check_others.sql").format(
        evidence=evidence(badge.event, facts),
        columns=_columns(row, facts.new_columns),
        table=facts.table.identifier,
        row=sql.Identifier(row),
        user=sql.Identifier(row, facts.user.name),
        condition=_condition(badge, is_scoped=False),
    )


def _is_own_table(table: Table, level: Level) -> sql.Composed:
    if level is Level.ROW and table.is_partitioned:
        # On a partition the trigger is a copy, and TG_RELID is the partition.
        return sql.SQL(
            "EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(TG_RELID) AS a (relid) "
            "WHERE a.relid = pg_catalog.to_regclass({}))"
        ).format(sql.Literal(table.identifier.as_string()))
    return sql.SQL("(TG_TABLE_SCHEMA = {} AND TG_TABLE_NAME = {})").format(
        sql.Literal(table.schema), sql.Literal(table.name)
    )


def _records(new: Sequence[str], old: Sequence[str]) -> sql.Composed:
    """The records of a row-level trigger as tables of one row, under the names that the conditions know them by."""
    return sql.SQL("\n    CROSS JOIN ").join(
        sql.SQL("(SELECT {}) AS {}").format(_columns(record, columns), sql.Identifier(record.lower()))
        for record, columns in (("NEW", new), ("OLD", old))
        if columns
    )


def distinct_rows(
    table: Table, row: str, columns: Sequence[str], source: sql.Composable, bounds: sql.Composable
) -> sql.Composed:
    """The rows of `source` under the name `row`, each combination of values once if that merges only identical ones."""
    identical = {column.name for column in table.columns if column.equal_means_identical}
    distinct = "DISTINCT " if identical.issuperset(columns) else ""
    return sql.SQL("(\n        SELECT {}{} FROM {} AS {} WHERE {}\n    ) AS {}").format(
        trusted(distinct), _columns(row, columns), source, sql.Identifier(row), bounds, sql.Identifier(row)
    )


def _source(event: Event) -> sql.Composable:
    """The transition table under the name that the conditions know it by."""
    row = event.changed_row
    return sql.SQL("{} AS {}").format(sql.Identifier(f"badges_{row}"), sql.Identifier(row))


def _row_of_values(badge: _Badge, is_scoped: bool) -> sql.Composed:
    """One badge as a row of VALUES: its code, and whether it is earned."""
    code, condition = sql.Literal(badge.definition.code), _condition(badge, is_scoped)
    if badge.facts.is_cross_row:
        # NULL for a badge that is held, so that what is false is lacked. A row that is gone when somebody else has
        # committed what it lacks must leave a check behind, even under the lock; the others are found in their table.
        leaves_check = badge.facts.depends_on_its_row and not badge.facts.can_look_again
        condition = sql.SQL("CASE WHEN {} <> ALL (held.codes) THEN coalesce({}, false) END, {}").format(
            code, condition, sql.Literal(leaves_check)
        )
    return sql.SQL("                    -- {}\n                    ({}, {})").format(
        _comment(badge.definition.name), code, condition
    )


def _condition(badge: _Badge, is_scoped: bool) -> sql.Composed:
    """The condition as its author wrote it, seeing `new` and `old` as it did when it was analysed."""
    row = badge.event.changed_row
    condition = sql.SQL("(SELECT {}\n                    )").format(trusted(badge.definition.condition))
    read = badge.facts.new_columns if badge.event.has_new else badge.facts.old_columns
    if is_scoped and read:
        condition = sql.SQL("(SELECT {} FROM (SELECT {}) AS {})").format(
            condition, _columns(row, read), sql.Identifier(row)
        )
    return condition


def _evidence(badges: Sequence[_Badge]) -> sql.Composed:
    by_badge = {badge.definition.code: evidence(badge.event, badge.facts) for badge in badges}
    expressions = {expression.as_string() for expression in by_badge.values()}
    if len(expressions) == 1:
        return next(iter(by_badge.values()))
    whens = sql.SQL(" ").join(
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(code), expression) for code, expression in by_badge.items()
    )
    return sql.SQL("CASE badge.code {} END").format(whens)


def evidence(operation: str, facts: Facts) -> sql.Composed:
    """An expression for what the condition saw: the table, the operation and the columns of the row that it read."""
    parts = [
        sql.SQL("'table', {}, 'operation', {}").format(
            sql.Literal(facts.table.qualified_name), sql.Literal(str(operation))
        )
    ]
    for row, columns in (("new", facts.new_columns), ("old", facts.old_columns)):
        if columns:
            parts.append(
                sql.SQL("{}, (SELECT to_jsonb(seen) FROM (SELECT {}) AS seen)").format(
                    sql.Literal(row), _columns(row, columns)
                )
            )
    return sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(parts))


def _columns(row: str, names: Iterable[str]) -> sql.Composed:
    """The columns of NEW or OLD, the records of a row-level trigger, or of the source named `new` or `old`."""
    source = trusted(row) if row.isupper() else sql.Identifier(row)
    return sql.SQL(", ").join(sql.SQL("{}.{}").format(source, sql.Identifier(name)) for name in names)


def _literals(values: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Literal, values))


def _comment(text: str) -> sql.SQL:
    """`text` as it may stand after -- in SQL: on one line."""
    return trusted(re.sub(r"\s+", " ", text))
