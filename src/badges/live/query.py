"""The query for the events that a client has not seen, for streams and for polling."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from psycopg import sql

from badges.database import from_json, template
from badges.live.position import Snapshot, StreamedEvent
from badges.models import BadgeDefinition, BadgeEvent

MOST_OF_ALL = 1000
"""How many events of all users a client is sent at most when it reconnects; of its own user, it is sent all."""


def query(seen: Snapshot | None, users: Collection[Any] | None, most: int | None = None) -> str:
    """The events since a snapshot, and the snapshot that shows them.

    :param seen: None asks for the snapshot alone.
    :param users: the keys of the users whose events they are; None means all users.
    :param most: how many of them at most, the newest ones.
    """
    if seen is None:
        return "SELECT pg_catalog.pg_current_snapshot()::text, NULL"
    whose = sql.SQL("true") if users is None else sql.SQL("e.user_id = ANY ({})").format(sql.Literal(list(users)))
    return (
        template("live/live_events.sql")
        .format(
            seen=sql.Literal(str(seen)),
            whose=whose,
            most=sql.Literal(most),
            events=sql.Identifier(BadgeEvent._meta.db_table),
            definitions=sql.Identifier(BadgeDefinition._meta.db_table),
        )
        .as_string()
    )


def read(rows: Iterable[tuple[Any, ...]]) -> tuple[Snapshot, list[StreamedEvent]]:
    """The snapshot and the events in the result of the query."""
    found = list(rows)
    snapshot = Snapshot.parse(found[0][0])
    if snapshot is None:
        raise ValueError(found[0][0])
    return snapshot, [
        StreamedEvent(key, transaction, at, user, code, thing, kind, from_json(definition) or {})
        for _, key, transaction, at, user, code, thing, kind, definition in (row for row in found if row[1] is not None)
    ]
