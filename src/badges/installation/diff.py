"""Wanted against installed -> steps, each with its reason and its lock. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from psycopg import sql

from badges.database import qualified, trusted
from badges.definitions.types import Definition
from badges.facts.types import Target
from badges.functions.trigger import inert_routine
from badges.functions.types import GENERATOR, Compiled, Routine, Trigger, digest
from badges.installation import catalog, rows
from badges.installation.types import (
    NO_LOCK,
    Action,
    DisabledTrigger,
    InstalledFunction,
    InstalledTrigger,
    Plan,
    Reason,
    Step,
)

_ENABLED = {"D": "DISABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}


def compare(
    target: Target,
    definitions: Sequence[Definition],
    wanted: Compiled,
    installed: Mapping[str, InstalledFunction],
    stored: Mapping[str, Mapping[str, Any]],
    *,
    elsewhere: Sequence[InstalledFunction] = (),
    default_executors: Sequence[str] = (),
) -> Plan:
    """The steps from `installed` and `stored` to `wanted` and `definitions`.

    :param elsewhere: functions of other schemas, which are to be dropped as well.
    :param default_executors: the roles that may execute each new function unless that is revoked.

    `transactions.split` divides the steps into transactions.
    """
    places = {(routine.schema, routine.name) for routine in wanted.routines}
    replaced = {(trigger.name, trigger.table.oid) for trigger in wanted.all_triggers}
    found = [*installed.values(), *elsewhere]
    unwanted = [function for function in found if (function.schema, function.name) not in places]
    triggers = [
        *(step for each in wanted.all_triggers for step in _trigger_steps(each, installed.get(each.name))),
        *(
            _drop_trigger(trigger, Reason.NOT_NEEDED)
            for function in unwanted
            for trigger in function.triggers
            # The trigger of a function in another schema is replaced by one of the same name.
            if (trigger.name, trigger.table_oid) not in replaced
        ),
    ]
    return Plan(
        (
            *_definition_steps(target, definitions, stored),
            *_all_function_steps(target, wanted, installed, default_executors),
            *_renaming_steps(target, definitions, stored),
            *sorted(triggers, key=lambda step: step.table),
            *(_drop_function(target, function) for function in unwanted),
        ),
        badges=len(definitions),
        triggers=len(wanted.triggers),
        disabled=tuple(_disabled(wanted, installed)),
    )


def _disabled(wanted: Compiled, installed: Mapping[str, InstalledFunction]) -> Iterator[DisabledTrigger]:
    for each in wanted.all_triggers:
        for trigger in installed[each.name].triggers if each.name in installed else ():
            if trigger.is_disabled:
                yield _disabled_trigger(trigger)


def _disabled_trigger(trigger: InstalledTrigger) -> DisabledTrigger:
    place = f"{trigger.name} on {trigger.qualified_table}"
    loss, makes_up = "its badges are not awarded", "run `python manage.py award_badges`"
    if trigger.writes_history:
        loss, makes_up = "the history is not written", "see docs/history.md"
    return DisabledTrigger(
        f"The trigger {place} is disabled: {loss}.",
        f"{trigger.enabling} For the writes in between, {makes_up}.",
        trigger=place,
    )


def _definition_steps(
    target: Target, definitions: Sequence[Definition], stored: Mapping[str, Mapping[str, Any]]
) -> Iterator[Step]:
    for definition in definitions:
        values, old = rows.row(definition), stored.get(definition.code)
        if old is None:
            yield _add_definition(target, definition, values)
        elif changed := [name for name, value in values.items() if old[name] != value]:
            yield _change_definition(target, definition, values, changed)
    known = {code for definition in definitions for code in (definition.code, *definition.was)}
    for code, old in stored.items():
        if code not in known and old["retired_at"] is None:
            yield _retire_definition(target, code)


def _renaming_steps(
    target: Target, definitions: Sequence[Definition], stored: Mapping[str, Mapping[str, Any]]
) -> Iterator[Step]:
    """After the functions that know the new codes, in the same transaction."""
    function = qualified(target.schema, "badges_rename")
    for definition in definitions:
        for old in definition.was:
            if old in stored:
                yield Step(
                    Action.RENAME_DEFINITION,
                    definition.code,
                    f"was {old}",
                    f"SHARE ROW EXCLUSIVE on {target.badges.qualified_name} and {target.pending.qualified_name}: "
                    "waits for transactions that award badges, and they wait for it",
                    (sql.SQL("SELECT {}({}, {})").format(function, sql.Literal(old), sql.Literal(definition.code)),),
                    "to own the functions of the badges",
                )


def _add_definition(target: Target, definition: Definition, values: Mapping[str, Any]) -> Step:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        target.definitions.identifier, _names(values), _literals(values)
    )
    return Step(Action.ADD_DEFINITION, definition.code, Reason.NEW, NO_LOCK, (statement,), _rights(target))


def _change_definition(
    target: Target, definition: Definition, values: Mapping[str, Any], changed: Sequence[str]
) -> Step:
    statement = sql.SQL("UPDATE {} SET ({}) = ROW ({}) WHERE code = {}").format(
        target.definitions.identifier, _names(values), _literals(values), sql.Literal(definition.code)
    )
    reason = rows.reason(definition, changed)
    return Step(Action.CHANGE_DEFINITION, definition.code, reason, NO_LOCK, (statement,), _rights(target))


def _retire_definition(target: Target, code: str) -> Step:
    statement = sql.SQL("UPDATE {} SET retired_at = now() WHERE code = {}").format(
        target.definitions.identifier, sql.Literal(code)
    )
    reason = f"{Reason.NO_LONGER_DECLARED}; its badges stay"
    return Step(Action.RETIRE_DEFINITION, code, reason, NO_LOCK, (statement,), _rights(target))


def _names(values: Mapping[str, Any]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, values))


def _literals(values: Mapping[str, Any]) -> sql.Composed:
    return sql.SQL(", ").join(rows.literal(name, value) for name, value in values.items())


def _rights(target: Target) -> str:
    return f"INSERT and UPDATE on {target.definitions.qualified_name}"


def _all_function_steps(
    target: Target, wanted: Compiled, installed: Mapping[str, InstalledFunction], default_executors: Sequence[str]
) -> Iterator[Step]:
    trigger_names = {trigger.name for trigger in wanted.all_triggers}
    for routine in wanted.routines:
        is_trigger, old = routine.name in trigger_names, installed.get(routine.name)
        reasons = [Reason.NEW] if old is None else [*_differences(routine, old, is_trigger=is_trigger)]
        if reasons:
            # No role calls a trigger function; award, revoke and settle may have been granted on purpose.
            others: Iterable[str] = sorted(old.executors) if old and is_trigger else ()
            if old is None or old.arguments != routine.arguments:
                others = default_executors
            yield _function_step(target, routine, old, reasons, others, is_trigger=is_trigger)


def _function_step(
    target: Target,
    routine: Routine,
    old: InstalledFunction | None,
    reasons: Sequence[str],
    executors: Iterable[str],
    *,
    is_trigger: bool,
) -> Step:
    """Create or replace a function.

    :param executors: the roles that lose the right to execute it, as PUBLIC does.
    """
    statements = [
        *_definition_of(routine),
        sql.SQL("REVOKE ALL ON FUNCTION {} FROM {}").format(routine.identifier, _roles(executors)),
    ]
    if old and old.arguments != routine.arguments:
        # PostgreSQL replaces a function only under the same signature.
        statements.insert(0, sql.SQL("DROP FUNCTION {}").format(routine.identifier))
        if granted := sorted(old.executors - {"PUBLIC"}):
            roles = sql.SQL(", ").join(map(sql.Identifier, granted))
            statements.append(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(routine.identifier, roles))
    if routine.owner != (old.owner if old else target.role):
        statements.append(
            sql.SQL("ALTER FUNCTION {} OWNER TO {}").format(routine.identifier, sql.Identifier(routine.owner))
        )
    awards = is_trigger and bool(routine.codes)
    inert = inert_routine(target, routine.schema, routine.name)
    return Step(
        Action.CREATE_FUNCTION if old is None else Action.REPLACE_FUNCTION,
        routine.name,
        "; ".join(reasons),
        NO_LOCK,
        tuple(statements),
        f"CREATE on the schema {routine.schema} and membership in the role {routine.owner}, the owner of the badges",
        makes_trigger_function=is_trigger and old is None,
        inert_statements=(*_definition_of(inert), *statements[2:]) if awards and old is None else (),
    )


def _definition_of(routine: Routine) -> tuple[sql.Composed, sql.Composed]:
    """The statements that create or replace a function, with its comment."""
    return (
        sql.Composed([trusted(routine.statement)]),
        sql.SQL("COMMENT ON FUNCTION {} IS {}").format(routine.identifier, sql.Literal(routine.comment)),
    )


def _roles(others: Iterable[str]) -> sql.Composed:
    """PUBLIC, and these."""
    roles = [sql.Identifier(role) for role in others if role != "PUBLIC"]
    return sql.SQL(", ").join([sql.SQL("PUBLIC"), *roles])


def _differences(routine: Routine, old: InstalledFunction, *, is_trigger: bool) -> Iterator[str]:
    metadata = old.metadata
    if routine.codes and metadata.get("badges") == [] and digest(old.body) == metadata.get("body"):
        yield f"{Reason.NEW}: does nothing yet"
        return
    if old.body != routine.body or old.comment != routine.comment:
        before, now = set(metadata.get("badges", ())), set(routine.codes)
        if digest(old.body) != metadata.get("body"):
            yield Reason.EDITED
        elif before != now:
            yield ", ".join(
                [
                    *(f"{code} added" for code in sorted(now - before)),
                    *(f"{code} removed" for code in sorted(before - now)),
                ]
            )
        elif metadata.get("generator") != GENERATOR:
            yield Reason.GENERATOR_CHANGED
        else:
            yield Reason.DEFINITION_CHANGED
    if old.config != routine.config:
        yield "its settings differ"
    if (
        not old.is_plpgsql
        or old.is_security_definer != routine.is_security_definer
        or old.arguments != routine.arguments
    ):
        yield "its attributes differ"
    if old.owner != routine.owner:
        yield f"its owner is {old.owner}"
    if "PUBLIC" in old.executors:
        yield "every role may execute it"
    elif old.executors and is_trigger:
        yield f"{', '.join(sorted(old.executors))} may execute it"


def _trigger_steps(wanted: Trigger, old: InstalledFunction | None) -> Iterator[Step]:
    triggers = old.triggers if old else ()
    own = next((each for each in triggers if each.name == wanted.name and each.table_oid == wanted.table.oid), None)
    state = own.enabled if own else ""
    if wanted.is_always and state != "D":
        state = "A"
    if own is None or not _is_as_wanted(wanted, own) or own.enabled != state:
        yield _make_trigger(wanted, own, state)
    yield from (_drop_trigger(stray, Reason.FOREIGN) for stray in triggers if stray is not own)


def _make_trigger(wanted: Trigger, own: InstalledTrigger | None, state: str) -> Step:
    """Create or replace a trigger, or only enable it.

    :param own: the installed one.
    :param state: the wanted `tgenabled`; empty for the default.
    """
    table = wanted.table.qualified_name
    always = ", always enabled" if wanted.is_always else ""
    reason = f"{Reason.NEW}: after {wanted.event}, {wanted.level}-level{always}" if own is None else Reason.CHANGED
    statements = [wanted.create(), *wanted.then]
    if own and _is_as_wanted(wanted, own):
        reason, statements = "to be always enabled, as on a subscriber", []
    if state in _ENABLED:
        statements.append(
            sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(
                wanted.table.identifier, trusted(_ENABLED[state]), sql.Identifier(wanted.name)
            )
        )
    return Step(
        Action.REPLACE_TRIGGER if own else Action.CREATE_TRIGGER,
        f"{wanted.name} on {table}",
        reason,
        f"SHARE ROW EXCLUSIVE on {table}: waits for writers, and writers wait for it; readers do not wait",
        tuple(statements),
        f"TRIGGER on {table}",
        table,
        takes_away=own is not None and own.old_table is not None and wanted.old_table is None,
    )


def _is_as_wanted(wanted: Trigger, trigger: InstalledTrigger) -> bool:
    return (
        trigger.is_plain
        and trigger.type == catalog.trigger_type(wanted.event, wanted.level)
        and trigger.new_table == wanted.new_table
        and trigger.old_table == wanted.old_table
    )


def _drop_trigger(trigger: InstalledTrigger, reason: str) -> Step:
    return Step(
        Action.DROP_TRIGGER,
        f"{trigger.name} on {trigger.qualified_table}",
        reason,
        f"ACCESS EXCLUSIVE on {trigger.qualified_table}: waits for readers and writers, and they wait for it",
        (sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(trigger.name), trigger.table_identifier),),
        f"ownership of {trigger.qualified_table}",
        trigger.qualified_table,
        takes_away=True,
    )


def _drop_function(target: Target, function: InstalledFunction) -> Step:
    inert = inert_routine(target, function.schema, function.name)
    statement = sql.SQL("DROP FUNCTION {}").format(qualified(function.schema, function.name))
    return Step(
        Action.DROP_FUNCTION,
        function.name if function.schema == target.own_schema else f"{function.schema}.{function.name}",
        Reason.NOT_NEEDED,
        NO_LOCK,
        (statement,),
        f"ownership of the function, which {function.owner} has",
        inert_statements=_definition_of(inert) if function.triggers and function.body != inert.body else (),
    )
