"""Rows belong to a user by equality: only a column that equals the user's column of the changed row is watched."""

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

EQUAL = r"""
MANY likes where user_id = ME => likes.user_id
MANY likes where ME = user_id => likes.user_id
MANY likes where author = ME => likes.author
MANY likes where user_id::bigint = ME => likes.user_id
MANY likes where user_id in (ME) => likes.user_id
MANY likes where user_id = any (array[ME]) => likes.user_id
MANY likes where user_id is not distinct from ME => likes.user_id
MANY likes where (user_id, id) = (ME, 3) => likes.user_id
MANY likes where user_id <> ME => likes.-
MANY likes where user_id >= ME => likes.-
MANY likes where not user_id = ME => likes.-
MANY likes where user_id = ME or id = 3 => likes.-
MANY likes where user_id = NEW.id => likes.-
MANY likes where user_id in (ME, 7) => likes.-
count(*) filter (where user_id = ME) > 1 from likes => likes.-
MANY likes group by user_id having user_id = ME => likes.-
MANY likes l join post p on p.id = l.post_id where p.user_id = ME => likes.- post.user_id
MANY likes l join post p on p.id = l.post_id where p.user_id = ME and l.user_id <> p.user_id => likes.- post.user_id
MANY likes l join post p on p.user_id = l.user_id where p.user_id = ME => likes.user_id post.user_id
MANY likes l join post p using (user_id) where user_id = ME => likes.user_id post.user_id
MANY likes l natural join (select user_id from post) p where user_id = ME => likes.user_id post.user_id
MANY likes l left join post p on p.user_id = ME => likes.- post.user_id
MANY likes l left join post p on l.user_id = ME => likes.- post.-
MANY likes l right join post p on l.user_id = ME => likes.user_id post.-
MANY likes l full join post p on l.user_id = ME and p.user_id = ME => likes.- post.-
MANY likes l left join post p on p.id = l.post_id where p.user_id = ME => likes.- post.user_id
MANY post p join post q on q.id = p.reply_to where q.user_id = ME => post.-
MANY post p join post q on q.user_id = p.user_id where q.user_id = ME => post.user_id
MANY likes a, likes b where a.user_id = ME and b.author = ME => likes.-
exists (select from likes where user_id = ME) => likes.user_id
not exists (select from likes where user_id = ME) => likes.user_id
exists (select from post p where p.user_id = ME and exists (select from likes where user_id =
    p.user_id)) => likes.user_id post.user_id
exists (select from post p where id = 3 or exists (select from likes l where l.user_id = p.user_id
    and l.user_id = ME)) => likes.user_id post.-
ME in (select user_id from likes) => likes.user_id
ME not in (select user_id from likes where user_id is not null) => likes.user_id
ME in (select user_id from likes limit 10) => likes.-
ME in (select author from likes group by author having count(*) > 3) => likes.author
ME in (select min(user_id) from likes group by author) => likes.-
MANY post where user_id in (select user_id from likes) and user_id = ME => likes.user_id post.user_id
MANY post where user_id in (select user_id from likes where user_id = ME) => likes.user_id post.user_id
n > 1 from (select user_id, count(*) n from likes group by user_id) s where s.user_id = ME => likes.user_id
n > 1 from (select author, user_id, row_number() over () n from likes) s where s.user_id = ME => likes.-
n > 1 from (select user_id, 3 n from likes order by id limit 1) s where s.user_id = ME => likes.-
n > 1 from (select distinct on (author) user_id, 3 n from likes) s where s.user_id = ME => likes.-
MANY (select user_id from likes where user_id = ME limit 9) s => likes.user_id
MANY (select user_id from likes union all select user_id from post) s where s.user_id = ME =>
    likes.user_id post.user_id
MANY (select user_id from likes union all select id from post) s where s.user_id = ME => likes.user_id post.id
(with mine as (select id from post where user_id = ME) select MANY mine) => post.user_id
(with s as (select user_id from likes) select MANY s where user_id = ME) => likes.user_id
(with s as (select user_id from likes) select MANY s a, s b where a.user_id = ME) => likes.-
MANY post p, lateral (select from likes where user_id = p.user_id) l where p.user_id = ME =>
    likes.user_id post.user_id
(select count(*) from post where user_id = ME) > (select count(*) from likes) => likes.- post.user_id
"""
"""What conditions read, and the columns that equal the user; ME is NEW.user_id, MANY is count(*) > 1 from."""


def cases():
    """The conditions, each with the column of each table."""
    for case in re.sub(r"\n +", " ", EQUAL.strip()).splitlines():
        condition, _, columns = case.partition(" => ")
        equal = dict(column.split(".") for column in columns.split())
        written = condition.replace("ME", "NEW.user_id").replace("MANY", "count(*) > 1 from")
        yield written, {table: None if column == "-" else column for table, column in equal.items()}


@pytest.fixture
def tables(execute):
    """Posts, which may reply to posts, and likes of posts."""
    execute(
        "CREATE TABLE post (id serial PRIMARY KEY, user_id integer REFERENCES auth_user ON DELETE CASCADE,"
        " reply_to integer REFERENCES post, title text)"
    )
    execute(
        "CREATE TABLE likes (id serial PRIMARY KEY, post_id integer REFERENCES post ON DELETE CASCADE,"
        " user_id integer REFERENCES auth_user ON DELETE CASCADE, author integer)"
    )


def analysed(*entries):
    found = analysis.analyse(connection, describe_target(connection), definitions.parse(json.dumps(entries)), "file")
    return {each.definition.code: each for each in found}


def test_columns_that_equal_the_user(tables):
    """Of each table, the column that equals the user wherever the table is read, or none."""
    badges = [entry(f"b-{number}", condition=condition) for number, (condition, _) in enumerate(cases())]
    found = {
        each.definition.condition: {
            read.table.removeprefix("public."): read.user and read.user.name
            for facts in each.facts.values()
            for read in facts.reads
        }
        for each in analysed(*badges).values()
    }
    assert found == dict(cases())


def post(code, condition, **changes):
    return entry(code, trigger_table="post", condition=condition, **changes)


LIKED = (
    "count(*) >= 2 from likes l join post p on p.id = l.post_id"
    " where p.user_id = NEW.user_id and l.user_id <> p.user_id"
)
REPLIED = "count(*) >= 2 from post p join post q on q.id = p.reply_to where q.user_id = NEW.user_id"


@pytest.fixture
def authors():
    return [get_user_model().objects.create(username=name) for name in ("ada", "bob")]


@pytest.mark.parametrize("revocable", [False, True])
def test_likes_of_a_post(tables, declare, execute, held, authors, revocable):
    """Likes are not watched for the liker; the plan says so, and award_badges awards the author and revokes."""
    ada, bob = authors
    declare(post("liked", LIKED, revocable=revocable))
    [liked] = analysed(post("liked", LIKED, revocable=revocable)).values()
    assert [each.table.name for each in liked.watches] == (["post"] if revocable else [])
    assert liked.needs_catch_up
    execute("INSERT INTO post (user_id) VALUES (%s)", [ada.pk])
    execute("INSERT INTO likes (post_id, user_id) SELECT p.id, %s FROM post p, generate_series(1, 2)", [bob.pk])
    assert held(ada) == held(bob) == []
    call_command("award_badges", yes=True, late=True, stdout=io.StringIO())
    assert (held(ada), held(bob)) == (["liked"], [])
    execute("DELETE FROM likes")
    assert execute("SELECT taken_back FROM badges_catch_up()") == [(int(revocable),)]
    assert held(ada) == ([] if revocable else ["liked"])


@pytest.mark.parametrize("revocable", [False, True])
def test_replies_to_a_post(tables, declare, execute, held, authors, revocable):
    """Of its own table, too, rows of others are not watched: the plan and explain_badge say so, and catch-up awards."""
    ada, bob = authors
    declare(post("replied", REPLIED, revocable=revocable))
    [replied] = analysed(post("replied", REPLIED, revocable=revocable)).values()
    assert replied.needs_catch_up
    execute("INSERT INTO post (user_id) VALUES (%s)", [ada.pk])
    execute("INSERT INTO post (user_id, reply_to) SELECT %s, p.id FROM post p, generate_series(1, 2)", [bob.pk])
    assert held(ada) == held(bob) == []
    said = io.StringIO()
    call_command("explain_badge", "replied", str(ada.pk), stdout=said)
    assert "reads rows of all users in public.post" in said.getvalue()
    assert execute("SELECT awarded, taken_back FROM badges_catch_up()") == [(1, 0)]
    assert (held(ada), held(bob)) == (["replied"], [])


def test_inviter_is_watched_by_the_column_that_equals(tables, declare, execute, held, authors):
    """A revocable badge for whom the rows name in another column is checked for the user in that column."""
    ada, bob = authors
    execute("ALTER TABLE post ADD COLUMN invited_by integer REFERENCES auth_user")
    declare(post("inviter", "count(*) >= 2 from post where invited_by = NEW.user_id", revocable=True))
    execute("INSERT INTO post (user_id, invited_by) SELECT %s, %s FROM generate_series(1, 2)", [bob.pk, ada.pk])
    assert (held(ada), held(bob)) == (["inviter"], [])
    execute("DELETE FROM post WHERE id = (SELECT min(id) FROM post)")
    assert held(ada) == []


# The column of the user


@pytest.fixture
def family(execute):
    """A parent with a user, a child by multi-table inheritance, a profile whose key is the user's, and its things."""
    execute(
        "CREATE TABLE parent (id serial PRIMARY KEY, user_id integer REFERENCES auth_user);"
        "CREATE TABLE child (parent_ptr_id integer PRIMARY KEY REFERENCES parent, score integer);"
        "CREATE TABLE profile (user_id integer PRIMARY KEY REFERENCES auth_user);"
        "CREATE TABLE thing (id serial PRIMARY KEY, profile_id integer REFERENCES profile, tag_id integer);"
        "CREATE TABLE grandchild (child_ptr_id integer PRIMARY KEY REFERENCES child)"
    )


def test_column_of_another_table_is_no_user(family):
    """A column whose foreign keys lead elsewhere is rejected, with the path that leads to a user."""
    badges = [
        entry("a", trigger_table="child", user_field="parent_ptr_id", condition="true"),
        entry("b", trigger_table="grandchild", user_field="child_ptr_id", condition="true"),
        entry("c", triggers=[{"table": "child", "on": "insert", "user_field": "parent_ptr_id"}]),
    ]
    del badges[2]["trigger_table"], badges[2]["user_field"], badges[2]["trigger_condition"]
    badges[2]["triggers"].insert(0, {"table": "dummy_sketch", "on": "insert", "user_field": "user_id"})
    with pytest.raises(exceptions.InvalidDefinitions) as caught:
        analysed(*badges)
    refers = "public.child.parent_ptr_id refers to public.parent, so its values are no keys of users"
    assert str(caught.value).partition("\n")[2] == (
        f'badge "a", user_field: {refers} (public.auth_user.id).\n'
        '    Name the path to the user: "user_field": ["parent_ptr_id", "user_id"].\n'
        'badge "b", user_field: public.grandchild.child_ptr_id refers to public.child, so its values are no keys of '
        "users (public.auth_user.id).\n"
        '    Name the path to the user: "user_field": ["child_ptr_id", "parent_ptr_id", "user_id"].\n'
        f'badge "c", triggers 2, user_field: {refers} (public.auth_user.id).\n'
        '    Name the path to the user: "user_field": ["parent_ptr_id", "user_id"].'
    )


@pytest.mark.parametrize(("table", "column"), [("profile", "user_id"), ("thing", "profile_id"), ("thing", "tag_id")])
def test_column_that_leads_to_the_user(family, table, column):
    """A key of a table whose own key is the user's holds the user's key, and so may a column without a foreign key."""
    assert analysed(entry("a", trigger_table=table, user_field=column, condition="true"))
