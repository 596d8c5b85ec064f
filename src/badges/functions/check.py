"""Generates badges_check(): evaluates one badge by itself, for pending checks and after a failure. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from badges.database import template, trusted
from badges.facts.types import AnalysedDefinition, Target
from badges.functions import expressions, runtime
from badges.functions.types import Check, Routine, checks, dollar_quoted


def routine(target: Target, analysed: Sequence[AnalysedDefinition]) -> Routine:
    """The function that looks at one badge by itself: for pending checks, and after a failure."""
    arms: list[sql.Composed] = []
    for of_definition in sorted(analysed, key=lambda each: each.definition.code):
        badges = list(checks(of_definition))
        arms += [_check_arm(badge) for badge in badges if not badge.is_state]
        if of_user := Check.of_user(of_definition):
            arms.append(_check_state(of_user))
    body = template("functions/check_body.sql").format(arms=sql.SQL("").join(arms))
    return runtime.routine(
        target,
        "badges_check",
        "functions/check.sql",
        key=trusted(target.user_key.type),
        search_path=trusted(target.function_search_path),
        body=trusted(dollar_quoted(body.as_string())),
    )


def _check_state(badge: Check) -> sql.Composed:
    return template("functions/check_state.sql").format(
        name=expressions.comment(badge.definition.name),
        code=sql.Literal(badge.code),
        is_thing=_is_thing(badge),
        condition=expressions.state(badge, trusted("badges_check.checked_user"), trusted("badges_check.checked_thing")),
    )


def _check_arm(badge: Check) -> sql.Composed:
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
    return template("functions/check_arm.sql").format(
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


def _is_thing(badge: Check) -> sql.SQL:
    """What was left for a thing says nothing about a badge that is not for things any more."""
    return trusted("true" if badge.facts.per else "badges_check.checked_thing = ''")


def _other_rows(badge: Check) -> sql.Composable:
    """Look at the user's other rows, of which one may lack just what the row that left the check has brought."""
    facts, row = badge.facts, badge.event.changed_row
    if not (facts.is_cross_row and facts.depends_on_its_row and facts.is_reevaluable):
        return sql.SQL("")
    of_thing: sql.Composable = sql.SQL("")
    if facts.per:
        of_thing = sql.SQL(" AND {}::text = badges_check.checked_thing").format(sql.Identifier(row, facts.per.name))
    return template("functions/check_others.sql").format(
        evidence=expressions.evidence(badge.event, facts),
        columns=expressions.columns_of(row, facts.new_columns),
        table=facts.table.identifier,
        row=sql.Identifier(row),
        user=sql.Identifier(row, facts.user.name),
        of_thing=of_thing,
        condition=expressions.condition_of(badge, is_scoped=False),
    )
