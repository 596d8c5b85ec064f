"""Definitions and facts -> trigger functions. Pure: the same input gives the same SQL, to the letter."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import re
from collections.abc import Iterable, Sequence

from psycopg import sql

from badges.analysis import AnalysedDefinition, Facts
from badges.database import qualified, template, trusted
from badges.definitions import Definition, Event
from badges.site import Site, Table

GENERATOR = 1
"""Counts the changes of the generated SQL; it tells a plan's reader why a function is replaced that nobody edited."""

NAME_MAX_BYTES = 63
"""PostgreSQL cuts longer names (NAMEDATALEN - 1)."""

MARKER = "Made by django-pg-badges; "
"""Begins the comment of each generated function. Nothing without it is ever dropped."""


class Level(enum.StrEnum):
    STATEMENT = "statement"
    ROW = "row"


@dataclasses.dataclass(frozen=True, slots=True)
class TriggerFunction:
    """One trigger and the function behind it; both have the same name."""

    name: str
    table: Table
    event: Event
    level: Level
    codes: tuple[str, ...]
    schema: str
    owner: str
    search_path: str
    body: str

    @property
    def identifier(self) -> sql.Composed:
        return qualified(self.schema, self.name)

    @property
    def new_table(self) -> str | None:
        """The name of its transition table of new rows."""
        return "badges_new" if self.level is Level.STATEMENT and self.event.has_new else None

    @property
    def old_table(self) -> str | None:
        return "badges_old" if self.level is Level.STATEMENT and self.event is Event.DELETE else None

    @property
    def digest(self) -> str:
        return digest(self.body)

    @property
    def comment(self) -> str:
        facts = {"generator": GENERATOR, "badges": self.codes, "body": self.digest}
        return f"{MARKER}{json.dumps(facts, ensure_ascii=False)}"

    def create_function(self) -> sql.Composed:
        return template("function.sql").format(
            function=self.identifier,
            search_path=trusted(self.search_path),
            body=trusted(dollar_quoted(self.body)),
        )

    def create_trigger(self) -> sql.Composed:
        transition = sql.SQL("")
        if self.new_table:
            transition = sql.SQL("REFERENCING NEW TABLE AS {}\n").format(sql.Identifier(self.new_table))
        elif self.old_table:
            transition = sql.SQL("REFERENCING OLD TABLE AS {}\n").format(sql.Identifier(self.old_table))
        return sql.SQL(
            "CREATE OR REPLACE TRIGGER {} AFTER {} ON {}\n{}FOR EACH {} EXECUTE FUNCTION {}()"
        ).format(
            sql.Identifier(self.name),
            trusted(self.event.upper()),
            self.table.identifier,
            transition,
            trusted(self.level.upper()),
            self.identifier,
        )


def compile_definitions(site: Site, analysed: Iterable[AnalysedDefinition]) -> tuple[TriggerFunction, ...]:
    """One trigger function for each table, event and level that any definition asks for, ordered by name."""
    badges: dict[tuple[str, Event, Level], list[_Badge]] = {}
    for of_definition in analysed:
        for event, facts in of_definition.facts.items():
            for level in _levels(event, facts):
                key = facts.table.qualified_name, event, level
                badges.setdefault(key, []).append(_Badge(of_definition.definition, facts))
    functions = (
        _compile(site, event, level, sorted(of_function, key=lambda badge: badge.definition.code))
        for (_, event, level), of_function in badges.items()
    )
    return tuple(sorted(functions, key=lambda function: (function.table.qualified_name, function.name)))


def name_for(table: Table, event: Event, level: Level) -> str:
    """A readable name within 63 bytes; its hash keeps the names of two long tables apart."""
    key = f"{table.qualified_name}:{event}:{level}"
    suffix = f"_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    row = "_row" if level is Level.ROW else ""
    readable = f"badges_{event}{row}_{table.name}".encode()[: NAME_MAX_BYTES - len(suffix)]
    return readable.decode(errors="ignore") + suffix


def digest(body: str) -> str:
    """Tells a body that the command wrote from one that was edited since."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def dollar_quoted(text: str) -> str:
    """`text` between dollar quotes that it does not hold."""
    tag = "$badges$"
    while tag[:-1] in text:
        tag = f"{tag[:-1]}_$"
    return f"{tag}{text}{tag}"


@dataclasses.dataclass(frozen=True, slots=True)
class _Badge:
    definition: Definition
    facts: Facts


def _levels(event: Event, facts: Facts) -> tuple[Level, ...]:
    """Where the trigger must stand so that it sees every row, and the old row beside the new one if both are read."""
    pairs_rows = event is Event.UPDATE and bool(facts.old_columns)
    if event is Event.UPDATE and facts.table.is_partitioned and not pairs_rows:
        # An update that moves a row to another partition fires no row-level UPDATE trigger, only the parent's
        # statement-level one; an update that names a partition fires only the row-level one.
        return (Level.ROW, Level.STATEMENT)
    return (Level.ROW,) if pairs_rows or facts.table.needs_row_level else (Level.STATEMENT,)


def _compile(site: Site, event: Event, level: Level, badges: Sequence[_Badge]) -> TriggerFunction:
    table = badges[0].facts.table
    groups: dict[tuple[object, ...], list[_Badge]] = {}
    for badge in badges:
        facts = badge.facts
        # What is looked at once for each combination of values must not read values that the others do not need.
        read = (facts.new_columns, facts.old_columns) if facts.is_cross_row else ()
        groups.setdefault((facts.is_cross_row, facts.user.name, *read), []).append(badge)
    awards = [_award(site, event, level, group) for group in groups.values()]
    is_empty = sql.SQL("")
    if level is Level.STATEMENT:
        is_empty = template("leave_if_empty.sql").format(rows=sql.Identifier(f"badges_{event.changed_row}"))
    body = template("body.sql").format(
        codes=_comment(", ".join(badge.definition.code for badge in badges)),
        event=trusted(event),
        table=_comment(table.qualified_name),
        is_own_table=_is_own_table(table, level),
        is_empty=is_empty,
        awards=sql.SQL("\n").join(awards),
    )
    return TriggerFunction(
        name=name_for(table, event, level),
        table=table,
        event=event,
        level=level,
        codes=tuple(badge.definition.code for badge in badges),
        schema=site.schema,
        owner=site.badges_owner,
        search_path=site.function_search_path,
        body=body.as_string(),
    )


def _award(site: Site, event: Event, level: Level, badges: Sequence[_Badge]) -> sql.Composed:
    facts = badges[0].facts
    user = sql.Identifier(event.changed_row, facts.user.name)
    transition_table = sql.Identifier(f"badges_{event.changed_row}")
    placeholders = {
        "badges": site.badges.identifier,
        "users": site.users.identifier,
        "user_key": sql.Identifier(site.user_key.name),
        "user": user,
        "evidence": _evidence(event, badges),
        "codes": sql.SQL(", ").join(sql.Literal(badge.definition.code) for badge in badges),
    }
    new = {column for badge in badges for column in badge.facts.new_columns}
    old = {column for badge in badges for column in badge.facts.old_columns}
    (new if event.has_new else old).add(facts.user.name)
    if level is Level.ROW:
        rows = _records(facts.table.in_order(new), facts.table.in_order(old))
    elif facts.is_cross_row:
        columns = facts.table.in_order(new if event.has_new else old)
        bounds = user + sql.SQL(" IS NOT NULL")
        rows = distinct_rows(facts.table, event.changed_row, columns, transition_table, bounds)
    else:
        rows = sql.SQL("{} AS {}").format(transition_table, sql.Identifier(event.changed_row))
    # Where more names than the changed row's are in sight, a bare column must still mean the changed row's.
    is_scoped = facts.is_cross_row or bool(new and old)
    conditions = sql.SQL(",\n").join(_condition(event, badge, is_scoped) for badge in badges)
    name = "award_cross_row.sql" if facts.is_cross_row else "award_row_local.sql"
    return template(name).format(rows=rows, conditions=conditions, **placeholders)


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
    """The rows of `source` under the name `row`, each combination of values once if DISTINCT merges only identical ones."""
    identical = {column.name for column in table.columns if column.equal_means_identical}
    distinct = "DISTINCT " if identical.issuperset(columns) else ""
    return sql.SQL("(\n        SELECT {}{} FROM {} AS {} WHERE {}\n    ) AS {}").format(
        trusted(distinct), _columns(row, columns), source, sql.Identifier(row), bounds, sql.Identifier(row)
    )


def _condition(event: Event, badge: _Badge, is_scoped: bool) -> sql.Composed:
    """One badge as a row of VALUES, with the condition as its author wrote it."""
    definition, facts = badge.definition, badge.facts
    row = event.changed_row
    condition = sql.SQL("(SELECT {}\n                )").format(trusted(definition.condition))
    read = facts.new_columns if event.has_new else facts.old_columns
    if is_scoped and read:
        condition = sql.SQL("(SELECT {} FROM (SELECT {}) AS {})").format(
            condition, _columns(row, read), sql.Identifier(row)
        )
    if facts.is_cross_row:
        condition = sql.SQL("CASE WHEN {} <> ALL (held.codes) THEN {} END").format(
            sql.Literal(definition.code), condition
        )
    return sql.SQL("                -- {}\n                ({}, {})").format(
        _comment(definition.name), sql.Literal(definition.code), condition
    )


def _evidence(event: Event, badges: Sequence[_Badge]) -> sql.Composed:
    by_badge = {badge.definition.code: evidence(event, badge.facts) for badge in badges}
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


def _comment(text: str) -> sql.SQL:
    """`text` as it may stand after -- in SQL: on one line."""
    return trusted(re.sub(r"\s+", " ", text))
