"""Drafts a plan, carries it out in one transaction, then looks again and expects an empty plan. Takes a connection."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from badges import exceptions
from badges.conf import badges_settings
from badges.database import fetch, read_committed
from badges.definitions.types import Definition
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.functions import compiler
from badges.installation import catalog, diff, pg_cron, rows
from badges.installation.roles import default_executors, find, hidden_tables, open_schemas
from badges.installation.types import Action, Plan

logger = logging.getLogger("badges")

ADVISORY_LOCK = 0x62616467
"""Key of the advisory lock that serialises installations ("badg")."""

_FIRST_PAUSE = 0.5
"""Seconds before the first retry; each further pause is twice as long."""


def draft(connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path) -> Plan:
    """What would bring the database in line with `definitions`. Changes nothing, and blocks nobody.

    :raises InvalidDefinitions: with all errors that PostgreSQL finds.
    :raises NotMigrated: the tables of the app are missing.
    """
    target = describe_target(connection)
    analysed = analysis.analyse(connection, target, definitions, str(source))
    # Of a badge that is paused nothing is installed; what its holders have they keep.
    wanted = compiler.compile_definitions(target, [each for each in analysed if each.definition.active])
    installed = catalog.installed(connection, target, [routine.name for routine in wanted.routines])
    tables = {target.users, target.badges, target.pending, target.failures}
    names = {table.qualified_name for table in tables}.union(
        *(facts.tables for each in analysed for facts in each.facts.values())
    )
    jobs = pg_cron.look(connection, target)
    findings = [
        *find(target, open_schemas(connection, target), hidden_tables(connection, target.badges_owner, names)),
        *pg_cron.find(connection, target, wanted, jobs),
    ]
    drafted = diff.compare(
        target,
        definitions,
        wanted,
        installed,
        rows.stored_definitions(connection),
        default_executors=default_executors(connection, target),
        failures=catalog.failures(connection, target),
        findings=findings,
    )
    return dataclasses.replace(drafted, steps=(*drafted.steps, *pg_cron.steps(target, wanted, jobs)))


def apply(connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path) -> Plan:
    """Bring the database in line with `definitions`: all of it, or nothing.

    :returns: the plan that was carried out.
    :raises LockNotAvailable: a table stayed in use through all retries.
    :raises InvalidDefinitions, NotMigrated, InsufficientRights: as the messages say; nothing was changed.
    """
    pause = _FIRST_PAUSE
    for retry in range(badges_settings.BADGES_LOCK_RETRIES, -1, -1):
        try:
            return _apply_once(connection, definitions, source)
        except exceptions.LockNotAvailable as error:
            # Inside a transaction of the caller's, a retry would keep what it locked so far.
            if not retry or connection.in_atomic_block:
                raise
            logger.warning("%s Trying again in %.1f s.", error, pause)
            time.sleep(pause)
            pause *= 2
    raise AssertionError("unreachable")


def _apply_once(connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path) -> Plan:
    at_work_on = "another create_badge_triggers"
    step = role = None
    try:
        # After waiting for another installation, its work must be seen.
        with read_committed(connection), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{badges_settings.BADGES_LOCK_TIMEOUT}ms"])
            [(role, _)] = fetch(connection, "SELECT current_user, pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
            at_work_on = "a transaction that locks a table which the badges need"
            carried_out = draft(connection, definitions, source)
            if carried_out.is_empty:
                return carried_out
            for step in carried_out.steps:
                for statement in step.statements:
                    cursor.execute(statement.as_string())
            step = None
            remaining = draft(connection, definitions, source)
            if not remaining.is_empty:
                steps = "; ".join(f"{each.action} {each.target} ({each.reason})" for each in remaining.steps)
                raise exceptions.BadgesError(
                    f"After the installation the database still differs, so nothing was changed: {steps}. "
                    "An event trigger may interfere."
                )
    except DatabaseError as error:
        cause = error.__cause__
        if isinstance(cause, psycopg.errors.InsufficientPrivilege) and step:
            raise exceptions.InsufficientRights(
                f"{step.action} {step.target}: {cause.diag.message_primary}; nothing was changed.\n"
                f'    The role "{role}" needs {step.needs}.'
            ) from error
        if isinstance(cause, psycopg.errors.InvalidParameterValue) and step and step.action is Action.SCHEDULE_JOB:
            raise exceptions.InvalidSetting(
                f"BADGES_PG_CRON is {badges_settings.BADGES_PG_CRON!r}, and pg_cron says: "
                f"{cause.diag.message_primary}; nothing was changed."
            ) from error
        if isinstance(cause, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
            if step:
                at_work_on = f"{step.table}, which is in use by {_holders(connection, step.table)}"
            raise exceptions.LockNotAvailable(
                f"Waited {badges_settings.BADGES_LOCK_TIMEOUT} ms (BADGES_LOCK_TIMEOUT) for {at_work_on}; "
                "nothing was changed."
            ) from error
        raise
    return carried_out


def _holders(connection: BaseDatabaseWrapper, table: str) -> str:
    """Who holds a lock on `table`, for the operator who must decide what to do about it."""
    rows = fetch(
        connection,
        """
        SELECT format('process %%s (%%s, %%s, transaction open for %%s)', l.pid,
                      coalesce(nullif(a.application_name, ''), a.usename, 'unknown'),
                      coalesce(a.state, 'prepared transaction'), date_trunc('second', clock_timestamp() - a.xact_start))
        FROM pg_locks l
        JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE n.nspname || '.' || c.relname = %s AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        ORDER BY a.xact_start NULLS FIRST LIMIT 3
        """,
        [table],
    )
    return ", ".join(dict.fromkeys(text for (text,) in rows)) or "another transaction"
