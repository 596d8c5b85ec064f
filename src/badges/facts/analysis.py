"""Analysis: what PostgreSQL finds out about each condition. Takes a connection; leaves nothing behind.

The server is the only parser here. One pass follows another, each over all badges:

1. `resolution` looks up the tables and columns that the definitions name;
2. `probes` has PostgreSQL parse each condition alone;
3. `probes` has it try each one as a view on empty copies of its trigger table, which are rolled back;
4. what PostgreSQL has recorded of the views becomes `Facts`;
5. `watches` derives from those the further changes that cause a check.

Each pass adds to the errors that it is handed, and leaves out the badges that an earlier pass could not do without.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import psycopg
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch_file, rolled_back, set_local
from badges.definitions import declarations
from badges.definitions.declarations import Declarations
from badges.definitions.errors import Errors
from badges.definitions.types import Definition
from badges.exceptions import InvalidDefinitions, NotMigrated
from badges.facts import counts, diagnostics, equality, probes, resolution, rights, session, watches
from badges.facts.probes import Answer, Probe, Read, Rejection
from badges.facts.resolution import Named
from badges.facts.tables import named_tables
from badges.facts.target import describe_target
from badges.facts.types import AnalysedDefinition, Column, Count, Facts, ReadTable, Table, Target


def load(connection: BaseDatabaseWrapper, file: Path | None = None) -> Declarations:
    """All badges of the site. If there are errors in them, the report has those that PostgreSQL finds, too.

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
        pass  # the errors of the declarations come first
    raise InvalidDefinitions(declared.source, errors)


def analyse(
    connection: BaseDatabaseWrapper, target: Target, definitions: Iterable[Definition], source: str = "badge.json"
) -> tuple[AnalysedDefinition, ...]:
    """Have the server analyse all definitions.

    :raises InvalidDefinitions: with all errors of all definitions.
    """
    definitions = tuple(definitions)
    badges: dict[Hashable, Definition] = {}
    for each in definitions:
        badges.setdefault(_badge(each), each)
    errors = Errors()
    rights.check(errors, target)
    with rolled_back(connection):
        with connection.cursor() as cursor:
            # The conditions are read as the generated functions will read them.
            set_local(cursor, search_path=target.function_search_path, **target.settings)
        analysed = {_badge(each.definition): each for each in _analyse(errors, connection, target, [*badges.values()])}
    if errors:
        raise InvalidDefinitions(source, errors)
    return tuple(dataclasses.replace(analysed[_badge(each)], definition=each) for each in definitions)


def _badge(definition: Definition) -> Hashable:
    """The same for all levels of a badge: these have all in common that the analysis depends on, and their errors."""
    return (definition.source, definition.number) if definition.number else definition.code


def _analyse(
    errors: Errors, connection: BaseDatabaseWrapper, target: Target, definitions: Sequence[Definition]
) -> Iterator[AnalysedDefinition]:
    """Those of the definitions in which there are no errors."""
    named = resolution.resolve(errors, connection, target, definitions)
    parsed = _parse(errors, connection, target, definitions)
    named = {each: names for each, names in named.items() if each.question not in parsed.rejected}
    copied = _copy_tables(errors, connection, target, named)
    asked = {
        each: [Probe(each.question, event, names.table) for event in each.events]
        for each, names in named.items()
        if names.table and names.table.copy in copied
    }
    answers = probes.ask(connection, target, chain.from_iterable(asked.values()))
    accepted = _accept(errors, connection, target, asked, answers)
    rights.check_owners(errors, target, _reach(connection, target, named.values(), answers.values()))
    tables = _tables_read(connection, answers.values())
    for definition, of_events in accepted.items():
        names = named[definition]
        if names.user and names.is_complete:
            facts = {
                probe.event: _facts(probe, answer, names.user, names.per, parsed, tables)
                for probe, answer in of_events.items()
            }
            watches.check(errors.at(definition.place, definition.number), definition, facts)
            yield AnalysedDefinition(
                definition,
                facts,
                watches.watches(definition, facts, names.watches, tables),
                watches.unwatched(definition, facts, names.watches, tables),
            )


@dataclasses.dataclass(frozen=True, slots=True)
class _Parsed:
    """What parsing alone finds out about the questions."""

    rejected: Mapping[str, Rejection]
    expressions: frozenset[str]
    """Those that are valid between parentheses."""
    halves: Mapping[str, tuple[str, str]]
    """The SELECT list and the FROM clause of those that share the FROM clause with another one."""
    counts: Mapping[str, Count]
    """The parts of those that look like one count."""


def _parse(
    errors: Errors, connection: BaseDatabaseWrapper, target: Target, definitions: Sequence[Definition]
) -> _Parsed:
    rejected = probes.parse(connection, (each.question for each in definitions))
    for each in definitions:
        if each.question in rejected:
            badge = errors.at(each.place, each.number)
            diagnostics.report_rejection(badge, connection, target, each, rejected[each.question])
    conditions = [each.condition for each in definitions if not each.progress and each.question not in rejected]
    return _Parsed(
        rejected,
        frozenset(probes.expressions(connection, conditions)),
        probes.halve(connection, conditions),
        _counts(connection, definitions, rejected),
    )


def _counts(
    connection: BaseDatabaseWrapper, definitions: Iterable[Definition], rejected: Mapping[str, Rejection]
) -> dict[str, Count]:
    """The parts of the questions that look like one count: a condition compares it, and a progress does not."""
    found = {
        each.question: count
        for each in definitions
        if each.question not in rejected
        and (count := counts.parted(each.question))
        and bool(count.operator) is not bool(each.progress)
    }
    wrong = probes.parse(connection, map(counts.as_query, found.values()))
    return {question: count for question, count in found.items() if counts.as_query(count) not in wrong}


def _copy_tables(
    errors: Errors, connection: BaseDatabaseWrapper, target: Target, named: Mapping[Definition, Named]
) -> set[str]:
    """Make the copies of the trigger tables on which conditions are tried.

    :returns: those that could be made.
    """
    if not target.can_create_temporary:
        return set()
    tables = {names.table.copy: names.table for names in named.values() if names.table}
    failed = {copy: error for copy, table in tables.items() if (error := probes.copy(connection, table))}
    for definition, names in named.items():
        if names.table and (error := failed.get(names.table.copy)):
            hint = ""
            if isinstance(error, psycopg.errors.InsufficientPrivilege):
                grant = sql.SQL("GRANT USAGE ON SCHEMA {} TO {};").format(
                    sql.Identifier(names.table.schema), sql.Identifier(target.role)
                )
                hint = f"Needed: {grant.as_string()}"
            message = f"the condition cannot be tried on a copy of the table: {error.diag.message_primary}."
            errors.at(definition.place, definition.number).at(definition.trigger_table_key).add(message, hint)
    return tables.keys() - failed.keys()


def _accept(
    errors: Errors,
    connection: BaseDatabaseWrapper,
    target: Target,
    asked: Mapping[Definition, Sequence[Probe]],
    answers: Mapping[Probe, Answer | Rejection],
) -> dict[Definition, dict[Probe, Answer]]:
    """The answers to the definitions whose question may serve as it is, after each of their events."""
    accepted = {}
    for definition, of_events in asked.items():
        badge = errors.at(definition.place, definition.number)
        found = {}
        for probe in of_events:
            answer = answers[probe]
            if isinstance(answer, Rejection):
                diagnostics.report_rejection(badge, connection, target, definition, answer, probe)
            else:
                diagnostics.check_answer(badge, target, definition, probe, answer)
                found[probe] = answer
        if not badge:
            accepted[definition] = found
    return accepted


def _reach(
    connection: BaseDatabaseWrapper, target: Target, named: Iterable[Named], answers: Iterable[Answer | Rejection]
) -> Iterator[rights.Reach]:
    """How other roles could act with the rights of the owner of the badges, which the functions have."""
    objects = {each for answer in answers if isinstance(answer, Answer) for each in answer.objects}
    tables = {target.users.oid, target.definitions.oid, target.secret.oid}
    for names in named:
        for each in (names.table, *(watch.table for watch in names.watches)):
            if each:
                tables.update(table.oid for table in (each, *(each.path.tables if each.path else ())))
    written = (target.badges, target.events, target.pending, target.failures, target.deliveries, target.former_keys)
    for role, how, found in fetch_file(
        connection,
        "facts/owners.sql",
        owner=target.badges_owner,
        trusted=sorted(target.trusted_roles),
        schema=target.schema,
        written=[table.oid for table in written],
        tables=sorted(tables),
        classes=[class_ for class_, _ in objects],
        objects=[oid for _, oid in objects],
    ):
        yield rights.Reach(role, how, tuple(found))


def _tables_read(connection: BaseDatabaseWrapper, answers: Iterable[Answer | Rejection]) -> dict[int, Table]:
    """The tables that questions read beside the changed row, by oid."""
    names = {(schema, name) for each in answers if isinstance(each, Answer) for _, schema, name, *_ in each.reads}
    return {table.oid: table for table in named_tables(connection, sorted(names)).values()}


def _facts(
    probe: Probe,
    answer: Answer,
    user: Column,
    per: Column | None,
    parsed: _Parsed,
    tables: Mapping[int, Table],
) -> Facts:
    is_one_aggregate = answer.aggregates and answer.queries == probes.own_queries(probe) + 1
    select_list, from_clause = parsed.halves.get(probe.question, ("", "")) if is_one_aggregate else ("", "")
    return Facts(
        table=probe.table,
        user=user,
        new_columns=probe.table.in_order(answer.new_columns),
        old_columns=probe.table.in_order(answer.old_columns),
        tables=tuple(sorted(answer.tables)),
        is_time_dependent=answer.is_time_dependent or answer.is_opaque,
        is_opaque=answer.is_opaque,
        reads=tuple(_reads(probe, answer, user, tables)),
        per=per,
        is_expression=probe.question in parsed.expressions and not answer.returns_set,
        select_list=select_list,
        from_clause=from_clause,
        count=parsed.counts.get(probe.question) if answer.aggregates and answer.counts else None,
        type=answer.type,
        settings=_settings(probe, answer),
    )


def _settings(probe: Probe, answer: Answer) -> tuple[str, ...]:
    found = set(session.settings(probe.question, answer.session))
    if answer.tables or answer.is_opaque:
        # A check that is left pending has the values of the row as JSON.
        stored = {*answer.new_columns, *answer.old_columns}
        found |= session.by_stored_columns({each.type for each in probe.table.columns if each.name in stored})
    return tuple(sorted(found))


def _reads(probe: Probe, answer: Answer, user: Column, tables: Mapping[int, Table]) -> Iterator[ReadTable]:
    if not answer.reads:
        return
    rows = {oid: names.index(user.name) + 1 for oid, names in answer.rows.items() if user.name in names}
    of_user = equality.columns_of_user(answer.tree, rows, answer.equalities, _links(probe.table, answer.reads))
    for oid, schema, name, columns, of_users, numbers in sorted(answer.reads, key=lambda each: f"{each[1]}.{each[2]}"):
        equal, is_way = of_user.get(oid, (frozenset(), False))
        found = [column for column, number in zip(columns, numbers, strict=True) if number in equal]
        # If several do, the one that the definition names, or one with a foreign key to the users.
        own = [user.name] if oid == probe.table.oid else []
        if own and probe.table.path and equality.END_OF_PATH in equal:
            yield ReadTable(f"{schema}.{name}", oid, tuple(columns), user)
            continue
        best = next((each for each in [*own, *of_users] if each in found), None)
        column = tables[oid].column(best or found[0]) if oid in tables and found else None
        if column and not best and column.type != user.type:
            column = None
        yield ReadTable(f"{schema}.{name}", oid, tuple(columns), column, is_way)


def _links(table: Table, reads: Iterable[Read]) -> tuple[equality.Link, ...]:
    """The foreign keys of the path to the user, if the condition reads all of its tables."""
    if table.path is None:
        return ()
    number = {
        (oid, name): at for oid, _, _, names, _, numbers in reads for name, at in zip(names, numbers, strict=True)
    }
    links = []
    here, following = table.oid, [*(hop.column for hop in table.path.hops[1:]), table.path.last]
    for hop, column in zip(table.path.hops, following, strict=True):
        there = hop.table.oid
        places = (here, hop.column.name), (there, hop.key.name), (there, column.name)
        if not number.keys() >= {*places}:
            return ()
        own, key, next_ = (number[place] for place in places)
        links.append(equality.Link(here, own, there, key, next_))
        here = there
    return tuple(links)
