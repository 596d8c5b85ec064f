"""Installed functions and triggers, and the plan that changes them. Pure."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import sql

from badges.database import qualified
from badges.exceptions import Notice
from badges.functions.types import MARKER

NO_LOCK = "none"


class Action(enum.StrEnum):
    ADD_DEFINITION = "add definition"
    CHANGE_DEFINITION = "change definition"
    RETIRE_DEFINITION = "retire definition"
    RENAME_DEFINITION = "rename definition"
    CREATE_FUNCTION = "create function"
    REPLACE_FUNCTION = "replace function"
    DROP_FUNCTION = "drop function"
    DISARM_FUNCTION = "disarm function"
    CREATE_TRIGGER = "create trigger"
    REPLACE_TRIGGER = "replace trigger"
    DROP_TRIGGER = "drop trigger"
    SCHEDULE_JOB = "schedule job"
    UNSCHEDULE_JOB = "unschedule job"
    RESTORE = "restore"
    VALIDATE = "validate"


class Reason(enum.StrEnum):
    """Why a step is needed. A step may add details, such as the names of columns or badges."""

    NEW = "new"
    DECLARED_AGAIN = "declared again"
    DEFINITION_CHANGED = "definition changed"
    GENERATOR_CHANGED = "generator changed"
    EDITED = "edited in the database"
    CHANGED = "changed in the database"
    MISSING = "missing in the database"
    NO_LONGER_DECLARED = "no longer declared"
    NOT_NEEDED = "no badge needs it any more"
    FOREIGN = "not made by the command"


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One change, whole: it can be read, printed as SQL and carried out."""

    action: Action
    target: str
    reason: str
    """A `Reason`, or what differs."""
    lock: str
    """The lock that it takes on another object, and the sessions that wait for it."""
    statements: tuple[sql.Composed, ...]
    needs: str
    """The privilege that the step requires."""
    table: str = ""
    """The table that it locks, as schema.table."""
    takes_away: bool = False
    """It takes something from a trigger, which the function in force until now may need."""
    makes_trigger_function: bool = False
    """It makes the function of a trigger, which must be there before the trigger."""
    inert_statements: tuple[sql.Composed, ...] = ()
    """For a trigger function: what makes it do nothing, before it begins to award or before it is dropped."""
    further_tables: tuple[str, ...] = ()
    """The other tables that it locks, for a moment, as schema.table."""
    is_alone: bool = False
    """No rule depends on it, and it is carried out in a transaction of its own."""

    def as_sql(self) -> str:
        statements = (f"{statement.as_string().strip()};" for statement in self.statements)
        return "\n".join([f"-- {self.action} {one_line(self.target)}: {one_line(self.reason)}", *statements])

    def inert(self) -> Step:
        """The step that makes its function do nothing."""
        reason = "does nothing until the rules change"
        if self.action is Action.DROP_FUNCTION:
            reason = "does nothing from now on, until it is dropped"
        return dataclasses.replace(self, action=Action.DISARM_FUNCTION, reason=reason, statements=self.inert_statements)

    def as_dict(self) -> dict[str, Any]:
        return {
            "action": self.action.value,
            "target": self.target,
            "reason": self.reason,
            "lock": self.lock,
            "sql": [statement.as_string() for statement in self.statements],
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Finding(Notice):
    """Something that the command does not change and the operator should know."""

    id: str = dataclasses.field(kw_only=True)
    """That of the system check that reports the same."""

    def as_dict(self) -> dict[str, str]:
        return {"id": self.id, **Notice.as_dict(self)}


@dataclasses.dataclass(frozen=True, slots=True)
class DisabledTrigger(Notice):
    """A trigger that is disabled, and stays so."""

    trigger: str = dataclasses.field(kw_only=True)
    """Its name and its table."""


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The steps that bring the database in sync with the badge file; none if it is in sync."""

    steps: tuple[Step, ...]
    badges: int
    triggers: int
    disabled: tuple[DisabledTrigger, ...] = ()
    failures: tuple[RecordedFailure, ...] = ()
    """Conditions that failed since `award_badges` last went well."""
    findings: tuple[Finding, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.steps

    def as_dict(self) -> dict[str, Any]:
        return {
            "in_line": self.is_empty,
            "badges": self.badges,
            "triggers": self.triggers,
            "disabled": [each.trigger for each in self.disabled],
            "failures": [
                {
                    **dataclasses.asdict(failure),
                    "first_at": failure.first_at.isoformat(),
                    "last_at": failure.last_at.isoformat(),
                }
                for failure in self.failures
            ],
            "findings": [finding.as_dict() for finding in self.findings],
            "steps": [step.as_dict() for step in self.steps],
        }

    def as_sql(self, transactions: Sequence[Sequence[Step]]) -> str:
        """A script that does the same in psql, in these transactions."""
        scripts = ["\n\n".join(["BEGIN;", *(step.as_sql() for step in steps), "COMMIT;"]) for steps in transactions]
        return "\n\n".join(scripts) or "-- Nothing to do."


def one_line(text: str) -> str:
    return " ".join(text.split())


@dataclasses.dataclass(frozen=True, slots=True)
class InstalledTrigger:
    name: str
    table_oid: int
    schema: str
    table: str
    type: int
    is_plain: bool
    """It has no arguments, no WHEN, no list of columns, and is no constraint trigger."""
    new_table: str | None
    old_table: str | None
    enabled: str
    """`tgenabled`: O as usual, D disabled, A always, R only on replicas."""

    @property
    def is_disabled(self) -> bool:
        return self.enabled == "D"

    @property
    def table_identifier(self) -> sql.Composed:
        return qualified(self.schema, self.table)

    @property
    def qualified_table(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def writes_history(self) -> bool:
        return self.name.startswith(("badges_add_", "badges_keep_"))

    @property
    def enabling(self) -> str:
        """The statement that enables it."""
        return (
            sql.SQL("ALTER TABLE {} ENABLE TRIGGER {};")
            .format(self.table_identifier, sql.Identifier(self.name))
            .as_string()
        )


@dataclasses.dataclass(frozen=True, slots=True)
class InstalledFunction:
    schema: str
    name: str
    body: str
    arguments: str
    """As pg_get_function_arguments gives them."""
    is_plpgsql: bool
    """In PL/pgSQL, and volatile, as all of ours are."""
    is_security_definer: bool
    config: frozenset[str]
    owner: str
    executors: frozenset[str]
    """The roles besides its owner that may execute it, and so attach it to a table of their own; PUBLIC is all."""
    comment: str
    triggers: tuple[InstalledTrigger, ...]

    @property
    def metadata(self) -> dict[str, Any]:
        """What the command wrote into the comment; empty if that is gone."""
        try:
            found = json.loads(self.comment.removeprefix(MARKER))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclasses.dataclass(frozen=True, slots=True)
class InstalledTable:
    """What one of the app's tables has beside its columns; definitions are as `tables.sql` gives them."""

    constraints: Mapping[str, str]
    """The definitions by name."""
    not_valid: frozenset[str]
    """The constraints, by name, that earlier rows may violate."""
    indexes: Mapping[str, str]
    """The definitions of valid indexes by name; empty for those that are not valid."""
    defaults: Mapping[str, str]
    """The expressions by column."""
    options: tuple[str, ...]
    """As name=value."""
    key_type: str
    """The type of the users' key, with its modifier."""
    misfits: bool
    """The column that names a user has another type, or another modifier, such as a shorter length."""
    lacks_row: bool = False
    """It is the table of the secret, and without it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Deferred:
    """A badge that no write evaluates, as that took longer than BADGES_BUDGET."""

    code: str
    milliseconds: float | None
    """The longest of these evaluations; None if an operator has deferred the badge."""
    budget: int

    @property
    def message(self) -> str:
        reason = "by an operator"
        if self.milliseconds is not None:
            reason = f"as its check took {self.milliseconds:,.0f} ms in a write (BADGES_BUDGET is {self.budget:,} ms)"
        return (
            f'Badge "{self.code}" is deferred, {reason}: it is awarded after the COMMIT (listen_badges, award_badges).'
        )

    @property
    def hint(self) -> str:
        return (
            f"Make its condition faster (create_badge_triggers --plan shows the index that is missing), then run "
            f"`python manage.py award_badges {self.code} --resume`."
        )


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedFailure:
    """The errors of one condition during writes; the writes succeeded."""

    code: str
    sqlstate: str
    message: str
    """That of the last time."""
    occurrences: int
    first_at: datetime
    last_at: datetime

    def __str__(self) -> str:
        times = f"once, at {self.last_at:%Y-%m-%d %H:%M:%S %Z}"
        if self.occurrences > 1:
            first, last = f"{self.first_at:%Y-%m-%d %H:%M:%S}", f"{self.last_at:%Y-%m-%d %H:%M:%S %Z}"
            times = f"{self.occurrences:,} times from {first} to {last}"
        return f'The condition of badge "{self.code}" failed {times}: {self.message} (SQLSTATE {self.sqlstate}).'
