"""From a database that was used with 0.1 to this version, back, and forth again, in a database of its own."""

from __future__ import annotations

import io

import psycopg
import pytest
from conftest import entry
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection, connections
from psycopg import sql

from badges.models import Badge, BadgeDefinition

pytestmark = pytest.mark.django_db

COLLECTOR = entry("collector", condition="count(id) >= 2 from dummy_sketch where user_id = NEW.user_id")

# As Django made it for the model of 0.1.
TABLE_OF_0_1 = """
CREATE TABLE badges_badge (
    id serial PRIMARY KEY,
    name text NOT NULL,
    code varchar(100) NOT NULL,
    user_id integer NOT NULL
        CONSTRAINT badges_badge_user_id_4a9f1b2c_fk_auth_user_id REFERENCES auth_user DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT badges_badge_user_id_name_5d0c7a9e_uniq UNIQUE (user_id, name)
);
CREATE INDEX badges_badge_user_id_4a9f1b2c ON badges_badge (user_id);
INSERT INTO django_migrations (app, name, applied) VALUES ('badges', '0001_initial', now())
"""

# What create_badge_triggers of 0.1 made for each badge: a row-level trigger that writes the badge with its name.
TRIGGER_OF_0_1 = """
CREATE FUNCTION badge_{name}() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    IF (NOT EXISTS (SELECT 1 FROM badges_badge WHERE user_id = NEW.{user_field} AND code = '{code}')
        AND (SELECT {condition})) IS TRUE THEN
        INSERT INTO badges_badge (user_id, name, code)
            VALUES (NEW.{user_field}, '{name}', '{code}');
    END IF;
    RETURN NEW;
END
$function$;
CREATE TRIGGER badge_{name} AFTER {trigger_condition} ON {trigger_table}
    FOR EACH ROW EXECUTE PROCEDURE badge_{name}()
"""


PARAMETERS = {"host", "port", "user", "password"}


class Database:
    """A database beside the tests' own, under the alias "old"."""

    def execute(self, query, params=None):
        with connections["old"].cursor() as cursor:
            cursor.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    def run(self, *args, **options):
        output = io.StringIO()
        call_command(*args, database="old", stdout=output, stderr=output, no_color=True, **options)
        return output.getvalue()

    def migrate(self, *args):
        self.run("migrate", *args, verbosity=0)

    def sketch(self, user_id):
        self.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'Sketch')", [user_id])

    def held(self):
        return self.execute("SELECT user_id, code FROM badges_badge ORDER BY 1, 2")


@pytest.fixture
def empty():
    """A new database, empty."""
    name = f"{connection.settings_dict['NAME']}_old"
    options = {key: value for key, value in connection.get_connection_params().items() if key in PARAMETERS}
    with psycopg.connect(**{**options, "dbname": "postgres"}, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        connections.databases["old"] = {**connection.settings_dict, "NAME": name}
        try:
            # A test that opens another database by itself is stopped by Django.
            connections["old"].connect()
            yield Database()
        finally:
            connections["old"].close()
            del connections["old"], connections.databases["old"]
            admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


@pytest.fixture
def old(empty):
    """A database as 0.1 left it, with users 1 and 2 and the triggers of two badges."""
    empty.migrate("contenttypes")
    empty.migrate("auth")
    empty.migrate("dummy")
    empty.execute(TABLE_OF_0_1)
    for name in ("ada", "bob"):
        get_user_model().objects.using("old").create(username=name)
    for name, condition in (("Collector", COLLECTOR["condition"]), ("Beginner", "NEW.hit_views >= 0")):
        empty.execute(
            TRIGGER_OF_0_1.format(**{**COLLECTOR, "name": name, "code": name.lower(), "condition": condition})
        )
    return empty


def test_badges_are_kept(old, badge_file):
    """Every badge of 0.1 is kept, with its name and without a time, which 0.1 did not record."""
    for user_id in (1, 1, 2):
        old.sketch(user_id)
    assert old.held() == [(1, "beginner"), (1, "collector"), (2, "beginner")]
    old.migrate()
    assert old.held() == [(1, "beginner"), (1, "collector"), (2, "beginner")]
    assert set(Badge.objects.using("old").values_list("name", "awarded_at", "evidence")) == {
        ("Beginner", None, None), ("Collector", None, None)
    }  # fmt: skip
    assert not BadgeDefinition.objects.using("old").filter(retired_at=None).exists()


def test_one_code_under_two_names(old):
    """0.1 let a user hold one code under two names: one badge remains, under the name that came last."""
    old.execute(
        """
        INSERT INTO badges_badge (user_id, name, code)
        VALUES (1, 'Collector', 'collector'), (2, 'Collector', 'collector'), (1, 'Great collector', 'collector'),
               (1, 'Same name', 'a'), (2, 'Same name', 'b')
        """
    )
    old.migrate()
    assert old.held() == [(1, "a"), (1, "collector"), (2, "b"), (2, "collector")]
    assert dict(BadgeDefinition.objects.using("old").values_list("code", "name")) == {
        "a": "Same name", "b": "Same name", "collector": "Great collector"
    }  # fmt: skip


def test_triggers_of_0_1_go(old):
    """The triggers of 0.1, whose column is gone, are dropped, so that writes succeed; other triggers stay."""
    old.execute(
        """
        CREATE FUNCTION badge_mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.title := ''Mine''; RETURN NEW; END';
        CREATE TRIGGER badge_mine BEFORE INSERT ON dummy_sketch FOR EACH ROW EXECUTE FUNCTION badge_mine()
        """
    )
    old.migrate()
    old.sketch(1)
    assert old.execute("SELECT title FROM dummy_sketch") == [("Mine",)]
    assert old.held() == []
    assert old.execute(r"SELECT proname FROM pg_proc WHERE proname LIKE 'badge\_%'") == [("badge_mine",)]
    assert old.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == [("badge_mine",)]


def test_the_file_brings_the_badges_back(old, badge_file):
    """create_badge_triggers restores the badges that the file declares; holders keep them, other users earn them."""
    for _ in range(2):
        old.sketch(1)
    old.migrate()
    badge_file(COLLECTOR)
    assert "declared again" in old.run("create_badge_triggers")
    assert dict(BadgeDefinition.objects.using("old").values_list("code", "retired_at"))["collector"] is None
    assert BadgeDefinition.objects.using("old").get(code="beginner").retired_at is not None
    for user_id in (1, 2, 2):
        old.sketch(user_id)
    assert old.held() == [(1, "beginner"), (1, "collector"), (2, "collector")]
    assert old.run("award_badges").endswith("0 awarded.\n")
    old.execute("DELETE FROM dummy_sketch; DELETE FROM auth_user WHERE id = 1")
    assert old.held() == [(2, "collector")]


def test_back_and_forth(old, badge_file):
    """Back to the table of 0.1 and forward again, no badge is lost, and writes work in between."""
    for _ in range(2):
        old.sketch(1)
    old.migrate()
    badge_file(COLLECTOR, entry("renamed", name="Collector", condition="true"))
    old.run("create_badge_triggers")
    for _ in range(2):
        old.sketch(2)
    assert old.held() == [(1, "beginner"), (1, "collector"), (2, "collector"), (2, "renamed")]
    old.migrate("badges", "0001")
    kept = old.execute("SELECT user_id, name FROM badges_badge ORDER BY 1, 2")
    assert kept == [(1, "Beginner"), (1, "Collector"), (2, "Collector")], "0.1 allows a name once for each user"
    old.sketch(1)
    old.migrate()
    assert [(user_id, code) for user_id, code in old.held() if user_id == 1] == [(1, "beginner"), (1, "collector")]
    old.run("create_badge_triggers")
    old.sketch(1)
    assert (1, "renamed") in old.held()


def test_commands_before_the_migration(old, badge_file):
    """With the table of 0.1, create_badge_triggers asks for the migration, which gives definitions sound defaults."""
    old.sketch(1)
    badge_file(COLLECTOR)
    with pytest.raises(CommandError, match=r"manage\.py migrate"):
        old.run("create_badge_triggers")
    old.migrate()
    columns = "goal, per, revocable, active, expires_after, progress, translations, triggers, trigger_condition, rule"
    rows = old.execute(f"SELECT DISTINCT {columns} FROM badges_badgedefinition")
    assert rows == [(None, "", False, True, "", "", "{}", "[]", "[]", "")]
    assert "Done" in old.run("create_badge_triggers")


def test_back_with_subjects_and_expired_badges(old, badge_file):
    """Back to 0.1, one badge of each name stays, and none that has expired; no function of 1.0 is left."""
    old.migrate()
    badge_file(COLLECTOR, entry("other", condition="true"))
    old.run("create_badge_triggers")
    old.execute(
        """
        INSERT INTO badges_badge (user_id, code, thing, awarded_at)
        VALUES (1, 'collector', '7', NULL), (1, 'collector', '8', now()), (2, 'other', '7', now() - interval '1 day'),
               (2, 'other', '8', now());
        INSERT INTO badges_badge (user_id, code, expires_at) VALUES (1, 'other', now() - interval '1 day')
        """
    )
    old.migrate("badges", "0001")
    assert old.held() == [(1, "collector"), (2, "other")]
    assert old.execute("SELECT count(*) FROM pg_proc WHERE proname LIKE 'badges%'") == [(0,)]
    old.sketch(1)
    old.migrate()
    assert "Done" in old.run("create_badge_triggers")
    assert old.held() == [(1, "collector"), (2, "other")]


def test_from_the_development_version(empty):
    """A database with all migrations of the development version is migrated, and can forget those after 0002."""
    empty.migrate()
    recorded = "SELECT name FROM django_migrations WHERE app = 'badges' ORDER BY name"
    own = empty.execute(recorded)
    empty.execute(
        """
        INSERT INTO django_migrations (app, name, applied)
        SELECT 'badges', name, now() FROM unnest(%s::text[]) AS name
        """,
        [["0003_rules", "0004_events", "0005_deliveries", "0003_shared_checks", "0004_time_zone", "0009_tenants"]],
    )
    assert "No migrations to apply" in empty.run("migrate", "badges")
    empty.run("migrate", "badges", prune=True)
    assert empty.execute(recorded) == own == [("0001_initial",), ("0002_definitions",)]


def test_new_database(empty, badge_file):
    """A new site needs migrate and create_badge_triggers, and its models match the migrations."""
    empty.migrate()
    assert "No changes detected" in run_makemigrations()
    badge_file(COLLECTOR)
    assert "Done" in empty.run("create_badge_triggers")
    [(user_id,)] = empty.execute(
        """
        INSERT INTO auth_user
            (username, password, is_superuser, is_staff, is_active, first_name, last_name, email, date_joined)
        VALUES ('ada', '', false, false, true, '', '', '', now()) RETURNING id
        """
    )
    empty.sketch(user_id)
    empty.sketch(user_id)
    assert empty.held() == [(user_id, "collector")]


def run_makemigrations():
    output = io.StringIO()
    call_command("makemigrations", check=True, dry_run=True, stdout=output)
    return output.getvalue()


def test_columns_that_sql_may_rely_on(empty):
    """The names, types and defaults of the badges' table, which the documentation promises to writers of SQL."""
    empty.migrate()
    columns = empty.execute(
        """
        SELECT column_name, data_type, is_nullable, column_default IS NOT NULL
        FROM information_schema.columns WHERE table_name = 'badges_badge' ORDER BY column_name
        """
    )
    assert columns == [
        ("awarded_at", "timestamp with time zone", "YES", True),
        ("by_hand", "boolean", "NO", True),
        ("code", "character varying", "NO", False),
        ("evidence", "jsonb", "YES", False),
        ("expires_at", "timestamp with time zone", "YES", False),
        ("id", "uuid", "NO", True),
        ("thing", "text", "NO", True),
        ("user_id", "integer", "NO", False),
    ]


def test_history_after_the_way_back(old, badge_file):
    """0.1 has no history: after a downgrade and an upgrade it begins with the badges that are held."""
    badge_file(COLLECTOR)
    old.migrate()
    old.run("create_badge_triggers")
    for _ in range(2):
        old.sketch(1)
    history = "SELECT user_id, code, kind, cause, quiet FROM badges_badgeevent"
    assert old.execute(history) == [(1, "collector", "awarded", "insert on public.dummy_sketch", False)]
    old.migrate("badges", "0001")
    old.migrate()
    assert old.execute(history) == []
    old.run("create_badge_triggers")
    assert old.execute(history) == [(1, "collector", "awarded", "found", True)]
