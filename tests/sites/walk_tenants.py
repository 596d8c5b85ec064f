"""A site with django-tenants in a process of its own: walk_tenants.py LAYOUT DSN FOLDER

LAYOUT is "shared", with users and badges in the schema public, or "own", with those of each tenant in its schema.
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

layout, dsn, folder = sys.argv[1], conninfo_to_dict(sys.argv[2]), Path(sys.argv[3])
example = Path(__file__).parents[2] / "example"
sys.path[:0] = [str(Path(__file__).parent), str(example), str(folder)]
(folder / "tenants_migrations").mkdir()
(folder / "tenants_migrations" / "__init__.py").touch()

of_badges = ["django.contrib.contenttypes", "django.contrib.auth", "badges"]
shared = ["django_tenants", "tenants", "django.contrib.contenttypes", *(of_badges[1:] if layout == "shared" else [])]
of_tenants = ["dummy", *(of_badges if layout == "own" else [])]
settings.configure(
    SECRET_KEY="tests",
    DATABASES={
        "default": {
            "ENGINE": "django_tenants.postgresql_backend",
            "NAME": dsn["dbname"],
            **{key.upper(): str(dsn[key]) for key in ("host", "port", "user", "password") if key in dsn},
        }
    },
    DATABASE_ROUTERS=["django_tenants.routers.TenantSyncRouter"],
    SHARED_APPS=shared,
    TENANT_APPS=of_tenants,
    INSTALLED_APPS=[*shared, *(app for app in of_tenants if app not in shared)],
    TENANT_MODEL="tenants.Client",
    TENANT_DOMAIN_MODEL="tenants.Domain",
    MIGRATION_MODULES={"tenants": "tenants_migrations"},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    BADGES_FILE=folder / "badge.json",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core import checks  # noqa: E402
from django.db import connection  # noqa: E402
from django.dispatch import receiver  # noqa: E402
from django_tenants.models import TenantMixin  # noqa: E402
from django_tenants.signals import post_schema_sync  # noqa: E402
from django_tenants.utils import schema_context  # noqa: E402
from dummy.models import Sketch  # noqa: E402
from tenants.models import Client  # noqa: E402

from badges.models import Badge, BadgeEvent  # noqa: E402 - models need the settings

found = {}


def run(*args, **options):
    output = io.StringIO()
    call_command(*args, stdout=output, stderr=output, no_color=True, **options)
    return output.getvalue()


def on_command_line(*args):
    """As manage.py does it: all_tenants_command passes options on from there alone."""
    output, sys.stdout = sys.stdout, io.StringIO()
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415

        execute_from_command_line(["manage.py", *args])
        return sys.stdout.getvalue()
    finally:
        sys.stdout = output


@receiver(post_schema_sync, sender=TenantMixin)
def install_badges(sender, tenant, **kwargs):
    with schema_context(tenant.schema_name):
        run("create_badge_triggers")


def rows(schema, manager, *names):
    with schema_context(schema):
        return sorted(map(list, manager.values_list(*names)))


def execute(query):
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall() if cursor.description else []


common = {"trigger_table": "dummy_sketch", "user_field": "user_id", "trigger_condition": ["insert", "update"]}
(folder / "badge.json").write_text(
    json.dumps(
        [
            {"name": "First", "code": "first", "condition": "true", **common},
            {
                "name": "Two",
                "code": "two",
                "condition": "count(*) >= 2 FROM dummy_sketch WHERE user_id = NEW.user_id AND hit_views = 0",
                "revocable": True,
                **common,
            },
        ]
    )
)

run("makemigrations", "tenants", verbosity=0)
run("migrate_schemas", shared=True, verbosity=0)
for name in ("a", "b"):
    Client(schema_name=name).save(verbosity=0)
found["triggers"] = execute(
    "SELECT tgrelid::regclass::text, p.pronamespace::regnamespace::text FROM pg_trigger t "
    r"JOIN pg_proc p ON p.oid = tgfoid WHERE tgname ~ '^badges_insert_dummy' ORDER BY 1"
)
found["again"] = on_command_line("all_tenants_command", "create_badge_triggers", "--check", "--no-public").splitlines()

users = {}
for name in ("a", "b"):
    with schema_context(name):
        users[name] = get_user_model().objects.get_or_create(username="ada")[0]
        for _ in range(2 if name == "a" else 1):
            Sketch.objects.create(user=users[name], title="x")
found["held"] = {name: rows(name, Badge.objects, "user__username", "code") for name in ("a", "b")}
found["causes"] = {name: rows(name, BadgeEvent.objects, "code", "kind", "cause") for name in ("a", "b")}
with schema_context("b"):
    Sketch.objects.update(hit_views=1)
    found["checks"] = [each.id for each in checks.run_checks(databases=["default"])]
    found["award_badges"] = run("award_badges").splitlines()[-1]
    found["listener"] = run("listen_badges", once=True).splitlines()[-1]
found["held by a"] = rows("a", Badge.objects, "user__username", "code")
with schema_context("a"):
    Sketch.objects.update(hit_views=1)
found["revoked in a"] = rows("a", Badge.objects, "user__username", "code")
found["checks of public"] = [each.id for each in checks.run_checks(databases=["default"])]
Client.objects.get(schema_name="b").delete()
found["after a tenant is gone"] = on_command_line(
    "all_tenants_command", "create_badge_triggers", "--check", "--no-public"
).splitlines()
sys.stdout.write(json.dumps(found))
