"""The responses in docs/api.md are those of the API."""

from __future__ import annotations

import json
import os
import re

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.urls import reverse
from dummy.models import Sketch
from rest_framework.test import APIClient
from test_docs import DOCS, UPDATE

from badges.api.urls import urlpatterns

PAGE = DOCS / "api.md"
SHOWN = re.compile(r"^`GET (/api/badges/\S*)`\n\n<!-- partial -->\n```json\n(.*?)```$", re.MULTILINE | re.DOTALL)

COLLECTOR = {
    "name": "Collector",
    "code": "collector",
    "description": "Make five sketches.",
    "category": "Drawing",
    "image": "badges/collector.svg",
    "points": 10,
    "progress": "count(id) from dummy_sketch where user_id = NEW.user_id",
    "goal": 5,
    "trigger_condition": "insert",
    "trigger_table": "dummy_sketch",
    "user_field": "user_id",
}
STAR = entry("star", condition="hit_views > 1000", name="Star", category="Views", points=50)
LISTED = entry("seen", condition="hit_views >= 100", name="Seen", category="Drawing", per="id")


@pytest.fixture
def answers(declare, execute):
    """The responses for ada, one of four users: she has six sketches, two of them with many views; grace has one."""
    declare(COLLECTOR, LISTED, STAR)
    users = [User.objects.create(pk=pk, username=name) for pk, name in enumerate(("ada", "grace", "ken", "lena"), 1)]
    for pk, views in enumerate((0, 0, 0, 120, 1500, 0), 1):
        Sketch.objects.create(pk=pk, user=users[0], title="x", hit_views=views)
    Sketch.objects.create(pk=7, user=users[1], title="x", hit_views=2000)
    execute("SET LOCAL session_replication_role = replica")  # or events could not be changed
    execute(
        "UPDATE badges_badge SET awarded_at = '2026-11-24 20:15:30Z'::timestamptz + user_id * interval '1 minute' "
        "+ length(code) * interval '1 hour' + length(thing) * ascii(thing) * interval '1 second'"
    )
    execute(
        "UPDATE badges_badgeevent e SET at = (SELECT awarded_at FROM badges_badge b WHERE b.user_id = e.user_id "
        "AND b.code = e.code AND b.thing = e.thing)"
    )
    execute("SET LOCAL session_replication_role = origin")
    client = APIClient()
    client.force_authenticate(users[0])
    return lambda path: client.get(path).json()


def test_shown_responses(answers):
    """Each response in api.md is the one of this site; BADGES_UPDATE_DOCS=1 renews them."""
    text = PAGE.read_text("utf-8")
    if os.environ.get(UPDATE):
        text = SHOWN.sub(lambda shown: renewed(shown[1], answers(shown[1])), text)
        PAGE.write_text(text, "utf-8")
    shown = SHOWN.findall(text)
    assert len(shown) == len(urlpatterns)
    for path, response in shown:
        assert json.loads(response) == answers(path), path


def renewed(path, answer):
    return f"`GET {path}`\n\n<!-- partial -->\n```json\n{json.dumps(answer, indent=2, ensure_ascii=False)}\n```"


def test_addresses():
    """The table has each URL, and the names are those for `reverse`."""
    text = PAGE.read_text("utf-8")
    places = {"code": "CODE", "key": "KEY"}
    shown = {
        reverse(f"badges_api:{each.name}", kwargs={name: places[name] for name in each.pattern.converters})
        for each in urlpatterns
    }
    assert set(re.findall(r"^\| `(api/badges/.*?)` \|", text, re.MULTILINE)) == {path[1:] for path in shown}
    assert set(re.findall(r"badges_api:(\w+)", text)) == {each.name for each in urlpatterns}
