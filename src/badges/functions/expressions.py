"""The expressions that the compiler's templates take. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from psycopg import sql

from badges.database import trusted
from badges.definitions.types import TriggerEvent
from badges.facts.types import INTEGERS, Column, Facts, Table, Target
from badges.functions.types import Check, Level

FUNCTION_MAX_ARGUMENTS = 100
"""FUNC_MAX_ARGS of PostgreSQL."""

_ANY_ROW = sql.SQL("(SELECT true FROM {} WHERE {} LIMIT 1)")

NO_THING = sql.SQL("''::text")
"""What a badge is for that is not for one thing among others."""


def is_own_table(table: Table, level: Level, function: str = "") -> sql.Composed:
    """Whether a trigger function runs for its own table.

    With its name, its variables go by that, where columns may have theirs.
    """
    label = [function] if function else []
    relation, schema, name = (sql.Identifier(*label, f"tg_{each}") for each in ("relid", "table_schema", "table_name"))
    if level is Level.ROW and table.is_partitioned:
        # On a partition the trigger is a copy, and TG_RELID is the partition.
        return sql.SQL(
            "EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors({}) AS a (relid) "
            "WHERE a.relid = pg_catalog.to_regclass({}))"
        ).format(relation, sql.Literal(table.identifier.as_string()))
    return sql.SQL("({} = {} AND {} = {})").format(schema, sql.Literal(table.schema), name, sql.Literal(table.name))


def held(target: Target, user: sql.Composable, thing: sql.Composable, badges: Sequence[Check]) -> sql.Composed:
    """The codes of those of the badges that a user holds."""
    can_expire = any(badge.definition.expires_after for badge in badges)
    rows = sql.SQL('{} AS b WHERE b.user_id = {} AND b.code COLLATE "C" IN ({}) AND b.thing = {}{}').format(
        target.badges.identifier,
        user,
        codes(badges),
        thing,
        sql.SQL(" AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())" if can_expire else ""),
    )
    if len(badges) == 1:
        # An array that need not be built.
        return sql.SQL("coalesce((SELECT {} FROM {}), '{{}}')").format(array_of_codes(badges), rows)
    return sql.SQL("ARRAY(SELECT b.code::text FROM {})").format(rows)


def codes(badges: Sequence[Check]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Literal(badge.code) for badge in badges)


def array_of_codes(badges: Sequence[Check]) -> sql.Composed:
    return sql.SQL("{}::text[]").format(sql.Literal([badge.code for badge in badges]))


def known_user(target: Target, user: sql.Composable) -> sql.Composed:
    """The key of the user, or NULL if there is none such; a subquery, which no plan turns into a join."""
    return sql.SQL("(SELECT u.{key} FROM {users} AS u WHERE u.{key} = {user})").format(
        key=sql.Identifier(target.user_key.name), users=target.users.identifier, user=user
    )


def reads(badge: Check) -> sql.Composed:
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


def source(event: TriggerEvent) -> sql.Composable:
    """The transition table under the name that the conditions know it by."""
    row = event.changed_row
    return sql.SQL("{} AS {}").format(sql.Identifier(f"badges_{row}"), sql.Identifier(row))


def condition_of(badge: Check, is_scoped: bool) -> sql.Composed:
    """The condition as its author wrote it, seeing `new` and `old` as it did when it was analysed."""
    return _seen(badge, trusted(badge.definition.condition), is_scoped, badge.facts.is_expression)


def progress_of(badge: Check, is_scoped: bool) -> sql.Composed:
    """The same for the progress."""
    return _seen(badge, trusted(badge.definition.progress), is_scoped)


def answers_of(badges: Sequence[Check], held: sql.Composable, is_scoped: bool) -> sql.Composed:
    """The conditions of badges with the same FROM clause as one query, whose row is an array of the answers.

    What is held is not asked, as by itself: it may be what fails. A badge that may be taken back is asked always.
    """
    return _seen(badges[0], _answers(badges, held), is_scoped)


def _answers(badges: Sequence[Check], held: sql.Composable) -> sql.SQL:
    conditions = ((badge, trusted(badge.facts.select_list)) for badge in badges)
    answers = ",\n".join(
        named(badge, condition if badge.is_revocable else if_lacked(badge, condition, held)).as_string()
        for badge, condition in conditions
    )
    return trusted(f"ARRAY[\n{answers}\n                    ] {badges[0].facts.from_clause}")


def _seen(badge: Check, text: sql.SQL, is_scoped: bool, is_expression: bool = False) -> sql.Composed:
    row, facts = badge.row, badge.facts
    question = sql.SQL("({}\n                    )" if is_expression else "(SELECT {}\n                    )").format(
        text
    )
    read = facts.new_columns if badge.decided_after.has_new else facts.old_columns
    if is_scoped and read:
        question = sql.SQL("(SELECT {} FROM (SELECT {}) AS {})").format(
            question, columns_of(row, read), sql.Identifier(row)
        )
    return question


def state(badge: Check, user: sql.Composable, thing: sql.Composable) -> sql.Composed:
    """Whether the condition holds for a user as a whole, by the rows that exist."""
    return _of_user(badge, user, thing, trusted(badge.definition.condition), _ANY_ROW)


def state_of_progress(badge: Check, user: sql.Composable, thing: sql.Composable) -> sql.Composed:
    """How far a user has come: where rows decide, in the best of them."""
    best = sql.SQL("(SELECT max(found.value) FROM {} CROSS JOIN LATERAL (SELECT {} AS value) AS found)")
    return _of_user(badge, user, thing, trusted(badge.definition.progress), best)


def state_of_answers(
    badges: Sequence[Check], held: sql.Composable, user: sql.Composable, thing: sql.Composable
) -> sql.Composed:
    """The same for a user as a whole."""
    return _of_user(badges[0], user, thing, _answers(badges, held), _ANY_ROW)


def _of_user(
    badge: Check, user: sql.Composable, thing: sql.Composable, text: sql.SQL, among_rows: sql.SQL
) -> sql.Composed:
    facts, row = badge.facts, sql.Identifier(badge.row)
    question = sql.SQL("(SELECT {}\n                    )").format(text)
    if facts.decided_by == "user":
        return sql.SQL("(SELECT {} FROM (SELECT {}::{} AS {}) AS {})").format(
            question, user, type_of(facts.user), sql.Identifier(facts.user.name), row
        )
    read = facts.new_columns if badge.decided_after.has_new else facts.old_columns
    of_thing: sql.Composable = sql.SQL("")
    if facts.per:
        of_thing = sql.SQL(" AND badges_row.{}::text = {}").format(sql.Identifier(facts.per.name), thing)
        if facts.per.type in INTEGERS:
            # Said once more so that an index on the column answers it; by hand, a badge is given for any text.
            of_thing += sql.SQL(" AND badges_row.{} = CASE WHEN {} ~ '^-?[0-9]{{1,19}}$' THEN {}::bigint END").format(
                sql.Identifier(facts.per.name), thing, thing
            )
    # Under a name of its own, as `user` may be a column of a row that goes by the same name.
    rows = sql.SQL("(SELECT {} FROM {} AS badges_row WHERE badges_row.{} = {}{}) AS {}").format(
        columns_of("badges_row", read),
        facts.table.identifier,
        sql.Identifier(facts.user.name),
        user,
        of_thing,
        row,
    )
    return among_rows.format(rows, question)


def if_lacked(badge: Check, earned: sql.Composable, held: sql.Composable) -> sql.Composed:
    """Whether a badge is earned; NULL if there is nothing to do about it.

    So what is false is lacked, or is to be taken back.
    """
    code = sql.Literal(badge.code)
    if badge.is_revocable:
        return sql.SQL("CASE WHEN {} THEN nullif({} <> ALL ({}), false) ELSE false END").format(earned, code, held)
    return sql.SQL("CASE WHEN {} <> ALL ({}) THEN coalesce({}, false) END").format(code, held, earned)


def named(badge: Check, expression: sql.Composable) -> sql.Composed:
    """An expression below the name of the badge that it is about."""
    return sql.SQL("                    -- {}\n                    {}").format(
        comment(badge.definition.name), expression
    )


def evidence_of_all(badges: Sequence[Check]) -> sql.Composed:
    by_badge = {badge.code: evidence(badge.event, badge.facts) for badge in badges}
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


def occasion(badge: Check) -> sql.Composed:
    """The evidence of a badge that is looked at for the user as a whole: which write was the occasion."""
    facts: Mapping[str, str] = {
        "table": badge.table.qualified_name,
        "operation": badge.event.value,
        "asks": badge.asks,
    }
    return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(facts, ensure_ascii=False)))


def expires_at(badges: Sequence[Check]) -> sql.Composable:
    """When an award of now ends."""
    whens = [
        sql.SQL("WHEN {} THEN statement_timestamp() + {}::interval").format(
            sql.Literal(badge.code), sql.Literal(badge.definition.expires_after)
        )
        for badge in badges
        if badge.definition.expires_after
    ]
    if not whens:
        return sql.SQL("NULL::timestamptz")
    return sql.SQL("CASE badge.code {} END").format(sql.SQL(" ").join(whens))


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


def type_of(column: Column) -> sql.SQL:
    """The type of a column, of any length: `character` and `bit` alone would be those of length 1."""
    return trusted({"character": "pg_catalog.bpchar", "bit": 'pg_catalog."bit"'}.get(column.type, column.type))


def comment(text: str) -> sql.SQL:
    """`text` as it may stand after -- in SQL: on one line."""
    return trusted(re.sub(r"\s+", " ", text))
