"""Generates queries: users who satisfy a badge's condition by the rows that exist, holders who no longer do. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from psycopg import sql

from badges.database import Template, template, trusted
from badges.definitions.types import Definition
from badges.facts.types import AnalysedDefinition, Facts, Target
from badges.functions import expressions
from badges.functions.types import STATE, Check


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
    is_installed: bool = True,
) -> sql.Composed:
    """The query for users who satisfy the condition by the rows that exist: user_id, code, thing, evidence, expires_at.

    :param facts: those of `facts_of_existing_rows`.
    :param bounds: further conditions on a row, whose name is `new`.
    :param lacking: only users who do not hold the badge.
    :param is_installed: the generated functions may be called.
    """
    definition, check = analysed.definition, Check.of_user(analysed)
    user = sql.Identifier("new", facts.user.name)
    thing: sql.Composable = expressions.NO_THING
    if facts.per:
        thing = expressions.subject(sql.Identifier("new", facts.per.name), facts.per)
    expires_at: sql.Composable = sql.SQL("NULL::timestamptz")
    if definition.expires_after:
        expires_at = expressions.ends_at(definition)
    return template("functions/qualifying.sql").format(
        each_award=sql.SQL("{}, {}").format(user, thing) if facts.per else user,
        user=user,
        thing=thing,
        code=sql.Literal(definition.code),
        evidence=expressions.evidence("award_badges", facts, target if is_installed else None),
        expires_at=expires_at,
        rows=_rows(analysed, facts, user, bounds),
        filters=expressions.all_of(
            lacks(target, definition, user, thing) if lacking else None,
            thing + sql.SQL(" IS NOT NULL") if facts.per else None,
            # OFFSET 0 for few rows, as a join would read all users.
            sql.SQL("EXISTS (SELECT FROM {} AS u\n        WHERE u.{} {} {}{})").format(
                target.users.identifier,
                sql.Identifier(target.user_key.name),
                expressions.equals(target.user_key),
                user,
                sql.SQL(" OFFSET 0" if bounds else ""),
            ),
        ),
        condition=expressions.question(expressions.condition(check) if check else trusted(definition.condition)),
    )


def lacks(target: Target, definition: Definition, user: sql.Composable, thing: sql.Composable) -> sql.Composed:
    """Whether a user does not hold a badge.

    Its OFFSET 0 prevents a join: until the statistics include a new badge, PostgreSQL expects few holders, and would
    read all of them for each user.
    """
    return template("functions/lacks.sql").format(
        badges=target.badges.identifier,
        equals=expressions.equals(target.user_key),
        user=user,
        code=sql.Literal(definition.code),
        thing=thing,
    )


def _rows(
    analysed: AnalysedDefinition, facts: Facts, user: sql.Composable, bounds: Sequence[sql.Composable]
) -> sql.Composed:
    """The rows that are evaluated: those of the trigger table, or the users of all tables where the user decides."""
    where = expressions.all_of(user + sql.SQL(" IS NOT NULL"), *bounds)
    columns = facts.table.in_order({facts.user.name, *facts.new_columns, *([facts.per.name] if facts.per else [])})
    tables = {(facts.table.oid, facts.user.name): (facts.table, facts.user.name)}
    if facts.decided_by == "user":
        tables |= {
            (each.table.oid, each.user.name): (each.table, each.user.name) for each in analysed.watches if not each.link
        }
    if len(tables) == 1:
        return expressions.distinct_rows(facts.table, "new", columns, expressions.rows_of(facts.table), where)
    name, type_ = sql.Identifier(facts.user.name), expressions.type_of(facts.user)
    users = sql.SQL("\nUNION\n").join(
        sql.SQL("SELECT t.{}::{} AS {} FROM {} AS t").format(
            sql.Identifier(column), type_, name, expressions.rows_of(table)
        )
        for table, column in tables.values()
    )
    return Template("(SELECT {user}\n FROM ({users}) AS new\n WHERE {where}) AS new").format(
        user=user, users=users, where=where
    )


def check_evidence(target: Target) -> str:
    """What a pending check that a command leaves for the user as a whole says of itself, as JSON."""
    return json.dumps({"operation": "award_badges", "asks": STATE, **expressions.of_tenant(target)})


def losing(target: Target, analysed: AnalysedDefinition, bounds: Sequence[sql.Composable] = ()) -> sql.Composed | None:
    """The query for holders of a badge, other than by a manual award, for whom its condition is false: user_id, thing.

    None for a badge that is not revocable.

    :param bounds: further conditions on a badge, whose name is `b`.
    """
    badge = Check.of_user(analysed)
    if badge is None or not badge.is_revocable:
        return None
    return template("functions/losing.sql").format(
        badges=target.badges.identifier,
        code=sql.Literal(badge.code),
        of_tenant=sql.SQL("AND (b.evidence OPERATOR(pg_catalog.->>) 'tenant') OPERATOR(pg_catalog.=) {}").format(
            sql.Literal(target.tenant)
        )
        if target.tenant
        else sql.SQL(""),
        bounds=sql.SQL("AND {}").format(expressions.all_of(*bounds)) if bounds else sql.SQL(""),
        state=expressions.state(badge, sql.Identifier("b", "user_id"), sql.Identifier("b", "thing")),
    )
