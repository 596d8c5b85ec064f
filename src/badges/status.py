"""How each badge stands: its triggers, its holders, what failed. A fixed number of queries. Takes a connection."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges import catalog, mirror, site
from badges.catalog import InstalledFunction, InstalledTrigger
from badges.database import fetch, template
from badges.definitions import Definition, Event
from badges.routines import GENERATOR, digest
from badges.site import Site

_CREATE = "python manage.py create_badge_triggers"


class State(enum.StrEnum):
    """What a badge's triggers are; the worst comes first."""

    MISSING = "missing"
    NOT_IN_LINE = "not in line"
    DISABLED = "disabled"
    RETIRED = "retired"
    ENABLED = "enabled"


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Why a badge is not awarded as the file declares it, and the command or the statement that mends that."""

    state: State
    message: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"state": self.state.value, "message": self.message, "remedy": self.remedy}


@dataclasses.dataclass(frozen=True, slots=True)
class BadgeStatus:
    """One badge of the file, or one that left it and that somebody still holds."""

    code: str
    name: str
    events: tuple[str, ...]
    table: str
    """As schema.table, if the badge is installed; else as the file has it."""
    levels: tuple[str, ...]
    """`statement` or `row`; both for some badges on partitioned tables, none if nothing is installed."""
    problems: tuple[Problem, ...]
    holders: int
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
        return self.holders / self.users if self.users else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "name": self.name,
            "events": list(self.events),
            "table": self.table,
            "levels": list(self.levels),
            "state": self.state.value,
            "problems": [problem.as_dict() for problem in self.problems],
            "holders": self.holders,
            "users": self.users,
            "share": self.share,
            "last_award": self.last_award.isoformat() if self.last_award else None,
            "failures": self.failures,
            "pending": self.pending,
        }


def survey(connection: BaseDatabaseWrapper, definitions: Sequence[Definition]) -> tuple[BadgeStatus, ...]:
    """The badges of the file in its order, then those that left it and that somebody holds.

    :raises NotMigrated: the tables of the app are missing.
    """
    here = site.describe(connection)
    stored = catalog.stored_definitions(connection)
    installed = catalog.installed(connection, here)
    numbers = {code: rest for code, *rest in _numbers(connection, here)}
    declared = {definition.code: definition for definition in definitions}
    left = [code for code in stored if code not in declared and (numbers[code][0] or not stored[code]["retired_at"])]
    found = []
    for code in (*declared, *left):
        definition, row = declared.get(code), stored.get(code)
        functions = functions_of(code, installed)
        triggers = [trigger for function in functions for trigger in function.triggers]
        holders, last_award, failures, pending, users = numbers.get(code, (0, None, 0, 0, 0))
        found.append(
            BadgeStatus(
                code=code,
                name=definition.name if definition else row["name"] if row else "",
                events=_events(definition, row),
                table=triggers[0].qualified_table if triggers else _table(definition, row),
                levels=tuple(sorted({catalog.level(trigger.type) for trigger in triggers})),
                problems=tuple(problems(code, definition, row, functions)),
                holders=holders,
                users=users,
                last_award=last_award,
                failures=failures,
                pending=pending,
            )
        )
    return tuple(found)


def functions_of(code: str, installed: Mapping[str, InstalledFunction]) -> list[InstalledFunction]:
    """The installed functions that award a badge."""
    return [function for function in installed.values() if code in function.metadata.get("badges", ())]


def problems(
    code: str, definition: Definition | None, stored: Mapping[str, Any] | None, functions: Sequence[InstalledFunction]
) -> Iterator[Problem]:
    """What keeps a badge from being awarded as the file declares it, as far as the catalog tells.

    :param definition: as the file has it; None if it is not there.
    :param stored: the row of `BadgeDefinition`; None if there is none.
    :param functions: those that award it.
    """
    if definition is None:
        if stored and stored["retired_at"]:
            message = (
                f"It left the badge file at {stored['retired_at']:%Y-%m-%d %H:%M:%S %Z}, and is not awarded any more."
            )
            yield Problem(State.RETIRED, message)
        else:
            yield Problem(State.NOT_IN_LINE, "It is installed, but is not in the badge file.", _CREATE)
        return
    if stored is None or stored["retired_at"]:
        yield Problem(State.MISSING, "It is in the badge file, but is not installed.", _CREATE)
        return
    wanted = mirror.row(definition)
    # The rule only follows from the others.
    if differing := [key for key, value in wanted.items() if stored[key] != value and key != "rule"]:
        yield Problem(
            State.NOT_IN_LINE,
            f"The badge file says something else than what is installed: {', '.join(differing)}.",
            _CREATE,
        )
    triggers = [trigger for function in functions for trigger in function.triggers]
    for event in definition.events:
        if not any(trigger.is_plain and catalog.is_after(trigger.type, event) for trigger in triggers):
            yield Problem(
                State.MISSING, f"Its trigger after {event} on {definition.trigger_table} is missing.", _CREATE
            )
    for function in functions:
        if digest(function.body) != function.metadata.get("body"):
            yield Problem(State.NOT_IN_LINE, f"Its function {function.name} was edited in the database.", _CREATE)
        elif function.metadata.get("generator") != GENERATOR:
            yield Problem(State.NOT_IN_LINE, f"Its function {function.name} is of another version.", _CREATE)
        for trigger in function.triggers:
            yield from _trigger_problems(trigger)


def in_one_line(text: str) -> str:
    """`text` as it may stand on one line of a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _trigger_problems(trigger: InstalledTrigger) -> Iterator[Problem]:
    place = f"Its trigger {trigger.name} on {trigger.qualified_table}"
    if not trigger.is_plain:
        yield Problem(State.NOT_IN_LINE, f"{place} was changed in the database.", _CREATE)
    if trigger.enabled in "DR":
        message = f"{place} is disabled." if trigger.is_disabled else f"{place} is enabled on replicas only."
        statement = sql.SQL("ALTER TABLE {} ENABLE TRIGGER {};").format(
            trigger.table_identifier, sql.Identifier(trigger.name)
        )
        yield Problem(State.DISABLED, message, statement.as_string())


def _events(definition: Definition | None, stored: Mapping[str, Any] | None) -> tuple[str, ...]:
    if definition:
        return tuple(event.value for event in definition.events)
    return tuple(event.value for event in Event if stored and event.value in stored["trigger_condition"])


def _table(definition: Definition | None, stored: Mapping[str, Any] | None) -> str:
    return definition.trigger_table if definition else str(stored["trigger_table"]) if stored else ""


def _numbers(connection: BaseDatabaseWrapper, here: Site) -> list[tuple[Any, ...]]:
    query = template("badge_numbers.sql").format(
        definitions=here.definitions.identifier,
        users=here.users.identifier,
        badges=here.badges.identifier,
        failures=here.failures.identifier,
        pending=here.pending.identifier,
    )
    return fetch(connection, query.as_string())
