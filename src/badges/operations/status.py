"""The status of each badge: triggers, holders, failures, in a fixed number of queries. Takes a connection."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, in_transaction, template
from badges.definitions.types import Definition, TriggerEvent
from badges.exceptions import Notice
from badges.facts.target import describe_target
from badges.facts.types import Target, fold
from badges.functions.types import GENERATOR, digest
from badges.installation import catalog, rows
from badges.installation.types import Deferred, InstalledFunction, InstalledTrigger
from badges.queries import holders

_CREATE = "python manage.py create_badge_triggers"
_PART = re.compile(r'"(?:[^"]|"")+"|[^".]+')
"""A name of a table, or its schema's, as an author writes it."""


class State(enum.StrEnum):
    """The state of a badge, the worst first."""

    MISSING = "missing"
    OUT_OF_DATE = "out of date"
    DISABLED = "disabled"
    DEFERRED = "deferred"
    PAUSED = "paused"
    RETIRED = "retired"
    ENABLED = "enabled"


@dataclasses.dataclass(frozen=True, slots=True)
class Problem(Notice):
    """Why users do not earn a badge, or not as it is declared; and what fixes that, unless it is intended."""

    state: State = dataclasses.field(kw_only=True)

    def as_dict(self) -> dict[str, str]:
        return {"state": self.state.value, **Notice.as_dict(self)}


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """One kind of write after which a badge is to be checked, so that there must be a trigger."""

    event: str
    table: str
    """As schema.table; as the badge's author wrote it, if `oid` is 0."""
    oid: int = 0

    def is_met_by(self, trigger: InstalledTrigger) -> bool:
        """Whether a trigger is the one that is wanted, disabled or not."""
        return trigger.is_plain and catalog.is_after(trigger.type, self.event) and self.is_on(trigger)

    def is_on(self, trigger: InstalledTrigger) -> bool:
        """Whether a trigger is on the table."""
        if self.oid:
            return trigger.table_oid == self.oid
        folded = ".".join(fold(part) for part in _PART.findall(self.table))
        return not {trigger.table, trigger.qualified_table}.isdisjoint({self.table, folded})


@dataclasses.dataclass(frozen=True, slots=True)
class Writes:
    """The writes to one table after which a badge is checked."""

    table: str
    events: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.events)} on {self.table}"


@dataclasses.dataclass(frozen=True, slots=True)
class BadgeStatus:
    """A declared badge, or one that is no longer declared and still has holders. Each level is a badge."""

    code: str
    name: str
    writes: tuple[Writes, ...]
    """All writes after which it is checked, its own table first; tables as schema.table, if the badge is installed."""
    levels: tuple[str, ...]
    """Those of its triggers: `statement` or `row`; both for some badges, none if nothing is installed."""
    problems: tuple[Problem, ...]
    holders: int
    """Users who hold it, whatever they hold it for."""
    badges: int
    """What they hold; more than `holders` where there is one badge for each thing."""
    users: int
    last_award: datetime | None
    failures: int
    """How often its condition failed since `award_badges` last went well."""
    pending: int

    @property
    def state(self) -> State:
        return min((problem.state for problem in self.problems), key=list(State).index, default=State.ENABLED)

    @property
    def share(self) -> float:
        """Of all users, those who hold it: from 0 to 1."""
        return min(self.holders / self.users, 1.0) if self.users else 0.0

    @property
    def percent(self) -> tuple[float, bool]:
        """The same in percent, as it is shown; and whether it is less than that."""
        return holders.percent(self.share), 0 < self.share < 0.001

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "name": self.name,
            "after": [{"table": each.table, "events": list(each.events)} for each in self.writes],
            "levels": list(self.levels),
            "state": self.state.value,
            "problems": [problem.as_dict() for problem in self.problems],
            "holders": self.holders,
            "badges": self.badges,
            "users": self.users,
            "share": self.share,
            "last_award": self.last_award.isoformat() if self.last_award else None,
            "failures": self.failures,
            "pending": self.pending,
        }


@in_transaction
def survey(connection: BaseDatabaseWrapper, definitions: Sequence[Definition]) -> tuple[BadgeStatus, ...]:
    """The declared badges in their order, then those that are no longer declared and still have holders.

    :raises NotMigrated: the tables of the app are missing.
    """
    target = describe_target(connection)
    stored = rows.stored_definitions(connection)
    installed = catalog.installed(connection, target)
    deferred = {each.code: each for each in catalog.deferred(connection, target)}
    counts = holders.count(connection, list(stored))
    numbers = {code: rest for code, *rest in _numbers(connection, target)}
    declared = {definition.code: definition for definition in definitions}
    left = [
        code for code in stored if code not in declared and (counts[code].holders or not stored[code]["retired_at"])
    ]
    return tuple(
        _status(
            code,
            declared.get(code),
            stored.get(code),
            functions_of(code, installed),
            counts.get(code, holders.HolderCount()),
            numbers.get(code, (0, 0)),
            deferred.get(code),
        )
        for code in (*declared, *left)
    )


def _status(
    code: str,
    definition: Definition | None,
    stored: Mapping[str, Any] | None,
    functions: Sequence[InstalledFunction],
    count: holders.HolderCount,
    numbers: Sequence[int],
    deferred: Deferred | None,
) -> BadgeStatus:
    """The status of one badge.

    :param numbers: failures, and pending checks.
    """
    triggers = [trigger for function in functions for trigger in function.triggers]
    failures, pending = numbers
    return BadgeStatus(
        code=code,
        name=definition.name if definition else stored["name"] if stored else "",
        writes=_writes(wanted(definition) if definition else _wanted_once(stored), triggers),
        levels=tuple(sorted({catalog.level(trigger.type) for trigger in triggers})),
        problems=(
            *problems(code, definition, stored, functions),
            *([Problem(deferred.message, deferred.hint, state=State.DEFERRED)] if deferred else []),
        ),
        holders=count.holders,
        badges=count.badges,
        users=count.users,
        last_award=count.last_award,
        failures=failures,
        pending=pending,
    )


def functions_of(code: str, installed: Mapping[str, InstalledFunction]) -> list[InstalledFunction]:
    """The installed functions that award a badge."""
    return [function for function in installed.values() if code in function.metadata.get("badges", ())]


def wanted(definition: Definition) -> tuple[Wanted, ...]:
    """The triggers that a definition requires by itself. Only the analysis knows the other tables of its condition."""
    # A revocable badge is revoked by changes of its own rows at least.
    events = [*definition.events, *([TriggerEvent.UPDATE, TriggerEvent.DELETE] if definition.revocable else [])]
    pairs = [
        *((event.value, definition.trigger_table) for event in events),
        *((event.value, watch.table) for watch in definition.watches for event in watch.events),
    ]
    return tuple(Wanted(*pair) for pair in dict.fromkeys(pairs))


def problems(
    code: str,
    definition: Definition | None,
    stored: Mapping[str, Any] | None,
    functions: Sequence[InstalledFunction],
    triggers: Sequence[Wanted] = (),
) -> Iterator[Problem]:
    """What keeps a badge from being awarded as it is declared, as far as the catalog shows.

    :param definition: as it is declared; None if it is not.
    :param stored: the row of `BadgeDefinition`; None if there is none.
    :param functions: those that award it.
    :param triggers: those that it must have, by the analysis; by default those that its definition requires.
    """
    if definition is None:
        yield _undeclared(stored)
        return
    place = definition.source.module or "The badge file"
    if stored is None or stored["retired_at"]:
        yield _missing(f"{place} declares it, but it is not installed.")
        return
    # The rule is derived from the others.
    if differing := [key for key, value in rows.row(definition).items() if stored[key] != value and key != "rule"]:
        yield _out_of_date(f"{place} differs from the installed definition: {', '.join(differing)}.")
    if not stored["active"]:
        # So it has no triggers.
        message = "It is paused (active is false): users cannot earn it, and its holders keep it."
        yield Problem(message, state=State.PAUSED)
        return
    installed = [trigger for function in functions for trigger in function.triggers]
    missing = [
        each for each in triggers or wanted(definition) if not any(each.is_met_by(trigger) for trigger in installed)
    ]
    for each in missing:
        yield _missing(f"Its trigger after {each.event} on {each.table} is missing.")
    for function in functions:
        yield from _function_problems(function, missing)
        for trigger in function.triggers:
            yield from _trigger_problems(trigger)


def _undeclared(stored: Mapping[str, Any] | None) -> Problem:
    if not (stored and stored["retired_at"]):
        return _out_of_date("It is installed, but no longer declared.")
    since = f"{stored['retired_at']:%Y-%m-%d %H:%M:%S %Z}"
    message = f"Not declared since {since}: users can no longer earn it, and its holders keep it."
    return Problem(message, state=State.RETIRED)


def _missing(message: str) -> Problem:
    return Problem(message, _CREATE, state=State.MISSING)


def _out_of_date(message: str) -> Problem:
    return Problem(message, _CREATE, state=State.OUT_OF_DATE)


def _function_problems(function: InstalledFunction, missing: Sequence[Wanted]) -> Iterator[Problem]:
    """What is wrong with a function, unless one of the triggers that are `missing` explains it."""
    # No trigger calls badges_catch_up().
    has_trigger = function.triggers or function.name == "badges_catch_up"
    if not has_trigger and not any(function.name.startswith(f"badges_{each.event}_") for each in missing):
        yield _missing(f"The trigger that calls its function {function.name} is missing.")
    if digest(function.body) != function.metadata.get("body"):
        yield _out_of_date(f"Its function {function.name} was edited in the database.")
    elif function.metadata.get("generator") != GENERATOR:
        yield _out_of_date(f"Its function {function.name} is from another version of the package.")


def state_of(wanted: Wanted, triggers: Sequence[InstalledTrigger]) -> str:
    """The state of a wanted trigger."""
    for trigger in triggers:
        if wanted.is_met_by(trigger):
            if trigger.enabled == "R":
                return "on replicas only"
            return (State.DISABLED if trigger.is_disabled else State.ENABLED).value
    return State.MISSING.value


def in_one_line(text: str) -> str:
    """`text` as it may stand on one line of a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _trigger_problems(trigger: InstalledTrigger) -> Iterator[Problem]:
    place = f"Its trigger {trigger.name} on {trigger.qualified_table}"
    if not trigger.is_plain:
        yield _out_of_date(f"{place} was changed in the database.")
    if trigger.enabled in "DR":
        message = f"{place} is disabled." if trigger.is_disabled else f"{place} is enabled on replicas only."
        yield Problem(message, trigger.enabling, state=State.DISABLED)


def _wanted_once(stored: Mapping[str, Any] | None) -> tuple[Wanted, ...]:
    """The same for a badge that is no longer declared, as far as its row shows."""
    if stored is None:
        return ()
    return tuple(
        Wanted(event.value, stored["trigger_table"]) for event in TriggerEvent if event in stored["trigger_condition"]
    )


def _writes(wanted: Sequence[Wanted], triggers: Sequence[InstalledTrigger]) -> tuple[Writes, ...]:
    """By table: the wanted writes, and those that have a trigger."""
    found: dict[str, set[str]] = {}
    for each in wanted:
        table = next((trigger.qualified_table for trigger in triggers if each.is_on(trigger)), each.table)
        found.setdefault(table, set()).add(each.event)
    for trigger in sorted(triggers, key=lambda trigger: trigger.qualified_table):
        found.setdefault(trigger.qualified_table, set()).add(catalog.event(trigger.type))
    return tuple(Writes(table, tuple(e.value for e in TriggerEvent if e in events)) for table, events in found.items())


def _numbers(connection: BaseDatabaseWrapper, target: Target) -> list[tuple[Any, ...]]:
    query = template("operations/badge_numbers.sql").format(
        definitions=target.definitions.identifier,
        failures=target.failures.identifier,
        pending=target.pending.identifier,
        tenant=sql.Literal(target.tenant),
    )
    return fetch(connection, query.as_string())
