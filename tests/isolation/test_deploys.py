"""Deploys beside writers: no deadlock, no write lost, and at each moment either the old rules or the new ones."""

from __future__ import annotations

import json
import random
import threading

import psycopg
import pytest
from conftest import entry
from django.db import connections

from badges import definitions, exceptions
from badges.installation import executor, transactions
from isolation.harness import ALIAS

TABLES = [f"place_{number}" for number in range(6)]
EVERYWHERE = [
    entry(f"at_{table}", condition="true", trigger_table=table, trigger_condition=["insert", "update"])
    for table in TABLES
] + [
    entry(
        f"both_{table}",
        condition=f"(select count(*) from {table} where user_id = NEW.user_id) >= 2",
        trigger_table=table,
        revocable=True,
    )
    for table in TABLES[:3]
]  # fmt: skip
USERS = entry("user", condition="true", trigger_table="auth_user", user_field="id")


@pytest.fixture
def places(site):
    """Tables of a site beside each other, each with users."""
    for table in TABLES:
        site.sql(
            f"CREATE TABLE {table} (id serial PRIMARY KEY, user_id integer REFERENCES auth_user, n integer DEFAULT 0)"
        )
        site.sql(f"CREATE INDEX ON {table} (user_id)")


class Writers:
    """Sessions that write to three of the tables in each transaction, until they are stopped."""

    def __init__(self, site, users, count):
        self.site, self.users = site, users
        self.errors: list[str] = []
        self.done = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=[number]) for number in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number):
        chance = random.Random(number)
        with psycopg.connect(self.site.conninfo) as session:
            while not self._stop.is_set():
                user = self.users[number]
                try:
                    for table in chance.sample(TABLES, 3):
                        session.execute(f"INSERT INTO {table} (user_id) VALUES (%s)", [user])
                        session.execute(f"UPDATE {table} SET n = n + 1 WHERE user_id = %s AND n = 0", [user])
                    session.execute("UPDATE auth_user SET last_login = now() WHERE id = %s", [user])
                    session.execute("SELECT pg_sleep(0.005)")
                    session.commit()
                    self.done += 1
                except psycopg.Error as error:
                    session.rollback()
                    self.errors.append(f"{error.sqlstate}: {error}")


def test_deploys_beside_writers(site, places):
    """Badges added and removed on seven tables cause no deadlock with six writers, and cost them no transaction."""
    users = site.users(6)
    with Writers(site, users, 6) as writers:
        for _ in range(2):
            site.declare(*EVERYWHERE, USERS)
            site.declare()
        site.declare(*EVERYWHERE)
    assert writers.errors == []
    assert writers.done > 0
    assert site.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]
    site.settle()
    for user in users:
        site.sql(f"INSERT INTO {TABLES[0]} (user_id) VALUES (%s)", [user])
    assert {(user, f"at_{TABLES[0]}") for user in users} <= set(site.badges())
    assert site.failures() == []


class Stopped(Exception):
    pass


OLD = [
    entry("old", condition="true", trigger_table=TABLES[0]),
    entry("older", condition="true", trigger_table=TABLES[1]),
    entry("kept", condition="true", trigger_table=TABLES[2], expires_after="1 day"),
]
NEW = [
    entry("new", condition="true", trigger_table=TABLES[0], revocable=True),
    entry("newer", condition="true", trigger_table=TABLES[3]),
    entry("kept", condition="true", trigger_table=TABLES[2]),
    entry("wide", condition=f"exists (select from {TABLES[4]} where user_id = NEW.user_id)", trigger_table=TABLES[5],
          revocable=True),
]  # fmt: skip


def apply_until(site, stop, entries):
    """Bring the database in sync, but stop after so many transactions; gives whether all of them ran."""
    ran = 0

    def carry_out(*args, carry_out=executor._carry_out):
        nonlocal ran
        if ran == stop:
            raise Stopped
        ran += 1
        carry_out(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "_carry_out", carry_out)
        try:
            site.declare(*entries)
        except Stopped:
            return False
    return True


def earned(site):
    """What a new user is awarded who writes to all tables."""
    [user] = site.users(1)
    for table in TABLES:
        site.sql(f"INSERT INTO {table} (user_id) VALUES (%s)", [user])
    return {code for holder, code in site.badges() if holder == user}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (OLD, NEW),
        pytest.param(NEW, OLD, marks=pytest.mark.long),
        pytest.param([], NEW, marks=pytest.mark.long),
        (NEW, []),
    ],
)
def test_stopped_between_two_transactions(site, places, before, after):
    """Wherever a deploy is stopped, the old rules are in force or the new ones; the next one does the rest."""
    site.declare(*before)
    old = earned(site)
    stop, seen = 0, []
    while not apply_until(site, stop, after):
        seen.append(earned(site))
        site.declare(*after)
        new = earned(site)
        assert site.failures() == []
        assert executor.draft(connections[ALIAS], definitions.load(site.badge_file), "file").is_empty
        site.declare(*before)
        assert earned(site) == old
        stop += 1
    assert stop > 2
    assert all(each in (old, new) for each in seen)
    assert seen == sorted(seen, key=lambda each: each == new), "the rules change once"


def test_stopped_deploy_is_taken_back(site, places):
    """Triggers that a stopped deploy has prepared are dropped by the next deploy of the old file."""
    site.declare(*OLD)
    before = site.sql("SELECT tgname FROM pg_trigger WHERE tgname ~ '^badges_' ORDER BY 1")
    assert not apply_until(site, 2, NEW)
    site.declare(*OLD)
    assert site.sql("SELECT tgname FROM pg_trigger WHERE tgname ~ '^badges_' ORDER BY 1") == before


def test_table_in_use_for_ever(site, places, settings, s1):
    """The deploy gives up and names the holder of the table; other tables keep their rules, and writes proceed."""
    settings.BADGES_LOCK_TIMEOUT, settings.BADGES_LOCK_RETRIES = 20, 2
    site.declare(*OLD)
    old = earned(site)
    s1.begin()
    s1.run(f"INSERT INTO {TABLES[3]} (n) VALUES (1)")
    with pytest.raises(exceptions.LockNotAvailable) as caught:
        site.declare(*NEW)
    assert f"process {s1.connection.info.backend_pid} " in str(caught.value)
    assert "no rule was changed; " in str(caught.value)
    assert earned(site) == old
    s1.commit()
    site.declare(*NEW)
    assert "newer" in earned(site)


def test_each_transaction_locks_one_table(site, places):
    """However many tables a plan is about, none of its transactions locks two."""
    site.declare()
    site.badge_file.write_text("[]", "utf-8")
    drafted = executor.draft(connections[ALIAS], definitions.parse(json.dumps([*EVERYWHERE, USERS])), "file")
    parts = transactions.split(drafted.steps)
    assert all(len({step.table for step in part.steps if step.table}) <= 1 for part in parts)
    assert [part.switches for part in parts].count(True) == 1


@pytest.mark.parametrize("tables", [1, 2])
def test_lock_of_a_table_is_held_briefly(site, places, monkeypatch, tables):
    """Under the lock of a table only its triggers are made, also those of the last table, and of the only one."""
    site.declare()
    parts, carry_out = [], executor._carry_out
    monkeypatch.setattr(executor, "_carry_out", lambda using, part: (parts.append(part), carry_out(using, part)))
    many = [
        entry(f"b{number}-{table}", condition="true", trigger_table=table)
        for table in TABLES[:tables]
        for number in range(transactions.FEW)
    ]
    for wanted, most in ((many, 0), ([], transactions.FEW)):
        parts.clear()
        site.declare(*wanted)
        assert max(sum(not step.table for step in part.steps) for part in parts if part.table) <= most
        assert len(earned(site)) == len(wanted)
    site.declare(many[0])
    parts.clear()
    site.declare(many[0], entry("updated", condition="true", trigger_table=TABLES[0], trigger_condition="update"))
    [part] = parts
    assert {step.table for step in part.steps} == {"", f"public.{TABLES[0]}"}, "so few are made at once"
