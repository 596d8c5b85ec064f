"""badge.json, and rules in its form -> definitions. Pure: no database, and every fault with its place."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from badges import keys, notation
from badges.exceptions import Fault, InvalidDefinitions
from badges.keys import BADGE_FILE, CODE_MAX_LENGTH, KEYS, LEVEL_KEYS, OPTIONAL_KEYS, REQUIRED_KEYS, Event, Source
from badges.notation import Object

__all__ = (
    "CODE_MAX_LENGTH", "KEYS", "OPTIONAL_KEYS", "REQUIRED_KEYS", "Definition", "Event", "Source", "Watch", "load",
    "parse", "read", "survey",
)  # fmt: skip

_RULE_DIGITS = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Watch:
    """A further table after whose changes a badge is looked at, for the user whom the changed row names."""

    table: str
    events: tuple[Event, ...]
    user_field: str

    def as_dict(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {"table": self.table, "on": [event.value for event in self.events], "user_field": self.user_field}


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """One badge as it is declared; a badge with levels is one for each level.

    `position` is its place among all badges unless it says otherwise. `condition` follows from `progress` and `goal`
    where the badge has those.
    """

    code: str
    name: str
    condition: str
    events: tuple[Event, ...]
    trigger_table: str
    user_field: str
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
    per: str = ""
    """The column of the trigger table that names the thing, of which there is one badge each; empty for none."""
    revocable: bool = False
    active: bool = True
    expires_after: str = ""
    """An interval as PostgreSQL reads it; empty for never."""
    number: int = 0
    """Its place among all badges, from 1: those of the file, then those in Python. The levels of a badge share one."""
    source: Source = BADGE_FILE
    has_triggers: bool = False
    """It is declared with `triggers`."""

    @property
    def place(self) -> str:
        return self.source.place(self.code, self.number)

    @property
    def question(self) -> str:
        """The author's own SQL, from which all else follows: the progress, or else the condition."""
        return self.progress or self.condition

    @property
    def question_key(self) -> str:
        """The key that the question stands under."""
        return "progress" if self.progress else "condition"

    @property
    def rule(self) -> str:
        """A digest of all that decides who earns the badge and who keeps it: the version of the rule."""
        rule = {
            "condition": self.condition,
            "events": [event.value for event in self.events],
            "table": self.trigger_table,
            "user_field": self.user_field,
            "per": self.per,
            "watches": [watch.as_dict() for watch in self.watches],
            "expires_after": self.expires_after,
        }
        return hashlib.sha256(json.dumps(rule, sort_keys=True).encode()).hexdigest()[:_RULE_DIGITS]


def load(path: Path) -> tuple[Definition, ...]:
    """Read the badge file at `path`.

    :raises InvalidDefinitions: the file is missing, unreadable, not UTF-8, not JSON or not a list of badges; with all
        faults at once.
    """
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """The text of the badge file at `path`.

    :raises InvalidDefinitions: the file is missing, unreadable or not UTF-8.
    """
    source = str(path)
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        fault = Fault("", "There is no such file.", "Check the setting BADGES_FILE or --file.")
        raise InvalidDefinitions(source, [fault]) from None
    except OSError as error:
        fault = Fault("", f"The file cannot be read: {error.strerror}.", "Check BADGES_FILE and its permissions.")
        raise InvalidDefinitions(source, [fault]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8."
        raise InvalidDefinitions(source, [Fault(f"line {line}", message, "Save the file as UTF-8.")]) from None


def parse(text: str, source: str = "badge.json") -> tuple[Definition, ...]:
    """Turn the text of a badge file into definitions, in the order of the file.

    :raises InvalidDefinitions: with all faults at once.
    """
    definitions, faults = survey(text)
    if faults:
        raise InvalidDefinitions(source, faults)
    return definitions


def survey(text: str, source: Source = BADGE_FILE) -> tuple[tuple[Definition, ...], tuple[Fault, ...]]:
    """The definitions that can be told from the text of a badge file, and all that is wrong in it.

    A badge with a fault that PostgreSQL does not care about, such as a number for a name, is among the definitions, so
    that its condition can be judged all the same.
    """
    entries = notation.read(text)
    if isinstance(entries, Fault):
        return (), (entries,)
    if not isinstance(entries, list):
        message = f"A badge file is a list of badges; found {notation.found(entries)}."
        return (), (Fault("", message, "Put the badges between [ and ]."),)
    definitions: list[Definition] = []
    faults: list[Fault] = []
    first_with_code: dict[str, str] = {}
    for number, entry in enumerate(entries, start=source.before + 1):
        faults += keys.badge_faults(number, entry, source)
        if isinstance(entry, Object):
            definitions += _definitions(number, entry, source)
        for code, where in _codes(number - source.before, entry):
            first = first_with_code.setdefault(code, where)
            if first != where:
                message = f"the code is used twice, by {first} and by {where} of {source}."
                place = f"{source.place(code, number)}, code"
                faults.append(Fault(place, message, "Give each badge a code of its own.", number))
    return tuple(definitions), tuple(faults)


def _codes(number: int, entry: object) -> Iterator[tuple[str, str]]:
    """The codes of an entry, each with the words that say where it stands."""
    if not isinstance(entry, Object):
        return
    levels = entry.get("levels")
    places: list[tuple[object, str]] = [(entry, f"badge {number}")]
    if isinstance(levels, list):
        places = [(level, f"level {place} of badge {number}") for place, level in enumerate(levels, start=1)]
    for each, where in places:
        code = each.get("code") if isinstance(each, Object) else None
        if isinstance(code, str) and code.strip():
            yield code, where


def _definitions(number: int, entry: Object, source: Source) -> Iterator[Definition]:
    """The definitions of an entry that PostgreSQL can judge: one, or one for each level."""
    values = _sound(entry, KEYS)
    place = {"number": number, "source": source, "position": number}
    common = {**place, "name": "", **_triggers(entry, values)} | {
        key: values[key]
        for key in (
            "name", "description", "category", "image", "points", "position", "secret", "translations", "per",
            "revocable", "active", "expires_after",
        )
        if key in values
    }  # fmt: skip
    if "events" not in common:
        return
    if "condition" in values:
        if "code" in values and not {"progress", "goal", "levels"} & entry.keys():
            yield Definition(code=values["code"], condition=values["condition"], **common)
    elif "condition" not in entry and "progress" in values:
        levels = [_sound(level, LEVEL_KEYS) for level in values.get("levels", ()) if isinstance(level, Object)]
        for level in levels if "levels" in entry else [values]:
            if "code" in level and "goal" in level:
                yield _with_goal(common | (level if "levels" in entry else {}), level, values["progress"])


def _with_goal(common: Mapping[str, Any], level: Mapping[str, Any], progress: str) -> Definition:
    goal = Decimal(level["goal"])
    return Definition(
        **{
            **common,
            "code": level["code"],
            "goal": goal,
            "progress": progress,
            # A comment in the author's SQL must not reach beyond it.
            "condition": f"(SELECT {progress}\n) >= {goal:f}",
        }
    )


def _triggers(entry: Object, values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say when a badge is checked; empty if that cannot be told."""
    if "triggers" in entry:
        if "triggers" not in values or set(keys.ONE_TRIGGER_KEYS) & entry.keys():
            return {}
        first, *others = (
            Watch(trigger["table"], _events(trigger["on"]), trigger["user_field"]) for trigger in values["triggers"]
        )
        return {
            "trigger_table": first.table,
            "events": first.events,
            "user_field": first.user_field,
            "watches": tuple(others),
            "has_triggers": True,
        }
    if not values.keys() >= set(keys.ONE_TRIGGER_KEYS):
        return {}
    return {
        "trigger_table": values["trigger_table"],
        "events": _events(values["trigger_condition"]),
        "user_field": values["user_field"],
    }


def _events(value: str | list[str]) -> tuple[Event, ...]:
    names = {name.strip().lower() for name in ([value] if isinstance(value, str) else value)}
    return tuple(event for event in Event if event.value in names)


def _sound(entry: Object, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The values of an entry that have no fault of their own."""
    values = {key: entry[key] for key in allowed if key in entry and not any(keys.value_faults(key, entry[key]))}
    if "translations" in values:
        values["translations"] = {
            language.lower(): dict(texts) for language, texts in values["translations"].items() if texts
        }
    return values
