"""Single-row writes, as a site makes them all day."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterator, Sequence

import psycopg
from dummy.models import Sketch

from bench import contestants, measure
from bench.contestants import BADGES, BY_HAND, NONE, OLD, ORM, POST_SAVE, ROW, STATEMENT, UNSAFE, Rule
from bench.databases import Database
from bench.measure import Figure, Parameters, Sample, Work
from bench.plan import Bench, Measurement, Target

INSERT = "INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'Sketch')"
UPDATE = "UPDATE dummy_sketch SET hit_views = hit_views + 1 WHERE id = %s"

ALL_CONTESTANTS = (NONE, ROW, STATEMENT, BADGES, BY_HAND, UNSAFE, OLD, ORM, POST_SAVE)
BASELINES = {POST_SAVE: ORM, ORM: NONE}

Choose = Callable[[random.Random], Sequence[Parameters]]


def any_of(number: int, statements: int) -> Choose:
    """Keys from 1 on, at random."""
    return lambda chance: [(chance.randint(1, number),) for _ in range(statements)]


def others_each_time(number: int, statements: int) -> Choose:
    """Keys from 1 on, each of them once in all rounds."""
    keys = iter(range(1, number + 1))
    return lambda _: [(next(keys),) for _ in range(statements)]


def insert_by_orm(database: Database, block: Sequence[Parameters]) -> None:
    for (user,) in block:
        Sketch.objects.using(database.name).create(user_id=user, title="Sketch")


def update_by_orm(database: Database, block: Sequence[Parameters]) -> None:
    for (key,) in block:
        sketch = Sketch.objects.using(database.name).get(pk=key)
        sketch.hit_views += 1
        sketch.save(update_fields=["hit_views"])


def inserts(bench: Bench, name: str, *, rule: Rule, is_held: bool = False, is_earned: bool = False) -> Iterator[Figure]:
    sizes = bench.sizes
    statements, rounds = sizes.statements, sizes.rounds
    if is_earned:
        statements = min(statements, sizes.users // (rounds + 1))
    with bench.contest(ALL_CONTESTANTS, [rule]) as databases:
        for database in databases.values():
            contestants.hold_another(database)
            if is_held:
                contestants.hold(database, [rule])
        choose = (others_each_time if is_earned else any_of)(sizes.users, statements)
        work = Work(choose, measure.statements(INSERT), insert_by_orm)
        samples = measure.compare(databases, work, rounds)
        yield from measure.figures(name, "", samples, databases, baselines=BASELINES)


def updates(bench: Bench, name: str) -> Iterator[Figure]:
    rule = contestants.views(contestants.NEVER)
    with bench.contest(ALL_CONTESTANTS, [rule]) as databases:
        work = Work(any_of(bench.sizes.rows, bench.sizes.statements), measure.statements(UPDATE), update_by_orm)
        samples = measure.compare(databases, work, bench.sizes.rounds)
        yield from measure.figures(name, "", samples, databases, baselines=BASELINES)


def commits(bench: Bench, name: str) -> Iterator[Figure]:
    """COMMIT alone, after a write in the same transaction, for a count badge that is lacked, then held."""
    rules = [contestants.count(contestants.NEVER)]
    with bench.contest((NONE, BADGES, BY_HAND), rules) as databases:
        for case in ("lacked", "held"):
            if case == "held":
                for database in databases.values():
                    contestants.hold(database, rules)
            with measure.on_one_processor(databases):
                samples = _commits(bench, databases)
            yield from measure.figures(name, case, samples, databases, unit="COMMIT")


def _commits(bench: Bench, databases: dict[str, Database]) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {each: [] for each in databases}
    choose = any_of(bench.sizes.users, bench.sizes.statements)
    for number in range(bench.sizes.rounds + 1):
        block = choose(random.Random(number))
        order = list(databases)
        random.Random(number).shuffle(order)
        for each in order:
            with measure.undisturbed():
                alone = [_commit(databases[each], parameters) for parameters in block]
            if number:
                cpus = [sample.cpu for sample in alone if sample.cpu is not None]
                walls = [sample.wall for sample in alone]
                samples[each].append(Sample(sum(walls) / len(walls), sum(cpus) / len(cpus) if cpus else None))
    return samples


def _commit(database: Database, parameters: Parameters) -> Sample:
    session = database.session
    session.execute("BEGIN", prepare=True)
    session.execute(INSERT, parameters, prepare=True)
    # The response arrives before the backend has gone to sleep.
    time.sleep(0.0001)
    before = measure.cpu_us(database.pid)
    began = time.perf_counter()
    session.execute("COMMIT", prepare=True)
    wall = time.perf_counter() - began
    time.sleep(0.0001)
    after = measure.cpu_us(database.pid)
    return Sample(1e6 * wall, None if before is None or after is None else after - before)


def notifications(bench: Bench, name: str) -> Iterator[Figure]:
    """Notifications that a listening session receives while another one writes."""
    writes = min(50, bench.sizes.users)
    for case, threshold in (("nothing is awarded", contestants.NEVER), ("each write awards", 1)):
        with bench.contest((NONE, BADGES), [contestants.count(threshold)]) as databases:
            for each, database in databases.items():
                with psycopg.connect(database.conninfo, autocommit=True) as listener:
                    listener.execute("LISTEN badges")
                    for user in range(1, writes + 1):
                        database.session.execute(INSERT, [user], prepare=True)
                    heard = len(list(listener.notifies(timeout=0.3)))
                yield Figure(name, case, each, unit=f"{writes} writes", count=heard, note=f"{heard} notifications")


MEASUREMENTS = (
    Measurement(
        "insert, lacked",
        "single-row INSERT with a count badge, for users who lack it",
        functools.partial(inserts, rule=contestants.count(contestants.NEVER)),
        (
            Target(
                "single-row INSERT, count badge lacked: no more than the hand-written row trigger",
                1.0,
                lambda found: found("insert, lacked", BADGES).cost / found("insert, lacked", BY_HAND).cost,
                lambda found: found("insert, lacked", STATEMENT).cost / found("insert, lacked", BY_HAND).cost,
            ),
        ),
    ),
    Measurement(
        "insert, held",
        "the same for users who hold it",
        functools.partial(inserts, rule=contestants.count(contestants.NEVER), is_held=True),
        (
            Target(
                "single-row INSERT, count badge held: at most 1.5",
                1.5,
                lambda found: found.ratio("insert, held", BADGES),
                lambda found: found.ratio("insert, held", STATEMENT),
            ),
        ),
    ),
    Measurement(
        "insert, earned",
        "the same where each write earns it, for another user each time",
        functools.partial(inserts, rule=contestants.count(1), is_earned=True),
    ),
    Measurement(
        "update, not earned",
        "single-row UPDATE of a page-view counter with a row-local badge that is not earned",
        updates,
        (
            Target(
                "non-earning single-row UPDATE, row-local badge: at most 1.10",
                1.10,
                lambda found: found.ratio("update, not earned", BADGES),
                # A row trigger whose WHEN keeps its function from being called: no trigger that sees the row does less.
                lambda found: found.ratio("update, not earned", BY_HAND),
            ),
        ),
    ),
    Measurement(
        "commit",
        "COMMIT alone after an INSERT with a count badge",
        commits,
        (
            Target(
                "COMMIT after a write for a badge that is held: no more than by hand (at most 1.05)",
                1.05,
                lambda found: found("commit", BADGES, "held").cost / found("commit", BY_HAND, "held").cost,
            ),
            Target(
                "COMMIT after a write for a badge that is lacked: no more than by hand, with its lock (at most 1.05)",
                1.05,
                lambda found: found("commit", BADGES, "lacked").cost / found("commit", BY_HAND, "lacked").cost,
            ),
        ),
    ),
    Measurement(
        "notifications",
        "notifications that a listening session receives from 50 writes",
        notifications,
        (
            Target(
                "no NOTIFY unless something is awarded",
                0,
                lambda found: float(found("notifications", BADGES, "nothing is awarded").count or 0),
            ),
        ),
    ),
)
