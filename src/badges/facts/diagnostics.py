"""Diagnostics: errors of conditions in the terms of their author, with the place and a hint. Takes a connection."""

from __future__ import annotations

import difflib
import enum
import re

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch_file
from badges.definitions import json_text
from badges.definitions.errors import Errors
from badges.definitions.types import Definition
from badges.exceptions import Notice
from badges.facts import equality
from badges.facts.probes import Answer, Probe, Rejection
from badges.facts.tables import nearest_table
from badges.facts.types import Target

_SYNTAX_HINTS = {
    ")": "Probably one ) is too many: the {noun} never opened it.",
    ";": "Leave out the semicolon.",
    "SELECT": "Write the {noun} without SELECT.",
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE"), "A {noun} may only read."),
}
"""By the word at which PostgreSQL stops."""
_OPERATORS = {
    "==": "=", "===": "=", "=>": ">=", "=<": "<=", "!==": "<>", "&&": "AND", "||": "OR", "!": "NOT", "~=": "<>",
}  # fmt: skip
"""Operators of other languages, and what SQL has for them."""
_ONE_ROW = "the {noun} aggregates without FROM, so it sees only the changed row."
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})


class Noun(enum.StrEnum):
    """The name of the author's SQL in messages, which is also its key in the file."""

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


def report_rejection(
    errors: Errors,
    connection: BaseDatabaseWrapper,
    target: Target,
    definition: Definition,
    rejection: Rejection,
    probe: Probe | None = None,
) -> None:
    """Report that PostgreSQL rejects a question, with the place in the author's text.

    :param probe: the probe that it rejects; None if it cannot even parse the question.
    """
    noun, text = Noun(definition.question_key), definition.question
    position = int(rejection.error.diag.statement_position or 0) - 1 - rejection.start
    is_inside = 0 <= position <= len(text) + 1
    # An error at the end of the text has its position behind our line break.
    rest = text[min(position, len(text.rstrip())) :] if is_inside else ""
    notice = _explanation(connection, target, noun, rejection.error, rest, is_inside, probe)
    excerpt = f"\n{json_text.excerpt(text, len(text) - len(rest))}" if is_inside else ""
    errors.at(noun.value).add(f"{notice.message}{excerpt}", notice.hint)


def check_answer(errors: Errors, target: Target, definition: Definition, probe: Probe, answer: Answer) -> None:
    """Check the type of a question, what it reads and calls, and the rights that it takes."""
    noun, owner = Noun(definition.question_key), target.badges_owner
    question = errors.at(noun.value)
    if answer.dangling_word:
        message = f"the {noun} ends with {answer.dangling_word.upper()}."
        question.add(message, "Write what it needs, or leave it out.")
    if noun is Noun.CONDITION and answer.type != "boolean":
        question.add(f"the condition gives {answer.type}; a badge needs true or false.", "Compare it with something.")
    if noun is Noun.PROGRESS and answer.type not in _NUMBERS:
        question.add(f"the progress gives {answer.type}; a goal needs a number.", "Count something, or cast it.")
    if answer.volatile:
        question.add(
            f"the {noun} calls {', '.join(answer.volatile)}; volatile functions may change data or their answer.",
            "Use now() for the time; declare a function of your own STABLE if it only reads.",
        )
    if answer.reads_system_column:
        message = f"the {noun} reads a system column such as ctid or xmin."
        question.add(message, "Those differ in every version of a row.")
    if answer.locks_rows:
        question.add(f"the {noun} locks rows (FOR UPDATE or FOR SHARE).", "A badge must not block a write.")
    if answer.aggregates_one_row:
        question.add(_ONE_ROW.format(noun=noun), noun.with_rows)
    if answer.reads and equality.compares_with_itself(answer.tree, answer.equalities):
        write = 'OuterRef("user")' if definition.source.module else f"NEW.{definition.user_field}"
        question.add(
            f"the {noun} compares a column with itself, which is true for the rows of all users.",
            f"Write {write} for the user of the changed row; IS NOT NULL, if that is what it asks.",
        )
    for right in answer.lacking:
        question.add(
            f'the {noun} runs with the rights of the owner of the badges, "{owner}", who lacks {right}.',
            f"Needed: GRANT {right} TO {sql.Identifier(owner).as_string()};",
        )
    for column in probe.table.columns:
        if column.is_virtual and column.name in {*answer.new_columns, *answer.old_columns}:
            question.add(
                f"the {noun} reads {column.name}, a virtual generated column, which triggers do not see.",
                "Write its expression out, or make the column STORED.",
            )


def _explanation(
    connection: BaseDatabaseWrapper,
    target: Target,
    noun: Noun,
    error: psycopg.Error,
    rest: str,
    is_inside: bool,
    probe: Probe | None,
) -> Notice:
    """PostgreSQL's error in the author's terms.

    :param rest: the part of the question from the place of the error; empty if that is not inside.
    """
    # A message that quotes the rest of the text quotes our line break after it, too.
    message = re.sub(r'\s+"$', '"', error.diag.message_primary or str(error))
    hint = error.diag.message_hint or ""
    match error:
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn():
            return _unknown_name(connection, error, message, rest, probe)
        case psycopg.errors.SyntaxError():
            return _syntax_error(noun, error, message, rest, is_inside)
        case psycopg.errors.UndefinedFunction():
            # From PostgreSQL 19 on, the detail says what is wrong with the name or the arguments.
            return Notice(message, _function_hint(connection, rest) or hint or error.diag.message_detail or "")
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
    return Notice(message, hint)


def _syntax_error(noun: Noun, error: psycopg.Error, message: str, rest: str, is_inside: bool) -> Notice:
    if error.diag.statement_position is None:
        # Preparing several statements at once is the only syntax error without a place.
        return Notice(f"the {noun} holds several statements.", "Write one expression, without semicolons.")
    if not is_inside:
        # The error is at our parenthesis around the condition.
        joined = "; AND and OR join several" if noun is Noun.CONDITION else ""
        return Notice(f"the {noun} must give one column: {message}.", f"Write one expression{joined}.")
    word = (re.match(r"\w+|[=<>!&|~]+|.", rest) or [""])[0].upper()
    if "INTO" in message:
        word = "INSERT"
    hint = _SYNTAX_HINTS.get(word, "").format(noun=noun) or _operator_hint(word)
    return Notice(message, hint or error.diag.message_hint or "")


def _operator_hint(word: str) -> str:
    return f"Write {_OPERATORS[word]} in place of {word}." if word in _OPERATORS else ""


def _function_hint(connection: BaseDatabaseWrapper, rest: str) -> str:
    """The hint for a function or an operator that PostgreSQL does not know, unless there is one of that name."""
    if operator := re.match(r"[=<>!&|~]+", rest):
        return _operator_hint(operator[0])
    name = (re.match(r"\w+(?=\s*\()", rest) or [""])[0].lower()
    names = [found for (found,) in fetch_file(connection, "facts/functions.sql")] if name else []
    near = [] if name in names else difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    return f'Did you mean "{near[0]}"?' if near else ""


def _unknown_name(
    connection: BaseDatabaseWrapper, error: psycopg.Error, message: str, rest: str, probe: Probe | None
) -> Notice:
    word = (re.match(r'"[^"]*"|[\w.]+', rest) or [""])[0]
    row = word.partition(".")[0].upper()
    if probe and ((row == "NEW" and not probe.event.has_new) or (row == "OLD" and not probe.event.has_old)):
        other = "OLD" if row == "NEW" else "NEW"
        hint = f"Use {other}, or check the badge after another kind of write."
        return Notice(f"{row} does not exist for {probe.event}.", hint)
    return Notice(message, _name_hint(connection, error, word, probe))


def _name_hint(connection: BaseDatabaseWrapper, error: psycopg.Error, word: str, probe: Probe | None) -> str:
    """The hint for a name that PostgreSQL does not know."""
    source, _, name = word.rpartition(".")
    if word.partition(".")[0].upper() in ('"NEW"', '"OLD"'):
        return f"Write {word[1:4].upper()} without quotes."
    if error.diag.message_hint:
        return error.diag.message_hint
    if isinstance(error, psycopg.errors.UndefinedTable):
        near = nearest_table(connection, word)
    else:
        near = probe.table.nearest_column(name) if probe else None
    if near:
        return f'Did you mean "{near}"?'
    if word.startswith('"'):
        return "Put strings between single quotes ('); double quotes are for names."
    if probe and source.upper() in ("", "NEW", "OLD") and isinstance(error, psycopg.errors.UndefinedColumn):
        return f"The columns of {probe.table.qualified_name}: {probe.table.column_names}."
    return ""
