"""The function that does for the badges which come late what `award_badges` does. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from psycopg import sql

from badges.database import template, trusted
from badges.facts.types import AnalysedDefinition, Target
from badges.functions import expressions, qualifying, runtime
from badges.functions.types import STATE, Routine, dollar_quoted

NAME = "badges_catch_up"

MOST = 1_000
"""Users who may lose each badge in one call, and checks of others that it settles."""


def routine(target: Target, analysed: Sequence[AnalysedDefinition]) -> Routine | None:
    """`badges_catch_up`; None if no badge comes late, or none of those can be decided by the rows that exist."""
    late = sorted((each for each in analysed if each.needs_catch_up), key=lambda each: each.definition.code)
    arms = {each.definition.code: arm for each in late if (arm := _arm(target, each))}
    if not arms:
        return None
    names = runtime.placeholders(target, "")
    body = template("functions/catch_up_body.sql").format(
        key=trusted(target.user_key.type),
        arms=sql.SQL("").join(arms.values()),
        settle=names["settle"],
        badges=target.badges.identifier,
        most=sql.Literal(MOST),
    )
    made = runtime.routine(
        target,
        NAME,
        "functions/catch_up.sql",
        search_path=trusted(target.function_search_path),
        body=trusted(dollar_quoted(body.as_string())),
    )
    return dataclasses.replace(made, codes=tuple(arms))


def _arm(target: Target, analysed: AnalysedDefinition) -> sql.Composed | None:
    definition, facts = analysed.definition, qualifying.facts_of_existing_rows(analysed)
    if facts is None:
        return None
    code = sql.Literal(definition.code)
    forget: sql.Composable = sql.SQL("")
    if definition.expires_after:
        forget = template("functions/catch_up_forget.sql").format(badges=target.badges.identifier, code=code)
    return template("functions/catch_up_arm.sql").format(
        name=expressions.comment(definition.name),
        code=code,
        badges=target.badges.identifier,
        note_failure=runtime.placeholders(target, "")["note_failure"],
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
        lock=sql.Literal(runtime.ADVISORY_LOCK_CLASS),
        awarded_bucket=runtime.bucket(target, sql.Identifier("b", "user_id")),
        bucket=runtime.bucket(target, sql.Identifier("losing", "user_id")),
        code=sql.Literal(analysed.definition.code),
        asks=sql.Literal(STATE),
        evidence=sql.Literal(json.dumps({"operation": "award_badges", "asks": STATE})),
        most=sql.Literal(MOST),
    )
