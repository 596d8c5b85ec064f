"""A client's position in the event stream. Transaction ids do not follow commit order; snapshots do. Pure.

A transaction that began earlier may commit later, so neither ids nor times say what a client has missed. A snapshot
says of each transaction whether it had ended. A client that was sent all events of one snapshot has seen exactly the
events whose transaction is visible in it (`pg_visible_in_snapshot`), and is sent the others. The snapshots of one
server are ordered: each shows everything that an earlier one shows.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

_SNAPSHOT = r"(\d{1,19}):(\d{1,19}):((?:\d{1,19}(?:,\d{1,19})*)?)"
_ID = re.compile(rf"(?P<seen>{_SNAPSHOT})(?:;(?P<batch>{_SNAPSHOT});(?P<at>\d{{1,17}});(?P<key>[0-9a-f-]{{36}}))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The result of pg_current_snapshot(): which transactions had ended."""

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Snapshot | None:
        """The snapshot, or None if PostgreSQL would reject the text."""
        if not (match := re.fullmatch(_SNAPSHOT, text, re.ASCII)):
            return None
        xmin, xmax = int(match[1]), int(match[2])
        running = [int(number) for number in match[3].split(",")] if match[3] else []
        is_sound = 0 < xmin <= xmax < 2**63 and all(xmin <= each < xmax for each in running)
        return cls(xmin, xmax, frozenset(running)) if is_sound else None

    def shows(self, transaction: int) -> bool:
        return transaction < self.xmax and transaction not in self.running

    def is_after(self, other: Snapshot) -> bool:
        """Whether it was taken later, and shows more."""
        return self.xmax > other.xmax or (self.xmax == other.xmax and self.running < other.running)

    def is_beyond(self, other: Snapshot) -> bool:
        """Whether it shows transactions that had not begun at the time of the other one."""
        return self.xmax > other.xmax

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, sorted(self.running)))}"


@dataclasses.dataclass(frozen=True, slots=True)
class StreamedEvent:
    """An event of the history as streams need it."""

    id: Any
    transaction: int
    at: datetime
    user: Any
    code: str
    thing: str
    kind: str
    definition: dict[str, Any]
    """Fields of the row of `BadgeDefinition`; empty if there is none."""

    @property
    def place(self) -> tuple[datetime, str]:
        return self.at, str(self.id)


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """Events that a client has seen: all in `seen`, and of those that only `batch` shows, the ones up to `place`.

    Its text is the id of an event in a stream.
    """

    seen: Snapshot
    batch: Snapshot | None = None
    place: tuple[datetime, str] | None = None

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """The position, or None if the text is no id of a stream."""
        if len(text) > _LONGEST or not (match := _ID.fullmatch(text)):
            return None
        seen = Snapshot.parse(match["seen"])
        if seen is None:
            return None
        if match["batch"] is None:
            return cls(seen)
        if (batch := Snapshot.parse(match["batch"])) is None:
            return None
        return cls(seen, batch, (_EPOCH + timedelta(microseconds=int(match["at"])), match["key"]))

    def is_beyond(self, snapshot: Snapshot) -> bool:
        """Whether it is not one of this server before `snapshot`: the database was restored from a backup since."""
        return self.seen.is_beyond(snapshot) or (self.batch is not None and self.batch.is_beyond(snapshot))

    def has_seen(self, event: StreamedEvent) -> bool:
        if self.seen.shows(event.transaction):
            return True
        if self.batch is None or self.place is None:
            return False
        return self.batch.shows(event.transaction) and event.place <= self.place

    def onward(self, snapshot: Snapshot, events: Iterable[StreamedEvent]) -> Iterator[tuple[Position, StreamedEvent]]:
        """Each of the events that has not been seen yet, with the position after it.

        :param events: all that `snapshot` shows and `seen` does not, in order; further events do no harm.
        """
        unseen = [event for event in events if not self.has_seen(event)]
        base = self.seen
        if self.batch:
            # The rest of the batch is first, so that a place belongs to one batch only.
            unseen.sort(key=lambda event: not (self.batch and self.batch.shows(event.transaction)))
            base = self.batch
        for number, event in enumerate(unseen, 1):
            if number == len(unseen):
                yield Position(snapshot), event
            elif self.batch and self.batch.shows(event.transaction):
                yield Position(self.seen, self.batch, event.place), event
            else:
                yield Position(base, snapshot, event.place), event

    def __str__(self) -> str:
        if self.batch is None or self.place is None:
            return str(self.seen)
        at, key = self.place
        return f"{self.seen};{self.batch};{(at - _EPOCH) // timedelta(microseconds=1)};{key}"
