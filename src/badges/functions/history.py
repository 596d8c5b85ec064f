"""The triggers that write the history of badges, or follow a user whose key changes; their functions. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from badges.database import Template, template, trusted
from badges.facts.types import Target
from badges.functions import runtime
from badges.functions.types import Level, Routine, Trigger

_UNLIMITED = "current_setting('lock_timeout') = '0'"

_ANY_UNEXPIRED = """ AND EXISTS (
    SELECT FROM badges_old AS b WHERE b.expires_at IS NULL OR b.expires_at > statement_timestamp())"""

HISTORY = {
    "add_awarded": ("functions/events_awarded.sql", "each new row, an awarded badge,", ""),
    "add_revoked": (
        "functions/events_revoked.sql",
        "each deleted row, a revoked or expired badge,",
        _UNLIMITED + _ANY_UNEXPIRED,
    ),
    "add_moved": ("functions/events_moved.sql", "each badge whose user, code or thing was updated", _UNLIMITED),
    "add_truncated": ("functions/events_truncated.sql", "each badge revoked by TRUNCATE", _UNLIMITED),
}
"""The functions that write events, all by `add_events.sql`: the file of the query for the events, what they are, and an
expression for whether the function limits its wait for the users' rows; empty where nothing is revoked."""


def routines(target: Target) -> tuple[Routine, ...]:
    """The functions of those triggers. They do not depend on any badge."""
    return tuple(_routine(target, name) for name in HISTORY)


def _routine(target: Target, name: str) -> Routine:
    shared = runtime.placeholders(target, name)
    file, what, is_patient = HISTORY[name]
    delivery: sql.Composable = sql.SQL("")
    if target.sends_signals:
        delivery = template("functions/events_delivery.sql").format(**shared)
    found = template(file).format(**shared)
    return runtime.routine(
        target,
        f"badges_{name}",
        "functions/add_events.sql",
        what=trusted(what),
        found=found,
        **_patience(is_patient, found=found, **shared),
        delivery=delivery,
        **shared,
    )


def _patience(condition: str, **shared: sql.Composable) -> dict[str, sql.Composable]:
    if not condition:
        return dict.fromkeys(("declare_patience", "limit_patience", "restore_patience"), sql.SQL(""))
    return {
        "declare_patience": Template("is_patient CONSTANT boolean :=\n    {condition};").format(
            condition=sql.SQL(condition)
        ),
        "limit_patience": template("functions/events_patience.sql").format(**shared),
        "restore_patience": sql.SQL("IF is_patient THEN\n    PERFORM set_config('lock_timeout', '0', true);\nEND IF;"),
    }


def triggers(target: Target, functions: Sequence[Routine]) -> tuple[Trigger, ...]:
    """The triggers that record every change of a badge, whatever caused it.

    Their functions do not depend on any badge. PostgreSQL fires triggers in the order of their names, and those that
    award come later: so an award is recorded before a further award that it causes.
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


def following(target: Target) -> Trigger:
    """The trigger that has pending checks follow a user whose key changes."""
    function = runtime.routine(
        target, target.following, "runtime/follow_user.sql", **runtime.placeholders(target, "follow_user")
    )
    return Trigger(function, target.users, "update", Level.ROW, target.is_subscriber)
