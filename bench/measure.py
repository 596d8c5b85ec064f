"""Samples of the time that contestants take for the same work, and their statistics.

The contestants take turns within each round, in a changing order, so that other load on the machine affects all of
them. Processor time is that of the backend alone, from /proc.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.databases import Database

Parameters = Sequence[Any]


@dataclasses.dataclass(frozen=True)
class Sample:
    """The time of one statement in microseconds, as the mean of a block."""

    wall: float
    cpu: float | None = None
    """Processor time of the backend; None where its process is not visible."""
    client: float = 0
    """Processor time of this process."""

    @property
    def cost(self) -> float:
        return self.wall if self.cpu is None else self.cpu


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median between its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclasses.dataclass(frozen=True)
class Figure:
    """One line of the result."""

    measurement: str
    case: str
    contestant: str
    unit: str = "statement"
    """The unit of work that is timed."""
    cpu: Spread | None = None
    wall: Spread | None = None
    client: Spread | None = None
    ratio: Spread | None = None
    """The ratio to `baseline`, of processor time where it is known: the median over the rounds."""
    baseline: str = ""
    memory_kb: int | None = None
    """Maximum memory of the backend, without PostgreSQL's shared memory."""
    process_kb: int | None = None
    """Maximum memory of the client, where it is a process of its own."""
    count: int | None = None
    note: str = ""

    @property
    def cost(self) -> float:
        """In microseconds."""
        spread = self.cpu or self.wall
        if spread is None:
            raise LookupError(f"{self.measurement}, {self.case}, {self.contestant} was not timed")
        return spread.median


@dataclasses.dataclass(frozen=True)
class Work:
    """A block of statements."""

    parameters: Callable[[random.Random], Sequence[Parameters]]
    """The parameters of one block, the same for all contestants of a round."""
    send: Callable[[Database, Sequence[Parameters]], None]
    by_orm: Callable[[Database, Sequence[Parameters]], None] | None = None
    reset: Callable[[Database], None] | None = None
    """Called after each block, outside the measured time."""


def statements(text: str) -> Callable[[Database, Sequence[Parameters]], None]:
    """Send the statement for each of the parameters, prepared, each in a transaction of its own."""

    def send(database: Database, block: Sequence[Parameters]) -> None:
        execute = database.session.execute
        for parameters in block:
            execute(text, parameters, prepare=True)

    return send


def cpu_us(pid: int | None) -> float | None:
    """Processor time that a process has used, in microseconds."""
    if pid is None:
        return None
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000


def memory_kb(pid: int | None) -> int | None:
    """Maximum memory of a process so far, without PostgreSQL's shared memory."""
    if pid is None:
        return None
    fields = dict(each.split(":", 1) for each in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in each)
    return int(fields["VmHWM"].split()[0]) - int(fields["RssShmem"].split()[0])


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Without the garbage collector of this process."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def timed(pid: int | None, work: Callable[[], object], times: int = 1) -> Sample:
    """Do the work, and divide its time by the number of its statements."""
    before, client, began = cpu_us(pid), time.process_time(), time.perf_counter()
    work()
    wall, client = time.perf_counter() - began, time.process_time() - client
    after = cpu_us(pid)
    return Sample(
        wall=1e6 * wall / times,
        cpu=None if before is None or after is None else (after - before) / times,
        client=1e6 * client / times,
    )


@contextlib.contextmanager
def on_one_processor(databases: Mapping[str, Database]) -> Iterator[None]:
    """Keep this process and the backends on one processor: they take turns, and migrations would add noise."""
    if not hasattr(os, "sched_setaffinity") or any(each.pid is None for each in databases.values()):
        yield
        return
    before = os.sched_getaffinity(0)
    chosen = {max(before)}
    processes = [0, *(each.pid or 0 for each in databases.values())]
    try:
        with contextlib.suppress(PermissionError):
            for pid in processes:
                os.sched_setaffinity(pid, chosen)
        yield
    finally:
        # A backend may have exited in the meantime.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            for pid in processes:
                os.sched_setaffinity(pid, before)


def compare(databases: Mapping[str, Database], work: Work, rounds: int, *, warm: int = 1) -> dict[str, list[Sample]]:
    """The samples of each contestant, by round; without the first `warm` rounds."""
    with on_one_processor(databases):
        return _compare(databases, work, rounds, warm)


def _compare(databases: Mapping[str, Database], work: Work, rounds: int, warm: int) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {name: [] for name in databases}
    for number in range(rounds + warm):
        block = work.parameters(random.Random(number))
        order = list(databases)
        random.Random(number).shuffle(order)
        for name in order:
            database = databases[name]
            send = work.by_orm if database.is_orm and work.by_orm else work.send
            with undisturbed():
                sample = timed(database.pid, lambda: send(database, block), len(block))  # noqa: B023
            if number >= warm:
                samples[name].append(sample)
            if work.reset:
                work.reset(database)
    return samples


def figures(
    measurement: str,
    case: str,
    samples: Mapping[str, Sequence[Sample]],
    databases: Mapping[str, Database] | None = None,
    *,
    unit: str = "statement",
    baselines: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Iterator[Figure]:
    """The figures of the samples, compared with the first contestant or with that of `baselines`."""
    first = next(iter(samples))
    for name, own in samples.items():
        baseline = (baselines or {}).get(name, first)
        pairs = zip(own, samples.get(baseline, ()), strict=False)
        ratios = [each.cost / other.cost for each, other in pairs if other.cost]
        cpus = [each.cpu for each in own if each.cpu is not None]
        database = (databases or {}).get(name)
        yield Figure(
            measurement,
            case,
            name,
            unit,
            cpu=Spread.of(cpus) if cpus else None,
            wall=Spread.of([each.wall for each in own]),
            client=Spread.of([each.client for each in own]),
            ratio=Spread.of(ratios) if ratios else None,
            baseline=baseline,
            memory_kb=database.memory_kb() if database else None,
            note=(notes or {}).get(name, ""),
        )
