"""Long sessions: the effect of statements of one size on later ones of another size in the same session."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator

from bench import bulk, contestants, measure, writes
from bench.contestants import BADGES, NONE
from bench.databases import Database
from bench.measure import Figure, Sample
from bench.plan import Bench, Figures, Measurement, Target

FRESH, USED = "fresh session", "used session"
WARM = 20


def huge_after_small(bench: Bench, name: str, *, is_young: bool = False) -> Iterator[Figure]:
    """A huge statement in a fresh session, and after many single-row statements."""
    rows = bench.sizes.bulk_rows[-1]
    users = min(1_000, bench.sizes.users)
    statements = bench.sizes.statements * 2
    with bench.contest((NONE, BADGES), [contestants.count(contestants.NEVER)]) as databases:
        for each, database in databases.items():
            if is_young:
                database.prepare("TRUNCATE dummy_sketch CASCADE; UPDATE bench_template SET rows = 0")
            samples: dict[str, list[Sample]] = {FRESH: [], USED: []}
            for number in range(bench.sizes.bulk_rounds + 1):
                for kind in _in_any_order(number):
                    database.fresh_session()
                    if kind == USED:
                        _small(database, users, statements)
                    with measure.undisturbed():
                        sample = measure.timed(
                            database.pid,
                            lambda: database.session.execute(bulk.INSERT, [users, rows]),  # noqa: B023
                        )
                    if number:
                        samples[kind].append(sample)
                    if is_young:
                        database.prepare("TRUNCATE dummy_sketch CASCADE")
                    else:
                        database.remove_new_rows()
            yield from measure.figures(name, each, samples)


def small_after_huge(bench: Bench, name: str) -> Iterator[Figure]:
    """Single-row statements after a few of their own kind, and after a huge statement."""
    rows = bench.sizes.bulk_rows[-1]
    users = min(1_000, bench.sizes.users)
    with bench.contest((NONE, BADGES), [contestants.count(contestants.NEVER)]) as databases:
        for each, database in databases.items():
            samples: dict[str, list[Sample]] = {FRESH: [], USED: []}
            for number in range(bench.sizes.bulk_rounds * 2 + 1):
                for kind in _in_any_order(number):
                    database.fresh_session()
                    _small(database, users, WARM)
                    if kind == USED:
                        database.session.execute(bulk.INSERT, [users, rows])
                        database.remove_new_rows()
                    _small(database, users, WARM)
                    block = writes.any_of(users, bench.sizes.statements)(random.Random(number))
                    send = measure.statements(writes.INSERT)
                    with measure.on_one_processor({each: database}), measure.undisturbed():
                        sample = measure.timed(database.pid, lambda: send(database, block), len(block))  # noqa: B023
                    if number:
                        samples[kind].append(sample)
                    database.remove_new_rows()
            yield from measure.figures(name, each, samples)


def _in_any_order(number: int) -> tuple[str, str]:
    return (FRESH, USED) if number % 2 else (USED, FRESH)


def _small(database: Database, users: int, statements: int) -> None:
    measure.statements(writes.INSERT)(database, [(1 + number % users,) for number in range(statements)])


def _used(name: str, contestant: str, found: Figures) -> float:
    return found.ratio(name, USED, contestant)


def _target(name: str, text: str) -> Target:
    return Target(
        f"{text}: no slower than in a fresh session (at most 1.05)",
        1.05,
        functools.partial(_used, name, BADGES),
        functools.partial(_used, name, NONE),
    )


MEASUREMENTS = (
    Measurement(
        "huge after small",
        "a huge INSERT in a session that has written single rows, beside a fresh one",
        huge_after_small,
        (_target("huge after small", "huge statement after small ones"),),
    ),
    Measurement(
        "huge after small, young table",
        "the same where the table was empty when the session began",
        functools.partial(huge_after_small, is_young=True),
        (_target("huge after small, young table", "the same on a table that was empty"),),
    ),
    Measurement(
        "small after huge",
        "single-row INSERTs in a session that has written a huge one, beside one that has not",
        small_after_huge,
        (_target("small after huge", "small statements after a huge one"),),
    ),
)
