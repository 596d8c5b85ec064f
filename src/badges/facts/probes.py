"""Probes: PostgreSQL tries questions, first alone, then as views on empty copies of their tables. Takes a connection.

A question is a condition or a progress. A few statements serve all of them; where PostgreSQL rejects one of them, the
others are tried without it. The caller rolls back what is made here.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq, sql

from badges.database import fetch_file, from_json, rolled_back, template, trusted
from badges.definitions.types import TriggerEvent
from badges.facts.session import SessionReads
from badges.facts.types import Table, Target

_FROM = re.compile(r"\bfrom\b", re.IGNORECASE)

_EXPANDS = re.compile(r"\.\s*\*")
"""A row that SELECT expands to its columns."""

_DECEIVES = re.compile(r"--|\b(?:own|badges_held)\b", re.IGNORECASE)
"""A comment to the end of a line, in which FROM would be no clause; and the names that a shared query uses itself."""

_SPACE = " \t\n\r\f\v"
"""The characters that PostgreSQL takes for space between words."""

AT_ONCE = 200
"""Views that exist at the same time. Each is locked, and all sessions share the room for locks."""


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """A question, asked after one event on one table. Equal probes have the same answer."""

    question: str
    event: TriggerEvent
    table: Table = dataclasses.field(hash=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Rejection:
    """PostgreSQL's error at a question."""

    error: psycopg.Error
    start: int
    """Where in the statement that failed the question begins."""


Read = tuple[int, str, str, list[str], list[str], list[int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What PostgreSQL has recorded of a probe view: a row of probe_facts.sql."""

    type: str
    new_columns: list[str]
    old_columns: list[str]
    reads_system_column: bool
    locks_rows: bool
    aggregates_one_row: bool
    """There are aggregates without FROM."""
    dangling_word: str | None
    """A keyword at the end, which PostgreSQL takes for the name of the column."""
    tables: list[str]
    """The other tables that it reads, as schema.table."""
    lacking: list[str]
    """The rights that the owner of the badges lacks."""
    reads: list[Read]
    """Of each of those tables: oid, schema, name, the columns that are read, those of them that hold the key of a user,
    and the numbers of those that are read."""
    volatile: list[str]
    """The volatile functions that it calls."""
    is_time_dependent: bool
    is_opaque: bool
    returns_set: bool
    aggregates: bool
    """It is one row of aggregates, whatever its SELECT list."""
    counts: bool
    """It calls PostgreSQL's own count(), no other function of that name, and no operator of the site's own on it."""
    queries: int
    """The number of queries in the view."""
    session: SessionReads
    tree: str
    """The query of the view as PostgreSQL has parsed it."""
    rows: dict[int, list[str]]
    """The relations that stand for the changed row, by oid, with the names of their columns."""
    equalities: frozenset[int]
    """The oids of the operators called `=`."""
    objects: list[tuple[int, int]]
    """The objects that it depends on beside PostgreSQL's own, each by the oid of its catalog and its oid."""


def parse(connection: BaseDatabaseWrapper, questions: Iterable[str]) -> dict[str, Rejection]:
    """Parse each question alone, so that one that closes a parenthesis which it has not opened is rejected.

    :returns: the rejected questions.
    """
    prefix = "CREATE VIEW badges_syntax AS SELECT "
    rejected = {}
    left = collections.deque(dict.fromkeys(questions))
    while left:
        try:
            with rolled_back(connection), connection.wrap_database_errors:
                while left:
                    question = left.popleft()
                    # Only prepared, never run; and the extended protocol rejects several statements.
                    result = connection.connection.pgconn.prepare(b"", f"{prefix}{question}\n".encode())
                    if result.status != pq.ExecStatus.COMMAND_OK:
                        raise psycopg.errors.error_from_result(result, encoding="utf-8")
        except DatabaseError as error:
            rejected[question] = Rejection(cause(error), len(prefix))
    return rejected


def expressions(connection: BaseDatabaseWrapper, questions: Iterable[str]) -> set[str]:
    """Those of the questions that are an expression, without a clause of a query behind it.

    Questions with the word FROM are left out, as most are queries. An expression may still return a set: that is
    recorded of the probe view.
    """
    hopeful = (each for each in questions if not _FROM.search(each) and not _EXPANDS.search(each))
    tried = {f"({question}\n)": question for question in hopeful}
    rejected = parse(connection, tried)
    return {question for text, question in tried.items() if text not in rejected}


def halve(connection: BaseDatabaseWrapper, questions: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The SELECT list and the FROM clause of each question that has the same FROM clause as another one.

    Each word FROM is a guess at the clause. PostgreSQL decides: the text before it must be an expression when it is
    put between parentheses, which is so for one FROM at most.
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
    """Make the empty copies of a table that stand for its new and its old rows.

    :returns: the error that prevents it.
    """
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            for row in ("new", "old"):
                columns = [sql.SQL("LIKE {}").format(table.identifier)]
                if table.path:
                    columns.append(
                        sql.SQL("{} {}").format(sql.Identifier(table.path.name), trusted(table.path.last.type))
                    )
                statement = sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(
                    sql.Identifier(f"badges_{row}_{table.copy}"), sql.SQL(", ").join(columns)
                )
                cursor.execute(statement)
    except DatabaseError as error:
        return cause(error)
    return None


def ask(connection: BaseDatabaseWrapper, target: Target, probes: Iterable[Probe]) -> dict[Probe, Answer | Rejection]:
    """Try each probe as a view, whose question has been parsed and whose table has been copied."""
    answers: dict[Probe, Answer | Rejection] = {}
    left = list(dict.fromkeys(probes))
    for first in range(0, len(left), AT_ONCE):
        views = {f"badges_view_{number}": probe for number, probe in enumerate(left[first : first + AT_ONCE])}
        with rolled_back(connection):
            for name, rejection in make(connection, views).items():
                answers[views[name]] = rejection
            for name, *row in fetch_file(
                connection,
                "facts/probe_facts.sql",
                owner=target.badges_owner,
                users=target.users.oid,
                user_key=target.user_key.name,
            ):
                answers[views[name]] = _answer(*row)
    return answers


def make(connection: BaseDatabaseWrapper, views: Mapping[str, Probe]) -> dict[str, Rejection]:
    """Make a view of each probe.

    :param views: the probes by the names of their views.
    :returns: the rejections, by the same names.
    """
    statements = {name: _view(name, probe) for name, probe in views.items()}
    try:
        _execute(connection, _together([statement for statement, _ in statements.values()]))
    except DatabaseError:
        pass  # the place of the error is lost in there
    else:
        return {}
    rejected = {}
    for name, (statement, start) in statements.items():
        try:
            _execute(connection, statement)
        except DatabaseError as error:
            rejected[name] = Rejection(cause(error), start)
    return rejected


def cause(error: DatabaseError) -> psycopg.Error:
    """PostgreSQL's error, if a condition is its reason; another one, such as a lock timeout, is raised."""
    found = error.__cause__
    if not isinstance(found, psycopg.Error):
        raise error
    # Class 54 is about limits: nested too deeply, too many columns.
    if isinstance(found, psycopg.OperationalError) and (found.sqlstate or "")[:2] != "54":
        raise error
    return found


def own_queries(probe: Probe) -> int:
    """The number of queries that its view has around the question."""
    return 3 if probe.event is TriggerEvent.UPDATE else 2


def _answer(*row: Any) -> Answer:
    answer = Answer(*row)
    return dataclasses.replace(
        answer,
        reads=[tuple(read) for read in from_json(answer.reads)],
        session=SessionReads(**from_json(answer.session)),
        rows=dict(from_json(answer.rows)),
        equalities=frozenset(answer.equalities),
        objects=[(class_, oid) for class_, oid in answer.objects],
    )


def _execute(connection: BaseDatabaseWrapper, statement: str) -> None:
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(statement)


def _together(statements: Sequence[str]) -> str:
    """One statement that executes all of them."""
    block = template("facts/one_after_another.sql").format(statements=sql.Literal(list(statements)))
    return sql.SQL("DO {}").format(sql.Literal(block.as_string())).as_string()


def _view(name: str, probe: Probe) -> tuple[str, int]:
    """The statement that makes a probe view, and where in it the question begins.

    The question sees `new` and `old` as it will in the generated function. A bare column must be found in the changed
    row first, so OLD of an update is one query level further out.
    """
    row, copy_ = probe.event.changed_row, probe.table.copy
    query = sql.SQL("SELECT c.value FROM {} AS {} CROSS JOIN LATERAL (SELECT (SELECT {}\n) AS value) AS c").format(
        sql.Identifier("pg_temp", f"badges_{row}_{copy_}"), sql.Identifier(row), trusted(probe.question)
    )
    if probe.event is TriggerEvent.UPDATE:
        query = sql.SQL("SELECT o.value FROM {} AS old CROSS JOIN LATERAL ({}) AS o").format(
            sql.Identifier("pg_temp", f"badges_old_{copy_}"), query
        )
    statement = sql.SQL("CREATE TEMPORARY VIEW {} AS {}").format(sql.Identifier(name), query).as_string()
    before = "(SELECT (SELECT "
    return statement, statement.index(before) + len(before)
