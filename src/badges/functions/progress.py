"""Generates badges_progress(): the current progress of users towards each goal. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from psycopg import sql

from badges.database import template
from badges.facts.types import AnalysedDefinition, Target
from badges.functions import expressions, runtime
from badges.functions.session import Session
from badges.functions.types import Check, Routine


def routine(target: Target, analysed: Sequence[AnalysedDefinition]) -> Routine:
    """The function that returns the progress of users; each progress is evaluated once for all its levels."""
    arms: dict[tuple[object, ...], list[Check]] = {}
    for of_definition in sorted(analysed, key=lambda each: each.definition.code):
        badge = Check.of_user(of_definition)
        if badge and badge.definition.progress:
            arms.setdefault(badge.progress, []).append(badge)
    session = Session.of(target, [badge for badges in arms.values() for badge in badges])
    return runtime.generated_routine(
        target,
        "badges_progress",
        "functions/progress.sql",
        "functions/progress_body.sql",
        settings=session.clauses,
        arms=sql.SQL("\n").join(_arm(badges, session) for badges in arms.values()),
    )


def _arm(badges: Sequence[Check], session: Session) -> sql.Composed:
    # Of all subjects, the best.
    of_any = dataclasses.replace(badges[0], facts=dataclasses.replace(badges[0].facts, per=None))
    return template("functions/progress_arm.sql").format(
        zone=session.zone_of(*badges),
        name=expressions.comment("; ".join(badge.definition.name for badge in badges)),
        codes=expressions.array_of_codes(badges),
        value=expressions.state_of_progress(of_any, sql.Identifier("asked", "user_id"), expressions.NO_THING),
    )
