"""Generates badges_catch_up(): awards and revokes the badges that triggers alone do not maintain. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from badges.database import template
from badges.facts.types import AnalysedDefinition, Target
from badges.functions import expressions, qualifying, runtime
from badges.functions.session import Session
from badges.functions.types import STATE, Check, Routine

NAME = "badges_catch_up"

MOST = 1_000
"""Users who are awarded a badge together, users who may lose one in one call, and other checks that it settles."""


def routine(target: Target, analysed: Sequence[AnalysedDefinition]) -> Routine | None:
    """`badges_catch_up`; None if no badge needs catch-up, or the rows that exist decide none of those that do."""
    needing = sorted((each for each in analysed if each.needs_catch_up), key=lambda each: each.definition.code)
    session = Session.of(target, [check for each in needing if (check := Check.of_user(each))])
    arms = {each.definition.code: arm for each in needing if (arm := _arm(target, each, session))}
    if not arms:
        return None
    return runtime.generated_routine(
        target,
        NAME,
        "functions/catch_up.sql",
        "functions/catch_up_body.sql",
        codes=list(arms),
        settings=session.clauses,
        arms=sql.SQL("\n").join(arms.values()),
        settle=runtime.placeholders(target, "")["settle"],
        badges=target.badges.identifier,
        equals=expressions.equals(target.user_key),
        most=sql.Literal(MOST),
    )


def _arm(target: Target, analysed: AnalysedDefinition, session: Session) -> sql.Composed | None:
    definition, facts = analysed.definition, qualifying.facts_of_existing_rows(analysed)
    check = Check.of_user(analysed)
    if facts is None or check is None:
        return None
    code = sql.Literal(definition.code)
    names = runtime.placeholders(target, "")
    forget: sql.Composable = sql.SQL("")
    if definition.expires_after:
        forget = template("functions/catch_up_forget.sql").format(badges=target.badges.identifier, code=code)
    return template("functions/catch_up_arm.sql").format(
        name=expressions.comment(definition.name),
        zone=session.zone_of(check),
        code=code,
        badges=target.badges.identifier,
        note_failure=names["note_failure"],
        tenant=sql.SQL(", 1, {}").format(runtime.tenant(target)) if target.tenant else sql.SQL(""),
        record=names["record"],
        most=sql.Literal(MOST),
        forget=forget,
        qualifying=qualifying.query(target, analysed, facts),
        losing=_losing(target, analysed),
    )


def _losing(target: Target, analysed: AnalysedDefinition) -> sql.Composable:
    query = qualifying.losing(target, analysed)
    if query is None:
        return sql.SQL("")
    return template("functions/catch_up_losing.sql").format(
        losing=query,
        pending=target.pending.identifier,
        badges=target.badges.identifier,
        equals=expressions.equals(target.user_key),
        lock=sql.Literal(runtime.ADVISORY_LOCK_CLASS),
        awarded_bucket=runtime.bucket(target, sql.Identifier("b", "user_id")),
        bucket=runtime.bucket(target, sql.Identifier("losing", "user_id")),
        code=sql.Literal(analysed.definition.code),
        asks=sql.Literal(STATE),
        tenant=runtime.tenant(target),
        evidence=sql.Literal(qualifying.check_evidence(target)),
        most=sql.Literal(MOST),
    )
