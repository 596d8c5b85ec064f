"""The row of `BadgeDefinition` that mirrors a definition: wanted and stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import trusted
from badges.definitions.types import Definition
from badges.installation.types import Reason


def row(definition: Definition) -> dict[str, Any]:
    """The row of `BadgeDefinition` that mirrors a definition."""
    return {
        "code": definition.code,
        "name": definition.name,
        "description": definition.description,
        "category": definition.category,
        "image": definition.image,
        "points": definition.points,
        "position": definition.position,
        "secret": definition.secret,
        "translations": {language: dict(texts) for language, texts in definition.translations.items()},
        "condition": definition.condition,
        "trigger_condition": [event.value for event in definition.events],
        "trigger_table": definition.trigger_table,
        "user_field": definition.user_field,
        "progress": definition.progress,
        "goal": definition.goal,
        "triggers": [watch.as_dict() for watch in definition.watches],
        "per": definition.per,
        "revocable": definition.revocable,
        "active": definition.active,
        "expires_after": definition.expires_after,
        "time_zone": definition.time_zone,
        "rule": definition.rule,
        "retired_at": None,
    }


def literal(name: str, value: object) -> sql.Composable:
    """A value of the row as SQL."""
    if name == "trigger_condition":
        return sql.SQL("to_jsonb({}::text[])").format(sql.Literal(value))
    if isinstance(value, dict | list):
        return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(value, ensure_ascii=False)))
    if isinstance(value, Decimal):
        return trusted(f"{value:f}")
    return sql.Literal(value)


def reason(definition: Definition, changed: Sequence[str]) -> str:
    """Why a row whose `changed` columns differ is written again."""
    if "retired_at" in changed:
        return Reason.DECLARED_AGAIN
    is_paused = "active" in changed and not definition.active
    # Derived columns are not reported in addition to the key they derive from.
    derived = {"rule"}
    if {"progress", "goal"} & set(changed):
        derived.add("condition")
    if is_paused:
        derived.add("active")
    reported = ", ".join(name for name in changed if name not in derived)
    reasons = ["paused" if is_paused else "", f"{reported} changed" if reported else ""]
    return ", ".join(filter(None, reasons)) or "rule changed"


def stored_definitions(connection: BaseDatabaseWrapper) -> dict[str, dict[str, Any]]:
    """The rows of `BadgeDefinition` by code."""
    from badges.models import BadgeDefinition  # noqa: PLC0415 - models need loaded apps

    rows = BadgeDefinition.objects.using(connection.alias).order_by("code").values()
    return {row["code"]: dict(row) for row in rows}
