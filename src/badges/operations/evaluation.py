"""Conditions evaluated by a command, under the settings of the generated functions. Takes a connection."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from badges import database
from badges.conf import badges_settings
from badges.facts.types import Target


@contextlib.contextmanager
def read_only(connection: BaseDatabaseWrapper, target: Target, timeout: int) -> Iterator[None]:
    """A block in which conditions change nothing, whatever they call, and end in time.

    :param timeout: milliseconds that each statement may take; it waits for a lock no longer than BADGES_LOCK_TIMEOUT.
    """
    lock_timeout = min(timeout, badges_settings.BADGES_LOCK_TIMEOUT)
    with database.read_only(connection, timeout, lock_timeout, search_path=target.function_search_path, jit="off"):
        yield


@contextlib.contextmanager
def awarding(connection: BaseDatabaseWrapper, target: Target) -> Iterator[Any]:
    """A transaction that may write, with its cursor."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL search_path = {target.function_search_path}")
        yield cursor


def message_of(failure: DatabaseError) -> str:
    """PostgreSQL's message."""
    diagnosis = getattr(failure.__cause__, "diag", None)
    return str(getattr(diagnosis, "message_primary", None) or failure)
