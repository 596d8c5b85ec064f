"""What is installed now, as PostgreSQL's catalog has it. Takes a connection."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.compiler import Level
from badges.database import fetch_file, qualified
from badges.definitions import Event
from badges.routines import MARKER
from badges.site import Site

# Bits of pg_trigger.tgtype (TRIGGER_TYPE_* in PostgreSQL's catalog/pg_trigger.h); neither BEFORE nor INSTEAD is AFTER.
_ROW = 1 << 0
_EVENTS = {Event.INSERT: 1 << 2, Event.DELETE: 1 << 3, Event.UPDATE: 1 << 4}


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
    is_public: bool
    """Every role may execute it, and so attach it to a table of its own."""
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
            is_public,
            comment,
            _triggers(found),
        )
        for name, body, arguments, is_plpgsql, is_definer, config, owner, is_public, comment, found in rows
    }


def stored_definitions(connection: BaseDatabaseWrapper) -> dict[str, dict[str, Any]]:
    """The rows of `BadgeDefinition` by code."""
    from badges.models import BadgeDefinition  # noqa: PLC0415 - models need loaded apps

    rows = BadgeDefinition.objects.using(connection.alias).order_by("code").values()
    return {row["code"]: dict(row) for row in rows}


def trigger_type(event: Event, level: Level) -> int:
    """`tgtype` of an AFTER trigger."""
    return _EVENTS[event] | (_ROW if level is Level.ROW else 0)


def _triggers(found: str | list[dict[str, Any]]) -> tuple[InstalledTrigger, ...]:
    entries = json.loads(found) if isinstance(found, str) else found
    return tuple(InstalledTrigger(**entry) for entry in entries)
