"""Badges that users hold, newest first, and the progress of one user towards the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from badges import exceptions
from badges.models import Badge
from badges.progress import Progress
from badges.queries.visibility import visible


def newest_of_each(badges: QuerySet[Badge], most: int, order: Sequence[str] = ()) -> dict[str, list[Any]]:
    """By code, at most `most` of the badges, the newest first; `times` of each is the number of all with its code.

    :param order: the order of the codes. One query.
    """
    newest_first = F("awarded_at").desc(nulls_last=True)
    numbered = badges.annotate(
        times=Window(Count("pk"), partition_by="code"),
        number=Window(RowNumber(), partition_by="code", order_by=(newest_first, F("thing").asc())),
    ).filter(number__lte=most)
    found: dict[str, list[Any]] = {}
    for badge in numbered.defer("evidence").order_by(*order, "number"):
        found.setdefault(badge.code, []).append(badge)
    return found


def progress(key: Any, viewer: Any, only: Q | None = None) -> dict[str, Progress]:
    """The progress of a user towards the badges that a viewer sees, by code; both are keys.

    :param only: a condition on the definitions.
    Empty without a user, and before `create_badge_triggers` ran.
    """
    if key is None:
        return {}
    try:
        return Badge.objects.progress_of([key], visible(viewer) & (only or Q()))[key]
    except exceptions.OutOfDate:
        return {}
