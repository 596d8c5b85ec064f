"""badge.json, and rules in its form -> definitions. Pure: no database, and every fault with its place."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

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


class Source(NamedTuple):
    """What declares badges, and what must be known of it to name their places."""

    module: str = ""
    """The path of a module with rules in Python; empty for the badge file."""
    before: int = 0
    """How many badges other sources have declared before it."""

    def __str__(self) -> str:
        return self.module or "the file"

    def place(self, code: object, number: int) -> str:
        """Where a badge is declared, for people."""
        if not isinstance(code, str) or not code.strip():
            return f"badge {number - self.before} {'in' if self.module else 'of'} {self}"
        return f'badge "{_shown(code)}"' + (f" in {self}" if self.module else "")


BADGE_FILE = Source()


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """One badge as it is declared. `position` is its place among all badges unless it says otherwise."""

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
    number: int = 0
    """Its place among all badges, from 1: those of the file, then those in Python."""
    source: Source = BADGE_FILE

    @property
    def place(self) -> str:
        return self.source.place(self.code, self.number)


REQUIRED_KEYS = ("name", "code", "condition", "trigger_condition", "trigger_table", "user_field")
OPTIONAL_KEYS = ("description", "category", "image", "points", "position", "secret")
KEYS = REQUIRED_KEYS + OPTIONAL_KEYS

_MEANINGS = {
    "name": "Write the name that people see.",
    "code": "Write a code that no other badge has.",
    "condition": 'Write what may follow SELECT and gives true or false; "true" awards at once.',
    "trigger_table": "Name the table whose changes cause the check.",
    "user_field": "Name the column of the table that holds the user.",
}
_SYNTAX_REMEDIES = {
    "Extra data": "A badge file is one list: all badges between one [ and one ].",
    "Invalid control character": "A text stands on one line; a line break in it is written \\n, a tab \\t.",
    "Invalid \\": "A backslash in a text is written \\\\.",
    "Unterminated string": 'The double quote (") that ends the text is missing.',
    "Expecting property name": 'A key between double quotes (") is needed here, or the } that ends the badge.',
    "Expecting ':'": "A key is followed by a colon and its value.",
    "": 'A value is a text between double quotes ("), a number, true, false, null or a list.',
}
"""By the beginning of the message of Python's parser."""
_JUDGED_BY_SERVER = ("code", "condition", "trigger_condition", "trigger_table", "user_field")
_EVENTS = ", ".join(f'"{event}"' for event in Event)
_POSTGRESQL_INTEGER = range(-(2**31), 2**31)


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
    try:
        entries = json.loads(
            text.removeprefix("\ufeff"), object_pairs_hook=_Entry, parse_int=_integer, parse_float=_number
        )
    except json.JSONDecodeError as error:
        return (), (_syntax_fault(error),)
    except RecursionError:
        return (), (Fault("", "The JSON is nested too deeply.", "A badge file is a list of flat objects."),)
    if not isinstance(entries, list):
        message = f"A badge file is a list of badges; found {_found(entries)}."
        return (), (Fault("", message, "Put the badges between [ and ]."),)
    definitions: list[Definition] = []
    faults: list[Fault] = []
    first_with_code: dict[str, int] = {}
    for number, entry in enumerate(entries, start=source.before + 1):
        faults += _entry_faults(number, entry, source)
        if isinstance(entry, _Entry) and not any(list(_value_faults(key, entry.get(key))) for key in _JUDGED_BY_SERVER):
            definitions.append(_definition(number, entry, source))
        code = entry.get("code") if isinstance(entry, _Entry) else None
        if isinstance(code, str) and code.strip():
            first = first_with_code.setdefault(code, number)
            if first != number:
                twice = " and by ".join(f"badge {each - source.before}" for each in (first, number))
                message = f"the code is used twice, by {twice} of {source}."
                place = f"{source.place(code, number)}, code"
                faults.append(Fault(place, message, "Give each badge a code of its own.", number))
    return tuple(definitions), tuple(faults)


class _Entry(dict[str, Any]):
    """A JSON object that remembers the keys that were given twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _ in pairs)
        self.repeated = tuple(key for key, count in counts.items() if count > 1)


def _definition(number: int, entry: Mapping[str, Any], source: Source) -> Definition:
    events = entry["trigger_condition"]
    events = [events] if isinstance(events, str) else events
    return Definition(
        code=entry["code"],
        name=entry.get("name", ""),
        condition=entry["condition"],
        events=tuple(event for event in Event if event.value in {name.strip().lower() for name in events}),
        trigger_table=entry["trigger_table"],
        user_field=entry["user_field"],
        number=number,
        source=source,
        **{"position": number} | {key: entry[key] for key in OPTIONAL_KEYS if key in entry},
    )


def _entry_faults(number: int, entry: object, source: Source) -> Iterator[Fault]:
    place = source.place(entry.get("code") if isinstance(entry, _Entry) else None, number)
    if not isinstance(entry, _Entry):
        message = f"a badge is an object between {{ and }}; found {_found(entry)}."
        yield Fault(place, message, f"A badge needs {', '.join(REQUIRED_KEYS)}.", number)
        return
    for key in entry.repeated:
        yield Fault(f"{place}, {_shown(key)}", "the key is given twice.", "Keep one of them.", number)
    misspelt = set()
    for key in entry:
        if key not in KEYS:
            near = difflib.get_close_matches(key.lower(), KEYS, n=1)
            misspelt.update(near)
            remedy = f'Did you mean "{near[0]}"?' if near else f"The keys are {', '.join(KEYS)}."
            shown = _shown(key) or '""'
            yield Fault(f"{place}, {shown}", "there is no such key.", remedy, number)
    for key in REQUIRED_KEYS:
        if key not in entry and key not in misspelt:
            remedy = f"A badge needs {', '.join(REQUIRED_KEYS)}."
            yield Fault(place, f'the key "{key}" is missing.', remedy, number)
    for key, value in entry.items():
        if key in KEYS:
            for message, remedy in _value_faults(key, value):
                yield Fault(f"{place}, {key}", message, remedy, number)


def _value_faults(key: str, value: object) -> Iterator[tuple[str, str]]:
    if key == "trigger_condition":
        yield from _event_faults(value)
    elif key in ("points", "position"):
        if isinstance(value, bool) or not isinstance(value, int):
            yield f"a whole number is needed; found {_found(value)}.", "Numbers stand without quotes."
        elif value not in _POSTGRESQL_INTEGER:
            yield "the number does not fit into a PostgreSQL integer.", "Use one from -2147483648 to 2147483647."
    elif key == "secret":
        if not isinstance(value, bool):
            yield f"true or false is needed; found {_found(value)}.", "Both stand without quotes."
    elif not isinstance(value, str):
        yield f"a text is needed; found {_found(value)}.", 'Texts stand between double quotes (").'
    elif key in REQUIRED_KEYS and not value.strip():
        yield "the text is empty.", _MEANINGS[key]
    elif "\0" in value:
        yield "PostgreSQL's texts cannot hold the character NUL (\\u0000).", "Remove it."
    elif re.search("[\ud800-\udfff]", value):
        yield "the text holds half of a surrogate pair, which is no character.", "Remove it, or write its other half."
    elif key == "code" and len(value) > CODE_MAX_LENGTH:
        yield f"the code has {len(value)} characters; {CODE_MAX_LENGTH} are allowed.", "Shorten it."


def _event_faults(value: object) -> Iterator[tuple[str, str]]:
    allowed = f"Allowed are {_EVENTS} and a list of them."
    events = value if isinstance(value, list) else [value]
    if not events:
        yield "the list is empty.", allowed
    for event in events:
        if not isinstance(event, str):
            yield f"found {_found(event)}.", allowed
        elif event.strip().lower() not in set(Event):
            near = difflib.get_close_matches(event.strip().lower(), list(Event), n=1, cutoff=0.7)
            yield f"found {_found(event)}.", f'Did you mean "{near[0]}"? {allowed}' if near else allowed


def _syntax_fault(error: json.JSONDecodeError) -> Fault:
    message = f"this is not JSON: {error.msg}.\n{excerpt(error.doc, error.pos)}"
    return Fault(f"line {error.lineno}, column {error.colno}", message, _syntax_remedy(error))


def _syntax_remedy(error: json.JSONDecodeError) -> str:
    """The usual cause of what Python's parser complains about."""
    before, after = error.doc[: error.pos].rstrip(), error.doc[error.pos :].lstrip()
    if not error.doc.strip():
        return "The file is empty; a file without badges is []."
    if after.startswith(("//", "/*", "#")):
        return "JSON has no comments."
    if after.startswith("'"):
        return 'Texts stand between double quotes (").'
    # Python 3.13 points at the comma itself, earlier versions behind it.
    if error.msg.startswith("Illegal trailing comma") or (before.endswith(",") and after[:1] in ("]", "}", "")):
        return "Probably the last comma before this place is one too many."
    if error.msg.startswith("Expecting ',' delimiter"):
        return _delimiter_remedy(before, after)
    return next(remedy for start, remedy in _SYNTAX_REMEDIES.items() if error.msg.startswith(start))


def _delimiter_remedy(before: str, after: str) -> str:
    if not after or after[0] in "]}":
        return "Probably a } or a ] is missing before this place."
    if after[0] in '"{[' or after[0].isdigit():
        last = re.search(r'("(?:[^"\\\n]|\\.)*"|[^\s",:]+)$', before[-CODE_MAX_LENGTH:])
        line = before.count("\n") + 1
        return f"Probably a comma is missing in line {line} after {last[0] if last else 'the value'}."
    return 'A double quote inside a text is written \\".'


def excerpt(text: str, position: int) -> str:
    """The line of `text` that holds `position`, with a caret below that character."""
    start = text.rfind("\n", 0, position) + 1
    line, column = text[start:].partition("\n")[0], position - start
    # A long line is cut around the place, so that the caret stays below it on a terminal.
    cut = max(0, column - 60)
    visible = "".join(character if character.isprintable() else " " for character in line[cut : cut + 100])
    return f"    {visible.rstrip()}\n    {' ' * (column - cut)}^"


def _shown(text: str) -> str:
    """`text` as it can stand in a message: short, on one line, without what a terminal would obey."""
    text = text if len(text) <= CODE_MAX_LENGTH else f"{text[:CODE_MAX_LENGTH]}..."
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _found(value: object) -> str:
    if isinstance(value, str):
        return f'the text "{_shown(value)}"'
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "an object"


def _integer(digits: str) -> int:
    # Python refuses to convert thousands of digits. These are enough to see that the number is too large.
    return int(digits[:20])


def _number(text: str) -> int | float:
    # JSON knows no difference between 10 and 10.0.
    value = float(text)
    return int(value) if value.is_integer() else value
