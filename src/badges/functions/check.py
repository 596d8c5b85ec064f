"""Generates badges_check(): evaluates one badge by itself, for pending checks and after a failure. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from badges.database import Template, qualified, template, trusted
from badges.facts.types import SHORT, AnalysedDefinition, Target
from badges.functions import expressions, runtime
from badges.functions.session import Session
from badges.functions.types import Check, Routine, checks


def routine(target: Target, analysed: Sequence[AnalysedDefinition]) -> Routine:
    """The function that checks one badge by itself: for pending checks, and after a failure."""
    badges: list[Check] = []
    states: dict[str, Check] = {}
    for of_definition in sorted(analysed, key=lambda each: each.definition.code):
        badges += [badge for badge in checks(of_definition) if not badge.is_state]
        if of_user := Check.of_user(of_definition):
            badges.append(of_user)
            states[of_user.code] = of_user
    session = Session.of(target, badges)
    return runtime.generated_routine(
        target,
        "badges_check",
        "functions/check.sql",
        "functions/check_body.sql",
        settings=session.clauses,
        arms=sql.SQL("\n").join(
            _check_state(badge, session)
            if badge.is_state
            else _check_arm(target, badge, states.get(badge.code), session)
            for badge in badges
        ),
    )


def _check_state(badge: Check, session: Session) -> sql.Composed:
    return template("functions/check_state.sql").format(
        zone=session.zone_of(badge),
        name=expressions.comment(badge.definition.name),
        applies=_applies(badge),
        condition=expressions.state(badge, trusted("badges_check.checked_user"), trusted("badges_check.checked_thing")),
    )


def _check_arm(target: Target, badge: Check, of_user: Check | None, session: Session) -> sql.Composed:
    facts, event = badge.facts, badge.event
    sources = [
        Template("pg_catalog.jsonb_to_record(\n    {stored})\nAS {record} ({columns})").format(
            stored=_of_user_now(badge, names) if record == event.changed_row else _stored(record),
            record=sql.Identifier(record),
            columns=expressions.listed(
                sql.SQL("{} {}").format(sql.Identifier(column.name), expressions.type_of(column))
                for column in facts.table.columns
                if column.name in names
            ),
        )
        for record, names in (("new", facts.new_columns), ("old", facts.old_columns))
        if names
    ]
    evaluation = template("functions/check_evaluation.sql").format(
        condition=expressions.condition_of(badge, is_scoped=bool(facts.new_columns and facts.old_columns)),
        evidence=expressions.evidence(event, facts, target),
        rows=sql.SQL("\nCROSS JOIN ").join(sources) if sources else sql.SQL("(SELECT) AS nothing"),
    )
    return template("functions/check_arm.sql").format(
        zone=session.zone_of(badge),
        name=expressions.comment(badge.definition.name),
        applies=_applies(
            badge, sql.SQL("badges_check.asks OPERATOR(pg_catalog.=) {}").format(sql.Literal(event.value))
        ),
        stored=_all_stored(badge),
        too_long=_too_long(badge, of_user),
        evaluation=_of_same_types(target, badge, evaluation) if sources else evaluation,
        others=_other_rows(target, badge),
    )


def _of_same_types(target: Target, badge: Check, evaluation: sql.Composed) -> sql.Composed:
    """The evaluation, of which an error is another one where the stored values have other types by now."""
    facts = badge.facts
    columns = [each for each in facts.table.columns if each.name in facts.new_columns + facts.old_columns]
    return template("functions/check_types.sql").format(
        evaluation=evaluation,
        same_types=qualified(target.schema, "badges_same_types"),
        table=sql.Literal(facts.table.identifier.as_string()),
        names=sql.Literal([each.name for each in columns]),
        types=sql.Literal([expressions.type_of(each).as_string() for each in columns]),
    )


def _stored(record: str) -> sql.SQL:
    return trusted(f"badges_check.{record}_row")


def _of_user_now(badge: Check, names: Sequence[str]) -> sql.Composable:
    """The changed row as it was stored, with the key that the user has now: it may have changed since."""
    row = _stored(badge.event.changed_row)
    if badge.facts.user.name not in names:
        return row
    return Template("{row}\nOPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object({column}, {user})").format(
        row=row, column=sql.Literal(badge.facts.user.name), user=trusted("badges_check.checked_user")
    )


def _all_stored(badge: Check) -> sql.Composable:
    """The error for a check that was stored before the condition read all the columns that it reads now."""
    are_there = [
        sql.SQL("{} OPERATOR(pg_catalog.?&) {}::text[]").format(_stored(record), sql.Literal(list(names)))
        for record, names in (("new", badge.facts.new_columns), ("old", badge.facts.old_columns))
        if names
    ]
    if not are_there:
        return sql.SQL("")
    table = badge.facts.table.qualified_name
    return template("functions/check_stored.sql").format(
        is_stored=expressions.all_of(*are_there),
        message=sql.Literal(f"a column that the condition reads is gone from {table}"),
    )


def _applies(badge: Check, *conditions: sql.Composable) -> sql.Composed:
    """Whether the call is about this badge. A check stored for a subject is not, once the badge has no subjects."""
    code = sql.SQL("badges_check.badge_code OPERATOR(pg_catalog.=) {}").format(sql.Literal(badge.code))
    no_thing = None if badge.facts.per else sql.SQL("badges_check.checked_thing OPERATOR(pg_catalog.=) ''")
    return expressions.all_of(code, *conditions, no_thing)


def _too_long(badge: Check, of_user: Check | None) -> sql.Composable:
    """Evaluate the user's rows where a value of the changed row was too long to be stored."""
    facts = badge.facts
    too_long = [
        sql.SQL("({} OPERATOR(pg_catalog.->) {}) OPERATOR(pg_catalog.?&) '{{first,length,sha256}}'::text[]").format(
            _stored(record), sql.Literal(column.name)
        )
        for record, names in (("new", facts.new_columns), ("old", facts.old_columns))
        for column in facts.table.columns
        if column.name in names and column.type not in SHORT
    ]
    if not too_long:
        return sql.SQL("")
    if of_user is None:
        return template("functions/check_stored.sql").format(
            is_stored=sql.SQL("NOT coalesce({}, false)").format(sql.SQL("\nOR ").join(too_long)),
            message=sql.Literal(
                f"a value of a row that is gone from {facts.table.qualified_name} was too long to be kept"
            ),
        )
    return template("functions/check_too_long.sql").format(
        is_too_long=sql.SQL("\nOR ").join(too_long),
        condition=expressions.state(
            of_user, trusted("badges_check.checked_user"), trusted("badges_check.checked_thing")
        ),
    )


def _other_rows(target: Target, badge: Check) -> sql.Composable:
    """Evaluate the user's other rows, as one of them may have lacked the row that left the pending check."""
    facts, row = badge.facts, badge.event.changed_row
    if not (facts.is_cross_row and facts.depends_on_its_row and facts.is_reevaluable):
        return sql.SQL("")
    of_user = [
        sql.SQL("{} {} badges_check.checked_user").format(
            sql.Identifier(row, facts.user.name), expressions.equals(facts.user)
        )
    ]
    if facts.per:
        of_user.append(
            sql.SQL("{} OPERATOR(pg_catalog.=) badges_check.checked_thing").format(
                expressions.subject(sql.Identifier(row, facts.per.name), facts.per)
            )
        )
    return template("functions/check_others.sql").format(
        evidence=expressions.evidence(badge.event, facts, target),
        columns=expressions.columns_of(row, facts.new_columns),
        table=expressions.rows_of(facts.table),
        row=sql.Identifier(row),
        where=expressions.all_of(*of_user),
        condition=expressions.condition_of(badge, is_scoped=False),
    )
