"""Asks PostgreSQL what each condition reads and returns. Takes a connection; leaves nothing behind.

The server is the only parser here. A condition is parsed on its own first, then as a view on empty copies of its
trigger table (the probes), inside a transaction that is rolled back; what the view reads stands in the catalog.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq, sql

from badges import complaints, declarations
from badges import site as sites
from badges.database import fetch_file, rolled_back, trusted
from badges.declarations import Declarations
from badges.definitions import Definition, Event
from badges.exceptions import Fault, InvalidDefinitions, NotMigrated
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
    def depends_on_its_row(self) -> bool:
        """Of two rows of one user, one may meet the condition and the other not."""
        return not {self.user.name}.issuperset(self.new_columns + self.old_columns)

    @property
    def can_look_again(self) -> bool:
        """The rows that it is checked for are still there: all it reads of them is new."""
        return not self.old_columns


@dataclasses.dataclass(frozen=True, slots=True)
class AnalysedDefinition:
    """A definition with its facts for each of its events."""

    definition: Definition
    facts: dict[Event, Facts]

    @property
    def table(self) -> Table:
        return next(iter(self.facts.values())).table


def load(connection: BaseDatabaseWrapper, file: Path | None = None) -> Declarations:
    """All badges of the site. If anything is wrong in them, what PostgreSQL finds is part of the same report.

    :param file: the badge file; by default that of BADGES_FILE.
    :raises NotConfigured: there is neither a file nor a rule in Python.
    :raises InvalidDefinitions: with all faults at once.
    """
    declared = declarations.survey(file)
    if not declared.faults:
        return declared
    faults = declared.faults
    try:
        analyse(connection, sites.describe(connection), declared.definitions)
    except InvalidDefinitions as error:
        faults += error.faults
    except (NotMigrated, DatabaseError):
        pass  # that is for later: what is declared is reason enough to stop
    raise InvalidDefinitions(declared.source, faults)


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
        self.views: dict[str, tuple[Definition, Event, Table, Column | None]] = {}

    def analyse(self, definitions: Iterable[Definition]) -> Iterator[AnalysedDefinition]:
        definitions = tuple(definitions)
        with self.connection.cursor() as cursor:
            # The conditions are read as the generated functions will read them.
            cursor.execute(f"SET LOCAL search_path = {self.site.function_search_path}")
        self._check_rights()
        for definition in definitions:
            self._prepare(definition)
        facts = self._facts()
        for definition in definitions:
            of_definition = {
                event: facts[definition.code, event] for event in definition.events if (definition.code, event) in facts
            }
            if len(of_definition) == len(definition.events):
                yield AnalysedDefinition(definition, of_definition)

    def _fault(self, definition: Definition, key: str, message: str, remedy: str = "") -> None:
        self.faults.append(Fault(f"{definition.place}, {key}", message, remedy, definition.number))

    def _refused(
        self,
        definition: Definition,
        error: DatabaseError,
        start: int,
        event: Event | None = None,
        table: Table | None = None,
    ) -> None:
        """Note that PostgreSQL refused the condition, which begins at `start` of the statement."""
        message, remedy = complaints.about_condition(
            self.connection, self.site, definition.condition, _cause(error), start, event, table
        )
        self._fault(definition, "condition", message, remedy)

    def _check_rights(self) -> None:
        """What every badge needs, whatever it declares."""
        place, site = f'database "{self.site.database}"', self.site
        if not site.definitions.can_select:
            self.faults.append(
                Fault(
                    place,
                    f'the role "{site.role}" may not read {site.definitions.qualified_name}.',
                    f"Needed: {_grant('SELECT, INSERT, UPDATE', site.definitions, site.role)}",
                )
            )
        if not site.owner_reads_users:
            self.faults.append(
                Fault(
                    place,
                    f'the owner of the badges, "{site.badges_owner}", may not read {site.users.qualified_name}.',
                    f"Needed: {_grant('SELECT', site.users, site.badges_owner)}",
                )
            )
        if not site.can_create_temporary:
            names = map(sql.Identifier, (site.database, site.role))
            self.faults.append(
                Fault(
                    place,
                    f'the role "{site.role}" may not make the temporary tables on which conditions are tried.',
                    f"Needed: {sql.SQL('GRANT TEMPORARY ON DATABASE {} TO {};').format(*names).as_string()}",
                )
            )

    def _prepare(self, definition: Definition) -> None:
        """Make the probe views of one definition, or note why that cannot be."""
        table = self._table(definition)
        user = self._user_column(definition, table) if table else None
        if not self._check_syntax(definition) or table is None or not self._make_probes(definition, table):
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
            kind, remedy = "a system table", "PostgreSQL fires no triggers for its own tables."
            if table.is_temporary:
                kind, remedy = "a temporary table", "It is gone at the end of the session that made it."
            self._fault(definition, "trigger_table", f'"{written}" is {kind}; it cannot be watched.', remedy)
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
            remedy = f'Did you mean "{near}"?' if near else f"Its columns: {table.column_names}."
            self._fault(definition, "user_field", f'{table.qualified_name} has no column "{written}".', remedy)
            return None
        if column.is_virtual:
            message = f"{table.qualified_name}.{column.name} is a virtual generated column, which triggers do not see."
            self._fault(definition, "user_field", message, "Name another column, or make this one STORED.")
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
        try:
            # Only prepared, never run; and the extended protocol refuses several statements.
            with rolled_back(self.connection), self.connection.wrap_database_errors:
                result = raw.pgconn.prepare(b"", f"{prefix}{definition.condition}\n".encode())
                if result.status != pq.ExecStatus.COMMAND_OK:
                    raise psycopg.errors.error_from_result(result, encoding="utf-8")
        except DatabaseError as error:
            self._refused(definition, error, len(prefix))
            return False
        return True

    def _make_probes(self, definition: Definition, table: Table) -> bool:
        if not self.site.can_create_temporary:
            return False
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
            cause = _cause(error)
            remedy = ""
            if isinstance(cause, psycopg.errors.InsufficientPrivilege):
                grant = sql.SQL("GRANT USAGE ON SCHEMA {} TO {};").format(
                    sql.Identifier(table.schema), sql.Identifier(self.site.role)
                )
                remedy = f"Needed: {grant.as_string()}"
            message = f"the condition cannot be tried on a copy of the table: {cause.diag.message_primary}."
            self._fault(definition, "trigger_table", message, remedy)
            return False
        self.probed.add(table.oid)
        return True

    def _make_view(self, name: str, definition: Definition, event: Event, table: Table) -> bool:
        """Make a view in which the condition sees `new` and `old` as it will in the generated function."""
        statement, start = _view(name, definition, event, table)
        try:
            with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
                cursor.execute(statement)
        except DatabaseError as error:
            self._refused(definition, error, start, event, table)
            return False
        return True

    def _facts(self) -> dict[tuple[str, Event], Facts]:
        facts = {}
        owner = self.site.badges_owner
        for name, type_, new, old, *rest in fetch_file(self.connection, "probe_facts.sql", owner=owner):
            definition, event, table, user = self.views[name]
            system_column, locks_rows, one_row, dangling, tables, lacking, volatile, clock, opaque = rest
            faults = complaints.about_type(type_, dangling) + complaints.about_reading(
                system_column, locks_rows, one_row, volatile
            )
            faults += [
                (
                    f'the condition runs with the rights of the owner of the badges, "{owner}", who lacks {right}.',
                    f"Needed: GRANT {right} TO {sql.Identifier(owner).as_string()};",
                )
                for right in lacking
            ]
            faults += [
                (
                    f"the condition reads {column.name}, a virtual generated column, which triggers do not see.",
                    "Write its expression out, or make the column STORED.",
                )
                for column in table.columns
                if column.is_virtual and column.name in {*new, *old}
            ]
            for message, remedy in faults:
                self._fault(definition, "condition", message, remedy)
            if faults or user is None:
                continue
            facts[definition.code, event] = Facts(
                table=table,
                user=user,
                new_columns=table.in_order(new),
                old_columns=table.in_order(old),
                tables=tuple(sorted(tables)),
                is_time_dependent=clock or opaque,
                is_opaque=opaque,
            )
        return facts


def _view(name: str, definition: Definition, event: Event, table: Table) -> tuple[str, int]:
    """The statement that makes a probe view, and where in it the condition begins.

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
    before = "(SELECT (SELECT "
    return statement, statement.index(before) + len(before)


def _grant(privilege: str, table: Table, role: str) -> str:
    return (
        sql.SQL("GRANT {} ON {} TO {};").format(trusted(privilege), table.identifier, sql.Identifier(role)).as_string()
    )


def _cause(error: DatabaseError) -> psycopg.Error:
    """What PostgreSQL says against a condition; what no condition can be blamed for, a lock timeout say, is raised."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error):
        raise error
    # Class 54 is about limits: nested too deeply, too many columns.
    if isinstance(cause, psycopg.OperationalError) and (cause.sqlstate or "")[:2] != "54":
        raise error
    return cause
