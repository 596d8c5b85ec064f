"""Checks, routines and triggers: the contract between facts and installation. Pure."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator

from psycopg import sql

from badges.database import qualified, trusted
from badges.definitions.types import NAME_MAX_BYTES, Definition, TriggerEvent
from badges.facts import session, types
from badges.facts.types import AnalysedDefinition, Column, Facts, Table, Target

GENERATOR = 22
"""Counts the changes of the generated SQL, so that a plan can name that reason for replacing a function."""

MARKER = "Made by django-pg-badges; "
"""Begins the comment of each installed function. Nothing without it is ever dropped."""

ORIGIN = (
    "-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits."
    " See docs/how-it-works.md."
)
"""Stands in the body of each installed function, below its summary."""


class Level(enum.StrEnum):
    """Whether a trigger fires for each statement or for each row."""

    STATEMENT = "statement"
    ROW = "row"


@dataclasses.dataclass(frozen=True)
class Routine:
    """A function of the database; its attributes are read from the statement that creates it."""

    schema: str
    name: str
    owner: str
    statement: str
    codes: tuple[str, ...] = ()
    """The badges that it serves."""

    @functools.cached_property
    def identifier(self) -> sql.Composed:
        return qualified(self.schema, self.name)

    @functools.cached_property
    def header(self) -> str:
        return self.statement.partition("\nAS $badges")[0]

    @functools.cached_property
    def body(self) -> str:
        """What PostgreSQL keeps as `prosrc`."""
        quoted = self.statement.partition("\nAS ")[2].rstrip()
        tag = quoted[: quoted.index("$", 1) + 1]
        return quoted.removeprefix(tag).removesuffix(tag)

    @functools.cached_property
    def config(self) -> frozenset[str]:
        """What PostgreSQL keeps as `proconfig`."""
        settings = re.findall(r"^SET (\w+) = (.+)$", self.header, re.MULTILINE)
        return frozenset(f"{name}={value.strip(chr(39))}" for name, value in settings)

    @functools.cached_property
    def arguments(self) -> str:
        """As pg_get_function_arguments gives them."""
        signature = self.header.partition(f"{self.identifier.as_string()}(")[2]
        return re.sub(r"\n +", " ", signature[: signature.index(")\n")]).strip()

    @functools.cached_property
    def is_security_definer(self) -> bool:
        return "\nSECURITY DEFINER" in self.header

    @functools.cached_property
    def summary(self) -> str:
        """The first sentence of the comment that begins the body."""
        lines = itertools.takewhile(lambda line: line.startswith("-- "), self.body.strip().split("\n"))
        return re.split(r"(?<=\.) ", " ".join(line.removeprefix("-- ") for line in lines), maxsplit=1)[0]

    @functools.cached_property
    def comment(self) -> str:
        """What `\\df+` of psql shows: the summary, and what the next run needs to know."""
        facts = {
            "summary": self.summary,
            "generator": GENERATOR,
            "badges": self.codes,
            "body": digest(self.body),
        }
        return f"{MARKER}{json.dumps(facts, ensure_ascii=False)}"


def digest(body: str) -> str:
    """Distinguishes a body that the command wrote from one that was edited since."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def dollar_quoted(text: sql.Composable) -> sql.SQL:
    """`text`, the body of a function, between dollar quotes that it does not contain."""
    body = text.as_string()
    tag = "$badges$"
    while tag[:-1] in body:
        tag = f"{tag[:-1]}_$"
    return trusted(f"{tag}{body}\n{tag}")


def text_of(value: sql.Composable, column: Column) -> sql.Composed:
    """The text of a value, by the output function of its type.

    The owner of a type can make casts from it to text or to json, which would run with the rights of the function.
    """
    if not column.is_own:
        return sql.SQL("{}::text").format(value)
    return sql.SQL("CASE WHEN {value} IS DISTINCT FROM NULL THEN pg_catalog.format('%s', {value}) END").format(
        value=value
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger and the function behind it; both have the same name."""

    routine: Routine
    table: Table
    event: str
    """A `TriggerEvent`, or `truncate` for one of the triggers that write the history."""
    level: Level
    is_always: bool = False
    """It fires for rows that arrive by logical replication, too."""
    then: tuple[sql.Composed, ...] = ()
    """Statements to run once it is installed."""
    sees_both_rows: bool = False
    """It sees the old rows of an update, too."""

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
    """Everything that is to be installed, the functions in an order in which each can be created."""

    routines: tuple[Routine, ...]
    triggers: tuple[Trigger, ...]
    """Those that award."""
    history: tuple[Trigger, ...]
    """Those that write the history, and the one that follows a user whose key changes."""

    @property
    def all_triggers(self) -> tuple[Trigger, ...]:
        return self.triggers + self.history


@dataclasses.dataclass(frozen=True, slots=True)
class Firing:
    """One kind of write to one table, after which one trigger function checks badges."""

    target: Target
    table: Table
    event: TriggerEvent
    level: Level

    @property
    def function(self) -> str:
        """The name of that function, within 63 bytes; its hash keeps the names of two long tables apart."""
        key = f"{self.table.qualified_name}:{self.event}:{self.level}"
        if self.table.schema != self.target.own_schema:
            # Other schemas may have a trigger of their own on the table.
            key += f":{self.target.own_schema}"
        suffix = f"_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        row = "_row" if self.level is Level.ROW else ""
        readable = f"badges_{self.event}{row}_{self.table.name}".encode()[: NAME_MAX_BYTES - len(suffix)]
        return readable.decode(errors="ignore") + suffix


STATE = "state"
"""What `badges_check` is asked for when a badge is checked for the user as a whole, and not for the changed row."""


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
    """It is checked for the user as a whole, by the rows that exist; otherwise for the changed row."""
    link: Column | None = None
    """The column by which rows of another table refer to the changed one, if it is checked only where a change gives
    such rows to another user."""

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
    def settings(self) -> frozenset[str]:
        """The settings of a session that can change its result, or when the award ends."""
        return frozenset(self.facts.settings) | session.by_interval(self.definition.expires_after)

    @property
    def zone(self) -> str:
        """The time zone of the badge, if its result depends on one; empty for that of the site."""
        return self.definition.time_zone

    @property
    def asks(self) -> str:
        """What kind of check `badges_check` is asked for: the event, or `state` for the user as a whole."""
        return STATE if self.is_state else self.event.value

    @property
    def leaves_check(self) -> bool:
        """Whether a condition that is false leaves a pending check even under the lock.

        An OLD row must: once another transaction has committed the missing rows, it cannot be found again in its table.
        """
        return not self.is_state and self.facts.depends_on_its_row and not self.facts.is_reevaluable

    @property
    def progress(self) -> tuple[object, ...]:
        """Badges with the same have the same progress: over the rows of another table, the same text means another."""
        return (self.definition.progress, self.facts.table.oid, self.facts.user.name, self.row, self.zone)

    @property
    def shared(self) -> tuple[object, ...] | None:
        """Badges with the same can be evaluated together, by one query; None if it cannot be shared."""
        facts = self.facts
        if self.definition.progress:
            return self.progress
        same = (facts.count.counted, facts.count.rows) if facts.count else facts.from_clause
        if same and not (self.is_state and facts.decided_by == "row"):
            read = (facts.new_columns, facts.old_columns)
            return (same, facts.table.oid, facts.user.name, self.row, *read)
        return None

    @property
    def enough(self) -> int | None:
        """So many rows decide the badge, if it only counts; None if it does not."""
        count, goal = self.facts.count, self.definition.goal
        if count is None:
            return None
        return math.ceil(goal) if goal is not None else count.enough

    @property
    def row(self) -> str:
        """The name that the condition knows its row by, where that is the only one."""
        return self.decided_after.changed_row

    @property
    def group(self) -> tuple[object, ...]:
        """Badges with the same are checked together."""
        facts = self.facts
        if self.is_state:
            # The subjects that are checked differ from badge to badge.
            link = self.link.name if self.link else ""
            return (STATE, self.user.name, link, self.code if facts.per else "", self.zone)
        per = facts.per.name if facts.per else ""
        # Rows are merged by the values that are read, so all badges of a group must read the same.
        read = (facts.new_columns, facts.old_columns) if facts.is_cross_row else ()
        return (facts.is_cross_row, self.user.name, per, self.zone, *read)


def deciding(analysed: AnalysedDefinition) -> tuple[TriggerEvent, Facts] | None:
    """The facts by which the rows that exist decide a badge, and the event that they are of; None if none do."""
    event = types.deciding(analysed.facts)
    return (event, analysed.facts[event]) if event else None


def checks(analysed: AnalysedDefinition) -> Iterator[Check]:
    """All checks of a badge, one for each kind of write that causes one."""
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
            yield dataclasses.replace(of_user, event=event, table=watched.table, user=watched.user, link=watched.link)
