"""Who qualifies for a badge by the rows that exist now, and who would lose it, as queries. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from badges.database import template, trusted
from badges.definitions.types import Definition
from badges.facts.types import AnalysedDefinition, Facts, Target
from badges.functions import expressions
from badges.functions.types import Check


def facts_of_existing_rows(analysed: AnalysedDefinition) -> Facts | None:
    """The facts by which the condition is evaluated for a row that exists; None if it needs the row of a delete."""
    check = Check.of_user(analysed)
    return check.facts if check and check.decided_after.has_new else None


def query(
    target: Target,
    analysed: AnalysedDefinition,
    facts: Facts,
    bounds: Sequence[sql.Composable] = (),
    *,
    lacking: bool = True,
) -> sql.Composed:
    """The query for those who qualify by the rows that exist now: user_id, code, thing, evidence, expires_at.

    :param facts: those of `facts_of_existing_rows`.
    :param bounds: what else must hold of a row, which is called `new`.
    :param lacking: only those who do not hold the badge.
    """
    definition = analysed.definition
    user = sql.Identifier("new", facts.user.name)
    thing: sql.Composable = expressions.NO_THING
    if facts.per:
        thing = sql.SQL("{}::text").format(sql.Identifier("new", facts.per.name))
    expires_at: sql.Composable = sql.SQL("NULL::timestamptz")
    if definition.expires_after:
        expires_at = sql.SQL("statement_timestamp() + {}::interval").format(sql.Literal(definition.expires_after))
    return template("functions/qualifying.sql").format(
        user=user,
        thing=thing,
        code=sql.Literal(definition.code),
        evidence=expressions.evidence("award_badges", facts),
        expires_at=expires_at,
        rows=_rows(analysed, facts, user, bounds),
        lacks=lacks(target, definition, user, thing) if lacking else sql.SQL("true"),
        users=target.users.identifier,
        user_key=sql.Identifier(target.user_key.name),
        # Of few rows, or else all users would be read for them.
        one_by_one=sql.SQL(" OFFSET 0" if bounds else ""),
        condition=trusted(definition.condition),
    )


def lacks(target: Target, definition: Definition, user: sql.Composable, thing: sql.Composable) -> sql.Composed:
    """Whether a user does not hold a badge.

    Its OFFSET 0 forbids a join: until its statistics know a new badge, PostgreSQL expects few holders, and would go
    through all of them for each user.
    """
    return template("functions/lacks.sql").format(
        badges=target.badges.identifier, user=user, code=sql.Literal(definition.code), thing=thing
    )


def _rows(
    analysed: AnalysedDefinition, facts: Facts, user: sql.Composable, bounds: Sequence[sql.Composable]
) -> sql.Composed:
    """The rows that are looked at: those of the trigger table, or the users of all tables where the user decides."""
    where = sql.SQL(" AND ").join([user + sql.SQL(" IS NOT NULL"), *bounds])
    columns = facts.table.in_order({facts.user.name, *facts.new_columns, *([facts.per.name] if facts.per else [])})
    tables = {(facts.table.oid, facts.user.name): (facts.table, facts.user.name)}
    if facts.decided_by == "user":
        tables |= {(each.table.oid, each.user.name): (each.table, each.user.name) for each in analysed.watches}
    if len(tables) == 1:
        return expressions.distinct_rows(facts.table, "new", columns, facts.table.identifier, where)
    name, type_ = sql.Identifier(facts.user.name), expressions.type_of(facts.user)
    users = sql.SQL(" UNION ").join(
        sql.SQL("SELECT t.{}::{} AS {} FROM {} AS t").format(sql.Identifier(column), type_, name, table.identifier)
        for table, column in tables.values()
    )
    return sql.SQL("(\n        SELECT {} FROM ({}) AS new WHERE {}\n    ) AS new").format(user, users, where)


def losing(target: Target, analysed: AnalysedDefinition) -> sql.Composed | None:
    """The query for those who hold a badge, not by hand, and of whom its condition is not true now: user_id, thing.

    None for a badge that is not taken back.
    """
    badge = Check.of_user(analysed)
    if badge is None or not badge.is_revocable:
        return None
    return template("functions/losing.sql").format(
        badges=target.badges.identifier,
        code=sql.Literal(badge.code),
        state=expressions.state(badge, sql.Identifier("b", "user_id"), sql.Identifier("b", "thing")),
    )
