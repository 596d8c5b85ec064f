"""Tenants: one schema for each with its own tables, beside shared badges and users, or with badges of its own."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import connection
from other_databases import PARAMETERS

from badges.conf import badges_settings
from badges.functions.runtime import ADVISORY_LOCK_CLASS
from badges.models import Badge, BadgeEvent, Failure, PendingCheck

pytestmark = pytest.mark.django_db

OF_USER = "FROM dummy_sketch WHERE user_id = NEW.user_id"
FIRST = entry("first", condition="NEW.hit_views >= 0")
THREE = entry("three", condition=f"count(*) >= 3 {OF_USER}")
SEEN = entry("seen", condition=f"count(*) >= 1 {OF_USER} AND hit_views > 0", revocable=True,
             trigger_condition=["insert", "update"])  # fmt: skip
GOAL = {"name": "Goal", "code": "goal", "progress": f"count(*) {OF_USER}", "goal": 4, "trigger_condition": "insert",
        "trigger_table": "dummy_sketch", "user_field": "user_id"}  # fmt: skip
LATE = entry("late", condition=f"count(*) >= 2 {OF_USER} AND now() IS NOT NULL")
ACTIVE = entry("active", condition=f"EXISTS (SELECT {OF_USER.replace('NEW.user_id', 'NEW.id')})", user_field="id",
               trigger_table="auth_user", trigger_condition="update")  # fmt: skip
BROKEN = entry("broken", condition="1 / NEW.hit_views > 0")
ALL = (FIRST, THREE, SEEN, GOAL, LATE, ACTIVE)


@pytest.fixture
def within(execute):
    """A block in which the session is that of a tenant: its schema comes first on the path."""

    @contextlib.contextmanager
    def block(*schemas):
        execute(f"SET LOCAL search_path = {', '.join([*schemas, 'public'])}")
        try:
            yield
        finally:
            execute("SET LOCAL search_path = public")

    return block


@pytest.fixture
def tenants(execute):
    """Two schemas, each with the tables of a tenant; users and badges are in public."""
    for schema in ("a", "b"):
        execute(f"CREATE SCHEMA {schema}")
        execute(f"CREATE TABLE {schema}.dummy_sketch (LIKE public.dummy_sketch INCLUDING ALL)")
        execute(f"ALTER TABLE {schema}.dummy_sketch ADD FOREIGN KEY (user_id) REFERENCES auth_user (id)")
    execute("DROP TABLE public.dummy_sketch CASCADE")
    return ("a", "b")


@pytest.fixture
def install(within, badge_file, tenants):
    """Declare these badges, and install them for each tenant in turn."""

    def run_for_all(*entries):
        badge_file(*entries)
        for schema in tenants:
            with within(schema):
                run("create_badge_triggers", "--yes")

    return run_for_all


@pytest.fixture
def ada(db):
    return User.objects.create(username="ada")


@pytest.fixture
def taken():
    """A block in which another session holds the lock of a user's bucket."""

    @contextlib.contextmanager
    def block(user):
        parameters = {key: each for key, each in connection.get_connection_params().items() if key in PARAMETERS}
        with psycopg.connect(**parameters) as session:
            session.execute(
                "SELECT pg_advisory_xact_lock(%s, %s)",
                [ADVISORY_LOCK_CLASS, user.pk & (badges_settings.BADGES_BUCKETS - 1)],
            )
            yield

    return block


def run(command, *args, **options):
    output = io.StringIO()
    call_command(command, *args, stdout=output, stderr=output, no_color=True, **options)
    return output.getvalue()


def sketch(execute, schema, user, times=1, hit_views=0):
    """Insert sketches, as any client does, whatever its search_path."""
    rows = ", ".join([f"({user.pk}, 'x', {hit_views})"] * times)
    execute(f"INSERT INTO {schema}.dummy_sketch (user_id, title, hit_views) VALUES {rows}")


def triggers(execute):
    """The triggers that award, with the schemas of their tables and functions."""
    return execute(
        "SELECT tgrelid::regclass::text, tgtype, p.pronamespace::regnamespace::text "
        "FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid "
        r"WHERE tgname ~ '^badges_(insert|update|delete)_' ORDER BY 1, 2, 3"
    )


def test_each_run_touches_its_own_schema(execute, install, within, tenants):
    """The second tenant's run changes nothing of the first tenant's, and both are in sync."""
    install(*ALL)
    found = triggers(execute)
    assert {schema for table, _, schema in found if table == "auth_user"} == {"a", "b"}
    assert {(table, schema) for table, _, schema in found if table != "auth_user"} == {
        ("a.dummy_sketch", "a"),
        ("b.dummy_sketch", "b"),
    }
    for schema in tenants:
        with within(schema):
            run("create_badge_triggers", "--check")
            assert [each for each in checks.run_checks(databases=["default"]) if each.id.startswith("badges")] == []
            assert "missing" not in run("list_badges")
    assert execute("SELECT count(*) FROM badges_badgedefinition WHERE retired_at IS NULL") == [(len(ALL),)]
    with within("a"):
        execute("DROP TRIGGER badges_add_awarded ON badges_badge")
        run("create_badge_triggers")
    assert triggers(execute) == found


def test_conditions_see_the_rows_of_their_tenant(execute, install, within, held, ada):
    """A condition counts the rows of the tenant that the write belongs to; the badge is the user's, for all tenants."""
    install(*ALL)
    bob = User.objects.create(username="bob")
    sketch(execute, "a", ada, 2)
    sketch(execute, "b", ada)
    sketch(execute, "b", bob)
    sketch(execute, "b", bob)
    sketch(execute, "b", bob)
    assert held(ada) == ["first", "late"]
    assert held(bob) == ["first", "late", "three"]
    with within("a"):
        assert {code: str(each) for code, each in Badge.objects.progress(ada).items()} == {"goal": "2 of 4"}
    with within("b"):
        assert {code: str(each) for code, each in Badge.objects.progress(ada).items()} == {"goal": "1 of 4"}
    assert set(BadgeEvent.objects.values_list("user", "code", "cause")) == {
        (ada.pk, "first", "insert on a.dummy_sketch"),
        (ada.pk, "late", "insert on a.dummy_sketch"),
        (bob.pk, "first", "insert on b.dummy_sketch"),
        (bob.pk, "late", "insert on b.dummy_sketch"),
        (bob.pk, "three", "insert on b.dummy_sketch"),
    }
    execute("UPDATE auth_user SET first_name = 'x'")
    assert set(held(ada)) == {"active", "first", "late"}


def test_the_tenant_that_awarded_a_badge_revokes_it(execute, install, within, held, ada):
    """Rows of another tenant, in which the user does not qualify, revoke nothing, by no path."""
    install(SEEN)
    sketch(execute, "a", ada, hit_views=5)
    sketch(execute, "b", ada)
    sketch(execute, "b", ada, 2)
    execute("UPDATE b.dummy_sketch SET hit_views = 0")
    with within("b"):
        run("award_badges", "--yes")
    assert held(ada) == ["seen"]
    assert not PendingCheck.objects.exists()
    with within("a"):
        execute("SET LOCAL session_replication_role = replica")
        execute("UPDATE a.dummy_sketch SET hit_views = 0")
        execute("SET LOCAL session_replication_role = origin")
        run("award_badges", "--yes")
    assert held(ada) == ["seen"], "a transaction does not settle its own checks"
    execute("UPDATE badges_pendingcheck SET noted_by = 0")
    assert execute("SELECT settled, kept FROM badges_settle(NULL, 100)") == [(1, 0)]
    assert held(ada) == []
    execute("UPDATE a.dummy_sketch SET hit_views = 1")
    assert held(ada) == ["seen"]
    execute("UPDATE a.dummy_sketch SET hit_views = 0")
    assert held(ada) == []


def test_pending_checks_are_decided_among_their_tenant(execute, install, within, held, ada, taken):
    """Any session settles the checks of all tenants, each with the tables of its own; those of no tenant go."""
    install(THREE, SEEN)
    with taken(ada):
        for schema in ("a", "b"):
            sketch(execute, schema, ada)
            sketch(execute, schema, ada)
    pending = PendingCheck.objects.order_by("code", "evidence__tenant")
    # The second write of a tenant shares the checks of the first.
    found = [(each.code, each.evidence["tenant"]) for each in pending]
    assert found == [("seen", "a"), ("seen", "b"), ("three", "a"), ("three", "b")]
    assert len({(each.code, each.what) for each in pending}) == 4
    with within("b"):
        assert [each["pending"] for each in json.loads(run("list_badges", "--json"))] == [1, 1]
    execute("SET LOCAL session_replication_role = replica")
    sketch(execute, "b", ada, hit_views=1)
    execute("SET LOCAL session_replication_role = origin")
    execute("UPDATE badges_pendingcheck SET noted_by = 0")  # a transaction does not settle its own
    assert execute("SELECT settled, kept FROM badges_settle(NULL, 100)") == [(4, 0)]
    assert {(each.code, each.evidence["tenant"]) for each in Badge.objects.all()} == {("seen", "b"), ("three", "b")}
    execute(
        "INSERT INTO badges_pendingcheck (bucket, user_id, code, what, evidence, noted_by) SELECT 0, %s, 'seen', 'b', "
        """'{"operation": "award_badges", "asks": "state", "tenant": "b"}', 0""",
        [ada.pk],
    )
    execute("DROP SCHEMA b CASCADE")
    assert execute("SELECT settled, kept FROM badges_settle(NULL, 100)") == [(1, 0)]
    assert not PendingCheck.objects.exists()
    assert held(ada) == ["seen", "three"]
    assert not Failure.objects.exists()
    with within("a"):
        run("create_badge_triggers", "--check")


def test_path_to_a_user_among_the_tables_of_a_tenant(execute, install, tenants, held, ada):
    """A pending check that has yet to find its user follows the path in the schema of its tenant."""
    for schema in tenants:
        execute(
            f"CREATE TABLE {schema}.likes (id serial PRIMARY KEY, sketch_id bigint NOT NULL "
            f"REFERENCES {schema}.dummy_sketch (id) DEFERRABLE INITIALLY DEFERRED)"
        )
    install(entry("liked", condition="true", trigger_table="likes", user_field=["sketch_id", "user_id"]))
    execute("INSERT INTO a.likes (sketch_id) VALUES (7)")
    bob = User.objects.create(username="bob")
    execute(f"INSERT INTO a.dummy_sketch (id, user_id, title) VALUES (7, {ada.pk}, 'x')")
    execute(f"INSERT INTO b.dummy_sketch (id, user_id, title) VALUES (7, {bob.pk}, 'x')")
    execute("UPDATE badges_pendingcheck SET noted_by = 0")
    execute("SELECT badges_settle(NULL, 100)")
    assert not PendingCheck.objects.exists()
    assert (held(ada), held(bob)) == (["liked"], [])
    assert Badge.objects.get().evidence["tenant"] == "a"


def test_failures_belong_to_a_tenant(execute, install, within, held, ada):
    """A condition that fails in one tenant is recorded, shown and cleared there, and nowhere else."""
    install(BROKEN, FIRST, THREE)
    sketch(execute, "a", ada)
    assert held(ada) == ["first"]
    [failure] = Failure.objects.all()
    assert (failure.code, failure.tenant) == ("broken", "a")
    execute("UPDATE a.dummy_sketch SET hit_views = 1")
    with within("b"):
        assert "division by zero" not in run("create_badge_triggers", "--plan")
        assert "cleared" not in run("award_badges", "--yes")
    assert Failure.objects.count() == 1
    with within("a"):
        assert "division by zero" in run("create_badge_triggers", "--plan")
        assert "1 recorded failure cleared" in run("award_badges", "--yes")
    assert not Failure.objects.exists()


def test_catching_up_for_a_tenant(execute, install, within, held, ada):
    """badges_catch_up() of a schema, award_badges and explain_badge read the rows of that tenant alone."""
    install(LATE, SEEN)
    bob = User.objects.create(username="bob")
    execute("SET LOCAL session_replication_role = replica")
    sketch(execute, "a", ada, 2, hit_views=1)
    sketch(execute, "b", bob, 2, hit_views=1)
    execute("SET LOCAL session_replication_role = origin")
    execute("SELECT a.badges_catch_up()")
    assert (held(ada), held(bob)) == (["late"], [])
    with within("b"):
        assert "1 awarded" in run("award_badges", "--late", "--yes")
        assert "user_id = " in run("explain_badge", "late", "bob")
        assert "true" not in run("explain_badge", "seen", "ada")
        run("award_badges", "--yes")
    assert (held(ada), held(bob)) == (["late"], ["late", "seen"])


def test_prune_all(execute, install, within, badge_file, tenants):
    """A run leaves what other schemas have, even if it declares nothing; --prune-all drops it."""
    install(*ALL)
    with within("a"):
        badge_file()
        run("create_badge_triggers")
        assert {schema for _, _, schema in triggers(execute)} == {"b"}
        badge_file(FIRST)
        assert "drop function b.badges_check" in run("create_badge_triggers", "--plan", "--prune-all")
        run("create_badge_triggers", "--prune-all")
        assert "Nothing to do" in run("create_badge_triggers", "--prune-all")
    assert {schema for _, _, schema in triggers(execute)} == {"a"}
    assert execute(
        "SELECT n.nspname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE proname = 'badges_check' "
        "AND nspname <> 'public'"
    ) == [("a",)]


def test_uninstalling_a_tenant(execute, install, within, held, ada):
    """drop_badge_triggers for one tenant drops what is its own, and leaves what it shares with others."""
    install(*ALL)
    with within("a"):
        run("drop_badge_triggers")
        assert "create function badges_check" in run("create_badge_triggers", "--plan")
    with within("b"):
        run("create_badge_triggers", "--check")
    assert {schema for _, _, schema in triggers(execute)} == {"b"}
    sketch(execute, "a", ada)
    sketch(execute, "b", ada)
    assert list(BadgeEvent.objects.values_list("cause")) == [("insert on b.dummy_sketch",)]


def test_functions_that_an_earlier_version_left_in_public(execute, install, within, held, ada):
    """A trigger whose function is beside the table of badges, for one schema, is replaced without a second one."""
    install(FIRST)
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgrelid = 'a.dummy_sketch'::regclass AND NOT tgisinternal")
    execute(f"ALTER FUNCTION a.{name}() SET SCHEMA public")
    with within("a"):
        output = run("create_badge_triggers")
        assert f"drop function public.{name}" in output
        run("create_badge_triggers", "--check")
    assert [table for table, *_ in triggers(execute)] == ["a.dummy_sketch", "b.dummy_sketch"]
    sketch(execute, "a", ada)
    assert held(ada) == ["first"]


def test_connection_of_the_shared_schema(execute, install, within, badge_file):
    """Where tenants have the tables, the shared schema is not reported; the command says which table is missing."""
    install(FIRST)
    assert [each for each in checks.run_checks(databases=["default"]) if each.id.startswith("badges")] == []
    with pytest.raises(CommandError, match='there is no table "dummy_sketch"'):
        run("create_badge_triggers")


@pytest.mark.parametrize("layout", ["shared", "own"])
def test_django_tenants(empty_database, tmp_path, layout):
    """Both layouts of django-tenants, from the creation of the tenants, whose signal installs the badges."""
    pytest.importorskip("django_tenants")
    walk = Path(__file__).parent / "sites" / "walk_tenants.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", walk, layout, empty_database, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    in_sync = 'Nothing to do: 2 badges on 3 triggers, database "default" in sync.'
    assert found.pop("triggers") == [["a.dummy_sketch", "a"], ["b.dummy_sketch", "b"]]
    assert found.pop("again") == ["Applying command to: a", in_sync, "Applying command to: b", in_sync]
    assert found.pop("after a tenant is gone") == ["Applying command to: a", in_sync]
    events = {name: [["first", "awarded", f"insert on {name}.dummy_sketch"]] for name in ("a", "b")}
    events["a"].append(["two", "awarded", "insert on a.dummy_sketch"])
    of_a, of_b = [["ada", "first"], ["ada", "two"]], [["ada", "first"]]
    is_shared = layout == "shared"
    assert found == {
        "held": {"a": of_a, "b": of_a if is_shared else of_b},
        "causes": {"a": events["a"], "b": events["a"] if is_shared else events["b"]},
        "checks": [],
        "award_badges": "0 awarded.",
        "listener": "0 events sent.",
        "held by a": of_a,
        "revoked in a": [["ada", "first"]],
        "checks of public": [],
    }
