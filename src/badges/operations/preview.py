"""Previews of badges: the users who qualify, the cost of a write, warnings. Takes a connection.

All of it runs in read-only transactions under BADGES_PREVIEW_TIMEOUT, except for `in_batches`, which takes its time. A
part that fails or takes too long is reported, and the others follow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.conf import badges_settings
from badges.database import fetch, in_transaction, template, trusted
from badges.definitions.types import Definition
from badges.exceptions import Notice
from badges.facts import analysis, session, watches
from badges.facts.target import describe_target
from badges.facts.types import AnalysedDefinition, Facts, Target, Watched
from badges.functions import qualifying
from badges.installation import pg_cron, rows
from badges.operations import backfill, cost, evaluation

EXAMPLES = 10
"""Users who are named."""

SAMPLES = (1_000, 50)
"""Users of whom a sample consists, if all of them cannot be counted in time; the second, if neither can the first."""

BATCH = 1_000
"""Users who are counted by one statement. Fewer would take longer in all; more, and those counted so far would say less
about the others, as users with neighbouring keys are often alike."""

TINY = 1_000
"""A table with fewer rows may be read sequentially without a warning."""

RULE = ("rule", "revocable", "active", "retired_at")
"""The columns of a stored definition that decide who is awarded, and when."""


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    key: str
    name: str
    """What get_username() gives; the key, if the user cannot be read."""

    def __str__(self) -> str:
        return self.name if self.name == self.key else f"{self.name} ({self.key})"


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """The users of one badge by the rows that exist now. The numbers are None if they could not be had."""

    code: str
    users: int | None
    """All users."""
    qualifying: int | None = None
    new: int | None = None
    """Those of them who lack the badge: `award_badges` would award it to them."""
    awards: int | None = None
    """What they would be awarded; more than `new` where there is one badge for each thing."""
    losers: int | None = None
    """Those who would lose it; None as well while the badge cannot be revoked."""
    new_examples: tuple[Person, ...] = ()
    holder_examples: tuple[Person, ...] = ()
    """Some who qualify, by name: those who lack the badge before those who hold it, ten together."""
    loser_examples: tuple[Person, ...] = ()
    skipped: str = ""
    """Why nothing is counted: existing rows do not decide it, or the badge is paused."""
    error: str = ""
    """Why counting failed: PostgreSQL's message, or the timeout."""
    is_out_of_time: bool = False
    estimated: int | None = None
    """In the place of `new`, if counting took too long: an estimate from a random sample of the users."""
    at_most: int | None = None
    """The number that is exceeded only by a rare chance, by the same sample; None if that is not known."""
    losers_estimated: int | None = None
    """In the place of `losers`, by the same sample."""
    losers_at_most: int | None = None
    sampled: int = 0
    """The size of the sample."""

    def lines(self) -> Iterator[str]:
        if self.skipped:
            yield f"{self.code}: not counted, {self.skipped}"
        elif self.new is None:
            yield f"{self.code}: {self.error}"
            sample = f"an estimate from {self.sampled:,} of {self.users or 0:,} users"
            if self.estimated is not None:
                yield f"    about {self.estimated:,} would be awarded: {sample}"
            if self.losers_estimated is not None:
                yield f"    about {self.losers_estimated:,} would lose it: {sample}"
        else:
            users = f" of {self.users:,} users" if self.users is not None else ""
            badges = f" {self.awards:,} badges" if self.awards not in (None, self.new) else ""
            yield f"{self.code}: {self.new:,} would be awarded{badges}; qualifying now: {self.qualifying:,}{users}"
        if self.losers is not None:
            yield f"    {self.losers:,} would lose it{_some(self.loser_examples, self.losers)}"
        new, holding = self.new or 0, (self.qualifying or 0) - (self.new or 0)
        if self.new_examples:
            yield f"    new{_some(self.new_examples, new)}"
        if self.holder_examples:
            yield f"    hold it already{_some(self.holder_examples, holding)}"


@dataclasses.dataclass(frozen=True, slots=True)
class Preview:
    count: Count
    writes: tuple[cost.Write, ...]
    """The worst case of a write of each event."""
    writes_error: str
    warnings: tuple[Notice, ...]
    """The hint is a statement, a line of a crontab, or a sentence."""
    watches: tuple[str, ...] = ()
    """The further events that cause a check."""
    notes: tuple[str, ...] = ()
    """Remarks on the rest of its rule."""

    @property
    def code(self) -> str:
        return self.count.code

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as JSON has it."""
        found = dataclasses.asdict(self) | {"warnings": [warning.as_dict() for warning in self.warnings]}
        return {**found.pop("count"), **found}

    def lines(self) -> Iterator[str]:
        """The same for people, without the warnings."""
        yield from self.count.lines()
        yield from (f"    {note}" for note in self.notes)
        yield from (f"    also checked after {watch}" for watch in self.watches)
        # Where a check covers the user as a whole, all writes to a table cost the same.
        alike: dict[tuple[str, str], list[str]] = {}
        for write in self.writes:
            alike.setdefault((write.table, write.summary), []).append(write.event)
        for (table, summary), events in alike.items():
            yield f"    each {' or '.join(events)}{f' on {table}' if table else ''} {summary}"
        if self.writes_error:
            yield f"    the cost of a write: {self.writes_error}"


def _some(people: Sequence[Person], number: int) -> str:
    """A few of so many by name."""
    return f": {', '.join(map(str, people))}{', ...' if number > len(people) else ''}" if people else ""


@in_transaction
def of_changed(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path
) -> tuple[Preview, ...]:
    """The badges that `changed` gives."""
    return of(connection, *_analysed(connection, changed(connection, definitions), source))


def changed(connection: BaseDatabaseWrapper, definitions: Sequence[Definition]) -> list[Definition]:
    """Those that are new in the database, or whose rule differs from what is installed."""
    stored = rows.stored_definitions(connection)
    found = []
    for definition in definitions:
        row, old = rows.row(definition), stored.get(definition.code)
        if old is None or any(old[name] != row[name] for name in RULE):
            found.append(definition)
    return found


@in_transaction
def of_chosen(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, codes: Sequence[str]
) -> tuple[Preview, ...]:
    """The badges that `backfill.award` would award with the same arguments; raises what it would raise."""
    return of(connection, *backfill.prepare(connection, definitions, source, codes))


def of(connection: BaseDatabaseWrapper, target: Target, badges: Sequence[AnalysedDefinition]) -> tuple[Preview, ...]:
    users = count_users(connection, target) if badges else None
    return tuple(_preview(connection, target, analysed, users) for analysed in badges)


def _preview(
    connection: BaseDatabaseWrapper, target: Target, analysed: AnalysedDefinition, users: int | None
) -> Preview:
    counted = count(connection, target, analysed, users)
    if not analysed.definition.active:
        # No write checks it.
        return Preview(counted, (), "", ())
    writes: tuple[cost.Write, ...] = ()
    error = ""
    try:
        with _read_only(connection, target), evaluation.pinned(connection, target, analysed.definition):
            writes = cost.of_writes(connection, target, analysed)
    except DatabaseError as failure:
        error, _ = _reason(failure, "estimated")
    return Preview(
        counted,
        writes,
        error,
        warnings=(*_warnings(connection, target, analysed, writes), *_too_slow(connection, target, analysed)),
        watches=tuple(map(_watch, analysed.watches)),
        notes=tuple(_notes(target, analysed)),
    )


def _watch(watched: Watched) -> str:
    table = watched.table.qualified_name
    return f"{', '.join(watched.events)} on {table}, for {watched.user.name} ({watched.reason})"


def _notes(target: Target, analysed: AnalysedDefinition) -> Iterator[str]:
    definition, per = analysed.definition, analysed.primary.per
    if path := analysed.table.path:
        yield f"for the user at the end of {path}, whom each write of {analysed.table.qualified_name} looks up"
    if per:
        yield f"one badge for each {per.name} of {analysed.table.qualified_name}"
    if definition.expires_after:
        yield f"ends after {definition.expires_after}, and can be earned again"
    if any(session.ZONE in facts.settings for facts in analysed.facts.values()):
        yield f"days and hours are those of {target.zone_of(definition)}"


def count_users(connection: BaseDatabaseWrapper, target: Target) -> int | None:
    """All users; None if they cannot be counted in time."""
    query = sql.SQL("SELECT count(*) FROM {}").format(target.users.identifier)
    try:
        with _read_only(connection, target):
            return int(fetch(connection, query.as_string())[0][0])
    except DatabaseError as failure:
        _reason(failure, "counted")
        return None


def count(
    connection: BaseDatabaseWrapper,
    target: Target,
    analysed: AnalysedDefinition,
    users: int | None,
    *,
    only_new: bool = False,
) -> Count:
    """Count the users of one badge, and name some. Changes nothing, whatever the condition calls.

    :param only_new: ask the condition for those alone who lack the badge, as `backfill.award` does. That is cheaper;
        `qualifying` stays None.
    """
    counted = Count(analysed.definition.code, users)
    facts, skipped = qualifying.facts_of_existing_rows(analysed), backfill.why_skipped(analysed)
    if facts is None or skipped:
        return dataclasses.replace(counted, skipped=skipped)
    if hidden := backfill.tables_with_hidden_rows(connection, target, [analysed]):
        message = f'not counted, as row-level security may hide rows of {", ".join(hidden)} from "{target.role}"'
        return dataclasses.replace(counted, error=message)
    try:
        with _read_only(connection, target), evaluation.pinned(connection, target, analysed.definition):
            found = _find(connection, target, analysed, facts, only_new=only_new)
        counted = _exactly(connection, target, counted, found)
    except DatabaseError as failure:
        error, is_out_of_time = _reason(failure, "counted")
        counted = dataclasses.replace(counted, error=error, is_out_of_time=is_out_of_time)
        return _estimate(connection, target, analysed, facts, counted) if is_out_of_time else counted
    return dataclasses.replace(counted, qualifying=None) if only_new else counted


def in_batches(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, previews: Sequence[Preview]
) -> Iterator[Preview]:
    """Count without a limit of time where counting took too long: batch by batch, each in a transaction of its own.

    The batches come in random order, so that those counted so far are a sample of the users.

    :param previews: those of these definitions, or of some of them.
    :returns: for each badge whose users could not be counted in time, its preview as it was; after each batch one with
        an estimate from the users counted so far; after the last batch one with the numbers.
    """
    uncounted = {each.code: each for each in previews if each.count.is_out_of_time}
    if not uncounted:
        return
    chosen = [definition for definition in definitions if definition.code in uncounted]
    target, badges = _analysed(connection, chosen, source)
    batches = list(backfill.batches(connection, target, BATCH))
    random.shuffle(batches)
    for analysed in badges:
        shown = uncounted[analysed.definition.code]
        yield shown
        for counted in _count_in_batches(connection, target, analysed, shown.count, batches):
            yield dataclasses.replace(shown, count=counted)


@in_transaction
def _analysed(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path
) -> tuple[Target, tuple[AnalysedDefinition, ...]]:
    target = describe_target(connection)
    return target, analysis.analyse(connection, target, definitions, str(source))


def _count_in_batches(
    connection: BaseDatabaseWrapper,
    target: Target,
    analysed: AnalysedDefinition,
    counted: Count,
    batches: Sequence[backfill.Batch],
) -> Iterator[Count]:
    facts = qualifying.facts_of_existing_rows(analysed)
    if facts is None:
        return
    users, seen, found = sum(batch.size for batch in batches), 0, _Found()
    if not backfill.is_indexed(connection, facts):
        # Each batch would read the whole table.
        batches = [backfill.Batch(users)]
    try:
        for batch in batches:
            with (
                evaluation.read_only(connection, target, timeout=0),
                evaluation.pinned(connection, target, analysed.definition),
            ):
                found += _find(connection, target, analysed, facts, _of_batch(target, batch))
            seen += batch.size
            # The margin of a sample that consists of ranges of keys is not known.
            yield dataclasses.replace(
                _projected(counted, found, seen, users),
                error="not counted to the end",
                at_most=None,
                losers_at_most=None,
            )
        yield _exactly(connection, target, Count(counted.code, users), found)
    except DatabaseError as failure:
        error, is_out_of_time = _reason(failure, "counted")
        yield dataclasses.replace(counted, error=error, is_out_of_time=is_out_of_time)


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """The numbers of a `Count` for some users, or for all, with the keys of examples."""

    qualifying: int = 0
    new: int = 0
    awards: int = 0
    lacking: tuple[str, ...] = ()
    holding: tuple[str, ...] = ()
    losers: int | None = None
    losing: tuple[str, ...] = ()

    def __add__(self, other: _Found) -> _Found:
        """The same for these users and others."""
        return _Found(
            self.qualifying + other.qualifying,
            self.new + other.new,
            self.awards + other.awards,
            (self.lacking + other.lacking)[:EXAMPLES],
            (self.holding + other.holding)[:EXAMPLES],
            None if other.losers is None else (self.losers or 0) + other.losers,
            (self.losing + other.losing)[:EXAMPLES],
        )


_Bounds = Callable[[sql.Composable], Sequence[sql.Composable]]
"""Takes a column that holds a user; gives the conditions on it."""


def _of_all(user: sql.Composable) -> Sequence[sql.Composable]:
    return ()


def _of_batch(target: Target, batch: backfill.Batch) -> _Bounds:
    return lambda user: batch.bounds(backfill.in_key_order(target, user))


def _of_sample(target: Target, keys: Sequence[str]) -> _Bounds:
    array = sql.SQL("{}::{}[]").format(sql.Literal(list(keys)), trusted(target.user_key.type))
    return lambda user: [sql.SQL("{} = ANY ({})").format(user, array)]


def _find(
    connection: BaseDatabaseWrapper,
    target: Target,
    analysed: AnalysedDefinition,
    facts: Facts,
    bounds: _Bounds = _of_all,
    *,
    only_new: bool = False,
) -> _Found:
    """Those of the users within the bounds who qualify for a badge, lack it or would lose it.

    :param only_new: ask the condition for those alone who lack the badge.
    """
    user, thing = sql.Identifier("qualifying", "user_id"), sql.Identifier("qualifying", "thing")
    rows = bounds(sql.Identifier("new", facts.user.name))
    query = template("operations/preview.sql").format(
        qualifying=qualifying.query(target, analysed, facts, rows, lacking=only_new, is_installed=False),
        lacks=sql.SQL("true") if only_new else qualifying.lacks(target, analysed.definition, user, thing),
        size=sql.Literal(EXAMPLES),
    )
    [(qualify, new, awards, lacking, holding)] = fetch(connection, query.as_string())
    found = _Found(qualify, new, awards, tuple(lacking), tuple(holding))
    losing = qualifying.losing(target, analysed, bounds(sql.Identifier("b", "user_id")))
    if losing is None:
        return found
    query = template("operations/preview_losing.sql").format(losing=losing, size=sql.Literal(EXAMPLES))
    [(losers, examples)] = fetch(connection, query.as_string())
    return dataclasses.replace(found, losers=losers, losing=tuple(examples))


def _exactly(connection: BaseDatabaseWrapper, target: Target, counted: Count, found: _Found) -> Count:
    """The count, if all users were searched."""
    lacking = found.lacking[:EXAMPLES]
    holding = found.holding[: EXAMPLES - len(lacking)]
    names = _names(connection, target, [*lacking, *holding, *found.losing])
    return dataclasses.replace(
        counted,
        qualifying=found.qualifying,
        new=found.new,
        awards=found.awards,
        losers=found.losers,
        new_examples=tuple(names[key] for key in lacking),
        holder_examples=tuple(names[key] for key in holding),
        loser_examples=tuple(names[key] for key in found.losing),
    )


def _estimate(
    connection: BaseDatabaseWrapper, target: Target, analysed: AnalysedDefinition, facts: Facts, counted: Count
) -> Count:
    """The count with an estimate of the users who would be awarded the badge or lose it, if a sample can be counted."""
    users = counted.users or backfill.estimated_users(connection, target)
    for size in SAMPLES if users else ():
        sample = template("operations/sample.sql").format(
            user_key=sql.Identifier(target.user_key.name),
            users=target.users.identifier,
            percent=sql.Literal(min(100.0, 100 * size / users)),
        )
        try:
            with _read_only(connection, target), evaluation.pinned(connection, target, analysed.definition):
                keys = [key for (key,) in fetch(connection, sample.as_string())]
                found = _find(connection, target, analysed, facts, _of_sample(target, keys), only_new=True)
        except DatabaseError as failure:
            _reason(failure, "estimated")
            continue
        if keys:
            return _projected(counted, found, len(keys), users)
    return counted


def _projected(counted: Count, found: _Found, sampled: int, users: int) -> Count:
    """The count with an estimate for all users from what was found among a sample of them."""

    def about(number: int) -> int:
        return round(number / sampled * users)

    def at_most(number: int) -> int:
        # Two standard deviations of a number of rare events, and three where there is none.
        return round(min(number + 2 * math.sqrt(number) + 3, sampled) / sampled * users)

    return dataclasses.replace(
        counted,
        users=users,
        estimated=about(found.new),
        at_most=at_most(found.new),
        losers_estimated=None if found.losers is None else about(found.losers),
        losers_at_most=None if found.losers is None else at_most(found.losers),
        sampled=sampled,
    )


def _read_only(connection: BaseDatabaseWrapper, target: Target) -> contextlib.AbstractContextManager[None]:
    return evaluation.read_only(connection, target, badges_settings.BADGES_PREVIEW_TIMEOUT)


def _reason(failure: DatabaseError, verb: str) -> tuple[str, bool]:
    """Why a query failed, and whether it was for lack of time."""
    cause = failure.__cause__
    # Without a connection, or a SQLSTATE from PostgreSQL, the command cannot proceed.
    if not isinstance(cause, psycopg.Error) or cause.sqlstate is None:
        raise failure
    match cause:
        case psycopg.errors.QueryCanceled():
            return f"not {verb} within {badges_settings.BADGES_PREVIEW_TIMEOUT} ms (BADGES_PREVIEW_TIMEOUT)", True
        case psycopg.errors.LockNotAvailable():
            return f"not {verb}, as a table is locked against readers", True
        case psycopg.errors.AdminShutdown() | psycopg.errors.CrashShutdown():
            raise failure
    return f"not {verb}: {cause.diag.message_primary}", False


def _names(connection: BaseDatabaseWrapper, target: Target, keys: Sequence[str]) -> dict[str, Person]:
    if not keys:
        return {}
    model = get_user_model()
    names: dict[str, str] = {}
    try:
        with _read_only(connection, target):
            users = model._base_manager.using(connection.alias).only("pk", model.USERNAME_FIELD)
            names = {str(user.pk): user.get_username() for user in users.filter(pk__in=keys)}
    except DatabaseError as failure:
        _reason(failure, "named")
    return {key: Person(key, str(names.get(key, key))) for key in keys}


def _warnings(
    connection: BaseDatabaseWrapper, target: Target, analysed: AnalysedDefinition, writes: Sequence[cost.Write]
) -> Iterator[Notice]:
    schedule = pg_cron.crontab_line(connection.alias)
    indexes = set()
    for read in {(read.table, read.index): read for write in writes for read in write.reads}.values():
        if read.is_whole and read.table_rows > TINY:
            indexes.add(read.index)
            rows = f"about {read.table_rows:,} rows"
            yield Notice(f"No index serves: each write reads the whole of {read.table}, {rows}.", _index(read))
    facts = qualifying.facts_of_existing_rows(analysed)
    if facts and (lacking := backfill.lacks_index(connection, facts)):
        table, column = lacking
        index = cost.create_index(table.schema, table.name, (column,), is_partitioned=table.is_partitioned)
        if index not in indexes:
            yield Notice(
                f"No index of {table.qualified_name} begins with {column}: award_badges processes all users "
                "in one statement, in one transaction.",
                index,
            )
    if sentence := watches.forgotten(analysed):
        user = analysed.primary.user.name
        yield Notice(sentence, f"Is a WHERE missing? WHERE {user} = NEW.{user}")
    for sentence in watches.unnoticed(analysed):
        yield Notice(sentence, schedule)


def _too_slow(connection: BaseDatabaseWrapper, target: Target, analysed: AnalysedDefinition) -> Iterator[Notice]:
    """The warning of a check that takes longer than BADGES_BUDGET for the user with the most rows."""
    if not target.budget:
        return
    try:
        with _read_only(connection, target), evaluation.pinned(connection, target, analysed.definition):
            took = cost.measure(connection, target, analysed)
    except DatabaseError as failure:
        if not _reason(failure, "measured")[1]:
            return  # the count of the users reports it
        took = float(badges_settings.BADGES_PREVIEW_TIMEOUT)
    if took <= target.budget:
        return
    message = f"A write waits {took:,.0f} ms or more for this check; BADGES_BUDGET is {target.budget:,} ms."
    if analysed.primary.is_cross_row:
        code = analysed.definition.code
        yield Notice(
            f"{message} Three such writes defer the badge.",
            f"Make the condition faster, or defer it before any write: python manage.py award_badges {code} --defer",
        )
    else:
        yield Notice(message, "Make the condition faster: what the changed row alone decides is never deferred.")


def _index(read: cost.Read) -> str:
    if read.index:
        return read.index
    if not read.is_filtered:
        return "No index helps: the condition asks for all of its rows."
    return "No index can be proposed: the condition compares no column of it for equality."
