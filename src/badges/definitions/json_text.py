"""JSON: reads the text of a badge file, finds the places of its syntax errors, and quotes values in messages. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any

from badges.definitions.errors import Errors

SHOWN_MAX_LENGTH = 100
_MAX_DIGITS = 50
"""More than any key allows: a longer number need not be exact to be rejected."""
_SYNTAX_HINTS = {
    "Extra data": "A badge file is one list: all badges between one [ and one ].",
    "Invalid control character": "A string is on one line; write a line break as \\n, a tab as \\t.",
    "Invalid \\": "Write a backslash in a string as \\\\.",
    "Unterminated string": 'The double quote (") that ends the string is missing.',
    "Expecting property name": 'A key between double quotes (") is needed here, or the } that ends the badge.',
    "Expecting ':'": "A key is followed by a colon and its value.",
    "": 'A value is a string between double quotes ("), a number, true, false, null or a list.',
}
"""By the beginning of the message of Python's parser."""


class Object(dict[str, Any]):
    """A JSON object that remembers the keys that were given twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _ in pairs)
        self.repeated = tuple(key for key, count in counts.items() if count > 1)


def read(errors: Errors, text: str) -> object:
    """The value of a text: objects as `Object`, numbers as int if they are whole and as Decimal otherwise.

    :returns: None if there are errors.
    """
    try:
        return json.loads(
            text.removeprefix("\ufeff"), object_pairs_hook=Object, parse_int=_integer, parse_float=_number
        )
    except json.JSONDecodeError as error:
        message = f"this is not JSON: {error.msg}.\n{excerpt(error.doc, error.pos)}"
        errors.at(f"line {error.lineno}, column {error.colno}").add(message, _syntax_hint(error))
    except RecursionError:
        errors.add("The JSON is nested too deeply.", "A badge file is a list of flat objects.")
    return None


def excerpt(text: str, position: int) -> str:
    """The line of `text` that holds `position`, with a caret below that character."""
    start = text.rfind("\n", 0, position) + 1
    column = position - start
    # A long line is cut around the place, so that the caret stays below it on a terminal.
    cut = max(0, column - 60)
    part = text[start:].partition("\n")[0][cut : cut + 100]
    visible = "".join(character if character.isprintable() else " " for character in part)
    return f"    {visible.rstrip()}\n    {' ' * (column - cut)}^"


def shown(text: str) -> str:
    """`text` for a message: short, on one line, without the control characters that a terminal would obey."""
    text = text if len(text) <= SHOWN_MAX_LENGTH else f"{text[:SHOWN_MAX_LENGTH]}..."
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def found(value: object) -> str:
    """The kind of a value in the file, in words."""
    if isinstance(value, str):
        return f'the string "{shown(value)}"'
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float | Decimal):
        return f"the number {shown(str(value))}"
    return "a list" if isinstance(value, list) else "an object"


def _syntax_hint(error: json.JSONDecodeError) -> str:
    """The usual cause of an error of Python's parser."""
    before, after = error.doc[: error.pos].rstrip(), error.doc[error.pos :].lstrip()
    if not error.doc.strip():
        return "The file is empty; a file without badges is []."
    if after.startswith(("//", "/*", "#")):
        return "JSON has no comments."
    if after.startswith("'"):
        return 'Put strings between double quotes (").'
    # Python 3.13 points at the comma itself, earlier versions behind it.
    if error.msg.startswith("Illegal trailing comma") or (before.endswith(",") and after[:1] in ("]", "}", "")):
        return "Probably the last comma before this place is one too many."
    if error.msg.startswith("Expecting ',' delimiter"):
        return _delimiter_hint(before, after)
    return next(hint for start, hint in _SYNTAX_HINTS.items() if error.msg.startswith(start))


def _delimiter_hint(before: str, after: str) -> str:
    if not after or after[0] in "]}":
        return "Probably a } or a ] is missing before this place."
    if after[0] in '"{[' or after[0].isdigit():
        last = re.search(r'("(?:[^"\\\n]|\\.)*"|[^\s",:]+)$', before[-SHOWN_MAX_LENGTH:])
        line = before.count("\n") + 1
        return f"Probably a comma is missing on line {line} after {last[0] if last else 'the value'}."
    return 'Write a double quote inside a string as \\".'


def _integer(digits: str) -> int:
    # Python does not convert thousands of digits. These are enough to see that the number is too large.
    return int(digits[:_MAX_DIGITS])


def _number(text: str) -> int | float | Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return float(text)  # its exponent alone is out of all bounds
    # JSON knows no difference between 10 and 10.0.
    is_whole = value.adjusted() < _MAX_DIGITS and value == value.to_integral_value()
    return int(value) if is_whole else value
