"""Cache validation: ETags that encode the database snapshot that a response was computed from (304 Not Modified).

An ETag holds the time, the snapshot, and a digest of everything else that decides the response. It is valid as long as
the digest is the same, the snapshot shows all awards and revocations, and it is younger than a minute: changes without
an event, such as a user who is renamed or deleted, show then. The time of the newest event would be no validator, as a
transaction may write an event long before it commits. Validation costs one query, which reads the events of that
minute at most.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
from collections.abc import Sequence
from typing import Any

from django.db import connections, router
from django.utils.http import parse_etags
from psycopg import sql

import badges
from badges.database import fetch, template
from badges.models import Badge, BadgeDefinition, BadgeEvent

SECONDS = 60
#: A header must stay small, however many transactions are open.
MAX_LENGTH = 2000
ETAG = re.compile(
    r'W/"(?P<made>\d{1,12})\.(?P<xmin>\d{1,18}):(?P<xmax>\d{1,18}):(?P<xip>[\d,]*)\.(?P<digest>[0-9a-f]{32})"'
)


@dataclasses.dataclass(frozen=True, slots=True)
class Concern:
    """The events that a response depends on: those of these users, of this badge, or all."""

    users: Sequence[Any] | None = None
    code: str | None = None

    def composed(self, connection: Any) -> sql.Composable:
        """A condition on the events, whose alias is `e`."""
        if self.users is not None:
            keys = [_literal(user, connection) for user in self.users]
            return sql.SQL("e.user_id IN ({})").format(sql.SQL(", ").join(keys))
        if self.code is not None:
            return sql.SQL("e.code = {}").format(sql.Literal(self.code))
        return sql.SQL("true")


@dataclasses.dataclass(frozen=True, slots=True)
class Viewer:
    """The user who sees a response; the key is None for an anonymous one."""

    key: Any

    def hidden(self, connection: Any) -> sql.Composable:
        """A condition on definitions, whose alias is `d`: secret, and not held by the viewer. See `visibility.py`."""
        held = sql.SQL(
            "SELECT FROM {badges} AS b WHERE b.user_id = {key} AND b.code = d.code AND "
            "(b.expires_at IS NULL OR b.expires_at > statement_timestamp())"
        ).format(badges=sql.Identifier(Badge._meta.db_table), key=self.literal(connection))
        return sql.SQL("d.secret AND NOT EXISTS ({})").format(held)

    def literal(self, connection: Any) -> sql.Composable:
        return sql.NULL if self.key is None else _literal(self.key, connection)


@dataclasses.dataclass(frozen=True, slots=True)
class Freshness:
    """The ETag of a response, empty if it can have none; and whether the client has that response."""

    etag: str
    is_fresh: bool


def validate(concern: Concern, viewer: Viewer, parts: Sequence[object], if_none_match: str) -> Freshness:
    """Compare the ETag that the client has with the database; to be called before the response is read from it.

    :param concern: the events that the response depends on.
    :param viewer: leaves out the secret badges that this user does not see.
    :param parts: everything else that it depends on, except definitions: URL, caller, language and so on.
    :param if_none_match: the header that the client sent, or an empty text.
    """
    now = int(time.time())
    earlier = next(filter(None, map(ETAG.fullmatch, parse_etags(if_none_match))), None)
    if earlier and not 0 <= now - int(earlier["made"]) < SECONDS:
        earlier = None
    connection = connections[router.db_for_read(Badge)]
    query = template("api/state.sql").format(
        definitions=sql.Identifier(BadgeDefinition._meta.db_table),
        events=sql.Identifier(BadgeEvent._meta.db_table),
        # Without an earlier ETag there is nothing to find.
        xmax=sql.Literal(int(earlier["xmax"]) if earlier else 2**63 - 1),
        xip=sql.Literal([int(each) for each in earlier["xip"].split(",") if each] if earlier else []),
        concerned=concern.composed(connection),
        hidden=viewer.hidden(connection),
        viewer=viewer.literal(connection),
    )
    [(snapshot, definitions, has_changed)] = fetch(connection, query.as_string())
    decides = repr((badges.__version__, definitions, *parts))
    digest = hashlib.sha256(decides.encode()).hexdigest()[:32]
    if earlier and snapshot and earlier["digest"] == digest and not has_changed:
        return Freshness(earlier[0], is_fresh=True)
    etag = f'W/"{now}.{snapshot}.{digest}"' if snapshot else ""
    return Freshness(etag if len(etag) <= MAX_LENGTH else "", is_fresh=False)


def _literal(user: Any, connection: Any) -> sql.Composable:
    """The key of a user, as the database compares it."""
    return sql.Literal(BadgeEvent._meta.get_field("user").target_field.get_db_prep_value(user, connection))
