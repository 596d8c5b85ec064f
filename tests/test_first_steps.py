"""The first steps of a site: the quickstart in order, a first badge file, what `migrate` says, and the way back."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import entry
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from dummy.models import Sketch
from processes import environment
from streams import uvicorn

from badges import definitions
from badges.installation import executor
from badges.models import Badge, BadgeEvent

DOCS = Path(__file__).parent.parent / "docs"


def run(command, *args, **options):
    output = io.StringIO()
    call_command(command, *args, stdout=output, stderr=output, no_color=True, **options)
    return output.getvalue()


# The quickstart


def test_quickstart(empty_database, tmp_path, monkeypatch):
    """Each command of the quickstart works where it stands, and prints what stands below it."""
    text = (DOCS / "quickstart.md").read_text("utf-8")
    path = tmp_path / "badge.json"
    env = environment(tmp_path / "log", BADGES_FILE=str(path), INSTALLED_APPS=[
        "django.contrib.contenttypes", "django.contrib.auth", "badges", "dummy"
    ])  # fmt: skip
    given = json.loads(env["BADGES_TEST_SITE"])
    given["database"]["NAME"] = "badges_test_site"
    given["SILENCED_SYSTEM_CHECKS"] = ["auth.E003"]
    env["BADGES_TEST_SITE"] = json.dumps(given)

    def manage(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "django", *arguments], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    commands = [line.split() for line in re.findall(r"^\$ python manage.py (.*)$", text, re.MULTILINE)]
    assert [command[0] for command in commands] == [
        "migrate", "startbadges", "create_badge_triggers", "award_badges"
    ]  # fmt: skip
    assert "badges.E001" not in manage(*commands[0])
    assert "first-sketch, ten-sketch, high-hit-views" in manage(*commands[1])
    [declared] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    path.write_text(declared)
    assert "create_badge_triggers" in manage("migrate")
    printed = manage(*commands[2])
    [expected] = re.findall(r"^\$ python manage.py create_badge_triggers\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    number = re.compile(r"create \d+ functions")
    assert number.sub("", printed.replace(str(tmp_path), "/srv/site")) == number.sub("", expected)
    assert "create_badge_triggers" not in manage("migrate")
    [expected] = re.findall(r"^\$ python manage.py award_badges\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    assert manage(*commands[3]) == expected


# Live badges


def blocks(page, language):
    """The code of a page of the documentation in a language, without the indentation of its snippets."""
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("urls", ["live.md", "pages.md"])
def test_live_page(tmp_path, urls):
    """What live.md says makes a page that has its styles and its script, with the URLs of live.md or of pages.md."""
    [paths] = [code for code in blocks(urls, "python") if "urlpatterns" in code and "badges" in code][:1]
    [include] = [code for code in blocks("live.md", "html") if "live.html" in code][:1]
    [asgi] = [code for code in blocks("live.md", "python") if "ASGIStaticFilesHandler" in code]
    [command] = re.findall(r"^\$ uvicorn (\S+)$", (DOCS / "live.md").read_text("utf-8"), re.MULTILINE)
    site = tmp_path / "config"
    site.mkdir()
    (site / "__init__.py").touch()
    (site / "settings.py").write_text("from settings_of_a_process import *\n")
    (site / "asgi.py").write_text(asgi)
    (site / "page.html").write_text(f"<!doctype html><title>Page</title>{include}")
    (site / "urls.py").write_text(
        "from django.urls import include, path\n"
        "from django.views.generic import TemplateView\n"
        f"{paths.replace('..., ', '')}\n"
        'urlpatterns += [path("", TemplateView.as_view(template_name="page.html"))]\n'
    )
    templates = {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [str(site)], "APP_DIRS": True}
    processors = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth"]
    env = environment(
        tmp_path / "log", DEBUG=True, ROOT_URLCONF="config.urls", MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        INSTALLED_APPS=[
            "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions",
            "django.contrib.staticfiles", "badges", "dummy",
        ],
        TEMPLATES=[{**templates, "OPTIONS": {"context_processors": processors}}],
    )  # fmt: skip
    env.pop("DJANGO_SETTINGS_MODULE")
    env["PYTHONPATH"] = f"{tmp_path}:{env['PYTHONPATH']}"
    check = [sys.executable, "-m", "django", "check", "--settings", "config.settings"]
    done = subprocess.run(check, env=env, capture_output=True, text=True, check=False)
    assert "urls.W005" not in done.stdout + done.stderr
    ada = get_user_model().objects.create(username="ada")
    with uvicorn(command, env) as running:
        page = running.get("/", ada)
        assert page.status == 200
        parts = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
        assert {part.rpartition(".")[2] for part in parts} == {"css", "js"}
        for part in parts:
            assert running.get(part, None).status == 200
        assert running.stream(ada).is_ready()


# startbadges


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("dummy.Sketch", ["first-sketch", "ten-sketch", "high-hit-views"]),
        ("dummy_sketch", ["first-sketch", "ten-sketch", "high-hit-views"]),
        ("dummy.like", ["first-like", "ten-like"]),
        ("auth.User", ["welcome"]),
    ],
)
@pytest.mark.django_db
def test_startbadges(settings, tmp_path, name, codes):
    """A file that fits the table, and the schema beside it."""
    settings.BADGES_FILE = tmp_path / "badge.json"
    printed = run("startbadges", name)
    assert ("artist_id" in printed) == ("like" in name)
    assert [each.code for each in definitions.load(settings.BADGES_FILE)] == codes
    assert "steps" in run("create_badge_triggers", "--plan")
    json.loads((tmp_path / "badge.schema.json").read_text())


def test_startbadges_earns(declare, settings, tmp_path, user, held):
    """The badges of a first file are earned."""
    settings.BADGES_FILE = tmp_path / "badge.json"
    run("startbadges", "dummy.Sketch")
    run("create_badge_triggers")
    Sketch.objects.create(user=user, title="One")
    assert held(user) == ["first-sketch"]
    Sketch.objects.create(user=user, title="Two", hit_views=100)
    for _ in range(8):
        Sketch.objects.create(user=user, title="Another")
    assert held(user) == ["first-sketch", "high-hit-views", "ten-sketch"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Which table earns badges? Name it or its model. For example: dummy.Like, dummy.Sketch."),
        (["dummy.Skech"], 'No app has a model "dummy.Skech", and no model a table of that name.'),
        (["auth.Permission"], "auth.Permission has no foreign key to auth.User: its rows belong to no user."),
    ],
)
def test_startbadges_cannot(settings, tmp_path, arguments, message):
    settings.BADGES_FILE = tmp_path / "badge.json"
    with pytest.raises(CommandError) as caught:
        run("startbadges", *arguments)
    assert str(caught.value).startswith(message)
    assert not list(tmp_path.iterdir())


def test_startbadges_overwrites_nothing(badge_file):
    path = badge_file(entry())
    before = path.read_text()
    with pytest.raises(CommandError, match="exists already; nothing was written"):
        run("startbadges", "dummy.Sketch")
    assert path.read_text() == before


# migrate


@pytest.mark.django_db
def test_migrate_says_what_is_forgotten(badge_file, monkeypatch):
    """After `migrate`, one line says that the triggers are out of date, unless it is silent or they are in sync."""
    monkeypatch.delattr(mail, "outbox")
    path = badge_file(entry())
    line = f"The badges are out of date with {path}. Run `python manage.py create_badge_triggers`."
    assert run("migrate").splitlines().count(line) == 1
    assert run("migrate", verbosity=0) == ""
    badge_file(entry(condition="no_such_column"))
    assert run("migrate").splitlines().count(line) == 1
    badge_file(entry())
    run("create_badge_triggers")
    assert "out of date" not in run("migrate")
    path.unlink()
    assert "out of date" not in run("migrate", skip_checks=True)


@pytest.mark.django_db
def test_migrate_installs(badge_file, settings, django_assert_num_queries, monkeypatch):
    """With BADGES_INSTALL it installs them; a flush, which sends the same signal, asks the database nothing."""
    settings.BADGES_INSTALL = "migrate"
    badge_file(entry())
    assert "add definition collector  (new)" in run("migrate")
    assert "Nothing to do" in run("migrate")
    badge_file(entry(condition="no_such_column"))
    with pytest.raises(CommandError, match="no_such_column"):
        run("migrate")
    from badges.management.after_migrate import after_migrate  # noqa: PLC0415

    with django_assert_num_queries(0):
        after_migrate(using="default", verbosity=1, interactive=False)


# The way back


def test_drop_badge_triggers(declare, execute, user, held):
    """All functions and triggers go, badges stay, and the next installation continues."""
    declare(entry(condition="true"))
    Sketch.objects.create(user=user, title="One")
    assert "drop trigger" in run("drop_badge_triggers", "--plan")
    printed = run("drop_badge_triggers")
    assert "  retire definition collector" in printed
    assert "1 badge of users, 1 event of their history" in printed
    assert execute("SELECT count(*) FROM pg_proc WHERE proname ~ '^badges_'") == [(0,)]
    assert execute("SELECT count(*) FROM pg_trigger WHERE tgname ~ '^badges_' AND NOT tgisinternal") == [(0,)]
    assert "No trigger and no function is left." in run("drop_badge_triggers")
    Sketch.objects.create(user=user, title="Two")
    assert held(user) == ["collector"]
    user.delete()
    assert (Badge.objects.count(), BadgeEvent.objects.count()) == (0, 0)
    run("create_badge_triggers")
    assert executor.draft(connection, definitions.load(path_of_file()), "").is_empty


def path_of_file():
    from django.conf import settings  # noqa: PLC0415

    return settings.BADGES_FILE
