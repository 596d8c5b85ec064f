"""What is installed now, as PostgreSQL's catalog has it. Takes a connection."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, fetch_file, qualified, template
from badges.routines import MARKER, Level
from badges.site import Site

# Bits of pg_trigger.tgtype (TRIGGER_TYPE_* in PostgreSQL's catalog/pg_trigger.h); neither BEFORE nor INSTEAD is AFTER.
_ROW = 1 << 0
_EVENTS = {"insert": 1 << 2, "delete": 1 << 3, "update": 1 << 4, "truncate": 1 << 5}


@dataclasses.dataclass(frozen=True, slots=True)
class InstalledTrigger:
    name: str
    table_oid: int
    schema: str
    table: str
    type: int
    is_plain: bool
    """It has no arguments, no WHEN, no list of columns, and is no constraint trigger."""
    new_table: str | None
    old_table: str | None
    enabled: str
    """`tgenabled`: O as usual, D disabled, A always, R only on replicas."""

    @property
    def is_disabled(self) -> bool:
        return self.enabled == "D"

    @property
    def table_identifier(self) -> sql.Composed:
        return qualified(self.schema, self.table)

    @property
    def qualified_table(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclasses.dataclass(frozen=True, slots=True)
class InstalledFunction:
    name: str
    body: str
    arguments: str
    """As pg_get_function_arguments gives them."""
    is_plpgsql: bool
    """In PL/pgSQL, and volatile, as all of ours are."""
    is_security_definer: bool
    config: frozenset[str]
    owner: str
    executors: frozenset[str]
    """The roles besides its owner that may execute it, and so attach it to a table of their own; PUBLIC is all."""
    comment: str
    triggers: tuple[InstalledTrigger, ...]

    @property
    def metadata(self) -> dict[str, Any]:
        """What the command wrote into the comment; empty if that is gone."""
        try:
            found = json.loads(self.comment.removeprefix(MARKER))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def installed(
    connection: BaseDatabaseWrapper, site: Site, wanted: Collection[str] = ()
) -> dict[str, InstalledFunction]:
    """The generated functions by name; those named in `wanted` even if they lost their mark."""
    rows = fetch_file(connection, "installed.sql", schema=site.schema, wanted=list(wanted), marker=MARKER)
    return {
        name: InstalledFunction(
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
        for name, body, arguments, is_plpgsql, is_definer, config, owner, executors, comment, found in rows
    }


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedFailure:
    """What the condition of one badge did to some writes; none of them was harmed."""

    code: str
    sqlstate: str
    message: str
    """That of the last time."""
    occurrences: int
    first_at: datetime
    last_at: datetime

    def __str__(self) -> str:
        times = f"once, at {self.last_at:%Y-%m-%d %H:%M:%S %Z}"
        if self.occurrences > 1:
            first, last = f"{self.first_at:%Y-%m-%d %H:%M:%S}", f"{self.last_at:%Y-%m-%d %H:%M:%S %Z}"
            times = f"{self.occurrences:,} times from {first} to {last}"
        return f'The condition of badge "{self.code}" failed {times}: {self.message} (SQLSTATE {self.sqlstate}).'


def failures(connection: BaseDatabaseWrapper, site: Site) -> tuple[RecordedFailure, ...]:
    """The failures on record of the badges that are in force; empty for a role that may not read them."""
    if not (site.failures.can_select and site.definitions.can_select):
        return ()
    query = template("failures.sql").format(failures=site.failures.identifier, definitions=site.definitions.identifier)
    return tuple(RecordedFailure(*row) for row in fetch(connection, query.as_string()))


def open_schemas(connection: BaseDatabaseWrapper, site: Site) -> tuple[str, ...]:
    """The schemas on the path of the generated functions in which every role may create functions and operators."""
    # The path of the functions is that of this session.
    rows = fetch(
        connection,
        """
        SELECT schema
        FROM unnest(array_append(current_schemas(false), %s::name)) WITH ORDINALITY AS path (schema, place)
        WHERE has_schema_privilege('public', schema::text, 'CREATE') AND schema !~ '^pg_temp_'
        GROUP BY schema ORDER BY min(place)
        """,
        [site.schema],
    )
    return tuple(schema for (schema,) in rows)


def default_executors(connection: BaseDatabaseWrapper, site: Site) -> tuple[str, ...]:
    """The roles that ALTER DEFAULT PRIVILEGES lets execute what this role creates in the schema of the functions."""
    rows = fetch(
        connection,
        """
        SELECT DISTINCT pg_get_userbyid(acl.grantee)
        FROM pg_default_acl d
        CROSS JOIN LATERAL aclexplode(d.defaclacl) AS acl
        WHERE d.defaclobjtype = 'f' AND d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
          AND d.defaclnamespace IN (0, (SELECT oid FROM pg_namespace WHERE nspname = %s))
          AND acl.grantee NOT IN (0, d.defaclrole)
        ORDER BY 1
        """,
        [site.schema],
    )
    return tuple(role for (role,) in rows)


def hidden_tables(connection: BaseDatabaseWrapper, role: str, tables: Iterable[str]) -> tuple[str, ...]:
    """Those of the tables, each as schema.table, of which row-level security may hide rows from a role."""
    return tuple(name for (name,) in fetch_file(connection, "hidden_tables.sql", role=role, tables=sorted(set(tables))))


def stored_definitions(connection: BaseDatabaseWrapper) -> dict[str, dict[str, Any]]:
    """The rows of `BadgeDefinition` by code."""
    from badges.models import BadgeDefinition  # noqa: PLC0415 - models need loaded apps

    rows = BadgeDefinition.objects.using(connection.alias).order_by("code").values()
    return {row["code"]: dict(row) for row in rows}


def level(type_: int) -> Level:
    """The level of a trigger with this `tgtype`."""
    return Level.ROW if type_ & _ROW else Level.STATEMENT


def event(type_: int) -> str:
    """The event of a trigger with this `tgtype`; of several, the first."""
    return next(name for name, bit in _EVENTS.items() if type_ & bit)


def is_after(type_: int, event: str) -> bool:
    """Whether a trigger with this `tgtype` fires after such a write."""
    return type_ | _ROW == trigger_type(event, Level.ROW)


def from_json(value: Any) -> Any:
    """A value of JSON from a query of our own: text, as Django leaves it, or what psycopg made of it."""
    return json.loads(value) if isinstance(value, str) else value


def loss(trigger: str) -> str:
    """What is lost while the trigger of this name is disabled."""
    return "the history is not written" if _writes_history(trigger) else "its badges are not awarded"


def made_good(trigger: str) -> str:
    """What makes good for that."""
    return "docs/history.md" if _writes_history(trigger) else "award_badges"


def _writes_history(trigger: str) -> bool:
    return trigger.startswith(("badges_add_", "badges_keep_"))


def trigger_type(event: str, level: Level) -> int:
    """`tgtype` of an AFTER trigger."""
    return _EVENTS[event] | (_ROW if level is Level.ROW else 0)


def _triggers(found: str | list[dict[str, Any]]) -> tuple[InstalledTrigger, ...]:
    return tuple(InstalledTrigger(**entry) for entry in from_json(found))
