"""Definitions: the badges that a site declares, as frozen dataclasses. Pure."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from badges.definitions.json_text import shown

CODE_MAX_LENGTH = 100
"""Characters of a code: the column was this wide in django-pg-badges 0.1."""

GOAL_MAX_DIGITS = 40

GOAL_DECIMAL_PLACES = 10
"""The digits of a goal, and how many of them may follow the decimal point."""


class TriggerEvent(enum.StrEnum):
    """The kinds of write that a badge can be checked after, in PostgreSQL's words."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"

    @property
    def changed_row(self) -> str:
        """The row that a bare column belongs to: `old` after a delete, otherwise `new`."""
        return "old" if self is TriggerEvent.DELETE else "new"

    @property
    def has_new(self) -> bool:
        return self is not TriggerEvent.DELETE

    @property
    def has_old(self) -> bool:
        return self is not TriggerEvent.INSERT


class Source(NamedTuple):
    """A source of badges, with what it takes to name their places in messages."""

    module: str = ""
    """The path of a module with rules in Python; empty for the badge file."""
    before: int = 0
    """How many badges other sources have declared before it."""

    def __str__(self) -> str:
        return self.module or "the file"

    def place(self, code: object, number: int) -> str:
        """The place of a badge, for messages."""
        if not isinstance(code, str) or not code.strip():
            return f"badge {number - self.before} {'in' if self.module else 'of'} {self}"
        return f'badge "{shown(code)}"' + (f" in {self}" if self.module else "")


BADGE_FILE = Source()

_RULE_DIGITS = 12

NAME_MAX_BYTES = 63
"""PostgreSQL cuts longer names (NAMEDATALEN - 1)."""


def name_of_path(columns: Sequence[str]) -> str:
    """The name by which a condition knows the user at the end of a path of columns: `post_id__user_id`."""
    return "__".join(columns).encode()[:NAME_MAX_BYTES].decode(errors="ignore")


@dataclasses.dataclass(frozen=True, slots=True)
class Watch:
    """A further table whose changes cause a check of the badge, for the user that the changed row names."""

    table: str
    events: tuple[TriggerEvent, ...]
    user_field: str
    user_path: tuple[str, ...] = ()
    """As in `Definition`."""

    def as_dict(self) -> dict[str, Any]:
        """As the file has it."""
        user_field = [*self.user_path] or self.user_field
        return {"table": self.table, "on": [event.value for event in self.events], "user_field": user_field}


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """One badge as it is declared; a badge with levels is one for each level.

    `position` is its place among all badges unless it says otherwise. `condition` follows from `progress` and `goal`
    where the badge has those.
    """

    code: str
    name: str
    condition: str
    events: tuple[TriggerEvent, ...]
    trigger_table: str
    user_field: str
    """The column that holds the user; of a path, the name by which the condition knows its end."""
    description: str = ""
    category: str = ""
    image: str = ""
    points: int = 0
    position: int = 0
    secret: bool = False
    translations: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict, hash=False)
    """By language code, in small letters: the name, the description or both."""
    progress: str = ""
    """SQL: what may follow SELECT and gives one number."""
    goal: Decimal | None = None
    watches: tuple[Watch, ...] = ()
    """The triggers of the file but the first, which is `trigger_table`, `events` and `user_field`."""
    user_path: tuple[str, ...] = ()
    """The columns that lead to the user, each but the last by its foreign key; empty if a single column holds it."""
    per: str = ""
    """The column of the trigger table that names the subject, of which there is one badge each; empty for none."""
    revocable: bool = False
    active: bool = True
    expires_after: str = ""
    time_zone: str = ""
    """In which the condition reads days and hours; empty for that of the site."""
    """An interval in PostgreSQL's notation; empty for never."""
    number: int = 0
    """Its place among all badges, from 1: those of the file, then those in Python. The levels of a badge share one."""
    source: Source = BADGE_FILE
    has_triggers: bool = False
    """It is declared with `triggers`."""
    was: tuple[str, ...] = ()
    """Its earlier codes: what was awarded under one of them is this badge's."""

    @property
    def place(self) -> str:
        return self.source.place(self.code, self.number)

    @property
    def question(self) -> str:
        """The SQL of the author: the progress, from which the condition follows, or else the condition."""
        return self.progress or self.condition

    @property
    def question_key(self) -> str:
        """The key that the question stands under."""
        return "progress" if self.progress else "condition"

    @property
    def trigger_table_key(self) -> str:
        """The key of the trigger table, for messages."""
        return "triggers 1, table" if self.has_triggers else "trigger_table"

    @property
    def user_field_key(self) -> str:
        """The key of its user column, for messages."""
        return "triggers 1, user_field" if self.has_triggers else "user_field"

    @property
    def rule(self) -> str:
        """The version of the rule: a digest of all that decides which users earn the badge and keep it."""
        rule = {
            "condition": self.condition,
            "events": [event.value for event in self.events],
            "table": self.trigger_table,
            "user_field": self.user_field,
            "per": self.per,
            "watches": [watch.as_dict() for watch in self.watches],
            "expires_after": self.expires_after,
        }
        if self.user_path:
            rule["user_path"] = self.user_path
        if self.time_zone:
            rule["time_zone"] = self.time_zone
        return hashlib.sha256(json.dumps(rule, sort_keys=True).encode()).hexdigest()[:_RULE_DIGITS]
