"""Work on many items beside other transactions: all at once, or else in ever smaller parts. Takes a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import psycopg
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

Item = TypeVar("Item")

LOCK_TIMEOUT = "500ms"
"""How long such work waits for a lock: less than deadlock_timeout, so that no other transaction is a victim of it."""

IN_VAIN = 20
"""Parts that wait for a lock in vain; after so many, what is left is not tried."""


def is_passing(error: DatabaseError) -> bool:
    """Whether another transaction is the reason, so that the same may succeed a moment later."""
    return is_deleted(error) or isinstance(
        error.__cause__,
        psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure,
    )


def is_deleted(error: DatabaseError) -> bool:
    """Whether a user was deleted meanwhile."""
    cause = error.__cause__
    return (
        isinstance(cause, psycopg.errors.ForeignKeyViolation) and cause.diag.constraint_name != "badges_badge_code_fk"
    )


def each(
    connection: BaseDatabaseWrapper, items: Sequence[Item], work: Callable[[Sequence[Item]], None]
) -> Iterator[Sequence[Item]]:
    """Do `work` for all items that other transactions do not prevent, each part in a savepoint of its own.

    A part that another transaction prevents is divided, down to single items. An item whose user was deleted is done.

    :returns: the items that remain, as they are kept by a lock.
    """
    left = [items] if items else []
    in_vain = 0
    while left:
        part = left.pop()
        if in_vain >= IN_VAIN:
            yield part
            continue
        try:
            with transaction.atomic(using=connection.alias):
                work(part)
        except DatabaseError as error:
            if not is_passing(error):
                raise
            in_vain += not is_deleted(error)
            if len(part) > 1:
                middle = len(part) // 2
                left += [part[middle:], part[:middle]]
            elif not is_deleted(error):
                yield part
