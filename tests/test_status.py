"""list_badges: the status of each badge, in a fixed number of queries."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from dummy.models import Sketch

from badges import definitions
from badges.installation.types import InstalledTrigger
from badges.models import Badge, PendingCheck
from badges.operations import status
from badges.queries import holders, pages

pytestmark = pytest.mark.django_db

FIRST = entry("first", condition="NEW.hit_views >= 0", name="First sketch")
GROWN = entry("grown", condition="NEW.hit_views > OLD.hit_views", trigger_condition="update")
BROKEN = entry("broken", condition="1 / NEW.hit_views > 0", trigger_condition=["insert", "delete"])
BROKEN["condition"] = "1 / hit_views > 0"


@pytest.fixture
def survey(settings):
    """How the badges of the site's file stand, by code."""

    def run():
        found = status.survey(connection, definitions.load(settings.BADGES_FILE))
        return {badge.code: badge for badge in found}

    return run


def test_numbers(declare, survey, user):
    """Each badge has its events, table, level, holders, share, last award, failures and pending checks."""
    User.objects.create(username="bob")
    declare(FIRST, GROWN, BROKEN)
    Sketch.objects.create(user=user, title="x")
    PendingCheck.objects.create(bucket=1, user=user, code="grown", evidence={})
    found = survey()
    first, grown, broken = found.values()
    assert list(found) == ["first", "grown", "broken"]
    table = "public.dummy_sketch"
    assert (first.writes, first.levels) == ((status.Writes(table, ("insert",)),), ("statement",))
    assert (grown.writes, grown.levels) == ((status.Writes(table, ("update",)),), ("row",))
    assert broken.writes == (status.Writes(table, ("insert", "delete")),)
    assert (first.holders, first.users, first.share) == (1, 2, 0.5)
    assert first.last_award == Badge.objects.get().awarded_at
    assert (grown.holders, grown.last_award, grown.share) == (0, None, 0.0)
    assert [badge.failures for badge in found.values()] == [0, 0, 1]
    assert [badge.pending for badge in found.values()] == [0, 1, 0]
    assert {badge.state for badge in found.values()} == {status.State.ENABLED}


def test_things_of_one_user(declare, survey, user):
    """Who holds a badge for several things is one holder."""
    declare(FIRST, entry("hit", condition="NEW.hit_views > 5000", per="id"))
    bob = User.objects.create(username="bob")
    for owner in (user, user, bob):
        Badge.objects.award(owner, "hit", Sketch.objects.create(user=owner, title="Sketch"))
    assert [badge.holders for badge in survey().values()] == [2, 2]


def test_states(declare, survey, badge_file, execute, user):
    """The state of a badge is that of its triggers: enabled, disabled, missing, out of date, retired."""
    declare(FIRST, GROWN, BROKEN, entry("left"), entry("unheld"))
    Badge.objects.award(user, "left")
    names = dict(execute("SELECT tgtype, tgname FROM pg_trigger WHERE tgrelid = 'dummy_sketch'::regclass"))
    execute(f"ALTER TABLE dummy_sketch DISABLE TRIGGER {names[16 + 1]}")
    execute(f"DROP TRIGGER {names[8]} ON dummy_sketch")
    path = badge_file({**FIRST, "name": "New name"}, GROWN, BROKEN, entry("new"))
    assert {code: badge.state.value for code, badge in survey().items()} == {
        "first": "out of date", "grown": "disabled", "broken": "missing", "new": "missing",
        "left": "out of date", "unheld": "out of date",
    }  # fmt: skip
    call_command("create_badge_triggers", stdout=io.StringIO(), stderr=io.StringIO())
    assert {code: badge.state.value for code, badge in survey().items()} == {
        "first": "enabled", "grown": "disabled", "broken": "enabled", "new": "enabled", "left": "retired",
    }  # fmt: skip
    assert path.exists()


def test_fixed_number_of_queries(declare, badge_file, survey, user):
    """Ten times the badges take as many queries."""
    declare(FIRST)
    with CaptureQueriesContext(connection) as one:
        survey()
    declare(*(entry(f"first-{number}", trigger_condition=["insert", "update"]) for number in range(10)))
    with CaptureQueriesContext(connection) as ten:
        assert len(survey()) == 10
    assert len(ten) == len(one)


@pytest.mark.parametrize(
    ("share", "shown"), [(0, 0), (1, 100), (1 / 3, 33.3), (0.5, 50), (0.99999, 99.9), (0.00001, 0.1)]
)
def test_percent(share, shown):
    """Pages, admin and commands show the same percentage: 0 only for no user, and 100 only for all."""
    assert holders.percent(share) == pages.Entry(None, share=share).percent_of_users == shown


def test_command(declare, user):
    """The command prints an aligned table with one line for each badge; --json has all of it and says what is wrong."""
    declare(FIRST, {**GROWN, "name": "Grown\n\x1b[2J"})
    Sketch.objects.create(user=user, title="x")
    call_command("list_badges", stdout=(output := io.StringIO()))
    title, first, grown = output.getvalue().splitlines()
    assert title.split() == [
        "code", "name", "after", "level", "trigger", "holders", "share", "badges", "last", "award", "failures",
        "pending",
    ]  # fmt: skip
    assert first.split()[:6] == ["first", "First", "sketch", "insert", "on", "public.dummy_sketch"]
    assert " 100%          20" in first
    assert title.index("level") == first.index("statement") == grown.index("  row  ") + 2
    assert len(title) == len(first) == len(grown)
    call_command("list_badges", "--json", stdout=(output := io.StringIO()))
    found = json.loads(output.getvalue())
    assert [badge["code"] for badge in found] == ["first", "grown"]
    assert (found[0]["holders"], found[0]["share"], found[0]["problems"]) == (1, 1.0, [])


def test_no_users_no_badges(declare):
    """Without users and without badges there is nothing to divide by and nothing to list."""
    declare(FIRST)
    call_command("list_badges", stdout=(output := io.StringIO()))
    assert " 0% " in output.getvalue()
    declare()
    call_command("list_badges", stdout=(output := io.StringIO()))
    assert output.getvalue().splitlines()[0].startswith("code  name")


LIKED = entry(
    "liked",
    condition="count(*) >= 2 from likes where author_id = NEW.user_id",
    triggers=[
        {"table": "dummy_sketch", "on": "insert", "user_field": "user_id"},
        {"table": "public.LIKES", "on": ["update", "delete"], "user_field": "author_id"},
    ],
)
for key in ("trigger_table", "trigger_condition", "user_field"):
    del LIKED[key]


@pytest.fixture
def likes(execute):
    execute("CREATE TABLE likes (author_id bigint REFERENCES auth_user (id), sketch_id bigint)")


def writes(badge):
    return "; ".join(map(str, badge.writes))


def test_further_tables(declare, survey, execute, likes):
    """The triggers of further tables count, those that are named and those that a revocable badge watches."""
    revocable = entry("kept", condition="count(*) >= 2 from likes where author_id = NEW.user_id", revocable=True)
    declare(LIKED, revocable)
    liked, kept = survey().values()
    assert writes(liked) == "insert on public.dummy_sketch; update, delete on public.likes"
    assert writes(kept) == "insert, update, delete on public.dummy_sketch; insert, update, delete on public.likes"
    assert (liked.state, kept.state) == (status.State.ENABLED, status.State.ENABLED)
    names = dict(execute("SELECT tgtype, tgname FROM pg_trigger WHERE tgname ~ '^badges.*likes'"))
    execute(f"ALTER TABLE likes DISABLE TRIGGER {names[16]}")
    liked, kept = survey().values()
    message = f"Its trigger {names[16]} on public.likes is disabled."
    assert [[problem.message for problem in each.problems] for each in (liked, kept)] == [[message], [message]]
    execute(f"DROP TRIGGER {names[8]} ON likes")
    liked, kept = survey().values()
    assert (liked.state, kept.state) == (status.State.MISSING, status.State.MISSING)
    assert liked.problems[0].message == "Its trigger after delete on public.LIKES is missing."
    assert kept.problems[0].message == f"The trigger that calls its function {names[8]} is missing."
    call_command("create_badge_triggers", stdout=io.StringIO(), stderr=io.StringIO())
    assert {badge.state for badge in survey().values()} == {status.State.DISABLED}


def test_a_table_of_the_same_name(declare, survey, execute, likes):
    """A trigger of another table is not taken for the one that is missing."""
    declare(LIKED, entry("kept", trigger_condition=["insert", "update"]))
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname ~ '^badges_update.*likes'")
    execute(f"DROP FUNCTION {name} CASCADE")
    liked, kept = survey().values()
    assert [problem.message for problem in liked.problems] == ["Its trigger after update on public.LIKES is missing."]
    assert kept.state is status.State.ENABLED


def test_levels_have_lines_of_their_own(declare, survey, user):
    """Each level is a badge with its own holders."""
    levels = entry("levels", progress="count(*) from dummy_sketch where user_id = NEW.user_id")
    del levels["condition"], levels["code"]
    declare({**levels, "levels": [{"code": "one", "goal": 1}, {"code": "two", "goal": 2}]})
    Sketch.objects.create(user=user, title="x")
    assert {code: badge.holders for code, badge in survey().items()} == {"one": 1, "two": 0}


def test_things_and_ends(declare, survey, execute, user):
    """Holders are users, however many badges they hold; an expired badge has no holder."""
    declare(
        entry("star", condition="hit_views > 10", per="id"), entry("fresh", condition="true", expires_after="1 day")
    )
    for _ in range(3):
        Sketch.objects.create(user=user, title="x", hit_views=20)
    execute("UPDATE badges_badge SET expires_at = now() - interval '1 hour' WHERE code = 'fresh'")
    star, fresh = survey().values()
    assert (star.holders, star.badges, star.share) == (1, 3, 1.0)
    assert (fresh.holders, fresh.badges, fresh.last_award is None) == (0, 0, False)
    call_command("list_badges", stdout=(output := io.StringIO()))
    assert "        1   100%       3  20" in output.getvalue()


def test_paused(declare, survey, badge_file, user):
    """A paused badge has no triggers, and misses none; its state says so, with nothing to do."""
    declare(entry("off", active=False, revocable=True))
    [off] = survey().values()
    assert (off.state, off.levels) == (status.State.PAUSED, ())
    assert [problem.hint for problem in off.problems] == [""]
    assert writes(off) == "insert, update, delete on dummy_sketch"
    badge_file(entry("off", revocable=True))
    [off] = survey().values()
    assert off.state is status.State.OUT_OF_DATE


@pytest.mark.parametrize(
    ("written", "table"),
    [
        ("likes", "likes"), ("LIKES", "likes"), ("shop.Likes", "likes"), ('shop."My.Likes"', "My.Likes"),
        ("My.Likes", "My.Likes"), ('"Say ""so"""', 'Say "so"'), ("shop.Likes", "Likes"),
    ],
)  # fmt: skip
def test_names_of_tables(written, table):
    """The trigger of a table is found by whatever name the author may give the table, and by no other."""
    trigger = InstalledTrigger("badges_x", 1, "shop", table, 5, True, None, None, "O")
    assert status.Wanted("insert", written).is_on(trigger)
    assert not status.Wanted("insert", written).is_on(dataclasses.replace(trigger, table=f"{table}2"))
    assert not status.Wanted("insert", f"other.{written}").is_on(trigger)
