"""badge.json -> definitions. Pure: no database, and every fault of a file with its place."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from badges.exceptions import Fault, InvalidDefinitions

CODE_MAX_LENGTH = 100
"""Characters of a code: the column was this wide in django-pg-badges 0.1."""


class Event(enum.StrEnum):
    """The kinds of write that a badge can be checked after, in PostgreSQL's words."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"

    @property
    def changed_row(self) -> str:
        """The row that a bare column belongs to: `old` after a delete, otherwise `new`."""
        return "old" if self is Event.DELETE else "new"

    @property
    def has_new(self) -> bool:
        return self is not Event.DELETE

    @property
    def has_old(self) -> bool:
        return self is not Event.INSERT


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """One badge as the file declares it. `position` is its place in the file unless the file says otherwise."""

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

    @property
    def place(self) -> str:
        return f'badge "{self.code}"'


REQUIRED_KEYS = ("name", "code", "condition", "trigger_condition", "trigger_table", "user_field")
OPTIONAL_KEYS = ("description", "category", "image", "points", "position", "secret")
KEYS = REQUIRED_KEYS + OPTIONAL_KEYS

_EVENTS = ", ".join(f'"{event}"' for event in Event)
_POSTGRESQL_INTEGER = range(-(2**31), 2**31)


def load(path: Path) -> tuple[Definition, ...]:
    """Read the badge file at `path`.

    :raises InvalidDefinitions: the file is missing, unreadable, not UTF-8, not JSON or not a list of badges; with all
        faults at once.
    """
    source = str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InvalidDefinitions(
            source, [Fault("", "There is no such file.", "Check the setting BADGES_FILE or --file.")]
        ) from None
    except OSError as error:
        raise InvalidDefinitions(
            source, [Fault("", f"The file cannot be read: {error.strerror}.", "Check BADGES_FILE and its permissions.")]
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8."
        raise InvalidDefinitions(source, [Fault(f"line {line}", message, "Save the file as UTF-8.")]) from None
    return parse(text, source)


def parse(text: str, source: str = "badge.json") -> tuple[Definition, ...]:
    """Turn the text of a badge file into definitions, in the order of the file.

    :raises InvalidDefinitions: with all faults at once.
    """
    try:
        entries = json.loads(text, object_pairs_hook=_Entry)
    except json.JSONDecodeError as error:
        raise InvalidDefinitions(source, [_syntax_fault(text, error)]) from None
    except RecursionError:
        raise InvalidDefinitions(source, [Fault("", "The JSON is nested too deeply.")]) from None
    if not isinstance(entries, list):
        found = _json_type(entries)
        raise InvalidDefinitions(
            source, [Fault("", f"A badge file is a list of badges; found {found}.", "Put the badges between [ and ].")]
        )
    faults: list[Fault] = []
    definitions: list[Definition] = []
    first_with_code: dict[str, int] = {}
    for number, entry in enumerate(entries, start=1):
        entry_faults = list(_entry_faults(number, entry))
        code = entry.get("code") if isinstance(entry, _Entry) else None
        if isinstance(code, str) and code:
            if code in first_with_code:
                message = f"the code is used twice, by badge {first_with_code[code]} and by badge {number} of the file."
                entry_faults.append(Fault(f'badge "{code}", code', message, "Give each badge a code of its own."))
            first_with_code.setdefault(code, number)
        faults += entry_faults
        if not entry_faults:
            definitions.append(_definition(number, entry))
    if faults:
        raise InvalidDefinitions(source, faults)
    return tuple(definitions)


class _Entry(dict[str, Any]):
    """A JSON object that remembers the keys that were given twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        seen: set[str] = set()
        self.repeated = tuple(key for key, _ in pairs if key in seen or seen.add(key))


def _definition(number: int, entry: Mapping[str, Any]) -> Definition:
    events = entry["trigger_condition"]
    events = [events] if isinstance(events, str) else events
    return Definition(
        code=entry["code"],
        name=entry["name"],
        condition=entry["condition"],
        events=tuple(event for event in Event if event.value in {name.strip().lower() for name in events}),
        trigger_table=entry["trigger_table"],
        user_field=entry["user_field"],
        **{"position": number} | {key: entry[key] for key in OPTIONAL_KEYS if key in entry},
    )


def _entry_faults(number: int, entry: object) -> Iterator[Fault]:
    place = f"badge {number} of the file"
    if not isinstance(entry, _Entry):
        yield Fault(place, f"a badge is an object with the keys {', '.join(REQUIRED_KEYS)}; found {_json_type(entry)}.")
        return
    code = entry.get("code")
    if isinstance(code, str) and code.strip():
        place = f'badge "{code}"'
    for key in entry.repeated:
        yield Fault(f"{place}, {key}", "the key is given twice.", "Keep one of them.")
    unknown = [key for key in entry if key not in KEYS]
    misspelt = {}
    for key in unknown:
        near = difflib.get_close_matches(key.lower(), KEYS, n=1)
        if near:
            misspelt[near[0]] = key
        remedy = f'Did you mean "{near[0]}"?' if near else f"The keys are {', '.join(KEYS)}."
        yield Fault(f"{place}, {key}", "there is no such key.", remedy)
    for key in REQUIRED_KEYS:
        if key not in entry and key not in misspelt:
            yield Fault(place, f'the key "{key}" is missing.', f"A badge needs {', '.join(REQUIRED_KEYS)}.")
    for key, value in entry.items():
        if key in KEYS:
            for message, remedy in _value_faults(key, value):
                yield Fault(f"{place}, {key}", message, remedy)


def _value_faults(key: str, value: object) -> Iterator[tuple[str, str]]:
    if key == "trigger_condition":
        yield from _event_faults(value)
    elif key in ("points", "position"):
        if isinstance(value, bool) or not isinstance(value, int):
            yield f"a whole number is needed; found {_json_type(value)}.", ""
        elif value not in _POSTGRESQL_INTEGER:
            yield "the number does not fit into a PostgreSQL integer.", "Use one between -2147483648 and 2147483647."
    elif key == "secret":
        if not isinstance(value, bool):
            yield f"true or false is needed; found {_json_type(value)}.", ""
    elif not isinstance(value, str):
        yield f"a text is needed; found {_json_type(value)}.", ""
    elif key in REQUIRED_KEYS and not value.strip():
        yield "the text is empty.", ""
    elif "\0" in value:
        yield "PostgreSQL's texts cannot hold the character NUL (\\u0000).", "Remove it."
    elif re.search("[\ud800-\udfff]", value):
        yield "the text holds half of a surrogate pair, which is no character.", "Remove it."
    elif key == "code" and len(value) > CODE_MAX_LENGTH:
        yield f"the code has {len(value)} characters; {CODE_MAX_LENGTH} are allowed.", ""


def _event_faults(value: object) -> Iterator[tuple[str, str]]:
    allowed = f"Allowed are {_EVENTS} and a list of them."
    events = value if isinstance(value, list) else [value]
    if not events:
        yield "the list is empty.", allowed
    for event in events:
        if not isinstance(event, str):
            yield f"found {_json_type(event)}.", allowed
        elif event.strip().lower() not in set(Event):
            near = difflib.get_close_matches(event.strip().lower(), list(Event), n=1)
            yield f'found "{event}".', f'Did you mean "{near[0]}"? {allowed}' if near else allowed


def _syntax_fault(text: str, error: json.JSONDecodeError) -> Fault:
    """Say where the JSON breaks, and name the usual cause: a comma that is missing or one too many."""
    line, column = error.lineno, error.colno
    shown = text.split("\n")[line - 1].rstrip("\r")
    # A long line is cut around the place, so that the caret stays below it on a terminal.
    start = max(0, column - 61)
    excerpt = f"    {shown[start : start + 100]}\n    {' ' * (column - 1 - start)}^"
    before = text[: error.pos].rstrip()
    after = text[error.pos :].lstrip()
    remedy = ""
    if error.msg.startswith("Expecting ',' delimiter") and after:
        remedy = f"Probably a comma is missing after {_end_of(before)}."
    elif before.endswith(",") and after[:1] in ("]", "}", ""):
        remedy = "Probably the comma before this place is one too many."
    elif not text.strip():
        remedy = "The file is empty; a file without badges is []."
    elif after.startswith("'"):
        remedy = 'Texts stand between double quotes (") in JSON.'
    elif after.startswith(("//", "/*", "#")):
        remedy = "JSON has no comments."
    message = f"this is not JSON: {error.msg}.\n{excerpt}"
    return Fault(f"line {line}, column {column}", message, remedy)


def _end_of(before: str) -> str:
    line = before.count("\n") + 1
    return f"{before[-30:].splitlines()[-1].strip()} at the end of line {line}"


def _json_type(value: object) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    if value is None:
        return "null"
    return names.get(type(value), "an object")
