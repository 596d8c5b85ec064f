"""Merging accounts: badges, their history and their checks go from one user to another."""

from __future__ import annotations

import pytest
from conftest import entry
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, transaction

from badges import exceptions
from badges.models import Badge, BadgeEvent


def sketches(code, number=1, **changes):
    return entry(
        code, **{"condition": f"count(*) >= {number} from dummy_sketch where user_id = NEW.user_id", **changes}
    )


HIT = sketches("hit", condition="hit_views >= 10", per="id")


@pytest.fixture
def people(db):
    return [get_user_model().objects.create(username=name) for name in ("old", "new", "grace")]


@pytest.fixture
def draw(execute):
    def insert(user, views=0):
        query = "INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, '', %s) RETURNING id"
        return str(execute(query, [user.pk, views])[0][0])

    return insert


def held(user):
    badges = Badge.objects.filter(user=user).order_by("definition", "thing").values_list("definition", "thing")
    return [" ".join(filter(None, each)) for each in badges]


def last_events(user):
    """Whether each badge is held, according to the history."""
    last = {}
    for code, thing, kind in BadgeEvent.objects.filter(user=user).order_by("at").values_list("code", "thing", "kind"):
        last[" ".join(filter(None, (code, thing)))] = kind
    return sorted(name for name, kind in last.items() if kind == "awarded")


def test_badges_and_history_move_and_doubles_fold(people, declare, draw, execute):
    """The earlier award of a badge that both hold stays, by subject; the history says what was merged."""
    old, new, grace = people
    declare(sketches("one"), sketches("two", 2), HIT, sketches("given", condition="false"))
    mine = draw(old, views=10)
    draw(old)
    Badge.objects.award(old, "given", by=grace)
    Badge.objects.revoke(old, "two")
    draw(new)
    yours = draw(new, views=10)
    execute("SELECT badges_award(%s, 'hit', awarded_thing => %s)", [new.pk, mine])
    Badge.objects.award(new, "given")
    Badge.objects.revoke(new, "given")
    first = Badge.objects.get(user=old, code="one")
    by_hand = Badge.objects.get(user=new, code="hit", thing=mine)
    execute("UPDATE badges_badge SET awarded_at = awarded_at + interval '1 day' WHERE user_id = %s", [new.pk])
    before = BadgeEvent.objects.count()
    assert Badge.objects.merge(old, new, by=grace, reason="One person.") == 3
    expected = sorted(["given", f"hit {mine}", f"hit {yours}", "one", "two"])
    assert sorted(held(new)) == last_events(new) == expected
    assert (held(old), BadgeEvent.objects.filter(user=old).count()) == ([], 0)
    one = Badge.objects.get(user=new, code="one")
    assert (one.awarded_at, one.evidence) == (first.awarded_at, first.evidence)
    folded = Badge.objects.get(user=new, code="hit", thing=mine)
    assert folded.by_hand
    assert folded.awarded_at < by_hand.awarded_at
    merged = BadgeEvent.objects.filter(cause="merged")
    assert sorted(each.code for each in merged) == ["given", "hit", "one", "two"]
    assert {(each.user_id, each.kind, each.actor, each.reason, each.quiet) for each in merged} == {
        (new.pk, "awarded", "grace", "One person.", True)
    }
    assert BadgeEvent.objects.count() == before + 4
    old.delete()
    assert sorted(held(new)) == expected


def test_ends_of_badges(people, declare, execute):
    """The later end counts; an expired badge is none, and an award of unknown time is the earlier."""
    old, new, _ = people
    declare(*(sketches(code, condition="false", expires_after="10 days") for code in ("longer", "ended", "endless")))
    for user in (old, new):
        for code in ("longer", "ended", "endless"):
            Badge.objects.award(user, code)
    execute("UPDATE badges_badge SET expires_at = expires_at + interval '1 day' WHERE user_id = %s", [old.pk])
    execute("UPDATE badges_badge SET expires_at = now() - interval '1 day' WHERE code = 'ended'")
    execute("UPDATE badges_badge SET expires_at = NULL WHERE code = 'endless' AND user_id = %s", [new.pk])
    execute("UPDATE badges_badge SET awarded_at = NULL WHERE user_id = %s", [old.pk])
    ends = Badge.objects.get(user=old, code="longer").expires_at
    assert Badge.objects.merge(old.pk, new.pk) == 2
    found = {badge.code: (badge.awarded_at, badge.expires_at) for badge in Badge.objects.filter(user=new)}
    assert found == {"longer": (None, ends), "endless": (None, None)}
    assert {each.reason for each in BadgeEvent.objects.filter(cause="merged")} == {f"from user {old.pk}"}


def test_badges_for_badges(people, declare, draw):
    """Triggers on badges see what both hold in the end, and award no badge to the one who has none left."""
    old, new, _ = people
    meta = {"trigger_table": "badges_badge", "trigger_condition": ["insert", "update"], "revocable": True}
    declare(
        sketches("one"), sketches("two", 2), HIT,
        sketches("meta", condition="count(*) >= 2 from badges_badge where user_id = NEW.user_id", **meta),
    )  # fmt: skip
    for user in (old, old, new, new):
        draw(user)
    draw(new, views=10)
    assert held(old) == ["meta", "one", "two"]
    assert Badge.objects.merge(new, old) == 4
    assert (held(new), len(held(old))) == ([], 4)
    assert sorted(held(old)) == last_events(old)


def test_what_cannot_be_merged(people, declare, execute):
    """A user with itself, or with one who is not there; and other roles may not."""
    old, new, _ = people
    declare(sketches("one"))
    with pytest.raises(ValueError, match="cannot be merged with itself"):
        Badge.objects.merge(old, old.pk)
    with pytest.raises(DatabaseError, match="cannot be merged with itself"), transaction.atomic():
        execute("SELECT badges_merge(%s, %s)", [old.pk, old.pk])
    with pytest.raises(exceptions.UnknownUser):
        Badge.objects.merge(old, 0)
    assert Badge.objects.merge(old, new) == 0
    execute("CREATE ROLE merge_other; GRANT USAGE ON SCHEMA public TO merge_other; SET ROLE merge_other")
    with pytest.raises(exceptions.InsufficientRights), transaction.atomic():
        Badge.objects.merge(old, new)
    execute("RESET ROLE")
    execute("DROP FUNCTION badges_merge")
    with pytest.raises(exceptions.OutOfDate):
        Badge.objects.merge(old, new)


@pytest.mark.parametrize("first", ["rows", "badges"])
def test_rows_of_a_merged_user_are_ordinary_changes(people, declare, draw, execute, first):
    """Rows that change hands check both users, before the merge as well as after it."""
    old, new, _ = people
    declare(sketches("three", 3, revocable=True), sketches("moved", 2, trigger_condition="update"))
    for user in (old, old, old, new):
        draw(user)
    assert held(old) == ["three"]
    if first == "badges":
        Badge.objects.merge(old, new)
        assert held(new) == ["three"]
    execute("UPDATE dummy_sketch SET user_id = %s WHERE user_id = %s", [new.pk, old.pk])
    if first == "rows":
        assert (held(old), held(new)) == ([], ["moved", "three"])
        Badge.objects.merge(old, new)
    assert (held(old), held(new)) == ([], ["moved", "three"])
    assert last_events(new) == ["moved", "three"]


def test_merge_statement_is_an_ordinary_change(people, declare, draw, execute):
    """MERGE inserts, updates and deletes rows for several users, each of whom is checked."""
    if connection.pg_version < 150000:
        pytest.skip("MERGE is of PostgreSQL 15")
    old, new, grace = people
    declare(sketches("two", 2, revocable=True), sketches("first"), sketches("gone", trigger_condition="delete",
            condition="OLD.title = 'x'"))  # fmt: skip
    ids = [draw(old), draw(old), draw(grace)]
    execute("UPDATE dummy_sketch SET title = 'x' WHERE id = %s", [ids[2]])
    assert (held(old), held(new)) == (["first", "two"], [])
    execute(
        """
        MERGE INTO dummy_sketch AS s
        USING (SELECT unnest(%s::bigint[] || 0::bigint) AS id) AS given ON s.id = given.id
        WHEN MATCHED AND s.title = 'x' THEN DELETE
        WHEN MATCHED THEN UPDATE SET user_id = %s
        WHEN NOT MATCHED THEN INSERT (user_id, title) VALUES (%s, 'y')
        """,
        [ids, new.pk, grace.pk],
    )
    assert (held(old), held(new)) == (["first"], ["two"])
    assert held(grace) == ["first", "gone"]
