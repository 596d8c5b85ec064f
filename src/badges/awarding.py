"""Awards by the rows that exist now, set-based and in batches. Takes a connection."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges import analysis, catalog, checked, exceptions, mirror, qualifying, routines, site
from badges.analysis import AnalysedDefinition, Facts
from badges.conf import badges_settings
from badges.database import fetch, fetch_file, qualified, read_committed, template
from badges.definitions import Definition
from badges.site import Site, Table

BATCH = 10_000
"""Users who are looked at in one transaction."""

DECIDED_BY_OLD = "it is decided by a row that no longer exists (OLD)"
PAUSED = "it is paused (active is false)"

SETTLE_BATCH = 100
"""Pending checks that are settled in one transaction; their users are locked until it ends."""


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """Where the awarding of one badge stands."""

    code: str
    awarded: int
    """Users who were awarded it so far."""
    users_seen: int
    users: int
    """About how many users there are; PostgreSQL's estimate."""
    is_done: bool
    taken_back: int = 0
    """Badges that were taken back, as their condition holds no more."""
    skipped: str = ""
    """Why the badge cannot be awarded by the rows that exist now."""
    error: str = ""
    """PostgreSQL's message, if the condition failed; the batch that it failed in awarded nothing."""
    open_writers: tuple[str, ...] = ()
    """Transactions that were writing when the awarding began, and are still open: what they wrote is not counted."""
    failures_cleared: int = 0
    """How many failures of writes were on record, and are not any more: a sound run has caught up with them."""


def prepare(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, codes: Sequence[str] = ()
) -> tuple[Site, tuple[AnalysedDefinition, ...]]:
    """The site, and the badges with these codes (all if there are none), fit to be awarded.

    :raises UnknownBadge: a code is not in the file.
    :raises NotInLine: a badge is not installed as the file declares it.
    :raises RowsHidden: row-level security hides rows from the current role.
    """
    chosen = _choose(definitions, codes, source)
    here = site.describe(connection)
    _require_in_line(connection, chosen)
    analysed = analysis.analyse(connection, here, chosen, str(source))
    _require_all_rows(connection, here, analysed)
    return here, analysed


def award(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, codes: Sequence[str] = ()
) -> Iterator[Progress]:
    """Award everyone who qualifies now, badge by badge and batch by batch; each batch is a transaction.

    :param codes: the badges to award; all if empty.
    :returns: the progress after each batch, and at the end of each badge one with `is_done`.
    :raises UnknownBadge, NotInLine, RowsHidden: as `prepare` does.
    """
    here, chosen = prepare(connection, definitions, source, codes)
    if not codes:
        declared = {definition.code for definition in definitions}
        _forget_failures(connection, here, sql.SQL("code <> ALL ({})").format(sql.Literal([*declared])))
    for analysed in chosen:
        [(begun,)] = fetch(connection, "SELECT clock_timestamp()")
        caught_up_with = sql.SQL("code = {} AND last_at < {}").format(
            sql.Literal(analysed.definition.code), sql.Literal(begun)
        )
        writers = wait_for_writers(connection, [analysed.table])
        for progress in _award_one(connection, here, analysed):
            if not progress.is_done:
                yield progress
                continue
            # What cannot be caught up with is forgotten, too: it has been told, and would be told for ever.
            cleared = 0 if progress.error else _forget_failures(connection, here, caught_up_with)
            yield dataclasses.replace(progress, open_writers=writers, failures_cleared=cleared)


def settle(connection: BaseDatabaseWrapper) -> tuple[int, int]:
    """Settle the pending checks that other transactions left, in batches that commit.

    :returns: how many are settled, and how many have to wait because a transaction that is still open keeps them, or
        because their condition failed.
    """
    here = site.describe(connection)
    function = qualified(here.schema, "badges_settle")
    total = 0
    buckets = sql.SQL("SELECT DISTINCT bucket FROM {} ORDER BY bucket").format(here.pending.identifier)
    # Bucket by bucket, so that checks which have to wait do not stand before others.
    for (bucket,) in fetch(connection, buckets.as_string()):
        query = sql.SQL("SELECT settled, kept FROM {}(ARRAY[{}], {})").format(
            function, sql.Literal(bucket), sql.Literal(SETTLE_BATCH)
        )
        settled = kept = SETTLE_BATCH
        while settled and settled + kept >= SETTLE_BATCH:
            with read_committed(connection):
                [(settled, kept)] = fetch(connection, query.as_string())
            total += settled
    remaining = sql.SQL("SELECT count(*) FROM {}").format(here.pending.identifier)
    return total, int(fetch(connection, remaining.as_string())[0][0])


def wait_for_writers(connection: BaseDatabaseWrapper, tables: Sequence[Table]) -> tuple[str, ...]:
    """Wait for the transactions that are writing to these tables now, as they may have begun under other definitions.

    What they write is then seen, where neither the definitions of then nor an earlier snapshot would have counted it.

    :returns: those that are still open after BADGES_LOCK_TIMEOUT, in words.
    """
    deadline = time.monotonic() + badges_settings.BADGES_LOCK_TIMEOUT / 1000
    oids = [table.oid for table in tables]
    before = dict(fetch_file(connection, "open_writers.sql", tables=oids))
    while before and time.monotonic() < deadline:
        time.sleep(0.05)
        now = dict(fetch_file(connection, "open_writers.sql", tables=oids))
        before = {writer: text for writer, text in before.items() if writer in now}
    return tuple(before.values())


def _choose(definitions: Sequence[Definition], codes: Sequence[str], source: str | Path) -> list[Definition]:
    by_code = {definition.code: definition for definition in definitions}
    unknown = [code for code in codes if code not in by_code]
    if unknown:
        near = site.nearest(unknown[0], list(by_code))
        hint = f' Did you mean "{near}"?' if near else f" Its badges are {', '.join(by_code) or 'none'}."
        raise exceptions.UnknownBadge(f'{source} has no badge "{unknown[0]}".{hint}')
    return [by_code[code] for code in codes] if codes else list(definitions)


def _require_in_line(connection: BaseDatabaseWrapper, chosen: Sequence[Definition]) -> None:
    stored = catalog.stored_definitions(connection)
    differing = [definition.code for definition in chosen if stored.get(definition.code) != mirror.row(definition)]
    if differing:
        raise exceptions.NotInLine(
            f"Not installed as the file declares them: {', '.join(differing)}. "
            "Run `python manage.py create_badge_triggers` first."
        )


def _require_all_rows(connection: BaseDatabaseWrapper, here: Site, chosen: Sequence[AnalysedDefinition]) -> None:
    """What is hidden from this role would be missed without a word."""
    tables = {here.users.qualified_name, here.badges.qualified_name}
    for each in chosen:
        tables.update({each.table.qualified_name}, *(facts.tables for facts in each.facts.values()))
    if hidden := catalog.hidden_tables(connection, here.role, tables):
        raise exceptions.RowsHidden(
            f'Row-level security may hide rows of {", ".join(hidden)} from the role "{here.role}", so that users would '
            "be missed; nothing was awarded. Run the command as a role that sees all rows: one with BYPASSRLS, the "
            "owner of a table without FORCE ROW LEVEL SECURITY, or one that a policy FOR SELECT USING (true) names."
        )


def _award_one(connection: BaseDatabaseWrapper, here: Site, analysed: AnalysedDefinition) -> Iterator[Progress]:
    definition = analysed.definition
    facts = qualifying.facts_of_existing_rows(analysed)
    users = estimated_users(connection, here)
    if facts is None or not definition.active:
        reason = DECIDED_BY_OLD if definition.active else PAUSED
        yield Progress(definition.code, 0, 0, users, is_done=True, skipped=reason)
        return
    if definition.expires_after:
        _end_expired(connection, here, definition)
    awarded, seen, taken_back, error = 0, 0, 0, ""
    batches = _batches(connection, here) if is_indexed(connection, facts) else iter([(None, None, users)])
    for after, last, size in batches:
        try:
            awarded += _award_batch(connection, here, analysed, facts, after, last)
        except DatabaseError as failure:
            if not isinstance(failure.__cause__, psycopg.errors.DataError | psycopg.ProgrammingError):
                raise
            error = str(failure.__cause__.diag.message_primary)
            break
        seen += size
        yield Progress(definition.code, awarded, seen, max(users, seen), is_done=False)
    if not error:
        taken_back = _take_back(connection, here, analysed)
    yield Progress(definition.code, awarded, seen, max(users, seen), is_done=True, error=error, taken_back=taken_back)


def _award_batch(
    connection: BaseDatabaseWrapper, here: Site, analysed: AnalysedDefinition, facts: Facts, after: Any, last: Any
) -> int:
    """Award one badge to the users whose key is above `after` and up to `last`; None means no bound."""
    key = _in_key_order(here, sql.Identifier("new", facts.user.name))
    bounds = []
    if after is not None:
        bounds.append(key + sql.SQL(" > ") + sql.Literal(after))
    if last is not None:
        bounds.append(key + sql.SQL(" <= ") + sql.Literal(last))
    with _as_the_functions(connection, here) as cursor:
        cursor.execute(
            sql.SQL("INSERT INTO {} (user_id, code, thing, evidence, expires_at)\n{}\nON CONFLICT DO NOTHING")
            .format(here.badges.identifier, qualifying.query(here, analysed, facts, bounds))
            .as_string()
        )
        return int(cursor.rowcount)


def _end_expired(connection: BaseDatabaseWrapper, here: Site, definition: Definition) -> None:
    """Let go of what has expired, so that it can be earned again."""
    statement = sql.SQL("DELETE FROM {} AS b WHERE b.code = {} AND b.expires_at <= statement_timestamp()")
    with connection.cursor() as cursor:
        cursor.execute(statement.format(here.badges.identifier, sql.Literal(definition.code)).as_string())


def _take_back(connection: BaseDatabaseWrapper, here: Site, analysed: AnalysedDefinition) -> int:
    """Leave a pending check for whoever would lose a badge, and settle them: so they are looked at under the lock.

    :returns: how many badges were taken back.
    """
    query = qualifying.losing(here, analysed)
    if query is None:
        return 0
    code = sql.Literal(analysed.definition.code)
    statement = template("check_losing.sql").format(
        pending=here.pending.identifier,
        bucket=routines.bucket(here, sql.Identifier("losing", "user_id")),
        code=code,
        evidence=sql.Literal(json.dumps({"operation": "award_badges", "asks": checked.STATE})),
        losing=query,
    )
    held = sql.SQL("SELECT count(*) FROM {} WHERE code = {}").format(here.badges.identifier, code).as_string()
    with _as_the_functions(connection, here) as cursor:
        cursor.execute(statement.as_string())
        if not cursor.rowcount:
            return 0
    [(before,)] = fetch(connection, held)
    settle(connection)
    [(after,)] = fetch(connection, held)
    return max(0, int(before) - int(after))


@contextlib.contextmanager
def _as_the_functions(connection: BaseDatabaseWrapper, here: Site) -> Iterator[Any]:
    """A transaction in which conditions are read as the generated functions read them."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL search_path = {here.function_search_path}")
        yield cursor


def _batches(connection: BaseDatabaseWrapper, here: Site) -> Iterator[tuple[Any, Any, int]]:
    """The users in the order of their keys: the last key of the batch before, the last of this one, and its size."""
    query = sql.SQL(
        "SELECT (array_agg(key ORDER BY key DESC))[1], count(*) "  # not every type of key has max()
        "FROM (SELECT {key} AS key FROM {users} WHERE {bound} ORDER BY {key} LIMIT {size}) AS batch"
    )
    key = _in_key_order(here, sql.Identifier(here.user_key.name))
    after = None
    while True:
        bound = sql.SQL("true") if after is None else key + sql.SQL(" > ") + sql.Literal(after)
        statement = query.format(key=key, users=here.users.identifier, bound=bound, size=sql.Literal(BATCH))
        [(last, size)] = fetch(connection, statement.as_string())
        if not size:
            return
        yield after, last, size
        after = last


def _in_key_order(here: Site, key: sql.Composable) -> sql.Composable:
    """Two columns of text may have collations that order the same keys differently; byte by byte they agree."""
    return key + sql.SQL(' COLLATE "C"') if here.user_key.type in ("text", "character varying") else key


def is_indexed(connection: BaseDatabaseWrapper, facts: Facts) -> bool:
    """Whether the rows of a range of users are found without reading the whole table."""
    return bool(
        fetch(
            connection,
            """
            SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = %s AND a.attname = %s AND i.indisvalid AND i.indpred IS NULL
            """,
            [facts.table.oid, facts.user.name],
        )
    )


def _forget_failures(connection: BaseDatabaseWrapper, here: Site, condition: sql.Composable) -> int:
    """Forget failures; how many there were."""
    # A row that a writer is counting in has just failed again; waiting for that writer would serve nobody.
    statement = sql.SQL(
        "WITH cleared AS (DELETE FROM {failures} WHERE id IN ("
        "SELECT id FROM {failures} WHERE {condition} FOR UPDATE SKIP LOCKED"
        ") RETURNING occurrences) SELECT coalesce(sum(occurrences), 0)::bigint FROM cleared"
    ).format(failures=here.failures.identifier, condition=condition)
    [(cleared,)] = fetch(connection, statement.as_string())
    return int(cleared)


def estimated_users(connection: BaseDatabaseWrapper, here: Site) -> int:
    [(estimate,)] = fetch(connection, "SELECT reltuples::bigint FROM pg_class WHERE oid = %s", [here.users.oid])
    return max(int(estimate), 0)
