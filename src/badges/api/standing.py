"""Badges as the API lists them, with holders and the caller's own; a few queries for any number of badges."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections, router
from psycopg import sql

from badges.database import fetch, template
from badges.models import Badge, BadgeDefinition, BadgeEvent
from badges.progress import Progress
from badges.queries import held, holders
from badges.queries.holders import HolderCount

#: How many subjects of one badge are listed at most; the number of all is beside them.
THINGS = 100
#: How many awards are listed as recent at most; earlier ones are listed by user or by badge.
RECENT = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Own:
    """The badge as the caller holds it, and the progress."""

    awards: Sequence[Badge]
    times: int
    progress: Progress | None

    @property
    def held(self) -> bool:
        return bool(self.awards)

    @property
    def since(self) -> datetime.datetime | None:
        """Since when, or when the newest of several was awarded."""
        return self.awards[0].awarded_at if self.awards else None

    @property
    def expires_at(self) -> datetime.datetime | None:
        return self.awards[0].expires_at if self.awards else None

    @property
    def things(self) -> list[Badge]:
        return [award for award in self.awards if award.thing]


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """A badge, how many users hold it, and what it is to the caller; None for an anonymous one."""

    definition: BadgeDefinition
    count: HolderCount
    mine: Own | None

    @property
    def active(self) -> bool:
        return self.definition.active and self.definition.retired_at is None


def of(definitions: Sequence[BadgeDefinition], key: Any, progress: Mapping[str, Progress]) -> list[Standing]:
    """These badges for the user with this key, whose progress is given."""
    codes = [definition.code for definition in definitions]
    # The ETag of the response says that it is up to date.
    counts = holders.remembered_count(codes, may_lag=False)
    badges = Badge.objects.filter(user=key, code__in=codes)
    awards = {} if key is None else held.newest_of_each(badges, THINGS)
    standings = []
    for definition in definitions:
        mine = None
        if key is not None:
            own = awards.get(definition.code, [])
            mine = Own(own, own[0].times if own else 0, progress.get(definition.code))
        standings.append(Standing(definition, counts[definition.code], mine))
    return standings


def newest_awards(codes: Sequence[str], since: datetime.datetime | None) -> list[Any]:
    """The keys of the newest badges with one of these codes, at most `RECENT`; awarded `since` then, or at any time."""
    query = template("api/recent_awards.sql").format(
        codes=sql.Literal(list(codes)),
        events=sql.Identifier(BadgeEvent._meta.db_table),
        badges=sql.Identifier(Badge._meta.db_table),
        since=sql.SQL("{}::timestamptz").format(sql.Literal(since or "-infinity")),
        limit=sql.Literal(RECENT),
    )
    return [key for (key,) in fetch(connections[router.db_for_read(Badge)], query.as_string())]
