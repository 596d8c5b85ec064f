"""Watches: the changes beside its own events that cause a check of a badge, and those that stay unnoticed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from badges.definitions.errors import Errors
from badges.definitions.types import Definition, TriggerEvent
from badges.facts.types import AnalysedDefinition, Facts, Table, Watched, deciding


def check(errors: Errors, definition: Definition, facts: Mapping[TriggerEvent, Facts]) -> None:
    """Check that a badge that is revocable or has further triggers can be evaluated by the rows that exist then."""
    if not (definition.revocable or definition.watches):
        return
    noun = definition.question_key
    if definition.revocable:
        badge, cause, when = errors.at("revocable"), '"revocable"', "when the badge may be revoked"
    else:
        badge, cause, when = errors.at("triggers"), "the further triggers", "after a change of another table"
    if TriggerEvent.UPDATE in facts and any(each.old_columns for each in facts.values()):
        badge.add(
            f"the {noun} reads OLD, and {when}, the row as it was before an update is gone.",
            f"Write the {noun} with the rows that exist, or leave out {cause}.",
        )
    elif set(facts) == {TriggerEvent.DELETE} and any(each.decided_by == "row" for each in facts.values()):
        badge.add(
            f"a deleted row decides the {noun}, and {when}, that row is gone.",
            f"Let rows that exist decide, read of OLD only {definition.user_field}, or leave out {cause}.",
        )


def watches(
    definition: Definition,
    facts: Mapping[TriggerEvent, Facts],
    declared: tuple[Watched, ...],
    tables: Mapping[int, Table],
) -> tuple[Watched, ...]:
    """The watches of a badge; one for each table and user column.

    :param declared: the further triggers of the file.
    :param tables: the tables that the condition reads, by oid.
    """
    merged: dict[tuple[int, str], Watched] = {}
    primary = next(iter(facts.values()))
    for watched in (*declared, *(_watched_for_revoking(facts, tables) if definition.revocable else ())):
        table, user = watched.table, watched.user
        is_primary = (table.oid, user.name) == (primary.table.oid, primary.user.name)
        left = {event for event in watched.events if not (is_primary and event in definition.events)}
        before = merged.get((table.oid, user.name))
        if before:
            left |= set(before.events)
        if left:
            in_order = tuple(event for event in TriggerEvent if event in left)
            merged[table.oid, user.name] = Watched(table, user, in_order, (before or watched).reason)
    return (*merged.values(), *_links(definition, facts, declared))


def _links(
    definition: Definition, facts: Mapping[TriggerEvent, Facts], declared: tuple[Watched, ...]
) -> Iterator[Watched]:
    """The tables along the paths to users, whose changes can give a row to another user.

    A row that is inserted there is no concern: a row that referred to it before has left a pending check.
    """
    if deciding(facts) is None:
        return
    events = (TriggerEvent.UPDATE, TriggerEvent.DELETE) if definition.revocable else (TriggerEvent.UPDATE,)
    seen = set()
    for table in (next(iter(facts.values())).table, *(watched.table for watched in declared)):
        path, of = table.path, table.qualified_name
        while path:
            hop, rest = path.hops[0], path.rest
            there = hop.table.with_path(rest) if rest else hop.table
            user = there.column(rest.name) if rest else path.last
            if user and (there.oid, hop.key.name, user.name) not in seen:
                seen.add((there.oid, hop.key.name, user.name))
                yield Watched(there, user, events, f"its rows decide whose the rows of {of} are", hop.key)
            path, of = rest, hop.table.qualified_name


def unwatched(
    definition: Definition,
    facts: Mapping[TriggerEvent, Facts],
    declared: tuple[Watched, ...],
    tables: Mapping[int, Table],
) -> tuple[str, ...]:
    """Changes that may make the condition of a revocable badge false unnoticed: sentences, each with its hint."""
    if not definition.revocable:
        return ()
    noun = definition.question_key
    named = {watched.table.oid for watched in declared}
    sentences = []
    for each in facts.values():
        for read in each.reads:
            table = tables.get(read.oid)
            if read.is_way:
                continue
            if read.oid == each.table.oid and not read.user and read.oid not in named:
                sentences.append(
                    f"The {noun} reads rows of all users in {read.table}: changes by other users are not noticed. Run "
                    "award_badges on a schedule."
                )
            elif table is None or not _can_be_watched(table):
                # The tables behind it are not known; if the file names some, those are taken to be all.
                if not named:
                    sentences.append(
                        f"The {noun} reads {read.table}, which is no table that can be watched. Name the tables behind "
                        "it in triggers, or run award_badges on a schedule."
                    )
            elif not read.user and read.oid not in named:
                sentences.append(
                    f"The {noun} reads {read.table}, and no column of it that equals {each.user.name}: its changes are "
                    "not noticed. Name it in triggers, with the column that holds the user, or run award_badges on a "
                    "schedule."
                )
        if each.is_opaque and not named:
            sentences.append(
                f"The {noun} calls a function of the site's own, and what that reads is not known. Name its tables in "
                "triggers; if it depends on the time, run award_badges on a schedule."
            )
        elif each.is_time_dependent and not each.is_opaque:
            sentences.append(
                f"The {noun} depends on the time, which passes without a change. Run award_badges on a schedule: it "
                "revokes the badge."
            )
    return tuple(dict.fromkeys(sentences))


def unnoticed(analysed: AnalysedDefinition) -> Iterator[str]:
    """Changes that may change the result for a badge of any kind without a check: sentences, each with its hint."""
    definition, noun = analysed.definition, analysed.definition.question_key
    if analysed.children:
        yield (
            f"A write straight to {' or '.join(analysed.children)}, which a watched table has as a child by "
            "inheritance, checks nothing. Write to the parent, name the child in triggers, or run award_badges on a "
            "schedule."
        )
    if definition.revocable:
        yield from analysed.unwatched
        return
    facts = list(analysed.facts.values())
    table = analysed.table.qualified_name
    if elsewhere := analysed.unchecked_tables:
        event = " or ".join(definition.events)
        yield (
            f"A change of {' or '.join(elsewhere)} does not check the badge, though the {noun} reads it: the award "
            f"comes with the next {event} on {table} (let the change touch a row there, or name that table in "
            "triggers), or with award_badges on a schedule."
        )
    if analysed.reads_others:
        yield (
            f"The {noun} reads rows of all users in {table}: a change checks the badge only for the user of the "
            "changed row. award_badges on a schedule awards it to the others."
        )
    if any(each.is_opaque for each in facts):
        yield (
            f"The {noun} calls a function of the site's own: it is not known which tables that reads, or whether it "
            "depends on the time. award_badges on a schedule makes up for both."
        )
    elif any(each.is_time_dependent for each in facts):
        yield f"The {noun} depends on the time, and time alone fires no trigger: award_badges on a schedule does."


def forgotten(analysed: AnalysedDefinition) -> str:
    """That a condition reads a table and nothing of the changed row, so that it is true for all users or for none."""
    facts = list(analysed.facts.values())
    if any(each.new_columns or each.old_columns or each.is_opaque or not each.tables for each in facts):
        return ""
    tables = " and ".join(sorted({table for each in facts for table in each.tables}))
    return (
        f"The {analysed.definition.question_key} reads {tables} without a condition on the user: its result is the "
        "same for all users."
    )


def _watched_for_revoking(facts: Mapping[TriggerEvent, Facts], tables: Mapping[int, Table]) -> Iterator[Watched]:
    for each in facts.values():
        # A new row alone revokes nothing, unless others decide with it.
        events = tuple(event for event in TriggerEvent if event is not TriggerEvent.INSERT or each.is_cross_row)
        yield Watched(each.table, each.user, events, "its rows decide")
        for read in each.reads:
            table = each.table if read.oid == each.table.oid else tables.get(read.oid)
            if table and read.user and _can_be_watched(table) and not read.is_way:
                yield Watched(table, read.user, tuple(TriggerEvent), "its rows decide")


def _can_be_watched(table: Table) -> bool:
    return table.kind in ("r", "p") and not table.is_temporary and table.schema != "pg_catalog"
