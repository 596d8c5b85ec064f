"""Moments that are too short to be met by chance, and checks that outlive the rule that left them."""

from __future__ import annotations

import pytest
from conftest import entry

from isolation.harness import REPEATABLE_READ

FIVE = entry("five", condition="count(*) >= 5 from dummy_sketch where user_id = NEW.user_id", revocable=True)
PLAIN = {**FIVE, "revocable": False}
DELETE = "DELETE FROM dummy_sketch WHERE id = (SELECT min(id) FROM dummy_sketch WHERE user_id = %s)"
GATE = 4711


def stop_before_the_lock(site):
    """Let each write that checks cross-row badges wait for the advisory lock GATE just before it locks the bucket."""
    site.make_patient()
    for (definition,) in site.sql(
        "SELECT pg_get_functiondef(oid) FROM pg_proc"
        " WHERE prosrc LIKE '%pg_try_advisory_xact_lock%' AND prorettype = 'trigger'::regtype"
    ):
        gate = f"PERFORM pg_advisory_lock({GATE}), pg_advisory_unlock({GATE});"
        site.sql(definition.replace("own.buckets := ARRAY[", f"{gate}\n            own.buckets := ARRAY["))


def test_awarded_just_before_the_lock(site, s1, s2, s3):
    """A badge that was awarded between the lookup of held badges and the lock is revoked."""
    site.declare(FIVE)
    [ada] = site.users(1)
    s1.insert(*[ada] * 4)
    stop_before_the_lock(site)
    s1.begin()
    s1.insert(ada)
    s3.run("SELECT pg_advisory_lock(%s)", [GATE])
    deletion = s2.start(DELETE, [ada])
    s1.commit()
    s3.run("SELECT pg_advisory_unlock(%s)", [GATE])
    deletion.result()
    assert site.settled_badges() == []


def test_taken_back_just_before_the_lock(site, s1, s2, s3):
    """A badge that was revoked between the lookup of held badges and the lock is awarded again."""
    site.declare(FIVE)
    [ada] = site.users(1)
    s1.insert(*[ada] * 5)
    stop_before_the_lock(site)
    s1.begin()
    s1.run(DELETE, [ada])
    s3.run("SELECT pg_advisory_lock(%s)", [GATE])
    insertion = s2.start("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, '')", [ada])
    s1.commit()
    s3.run("SELECT pg_advisory_unlock(%s)", [GATE])
    insertion.result()
    assert site.settled_badges() == [(ada, "five")]


@pytest.mark.parametrize(("before", "after"), [(PLAIN, FIVE), (FIVE, PLAIN)], ids=["becomes", "ceases"])
def test_check_of_another_rule(site, s1, s2, before, after):
    """A check that was left before a badge became revocable, or ceased to be, is settled by the new rule."""
    site.declare(before)
    [ada] = site.users(1)
    s1.insert(*[ada] * 3)
    s1.begin(REPEATABLE_READ)
    s2.begin(REPEATABLE_READ)
    s1.insert(ada)
    s2.insert(ada)
    s1.commit()
    s2.commit()
    assert site.pending() >= 2
    site.declare(after)
    assert site.settled_badges() == [(ada, "five")]


def test_check_of_another_event(site, s1, s2):
    """The same where it is checked after other events."""
    site.declare(PLAIN)
    [ada] = site.users(1)
    s1.insert(*[ada] * 3)
    s1.begin(REPEATABLE_READ)
    s2.begin(REPEATABLE_READ)
    s1.insert(ada)
    s2.insert(ada)
    s1.commit()
    s2.commit()
    site.declare({**PLAIN, "trigger_condition": "update"})
    assert site.settled_badges() == [(ada, "five")]


def test_expired_beside_an_open_award(site, s1, s2):
    """An expired badge is earned again, even if the same statement conflicts with an uncommitted award."""
    fresh = entry(
        "fresh", condition="count(*) >= 1 from dummy_sketch where user_id = NEW.user_id", expires_after="30 days"
    )
    site.declare(fresh)
    ada, bob = site.users(2)
    s1.insert(ada)
    site.sql("UPDATE badges_badge SET expires_at = now() - interval '1 second'")
    s1.begin(REPEATABLE_READ)
    s1.insert(bob)
    s2.insert(ada, bob)
    s1.commit()
    site.settle()
    current = "SELECT user_id FROM badges_badge WHERE expires_at > now() ORDER BY user_id"
    assert site.sql(current) == [(ada,), (bob,)]


def test_check_that_keeps_short_texts(site, s1, s2):
    """Columns of char(n) and bit(n) are evaluated later with their original values."""
    site.sql("CREATE TABLE trips (user_id bigint, country char(3), seen bit(3))")
    condition = (
        "NEW.country = 'FRA' and NEW.seen = b'101' and (select count(*) from trips where user_id = NEW.user_id) >= 2"
    )
    site.declare(entry("paris", condition=condition, trigger_table="trips"))
    [ada] = site.users(1)
    s1.begin(REPEATABLE_READ)
    s2.begin(REPEATABLE_READ)
    for session in (s1, s2):
        session.run("INSERT INTO trips VALUES (%s, 'FRA', b'101')", [ada])
    s1.commit()
    s2.commit()
    assert site.settled_badges() == [(ada, "paris")]
