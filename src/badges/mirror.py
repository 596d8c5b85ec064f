"""The row of `BadgeDefinition` that mirrors a definition. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from psycopg import sql

from badges.database import trusted
from badges.definitions import Definition


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
    """Why a row is written again, of which these columns have changed."""
    if "retired_at" in changed:
        return "declared again"
    # What follows from another key is not told beside it.
    told = [name for name in changed if name not in ("rule", "active")]
    if "condition" in told and {"progress", "goal"} & set(told):
        told.remove("condition")
    if "active" in changed:
        told.insert(0, "active")
    told = told or list(changed)
    if "active" in changed and not definition.active:
        return ", ".join(["paused", f"{', '.join(told[1:])} changed"] if told[1:] else ["paused"])
    return f"{', '.join(told)} changed"
