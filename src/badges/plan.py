"""Wanted against installed -> steps, each with its reason and its lock. Pure."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from psycopg import sql

from badges import catalog, mirror
from badges.catalog import InstalledFunction, InstalledTrigger, RecordedFailure
from badges.compiler import Compiled, Trigger
from badges.database import qualified, trusted
from badges.definitions import Definition
from badges.routines import GENERATOR, Routine, digest
from badges.site import Site

NO_LOCK = "none"
EDITED = "edited in the database"
_ENABLED = {"D": "DISABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}


class Action(enum.StrEnum):
    ADD_DEFINITION = "add definition"
    CHANGE_DEFINITION = "change definition"
    RETIRE_DEFINITION = "retire definition"
    CREATE_FUNCTION = "create function"
    REPLACE_FUNCTION = "replace function"
    DROP_FUNCTION = "drop function"
    CREATE_TRIGGER = "create trigger"
    REPLACE_TRIGGER = "replace trigger"
    DROP_TRIGGER = "drop trigger"
    SCHEDULE_JOB = "schedule job"
    UNSCHEDULE_JOB = "unschedule job"


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One change, whole: it can be read, printed as SQL and carried out."""

    action: Action
    target: str
    reason: str
    lock: str
    """What it locks besides itself, and whom that keeps waiting."""
    statements: tuple[sql.Composed, ...]
    needs: str
    """The right that it takes."""
    table: str = ""
    """The table that it locks, as schema.table."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "action": self.action.value,
            "target": self.target,
            "reason": self.reason,
            "lock": self.lock,
            "sql": [statement.as_string() for statement in self.statements],
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something that the command does not change and the operator should know: what, and what to do about it."""

    id: str
    """That of the system check that says the same."""
    message: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What brings the database in line with the badge file; empty if it is."""

    steps: tuple[Step, ...]
    badges: int
    triggers: int
    disabled: tuple[str, ...] = ()
    """The triggers that somebody disabled, which is left as it is: their badges are not awarded."""
    failures: tuple[RecordedFailure, ...] = ()
    """Conditions that failed since `award_badges` last went well."""
    findings: tuple[Finding, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.steps

    def as_dict(self) -> dict[str, Any]:
        return {
            "in_line": self.is_empty,
            "badges": self.badges,
            "triggers": self.triggers,
            "disabled": list(self.disabled),
            "failures": [
                {
                    **dataclasses.asdict(failure),
                    "first_at": failure.first_at.isoformat(),
                    "last_at": failure.last_at.isoformat(),
                }
                for failure in self.failures
            ],
            "findings": [finding.as_dict() for finding in self.findings],
            "steps": [step.as_dict() for step in self.steps],
        }

    def as_sql(self) -> str:
        """A script that does the same in psql."""
        statements = [
            f"-- {step.action} {_one_line(step.target)}: {_one_line(step.reason)}\n"
            + "\n".join(f"{statement.as_string().strip()};" for statement in step.statements)
            for step in self.steps
        ]
        return "\n\n".join(["BEGIN;", *statements, "COMMIT;"]) if statements else "-- Nothing to do."


def compare(
    site: Site,
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

    `default_executors` may execute each new function unless that is taken from them; `failures` and `findings` are only
    told.

    Locks come last and in the order of the tables' names, so that they are held briefly and two plans cannot deadlock.
    """
    names = {routine.name for routine in wanted.routines}
    trigger_names = {trigger.name for trigger in wanted.all_triggers}
    unwanted = [function for name, function in installed.items() if name not in names]
    steps = [
        *_definition_steps(site, definitions, stored),
        *(
            step
            for routine in wanted.routines
            for step in _function_steps(
                site, routine, installed.get(routine.name), default_executors, is_trigger=routine.name in trigger_names
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
        *(_drop_function(site, function) for function in unwanted),
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


def find(site: Site, open_schemas: Sequence[str], hidden_tables: Sequence[str]) -> Iterator[Finding]:
    """What makes the badges less safe or less exact than they could be.

    :param open_schemas: schemas on the path of the functions in which every role may create objects.
    :param hidden_tables: tables, as schema.table, of which row-level security may hide rows from the badges' owner.
    """
    for schema in open_schemas:
        revoke = sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC;").format(sql.Identifier(schema))
        yield Finding(
            "badges.W007",
            f'Every role may create functions and operators in the schema "{schema}", where the conditions look for '
            f'theirs: planted ones would run with the rights of "{site.badges_owner}".',
            revoke.as_string(),
        )
    for table in hidden_tables:
        policy = sql.SQL("CREATE POLICY badges ON {} FOR SELECT TO {} USING (true);").format(
            qualified(*table.split(".", 1)), sql.Identifier(site.badges_owner)
        )
        yield Finding(
            "badges.W008",
            f'The row-level security of {table} may hide rows from "{site.badges_owner}", with whose rights badges are '
            "awarded: what hangs on those rows is missed.",
            f"{policy.as_string()} Or give the role BYPASSRLS.",
        )


def _definition_steps(
    site: Site, definitions: Sequence[Definition], stored: Mapping[str, Mapping[str, Any]]
) -> Iterator[Step]:
    table = site.definitions.identifier
    rights = f"INSERT and UPDATE on {site.definitions.qualified_name}"
    for definition in definitions:
        values = mirror.row(definition)
        old = stored.get(definition.code)
        changed = [name for name, value in values.items() if old and old[name] != value]
        if old and not changed:
            continue
        columns = sql.SQL(", ").join(map(sql.Identifier, values))
        literals = sql.SQL(", ").join(mirror.literal(name, value) for name, value in values.items())
        if old is None:
            statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(table, columns, literals)
            yield Step(Action.ADD_DEFINITION, definition.code, "new", NO_LOCK, (statement,), rights)
        else:
            reason = mirror.reason(definition, changed)
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
    site: Site, routine: Routine, old: InstalledFunction | None, default_executors: Sequence[str], *, is_trigger: bool
) -> Iterator[Step]:
    reasons = ["new"] if old is None else list(_differences(routine, old, is_trigger=is_trigger))
    if not reasons:
        return
    # Nobody calls a trigger function; award, revoke and settle may have been granted on purpose.
    others = default_executors if old is None else sorted(old.executors) if is_trigger else ()
    statements = [
        sql.Composed([trusted(routine.statement)]),
        sql.SQL("COMMENT ON FUNCTION {} IS {}").format(routine.identifier, sql.Literal(routine.comment)),
        sql.SQL("REVOKE ALL ON FUNCTION {} FROM {}").format(routine.identifier, _roles(others)),
    ]
    if old and old.arguments != routine.arguments:
        # PostgreSQL replaces a function only under the same signature.
        statements.insert(0, sql.SQL("DROP FUNCTION {}").format(routine.identifier))
    if routine.owner != (old.owner if old else site.role):
        statements.append(
            sql.SQL("ALTER FUNCTION {} OWNER TO {}").format(routine.identifier, sql.Identifier(routine.owner))
        )
    yield Step(
        Action.CREATE_FUNCTION if old is None else Action.REPLACE_FUNCTION,
        routine.name,
        "; ".join(reasons),
        NO_LOCK,
        tuple(statements),
        f"CREATE on the schema {site.schema} and membership in the role {routine.owner}, the owner of the badges",
    )


def _roles(others: Iterable[str]) -> sql.Composed:
    """PUBLIC, and these."""
    roles = [sql.Identifier(role) for role in others if role != "PUBLIC"]
    return sql.SQL(", ").join([sql.SQL("PUBLIC"), *roles])


def _differences(routine: Routine, old: InstalledFunction, *, is_trigger: bool) -> Iterator[str]:
    metadata = old.metadata
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
            f"SHARE ROW EXCLUSIVE on {table}: waits for writers, and writers wait for it; readers go on",
            tuple(statements),
            f"TRIGGER on {table}",
            table,
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
    )


def _drop_function(site: Site, function: InstalledFunction) -> Step:
    statement = sql.SQL("DROP FUNCTION {}").format(qualified(site.schema, function.name))
    return Step(
        Action.DROP_FUNCTION,
        function.name,
        "no badge needs it any more",
        NO_LOCK,
        (statement,),
        f"ownership of the function, which {function.owner} has",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
