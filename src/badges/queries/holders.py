"""Holders: how many users hold each badge. The one way to count them for pages, REST API, admin and `list_badges`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.contrib.auth import get_user_model
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, template, trusted
from badges.models import Badge
from badges.queries import remembered

#: Beside the codes of badges, the number of all users: no event changes it, so it is up to a minute old.
_USERS = "\0users"


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


def count(connection: BaseDatabaseWrapper, codes: Sequence[str], *, with_users: bool = True) -> dict[str, HolderCount]:
    """How many users hold each of the badges with these codes. One query, which reads all badges of these codes.

    :param with_users: whether all users are counted as well.
    """
    query = template("queries/holders.sql").format(
        codes=sql.Literal(list(codes)),
        badges=sql.Identifier(Badge._meta.db_table),
        users=trusted(connection.ops.quote_name(get_user_model()._meta.db_table)),
        with_users=sql.Literal(with_users),
    )
    return {code: HolderCount(*numbers) for code, *numbers in fetch(connection, query.as_string())}


def remembered_count(codes: Sequence[str], *, may_lag: bool = True) -> dict[str, HolderCount]:
    """The same, remembered as long as it is valid; see `remembered`. At most two queries.

    :param may_lag: whether the numbers may be older where badges are awarded all the time.
    """

    def compute(missing: Sequence[str]) -> Mapping[str, HolderCount]:
        connection = connections[router.db_for_read(Badge)]
        counts = count(connection, [code for code in missing if code != _USERS], with_users=_USERS in missing)
        if _USERS in missing:
            counts[_USERS] = HolderCount(users=max((each.users for each in counts.values()), default=0))
        return counts

    def rows(counts: Mapping[str, HolderCount]) -> int:
        return sum(each.badges for each in counts.values())

    found = remembered.by_code("holders", [*codes, _USERS], compute, rows, may_lag=may_lag)
    return {code: dataclasses.replace(found[code], users=found[_USERS].users) for code in codes}
