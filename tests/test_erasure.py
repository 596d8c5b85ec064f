"""Erasure: what badges and their history say about a user goes, the facts remain or go as well, others keep theirs."""

from __future__ import annotations

import io

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from dummy.models import Sketch

from badges import exceptions
from badges.models import Badge, BadgeEvent, Delivery, PendingCheck

pytestmark = pytest.mark.django_db

SECRET = "my diagnosis"
FIRST = entry("first", condition="NEW.title <> ''")
EACH = entry("each", condition="NEW.title <> ''", per="id")
KEPT = entry("kept", condition="count(*) >= 1 from dummy_sketch where user_id = NEW.user_id and title <> 'gone'",
             trigger_condition=["insert", "update"], revocable=True)  # fmt: skip
NOTICED = entry("noticed", condition="true", trigger_table="badges_badge", trigger_condition="update")
MANUAL = entry("manual", condition="false")


@pytest.fixture
def ada(declare, user, settings):
    """Ada has badges of all kinds, and events of all kinds."""
    settings.BADGES_SIGNALS = True
    declare(FIRST, EACH, KEPT, MANUAL)
    for _ in range(3):
        Sketch.objects.create(user=user, title=SECRET)
    Badge.objects.award(user, "manual", by="Dr. Smith", reason=SECRET)
    Badge.objects.revoke(user, "each", Sketch.objects.earliest("pk").pk, by="Dr. Smith", reason=SECRET)
    PendingCheck.objects.create(bucket=0, user=user, code="first", evidence={"new": {"title": SECRET}})
    return user


@pytest.fixture
def bob(ada):
    bob = User.objects.create(username="bob")
    Sketch.objects.create(user=bob, title="harmless")
    return bob


def everything(user):
    """All that the tables of badges hold about a user, as text."""
    with connection.cursor() as cursor:
        texts = []
        for table in ("badge", "badgeevent", "pendingcheck", "delivery"):
            cursor.execute(f"SELECT t::text FROM badges_{table} AS t WHERE user_id = %s", [user.pk])
            texts += [text for (text,) in cursor.fetchall()]
        return "\n".join(texts)


def facts(user):
    return list(BadgeEvent.objects.filter(user=user).order_by("at").values_list("code", "kind", "at", "cause"))


def agree(user):
    """The history and the badges say the same about what the user holds."""
    last = {}
    for event in BadgeEvent.objects.filter(user=user).order_by("at"):
        last[event.code, event.thing] = event.kind
    held = set(Badge.with_expired.filter(user=user).values_list("definition", "thing"))
    return held == {key for key, kind in last.items() if kind == "awarded"}


def test_erase(ada, bob):
    """Evidence, actor, reason and subject are gone, and it says so; what was awarded when is as it was."""
    before, others = facts(ada), everything(bob)
    things = [str(pk) for pk in Sketch.objects.filter(user=ada).values_list("pk", flat=True)]
    assert SECRET in everything(ada)
    number = Badge.objects.erase(ada)
    assert number == Badge.objects.filter(user=ada).count() + len(before)
    assert facts(ada) == before
    assert SECRET not in everything(ada)
    assert "Smith" not in everything(ada)
    assert not BadgeEvent.objects.filter(user=ada, thing__in=things).exists()
    assert not Badge.objects.filter(user=ada, thing__in=things).exists()
    assert Badge.objects.filter(user=ada, definition="each").count() == 2
    assert agree(ada)
    for model in (Badge, BadgeEvent):
        assert all(list(row.evidence) == ["erased"] for row in model.objects.filter(user=ada))
    assert not PendingCheck.objects.filter(user=ada).exists()
    assert everything(bob) == others


def test_erase_again(ada):
    """What has been erased can be erased again, together with what came later."""
    Badge.objects.erase(ada)
    Badge.objects.award(ada, "each", Sketch.objects.create(user=ada, title="Later"), reason=SECRET)
    before = facts(ada)
    Badge.objects.erase(ada)
    assert facts(ada) == before
    assert SECRET not in everything(ada)
    assert agree(ada)
    assert Badge.objects.filter(user=ada, definition="each").count() == 3


def test_delete(ada, bob):
    """Without the facts nothing about the user is left in the tables of badges."""
    others = everything(bob)
    assert Badge.objects.erase(ada, keep=False) > 0
    assert everything(ada) == ""
    assert not Delivery.objects.filter(user=ada.pk).exists()
    assert everything(bob) == others


def test_badges_live_on(ada, declare):
    """An erased badge can be revoked and awarded like any other, by its rule and manually."""
    Badge.objects.erase(ada)
    Sketch.objects.filter(user=ada).update(title="gone")
    assert not Badge.objects.filter(user=ada, definition="kept").exists()
    Badge.objects.revoke(ada, "manual")
    Sketch.objects.create(user=ada, title="new")
    assert Badge.objects.filter(user=ada, definition="kept").exists()
    assert agree(ada)
    assert SECRET not in everything(ada)


def test_badges_for_changes_of_badges(ada, declare):
    """A badge that the erasure earns is awarded, with its event."""
    declare(FIRST, EACH, KEPT, MANUAL, NOTICED)
    Badge.objects.erase(ada)
    assert Badge.objects.filter(user=ada, definition="noticed").exists()
    assert agree(ada)


def test_history_is_append_only_afterwards(ada, execute):
    """The erasure opens nothing: events cannot be changed after it, whatever the session sets."""
    Badge.objects.erase(ada)
    for setting in ("", "on", "0" * 64):
        execute("SELECT set_config('badges.rewriting', %s, true)", [setting])
        with pytest.raises(DatabaseError, match="only added"), transaction.atomic():
            execute("UPDATE badges_badgeevent SET actor = 'forged'")


def test_command(ada, bob):
    """The command finds the user by key or name, and says what it did."""

    def run(*args):
        output = io.StringIO()
        call_command("erase_badges", *args, stdout=output)
        return output.getvalue()

    rows = Badge.objects.filter(user=ada).count() + len(facts(ada))
    assert run(ada.username) == f"{rows} rows erased.\n"
    assert run(str(ada.pk), "--delete") == f"{rows} rows deleted.\n"
    assert run(ada.username) == "0 rows erased.\n"
    with pytest.raises(CommandError, match="There is no user"):
        run("nobody")


def test_before_the_functions_are_installed(ada, execute):
    """Without the function, the exception says what to run."""
    execute("DROP FUNCTION badges_erase")
    with pytest.raises(exceptions.OutOfDate), transaction.atomic():
        Badge.objects.erase(ada)
