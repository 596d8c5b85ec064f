"""The site of the demo works as it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection
from django.urls import reverse
from dummy import drawing, people
from dummy.models import Like, Sketch

from badges import definitions
from badges.installation import executor
from badges.models import Badge, BadgeDefinition, BadgeEvent

pytestmark = pytest.mark.django_db

EXAMPLE = Path(drawing.__file__).parent.parent
STATIC = EXAMPLE / "dummy" / "static"


@pytest.fixture
def site(settings, badge_file):
    """The example's URLs and badges, and its people."""
    settings.ROOT_URLCONF = "config.urls"
    settings.BADGES_BASE_TEMPLATE = "dummy/base.html"
    path = badge_file(*json.loads((EXAMPLE / "badge.json").read_text("utf-8")))
    executor.apply(connection, definitions.load(path), path)
    people.ensure()
    return {person.username: person for person in people.artists()}


@pytest.fixture
def post(site, client):
    def send(name, *args, **data):
        response = client.post(reverse(name, args=args), data, follow=True)
        assert response.status_code == 200
        return response.content.decode()

    return send


def codes(person):
    return set(Badge.objects.filter(user=person).values_list("code", flat=True))


@pytest.mark.parametrize("command", ["migrate", "list_badges"])
def test_manage_py_of_a_stopped_demo(command):
    """Where no database is reached, manage.py says so without a traceback, and how to start the demo."""
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings", "BADGES_DSN": "host=/nowhere dbname=badges"}
    done = subprocess.run(
        [sys.executable, EXAMPLE / "manage.py", command],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "/nowhere" in done.stderr
    assert done.stderr.endswith("Does the demo run? Start it in another terminal: python3 run.py demo\n")


def test_one_click(site, post, client):
    """One click logs in as a user of the demo, and as no other user."""
    assert "My shelf" in post("become", username="ada")
    assert "My shelf" not in post("leave")
    post("become", username="user000001")
    assert "_auth_user_id" not in client.session
    assert "Site administration" in post("become", username="admin")


def test_draw_look_like(site, post):
    """Drawing, viewing and liking earn the badges of badge.json; withdrawing a like revokes its badge."""
    post("become", username="ada")
    for _ in range(5):
        post("draw", title="Still life")
    assert {"first-sketch", "collector"} <= codes(site["ada"])
    first = Sketch.objects.first()
    post("look", first.pk, count=600)
    assert {"viral", "hit"} <= codes(site["ada"])
    post("become", username="grace")
    sketches = list(Sketch.objects.all()[:3])
    for sketch in sketches:
        post("like", sketch.pk)
    assert codes(site["grace"]) >= {"generous-bronze", "good-mood"}
    assert "well-liked" in codes(site["ada"])
    post("like", sketches[0].pk)
    assert Like.objects.count() == 2
    assert "generous-bronze" not in codes(site["grace"])


def test_plain_sql(site, post):
    """An anonymous visitor may write by SQL for any user, who earns badges all the same."""
    page = post("draw-by-sql", artist=site["linus"].pk, count=25)
    assert "INSERT INTO dummy_sketch" in page
    assert {"collector", "prolific", "first-sketch"} <= codes(site["linus"])


def test_nonsense(site, post):
    """Invalid numbers do no harm."""
    post("draw-by-sql", artist=site["linus"].pk, count="x" * 100)
    post("look", 10**9, count="-5")
    assert Sketch.objects.count() == 1


def test_images(site):
    """Each badge has its picture among the static files, and a description."""
    for definition in BadgeDefinition.objects.all():
        assert (STATIC / definition.image).is_file()
        assert definition.description


def test_german(site, post, client):
    """In German, nothing on the pages is English: neither texts nor names, descriptions and categories of badges."""
    post("become", username="ada")
    post("draw", title="Blatt")
    english = {
        text for definition in BadgeDefinition.objects.all() for text in (definition.description, definition.category)
    }
    for name in ("index", "badges:index", "badges:mine", "badges:leaderboard"):
        page = client.get(reverse(name), headers={"accept-language": "de"}).content.decode()
        assert "Alle Abzeichen" in page
        words = re.sub(r"<[^>]*>", "\n", page)
        assert not re.search(r"(?i)\b(the|your|you|of|with|draw|views?|badges?|likes? this|newest|since|log)\b", words)
        assert not [text for text in english if text in words]


def test_german_admin(post, client):
    """In the German admin, the models of the example, their fields and an event of the history have German names."""
    post("become", username="ada")
    post("draw", title="Blatt")
    post("like", Sketch.objects.get().pk)
    post("become", username="admin")
    event = BadgeEvent.objects.get(definition="good-mood")
    pages = [reverse("admin:index"), reverse("admin:badges_badgeevent_change", args=[event.pk])]
    for model in ("sketch", "like"):
        pages += [reverse(f"admin:dummy_{model}_{page}") for page in ("changelist", "add")]
    for address in pages:
        page = client.get(address, headers={"accept-language": "de"}).content.decode()
        words = re.sub(r"<[^>]*>", "\n", page)
        assert "Skizzen" in words
        assert not re.search(r"(?i)\b(sketch|sketches|views|title|drawn|artist|user|awarded)\b", words), address


def test_drawing():
    """A sketch always has the same picture, and another than the next."""
    assert drawing.svg(1) == drawing.svg(1) != drawing.svg(2)
