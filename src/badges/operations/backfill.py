"""Backfill: awards and revokes by the rows that exist now, set-based and in batches. Takes a connection."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges import database, exceptions
from badges.database import fetch, in_transaction, template
from badges.definitions.types import Definition
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.facts.types import AnalysedDefinition, Facts, Table, Target, nearest
from badges.functions import qualifying, runtime
from badges.functions.types import checks
from badges.installation import locks, rows
from badges.installation.roles import hidden_tables
from badges.operations import evaluation, parts
from badges.operations.settle import settle

BATCH = 10_000
"""Users for whom a condition is evaluated in one transaction."""

WRITERS_TIMEOUT = 2.0
"""Seconds that the transactions which are writing are waited for, before each badge."""

_PAUSES = (0.05, 0.2)
"""Seconds before a batch that another transaction prevented is tried again, and before it is done in parts."""

DECIDED_BY_OLD = "it is decided by a row that no longer exists (OLD)"

PAUSED = "it is paused (active is false)"


@dataclasses.dataclass(frozen=True, slots=True)
class BackfillProgress:
    """The progress of one badge."""

    code: str
    awarded: int
    """Users who were awarded it so far."""
    users_seen: int
    users: int
    """About how many users there are; PostgreSQL's estimate."""
    is_done: bool
    left: int = 0
    """Users whom other transactions keep locked: for them there are pending checks."""
    revoked: int = 0
    """Badges that were revoked, as their condition is no longer true."""
    skipped: str = ""
    """Why the badge cannot be awarded by the rows that exist now."""
    error: str = ""
    """PostgreSQL's message, if the condition failed; the batch that it failed in awarded nothing."""
    open_writers: tuple[str, ...] = ()
    """Transactions that were writing when the awarding began, and are still open: their rows are not counted."""
    failures_cleared: int = 0
    """Recorded failures that this run has caught up with, so that their records were deleted."""
    failures_kept: int = 0
    """Recorded failures whose awards no run can find, so that they stay on record."""


@in_transaction
def prepare(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, codes: Sequence[str] = ()
) -> tuple[Target, tuple[AnalysedDefinition, ...]]:
    """The target, and the facts of the badges with these codes; of all badges if there are none.

    :raises UnknownBadge: a code is not in the file.
    :raises OutOfDate: a badge is out of date in the database.
    :raises RowsHidden: row-level security hides rows from the current role.
    """
    chosen = choose(definitions, codes, source)
    target = describe_target(connection)
    _require_in_sync(connection, chosen)
    analysed = analysis.analyse(connection, target, chosen, str(source))
    _require_all_rows(connection, target, analysed)
    return target, analysed


def needing_catch_up(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, codes: Sequence[str] = ()
) -> tuple[str, ...]:
    """The codes of the badges, among these or among all, that triggers alone do not maintain."""
    _, chosen = prepare(connection, definitions, source, codes)
    return tuple(each.definition.code for each in chosen if each.needs_catch_up)


def award(
    connection: BaseDatabaseWrapper,
    definitions: Sequence[Definition],
    source: str | Path,
    codes: Sequence[str] = (),
    *,
    quiet: bool = False,
) -> Iterator[BackfillProgress]:
    """Award all users who qualify now, badge by badge and batch by batch; each batch is a transaction.

    :param codes: the badges to award; all if empty.
    :param quiet: the events are in the history, but no signal is sent.
    :returns: the progress after each batch, and at the end of each badge one with `is_done`.
    :raises UnknownBadge, OutOfDate, RowsHidden: as `prepare` does.
    """
    target, chosen = prepare(connection, definitions, source, codes)
    if not codes:
        declared = [definition.code for definition in definitions]
        _clear_failures(connection, target, sql.SQL("f.code <> ALL ({})").format(sql.Literal(declared)))
    for analysed in chosen:
        yield from _catch_up_with(connection, target, analysed, quiet=quiet)


def wait_for_writers(connection: BaseDatabaseWrapper, tables: Sequence[Table]) -> tuple[str, ...]:
    """Wait for the transactions that have written to these tables, as they may have begun under other definitions.

    Afterwards their rows are visible; neither their triggers nor an earlier snapshot would have counted them.

    :returns: those that are still open after WRITERS_TIMEOUT, in words.
    """
    deadline = time.monotonic() + WRITERS_TIMEOUT
    oids = [table.oid for table in tables]
    before = locks.writers(connection, oids)
    while before and time.monotonic() < deadline:
        time.sleep(0.05)
        now = locks.writers(connection, oids)
        before = {writer: text for writer, text in before.items() if writer in now}
    return tuple(before.values())


def choose(definitions: Sequence[Definition], codes: Sequence[str], source: str | Path) -> list[Definition]:
    """The declared badges with these codes; all of them if there are none.

    :raises UnknownBadge: a code is not declared.
    """
    by_code = {definition.code: definition for definition in definitions}
    unknown = [code for code in codes if code not in by_code]
    if unknown:
        near = nearest(unknown[0], list(by_code))
        hint = f' Did you mean "{near}"?' if near else f" Its badges are {', '.join(by_code) or 'none'}."
        raise exceptions.UnknownBadge(f'{source} has no badge "{unknown[0]}".{hint}')
    return [by_code[code] for code in codes] if codes else list(definitions)


def _require_in_sync(connection: BaseDatabaseWrapper, chosen: Sequence[Definition]) -> None:
    stored = rows.stored_definitions(connection)
    differing = [definition.code for definition in chosen if stored.get(definition.code) != rows.row(definition)]
    if differing:
        raise exceptions.OutOfDate(
            f"Out of date in the database: {', '.join(differing)}. Run `python manage.py create_badge_triggers` first."
        )


def _require_all_rows(connection: BaseDatabaseWrapper, target: Target, chosen: Sequence[AnalysedDefinition]) -> None:
    """Users whose rows are hidden from this role would be missed silently."""
    if hidden := tables_with_hidden_rows(connection, target, chosen):
        raise exceptions.RowsHidden(
            f'Row-level security may hide rows of {", ".join(hidden)} from the role "{target.role}", so that users '
            "would be missed; nothing was awarded. Run the command as a role that sees all rows: one with BYPASSRLS, "
            "the owner of a table without FORCE ROW LEVEL SECURITY, or one that a policy FOR SELECT USING (true) names."
        )


def tables_with_hidden_rows(
    connection: BaseDatabaseWrapper, target: Target, badges: Sequence[AnalysedDefinition]
) -> tuple[str, ...]:
    """The tables, among those that a backfill reads, of which row-level security may hide rows from this role."""
    tables = {target.users.qualified_name, target.badges.qualified_name}
    for each in badges:
        tables.update({each.table.qualified_name}, each.tables)
    return hidden_tables(connection, target.role, tables)


def why_skipped(analysed: AnalysedDefinition) -> str:
    """Why a badge cannot be awarded by the rows that exist now; empty if it can."""
    if not analysed.definition.active:
        return PAUSED
    return "" if qualifying.facts_of_existing_rows(analysed) else DECIDED_BY_OLD


def _catch_up_with(
    connection: BaseDatabaseWrapper, target: Target, analysed: AnalysedDefinition, *, quiet: bool
) -> Iterator[BackfillProgress]:
    """Award one badge after the open writes to its table have ended, and clear the failures that this makes good.

    Where OLD decides the badge, no run makes them good. Nor where the changed row decides and no pending check could be
    written (55P03): the row may have other values by now.
    """
    [(begun,)] = in_transaction(fetch)(connection, "SELECT clock_timestamp()")
    path = analysed.table.path
    writers = wait_for_writers(connection, [analysed.table, *(path.tables if path else ())])
    for progress in _award_one(connection, target, analysed, quiet=quiet):
        if not progress.is_done:
            yield progress
            continue
        condition = sql.SQL("f.code = {} AND f.last_at < {}").format(sql.Literal(progress.code), sql.Literal(begun))
        cleared = kept = 0
        if progress.skipped or any(check.leaves_check for check in checks(analysed)):
            kept = _count_failures(connection, target, condition)
        elif not progress.error:
            if any(not check.is_state and check.facts.depends_on_its_row for check in checks(analysed)):
                kept = _count_failures(connection, target, condition + sql.SQL(" AND f.sqlstate = '55P03'"))
                condition += sql.SQL(" AND f.sqlstate <> '55P03'")
            cleared = _clear_failures(connection, target, condition)
        yield dataclasses.replace(progress, open_writers=writers, failures_cleared=cleared, failures_kept=kept)


def _award_one(
    connection: BaseDatabaseWrapper, target: Target, analysed: AnalysedDefinition, *, quiet: bool
) -> Iterator[BackfillProgress]:
    definition = analysed.definition
    progress = BackfillProgress(definition.code, 0, 0, estimated_users(connection, target), is_done=False)
    facts = qualifying.facts_of_existing_rows(analysed)
    skipped = why_skipped(analysed)
    if facts is None or skipped:
        yield dataclasses.replace(progress, is_done=True, skipped=skipped)
        return
    if definition.expires_after:
        _delete_expired(connection, target, definition)
    for batch in batches(connection, target, BATCH) if is_indexed(connection, facts) else [Batch(size=progress.users)]:
        try:
            awarded, left = _award_batch(connection, target, analysed, facts, batch, quiet=quiet)
        except DatabaseError as failure:
            if not isinstance(failure.__cause__, psycopg.errors.DataError | psycopg.ProgrammingError):
                raise
            yield dataclasses.replace(progress, is_done=True, error=evaluation.message_of(failure))
            return
        seen = progress.users_seen + batch.size
        progress = dataclasses.replace(
            progress,
            awarded=progress.awarded + awarded,
            left=progress.left + left,
            users_seen=seen,
            users=max(progress.users, seen),
        )
        yield progress
    yield dataclasses.replace(progress, is_done=True, revoked=_revoke(connection, target, analysed))


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """The users whose key is above `after` and up to `last`; None means no bound."""

    size: int
    after: Any = None
    last: Any = None

    def bounds(self, key: sql.Composable) -> list[sql.Composable]:
        """The conditions on a column, or an expression, that holds the key."""
        lower = [] if self.after is None else [key + sql.SQL(" > ") + sql.Literal(self.after)]
        upper = [] if self.last is None else [key + sql.SQL(" <= ") + sql.Literal(self.last)]
        return [*lower, *upper]


def _award_batch(
    connection: BaseDatabaseWrapper,
    target: Target,
    analysed: AnalysedDefinition,
    facts: Facts,
    batch: Batch,
    *,
    quiet: bool,
) -> tuple[int, int]:
    """Award one badge to the users of a batch who qualify.

    :returns: the number of awards, and of users whom a lock of another transaction keeps from theirs: for those there
        is a pending check.
    """
    bounds = batch.bounds(in_key_order(target, sql.Identifier("new", facts.user.name)))
    found = qualifying.query(target, analysed, facts, bounds)
    definition, settings = analysed.definition, {"badges.quiet": "on"} if quiet else {}
    statement = _awarding(target, analysed, found).as_string()
    # Users may be deleted between the snapshot of the statement and its end; the next snapshot does without them.
    for pause in _PAUSES:
        try:
            with evaluation.awarding(
                connection, target, definition, lock_timeout=parts.LOCK_TIMEOUT, **settings
            ) as cursor:
                cursor.execute(statement)
                [awarded] = cursor.fetchone()
                return int(awarded), 0
        except DatabaseError as failure:
            if not parts.is_passing(failure):
                raise
        time.sleep(pause)
    with evaluation.awarding(connection, target, definition, **settings) as cursor:
        return _award_in_parts(connection, cursor, target, analysed, found)


def _awarding(target: Target, analysed: AnalysedDefinition, found: sql.Composable) -> sql.Composed:
    """The statement that awards a badge to those whom the query `found` gives."""
    return template(
        "operations/award_revocable.sql" if analysed.definition.revocable else "operations/award_all.sql"
    ).format(
        badges=target.badges.identifier,
        qualifying=found,
        shortened=database.qualified(target.schema, "badges_shortened"),
        pending=target.pending.identifier,
        code=sql.Literal(analysed.definition.code),
        bucket=runtime.bucket(target, sql.Identifier("awarded", "user_id")),
        lock=sql.Literal(runtime.ADVISORY_LOCK_CLASS),
        tenant=runtime.tenant(target),
        evidence=sql.Literal(qualifying.check_evidence(target)),
    )


def _award_in_parts(
    connection: BaseDatabaseWrapper, cursor: Any, target: Target, analysed: AnalysedDefinition, found: sql.Composable
) -> tuple[int, int]:
    """The same, with the condition evaluated once and the awards in ever smaller parts."""
    cursor.execute(template("operations/hold_qualifying.sql").format(qualifying=found).as_string())
    cursor.execute("SELECT count(*) FROM pg_temp.badges_qualifying")
    [number] = cursor.fetchone()
    awarded = 0

    def award(part: Sequence[int]) -> None:
        nonlocal awarded
        held = template("operations/held_qualifying.sql").format(
            users=target.users.identifier,
            user_key=sql.Identifier(target.user_key.name),
            first=sql.Literal(part[0]),
            last=sql.Literal(part[-1]),
        )
        with database.local_settings(connection, lock_timeout=parts.LOCK_TIMEOUT):
            cursor.execute(_awarding(target, analysed, held).as_string())
            [count] = cursor.fetchone()
        awarded += int(count)

    kept = 0
    for part in parts.each(connection, range(1, number + 1), award):
        kept += len(part)
        statement = template("operations/check_kept.sql").format(
            pending=target.pending.identifier,
            bucket=runtime.bucket(target, sql.Identifier("found", "user_id")),
            code=sql.Literal(analysed.definition.code),
            tenant=runtime.tenant(target),
            evidence=sql.Literal(qualifying.check_evidence(target)),
            first=sql.Literal(part[0]),
            last=sql.Literal(part[-1]),
        )
        cursor.execute(statement.as_string())
    cursor.execute("DROP TABLE pg_temp.badges_qualifying")
    return awarded, kept


def _delete_expired(connection: BaseDatabaseWrapper, target: Target, definition: Definition) -> None:
    """Delete expired badges, so that users can earn them again; those that another transaction locks stay."""
    expired = sql.SQL("SELECT b.id FROM {} AS b WHERE b.code = {} AND b.expires_at <= statement_timestamp()")
    delete = sql.SQL("DELETE FROM {} AS b WHERE b.id = ANY (%s) AND b.expires_at <= statement_timestamp()")
    statement = delete.format(target.badges.identifier).as_string()
    with evaluation.awarding(connection, target, definition, lock_timeout=parts.LOCK_TIMEOUT) as cursor:
        cursor.execute(expired.format(target.badges.identifier, sql.Literal(definition.code)).as_string())
        ids = [id_ for (id_,) in cursor.fetchall()]
        for _ in parts.each(connection, ids, lambda part: cursor.execute(statement, [list(part)])):
            pass


def _revoke(connection: BaseDatabaseWrapper, target: Target, analysed: AnalysedDefinition) -> int:
    """Leave a pending check for each user who would lose a badge, and settle them: each is decided under the lock.

    :returns: the number of badges that were revoked.
    """
    query = qualifying.losing(target, analysed)
    if query is None:
        return 0
    code = sql.Literal(analysed.definition.code)
    statement = template("operations/check_losing.sql").format(
        pending=target.pending.identifier,
        bucket=runtime.bucket(target, sql.Identifier("losing", "user_id")),
        code=code,
        tenant=runtime.tenant(target),
        evidence=sql.Literal(qualifying.check_evidence(target)),
        losing=query,
    )
    held = sql.SQL("SELECT count(*) FROM {} WHERE code = {}").format(target.badges.identifier, code).as_string()
    with evaluation.awarding(connection, target, analysed.definition) as cursor:
        cursor.execute(statement.as_string())
        if not cursor.rowcount:
            return 0
    [(before,)] = fetch(connection, held)
    settle(connection)
    [(after,)] = fetch(connection, held)
    return max(0, int(before) - int(after))


def batches(connection: BaseDatabaseWrapper, target: Target, most: int) -> Iterator[Batch]:
    """All users, in the order of their keys, in batches of at most so many."""
    key = in_key_order(target, sql.Identifier(target.user_key.name))
    after = None
    while True:
        statement = template("operations/batch.sql").format(
            key=key,
            users=target.users.identifier,
            bound=sql.SQL(" AND ").join(Batch(most, after).bounds(key) or [sql.SQL("true")]),
            size=sql.Literal(most),
        )
        [(last, size)] = in_transaction(fetch)(connection, statement.as_string())
        if not size:
            return
        yield Batch(size, after, last)
        after = last


def in_key_order(target: Target, key: sql.Composable) -> sql.Composable:
    """Two columns of text may have collations that order the same keys differently; byte by byte they agree."""
    return key + sql.SQL(' COLLATE "C"') if target.user_key.type in ("text", "character varying") else key


def is_indexed(connection: BaseDatabaseWrapper, facts: Facts) -> bool:
    """Whether the rows of a range of users are found without reading a whole table."""
    return lacks_index(connection, facts) is None


def lacks_index(connection: BaseDatabaseWrapper, facts: Facts) -> tuple[Table, str] | None:
    """The first column, with its table, of those that find the rows of a user, with which no index begins."""
    path = facts.table.path
    columns = [(facts.table, facts.user.name)]
    if path:
        following = [*(hop.column.name for hop in path.hops), path.last.name]
        columns = list(zip((facts.table, *path.tables), following, strict=True))
    for table, column in columns:
        found = fetch(
            connection,
            """
            SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = %s AND a.attname = %s AND i.indisvalid AND i.indpred IS NULL
            """,
            [table.oid, column],
        )
        if not found:
            return table, column
    return None


@in_transaction
def _clear_failures(connection: BaseDatabaseWrapper, target: Target, condition: sql.Composable) -> int:
    """Delete records of failures.

    :returns: how many failures they counted.
    """
    statement = template("operations/clear_failures.sql").format(
        failures=target.failures.identifier, condition=condition, tenant=runtime.tenant(target)
    )
    [(cleared,)] = fetch(connection, statement.as_string())
    return int(cleared)


@in_transaction
def _count_failures(connection: BaseDatabaseWrapper, target: Target, condition: sql.Composable) -> int:
    statement = template("operations/count_failures.sql").format(
        failures=target.failures.identifier, condition=condition, tenant=runtime.tenant(target)
    )
    [(number,)] = fetch(connection, statement.as_string())
    return int(number)


def estimated_users(connection: BaseDatabaseWrapper, target: Target) -> int:
    [(estimate,)] = fetch(connection, "SELECT reltuples::bigint FROM pg_class WHERE oid = %s", [target.users.oid])
    return max(int(estimate), 0)
