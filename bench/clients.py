"""Several concurrent connections, by pgbench."""

from __future__ import annotations

import os
import random
import re
import sys
import time
from collections.abc import Iterator

from bench import contestants, measure, pgbench
from bench.contestants import BADGES, BY_HAND, NONE, UNSAFE
from bench.databases import Database, Server
from bench.measure import Figure, Sample
from bench.plan import Bench, Measurement

INSERT = "\\set user random(1, {users})\nINSERT INTO dummy_sketch (user_id, title) VALUES (:user, 'Sketch');\n"


def connections(bench: Bench, name: str) -> Iterator[Figure]:
    """Single-row INSERTs from several connections; the processor time is that of the server."""
    sizes = bench.sizes
    script = INSERT.format(users=sizes.users)
    names = (NONE, BADGES, BY_HAND, UNSAFE)
    for number in sizes.connections:
        with bench.contest(names, [contestants.count(contestants.NEVER)]) as databases:
            samples: dict[str, list[Sample]] = {each: [] for each in databases}
            for turn in range(sizes.bulk_rounds):
                order = list(databases)
                random.Random(turn).shuffle(order)
                for each in order:
                    samples[each].append(_turn(bench.server, databases[each], script, number, sizes.seconds))
            notes = {each: _rate(own, number) for each, own in samples.items()}
            yield from measure.figures(
                name, f"{number} connection{'s' if number > 1 else ''}", samples, unit="transaction", notes=notes
            )


def _rate(samples: list[Sample], number: int) -> str:
    median = measure.Spread.of([each.wall for each in samples]).median
    return f"{number * 1e6 / median:,.0f} per second"


def _turn(server: Server, database: Database, script: str, number: int, seconds: float) -> Sample:
    """One turn; wall is the time of a transaction."""
    # Each turn begins with the same data.
    database.remove_new_rows()
    before = _ended_backends(server, database)
    threads = min(number, os.cpu_count() or 1, 4)
    options = [
        "-M",
        "prepared",
        "-c",
        str(number),
        "-j",
        str(threads),
        "-T",
        str(max(1, round(seconds))),
        "-f",
        "-",
    ]
    printed = pgbench.run(database.conninfo, options, script)
    processed = re.search(r"actually processed: (\d+)", printed)
    rate = re.search(r"tps = ([\d.]+)", printed)
    if not processed or not rate:
        sys.exit(f"bench: unexpected output of pgbench: {printed}")
    after = _ended_backends(server, database)
    cpu = None if before is None or after is None else 1e6 * (after - before) / int(processed[1])
    return Sample(wall=1e6 * number / float(rate[1]), cpu=cpu)


def _ended_backends(server: Server, database: Database) -> float | None:
    """Processor time in seconds of the backends that have exited."""
    if not server.is_local:
        return None
    database.fresh_session()
    busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
    while server.admin.execute(busy, [database.name, database.admin.info.backend_pid]).fetchone()[0]:
        time.sleep(0.01)
    # The process exits a moment after its row disappears.
    time.sleep(0.1)
    return pgbench.ended_backends(server.admin.execute("SHOW data_directory").fetchone()[0])


MEASUREMENTS = (
    Measurement("connections", "single-row INSERT from several connections, a count badge that is lacked", connections),
)
