"""Lets PostgreSQL try questions: alone, then as views on empty copies of their tables. Takes a connection.

A question is a condition or a progress. As few statements as will do serve them all; where PostgreSQL refuses one, it
is told apart from the others. All that is made here is for the caller to roll back.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

import psycopg
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq, sql

from badges.database import rolled_back, template, trusted
from badges.definitions.types import TriggerEvent
from badges.facts.types import Table

_FROM = re.compile(r"\bfrom\b", re.IGNORECASE)

_EXPANDS = re.compile(r"\.\s*\*")
"""A row whose columns SELECT puts in its place."""

_DECEIVES = re.compile(r"--|\b(?:own|badges_held)\b", re.IGNORECASE)
"""A comment to the end of a line, in which FROM would be no clause; and the names that a shared query asks by."""

_SPACE = " \t\n\r\f\v"
"""What PostgreSQL takes for space between words."""

AT_ONCE = 200
"""Views that stand at the same time. Each is locked while it does, and all sessions share the room for locks."""


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """A question as it is asked after one event on one table. Where all three are the same, so are the answers."""

    question: str
    event: TriggerEvent
    table: Table = dataclasses.field(hash=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Rejection:
    """What PostgreSQL has against a question, which begins at `start` of the statement that failed."""

    error: psycopg.Error
    start: int


def parse(connection: BaseDatabaseWrapper, questions: Iterable[str]) -> dict[str, Rejection]:
    """Parse each question alone. What closes a parenthesis that it did not open fails here, whatever follows it.

    :returns: those that are rejected.
    """
    prefix = "CREATE VIEW badges_syntax AS SELECT "
    rejected = {}
    left = collections.deque(dict.fromkeys(questions))
    while left:
        try:
            with rolled_back(connection), connection.wrap_database_errors:
                while left:
                    question = left.popleft()
                    # Only prepared, never run; and the extended protocol refuses several statements.
                    result = connection.connection.pgconn.prepare(b"", f"{prefix}{question}\n".encode())
                    if result.status != pq.ExecStatus.COMMAND_OK:
                        raise psycopg.errors.error_from_result(result, encoding="utf-8")
        except DatabaseError as error:
            rejected[question] = Rejection(cause(error), len(prefix))
    return rejected


def expressions(connection: BaseDatabaseWrapper, questions: Iterable[str]) -> set[str]:
    """Those of the questions that are expressions, and no more of a query than that.

    Those with the word FROM are not asked about, as most are queries. (What returns a set is one that only the probe
    view tells from the others.)
    """
    hopeful = (each for each in questions if not _FROM.search(each) and not _EXPANDS.search(each))
    tried = {f"({question}\n)": question for question in hopeful}
    rejected = parse(connection, tried)
    return {question for text, question in tried.items() if text not in rejected}


def halve(connection: BaseDatabaseWrapper, questions: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The SELECT list and the FROM clause of each question that has the same FROM clause as another one.

    Where the word FROM stands is only a guess. PostgreSQL decides: what stands before it must be an expression, between
    parentheses, and of one FROM at most that is so.
    """
    guesses: dict[str, list[tuple[str, str]]] = {}
    for question in dict.fromkeys(questions):
        for word in () if _DECEIVES.search(question) else _FROM.finditer(question):
            halves = question[: word.start()].strip(_SPACE), question[word.start() :].strip(_SPACE)
            guesses.setdefault(halves[1], []).append((question, halves[0]))
    tried = {
        f"({select_list}) {from_clause}": (question, select_list, from_clause)
        for from_clause, parts in guesses.items()
        if len(parts) > 1
        for question, select_list in parts
    }
    rejected = parse(connection, tried)
    return {
        question: (select_list, from_clause)
        for text, (question, select_list, from_clause) in tried.items()
        if text not in rejected
    }


def copy(connection: BaseDatabaseWrapper, table: Table) -> psycopg.Error | None:
    """Make the empty copies of a table that stand for its new and its old rows; or else tell what is against it."""
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            for row in ("new", "old"):
                statement = sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {})")
                cursor.execute(statement.format(sql.Identifier(f"badges_{row}_{table.oid}"), table.identifier))
    except DatabaseError as error:
        return cause(error)
    return None


def make(connection: BaseDatabaseWrapper, probes: Mapping[str, Probe]) -> dict[str, Rejection]:
    """Make a view of each probe, whose question has been parsed and whose table has been copied.

    :param probes: by the name of the view.
    :returns: what is rejected, by the same names.
    """
    views = {name: _view(name, probe) for name, probe in probes.items()}
    try:
        _execute(connection, _together([statement for statement, _ in views.values()]))
    except DatabaseError:
        pass  # the place of the error is lost in there
    else:
        return {}
    rejected = {}
    for name, (statement, start) in views.items():
        try:
            _execute(connection, statement)
        except DatabaseError as error:
            rejected[name] = Rejection(cause(error), start)
    return rejected


def cause(error: DatabaseError) -> psycopg.Error:
    """What PostgreSQL says against a condition; what no condition can be blamed for, a lock timeout say, is raised."""
    found = error.__cause__
    if not isinstance(found, psycopg.Error):
        raise error
    # Class 54 is about limits: nested too deeply, too many columns.
    if isinstance(found, psycopg.OperationalError) and (found.sqlstate or "")[:2] != "54":
        raise error
    return found


def own_queries(probe: Probe) -> int:
    """How many queries its view has around the question."""
    return 3 if probe.event is TriggerEvent.UPDATE else 2


def _execute(connection: BaseDatabaseWrapper, statement: str) -> None:
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(statement)


def _together(statements: Sequence[str]) -> str:
    """One statement that carries them all out."""
    block = template("facts/one_after_another.sql").format(statements=sql.Literal(list(statements)))
    return sql.SQL("DO {}").format(sql.Literal(block.as_string())).as_string()


def _view(name: str, probe: Probe) -> tuple[str, int]:
    """The statement that makes a probe view, and where in it the question begins.

    The question sees `new` and `old` as it will in the generated function. A bare column is looked for in the changed
    row first; so OLD of an update stands one query level further out.
    """
    row, oid = probe.event.changed_row, probe.table.oid
    query = sql.SQL("SELECT c.value FROM {} AS {} CROSS JOIN LATERAL (SELECT (SELECT {}\n) AS value) AS c").format(
        sql.Identifier("pg_temp", f"badges_{row}_{oid}"), sql.Identifier(row), trusted(probe.question)
    )
    if probe.event is TriggerEvent.UPDATE:
        query = sql.SQL("SELECT o.value FROM {} AS old CROSS JOIN LATERAL ({}) AS o").format(
            sql.Identifier("pg_temp", f"badges_old_{oid}"), query
        )
    statement = sql.SQL("CREATE TEMPORARY VIEW {} AS {}").format(sql.Identifier(name), query).as_string()
    before = "(SELECT (SELECT "
    return statement, statement.index(before) + len(before)
