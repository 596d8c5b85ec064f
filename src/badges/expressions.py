"""The expressions that the templates of the compiler take. Pure."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence

from psycopg import sql

from badges.analysis import Facts
from badges.database import trusted
from badges.definitions import Definition, Event
from badges.site import Site, Table

FUNCTION_MAX_ARGUMENTS = 100
"""FUNC_MAX_ARGS of PostgreSQL."""


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedBadge:
    definition: Definition
    event: Event
    facts: Facts


def held(site: Site, user: sql.Composable, badges: Sequence[CheckedBadge]) -> sql.Composed:
    """The codes of those of the badges that a user holds."""
    return sql.SQL('ARRAY(SELECT b.code FROM {} AS b WHERE b.user_id = {} AND b.code COLLATE "C" IN ({}))').format(
        site.badges.identifier, user, codes(badges)
    )


def codes(badges: Sequence[CheckedBadge]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Literal(badge.definition.code) for badge in badges)


def known_user(site: Site, user: sql.Composable) -> sql.Composed:
    """The key of the user, or NULL if there is none such; a subquery, which no plan turns into a join."""
    return sql.SQL("(SELECT u.{key} FROM {users} AS u WHERE u.{key} = {user})").format(
        key=sql.Identifier(site.user_key.name), users=site.users.identifier, user=user
    )


def reads(badge: CheckedBadge) -> sql.Composed:
    """Which columns a condition reads, as JSON: of a row that is kept, the others are left out."""
    reads = {"new": badge.facts.new_columns, "old": badge.facts.old_columns}
    return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(reads, ensure_ascii=False)))


def records(new: Sequence[str], old: Sequence[str]) -> sql.Composed:
    """The records of a row-level trigger as tables of one row, under the names that the conditions know them by."""
    return sql.SQL("\n    CROSS JOIN ").join(
        sql.SQL("(SELECT {}) AS {}").format(columns_of(record, columns), sql.Identifier(record.lower()))
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
        trusted(distinct), columns_of(row, columns), source, sql.Identifier(row), bounds, sql.Identifier(row)
    )


def source(event: Event) -> sql.Composable:
    """The transition table under the name that the conditions know it by."""
    row = event.changed_row
    return sql.SQL("{} AS {}").format(sql.Identifier(f"badges_{row}"), sql.Identifier(row))


def if_lacked(badge: CheckedBadge, is_scoped: bool, held: sql.Composable) -> sql.Composed:
    """Whether a badge is earned; NULL if it is among those held, so that what is false is lacked."""
    return sql.SQL("CASE WHEN {} <> ALL ({}) THEN coalesce({}, false) END").format(
        sql.Literal(badge.definition.code), held, condition_of(badge, is_scoped)
    )


def leaves_check(badge: CheckedBadge) -> bool:
    """Whether what is false leaves a pending check even under the lock.

    A row that is gone when somebody else has committed what it lacks must do so; the others are found in their table.
    """
    return badge.facts.depends_on_its_row and not badge.facts.can_look_again


def as_values(badges: Sequence[CheckedBadge], expressions: Sequence[sql.Composable]) -> sql.Composed:
    """The badges as rows of VALUES: the code of each, and these expressions."""
    return sql.SQL(",\n").join(
        named(badge, sql.SQL("({}, {})").format(sql.Literal(badge.definition.code), expression))
        for badge, expression in zip(badges, expressions, strict=True)
    )


def named(badge: CheckedBadge, expression: sql.Composable) -> sql.Composed:
    """An expression below the name of the badge that it is about."""
    return sql.SQL("                    -- {}\n                    {}").format(
        comment(badge.definition.name), expression
    )


def condition_of(badge: CheckedBadge, is_scoped: bool) -> sql.Composed:
    """The condition as its author wrote it, seeing `new` and `old` as it did when it was analysed."""
    row = badge.event.changed_row
    condition = sql.SQL("(SELECT {}\n                    )").format(trusted(badge.definition.condition))
    read = badge.facts.new_columns if badge.event.has_new else badge.facts.old_columns
    if is_scoped and read:
        condition = sql.SQL("(SELECT {} FROM (SELECT {}) AS {})").format(
            condition, columns_of(row, read), sql.Identifier(row)
        )
    return condition


def evidence_of_all(badges: Sequence[CheckedBadge]) -> sql.Composed:
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
            parts.append(sql.SQL("{}, {}").format(sql.Literal(row), _as_json(row, columns)))
    return sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(parts))


def _as_json(row: str, columns: Sequence[str]) -> sql.Composed:
    if len(columns) <= FUNCTION_MAX_ARGUMENTS // 2:
        source = sql.Identifier(row)
        pairs = (sql.SQL("{}, {}.{}").format(sql.Literal(name), source, sql.Identifier(name)) for name in columns)
        return sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(pairs))
    return sql.SQL("(SELECT to_jsonb(seen) FROM (SELECT {}) AS seen)").format(columns_of(row, columns))


def columns_of(row: str, names: Iterable[str]) -> sql.Composed:
    """The columns of NEW or OLD, the records of a row-level trigger, or of the source named `new` or `old`."""
    source = trusted(row) if row.isupper() else sql.Identifier(row)
    return sql.SQL(", ").join(sql.SQL("{}.{}").format(source, sql.Identifier(name)) for name in names)


def comment(text: str) -> sql.SQL:
    """`text` as it may stand after -- in SQL: on one line."""
    return trusted(re.sub(r"\s+", " ", text))
