"""Single writes from inside and outside Django, and the badges that each of them earns."""

from __future__ import annotations

import dataclasses
import datetime
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from django.contrib.auth import get_user_model
from django.utils import timezone
from dummy.models import Sketch

from badges.models import Badge

FIRST = "ada"
"""The user who writes first: where there is one already, an earlier start has made the writes."""


@dataclasses.dataclass(frozen=True)
class Write:
    """One write: the client that makes it, its text, and its user."""

    way: str
    text: str
    username: str
    run: Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Earned:
    """A write that has been made, and the names of the badges that it earned."""

    write: Write
    names: list[str]


def make_all(writes: Iterator[Write]) -> Iterator[Earned]:
    """Make one write after the other, and compare the badges of its user before and after."""
    for write in writes:
        held = set(badges_of(write.username))
        write.run()
        yield Earned(write, [name for name in badges_of(write.username) if name not in held])


def badges_of(username: str) -> list[str]:
    """The names of the badges that a user holds, in the order of badge.json."""
    badges = Badge.objects.filter(user__username=username).order_by("definition__position")
    return [str(name) for name in badges.values_list("name", flat=True)]


def writes(dsn: str, psql: Path | None) -> Iterator[Write]:
    """The writes of ada and grace. Without psql, psycopg sends the plain SQL, on a connection of its own."""
    users = get_user_model().objects
    long_ago = timezone.now() - datetime.timedelta(days=800)
    plain = "psql" if psql else "plain SQL"

    def sql(username: str, statement: str) -> Write:
        return Write(plain, statement, username, lambda: run_sql(dsn, psql, statement))

    def orm(username: str, text: str, run: Callable[[], object]) -> Write:
        return Write("ORM", text, username, run)

    yield orm(FIRST, "a new user, joined 800 days ago", lambda: users.create(username="ada", date_joined=long_ago))
    ada = users.get(username="ada")
    yield orm("ada", "Sketch.objects.create(user=ada)", lambda: Sketch.objects.create(user=ada, title="ORM"))
    yield sql("ada", f"INSERT INTO dummy_sketch (user_id, title) SELECT {ada.pk}, 'psql' FROM generate_series(1, 4)")
    sketch = Sketch.objects.filter(user=ada).latest("pk")
    sketch.hit_views = 400
    yield orm("ada", "sketch.hit_views = 400; sketch.save()", sketch.save)
    yield sql("ada", f"UPDATE dummy_sketch SET hit_views = 1001 WHERE id = {sketch.pk}")
    ada.last_login = timezone.now()
    yield orm("ada", "ada.last_login = now; ada.save()", ada.save)
    yield sql("ada", f"DELETE FROM dummy_sketch WHERE id = (SELECT min(id) FROM dummy_sketch WHERE user_id = {ada.pk})")
    users.create(username="grace")
    grace = users.get(username="grace")
    yield Write("COPY", "COPY dummy_sketch FROM STDIN, 30 rows", "grace", lambda: copy(dsn, grace.pk))
    yield sql("grace", f"INSERT INTO dummy_sketch (user_id, title) VALUES ({grace.pk}, 'psql')")


def run_sql(dsn: str, psql: Path | None, statement: str) -> None:
    """Send one statement from outside Django."""
    if psql:
        command = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", statement]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return
    with psycopg.connect(dsn) as connection:
        connection.execute(statement.encode())


def copy(dsn: str, user: int) -> None:
    """Add thirty sketches of one user by COPY."""
    statement = "COPY dummy_sketch (user_id, title) FROM STDIN"
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(statement) as rows:
        for number in range(30):
            rows.write_row((user, f"COPY {number}"))
