"""The listener of `listen_badges`: waits for events and pending checks, and processes them. Takes an alias.

Several listeners share the work. A listener holds an advisory lock of a user while it sends the events of that user, in
a session of its own: the lock ends with the session, however that ends, and no transaction is open while receivers run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import select
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connections

from badges import exceptions
from badges.conf import badges_settings, direct
from badges.database import backend, fetch, is_pooled, own_session
from badges.models import Delivery, PendingCheck
from badges.operations.settle import settle
from badges.signals import dispatch

logger = logging.getLogger("badges")

CHANNEL = "badges"

LOCK_CLASS = 0x62616468
"""First key of the advisory locks of listeners ("badh"); the second is 0, shared by all that run, or a user's."""

OVERDUE = 60
"""Seconds after which `health` regards a due event as overdue."""

PATIENCE = 10
"""Seconds in which an overdue event must change, or the queue is stuck."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_BATCH = 100


@dataclasses.dataclass(slots=True)
class Tally:
    """Counts of one run."""

    sent: int = 0
    failed: int = 0
    """Attempts in which a receiver raised."""
    settled: int = 0
    is_unsettled: bool = False
    """Settling has failed."""


class Listener:
    """One listener on one database. `stop` may be called from a signal handler: the current event is finished first."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.tally = Tally()
        self.is_stopped = False
        self._woken = False
        self._backend = 0
        """The process of the session, which holds its locks."""
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._stop_writer.setblocking(False)

    def close(self) -> None:
        self._stop_reader.close()
        self._stop_writer.close()

    def stop(self, *_: Any) -> None:
        self.is_stopped = True
        with contextlib.suppress(BlockingIOError):
            self._stop_writer.send(b"!")

    def run(self) -> None:
        """Process until `stop`; after a lost connection, connect again."""
        pause = _FIRST_PAUSE
        while not self.is_stopped:
            try:
                with self._session() as session:
                    pause = _FIRST_PAUSE
                    while not self.is_stopped:
                        self._woken = False
                        self._process(session)
                        self._wait(session)
            except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError) as error:
                logger.warning("The connection is lost: %s Connecting again in %.1f s.", str(error).strip(), pause)
                connections[self.alias].close()
                select.select([self._stop_reader], [], [], pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def run_once(self) -> None:
        """Process the queue once."""
        with self._session() as session:
            self._process(session)

    @contextlib.contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Any]]:
        alias = direct(self.alias)
        params, first = own_session(alias)
        params.setdefault("application_name", "listen_badges")
        if is_pooled(params):
            raise _pooled(alias)
        with psycopg.connect(**params) as session:
            if first:
                session.execute(first)
            session.add_notify_handler(self._wake)
            self._backend = backend(session)
            session.execute("SELECT pg_advisory_lock_shared(%s, 0)", [LOCK_CLASS])
            session.execute(f"LISTEN {CHANNEL}")
            yield session

    def _wake(self, _: psycopg.Notify) -> None:
        self._woken = True

    def _wait(self, session: psycopg.Connection[Any]) -> None:
        if not (self._woken or self.is_stopped):
            select.select([session.fileno(), self._stop_reader.fileno()], [], [], badges_settings.BADGES_POLL)
        # Receives notifications, and raises if the session is lost.
        if backend(session) != self._backend:
            raise _pooled(direct(self.alias))

    def _process(self, session: psycopg.Connection[Any]) -> None:
        close_old_connections()
        self._settle()
        while not self.is_stopped and self._send(session):
            pass

    def _settle(self) -> None:
        try:
            if PendingCheck.objects.using(self.alias).exists():
                self.tally.settled += settle(connections[self.alias])[0]
        except (OperationalError, InterfaceError):
            raise
        except DatabaseError as error:
            # Signals are sent nevertheless.
            self.tally.is_unsettled = True
            logger.error("The pending checks cannot be settled: %s", str(error).strip())  # noqa: TRY400

    def _send(self, session: psycopg.Connection[Any]) -> bool:
        """Send the due events of a batch of users; returns whether any was processed."""
        has_processed = False
        users = list(dispatch.due(self.alias).values_list("user", flat=True)[:_BATCH])
        for user in users:
            with self._lock(session, user) as is_locked:
                for was_sent in dispatch.process(user, self.alias) if is_locked else ():
                    has_processed = True
                    self.tally.sent += was_sent is True
                    self.tally.failed += was_sent is False
                    if self.is_stopped:
                        return has_processed
            if self.is_stopped:
                break
        return has_processed

    @contextlib.contextmanager
    def _lock(self, session: psycopg.Connection[Any], user: Any) -> Iterator[bool]:
        # Users who share a number wait for each other, which is harmless; 0 is the number of all listeners.
        key = zlib.crc32(str(user).encode()) % 0x7FFFFFFF + 1
        found = session.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, key]).fetchone()
        is_locked = bool(found and found[0])
        try:
            yield is_locked
        finally:
            if is_locked and not session.broken:
                session.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, key])


def _pooled(alias: str) -> exceptions.Pooled:
    return exceptions.Pooled(
        f'The database "{alias}" is reached through a pooler in transaction mode, where the locks of a listener would '
        "stay behind with other clients. Add a direct connection to DATABASES and name it in the settings: "
        f'BADGES_DIRECT = {{"{alias}": "direct"}}; see docs/settings.md.'
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """The state of the queue."""

    listeners: int
    """Connected listeners."""
    waiting: int
    parked: int
    is_stuck: bool
    """An event has been due for longer than OVERDUE, and within PATIENCE it has not changed."""

    @property
    def is_healthy(self) -> bool:
        return self.listeners > 0 and not self.is_stuck

    def __str__(self) -> str:
        stuck = f", none sent in {PATIENCE} s though due for more than {OVERDUE} s" if self.is_stuck else ""
        return f"listeners: {self.listeners}; waiting: {self.waiting}{stuck}; parked: {self.parked}"


def health(alias: str) -> Health:
    """Whether a listener is connected, and overdue events are being processed."""
    [(listeners,)] = fetch(
        connections[alias],
        """
        SELECT count(*) FROM pg_locks
        WHERE locktype = 'advisory' AND classid = %s AND objid = 0 AND objsubid = 2 AND mode = 'ShareLock' AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """,
        [LOCK_CLASS],
    )
    deadline = time.monotonic() + PATIENCE
    first = current = _overdue(alias)
    while current and current == first and time.monotonic() < deadline:
        time.sleep(0.2)
        current = _overdue(alias)
    return Health(
        listeners=listeners,
        waiting=Delivery.objects.using(alias).filter(parked_at=None).count(),
        parked=dispatch.parked(alias).count(),
        is_stuck=bool(first) and current == first,
    )


def _overdue(alias: str) -> set[Any]:
    return set(dispatch.due(alias, since=OVERDUE).values_list("event", "attempts")[:_BATCH])
