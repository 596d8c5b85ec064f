"""Conditions evaluated by a command, under the settings of the generated functions. Takes a connection."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from badges import database
from badges.conf import badges_settings
from badges.definitions.types import Definition
from badges.facts.types import Target


@contextlib.contextmanager
def read_only(connection: BaseDatabaseWrapper, target: Target, timeout: int) -> Iterator[None]:
    """A block in which conditions change nothing, whatever they call, and end in time.

    :param timeout: milliseconds that each statement may take, 0 for any time; it waits for a lock no longer than
        BADGES_LOCK_TIMEOUT.
    """
    longest = badges_settings.BADGES_LOCK_TIMEOUT
    lock_timeout = min(timeout or longest, longest)
    with database.read_only(connection, timeout, lock_timeout, search_path=target.function_search_path, jit="off"):
        yield


@contextlib.contextmanager
def awarding(connection: BaseDatabaseWrapper, target: Target, definition: Definition, **settings: str) -> Iterator[Any]:
    """A transaction that may write, with its cursor, in which a badge's condition means what it does in the functions.

    :param settings: further settings that apply within it.
    """
    with (
        database.read_committed(connection),
        pinned(connection, target, definition, **settings),
        connection.cursor() as cursor,
    ):
        yield cursor


def pinned(
    connection: BaseDatabaseWrapper, target: Target, definition: Definition, **settings: str
) -> contextlib.AbstractContextManager[None]:
    """A block of a transaction in which a badge's condition means what it does in the generated functions.

    No model is read within it: Django takes times to be in the time zone of its connection.
    """
    pinned = {
        "search_path": target.function_search_path,
        **target.settings,
        "TimeZone": target.zone_of(definition),
    }
    return database.local_settings(connection, **pinned, **settings)


def message_of(failure: DatabaseError) -> str:
    """PostgreSQL's message."""
    diagnosis = getattr(failure.__cause__, "diag", None)
    return str(getattr(diagnosis, "message_primary", None) or failure)
