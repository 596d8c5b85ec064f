"""What the surroundings of the badges do to them: child tables that are not watched, limits that cost writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from badges.database import fetch_file
from badges.facts.types import AnalysedDefinition
from badges.installation.types import Finding


def temp_file_limits(connection: BaseDatabaseWrapper) -> tuple[tuple[str | None, str], ...]:
    """Where temp_file_limit is set: the role, None for any, and the limit as it is written there."""
    return tuple((role, limit) for role, limit in fetch_file(connection, "installation/temp_file_limits.sql"))


def find(
    analysed: Sequence[AnalysedDefinition], temp_file_limits: Sequence[tuple[str | None, str]]
) -> Iterator[Finding]:
    """What keeps changes from being checked, and what makes writes fail.

    :param temp_file_limits: as the function of that name gives them.
    """
    children: dict[str, list[str]] = {}
    for each in analysed:
        for child in each.children if each.definition.active else ():
            children.setdefault(child, []).append(each.definition.code)
    for child, codes in children.items():
        yield Finding(
            f"{child} inherits from a watched table, and a write straight to it checks nothing ({', '.join(codes)}).",
            "Write to the parent, name the child in triggers, or run award_badges on a schedule.",
            id="badges.W011",
        )
    for role, limit in temp_file_limits if analysed else ():
        whose = "" if role is None else f' for the role "{role}"'
        yield Finding(
            f"temp_file_limit is {limit}{whose}: a statement fails if the rows that it changes in a watched table need "
            "more, as its trigger keeps them in a temporary file.",
            "Set it to -1 for large loads, or disable the triggers for the load and run award_badges.",
            id="badges.W012",
        )
