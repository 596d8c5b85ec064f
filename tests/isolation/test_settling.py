"""Settling beside writers and other settlers: a check is deleted only once it has been decided for good."""

from __future__ import annotations

import pytest
from conftest import entry

from isolation.harness import LEVELS, READ_COMMITTED, Site

TRIO = entry("trio", condition="count(*) >= 3 from dummy_sketch where user_id = NEW.user_id")

levels = pytest.mark.parametrize("level", LEVELS)
ends = pytest.mark.parametrize("end", ["commit", "rollback"])


def leave_checks(site: Site, *users: int) -> None:
    """Two sketches for each of the users, of two sessions that did not see each other."""
    one, other = site.session(), site.session()
    one.begin()
    other.begin()
    one.insert(*users)
    other.insert(*users)
    one.commit()
    other.commit()
    assert (site.badges(), site.pending()) == ([], len(users))


@ends
def test_writer_settles_while_another_settles(site, s1, s2, end):
    """A check that an open writer has settled is not settled by others, and comes back if the writer is rolled back."""
    site.declare(TRIO)
    [ada] = site.users(1)
    leave_checks(site, ada)
    s1.begin()
    s1.insert(ada)
    assert s2.settle() == (0, 0)
    getattr(s1, end)()
    assert site.pending() == (1 if end == "rollback" else 0)
    assert site.settled_badges() == ([(ada, "trio")] if end == "commit" else [])


@levels
@ends
def test_writer_beside_an_open_settler(site, s1, s2, s3, level, end):
    """What the settler did not see leaves a check of its own, as the settler has the bucket."""
    site.declare(TRIO)
    [ada] = site.users(1)
    leave_checks(site, ada)
    s1.begin()
    assert s1.settle() == (1, 0)
    s2.begin(level)
    s3.begin(level)
    s2.run("DELETE FROM dummy_sketch WHERE id = (SELECT min(id) FROM dummy_sketch)")
    s2.insert(ada)
    s3.insert(ada)
    s2.rollback()
    getattr(s1, end)()
    s3.commit()
    assert site.settled_badges() == [(ada, "trio")]


@ends
def test_two_settlers(site, s1, s2, end):
    """The second leaves alone what the first is at, and finds it again if the first is undone."""
    ada, bob = site.users(2)
    leave_checks(site, ada, bob)
    s1.begin()
    assert s1.settle() == (2, 0)
    assert s2.settle() == (0, 0)
    getattr(s1, end)()
    assert s2.settle() == ((0, 0) if end == "commit" else (2, 0))
    assert (site.badges(), site.pending()) == ([(ada, "pair"), (bob, "pair")], 0)


def test_second_settler_keeps_what_came_later(site, s1, s2):
    """A check that was left during an open settlement conflicts with its award, and stays until it has ended."""
    [ada] = site.users(1)
    leave_checks(site, ada)
    s1.begin()
    assert s1.settle() == (1, 0)
    s2.insert(ada)
    assert s2.settle() == (0, 1)
    s1.rollback()
    assert site.settled_badges() == [(ada, "pair")]


@levels
def test_check_stays_while_the_twin_is_uncommitted(site, s1, s2, s3, level):
    """An uncommitted award may be rolled back, so a check that conflicts with it waits for its end."""
    [ada] = site.users(1)
    s1.insert(ada)
    s1.begin(level)
    s1.insert(ada)
    s2.insert(ada)
    assert site.pending() == 1
    assert s3.settle() == (0, 1)
    s1.rollback()
    assert (site.badges(), site.pending()) == ([], 1)
    assert site.settled_badges() == [(ada, "pair")]


def test_revoked_whatever_the_number_of_buckets(site, s1):
    """A manual revocation is not undone by a check that was left when there were other buckets."""
    [ada] = site.users(1)
    s1.insert(ada)
    s1.begin("REPEATABLE READ")
    s1.insert(ada)
    s1.commit()
    site.sql(
        "INSERT INTO badges_pendingcheck (bucket, user_id, code, thing, evidence)"
        " SELECT 4095, user_id, code, '', evidence FROM badges_badge"
    )
    assert s1.revoke(ada, "pair")
    assert site.pending() == 0
    assert site.settled_badges() == []


def test_holder_of_the_bucket_keeps_the_check_of_a_twin(site, s1, s2, s3):
    """Even with the bucket in hand, a writer and a settler that meet an uncommitted award leave a check."""
    [ada] = site.users(1)
    s1.insert(ada)
    s3.begin()
    s3.revoke(ada, "pair")
    s1.begin()
    s1.insert(ada)  # awards without the bucket, which s3 has
    s3.rollback()
    s2.insert(ada)
    assert (site.badges(), site.pending()) == ([], 1)
    assert s3.settle() == (0, 1)
    s1.rollback()
    assert site.settled_badges() == [(ada, "pair")]


@pytest.mark.parametrize("level", LEVELS[1:])
def test_nothing_is_settled_in_an_old_snapshot(site, s1, level):
    """Above READ COMMITTED the lock comes too late for the snapshot, so the checks stay."""
    [ada] = site.users(1)
    leave_checks(site, ada)
    s1.begin(level)
    assert s1.settle() == (0, 0)
    s1.commit()
    assert site.pending() == 1
    s1.begin(READ_COMMITTED)
    assert s1.settle() == (1, 0)
    s1.commit()
    assert site.badges() == [(ada, "pair")]


def test_checks_that_have_to_wait_keep_no_others_waiting(site, s1, s2):
    """More checks than a batch that an open transaction keeps do not hide one that can be settled."""
    bob, *others = site.users(121)
    leave_checks(site, bob)
    site.sql("UPDATE badges_pendingcheck SET noted_at = 'infinity'")
    s1.begin()
    s1.insert(*others)
    s2.insert(*others)
    assert site.settle() == (1, 120)
    assert site.badges() == [(bob, "pair")]
    s1.commit()
    assert site.settled_badges() == [(user, "pair") for user in (bob, *others)]


def test_a_failing_check_stays_and_is_told(site):
    """A check whose condition fails is settled once the condition is fixed."""
    [ada] = site.users(1)
    leave_checks(site, ada)
    site.sql("ALTER TABLE dummy_sketch RENAME TO drawing")
    assert site.settle() == (0, 1)
    assert site.failures() == [("pair", "42P01")]
    site.sql("ALTER TABLE drawing RENAME TO dummy_sketch")
    assert site.settled_badges() == [(ada, "pair")]
