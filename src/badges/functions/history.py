"""The triggers that write the history of badges, and their functions. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from badges.database import template, trusted
from badges.facts.types import Target
from badges.functions import runtime
from badges.functions.types import Level, Routine, Trigger

HISTORY = {
    "add_awarded": ("functions/events_awarded.sql", "each badge that comes", "false"),
    "add_revoked": (
        "functions/events_revoked.sql",
        "each badge that goes",
        "EXISTS (SELECT FROM badges_old AS b WHERE b.expires_at IS NULL OR b.expires_at > statement_timestamp())",
    ),
    "add_moved": ("functions/events_moved.sql", "each badge that is another one now", "true"),
    "add_truncated": ("functions/events_truncated.sql", "what is gone by TRUNCATE", "true"),
}
"""The functions that write events, all by `add_events.sql`: the file that tells what each finds, what that is, and an
expression for whether a badge is revoked with it."""


def routines(target: Target) -> tuple[Routine, ...]:
    """The functions of those triggers. They do not depend on any badge."""
    return tuple(_routine(target, name) for name in HISTORY)


def _routine(target: Target, name: str) -> Routine:
    shared = runtime.placeholders(target, name)
    file, what, is_revoked = HISTORY[name]
    delivery: sql.Composable = sql.SQL("")
    if target.sends_signals:
        delivery = template("functions/events_delivery.sql").format(**shared)
    return runtime.routine(
        target,
        f"badges_{name}",
        "functions/add_events.sql",
        what=trusted(what),
        found=template(file).format(**shared),
        is_revoked=trusted(is_revoked),
        delivery=delivery,
        **shared,
    )


def triggers(target: Target, functions: Sequence[Routine]) -> tuple[Trigger, ...]:
    """The triggers that write an event for whatever happens to a badge, whoever does it.

    Their functions do not depend on any badge. PostgreSQL fires triggers in the order of their names, and those that
    award come later: so the award that brought another one is written down before it.
    """
    catch_up = template("functions/catch_up_events.sql").format(**runtime.placeholders(target, "catch_up_events"))
    by_name = {function.name: function for function in functions}
    writers = (
        ("badges_add_awarded", "insert"),
        ("badges_add_moved", "update"),
        ("badges_add_revoked", "delete"),
        ("badges_add_truncated", "truncate"),
    )
    return (
        *(
            Trigger(
                by_name[name],
                target.badges,
                event,
                Level.STATEMENT,
                target.is_subscriber,
                (catch_up,),
                sees_both_rows=True,
            )
            for name, event in writers
        ),
        Trigger(by_name["badges_keep_events"], target.events, "update", Level.ROW),
    )
