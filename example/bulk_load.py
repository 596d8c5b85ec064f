"""Loads users and sketches by COPY, without Django, as a nightly import or another service would."""

from __future__ import annotations

import dataclasses
import datetime
import random
import time
from collections.abc import Callable, Iterator

import psycopg

COPIES = 20
"""Transactions that load the sketches: users with equal points differ by when they reached them."""

ROWS_PER_WRITE = 2_000
THREE_YEARS = 3 * 365 * 24 * 3600


@dataclasses.dataclass(frozen=True)
class Size:
    """How much to load. Row n gets the id n, so that an interrupted load can continue where it stopped."""

    users: int
    sketches: int


@dataclasses.dataclass(frozen=True)
class Progress:
    """The number of rows loaded so far, and the time that it took."""

    rows: int
    seconds: float


class ForeignDataError(RuntimeError):
    """The database contains users that are not the demo's."""


def load_users(connection: psycopg.Connection, size: Size) -> Progress | None:
    """Load the users in one transaction; None if they exist already."""
    present = connection.execute("SELECT username FROM auth_user WHERE id IN (1, %s)", [size.users]).fetchall()
    if {(username(1),), (username(size.users),)} == set(present):
        return None
    if connection.execute("SELECT EXISTS (SELECT FROM auth_user)").fetchone() == (True,):
        raise ForeignDataError
    columns = "id, username, first_name, last_name, email, password, is_staff, is_active, is_superuser, date_joined"
    copy = f"COPY auth_user ({columns}) FROM STDIN"
    return copy_rows(connection, "auth_user", copy, user_lines(size), size.users)


def load_sketches(connection: psycopg.Connection, size: Size, report: Callable[[Progress], None]) -> Progress | None:
    """Load the missing sketches, a part with each COPY; None if all of them exist already."""
    row = connection.execute("SELECT coalesce(max(id), 0) FROM dummy_sketch WHERE id <= %s", [size.sketches]).fetchone()
    loaded = first = row[0] if row else 0
    started = time.monotonic()
    while loaded < size.sketches:
        last = min(loaded + size.sketches // COPIES, size.sketches)
        copy = "COPY dummy_sketch (id, user_id, title, hit_views) FROM STDIN"
        copy_rows(connection, "dummy_sketch", copy, sketch_lines(size, loaded + 1, last), last)
        loaded = last
        report(Progress(loaded, time.monotonic() - started))
    return Progress(loaded - first, time.monotonic() - started) if loaded > first else None


def copy_rows(connection: psycopg.Connection, table: str, statement: str, lines: Iterator[str], last: int) -> Progress:
    """Send all lines with one COPY in one transaction."""
    started = time.monotonic()
    rows = 0
    with connection.transaction(), connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            waiting: list[str] = []
            for line in lines:
                waiting.append(line)
                rows += 1
                if len(waiting) == ROWS_PER_WRITE:
                    copy.write("".join(waiting))
                    waiting.clear()
            copy.write("".join(waiting))
        cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, last])
    return Progress(rows, time.monotonic() - started)


def user_lines(size: Size) -> Iterator[str]:
    """Users who joined within the last three years and cannot log in."""
    chance = random.Random(1)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    for number in range(1, size.users + 1):
        joined = now - datetime.timedelta(seconds=chance.randrange(THREE_YEARS))
        name = username(number)
        yield f"{number}\t{name}\t\t\t{name}@example.com\t!\tf\tt\tf\t{joined.isoformat()}\n"


def sketch_lines(size: Size, first: int, last: int) -> Iterator[str]:
    """Sketches, most of them by a few busy users; the same ones at every start."""
    chance = random.Random(first)
    for number in range(first, last + 1):
        user = 1 + int(size.users * chance.random() ** 3)
        yield f"{number}\t{user}\t№ {number}\t{int(900 * chance.random() ** 4)}\n"


def username(number: int) -> str:
    """The name of the user with that number."""
    return f"user{number:06}"
