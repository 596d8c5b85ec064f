"""Checks, routines and triggers: the contract between facts and installation. Pure."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import re
from collections.abc import Iterator

from psycopg import sql

from badges.database import qualified, trusted
from badges.definitions.types import Definition, TriggerEvent
from badges.facts.types import AnalysedDefinition, Column, Facts, Table

GENERATOR = 5
"""Counts the changes of the generated SQL; it tells a plan's reader why a function is replaced that nobody edited."""

MARKER = "Made by django-pg-badges; "
"""Begins the comment of each installed function. Nothing without it is ever dropped."""


class Level(enum.StrEnum):
    """Whether a trigger fires for each statement or for each row."""

    STATEMENT = "statement"
    ROW = "row"


@dataclasses.dataclass(frozen=True, slots=True)
class Routine:
    """A function of the database; all that is said of it is read from the statement that creates it."""

    schema: str
    name: str
    owner: str
    statement: str
    codes: tuple[str, ...] = ()
    """The badges that it serves."""

    @property
    def identifier(self) -> sql.Composed:
        return qualified(self.schema, self.name)

    @property
    def header(self) -> str:
        return self.statement.partition("\nAS $badges")[0]

    @property
    def body(self) -> str:
        """What PostgreSQL keeps as `prosrc`."""
        quoted = self.statement.partition("\nAS ")[2].rstrip()
        tag = quoted[: quoted.index("$", 1) + 1]
        return quoted.removeprefix(tag).removesuffix(tag)

    @property
    def config(self) -> frozenset[str]:
        """What PostgreSQL keeps as `proconfig`."""
        settings = re.findall(r"^SET (\w+) = (.+)$", self.header, re.MULTILINE)
        return frozenset(f"{name}={value.strip(chr(39))}" for name, value in settings)

    @property
    def arguments(self) -> str:
        """As pg_get_function_arguments gives them."""
        signature = self.header.partition(f"{self.identifier.as_string()}(")[2]
        return signature[: signature.index(")\n")]

    @property
    def is_security_definer(self) -> bool:
        return "\nSECURITY DEFINER" in self.header

    @property
    def comment(self) -> str:
        facts = {"generator": GENERATOR, "badges": self.codes, "body": digest(self.body)}
        return f"{MARKER}{json.dumps(facts, ensure_ascii=False)}"


def digest(body: str) -> str:
    """Tells a body that the command wrote from one that was edited since."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def dollar_quoted(text: str) -> str:
    """`text` between dollar quotes that it does not hold."""
    tag = "$badges$"
    while tag[:-1] in text:
        tag = f"{tag[:-1]}_$"
    return f"{tag}{text}{tag}"


@dataclasses.dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger and the function behind it; both have the same name."""

    routine: Routine
    table: Table
    event: str
    """An `Event`; the triggers that write the history know `truncate`, too."""
    level: Level
    is_always: bool = False
    """It fires for rows that arrive by logical replication, too."""
    then: tuple[sql.Composed, ...] = ()
    """What is to be done once it is there."""
    sees_both_rows: bool = False
    """Of an update, it sees the rows as they were, too."""

    @property
    def name(self) -> str:
        return self.routine.name

    @property
    def new_table(self) -> str | None:
        """The name of its transition table of new rows."""
        return "badges_new" if self.level is Level.STATEMENT and self.event in ("insert", "update") else None

    @property
    def old_table(self) -> str | None:
        has_old = self.event == "delete" or (self.event == "update" and self.sees_both_rows)
        return "badges_old" if self.level is Level.STATEMENT and has_old else None

    def create(self) -> sql.Composed:
        tables = [
            sql.SQL("{} TABLE AS {}").format(trusted(row), sql.Identifier(name))
            for row, name in (("OLD", self.old_table), ("NEW", self.new_table))
            if name
        ]
        transition: sql.Composable = sql.SQL("")
        if tables:
            transition = sql.SQL("REFERENCING {}\n").format(sql.SQL(" ").join(tables))
        return sql.SQL("CREATE OR REPLACE TRIGGER {} AFTER {} ON {}\n{}FOR EACH {} EXECUTE FUNCTION {}()").format(
            sql.Identifier(self.name),
            trusted(self.event.upper()),
            self.table.identifier,
            transition,
            trusted(self.level.upper()),
            self.routine.identifier,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """All that is to be installed, the functions in an order in which each can be created."""

    routines: tuple[Routine, ...]
    triggers: tuple[Trigger, ...]
    """Those that award."""
    history: tuple[Trigger, ...]
    """Those that write the history."""

    @property
    def all_triggers(self) -> tuple[Trigger, ...]:
        return self.triggers + self.history


STATE = "state"
"""How a badge is looked at for the user as a whole, where others are looked at for the changed row."""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """A badge, checked after one kind of write to one table."""

    definition: Definition
    event: TriggerEvent
    table: Table
    user: Column
    facts: Facts
    decided_after: TriggerEvent
    """The event whose facts these are."""
    is_state: bool = False
    """It is looked at for the user as a whole, by the rows that exist; otherwise for the changed row."""

    @classmethod
    def of_user(cls, analysed: AnalysedDefinition) -> Check | None:
        """The check of a user as a whole, by the rows that exist; None if no rows that exist decide the badge."""
        by_rows = deciding(analysed)
        if by_rows is None:
            return None
        event, facts = by_rows
        return cls(analysed.definition, event, facts.table, facts.user, facts, event, is_state=True)

    @property
    def code(self) -> str:
        return self.definition.code

    @property
    def is_cross_row(self) -> bool:
        return self.is_state or self.facts.is_cross_row

    @property
    def is_revocable(self) -> bool:
        return self.definition.revocable

    @property
    def asks(self) -> str:
        """What `badges_check` knows this way of looking by."""
        return STATE if self.is_state else self.event.value

    @property
    def leaves_check(self) -> bool:
        """Whether what is false leaves a pending check even under the lock.

        A row that is gone when somebody else has committed what it lacks must do so; the others are found in their
        table.
        """
        return not self.is_state and self.facts.depends_on_its_row and not self.facts.is_reevaluable

    @property
    def progress(self) -> tuple[object, ...]:
        """Badges with the same have the same progress: in other tables' rows, the same text is another."""
        return (self.definition.progress, self.facts.table.oid, self.facts.user.name, self.row)

    @property
    def shared(self) -> tuple[object, ...] | None:
        """Badges with the same can be asked about together, by one query; None if it cannot be shared."""
        facts = self.facts
        if self.definition.progress:
            return self.progress
        if facts.from_clause and not (self.is_state and facts.decided_by == "row"):
            read = (facts.new_columns, facts.old_columns)
            return (facts.from_clause, facts.table.oid, facts.user.name, self.row, *read)
        return None

    @property
    def row(self) -> str:
        """The name that the condition knows its row by, where that is the only one."""
        return self.decided_after.changed_row

    @property
    def group(self) -> tuple[object, ...]:
        """Badges with the same are looked at together."""
        facts = self.facts
        if self.is_state:
            # Which things are looked at differs from badge to badge.
            return (STATE, self.user.name, self.code if facts.per else "")
        per = facts.per.name if facts.per else ""
        # What is looked at once for each combination of values must not read values that the others do not need.
        read = (facts.new_columns, facts.old_columns) if facts.is_cross_row else ()
        return (facts.is_cross_row, self.user.name, per, *read)


def deciding(analysed: AnalysedDefinition) -> tuple[TriggerEvent, Facts] | None:
    """The facts by which the rows that exist decide a badge, and the event that they are of; None if none do."""
    for event in TriggerEvent:
        facts = analysed.facts.get(event)
        if facts and (not facts.old_columns if event.has_new else facts.decided_by == "user"):
            return event, facts
    return None


def checks(analysed: AnalysedDefinition) -> Iterator[Check]:
    """All writes after which a badge is looked at."""
    definition = analysed.definition
    of_user = Check.of_user(analysed)
    for event, facts in analysed.facts.items():
        if definition.revocable and of_user:
            yield dataclasses.replace(of_user, event=event, table=facts.table, user=facts.user)
        else:
            yield Check(definition, event, facts.table, facts.user, facts, event)
    if of_user is None:
        return
    for watched in analysed.watches:
        for event in watched.events:
            yield dataclasses.replace(of_user, event=event, table=watched.table, user=watched.user)
