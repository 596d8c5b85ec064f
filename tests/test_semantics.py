"""What is awarded, when, and to whom: every kind of condition, event and write."""

from __future__ import annotations

import pytest
from conftest import entry
from dummy.models import Sketch

from badges.models import Badge

pytestmark = pytest.mark.django_db


def test_counting_condition_awards_at_the_fifth_row(declare, user, held):
    """The badge comes with the write that makes the condition true, not one later."""
    declare(entry("collector"))
    for number in range(1, 7):
        Sketch.objects.create(user=user, title=f"Sketch {number}")
        assert held(user) == (["collector"] if number >= 5 else [])


def test_award_is_a_whole_row(declare, user):
    """A badge that PostgreSQL awarded has a key, a time, a name and what the condition saw."""
    declare(entry("collector", name="Collector"))
    for number in range(5):
        Sketch.objects.create(user=user, title=f"Sketch {number}")
    badge = Badge.objects.get(user=user, code="collector")
    assert badge.id is not None
    assert badge.awarded_at is not None
    assert badge.name == "Collector"
    assert badge.evidence == {"table": "public.dummy_sketch", "operation": "insert", "new": {"user_id": user.pk}}
    assert list(user.badges.values("user", "code", "name")) == [
        {"user": user.pk, "code": "collector", "name": "Collector"}
    ]
