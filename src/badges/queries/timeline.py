"""How often a badge was awarded, day by day, or in longer steps where it is older."""

from __future__ import annotations

import dataclasses
import enum
from datetime import date, timedelta

from django.db.models import Count, DateField
from django.db.models.functions import Trunc
from django.utils import timezone

from badges.models import BadgeEvent


class Unit(enum.StrEnum):
    """How long a step is; the value is what PostgreSQL's date_trunc calls it."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclasses.dataclass(frozen=True, slots=True)
class Timeline:
    unit: Unit
    steps: tuple[tuple[date, int], ...]
    """The first day of each step, and the awards in it; steps without awards too, up to the one that is today in."""

    @property
    def awards(self) -> int:
        return sum(awards for _, awards in self.steps)


def of(code: str) -> Timeline:
    """The awards of a badge by its history, in the time zone that is active: two queries on the index of code and time.

    What version 0.1 awarded has no time, and is left out.
    """
    now = timezone.now()
    today = timezone.localdate(now) if timezone.is_aware(now) else now.date()
    awarded = BadgeEvent.objects.filter(definition=code, kind=BadgeEvent.Kind.AWARDED, at__isnull=False)
    first = awarded.order_by("at").annotate(day=Trunc("at", "day", output_field=DateField())).values_list("day")[:1]
    begin = next((day for (day,) in first), None)
    if begin is None:
        return Timeline(Unit.DAY, ())
    unit = unit_for((today - begin).days)
    counted = awarded.annotate(step=Trunc("at", unit.value, output_field=DateField())).values_list("step")
    counts = dict(counted.annotate(awards=Count("pk")).order_by("step"))
    last = max(today, *counts)
    steps, step = [], floor(begin, unit)
    while step <= last:
        steps.append((step, counts.get(step, 0)))
        step = following(step, unit)
    return Timeline(unit, tuple(steps))


def unit_for(days: int) -> Unit:
    """The step that cuts so many days into at most about sixty."""
    if days <= 45:
        return Unit.DAY
    if days <= 366:
        return Unit.WEEK
    return Unit.MONTH if days <= 5 * 366 else Unit.YEAR


def floor(day: date, unit: Unit) -> date:
    """The first day of the step that a day is in; a week begins on Monday, as PostgreSQL's does."""
    match unit:
        case Unit.DAY:
            return day
        case Unit.WEEK:
            return day - timedelta(days=day.weekday())
        case Unit.MONTH:
            return day.replace(day=1)
        case Unit.YEAR:
            return day.replace(month=1, day=1)


def following(day: date, unit: Unit) -> date:
    """The first day of the step after the one that begins on this day."""
    length = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 31, Unit.YEAR: 366}[unit]
    return floor(day + timedelta(days=length), unit)
