"""Definitions from badge.json, and from rules in its form. Pure: no database, and every error with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from badges.definitions import json_text, validation
from badges.definitions.errors import Errors
from badges.definitions.json_text import Object
from badges.definitions.types import BADGE_FILE, Definition, Source, TriggerEvent, Watch, name_of_path
from badges.definitions.validation import KEYS, LEVEL_KEYS
from badges.exceptions import DefinitionError, InvalidDefinitions, MissingFile


def load(path: Path) -> tuple[Definition, ...]:
    """Read the badge file at `path`.

    :raises InvalidDefinitions: the file is missing, unreadable, not UTF-8, not JSON or not a list of badges; with all
        errors at once.
    """
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """The text of the badge file at `path`.

    :raises MissingFile: there is no such file.
    :raises InvalidDefinitions: it is unreadable or not UTF-8.
    """
    source = str(path)
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise MissingFile(source) from None
    except OSError as error:
        message = f"The file cannot be read: {error.strerror}."
        unreadable = DefinitionError(message, "Check BADGES_FILE and its permissions.")
        raise InvalidDefinitions(source, [unreadable]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8."
        encoded = DefinitionError(message, "Save the file as UTF-8.", place=f"line {line}")
        raise InvalidDefinitions(source, [encoded]) from None


def parse(text: str, source: str = "badge.json") -> tuple[Definition, ...]:
    """Turn the text of a badge file into definitions, in the order of the file.

    :raises InvalidDefinitions: with all errors at once.
    """
    errors = Errors()
    definitions = survey(errors, text)
    if errors:
        raise InvalidDefinitions(source, errors)
    return definitions


def survey(errors: Errors, text: str, source: Source = BADGE_FILE) -> tuple[Definition, ...]:
    """The definitions in the text of a badge file, as far as they can be understood.

    A badge with an error that does not matter to PostgreSQL, such as a number for a name, is among the definitions, so
    that its condition can be checked all the same.
    """
    of_text = errors.at()
    entries = json_text.read(of_text, text)
    if of_text:
        return ()
    if not isinstance(entries, list):
        message = f"A badge file is a list of badges; found {json_text.found(entries)}."
        errors.add(message, "Put the badges between [ and ].")
        return ()
    definitions: list[Definition] = []
    first_with_code: dict[str, str] = {}
    for number, entry in enumerate(entries, start=source.before + 1):
        validation.check_badge(errors, number, entry, source)
        if isinstance(entry, Object):
            definitions += _definitions(number, entry, source)
        for code, where in _codes(number - source.before, entry):
            first = first_with_code.setdefault(code, where)
            if first != where:
                errors.at(source.place(code, number), number).at("code").add(
                    f"the code is used twice, by {first} and by {where} of {source}.",
                    "Give each badge a code of its own.",
                )
    return tuple(definitions)


def _codes(number: int, entry: object) -> Iterator[tuple[str, str]]:
    """The codes of an entry, each with its place in words."""
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
    """The definitions of an entry that PostgreSQL can check: one, or one for each level."""
    values = _valid(entry, KEYS)
    place = {"number": number, "source": source, "position": number}
    common = {**place, "name": "", **_triggers(entry, values)} | {
        key: values[key]
        for key in (
            "name", "description", "category", "image", "points", "position", "secret", "translations", "per",
            "revocable", "active", "expires_after", "time_zone", "was",
        )
        if key in values
    }  # fmt: skip
    if "events" not in common:
        return
    if "condition" in values:
        if "code" in values and not {"progress", "goal", "levels"} & entry.keys():
            yield Definition(code=values["code"], condition=values["condition"], **common)
    elif "condition" not in entry and "progress" in values:
        levels = [_valid(level, LEVEL_KEYS) for level in values.get("levels", ()) if isinstance(level, Object)]
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
    """The fields with the events and tables of a badge; empty if they have errors."""
    if "triggers" in entry:
        if "triggers" not in values or set(validation.ONE_TRIGGER_KEYS) & entry.keys():
            return {}
        first, *others = (
            Watch(trigger["table"], _events(trigger["on"]), *_user(trigger["user_field"]))
            for trigger in values["triggers"]
        )
        return {
            "trigger_table": first.table,
            "events": first.events,
            "user_field": first.user_field,
            "user_path": first.user_path,
            "watches": tuple(others),
            "has_triggers": True,
        }
    if not values.keys() >= set(validation.ONE_TRIGGER_KEYS):
        return {}
    user_field, user_path = _user(values["user_field"])
    return {
        "trigger_table": values["trigger_table"],
        "events": _events(values["trigger_condition"]),
        "user_field": user_field,
        "user_path": user_path,
    }


def _user(value: str | list[str]) -> tuple[str, tuple[str, ...]]:
    """`user_field` and `user_path`."""
    columns = [value] if isinstance(value, str) else value
    return (name_of_path(columns), tuple(columns)) if len(columns) > 1 else (columns[0], ())


def _events(value: str | list[str]) -> tuple[TriggerEvent, ...]:
    names = {name.strip().lower() for name in ([value] if isinstance(value, str) else value)}
    return tuple(event for event in TriggerEvent if event.value in names)


def _valid(entry: Object, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The values of an entry that are valid by themselves."""
    values = {key: entry[key] for key in allowed if key in entry and validation.is_valid(key, entry[key])}
    if "was" in values:
        values["was"] = tuple(values["was"])
    if "translations" in values:
        values["translations"] = {
            language.lower(): dict(texts) for language, texts in values["translations"].items() if texts
        }
    return values
