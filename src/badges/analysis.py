"""Asks PostgreSQL what each condition reads and returns. Takes a connection; leaves nothing behind.

The server is the only parser here. A condition is parsed on its own first, then as a view on empty copies of its trigger
table (the probes), inside a transaction that is rolled back; what the view reads stands in the catalog.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq, sql

from badges import site as sites
from badges.database import fetch_file, rolled_back, trusted
from badges.definitions import Definition, Event
from badges.exceptions import Fault, InvalidDefinitions
from badges.site import Column, Site, Table

_SAME_TYPES = (
    frozenset({"smallint", "integer", "bigint"}),
    frozenset({"text", "character varying", "character", "citext"}),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What PostgreSQL says about the condition of one badge, checked after one event."""

    table: Table
    user: Column
    new_columns: tuple[str, ...]
    old_columns: tuple[str, ...]
    """The columns of the changed row that the condition reads, in the order of the table."""
    tables: tuple[str, ...]
    """The other tables it reads, as schema.table."""
    is_time_dependent: bool
    is_opaque: bool
    """It calls a function of the site's own that may read tables and the clock."""

    @property
    def is_cross_row(self) -> bool:
        """The changed row alone does not decide it."""
        return bool(self.tables) or self.is_opaque

    @property
    def reads_old_and_new(self) -> bool:
        return bool(self.old_columns) and bool(self.new_columns)


@dataclasses.dataclass(frozen=True, slots=True)
class AnalysedDefinition:
    """A definition with its facts for each of its events."""

    definition: Definition
    facts: dict[Event, Facts]

    @property
    def table(self) -> Table:
        return next(iter(self.facts.values())).table


def analyse(
    connection: BaseDatabaseWrapper, site: Site, definitions: Iterable[Definition], source: str = "badge.json"
) -> tuple[AnalysedDefinition, ...]:
    """Look at every definition as the server sees it.

    :raises InvalidDefinitions: with all faults of all definitions.
    """
    with rolled_back(connection):
        analyser = _Analyser(connection, site)
        analysed = tuple(analyser.analyse(definitions))
    if analyser.faults:
        raise InvalidDefinitions(source, analyser.faults)
    return analysed


class _Analyser:
    def __init__(self, connection: BaseDatabaseWrapper, site: Site) -> None:
        self.connection = connection
        self.site = site
        self.faults: list[Fault] = []
        self.tables: dict[str, Table | None] = {}
        self.probed: set[int] = set()
        self.views: dict[str, tuple[Definition, Event, Table, Column]] = {}

    def analyse(self, definitions: Iterable[Definition]) -> Iterator[AnalysedDefinition]:
        definitions = tuple(definitions)
        with self.connection.cursor() as cursor:
            # The conditions are read as the generated functions will read them.
            cursor.execute(f"SET LOCAL search_path = {self.site.function_search_path}")
        for definition in definitions:
            self._prepare(definition)
        facts = self._facts()
        for definition in definitions:
            of_definition = {event: facts[definition.code, event] for event in definition.events if (definition.code, event) in facts}
            if len(of_definition) == len(definition.events):
                yield AnalysedDefinition(definition, of_definition)

    def _fault(self, definition: Definition, key: str, message: str, remedy: str = "") -> None:
        self.faults.append(Fault(f"{definition.place}, {key}", message, remedy))

    def _prepare(self, definition: Definition) -> None:
        """Make the probe views of one definition, or note why that cannot be."""
        table = self._table(definition)
        if table is None:
            self._check_syntax(definition)
            return
        user = self._user_column(definition, table)
        if not self._check_syntax(definition) or user is None or not self._make_probes(definition, table):
            return
        for event in definition.events:
            name = f"badges_view_{len(self.views)}"
            if self._make_view(name, definition, event, table):
                self.views[name] = (definition, event, table, user)

    def _table(self, definition: Definition) -> Table | None:
        written = definition.trigger_table
        if written not in self.tables:
            self.tables[written] = sites.find_table(self.connection, written)
        table = self.tables[written]
        if table is None:
            near = sites.nearest_table(self.connection, written)
            remedy = f'Did you mean "{near}"?' if near else "Create the table first (python manage.py migrate)."
            self._fault(definition, "trigger_table", f'there is no table "{written}".', remedy)
            return None
        kinds = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "i": "an index"}
        if table.kind not in ("r", "p"):
            kind = kinds.get(table.kind, "no table")
            remedy = "Name the table whose rows change; writes through an updatable view reach it too."
            if table.kind == "f":
                remedy = "Its rows change on another server, where no trigger of this database fires."
            self._fault(definition, "trigger_table", f'"{written}" is {kind}; only a table can be watched.', remedy)
            return None
        if table.schema in ("pg_catalog", "information_schema") or table.is_temporary:
            kind = "a temporary table" if table.is_temporary else "a system table"
            self._fault(definition, "trigger_table", f'"{written}" is {kind}; it cannot be watched.')
            return None
        if not table.can_select:
            self._fault(
                definition,
                "trigger_table",
                f'the role "{self.site.role}" may not read {table.qualified_name}.',
                f"Needed: {_grant('SELECT', table, self.site.role)}",
            )
            return None
        return table

    def _user_column(self, definition: Definition, table: Table) -> Column | None:
        written = definition.user_field
        column = table.column(written)
        if column is None:
            near = table.nearest_column(written)
            names = ", ".join(column.name for column in table.columns)
            remedy = f'Did you mean "{near}"?' if near else f"Its columns are {names}."
            self._fault(definition, "user_field", f'{table.qualified_name} has no column "{written}".', remedy)
            return None
        key = self.site.user_key
        if column.type != key.type and not any({column.type, key.type} <= types for types in _SAME_TYPES):
            users = f"{self.site.users.qualified_name}.{key.name}"
            self._fault(
                definition,
                "user_field",
                f"{table.qualified_name}.{column.name} is of type {column.type}, but users are known by {users}, "
                f"of type {key.type}.",
                "Name the column that holds the key of the user.",
            )
            return None
        return column

    def _check_syntax(self, definition: Definition) -> bool:
        """Parse the condition alone. What closes a parenthesis that it did not open fails here, whatever follows it."""
        prefix = "CREATE VIEW badges_syntax AS SELECT "
        raw = self.connection.connection
        # Only prepared, never run; and the extended protocol refuses several statements.
        with rolled_back(self.connection):
            result = raw.pgconn.prepare(b"", f"{prefix}{definition.condition}\n".encode())
            if result.status == pq.ExecStatus.COMMAND_OK:
                return True
            error = psycopg.errors.error_from_result(result, encoding="utf-8")
        self._condition_fault(definition, error, len(prefix), None, None)
        return False

    def _make_probes(self, definition: Definition, table: Table) -> bool:
        if table.oid in self.probed:
            return True
        try:
            with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
                for row in ("new", "old"):
                    cursor.execute(
                        sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {})").format(
                            sql.Identifier(f"badges_{row}_{table.oid}"), table.identifier
                        )
                    )
        except DatabaseError as error:
            remedy = ""
            if _sqlstate(error) == psycopg.errors.InsufficientPrivilege.sqlstate:
                database, role = sql.Identifier(self.site.database), sql.Identifier(self.site.role)
                grant = sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {};").format(database, role).as_string()
                remedy = f"Needed: {grant}"
            message = f"the condition cannot be tried on a copy of the table: {_primary(error)}."
            self._fault(definition, "trigger_table", message, remedy)
            return False
        self.probed.add(table.oid)
        return True

    def _make_view(self, name: str, definition: Definition, event: Event, table: Table) -> bool:
        """Make a view in which the condition sees `new` and `old` as it will in the generated function.

        A bare column is looked for in the changed row first; so OLD of an update stands one query level further out.
        """
        query = sql.SQL("SELECT c.value FROM {} AS {} CROSS JOIN LATERAL (SELECT (SELECT {}\n) AS value) AS c").format(
            sql.Identifier("pg_temp", f"badges_{event.changed_row}_{table.oid}"),
            sql.Identifier(event.changed_row),
            trusted(definition.condition),
        )
        if event is Event.UPDATE:
            query = sql.SQL("SELECT o.value FROM {} AS old CROSS JOIN LATERAL ({}) AS o").format(
                sql.Identifier("pg_temp", f"badges_old_{table.oid}"), query
            )
        statement = sql.SQL("CREATE TEMPORARY VIEW {} AS {}").format(sql.Identifier(name), query).as_string()
        start = statement.index("(SELECT (SELECT ") + len("(SELECT (SELECT ")
        try:
            with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
                cursor.execute(statement)
        except DatabaseError as error:
            self._condition_fault(definition, error.__cause__, start, event, table)
            return False
        return True

    def _facts(self) -> dict[tuple[str, Event], Facts]:
        facts = {}
        for name, type_, new, old, *rest in fetch_file(self.connection, "probe_facts.sql", owner=self.site.badges_owner):
            definition, event, table, user = self.views[name]
            whole_row, system_column, locks_rows, tables, unreadable, volatile, clock, opaque = rest
            faults = self._refusals(type_, system_column, locks_rows, volatile)
            faults += [
                (
                    f'the condition reads {relation}, which the owner of the badges, "{self.site.badges_owner}", may not.',
                    f"Needed: GRANT SELECT ON {relation} TO {sql.Identifier(self.site.badges_owner).as_string()};",
                )
                for relation in unreadable
            ]
            for message, remedy in faults:
                if not any(fault.place.startswith(definition.place) and fault.message == message for fault in self.faults):
                    self._fault(definition, "condition", message, remedy)
            if faults:
                continue
            everything = {column.name for column in table.columns} if whole_row else set()
            facts[definition.code, event] = Facts(
                table=table,
                user=user,
                new_columns=table.in_order(set(new) | everything if event.has_new else set()),
                old_columns=table.in_order(set(old) | (everything if event is Event.DELETE else set())),
                tables=tuple(sorted(tables)),
                is_time_dependent=clock or opaque,
                is_opaque=opaque,
            )
        return facts

    @staticmethod
    def _refusals(type_: str, system_column: bool, locks_rows: bool, volatile: list[str]) -> list[tuple[str, str]]:
        faults = []
        if type_ != "boolean":
            faults.append((f"the condition gives {type_}; a badge needs true or false.", "Compare it with something."))
        if volatile:
            faults.append(
                (
                    f"the condition calls {', '.join(volatile)}, which is volatile: it may give another answer each time, "
                    "or change data.",
                    "Use now() for the time; declare a function of your own STABLE if it only reads.",
                )
            )
        if system_column:
            faults.append(("the condition reads a system column such as ctid or xmin.", "Those differ in every version of a row."))
        if locks_rows:
            faults.append(("the condition locks rows (FOR UPDATE or FOR SHARE).", "A badge must not block a write."))
        return faults

    def _condition_fault(
        self, definition: Definition, error: Any, start: int, event: Event | None, table: Table | None
    ) -> None:
        """Turn PostgreSQL's complaint into a fault that points into the author's own text."""
        diag = error.diag
        message = diag.message_primary or str(error)
        remedy = diag.message_hint or ""
        text = definition.condition
        place = int(diag.statement_position) - 1 - start if diag.statement_position else None
        word = ""
        if place is not None and 0 <= place <= len(text) + 1:
            word = (re.match(r'"[^"]*"|[\w.]+', text[place:]) or [""])[0]
        row = word.partition(".")[0].lower()
        if diag.sqlstate == psycopg.errors.UndefinedTable.sqlstate and row in ("new", "old") and event is not None:
            other = "OLD" if row == "new" else "NEW"
            message = f"{row.upper()} does not exist for {event}."
            remedy = f"Use {other}, or check the badge after another kind of write."
        elif diag.sqlstate == psycopg.errors.UndefinedTable.sqlstate and not remedy:
            near = sites.nearest_table(self.connection, word)
            remedy = f'Did you mean "{near}"?' if near else ""
        elif diag.sqlstate == psycopg.errors.UndefinedColumn.sqlstate and not remedy and table is not None:
            near = table.nearest_column(word.rpartition(".")[2])
            remedy = f'Did you mean "{near}"?' if near else ""
        elif "insert multiple commands" in message:
            message = "the condition holds several statements; it must be one expression."
        elif diag.sqlstate == psycopg.errors.SyntaxError.sqlstate and place is not None and not 0 <= place <= len(text) + 1:
            # The complaint is about the parenthesis around the condition.
            message = f"the condition must give one column: {message}."
        if place is not None and 0 <= place <= len(text) + 1:
            message = f"{message}\n{_caret(text, place)}"
        if not any(fault.place == f"{definition.place}, condition" and fault.message == message for fault in self.faults):
            self._fault(definition, "condition", message, remedy)


def _caret(text: str, place: int) -> str:
    """The author's line with a caret under the character at `place`."""
    before = text[:place]
    line = text.split("\n")[before.count("\n")].replace("\t", " ")
    column = len(before) - (before.rfind("\n") + 1)
    return f"    {line}\n    {' ' * column}^"


def _grant(privilege: str, table: Table, role: str) -> str:
    return (
        sql.SQL("GRANT {} ON {} TO {};")
        .format(trusted(privilege), table.identifier, sql.Identifier(role))
        .as_string()
    )


def _primary(error: DatabaseError) -> str:
    cause = error.__cause__
    return (cause.diag.message_primary if isinstance(cause, psycopg.Error) else None) or str(error)


def _sqlstate(error: DatabaseError) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)
