"""The pages and template tags: what they show to whom, in how many queries."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import entry
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.html import escape
from dummy.models import Sketch

import badges
from badges.models import Badge, BadgeDefinition, BadgeEvent
from badges.queries import pages
from badges.templatetags import badges as tags

pytestmark = pytest.mark.django_db

TEMPLATES = Path(badges.__file__).parent / "templates" / "badges"

FIRST = entry(
    "first", name="First sketch", condition="true", category="Drawing", points=5, description="Drew.",
    translations={"de": {"name": "Erste Skizze"}},
)  # fmt: skip
PAINTER = {
    "name": "Painter",
    "category": "Drawing",
    "progress": "count(id) from dummy_sketch where user_id = NEW.user_id",
    "levels": [
        {"code": "bronze", "goal": 2, "name": "Bronze", "points": 10},
        {"code": "silver", "goal": 2000, "name": "Silver"},
        {"code": "gold", "goal": 5000, "name": "Gold"},
    ],
    "trigger_condition": "insert",
    "trigger_table": "dummy_sketch",
    "user_field": "user_id",
}
HIDDEN = entry("hidden", name="Cabinet", condition="NEW.title = 'hidden'", secret=True, points=1)
HIT = entry("hit", name="Hit", condition="NEW.hit_views >= 1000", per="id", points=3)


@pytest.fixture
def people(declare):
    """ada has two sketches; grace found what is secret; eve has nothing."""
    declare(FIRST, PAINTER, HIDDEN, HIT)
    ada, grace, eve = (User.objects.create(username=name) for name in ("ada", "grace", "eve"))
    Sketch.objects.create(user=ada, title="One")
    Sketch.objects.create(user=ada, title="Two")
    Sketch.objects.create(user=grace, title="hidden")
    return ada, grace, eve


@pytest.fixture
def get(client):
    """The text of a page, as a user sees it."""

    def text(name: str, *args: Any, by: User | None = None, status: int = 200, **query: Any) -> str:
        client.logout()
        if by:
            client.force_login(by)
        response = client.get(reverse(f"badges:{name}", args=args), query)
        assert response.status_code == status
        return response.content.decode()

    return text


def render(text: str, by: Any = None, **context: Any) -> str:
    request = RequestFactory().get("/")
    request.user = by or AnonymousUser()
    return Template("{% load badges %}" + text).render(Context({"request": request, **context}))


# All badges


def test_all_badges(people, get):
    """Badges stand under their categories, those without one last, with the share of users who hold them."""
    page = get("index")
    assert re.findall(r"<h2>(.+?)</h2>", page) == ["Drawing", "Other badges"]
    assert "66.7% of users" in page
    assert "No holders yet" in page
    assert "5 points" in page


def test_one_mark_for_what_the_viewer_holds(people, get):
    """The list of all badges shows the user which of them are held."""
    ada, _, eve = people
    assert get("index", by=ada).count("You hold it") == 2
    assert get("index", by=eve).count("You hold it") == 0


def test_rare(people, execute):
    """A share that would be rounded to nothing is shown as less than something."""
    User.objects.bulk_create(User(username=f"u{number}") for number in range(3000))
    [hidden] = [each for each in pages.everything(people[1]) if each.definition.code == "hidden"]
    assert hidden.holders == 1
    client_page = render('{% include "badges/share.html" %}', entry=hidden)
    assert "less than 0.1% of users" in client_page


def test_things_count_once_in_the_share(people):
    """Who holds a badge for two things is one holder."""
    ada, _, _ = people
    Sketch.objects.create(user=ada, title="Three", hit_views=1000)
    Badge.objects.award(ada, "hit", Sketch.objects.create(user=ada, title="Four"))
    found = {entry.definition.code: entry.holders for entry in pages.everything(None)}
    assert found == {"first": 2, "bronze": 1, "silver": 0, "gold": 0, "hit": 1}


def test_retired_and_paused(declare, people, get):
    """A badge that left the file is not listed but still has its page; a paused one is listed as such."""
    declare({**FIRST, "active": False}, HIDDEN)
    page = get("index")
    assert "Bronze" not in page
    assert "not awarded at present" in page
    assert "no longer awarded" in get("badge", "bronze")
    assert "Bronze" in get("shelf", "ada")


def test_without_triggers(db, get):
    """The pages of a site that has not installed its badges say that there are none."""
    user = User.objects.create(username="ada")
    assert "There are no badges yet." in get("index")
    assert "No badges yet." in get("shelf", "ada", by=user)
    assert "No points yet." in get("leaderboard")
    assert "No badges yet." in render("{% newest_badges %}")


# Secrets


def test_secret_is_unseen(people, get):
    """Nothing shows a secret badge to those who lack it: no list, no page, no shelf of one who has it, no tag."""
    _, grace, eve = people
    for viewer in (None, eve):
        assert "Cabinet" not in get("index", by=viewer)
        assert "Cabinet" not in get("badge", "hidden", by=viewer, status=404)
        assert "Cabinet" not in get("shelf", "grace", by=viewer)
        tags = '{% user_badges grace %}{% badge "hidden" %}{% newest_badges 50 %}{% badge_progress grace %}'
        assert "Cabinet" not in render(tags, by=viewer, grace=grace)


def test_secret_is_seen_by_its_holders(people, get):
    """Who holds a secret badge sees it everywhere, with others who hold it too."""
    ada, grace, _ = people
    Badge.objects.award(ada, "hidden")
    for viewer in (ada, grace):
        assert "Cabinet" in get("index", by=viewer)
        assert "Cabinet" in get("badge", "hidden", by=viewer)
        assert "Cabinet" in get("shelf", "grace", by=viewer)
        tags = ("{% user_badges grace %}", '{% badge "hidden" %}', "{% newest_badges 50 %}")
        assert all("Cabinet" in render(tag, by=viewer, grace=grace) for tag in tags)


def test_secret_that_was_taken_away_is_unseen_again(people, get):
    """Who has lost a secret badge sees no more of it than the others."""
    _, grace, _ = people
    Badge.objects.revoke(grace, "hidden")
    get("badge", "hidden", by=grace, status=404)
    assert "Cabinet" not in get("index", by=grace)


# One badge


def test_holders(people, get):
    """The page of a badge shows who holds it, since when, and links to their shelves."""
    page = get("badge", "first")
    assert "2 holders" in page
    assert '<a href="/badges/user/ada/"><bdi>ada</bdi></a>' in page
    assert timezone.localdate().isoformat() in page


def test_holders_by_page(declare, get, execute):
    """Holders come fifty on a page, each once; a page beyond the last is not found, nor is nonsense."""
    declare(FIRST)
    User.objects.bulk_create(User(username=f"u{number:03}") for number in range(120))
    execute("INSERT INTO dummy_sketch (user_id, title) SELECT id, 'x' FROM auth_user")
    pages = [get("badge", "first", page=number) for number in (1, 2, 3)]
    found = [re.findall(r"<bdi>(u\d+)</bdi>", page) for page in pages]
    assert [len(names) for names in found] == [50, 50, 20]
    assert len({name for names in found for name in names}) == 120
    assert [("rel=\"prev\"" in page, "rel=\"next\"" in page) for page in pages] == [
        (False, True), (True, True), (True, False)
    ]  # fmt: skip
    for nonsense in (
        "4",
        "0",
        "-1",
        "x",
        "²",
        "9" * 30,
        "1" * 5000,
        "0" * 19 + "9" * 30,
        "0" * 30 + "4",
        "0" * 5000,
        "+1",
        "",
    ):
        get("badge", "first", page=nonsense, status=404)


def test_how_to_earn_it(people, get):
    """The page of a badge says how to earn it and how far the viewer is, and shows similar badges; no secret ones."""
    ada, grace, _ = people
    page = get("badge", "silver", by=ada)
    assert "2 of 2,000" in page
    similar = page.split("Similar badges")[1].split("</section>")[0]
    assert re.findall(r"/badges/badge/(\w+)/", similar) == ["bronze", "gold", "first", "hit"]
    assert "Cabinet" in get("badge", "silver", by=grace).split("Similar badges")[1]
    assert "The goal is 2,000." in get("badge", "silver")
    assert "once for each subject" in get("badge", "hit")
    assert "goal" not in get("badge", "bronze", by=ada)


def test_things(people, get, execute):
    """A badge that is held for several things is counted and its things are listed, or the newest if they are many."""
    ada, _, _ = people
    execute(
        "INSERT INTO dummy_sketch (user_id, title, hit_views) SELECT %s, 'x', 1000 FROM generate_series(1, 25)",
        [ada.pk],
    )
    newest = Badge.objects.filter(user=ada, code="hit").order_by("-awarded_at", "thing").first().thing
    for page in (get("badge", "hit"), get("shelf", "ada"), render("{% user_badges ada %}", ada=ada)):
        assert "25 times" in page
        assert f"<bdi>{newest}</bdi>" in page
        assert "5 more" in page
    assert "1 holder" in get("badge", "hit")


def test_strange_names(declare, get):
    """Codes and names of users with slashes, quotes, tags and other scripts have pages, and are only text there."""
    code, username = "a/b c?%<b>'\"ü", "<i>/ä .b\"'&?#"
    declare({**FIRST, "code": code, "name": "<script>alert(1)</script>"})
    user = User.objects.create(username=username)
    Sketch.objects.create(user=user, title="x")
    for page in (get("badge", code), get("shelf", username), get("index"), get("leaderboard")):
        assert "<script>" not in page
        assert "<i>" not in page
    assert get("badge", code).count(escape(reverse("badges:shelf", args=[username]))) == 1


@pytest.mark.parametrize("path", ["badge/none/", "user/none/", "badge/%00/", "user/%00/"])
def test_not_found(db, client, path):
    """What does not exist, or cannot, is not found."""
    assert client.get(f"/badges/{path}").status_code == 404


def test_chart(people, get):
    """The page of a badge has a chart of its awards, and the same numbers as a table."""
    page = get("badge", "first")
    assert page.count("<rect ") == 1
    assert "2 awards over time" in page
    assert "Show as table" in page


# A user's shelf


def test_shelf(people, get):
    """A shelf has what the user holds, and how far it is to the next level of what is to come."""
    ada, _, _ = people
    page = get("shelf", "ada", by=ada)
    assert "My badges" in page
    assert "Bronze" in page
    assert "2 of 2,000" in page
    assert '<progress value="0" max="100">' in page
    assert "Gold" not in page


@pytest.mark.parametrize("number", ["'NaN'::numeric", "'Infinity'::numeric", "NULL::numeric"])
def test_progress_that_is_no_number(declare, get, number):
    """A progress that has no finite value is shown as none."""
    declare({**PAINTER, "progress": f"{number} FROM dummy_sketch WHERE user_id = NEW.user_id LIMIT 1"})
    user = User.objects.create(username="ada")
    Sketch.objects.create(user=user, title="x")
    Badge.objects.filter(user=user).delete()
    assert "0 of 2" in get("shelf", "ada", by=user)


def test_own_shelf(people, client):
    """Who is logged in has a shelf of the own; who is not is asked to log in."""
    client.force_login(people[0])
    assert "My badges" in client.get(reverse("badges:mine")).content.decode()
    client.logout()
    assert client.get(reverse("badges:mine")).status_code == 302


def test_expired_badges_are_not_shown(people, get, execute):
    """A badge that has ended is gone from all pages and tags."""
    ada, _, _ = people
    execute("UPDATE badges_badge SET expires_at = now() - interval '1 second' WHERE code = 'bronze'")
    assert "Bronze" not in re.split("On the way", get("shelf", "ada"))[0]
    assert "0 holders" in get("badge", "bronze")
    assert "Bronze" not in render("{% user_badges ada %}{% newest_badges 50 %}", ada=ada)
    [place] = [place for place in pages.leaderboard(0, 9).places if place.user == ada]
    assert (place.points, place.badges) == (5, 1)


# Leaderboard


def test_leaderboard(people, get):
    """Users are in the order of the points of their badges; of equal points, who had them first is ahead."""
    ada, grace, eve = people
    assert [(place.rank, place.user, place.points, place.badges) for place in pages.leaderboard(0, 9).places] == [
        (1, ada, 15, 2),
        (2, grace, 6, 2),
    ]
    Sketch.objects.create(user=eve, title="hidden")
    now = timezone.now()
    for days, found in (
        (-1, [(1, ada), (2, grace), (3, eve)]),
        (0, [(1, ada), (2, grace), (2, eve)]),
        (1, [(1, ada), (2, eve), (3, grace)]),
    ):
        Badge.objects.filter(user=eve).update(awarded_at=now)
        Badge.objects.filter(user=grace).update(awarded_at=now + datetime.timedelta(days=days))
        assert [(place.rank, place.user) for place in pages.leaderboard(0, 9).places] == found
        assert re.findall(r"badges-place-([0-9])", get("leaderboard")) == [str(rank) for rank, _ in found]
    assert [(place.rank, place.user) for place in pages.leaderboard(2, 9).places] == [(3, grace)]
    assert re.search(r'badges-place-1 badges-held" aria-current="true"', get("leaderboard", by=ada))


def test_own_rank(people, get, execute):
    """The rank of the viewer is on each page of the leaderboard, whichever places it shows."""
    ada, _, eve = people
    User.objects.bulk_create(User(username=f"u{number:03}") for number in range(60))
    execute("INSERT INTO dummy_sketch (user_id, title) SELECT id, 'x' FROM auth_user WHERE username ~ '^u'")
    for page in (get("leaderboard", by=ada), get("leaderboard", by=ada, page=2)):
        assert "Your rank: 1<" in page
    assert "You have no points yet." in get("leaderboard", by=eve)
    assert "Your rank" not in get("leaderboard")
    assert pages.leaderboard(50, 60, ada).own.points == 15


# Template tags


def test_tags(people):
    """Each tag shows what it is for, with links into the pages."""
    ada, _, _ = people
    held = render("{% user_badges ada %}", ada=ada)
    assert "First sketch" in held
    assert "/badges/badge/bronze/" in held
    assert "/static/badges/medal.svg" in held
    assert "Bronze" in render('{% badge "bronze" %}')
    assert render('{% badge "no such badge" %}').strip() == ""
    assert "2 of 2,000" in render("{% badge_progress ada %}", ada=ada)
    newest = render("{% newest_badges 2 %}")
    assert newest.count("<li>") == 2
    assert 'role="status"' in render("{% badges_live %}", by=ada)


def test_tags_for_nobody(people):
    """A visitor who is not logged in holds nothing and is on the way to nothing."""
    for visitor in (AnonymousUser(), None, ""):
        assert "No badges yet." in render("{% user_badges user %}", user=visitor)
        assert render("{% badge_progress user %}", user=visitor).strip() == ""


def test_tags_without_request_and_urls(people, settings):
    """Tags work in an e-mail, without a request, and on a site that does not include our URLs."""
    settings.ROOT_URLCONF = "no_urls"
    text = '{% load badges %}{% user_badges ada %}{% badge "bronze" %}{% newest_badges %}{% badge_progress ada %}'
    shown = Template(text).render(Context({"ada": people[0]}))
    assert "Bronze" in shown
    assert "<a " not in shown


def test_newest_tells_an_award_once(people):
    """A badge that was lost is not among the newest, and one that came back is there once."""
    ada, _, _ = people
    Badge.objects.revoke(ada, "bronze")
    assert "Bronze" not in render("{% newest_badges 50 %}")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO badges_badge (user_id, code, awarded_at) VALUES (%s, 'bronze', clock_timestamp())", [ada.pk]
        )
    assert BadgeEvent.objects.filter(code="bronze", kind="awarded").count() == 2
    assert render("{% newest_badges 50 %}").count("/badge/bronze/") == 1


def test_newest_beside_a_backfill(people, execute):
    """Many awards of one badge, as a backfill makes them, leave room for others; quiet ones are not shown."""
    quiet = "SELECT set_config('badges.quiet', %s, true)"
    execute(quiet, ["on"])
    User.objects.bulk_create(User(username=f"u{number}") for number in range(60))
    execute("INSERT INTO dummy_sketch (user_id, title) SELECT id, 'x' FROM auth_user WHERE username ~ '^u[0-9]'")
    assert BadgeEvent.objects.filter(code="first", quiet=True).count() == 60
    assert {event.code for event in pages.newest(4, None)} == {"bronze"}
    execute(quiet, ["off"])
    execute("DELETE FROM badges_badge WHERE user_id IN (SELECT id FROM auth_user WHERE username ~ '^u[0-9]')")
    execute("INSERT INTO dummy_sketch (user_id, title) SELECT id, 'x' FROM auth_user WHERE username ~ '^u[0-9]'")
    assert sorted(event.code for event in pages.newest(4, None)) == ["bronze", "first", "first", "first"]
    assert len(pages.newest(10, None)) == 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (59, "just now"), (60, "1 minute ago"), (7199, "1 hour ago"), (86400 * 2, "2 days ago")],
)
def test_ago(seconds, text):
    """The time since an award is in words, in the largest unit; what is longer ago has its date."""
    assert tags.badge_ago(timezone.now() - datetime.timedelta(seconds=seconds)) == text
    assert "2020" in tags.badge_ago(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))


@pytest.mark.parametrize(
    ("image", "url"),
    [("", "/static/badges/medal.svg"), ("badges/x.svg", "/static/badges/x.svg"), ("/m/x.png", "/m/x.png"),
     ("https://x.org/x.png", "https://x.org/x.png")],
)  # fmt: skip
def test_image(image, url):
    """A picture is an URL, a path from the root or a static file; without one it is a medal."""
    shown = Template("{% load badges %}{{ d|badge_image }}").render(Context({"d": BadgeDefinition(image=image)}))
    assert shown == url


# Overriding


def test_every_tag_can_be_overridden(people, settings, tmp_path):
    """A template of the site's own stands in for that of each tag, with what it needs in its context."""
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    (tmp_path / "badges" / "tags").mkdir(parents=True)
    for name in ("user_badges", "badge_progress"):
        text = "OURS {% for entry in entries %}{{ entry.definition.code }} {% endfor %}"
        (tmp_path / "badges" / "tags" / f"{name}.html").write_text(text)
    (tmp_path / "badges" / "tags" / "user_avatar.html").write_text("OURS {{ person }} {{ initial }}")
    (tmp_path / "badges" / "tags" / "badge.html").write_text("OURS {{ definition.code }}")
    (tmp_path / "badges" / "tags" / "newest_badges.html").write_text("OURS {{ awards|length }}")
    (tmp_path / "badges" / "live.html").write_text("OURS {{ user }}")
    (tmp_path / "badges" / "person.html").write_text("PERSON {{ person.pk }}")
    ada = people[0]
    assert render("{% user_badges ada %}", ada=ada) == "OURS first bronze "
    assert render("{% badge_progress ada %}", ada=ada) == "OURS silver "
    assert render('{% badge "first" %}') == "OURS first"
    assert render("{% newest_badges %}") == "OURS 3"
    assert render("{% badges_live %}", by=ada) == "OURS ada"
    assert render("{% user_avatar ada %}", ada=ada) == "OURS ada A"
    assert {path.stem for path in (TEMPLATES / "tags").iterdir()} == {
        "user_badges", "badge_progress", "badge", "newest_badges", "user_avatar"
    }  # fmt: skip


def test_base_template(people, get, settings, tmp_path):
    """The pages extend the template that a setting names; it needs the blocks `title` and `content`, nothing else."""
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    settings.BADGES_BASE_TEMPLATE = "site.html"
    (tmp_path / "site.html").write_text("OUR SITE {% block title %}{% endblock %}: {% block content %}{% endblock %}")
    for name, *args in (("index",), ("badge", "first"), ("shelf", "ada"), ("leaderboard",)):
        page = get(name, *args)
        assert page.startswith("OUR SITE ")
        assert "<html" not in page
        assert "<h1>" in page


# Queries


@pytest.mark.parametrize(
    ("name", "args", "queries"),
    [
        ("index", [], 4),
        ("badge", ["first"], 9),
        ("badge", ["hit"], 9),
        ("badge", ["gold"], 12),
        ("shelf", ["user-3"], 7),
        ("leaderboard", [], 4),
    ],
)
@pytest.mark.parametrize("rows", [3, 20])
def test_queries_of_pages(declare, execute, client, django_assert_num_queries, name, args, queries, rows):
    """A page takes the same few queries for 3 users as for 20, for badges of many things too; two more are the login's.

    Of those of a shelf and of a badge with a goal, two are the savepoint of the progress.
    """
    declare(FIRST, PAINTER, HIDDEN, HIT, *(entry(f"b{number}", condition="true") for number in range(rows)))
    User.objects.bulk_create(User(username=f"user-{number}") for number in range(1, rows + 1))
    execute(
        "INSERT INTO dummy_sketch (user_id, title, hit_views)"
        " SELECT id, 'hidden', 1000 FROM auth_user, generate_series(1, %s)",
        [rows // 2],
    )
    client.force_login(User.objects.get(username="user-1"))
    with django_assert_num_queries(queries + 2):
        assert client.get(reverse(f"badges:{name}", args=args)).status_code == 200


@pytest.mark.parametrize(
    ("tag", "queries"),
    [("{% user_badges user %}", 1), ('{% badge "first" %}', 1), ("{% newest_badges 50 %}", 1),
     ("{% badge_progress user %}", 5), ("{% badges_live %}", 0), ("{% user_avatar user %}", 0)],
)  # fmt: skip
@pytest.mark.parametrize("rows", [3, 20])
def test_queries_of_tags(declare, execute, django_assert_num_queries, tag, queries, rows):
    """A tag takes the same few queries however many badges and users there are."""
    declare(FIRST, PAINTER, HIDDEN, HIT, *(entry(f"b{number}", condition="true") for number in range(rows)))
    User.objects.bulk_create(User(username=f"user-{number}") for number in range(1, rows + 1))
    execute("INSERT INTO dummy_sketch (user_id, title, hit_views) SELECT id, 'hidden', 1000 FROM auth_user")
    user = User.objects.get(username="user-1")
    with django_assert_num_queries(queries):
        render(tag, by=user, user=user)


# Languages, policies


@pytest.mark.parametrize(
    ("language", "name", "direction"), [("de", "Erste Skizze", "ltr"), ("ar", "First sketch", "rtl")]
)
def test_language(people, client, language, name, direction):
    """Names are those of the active language; the page declares its language and direction."""
    page = client.get(reverse("badges:index"), headers={"accept-language": language}).content.decode()
    assert name in page
    assert f'<html lang="{language}" dir="{direction}">' in page


def test_numbers_by_locale(people, client):
    """Numbers and dates are written as the language does; those in attributes are not."""
    page = client.get(reverse("badges:shelf", args=["ada"]), headers={"accept-language": "de"}).content.decode()
    assert "2.000" in page
    with translation.override("de"):
        assert timezone.localdate().strftime("%Y") in page
    assert re.findall(r'<progress value="(\d+)" max="100">', page)


def test_nothing_inline():
    """No template of ours has a script, a style or a handler inside, which a strict policy forbids."""
    for path in TEMPLATES.rglob("*.html"):
        if path.name == "live.html":
            continue
        text = path.read_text("utf-8")
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", text), path


def test_only_logical_properties():
    """The stylesheet has no left and right, so that it fits either direction of writing."""
    css = (TEMPLATES.parent.parent / "static" / "badges" / "badges.css").read_text("utf-8")
    assert not re.search(r"(?<![-\w])(left|right|width|height|(margin|padding)-(top|bottom))\s*:", css)
