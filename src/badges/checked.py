"""What a trigger looks at: which badge, for which rows, and in which way. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from badges.definitions import Definition, Event
from badges.facts import AnalysedDefinition, Facts
from badges.site import Column, Table

STATE = "state"
"""How a badge is looked at for the user as a whole, where others are looked at for the changed row."""


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedBadge:
    """A badge, checked after one kind of write to one table."""

    definition: Definition
    event: Event
    table: Table
    user: Column
    facts: Facts
    decided_after: Event
    """The event whose facts these are."""
    is_state: bool = False
    """It is looked at for the user as a whole, by the rows that exist; otherwise for the changed row."""

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
        return not self.is_state and self.facts.depends_on_its_row and not self.facts.can_look_again

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


def deciding(analysed: AnalysedDefinition) -> tuple[Event, Facts] | None:
    """The facts by which the rows that exist decide a badge, and the event that they are of; None if none do."""
    for event in Event:
        facts = analysed.facts.get(event)
        if facts and (not facts.old_columns if event.has_new else facts.decided_by == "user"):
            return event, facts
    return None


def checks(analysed: AnalysedDefinition) -> Iterator[CheckedBadge]:
    """All writes after which a badge is looked at."""
    definition = analysed.definition
    by_rows = deciding(analysed)
    for event, facts in analysed.facts.items():
        if definition.revocable and by_rows:
            yield CheckedBadge(definition, event, facts.table, facts.user, by_rows[1], by_rows[0], is_state=True)
        else:
            yield CheckedBadge(definition, event, facts.table, facts.user, facts, event)
    if not by_rows:
        return
    for watched in analysed.watches:
        for event in watched.events:
            yield CheckedBadge(definition, event, watched.table, watched.user, by_rows[1], by_rows[0], is_state=True)
