"""The hub: one database session for all live streams of a process. It listens, and passes events to the streams."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import enum
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import psycopg

from badges.conf import badges_settings, direct
from badges.database import is_pooled, own_session
from badges.live import query
from badges.live.position import Snapshot, StreamedEvent

logger = logging.getLogger("badges")

QUIET_POLL = 15.0
"""Seconds between two queries where NOTIFY wakes the hub: they only detect a lost session."""

_MOST_BATCHES = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 15.0
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Hub]] = WeakKeyDictionary()


class TooMany(enum.Enum):
    """Why there can be no further stream."""

    OF_USER = enum.auto()
    OF_PROCESS = enum.auto()


class Stream:
    """Outgoing buffer of one SSE client."""

    def __init__(self, user: Any, *, sees_all: bool) -> None:
        self.user = user
        self.sees_all = sees_all
        self.batches: collections.deque[tuple[Snapshot, list[StreamedEvent]]] = collections.deque()
        self.is_ended = False
        self._changed = asyncio.Event()

    def put(self, snapshot: Snapshot, events: list[StreamedEvent]) -> None:
        self.batches.append((snapshot, events))
        if len(self.batches) > _MOST_BATCHES:
            self.is_ended = True  # backpressure: a client that is too slow reconnects for the rest
        self._changed.set()

    def end(self) -> None:
        self.is_ended = True
        self._changed.set()

    async def wait(self, seconds: float) -> None:
        """Wait for a batch or the end of the stream, at most this long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()


class Hub:
    """The session, and the streams that it serves. It is open as long as there are streams."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.seen: Snapshot | None = None
        """The last snapshot whose events the streams have."""
        self._streams: set[Stream] = set()
        self._session: psycopg.AsyncConnection[Any] | None = None
        self._ready = asyncio.Event()
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._handlers: dict[int, tuple[Any, Any]] = {}

    @classmethod
    def too_many(cls, user: Any) -> TooMany | None:
        """Why this user cannot have a further stream in this process; None if there is room for it."""
        users = [stream.user for hubs in _hubs.values() for hub in hubs.values() for stream in hub._streams]
        if len(users) >= badges_settings.BADGES_LIVE_STREAMS:
            return TooMany.OF_PROCESS
        return TooMany.OF_USER if users.count(user) >= badges_settings.BADGES_LIVE_STREAMS_OF_USER else None

    @classmethod
    @contextlib.contextmanager
    def stream(cls, alias: str, user: Any, *, sees_all: bool = False) -> Iterator[tuple[Hub, Stream]]:
        """A stream of the hub of this process, which starts with the first stream and stops with the last."""
        hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
        hub = hubs.setdefault(alias, cls(alias))
        stream = Stream(user, sees_all=sees_all)
        hub._streams.add(stream)
        if hub._task is None:
            hub._task = asyncio.get_running_loop().create_task(hub._run())
            hub._handle_signals()
        try:
            yield hub, stream
        finally:
            hub._streams.discard(stream)
            if not hub._streams:
                hubs.pop(alias, None)
                hub._task.cancel()
                hub._restore_signals()

    def end(self) -> None:
        """End all streams, as the server stops; the clients reconnect to the next one."""
        for stream in self._streams:
            stream.end()
        self._ready.set()  # streams that wait for a lost database stop waiting

    async def unseen(
        self, seen: Snapshot | None, user: Any, *, sees_all: bool = False
    ) -> tuple[Snapshot, list[StreamedEvent]]:
        """The events that one client has not seen yet; its stream brings later ones.

        :raises psycopg.Error: the session is lost.
        """
        await self._ready.wait()
        users = None if sees_all else [user]
        # A client that disconnects meanwhile must not cancel a query on the shared session.
        return await asyncio.shield(
            asyncio.ensure_future(self._ask(seen, users, query.MOST_OF_ALL if sees_all else None))
        )

    async def _ask(self, seen: Snapshot | None, users: list[Any] | None, most: int | None) -> Any:
        async with self._lock:
            if self._session is None:
                raise psycopg.OperationalError("the session is lost")
            cursor = await self._session.execute(query.query(seen, users, most).encode())
            return query.read(await cursor.fetchall())

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._listening() as session:
                    pause = _FIRST_PAUSE
                    while True:
                        self._wake.clear()
                        await self._hand_out()
                        await self._wait(session)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                logger.warning("The live streams have lost their session: %s Trying again in %.1f s.", error, pause)
            except Exception:
                logger.exception("The live streams fail. Trying again in %.1f s.", pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    @contextlib.asynccontextmanager
    async def _listening(self) -> Any:
        params, first = own_session(direct(self.alias))
        params.setdefault("application_name", "badges_live")
        if is_shared := await asyncio.to_thread(is_pooled, params):
            logger.warning(
                "The live streams poll every %s s, as a pooler in transaction mode supports no LISTEN: name a direct "
                "connection in BADGES_DIRECT.",
                badges_settings.BADGES_POLL,
            )
        async with await _connect(params) as session:
            if first:
                await session.execute(first.encode())
            session.add_notify_handler(lambda _: self._wake.set())
            if not is_shared:
                await session.execute("LISTEN badges")
            self._notifies = not is_shared and await _notifies(session)
            self._session = session
            self._ready.set()
            try:
                yield session
            finally:
                self._ready.clear()
                self._session = None

    async def _hand_out(self) -> None:
        users = None if any(each.sees_all for each in self._streams) else list({each.user for each in self._streams})
        snapshot, events = await self._ask(self.seen, users, None)
        if self.seen and self.seen.is_beyond(snapshot):
            # The database was restored. The positions of open streams are beyond all that it will write for long: the
            # clients reconnect, and begin anew.
            for stream in self._streams:
                stream.end()
            events = []
        by_user: dict[Any, list[StreamedEvent]] = collections.defaultdict(list)
        for event in events:
            by_user[event.user].append(event)
        for stream in self._streams:
            if mine := events if stream.sees_all else by_user.get(stream.user):
                stream.put(snapshot, mine)
        self.seen = snapshot

    async def _wait(self, session: psycopg.AsyncConnection[Any]) -> None:
        loop = asyncio.get_running_loop()
        # A duplicate, as psycopg removes the reader of its own file descriptor after each query.
        ear = os.dup(session.fileno())
        try:
            loop.add_reader(ear, self._wake.set)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(QUIET_POLL if self._notifies else badges_settings.BADGES_POLL):
                    await self._wake.wait()
        finally:
            loop.remove_reader(ear)
            os.close(ear)

    def _handle_signals(self) -> None:
        """End streams on SIGTERM and SIGINT: ASGI servers wait for open responses, and do not notify them."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if not callable(before):
                continue

            def handle(number: int, frame: Any, before: Any = before) -> None:
                loop.call_soon_threadsafe(self.end)
                before(number, frame)

            signal.signal(number, handle)
            self._handlers[number] = (handle, before)

    def _restore_signals(self) -> None:
        for number, (ours, before) in self._handlers.items():
            if signal.getsignal(number) is ours:
                signal.signal(number, before)
        self._handlers.clear()


async def _connect(params: dict[str, Any]) -> psycopg.AsyncConnection[Any]:
    """A new session; none stays open if the last stream ends meanwhile."""
    connecting = asyncio.ensure_future(psycopg.AsyncConnection.connect(**params))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        # psycopg would leave it to the garbage collector, which a server without requests does not run.
        with contextlib.suppress(psycopg.Error):
            await (await connecting).close()
        raise


async def _notifies(session: psycopg.AsyncConnection[Any]) -> bool:
    if (setting := badges_settings.BADGES_NOTIFY) is not None:
        return setting
    row = await (await session.execute("SELECT current_setting('max_prepared_transactions') = '0'")).fetchone()
    return bool(row and row[0])
