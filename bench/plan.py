"""The plan: sizes, measurements, and their targets."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

from bench import contestants
from bench.contestants import Rule
from bench.databases import Database, Server
from bench.measure import Figure


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of all measurements."""

    name: str
    users: int
    rows: int
    rounds: int
    statements: int
    """Statements of a block, whose mean is one sample."""
    bulk_rows: tuple[int, ...]
    bulk_rounds: int
    crowds: tuple[int, ...]
    table_rows: tuple[int, ...]
    user_rows: tuple[int, ...]
    held: tuple[int, ...]
    connections: tuple[int, ...]
    seconds: float
    badges: tuple[int, ...]
    award_users: tuple[int, ...]
    sample: int
    """Number of users for which the loop in Python is measured."""


TINY = Sizes(
    "tiny", users=100, rows=1_000, rounds=2, statements=10, bulk_rows=(10, 500), bulk_rounds=1, crowds=(1, 20),
    table_rows=(1_000,), user_rows=(10,), held=(1, 10), connections=(2,), seconds=1, badges=(2,),
    award_users=(100,), sample=20,
)  # fmt: skip
QUICK = Sizes(
    "quick", users=5_000, rows=50_000, rounds=11, statements=100, bulk_rows=(10, 1_000, 20_000), bulk_rounds=3,
    crowds=(1, 10, 20, 100), table_rows=(10_000, 100_000), user_rows=(10, 1_000), held=(1, 100), connections=(16,),
    seconds=1, badges=(10, 100), award_users=(5_000, 20_000), sample=200,
)  # fmt: skip
DEFAULT = Sizes(
    "default", users=10_000, rows=100_000, rounds=31, statements=150, bulk_rows=(10, 1_000, 100_000), bulk_rounds=5,
    crowds=(1, 5, 10, 20, 100), table_rows=(10_000, 100_000, 1_000_000), user_rows=(10, 1_000, 100_000),
    held=(1, 10, 100, 1_000), connections=(1, 4, 16), seconds=2, badges=(10, 100, 1_000),
    award_users=(10_000, 100_000), sample=500,
)  # fmt: skip
FULL = dataclasses.replace(
    DEFAULT, name="full", rounds=61, bulk_rounds=9, table_rows=(10_000, 100_000, 1_000_000, 10_000_000),
    user_rows=(10, 100, 1_000, 10_000, 100_000), connections=(1, 2, 4, 8, 16), seconds=5,
    award_users=(100_000, 1_000_000), sample=2_000,
)  # fmt: skip


class Figures:
    """All figures, by measurement, case and contestant."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        self.figures = figures

    def __call__(self, measurement: str, contestant: str, case: str = "") -> Figure:
        for figure in self.figures:
            if (figure.measurement, figure.contestant, figure.case) == (measurement, contestant, case):
                return figure
        raise LookupError(f"{measurement}, {case}, {contestant} was not measured")

    def ratio(self, measurement: str, contestant: str, case: str = "") -> float:
        """The ratio to the same work without badges."""
        spread = self(measurement, contestant, case).ratio
        if spread is None:
            raise LookupError(f"{measurement}, {case}, {contestant} has no ratio")
        return spread.median

    def extra(self, measurement: str, contestant: str, case: str = "") -> float:
        """Microseconds in excess of the same work without badges."""
        figure = self(measurement, contestant, case)
        return figure.cost - self(measurement, figure.baseline, case).cost

    def cases(self, measurement: str) -> list[str]:
        return list(dict.fromkeys(each.case for each in self.figures if each.measurement == measurement))


@dataclasses.dataclass(frozen=True)
class Target:
    """A target: an upper bound for a value of the figures."""

    text: str
    at_most: float
    value: Callable[[Figures], float]
    floor: Callable[[Figures], float] | None = None
    """The value of the cheapest possible trigger."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A measurement: its name, its title, and the function that yields its figures."""

    name: str
    about: str
    run: Callable[[Bench, str], Iterator[Figure]]
    """Called with the name as its second argument."""
    targets: tuple[Target, ...] = ()


@dataclasses.dataclass(frozen=True)
class Bench:
    """The server, sizes and contestants of a run, which a measurement is given."""

    server: Server
    sizes: Sizes
    only: Sequence[str] = ()
    """The contestants that take part; empty for all."""

    @contextlib.contextmanager
    def contest(
        self, names: Sequence[str], rules: Sequence[Rule], *, users: int = 0, rows: int = 0, all_of_them: bool = False
    ) -> Iterator[dict[str, Database]]:
        """A database for each contestant, with its triggers for these badges."""
        if self.only and not all_of_them:
            names = [name for name in names if name in (contestants.NONE, *self.only)]
        users, rows = users or self.sizes.users, rows or self.sizes.rows
        with self.server.contest(names, users, rows) as databases:
            for name, database in databases.items():
                contestants.put_in(database, name, rules)
            yield databases
