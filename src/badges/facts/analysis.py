"""Asks PostgreSQL what each condition reads and returns. Takes a connection; leaves nothing behind.

The server is the only parser here. `probes` has it parse a condition on its own first, then as a view on empty copies
of its trigger table, inside a transaction that is rolled back; what the view reads stands in the catalog.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, fetch_file, from_json, rolled_back
from badges.definitions import declarations
from badges.definitions.declarations import Declarations
from badges.definitions.types import Definition, TriggerEvent
from badges.exceptions import DefinitionError, InvalidDefinitions, Notice, NotMigrated
from badges.facts import diagnostics, probes, resolution, watches
from badges.facts.diagnostics import Noun
from badges.facts.probes import Probe, Rejection
from badges.facts.tables import find_tables, named_tables
from badges.facts.target import describe_target
from badges.facts.types import AnalysedDefinition, Column, Facts, ReadTable, Table, Target


def load(connection: BaseDatabaseWrapper, file: Path | None = None) -> Declarations:
    """All badges of the site. If anything is wrong in them, what PostgreSQL finds is part of the same report.

    :param file: the badge file; by default that of BADGES_FILE.
    :raises NotConfigured: there is neither a file nor a rule in Python.
    :raises InvalidDefinitions: with all errors at once.
    """
    declared = declarations.survey(file)
    if not declared.errors:
        return declared
    errors = declared.errors
    try:
        analyse(connection, describe_target(connection), declared.definitions)
    except InvalidDefinitions as error:
        errors += error.errors
    except (NotMigrated, DatabaseError):
        pass  # that is for later: what is declared is reason enough to stop
    raise InvalidDefinitions(declared.source, errors)


def analyse(
    connection: BaseDatabaseWrapper, target: Target, definitions: Iterable[Definition], source: str = "badge.json"
) -> tuple[AnalysedDefinition, ...]:
    """Look at every definition as the server sees it.

    :raises InvalidDefinitions: with all errors of all definitions.
    """
    with rolled_back(connection):
        analyser = _Analyser(connection, target)
        analysed = tuple(analyser.analyse(definitions))
    if analyser.errors:
        raise InvalidDefinitions(source, analyser.errors)
    return analysed


_READS = 10
"""The column of probe_facts.sql that has the tables which are read."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Named:
    """What the names in a definition stand for; None where they stand for nothing that will do."""

    table: Table | None
    user: Column | None
    per: Column | None
    declared: tuple[watches.Declared, ...]
    is_sound: bool


class _Analyser:
    def __init__(self, connection: BaseDatabaseWrapper, target: Target) -> None:
        self.connection = connection
        self.target = target
        self.errors: list[DefinitionError] = []
        self.noted: set[tuple[int, str, str]] = set()
        self.tables: dict[str, Table | Notice] = {}
        self.read: dict[int, Table] = {}
        self.copied: set[int] = set()
        self.expiries: dict[str, Notice | None] = {}
        self.named: dict[str, _Named] = {}
        self.asked: dict[Probe, list[tuple[Definition, _Named]]] = {}
        self.facts: dict[tuple[str, TriggerEvent], Facts] = {}
        self.expressions: set[str] = set()
        self.halves: dict[str, tuple[str, str]] = {}

    def analyse(self, definitions: Iterable[Definition]) -> Iterator[AnalysedDefinition]:
        definitions = tuple(definitions)
        with self.connection.cursor() as cursor:
            # The conditions are read as the generated functions will read them.
            cursor.execute(f"SET LOCAL search_path = {self.target.function_search_path}")
        self._check_rights()
        self._find_tables(definitions)
        rejected = probes.parse(self.connection, (definition.question for definition in definitions))
        conditions = [each.condition for each in definitions if not each.progress and each.question not in rejected]
        self.expressions = probes.expressions(self.connection, conditions)
        self.halves = probes.halve(self.connection, conditions)
        for definition in definitions:
            self._prepare(definition, rejected.get(definition.question))
        asked = list(self.asked)
        for first in range(0, len(asked), probes.AT_ONCE):
            with rolled_back(self.connection):
                self._try({f"badges_view_{n}": p for n, p in enumerate(asked[first : first + probes.AT_ONCE])})
        for definition in definitions:
            of_definition = {
                event: self.facts[definition.code, event]
                for event in definition.events
                if (definition.code, event) in self.facts
            }
            if of_definition and len(of_definition) == len(definition.events):
                for key, message, hint in watches.errors(definition, of_definition.values(), definition.events):
                    self._error(definition, key, message, hint)
                declared = self.named[definition.code].declared
                yield AnalysedDefinition(
                    definition,
                    of_definition,
                    watches.watches(definition, of_definition, declared, self.read),
                    watches.unwatched(definition, of_definition, declared, self.read),
                )

    def _error(self, definition: Definition, key: str, message: str, hint: str = "") -> None:
        # The levels of a badge share all but their goals, and their errors with that.
        if (definition.number, key, message) not in self.noted or not definition.number:
            self.noted.add((definition.number, key, message))
            self.errors.append(
                DefinitionError(message, hint, place=f"{definition.place}, {key}", number=definition.number)
            )

    def _rejected(self, definition: Definition, rejection: Rejection, probe: Probe | None = None) -> None:
        """Note that PostgreSQL rejected the question: alone, or as this probe."""
        message, hint = diagnostics.about_condition(
            self.connection,
            self.target,
            Noun(definition.question_key),
            definition.question,
            rejection.error,
            rejection.start,
            probe.event if probe else None,
            probe.table if probe else None,
        )
        self._error(definition, definition.question_key, message, hint)

    def _check_rights(self) -> None:
        """What every badge needs, whatever it declares."""
        place, target = f'database "{self.target.database}"', self.target
        if not target.definitions.can_select:
            self.errors.append(
                DefinitionError(
                    f'the role "{target.role}" may not read {target.definitions.qualified_name}.',
                    f"Needed: {resolution.grant('SELECT, INSERT, UPDATE', target.definitions, target.role)}",
                    place=place,
                )
            )
        for is_enough, verb, privilege, table in (
            (target.owner_reads_users, "read", "SELECT", target.users),
            (target.owner_reads_definitions, "read", "SELECT", target.definitions),
            (target.owner_writes_events, "write", "SELECT, INSERT", target.events),
            (target.owner_writes_deliveries or not target.sends_signals, "write", "INSERT", target.deliveries),
        ):
            if not is_enough:
                self.errors.append(
                    DefinitionError(
                        f'the owner of the badges, "{target.badges_owner}", may not {verb} {table.qualified_name}.',
                        f"Needed: {resolution.grant(privilege, table, target.badges_owner)}",
                        place=place,
                    )
                )
        if not target.can_create_temporary:
            identifiers = map(sql.Identifier, (target.database, target.role))
            self.errors.append(
                DefinitionError(
                    f'the role "{target.role}" may not make the temporary tables on which conditions are tried.',
                    f"Needed: {sql.SQL('GRANT TEMPORARY ON DATABASE {} TO {};').format(*identifiers).as_string()}",
                    place=place,
                )
            )

    def _find_tables(self, definitions: Iterable[Definition]) -> None:
        """Look up all tables that the definitions name."""
        written = dict.fromkeys(
            name for each in definitions for name in (each.trigger_table, *(watch.table for watch in each.watches))
        )
        found = find_tables(self.connection, written)
        for name in written:
            self.tables[name] = resolution.trigger_table(self.connection, self.target, name, found.get(name))

    def _prepare(self, definition: Definition, rejection: Rejection | None) -> None:
        """Note what is to be tried for one definition, or why that cannot be."""
        named = self.named[definition.code] = self._look_up(definition)
        if rejection:
            self._rejected(definition, rejection)
        elif named.table and self._copy(definition, named.table):
            for event in definition.events:
                probe = Probe(definition.question, event, named.table)
                self.asked.setdefault(probe, []).append((definition, named))

    def _look_up(self, definition: Definition) -> _Named:
        place = "triggers 1, " if definition.has_triggers else ""
        table_key = f"{place}table" if place else "trigger_table"
        table = self._table(definition, table_key, definition.trigger_table)
        user = per = None
        if table:
            written = definition.user_field
            user = self._found(definition, f"{place}user_field", resolution.user_column(self.target, table, written))
            if definition.per:
                per = self._found(definition, "per", resolution.thing_column(table, definition.per))
        declared = []
        for number, watch in enumerate(definition.watches, start=2):
            watched = self._table(definition, f"triggers {number}, table", watch.table)
            if watched:
                found = resolution.user_column(self.target, watched, watch.user_field)
                column = self._found(definition, f"triggers {number}, user_field", found)
                if column:
                    declared.append((watched, column, watch.events))
        is_sound = self._check_expiry(definition) and bool(per) == bool(definition.per)
        is_sound = is_sound and len(declared) == len(definition.watches)
        return _Named(table, user, per, tuple(declared), is_sound)

    def _table(self, definition: Definition, key: str, written: str) -> Table | None:
        found = self.tables[written]
        if isinstance(found, Table):
            return found
        self._error(definition, key, found.message, found.hint)
        return None

    def _found(self, definition: Definition, key: str, found: Column | Notice) -> Column | None:
        if isinstance(found, Column):
            return found
        self._error(definition, key, found.message, found.hint)
        return None

    def _check_expiry(self, definition: Definition) -> bool:
        written = definition.expires_after
        if written and written not in self.expiries:
            self.expiries[written] = self._about_expiry(written)
        found = self.expiries.get(written)
        if found:
            self._error(definition, "expires_after", found.message, found.hint)
        return not found

    def _about_expiry(self, written: str) -> Notice | None:
        """Ask whether a badge that is awarded now would end at a time that PostgreSQL knows, and that is to come."""
        try:
            with transaction.atomic(using=self.connection.alias):
                [(is_positive,)] = fetch(
                    self.connection,
                    "SELECT isfinite(now() + %s::interval) AND now() + %s::interval > now()",
                    [written, written],
                )
        except DatabaseError as error:
            message = f"{probes.cause(error).diag.message_primary}."
            return Notice(message, 'Write an interval as PostgreSQL reads it, such as "90 days" or "1 year".')
        if is_positive:
            return None
        hint = "Write an interval that is longer than nothing and has an end; without one, badges stay."
        return Notice(f'after "{written}" no badge would be left.', hint)

    def _copy(self, definition: Definition, table: Table) -> bool:
        """Make the copies of a table that conditions are tried on, once; whether they are there."""
        if not self.target.can_create_temporary:
            return False
        if table.oid in self.copied:
            return True
        error = probes.copy(self.connection, table)
        if error:
            hint = ""
            if isinstance(error, psycopg.errors.InsufficientPrivilege):
                grant = sql.SQL("GRANT USAGE ON SCHEMA {} TO {};").format(
                    sql.Identifier(table.schema), sql.Identifier(self.target.role)
                )
                hint = f"Needed: {grant.as_string()}"
            message = f"the condition cannot be tried on a copy of the table: {error.diag.message_primary}."
            key = "triggers 1, table" if definition.has_triggers else "trigger_table"
            self._error(definition, key, message, hint)
            return False
        self.copied.add(table.oid)
        return True

    def _try(self, views: Mapping[str, Probe]) -> None:
        """Make these views, and note what PostgreSQL refuses, and what it says about the others."""
        rejected = probes.make(self.connection, views)
        for name, rejection in rejected.items():
            for definition, _ in self.asked[views[name]]:
                self._rejected(definition, rejection, views[name])
        target = self.target
        rows = fetch_file(
            self.connection,
            "facts/probe_facts.sql",
            owner=target.badges_owner,
            users=target.users.oid,
            user_key=target.user_key.name,
        )
        self._look_up_read(from_json(row[_READS]) for row in rows)
        for name, *found in rows:
            for definition, named in self.asked[views[name]]:
                self._note(definition, named, views[name], *found)

    def _look_up_read(self, reads: Iterable[Any]) -> None:
        """Look up the tables that the questions of these views read."""
        unknown = {(schema, name) for read in reads for oid, schema, name, *_ in read if oid not in self.read}
        for table in named_tables(self.connection, sorted(unknown)).values():
            self.read[table.oid] = table

    def _note(
        self,
        definition: Definition,
        named: _Named,
        probe: Probe,
        type_: str,
        new: list[str],
        old: list[str],
        *rest: Any,
    ) -> None:
        """Note what PostgreSQL says about the question of one definition, as a row of probe_facts.sql has it."""
        noun, table, owner = Noun(definition.question_key), probe.table, self.target.badges_owner
        system_column, locks_rows, one_row, dangling, tables, lacking, reads, volatile, clock, opaque, *last = rest
        returns_set, aggregates, queries = last
        errors = diagnostics.about_type(noun, type_, dangling)
        errors += diagnostics.about_reading(noun, system_column, locks_rows, one_row, volatile)
        errors += [
            (
                f'the {noun} runs with the rights of the owner of the badges, "{owner}", who lacks {right}.',
                f"Needed: GRANT {right} TO {sql.Identifier(owner).as_string()};",
            )
            for right in lacking
        ]
        errors += [
            (
                f"the {noun} reads {column.name}, a virtual generated column, which triggers do not see.",
                "Write its expression out, or make the column STORED.",
            )
            for column in table.columns
            if column.is_virtual and column.name in {*new, *old}
        ]
        for message, hint in errors:
            self._error(definition, definition.question_key, message, hint)
        if errors or named.user is None or not named.is_sound:
            return
        select_list, from_clause = "", ""
        if aggregates and queries == probes.own_queries(probe) + 1:
            select_list, from_clause = self.halves.get(definition.question, ("", ""))
        self.facts[definition.code, probe.event] = Facts(
            table=table,
            user=named.user,
            new_columns=table.in_order(new),
            old_columns=table.in_order(old),
            tables=tuple(sorted(tables)),
            is_time_dependent=clock or opaque,
            is_opaque=opaque,
            reads=tuple(self._read_tables(reads, table, named.user)),
            per=named.per,
            is_expression=definition.question in self.expressions and not returns_set,
            select_list=select_list,
            from_clause=from_clause,
        )

    def _read_tables(self, reads: Any, table: Table, user: Column) -> Iterator[ReadTable]:
        """What a condition reads beside the changed row of `table`, whose users are in the column `user`."""
        for oid, schema, name, columns, of_users in sorted(from_json(reads), key=lambda read: f"{read[1]}.{read[2]}"):
            candidates = [user.name] if oid == table.oid and user.name in columns else of_users
            of_user = self.read[oid].column(candidates[0]) if oid in self.read and len(candidates) == 1 else None
            yield ReadTable(f"{schema}.{name}", oid, tuple(columns), of_user)
