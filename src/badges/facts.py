"""What PostgreSQL says about a badge, and what follows from it. Pure."""

from __future__ import annotations

import dataclasses
from typing import Literal

from badges.definitions import Definition, Event
from badges.site import Column, Table


@dataclasses.dataclass(frozen=True, slots=True)
class ReadTable:
    """A table that a condition reads beside the changed row."""

    table: str
    """As schema.table."""
    oid: int
    columns: tuple[str, ...]
    """Those that are read, in the order of the table."""
    user: Column | None
    """The one among them that tells the user; None if there is none such, or several."""


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What PostgreSQL says about the condition of one badge, checked after one event."""

    table: Table
    user: Column
    new_columns: tuple[str, ...]
    old_columns: tuple[str, ...]
    """The columns of the changed row that the condition reads, in the order of the table."""
    tables: tuple[str, ...]
    """The other tables it reads, as schema.table."""
    is_time_dependent: bool
    is_opaque: bool
    """It calls a function of the site's own that may read tables and the clock."""
    reads: tuple[ReadTable, ...] = ()
    """The same as `tables`, in the same order, with what it reads of them."""
    per: Column | None = None
    """The column that names the thing of which there is one badge each."""
    is_expression: bool = False
    """The condition stands between parentheses as well as behind SELECT."""
    select_list: str = ""
    from_clause: str = ""
    """The two halves of a condition that is one row of aggregates, if another condition has the same FROM clause."""

    @property
    def is_cross_row(self) -> bool:
        """The changed row alone does not decide it."""
        return bool(self.tables) or self.is_opaque

    @property
    def depends_on_its_row(self) -> bool:
        """Of two rows of one user, one may meet the condition and the other not."""
        return not {self.user.name}.issuperset(self.new_columns + self.old_columns)

    @property
    def can_look_again(self) -> bool:
        """The rows that it is checked for are still there: all it reads of them is new."""
        return not self.old_columns

    @property
    def decided_by(self) -> Literal["user", "row"]:
        """Whether knowing the user is enough to evaluate the condition, or a row of the trigger table must meet it.

        A condition that reads nothing but its row asks for that row: `true` means that there is one.
        """
        needs_row = self.depends_on_its_row or not self.is_cross_row or self.per is not None
        return "row" if needs_row else "user"


@dataclasses.dataclass(frozen=True, slots=True)
class Watched:
    """Changes after which a badge is looked at again beside those of its own events, for the user in the row."""

    table: Table
    user: Column
    events: tuple[Event, ...]
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class AnalysedDefinition:
    """A definition with its facts for each of its events, and what else is watched for it."""

    definition: Definition
    facts: dict[Event, Facts]
    watches: tuple[Watched, ...] = ()
    unwatched: tuple[str, ...] = ()
    """What may change the answer unnoticed: sentences, each with its remedy."""

    @property
    def table(self) -> Table:
        return next(iter(self.facts.values())).table

    @property
    def unchecked_tables(self) -> tuple[str, ...]:
        """The tables that the condition reads and whose changes do not check the badge, as schema.table."""
        checked = {self.table.qualified_name, *(each.table.qualified_name for each in self.watches)}
        return tuple(sorted({name for each in self.facts.values() for name in each.tables} - checked))

    @property
    def comes_late(self) -> bool:
        """Triggers alone do not bring or take it in time: it asks for the time, ends, or reads what is not watched."""
        return bool(
            self.definition.expires_after
            or self.unchecked_tables
            or self.unwatched
            or any(each.is_time_dependent or each.is_opaque for each in self.facts.values())
        )
