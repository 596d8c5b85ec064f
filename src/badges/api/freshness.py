"""Whether what a client has is still so: an ETag that knows what its answer could see.

An ETag holds the time, the snapshot of the database, and a digest of all else that decides the answer. It is good as
long as the digest is the same, no badge has come or gone that the snapshot did not see, and it is younger than a
minute: what leaves no event, such as a user who is renamed or deleted, is seen then. A time in it, such as that of the
newest event, would not do: a transaction may write early and commit late. Looking costs one query, bounded by what was
written within that minute.
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
    """The events that an answer depends on: those of these users, of this badge, or all."""

    users: Sequence[Any] | None = None
    code: str | None = None

    def composed(self, connection: Any) -> sql.Composable:
        """A condition on the events, which are called `e`."""
        if self.users is not None:
            field = BadgeEvent._meta.get_field("user").target_field
            keys = [field.get_db_prep_value(user, connection) for user in self.users]
            return sql.SQL("e.user_id IN ({})").format(sql.SQL(", ").join(map(sql.Literal, keys)))
        if self.code is not None:
            return sql.SQL("e.code = {}").format(sql.Literal(self.code))
        return sql.SQL("true")


@dataclasses.dataclass(frozen=True, slots=True)
class Freshness:
    """The ETag of the answer, empty if it can have none; and whether the client has that answer."""

    etag: str
    is_fresh: bool


def look(concern: Concern, parts: Sequence[object], if_none_match: str) -> Freshness:
    """What the client has against what is so now; to be called before the answer is read from the database.

    :param concern: the events that the answer depends on.
    :param parts: what else it depends on, definitions aside: the address, the caller, the language and so on.
    :param if_none_match: the header that the client has sent, or nothing.
    """
    now = int(time.time())
    earlier = next(filter(None, map(ETAG.fullmatch, parse_etags(if_none_match))), None)
    if earlier and not 0 <= now - int(earlier["made"]) < SECONDS:
        earlier = None
    connection = connections[router.db_for_read(Badge)]
    query = template("api/state.sql").format(
        definitions=sql.Identifier(BadgeDefinition._meta.db_table),
        events=sql.Identifier(BadgeEvent._meta.db_table),
        # Without an earlier one there is nothing to look for.
        xmax=sql.Literal(int(earlier["xmax"]) if earlier else 2**63 - 1),
        xip=sql.Literal([int(each) for each in earlier["xip"].split(",") if each] if earlier else []),
        concerned=concern.composed(connection),
    )
    [(snapshot, definitions, has_changed)] = fetch(connection, query.as_string())
    decides = repr((badges.__version__, definitions, *parts))
    digest = hashlib.sha256(decides.encode()).hexdigest()[:32]
    if earlier and snapshot and earlier["digest"] == digest and not has_changed:
        return Freshness(earlier[0], is_fresh=True)
    etag = f'W/"{now}.{snapshot}.{digest}"' if snapshot else ""
    return Freshness(etag if len(etag) <= MAX_LENGTH else "", is_fresh=False)
