"""Settles pending checks; defers and resumes badges, which have writes leave them. Takes a connection."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, qualified, read_committed
from badges.facts.target import describe_target

SETTLE_BATCH = 100
"""Pending checks that are settled in one transaction; their users are locked until it ends."""


def settle(connection: BaseDatabaseWrapper) -> tuple[int, int]:
    """Settle the pending checks that other transactions left, in batches that commit.

    :returns: how many are settled, and how many have to wait because a transaction that is still open keeps them, or
        because their condition failed.
    """
    target = describe_target(connection)
    function = qualified(target.schema, "badges_settle")
    total = 0
    buckets = sql.SQL("SELECT DISTINCT bucket FROM {} ORDER BY bucket").format(target.pending.identifier)
    # First the checks of users whose key has changed move to their new keys, and to other buckets.
    with read_committed(connection):
        fetch(connection, sql.SQL("SELECT {}(NULL, 0)").format(function).as_string())
    # Bucket by bucket, so that checks which have to wait do not stand before others.
    for (bucket,) in fetch(connection, buckets.as_string()):
        query = sql.SQL("SELECT settled, kept FROM {}(ARRAY[{}], {})").format(
            function, sql.Literal(bucket), sql.Literal(SETTLE_BATCH)
        )
        settled = 1
        # A call ends early after a condition that is slow, so that its users are not locked for longer.
        while settled:
            with read_committed(connection):
                [(settled, _)] = fetch(connection, query.as_string())
            total += settled
    remaining = sql.SQL("SELECT count(*) FROM {}").format(target.pending.identifier)
    return total, int(fetch(connection, remaining.as_string())[0][0])


def defer(connection: BaseDatabaseWrapper, code: str) -> None:
    """Have no write evaluate a badge, until it is resumed."""
    _call(connection, "badges_defer", code)


def resume(connection: BaseDatabaseWrapper, code: str) -> bool:
    """Have writes evaluate a badge again.

    :returns: whether it was deferred.
    """
    return bool(_call(connection, "badges_resume", code))


def _call(connection: BaseDatabaseWrapper, name: str, code: str) -> Any:
    function = qualified(describe_target(connection).schema, name)
    with read_committed(connection):
        [(result,)] = fetch(connection, sql.SQL("SELECT {}({})").format(function, sql.Literal(code)).as_string())
    return result
