"""The commands: planning, installing and checking many badges, awarding many users, and the jobs they replace."""

from __future__ import annotations

import functools
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command

from bench import contestants, measure
from bench.contestants import BADGES, NEVER, NONE
from bench.databases import Database, statement
from bench.measure import Figure, Sample, Spread, Work
from bench.plan import Bench, Figures, Measurement, Target

REPOSITORY = Path(__file__).resolve().parent.parent
TABLES = 20


def badges(number: int, tables: Sequence[str]) -> list[dict[str, Any]]:
    """Badges over these tables: half of them count, half are row-local."""
    return [
        {
            "name": f"Badge {place}",
            "code": f"badge-{place}",
            "condition": f"count(*) >= {place} from {table} where user_id = NEW.user_id"
            if place // len(tables) % 2
            else f"NEW.hit_views > {NEVER - place}",
            "trigger_condition": "insert",
            "trigger_table": table,
            "user_field": "user_id",
        }
        for place in range(number)
        for table in [tables[place % len(tables)]]
    ]


def triggers(bench: Bench, name: str, *, tables: int) -> Iterator[Figure]:
    """create_badge_triggers: first run, nothing to do, --check, --plan of a change, and that change."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "badge.json"
        for number in bench.sizes.badges:
            with bench.contest((NONE,), []) as databases:
                database = databases[NONE]
                names = ["dummy_sketch"] if tables == 1 else [f"work_{place}" for place in range(tables)]
                for table in names if tables > 1 else ():
                    database.prepare(f"CREATE TABLE {table} (LIKE dummy_sketch INCLUDING ALL)")
                    database.prepare(f"INSERT INTO {table} SELECT * FROM dummy_sketch ORDER BY id LIMIT 1000")
                database.prepare("ANALYZE")
                entries = badges(number, names)
                file.write_text(json.dumps(entries), "utf-8")
                for step, flags in (("first", ["--yes"]), ("nothing to do", []), ("--check", ["--check"])):
                    yield _called(name, number, step, database, file, flags)
                entries[0]["condition"] = "NEW.hit_views > 17"
                file.write_text(json.dumps(entries), "utf-8")
                yield _called(name, number, "--plan of a change", database, file, ["--plan"])
                yield _called(name, number, "one change", database, file, ["--yes"])


def case_of(number: int) -> str:
    return f"{number:,} badges"


def _called(name: str, number: int, step: str, database: Database, file: Path, flags: list[str]) -> Figure:
    """One call in a session of its own, as on the command line."""
    database.django.close()
    database.django.ensure_connection()
    pid = database.django.connection.info.backend_pid if database.is_local else None
    output = io.StringIO()

    def call() -> None:
        call_command("create_badge_triggers", *flags, file=file, database=database.name, stdout=output, stderr=output)

    try:
        sample = measure.timed(pid, call)
    except CommandError as error:
        sys.exit(f"bench: create_badge_triggers {' '.join(flags)}: {error}")
    cpu = None if sample.cpu is None else Spread.of([sample.cpu])
    memory = measure.memory_kb(pid)
    return Figure(
        name, case_of(number), step, "call", cpu=cpu, wall=Spread.of([sample.wall]), client=Spread.of([sample.client]),
        memory_kb=memory,
    )  # fmt: skip


def awards(bench: Bench, name: str) -> Iterator[Figure]:
    """award_badges over all users, half of whom qualify, and the loop in Python over some of them."""
    sizes = bench.sizes
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "badge.json"
        rule = contestants.count(2)
        file.write_text(json.dumps(contestants.entries([rule])), "utf-8")
        for users in sizes.award_users:
            # Each user has a row, and every other user a second one.
            rows = users + users // 2
            with bench.contest((BADGES, NONE), [rule], users=users, rows=rows, all_of_them=True) as databases:
                found: dict[str, Sample] = {}
                reported: dict[str, dict[str, Any]] = {}
                for each, way, number in ((BADGES, "award_badges", users), (NONE, "loop", min(users, sizes.sample))):
                    reported[way] = _in_a_process(databases[each], way, str(file), number)
                    scale = 1e6 / number
                    cpu = reported[way]["cpu"]
                    found[way] = Sample(
                        wall=reported[way]["wall"] * scale, cpu=None if cpu is None else cpu * scale,
                        client=reported[way]["client"] * scale,
                    )  # fmt: skip
                [(awarded,)] = databases[BADGES].prepare("SELECT count(*) FROM badges_badge")
                if awarded != users // 2:
                    raise AssertionError(f"{awarded} of {users // 2} users were awarded")
                for way, sample in found.items():
                    memory = reported[way]
                    megabytes = memory["process_kb"] / 1024
                    note = f"{memory['wall']:.1f} s for {memory['users']:,} users, process {megabytes:.0f} MB"
                    yield Figure(
                        name, f"{users:,} users", way, "user",
                        cpu=None if sample.cpu is None else Spread.of([sample.cpu]),
                        wall=Spread.of([sample.wall]), client=Spread.of([sample.client]),
                        ratio=Spread.of([_both_sides(sample) / _both_sides(found["loop"])]), baseline="loop",
                        memory_kb=memory["backend_kb"], process_kb=memory["process_kb"], note=note,
                    )  # fmt: skip
            if users > sizes.rows:
                bench.server.forget(users, rows)


def _both_sides(sample: Sample) -> float:
    """Processor time for a user, in this process and in the backend; most of the loop's is in this process."""
    return sample.wall if sample.cpu is None else sample.cpu + sample.client


def _in_a_process(database: Database, way: str, file: str, users: int) -> dict[str, Any]:
    """The output of `bench/awarding_process.py`, which does the work in a process of its own."""
    command = [sys.executable, "-m", "bench.awarding_process", way, file, str(users), str(int(database.is_local))]
    done = subprocess.run([*command, database.conninfo], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: {way}: {done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {**found, "users": users}


def scans(bench: Bench, name: str) -> Iterator[Figure]:
    """The cost of one run of a job that scans everything, when no user is to be awarded."""
    for rows in bench.sizes.table_rows:
        users = rows // 10
        with bench.contest((NONE,), [contestants.count(NEVER)], users=users, rows=rows) as databases:
            work = Work(lambda _: [(NEVER,)], measure.statements(statement("scan")))
            samples = measure.compare(databases, work, 3)
            cost = Spread.of([each.cost for each in samples[NONE]]).median
            note = f"every minute {cost / 6e7:.2%} of a processor; half a minute late on average"
            yield from measure.figures(
                name, f"{rows:,} rows", {"scan": samples[NONE]}, unit="run", notes={"scan": note}
            )


def _seconds(name: str, step: str, number: int, found: Figures) -> float:
    """Processor time of both sides, which take turns: the elapsed time on an idle machine."""
    figure = found(name, step, case_of(number))
    own = figure.client.median if figure.client and figure.cpu else 0
    return (figure.cost + own) / 1e6


def _faster(found: Figures) -> float:
    return found.ratio("award_badges", "award_badges", found.cases("award_badges")[-1])


def _memory(found: Figures) -> float:
    """Memory with the most users compared with the fewest: the larger ratio of this process and the backend."""
    few, many = (found("award_badges", "award_badges", found.cases("award_badges")[place]) for place in (0, -1))
    pairs = ((many.process_kb, few.process_kb), (many.memory_kb, few.memory_kb))
    return max(after / before for after, before in pairs if after and before)


OVER_TABLES, ON_ONE = f"create_badge_triggers, {TABLES} tables", "create_badge_triggers, one table"


def _targets(name: str, where: str) -> tuple[Target, ...]:
    return (
        Target(
            f"1,000 badges {where}: no-op create_badge_triggers within 2 s",
            2,
            functools.partial(_seconds, name, "nothing to do", 1_000),
        ),
        Target(
            f"1,000 badges {where}: first install within 30 s", 30, functools.partial(_seconds, name, "first", 1_000)
        ),
    )


MEASUREMENTS = (
    Measurement(
        OVER_TABLES,
        "planning, installing and checking many badges over several tables",
        functools.partial(triggers, tables=TABLES),
        _targets(OVER_TABLES, f"over {TABLES} tables"),
    ),
    Measurement(
        ON_ONE,
        "the same on a single table",
        functools.partial(triggers, tables=1),
        _targets(ON_ONE, "on one table"),
    ),
    Measurement(
        "award_badges",
        "award_badges over all users, half of whom qualify, and the loop in Python over some of them",
        awards,
        (
            Target("award_badges: at most a tenth of the loop in Python", 0.1, _faster),
            Target("award_badges: memory flat (the most users at most 1.2 of the fewest)", 1.2, _memory),
        ),
    ),
    Measurement("scan", "a job that scans everything, when no user is to be awarded", scans),
)
