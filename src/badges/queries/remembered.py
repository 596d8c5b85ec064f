"""Results that are remembered in Django's cache until an event changes them: counts that read all badges of a code.

A result is exact as long as badges are awarded and revoked rarely. Where they are all the time, it is computed again
only after a pause of ten times as long as that takes; until then, all processes use the former result. Changes that
leave no event, such as a user who is deleted or a badge that expires, show after a minute.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from django.core.cache import cache
from django.db import connections, router
from psycopg import sql

import badges
from badges.database import fetch, template
from badges.models import Badge, BadgeDefinition, BadgeEvent

T = TypeVar("T")

SECONDS = 60
#: The pause after a computation, as a multiple of the time that it takes.
PAUSE = 10
#: What is computed from fewer badges or events than this takes a few milliseconds, and is not remembered.
FEW_ROWS = 1000
#: Stands for all badges: an event of any of them changes its value.
ANY = ""


@dataclasses.dataclass(frozen=True, slots=True)
class _Results(Generic[T]):
    values: Mapping[str, T]
    """By the code of the badge."""
    snapshot: str
    """It shows all events that the values depend on."""
    identity: str
    """Of the tables and the definitions."""
    made: float
    """When the oldest of the values was computed."""
    took: float
    """How many seconds the last computation took."""


@dataclasses.dataclass(frozen=True, slots=True)
class _State:
    """The database now, compared with a snapshot."""

    snapshot: str | None
    """None in a transaction that has written."""
    identity: str
    changed: Sequence[str] | None
    """The codes of later events; None if the snapshot is not of this database."""


def by_code(
    name: str,
    codes: Sequence[str],
    compute: Callable[[Sequence[str]], Mapping[str, T]],
    rows: Callable[[Mapping[str, T]], int],
    *,
    may_lag: bool = True,
) -> Mapping[str, T]:
    """A value for each of the codes, and maybe for others; what is not remembered, or has changed, is computed.

    One query, and those of the computation. In a transaction that has written, nothing is remembered.

    :param name: identifies what is computed.
    :param compute: the values of some of the codes.
    :param rows: how many badges or events all the values are computed from.
    :param may_lag: whether former values are good enough during the pause.
    """
    alias, key = router.db_for_read(Badge), _key(name)
    results: _Results[T] | None = cache.get(key)
    state = _state(alias, results.snapshot if results else "")
    if state.snapshot is None:
        return compute(codes)
    now = time.time()
    if results and (state.changed is None or state.identity != results.identity or results.made > now):
        results = None
    former, made = (results.values, results.made) if results else ({}, now)
    valid = {code: value for code, value in former.items() if code not in (state.changed or ())}
    if state.changed:
        valid.pop(ANY, None)
    if now - made >= SECONDS:
        valid, made = {}, now
    missing = [code for code in codes if code not in valid]
    if not missing:
        return valid
    # Of all processes, the one that adds the key computes.
    if (
        results
        and may_lag
        and former.keys() >= set(codes)
        and not cache.add(f"{key}.pause", 1, min(PAUSE * results.took, SECONDS))
    ):
        return former
    values = {**valid, **compute(missing)}
    if rows(values) >= FEW_ROWS:
        took = time.time() - now
        cache.set(key, _Results(values, state.snapshot, state.identity, made, took), 2 * SECONDS)
    return values


def forget(name: str) -> None:
    """Compute everything again the next time."""
    cache.delete(_key(name))


def _key(name: str) -> str:
    """The cache key; names may have characters that memcached rejects."""
    parts = badges.__version__, router.db_for_read(Badge), name
    return f"badges.{hashlib.sha256(repr(parts).encode()).hexdigest()}"


def _state(alias: str, snapshot: str) -> _State:
    """Compare the database with an earlier snapshot, if there is one. One query."""
    connection = connections[alias]
    _, xmax, xip = snapshot.split(":") if snapshot else ("", "0", "")
    query = template("queries/changed.sql").format(
        badges_name=sql.Literal(connection.ops.quote_name(Badge._meta.db_table)),
        definitions=sql.Identifier(BadgeDefinition._meta.db_table),
        events=sql.Identifier(BadgeEvent._meta.db_table),
        is_compared=sql.Literal(bool(snapshot)),
        xmax=sql.Literal(int(xmax)),
        xip=sql.Literal([int(each) for each in xip.split(",") if each]),
    )
    [found] = fetch(connection, query.as_string())
    return _State(*found)
