"""Awards over time: how often a badge was awarded by day, week, month or year, as bars that a template draws."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone

from badges.models import BadgeEvent
from badges.queries import remembered

BAR = 10
"""The width of a bar and of the gap beside it; heights are percent of the scale. All coordinates are whole numbers
below 1,000, which no language writes with a separator."""

FEWEST_BARS = 7

MOST_LABELLED = 8
"""Bars that each show their number; of more, only the highest one does."""

LEFT, TOP, HEIGHT = 10, 24, 134
"""Where the bars are in the picture: from the left in percent of its width, from the top and in height in pixels."""


class Unit(enum.StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


AXIS_FORMATS = {Unit.MONTH: "M Y"}
"""Shorter ones below the bars, so that three of them fit on a small screen."""

FORMATS = {
    Unit.DAY: "SHORT_DATE_FORMAT",
    Unit.WEEK: "SHORT_DATE_FORMAT",
    Unit.MONTH: "YEAR_MONTH_FORMAT",
    Unit.YEAR: "Y",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """The awards from the day `start` on, until the next bar starts."""

    start: date
    awards: int
    x: int
    height: int

    @property
    def y(self) -> int:
        return 100 - self.height

    @property
    def label_y(self) -> int:
        """The base line of the number above the bar, in pixels of the picture."""
        return TOP + HEIGHT * self.y // 100 - 4


@dataclasses.dataclass(frozen=True, slots=True)
class Timeline:
    """Consecutive bars, from the first award or before it until today."""

    unit: Unit
    bars: tuple[Bar, ...]
    scale: int
    """The number at the upper end of the scale; its half is whole, too."""

    @property
    def awards(self) -> int:
        return sum(bar.awards for bar in self.bars)

    @property
    def filled(self) -> tuple[Bar, ...]:
        return tuple(bar for bar in self.bars if bar.awards)

    @property
    def first(self) -> Bar:
        return self.bars[0]

    @property
    def last(self) -> Bar:
        return self.bars[-1]

    @property
    def peak(self) -> Bar:
        return max(self.bars, key=lambda bar: bar.awards)

    @property
    def width(self) -> int:
        return BAR * len(self.bars)

    @property
    def labelled(self) -> tuple[tuple[Bar, int], ...]:
        """The bars that show their number, with the middle of each in percent of the width of the picture."""
        shown = self.filled if len(self.bars) <= MOST_LABELLED else (self.peak,)
        return tuple((bar, self._middle(bar)) for bar in shown)

    @property
    def middle(self) -> Bar:
        """The bar in the middle of the time."""
        return self.bars[len(self.bars) // 2]

    @property
    def middle_x(self) -> int:
        return self._middle(self.middle)

    def _middle(self, bar: Bar) -> int:
        return LEFT + round((100 - LEFT) * (bar.x + BAR // 2 - 1) / self.width)

    @property
    def axis_format(self) -> str:
        return AXIS_FORMATS.get(self.unit, self.date_format)

    @property
    def half_scale(self) -> int:
        return self.scale // 2

    @property
    def date_format(self) -> str:
        """The name of Django's format for the first day of a bar."""
        return FORMATS[self.unit]


def of(code: str) -> Timeline | None:
    """The awards of a badge by its history, in the active time zone; None if it was never awarded. At most two queries.

    Awards of version 0.1 have no time, and are left out. The awards are remembered, see `remembered`.
    """
    now = timezone.now()
    today = timezone.localdate(now) if timezone.is_aware(now) else now.date()

    def compute(codes: Sequence[str]) -> Mapping[str, Mapping[date, int]]:
        awarded = BadgeEvent.objects.filter(definition=code, kind=BadgeEvent.Kind.AWARDED, at__isnull=False)
        by_day = awarded.annotate(day=TruncDate("at")).order_by().values_list("day").annotate(awards=Count("pk"))
        return {code: dict(by_day)}

    def rows(found: Mapping[str, Mapping[date, int]]) -> int:
        return sum(found[code].values())

    name = f"awards of {code} in {timezone.get_current_timezone_name()}"
    return drawn(remembered.by_code(name, [code], compute, rows)[code], today)


def drawn(awards: Mapping[date, int], today: date) -> Timeline | None:
    """The timeline of awards by day; None if there are none."""
    if not awards:
        return None
    last = max(today, *awards)
    unit = unit_for((last - min(awards)).days)
    counts = dict.fromkeys(sorted(_starts(min(awards), last, unit)), 0)
    for day, count in awards.items():
        counts[floor(day, unit)] += count
    scale = scale_for(max(counts.values()))
    bars = (
        # At least 2 percent, so that a bar with awards is visible.
        Bar(start, count, BAR * place + 1, max(round(100 * count / scale), 2) if count else 0)
        for place, (start, count) in enumerate(counts.items())
    )
    return Timeline(unit, tuple(bars), scale)


def unit_for(days: int) -> Unit:
    """The unit that cuts this number of days into at most about sixty bars."""
    if days <= 45:
        return Unit.DAY
    if days <= 366:
        return Unit.WEEK
    return Unit.MONTH if days <= 5 * 366 else Unit.YEAR


def floor(day: date, unit: Unit) -> date:
    """The first day of the unit that contains a day; a week begins on Monday (ISO 8601)."""
    match unit:
        case Unit.DAY:
            return day
        case Unit.WEEK:
            return day - timedelta(days=day.weekday())
        case Unit.MONTH:
            return day.replace(day=1)
        case Unit.YEAR:
            return day.replace(month=1, day=1)


def scale_for(highest: int) -> int:
    """The number at the upper end of the scale: 2, 4, 10, 20, 40, 100, ..."""
    scale = 2
    while scale < highest:
        scale = scale * 2 if str(scale)[0] in "12" else scale * 10 // 4
    return scale


def _starts(first: date, last: date, unit: Unit) -> Iterator[date]:
    """The first days of all bars, the last one first; some are before the first award if it is recent."""
    start, number = floor(last, unit), 0
    while start >= floor(first, unit) or number < FEWEST_BARS:
        yield start
        start, number = floor(start - timedelta(days=1), unit), number + 1
