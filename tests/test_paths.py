"""A user at the end of a path of foreign keys: badges for the authors of what others like."""

from __future__ import annotations

import io
import json
import re

import pytest
from conftest import entry
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection

from badges import definitions, exceptions
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.installation import executor
from badges.models import Badge

LIKES = "count(*) >= 2 from likes l join post p on p.id = l.post_id where p.user_id = NEW.post_id__user_id"

PLAIN = """
CREATE TABLE post (id integer PRIMARY KEY, user_id integer REFERENCES auth_user, reply_to integer REFERENCES post);
CREATE TABLE likes (id serial PRIMARY KEY, user_id integer REFERENCES auth_user,
    post_id integer REFERENCES post ON DELETE CASCADE, stars integer DEFAULT 1);
"""

PARTITIONED = """
CREATE TABLE post (id integer PRIMARY KEY, user_id integer REFERENCES auth_user, reply_to integer)
    PARTITION BY HASH (id);
CREATE TABLE post_0 PARTITION OF post FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE post_1 PARTITION OF post FOR VALUES WITH (modulus 2, remainder 1);
CREATE TABLE likes (id serial, user_id integer REFERENCES auth_user,
    post_id integer REFERENCES post ON DELETE CASCADE, stars integer DEFAULT 1) PARTITION BY RANGE (stars);
CREATE TABLE likes_few PARTITION OF likes FOR VALUES FROM (0) TO (3);
CREATE TABLE likes_many PARTITION OF likes FOR VALUES FROM (3) TO (9);
"""

INDEXES = "CREATE INDEX ON post (user_id); CREATE INDEX ON likes (post_id)"


def loved(code="loved", condition=LIKES, **changes):
    """A badge for the author of a post, by its likes."""
    user = {} if "triggers" in changes else {"trigger_table": "likes", "user_field": ["post_id", "user_id"]}
    badge = entry(code, **{**user, "condition": condition, **changes})
    return {key: value for key, value in badge.items() if value is not None}


@pytest.fixture(params=["statement", "row"])
def tables(request, execute):
    """Posts 1 and 2 of Ada, and 3 of Bob, with their likes; partitioned tables have row-level triggers."""
    execute({"statement": PLAIN, "row": PARTITIONED}[request.param] + INDEXES)


@pytest.fixture
def plain(execute):
    execute(PLAIN + INDEXES)


@pytest.fixture
def people(db):
    return [get_user_model().objects.create(username=name) for name in ("ada", "bob", "cy")]


@pytest.fixture
def posts(people, execute):
    """Give the posts once the tables are there."""
    ada, bob, _ = people
    execute("INSERT INTO post (id, user_id) VALUES (1, %s), (2, %s), (3, %s), (4, NULL)", [ada.pk, ada.pk, bob.pk])


@pytest.fixture
def like(execute, people):
    """Cy likes these posts, in one statement."""

    def insert(*numbers, stars=1):
        execute(
            "INSERT INTO likes (user_id, post_id, stars) SELECT %s, n, %s FROM unnest(%s::integer[]) AS n",
            [people[2].pk, stars, list(numbers)],
        )

    return insert


@pytest.fixture
def held(execute):
    """The badges of each user, by name."""

    def codes():
        rows = execute(
            "SELECT username, code || CASE WHEN thing = '' THEN '' ELSE ':' || thing END"
            " FROM badges_badge JOIN auth_user u ON u.id = user_id ORDER BY 1, 2"
        )
        return " ".join(f"{name}:{code}" for name, code in rows)

    return codes


# Awards


def test_author_earns_what_others_like(tables, declare, execute, posts, like, held, people):
    """One like or many in a statement; a post without an author, and a like without a post, earn nothing."""
    declare(loved(), loved("liked", "NEW.stars >= 1"), loved("thrice", LIKES.replace("2", "3"), per="stars"))
    like(4, 4, 4)
    execute("INSERT INTO likes (post_id) VALUES (NULL)")
    assert held() == ""
    like(1)
    assert held() == "ada:liked"
    like(2)
    assert held() == "ada:liked ada:loved"
    like(3, 3, 3, 4)
    assert held() == "ada:liked ada:loved bob:liked bob:loved bob:thrice:1"
    [(evidence,)] = execute("SELECT evidence -> 'new' FROM badges_badge WHERE code = 'loved' LIMIT 1")
    assert json.loads(evidence).keys() == {"post_id__user_id"}
    execute("UPDATE likes SET stars = 4 WHERE post_id = 1")
    assert Badge.objects.award(people[0], "thrice", 1).thing == "1"
    assert execute("SELECT count(*) FROM badges_pendingcheck") == execute("SELECT count(*) FROM badges_failure")


def test_subjects_of_manual_awards(tables, declare, execute, posts, like, people):
    """A subject is that of a row whose path leads to the user; the text of the key counts, and not its value."""
    ada, bob, cy = people
    declare(loved("each", "NEW.stars > 5", per="stars"))
    like(1, stars=2)
    like(3, 4, stars=3)
    assert Badge.objects.award(ada, "each", 2).thing == "2"
    assert Badge.objects.award(bob, "each", "3").thing == "3"
    for user, subject in ((bob, 2), (ada, 3), (cy, 2), (ada, 4), (ada, "02"), (ada, "two"), (ada, 2**70)):
        with pytest.raises(exceptions.UnknownSubject, match="has no row in likes whose stars is"):
            Badge.objects.award(user, "each", subject)
    execute("UPDATE post SET user_id = %s WHERE id = 1", [cy.pk])
    assert Badge.objects.award(cy, "each", 2).thing == "2"


def test_subjects_are_those_of_the_trigger_table(plain, declare, execute, posts, like, people):
    """A further table, whose changes cause a check, has no subjects of its own."""
    ada, *_ = people
    triggers = [
        {"table": "likes", "on": "insert", "user_field": ["post_id", "user_id"]},
        {"table": "post", "on": "insert", "user_field": "user_id"},
    ]
    declare(
        loved(
            "each",
            "stars > 1",
            per="stars",
            triggers=triggers,
            trigger_table=None,
            user_field=None,
            trigger_condition=None,
        )
    )
    like(1, stars=2)
    assert not Badge.objects.award(ada, "each", 2).by_hand
    with pytest.raises(exceptions.UnknownSubject):
        Badge.objects.award(ada, "each", 1)


def test_subject_of_a_role_that_may_not_follow_the_path(plain, declare, execute, posts, like, people):
    """A role that may award badges and not read the rows awards for a subject that it cannot check."""
    ada, *_ = people
    declare(loved("each", "NEW.stars > 5", per="stars"))
    execute("CREATE ROLE badges_test_awarder")
    execute("GRANT SELECT ON badges_badgedefinition, badges_badge TO badges_test_awarder")
    execute("GRANT EXECUTE ON FUNCTION badges_award(integer, text, jsonb, text, text, text) TO badges_test_awarder")
    execute("SET ROLE badges_test_awarder")
    try:
        assert Badge.objects.award(ada, "each", 7).thing == "7"
    finally:
        execute("RESET ROLE")


@pytest.mark.parametrize("revocable", [False, True])
def test_change_of_the_author_concerns_both(tables, declare, execute, posts, like, held, people, revocable):
    """Whose a row is changes with the row on the way: the new user earns, the old one loses a revocable badge."""
    _, bob, cy = people
    declare(loved(revocable=revocable), loved("each", "true", per="stars", revocable=revocable))
    like(1, 2, 3)
    assert held() == "ada:each:1 ada:loved bob:each:1"
    execute("UPDATE post SET reply_to = NULL")
    assert execute("SELECT count(*) FROM badges_pendingcheck") == [(0,)]
    execute("UPDATE post SET user_id = %s WHERE id = 1", [bob.pk])
    lost = "bob:each:1 bob:loved"
    assert held() == (f"ada:each:1 {lost}" if revocable else f"ada:each:1 ada:loved {lost}")
    execute("UPDATE post SET user_id = %s", [cy.pk])
    got = "cy:each:1 cy:loved"
    assert held() == (got if revocable else f"ada:each:1 ada:loved {lost} {got}")
    execute("UPDATE post SET user_id = NULL")
    assert held() == ("" if revocable else f"ada:each:1 ada:loved {lost} {got}")


def test_what_is_gone_is_revoked(tables, declare, execute, posts, like, held, people):
    """A deleted like, a like of another post, and a post that is deleted with its likes, which then have no author."""
    declare(loved(revocable=True), loved("any", "true", revocable=True))
    like(1, 2, 3)
    assert held() == "ada:any ada:loved bob:any"
    execute("UPDATE likes SET post_id = 3 WHERE post_id = 2")
    assert held() == "ada:any bob:any bob:loved"
    execute("DELETE FROM post WHERE id = 3")
    assert held() == "ada:any"
    execute("DELETE FROM likes")
    assert held() == ""
    assert execute("SELECT count(*) FROM badges_pendingcheck WHERE user_id IS NULL") == [(0,)]


def test_longer_paths(plain, declare, execute, posts, held, people):
    """Each table on the way is watched; a path may lead over its own table."""
    _, bob, cy = people
    execute(
        "CREATE TABLE comment (id integer PRIMARY KEY, post_id integer REFERENCES post ON DELETE CASCADE);"
        "CREATE TABLE vote (comment_id integer REFERENCES comment ON DELETE CASCADE)"
    )
    path = ["comment_id", "post_id", "user_id"]
    votes = (
        "count(*) >= 2 from vote v join comment c on c.id = v.comment_id join post p on p.id = c.post_id"
        " where p.user_id = NEW.comment_id__post_id__user_id"
    )
    replies = "count(*) >= 2 from post r join post p on p.id = r.reply_to where p.user_id = NEW.reply_to__user_id"
    plan = declare(
        loved("voted", votes, trigger_table="vote", user_field=path, revocable=True),
        loved("answered", replies, trigger_table="post", user_field=["reply_to", "user_id"], revocable=True),
    )
    assert not [step for step in plan.steps if "catch_up" in str(step.target)]
    execute("INSERT INTO comment VALUES (1, 1), (2, 3); INSERT INTO vote VALUES (1), (1), (2)")
    assert held() == "ada:voted"
    execute("UPDATE comment SET post_id = 1 - post_id + 3")
    assert held() == "bob:voted"
    execute("UPDATE post SET user_id = %s WHERE id = 3", [cy.pk])
    assert held() == "cy:voted"
    execute("INSERT INTO post (id, user_id, reply_to) VALUES (5, %s, 1), (6, %s, 1)", [bob.pk, cy.pk])
    assert held() == "ada:answered cy:voted"
    execute("UPDATE post SET user_id = %s WHERE id = 1", [bob.pk])
    assert held() == "bob:answered cy:voted"
    execute("DELETE FROM post WHERE id IN (1, 5, 6)")
    assert held() == "cy:voted"


def test_further_triggers_have_paths(plain, declare, execute, posts, like, held, people):
    """A trigger beside the first may name a path, too, and what is on that way is watched."""
    cy = people[2]
    declare(
        loved(
            "praised",
            "count(*) >= 2 from likes l join post p on p.id = l.post_id where p.user_id = NEW.user_id",
            trigger_condition=None, trigger_table=None, user_field=None,
            triggers=[
                {"table": "post", "on": "insert", "user_field": "user_id"},
                {"table": "likes", "on": ["insert", "delete"], "user_field": ["post_id", "user_id"]},
            ],
        )
    )  # fmt: skip
    like(1)
    assert held() == ""
    like(2)
    assert held() == "ada:praised"
    like(3)
    execute("UPDATE post SET user_id = %s WHERE id IN (2, 3)", [cy.pk])
    assert held() == "ada:praised cy:praised"


def test_progress_backfill_and_catch_up(plain, declare, execute, posts, like, held, people, badge_file):
    """What existed before counts as well, in batches and all at once, and so it does for the shown progress."""
    ada, bob, _ = people
    like(1, 2, 3)
    progress = {"condition": None, "progress": LIKES.replace(" >= 2", ""), "goal": 2}
    declare(loved(**progress, revocable=True), loved("late", f"now() is not null and {'(select ' + LIKES + ')'}"))
    assert held() == ""
    call_command("award_badges", verbosity=0)
    assert held() == "ada:late ada:loved"
    assert execute("SELECT user_id, value FROM badges_progress(%s) ORDER BY 1", [[ada.pk, bob.pk]]) == [
        (ada.pk, 2), (bob.pk, 1)
    ]  # fmt: skip
    execute("SET session_replication_role = replica; DELETE FROM badges_badge")
    execute("UPDATE post SET user_id = %s; SET session_replication_role = origin", [bob.pk])
    assert execute("SELECT awarded FROM badges_catch_up()") == [(1,)]
    assert held() == "bob:late"
    call_command("award_badges", verbosity=0)
    assert held() == "bob:late bob:loved"


def test_plan_and_explanation_show_the_path(plain, declare, execute, posts, like, people, badge_file):
    """The preview says whom the badge is for, what is watched and what a write reads; the explanation has the rows."""
    declare()
    badge_file(loved(revocable=True))
    like(1)
    said = io.StringIO()
    call_command("create_badge_triggers", "--plan", stdout=said)
    text = said.getvalue()
    assert "for the user at the end of post_id -> public.post -> user_id" in text
    assert "update, delete on public.likes, for post_id__user_id" in text
    assert "update, delete on public.post, for user_id (its rows decide whose the rows of public.likes are)" in text
    assert "public.post by index" in text
    assert "award_badges on a schedule" not in text
    call_command("create_badge_triggers", verbosity=0)
    said = io.StringIO()
    call_command("explain_badge", "loved", str(people[0].pk), stdout=said)
    assert "post_id__user_id" in said.getvalue()


def test_failing_condition_costs_nothing_else(tables, declare, execute, posts, like, held, people):
    """One by one, badges for users at the end of a path are checked as well."""
    declare(
        loved(),
        loved("broken", "1 / (stars - 1) > 0 or (" + LIKES.replace("count(*)", "select count(*)") + ")"),
        loved("new", "NEW.stars = 1 and exists (select from post p where p.user_id = NEW.post_id__user_id)"),
        loved("whole", LIKES, revocable=True),
    )
    like(1, 2, 3)
    assert held() == "ada:loved ada:new ada:whole bob:new"
    execute("UPDATE post SET user_id = %s WHERE id = 1", [people[1].pk])
    # One by one, a revocation is left to a pending check.
    assert held() == "ada:loved ada:new ada:whole bob:loved bob:new bob:whole"
    assert execute("SELECT DISTINCT code FROM badges_failure") == [("broken",)]
    assert execute("SELECT count(*) FROM likes") == [(3,)]


# Definitions

WRONG = {
    "no_key": (["stars", "user_id"], "public.likes.stars has no foreign key, so it leads to no other row."),
    "unknown": (["post", "user_id"], 'public.likes has no column "post".\n    Did you mean "post_id"?'),
    "unknown_there": (["post_id", "user"], 'public.post has no column "user".\n    Did you mean "user_id"?'),
    "no_user": (["post_id", "title"], "public.post.title is of type text, but users are known by public.auth_user.id"),
    "elsewhere": (["post_id", "reply_to"], '["post_id", "reply_to", "user_id"]'),
    "lone": ("post_id", 'Name the path to the user: "user_field": ["post_id", "user_id"].'),
    "several": (["a", "user_id"], "public.likes.a has a foreign key of several columns, which a path cannot follow"),
    "taken": (["user_id", "id"], "public.likes has a column user_id__id, the name of the user by this path."),
    "empty": ([], "the list is empty."),
    "number": ([1, "user_id"], "a string is needed; found the number 1."),
}


def test_wrong_paths_are_rejected(plain, execute, badge_file):
    """Each with the column that leads nowhere and, if there is one, the path that leads to a user."""
    execute(
        "ALTER TABLE post ADD title text, ADD UNIQUE (id, user_id);"
        "ALTER TABLE likes ADD a integer, ADD b integer, ADD user_id__id integer, ADD FOREIGN KEY (a, b)"
        " REFERENCES post (id, user_id)"
    )
    path = badge_file(*(loved(code, user_field=written, condition="true") for code, (written, _) in WRONG.items()))
    with pytest.raises(exceptions.InvalidDefinitions) as caught:
        executor.draft(connection, analysis.load(connection, path).definitions, path)
    for code, (_, expected) in WRONG.items():
        [report] = re.findall(rf'^badge "{code}", user_field: .*\n    .*', str(caught.value), re.MULTILINE)
        assert expected in report, code


def test_path_of_one_column_is_a_column(plain, badge_file):
    """And the name of the user at the end of a path is unknown to a badge without the path."""
    path = badge_file(loved(user_field=["user_id"], condition="true"), loved("b", user_field="user_id"))
    first, second = definitions.load(path)
    assert (first.user_field, first.user_path) == ("user_id", ())
    with pytest.raises(exceptions.InvalidDefinitions, match="post_id__user_id does not exist"):
        analysis.analyse(connection, describe_target(connection), [first, second])


EQUAL = """
MANY likes l join post p on p.id = l.post_id where p.user_id = ME => likes.post_id__user_id post.way
MANY likes l, post p where l.post_id = p.id and ME = p.user_id => likes.post_id__user_id post.way
MANY likes l where post_id in (select id from post where user_id = ME) => likes.post_id__user_id post.way
MANY likes l where exists (select from post p where p.id = l.post_id and p.user_id = ME) => likes.- post.user_id
MANY post p left join likes l on l.post_id = p.id where p.user_id = ME => likes.post_id__user_id post.user_id
MANY likes l join post p on p.id = l.post_id where p.user_id = ME and p.reply_to = 3
    => likes.post_id__user_id post.user_id
MANY likes l join post p on p.id = l.post_id where p.user_id = ME or p.id = 3 => likes.- post.-
MANY likes l join post p on p.id = l.id where p.user_id = ME => likes.- post.user_id
MANY likes l join post p on p.id = l.post_id, post q where p.user_id = ME => likes.post_id__user_id post.-
MANY likes l join post p on p.id = l.post_id where p.user_id = ME and p::text <> ''
    => likes.post_id__user_id post.user_id
MANY likes l join post p on p.id = l.post_id join post q on q.user_id = p.user_id where p.user_id = ME
    => likes.post_id__user_id post.user_id
MANY likes l, post p where p.user_id = ME => likes.- post.user_id
"""
"""What conditions read, and the column that equals the user; a way is read only to get from one to the other."""


def test_rows_at_the_start_of_a_path_are_of_its_user(plain, badge_file):
    """Rows that are joined with those of the user along the path are watched by it."""
    cases = [case.split("=>") for case in EQUAL.strip().replace("\n    ", " ").split("\n")]
    conditions = [
        text.replace("MANY", "count(*) > 1 from").replace("ME", "NEW.post_id__user_id").strip() for text, _ in cases
    ]
    path = badge_file(*(loved(f"b{number:02}", condition) for number, condition in enumerate(conditions)))
    badges = analysis.analyse(connection, describe_target(connection), definitions.load(path))
    for badge, (_, expected) in zip(badges, cases, strict=True):
        found = [
            f"{read.table.removeprefix('public.')}.{'way' if read.is_way else read.user.name if read.user else '-'}"
            for read in badge.primary.reads
        ]
        assert found == expected.split(), badge.definition.condition
        assert badge.needs_catch_up == ("post.way" not in found), badge.definition.condition


def test_owner_of_the_badges_reads_the_way(plain, execute, badge_file):
    """The rights on the tables along the path are those of the owner of the badges, and lacking ones are named."""
    execute(
        "CREATE ROLE path_owner; GRANT ALL ON ALL TABLES IN SCHEMA public TO path_owner;"
        "REVOKE ALL ON post FROM path_owner;"
        "GRANT CREATE ON SCHEMA public TO path_owner; ALTER TABLE badges_badge OWNER TO path_owner"
    )
    path = badge_file(loved(condition="true"))
    with pytest.raises(exceptions.InvalidDefinitions) as caught:
        analysis.analyse(connection, describe_target(connection), definitions.load(path))
    assert 'Needed: GRANT SELECT ON public.post TO "path_owner";' in str(caught.value)
    execute("GRANT SELECT ON post TO path_owner; ALTER TABLE post ENABLE ROW LEVEL SECURITY")
    plan = executor.draft(connection, definitions.load(path), path)
    assert any("public.post" in finding.message for finding in plan.findings)
