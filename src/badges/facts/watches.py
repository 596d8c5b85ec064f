"""Which changes beside its own events a badge is looked at after, and which cannot be watched. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from badges.definitions.types import Definition, TriggerEvent
from badges.facts.types import AnalysedDefinition, Column, Facts, Table, Watched

Declared = tuple[Table, Column, tuple[TriggerEvent, ...]]


def errors(
    definition: Definition, facts: Collection[Facts], events: Collection[TriggerEvent]
) -> Iterator[tuple[str, str, str]]:
    """Why a badge cannot be looked at again: the key that asks for it, the message, the hint.

    It is looked at by the rows that exist then.
    """
    if not (definition.revocable or definition.watches):
        return
    key, noun = "revocable" if definition.revocable else "triggers", definition.question_key
    when = "when the badge may be taken back" if definition.revocable else "after a change of another table"
    if TriggerEvent.UPDATE in events and any(each.old_columns for each in facts):
        yield (
            key,
            f"the {noun} reads OLD, and {when}, the row as it was before an update is gone.",
            f"Write the {noun} with the rows that exist, or leave out {_asks(definition)}.",
        )
    elif set(events) == {TriggerEvent.DELETE} and any(each.decided_by == "row" for each in facts):
        yield (
            key,
            f"a deleted row decides the {noun}, and {when}, that row is gone.",
            f"Let rows that exist decide, read of OLD only {definition.user_field}, or leave out {_asks(definition)}.",
        )


def _asks(definition: Definition) -> str:
    return '"revocable"' if definition.revocable else "the further triggers"


def watches(
    definition: Definition,
    facts: Mapping[TriggerEvent, Facts],
    declared: Iterable[Declared],
    tables: Mapping[int, Table],
) -> tuple[Watched, ...]:
    """What is watched for a badge beside its own events; each table and user column once.

    :param declared: what the file names beside the first trigger.
    :param tables: the tables that the condition reads, by oid.
    """
    merged: dict[tuple[int, str], Watched] = {}
    primary = next(iter(facts.values()))
    for table, user, events, reason in (
        *((*each, "named in triggers") for each in declared),
        *(_watched_for_revoking(facts, tables) if definition.revocable else ()),
    ):
        is_primary = (table.oid, user.name) == (primary.table.oid, primary.user.name)
        left = {event for event in events if not (is_primary and event in definition.events)}
        before = merged.get((table.oid, user.name))
        if before:
            left |= set(before.events)
        if left:
            in_order = tuple(event for event in TriggerEvent if event in left)
            merged[table.oid, user.name] = Watched(table, user, in_order, before.reason if before else reason)
    return tuple(merged.values())


def unwatched(
    definition: Definition,
    facts: Mapping[TriggerEvent, Facts],
    declared: Iterable[Declared],
    tables: Mapping[int, Table],
) -> tuple[str, ...]:
    """What may make the condition of a revocable badge false unnoticed: sentences, each with its hint."""
    if not definition.revocable:
        return ()
    noun = definition.question_key
    named = {table.oid for table, _, _ in declared}
    sentences = []
    for each in facts.values():
        for read in each.reads:
            table = tables.get(read.oid)
            if read.oid == each.table.oid and not read.user:
                sentences.append(
                    f"The {noun} reads rows of {read.table} whoever they belong to: what others change there is not "
                    "noticed. Run award_badges on a schedule."
                )
            elif table is None or not _can_be_watched(table):
                # Nothing tells which tables stand behind it; whoever named some is taken at their word.
                if not named:
                    sentences.append(
                        f"The {noun} reads {read.table}, which is no table that can be watched. Name the tables behind "
                        "it in triggers, or run award_badges on a schedule."
                    )
            elif not read.user and read.oid not in named:
                sentences.append(
                    f"The {noun} reads {read.table}, and nothing tells whose rows those are: its changes are not "
                    "noticed. Name it in triggers, with the column that holds the user, or run award_badges on a "
                    "schedule."
                )
        if each.is_opaque and not named:
            sentences.append(
                f"The {noun} calls a function of the site's own, and nothing tells what that reads. Name its tables in "
                "triggers; if it asks for the time, run award_badges on a schedule."
            )
        elif each.is_time_dependent and not each.is_opaque:
            sentences.append(
                f"The {noun} depends on the time, which passes without a change. Run award_badges on a schedule: it "
                "takes the badge back."
            )
    return tuple(dict.fromkeys(sentences))


def unnoticed(analysed: AnalysedDefinition) -> Iterator[str]:
    """What changes the answer without a check, of any badge: sentences, each with its hint."""
    definition, noun = analysed.definition, analysed.definition.question_key
    if definition.revocable:
        yield from analysed.unwatched
        return
    facts = list(analysed.facts.values())
    table = analysed.table.qualified_name
    watched = {table, *(each.table.qualified_name for each in analysed.watches)}
    if elsewhere := sorted({name for each in facts for name in each.tables} - watched):
        event = " or ".join(definition.events)
        yield (
            f"A change of {' or '.join(elsewhere)} does not check the badge, though the {noun} reads it: the award "
            f"comes with the next {event} on {table} (let the change touch a row there, or name that table in "
            "triggers), or with award_badges on a schedule."
        )
    if any(read.oid == each.table.oid and not read.user for each in facts for read in each.reads):
        yield (
            f"The {noun} reads rows of {table} whoever they belong to: a change checks the badge for the user of the "
            "changed row alone. award_badges on a schedule awards what others earn by it."
        )
    if any(each.is_opaque for each in facts):
        yield (
            f"The {noun} calls a function of the site's own: nothing tells which tables that reads, or whether it "
            "reads the time. award_badges on a schedule awards what comes late."
        )
    elif any(each.is_time_dependent for each in facts):
        yield f"The {noun} depends on the time, and time alone fires no trigger: award_badges on a schedule does."


def _watched_for_revoking(
    facts: Mapping[TriggerEvent, Facts], tables: Mapping[int, Table]
) -> Iterator[tuple[Table, Column, tuple[TriggerEvent, ...], str]]:
    for each in facts.values():
        # A new row alone takes nothing back, unless others decide with it.
        events = tuple(event for event in TriggerEvent if event is not TriggerEvent.INSERT or each.is_cross_row)
        yield each.table, each.user, events, "its rows decide"
        for read in each.reads:
            table = tables.get(read.oid)
            if table and read.user and _can_be_watched(table):
                yield table, read.user, tuple(TriggerEvent), "its rows decide"


def _can_be_watched(table: Table) -> bool:
    return table.kind in ("r", "p") and not table.is_temporary and table.schema != "pg_catalog"
