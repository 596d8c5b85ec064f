"""Many badges on one table."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from bench import contestants, measure, writes
from bench.contestants import BADGES, BY_HAND, COUNT, NEVER, NONE, OLD, Rule
from bench.measure import Figure, Work
from bench.plan import Bench, Figures, Measurement, Target


def different_count(number: int) -> Rule:
    """Every badge has a different count."""
    return Rule(
        f"count-{number}",
        condition=f"count(*) >= {NEVER} from dummy_sketch where user_id = NEW.user_id and hit_views <> {number}",
    )


def threshold(number: int) -> Rule:
    """All badges have the same count."""
    return Rule(f"threshold-{number}", condition=contestants.count(NEVER + number).condition)


def of_the_row(number: int) -> Rule:
    return Rule(f"row-{number}", condition=f"NEW.hit_views > {NEVER - number}")


def level(number: int) -> Rule:
    return Rule(f"level-{number}", progress=COUNT, goal=NEVER + number)


def mixed(number: int) -> Rule:
    """A mix as on a site: a quarter each is row-local, a count that is held, a count that is lacked, a level."""
    return (of_the_row, different_count, different_count, level)[number % 4](number)


def is_held(number: int) -> bool:
    return number % 4 == 1


def crowds(
    bench: Bench, name: str, *, make: Callable[[int], Rule], held: Callable[[int], bool] = lambda _: False
) -> Iterator[Figure]:
    """Single-row INSERT with a growing number of badges on the table."""
    for size in bench.sizes.crowds:
        rules = [make(number) for number in range(1, size + 1)]
        holding = [make(number) for number in range(1, size + 1) if held(number)]
        users = min(1_000, bench.sizes.users)
        with bench.contest((NONE, BADGES, BY_HAND, OLD), rules, users=users, rows=10 * users) as databases:
            if holding:
                for database in databases.values():
                    contestants.hold(database, holding)
            statements = max(10, bench.sizes.statements // (1 + size // 10))
            work = Work(writes.any_of(users, statements), measure.statements(writes.INSERT))
            samples = measure.compare(databases, work, bench.sizes.rounds, warm=2)
            yield from measure.figures(name, case_of(size), samples, databases)


def case_of(size: int) -> str:
    return f"{size} badge{'s' if size > 1 else ''}"


def _against(contestant: str, name: str, size: int, found: Figures) -> float:
    return found.extra(name, BADGES, case_of(size)) / found.extra(name, contestant, case_of(size))


def _growth(name: str, found: Figures) -> float:
    return found.extra(name, BADGES, case_of(100)) / found.extra(name, BADGES, case_of(10))


MEASUREMENTS = (
    Measurement(
        "badges on one table, mixed",
        "single-row INSERT; a quarter each of the badges is row-local, held, lacked, a level",
        functools.partial(crowds, make=mixed, held=is_held),
        (
            Target(
                "20 badges on one table, single-row: at most a third of what 20 row triggers add",
                1 / 3,
                functools.partial(_against, OLD, "badges on one table, mixed", 20),
            ),
            Target(
                "20 badges on one table: no more than what the one hand-written trigger adds",
                1.0,
                functools.partial(_against, BY_HAND, "badges on one table, mixed", 20),
            ),
            Target(
                "100 badges: at most 6 times what 10 add",
                6,
                functools.partial(_growth, "badges on one table, mixed"),
            ),
        ),
    ),
    Measurement(
        "badges on one table, thresholds",
        "the same with one count and different thresholds, none of which is reached",
        functools.partial(crowds, make=threshold),
        (
            Target(
                "20 thresholds of one count, single-row: at most a third of what 20 row triggers add",
                1 / 3,
                functools.partial(_against, OLD, "badges on one table, thresholds", 20),
            ),
        ),
    ),
    Measurement(
        "badges on one table, counts lacked",
        "the same with counts that differ, none of which is held",
        functools.partial(crowds, make=different_count),
    ),
    Measurement(
        "badges on one table, counts held",
        "the same, all of which are held",
        functools.partial(crowds, make=different_count, held=lambda _: True),
    ),
    Measurement(
        "badges on one table, row-local",
        "the same with conditions over the changed row",
        functools.partial(crowds, make=of_the_row),
    ),
    Measurement(
        "badges on one table, levels",
        "the same with levels of one progress",
        functools.partial(crowds, make=level),
    ),
)
