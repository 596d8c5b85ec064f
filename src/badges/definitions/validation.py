"""Validation: which keys a badge may have, and which values each of them. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from decimal import Decimal

from badges import conf
from badges.definitions.errors import Errors
from badges.definitions.json_text import Object, found, shown
from badges.definitions.types import (
    BADGE_FILE,
    CODE_MAX_LENGTH,
    GOAL_DECIMAL_PLACES,
    GOAL_MAX_DIGITS,
    Source,
    TriggerEvent,
)

ONE_TRIGGER_KEYS = ("trigger_condition", "trigger_table", "user_field")

REQUIRED_KEYS = ("name", "code", "condition", *ONE_TRIGGER_KEYS)

OPTIONAL_KEYS = (
    "description", "category", "image", "points", "position", "secret", "translations", "progress", "goal", "levels",
    "triggers", "per", "revocable", "active", "expires_after", "time_zone", "was",
)  # fmt: skip

KEYS = REQUIRED_KEYS + OPTIONAL_KEYS

LEVEL_KEYS = (
    "code", "goal", "name", "description", "image", "points", "position", "secret", "translations", "was"
)  # fmt: skip

TRIGGER_KEYS = ("table", "on", "user_field")

TRANSLATION_KEYS = ("name", "description")

_A_BADGE_NEEDS = f"A badge needs {', '.join(REQUIRED_KEYS)}."

_MEANINGS = {
    "name": "Write the name that people see.",
    "code": "Write a code that no other badge has.",
    "condition": 'Write what may follow SELECT and gives true or false; "true" awards at once.',
    "progress": "Write what may follow SELECT and gives the number that is to reach the goal.",
    "trigger_table": "Name the table whose changes cause the check.",
    "table": "Name the table whose changes cause the check.",
    "user_field": "Name the column of the table that holds the user.",
}
"""Hints for the texts that must not be empty."""

_MISSING = {
    "progress": _MEANINGS["progress"],
    "goal": "Write the number that progress is to reach, or levels.",
}
"""Hints for the required keys that not every badge needs."""

_EVENTS = ", ".join(f'"{event}"' for event in TriggerEvent)

_POSTGRESQL_INTEGER = range(-(2**31), 2**31)

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", re.ASCII)


def check_badge(errors: Errors, number: int, entry: object, source: Source = BADGE_FILE) -> None:
    """Check one badge by itself.

    :param number: its number among all badges.
    """
    if not isinstance(entry, Object):
        message = f"a badge is an object between {{ and }}; found {found(entry)}."
        errors.at(source.place(None, number), number).add(message, _A_BADGE_NEEDS)
        return
    badge = errors.at(source.place(entry.get("code"), number), number)
    _check_keys(badge, entry, KEYS)
    _check_combinations(badge, entry)
    present = {*entry, *_misspelt(entry, KEYS)}
    for key in _required(present):
        if key not in present:
            badge.add(f'the key "{key}" is missing.', _MISSING.get(key, _A_BADGE_NEEDS))
    _check_values(badge, entry, KEYS)
    if isinstance(levels := entry.get("levels"), list):
        _check_levels(errors, number, levels, source, is_named="name" in present)


def is_valid(key: str, value: object) -> bool:
    """Whether a badge may have this value under this key. Of levels only the list itself is checked."""
    errors = Errors()
    _check_value(errors, key, value)
    return not errors


def _check_value(errors: Errors, key: str, value: object) -> None:
    match key:
        case "trigger_condition" | "on":
            _check_events(errors.at(key), value)
        case "triggers":
            _check_triggers(errors, value)
        case "translations":
            _check_translations(errors, value)
        case "user_field" if isinstance(value, list):
            _check_path(errors.at(key), value)
        case "points" | "position":
            _check_integer(errors.at(key), value)
        case "goal" | "was":
            check = _check_goal if key == "goal" else _check_was
            check(errors.at(key), value)
        case "secret" | "revocable" | "active":
            if not isinstance(value, bool):
                errors.at(key).add(f"true or false is needed; found {found(value)}.", "Write it without quotes.")
        case "levels":
            # Each level is checked like a badge.
            if not isinstance(value, list):
                errors.at(key).add(f"a list is needed; found {found(value)}.", "Put the levels between [ and ].")
            elif not value:
                errors.at(key).add("the list is empty.", "A badge without levels has a code and a goal.")
        case _:
            _check_text(errors.at(key), key, value)


def _check_was(was: Errors, value: object) -> None:
    if not isinstance(value, list):
        was.add(f"a list of codes is needed; found {found(value)}.", 'Put the earlier codes between [ and ]: ["code"].')
        return
    for number, code in enumerate(value, start=1):
        _check_text(was.at(str(number)), "code", code)
    if not was and len(set(value)) < len(value):
        was.add("a code is listed twice.", "Name each earlier code once.")


def _check_values(errors: Errors, entry: Object, keys: Collection[str]) -> None:
    for key, value in entry.items():
        if key in keys:
            _check_value(errors, key, value)


def _required(present: Collection[str]) -> Iterator[str]:
    """The keys that a badge with these keys must have."""
    if "levels" not in present:
        yield from ("name", "code")
    if "condition" not in present:
        if "levels" in present:
            yield "progress"
        elif "progress" in present or "goal" in present:
            yield from ("progress", "goal")
        else:
            yield "condition"
    if "triggers" not in present:
        yield from ONE_TRIGGER_KEYS


def _check_keys(errors: Errors, entry: Object, keys: Collection[str]) -> None:
    for key in entry.repeated:
        errors.at(shown(key)).add("the key is given twice.", "Keep one of them.")
    for key in entry:
        if keys == LEVEL_KEYS and key in KEYS and key not in keys:
            errors.at(key).add("a level has no such key.", "Set it in the badge, for all of its levels.")
        elif key not in keys:
            near = _nearest(key, keys)
            hint = f'Did you mean "{near}"?' if near else f"The keys are {', '.join(keys)}."
            errors.at(shown(key) or '""').add("there is no such key.", hint)


def _misspelt(entry: Object, keys: Collection[str]) -> set[str]:
    """The keys that are probably meant by those which do not exist."""
    return {near for key in entry if key not in keys and key not in KEYS and (near := _nearest(key, keys))}


def _nearest(key: str, keys: Collection[str]) -> str | None:
    near = difflib.get_close_matches(key.lower(), keys, n=1)
    return near[0] if near else None


def _check_combinations(errors: Errors, entry: Object) -> None:
    """Check for keys that exclude each other."""
    if "condition" in entry and (others := [key for key in ("progress", "goal", "levels") if key in entry]):
        message = f'it cannot be combined with "{others[0]}", from which the condition follows.'
        errors.at("condition").add(message, "Keep the condition, or progress with a goal or levels.")
    if "levels" in entry:
        for key in ("code", "goal"):
            if key in entry:
                errors.at(key).add(f"a badge with levels has no {key} of its own.", "Each of its levels has one.")
    if "triggers" in entry:
        for key in ONE_TRIGGER_KEYS:
            if key in entry:
                errors.at(key).add('it cannot be combined with "triggers".', "Keep one of them.")


def _check_levels(errors: Errors, number: int, levels: list[object], source: Source, *, is_named: bool) -> None:
    required = ("code", "goal") if is_named else ("code", "goal", "name")
    needed = f"A level needs {', '.join(required)}."
    before: int | Decimal | None = None
    for place_in_list, entry in enumerate(levels, start=1):
        place = f"{source.place(None, number)}, level {place_in_list}"
        if not isinstance(entry, Object):
            message = f"a level is an object between {{ and }}; found {found(entry)}."
            errors.at(place, number).add(message, needed)
            continue
        code = entry.get("code")
        level = errors.at(source.place(code, number) if isinstance(code, str) and code.strip() else place, number)
        _check_keys(level, entry, LEVEL_KEYS)
        present = {*entry, *_misspelt(entry, LEVEL_KEYS)}
        for key in required:
            if key not in present:
                level.add(f'the key "{key}" is missing.', needed)
        _check_values(level, entry, LEVEL_KEYS)
        if "goal" in entry and is_valid("goal", entry["goal"]):
            goal = entry["goal"]
            if before is not None and goal <= before:
                message = f"the goal is {goal}, but that of the level before is {before}."
                level.at("goal").add(message, "The goals of the levels rise.")
            before = goal


def _check_triggers(errors: Errors, value: object) -> None:
    needed = f"A trigger needs {', '.join(TRIGGER_KEYS)}."
    if not isinstance(value, list):
        errors.at("triggers").add(f"a list is needed; found {found(value)}.", "Put the triggers between [ and ].")
        return
    if not value:
        errors.at("triggers").add("the list is empty.", needed)
    for number, entry in enumerate(value, start=1):
        trigger = errors.at(f"triggers {number}")
        if not isinstance(entry, Object):
            trigger.add(f"a trigger is an object between {{ and }}; found {found(entry)}.", needed)
            continue
        _check_keys(trigger, entry, TRIGGER_KEYS)
        present = {*entry, *_misspelt(entry, TRIGGER_KEYS)}
        for key in TRIGGER_KEYS:
            if key not in present:
                trigger.add(f'the key "{key}" is missing.', needed)
        _check_values(trigger, entry, TRIGGER_KEYS)


def _check_translations(errors: Errors, value: object) -> None:
    shape = 'Write one object for each language: {"de": {"name": "Sammler"}}.'
    if not isinstance(value, Object):
        errors.at("translations").add(f"an object is needed; found {found(value)}.", shape)
        return
    seen: set[str] = set()
    for language, texts in value.items():
        translation = errors.at(f"translations {shown(language)}".rstrip())
        if not _LANGUAGE.fullmatch(language):
            translation.add("this is not a language code.", 'Write one as Django does, such as "de" or "pt-br".')
        if language in value.repeated or language.lower() in seen:
            translation.add("the language is given twice.", "Keep one of them.")
        seen.add(language.lower())
        if not isinstance(texts, Object):
            translation.add(f"an object is needed; found {found(texts)}.", shape)
            continue
        _check_keys(translation, texts, TRANSLATION_KEYS)
        _check_values(translation, texts, TRANSLATION_KEYS)


def _check_integer(errors: Errors, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        errors.add(f"a whole number is needed; found {found(value)}.", "Write numbers without quotes.")
    elif value not in _POSTGRESQL_INTEGER:
        errors.add("the number does not fit into a PostgreSQL integer.", "Use one from -2147483648 to 2147483647.")


def _check_text(errors: Errors, key: str, value: object) -> None:
    if not isinstance(value, str):
        errors.add(f"a string is needed; found {found(value)}.", 'Put strings between double quotes (").')
    elif key in _MEANINGS and not value.strip():
        errors.add("the string is empty.", _MEANINGS[key])
    elif "\0" in value:
        errors.add("PostgreSQL cannot store the character NUL (\\u0000) in a text.", "Remove it.")
    elif re.search("[\ud800-\udfff]", value):
        message = "the string has half of a surrogate pair, which is not a character."
        errors.add(message, "Remove it, or write its other half.")
    elif key == "time_zone" and value and not conf.is_time_zone(value):
        errors.add(f'there is no time zone "{shown(value)}".', 'Name one as in "Europe/Berlin".')
    elif key == "code" and len(value) > CODE_MAX_LENGTH:
        errors.add(f"the code has {len(value)} characters; {CODE_MAX_LENGTH} are allowed.", "Shorten it.")


def _check_path(errors: Errors, columns: list[object]) -> None:
    if not columns:
        errors.add("the list is empty.", "Name the columns that lead to the user.")
    for column in columns:
        _check_text(errors, "user_field", column)


def _check_goal(errors: Errors, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        errors.add(f"a number is needed; found {found(value)}.", "Write numbers without quotes.")
        return
    if isinstance(value, float) or not Decimal(value).is_finite():
        errors.add(f"found {found(value)}.", "A goal is a number that can be reached.")
        return
    goal = Decimal(value)
    before = GOAL_MAX_DIGITS - GOAL_DECIMAL_PLACES
    exponent = goal.as_tuple().exponent
    if goal.adjusted() >= before or (isinstance(exponent, int) and exponent < -GOAL_DECIMAL_PLACES):
        hint = f"A goal has at most {before} digits before the point and {GOAL_DECIMAL_PLACES} behind it."
        errors.add(f"found {found(value)}.", hint)


def _check_events(errors: Errors, value: object) -> None:
    allowed = f"Allowed are {_EVENTS} and a list of them."
    events = value if isinstance(value, list) else [value]
    if not events:
        errors.add("the list is empty.", allowed)
    for event in events:
        if not isinstance(event, str):
            errors.add(f"found {found(event)}.", allowed)
        elif event.strip().lower() not in set(TriggerEvent):
            near = difflib.get_close_matches(event.strip().lower(), list(TriggerEvent), n=1, cutoff=0.7)
            errors.add(f"found {found(event)}.", f'Did you mean "{near[0]}"? {allowed}' if near else allowed)
