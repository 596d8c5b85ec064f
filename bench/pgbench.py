"""pgbench, and the processor time of the backends that it used."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import postgres_binaries
from psycopg.conninfo import conninfo_to_dict

NAMES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}


def run(conninfo: str, options: Sequence[str], script: str) -> str:
    """The output of pgbench for this script."""
    done = subprocess.run(
        [path(), "-n", *options],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env=environment(conninfo),
    )
    if done.returncode:
        sys.exit(f"pgbench: {done.stderr}")
    return done.stdout


@functools.cache
def path() -> str:
    """The path of pgbench: beside the programs of the server, or in PATH."""
    found = shutil.which("pgbench")
    with contextlib.suppress(postgres_binaries.PostgresError):
        bundled = postgres_binaries.binaries() / "pgbench"
        found = str(bundled) if bundled.exists() else found
    return found or sys.exit("pgbench is needed; it comes with PostgreSQL")


def environment(conninfo: str) -> dict[str, str]:
    """The environment variables that name the database."""
    options = conninfo_to_dict(conninfo)
    return {**os.environ, **{NAMES[key]: str(value) for key, value in options.items() if key in NAMES}}


def ended_backends(data_directory: str) -> float | None:
    """Processor time in seconds of exited backends; None if the server runs on another machine."""
    try:
        pid = (Path(data_directory) / "postmaster.pid").read_text().split("\n")[0]
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
