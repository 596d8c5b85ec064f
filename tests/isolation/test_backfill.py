"""Awarding what exists beside transactions that began under other definitions."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from conftest import entry
from django.db import connections

from badges import definitions
from badges.operations import backfill, parts
from isolation.conftest import LOUD, PAIR
from isolation.harness import ALIAS


def award_pair(site) -> backfill.BackfillProgress:
    """What `award_badges pair` comes to."""
    declared = definitions.load(site.badge_file)
    *_, last = backfill.award(connections[ALIAS], declared, site.badge_file, ["pair"])
    return last


def test_writer_from_before_the_badge(site, s1, monkeypatch):
    """What a transaction wrote before the badge was declared counts once it has ended; until then it is named."""
    monkeypatch.setattr(backfill, "WRITERS_TIMEOUT", 0.2)
    site.declare(LOUD)
    [ada] = site.users(1)
    s1.begin()
    s1.insert(ada)
    s1.insert(ada)
    site.declare(PAIR, LOUD)
    progress = award_pair(site)
    assert (progress.awarded, len(progress.open_writers)) == (0, 1)
    assert f"process {s1.connection.info.backend_pid} " in progress.open_writers[0]
    s1.commit()
    progress = award_pair(site)
    assert (progress.awarded, progress.open_writers) == (1, ())
    assert site.badges() == [(ada, "pair")]


@pytest.fixture
def doors(site):
    """Let each of the next statements that award wait, after its snapshot, until a user has been deleted."""
    site.sql("SET lock_timeout = '100ms'")
    site.sql("CREATE SEQUENCE arrived")
    site.sql("CREATE SEQUENCE opened MINVALUE 0 START 0")
    # What sequences say is seen by all at once.
    site.sql("""
        CREATE FUNCTION wait_at_the_door() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            door bigint := nextval('public.arrived');
        BEGIN
            WHILE door > (SELECT last_value FROM public.opened) LOOP
                PERFORM pg_sleep(0.002);
            END LOOP;
            RETURN NULL;
        END $$""")
    site.sql("CREATE TRIGGER door BEFORE INSERT ON badges_badge FOR EACH STATEMENT EXECUTE FUNCTION wait_at_the_door()")

    def run(work, victims):
        """Do the work, and delete one of the victims at each door; gives what the work gives, and who was deleted.

        Of whom was awarded already, the deletion would wait for the end of the work.
        """
        deleted = []
        with ThreadPoolExecutor(1) as thread:
            job = thread.submit(work)
            try:
                for number, victim in enumerate(victims, start=1):
                    while site.sql("SELECT last_value, is_called FROM arrived")[0] < (number, True) and not job.done():
                        time.sleep(0.002)
                    with contextlib.suppress(psycopg.errors.LockNotAvailable):
                        site.sql("DELETE FROM auth_user WHERE id = %s", [victim])
                        deleted.append(victim)
                    site.sql("SELECT setval('opened', %s)", [number])
            finally:
                site.sql("SELECT setval('opened', 1000)")
            return job.result(), deleted

    return run


def move_the_door(site):
    """From the INSERT, before which the users are locked already, to where their locks are taken."""
    site.sql("DROP TRIGGER door ON badges_badge")
    site.sql("""
        CREATE FUNCTION wait_before_the_locks() RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            door bigint := nextval('public.arrived');
        BEGIN
            WHILE door > (SELECT last_value FROM public.opened) LOOP
                PERFORM pg_sleep(0.002);
            END LOOP;
        END $$""")
    [(definition,)] = site.sql("SELECT pg_get_functiondef('badges_record'::regproc)")
    site.sql(definition.replace("\nBEGIN\n", "\nBEGIN\n    PERFORM public.wait_before_the_locks();\n", 1))


def before_the_badge(site, *, has_index=True, **changes):
    """Users who qualify for a badge that is declared after their rows."""
    site.declare()
    users = site.users(40)
    site.sql("CREATE TABLE visit (user_id integer REFERENCES auth_user ON DELETE CASCADE)")
    if has_index:
        site.sql("CREATE INDEX ON visit (user_id)")
    site.sql("INSERT INTO visit SELECT unnest(%s::integer[])", [users])
    site.declare(entry("late", condition="now() > '2000-01-01'", trigger_table="visit", **changes))
    return users


def award_late(site):
    """What `award_badges` comes to, in a thread of its own."""
    try:
        *_, last = backfill.award(connections[ALIAS], definitions.load(site.badge_file), site.badge_file)
        return last
    finally:
        connections[ALIAS].close()


@pytest.mark.parametrize("changes", [{}, {"revocable": True}, {"expires_after": "1 day"}])
@pytest.mark.parametrize("has_index", [True, False])
def test_users_deleted_meanwhile(site, doors, has_index, changes):
    """Users who are deleted while `award_badges` runs are skipped; all others are awarded."""
    users = before_the_badge(site, has_index=has_index, **changes)
    progress, deleted = doors(lambda: award_late(site), users[::9])
    assert len(deleted) >= 3
    left = [user for user in users if user not in deleted]
    assert site.badges() == [(user, "late") for user in left]
    assert (progress.awarded, progress.error, progress.left, site.pending()) == (len(left), "", 0, 0)


@pytest.mark.parametrize("changes", [{}, {"revocable": True}, {"expires_after": "1 day"}])
def test_users_deleted_while_catching_up(site, doors, s1, changes):
    """The same holds of the function badges_catch_up."""
    users = before_the_badge(site, **changes)
    move_the_door(site)
    result, deleted = doors(lambda: s1.run("SELECT * FROM badges_catch_up()"), users[:1])
    left = [user for user in users if user not in deleted]
    assert result == [(len(left), 0, 0)]
    assert site.badges() == [(user, "late") for user in left]
    assert deleted
    assert site.failures() == []


@pytest.fixture
def impatient(monkeypatch):
    """No lock of these tests ends while it is waited for."""
    monkeypatch.setattr(parts, "LOCK_TIMEOUT", "20ms")
    monkeypatch.setattr(backfill, "WRITERS_TIMEOUT", 0.05)


@pytest.mark.parametrize("changes", [{}, {"revocable": True}])
def test_user_being_deleted(site, s1, impatient, changes):
    """A deletion that stays open is not waited for; if it is rolled back, a pending check awards the badge."""
    users = before_the_badge(site, **changes)
    s1.begin()
    s1.run("DELETE FROM auth_user WHERE id = %s", [users[7]])
    progress = award_late(site)
    assert (progress.awarded, progress.left, progress.error) == (39, 1, "")
    s1.rollback()
    assert site.settled_badges() == [(user, "late") for user in users]


def test_expired_badge_of_user_being_deleted(site, s1, impatient):
    """Expired badges go and are awarded again, but for that of a user whose deletion is open."""
    users = before_the_badge(site, expires_after="1 day")
    award_late(site)
    site.sql("UPDATE badges_badge SET expires_at = now() - interval '1 hour'")
    s1.begin()
    s1.run("DELETE FROM auth_user WHERE id = %s", [users[7]])
    assert award_late(site).awarded == 39
    s1.commit()
    assert site.badges() == [(user, "late") for user in users if user != users[7]]
