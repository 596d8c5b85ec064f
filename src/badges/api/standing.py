"""How badges stand: who holds them, and how far the caller has come; a few queries for any number of badges."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connections, router
from django.db.models import Count, F, Window
from django.db.models.functions import RowNumber
from psycopg import sql

from badges import exceptions
from badges.api import freshness
from badges.database import fetch, template, trusted
from badges.models import Badge, BadgeDefinition, BadgeEvent
from badges.progress import Progress

#: How many of the things that a badge is held for are told; the number of all is told beside them.
THINGS = 100
#: As many awards are recent at most; further back, one asks for a user or a badge.
RECENT = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Towards:
    """How far the caller has come; no value where the database gives none that is a number."""

    value: Decimal | None
    goal: Decimal
    share: float


@dataclasses.dataclass(frozen=True, slots=True)
class Own:
    """What a badge is to the caller."""

    awards: Sequence[Badge]
    times: int
    progress: Towards | None

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
    """A badge, how many hold it, and what it is to the caller, if somebody is logged in."""

    definition: BadgeDefinition
    holders: int
    users: int
    mine: Own | None

    @property
    def active(self) -> bool:
        return self.definition.active and self.definition.retired_at is None

    @property
    def share(self) -> float:
        """From 0 to 1. The number of users may be an estimate."""
        return min(round(self.holders / self.users, 4), 1.0) if self.users else 0.0


def of(definitions: Sequence[BadgeDefinition], key: Any, progress: Mapping[str, Towards]) -> list[Standing]:
    """How these badges stand, for the user with this key, of whom the progress is known."""
    codes = [definition.code for definition in definitions]
    numbers = _numbers(codes)
    awards = _awards(codes, key)
    standings = []
    for definition in definitions:
        holders, users = numbers[definition.code]
        mine = None
        if key is not None:
            held = awards.get(definition.code, [])
            times = held[0].times if held else 0  # type: ignore[attr-defined]
            mine = Own(held, times, progress.get(definition.code))
        standings.append(Standing(definition, holders, users, mine))
    return standings


def progress(key: Any) -> dict[str, Towards]:
    """How far the user with this key has come, by the codes of the badges that have a goal."""
    if key is None:
        return {}
    try:
        found = Badge.objects.progress(key)
    except exceptions.NotInLine:
        return {}
    return {code: _towards(each) for code, each in found.items()}


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


def _towards(each: Progress) -> Towards:
    # PostgreSQL's numbers may be NaN or infinite, JSON's may not.
    if each.value is not None and not each.value.is_finite():
        return Towards(None, each.goal, 0.0)
    return Towards(each.value, each.goal, round(each.share, 4))


def _numbers(codes: Sequence[str]) -> dict[str, tuple[int, int]]:
    """How many hold each badge, and how many users there are; counted again only if a badge has come or gone."""
    asked = repr((router.db_for_read(Badge), codes))
    key = f"badges.api.holders.{hashlib.sha256(asked.encode()).hexdigest()}"
    etag, numbers = cache.get(key, ("", {}))
    found = freshness.look(freshness.Concern(), codes, etag)
    if not found.is_fresh:
        numbers = _count(codes)
        if found.etag:
            cache.set(key, (found.etag, numbers), freshness.SECONDS)
    return dict(numbers)


def _count(codes: Sequence[str]) -> dict[str, tuple[int, int]]:
    connection = connections[router.db_for_read(Badge)]
    users = connection.ops.quote_name(get_user_model()._meta.db_table)
    query = template("api/holders.sql").format(
        codes=sql.Literal(list(codes)),
        users=trusted(users),
        users_name=sql.Literal(users),
        badges=sql.Identifier(Badge._meta.db_table),
    )
    rows = fetch(connection, query.as_string())
    return {code: (holders, number) for code, holders, number in rows}


def _awards(codes: Sequence[str], key: Any) -> dict[str, list[Badge]]:
    if key is None:
        return {}
    newest_first = F("awarded_at").desc(nulls_last=True)
    badges = (
        Badge.objects.filter(user=key, code__in=codes)
        .annotate(
            times=Window(Count("id"), partition_by="code"),
            place=Window(RowNumber(), partition_by="code", order_by=[newest_first, F("thing").asc()]),
        )
        .filter(place__lte=THINGS)
        .order_by("place")
    )
    awards: dict[str, list[Badge]] = {}
    for badge in badges:
        awards.setdefault(badge.code, []).append(badge)
    return awards
