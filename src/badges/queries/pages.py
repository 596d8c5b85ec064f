"""Contents of the pages and template tags: each takes a fixed number of queries, however many rows there are.

Secret badges are left out for viewers who do not hold them, expired badges for all viewers.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.postgres.aggregates import ArrayAgg
from django.contrib.postgres.fields import ArrayField
from django.db.models import Count, F, Func, Max, Min, Q, TextField
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext
from psycopg import sql

from badges.database import template
from badges.models import Badge, BadgeDefinition, BadgeEvent
from badges.progress import Progress
from badges.queries import ranking
from badges.queries.held import newest_of_each, progress
from badges.queries.holders import percent, remembered_count
from badges.queries.visibility import key_of, visible

#: How many subjects of one badge are listed for a user; the others are only counted.
MOST_THINGS = 20
#: How many similar badges the page of a badge shows.
MOST_SIMILAR = 6
#: How many of the newest awards are of the same badge, as long as there are others.
MOST_OF_ONE = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A badge, with its holders and what one user holds of it."""

    definition: BadgeDefinition
    badges: Sequence[Badge] = ()
    """Those that the user holds, newest first: one, or one for each subject, at most `MOST_THINGS`."""
    count: int = 0
    """How many of them the user holds."""
    holders: int = 0
    share: float = 0.0
    """The share of all users who hold it, from 0 to 1."""
    progress: Progress | None = None

    @property
    def since(self) -> datetime.datetime | None:
        """When the newest was awarded."""
        return self.badges[0].awarded_at if self.badges else None

    @property
    def things(self) -> list[str]:
        return [badge.thing for badge in self.badges if badge.thing]

    @property
    def more_things(self) -> int:
        """How many subjects are not listed."""
        return self.count - len(self.badges)

    @property
    def percent_of_users(self) -> float:
        return percent(self.share)

    @property
    def percent(self) -> int:
        """The progress in whole percent, 100 only if the goal is reached."""
        return int(self.progress.share * 100) if self.progress else 0


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """A user who holds a badge."""

    user: Any
    since: datetime.datetime | None
    count: int
    things: Sequence[str]

    @property
    def more_things(self) -> int:
        return self.count - len(self.things)


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A place on the leaderboard. Users share it if they reached the same points at the same time."""

    rank: int
    user: Any
    points: int
    badges: int


@dataclasses.dataclass(frozen=True, slots=True)
class Leaderboard:
    """A part of the leaderboard."""

    places: list[Place]
    own: Place | None
    """The place of the viewer, wherever it is; None without points."""


def everything(viewer: Any) -> list[Entry]:
    """All badges that can be earned, with their holders and what the viewer holds. At most four queries."""
    return _counted(list(BadgeDefinition.objects.filter(visible(key_of(viewer)), retired_at=None)), viewer)


def one(definition: BadgeDefinition, viewer: Any) -> Entry:
    """One badge, with its holders, what the viewer holds, and the progress of the viewer if there is a goal.

    At most three queries, and those of the progress.
    """
    [entry] = _counted([definition], viewer)
    if entry.count or definition.goal is None or definition.retired_at or not definition.active:
        return entry
    found = progress(key_of(viewer), key_of(viewer), Q(pk=definition.code))
    return dataclasses.replace(entry, progress=found.get(definition.code))


def similar(definition: BadgeDefinition, viewer: Any) -> list[BadgeDefinition]:
    """Other badges of the same category, or for changes of the same table, those next to it first. One query."""
    is_similar = Q(trigger_table=definition.trigger_table)
    if definition.category:
        is_similar |= Q(category=definition.category)
    others = BadgeDefinition.objects.filter(is_similar, visible(key_of(viewer)), retired_at=None, active=True)

    def distance(other: BadgeDefinition) -> tuple[bool, int]:
        return other.category != definition.category, abs(other.position - definition.position)

    return sorted(others.exclude(pk=definition.pk), key=distance)[:MOST_SIMILAR]


def find(code: str, viewer: Any) -> BadgeDefinition | None:
    """The badge with this code; None if there is none that the viewer may see. One query."""
    return BadgeDefinition.objects.filter(visible(key_of(viewer)), code=code).first()


def held_by(user: Any, viewer: Any) -> list[Entry]:
    """The badges that a user holds and the viewer may see, in the order of the badges. One query."""
    return list(_held(user, viewer).values())


def on_the_way(user: Any, viewer: Any) -> list[Entry]:
    """The badges that a user lacks and can earn, with the progress if any; of levels the next. Three queries."""
    if key_of(user) is None:
        return []
    held = Badge.objects.filter(user=key_of(user)).values("code")
    lacking = BadgeDefinition.objects.filter(visible(key_of(viewer)), retired_at=None, active=True).exclude(pk__in=held)
    goals = progress(key_of(user), key_of(viewer))
    entries, seen = [], set()
    for definition in lacking:
        levels = (definition.progress, definition.trigger_table, definition.user_field, definition.position)
        if definition.goal is None or levels not in seen:
            entries.append(Entry(definition, progress=goals.get(definition.code)))
        seen.add(levels)
    return entries


def holders(definition: BadgeDefinition, start: int, stop: int) -> list[Holder]:
    """The holders of a badge from one position of the list to another, the latest first. At most two queries."""
    badges = Badge.objects.filter(definition=definition)
    if not definition.per:
        newest_first = badges.order_by(F("awarded_at").desc(nulls_last=True), "user")
        # The users are read later: a join would come before the LIMIT, for all holders.
        rows = newest_first.values_list("user", "awarded_at", "thing")[start:stop]
        users = _users(key for key, *_ in rows)
        return [Holder(users[key], since, 1, [thing] if thing else []) for key, since, thing in rows if key in users]
    newest_things = Func(
        ArrayAgg("thing", order_by=(F("awarded_at").desc(nulls_last=True), "thing")),
        template=f"(%(expressions)s)[1:{MOST_THINGS}]",
        output_field=ArrayField(TextField()),
    )
    by_user = (
        badges.order_by()
        .values("user")
        .annotate(since=Min("awarded_at"), latest=Max("awarded_at"), count=Count("pk"), things=newest_things)
    )
    found = list(by_user.order_by(F("latest").desc(nulls_last=True), "user")[start:stop])
    users = _users(row["user"] for row in found)
    return [
        Holder(users[row["user"]], row["since"], row["count"], [thing for thing in row["things"] if thing])
        for row in found
        if row["user"] in users
    ]


def leaderboard(start: int, stop: int, viewer: Any = None) -> Leaderboard:
    """Users by the points of all their badges, including secret ones, from one position to another.

    At most four queries. The order is remembered, see `remembered`; the points of the viewer are up to date.
    """
    places, own = ranking.part(start, stop, key_of(viewer))
    to_key = get_user_model()._meta.pk.to_python
    users = _users({to_key(place.key) for place in (*places, *filter(None, [own]))})

    def shown(place: ranking.Place) -> Place | None:
        user = users.get(to_key(place.key))
        return Place(place.rank, user, place.points, place.badges) if user else None

    return Leaderboard([found for place in places if (found := shown(place))], shown(own) if own else None)


def newest(count: int, viewer: Any) -> list[BadgeEvent]:
    """The newest awards of badges that are still held; no quiet ones, and not all of the same badge. One query."""
    query = template("queries/newest.sql").format(
        definitions=sql.Identifier(BadgeDefinition._meta.db_table),
        events=sql.Identifier(BadgeEvent._meta.db_table),
        badges=sql.Identifier(Badge._meta.db_table),
        viewer=sql.Literal(key_of(viewer)),
        most=sql.Literal(count),
        each=sql.Literal(MOST_OF_ONE),
        searched=sql.Literal(2 * count + 20),
    )
    awards = BadgeEvent.objects.filter(pk__in=RawSQL(query.as_string(), []))  # noqa: S611 - composed by psycopg
    return list(awards.select_related("user", "definition").order_by("-transaction", "-at"))


def by_category(entries: Iterable[Entry]) -> list[tuple[str, list[Entry]]]:
    """Entries by category, in the order of the first badge of each; badges without a category are last."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.definition.category, []).append(entry)
    without = groups.pop("", [])
    # A site may have translations of its categories.
    titled = [(gettext(category), group) for category, group in groups.items()]
    return [*titled, (gettext("Other badges") if titled else gettext("Badges"), without)] if without else titled


def _counted(definitions: Sequence[BadgeDefinition], viewer: Any) -> list[Entry]:
    """These badges with their holders and what the viewer holds of them. At most three queries."""
    counts = remembered_count([definition.code for definition in definitions])
    held = _held(viewer, viewer)
    return [
        dataclasses.replace(
            held.get(definition.code, Entry(definition)),
            holders=counts[definition.code].holders,
            share=counts[definition.code].share,
        )
        for definition in definitions
    ]


def _held(user: Any, viewer: Any) -> dict[str, Entry]:
    """The badges that a user holds, by code; for another viewer, only those that the viewer may see."""
    key = key_of(user)
    if key is None:
        return {}
    badges = Badge.objects.filter(user=key)
    if key_of(viewer) != key:
        badges = badges.filter(visible(key_of(viewer), "definition__"))
    order = ("definition__position", "definition__goal", "definition__code")
    found = newest_of_each(badges.select_related("definition"), MOST_THINGS, order)
    return {code: Entry(group[0].definition, group, group[0].times) for code, group in found.items()}


def _users(keys: Iterable[Any]) -> dict[Any, Any]:
    return get_user_model()._default_manager.in_bulk(list(keys))
