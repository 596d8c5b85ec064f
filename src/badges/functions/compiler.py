"""Definitions and facts -> trigger functions. Pure: the same input gives the same SQL, to the letter."""

from __future__ import annotations

from collections.abc import Sequence

from badges.definitions.types import TriggerEvent
from badges.facts.types import AnalysedDefinition, Target
from badges.functions import catch_up, check, history, progress, runtime, user_of
from badges.functions.trigger import compile_trigger
from badges.functions.types import Check, Compiled, Level, checks


def compile_definitions(target: Target, analysed: Sequence[AnalysedDefinition]) -> Compiled:
    """One trigger for each table, event and level that any definition needs, and the functions.

    These are the functions that the triggers call, `badges_check`, `badges_progress` and, if a badge needs catch-up,
    `badges_catch_up`.
    """
    badges: dict[tuple[str, TriggerEvent, Level], list[Check]] = {}
    for badge in (badge for each in analysed for badge in checks(each)):
        for level in _levels(target, badge):
            badges.setdefault((badge.table.qualified_name, badge.event, level), []).append(badge)
    triggers = sorted(
        (
            compile_trigger(target, event, level, sorted(of_trigger, key=lambda badge: (badge.code, badge.user.name)))
            for (_, event, level), of_trigger in badges.items()
        ),
        key=lambda trigger: (trigger.table.qualified_name, trigger.name),
    )
    shared = compile_shared(target, has_badges=bool(analysed))
    functions = (
        *shared.routines,
        check.routine(target, analysed),
        user_of.routine(target, analysed),
        progress.routine(target, analysed),
        *filter(None, [catch_up.routine(target, analysed)]),
        *(trigger.routine for trigger in triggers),
    )
    return Compiled(functions, tuple(triggers), shared.history)


def compile_shared(target: Target, *, has_badges: bool) -> Compiled:
    """What does not depend on any badge: functions, and the triggers that write the history."""
    # On the table of the site only as long as there are badges; other tenants may have some.
    follows = target.follows_keys and (has_badges or bool(target.tenant))
    following = (history.following(target),) if follows else ()
    functions = (*runtime.routines(target), *history.routines(target))
    return Compiled(
        (*functions, *(trigger.routine for trigger in following)),
        (),
        (*history.triggers(target, functions), *following),
    )


def _levels(target: Target, badge: Check) -> tuple[Level, ...]:
    """The levels at which triggers see every row, and the old row together with the new one if both are read."""
    event, table = badge.event, badge.table
    pairs_rows = event is TriggerEvent.UPDATE and not badge.is_state and bool(badge.facts.old_columns)
    if event is TriggerEvent.UPDATE and table.is_partitioned and not pairs_rows:
        # An update that moves a row to another partition fires no row-level UPDATE trigger, only the parent's
        # statement-level one; an update that names a partition fires only the row-level one.
        return (Level.ROW, Level.STATEMENT)
    is_row_level = pairs_rows or table.needs_row_level or target.is_subscriber
    return (Level.ROW,) if is_row_level else (Level.STATEMENT,)
