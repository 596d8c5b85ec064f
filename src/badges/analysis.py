"""Asks PostgreSQL what each condition reads and returns. Takes a connection; leaves nothing behind.

The server is the only parser here. A condition is parsed on its own first, then as a view on empty copies of its
trigger table (the probes), inside a transaction that is rolled back; what the view reads stands in the catalog.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq, sql

from badges import complaints, declarations, names, watching
from badges import site as sites
from badges.complaints import Noun
from badges.database import fetch, fetch_file, rolled_back, trusted
from badges.declarations import Declarations
from badges.definitions import Definition, Event
from badges.exceptions import Fault, InvalidDefinitions, NotMigrated
from badges.facts import AnalysedDefinition, Facts, ReadTable, Watched
from badges.site import Column, Site, Table

__all__ = ("AnalysedDefinition", "Facts", "ReadTable", "Watched", "analyse", "load")


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


@dataclasses.dataclass(frozen=True, slots=True)
class _Named:
    """What the names in a definition stand for; None where they stand for nothing that will do."""

    table: Table | None
    user: Column | None
    per: Column | None
    declared: tuple[watching.Declared, ...]
    is_sound: bool


class _Analyser:
    def __init__(self, connection: BaseDatabaseWrapper, site: Site) -> None:
        self.connection = connection
        self.site = site
        self.faults: list[Fault] = []
        self.noted: set[tuple[int, str, str]] = set()
        self.tables: dict[str, Table | names.Complaint] = {}
        self.read: dict[int, Table] = {}
        self.probed: set[int] = set()
        self.named: dict[str, _Named] = {}
        self.views: dict[str, tuple[Definition, Event, Table, _Named]] = {}

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
            if of_definition and len(of_definition) == len(definition.events):
                for key, message, remedy in watching.faults(definition, of_definition.values(), definition.events):
                    self._fault(definition, key, message, remedy)
                declared = self.named[definition.code].declared
                yield AnalysedDefinition(
                    definition,
                    of_definition,
                    watching.watches(definition, of_definition, declared, self.read),
                    watching.unwatched(definition, of_definition, declared, self.read),
                )

    def _fault(self, definition: Definition, key: str, message: str, remedy: str = "") -> None:
        # The levels of a badge share all but their goals, and their faults with that.
        if (definition.number, key, message) not in self.noted or not definition.number:
            self.noted.add((definition.number, key, message))
            self.faults.append(Fault(f"{definition.place}, {key}", message, remedy, definition.number))

    def _refused(
        self,
        definition: Definition,
        error: DatabaseError,
        start: int,
        event: Event | None = None,
        table: Table | None = None,
    ) -> None:
        """Note that PostgreSQL refused the question, which begins at `start` of the statement."""
        message, remedy = complaints.about_condition(
            self.connection,
            self.site,
            Noun(definition.question_key),
            definition.question,
            _cause(error),
            start,
            event,
            table,
        )
        self._fault(definition, definition.question_key, message, remedy)

    def _check_rights(self) -> None:
        """What every badge needs, whatever it declares."""
        place, site = f'database "{self.site.database}"', self.site
        if not site.definitions.can_select:
            self.faults.append(
                Fault(
                    place,
                    f'the role "{site.role}" may not read {site.definitions.qualified_name}.',
                    f"Needed: {names.grant('SELECT, INSERT, UPDATE', site.definitions, site.role)}",
                )
            )
        for is_enough, verb, privilege, table in (
            (site.owner_reads_users, "read", "SELECT", site.users),
            (site.owner_reads_definitions, "read", "SELECT", site.definitions),
            (site.owner_writes_events, "write", "SELECT, INSERT", site.events),
            (site.owner_writes_deliveries or not site.sends_signals, "write", "INSERT", site.deliveries),
        ):
            if not is_enough:
                self.faults.append(
                    Fault(
                        place,
                        f'the owner of the badges, "{site.badges_owner}", may not {verb} {table.qualified_name}.',
                        f"Needed: {names.grant(privilege, table, site.badges_owner)}",
                    )
                )
        if not site.can_create_temporary:
            identifiers = map(sql.Identifier, (site.database, site.role))
            self.faults.append(
                Fault(
                    place,
                    f'the role "{site.role}" may not make the temporary tables on which conditions are tried.',
                    f"Needed: {sql.SQL('GRANT TEMPORARY ON DATABASE {} TO {};').format(*identifiers).as_string()}",
                )
            )

    def _prepare(self, definition: Definition) -> None:
        """Make the probe views of one definition, or note why that cannot be."""
        named = self.named[definition.code] = self._look_up(definition)
        if not self._check_syntax(definition) or not named.table or not self._make_probes(definition, named.table):
            return
        for event in definition.events:
            name = f"badges_view_{len(self.views)}"
            if self._make_view(name, definition, event, named.table):
                self.views[name] = (definition, event, named.table, named)

    def _look_up(self, definition: Definition) -> _Named:
        place = "triggers 1, " if definition.has_triggers else ""
        table_key = f"{place}table" if place else "trigger_table"
        table = self._table(definition, table_key, definition.trigger_table)
        user = per = None
        if table:
            written = definition.user_field
            user = self._found(definition, f"{place}user_field", names.user_column(self.site, table, written))
            if definition.per:
                per = self._found(definition, "per", names.thing_column(table, definition.per))
        declared = []
        for number, watch in enumerate(definition.watches, start=2):
            watched = self._table(definition, f"triggers {number}, table", watch.table)
            if watched:
                found = names.user_column(self.site, watched, watch.user_field)
                column = self._found(definition, f"triggers {number}, user_field", found)
                if column:
                    declared.append((watched, column, watch.events))
        is_sound = self._check_expiry(definition) and bool(per) == bool(definition.per)
        is_sound = is_sound and len(declared) == len(definition.watches)
        return _Named(table, user, per, tuple(declared), is_sound)

    def _table(self, definition: Definition, key: str, written: str) -> Table | None:
        if written not in self.tables:
            self.tables[written] = names.trigger_table(self.connection, self.site, written)
        found = self.tables[written]
        if isinstance(found, Table):
            return found
        self._fault(definition, key, *found)
        return None

    def _found(self, definition: Definition, key: str, found: Column | names.Complaint) -> Column | None:
        if isinstance(found, Column):
            return found
        self._fault(definition, key, *found)
        return None

    def _check_expiry(self, definition: Definition) -> bool:
        """Ask whether a badge that is awarded now would end at a time that PostgreSQL knows, and that is to come."""
        written = definition.expires_after
        if not written:
            return True
        message, remedy = "", 'Write an interval as PostgreSQL reads it, such as "90 days" or "1 year".'
        try:
            with transaction.atomic(using=self.connection.alias):
                [(is_positive,)] = fetch(
                    self.connection,
                    "SELECT isfinite(now() + %s::interval) AND now() + %s::interval > now()",
                    [written, written],
                )
            if not is_positive:
                message = f'after "{written}" no badge would be left.'
                remedy = "Write an interval that is longer than nothing and has an end; without one, badges stay."
        except DatabaseError as error:
            message = f"{_cause(error).diag.message_primary}."
        if message:
            self._fault(definition, "expires_after", message, remedy)
        return not message

    def _check_syntax(self, definition: Definition) -> bool:
        """Parse the question alone. What closes a parenthesis that it did not open fails here, whatever follows it."""
        prefix = "CREATE VIEW badges_syntax AS SELECT "
        raw = self.connection.connection
        try:
            # Only prepared, never run; and the extended protocol refuses several statements.
            with rolled_back(self.connection), self.connection.wrap_database_errors:
                result = raw.pgconn.prepare(b"", f"{prefix}{definition.question}\n".encode())
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
            key = "triggers 1, table" if definition.has_triggers else "trigger_table"
            self._fault(definition, key, message, remedy)
            return False
        self.probed.add(table.oid)
        return True

    def _make_view(self, name: str, definition: Definition, event: Event, table: Table) -> bool:
        """Make a view in which the question sees `new` and `old` as it will in the generated function."""
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
        site, owner = self.site, self.site.badges_owner
        for name, type_, new, old, *rest in fetch_file(
            self.connection, "probe_facts.sql", owner=owner, users=site.users.oid, user_key=site.user_key.name
        ):
            definition, event, table, named = self.views[name]
            noun = Noun(definition.question_key)
            system_column, locks_rows, one_row, dangling, tables, lacking, reads, volatile, clock, opaque = rest
            faults = complaints.about_type(noun, type_, dangling)
            faults += complaints.about_reading(noun, system_column, locks_rows, one_row, volatile)
            faults += [
                (
                    f'the {noun} runs with the rights of the owner of the badges, "{owner}", who lacks {right}.',
                    f"Needed: GRANT {right} TO {sql.Identifier(owner).as_string()};",
                )
                for right in lacking
            ]
            faults += [
                (
                    f"the {noun} reads {column.name}, a virtual generated column, which triggers do not see.",
                    "Write its expression out, or make the column STORED.",
                )
                for column in table.columns
                if column.is_virtual and column.name in {*new, *old}
            ]
            for message, remedy in faults:
                self._fault(definition, definition.question_key, message, remedy)
            if faults or named.user is None or not named.is_sound:
                continue
            facts[definition.code, event] = Facts(
                table=table,
                user=named.user,
                new_columns=table.in_order(new),
                old_columns=table.in_order(old),
                tables=tuple(sorted(tables)),
                is_time_dependent=clock or opaque,
                is_opaque=opaque,
                reads=tuple(self._read_tables(reads, table, named.user)),
                per=named.per,
            )
        return facts

    def _read_tables(self, reads: Any, table: Table, user: Column) -> Iterator[ReadTable]:
        """What a condition reads beside the changed row of `table`, whose users are in the column `user`."""
        found = json.loads(reads) if isinstance(reads, str) else reads
        for oid, schema, name, columns, of_users in sorted(found, key=lambda read: f"{read[1]}.{read[2]}"):
            if oid not in self.read and (read_table := sites.table_named(self.connection, schema, name)):
                self.read[oid] = read_table
            candidates = [user.name] if oid == table.oid and user.name in columns else of_users
            of_user = self.read[oid].column(candidates[0]) if oid in self.read and len(candidates) == 1 else None
            yield ReadTable(f"{schema}.{name}", oid, tuple(columns), of_user)


def _view(name: str, definition: Definition, event: Event, table: Table) -> tuple[str, int]:
    """The statement that makes a probe view, and where in it the question begins.

    A bare column is looked for in the changed row first; so OLD of an update stands one query level further out.
    """
    query = sql.SQL("SELECT c.value FROM {} AS {} CROSS JOIN LATERAL (SELECT (SELECT {}\n) AS value) AS c").format(
        sql.Identifier("pg_temp", f"badges_{event.changed_row}_{table.oid}"),
        sql.Identifier(event.changed_row),
        trusted(definition.question),
    )
    if event is Event.UPDATE:
        query = sql.SQL("SELECT o.value FROM {} AS old CROSS JOIN LATERAL ({}) AS o").format(
            sql.Identifier("pg_temp", f"badges_old_{table.oid}"), query
        )
    statement = sql.SQL("CREATE TEMPORARY VIEW {} AS {}").format(sql.Identifier(name), query).as_string()
    before = "(SELECT (SELECT "
    return statement, statement.index(before) + len(before)


def _cause(error: DatabaseError) -> psycopg.Error:
    """What PostgreSQL says against a condition; what no condition can be blamed for, a lock timeout say, is raised."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error):
        raise error
    # Class 54 is about limits: nested too deeply, too many columns.
    if isinstance(cause, psycopg.OperationalError) and (cause.sqlstate or "")[:2] != "54":
        raise error
    return cause
