"""BADGES_BUDGET: a badge whose condition is slow is evaluated after the COMMIT, so that it costs no further write."""

from __future__ import annotations

import pytest
from conftest import entry

from isolation.harness import READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE

LEVELS = [READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE]

#: Each evaluation counts itself, which no rollback undoes, and takes as long as `pace` says.
PACE = """
CREATE TABLE pace (seconds float NOT NULL);
INSERT INTO pace VALUES (0.08);
CREATE SEQUENCE evaluations MINVALUE 0;
CREATE FUNCTION is_slow(integer) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM nextval('evaluations'), pg_sleep(seconds) FROM public.pace;
    RETURN true;
END
$$
"""
BUDGET = 40
"""Milliseconds."""

OF_USER = "from dummy_sketch where user_id = NEW.user_id"
FAST = entry("fast", condition=f"count(*) >= 2 {OF_USER}")
SLOW = entry("slow", condition=f"(select count(*) >= 2 {OF_USER}) and is_slow(NEW.user_id)")
SLOW_REVOCABLE = {**SLOW, "code": "slow-revocable", "revocable": True}
SLOW_UPDATE = entry(
    "slow-update",
    condition=f"NEW.hit_views > OLD.hit_views and (select count(*) >= 2 {OF_USER}) and is_slow(NEW.user_id)",
    trigger_condition="update",
)


@pytest.fixture
def slow(site, settings):
    """Declare badges under a small budget."""
    settings.BADGES_BUDGET = BUDGET
    site.sql(PACE)
    return site.declare


def evaluations(site):
    """How often a slow condition has been evaluated since the last call."""
    [(number,)] = site.sql("SELECT CASE WHEN is_called THEN last_value + 1 ELSE 0 END FROM evaluations")
    site.sql("SELECT setval('evaluations', 0, false)")
    return number


def overruns(site):
    return site.sql("SELECT codes, count(*) FROM badges_overrun GROUP BY 1 ORDER BY 1")


def pending(site):
    return site.sql("SELECT user_id, code FROM badges_pendingcheck ORDER BY 1, 2")


def defer(site, code, *sessions):
    """Defer a badge, of which these sessions know at once."""
    site.sql("SELECT badges_defer(%s)", [code])
    for session in sessions:
        session.run("SET badges.look = ''")


@pytest.mark.parametrize("entry_", [SLOW, SLOW_REVOCABLE], ids=lambda each: each["code"])
def test_three_slow_writes_defer(site, slow, s1, entry_):
    """Three slow writes of single rows defer a badge; further ones leave a check for each user, and settling awards."""
    slow(entry_)
    code = entry_["code"]
    ada, bob, kim, eve = site.users(4)
    for user in (ada, bob, kim):
        s1.insert(user)
        s1.insert(user)
    assert evaluations(site) == 3
    assert overruns(site) == [([code], 3)]
    evaluations(site)
    held = site.badges()
    for _ in range(3):
        s1.insert(eve)
        s1.insert(eve, bob, eve)
    assert evaluations(site) == 0
    assert site.badges() == held
    expected = [(eve, code)] if entry_ is SLOW else [(bob, code), (eve, code)]
    assert pending(site) == expected
    # Another write of the user does not settle them.
    s1.insert(eve)
    assert evaluations(site) == 0
    assert site.settled_badges() == [(user, code) for user in (ada, bob, kim, eve)]
    assert site.sql("SELECT badges_resume(%s)", [code]) == [(True,)]
    assert site.sql("SELECT badges_resume(%s)", [code]) == [(False,)]
    [dan] = site.users(1)
    evaluations(site)
    s1.insert(dan, dan)
    assert evaluations(site) == 1
    assert (dan, code) in site.badges()


def test_one_statement_of_many_rows_defers(site, slow, s1):
    """A statement that evaluates for three users or more defers the badge at once, if each took too long."""
    slow(SLOW)
    people = site.users(4)
    site.sql("UPDATE pace SET seconds = 0")
    s1.insert(*people, *people)
    assert overruns(site) == []
    site.sql("DELETE FROM badges_badge")
    site.sql("UPDATE pace SET seconds = 0.08")
    s1.insert(*people)
    assert overruns(site) == [(["slow"], 3)]
    assert len(site.badges()) == 4


def test_bulk_of_fast_conditions_is_no_overrun(site, slow, s1):
    """What counts is the time of one evaluation: a statement over many users may take longer than the budget."""
    slow(SLOW)
    site.sql("UPDATE pace SET seconds = 0.02")
    people = site.users(8)
    s1.insert(*people, *people)
    assert evaluations(site) == 8
    assert overruns(site) == []
    assert len(site.badges()) == 8


def test_conditions_of_the_issue(site, settings, s1):
    """A cross join defers its badge by the statement-level and the row-level trigger, and for a user as a whole."""
    settings.BADGES_BUDGET = 1
    cross = "from dummy_sketch as a cross join generate_series(1, 100000) as g where a.user_id = NEW.user_id"
    badges = [
        entry("cross", condition=f"count(a.id + g) >= 150000 {cross}"),
        entry("kept", condition=f"count(a.id + g) >= 150000 {cross}", revocable=True),
        entry(
            "paired",
            condition=f"NEW.hit_views > OLD.hit_views and (select count(a.id + g) >= 150000 {cross})",
            trigger_condition="update",
        ),
    ]
    site.declare(*badges)
    people = site.users(4)
    for user in people:
        s1.insert(user)
        s1.insert(user)
        s1.run("UPDATE dummy_sketch SET hit_views = hit_views + 1 WHERE user_id = %s", [user])
    assert {(people[-1], code) for code in ("cross", "kept", "paired")} <= {*pending(site)}
    assert site.settled_badges() == [(user, code) for user in people for code in ("cross", "kept", "paired")]


def test_row_level(site, slow, s1):
    """A condition that pairs OLD and NEW is deferred row by row, even within one statement."""
    slow(SLOW_UPDATE)
    [ada] = site.users(1)
    s1.insert(*[ada] * 6)
    s1.begin()
    s1.run("UPDATE dummy_sketch SET hit_views = hit_views + 1 WHERE id IN (SELECT id FROM dummy_sketch LIMIT 3)")
    s1.commit()
    # The first row awards the badge, so the others are not evaluated.
    assert evaluations(site) == 1
    site.sql("DELETE FROM badges_badge")
    defer(site, "slow-update", s1)
    s1.run("UPDATE dummy_sketch SET hit_views = id")
    assert evaluations(site) == 0
    assert site.settled_badges() == [(ada, "slow-update")]


def test_slow_badge_among_fast_ones(site, slow, s1):
    """Badges that are evaluated together are deferred together, until settling finds out which of them is slow."""
    slow(FAST, SLOW)
    ada, bob, eve = site.users(3)
    for user in (ada, bob, eve):
        s1.insert(user)
        s1.insert(user)
    assert overruns(site) == [(["fast", "slow"], 3)]
    [dan, kim] = site.users(2)
    s1.insert(dan)
    s1.insert(dan)
    assert pending(site) == [(dan, "fast"), (dan, "slow")]
    site.settle()
    assert site.pending() == 0
    assert overruns(site) == [(["slow"], 3)]
    s1.insert(kim)
    s1.insert(kim)
    assert site.badges()[-1] == (kim, "fast")
    assert pending(site) == [(kim, "slow")]
    # What is held is not checked again.
    s1.insert(ada)
    assert pending(site) == [(kim, "slow")]


@pytest.mark.parametrize("level", LEVELS)
def test_transaction_that_makes_it_slow(site, slow, s1, level):
    """A transaction sees its own overruns, at each isolation level: three slow writes, and the fourth is deferred."""
    slow(SLOW_REVOCABLE)
    [ada] = site.users(1)
    s1.begin(level)
    for _ in range(6):
        s1.insert(ada)
    assert evaluations(site) == 3  # the first write has too few rows
    s1.commit()
    site.settle()
    assert site.settled_badges() == [(ada, "slow-revocable")]


@pytest.mark.parametrize("level", LEVELS)
def test_recording_waits_for_nothing(site, slow, s1, s2, level):
    """Two transactions record overruns of a badge at the same time; a locked table of overruns costs no badge."""
    slow(SLOW)
    ada, bob = site.users(2)
    for session, user in ((s1, ada), (s2, bob)):
        session.begin(level)
        session.insert(user, user)
    assert evaluations(site) == 2
    s1.commit()
    s2.commit()
    assert overruns(site) == [(["slow"], 2)]
    s2.begin()
    s2.run("LOCK TABLE badges_overrun IN ACCESS EXCLUSIVE MODE")
    [eve] = site.users(1)
    s1.insert(eve)
    s1.insert(eve)
    s1.insert(eve, ada)
    s2.rollback()
    site.settle()
    assert site.settled_badges() == [(user, "slow") for user in (ada, bob, eve)]
    assert site.failures() == []


def test_overruns_that_are_too_few(site, slow, s1):
    """One or two overruns defer nothing, and are forgotten after an hour; a badge that is deferred stays so."""
    slow(SLOW)
    [ada] = site.users(1)
    s1.insert(ada, ada)
    defer(site, "other", s1)
    site.sql("UPDATE badges_overrun SET at = at - interval '59 minutes'")
    site.settle()
    assert overruns(site) == [(["other"], 3), (["slow"], 1)]
    site.sql("UPDATE badges_overrun SET at = at - interval '2 minutes'")
    site.settle()
    assert overruns(site) == [(["other"], 3)]


def test_one_by_one_path(site, slow, s1):
    """Beside a condition that fails, a slow one is evaluated once for each statement, and a deferred one not at all."""
    slow(SLOW, entry("broken", condition=f"1 / (select count(*) - count(*) {OF_USER}) > 0"))
    people = site.users(4)
    site.sql("UPDATE pace SET seconds = 0")
    s1.insert(*people)
    evaluations(site)
    site.sql("UPDATE pace SET seconds = 0.08")
    s1.insert(*people)
    assert evaluations(site) == 1
    defer(site, "slow", s1)
    s1.insert(*people)
    assert evaluations(site) == 0
    assert site.failures() == [("broken", "22012")]
    site.settle()
    assert site.settled_badges() == [(user, "slow") for user in people]


def test_settling_holds_users_briefly(site, slow, s1):
    """A transaction that settles ends after one slow evaluation; what is left follows in further transactions."""
    slow(SLOW)
    defer(site, "slow", s1)
    people = site.users(3)
    s1.insert(*people, *people)
    assert site.sql("SELECT settled, kept FROM badges_settle(NULL, 100)") == [(1, 2)]
    assert site.settled_badges() == [(user, "slow") for user in people]


def test_write_that_settles_slowly(site, slow, s1, s2):
    """A write that settles the checks of its user counts as one that evaluates them, and settles one slow check."""
    slow({**SLOW, "per": "title", "condition": f"(select count(*) >= 3 {OF_USER}) and is_slow(NEW.user_id)"})
    [ada] = site.users(1)
    for title in "abc":
        s1.begin(REPEATABLE_READ)
        s1.run("INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, %s, 0)", [ada, title])
        s1.commit()
    evaluations(site)
    site.sql("DELETE FROM badges_overrun")
    s1.run("INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, 'd', 0)", [ada])
    assert evaluations(site) == 2
    assert overruns(site) == [(["slow"], 2)]


def test_no_budget(site, slow, settings, s1):
    """Without a budget nothing is measured, recorded or deferred."""
    for budget in (None, 0):
        settings.BADGES_BUDGET = budget
        slow(SLOW)
        [ada] = site.users(1)
        defer(site, "slow", s1)
        s1.insert(ada, ada)
        assert (ada, "slow") in site.badges()
        assert len(overruns(site)) == 1
        site.sql("DELETE FROM badges_overrun")
