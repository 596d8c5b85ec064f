"""The keys of a badge: what may stand under each, and what is wrong with what does. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from decimal import Decimal

from badges.definitions.json_text import Object, found, shown
from badges.definitions.types import (
    BADGE_FILE,
    CODE_MAX_LENGTH,
    GOAL_DECIMAL_PLACES,
    GOAL_MAX_DIGITS,
    Source,
    TriggerEvent,
)
from badges.exceptions import DefinitionError

ONE_TRIGGER_KEYS = ("trigger_condition", "trigger_table", "user_field")

REQUIRED_KEYS = ("name", "code", "condition", *ONE_TRIGGER_KEYS)

OPTIONAL_KEYS = (
    "description", "category", "image", "points", "position", "secret", "translations", "progress", "goal", "levels",
    "triggers", "per", "revocable", "active", "expires_after",
)  # fmt: skip

KEYS = REQUIRED_KEYS + OPTIONAL_KEYS

LEVEL_KEYS = (
    "code", "goal", "name", "description", "image", "points", "position", "secret", "translations"
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
"""Of the texts that must not be empty."""

_MISSING = {
    "progress": _MEANINGS["progress"],
    "goal": "Write the number that progress is to reach, or levels.",
}

_EVENTS = ", ".join(f'"{event}"' for event in TriggerEvent)

_POSTGRESQL_INTEGER = range(-(2**31), 2**31)

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", re.ASCII)


def badge_errors(number: int, entry: object, source: Source = BADGE_FILE) -> Iterator[DefinitionError]:
    """All that is wrong with one badge by itself."""
    if not isinstance(entry, Object):
        message = f"a badge is an object between {{ and }}; found {found(entry)}."
        yield DefinitionError(message, _A_BADGE_NEEDS, place=source.place(None, number), number=number)
        return
    place = source.place(entry.get("code"), number)
    present = {*entry, *_misspelt(entry, KEYS)}
    for where, message, hint in (
        *_key_errors(entry, KEYS),
        *_combination_errors(entry),
        *(
            ("", f'the key "{key}" is missing.', _MISSING.get(key, _A_BADGE_NEEDS))
            for key in _required(present)
            if key not in present
        ),
        *(error for key, value in entry.items() if key in KEYS for error in value_errors(key, value)),
    ):
        yield DefinitionError(message, hint, place=f"{place}, {where}" if where else place, number=number)
    levels = entry.get("levels")
    if isinstance(levels, list):
        yield from _level_errors(number, levels, source, is_named="name" in present)


def value_errors(key: str, value: object) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a value: where (the key and what follows), what was found, and the hint.

    Of levels only the list itself is judged, as each level is a badge.
    """
    if key in ("trigger_condition", "on"):
        errors = _event_errors(value)
    elif key == "triggers":
        yield from _trigger_errors(value)
        return
    elif key == "translations":
        yield from _translation_errors(value)
        return
    else:
        errors = _scalar_errors(key, value)
    for message, hint in errors:
        yield key, message, hint


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


def _key_errors(entry: Object, keys: Collection[str]) -> Iterator[tuple[str, str, str]]:
    for key in entry.repeated:
        yield shown(key), "the key is given twice.", "Keep one of them."
    for key in entry:
        if keys == LEVEL_KEYS and key in KEYS and key not in keys:
            yield key, "a level has no such key.", "It stands in the badge, for all its levels."
        elif key not in keys:
            near = _nearest(key, keys)
            hint = f'Did you mean "{near}"?' if near else f"The keys are {', '.join(keys)}."
            yield shown(key) or '""', "there is no such key.", hint


def _misspelt(entry: Object, keys: Collection[str]) -> set[str]:
    """The keys that are probably meant by those which do not exist."""
    return {near for key in entry if key not in keys and key not in KEYS and (near := _nearest(key, keys))}


def _nearest(key: str, keys: Collection[str]) -> str | None:
    near = difflib.get_close_matches(key.lower(), keys, n=1)
    return near[0] if near else None


def _combination_errors(entry: Object) -> Iterator[tuple[str, str, str]]:
    """Keys that exclude each other."""
    if "condition" in entry:
        for key in ("progress", "goal", "levels"):
            if key in entry:
                message = f'there is a "{key}" as well, from which the condition would follow.'
                yield "condition", message, "Keep the condition, or progress with a goal or levels."
                break
    if "levels" in entry:
        for key in ("code", "goal"):
            if key in entry:
                yield key, f"a badge with levels has no {key} of its own.", "Each of its levels has one."
    if "triggers" in entry:
        for key in ONE_TRIGGER_KEYS:
            if key in entry:
                yield key, 'there are "triggers" as well, which say the same.', "Keep one of them."


def _level_errors(number: int, levels: list[object], source: Source, *, is_named: bool) -> Iterator[DefinitionError]:
    required = ("code", "goal") if is_named else ("code", "goal", "name")
    before: int | Decimal | None = None
    for place_in_list, level in enumerate(levels, start=1):
        place = f"{source.place(None, number)}, level {place_in_list}"
        if not isinstance(level, Object):
            message = f"a level is an object between {{ and }}; found {found(level)}."
            yield DefinitionError(message, f"A level needs {', '.join(required)}.", place=place, number=number)
            continue
        code = level.get("code")
        if isinstance(code, str) and code.strip():
            place = source.place(code, number)
        present = {*level, *_misspelt(level, LEVEL_KEYS)}
        values = [error for key, value in level.items() if key in LEVEL_KEYS for error in value_errors(key, value)]
        missing = [
            ("", f'the key "{key}" is missing.', f"A level needs {', '.join(required)}.")
            for key in required
            if key not in present
        ]
        for where, message, hint in (*_key_errors(level, LEVEL_KEYS), *missing, *values):
            yield DefinitionError(message, hint, place=f"{place}, {where}" if where else place, number=number)
        goal: int | Decimal = level.get("goal", 0)
        if "goal" in level and not any(value_errors("goal", goal)):
            if before is not None and goal <= before:
                message = f"the goal is {goal}, but that of the level before is {before}."
                hint = "The goals of the levels rise."
                yield DefinitionError(message, hint, place=f"{place}, goal", number=number)
            before = goal


def _trigger_errors(value: object) -> Iterator[tuple[str, str, str]]:
    needed = f"A trigger needs {', '.join(TRIGGER_KEYS)}."
    if not isinstance(value, list):
        yield "triggers", f"a list is needed; found {found(value)}.", "Put the triggers between [ and ]."
        return
    if not value:
        yield "triggers", "the list is empty.", needed
    for number, trigger in enumerate(value, start=1):
        place = f"triggers {number}"
        if not isinstance(trigger, Object):
            yield place, f"a trigger is an object between {{ and }}; found {found(trigger)}.", needed
            continue
        present = {*trigger, *_misspelt(trigger, TRIGGER_KEYS)}
        for where, message, hint in (
            *_key_errors(trigger, TRIGGER_KEYS),
            *(("", f'the key "{key}" is missing.', needed) for key in TRIGGER_KEYS if key not in present),
            *(error for key, each in trigger.items() if key in TRIGGER_KEYS for error in value_errors(key, each)),
        ):
            yield f"{place}, {where}" if where else place, message, hint


def _translation_errors(value: object) -> Iterator[tuple[str, str, str]]:
    shape = 'Write one object for each language: {"de": {"name": "Sammler"}}.'
    if not isinstance(value, Object):
        yield "translations", f"an object is needed; found {found(value)}.", shape
        return
    seen: set[str] = set()
    for language, texts in value.items():
        place = f"translations {shown(language)}".rstrip()
        if not _LANGUAGE.fullmatch(language):
            yield place, "this is no language code.", 'Write one as Django does, such as "de" or "pt-br".'
        if language in value.repeated or language.lower() in seen:
            yield place, "the language is given twice.", "Keep one of them."
        seen.add(language.lower())
        if not isinstance(texts, Object):
            yield place, f"an object is needed; found {found(texts)}.", shape
            continue
        for where, message, hint in (
            *_key_errors(texts, TRANSLATION_KEYS),
            *(error for key, each in texts.items() if key in TRANSLATION_KEYS for error in value_errors(key, each)),
        ):
            yield f"{place}, {where}", message, hint


def _scalar_errors(key: str, value: object) -> Iterator[tuple[str, str]]:
    if key in ("points", "position"):
        if isinstance(value, bool) or not isinstance(value, int):
            yield f"a whole number is needed; found {found(value)}.", "Numbers stand without quotes."
        elif value not in _POSTGRESQL_INTEGER:
            yield "the number does not fit into a PostgreSQL integer.", "Use one from -2147483648 to 2147483647."
    elif key == "goal":
        yield from _goal_errors(value)
    elif key in ("secret", "revocable", "active"):
        if not isinstance(value, bool):
            yield f"true or false is needed; found {found(value)}.", "Both stand without quotes."
    elif key == "levels":
        if not isinstance(value, list):
            yield f"a list is needed; found {found(value)}.", "Put the levels between [ and ]."
        elif not value:
            yield "the list is empty.", "A badge without levels has a code and a goal."
    else:
        yield from _text_errors(key, value)


def _text_errors(key: str, value: object) -> Iterator[tuple[str, str]]:
    if not isinstance(value, str):
        yield f"a text is needed; found {found(value)}.", 'Texts stand between double quotes (").'
    elif key in _MEANINGS and not value.strip():
        yield "the text is empty.", _MEANINGS[key]
    elif "\0" in value:
        yield "PostgreSQL's texts cannot hold the character NUL (\\u0000).", "Remove it."
    elif re.search("[\ud800-\udfff]", value):
        yield "the text holds half of a surrogate pair, which is no character.", "Remove it, or write its other half."
    elif key == "code" and len(value) > CODE_MAX_LENGTH:
        yield f"the code has {len(value)} characters; {CODE_MAX_LENGTH} are allowed.", "Shorten it."


def _goal_errors(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        yield f"a number is needed; found {found(value)}.", "Numbers stand without quotes."
        return
    if isinstance(value, float) or not Decimal(value).is_finite():
        yield f"found {found(value)}.", "A goal is a number that can be reached."
        return
    goal = Decimal(value)
    before = GOAL_MAX_DIGITS - GOAL_DECIMAL_PLACES
    exponent = goal.as_tuple().exponent
    if goal.adjusted() >= before or (isinstance(exponent, int) and exponent < -GOAL_DECIMAL_PLACES):
        yield (
            f"found {found(value)}.",
            f"A goal has at most {before} digits before the point and {GOAL_DECIMAL_PLACES} behind it.",
        )


def _event_errors(value: object) -> Iterator[tuple[str, str]]:
    allowed = f"Allowed are {_EVENTS} and a list of them."
    events = value if isinstance(value, list) else [value]
    if not events:
        yield "the list is empty.", allowed
    for event in events:
        if not isinstance(event, str):
            yield f"found {found(event)}.", allowed
        elif event.strip().lower() not in set(TriggerEvent):
            near = difflib.get_close_matches(event.strip().lower(), list(TriggerEvent), n=1, cutoff=0.7)
            yield f"found {found(event)}.", f'Did you mean "{near[0]}"? {allowed}' if near else allowed
