"""Definitions and facts -> trigger functions. Pure: the same input gives the same SQL, to the letter."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from collections.abc import Sequence

from psycopg import sql

from badges import expressions, routines
from badges.analysis import AnalysedDefinition, Facts
from badges.database import qualified, template, trusted
from badges.definitions import Event
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
    event: str
    """An `Event`; the triggers that write the history know `truncate`, too."""
    level: Level
    is_always: bool = False
    """It fires for rows that arrive by logical replication, too."""
    then: tuple[sql.Composed, ...] = ()
    """What is to be done once it is there."""

    @property
    def name(self) -> str:
        return self.routine.name

    @property
    def new_table(self) -> str | None:
        """The name of its transition table of new rows."""
        return "badges_new" if self.level is Level.STATEMENT and self.event in ("insert", "update") else None

    @property
    def old_table(self) -> str | None:
        return "badges_old" if self.level is Level.STATEMENT and self.event == "delete" else None

    def create(self) -> sql.Composed:
        tables = [
            sql.SQL("{} TABLE AS {}").format(trusted(row), sql.Identifier(name))
            for row, name in (("OLD", self.old_table), ("NEW", self.new_table))
            if name
        ]
        transition: sql.Composable = sql.SQL("")
        if tables:
            transition = sql.SQL("REFERENCING {}\n").format(sql.SQL(" ").join(tables))
        return sql.SQL("CREATE OR REPLACE TRIGGER {} AFTER {} ON {}\n{}FOR EACH {} EXECUTE FUNCTION {}()").format(
            sql.Identifier(self.name),
            trusted(self.event.upper()),
            self.table.identifier,
            transition,
            trusted(self.level.upper()),
            self.routine.identifier,
        )


class HistoryTrigger(Trigger):
    """A trigger that writes the history; what has moved is told by the rows before and after."""

    __slots__ = ()

    @property
    def old_table(self) -> str | None:
        return "badges_old" if self.level is Level.STATEMENT and self.event in ("delete", "update") else None


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """All that is to be installed, the functions in an order in which each can be created."""

    routines: tuple[Routine, ...]
    triggers: tuple[Trigger, ...]
    """Those that award."""
    history: tuple[Trigger, ...]
    """Those that write the history."""

    @property
    def all_triggers(self) -> tuple[Trigger, ...]:
        return self.triggers + self.history


def compile_definitions(site: Site, analysed: Sequence[AnalysedDefinition]) -> Compiled:
    """One trigger for each table, event and level that any definition asks for; what they call; and `badges_check`."""
    badges: dict[tuple[str, Event, Level], list[expressions.CheckedBadge]] = {}
    for of_definition in analysed:
        for event, facts in of_definition.facts.items():
            for level in _levels(site, event, facts):
                key = facts.table.qualified_name, event, level
                badges.setdefault(key, []).append(expressions.CheckedBadge(of_definition.definition, event, facts))
    triggers = sorted(
        (
            _trigger(site, event, level, sorted(of_trigger, key=lambda badge: badge.definition.code))
            for (_, event, level), of_trigger in badges.items()
        ),
        key=lambda trigger: (trigger.table.qualified_name, trigger.name),
    )
    functions = (*routines.runtime(site), _check(site, analysed), *(trigger.routine for trigger in triggers))
    return Compiled(functions, tuple(triggers), _history(site, functions))


def _history(site: Site, functions: Sequence[Routine]) -> tuple[Trigger, ...]:
    """The triggers that write an event for whatever happens to a badge, whoever does it.

    Their functions do not depend on any badge. PostgreSQL fires triggers in the order of their names, and those that
    award come later: so the award that brought another one is written down before it.
    """
    catch_up = template("catch_up_events.sql").format(**routines.placeholders(site, "add_events"))
    by_name = {function.name: function for function in functions}
    writers = (
        ("badges_add_awarded", "insert"),
        ("badges_add_moved", "update"),
        ("badges_add_revoked", "delete"),
        ("badges_add_truncated", "truncate"),
    )
    return (
        *(
            HistoryTrigger(by_name[name], site.badges, event, Level.STATEMENT, site.is_subscriber, (catch_up,))
            for name, event in writers
        ),
        HistoryTrigger(by_name["badges_keep_events"], site.events, "update", Level.ROW),
    )


def name_for(table: Table, event: Event, level: Level) -> str:
    """A readable name within 63 bytes; its hash keeps the names of two long tables apart."""
    key = f"{table.qualified_name}:{event}:{level}"
    suffix = f"_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    row = "_row" if level is Level.ROW else ""
    readable = f"badges_{event}{row}_{table.name}".encode()[: NAME_MAX_BYTES - len(suffix)]
    return readable.decode(errors="ignore") + suffix


def _levels(site: Site, event: Event, facts: Facts) -> tuple[Level, ...]:
    """Where the trigger must stand so that it sees every row, and the old row beside the new one if both are read."""
    pairs_rows = event is Event.UPDATE and bool(facts.old_columns)
    if event is Event.UPDATE and facts.table.is_partitioned and not pairs_rows:
        # An update that moves a row to another partition fires no row-level UPDATE trigger, only the parent's
        # statement-level one; an update that names a partition fires only the row-level one.
        return (Level.ROW, Level.STATEMENT)
    is_row_level = pairs_rows or facts.table.needs_row_level or site.is_subscriber
    return (Level.ROW,) if is_row_level else (Level.STATEMENT,)


def _trigger(site: Site, event: Event, level: Level, badges: Sequence[expressions.CheckedBadge]) -> Trigger:
    table = badges[0].facts.table
    groups: dict[tuple[object, ...], list[expressions.CheckedBadge]] = {}
    for badge in badges:
        facts = badge.facts
        # What is looked at once for each combination of values must not read values that the others do not need.
        read = (facts.new_columns, facts.old_columns) if facts.is_cross_row else ()
        groups.setdefault((facts.is_cross_row, facts.user.name, *read), []).append(badge)
    by_user: dict[str, list[expressions.CheckedBadge]] = {}
    for badge in badges:
        by_user.setdefault(badge.facts.user.name, []).append(badge)
    body = template("body.sql").format(
        codes=expressions.comment(", ".join(badge.definition.code for badge in badges)),
        event=trusted(event),
        table=expressions.comment(table.qualified_name),
        key=trusted(site.user_key.type),
        is_own_table=_is_own_table(table, level),
        awards=sql.SQL("\n").join(_award(site, event, level, group) for group in groups.values()),
        one_by_one=sql.SQL("").join(_one_by_one(site, event, level, group) for group in by_user.values()),
    )
    name = name_for(table, event, level)
    create = template("function.sql").format(
        function=qualified(site.schema, name),
        search_path=trusted(site.function_search_path),
        timeout=sql.Literal(f"{site.wait}ms"),
        body=trusted(dollar_quoted(body.as_string())),
    )
    codes = tuple(badge.definition.code for badge in badges)
    owned = Routine(site.schema, name, site.badges_owner, create.as_string(), codes)
    return Trigger(owned, table, event, level, site.is_subscriber)


def _award(site: Site, event: Event, level: Level, badges: Sequence[expressions.CheckedBadge]) -> sql.Composed:
    """Look at these badges together: all are decided by the changed row alone, or all read the same of it."""
    facts = badges[0].facts
    user = sql.Identifier(event.changed_row, facts.user.name)
    new = {column for badge in badges for column in badge.facts.new_columns}
    old = {column for badge in badges for column in badge.facts.old_columns}
    (new if event.has_new else old).add(facts.user.name)
    rows = distinct = expressions.source(event)
    if level is Level.ROW:
        rows = distinct = expressions.records(facts.table.in_order(new), facts.table.in_order(old))
    elif facts.is_cross_row:
        columns = facts.table.in_order(new if event.has_new else old)
        bounds = user + sql.SQL(" IS NOT NULL")
        distinct = expressions.distinct_rows(
            facts.table, event.changed_row, columns, sql.Identifier(f"badges_{event.changed_row}"), bounds
        )
    # Where more names than the changed row's are in sight, a bare column must still mean the changed row's.
    is_scoped = facts.is_cross_row or bool(new and old)
    known_user = user if facts.user.type == site.user_key.type else expressions.known_user(site, user)
    shared: dict[str, sql.Composable] = {
        "source": sql.Identifier(f"badges_{event.changed_row}"),
        "rows": rows,
        "distinct_rows": distinct,
        "user": user,
        "known_user": known_user,
        "evidence": expressions.evidence_of_all(badges),
        "number": sql.Literal(len(badges)),
        "badges": site.badges.identifier,
        "pending": site.pending.identifier,
        "lock": sql.Literal(routines.ADVISORY_LOCK_CLASS),
        **{name: qualified(site.schema, f"badges_{name}") for name in ("wait", "record", "settle")},
    }
    if not facts.is_cross_row:
        return template("award_row_local.sql").format(
            any_condition=sql.SQL("\n           OR ").join(
                expressions.condition_of(badge, is_scoped) for badge in badges
            ),
            conditions=expressions.as_values(badges, [expressions.condition_of(badge, is_scoped) for badge in badges]),
            **shared,
        )
    the_user = trusted("own.the_user")
    one = template("award_cross_row_one.sql").format(
        bucket=routines.bucket(site, the_user),
        held=expressions.held(site, the_user, badges),
        exists=sql.SQL("{} IS NOT NULL").format(expressions.known_user(site, the_user)),
        conditions=sql.SQL(",\n").join(
            expressions.named(badge, expressions.if_lacked(badge, is_scoped, trusted("own.held"))) for badge in badges
        ),
        any_leaves_check=sql.Literal(any(map(expressions.leaves_check, badges))),
        codes=sql.Literal([badge.definition.code for badge in badges]) + sql.SQL("::text[]"),
        leave_checks=sql.Literal(list(map(expressions.leaves_check, badges))),
        **shared,
    )
    held = expressions.held(site, user, badges)
    if level is Level.ROW:
        return template("award_cross_row_record.sql").format(one=one, held=held, **shared)
    many = template("award_cross_row_many.sql").format(
        bucket=routines.bucket(site, user),
        lacks_any=sql.SQL("cardinality({}) < {}").format(held, shared["number"]),
        held=held,
        conditions=expressions.as_values(
            badges,
            [
                sql.SQL("{}, {}").format(
                    expressions.if_lacked(badge, is_scoped, trusted("held.codes")),
                    sql.Literal(expressions.leaves_check(badge)),
                )
                for badge in badges
            ],
        ),
        **shared,
    )
    return template("award_cross_row.sql").format(one=one, many=many, held=held, **shared)


def _one_by_one(site: Site, event: Event, level: Level, badges: Sequence[expressions.CheckedBadge]) -> sql.Composed:
    """Hand whole rows over, as a condition may have failed because one of their columns is gone."""
    new: sql.Composable = sql.SQL("NULL::jsonb")
    old: sql.Composable = new
    if event.has_new:
        new = sql.SQL("to_jsonb({})").format(trusted("NEW" if level is Level.ROW else "new.*"))
    if event is Event.DELETE or (event.has_old and level is Level.ROW):
        old = sql.SQL("to_jsonb({})").format(trusted("OLD" if level is Level.ROW else "old.*"))
    name = badges[0].facts.user.name
    rows, user = expressions.source(event), sql.Composed([sql.Identifier(event.changed_row, name)])
    if level is Level.ROW:
        # Not under the record's name, which must go on meaning the whole record.
        rows = sql.SQL("(SELECT {} AS user_id) AS changed").format(
            expressions.columns_of(event.changed_row.upper(), [name])
        )
        user = sql.Composed([sql.SQL("changed.user_id")])
    return template("one_by_one.sql").format(
        function=qualified(site.schema, "badges_one_by_one"),
        note_failure=qualified(site.schema, "badges_note_failure"),
        event=sql.Literal(event.value),
        user=user,
        known_user=expressions.known_user(site, user),
        new=new,
        old=old,
        codes=sql.Literal([badge.definition.code for badge in badges]) + sql.SQL("::text[]"),
        cross_row=sql.Literal([badge.facts.is_cross_row for badge in badges]),
        reads=sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(expressions.reads, badges))),
        rows=rows,
    )


def _check(site: Site, analysed: Sequence[AnalysedDefinition]) -> Routine:
    """The function that looks at one badge by itself: for pending checks, and after a failure."""
    badges = [
        expressions.CheckedBadge(of_definition.definition, event, facts)
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


def _check_arm(badge: expressions.CheckedBadge) -> sql.Composed:
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
        name=expressions.comment(badge.definition.name),
        code=sql.Literal(badge.definition.code),
        event=sql.Literal(event.value),
        new=sql.Literal(list(facts.new_columns)) + sql.SQL("::text[]"),
        old=sql.Literal(list(facts.old_columns)) + sql.SQL("::text[]"),
        gone=sql.Literal(f"a column that the condition reads is gone from {facts.table.qualified_name}"),
        condition=expressions.condition_of(badge, is_scoped=bool(facts.new_columns and facts.old_columns)),
        evidence=expressions.evidence(event, facts),
        others=_other_rows(badge),
        rows=sql.SQL("\n        CROSS JOIN ").join(sources) if sources else sql.SQL("(SELECT) AS nothing"),
    )


def _other_rows(badge: expressions.CheckedBadge) -> sql.Composable:
    """Look at the user's other rows, of which one may lack just what the row that left the check has brought."""
    facts, row = badge.facts, badge.event.changed_row
    if not (facts.is_cross_row and facts.depends_on_its_row and facts.can_look_again):
        return sql.SQL("")
    return template("check_others.sql").format(
        evidence=expressions.evidence(badge.event, facts),
        columns=expressions.columns_of(row, facts.new_columns),
        table=facts.table.identifier,
        row=sql.Identifier(row),
        user=sql.Identifier(row, facts.user.name),
        condition=expressions.condition_of(badge, is_scoped=False),
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
