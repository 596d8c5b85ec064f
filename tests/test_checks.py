"""The system checks: each id, with its message and hint, and silence where all is well."""

from __future__ import annotations

import pytest
from conftest import entry
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

pytestmark = pytest.mark.django_db


@pytest.fixture
def found():
    """What `manage.py check --database default` says about badges, as (id, message, hint)."""

    def run(databases=("default",)):
        messages = checks.run_checks(databases=list(databases) or None)
        return [(each.id, each.msg, each.hint) for each in messages if each.id.startswith("badges.")]

    return run


def test_database_in_line(declare, found):
    """Where the database does what the file says, the checks say nothing."""
    declare(entry())
    assert found() == []


@override_settings()
def test_w001_without_a_badge_file(settings, found):
    """badges.W001: a site that has the app and no file is told the setting, and nothing else."""
    if hasattr(settings, "BADGES_FILE"):
        del settings.BADGES_FILE
    [(id_, message, hint)] = found()
    assert id_ == "badges.W001"
    assert message == "BADGES_FILE is not set, so no badge is awarded."
    assert "BADGES_FILE = BASE_DIR" in hint


def test_e001_invalid_file(badge_file, found):
    """badges.E001: every fault of the file is an error of its own, also when no database is asked."""
    path = badge_file(entry(trigger_contition="insert"), entry("star", name=""))
    for databases in (["default"], []):
        messages = found(databases)
        assert [id_ for id_, _, _ in messages] == ["badges.E001"] * len(messages)
        assert any("trigger_contition" in message for _, message, _ in messages)
        assert any('Did you mean "trigger_condition"?' in (hint or "") for _, _, hint in messages)
        assert all(message.startswith(str(path)) for _, message, _ in messages)
        assert any('badge "star", name' in message for _, message, _ in messages)


def test_e001_stops_check(badge_file):
    """`manage.py check` fails on an invalid file."""
    badge_file(entry(code=""))
    with pytest.raises(SystemCheckError, match=r"badges\.E001"):
        call_command("check")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE dummy_sketch DROP COLUMN hit_views",
        "ALTER TABLE dummy_sketch RENAME COLUMN hit_views TO views",
        "ALTER TABLE dummy_sketch RENAME TO drawings",
    ],
)
def test_w002_what_a_condition_needs_is_gone(declare, execute, found, change):
    """badges.W002: a table or a column that went since the installation is named, with the badge that needs it."""
    declare(entry("star", condition="hit_views > 1000", trigger_condition="update"))
    execute(change)
    [(id_, message, hint)] = found()
    assert id_ == "badges.W002"
    assert 'badge "star"' in message
    assert hint


def test_w003_not_in_line(declare, badge_file, found):
    """badges.W003: a changed file that was not installed is told, with the command that installs it."""
    declare(entry("collector"))
    badge_file(
        entry("collector", condition="count(id) >= 6 from dummy_sketch where user_id = NEW.user_id"), entry("star")
    )
    [(id_, message, hint)] = found()
    assert id_ == "badges.W003"
    assert "not in line" in message
    assert "star" in message
    assert "create_badge_triggers" in hint


def test_w004_edited_by_hand(declare, execute, found):
    """badges.W004: a function that somebody edited in the database is named."""
    declare(entry("star", condition="hit_views > 1000", trigger_condition="update"))
    [(source, name)] = execute(
        "SELECT pg_get_functiondef(oid), proname FROM pg_proc WHERE proname LIKE 'badges\\_update\\_%'"
    )
    execute(source.replace("hit_views > 1000", "hit_views > 1"))
    [(id_, message, hint)] = found()
    assert id_ == "badges.W004"
    assert name in message
    assert "create_badge_triggers" in hint


def test_w005_disabled_trigger(declare, execute, found):
    """badges.W005: a disabled trigger is named, with the statement that enables it."""
    declare(entry())
    execute("ALTER TABLE dummy_sketch DISABLE TRIGGER USER")
    [(id_, message, hint)] = found()
    assert id_ == "badges.W005"
    assert "public.dummy_sketch is disabled" in message
    [statement] = [part for part in hint.split(";") if part.startswith("ALTER TABLE")]
    execute(statement)
    assert found() == []


def test_w006_failed_condition(declare, execute, user, found):
    """badges.W006: a condition that failed is told with its error and how often, until award_badges has run soundly."""
    declare(entry("ratio", condition="1 / hit_views > 5", trigger_condition="insert"))
    for _ in range(3):
        execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [user.pk])
    [(id_, message, hint)] = found()
    assert id_ == "badges.W006"
    assert 'badge "ratio" failed 3 times' in message
    assert "division by zero" in message
    assert "award_badges ratio" in hint
    execute("UPDATE dummy_sketch SET hit_views = 1")
    call_command("award_badges", verbosity=0)
    assert found() == []


def test_without_tables_the_checks_are_silent(declare, execute, found):
    """Before `migrate` there is nothing to say: that command itself runs the checks."""
    declare(entry())
    execute("ALTER TABLE badges_pendingcheck RENAME TO elsewhere")
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BADGES_WAIT", 5000),
        ("BADGES_BUCKETS", 1000),
        ("BADGES_LOCK_TIMEOUT", "2s"),
        ("BADGES_SUBSCRIBERS", "default"),
        ("BADGES_PREVIEW_TIMEOUT", 0),
        ("BADGES_BRAKE", 20),
    ],
)
def test_e002_setting_that_cannot_be_used(declare, settings, found, name, value):
    """badges.E002: the setting, its value and what is allowed; the database is then not asked."""
    declare(entry())
    setattr(settings, name, value)
    [(id_, message, _)] = found()
    assert id_ == "badges.E002"
    assert message.startswith((f"{name} is {value!r}", f"{name} is {value}"))
