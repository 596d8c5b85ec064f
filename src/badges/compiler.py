"""Definitions and facts -> trigger functions. Pure: the same input gives the same SQL, to the letter."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

from psycopg import sql

from badges import awards, catch_up, checked, expressions, routines
from badges.checked import CheckedBadge
from badges.database import qualified, template, trusted
from badges.definitions import Event
from badges.facts import AnalysedDefinition
from badges.routines import Level, Routine, dollar_quoted
from badges.site import Site, Table

NAME_MAX_BYTES = 63
"""PostgreSQL cuts longer names (NAMEDATALEN - 1)."""


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
    sees_both_rows: bool = False
    """Of an update, it sees the rows as they were, too."""

    @property
    def name(self) -> str:
        return self.routine.name

    @property
    def new_table(self) -> str | None:
        """The name of its transition table of new rows."""
        return "badges_new" if self.level is Level.STATEMENT and self.event in ("insert", "update") else None

    @property
    def old_table(self) -> str | None:
        has_old = self.event == "delete" or (self.event == "update" and self.sees_both_rows)
        return "badges_old" if self.level is Level.STATEMENT and has_old else None

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
    """One trigger for each table, event and level that any definition asks for, and the functions.

    Those are what the triggers call, `badges_check`, `badges_progress` and, if a badge comes late, `badges_catch_up`.
    """
    badges: dict[tuple[str, Event, Level], list[CheckedBadge]] = {}
    for badge in (badge for each in analysed for badge in checked.checks(each)):
        for level in _levels(site, badge):
            badges.setdefault((badge.table.qualified_name, badge.event, level), []).append(badge)
    triggers = sorted(
        (
            _trigger(site, event, level, sorted(of_trigger, key=lambda badge: (badge.code, badge.user.name)))
            for (_, event, level), of_trigger in badges.items()
        ),
        key=lambda trigger: (trigger.table.qualified_name, trigger.name),
    )
    functions = (
        *routines.runtime(site),
        _check(site, analysed),
        _progress(site, analysed),
        *filter(None, [catch_up.routine(site, analysed)]),
        *(trigger.routine for trigger in triggers),
    )
    return Compiled(functions, tuple(triggers), _history(site, functions))


def _history(site: Site, functions: Sequence[Routine]) -> tuple[Trigger, ...]:
    """The triggers that write an event for whatever happens to a badge, whoever does it.

    Their functions do not depend on any badge. PostgreSQL fires triggers in the order of their names, and those that
    award come later: so the award that brought another one is written down before it.
    """
    catch_up = template("catch_up_events.sql").format(**routines.placeholders(site, "catch_up_events"))
    by_name = {function.name: function for function in functions}
    writers = (
        ("badges_add_awarded", "insert"),
        ("badges_add_moved", "update"),
        ("badges_add_revoked", "delete"),
        ("badges_add_truncated", "truncate"),
    )
    return (
        *(
            Trigger(
                by_name[name], site.badges, event, Level.STATEMENT, site.is_subscriber, (catch_up,), sees_both_rows=True
            )
            for name, event in writers
        ),
        Trigger(by_name["badges_keep_events"], site.events, "update", Level.ROW),
    )


def name_for(table: Table, event: Event, level: Level) -> str:
    """A readable name within 63 bytes; its hash keeps the names of two long tables apart."""
    key = f"{table.qualified_name}:{event}:{level}"
    suffix = f"_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    row = "_row" if level is Level.ROW else ""
    readable = f"badges_{event}{row}_{table.name}".encode()[: NAME_MAX_BYTES - len(suffix)]
    return readable.decode(errors="ignore") + suffix


def _levels(site: Site, badge: CheckedBadge) -> tuple[Level, ...]:
    """Where the trigger must stand so that it sees every row, and the old row beside the new one if both are read."""
    event, table = badge.event, badge.table
    pairs_rows = event is Event.UPDATE and not badge.is_state and bool(badge.facts.old_columns)
    if event is Event.UPDATE and table.is_partitioned and not pairs_rows:
        # An update that moves a row to another partition fires no row-level UPDATE trigger, only the parent's
        # statement-level one; an update that names a partition fires only the row-level one.
        return (Level.ROW, Level.STATEMENT)
    is_row_level = pairs_rows or table.needs_row_level or site.is_subscriber
    return (Level.ROW,) if is_row_level else (Level.STATEMENT,)


def _trigger(site: Site, event: Event, level: Level, badges: Sequence[CheckedBadge]) -> Trigger:
    table = badges[0].table
    groups: dict[tuple[object, ...], list[CheckedBadge]] = {}
    for badge in badges:
        groups.setdefault(badge.group, []).append(badge)
    name = name_for(table, event, level)
    alike: dict[tuple[object, ...], list[CheckedBadge]] = {}
    for badge in badges:
        per = badge.facts.per.name if badge.facts.per else ""
        alike.setdefault(badge.group if badge.is_state else (badge.user.name, per), []).append(badge)
    body = template("body.sql").format(
        codes=expressions.comment(", ".join(dict.fromkeys(badge.code for badge in badges))),
        event=trusted(event),
        table=expressions.comment(table.qualified_name),
        key=trusted(site.user_key.type),
        is_own_table=expressions.is_own_table(table, level),
        awards=sql.SQL("\n").join(
            awards.award(awards.Group(site, event, level, group), name) for group in groups.values()
        ),
        one_by_one=sql.SQL("").join(awards.one_by_one(site, event, level, group) for group in alike.values()),
    )
    create = template("function.sql").format(
        function=qualified(site.schema, name),
        search_path=trusted(site.function_search_path),
        timeout=sql.Literal(f"{site.wait}ms"),
        body=trusted(dollar_quoted(body.as_string())),
    )
    codes = tuple(dict.fromkeys(badge.code for badge in badges))
    owned = Routine(site.schema, name, site.badges_owner, create.as_string(), codes)
    return Trigger(
        owned, table, event, level, site.is_subscriber, sees_both_rows=any(badge.is_state for badge in badges)
    )


def _check(site: Site, analysed: Sequence[AnalysedDefinition]) -> Routine:
    """The function that looks at one badge by itself: for pending checks, and after a failure."""
    arms: list[sql.Composed] = []
    for of_definition in sorted(analysed, key=lambda each: each.definition.code):
        badges = list(checked.checks(of_definition))
        arms += [_check_arm(badge) for badge in badges if not badge.is_state]
        if by_rows := checked.deciding(of_definition):
            event, facts = by_rows
            of_user = CheckedBadge(
                of_definition.definition, event, facts.table, facts.user, facts, event, is_state=True
            )
            arms.append(_check_state(of_user))
    body = template("check_body.sql").format(arms=sql.SQL("").join(arms))
    return routines.routine(
        site,
        "badges_check",
        "check.sql",
        key=trusted(site.user_key.type),
        search_path=trusted(site.function_search_path),
        body=trusted(dollar_quoted(body.as_string())),
    )


def _check_state(badge: CheckedBadge) -> sql.Composed:
    return template("check_state.sql").format(
        name=expressions.comment(badge.definition.name),
        code=sql.Literal(badge.code),
        is_thing=_is_thing(badge),
        condition=expressions.state(badge, trusted("badges_check.checked_user"), trusted("badges_check.checked_thing")),
    )


def _check_arm(badge: CheckedBadge) -> sql.Composed:
    facts, event = badge.facts, badge.event
    sources = [
        sql.SQL("jsonb_to_record(badges_check.{}) AS {} ({})").format(
            trusted(f"{record}_row"),
            sql.Identifier(record),
            sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(column.name), expressions.type_of(column))
                for column in facts.table.columns
                if column.name in names
            ),
        )
        for record, names in (("new", facts.new_columns), ("old", facts.old_columns))
        if names
    ]
    return template("check_arm.sql").format(
        name=expressions.comment(badge.definition.name),
        code=sql.Literal(badge.code),
        is_thing=_is_thing(badge),
        event=sql.Literal(event.value),
        new=sql.Literal(list(facts.new_columns)) + sql.SQL("::text[]"),
        old=sql.Literal(list(facts.old_columns)) + sql.SQL("::text[]"),
        gone=sql.Literal(f"a column that the condition reads is gone from {facts.table.qualified_name}"),
        condition=expressions.condition_of(badge, is_scoped=bool(facts.new_columns and facts.old_columns)),
        evidence=expressions.evidence(event, facts),
        others=_other_rows(badge),
        rows=sql.SQL("\n        CROSS JOIN ").join(sources) if sources else sql.SQL("(SELECT) AS nothing"),
    )


def _is_thing(badge: CheckedBadge) -> sql.SQL:
    """What was left for a thing says nothing about a badge that is not for things any more."""
    return trusted("true" if badge.facts.per else "badges_check.checked_thing = ''")


def _other_rows(badge: CheckedBadge) -> sql.Composable:
    """Look at the user's other rows, of which one may lack just what the row that left the check has brought."""
    facts, row = badge.facts, badge.event.changed_row
    if not (facts.is_cross_row and facts.depends_on_its_row and facts.can_look_again):
        return sql.SQL("")
    of_thing: sql.Composable = sql.SQL("")
    if facts.per:
        of_thing = sql.SQL(" AND {}::text = badges_check.checked_thing").format(sql.Identifier(row, facts.per.name))
    return template("check_others.sql").format(
        evidence=expressions.evidence(badge.event, facts),
        columns=expressions.columns_of(row, facts.new_columns),
        table=facts.table.identifier,
        row=sql.Identifier(row),
        user=sql.Identifier(row, facts.user.name),
        of_thing=of_thing,
        condition=expressions.condition_of(badge, is_scoped=False),
    )


def _progress(site: Site, analysed: Sequence[AnalysedDefinition]) -> Routine:
    """The function that says how far users have come; each progress once, however many levels it has."""
    arms: dict[tuple[object, ...], list[CheckedBadge]] = {}
    for of_definition in sorted(analysed, key=lambda each: each.definition.code):
        by_rows = checked.deciding(of_definition)
        definition = of_definition.definition
        if definition.progress and by_rows:
            event, facts = by_rows
            badge = CheckedBadge(definition, event, facts.table, facts.user, facts, event, is_state=True)
            arms.setdefault(badge.progress, []).append(badge)
    body = template("progress_body.sql").format(
        arms=sql.SQL("").join(
            template("progress_arm.sql").format(
                name=expressions.comment(", ".join(badge.definition.name for badge in badges)),
                codes=expressions.array_of_codes(badges),
                value=expressions.state_of_progress(
                    # Of all things, the best.
                    dataclasses.replace(badges[0], facts=dataclasses.replace(badges[0].facts, per=None)),
                    sql.Identifier("asked", "user_id"),
                    expressions.NO_THING,
                ),
            )
            for badges in arms.values()
        ),
    )
    return routines.routine(
        site,
        "badges_progress",
        "progress.sql",
        key=trusted(site.user_key.type),
        search_path=trusted(site.function_search_path),
        body=trusted(dollar_quoted(body.as_string())),
    )
