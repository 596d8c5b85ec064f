"""No badge is lost in silence, and no write fails or waits without bound, whatever the host locks or defers."""

from __future__ import annotations

import psycopg
import pytest
from conftest import entry

from isolation.conftest import LOUD, PAIR
from isolation.harness import READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE

FOUR = entry("four", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id", revocable=True)
RAISED = entry("raised", condition="NEW.hit_views > OLD.hit_views", trigger_condition="update")
RAISED_PAIR = entry(
    "raised-pair",
    condition="NEW.hit_views > OLD.hit_views and (select count(*) from dummy_sketch where user_id = NEW.user_id) >= 2",
    trigger_condition="update",
)
#: One of each: by the row alone, by others, revocable, on statement and on row level.
KINDS = [LOUD, PAIR, FOUR, RAISED, RAISED_PAIR]
CODES = sorted(each["code"] for each in KINDS)
OUR_TABLES = ["badges_badge", "badges_badgedefinition", "badges_badgeevent", "badges_pendingcheck", "badges_failure"]


@pytest.fixture
def kinds(site):
    site.declare(*KINDS)


def earn(session, *users):
    """Write what earns each of these users every badge: one statement each, whatever the number of users."""
    session.insert(*users, *users, views=100)
    session.run("UPDATE dummy_sketch SET hit_views = hit_views + 1 WHERE user_id = ANY (%s::bigint[])", [list(users)])


def earn_by_single_rows(session, user):
    for _ in range(2):
        session.insert(user, views=100)
    session.run(
        "UPDATE dummy_sketch SET hit_views = hit_views + 1"
        " WHERE id = (SELECT max(id) FROM dummy_sketch WHERE user_id = %s)",
        [user],
    )


def all_held_by(*users):
    return sorted((user, code) for user in users for code in CODES)


@pytest.mark.parametrize("table", ["badges_badge", "badges_badgedefinition", "badges_badgeevent", "auth_user"])
def test_locked_table(site, kinds, s1, s2, table):
    """A table that an award needs is locked: writes succeed, no condition counts as failed, and no badge is lost."""
    ada, bob, *others = site.users(6)
    s2.begin()
    s2.run(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    s1.run("SET session_replication_role = origin")
    s1.begin()
    s1.run("SET CONSTRAINTS ALL DEFERRED")
    earn(s1, ada, *others)
    earn_by_single_rows(s1, bob)
    commit = s1._thread.submit(s1.commit) if table == "auth_user" else None
    if commit is None:
        s1.commit()
    assert site.failures() == []
    s2.rollback()
    if commit:
        commit.result()
    assert site.settled_badges() == all_held_by(ada, bob, *others)


@pytest.mark.parametrize("table", ["badges_pendingcheck", "badges_failure"])
def test_nothing_can_be_written_down(site, kinds, s1, s2, s3, table):
    """Where nothing can be written down, writes succeed all the same, and award_badges finds what they missed."""
    [ada, bob] = site.users(2)
    site.declare(*KINDS, entry("broken", condition="1 / (NEW.hit_views - NEW.hit_views) > 0"))
    s3.begin()
    s3.run("SELECT pg_advisory_xact_lock(%s, bucket) FROM generate_series(0, 1023) AS bucket", [0x62616467])
    s2.begin()
    s2.run(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    s1.run("SET statement_timeout = '20s'")
    earn(s1, ada)
    earn_by_single_rows(s1, bob)
    s2.rollback()
    s3.rollback()
    assert site.sql("SELECT count(*) FROM dummy_sketch") == [(4,)]
    # What is decided by an UPDATE that pairs two rows is gone with it.
    by_rows = [(user, code) for user in (ada, bob) for code in ("four", "loud", "pair")]
    site.award()
    assert set(by_rows) <= set(site.badges())


def test_deferred_constraints(site, kinds, s1, s2):
    """With all constraints deferred, a user who is deleted beside an award does not fail the writer's COMMIT."""
    [ada] = site.users(1)
    site.drop_foreign_keys("dummy_sketch")
    for level in (READ_COMMITTED, REPEATABLE_READ):
        s1.begin(level)
        s1.run("SET CONSTRAINTS ALL DEFERRED")
        s2.begin()
        s2.run("DELETE FROM auth_user WHERE id = %s", [ada])
        earn_by_single_rows(s1, ada)
        earn(s1, ada)
        s2.commit()
        s1.commit()
        site.settle()
        assert site.badges() == []
        assert site.pending() == 0
        site.sql(
            "INSERT INTO auth_user SELECT (u).* FROM (SELECT jsonb_populate_record(u, jsonb_build_object("
            "'id', %s::bigint, 'username', 'again' || %s)) AS u FROM auth_user AS u LIMIT 1) AS made",
            [ada, level],
        )
        site.sql("DELETE FROM dummy_sketch")


@pytest.mark.parametrize("level", [READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE])
def test_rows_before_their_user(site, kinds, s1, level):
    """Rows that come before their user in one transaction, as deferred keys allow, earn what they would after it."""
    s1.begin(level)
    s1.run("SET CONSTRAINTS ALL DEFERRED")
    earn(s1, 900_001)
    earn_by_single_rows(s1, 900_002)
    for user in (900_001, 900_002):
        s1.run(
            "INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser, is_staff, "
            "is_active, date_joined) VALUES (%s, %s, '', '', '', '', false, false, true, now())",
            [user, f"u{user}"],
        )
    s1.commit()
    assert site.settled_badges() == all_held_by(900_001, 900_002)
    assert site.failures() == []


@pytest.mark.parametrize("level", [REPEATABLE_READ, SERIALIZABLE])
def test_snapshot_older_than_the_user(site, kinds, s1, level):
    """A write whose snapshot does not show the user yet leaves a pending check, which awards."""
    site.drop_foreign_keys("dummy_sketch")
    s1.begin(level)
    s1.run("SELECT count(*) FROM auth_user")
    ada, bob = site.users(2)
    earn(s1, ada)
    earn_by_single_rows(s1, bob)
    s1.commit()
    assert site.settled_badges() == all_held_by(ada, bob)
    assert site.failures() == []


@pytest.mark.parametrize("level", [REPEATABLE_READ, SERIALIZABLE])
def test_snapshot_older_than_the_badge(site, s1, level):
    """A write whose snapshot does not show the definition yet leaves a pending check, which awards."""
    site.declare()
    site.sql("DELETE FROM badges_badgedefinition")
    ada, bob = site.users(2)
    s1.begin(level)
    s1.run("SELECT count(*) FROM badges_badgedefinition")
    site.declare(*KINDS)
    earn(s1, ada)
    earn_by_single_rows(s1, bob)
    s1.commit()
    assert site.settled_badges() == all_held_by(ada, bob)
    assert site.failures() == []


def test_user_who_never_comes(site, kinds, s1):
    """Rows of a user who does not exist leave nothing behind once they are settled."""
    site.drop_foreign_keys("dummy_sketch")
    earn(s1, 900_001)
    earn_by_single_rows(s1, 900_002)
    assert site.settled_badges() == []
    assert site.failures() == []


def test_key_of_a_user_changes(site, kinds, s1, s2):
    """Badges, events, deliveries and pending checks follow a user whose key changes; the history says nothing else."""
    ada, bob = site.users(2)
    earn(s1, ada)
    s1.begin(REPEATABLE_READ)
    s1.insert(ada)
    s1.commit()
    waiting = site.pending()
    before = site.sql("SELECT code, kind, at, cause FROM badges_badgeevent ORDER BY at")
    assert waiting
    site.drop_foreign_keys("dummy_sketch")
    site.sql("UPDATE auth_user SET id = 800000 + id WHERE id = %s", [ada])
    moved = 800_000 + ada
    assert site.badges() == all_held_by(moved)
    assert site.sql("SELECT code, kind, at, cause FROM badges_badgeevent ORDER BY at")[: len(before)] == before
    assert site.sql("SELECT DISTINCT user_id FROM badges_badgeevent") == [(moved,)]
    assert site.sql("SELECT DISTINCT user_id FROM badges_pendingcheck") == [(moved,)]
    assert site.sql("SELECT count(*) FROM badges_pendingcheck WHERE bucket <> user_id & 1023") == [(0,)]
    site.sql("UPDATE dummy_sketch SET user_id = 800000 + user_id WHERE user_id = %s", [ada])
    assert site.settled_badges() == all_held_by(moved)
    with pytest.raises(psycopg.Error, match="events of badges are only added"):
        site.sql("UPDATE badges_badgeevent SET user_id = %s", [bob])


SWEPT = entry(
    "swept",
    condition="OLD.title = 'gold' and not exists (select from dummy_sketch where user_id = OLD.user_id)",
    trigger_condition="delete",
)


def sketches(site, user, *titles):
    for title in titles:
        site.sql("INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, %s, 0)", [user, title])


def delete(session, title):
    session.run("DELETE FROM dummy_sketch WHERE title = %s", [title])


def change_key(session, user):
    session.run("UPDATE auth_user SET id = 800000 + id WHERE id = %s", [user])


def former_keys(site):
    return site.sql("SELECT count(*) FROM badges_formerkey")[0][0]


@pytest.mark.parametrize("level", [READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE])
@pytest.mark.parametrize("silver", ["deleted", "kept"])
def test_checks_left_beside_the_change_of_a_key(site, s1, s2, level, silver):
    """Checks that others leave while a key changes follow a user without any event, and are evaluated for the new key.

    The row that decides the badge is deleted beside the change: only its check can award it.
    """
    site.declare(SWEPT)
    [ada] = site.users(1)
    site.drop_foreign_keys("dummy_sketch")
    sketches(site, ada, "gold", "silver")
    s2.begin(level)
    s1.begin(level)
    change_key(s1, ada)
    delete(s2, "gold")
    if silver == "deleted":
        delete(s1, "silver")
    else:
        s1.run("UPDATE dummy_sketch SET user_id = user_id + 800000 WHERE title = 'silver'")
    s1.commit()
    # The former key is known as long as a transaction runs that may leave a check under it.
    site.settle()
    site.settle()
    assert former_keys(site) == 1
    s2.commit()
    # Settled by the bucket alone it would be gone, as its user is.
    site.sql("SELECT badges_settle(ARRAY[%s], 100)", [ada & 1023])
    assert site.pending()
    assert site.settled_badges() == ([(800_000 + ada, "swept")] if silver == "deleted" else [])
    site.settle()
    assert former_keys(site) == 0


@pytest.mark.parametrize("is_revoked", [False, True])
def test_shared_check_of_a_user_whose_key_changes(site, s1, s2, is_revoked):
    """A check that another transaction keeps locked follows later, from key to key; a manual revocation finds it."""
    site.declare(entry("three", condition="count(*) >= 3 from dummy_sketch where user_id = NEW.user_id"))
    [ada] = site.users(1)
    site.drop_foreign_keys("dummy_sketch")
    s1.begin(REPEATABLE_READ)
    s1.insert(ada)
    s1.commit()
    assert site.pending() == 1
    s2.begin(REPEATABLE_READ)
    s2.insert(ada)
    change_key(s1, ada)
    change_key(s1, 800_000 + ada)
    ada, former = 1_600_000 + ada, ada
    s2.commit()
    assert site.sql("SELECT DISTINCT user_id FROM badges_pendingcheck") == [(former,)]
    site.sql("SET session_replication_role = replica")
    site.sql("INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, '', 0)", [ada])
    site.sql("UPDATE dummy_sketch SET user_id = %s", [ada])
    site.sql("SET session_replication_role = origin")
    if is_revoked:
        s1.revoke(ada, "three")
    assert site.settled_badges() == ([] if is_revoked else [(ada, "three")])


def test_key_that_another_user_gets(site, s1):
    """Two users exchange their keys: the checks that are there go with their users."""
    site.declare(SWEPT)
    ada, bob = site.users(2)
    site.drop_foreign_keys("dummy_sketch")
    sketches(site, ada, "gold", "gold")
    s1.run("DELETE FROM dummy_sketch WHERE id = (SELECT min(id) FROM dummy_sketch)")
    assert site.pending() == 1
    s1.begin()
    for old, new in ((ada, -1), (bob, ada), (-1, bob)):
        s1.run("UPDATE auth_user SET id = %s WHERE id = %s", [new, old])
    s1.run("UPDATE dummy_sketch SET user_id = %s", [bob])
    s1.commit()
    assert site.sql("SELECT user_id FROM badges_pendingcheck") == [(bob,)]
    assert site.settled_badges() == []
    site.settle()
    assert former_keys(site) == 0


def test_function_that_follows_cannot(site, s1):
    """Where checks cannot follow, the change of the key succeeds nevertheless; other updates of users note nothing."""
    [ada] = site.users(1)
    s1.run("UPDATE auth_user SET id = id, first_name = 'Ada'")
    assert former_keys(site) == 0
    site.sql("DROP TABLE badges_formerkey")
    change_key(s1, ada)
    assert site.sql("SELECT count(*) FROM auth_user WHERE id > 800000") == [(1,)]


def test_full_queue_of_notifications(site, kinds, s1):
    """Where a session keeps the queue of NOTIFY more than half full, no write adds to it: it would fail at COMMIT."""
    functions = site.sql("SELECT prosrc FROM pg_proc WHERE prosrc LIKE '%%pg_notify%%' AND proname LIKE 'badges%%'")
    assert functions
    for (source,) in functions:
        assert source.count("pg_notify(") == source.count("pg_notification_queue_usage() < 0.5")


def test_key_of_a_user_changes_above_read_committed(site, s1):
    """The host's UPDATE of a key succeeds where checks of the old key and of the new one meet."""
    named = entry(
        "named",
        condition="count(*) >= 1 from dummy_sketch join auth_user u on u.id = user_id where user_id = NEW.user_id",
        revocable=True,
        trigger_condition=None,
        trigger_table=None,
        user_field=None,
        triggers=[
            {"table": "dummy_sketch", "on": ["insert"], "user_field": "user_id"},
            {"table": "auth_user", "on": ["update"], "user_field": "id"},
        ],
    )
    site.declare({key: value for key, value in named.items() if value is not None})
    [ada] = site.users(1)
    site.drop_foreign_keys("dummy_sketch")
    s1.insert(ada)
    for level in (REPEATABLE_READ, SERIALIZABLE):
        s1.begin(level)
        s1.run("UPDATE auth_user SET id = id + 100000 WHERE id >= %s", [ada])
        s1.run("UPDATE dummy_sketch SET user_id = user_id + 100000")
        s1.commit()
        ada += 100_000
        assert site.settled_badges() == [(ada, "named")]


@pytest.mark.parametrize(
    "table",
    ["auth_user", "dummy_sketch", *(f"badges_{name}" for name in (
        "badge", "badgedefinition", "badgeevent", "delivery", "failure", "pendingcheck"))],
)  # fmt: skip
def test_settling_beside_a_locked_table(site, kinds, s1, s2, table):
    """badges_settle() does not fail while a table is locked that it needs, and later finds what it left."""
    [ada] = site.users(1)
    s1.begin(REPEATABLE_READ)
    earn(s1, ada)
    s1.commit()
    s1.begin(REPEATABLE_READ)
    s1.insert(ada)
    s1.commit()
    s2.begin()
    s2.run(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    [(settled,)] = s1.run("SELECT settled FROM badges_settle(ARRAY[%s], 100)", [ada & 1023])
    assert settled == 0 or table not in ("badges_pendingcheck", "badges_badgedefinition", "badges_badge")
    s2.rollback()
    assert site.settled_badges() == all_held_by(ada)
    assert site.failures() == []


@pytest.mark.parametrize("table", ["badgedefinition", "delivery", "failure", "pendingcheck"])
def test_change_of_a_user_beside_a_locked_table(site, kinds, s1, s2, table):
    """A user is deleted, and another gets a new key, while a table is locked that no foreign key leads to."""
    ada, bob = site.users(2)
    earn(s1, ada)
    earn(s1, bob)
    site.drop_foreign_keys("dummy_sketch")
    s2.begin()
    s2.run(f"LOCK TABLE badges_{table} IN ACCESS EXCLUSIVE MODE")
    s1.run("UPDATE auth_user SET id = 800000 + id WHERE id = %s", [ada])
    s1.run("DELETE FROM auth_user WHERE id = %s", [bob])
    s2.rollback()
    assert site.badges() == all_held_by(800_000 + ada)
    assert site.sql("SELECT DISTINCT user_id, kind FROM badges_badgeevent") == [(800_000 + ada, "awarded")]
