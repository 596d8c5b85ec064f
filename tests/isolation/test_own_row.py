"""Conditions that read more of the changed row than its user: the row that was checked first may earn the badge."""

from __future__ import annotations

import pytest
from conftest import entry

from isolation.harness import LEVELS

GOLD = entry(
    "gold", condition="NEW.title = 'gold' and (select count(*) >= 2 from dummy_sketch where user_id = NEW.user_id)"
)
GONE = entry(
    "gone",
    condition="OLD.title = 'gold' and (select count(*) = 0 from dummy_sketch where user_id = OLD.user_id)",
    trigger_condition="delete",
)

INSERT = "INSERT INTO dummy_sketch (user_id, title) VALUES (%s, %s)"
DELETE = "DELETE FROM dummy_sketch WHERE user_id = %s AND title = %s"

levels = pytest.mark.parametrize("level", LEVELS)


@levels
@pytest.mark.parametrize("last", ["gold", "silver"])
def test_row_that_waited_for_another(site, s1, s2, level, last):
    """The row of one session meets the condition once the other's is there, whichever ends last."""
    site.declare(GOLD)
    [ada] = site.users(1)
    s1.begin(level)
    s2.begin(level)
    s1.run(INSERT, [ada, "gold"])
    s2.run(INSERT, [ada, "silver"])
    for session in (s2, s1) if last == "gold" else (s1, s2):
        session.commit()
    assert site.settled_badges() == [(ada, "gold")]
    assert site.pending() == 0


@levels
@pytest.mark.parametrize("end", ["commit", "rollback", "prepare", "later"])
def test_deleted_row_that_is_settled_early(site, s1, s2, s3, level, end):
    """The check of a deleted row stays until all have ended that were open beside it, and no longer.

    Gold is deleted and committed while the deletion of silver is open, or has yet to come in an older snapshot.
    """
    site.declare(GONE)
    [ada] = site.users(1)
    s1.run(INSERT, [ada, "gold"])
    s1.run(INSERT, [ada, "silver"])
    s1.begin()
    s1.run(DELETE, [ada, "gold"])
    s2.begin(level)
    if end != "later":
        s2.run(DELETE, [ada, "silver"])
    s1.commit()
    site.settle()
    site.settle()
    assert (site.badges(), site.pending() > 0) == ([], True)
    # What begins after that is not waited for.
    s3.begin()
    s3.run(INSERT, [ada, "silver"])
    if end == "later":
        s2.run(DELETE, [ada, "silver"])
    if end == "prepare" and site.sql("SHOW max_prepared_transactions") != [("0",)]:
        s2.run("PREPARE TRANSACTION 'silver'")
        site.settle()
        assert site.pending() > 0
        site.sql("COMMIT PREPARED 'silver'")
    elif end == "rollback":
        s2.rollback()
    else:
        s2.commit()
    site.settle()
    earned = [] if end == "rollback" else [(ada, "gone")]
    assert site.badges() == earned
    assert site.sql("SELECT count(*) FROM badges_pendingcheck WHERE evidence #>> '{old,title}' = 'gold'") == [(0,)]
    s3.rollback()
    assert site.settled_badges() == earned


def test_deleted_row_before_another(site, s1, s2):
    """A deletion that begins after the check was settled does not make it true: gold was not the last to go."""
    site.declare(GONE)
    [ada] = site.users(1)
    s1.run(INSERT, [ada, "gold"])
    s1.run(INSERT, [ada, "silver"])
    s1.run(DELETE, [ada, "gold"])
    site.settle()
    assert site.pending() == 0
    s2.run(DELETE, [ada, "silver"])
    assert site.settled_badges() == []


def test_row_of_another_user_does_not_count(site, s1, s2):
    """Settling evaluates the other rows of this user, not those of others."""
    site.declare(GOLD)
    ada, bob = site.users(2)
    s1.run(INSERT, [bob, "gold"])
    s1.begin()
    s2.begin()
    s1.run(INSERT, [ada, "silver"])
    s2.run(INSERT, [ada, "silver"])
    s1.commit()
    s2.commit()
    assert site.settled_badges() == []
    assert site.pending() == 0


@levels
@pytest.mark.parametrize("last", ["gold", "silver"])
def test_deleted_row_that_waited_for_another(site, s1, s2, level, last):
    """A deleted row cannot be evaluated later, so its values are kept until the others have ended."""
    site.declare(GONE)
    [ada] = site.users(1)
    s1.run(INSERT, [ada, "gold"])
    s1.run(INSERT, [ada, "silver"])
    s1.begin(level)
    s2.begin(level)
    s1.run(DELETE, [ada, "gold"])
    s2.run(DELETE, [ada, "silver"])
    for session in (s2, s1) if last == "gold" else (s1, s2):
        session.commit()
    assert site.settled_badges() == [(ada, "gone")]
    assert site.pending() == 0


def test_own_check_outlasts_its_transaction(site, s1, s2):
    """A transaction that left a check for others does not settle it itself, though it has the lock."""
    site.declare(GONE)
    [ada] = site.users(1)
    for title in ("gold", "silver", "bronze"):
        s1.run(INSERT, [ada, title])
    s1.begin()
    s2.begin()
    s1.run(DELETE, [ada, "gold"])
    s2.run(DELETE, [ada, "silver"])
    s1.run(DELETE, [ada, "bronze"])
    assert s1.settle() == (0, 0)
    s2.commit()
    s1.commit()
    assert site.settled_badges() == [(ada, "gone")]
