"""What badges must leave as it was: failures of the host's own, cancellation, the session, the server's memory."""

from __future__ import annotations

import time

import pytest
from conftest import entry
from psycopg import errors

from isolation.conftest import LOUD, PAIR
from isolation.harness import AT_ONCE, LEVELS, SERIALIZABLE

HEAVY = entry("heavy", condition="count(*) > 0 from generate_series(1, 2000000000) where NEW.user_id > 0")
FAILING = entry("failing", condition="1 / (NEW.hit_views - NEW.hit_views) > 0")

levels = pytest.mark.parametrize("level", LEVELS)


@levels
def test_serialization_failure_in_a_condition(site, s1, level):
    """At SERIALIZABLE it ends the transaction, as it may be PostgreSQL's own; below, the badge is checked once more."""
    site.sql(
        """
        CREATE FUNCTION stumble(artist bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
        BEGIN
            RAISE serialization_failure;
        END
        $$
        """
    )
    site.declare(PAIR, entry("stumble", condition="stumble(NEW.user_id)"))
    [ada] = site.users(1)
    insert = f"INSERT INTO dummy_sketch (user_id, title) VALUES ({ada}, 'Sketch')"
    s1.begin(level)
    if level == SERIALIZABLE:
        with pytest.raises(errors.SerializationFailure):
            s1._execute(insert, None)
        s1.rollback()
        assert site.sql("SELECT count(*) FROM dummy_sketch") == [(0,)]
    else:
        s1._execute(insert, None)
        s1.commit()
        assert (site.failures(), site.sql("SELECT code FROM badges_pendingcheck WHERE code <> 'pair'")) == (
            [],
            [("stumble",)],
        )


def test_write_skew_still_fails(site, s1, s2):
    """Two SERIALIZABLE transactions that could not have run one after the other do not both commit."""
    [ada] = site.users(1)
    for session in (s1, s2):
        session.begin(SERIALIZABLE)
        session._execute("SELECT count(*) FROM dummy_sketch", None)
    for session in (s1, s2):
        session.insert(ada)
    with pytest.raises(errors.SerializationFailure):
        commit_both(s1, s2)


def commit_both(*sessions):
    for session in sessions:
        assert not session.has_failed, "the writes themselves do not conflict"
        session._execute("COMMIT", None)


@levels
def test_statement_timeout_during_evaluation(site, s1, level):
    """It ends the write, as it would without badges, and is no failure of the badge."""
    site.declare(HEAVY, PAIR)
    [ada] = site.users(1)
    s1.begin(level)
    s1.run("SET LOCAL statement_timeout = '100ms'")
    with pytest.raises(errors.QueryCanceled):
        s1.insert(ada)
    s1.rollback()
    assert (site.failures(), site.pending(), site.sql("SELECT count(*) FROM dummy_sketch")) == ([], 0, [(0,)])


def test_cancellation_during_evaluation(site, s1):
    """pg_cancel_backend ends the write."""
    site.declare(HEAVY)
    [ada] = site.users(1)
    pid = s1.connection.info.backend_pid
    step = s1._thread.submit(s1.insert, ada)
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
    while not step.done():
        site.sql(cancel, [pid])
    with pytest.raises(errors.QueryCanceled):
        step.result()
    assert (site.failures(), site.sql("SELECT count(*) FROM dummy_sketch")) == ([], [(0,)])


@pytest.mark.parametrize("holds", ["bucket", "award"])
def test_cancellation_while_waiting(site, s1, s2, holds):
    """A write that waits for another transaction's badge work can be cancelled."""
    site.declare(PAIR)
    site.make_patient()
    [ada] = site.users(1)
    s1.begin()
    s1.insert(*[ada] * (2 if holds == "award" else 1))
    s2.begin("REPEATABLE READ" if holds == "award" else "READ COMMITTED")
    step = s2.start("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'A'), (%s, 'B')", [ada, ada])
    site.sql("SELECT pg_cancel_backend(%s)", [s2.connection.info.backend_pid])
    with pytest.raises(errors.QueryCanceled):
        step.result()
    s2.rollback()
    s1.commit()
    assert site.sql("SELECT count(*) FROM dummy_sketch") == [(2 if holds == "award" else 1,)]


@levels
@pytest.mark.parametrize("rows", [1, 300])
def test_table_of_a_condition_is_being_altered(site, s1, s2, level, rows):
    """A write ends while a table that a condition reads is being altered; the badge is awarded when that is over."""
    site.sql("CREATE TABLE likes (user_id bigint)")
    site.declare(PAIR, entry("liked", condition="count(*) >= 2 FROM likes WHERE user_id = NEW.user_id"))
    [ada] = site.users(1)
    site.sql("INSERT INTO likes VALUES (%s), (%s)", [ada, ada])
    s2.begin(level)
    s1.begin()
    s1.run("ALTER TABLE likes ADD COLUMN sketch_id bigint")
    started = time.monotonic()
    s2.insert(*[ada] * rows)
    assert time.monotonic() - started < AT_ONCE
    s2.commit()
    assert (site.badges(), site.failures()) == ([(ada, "pair")] if rows > 1 else [], [])
    s1.commit()
    assert site.settled_badges() == [(ada, "liked"), *([(ada, "pair")] if rows > 1 else [])]


def busy_transaction(site, s1, s2, level):
    """In s1: awards, pending checks, a wait in vain and a failure; gives the id of the row that was inserted last."""
    site.declare(PAIR, LOUD, FAILING)
    ada, bob = site.users(2)
    s2.begin()
    s2.insert(bob, views=100)
    s1.begin(level)
    s1.insert(ada, ada, views=100)
    s1.insert(bob, views=100)
    [(last,)] = s1.run("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'Sketch') RETURNING id", [bob])
    assert s1.run("SELECT count(*) FROM badges_badge") == [(3,)]
    assert s1.run("SELECT count(*) > 0 FROM badges_pendingcheck") == [(True,)]
    assert s1.run("SELECT count(*) > 0 FROM badges_failure") == [(True,)]
    return last


@levels
def test_lastval(site, s1, s2, level):
    """lastval() is the id of the caller's own row, whatever was awarded, left or noted after it."""
    last = busy_transaction(site, s1, s2, level)
    assert s1.run("SELECT lastval()") == [(last,)]


@levels
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_nothing_stays_in_the_session(site, s1, s2, level, end):
    """A pooled connection goes back as it came: no lock, no setting, no temporary table, no cursor, no channel."""

    def state():
        return [
            s1._execute("SELECT name, setting FROM pg_settings WHERE name !~ '^transaction_' ORDER BY 1", None),
            s1._execute("SELECT coalesce(current_setting('badges.patience', true), '')", None),
            s1._execute("SELECT locktype FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'", None),
            s1._execute("SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()", None),
            s1._execute("SELECT name FROM pg_cursors WHERE name <> ''", None),
            s1._execute("SELECT name FROM pg_prepared_statements", None),
            s1._execute("SELECT pg_listening_channels()", None),
        ]

    s1._execute("DO $$ BEGIN END $$", None)  # PL/pgSQL brings settings along when a session first uses it
    before = state()
    busy_transaction(site, s1, s2, level)
    assert state() != before, "inside the transaction there is something to see"
    getattr(s1, end)()
    assert state() == before


@pytest.mark.long
def test_one_transaction_over_100_000_users(site, s1):
    """However many users it touches, its locks fit into the memory of a server with default settings."""
    default = "SELECT setting = boot_val FROM pg_settings WHERE name = 'max_locks_per_transaction'"
    assert site.sql(default) == [(True,)]
    users = 100_000
    site.sql(
        """
        INSERT INTO auth_user (id, username, password, first_name, last_name, email,
                               is_superuser, is_staff, is_active, date_joined)
        SELECT number, number, '', '', '', '', false, false, true, now() FROM generate_series(1, %s) AS number
        """,
        [users],
    )
    s1.begin()
    s1.run("SET LOCAL statement_timeout = 0")
    s1.run("INSERT INTO dummy_sketch (user_id, title, hit_views) SELECT id, 'Sketch', 100 FROM auth_user")
    s1.run(
        """
        DO $$
        DECLARE
            number integer;
        BEGIN
            FOR number IN SELECT id FROM auth_user WHERE id <= 20000 LOOP
                INSERT INTO dummy_sketch (user_id, title) VALUES (number, 'Another');
            END LOOP;
        END
        $$
        """
    )
    s1.run("INSERT INTO dummy_sketch (user_id, title) SELECT id, 'Another' FROM auth_user WHERE id > 20000")
    locks = s1.run("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'")
    assert locks == [(1024,)]
    s1.commit()
    assert site.pending() == 0
    assert site.sql("SELECT code, count(*) FROM badges_badge GROUP BY 1 ORDER BY 1") == [
        ("loud", users),
        ("pair", users),
    ]
