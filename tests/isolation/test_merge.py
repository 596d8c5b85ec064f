"""Merging two users while one of them earns badges."""

from __future__ import annotations

import pytest
from conftest import entry

TWO = entry("two", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id")
ONE = entry("one", condition="true")
KEPT = entry("kept", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id", revocable=True)


@pytest.mark.parametrize("number", [1, 2])
def test_merge_while_the_user_earns(site, s1, s2, number):
    """The merge waits for the transaction that awards, whatever decides its badges, and takes what it has awarded."""
    site.declare(TWO, ONE)
    old, new = site.users(2)
    if number == 1:
        site.declare(ONE)
    s1.begin()
    for _ in range(number):
        s1.insert(old)
    step = s2.start("SELECT badges_merge(%s, %s)", [old, new])
    s1.commit()
    assert step.result() == [(number,)]
    assert site.settled_badges() == [(new, code) for code in ("one", "two")[:number]]


def test_pending_checks_are_settled_or_moved(site, s1, s2, s3):
    """What others left is decided by the rows of that user before; what the merger's own writes left, by all rows."""
    site.declare(TWO, KEPT)
    old, new = site.users(2)
    s1.begin()
    s2.begin()
    s1.insert(old)
    s2.insert(old)
    s1.commit()
    s2.commit()
    assert (site.badges(), site.pending() > 0) == ([], True)
    s3.begin()
    assert s3.run("SELECT badges_merge(%s, %s)", [old, new]) == [(2,)]
    s3.run("UPDATE dummy_sketch SET user_id = %s WHERE user_id = %s", [new, old])
    s3.commit()
    assert site.settled_badges() == [(new, "kept"), (new, "two")]
    assert site.failures() == []


def test_merges_in_opposite_order(site, s1, s2):
    """Two merges of the same users wait for each other, and do not deadlock."""
    site.declare(ONE)
    old, new = site.users(2)
    s1.insert(old)
    s1.begin()
    s1.run("SELECT badges_merge(%s, %s)", [old, new])
    step = s2.start("SELECT badges_merge(%s, %s)", [new, old])
    s1.commit()
    assert step.result() == [(1,)]
    assert site.badges() == [(old, "one")]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_merge_above_read_committed(site, s1, s2, level):
    """What is committed after its snapshot stays with the first user, whom another merge empties."""
    site.declare(ONE)
    old, new = site.users(2)
    s1.begin(level)
    s2.insert(old)
    assert s1.run("SELECT badges_merge(%s, %s)", [old, new]) == [(0,)]
    s1.commit()
    assert site.badges() == [(old, "one")]
    assert s2.run("SELECT badges_merge(%s, %s)", [old, new]) == [(1,)]
    assert site.badges() == [(new, "one")]
