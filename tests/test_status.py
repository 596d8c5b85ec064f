"""list_badges: how each badge stands, in a fixed number of queries."""

from __future__ import annotations

import io
import json

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from dummy.models import Sketch

from badges import definitions, status
from badges.models import Badge, PendingCheck

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
    assert (first.events, first.table, first.levels) == (("insert",), "public.dummy_sketch", ("statement",))
    assert (grown.events, grown.levels, broken.events) == (("update",), ("row",), ("insert", "delete"))
    assert (first.holders, first.users, first.share) == (1, 2, 0.5)
    assert first.last_award == Badge.objects.get().awarded_at
    assert (grown.holders, grown.last_award, grown.share) == (0, None, 0.0)
    assert [badge.failures for badge in found.values()] == [0, 0, 1]
    assert [badge.pending for badge in found.values()] == [0, 1, 0]
    assert {badge.state for badge in found.values()} == {status.State.ENABLED}


def test_things_of_one_user(declare, survey, user):
    """Who holds a badge for several things is one holder."""
    declare(FIRST, entry("hit", condition="NEW.hit_views > 5000", per="id"))
    for thing in (1, 2):
        Badge.objects.award(user, "hit", thing)
    Badge.objects.award(User.objects.create(username="bob"), "hit", 3)
    assert [badge.holders for badge in survey().values()] == [0, 2]


def test_states(declare, survey, badge_file, execute, user):
    """The state of a badge is that of its triggers: enabled, disabled, missing, not in line, retired."""
    declare(FIRST, GROWN, BROKEN, entry("left"), entry("unheld"))
    Badge.objects.award(user, "left")
    names = dict(execute("SELECT tgtype, tgname FROM pg_trigger WHERE tgrelid = 'dummy_sketch'::regclass"))
    execute(f"ALTER TABLE dummy_sketch DISABLE TRIGGER {names[16 + 1]}")
    execute(f"DROP TRIGGER {names[8]} ON dummy_sketch")
    path = badge_file({**FIRST, "name": "New name"}, GROWN, BROKEN, entry("new"))
    assert {code: badge.state.value for code, badge in survey().items()} == {
        "first": "not in line", "grown": "disabled", "broken": "missing", "new": "missing",
        "left": "not in line", "unheld": "not in line",
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


def test_command(declare, user):
    """The command prints an aligned table with one line for each badge; --json has all of it and says what is wrong."""
    declare(FIRST, {**GROWN, "name": "Grown\n\x1b[2J"})
    Sketch.objects.create(user=user, title="x")
    call_command("list_badges", stdout=(output := io.StringIO()))
    title, first, grown = output.getvalue().splitlines()
    assert title.split() == [
        "code", "name", "after", "level", "trigger", "holders", "share", "last", "award", "failures", "pending",
    ]  # fmt: skip
    assert first.split()[:6] == ["first", "First", "sketch", "insert", "on", "public.dummy_sketch"]
    assert " 100.0%  20" in first
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
    assert "0.0%" in output.getvalue()
    declare()
    call_command("list_badges", stdout=(output := io.StringIO()))
    assert output.getvalue().splitlines()[0].startswith("code  name")
