"""Revocable badges: at the end, they are held if and only if their condition is true, in any order of commits."""

from __future__ import annotations

import itertools

import pytest
from conftest import entry
from django.db import connections

from badges import definitions
from badges.operations import backfill
from isolation.harness import ALIAS, LEVELS, READ_COMMITTED

FIVE = entry("five", condition="count(*) >= 5 from dummy_sketch where user_id = NEW.user_id", revocable=True)
DELETE = "DELETE FROM dummy_sketch WHERE id = (SELECT min(id) FROM dummy_sketch WHERE user_id = %s)"

levels = pytest.mark.parametrize("level", LEVELS)
ends = pytest.mark.parametrize("end", ["commit", "rollback"])


def draw(site, user, number):
    """So many sketches, whose badges are settled."""
    if number:
        site.session().insert(*[user] * number)
    site.settle()


@levels
@pytest.mark.parametrize("first", ["s1", "s2"])
@pytest.mark.parametrize("deletes_first", [True, False])
def test_one_comes_while_one_goes(site, s1, s2, level, first, deletes_first):
    """Neither sees the other, and five remain: the badge stays."""
    site.declare(FIVE)
    [ada] = site.users(1)
    draw(site, ada, 5)
    s1.begin(level)
    s2.begin(level)
    if deletes_first:
        s1.run(DELETE, [ada])
        s2.insert(ada)
    else:
        s2.insert(ada)
        s1.run(DELETE, [ada])
    for session in (s1, s2) if first == "s1" else (s2, s1):
        session.commit()
    assert site.settled_badges() == [(ada, "five")]


@levels
@ends
def test_deletion_beside_a_deletion(site, s1, s2, level, end):
    """Of six, one of two deletions or both: the badge goes with the second only."""
    site.declare(FIVE)
    [ada] = site.users(1)
    draw(site, ada, 6)
    s1.begin(level)
    s2.begin(level)
    s1.run(DELETE, [ada])
    s2.run("DELETE FROM dummy_sketch WHERE id = (SELECT max(id) FROM dummy_sketch WHERE user_id = %s)", [ada])
    s2.commit()
    getattr(s1, end)()
    assert site.settled_badges() == ([] if end == "commit" else [(ada, "five")])


@levels
@ends
def test_revocation_that_is_undone(site, s1, s2, level, end):
    """A write during an open revocation leaves the check that is needed if the revocation is rolled back."""
    site.declare(FIVE)
    [ada] = site.users(1)
    draw(site, ada, 5)
    s1.begin(level)
    s1.run(DELETE, [ada])
    s2.begin(level)
    s2.insert(ada)
    s2.run("DELETE FROM dummy_sketch WHERE id = (SELECT max(id) FROM dummy_sketch WHERE user_id = %s)", [ada])
    s2.commit()
    getattr(s1, end)()
    assert site.settled_badges() == ([] if end == "commit" else [(ada, "five")])


@pytest.mark.parametrize("mixed", list(itertools.permutations(LEVELS, 2)), ids="-".join)
def test_different_levels(site, s1, s2, mixed):
    """The same where the two are at different levels."""
    site.declare(FIVE)
    [ada] = site.users(1)
    draw(site, ada, 5)
    s1.begin(mixed[0])
    s2.begin(mixed[1])
    s1.run(DELETE, [ada])
    s2.insert(ada)
    s1.commit()
    s2.commit()
    assert site.settled_badges() == [(ada, "five")]


@ends
def test_savepoint(site, s1, s2, end):
    """A revocation goes with its savepoint."""
    site.declare(FIVE)
    [ada] = site.users(1)
    draw(site, ada, 5)
    s1.begin(READ_COMMITTED)
    s1.savepoint()
    s1.run(DELETE, [ada])
    s1.rollback_to_savepoint()
    s2.insert(ada)
    getattr(s1, end)()
    assert site.settled_badges() == [(ada, "five")]


@ends
def test_settler_beside_a_writer(site, s1, s2, s3, end):
    """A badge that a settler revokes is checked again by the transactions that wrote meanwhile."""
    site.declare(FIVE)
    [ada] = site.users(1)
    draw(site, ada, 6)
    s1.begin()
    s1.run(DELETE, [ada])
    s2.run("DELETE FROM dummy_sketch WHERE id = (SELECT max(id) FROM dummy_sketch WHERE user_id = %s)", [ada])
    s1.commit()
    s1.begin()
    assert s1.settle() == (1, 0)
    s3.insert(ada)
    getattr(s1, end)()
    assert site.settled_badges() == [(ada, "five")]


def test_by_hand_beside_the_rule(site, s1, s2):
    """A manual award during an open deletion is not revoked."""
    site.declare(FIVE)
    [ada] = site.users(1)
    draw(site, ada, 1)
    s1.begin()
    s1.run(DELETE, [ada])
    award = s2.start("SELECT badges_award(%s, 'five')", [ada])
    s1.commit()
    assert award.result() == [(True,)]
    s1.insert(ada)
    assert site.settled_badges() == [(ada, "five")]


@levels
def test_award_badges_beside_a_deletion(site, s1, level, monkeypatch):
    """An award by award_badges that an open deletion contradicts is revoked when the deletion has ended."""
    monkeypatch.setattr(backfill, "WRITERS_TIMEOUT", 0.05)
    site.declare(FIVE)
    [ada] = site.users(1)
    site.sql("ALTER TABLE dummy_sketch DISABLE TRIGGER USER")
    site.sql("INSERT INTO dummy_sketch (user_id, title) SELECT %s, 'x' FROM generate_series(1, 5)", [ada])
    site.sql("ALTER TABLE dummy_sketch ENABLE TRIGGER USER")
    s1.begin(level)
    s1.run(DELETE, [ada])
    list(backfill.award(connections[ALIAS], definitions.load(site.badge_file), site.badge_file))
    assert site.badges() == [(ada, "five")]
    s1.commit()
    assert site.settled_badges() == []
