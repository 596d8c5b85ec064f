"""The function that does for the badges which come late what `award_badges` does. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from psycopg import sql

from badges import checked, expressions, qualifying, routines
from badges.database import template, trusted
from badges.facts import AnalysedDefinition
from badges.routines import Routine, dollar_quoted
from badges.site import Site

NAME = "badges_catch_up"

MOST = 1_000
"""Users who may lose each badge in one call, and checks of others that it settles."""


def routine(site: Site, analysed: Sequence[AnalysedDefinition]) -> Routine | None:
    """`badges_catch_up`; None if no badge comes late, or none of those can be decided by the rows that exist."""
    late = sorted((each for each in analysed if each.comes_late), key=lambda each: each.definition.code)
    arms = {each.definition.code: arm for each in late if (arm := _arm(site, each))}
    if not arms:
        return None
    names = routines.placeholders(site, "")
    body = template("catch_up_body.sql").format(
        key=trusted(site.user_key.type),
        arms=sql.SQL("").join(arms.values()),
        settle=names["settle"],
        badges=site.badges.identifier,
        most=sql.Literal(MOST),
    )
    made = routines.routine(
        site,
        NAME,
        "catch_up.sql",
        search_path=trusted(site.function_search_path),
        body=trusted(dollar_quoted(body.as_string())),
    )
    return dataclasses.replace(made, codes=tuple(arms))


def _arm(site: Site, analysed: AnalysedDefinition) -> sql.Composed | None:
    definition, facts = analysed.definition, qualifying.facts_of_existing_rows(analysed)
    if facts is None:
        return None
    code = sql.Literal(definition.code)
    forget: sql.Composable = sql.SQL("")
    if definition.expires_after:
        forget = template("catch_up_forget.sql").format(badges=site.badges.identifier, code=code)
    return template("catch_up_arm.sql").format(
        name=expressions.comment(definition.name),
        code=code,
        badges=site.badges.identifier,
        note_failure=routines.placeholders(site, "")["note_failure"],
        forget=forget,
        qualifying=qualifying.query(site, analysed, facts),
        losing=_losing(site, analysed),
    )


def _losing(site: Site, analysed: AnalysedDefinition) -> sql.Composable:
    query = qualifying.losing(site, analysed)
    if query is None:
        return sql.SQL("")
    return template("catch_up_losing.sql").format(
        losing=query,
        pending=site.pending.identifier,
        badges=site.badges.identifier,
        lock=sql.Literal(routines.ADVISORY_LOCK_CLASS),
        awarded_bucket=routines.bucket(site, sql.Identifier("b", "user_id")),
        bucket=routines.bucket(site, sql.Identifier("losing", "user_id")),
        code=sql.Literal(analysed.definition.code),
        asks=sql.Literal(checked.STATE),
        evidence=sql.Literal(json.dumps({"operation": "award_badges", "asks": checked.STATE})),
        most=sql.Literal(MOST),
    )
