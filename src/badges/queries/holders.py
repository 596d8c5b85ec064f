"""Holders: how many users hold each badge. The one way to count them for pages, REST API, admin and `list_badges`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth import get_user_model
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, template, trusted
from badges.models import Badge


@dataclasses.dataclass(frozen=True, slots=True)
class HolderCount:
    """The holders of one badge now."""

    holders: int = 0
    badges: int = 0
    """What they hold; more than `holders` where there is one badge for each subject."""
    last_award: datetime | None = None
    """Of an expired badge, too."""
    users: int = 0

    @property
    def share(self) -> float:
        """The share of all users who hold it, from 0 to 1."""
        return min(self.holders / self.users, 1.0) if self.users else 0.0


def percent(share: float) -> float:
    """A share as it is shown wherever it is: to one decimal place, 0 only for no user and 100 only for all."""
    return 100 * share if share in (0, 1) else min(max(round(100 * share, 1), 0.1), 99.9)


def count(
    connection: BaseDatabaseWrapper, codes: Sequence[str], counted_users: float = math.inf
) -> dict[str, HolderCount]:
    """How many users hold each of the badges with these codes. One query, which reads all badges of these codes.

    :param counted_users: beyond this number of users, take PostgreSQL's estimate of it.
    """
    users = connection.ops.quote_name(get_user_model()._meta.db_table)
    query = template("queries/holders.sql").format(
        codes=sql.Literal(list(codes)),
        badges=sql.Identifier(Badge._meta.db_table),
        users=trusted(users),
        users_name=sql.Literal(users),
        counted_users=sql.Literal(counted_users),
    )
    return {code: HolderCount(*numbers) for code, *numbers in fetch(connection, query.as_string())}
