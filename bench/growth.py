"""Single rows while something grows: the table, the rows of the user, the badges that the user holds."""

from __future__ import annotations

from collections.abc import Iterator

from bench import contestants, measure, writes
from bench.contestants import BADGES, BY_HAND, NEVER, NONE, Rule
from bench.databases import statement
from bench.measure import Figure, Work
from bench.plan import Bench, Figures, Measurement, Target

NAMES = (NONE, BADGES, BY_HAND)


def tables(bench: Bench, name: str) -> Iterator[Figure]:
    """Tables that grow with their users, ten rows for each."""
    for rows in bench.sizes.table_rows:
        users = rows // 10
        with bench.contest(NAMES, [contestants.count(NEVER)], users=users, rows=rows) as databases:
            # As many users as write at the same time on a site, whatever its size.
            work = Work(writes.any_of(min(users, 1_000), bench.sizes.statements), measure.statements(writes.INSERT))
            samples = measure.compare(databases, work, bench.sizes.rounds, warm=2)
            yield from measure.figures(name, f"{rows:,} rows", samples, databases)
        if rows > bench.sizes.rows:
            bench.server.forget(users, rows)


def heavy_users(bench: Bench, name: str) -> Iterator[Figure]:
    """Users with a growing number of rows, who lack a count badge and then hold it."""
    rule = contestants.count(NEVER)
    for rows in bench.sizes.user_rows:
        # Enough users that the measured writes hardly add to the rows of each.
        heavy = max(2, min(500, 50_000 // rows, bench.sizes.users))
        with bench.contest(NAMES, [rule]) as databases:
            for database in databases.values():
                database.prepare(statement("bulk"), [heavy, heavy * rows])
                database.prepare("VACUUM ANALYZE dummy_sketch")
            statements = max(5, min(bench.sizes.statements, 200_000 // rows))
            work = Work(writes.any_of(heavy, statements), measure.statements(writes.INSERT))
            for state in ("lacked", "held"):
                if state == "held":
                    for database in databases.values():
                        contestants.hold(database, [rule])
                samples = measure.compare(databases, work, max(3, bench.sizes.rounds // 3))
                yield from measure.figures(name, f"{state}, {rows:,} rows", samples, databases)


def collectors(bench: Bench, name: str) -> Iterator[Figure]:
    """Users who hold a growing number of badges, and lack this one."""
    for number in bench.sizes.held:
        with bench.contest(NAMES, [contestants.count(NEVER)], users=500, rows=5_000) as databases:
            others = [Rule(f"held-{place}") for place in range(number)]
            for database in databases.values():
                database.prepare(statement("definitions"), [[rule.code for rule in others]])
                contestants.hold(database, others)
            work = Work(writes.any_of(500, bench.sizes.statements), measure.statements(writes.INSERT))
            samples = measure.compare(databases, work, bench.sizes.rounds, warm=2)
            yield from measure.figures(name, f"{number:,} held", samples, databases)


def _flat(name: str, found: Figures) -> float:
    """The cost at the largest size, compared with that at the smallest; each beside the same work without badges."""
    cases = found.cases(name)
    return found.ratio(name, BADGES, cases[-1]) / found.ratio(name, BADGES, cases[0])


MEASUREMENTS = (
    Measurement(
        "table size",
        "single-row INSERT into tables of different sizes, a count badge that is lacked",
        tables,
        (
            Target(
                "flat in the size of the table: the ratio of the largest at most 1.15 of that of the smallest",
                1.15,
                lambda found: _flat("table size", found),
            ),
        ),
    ),
    Measurement("rows of the user", "single-row INSERT for a user with ever more rows, a count badge", heavy_users),
    Measurement(
        "badges held",
        "single-row INSERT for users who hold ever more badges, and lack a count badge",
        collectors,
        (
            Target(
                "flat in the number of badges held: the ratio of the most at most 1.15 of that of the fewest",
                1.15,
                lambda found: _flat("badges held", found),
            ),
        ),
    ),
)
