"""The progress of users towards badges that have a goal. Takes a connection."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import psycopg
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from badges.database import calling, fetch, trusted


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a user towards a badge: 37 of 50."""

    value: Decimal | None
    """The current value of the badge's `progress`; None if it is NULL, NaN or infinite, or fails."""
    goal: Decimal

    @property
    def share(self) -> float:
        """From 0 to 1; 1 from the goal on."""
        if self.value is None or self.value <= 0:
            return 0.0
        return 1.0 if self.value >= self.goal else float(self.value / self.goal)

    def __str__(self) -> str:
        return f"{_plain(self.value or Decimal(0))} of {_plain(self.goal)}"


def _plain(number: Decimal) -> str:
    """All of its digits, without zeros at the end; Decimal.normalize() would round."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def of(
    connection: BaseDatabaseWrapper, users: Sequence[Any], goals: Mapping[str, Decimal]
) -> dict[Any, dict[str, Progress]]:
    """The progress of users, by their keys, towards goals, by the codes of their badges, in one query.

    Badges whose progress cannot be computed from existing rows are left out.

    :raises OutOfDate: `create_badge_triggers` has not run yet.
    :raises InsufficientRights: the role may not execute the function `badges_progress`.
    """
    field = get_user_model()._meta.pk
    key_type = trusted(str(field.rel_db_type(connection)))
    query = psycopg.sql.SQL("SELECT user_id, code, value FROM badges_progress(%s::{}[])").format(key_type).as_string()
    with calling(connection), transaction.atomic(using=connection.alias):
        rows = fetch(connection, query, [[field.get_db_prep_value(user, connection) for user in users]])
    values = {
        # PostgreSQL's numbers may be NaN or infinite; those of JSON may not, and NaN cannot be compared.
        (field.to_python(key), code): value if value is not None and value.is_finite() else None
        for key, code, value in rows
    }
    return {
        user: {
            code: Progress(values[user, code], goal.normalize())
            for code, goal in goals.items()
            if (user, code) in values
        }
        for user in users
    }
