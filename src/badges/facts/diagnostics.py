"""Says what is wrong with a condition, in its author's terms: PostgreSQL's error, the place, the hint."""

from __future__ import annotations

import enum
import re

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper

from badges.definitions import json_text
from badges.definitions.types import TriggerEvent
from badges.facts.tables import nearest_table
from badges.facts.types import Table, Target

_SYNTAX_HINTS = {
    ")": "Probably one ) is too many: the {noun} never opened it.",
    ";": "Leave out the semicolon.",
    "SELECT": "A {noun} begins behind SELECT: leave that out.",
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE"), "A {noun} may only read."),
}
"""By the word at which PostgreSQL stops."""
_ONE_ROW = "the {noun} aggregates without FROM, so it sees the changed row alone."
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})


class Noun(enum.StrEnum):
    """What the author's SQL is, which is the key that it stands under too."""

    CONDITION = "condition"
    PROGRESS = "progress"

    @property
    def result(self) -> str:
        return "boolean" if self is Noun.CONDITION else "number"

    @property
    def expected(self) -> str:
        return "true or false" if self is Noun.CONDITION else "a number"

    @property
    def with_rows(self) -> str:
        comparison = " >= 5" if self is Noun.CONDITION else ""
        return f"Say which rows: count(*){comparison} FROM a_table WHERE user_id = NEW.user_id"


def about_condition(
    connection: BaseDatabaseWrapper,
    target: Target,
    noun: Noun,
    text: str,
    error: psycopg.Error,
    start: int,
    event: TriggerEvent | None,
    table: Table | None,
) -> tuple[str, str]:
    """Turn PostgreSQL's error into a message that points into the author's own text, and a hint.

    :param text: the condition or the progress, as `noun` says.
    :param start: where in the statement that failed it begins.
    """
    position = int(error.diag.statement_position or 0) - 1 - start
    is_inside = 0 <= position <= len(text) + 1
    # What is missing at the end, PostgreSQL misses behind our line break.
    rest = text[min(position, len(text.rstrip())) :] if is_inside else ""
    message, hint = _explanation(connection, target, noun, error, rest, is_inside, event, table)
    if is_inside:
        message = f"{message}\n{json_text.excerpt(text, len(text) - len(rest))}"
    return message, hint


def about_type(noun: Noun, type_: str, dangling: str | None) -> list[tuple[str, str]]:
    """What is wrong with a condition that PostgreSQL accepts, as far as its result tells: messages with hints."""
    errors = []
    if dangling:
        errors.append((f"the {noun} ends with {dangling.upper()}.", "Write what it needs, or leave it out."))
    if noun is Noun.CONDITION and type_ != "boolean":
        errors.append((f"the condition gives {type_}; a badge needs true or false.", "Compare it with something."))
    if noun is Noun.PROGRESS and type_ not in _NUMBERS:
        errors.append((f"the progress gives {type_}; a goal needs a number.", "Count something, or cast it."))
    return errors


def about_reading(
    noun: Noun, system_column: bool, locks_rows: bool, one_row: bool, volatile: list[str]
) -> list[tuple[str, str]]:
    """The same, as far as what it reads and calls tells."""
    errors = []
    if volatile:
        errors.append(
            (
                f"the {noun} calls {', '.join(volatile)}; volatile functions may change data or their answer.",
                "Use now() for the time; declare a function of your own STABLE if it only reads.",
            )
        )
    if system_column:
        errors.append(
            (f"the {noun} reads a system column such as ctid or xmin.", "Those differ in every version of a row.")
        )
    if locks_rows:
        errors.append((f"the {noun} locks rows (FOR UPDATE or FOR SHARE).", "A badge must not block a write."))
    if one_row:
        errors.append((_ONE_ROW.format(noun=noun), noun.with_rows))
    return errors


def _syntax_explanation(noun: Noun, error: psycopg.Error, message: str, rest: str, is_inside: bool) -> tuple[str, str]:
    if error.diag.statement_position is None:
        # Preparing several statements at once is the only syntax error without a place.
        return f"the {noun} holds several statements.", "Write one expression, without semicolons."
    if not is_inside:
        # The complaint is about our parenthesis around the condition.
        joined = "; AND and OR join several" if noun is Noun.CONDITION else ""
        return f"the {noun} must give one column: {message}.", f"Write one expression{joined}."
    word = (re.match(r"\w+|.", rest) or [""])[0].upper()
    if "INTO" in message:
        word = "INSERT"
    hint = _SYNTAX_HINTS.get(word, "").format(noun=noun) or error.diag.message_hint or ""
    return message, hint


def _explanation(
    connection: BaseDatabaseWrapper,
    target: Target,
    noun: Noun,
    error: psycopg.Error,
    rest: str,
    is_inside: bool,
    event: TriggerEvent | None,
    table: Table | None,
) -> tuple[str, str]:
    """Message and hint for an error at the beginning of `rest`, the part of the condition behind that place."""
    # What quotes the rest of the text quotes our line break after it, too.
    message = re.sub(r'\s+"$', '"', error.diag.message_primary or str(error))
    hint = error.diag.message_hint or ""
    match error:
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn():
            return _unknown_name(connection, error, message, rest, event, table)
        case psycopg.errors.SyntaxError():
            return _syntax_explanation(noun, error, message, rest, is_inside)
        case psycopg.errors.UndefinedParameter():
            hint = f"A {noun} has no parameters; NEW and OLD hold the changed row."
        case psycopg.errors.GroupingError() if "FROM" in message:
            message, hint = _ONE_ROW.format(noun=noun), noun.with_rows
        case psycopg.errors.FeatureNotSupported() if "WITH" in message:
            hint = f"A {noun} may only read."
        case psycopg.errors.InvalidTableDefinition():
            message = f"the {noun} gives no {noun.result}: {message}."
            hint = f"One value, {noun.expected}, is needed."
        case psycopg.errors.InsufficientPrivilege():
            hint = f'Needed by the role "{target.role}": USAGE on the schema, EXECUTE on the function.'
    return message, hint


def _unknown_name(
    connection: BaseDatabaseWrapper,
    error: psycopg.Error,
    message: str,
    rest: str,
    event: TriggerEvent | None,
    table: Table | None,
) -> tuple[str, str]:
    word = (re.match(r'"[^"]*"|[\w.]+', rest) or [""])[0]
    source, _, name = word.rpartition(".")
    row = word.partition(".")[0].upper()
    if event and ((row == "NEW" and not event.has_new) or (row == "OLD" and not event.has_old)):
        other = "OLD" if row == "NEW" else "NEW"
        return f"{row} does not exist for {event}.", f"Use {other}, or check the badge after another kind of write."
    if row in ('"NEW"', '"OLD"'):
        return message, f"{row[1:-1]} stands without quotes."
    if error.diag.message_hint:
        return message, error.diag.message_hint
    if isinstance(error, psycopg.errors.UndefinedTable):
        near = nearest_table(connection, word)
    else:
        near = table.nearest_column(name) if table else None
    hint = ""
    if near:
        hint = f'Did you mean "{near}"?'
    elif word.startswith('"'):
        hint = "Texts stand between single quotes ('); double quotes are for names."
    elif table and source.upper() in ("", "NEW", "OLD") and isinstance(error, psycopg.errors.UndefinedColumn):
        hint = f"The columns of {table.qualified_name}: {table.column_names}."
    return message, hint
