"""One session with the database for all live streams of a process: it listens, and hands each stream its events."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import psycopg

from badges.conf import badges_settings
from badges.database import own_session
from badges.live import query
from badges.live.position import Snapshot, StreamedEvent

logger = logging.getLogger("badges")

QUIET_POLL = 15.0
"""Seconds between two looks where NOTIFY wakes: they only find out whether the session is still there."""

_MOST_BATCHES = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 15.0
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Hub]] = WeakKeyDictionary()


class Stream:
    """What is on its way to one client."""

    def __init__(self, user: Any, *, sees_all: bool) -> None:
        self.user = user
        self.sees_all = sees_all
        self.batches: collections.deque[tuple[Snapshot, list[StreamedEvent]]] = collections.deque()
        self.is_ended = False
        self._changed = asyncio.Event()

    def put(self, snapshot: Snapshot, events: list[StreamedEvent]) -> None:
        self.batches.append((snapshot, events))
        if len(self.batches) > _MOST_BATCHES:
            self.is_ended = True  # whoever does not keep up comes back for the rest
        self._changed.set()

    def end(self) -> None:
        self.is_ended = True
        self._changed.set()

    async def wait(self, seconds: float) -> None:
        """Until there is something to do, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()


class Hub:
    """The session, and the streams that it serves. It is there as long as there are streams."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.seen: Snapshot | None = None
        """What has been handed out."""
        self._streams: set[Stream] = set()
        self._session: psycopg.AsyncConnection[Any] | None = None
        self._ready = asyncio.Event()
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._handlers: dict[int, tuple[Any, Any]] = {}

    @classmethod
    @contextlib.contextmanager
    def stream(cls, alias: str, user: Any, *, sees_all: bool = False) -> Iterator[tuple[Hub, Stream]]:
        """A stream of the hub of this process, which is started for the first and stopped after the last."""
        hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
        hub = hubs.setdefault(alias, cls(alias))
        stream = Stream(user, sees_all=sees_all)
        hub._streams.add(stream)
        if hub._task is None:
            hub._task = asyncio.get_running_loop().create_task(hub._run())
            hub._follow_the_server()
        try:
            yield hub, stream
        finally:
            hub._streams.discard(stream)
            if not hub._streams:
                hubs.pop(alias, None)
                hub._task.cancel()
                hub._leave_the_server()

    def end(self) -> None:
        """End all streams, as the server stops; the clients come back to the next."""
        for stream in self._streams:
            stream.end()
        self._ready.set()  # who waits for a database that is gone waits no longer

    async def look(
        self, seen: Snapshot | None, user: Any, *, sees_all: bool = False
    ) -> tuple[Snapshot, list[StreamedEvent]]:
        """What one client has not seen; for that which it sees later, it has its stream.

        :raises psycopg.Error: the session is lost.
        """
        await self._ready.wait()
        users = None if sees_all else [user]
        # A client that goes meanwhile must not take the query of the others along.
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
        params, first = own_session(self.alias)
        params.setdefault("application_name", "badges_live")
        async with await psycopg.AsyncConnection.connect(**params) as session:
            if first:
                await session.execute(first.encode())
            session.add_notify_handler(lambda _: self._wake.set())
            await session.execute("LISTEN badges")
            self._notifies = await _notifies(session)
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
        by_user: dict[Any, list[StreamedEvent]] = collections.defaultdict(list)
        for event in events:
            by_user[event.user].append(event)
        for stream in self._streams:
            if mine := events if stream.sees_all else by_user.get(stream.user):
                stream.put(snapshot, mine)
        self.seen = snapshot

    async def _wait(self, session: psycopg.AsyncConnection[Any]) -> None:
        loop = asyncio.get_running_loop()
        # A number of its own, as psycopg watches the other one during queries, and forgets it then.
        ear = os.dup(session.fileno())
        try:
            loop.add_reader(ear, self._wake.set)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(QUIET_POLL if self._notifies else badges_settings.BADGES_POLL):
                    await self._wake.wait()
        finally:
            loop.remove_reader(ear)
            os.close(ear)

    def _follow_the_server(self) -> None:
        """Servers wait for open responses before they stop, and tell nobody that they do."""
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

    def _leave_the_server(self) -> None:
        for number, (ours, before) in self._handlers.items():
            if signal.getsignal(number) is ours:
                signal.signal(number, before)
        self._handlers.clear()


async def _notifies(session: psycopg.AsyncConnection[Any]) -> bool:
    if (setting := badges_settings.BADGES_NOTIFY) is not None:
        return setting
    row = await (await session.execute("SELECT current_setting('max_prepared_transactions') = '0'")).fetchone()
    return bool(row and row[0])
