"""The system's Chromium, a site with badges, and pages whose errors fail the test."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import config
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import entry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from dummy.models import Sketch
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright
from processes import environment
from streams import uvicorn

from badges.models import Badge

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        why = "NOT TESTED: no Chromium (on Debian: apt-get install chromium)"
        for item in items:
            if "browser" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser. Playwright runs an event loop in this thread, in which Django rejects database queries,
    and no other one can run: so it ends with these tests."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site under ASGI, which live badges need, in a process of its own."""
    env = {**environment(tmp_path_factory.mktemp("pages") / "log"), "DJANGO_SETTINGS_MODULE": "settings_of_pages"}
    with uvicorn("asgi_of_pages:application", env) as running:
        yield f"http://127.0.0.1:{running.port}"


@pytest.fixture
def example(committed: Any, site: str, tmp_path: Path) -> Iterator[str]:
    """The address of the example site, on the same database, with its own badges and no sketches."""
    committed(*json.loads((Path(config.__file__).parent.parent / "badge.json").read_text("utf-8")))
    Sketch.objects.all().delete()
    Badge.objects.all().delete()
    env = {**environment(tmp_path / "log"), "DJANGO_SETTINGS_MODULE": "settings_of_example"}
    with uvicorn("asgi_of_pages:application", env) as running:
        yield f"http://127.0.0.1:{running.port}"


@pytest.fixture
def site(committed: Any, server: str, settings: Any) -> str:
    """The address of a site where ada has drawn and grace has found what is secret."""
    settings.BADGES_NOTIFY = True  # the tests' server may be one that is polled by default
    committed(
        entry("first-sketch", condition="true", name="First sketch", category="Drawing", points=1,
              description="Drew a first sketch."),
        {"category": "Drawing", "progress": "count(id) from dummy_sketch where user_id = NEW.user_id",
         "trigger_condition": "insert", "trigger_table": "dummy_sketch", "user_field": "user_id",
         "levels": [{"code": "bronze", "goal": 2, "name": "Bronze", "points": 10},
                    {"code": "silver", "goal": 50, "name": "Silver", "points": 20}]},
        entry("hit", name="Hit", condition="NEW.hit_views >= 1000", per="id", points=3),
        entry("hidden", name="Cabinet", condition="NEW.title = 'hidden'", secret=True, points=1),
    )  # fmt: skip
    for name in ("ada", "grace"):
        User.objects.create_user(name)
    User.objects.create_superuser("admin")
    draw("ada", 37, 1000)
    draw("grace", 1, 0, "hidden")
    return server


def draw(username: str, count: int = 1, views: int = 0, title: str = "By SQL") -> None:
    """Write sketches by SQL, past Django's models."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO dummy_sketch (user_id, title, hit_views)"
            " SELECT id, %s, %s FROM auth_user, generate_series(1, %s) WHERE username = %s",
            [title, views, count, username],
        )


@pytest.fixture
def open_as(browser: Browser, site: str) -> Iterator[Callable[..., Page]]:
    """A page in a browser of its own, in which that user is logged in. Any error on it fails the test."""
    errors: list[str] = []
    contexts = []

    def report(message: ConsoleMessage) -> None:
        # A violation of a policy is an error on the console, too.
        # The admin site names no icon, so browsers ask for one.
        if message.type in {"error", "warning"} and not message.location["url"].endswith("/favicon.ico"):
            errors.append(f"{message.text} ({message.location})")

    def failed(request: Request) -> None:
        # A stream ends when its page is left.
        if "/badges/live/" not in request.url:
            errors.append(f"{request.url}: {request.failure}")

    def open_page(username: str | None = None, at: str = site, **options: Any) -> Page:
        context = browser.new_context(base_url=at, reduced_motion="reduce", **options)
        contexts.append(context)
        if username:
            client = Client()
            client.force_login(User.objects.get(username=username))
            session = client.cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": at}])
        page = context.new_page()
        page.on("console", report)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("requestfailed", failed)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], list[str]]:
    """What axe finds wrong with a page, by its rules for WCAG 2.2 AA and good practice."""

    def violations(page: Page) -> list[str]:
        # Evaluated by the debugger, which no policy of the page forbids. By default only violations would be reported.
        found = Axe().run(page, options=None).response
        assert found["passes"]
        return [
            f"{violation['id']}: {violation['help']}: {node['html']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    return violations


@pytest.fixture
def screenshots() -> str | None:
    """The folder where screenshots are to be kept, if the environment names one."""
    return os.environ.get("BADGES_SCREENSHOTS")
