"""Generates badges_progress(): how far users have come on the way to each goal. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from psycopg import sql

from badges.database import template, trusted
from badges.facts.types import AnalysedDefinition, Target
from badges.functions import expressions, runtime
from badges.functions.types import Check, Routine, dollar_quoted


def routine(target: Target, analysed: Sequence[AnalysedDefinition]) -> Routine:
    """The function that says how far users have come; each progress once, however many levels it has."""
    arms: dict[tuple[object, ...], list[Check]] = {}
    for of_definition in sorted(analysed, key=lambda each: each.definition.code):
        badge = Check.of_user(of_definition)
        if badge and badge.definition.progress:
            arms.setdefault(badge.progress, []).append(badge)
    body = template("functions/progress_body.sql").format(
        arms=sql.SQL("").join(
            template("functions/progress_arm.sql").format(
                name=expressions.comment(", ".join(badge.definition.name for badge in badges)),
                codes=expressions.array_of_codes(badges),
                value=expressions.state_of_progress(
                    # Of all things, the best.
                    dataclasses.replace(badges[0], facts=dataclasses.replace(badges[0].facts, per=None)),
                    sql.Identifier("asked", "user_id"),
                    expressions.NO_THING,
                ),
            )
            for badges in arms.values()
        ),
    )
    return runtime.routine(
        target,
        "badges_progress",
        "functions/progress.sql",
        key=trusted(target.user_key.type),
        search_path=trusted(target.function_search_path),
        body=trusted(dollar_quoted(body.as_string())),
    )
