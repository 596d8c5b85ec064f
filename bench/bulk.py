"""Many rows in one statement."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

from bench import contestants, measure
from bench.contestants import BADGES, BY_HAND, NONE, OLD, ROW, STATEMENT
from bench.databases import Database, statement
from bench.measure import Figure, Sample, Work
from bench.plan import Bench, Figures, Measurement, Target

INSERT = statement("bulk")
COPY = "COPY dummy_sketch (user_id, title) FROM STDIN"

#: Row triggers count all rows of the user for each row; loads beyond this limit are skipped for them.
PATIENCE = 20_000_000
"""Rows that are counted in one statement."""


def loads(bench: Bench, name: str) -> Iterator[Figure]:
    """INSERTs of different numbers of rows and users, with a count badge that all users lack."""
    names = (NONE, ROW, STATEMENT, BADGES, BY_HAND, OLD)
    with bench.contest(names, [contestants.count(contestants.NEVER)]) as databases:
        every = dict.fromkeys(min(users, bench.sizes.users) for users in (1, 1_000, 100_000))
        for rows, users in itertools.product(bench.sizes.bulk_rows, every):
            if users <= rows:
                yield from _load(bench, name, databases, rows, users, case_of(rows, users))


def case_of(rows: int, users: int) -> str:
    return f"{rows:,} rows, {users:,} user{'s' if users > 1 else ''}"


def _load(
    bench: Bench, name: str, databases: dict[str, Database], rows: int, users: int, case: str
) -> Iterator[Figure]:
    each_has = bench.sizes.rows // bench.sizes.users
    is_endless = rows * (rows / users / 2 + each_has) > PATIENCE
    patient = {key: value for key, value in databases.items() if not (is_endless and key in (BY_HAND, OLD))}
    times = 1 if rows >= 10_000 else max(1, min(50, 1_000 // rows))
    work = Work(
        lambda _: [(users, rows)] * times, measure.statements(INSERT), reset=lambda database: database.remove_new_rows()
    )
    samples = measure.compare(patient, work, bench.sizes.bulk_rounds)
    yield from measure.figures(name, case, samples, patient)


def held(bench: Bench, name: str) -> Iterator[Figure]:
    """The largest of these loads, for users who hold the badge."""
    rule = contestants.count(contestants.NEVER)
    rows = bench.sizes.bulk_rows[-1]
    with bench.contest((NONE, BADGES, BY_HAND), [rule]) as databases:
        for database in databases.values():
            contestants.hold(database, [rule])
        users = min(1_000, bench.sizes.users)
        yield from _load(bench, name, databases, rows, users, case_of(rows, users))


def copies(bench: Bench, name: str) -> Iterator[Figure]:
    """COPY with a count badge that all users lack."""
    rows, users = bench.sizes.bulk_rows[-1], min(1_000, bench.sizes.users)
    data = "".join(f"{1 + number % users}\tBulk\n" for number in range(rows))

    def send(database: Database, _: object) -> None:
        with database.session.cursor() as cursor, cursor.copy(COPY) as copy:
            copy.write(data)

    names = (NONE, STATEMENT, BADGES, BY_HAND)
    with bench.contest(names, [contestants.count(contestants.NEVER)]) as databases:
        work = Work(lambda _: [()], send, reset=lambda database: database.remove_new_rows())
        samples = measure.compare(databases, work, bench.sizes.bulk_rounds)
        yield from measure.figures(name, case_of(rows, users), samples, databases)


def awards(bench: Bench, name: str) -> Iterator[Figure]:
    """One statement that awards the badge to each of its users."""
    users = min(bench.sizes.bulk_rows[-1] // 10, bench.sizes.users)
    with bench.contest((NONE, BADGES, BY_HAND), [contestants.count(1)]) as databases:
        for database in databases.values():
            contestants.hold_another(database)

        def reset(database: Database) -> None:
            database.remove_new_rows()
            database.prepare("DELETE FROM badges_badge WHERE code = 'collector'; DELETE FROM badges_badgeevent")
            database.prepare("VACUUM badges_badge")
            database.prepare("VACUUM badges_badgeevent")

        work = Work(lambda _: [(users, users)], measure.statements(INSERT), reset=reset)
        samples: dict[str, list[Sample]] = measure.compare(databases, work, bench.sizes.bulk_rounds)
        yield from measure.figures(name, f"{users:,} awards", samples, databases)


def _largest(found: Figures, name: str) -> str:
    """The case with the most rows, for a thousand users."""
    cases = found.cases(name)
    if not cases:
        raise LookupError(f"{name} was not measured")
    return next((case for case in reversed(cases) if case.endswith(" 1,000 users")), cases[-1])


def _ratio(name: str, contestant: str, found: Figures) -> float:
    return found.ratio(name, contestant, _largest(found, name))


def _faster(found: Figures) -> float:
    case = _largest(found, "bulk insert")
    return found.extra("bulk insert", BADGES, case) / found.extra("bulk insert", BY_HAND, case)


MEASUREMENTS = (
    Measurement(
        "bulk insert",
        "many rows by one INSERT, a count badge that all users lack",
        loads,
        (
            Target(
                "100,000 rows (fewer in smaller sizes) for 1,000 users in one statement, one count badge: at most 1.25",
                1.25,
                functools.partial(_ratio, "bulk insert", BADGES),
                functools.partial(_ratio, "bulk insert", STATEMENT),
            ),
            Target("the same: at most a tenth of what the hand-written row trigger adds", 0.1, _faster),
        ),
    ),
    Measurement("bulk insert, held", "the same for users who hold it", held),
    Measurement(
        "copy",
        "many rows by COPY, a count badge that all users lack",
        copies,
        (
            Target(
                "100,000 rows (fewer in smaller sizes) for 1,000 users by COPY, one count badge: at most 1.25",
                1.25,
                functools.partial(_ratio, "copy", BADGES),
                functools.partial(_ratio, "copy", STATEMENT),
            ),
        ),
    ),
    Measurement("bulk awards", "many awards by one INSERT", awards),
)
