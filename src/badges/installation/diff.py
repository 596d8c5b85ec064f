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
    EDITED,
    NO_LOCK,
    Action,
    Finding,
    InstalledFunction,
    InstalledTrigger,
    Plan,
    RecordedFailure,
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
    default_executors: Sequence[str] = (),
    failures: Sequence[RecordedFailure] = (),
    findings: Sequence[Finding] = (),
) -> Plan:
    """The steps from `installed` and `stored` to `wanted` and `definitions`.

    `transactions.split` divides them into transactions.
    """
    names = {routine.name for routine in wanted.routines}
    trigger_names = {trigger.name for trigger in wanted.all_triggers}
    unwanted = [function for name, function in installed.items() if name not in names]
    steps = [
        *_definition_steps(target, definitions, stored),
        *(
            step
            for routine in wanted.routines
            for step in _function_steps(
                target,
                routine,
                installed.get(routine.name),
                default_executors,
                is_trigger=routine.name in trigger_names,
            )
        ),
        *sorted(
            [
                *(step for each in wanted.all_triggers for step in _trigger_steps(each, installed.get(each.name))),
                *(
                    _drop_trigger(trigger, "no badge needs it any more")
                    for function in unwanted
                    for trigger in function.triggers
                ),
            ],
            key=lambda step: step.table,
        ),
        *(_drop_function(target, function) for function in unwanted),
    ]
    disabled = [
        f"{trigger.name} on {trigger.qualified_table}"
        for wanted_trigger in wanted.all_triggers
        if wanted_trigger.name in installed
        for trigger in installed[wanted_trigger.name].triggers
        if trigger.is_disabled
    ]
    return Plan(
        tuple(steps),
        badges=len(definitions),
        triggers=len(wanted.triggers),
        disabled=tuple(disabled),
        failures=tuple(failures),
        findings=tuple(findings),
    )


def _definition_steps(
    target: Target, definitions: Sequence[Definition], stored: Mapping[str, Mapping[str, Any]]
) -> Iterator[Step]:
    table = target.definitions.identifier
    rights = f"INSERT and UPDATE on {target.definitions.qualified_name}"
    for definition in definitions:
        values = rows.row(definition)
        old = stored.get(definition.code)
        changed = [name for name, value in values.items() if old and old[name] != value]
        if old and not changed:
            continue
        columns = sql.SQL(", ").join(map(sql.Identifier, values))
        literals = sql.SQL(", ").join(rows.literal(name, value) for name, value in values.items())
        if old is None:
            statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(table, columns, literals)
            yield Step(Action.ADD_DEFINITION, definition.code, "new", NO_LOCK, (statement,), rights)
        else:
            reason = rows.reason(definition, changed)
            statement = sql.SQL("UPDATE {} SET ({}) = ROW ({}) WHERE code = {}").format(
                table, columns, literals, sql.Literal(definition.code)
            )
            yield Step(Action.CHANGE_DEFINITION, definition.code, reason, NO_LOCK, (statement,), rights)
    declared = {definition.code for definition in definitions}
    for code, old in stored.items():
        if code not in declared and old["retired_at"] is None:
            statement = sql.SQL("UPDATE {} SET retired_at = now() WHERE code = {}").format(table, sql.Literal(code))
            reason = "no longer declared; its badges stay"
            yield Step(Action.RETIRE_DEFINITION, code, reason, NO_LOCK, (statement,), rights)


def _function_steps(
    target: Target,
    routine: Routine,
    old: InstalledFunction | None,
    default_executors: Sequence[str],
    *,
    is_trigger: bool,
) -> Iterator[Step]:
    reasons = ["new"] if old is None else list(_differences(routine, old, is_trigger=is_trigger))
    if not reasons:
        return
    # No role calls a trigger function; award, revoke and settle may have been granted on purpose.
    others = default_executors if old is None else sorted(old.executors) if is_trigger else ()
    statements = [
        *_definition_of(routine),
        sql.SQL("REVOKE ALL ON FUNCTION {} FROM {}").format(routine.identifier, _roles(others)),
    ]
    if old and old.arguments != routine.arguments:
        # PostgreSQL replaces a function only under the same signature.
        statements.insert(0, sql.SQL("DROP FUNCTION {}").format(routine.identifier))
    if routine.owner != (old.owner if old else target.role):
        statements.append(
            sql.SQL("ALTER FUNCTION {} OWNER TO {}").format(routine.identifier, sql.Identifier(routine.owner))
        )
    awards = is_trigger and bool(routine.codes)
    inert = inert_routine(target, routine.name)
    yield Step(
        Action.CREATE_FUNCTION if old is None else Action.REPLACE_FUNCTION,
        routine.name,
        "; ".join(reasons),
        NO_LOCK,
        tuple(statements),
        f"CREATE on the schema {target.schema} and membership in the role {routine.owner}, the owner of the badges",
        makes_trigger_function=is_trigger and old is None,
        inert_statements=(*_definition_of(inert), *statements[2:]) if awards and old is None else (),
    )


def _definition_of(routine: Routine) -> tuple[sql.Composed, sql.Composed]:
    """What creates or replaces a function, with its comment."""
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
        yield "new: does nothing yet"
        return
    if old.body != routine.body or old.comment != routine.comment:
        before, now = set(metadata.get("badges", ())), set(routine.codes)
        if digest(old.body) != metadata.get("body"):
            yield EDITED
        elif before != now:
            yield ", ".join(
                [
                    *(f"{code} added" for code in sorted(now - before)),
                    *(f"{code} removed" for code in sorted(before - now)),
                ]
            )
        elif metadata.get("generator") != GENERATOR:
            yield "generator changed"
        else:
            yield "definition changed"
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
    table = wanted.table.qualified_name
    state = own.enabled if own else ""
    if wanted.is_always and state != "D":
        state = "A"
    is_sound = own is not None and _is_as_wanted(wanted, own)
    if own is None or not is_sound or own.enabled != state:
        statements = [] if is_sound else [wanted.create(), *wanted.then]
        if state in _ENABLED:
            statements.append(
                sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(
                    wanted.table.identifier, trusted(_ENABLED[state]), sql.Identifier(wanted.name)
                )
            )
        reason = "changed in the database"
        if own is None:
            reason = f"new: after {wanted.event}, {wanted.level}-level{', always enabled' if wanted.is_always else ''}"
        elif is_sound:
            reason = "to be always enabled, as on a subscriber"
        yield Step(
            Action.REPLACE_TRIGGER if own else Action.CREATE_TRIGGER,
            f"{wanted.name} on {table}",
            reason,
            f"SHARE ROW EXCLUSIVE on {table}: waits for writers, and writers wait for it; readers do not wait",
            tuple(statements),
            f"TRIGGER on {table}",
            table,
            takes_away=own is not None and own.old_table is not None and wanted.old_table is None,
        )
    for stray in triggers:
        if stray is not own:
            yield _drop_trigger(stray, "not made by the command")


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
    statement = sql.SQL("DROP FUNCTION {}").format(qualified(target.schema, function.name))
    return Step(
        Action.DROP_FUNCTION,
        function.name,
        "no badge needs it any more",
        NO_LOCK,
        (statement,),
        f"ownership of the function, which {function.owner} has",
        inert_statements=_definition_of(inert_routine(target, function.name)) if function.triggers else (),
    )
