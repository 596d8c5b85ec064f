"""Drafts a plan, carries it out, drafts again and expects an empty plan. Takes a connection."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import psycopg
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from badges import exceptions
from badges.conf import badges_settings
from badges.database import fetch, in_transaction, read_committed
from badges.definitions.types import Definition
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.facts.types import AnalysedDefinition, Target
from badges.functions import compiler
from badges.functions.types import Compiled
from badges.installation import catalog, diff, locks, pg_cron, rows, surroundings, tables, transactions
from badges.installation.roles import default_executors, find, hidden_tables, open_schemas, readers_of_secret
from badges.installation.types import Action, Finding, Plan, Step

logger = logging.getLogger("badges")

ADVISORY_LOCK = 0x62616467
"""Key of the advisory lock that serialises installations ("badg")."""

_ANY_TABLE = "a transaction that locks a table which the badges need"

_NAMED = 3
"""Transactions that are named at most."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
"""Seconds before the first retry, and at most; each further pause is twice as long."""

_SPARE_TRANSACTIONS = 4
"""More of them than twice those of the plan, and something undoes the steps again and again."""

_OF_DEFINITIONS = (Action.ADD_DEFINITION, Action.CHANGE_DEFINITION, Action.RETIRE_DEFINITION)

_Result = TypeVar("_Result")


@in_transaction
def draft(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, *, prune_all: bool = False
) -> Plan:
    """The plan that brings the database in sync with `definitions`. Changes nothing, and takes no lock on a table.

    :param prune_all: drop what other schemas have installed for the same table of badges.
    :raises InvalidDefinitions: with all errors that PostgreSQL finds.
    :raises NotMigrated: the tables of the app are missing.
    """
    return _compare(connection, _want(connection, definitions, source, prune_all))


@in_transaction
def draft_uninstallation(connection: BaseDatabaseWrapper) -> Plan:
    """The plan that drops all functions and triggers. Changes nothing."""
    return _compare(connection, _want_nothing(connection))


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """What the definitions come to in this database."""

    definitions: Sequence[Definition]
    target: Target
    analysed: tuple[AnalysedDefinition, ...]
    compiled: Compiled
    prune_all: bool


def _want(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, prune_all: bool
) -> _Wanted:
    target = describe_target(connection)
    analysed = analysis.analyse(connection, target, definitions, str(source))
    # A paused badge has no triggers; its holders keep it.
    compiled = compiler.compile_definitions(target, [each for each in analysed if each.definition.active])
    return _Wanted(definitions, target, analysed, compiled, prune_all)


def _want_nothing(connection: BaseDatabaseWrapper) -> _Wanted:
    target = describe_target(connection)
    # What a tenant shares with others stays.
    compiled = compiler.compile_shared(target, has_badges=True) if target.tenant else Compiled((), (), ())
    return _Wanted((), target, (), compiled, prune_all=False)


def _compare(connection: BaseDatabaseWrapper, wanted: _Wanted) -> Plan:
    """The plan from what is installed to what is wanted."""
    target, analysed, compiled = wanted.target, wanted.analysed, wanted.compiled
    installed = catalog.installed(connection, target, [routine.name for routine in compiled.routines])
    own = {target.users, target.badges, target.pending, target.failures}
    names = {table.qualified_name for table in own}.union(*(each.tables for each in analysed))
    jobs = pg_cron.look(connection, target)
    findings = [
        *find(
            target,
            open_schemas(connection, target),
            hidden_tables(connection, target.badges_owner, names),
            readers_of_secret(connection, target),
        ),
        *pg_cron.find(connection, target, compiled, jobs),
        *surroundings.find(analysed, surroundings.temp_file_limits(connection)),
        *(Finding(each.message, each.hint, id="badges.W017") for each in catalog.deferred(connection, target)),
    ]
    drafted = diff.compare(
        target,
        wanted.definitions,
        compiled,
        installed,
        # A tenant that declares nothing retires nothing of the others.
        rows.stored_definitions(connection) if wanted.definitions or not target.tenant else {},
        elsewhere=catalog.elsewhere(connection, target) if wanted.prune_all else (),
        default_executors=default_executors(connection, target),
    )
    restoring = tables.steps(target, catalog.tables(connection, target, tables.of_app(target)))
    return dataclasses.replace(
        drafted,
        steps=(*drafted.steps, *pg_cron.steps(target, compiled, jobs), *restoring),
        failures=catalog.failures(connection, target),
        findings=tuple(findings),
    )


def apply(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, *, prune_all: bool = False
) -> Plan:
    """Bring the database in sync with `definitions`, in the transactions that `transactions.split` gives.

    Within a transaction of the caller's, all of it is done in that one.

    :param prune_all: drop what other schemas have installed for the same table of badges.
    :returns: the plan that was carried out.
    :raises LockNotAvailable: a table stayed in use through all retries. The message says whether the old rules are in
        force or the new ones; the next call does the rest.
    :raises InvalidDefinitions, NotMigrated, InsufficientRights: as the messages say.
    """
    return _apply(connection, functools.partial(_want, connection, definitions, source, prune_all))


def uninstall(connection: BaseDatabaseWrapper) -> Plan:
    """Drop all functions and triggers and retire all definitions; the tables and their rows stay.

    :returns: the plan that was carried out.
    :raises LockNotAvailable, NotMigrated, InsufficientRights: as for `apply`.
    """
    return _apply(connection, functools.partial(_want_nothing, connection))


def _apply(connection: BaseDatabaseWrapper, want: Callable[[], _Wanted]) -> Plan:
    progress = _Progress(at_once=connection.in_atomic_block)
    begin = functools.partial(_begin, connection, want, progress)
    wanted, plan, part = _in_transaction(connection, begin, progress)
    # Each transaction does the first part of what is to be done then, as another installation may have come between.
    carry_out_next = functools.partial(_carry_out_next, connection, wanted, progress)
    for _ in range(_SPARE_TRANSACTIONS + 2 * len(transactions.split(plan.steps))):
        if part is None:
            return plan
        progress.done += len(part.steps)
        progress.left -= len(part.steps)
        progress.has_switched |= part.switches
        part = _in_transaction(connection, carry_out_next, progress)
    remaining = _compare(connection, wanted)
    steps = "; ".join(f"{step.action} {step.target} ({step.reason})" for step in remaining.steps)
    raise exceptions.BadgesError(
        f"After the installation the database still differs: {steps}. An event trigger may interfere."
    )


@dataclasses.dataclass
class _Progress:
    """How far an installation has come, for the message if it ends early."""

    at_once: bool
    """All is done in a transaction of the caller's, whose locks last until its end however the steps are divided."""
    done: int = 0
    left: int = 0
    has_switched: bool = False

    @property
    def outcome(self) -> str:
        if not self.done:
            return "nothing was changed"
        if self.has_switched and not self.left:
            return "the new rules are in force"
        if self.has_switched:
            return f"the new rules are in force, and {self.left} steps are left: run the command again"
        return f"no rule was changed; {self.done} steps are prepared, and {self.left} are left: run the command again"


def _begin(
    connection: BaseDatabaseWrapper, want: Callable[[], _Wanted], progress: _Progress
) -> tuple[_Wanted, Plan, transactions.Transaction | None]:
    """Draft the plan and carry out its first part; None for the part if there is nothing to do."""
    with _attempt(_ANY_TABLE):
        wanted = want()
        plan = _compare(connection, wanted)
    return wanted, plan, _carry_out_first(connection, plan, progress)


def _carry_out_next(
    connection: BaseDatabaseWrapper, wanted: _Wanted, progress: _Progress
) -> transactions.Transaction | None:
    """Carry out the first part of what is left to do; None if nothing is left."""
    with _attempt(_ANY_TABLE):
        remaining = _compare(connection, wanted)
    if progress.has_switched and any(step.action in _OF_DEFINITIONS for step in remaining.steps):
        return None  # another installation, of another badge file, came later: its rules are in force
    return _carry_out_first(connection, remaining, progress)


def _carry_out_first(
    connection: BaseDatabaseWrapper, plan: Plan, progress: _Progress
) -> transactions.Transaction | None:
    """Carry out the first part of a plan, or all of it in a transaction of the caller's; None if it is empty."""
    if plan.is_empty:
        return None
    whole = transactions.Transaction(plan.steps, switches=True)
    parts = (whole,) if progress.at_once else transactions.split(plan.steps)
    progress.left = sum(len(part.steps) for part in parts)
    _carry_out(connection, parts[0])
    return parts[0]


def _carry_out(connection: BaseDatabaseWrapper, part: transactions.Transaction) -> None:
    for step in part.steps:
        with _attempt(step.table or _ANY_TABLE, step), connection.cursor() as cursor:
            for statement in step.statements:
                cursor.execute(statement.as_string())


def _in_transaction(connection: BaseDatabaseWrapper, work: Callable[[], _Result], progress: _Progress) -> _Result:
    """Do this in a transaction of its own, while no other installation is at work.

    A lock that is not granted in BADGES_LOCK_TIMEOUT is given up, as writers wait behind it, and tried again later.
    """
    pause = _FIRST_PAUSE
    for retry in range(badges_settings.BADGES_LOCK_RETRIES, -1, -1):
        try:
            return _try_once(connection, work, progress)
        except exceptions.LockNotAvailable as error:
            # Inside a transaction of the caller's, a retry would keep what it locked so far.
            if not retry or connection.in_atomic_block:
                raise
            logger.warning("%s Trying again in %.2f s.", error, pause)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    raise AssertionError("unreachable")


def _try_once(connection: BaseDatabaseWrapper, work: Callable[[], _Result], progress: _Progress) -> _Result:
    try:
        # After waiting for another installation, its work must be seen.
        with read_committed(connection):
            _wait_for_other_installations(connection)
            return work()
    except _Rejected as rejected:
        if known := _in_words(connection, rejected, progress):
            raise known from rejected.error
        raise rejected.error from rejected.error.__cause__


class _Rejected(Exception):
    """PostgreSQL rejected a statement; the message for the user is made after the rollback."""

    def __init__(self, error: DatabaseError, awaited: str, step: Step | None) -> None:
        self.error = error
        self.awaited = awaited
        self.step = step


@contextlib.contextmanager
def _attempt(awaited: str, step: Step | None = None) -> Iterator[None]:
    """A block in which PostgreSQL may reject something.

    :param awaited: what is waited for if a lock is not granted in time.
    """
    try:
        yield
    except DatabaseError as error:
        raise _Rejected(error, awaited, step) from error


def _wait_for_other_installations(connection: BaseDatabaseWrapper) -> None:
    with _attempt("another create_badge_triggers"), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{badges_settings.BADGES_LOCK_TIMEOUT}ms"])
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])


def _in_words(
    connection: BaseDatabaseWrapper, rejected: _Rejected, progress: _Progress
) -> exceptions.BadgesError | None:
    """The error with its reason and its hint; None if PostgreSQL's own is all there is."""
    cause, step = rejected.error.__cause__, rejected.step
    match cause:
        case psycopg.errors.InsufficientPrivilege() if step:
            [(role,)] = fetch(connection, "SELECT current_user")
            return exceptions.InsufficientRights(
                f"{step.action} {step.target}: {cause.diag.message_primary}; {progress.outcome}.\n"
                f'    The role "{role}" needs {step.needs}.'
            )
        case psycopg.errors.InvalidParameterValue() if step and step.action is Action.SCHEDULE_JOB:
            return exceptions.InvalidSetting(
                f"BADGES_PG_CRON is {badges_settings.BADGES_PG_CRON!r}, and pg_cron rejects it: "
                f"{cause.diag.message_primary}; {progress.outcome}."
            )
        case psycopg.errors.LockNotAvailable() | psycopg.errors.DeadlockDetected():
            awaited = rejected.awaited
            if step and step.table:
                awaited_tables = (step.table, *step.further_tables)
                found = [each for table in awaited_tables for each in locks.holders_of_table(connection, table)]
                holders = ", ".join(dict.fromkeys(found[:_NAMED])) or "another transaction"
                awaited = f"{' or '.join(awaited_tables)}, which is in use by {holders}"
            return exceptions.LockNotAvailable(
                f"Waited {badges_settings.BADGES_LOCK_TIMEOUT} ms (BADGES_LOCK_TIMEOUT) for {awaited}; "
                f"{progress.outcome}."
            )
        case psycopg.Error() if step and step.action in (Action.RESTORE, Action.VALIDATE):
            detail = f" {cause.diag.message_detail}" if cause.diag.message_detail else ""
            return exceptions.BadgesError(
                f"{step.action} {step.target} ({step.reason}): {cause.diag.message_primary}.{detail} "
                f"{progress.outcome.capitalize()}.\n"
                f"    Change the rows or the column so that this statement succeeds, then run the command again: "
                f"{step.statements[-1].as_string()};"
            )
    return None
