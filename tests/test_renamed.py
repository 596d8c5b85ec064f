"""A badge with another code keeps what belongs to the earlier one (the key `was`)."""

from __future__ import annotations

import pytest
from conftest import entry
from django.core.management import CommandError, call_command
from django.db import connection
from dummy.models import Sketch
from test_commands import connect, run

from badges import definitions, exceptions
from badges.installation import executor
from badges.models import Badge, BadgeDefinition, BadgeEvent, Failure, PendingCheck

pytestmark = pytest.mark.django_db

OLD = entry("old", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id")
NEW = {**OLD, "code": "new", "was": ["older", "old"]}


@pytest.fixture
def draw(user):
    def sketch():
        return Sketch.objects.create(user=user, title="Sketch")

    return sketch


def test_holders_history_and_checks(declare, execute, user, draw, held):
    """All of it is that of the new code; nothing is awarded, revoked or sent."""
    declare(OLD)
    draw(), draw()
    execute("INSERT INTO badges_pendingcheck (bucket, user_id, code, evidence) VALUES (0, %s, 'old', '{}')", [user.pk])
    execute("INSERT INTO badges_failure (code, sqlstate, message) VALUES ('old', '22012', 'x')")
    before = Badge.objects.get()
    events = list(BadgeEvent.objects.values("id", "at", "kind", "evidence"))
    plan = declare(NEW)
    steps = [(str(step.action), step.target, step.reason) for step in plan.steps if "definition" in step.action]
    assert steps == [("add definition", "new", "new"), ("rename definition", "new", "was old")]
    after = Badge.objects.get()
    assert (after.pk, after.code, after.awarded_at) == (before.pk, "new", before.awarded_at)
    assert after.evidence == before.evidence
    assert list(BadgeEvent.objects.values("id", "at", "kind", "evidence")) == events
    for model in (BadgeEvent, PendingCheck, Failure):
        assert set(model.objects.values_list("code", flat=True)) == {"new"}
    assert list(BadgeDefinition.objects.values_list("code", flat=True)) == ["new"]
    assert executor.draft(connection, definitions.load(path()), "").is_empty
    draw()
    assert held(user) == ["new"]


def test_deployed_without_it_before(declare, user, draw, held):
    """Where the new code was installed and earned first, each user keeps one badge."""
    declare(OLD)
    draw(), draw()
    declare({**OLD, "code": "new"})
    draw()
    assert held(user) == ["new", "old"]
    declare(NEW)
    assert held(user) == ["new"]
    assert set(BadgeEvent.objects.values_list("code", flat=True)) == {"new"}
    assert Badge.objects.revoke(user, "new")


def test_subjects_and_levels(declare, user, held):
    """A badge for each subject, and a level."""
    counted = entry("x", progress="count(*) from dummy_sketch where user_id = NEW.user_id")
    levels = {key: value for key, value in counted.items() if key not in ("code", "condition")}
    each = entry("each", condition="true", per="id")
    declare(each, {**levels, "levels": [{"code": "one", "goal": 1}, {"code": "two", "goal": 2}]})
    Sketch.objects.create(user=user, title="One"), Sketch.objects.create(user=user, title="Two")
    declare({**each, "code": "every", "was": ["each"]}, {
        **levels, "levels": [{"code": "uno", "goal": 1, "was": ["one"]}, {"code": "two", "goal": 2}]
    })  # fmt: skip
    assert held(user) == ["every", "every", "two", "uno"]


def test_plan(declare, badge_file, draw, database_unchanged):
    """The plan shows the step with what it waits for, and changes nothing."""
    declare(OLD)
    draw(), draw()
    badge_file(NEW)
    with database_unchanged():
        output = run("create_badge_triggers", "--plan")
    assert "rename definition new  (was old)" in output
    assert "waits for transactions that award badges" in output


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{**NEW, "was": "old"}], "a list of codes is needed"),
        ([{**NEW, "was": [7]}], "a string is needed"),
        ([{**NEW, "was": ["old", "old"]}], "a code is listed twice"),
        ([{**NEW, "was": ["new"]}], '"new" is the code of a badge that is declared.'),
        ([NEW, {**OLD, "was": []}], '"old" is the code of a badge that is declared.'),
        ([NEW, {**NEW, "code": "newest"}], '"older" is claimed by the badge "new" as well.'),
    ],
)
def test_rejected(badge_file, entries, message):
    badge_file(*entries)
    with pytest.raises(CommandError) as caught:
        call_command("create_badge_triggers")
    assert message in str(caught.value)


@pytest.mark.django_db(transaction=True)
def test_an_award_under_way(committed, badge_file, settings, user, held):
    """An award of the earlier code that is not committed yet is waited for, and given to the new code."""
    settings.BADGES_LOCK_RETRIES = 0
    committed(OLD)
    with connect() as other:
        other.execute("INSERT INTO dummy_sketch (user_id, title) SELECT %s, 'x' FROM generate_series(1, 2)", [user.pk])
        file = badge_file(NEW)
        with pytest.raises(exceptions.LockNotAvailable):
            executor.apply(connection, definitions.load(file), file)
        assert list(BadgeDefinition.objects.values_list("code", flat=True)) == ["old"]
    executor.apply(connection, definitions.load(file), file)
    assert held(user) == ["new"]


def path():
    from django.conf import settings  # noqa: PLC0415

    return settings.BADGES_FILE
