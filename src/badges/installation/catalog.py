"""What is installed now, as PostgreSQL's catalog has it. Takes a connection."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, fetch_file, from_json, in_transaction, template
from badges.facts.types import Table, Target
from badges.functions.history import HISTORY
from badges.functions.runtime import RUNTIME
from badges.functions.types import MARKER, Level
from badges.installation.types import Deferred, InstalledFunction, InstalledTable, InstalledTrigger, RecordedFailure

# Bits of pg_trigger.tgtype (TRIGGER_TYPE_* in PostgreSQL's catalog/pg_trigger.h); neither BEFORE nor INSTEAD is AFTER.
_ROW = 1 << 0

_EVENTS = {"insert": 1 << 2, "delete": 1 << 3, "update": 1 << 4, "truncate": 1 << 5}


SHARED = frozenset(f"badges_{name}" for name in (*RUNTIME, *HISTORY))
"""The functions that do not depend on any badge."""


def installed(
    connection: BaseDatabaseWrapper, target: Target, wanted: Collection[str] = ()
) -> dict[str, InstalledFunction]:
    """The generated functions of this schema: by name where they belong, and else by schema.name.

    :param wanted: the names of functions that count even without our mark.
    """
    found = _functions(connection, target, [target.schema, target.own_schema], wanted)
    return {
        each.name if each.schema == place(target, each.name) else f"{each.schema}.{each.name}": each
        for each in found
        # Earlier versions had the functions of all schemas beside the table of badges.
        if each.schema in (place(target, each.name), target.own_schema)
        or any(trigger.schema == target.own_schema for trigger in each.triggers)
    }


def elsewhere(connection: BaseDatabaseWrapper, target: Target) -> list[InstalledFunction]:
    """The generated functions of all other schemas that share the table of badges."""
    own = {(each.schema, each.name) for each in installed(connection, target).values()}
    return [each for each in _functions(connection, target, [], ()) if (each.schema, each.name) not in own]


def place(target: Target, name: str) -> str:
    """The schema in which a function belongs."""
    return target.schema if name in SHARED or name == target.following else target.own_schema


def _functions(
    connection: BaseDatabaseWrapper, target: Target, schemas: Sequence[str], wanted: Collection[str]
) -> Iterator[InstalledFunction]:
    rows = fetch_file(
        connection,
        "installation/installed.sql",
        schemas=list(schemas),
        badges_schema=target.schema,
        badges=target.badges.name,
        wanted=list(wanted),
        marker=MARKER,
    )
    return (
        InstalledFunction(
            schema,
            name,
            body,
            arguments,
            is_plpgsql,
            is_definer,
            frozenset(config),
            owner,
            frozenset(executors),
            comment,
            _triggers(found),
        )
        for schema, name, body, arguments, is_plpgsql, is_definer, config, owner, executors, comment, found in rows
    )


def tables(connection: BaseDatabaseWrapper, target: Target, compared: Sequence[Table]) -> dict[int, InstalledTable]:
    """What these tables have beside their columns, by their oids."""
    rows = fetch_file(
        connection,
        "installation/tables.sql",
        tables=[table.oid for table in compared],
        users=target.users.oid,
        user_key=target.user_key.name,
        key_type=target.user_key.type,
    )
    lacks_secret = target.secret.can_select and not fetch(
        connection, sql.SQL("SELECT FROM {} LIMIT 1").format(target.secret.identifier).as_string()
    )
    return {oid: _table(*found, lacks_row=lacks_secret and oid == target.secret.oid) for oid, *found in rows}


def _table(
    constraints: Any,
    indexes: Any,
    defaults: Any,
    misfits: bool,
    key_type: str,
    options: list[str],
    *,
    lacks_row: bool,
) -> InstalledTable:
    constraints, indexes = from_json(constraints), from_json(indexes)
    return InstalledTable(
        constraints={name: each["definition"] for name, each in constraints.items()},
        not_valid=frozenset(name for name, each in constraints.items() if not each["is_valid"]),
        indexes={name: each["definition"] if each["is_valid"] else "" for name, each in indexes.items()},
        defaults=from_json(defaults),
        options=tuple(options),
        key_type=key_type,
        misfits=misfits,
        lacks_row=lacks_row,
    )


@in_transaction
def failures(connection: BaseDatabaseWrapper, target: Target) -> tuple[RecordedFailure, ...]:
    """The failures on record of the badges that are in force; empty for a role that may not read them."""
    if not (target.failures.can_select and target.definitions.can_select):
        return ()
    query = template("installation/failures.sql").format(
        failures=target.failures.identifier,
        definitions=target.definitions.identifier,
        tenant=sql.Literal(target.tenant),
    )
    return tuple(RecordedFailure(*row) for row in fetch(connection, query.as_string()))


@in_transaction
def deferred(connection: BaseDatabaseWrapper, target: Target) -> tuple[Deferred, ...]:
    """The badges that no write evaluates; empty for a role that may not read what is recorded."""
    if not (target.budget and target.overruns.can_select):
        return ()
    query = template("installation/deferred.sql").format(overruns=target.overruns.identifier)
    rows = fetch(connection, query.as_string())
    return tuple(Deferred(code, milliseconds, target.budget) for code, milliseconds in rows)


def level(type_: int) -> Level:
    """The level of a trigger with this `tgtype`."""
    return Level.ROW if type_ & _ROW else Level.STATEMENT


def event(type_: int) -> str:
    """The event of a trigger with this `tgtype`; of several, the first."""
    return next(name for name, bit in _EVENTS.items() if type_ & bit)


def is_after(type_: int, event: str) -> bool:
    """Whether a trigger with this `tgtype` fires after such a write."""
    return type_ | _ROW == trigger_type(event, Level.ROW)


def trigger_type(event: str, level: Level) -> int:
    """`tgtype` of an AFTER trigger."""
    return _EVENTS[event] | (_ROW if level is Level.ROW else 0)


def _triggers(found: str | list[dict[str, Any]]) -> tuple[InstalledTrigger, ...]:
    return tuple(InstalledTrigger(**entry) for entry in from_json(found))
