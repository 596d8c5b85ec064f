"""Counts: a condition or a progress that is one count of rows, in its parts. Pure.

The text is parted where PostgreSQL's own lexer would part it: what is counted is `*` or a name, so that nothing within
it can hide the end of the call. Whether `count` and the operator are PostgreSQL's own, and whether the query has
further clauses, the probe view decides.
"""

from __future__ import annotations

import re

from badges.facts.types import Count

_NAME = r'(?:"[^"]+"|\w+)'
_CALL = rf"count\s*\(\s*(?P<counted>\*|{_NAME}(?:\s*\.\s*{_NAME})*)\s*\)"
_COMPARED = r"\s*(?P<operator>>=|<=|<>|!=|=|>|<)\s*(?P<number>\d{1,9})"
_QUERY = rf"{_CALL}(?:\s+AS\s+{_NAME})?\s+(?P<rows>FROM\b.*)"

_FORMS = tuple(
    re.compile(rf"\s*{form}\s*", re.ASCII | re.IGNORECASE | re.DOTALL)
    for form in (
        rf"{_CALL}{_COMPARED}\s+(?P<rows>FROM\b.*)",
        rf"\(\s*SELECT\s+{_QUERY}\){_COMPARED}",
        rf"\(\s*SELECT\s+{_QUERY}\)",
        _QUERY,
    )
)


def parted(question: str) -> Count | None:
    """The parts of a question that looks like one count; None for others.

    The rows are a guess where the question is a query between parentheses: they must be valid behind a SELECT list.
    """
    for form in _FORMS:
        if found := form.fullmatch(question):
            parts = found.groupdict()
            number = parts.get("number")
            return Count(
                counted="" if parts["counted"] == "*" else parts["counted"],
                rows=parts["rows"].strip(" \t\n\r\f\v"),
                operator=parts.get("operator") or "",
                number=int(number) if number else 0,
            )
    return None


def as_query(count: Count) -> str:
    """The text behind SELECT that PostgreSQL must accept if the parts are right."""
    return f"count({count.counted or '*'}) {count.rows}"
