"""The admin of a site whose users have a UUID and an e-mail address, and no username: walk_admin.py DSN FOLDER

Prints what it found as JSON; the test judges it.
"""

import io
import json
import sys
from pathlib import Path
from types import ModuleType

import django
from django.conf import settings
from django.core.management import call_command
from psycopg.conninfo import conninfo_to_dict

dsn, folder = conninfo_to_dict(sys.argv[1]), Path(sys.argv[2])
sys.path[:0] = [str(Path(__file__).parent), str(folder)]
(folder / "people_migrations").mkdir()
(folder / "people_migrations" / "__init__.py").touch()
urls = sys.modules["site_urls"] = ModuleType("site_urls")

settings.configure(
    SECRET_KEY="tests",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": dsn["dbname"],
            **{key.upper(): str(dsn[key]) for key in ("host", "port", "user", "password") if key in dsn},
        }
    },
    INSTALLED_APPS=[
        "badges",
        "django.contrib.admin",
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "django.contrib.messages",
        "people",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    AUTH_USER_MODEL="people.EmailOnly",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF="site_urls",
    STATIC_URL="static/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    MIGRATION_MODULES={"people": "people_migrations"},
    BADGES_FILE=folder / "badge.json",
    USE_TZ=True,
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402
from django.urls import path, reverse  # noqa: E402
from people.models import EmailOnly  # noqa: E402

from badges.models import Badge, BadgeEvent  # noqa: E402 - models need the settings

urls.urlpatterns = [path("admin/", admin.site.urls)]
badge = {
    "condition": "NEW.email IS NULL",
    "trigger_condition": "insert",
    "trigger_table": EmailOnly._meta.db_table,
    "user_field": "id",
}
(folder / "badge.json").write_text(json.dumps([{"name": code, "code": code, **badge} for code in ("one", "two")]))
for command in (("makemigrations", "people"), ("migrate",), ("create_badge_triggers",)):
    call_command(*command, stdout=io.StringIO(), stderr=io.StringIO())

setup_test_environment()
boss = EmailOnly.objects.create(email="boss@example.org", is_superuser=True)
ada, bob = (EmailOnly.objects.create(email=f"{name}@example.org") for name in ("ada", "bob"))
Badge.objects.award(ada, "one")
client = Client()
client.force_login(boss)
badges, add = reverse("admin:badges_badge_changelist"), reverse("admin:badges_badge_add")


def search(text):
    return [found.code for found in client.get(badges, {"q": text}).context["cl"].result_list]


def award(user, code):
    return client.post(add, {"user": user, "definition": code, "reason": "x"})


searches = {"ada@": "ada@", "ADA@": "ADA@", "bob@": "bob@", "the key": str(ada.pk), "nobody": "nobody"}
found = {"searched": {name: search(text) for name, text in searches.items()}}
found["awarded by e-mail"] = award("bob@example.org", "one").status_code
found["awarded by key"] = award(str(bob.pk), "two").status_code
[found["rejected"]] = award("nobody", "two").context["adminform"].form.errors["user"]
found["actor"] = list(BadgeEvent.objects.filter(user=bob).values_list("actor", flat=True))
address = reverse("admin:badges_badge_delete", args=[Badge.objects.get(user=bob, code="one").pk])
found["revoked"] = client.post(address, {"post": "yes", "reason": "x"}).status_code
found["left"] = sorted(Badge.objects.values_list("code", flat=True))
sys.stdout.write(json.dumps(found))
