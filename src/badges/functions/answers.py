"""Whether each badge of a group is earned: conditions by themselves, and queries that several badges share. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from psycopg import sql

from badges.database import Template
from badges.functions import expressions
from badges.functions.subjects import Subjects
from badges.functions.types import Check

_UNLESS_DEFERRED = Template("""\
CASE WHEN (
    {codes}
    OPERATOR(pg_catalog.<@) {deferred}
) IS NOT TRUE THEN
    {value}
END""")


@dataclasses.dataclass(frozen=True, slots=True)
class SharedQuery:
    """One query for several badges: the levels of a progress, or what is counted over the same rows."""

    number: int
    checks: tuple[Check, ...]

    @property
    def name(self) -> sql.Identifier:
        return sql.Identifier(f"shared_{self.number}")

    @property
    def is_progress(self) -> bool:
        return bool(self.checks[0].definition.progress)


def shared_queries(checks: Sequence[Check]) -> tuple[SharedQuery, ...]:
    """The queries that some of the badges share."""
    found: dict[tuple[object, ...], list[Check]] = {}
    for check in checks:
        if check.shared:
            found.setdefault(check.shared, []).append(check)
    worthwhile = [alike for alike in found.values() if len(alike) > 1 or alike[0].definition.progress]
    return tuple(SharedQuery(number, tuple(alike)) for number, alike in enumerate(worthwhile, start=1))


def join(
    queries: Sequence[SharedQuery], subjects: Subjects, held: sql.Composable, deferred: sql.Composable | None
) -> sql.Composed:
    """Items of FROM with the results of these queries, each run only if the user lacks one of its badges.

    :param deferred: the badges that are not evaluated; None if there are none. Those of `held` contain them.
    """
    return sql.SQL("\n").join(
        Template("CROSS JOIN LATERAL (\n    SELECT {value} AS value\n    OFFSET 0\n) AS {name}").format(
            value=_if_wanted(query, _value(query, subjects, held), held, deferred), name=query.name
        )
        for query in queries
    )


def _if_wanted(
    query: SharedQuery, value: sql.Composed, held: sql.Composable, deferred: sql.Composable | None
) -> sql.Composed:
    if any(check.is_revocable for check in query.checks):
        if deferred is None:
            return value
        layout = (
            "CASE WHEN (\n    {codes}\n    OPERATOR(pg_catalog.<@) {deferred}\n) IS NOT TRUE THEN\n    {value}\nEND"
        )
        return Template(layout).format(codes=expressions.array_of_codes(query.checks), deferred=deferred, value=value)
    return Template("CASE WHEN NOT {codes} OPERATOR(pg_catalog.<@) {held} THEN\n    {value}\nEND").format(
        codes=expressions.array_of_codes(query.checks), held=held, value=value
    )


def _value(query: SharedQuery, subjects: Subjects, held: sql.Composable) -> sql.Composed:
    first = query.checks[0]
    if query.is_progress and first.is_state:
        return expressions.state_of_reached(query.checks, subjects.user, subjects.thing)
    if query.is_progress:
        return expressions.progress_of(query.checks, is_scoped=True)
    if first.is_state:
        return expressions.state_of_answers(query.checks, held, subjects.user, subjects.thing)
    return expressions.answers_of(query.checks, held, is_scoped=True)


def earned(
    check: Check, queries: Sequence[SharedQuery], subjects: Subjects, held: sql.Composable, *, is_scoped: bool
) -> sql.Composed:
    """Whether a badge is earned, as `if_lacked` says; the results of the shared queries are in scope."""
    query = next((each for each in queries if check in each.checks), None)
    answer: sql.Composed
    if query is None:
        answer = (
            expressions.state(check, subjects.user, subjects.thing)
            if check.is_state
            else expressions.condition_of(check, is_scoped)
        )
    elif query.is_progress:
        answer = sql.SQL("{}.value OPERATOR(pg_catalog.>=) {}").format(query.name, expressions.goal_of(check))
    else:
        place = query.checks.index(check) + 1
        answer = sql.SQL("{}.value[{}]").format(query.name, sql.Literal(place))
        if not check.is_revocable:
            return answer
    return expressions.if_lacked(check, answer, held)
