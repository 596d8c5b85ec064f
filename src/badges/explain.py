"""Why one user holds a badge, or does not. Takes a connection; reads only."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges import analysis, catalog, exceptions, expressions, qualifying, routines, site, status
from badges.analysis import AnalysedDefinition
from badges.catalog import RecordedFailure
from badges.database import fetch, fetch_file, rolled_back, template, trusted
from badges.definitions import Definition
from badges.site import Site
from badges.status import Problem, State

STATEMENT_TIMEOUT = 5_000
"""Milliseconds that one statement may take."""

MOST_ROWS = 1_000
"""Rows of the user at which the condition is looked at, those alike counted once."""

EVENTS = 5
"""The last events that are told."""


@dataclasses.dataclass(frozen=True, slots=True)
class Happening:
    """One event of the history."""

    kind: str
    at: datetime | None
    cause: str
    actor: str
    reason: str
    evidence: Any
    rule: str

    def __str__(self) -> str:
        by = f" by {self.actor}" if self.actor else ""
        why = f": {self.reason}" if self.reason else ""
        return f"{_time(self.at)}  {self.kind}  {self.cause}{by}{why}"


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What the condition gives for a row of the user now, and what it reads of it."""

    value: bool | None
    columns: Mapping[str, Any]

    def __str__(self) -> str:
        return "  ".join(filter(None, [_word(self.value), _values(self.columns)]))


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    code: str
    name: str
    user: Any
    """The key of the user."""
    username: str
    is_held: bool
    since: datetime | None
    award: Happening | None
    """The event of the award, if the user holds the badge."""
    has_same_rule: bool | None
    """Whether the rule of the award is that of today; None if the award does not tell its rule."""
    condition: str
    checked: str
    """After which writes."""
    rows: tuple[Row, ...]
    """The rows of the user, if the badge is not held, up to MOST_ROWS."""
    undecided: str
    """Why the condition cannot be looked at now."""
    error: str
    """What it raised."""
    pending: int
    pending_since: datetime | None
    lock_holders: tuple[str, ...]
    """The transactions that keep pending checks from being settled."""
    failures: tuple[RecordedFailure, ...]
    """Of the badge, for whichever users."""
    events: tuple[Happening, ...]
    """The last events of this user and badge, the newest first."""
    problems: tuple[Problem, ...]

    @property
    def qualifies(self) -> bool:
        return any(row.value for row in self.rows)

    @property
    def remedies(self) -> tuple[str, ...]:
        """What to do, in this order, so that the user gets the badge; empty if nothing is wrong."""
        found = [problem.remedy for problem in self.problems if problem.remedy]
        if self.is_held:
            return tuple(dict.fromkeys(found))
        if self.error:
            found.append("Mend the condition in the badge file; then python manage.py create_badge_triggers")
        if self.lock_holders:
            found.append(f"Wait until the open transaction has ended, or end it: {', '.join(self.lock_holders)}")
        if self.pending:
            found.append("python manage.py award_badges --settle")
        is_in_force = all(problem.state is not State.RETIRED for problem in self.problems)
        if self.qualifies and is_in_force:
            found.append(f"python manage.py award_badges {self.code}")
        return tuple(dict.fromkeys(found))

    def as_dict(self) -> dict[str, Any]:
        """For JSON: times in ISO 8601, the key of the user as text unless it is a number."""
        found = dataclasses.asdict(self)
        found["user"] = self.user if isinstance(self.user, int) else str(self.user)
        found["problems"] = [problem.as_dict() for problem in self.problems]
        found["remedies"] = list(self.remedies)
        return dict(_plain(found))

    def as_text(self) -> str:
        """For people."""
        who, what = f"{self.username} (user {self.user})", f'"{self.name}" ({self.code})'
        if self.is_held:
            lines = [f"{who} holds {what} since {_time(self.since)}.", *self._award_lines()]
        else:
            lines = [f"{who} does not hold {what}.", *self._check_lines()]
        if self.events:
            lines += ["  History, the newest first:", *(f"    {event}" for event in self.events)]
        lines += [f"  Problem: {problem.message}" for problem in self.problems]
        lines += [f"  What to do: {remedy}" for remedy in self.remedies]
        return "\n".join(map(status.in_one_line, lines))

    def _award_lines(self) -> Iterator[str]:
        if self.award is None:
            yield "  The history does not tell how it was awarded."
            return
        by = f" by {self.award.actor}" if self.award.actor else ""
        yield f"  Awarded: {self.award.cause}{by}{f': {self.award.reason}' if self.award.reason else ''}"
        if values := _values(self.award.evidence):
            yield f"  With: {values}"
        if self.award.rule:
            today = "as today" if self.has_same_rule else "which has changed since"
            yield f"  Rule: version {self.award.rule}, {today}"

    def _check_lines(self) -> Iterator[str]:
        if self.condition:
            yield f"  Condition: {' '.join(self.condition.split())}"
            yield f"  Checked after: {self.checked}"
            yield f"  Now: {self._verdict()}"
            # Where all rows give the same, and for the same reason, one line says it all.
            for row in self.rows[:EVENTS] if len(self.rows) > 1 or any(row.columns for row in self.rows) else ():
                yield f"    {row}"
        if self.pending:
            checks = "1 check" if self.pending == 1 else f"{self.pending:,} checks"
            yield f"  Pending: {checks}, left at {_time(self.pending_since)}"
        for failure in self.failures:
            yield f"  Failed: {failure}"

    def _verdict(self) -> str:
        if self.error:
            return f"it fails: {self.error}"
        if self.undecided:
            return f"it cannot be said: {self.undecided}"
        if not self.rows:
            return "the table has no row of the user"
        values = [row.value for row in self.rows]
        if len(set(values)) == 1:
            return _word(values[0])
        counts = (f"{_word(value)} for {values.count(value):,}" for value in (True, False, None) if value in values)
        return f"{', '.join(counts)} of {len(values):,} rows of the user (rows alike counted once)"


def explain(
    connection: BaseDatabaseWrapper, definitions: Sequence[Definition], source: str | Path, code: str, user: Any
) -> Explanation:
    """Say why a user holds a badge or does not.

    :param user: the primary key of a user, or else the username.
    :raises UnknownBadge: neither the file nor the database knows the code.
    :raises UnknownUser: there is no such user.
    :raises NotMigrated: the tables of the app are missing.
    """
    here = site.describe(connection)
    stored = catalog.stored_definitions(connection)
    definition = next((each for each in definitions if each.code == code), None)
    if definition is None and code not in stored:
        near = site.nearest(code, [*(each.code for each in definitions), *stored])
        hint = f' Did you mean "{near}"?' if near else ""
        raise exceptions.UnknownBadge(f'Neither {source} nor the database has a badge "{code}".{hint}')
    problems = list(
        status.problems(
            code, definition, stored.get(code), status.functions_of(code, catalog.installed(connection, here))
        )
    )
    analysed = None
    if definition:
        try:
            [analysed] = analysis.analyse(connection, here, [definition], str(source))
        except exceptions.InvalidDefinitions as error:
            problems += [
                Problem(State.NOT_IN_LINE, f"{fault.place}: {fault.message}", fault.remedy) for fault in error.faults
            ]
    with _read_only(connection, here):
        return _explain(connection, here, code, user, definition, stored.get(code), analysed, problems)


def _explain(
    connection: BaseDatabaseWrapper,
    here: Site,
    code: str,
    user: Any,
    definition: Definition | None,
    stored: Mapping[str, Any] | None,
    analysed: AnalysedDefinition | None,
    problems: Sequence[Problem],
) -> Explanation:
    from badges.models import Badge, BadgeEvent, PendingCheck  # noqa: PLC0415 - models need loaded apps

    person = _find_user(connection, user)
    held = Badge.objects.using(connection.alias).filter(user=person, code=code).order_by("awarded_at").first()
    history = BadgeEvent.objects.using(connection.alias).filter(user=person, code=code)
    happenings = tuple(
        Happening(*event)
        for event in history.order_by("-at").values_list("kind", "at", "cause", "actor", "reason", "evidence", "rule")[
            :EVENTS
        ]
    )
    award = next((each for each in happenings if held and each.kind == BadgeEvent.Kind.AWARDED), None)
    pending = list(
        PendingCheck.objects.using(connection.alias)
        .filter(user=person, code=code)
        .order_by("noted_at")
        .values_list("noted_at", "bucket")
    )
    rows: tuple[Row, ...] = ()
    undecided = error = ""
    if analysed and not held:
        rows, undecided, error = _look(connection, here, analysed, person.pk)
    return Explanation(
        code=code,
        name=definition.name if definition else stored["name"] if stored else "",
        user=person.pk,
        username=person.get_username(),
        is_held=held is not None,
        since=held.awarded_at if held else None,
        award=award,
        has_same_rule=award.rule == _rule(connection, here, code) if award and award.rule else None,
        condition=definition.condition if definition else "",
        checked=f"{', '.join(definition.events)} on {definition.trigger_table}" if definition else "",
        rows=rows,
        undecided=undecided,
        error=error,
        pending=len(pending),
        pending_since=pending[0][0] if pending else None,
        lock_holders=_lock_holders(connection, [bucket for _, bucket in pending]),
        failures=tuple(each for each in catalog.failures(connection, here) if each.code == code),
        events=happenings,
        problems=tuple(problems),
    )


@contextlib.contextmanager
def _read_only(connection: BaseDatabaseWrapper, here: Site) -> Iterator[None]:
    """Whatever the condition calls can change nothing in here, nor take for ever."""
    with rolled_back(connection):
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL search_path = {here.function_search_path}")
            cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT}")
            cursor.execute("SET LOCAL transaction_read_only = on")
        yield


def _find_user(connection: BaseDatabaseWrapper, user: Any) -> Any:
    model = get_user_model()
    users = model._base_manager.using(connection.alias)
    for field in ("pk", model.USERNAME_FIELD):
        # What is no key of this type may still be a name.
        with contextlib.suppress(ValueError, TypeError, ValidationError, OverflowError):
            if found := users.filter(**{field: getattr(user, "pk", user)}).first():
                return found
    raise exceptions.UnknownUser(f'There is no user with the key or the {model.USERNAME_FIELD} "{user}".')


def _look(
    connection: BaseDatabaseWrapper, here: Site, analysed: AnalysedDefinition, user: Any
) -> tuple[tuple[Row, ...], str, str]:
    """The rows of the user with what the condition gives for each; or why that cannot be said; or how it failed."""
    facts = qualifying.facts_of_existing_rows(analysed)
    if facts is None:
        return (), "a row that no longer exists (OLD) decides it", ""
    bounds = sql.SQL("{} = {}").format(sql.Identifier("new", facts.user.name), sql.Literal(user))
    columns = facts.table.in_order({facts.user.name, *facts.new_columns})
    query = template("explain_rows.sql").format(
        condition=trusted(analysed.definition.condition),
        evidence=expressions.evidence("", facts),
        rows=expressions.distinct_rows(facts.table, "new", columns, facts.table.identifier, bounds),
        most=sql.Literal(MOST_ROWS),
    )
    try:
        with transaction.atomic(using=connection.alias):
            found = fetch(connection, query.as_string())
    except DatabaseError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        return (), "", str(getattr(diagnosis, "message_primary", None) or error)
    return tuple(Row(value, _evidence(evidence).get("new", {})) for value, evidence in found), "", ""


def _evidence(value: Any) -> dict[str, Any]:
    found = catalog.from_json(value)
    return found if isinstance(found, dict) else {}


def _rule(connection: BaseDatabaseWrapper, here: Site, code: str) -> str:
    """The version of the rule that is in force."""
    query = sql.SQL("SELECT d.rule FROM {} AS d WHERE d.code = {}").format(
        here.definitions.identifier, sql.Literal(code)
    )
    return next((str(rule) for (rule,) in fetch(connection, query.as_string())), "")


def _lock_holders(connection: BaseDatabaseWrapper, buckets: Sequence[int]) -> tuple[str, ...]:
    values = {"class": routines.ADVISORY_LOCK_CLASS, "buckets": list(buckets)}
    return tuple(text for (text,) in fetch_file(connection, "lock_holders.sql", **values)) if buckets else ()


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}" if at else "a time that was not recorded"


def _word(value: bool | None) -> str:
    return "null" if value is None else str(value).lower()


def _values(evidence: Any) -> str:
    """What a condition saw, on one line."""
    if not isinstance(evidence, dict):
        return ""
    sides = [(f"{side}.", evidence[side]) for side in ("new", "old") if isinstance(evidence.get(side), dict)]
    if not sides and "operation" not in evidence:
        sides = [("", evidence)]
    return ", ".join(f"{side}{name} = {value!r}" for side, columns in sides for name, value in columns.items())


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value
