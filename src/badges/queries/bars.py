"""The chart of awards over time: numbers by day to bars, which a template draws as SVG."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Mapping

HEIGHT = 100
STEP = 10
MOST_DAYS = 45
MOST_MONTHS = 48
FEWEST_BARS = 7
#: How Django is to write the first day of a bar.
FORMATS = {"day": "SHORT_DATE_FORMAT", "month": "YEAR_MONTH_FORMAT", "year": "Y"}


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """The awards from `start` on, until the next bar; its place in the drawing, whole numbers below 1000."""

    start: datetime.date
    count: int
    x: int
    y: int
    height: int


@dataclasses.dataclass(frozen=True, slots=True)
class Chart:
    """Bars from the first award until today."""

    bars: tuple[Bar, ...]
    unit: str
    """`day`, `month` or `year`."""

    @property
    def width(self) -> int:
        return STEP * len(self.bars)

    @property
    def height(self) -> int:
        return HEIGHT

    @property
    def format(self) -> str:
        return FORMATS[self.unit]

    @property
    def total(self) -> int:
        return sum(bar.count for bar in self.bars)

    @property
    def first(self) -> Bar:
        return self.bars[0]

    @property
    def last(self) -> Bar:
        return self.bars[-1]

    @property
    def filled(self) -> tuple[Bar, ...]:
        """The bars that are not empty."""
        return tuple(bar for bar in self.bars if bar.count)


def of(days: Mapping[datetime.date, int], today: datetime.date) -> Chart | None:
    """The chart of how many badges were awarded on which days; None if there were none."""
    if not days:
        return None
    first, last = min(days), max(today, *days)
    unit = _unit(first, last)
    counts: dict[datetime.date, int] = dict.fromkeys(_starts(first, last, unit), 0)
    for day, count in days.items():
        counts[_start(day, unit)] += count
    highest = max(counts.values())
    bars = []
    for number, (start, count) in enumerate(sorted(counts.items())):
        # What is not empty is seen.
        height = max(round(HEIGHT * count / highest), 2) if count else 0
        bars.append(Bar(start, count, STEP * number, HEIGHT - height, height))
    return Chart(tuple(bars), unit)


def _unit(first: datetime.date, last: datetime.date) -> str:
    if (last - first).days < MOST_DAYS:
        return "day"
    return "month" if (last.year - first.year) * 12 + last.month - first.month < MOST_MONTHS else "year"


def _start(day: datetime.date, unit: str) -> datetime.date:
    if unit == "day":
        return day
    return day.replace(day=1) if unit == "month" else day.replace(month=1, day=1)


def _starts(first: datetime.date, last: datetime.date, unit: str) -> Iterator[datetime.date]:
    """The first days of all bars, the last one first; a few before the first award, if there are few."""
    start, number = _start(last, unit), 0
    while start >= _start(first, unit) or number < FEWEST_BARS:
        yield start
        start, number = _start(start - datetime.timedelta(days=1), unit), number + 1
