"""The order of all users by points, remembered until an event changes it; the places of a page, and a user's own rank.

It is kept in leaves of consecutive places, so that a page reads one or two of them, however many users there are.
"""

from __future__ import annotations

import bisect
import dataclasses
import uuid
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.core.cache import cache
from django.db import connections, router
from psycopg import sql

from badges.database import fetch, template
from badges.models import Badge, BadgeDefinition
from badges.queries import remembered

NAME = "ranking"
#: Places of a leaf, which take about 30 bytes each: memcached keeps at most a megabyte under one key.
LEAF = 10_000

Standing = tuple[int, float]
"""By which users are sorted: negative points, and the time of the last award that brought some."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Users share a rank if they reached the same points at the same time."""

    rank: int
    key: Any
    """Of the user, as PostgreSQL has it."""
    points: int
    badges: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Own:
    """What a user has now."""

    points: int
    badges: int
    reached: float

    @property
    def standing(self) -> Standing:
        return -self.points, self.reached


@dataclasses.dataclass(frozen=True, slots=True)
class _Leaf:
    first: int
    """The position of its first place, from 0."""
    first_rank: int
    """Which may be that of a place in an earlier leaf."""
    keys: Sequence[Any]
    points: array[int]
    badges: array[int]
    reached: array[float]

    def standing(self, index: int) -> Standing:
        return -self.points[index], self.reached[index]

    def rank(self, standing: Standing) -> int:
        """The rank of a standing that does not precede the leaf."""
        before = bisect.bisect_left(range(len(self.keys)), standing, key=self.standing)
        return self.first + before + 1 if before else self.first_rank

    def places(self, start: int, stop: int) -> Iterator[Place]:
        """Those from one position of all to another."""
        for index in range(max(start - self.first, 0), min(stop - self.first, len(self.keys))):
            yield Place(self.rank(self.standing(index)), self.keys[index], self.points[index], self.badges[index])


@dataclasses.dataclass(frozen=True, slots=True)
class _Ranking:
    name: str
    """Begins the cache keys of the leaves."""
    firsts: Sequence[Standing]
    """The standing of the first place of each leaf."""
    badges: int
    """The number of all badges."""

    def leaf_of(self, standing: Standing) -> int:
        """The leaf that a standing belongs to: the last one that begins before it, or else the first."""
        return max(bisect.bisect_left(self.firsts, standing) - 1, 0)

    def leaves(self, numbers: Iterable[int]) -> dict[int, _Leaf] | None:
        """These leaves, as far as there are so many; None if one is no longer remembered."""
        keys = {f"{self.name}.{number}": number for number in numbers if number < len(self.firsts)}
        found = cache.get_many(keys)
        return {keys[key]: leaf for key, leaf in found.items()} if len(found) == len(keys) else None


def part(start: int, stop: int, viewer: Any) -> tuple[list[Place], Place | None]:
    """The places from one position to another, and that of the user with this key, wherever it is; None without points.

    At most three queries. The points of the viewer are always up to date; the rank is the one that they give in the
    order that is remembered.
    """
    computed: list[Mapping[int, _Leaf]] = []

    def compute(codes: Sequence[str]) -> Mapping[str, _Ranking]:
        ranking, leaves = _compute()
        computed.append(leaves)
        return dict.fromkeys(codes, ranking)

    own = None if viewer is None else _own(viewer)
    ranking = remembered.by_code(NAME, [remembered.ANY], compute, lambda found: found[remembered.ANY].badges)[
        remembered.ANY
    ]
    shown = range(start // LEAF, -(-stop // LEAF))
    needed = {*shown, ranking.leaf_of(own.standing)} if own else {*shown}
    leaves = computed[0] if computed else ranking.leaves(needed)
    if leaves is None:
        remembered.forget(NAME)
        return part(start, stop, viewer)
    places = [place for number in shown if number in leaves for place in leaves[number].places(start, stop)]
    if not own:
        return places, None
    leaf = leaves.get(ranking.leaf_of(own.standing))
    return places, Place(leaf.rank(own.standing) if leaf else 1, viewer, own.points, own.badges)


def _compute() -> tuple[_Ranking, dict[int, _Leaf]]:
    """The ranking, and its leaves by their numbers, which are put into the cache unless there are few badges."""
    [columns] = _fetch("queries/ranking.sql")
    keys, points, badges, reached = (column or [] for column in columns)
    leaves: dict[int, _Leaf] = {}
    for first in range(0, len(keys), LEAF):
        rank = leaves[first // LEAF - 1].rank((-points[first], reached[first])) if first else 1
        some = slice(first, first + LEAF)
        leaves[first // LEAF] = _Leaf(
            first, rank, keys[some], array("q", points[some]), array("q", badges[some]), array("d", reached[some])
        )
    ranking = _Ranking(f"badges.ranking.{uuid.uuid4()}", [leaf.standing(0) for leaf in leaves.values()], sum(badges))
    if ranking.badges >= remembered.FEW_ROWS:
        named = {f"{ranking.name}.{number}": leaf for number, leaf in leaves.items()}
        cache.set_many(named, 3 * remembered.SECONDS)
    return ranking, leaves


def _own(viewer: Any) -> _Own | None:
    """What a user has now; None without points."""
    found = _fetch("queries/own_points.sql", viewer=sql.Literal(viewer))
    return _Own(*found[0]) if found else None


def _fetch(file: str, **values: sql.Composable) -> list[tuple[Any, ...]]:
    query = template(file).format(
        badges=sql.Identifier(Badge._meta.db_table),
        definitions=sql.Identifier(BadgeDefinition._meta.db_table),
        **values,
    )
    return fetch(connections[router.db_for_read(Badge)], query.as_string())
