"""The pages in a real browser, under a policy that allows nothing inline."""

from __future__ import annotations

import itertools

import pytest
from django.contrib.auth.models import User
from dummy.models import Sketch
from playwright.sync_api import expect
from strict_csp import POLICY

from .conftest import draw

PATHS = {
    "index": "/badges/",
    "badge": "/badges/badge/first-sketch/",
    "things": "/badges/badge/hit/",
    "shelf": "/badges/user/ada/",
    "mine": "/badges/mine/",
    "leaderboard": "/badges/leaderboard/",
}
TOAST = 30_000
"""Milliseconds, for Swagger UI to start as well; how soon a toast comes is for bench/live.py to say."""
RIGHT_TO_LEFT = {"extra_http_headers": {"Accept-Language": "ar"}}

LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "right-to-left": RIGHT_TO_LEFT,
    "narrow": {"viewport": {"width": 320, "height": 640}},
    "german": {"extra_http_headers": {"Accept-Language": "de"}},
}
looks = pytest.mark.parametrize(
    ("look", "options"),
    [
        pytest.param(look, options, id=look, marks=pytest.mark.long if look in ("right-to-left", "german") else ())
        for look, options in LOOKS.items()
    ],
)


@looks
def test_page(open_as, axe, screenshots, look, options):
    """Each page loads under the policy without an error, axe finds nothing, and nothing overflows at the side."""
    page = open_as("ada", **options)
    for name, path in PATHS.items():
        response = page.goto(path)
        assert response.status == 200
        assert response.headers["content-security-policy"] == POLICY
        expect(page.locator("h1")).to_have_count(1)
        if page.locator("details").count():
            page.locator("details").first.locator("summary").click()
        assert axe(page) == [], name
        sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert sideways <= 0, name
        assert page.evaluate("[...document.images].every(image => !image.complete || image.naturalWidth > 0)"), name
        if screenshots:
            page.screenshot(path=f"{screenshots}/{name}-{look}.png", full_page=True)


def test_phone(open_as):
    """On a phone, a shelf has three badges side by side, and the chart of the admin fits; both are not cut off."""
    page = open_as("admin", viewport={"width": 375, "height": 700})
    page.goto("/badges/user/ada/")
    shelf = page.locator("ul.badges-shelf").first
    assert len(shelf.evaluate("shelf => getComputedStyle(shelf).gridTemplateColumns").split()) == 3
    page.goto("/admin/badges/badgedefinition/first-sketch/change/")
    box = page.locator(".badges-chart-svg").bounding_box()
    assert box["x"] + box["width"] < 375


def test_direction(open_as):
    """In a language that is written from the right the page begins at the right."""
    page = open_as("ada", **RIGHT_TO_LEFT)
    page.goto("/badges/")
    image, heading = page.locator(".badges-card img").first, page.locator(".badges-card h3").first
    assert image.bounding_box()["x"] > heading.bounding_box()["x"]


def test_way_through_the_pages(open_as):
    """From all badges to one, to a holder's shelf, to the leaderboard, by links and without JavaScript."""
    page = open_as("grace", java_script_enabled=False)
    page.goto("/badges/")
    page.get_by_role("link", name="First sketch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("First sketch")
    page.get_by_role("link", name="ada").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Badges of ada")
    expect(page.get_by_role("progressbar", name="37 of 50")).to_have_count(1)
    page.get_by_role("link", name="Leaderboard").click()
    expect(page.locator(".badges-podium li").first).to_contain_text("ada")
    page.get_by_role("link", name="My badges").click()
    expect(page.get_by_text("Cabinet")).to_be_visible()


def test_secret(open_as):
    """Who lacks a secret badge sees it nowhere."""
    page = open_as("ada")
    for path in ("/badges/", "/badges/user/grace/"):
        page.goto(path)
        expect(page.get_by_text("Cabinet")).to_have_count(0)


def test_sketch_by_sql_fills_the_shelf(open_as):
    """A sketch that plain SQL inserts is on the shelf when the page is loaded again."""
    page = open_as("grace")
    page.goto("/badges/mine/")
    expect(page.get_by_role("progressbar", name="Bronze")).to_have_count(1)
    draw("grace")
    page.reload()
    expect(page.locator(".badges-shelf").get_by_text("Bronze")).to_be_visible()


def test_admin_login(open_as):
    """The login of the admin site loads under the same policy."""
    page = open_as()
    page.goto("/admin/")
    expect(page.get_by_label("Username")).to_be_visible()


def follow(page, path):
    """Open a page, and wait until its stream is open."""
    with page.expect_response(lambda response: "/badges/live/" in response.url):
        page.goto(path)


def test_toasts(open_as):
    """Two users in two browsers: a badge earned by SQL or by Django is shown to its user at once, and to no other."""
    ada, grace = open_as("ada"), open_as("grace")
    for page in (ada, grace):
        follow(page, "/badges/")
        expect(page.locator("[role=status]")).to_have_count(1)
    draw("grace")
    expect(grace.locator("[role=status]")).to_contain_text("Bronze", timeout=TOAST)
    expect(ada.locator("[role=status]")).not_to_contain_text("Bronze")
    ada_herself = User.objects.get(username="ada")
    Sketch.objects.bulk_create(Sketch(user=ada_herself, title="By Django") for _ in range(13))
    expect(ada.locator("[role=status]")).to_contain_text("Silver", timeout=TOAST)
    expect(grace.locator("[role=status]")).not_to_contain_text("Silver")
    assert User.objects.get(username="grace").badges.filter(code="bronze").exists()


def test_toast_through_the_site(example, open_as):
    """A sketch that is drawn in the page brings the toast of its badge to who drew it, in whichever page is open."""
    ada, grace = (open_as(name, at=example) for name in ("ada", "grace"))
    follow(grace, "/badges/")
    follow(ada, "/")
    ada.get_by_role("button", name="Draw a sketch").click()
    expect(ada.locator("[role=status]")).to_contain_text("First sketch", timeout=TOAST)
    expect(ada.locator("main")).to_contain_text("Still life")
    expect(grace.locator("[role=status]")).not_to_contain_text("First sketch")
    ada.locator("[role=status]").get_by_role("link", name="First sketch").click()
    expect(ada.get_by_role("heading", level=1)).to_have_text("First sketch")
    ada.get_by_role("link", name="API").click()
    expect(ada.get_by_text("/api/badges/mine/")).to_be_visible(timeout=TOAST)


def test_page_of_the_api(example, open_as):
    """Swagger UI in the example site follows the colour scheme, also one that changes while the page is open."""
    page = open_as(at=example, color_scheme="dark")
    page.goto("/api/docs/")
    expect(page.get_by_text("/api/badges/mine/")).to_have_css("color", "rgb(228, 230, 230)", timeout=TOAST)
    page.emulate_media(color_scheme="light")
    expect(page.get_by_text("/api/badges/mine/")).to_have_css("color", "rgb(59, 65, 81)")


def test_admin(open_as):
    """Who looks after the site sees the badges and how they stand, under the same policy."""
    page = open_as("admin")
    page.goto("/admin/badges/badgedefinition/")
    expect(page.get_by_role("link", name="First sketch")).to_be_visible()
    page.goto("/admin/badges/badge/")
    expect(page.locator("#result_list")).to_contain_text("ada")
    page.goto("/admin/badges/badgeevent/")
    expect(page.locator("#result_list")).to_contain_text("insert on public.dummy_sketch")
    page.set_viewport_size({"width": 1280, "height": 900})
    for language, model in itertools.product(("en", "es"), ("badgedefinition", "badge", "badgeevent")):
        page.set_extra_http_headers({"Accept-Language": language})
        page.goto(f"/admin/badges/{model}/")
        sideways = page.locator(".results").evaluate("list => list.scrollWidth - list.clientWidth")
        assert sideways <= 0, (language, model)
