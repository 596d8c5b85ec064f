"""Writers among themselves: in whatever order they go, what the condition says is awarded, and nothing fails."""

from __future__ import annotations

import itertools
import time

import pytest
from conftest import entry

from isolation.conftest import LOUD, PAIR
from isolation.harness import AT_ONCE, LEVELS

TRIO = entry("trio", condition="count(*) >= 3 from dummy_sketch where user_id = NEW.user_id")

levels = pytest.mark.parametrize("level", LEVELS)
ends = pytest.mark.parametrize("end", ["commit", "rollback"])


@levels
@pytest.mark.parametrize("first", ["s1", "s2"])
def test_both_below_the_threshold(site, s1, s2, level, first):
    """Two sketches that do not see each other make a pair, in either order of commits."""
    [ada] = site.users(1)
    s1.begin(level)
    s2.begin(level)
    s1.insert(ada)
    s2.insert(ada)
    for session in (s1, s2) if first == "s1" else (s2, s1):
        session.commit()
    assert site.settled_badges() == [(ada, "pair")]


@pytest.mark.parametrize("mixed", list(itertools.permutations(LEVELS, 2)), ids="-".join)
def test_both_below_the_threshold_at_different_levels(site, s1, s2, mixed):
    """A SERIALIZABLE transaction is protected only against its like; the badge comes all the same."""
    [ada] = site.users(1)
    s1.begin(mixed[0])
    s2.begin(mixed[1])
    s1.insert(ada)
    s2.insert(ada)
    s1.commit()
    s2.commit()
    assert site.settled_badges() == [(ada, "pair")]


@levels
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_three_below_the_threshold(site, s1, s2, s3, level, order):
    """Three sketches of three sessions make a trio, in whatever order they commit."""
    site.declare(TRIO)
    [ada] = site.users(1)
    sessions = [s1, s2, s3]
    for session in sessions:
        session.begin(level)
    for session in sessions:
        session.insert(ada)
    for index in order:
        sessions[index].commit()
    assert site.settled_badges() == [(ada, "trio")]


def test_what_another_has_committed_counts_at_once(site, s1, s2):
    """At READ COMMITTED no settling is needed where the other has ended before the write."""
    [ada] = site.users(1)
    s1.begin()
    s2.begin()
    s1.insert(ada)
    s1.commit()
    s2.insert(ada)
    s2.commit()
    assert (site.badges(), site.pending()) == ([(ada, "pair")], 0)


def test_the_next_write_settles(site, s1, s2):
    """Checks that two transactions left need no command if the user writes again, even for another badge."""
    site.declare(PAIR, TRIO)
    [ada] = site.users(1)
    s1.begin()
    s2.begin()
    s1.insert(ada)
    s2.insert(ada)
    s1.commit()
    s2.commit()
    assert (site.badges(), site.pending()) == ([], 2)
    s1.insert(ada)
    assert (site.badges(), site.pending()) == ([(ada, "pair"), (ada, "trio")], 0)


@levels
@pytest.mark.parametrize("before", [0, 1])
def test_first_awards_in_opposite_order(site, s1, s2, level, before):
    """Two users and two badges, taken in opposite order, make no deadlock."""
    ada, bob = site.users(2)
    for _ in range(before):
        site.session().insert(ada, bob)
    s1.begin(level)
    s2.begin(level)
    s1.insert(ada, views=100)
    s2.insert(bob, views=100)
    s1.insert(bob, views=100)
    s2.insert(ada, views=100)
    s1.commit()
    s2.commit()
    assert site.settled_badges() == [(ada, "loud"), (ada, "pair"), (bob, "loud"), (bob, "pair")]


@levels
@ends
def test_long_transaction_holds_the_bucket(site, s1, s2, level, end):
    """Writers come back while it is open; the badge comes once it has ended, if it has left what that needs."""
    [ada] = site.users(1)
    s1.begin(level)
    s1.insert(ada)
    started = time.monotonic()
    s2.begin(level)
    s2.insert(ada)
    s2.commit()
    assert time.monotonic() - started < AT_ONCE
    assert site.badges() == []
    getattr(s1, end)()
    assert site.settled_badges() == ([(ada, "pair")] if end == "commit" else [])
    s2.insert(ada)
    assert site.badges() == [(ada, "pair")]


@levels
@ends
def test_uncommitted_award(site, s1, s2, level, end):
    """A conflict with an uncommitted award does not block, and the badge is held whether that one commits or not."""
    [ada] = site.users(1)
    s1.insert(ada)
    s1.begin(level)
    s2.begin(level)
    s1.insert(ada, views=100)
    s2.insert(ada, views=100)
    s2.commit()
    assert site.badges() == []
    getattr(s1, end)()
    assert site.settled_badges() == [(ada, "loud"), (ada, "pair")]


def test_savepoint_rolled_back_while_another_waits(site, s1, s2):
    """The bucket and the award end with the savepoint, and a write that waited for them awards by itself."""
    site.declare(PAIR, LOUD)
    site.make_patient()
    [ada] = site.users(1)
    s1.insert(ada)
    s1.begin()
    s1.savepoint()
    s1.insert(ada)
    s2.begin()
    step = s2.start("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'Sketch')", [ada])
    s1.rollback_to_savepoint()
    step.result()
    s2.commit()
    s1.commit()
    assert (site.badges(), site.pending()) == ([(ada, "pair")], 0)


@levels
def test_savepoint_rolled_back_after_another_waited_in_vain(site, s1, s2, level):
    """An award that was rolled back with a savepoint is made by the check of a transaction that met it."""
    [ada] = site.users(1)
    s1.insert(ada)
    s1.begin(level)
    s1.savepoint()
    s1.insert(ada)
    s2.begin(level)
    s2.insert(ada)
    s1.rollback_to_savepoint()
    s2.commit()
    s1.commit()
    assert site.settled_badges() == [(ada, "pair")]


@levels
def test_savepoint_rolled_back_leaves_nothing_to_the_other(site, s1, s2, level):
    """What was undone with a savepoint does not count, and what came before it does."""
    [ada] = site.users(1)
    s1.begin(level)
    s2.begin(level)
    s1.insert(ada)
    s1.savepoint()
    s1.insert(ada)
    s1.rollback_to_savepoint()
    s2.savepoint()
    s2.insert(ada)
    s2.rollback_to_savepoint()
    s1.commit()
    s2.commit()
    assert site.settled_badges() == []
    s1.begin(level)
    s1.savepoint()
    s1.insert(ada)
    s1.run("RELEASE SAVEPOINT here")
    s1.commit()
    assert site.settled_badges() == [(ada, "pair")]


@levels
def test_error_in_one_badge(site, s1, s2, level):
    """The badge beside a failing one is as exact as ever."""
    failing = entry("failing", condition="1 / (count(*) - 1) > 0 from dummy_sketch where user_id = NEW.user_id")
    site.declare(failing, PAIR, LOUD)
    [ada] = site.users(1)
    s1.begin(level)
    s2.begin(level)
    s1.insert(ada)
    s2.insert(ada, views=100)
    s1.commit()
    s2.commit()
    # The one that is repeated at SERIALIZABLE sees both sketches, and 1 / 1 is more than 0.
    assert [badge for badge in site.settled_badges() if badge[1] != "failing"] == [(ada, "loud"), (ada, "pair")]
    assert site.failures() == [("failing", "22012")]


@levels
@ends
def test_manual_award_before_the_trigger(site, s1, s2, level, end):
    """A trigger that meets a manual award comes back; the badge is held once, whether that is committed or not."""
    [ada] = site.users(1)
    s1.begin()
    assert s1.award(ada, "pair")
    s2.begin(level)
    s2.insert(ada, ada)
    s2.commit()
    getattr(s1, end)()
    assert site.settled_badges() == [(ada, "pair")]


@levels
@ends
def test_manual_award_after_the_trigger(site, s1, s2, level, end):
    """A manual award waits for the writer and then knows whether the badge was lacking."""
    [ada] = site.users(1)
    s1.begin(level)
    s1.insert(ada, ada)
    award = s2.start("SELECT badges_award(%s, 'pair')", [ada])
    getattr(s1, end)()
    assert award.result() == [(end == "rollback",)]
    assert site.settled_badges() == [(ada, "pair")]


@ends
def test_write_beside_a_revocation(site, s1, s2, end):
    """Until it commits, the badge is held and writers leave it at that; afterwards the next write awards it again."""
    [ada] = site.users(1)
    s1.insert(ada, ada)
    s1.begin()
    assert s1.revoke(ada, "pair")
    s2.insert(ada)
    getattr(s1, end)()
    assert site.settled_badges() == ([] if end == "commit" else [(ada, "pair")])
    s2.insert(ada)
    assert site.badges() == [(ada, "pair")]


@levels
@ends
def test_revocation_waits_for_the_award(site, s1, s2, level, end):
    """A badge that is being awarded is taken away as soon as it is there."""
    [ada] = site.users(1)
    s1.begin(level)
    s1.insert(ada, ada)
    revocation = s2.start("SELECT badges_revoke(%s, 'pair')", [ada])
    getattr(s1, end)()
    assert revocation.result() == [(end == "commit",)]
    assert site.settled_badges() == []


def test_revocation_is_not_undone_by_settling(site, s1, s2):
    """The checks of writes that came before it go with the badge."""
    [ada] = site.users(1)
    s1.begin()
    s2.begin()
    s1.insert(ada)
    s2.insert(ada)
    s1.commit()
    s2.commit()
    s1.award(ada, "pair")
    assert site.pending() > 0
    assert s1.revoke(ada, "pair")
    assert site.settled_badges() == []


def test_revocation_between_lock_and_evaluation(site, s1, s2, s3):
    """A user who loses the badge while the writer waits for another bucket is checked like all who lack it."""
    site.declare(PAIR)
    site.make_patient()
    ada, bob = site.users(2)
    s1.award(bob, "pair")
    s3.begin()
    s3.insert(ada)
    s1.begin()
    write = s1.start("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'Sketch'), (%s, 'Sketch')", [ada, bob])
    s2.revoke(bob, "pair")
    s2.begin()
    s2.insert(bob)
    s3.rollback()
    write.result()
    s1.commit()
    s2.commit()
    assert site.settled_badges() == [(bob, "pair")]


@pytest.fixture
def visits(site):
    """A table whose users need not exist."""
    site.sql("CREATE TABLE visits (user_id bigint, place text)")
    condition = "count(*) >= 2 FROM visits WHERE user_id = NEW.user_id"
    site.declare(entry("visitor", condition=condition, trigger_table="visits"))


@levels
@ends
def test_user_being_deleted(site, s1, s2, visits, level, end):
    """The write comes back while the deletion is open; the badge is held if the user stays."""
    [ada] = site.users(1)
    s1.begin(level)
    s1.run("DELETE FROM auth_user WHERE id = %s", [ada])
    s2.begin(level)
    s2.run("INSERT INTO visits VALUES (%s), (%s)", [ada, ada])
    s2.commit()
    getattr(s1, end)()
    assert site.settled_badges() == ([(ada, "visitor")] if end == "rollback" else [])


@levels
def test_user_deleted_since_the_snapshot(site, s1, s2, visits, level):
    """Nothing is awarded to users whom only an old snapshot still shows, and nothing fails."""
    ada, bob = site.users(2)
    s2.begin(level)
    s1.run("DELETE FROM auth_user WHERE id = %s", [ada])
    s2.run("INSERT INTO visits VALUES (%s), (%s), (%s), (%s)", [ada, bob, ada, bob])
    s2.commit()
    assert site.settled_badges() == [(bob, "visitor")]


@levels
def test_user_deleted_while_being_awarded(site, s1, s2, visits, level):
    """The deletion waits for the writer and takes the badge along."""
    [ada] = site.users(1)
    s1.begin(level)
    s1.run("INSERT INTO visits VALUES (%s), (%s)", [ada, ada])
    deletion = s2.start("DELETE FROM auth_user WHERE id = %s", [ada])
    s1.commit()
    deletion.result()
    assert site.settled_badges() == []


@levels
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("holds", ["bucket", "award"])
def test_prepared_transaction(site, s1, s2, level, end, holds):
    """A transaction of a two-phase commit holds what it holds without a session, and counts when it is committed."""
    if site.sql("SHOW max_prepared_transactions") == [("0",)]:
        pytest.skip("NOT TESTED: the server has max_prepared_transactions = 0")
    [ada] = site.users(1)
    if holds == "award":
        s1.insert(ada)
    name = f"{s1.connection.info.dbname}_{ada}"
    s1.begin(level)
    s1.insert(ada)
    s1.run(f"PREPARE TRANSACTION '{name}'")
    s2.insert(ada)
    assert (site.badges(), site.pending() > 0) == ([], True)
    s1.run(f"{end} PREPARED '{name}'")
    assert site.settled_badges() == ([(ada, "pair")] if end == "COMMIT" or holds == "award" else [])


@levels
def test_many_users_in_opposite_order(site, s1, s2, level):
    """Two transactions over the same thirty users, one from each end, cause no deadlock and miss no user."""
    users = site.users(30)
    s1.begin(level)
    s2.begin(level)
    for one, other in zip(users, reversed(users), strict=True):
        s1.insert(one, views=100)
        s2.insert(other, views=100)
    s1.commit()
    s2.commit()
    assert site.settled_badges() == [(user, code) for user in users for code in ("loud", "pair")]


@levels
def test_bulk_beside_single_writes(site, s1, s2, s3, level):
    """A statement over two hundred users waits for none of those whose buckets others hold, and misses none."""
    users = site.users(200)
    for session, some in ((s1, users[:20]), (s2, users[10:30])):
        session.begin(level)
        for user in some:
            session.insert(user)
    s3.begin(level)
    s3.insert(*users)
    s1.commit()
    s3.commit()
    s2.commit()
    assert site.settled_badges() == [(user, "pair") for user in users[:30]]
