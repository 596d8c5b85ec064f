"""A whole site in a process of its own, from its first migration to its badges: walk.py USER_MODEL DSN FOLDER

Prints what it found as JSON; the test judges it.
"""

import io
import json
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from psycopg.conninfo import conninfo_to_dict

model, dsn, folder = sys.argv[1], conninfo_to_dict(sys.argv[2]), Path(sys.argv[3])
sys.path[:0] = [str(Path(__file__).parent), str(folder)]
(folder / "people_migrations").mkdir()
(folder / "people_migrations" / "__init__.py").touch()

settings.configure(
    SECRET_KEY="tests",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": dsn["dbname"],
            **{key.upper(): str(dsn[key]) for key in ("host", "port", "user", "password") if key in dsn},
        }
    },
    INSTALLED_APPS=["badges", "django.contrib.contenttypes", "django.contrib.auth", "people"],
    AUTH_USER_MODEL=f"people.{model}",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    MIGRATION_MODULES={"people": "people_migrations"},
    BADGES_FILE=folder / "badge.json",
    BADGES_RELATED_NAME="earned_badges",
    USE_TZ=True,
    ALLOWED_HOSTS=["testserver"],
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection  # noqa: E402
from people.models import LONG, LongPost, Person, Post  # noqa: E402
from rest_framework.test import APIRequestFactory, force_authenticate  # noqa: E402

from badges.api import views  # noqa: E402
from badges.models import Badge  # noqa: E402 - models need the settings

User = get_user_model()


def run(*args):
    output = io.StringIO()
    call_command(*args, stdout=output, stderr=output, no_color=True)
    return output.getvalue()


def execute(query, params=None):
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall() if cursor.description else []


author, long_author = '"Author Id"', f'"{LONG}"'
posts = {"trigger_table": "Blog Posts", "user_field": "Author Id"}
badges = [
    {"code": "one", "condition": "NEW.\"Title\" = 'a'", "trigger_condition": "insert", **posts},
    {
        "code": "two",
        "condition": f'count(*) >= 2 FROM "Blog Posts" WHERE {author} = NEW.{author}',
        "trigger_condition": ["insert", "update"],
        **posts,
    },
    {
        "code": "longer",
        "condition": f"NEW.{'t' * 63} > OLD.{'t' * 63} AND NEW.{long_author} = OLD.{long_author}",
        "trigger_condition": "update",
        "trigger_table": "p" * 63,
        "user_field": LONG,
    },
    {
        "code": "renamed",
        "condition": "NEW.username = 'ada2' AND now() > '2020-01-01'",
        "trigger_condition": "update",
        "revocable": True,
        "trigger_table": User._meta.db_table,
        "user_field": User._meta.pk.column,
    },
    {
        "code": "two-badges",
        "condition": "count(*) >= 2 FROM badges_badge WHERE user_id = NEW.user_id",
        "trigger_condition": "insert",
        "trigger_table": "badges_badge",
        "user_field": "user_id",
    },
]
(folder / "badge.json").write_text(json.dumps([{"name": badge["code"].title(), **badge} for badge in badges]))

run("makemigrations", "people", "--verbosity=0")
run("migrate", "--verbosity=0")
found = {"models in sync": "No changes" in run("makemigrations", "--check", "--dry-run")}
found["first run"] = run("create_badge_triggers").splitlines()[-2]
found["second run"] = run("create_badge_triggers")
user, other = (
    User.objects.create(
        username=name,
        **({"person": Person.objects.create(name=name)} if model == "OneToOneKey" else {}),
        **({"handle": "bob"} if model == "TextKey" and name == "bob" else {}),
    )
    for name in ("ada", "bob")
)
Post.objects.create(author=user, title="a")
Post.objects.create(author=other, title="b")
found["after one"] = [badge.code for badge in user.earned_badges.order_by("code")]
execute('INSERT INTO "Blog Posts" ("Author Id", "Title") VALUES (%s, %s)', [user.pk, "z"])
LongPost.objects.create(author=user, title="a")
LongPost.objects.update(title="b")
User.objects.filter(pk=user.pk).update(username="ada2")
found["after all"] = [badge.name for badge in Badge.objects.filter(user=user).order_by("code")]
found["of the other"] = other.earned_badges.count()
found["award again"] = run("award_badges").splitlines()[-1]
execute("DELETE FROM badges_badge")
output = run("award_badges", "--dry-run")
found["preview"] = [f"new: ada2 ({user.pk})" in output, "not counted:" in output, "not estimated" in output]
execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'renamed')", [other.pk])
found["caught up"] = execute("SELECT * FROM badges_catch_up()")
found["award anew"] = run("award_badges", "one", "two", "renamed").splitlines()[-1]
found["values"] = [
    row["user"] == user.pk and row["name"] == "Two" for row in Badge.objects.values("user", "name").filter(code="two")
]
for view, arguments in (
    (views.BadgeList, {}),
    (views.BadgeDetail, {"code": "one"}),
    (views.HolderList, {"code": "one"}),
    (views.OwnBadgeList, {}),
    (views.RecentAwardList, {}),
    (views.UserBadgeList, {"key": str(user.pk)}),
):
    request = APIRequestFactory().get("/")
    force_authenticate(request, user)
    response = view.as_view()(request, **arguments)
    found[f"api {view.__name__}"] = [response.status_code, response.data.get("count")]
    request = APIRequestFactory().get("/", headers={"if-none-match": response["ETag"]})
    force_authenticate(request, user)
    found[f"api {view.__name__}"].append(view.as_view()(request, **arguments).status_code)
request = APIRequestFactory().get("/")
force_authenticate(request, user)
holders = json.loads(views.HolderList.as_view()(request, code="one").render().content)["results"]
found["api users"] = {each["user"]["username"]: str(each["user"]["key"]) for each in holders} == {"ada2": str(user.pk)}
execute('DELETE FROM "Blog Posts"')
LongPost.objects.all().delete()
users, key = (connection.ops.quote_name(name) for name in (User._meta.db_table, User._meta.pk.column))
execute(f"DELETE FROM {users} WHERE {key} = %s", [user.pk])
found["after the user"] = Badge.objects.count()
sys.stdout.write(json.dumps(found))
