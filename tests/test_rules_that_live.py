"""Rules beyond a single condition: levels, subjects, revocable and expiring badges, further triggers."""

from __future__ import annotations

import io

import pytest
from conftest import entry
from django.core.management import call_command
from django.db import connection

from badges.models import Badge, BadgeEvent, Failure, PendingCheck

pytestmark = pytest.mark.django_db

COUNT = "count(*) from dummy_sketch where user_id = NEW.user_id"


def sql(statement: str, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def make_user(django_user_model):
    return django_user_model.objects.create_user


@pytest.fixture
def other_user(make_user):
    return make_user("bob")


def held(user=None):
    badges = Badge.objects.all() if user is None else Badge.objects.filter(user=user)
    return sorted(badges.values_list("code", "thing"))


def draw(user, number=1, views=0):
    rows = sql(
        "INSERT INTO dummy_sketch (user_id, title, hit_views) SELECT %s, 'Sketch', %s FROM generate_series(1, %s)"
        " RETURNING id",
        [user.pk, views, number],
    )
    return [key for (key,) in rows]


def levelled(**keys):
    made = entry("levels", progress=COUNT, **keys)
    del made["condition"], made["code"]
    made["levels"] = [{"code": "three", "goal": 3}, {"code": "five", "goal": 5}]
    return made


@pytest.mark.parametrize("at_once", [False, True])
def test_levels(declare, user, at_once):
    """Each goal that is reached brings its badge, by many statements or by one."""
    declare(levelled())
    if at_once:
        draw(user, 5)
    else:
        draw(user)
        draw(user)
        assert held() == []
        draw(user)
        assert held() == [("three", "")]
        draw(user)
        draw(user)
    assert held() == [("five", ""), ("three", "")]


def test_levels_of_many_are_looked_at_together(declare, user, other_user):
    """A bulk statement does not fall back to checking badges one by one, which would leave a pending check."""
    declare(levelled())
    both = [user.pk, other_user.pk]
    sql("INSERT INTO dummy_sketch (user_id, title, hit_views) SELECT unnest(%s), '', 0", [both])
    assert not PendingCheck.objects.exists()


def test_progress_is_worked_out_once(declare, user):
    """One write asks the progress once, however many levels it has."""
    sql(
        """
        CREATE FUNCTION counted(artist bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
        BEGIN
            PERFORM set_config('tests.asked', (current_setting('tests.asked')::integer + 1)::text, false);
            RETURN (SELECT count(*) FROM dummy_sketch WHERE user_id = artist);
        END
        $$
        """
    )
    made = levelled()
    made["progress"] = "counted(NEW.user_id)"
    declare(made)
    sql("SELECT set_config('tests.asked', '0', false)")
    draw(user)
    assert sql("SELECT current_setting('tests.asked')") == [("1",)]


def test_same_progress_over_two_tables(declare, user, unseen):
    """Two badges whose progress reads alike are each judged by the rows of their own table."""
    sql("CREATE TABLE films (user_id bigint, hit_views integer)")
    made = []
    for code, table in (("drawn", "dummy_sketch"), ("filmed", "films")):
        triggers = [
            {"table": table, "on": "insert", "user_field": "user_id"},
            {"table": "auth_user", "on": "update", "user_field": "id"},
        ]
        badge = entry(code, progress="hit_views", goal=10, triggers=triggers)
        for key in ("condition", "trigger_table", "trigger_condition", "user_field"):
            del badge[key]
        made.append(badge)
    declare(*made)
    unseen("INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, '', 20)", [user.pk])
    sql("UPDATE auth_user SET first_name = 'Ada'")
    assert held() == [("drawn", "")]


@pytest.mark.parametrize("number", [1, 2])
def test_badge_that_takes_itself_back(declare, user, number):
    """A badge for having no badge oscillates, but it neither blocks the write nor exhausts the stack."""
    declare(entry("none", condition="count(*) = 0 from badges_badge where user_id = NEW.user_id", revocable=True))
    draw(user, number)
    assert BadgeEvent.objects.count() < 20
    assert not Failure.objects.exists()
    sql("SELECT badges_settle(NULL, 100)")
    assert BadgeEvent.objects.count() < 20


@pytest.fixture
def three(declare):
    declare(entry("three", condition="count(*) >= 3 from dummy_sketch where user_id = NEW.user_id", revocable=True))


def test_taken_back_by_a_deletion(three, user):
    """A badge goes in the write after which its condition holds no more, and comes again."""
    keys = draw(user, 3)
    assert held() == [("three", "")]
    sql("DELETE FROM dummy_sketch WHERE id = %s", [keys[0]])
    assert held() == []
    draw(user)
    assert held() == [("three", "")]
    kinds = BadgeEvent.objects.order_by("at").values_list("kind", "cause")
    assert list(kinds) == [
        ("awarded", "insert on public.dummy_sketch"),
        ("revoked", "delete on public.dummy_sketch"),
        ("awarded", "insert on public.dummy_sketch"),
    ]


def test_taken_back_by_one_statement_over_many_users(three, make_user):
    """A bulk statement revokes the badges that it must, and no others."""
    users = [make_user(f"u{n}") for n in range(5)]
    for user in users:
        draw(user, 3)
    first_of_each = "SELECT min(id) FROM dummy_sketch WHERE user_id <> %s GROUP BY user_id"
    sql(f"DELETE FROM dummy_sketch WHERE id IN ({first_of_each})", [users[0].pk])
    assert list(Badge.objects.values_list("user", "code")) == [(users[0].pk, "three")]


def test_taken_back_from_the_user_of_before(three, user, other_user):
    """A row that moves to another user is checked for both users."""
    keys = draw(user, 3)
    draw(other_user, 2)
    sql("UPDATE dummy_sketch SET user_id = %s WHERE id = %s", [other_user.pk, keys[0]])
    assert (held(user), held(other_user)) == ([], [("three", "")])


def test_awarded_by_hand_stays(three, user):
    """A manual award is not revoked by the rule."""
    Badge.objects.award(user, "three")
    [key] = draw(user)
    sql("DELETE FROM dummy_sketch WHERE id = %s", [key])
    assert held() == [("three", "")]


def test_a_row_decides(declare, user):
    """With several rows, the badge stays while one of them meets the condition."""
    declare(entry("seen", condition="hit_views > 10", trigger_condition="update", revocable=True))
    one, two = draw(user, 2)
    sql("UPDATE dummy_sketch SET hit_views = 20")
    assert held() == [("seen", "")]
    sql("UPDATE dummy_sketch SET hit_views = 0 WHERE id = %s", [one])
    assert held() == [("seen", "")]
    sql("UPDATE dummy_sketch SET hit_views = 0 WHERE id = %s", [two])
    assert held() == []


def test_revocable_levels(declare, user):
    """Levels go one by one as well."""
    declare(levelled(revocable=True))
    keys = draw(user, 5)
    assert held() == [("five", ""), ("three", "")]
    sql("DELETE FROM dummy_sketch WHERE id = %s", [keys[0]])
    assert held() == [("three", "")]


def test_one_badge_for_each_thing(declare, user):
    """With `per`, a user earns the badge for each thing, once."""
    declare(entry("star", condition="hit_views > 1000", trigger_condition="update", per="id"))
    one, two, _ = draw(user, 3)
    sql("UPDATE dummy_sketch SET hit_views = 2000 WHERE id IN (%s, %s)", [one, two])
    sql("UPDATE dummy_sketch SET hit_views = 3000 WHERE id = %s", [one])
    assert held() == sorted([("star", str(one)), ("star", str(two))])


def test_things_that_other_rows_decide(declare, user, other_user):
    """The thing may be what the rows are counted by."""
    sql("CREATE TABLE likes (sketch_id bigint, user_id bigint)")
    declare(
        entry(
            "liked",
            condition="count(*) >= 2 from likes where sketch_id = NEW.sketch_id",
            trigger_table="likes",
            per="sketch_id",
        )
    )
    sql("INSERT INTO likes VALUES (1, %s), (2, %s)", [user.pk, user.pk])
    assert held() == []
    sql("INSERT INTO likes VALUES (1, %s)", [user.pk])
    sql("INSERT INTO likes VALUES (2, %s), (3, %s), (NULL, %s)", [user.pk] * 3)
    assert held(user) == [("liked", "1"), ("liked", "2")]


def test_things_are_taken_back_one_by_one(declare, user):
    """A revocable badge for each thing goes with its thing alone."""
    declare(entry("star", condition="hit_views > 1000", trigger_condition="update", per="id", revocable=True))
    one, two = draw(user, 2)
    sql("UPDATE dummy_sketch SET hit_views = 2000")
    assert held() == sorted([("star", str(one)), ("star", str(two))])
    sql("DELETE FROM dummy_sketch WHERE id = %s", [one])
    assert held() == [("star", str(two))]


def test_further_trigger(declare, user):
    """A change of a further table checks the badge for the user whom it names."""
    sql("CREATE TABLE likes (author_id bigint)")
    triggers = [
        {"table": "dummy_sketch", "on": "insert", "user_field": "user_id"},
        {"table": "likes", "on": ["insert", "update"], "user_field": "author_id"},
    ]
    made = entry("liked", condition="count(*) >= 2 from likes where author_id = NEW.user_id", triggers=triggers)
    for key in ("trigger_table", "trigger_condition", "user_field"):
        del made[key]
    declare(made)
    sql("INSERT INTO likes VALUES (%s)", [user.pk])
    assert held() == []
    sql("INSERT INTO likes VALUES (%s)", [user.pk])
    assert held() == [("liked", "")]
    [event] = BadgeEvent.objects.all()
    assert event.cause == "insert on public.likes"


def test_revocable_by_another_table(declare, user):
    """A table that the condition reads is watched if one of its columns names the user."""
    sql("CREATE TABLE likes (author_id bigint REFERENCES auth_user (id), sketch_id bigint)")
    declare(entry("liked", condition="count(*) >= 1 from likes where author_id = NEW.user_id", revocable=True))
    sql("INSERT INTO likes VALUES (%s)", [user.pk])
    assert held() == [("liked", "")]
    sql("DELETE FROM likes")
    assert held() == []


def test_things_of_another_table(declare, user):
    """A change of another table checks all subjects of the user."""
    sql("CREATE TABLE likes (author_id bigint REFERENCES auth_user (id), sketch_id bigint)")
    declare(
        entry(
            "liked",
            condition="count(*) >= 1 from likes where author_id = NEW.user_id and sketch_id = NEW.id",
            per="id",
            revocable=True,
        )
    )
    one, two = draw(user, 2)
    sql("INSERT INTO likes VALUES (%s, %s), (%s, %s)", [user.pk, one, user.pk, two])
    assert held() == sorted([("liked", str(one)), ("liked", str(two))])
    sql("DELETE FROM likes WHERE sketch_id = %s", [one])
    assert held() == [("liked", str(two))]


@pytest.mark.parametrize("number", [1, 3])
def test_ends_and_is_earned_again(declare, user, number):
    """An expired badge is not held, and the next write that meets the condition awards it again."""
    declare(entry("fresh", condition=COUNT.replace("count(*)", "count(*) >= 1"), expires_after="30 days"))
    draw(user)
    [before] = Badge.objects.all()
    assert (before.expires_at - before.awarded_at).days == 30
    sql("UPDATE badges_badge SET expires_at = now() - interval '1 second'")
    assert held() == []
    draw(user, number)
    [after] = Badge.objects.all()
    assert after.id != before.id
    assert list(BadgeEvent.objects.order_by("at").values_list("kind", flat=True)) == ["awarded", "expired", "awarded"]


def test_failing_condition_takes_nothing_back(declare, user):
    """A revocable badge whose condition fails stays, and the failure is on record."""
    condition = "1 / (count(*) - 2) > 0 from dummy_sketch where user_id = NEW.user_id"
    declare(entry("odd", condition=condition, revocable=True))
    draw(user, 3)
    assert held() == [("odd", "")]
    sql("DELETE FROM dummy_sketch WHERE id = (SELECT min(id) FROM dummy_sketch)")
    assert held() == [("odd", "")]
    assert Failure.objects.get().code == "odd"


def test_paused_badge_stays(declare, user):
    """A paused badge is neither awarded nor revoked."""
    revocable = entry("three", condition=COUNT.replace("count(*)", "count(*) >= 3"), revocable=True)
    declare(revocable)
    keys = draw(user, 3)
    declare({**revocable, "active": False})
    sql("DELETE FROM dummy_sketch WHERE id = %s", [keys[0]])
    assert held() == [("three", "")]


def test_row_level_tables(declare, user):
    """Partitioned tables have row-level triggers, which revoke just as well."""
    sql("CREATE TABLE parted (id bigint GENERATED BY DEFAULT AS IDENTITY, user_id bigint) PARTITION BY RANGE (id)")
    sql("CREATE TABLE parted_1 PARTITION OF parted DEFAULT")
    condition = "count(*) >= 2 from parted where user_id = NEW.user_id"
    declare(entry("two", condition=condition, trigger_table="parted", revocable=True))
    sql("INSERT INTO parted (user_id) VALUES (%s), (%s)", [user.pk] * 2)
    assert held() == [("two", "")]
    sql("DELETE FROM parted_1 WHERE id = 1")
    assert held() == []


def test_progress(declare, user, other_user):
    """Each user has come as far as the progress says, on the way to each goal; all users by one query."""
    seen = entry("seen", progress="hit_views", goal=1000)
    del seen["condition"]
    declare(levelled(), seen)
    draw(user, 4, views=30)
    draw(user, 1, views=1500)
    progress = Badge.objects.progress(user)
    assert {code: str(each) for code, each in progress.items()} == {
        "three": "5 of 3",
        "five": "5 of 5",
        "seen": "1500 of 1000",
    }
    assert (progress["five"].share, progress["three"].share) == (1, 1)
    of_both = Badge.objects.progress_of([user, other_user])
    assert str(of_both[other_user.pk]["five"]) == "0 of 5"
    assert (of_both[other_user.pk]["seen"].value, of_both[other_user.pk]["seen"].share) == (None, 0)


def test_progress_is_asked_set_based(declare, make_user, django_assert_num_queries):
    """A page of users takes as many queries as one."""
    declare(levelled())
    users = [make_user(f"u{n}") for n in range(20)]
    with django_assert_num_queries(4):  # the goals, a savepoint, the function, the end of the savepoint
        assert len(Badge.objects.progress_of(users)) == 20


def test_failing_progress(declare, user):
    """A progress that fails has no value, and the others have theirs."""
    failing = entry("failing", progress="1 / count(*) from dummy_sketch where user_id = NEW.user_id", goal=5)
    del failing["condition"]
    declare(levelled(), failing)
    progress = Badge.objects.progress(user)
    assert progress["failing"].value is None
    assert progress["three"].value == 0


@pytest.fixture
def unseen():
    """Writes that no trigger sees."""

    def run(statement, params=None):
        sql("SET session_replication_role = replica")
        try:
            return sql(statement, params)
        finally:
            sql("SET session_replication_role = origin")

    return run


def award_badges(*arguments):
    output = io.StringIO()
    call_command("award_badges", *arguments, stdout=output)
    return output.getvalue()


@pytest.mark.django_db(transaction=True)
def test_award_badges_takes_back(committed, make_user, unseen):
    """award_badges revokes badges after changes that no trigger saw, only from users whose condition is not true."""
    user = make_user("ada")
    other_user = make_user("bob")
    committed(levelled(revocable=True))
    draw(user, 5)
    draw(other_user, 5)
    unseen("DELETE FROM dummy_sketch WHERE id = (SELECT min(id) FROM dummy_sketch WHERE user_id = %s)", [user.pk])
    assert "five: 0 awarded, 1 revoked" in award_badges()
    assert (held(user), held(other_user)) == ([("three", "")], [("five", ""), ("three", "")])
    assert BadgeEvent.objects.filter(kind="revoked").get().cause == "settled"


@pytest.mark.django_db(transaction=True)
def test_award_badges_for_things(committed, make_user, unseen):
    """award_badges awards each thing that the rows have."""
    user = make_user("ada")
    committed(entry("star", condition="hit_views > 1000", trigger_condition="update", per="id", revocable=True))
    one, two, _ = draw(user, 3)
    unseen("UPDATE dummy_sketch SET hit_views = 2000 WHERE id <> (SELECT max(id) FROM dummy_sketch)")
    assert "star: 2 awarded" in award_badges()
    assert held() == sorted([("star", str(one)), ("star", str(two))])
    unseen("UPDATE dummy_sketch SET hit_views = 0 WHERE id = %s", [one])
    assert "star: 0 awarded, 1 revoked" in award_badges()
    assert held() == [("star", str(two))]


@pytest.mark.django_db(transaction=True)
def test_award_badges_after_the_end(committed, make_user, unseen):
    """An expired badge whose condition still holds is awarded again by award_badges."""
    user = make_user("ada")
    committed(entry("fresh", condition=COUNT.replace("count(*)", "count(*) >= 1"), expires_after="30 days"))
    draw(user)
    sql("UPDATE badges_badge SET expires_at = now() - interval '1 day'")
    assert "fresh: 1 awarded" in award_badges()
    assert held() == [("fresh", "")]
    assert Badge.objects.get().expires_at is not None


@pytest.mark.django_db(transaction=True)
def test_award_badges_looks_at_the_users_of_all_triggers(committed, make_user, unseen):
    """Who has rows in a further table alone is awarded, too."""
    user = make_user("ada")
    sql("CREATE TABLE likes (author_id bigint)")
    triggers = [
        {"table": "dummy_sketch", "on": "insert", "user_field": "user_id"},
        {"table": "likes", "on": "insert", "user_field": "author_id"},
    ]
    made = entry("liked", condition="count(*) >= 2 from likes where author_id = NEW.user_id", triggers=triggers)
    for key in ("trigger_table", "trigger_condition", "user_field"):
        del made[key]
    committed(made)
    unseen("INSERT INTO likes VALUES (%s), (%s)", [user.pk, user.pk])
    assert "liked: 1 awarded" in award_badges()
    assert held() == [("liked", "")]


@pytest.mark.django_db(transaction=True)
def test_time_takes_back(committed, make_user, unseen):
    """A badge that only time makes false is revoked by award_badges, as no trigger fires then."""
    user = make_user("ada")
    condition = "count(*) >= 1 from dummy_sketch where user_id = NEW.user_id and created > now() - interval '1 day'"
    committed(entry("active", condition=condition, revocable=True))
    draw(user)
    assert held() == [("active", "")]
    unseen("UPDATE dummy_sketch SET created = now() - interval '2 days'")
    assert "active: 0 awarded, 1 revoked" in award_badges()
    assert held() == []
