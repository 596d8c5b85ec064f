"""What PostgreSQL says about badges: what they read, what is watched for them, and what cannot be."""

from __future__ import annotations

import json
import textwrap

import pytest
from bad_input_cases import SKETCHES, counted, levelled, triggered
from conftest import entry
from django.db import connection

from badges import definitions
from badges.definitions.types import TriggerEvent
from badges.exceptions import InvalidDefinitions
from badges.facts import analysis
from badges.facts.target import describe_target

pytestmark = pytest.mark.django_db

COUNT = "count(id) from dummy_sketch where user_id = NEW.user_id"


def analyse(*entries):
    """The badges of these entries by code."""
    declared = definitions.parse(json.dumps(entries))
    return {each.definition.code: each for each in analysis.analyse(connection, describe_target(connection), declared)}


def report(*entries):
    with pytest.raises(InvalidDefinitions) as caught:
        analyse(*entries)
    return "\n".join(map(str, caught.value.errors))


def watched(analysed):
    return {
        f"{each.table.name}.{each.user.name}": " ".join(event.value for event in each.events)
        for each in analysed.watches
    }


@pytest.fixture(autouse=True)
def likes(execute):
    """A table of likes, which names who gave one; a table of awards, which names two users; and one without any."""
    execute(
        """
        CREATE TABLE likes (id int, sketch_id int, liker_id int REFERENCES auth_user (id), stars numeric);
        CREATE TABLE duels (winner_id int REFERENCES auth_user (id), loser_id int REFERENCES auth_user (id));
        CREATE TABLE seasons (starts date, open boolean);
        CREATE VIEW popular AS SELECT user_id FROM dummy_sketch WHERE hit_views > 1000;
        CREATE FUNCTION is_open() RETURNS boolean STABLE LANGUAGE sql AS 'SELECT bool_or(open) FROM seasons'
        """
    )


# Progress and goals


def test_condition_of_a_progress_has_facts():
    """The condition that follows from progress and goal is read like any other, after each event."""
    badge = counted(progress=COUNT, trigger_condition=["insert", "update"])
    analysed = analyse(badge)["x"]
    assert set(analysed.facts) == {TriggerEvent.INSERT, TriggerEvent.UPDATE}
    for facts in analysed.facts.values():
        assert (facts.new_columns, facts.tables, facts.is_cross_row) == (("user_id",), ("public.dummy_sketch",), True)


@pytest.mark.parametrize(
    "progress", ["1", "hit_views", "count(*) from likes", "hit_views::numeric", "hit_views::float4", "1::float8"]
)
def test_numbers_are_progress(progress):
    """Whatever PostgreSQL has for numbers can reach a goal."""
    assert analyse(counted(progress=progress, goal=0.5))


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        ("title", "the progress gives character varying; a goal needs a number.\n    Count something, or cast it."),
        ("true", "the progress gives boolean; a goal needs a number.\n    Count something, or cast it."),
        (
            "count(*)",
            ("the progress aggregates without FROM, so it sees only the changed row.\n"
            "    Say which rows: count(*) FROM a_table WHERE user_id = NEW.user_id"),
        ),
        (
            "1) FROM (SELECT 1",
            ('syntax error at or near ")"\n    1) FROM (SELECT 1\n     ^\n'
            "    Probably one ) is too many: the progress never opened it."),
        ),
        ("1, 2", "the progress must give one column: subquery must return only one column.\n    Write one expression."),
        (
            "SELECT 1",
            ('syntax error at or near "SELECT"\n    SELECT 1\n    ^\n'
            "    Write the progress without SELECT."),
        ),
        (
            "hit_viewz",
            ('column "hit_viewz" does not exist\n    hit_viewz\n    ^\n'
            '    Perhaps you meant to reference the column "new.hit_views".'),
        ),
        (
            "1 where random() > 0.5",
            ("the progress calls random(); volatile functions may change data or their answer.\n"
            "    Use now() for the time; declare a function of your own STABLE if it only reads."),
        ),
    ],
)  # fmt: skip
def test_progress_is_refused_in_its_own_terms(progress, expected):
    """PostgreSQL's error points into the author's text, and names the key."""
    assert report(counted(progress=progress)) == f'badge "x", progress: {expected}'


def test_levels_are_faulty_once():
    """What the levels share is reported once, at the first of them."""
    assert report(levelled({"code": "a", "goal": 1}, {"code": "b", "goal": 2}, progress="title", per="x_y")) == (
        'badge "a", per: public.dummy_sketch has no column "x_y".\n'
        "    Its columns: id, title, hit_views, created, user_id.\n"
        'badge "a", progress: the progress gives character varying; a goal needs a number.\n'
        "    Count something, or cast it."
    )


# What is read


def test_tables_that_are_read():
    """Each table comes with the columns that are read of it, and the one that equals the user if there is one."""
    condition = (
        "count(*) > 3 from dummy_sketch s join likes l on l.sketch_id = s.id and l.stars > 2"
        " join auth_user u on u.id = s.user_id and u.is_active cross join seasons"
        " join duels d on d.winner_id = u.id or d.loser_id = u.id"
        " where s.user_id = NEW.user_id and exists (select from popular where user_id = NEW.user_id)"
    )
    [facts] = analyse(entry("x", condition=condition))["x"].facts.values()
    reads = {each.table: (each.columns, each.user and each.user.name) for each in facts.reads}
    assert reads == {
        "public.auth_user": (("id", "is_active"), "id"),
        "public.dummy_sketch": (("id", "user_id"), "user_id"),
        "public.duels": (("winner_id", "loser_id"), None),
        "public.likes": (("sketch_id", "stars"), None),
        "public.popular": (("user_id",), "user_id"),
        "public.seasons": ((), None),
    }
    assert tuple(each.table for each in facts.reads) == facts.tables


def test_rows_that_are_read_as_a_whole():
    """A row that is read without naming its columns reads all of them."""
    condition = "count(l) > 3 from likes l where liker_id = NEW.user_id"
    [facts] = analyse(entry("x", condition=condition))["x"].facts.values()
    [likes] = facts.reads
    assert likes.columns == ("id", "sketch_id", "liker_id", "stars")
    assert (likes.user.name, likes.user.type) == ("liker_id", "integer")


@pytest.mark.parametrize(
    ("decided_by", "changes"),
    [
        ("row", {"condition": "hit_views > 5"}),
        ("row", {"condition": "true"}),
        ("row", {"condition": "count(*) > 5 from likes where sketch_id = NEW.id"}),
        ("row", {"condition": "count(*) > 5 from likes where liker_id = NEW.user_id", "per": "id"}),
        ("user", {"condition": "count(*) > 5 from likes where liker_id = NEW.user_id"}),
        ("user", {"condition": "is_open()"}),
        ("user", {"condition": "count(*) = 0 from dummy_sketch where user_id = OLD.user_id",
                  "trigger_condition": "delete"}),
    ],
)  # fmt: skip
def test_what_decides(decided_by, changes):
    """The user alone decides where other rows do and the changed row only says whose; otherwise a row does."""
    [facts] = analyse(entry("x", **changes))["x"].facts.values()
    assert facts.decided_by == decided_by


# Names


@pytest.mark.parametrize(("written", "name"), [("id", "id"), ("ID", "id"), ('"id"', "id")])
def test_column_of_the_thing(written, name):
    """The column of the thing is named like that of the user."""
    [facts] = analyse(entry("x", per=written))["x"].facts.values()
    assert facts.per.name == name
    [facts] = analyse(entry("x"))["x"].facts.values()
    assert facts.per is None


FAULTY_NAMES = {
    "thing": (
        entry("x", per="titel"),
        'badge "x", per: public.dummy_sketch has no column "titel".\n    Did you mean "title"?',
    ),
    "thing whose text differs": (
        entry("x", per="created"),
        (
            'badge "x", per: public.dummy_sketch.created is of type timestamp with time zone, whose text is not the '
            "same in every session: one subject could earn two badges.\n"
            "    Name a column of whole numbers, text or UUIDs, such as a key."
        ),
    ),
    "first trigger": (
        triggered({**SKETCHES, "table": "dummy_skech"}),
        'badge "x", triggers 1, table: there is no table "dummy_skech".\n    Did you mean "dummy_sketch"?',
    ),
    "user of the first trigger": (
        triggered({**SKETCHES, "user_field": "title"}),
        (
            'badge "x", triggers 1, user_field: public.dummy_sketch.title is of type character varying, but users are '
            "known by public.auth_user.id, of type integer.\n    Name the column that holds the key of the user."
        ),
    ),
    "further triggers": (
        triggered(SKETCHES, {**SKETCHES, "table": "popular"}, {**SKETCHES, "table": "likes", "user_field": "liker"}),
        (
            'badge "x", triggers 2, table: "popular" is a view; only a table can be watched.\n'
            "    Name the table whose rows change; writes through an updatable view reach it too.\n"
            'badge "x", triggers 3, user_field: public.likes has no column "liker".\n    Did you mean "liker_id"?'
        ),
    ),
    "no interval": (
        entry("x", expires_after="soon"),
        (
            'badge "x", expires_after: invalid input syntax for type interval: "soon".\n'
            '    Write an interval as PostgreSQL reads it, such as "90 days" or "1 year".'
        ),
    ),
    "no time left": (
        entry("x", expires_after="0 days"),
        (
            'badge "x", expires_after: a badge that ends after "0 days" would never be held.\n'
            "    Write a positive, finite interval; leave the key out for badges that stay."
        ),
    ),
    "time that runs backwards": (
        entry("x", expires_after="-1 year"),
        (
            'badge "x", expires_after: a badge that ends after "-1 year" would never be held.\n'
            "    Write a positive, finite interval; leave the key out for badges that stay."
        ),
    ),
    "beyond all times": (
        entry("x", expires_after="1000000 years"),
        (
            'badge "x", expires_after: timestamp out of range.\n'
            '    Write an interval as PostgreSQL reads it, such as "90 days" or "1 year".'
        ),
    ),
    "inactive": (
        entry("x", condition="title", active=False),
        (
            'badge "x", condition: the condition gives character varying; a badge needs true or false.\n'
            "    Compare it with something."
        ),
    ),
}


@pytest.mark.parametrize(("badge", "expected"), FAULTY_NAMES.values(), ids=FAULTY_NAMES.keys())
def test_faulty_names(badge, expected):
    """A name or interval that the server does not know is reported at its key, for paused badges too."""
    assert report(badge) == expected


# What is watched


def test_nothing_is_watched_for_an_ordinary_badge():
    """A badge that is kept is checked after its own events alone, whatever it reads."""
    analysed = analyse(entry("x", condition="count(*) > 3 from likes where liker_id = NEW.user_id"))["x"]
    assert (analysed.watches, analysed.unwatched) == ((), ())


def test_declared_triggers_are_watched():
    """What the file names beside the first trigger is watched, the same table and user once, own events never."""
    likes = {"table": "likes", "on": "insert", "user_field": "liker_id"}
    badge = triggered(
        SKETCHES, likes, {**likes, "on": ["delete"]}, {**SKETCHES, "on": ["insert", "delete"]},
        condition="count(*) > 3 from likes where liker_id = NEW.user_id",
    )  # fmt: skip
    analysed = analyse(badge)["x"]
    assert watched(analysed) == {"likes.liker_id": "insert delete", "dummy_sketch.user_id": "delete"}
    assert {each.reason for each in analysed.watches} == {"named in triggers"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"condition": "hit_views > 5"}, {"dummy_sketch.user_id": "update delete"}),
        (
            {"condition": "hit_views > 5", "trigger_condition": "update"},
            {"dummy_sketch.user_id": "delete"},
        ),
        ({"condition": "count(id) >= 5 from dummy_sketch where user_id = NEW.user_id"},
         {"dummy_sketch.user_id": "update delete"}),
        ({"condition": "count(*) >= 5 from likes where liker_id = NEW.user_id", "trigger_condition": "update"},
         {"dummy_sketch.user_id": "insert delete", "likes.liker_id": "insert update delete"}),
        ({"condition": "is_active from auth_user u where u.id = NEW.user_id"},
         {"dummy_sketch.user_id": "update delete", "auth_user.id": "insert update delete"}),
    ],
)  # fmt: skip
def test_revocable_badges_are_watched(changes, expected):
    """For a badge that may be revoked all is watched that can make its condition false."""
    analysed = analyse(entry("x", revocable=True, **changes))["x"]
    assert watched(analysed) == expected
    assert analysed.unwatched == ()
    assert {each.reason for each in analysed.watches} == {"its rows decide"}


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("count(*) > 5 from likes where sketch_id = NEW.id",
         "The condition reads public.likes, and no column of it that equals user_id:"),
        ("count(*) > 5 from dummy_sketch", "The condition reads rows of all users in public.dummy_sketch:"),
        ("count(*) > 5 from popular", "The condition reads public.popular, which is no table that can be watched."),
        ("created > now() - interval '1 day'", "The condition depends on the time, which passes without a change."),
        ("is_open()", "The condition calls a function of the site's own, and what that reads is not known."),
    ],
)  # fmt: skip
def test_what_cannot_be_watched_is_told(condition, sentence):
    """What may make the condition false unnoticed is reported with its hint, for a revocable badge alone."""
    [sentence_found] = analyse(entry("x", condition=condition, revocable=True))["x"].unwatched
    assert sentence_found.startswith(sentence)
    assert "award_badges on a schedule" in sentence_found or "in triggers" in sentence_found
    assert analyse(entry("x", condition=condition))["x"].unwatched == ()


@pytest.mark.parametrize("condition", ["count(*) > 5 from popular", "is_open()"])
def test_what_stands_behind_can_be_named(condition):
    """What is behind a view or a function is unknown; where the file names further tables, nothing is reported."""
    likes = {"table": "likes", "on": "insert", "user_field": "liker_id"}
    assert analyse(triggered(SKETCHES, likes, condition=condition, revocable=True))["x"].unwatched == ()


def test_two_users_of_one_table_are_watched():
    """A table whose rows name two users is watched for each of them that the file names."""
    first, second = ({"table": "duels", "on": "insert", "user_field": name} for name in ("winner_id", "loser_id"))
    analysed = analyse(triggered(first, second, condition="count(*) > 5 from duels where winner_id = NEW.winner_id"))
    assert watched(analysed["x"]) == {"duels.loser_id": "insert"}


def test_table_named_in_triggers_is_watched():
    """Where no column identifies the user, the file can name one."""
    likes = {"table": "likes", "on": ["insert", "delete"], "user_field": "liker_id"}
    condition = "count(*) > 5 from likes where sketch_id = NEW.id"
    analysed = analyse(triggered(SKETCHES, likes, condition=condition, revocable=True))["x"]
    assert analysed.unwatched == ()
    assert watched(analysed) == {"likes.liker_id": "insert delete", "dummy_sketch.user_id": "update delete"}


GONE_UPDATE = "when the badge may be revoked, the row as it was before an update is gone."
GONE_DELETE = "when the badge may be revoked, that row is gone."


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"condition": "NEW.hit_views > OLD.hit_views", "trigger_condition": "update"},
            f"""\
            revocable: the condition reads OLD, and {GONE_UPDATE}
                Write the condition with the rows that exist, or leave out "revocable".""",
        ),
        (
            {"condition": "OLD.hit_views > 5", "trigger_condition": ["update", "delete"]},
            f"""\
            revocable: the condition reads OLD, and {GONE_UPDATE}
                Write the condition with the rows that exist, or leave out "revocable".""",
        ),
        (
            {"condition": "hit_views > 5", "trigger_condition": "delete"},
            f"""\
            revocable: a deleted row decides the condition, and {GONE_DELETE}
                Let rows that exist decide, read of OLD only user_id, or leave out "revocable".""",
        ),
        (
            {"condition": "true", "trigger_condition": "delete"},
            f"""\
            revocable: a deleted row decides the condition, and {GONE_DELETE}
                Let rows that exist decide, read of OLD only user_id, or leave out "revocable".""",
        ),
    ],
)
def test_condition_that_rows_which_exist_cannot_decide(changes, expected):
    """A badge that is to be evaluated later cannot hang on a row that is gone; one that is kept can."""
    assert report(entry("x", revocable=True, **changes)) == f'badge "x", {textwrap.dedent(expected)}'
    assert analyse(entry("x", **changes))


def test_watched_condition_that_rows_which_exist_cannot_decide():
    """The same for a badge with further triggers."""
    likes = {"table": "likes", "on": "insert", "user_field": "liker_id"}
    badge = triggered({**SKETCHES, "on": "update"}, likes, condition="NEW.hit_views > OLD.hit_views")
    assert report(badge) == (
        'badge "x", triggers: the condition reads OLD, and after a change of another table, the row as it was before '
        "an update is gone.\n"
        "    Write the condition with the rows that exist, or leave out the further triggers."
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"condition": "hit_views > 5", "trigger_condition": ["insert", "delete"]},
        {"condition": "count(*) = 0 from dummy_sketch where user_id = OLD.user_id", "trigger_condition": "delete"},
    ],
)
def test_condition_that_can_be_looked_at_again(changes):
    """A delete may be among the events where a row that exists, or the user alone, decides."""
    assert analyse(entry("x", revocable=True, **changes))
