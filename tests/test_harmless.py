"""Whatever is wrong with a badge costs that badge alone: no write is undone, no other badge is missed."""

from __future__ import annotations

import io
import json
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from conftest import entry
from django.apps import apps
from django.contrib.auth.models import User
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, models, transaction
from django.db.migrations import operations
from django.db.migrations.state import ProjectState
from dummy.models import Sketch

from badges.models import Badge, Failure, PendingCheck
from badges.operations import backfill

pytestmark = pytest.mark.django_db

# Raises for a row without views, and for no other.
BROKEN = entry("broken", condition="1000 / NEW.hit_views > 0")
SOUND = entry("sound", condition="NEW.title <> ''")
COUNTED = entry("counted", condition="count(*) >= 1 FROM dummy_sketch WHERE user_id = NEW.user_id")


@pytest.fixture
def ada(user):
    return user


@pytest.fixture
def bob(db):
    return User.objects.create(username="bob")


@pytest.fixture
def failures(execute):
    """What is on record: (code, SQLSTATE, how often)."""
    return lambda: execute("SELECT code, sqlstate, sum(occurrences) FROM badges_failure GROUP BY 1, 2 ORDER BY 1, 2")


def draw(*users, hit_views=0):
    Sketch.objects.bulk_create(Sketch(user=user, title="Sketch", hit_views=hit_views) for user in users)


def run(command, *args, **options):
    output = io.StringIO()
    call_command(command, *args, stdout=output, stderr=output, no_color=True, **options)
    return output.getvalue()


def found(id_):
    return [message for message in checks.run_checks(databases=["default"]) if message.id == id_]


def connect():
    """Another session in the test database."""
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    return psycopg.connect(**{name: parameters[name] for name in names if name in parameters})


# A condition that raises


@pytest.mark.parametrize("pairs", [False, True], ids=["statement-level", "row-level"])
@pytest.mark.parametrize("order", [1, -1])
def test_some_rows_fail(declare, held, failures, ada, bob, pairs, order):
    """The user whose row fails lacks that badge alone; other users of the statement get it, and all the others."""
    declare(*({**each, "trigger_condition": "update"} for each in (BROKEN, SOUND, COUNTED)))
    if pairs:
        row = {"trigger_condition": "update", "condition": "1000 / NEW.hit_views > 0 AND OLD.title <> ''"}
        declare({**BROKEN, **row}, {**SOUND, "trigger_condition": "update"}, {**COUNTED, "trigger_condition": "update"})
    draw(ada)
    draw(bob, hit_views=5)
    draw(*[ada, bob][::order])
    Sketch.objects.update(title="New")
    assert Sketch.objects.filter(title="New").count() == 4
    assert held(ada) == ["counted", "sound"]
    assert held(bob) == ["broken", "counted", "sound"]
    # Row by row, Bob holds the badge already when his second row is checked.
    assert failures() == [("broken", "22012", 2 if pairs else 3)]


@pytest.mark.parametrize(
    ("condition", "sqlstate"),
    [
        ("NEW.title::integer > 0", "22P02"),
        ("(SELECT id FROM auth_user) > 0", "21000"),
        ("site_rule(NEW.hit_views)", "P0001"),
        ("site_assertion(NEW.hit_views)", "P0004"),
        ("site_recursion(NEW.hit_views)", "54001"),
        ("count(*) > 0 FROM dummy_sketch WHERE user_id = NEW.user_id AND site_rule(hit_views)", "P0001"),
    ],
)
def test_kinds_of_errors(declare, execute, held, failures, ada, bob, condition, sqlstate):
    """Casts, subqueries, and whatever functions of the site's own raise, assertions as well."""
    for name, body in {
        "rule": "RAISE 'rejected'",
        "assertion": "ASSERT false, 'wrong'",
        "recursion": "RETURN site_recursion(x)",
    }.items():
        execute(
            f"CREATE FUNCTION site_{name}(x integer) RETURNS boolean STABLE LANGUAGE plpgsql "
            f"AS $$ BEGIN {body}; RETURN true; END $$"
        )
    declare({**BROKEN, "condition": condition}, SOUND, COUNTED)
    execute("SET LOCAL max_stack_depth = '300kB'")
    draw(ada, bob)
    assert Sketch.objects.count() == 2
    assert held(ada) == held(bob) == ["counted", "sound"]
    assert failures() == [("broken", sqlstate, 2)]


LATER = {
    "column dropped": ("ALTER TABLE dummy_sketch DROP COLUMN hit_views", "42703"),
    "column renamed": ("ALTER TABLE dummy_sketch RENAME COLUMN hit_views TO views", "42703"),
    "type of a column changed": (
        (
            "ALTER TABLE dummy_sketch ALTER hit_views DROP DEFAULT, ALTER hit_views TYPE text USING 'x', "
            "ALTER hit_views SET DEFAULT 'x'"
        ),
        None,
    ),
    "table dropped": ("DROP TABLE prizes", "42P01"),
    "table renamed": ("ALTER TABLE prizes RENAME TO awards", "42P01"),
    "column of another table dropped": ("ALTER TABLE prizes DROP COLUMN views", "42703"),
    "function dropped": ("DROP FUNCTION site_limit(integer)", "42883"),
    "right revoked from the owner": ("REVOKE ALL ON prizes FROM badges_test_owner", "42501"),
    "schema closed to the owner": ("ALTER TABLE prizes SET SCHEMA badges_test_closed", "42P01"),
}


@pytest.mark.parametrize("change", LATER)
@pytest.mark.parametrize("event", ["insert", "update"])
def test_what_a_condition_needs_goes(declare, execute, held, failures, ada, bob, change, event):
    """What takes away what a condition reads harms no write and no other badge, however warm the session."""
    execute("CREATE TABLE prizes (views integer)")
    execute("INSERT INTO prizes VALUES (1)")
    execute("CREATE FUNCTION site_limit(x integer) RETURNS integer STABLE LANGUAGE sql AS 'SELECT x'")
    execute("CREATE SCHEMA badges_test_closed")
    execute("CREATE ROLE badges_test_owner")
    execute("GRANT CREATE ON SCHEMA public TO badges_test_owner")
    execute("GRANT SELECT ON auth_user, prizes, dummy_sketch TO badges_test_owner")
    for table in (
        "badge",
        "badgeevent",
        "pendingcheck",
        "failure",
        "badgedefinition",
        "formerkey",
        "overrun",
        "secret",
    ):
        execute(f"ALTER TABLE badges_{table} OWNER TO badges_test_owner")
    needy = {
        **BROKEN,
        "condition": "EXISTS (SELECT FROM prizes WHERE views <= site_limit(NEW.hit_views) AND NEW.title = 'New')",
    }
    declare(*({**each, "trigger_condition": event} for each in (needy, SOUND, COUNTED)))
    draw(ada, hit_views=5)
    Sketch.objects.update(title="Old")
    statement, sqlstate = LATER[change]
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute(statement)
    if event == "insert":
        execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'New'), (%s, 'New')", [ada.pk, bob.pk])
    else:
        execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, '')", [bob.pk])
        execute("UPDATE dummy_sketch SET title = 'New'")
    assert execute("SELECT count(*) FROM dummy_sketch WHERE title = 'New'") == [(2,)]
    assert held(ada) == held(bob) == ["counted", "sound"]
    if sqlstate is None:
        # The condition did not fail: the next create_badge_triggers sees to it.
        assert (failures(), PendingCheck.objects.filter(code="broken").count()) == ([], 2)
    else:
        assert failures() == [("broken", sqlstate, 2)]


def test_user_column_dropped(declare, execute, held, failures, ada):
    """Badges by another column of the same table are awarded on; those that lost theirs are on record."""
    execute("CREATE TABLE reviews (author bigint, editor bigint)")
    review = {"trigger_table": "reviews", "condition": "true"}
    declare(entry("a", user_field="author", **review), *(entry(code, user_field="editor", **review) for code in "bc"))
    execute("ALTER TABLE reviews DROP COLUMN editor")
    execute("INSERT INTO reviews VALUES (%s)", [ada.pk])
    assert execute("SELECT count(*) FROM reviews") == [(1,)]
    assert held(ada) == ["a"]
    assert failures() == [("b", "42703", 1), ("c", "42703", 1)]


@pytest.mark.parametrize("name", ["wait", "note_failure", "record", "record_parts", "one_by_one", "settle", "check"])
@pytest.mark.parametrize("also_broken", [False, True])
def test_function_of_ours_is_missing(declare, execute, ada, name, also_broken):
    """Even without one of the functions that all triggers call, the write succeeds."""
    declare(SOUND, COUNTED, *[BROKEN] * also_broken)
    [(function,)] = execute("SELECT oid::regprocedure::text FROM pg_proc WHERE proname = %s", [f"badges_{name}"])
    execute(f"DROP FUNCTION {function}")
    draw(ada)
    assert Sketch.objects.count() == 1
    assert "new" in run("create_badge_triggers")
    draw(ada)
    assert {"sound", "counted"} <= set(Badge.objects.values_list("code", flat=True))


@pytest.mark.parametrize("table", ["badge", "badgeevent", "pendingcheck", "failure", "badgedefinition"])
def test_table_of_ours_is_missing(declare, execute, ada, table):
    """Even without one of the tables of the app the write succeeds."""
    declare(SOUND, COUNTED, BROKEN)
    execute(f"DROP TABLE badges_{table} CASCADE")
    draw(ada)
    assert Sketch.objects.count() == 1
    if table == "failure":
        assert set(Badge.objects.values_list("code", flat=True)) == {"counted", "sound"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "table", ["badges_badge", "badges_badgeevent", "badges_pendingcheck", "badges_failure", "auth_group"]
)
def test_table_is_locked(committed, execute, ada, table):
    """A writer who does not want to wait for a locked table that the badges need loses a badge and no row."""
    committed(
        SOUND, BROKEN, {**COUNTED, "condition": f"{COUNTED['condition']} AND (SELECT count(*) FROM auth_group) = 0"}
    )
    with connect() as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        execute("SET lock_timeout = '20ms'")
        try:
            if table not in ("badges_pendingcheck", "badges_failure"):
                draw(ada)
            else:
                draw(ada, hit_views=1)
        finally:
            execute("RESET lock_timeout")
        other.rollback()
    assert Sketch.objects.count() == 1
    run("award_badges", "sound", "counted")
    assert set(Badge.objects.values_list("code", flat=True)) >= {"sound", "counted"}


def test_a_bulk_write_with_a_failing_condition(declare, execute, held, failures, ada, bob):
    """One statement over many rows that all fail is counted to the row, in one row of the record."""
    declare(BROKEN, SOUND)
    # The counters of earlier transactions may not have been sent yet, so what was there before is no matter.
    updates = "SELECT n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = 'badges_failure'"
    before = execute(updates)
    execute(
        "INSERT INTO dummy_sketch (user_id, title) SELECT %s + (n %% 2) * %s, 'x' FROM generate_series(1, 500) AS n",
        [ada.pk, bob.pk - ada.pk],
    )
    assert failures() == [("broken", "22012", 500)]
    assert Failure.objects.count() == 1
    assert execute(updates) == before
    assert held(ada) == held(bob) == ["sound"]


def test_a_transaction_with_many_failures(declare, execute, held, ada):
    """Statement after statement, a transaction stops counting before that makes it slow; the next one counts again."""
    declare(BROKEN, SOUND)
    execute(
        f"""
        DO $$ BEGIN
            FOR n IN 1 .. 300 LOOP
                INSERT INTO dummy_sketch (user_id, title) VALUES ({ada.pk}, 'x');
            END LOOP;
        END $$
        """
    )
    assert Failure.objects.get().occurrences == 100
    assert Sketch.objects.count() == 300
    assert held(ada) == ["sound"]


# The record


def test_what_is_recorded(declare, execute, ada):
    """Code, SQLSTATE, message, first and last time, and how often."""
    declare(BROKEN)
    draw(ada)
    first = Failure.objects.get()
    assert (first.code, first.sqlstate, first.message) == ("broken", "22012", "division by zero")
    assert abs(datetime.now(UTC) - first.first_at) < timedelta(minutes=1)
    Failure.objects.update(first_at="2026-01-01 00:00Z", last_at="2026-01-01 00:00Z")
    draw(ada, ada)
    last = Failure.objects.get()
    assert (last.occurrences, last.first_at.year, last.last_at > first.last_at) == (3, 2026, True)
    assert last.first_at < first.first_at


@pytest.mark.django_db(transaction=True)
def test_writers_do_not_wait_for_each_other(committed, failures, ada):
    """Two open transactions whose conditions fail at once: neither waits, both are counted."""
    committed(BROKEN)
    draw(ada)
    insert = f"INSERT INTO dummy_sketch (user_id, title) VALUES ({ada.pk}, 'x')"
    with connect() as first, connect() as second:
        for other in (first, second):
            other.execute("SET statement_timeout = '5s'")
            other.execute(insert)
        assert Sketch.objects.count() == 1, "both are open"
        first.commit()
        second.commit()
    assert failures() == [("broken", "22012", 3)]
    assert Failure.objects.count() == 2
    draw(ada)
    assert Failure.objects.count() == 2, "later ones find a row that no transaction is changing"


def test_check_shows_failures(declare, execute, ada):
    """badges.W006 names the badge, what went wrong, how often and when, also when the condition no longer parses."""
    declare(BROKEN, SOUND)
    assert found("badges.W006") == []
    draw(ada)
    draw(ada)
    Failure.objects.update(first_at="2026-01-01 00:00Z", last_at="2026-02-01 12:30Z")
    [message] = found("badges.W006")
    assert message.msg == (
        'In the database "default": The condition of badge "broken" failed 2 times from 2026-01-01 00:00:00 to '
        "2026-02-01 12:30:00 UTC: division by zero (SQLSTATE 22012)."
    )
    assert "award_badges broken" in message.hint
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("ALTER TABLE dummy_sketch DROP COLUMN hit_views")
    assert [len(found("badges.W002")), len(found("badges.W006"))] == [1, 1]


def test_plan_shows_failures(declare, ada):
    """create_badge_triggers --plan and --json report failures; that alone is no reason for --check to fail."""
    declare(BROKEN, SOUND)
    draw(ada)
    output = run("create_badge_triggers", "--plan")
    assert 'The condition of badge "broken" failed once, at ' in output
    assert "division by zero (SQLSTATE 22012)" in output
    assert "award_badges" in output
    stdout = io.StringIO()
    call_command("create_badge_triggers", "--json", stdout=stdout, stderr=io.StringIO())
    plan = json.loads(stdout.getvalue())
    assert plan["in_line"] is True
    [failure] = plan["failures"]
    assert {
        "code": "broken",
        "sqlstate": "22012",
        "message": "division by zero",
        "occurrences": 1,
    }.items() <= failure.items()
    assert datetime.fromisoformat(failure["first_at"]) == datetime.fromisoformat(failure["last_at"])
    run("create_badge_triggers", "--check")


def test_sound_run_clears_failures(declare, badge_file, held, failures, ada):
    """award_badges reports the failures; a run in which the condition succeeds awards missed badges and clears them."""
    declare(BROKEN, SOUND)
    draw(ada)
    draw(ada, hit_views=0)
    with pytest.raises(CommandError, match="condition of broken failed"):
        run("award_badges")
    assert failures() == [("broken", "22012", 2)], "still true"
    badge_file({**BROKEN, "condition": "1000 / nullif(NEW.hit_views, 0) IS NULL"}, SOUND)
    run("create_badge_triggers")
    assert 'The condition of badge "broken" failed 2 times' in run("award_badges", "--dry-run")
    assert failures() == [("broken", "22012", 2)]
    run("award_badges", "sound")
    assert failures() == [("broken", "22012", 2)], "of another badge"
    output = run("award_badges")
    assert 'The condition of badge "broken" failed 2 times' in output
    assert "broken: 2 recorded failures cleared" in output
    assert failures() == []
    assert held(ada) == ["broken", "sound"]
    assert found("badges.W006") == []


def test_failure_of_a_badge_that_left(declare, failures, ada):
    """Failures of a badge that is no longer declared are not shown, and the next award_badges deletes them."""
    declare(BROKEN, SOUND)
    draw(ada)
    declare(SOUND)
    assert found("badges.W006") == []
    assert "broken" not in run("award_badges")
    assert failures() == []


@pytest.mark.django_db(transaction=True)
def test_clearing_waits_for_nobody(committed, failures, ada, monkeypatch):
    """A failure that a writer is counting at the moment stays, and award_badges does not wait for that writer."""
    monkeypatch.setattr(backfill, "WRITERS_TIMEOUT", 0.05)
    committed({**BROKEN, "condition": "1000 / NEW.hit_views > 0 OR NEW.title = 'x'"})
    draw(ada)
    Sketch.objects.all().delete()
    with connect() as other:
        other.execute(f"INSERT INTO dummy_sketch (user_id, title) VALUES ({ada.pk}, 'Sketch')")
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '5s'")
        run("award_badges")
        with connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")
        other.commit()
    assert failures() == [("broken", "22012", 2)]


# What must end a write ends it


@pytest.fixture
def endless(declare, execute):
    """A badge whose condition does not end by itself."""
    execute(
        "CREATE FUNCTION site_endless(x integer) RETURNS boolean STABLE LANGUAGE plpgsql "
        "AS $$ BEGIN PERFORM pg_sleep(60); RETURN true; END $$"
    )
    declare(SOUND, entry("endless", condition="site_endless(NEW.hit_views)"))


def test_statement_timeout_still_works(endless, execute, ada):
    """statement_timeout ends a write whose condition takes too long, and the write is undone."""
    execute("SET LOCAL statement_timeout = '100ms'")
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        draw(ada)
    assert isinstance(caught.value.__cause__, psycopg.errors.QueryCanceled)
    assert not Sketch.objects.exists()
    assert not Badge.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_cancellation_still_works(committed, execute, ada):
    """pg_cancel_backend ends a write in the middle of a condition, and the write is undone."""
    execute(
        "CREATE FUNCTION site_endless(x integer) RETURNS boolean STABLE LANGUAGE plpgsql "
        "AS $$ BEGIN PERFORM pg_sleep(60); RETURN true; END $$"
    )
    committed(SOUND, entry("endless", condition="site_endless(NEW.hit_views)"))
    errors = []
    with connect() as other:

        def write():
            try:
                other.execute(f"INSERT INTO dummy_sketch (user_id, title) VALUES ({ada.pk}, 'x')")
            except psycopg.Error as error:
                errors.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            asleep = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s"
            while execute(asleep, [other.info.backend_pid]) != [(True,)]:
                assert writer.is_alive()
            execute("SELECT pg_cancel_backend(%s)", [other.info.backend_pid])
            writer.join()
        finally:
            execute("SELECT pg_cancel_backend(%s)", [other.info.backend_pid])
            other.rollback()
            execute("DROP FUNCTION site_endless(integer)")
    assert [type(error) for error in errors] == [psycopg.errors.QueryCanceled]
    assert not Sketch.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "condition", ["NEW.title <> ''", "count(*) >= 2 FROM dummy_sketch WHERE user_id = NEW.user_id"]
)
def test_serialization_failure_ends_the_transaction(committed, ada, condition):
    """Of two SERIALIZABLE transactions that could not have run one after the other, one fails with 40001, no badge or
    pending check aside.
    """
    committed(entry("x", condition=condition), BROKEN)
    insert = f"INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES ({ada.pk}, 'x', 1)"
    states = []
    with connect() as first, connect() as second:
        for other in (first, second):
            other.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            other.execute("SELECT count(*) FROM dummy_sketch")
        for other in (first, second):
            try:
                other.execute(insert)
                other.commit()
                states.append(None)
            except psycopg.Error as error:
                states.append(error.sqlstate)
                other.rollback()
    assert sorted(states, key=str) == ["40001", None]
    assert Sketch.objects.count() == 1
    assert not PendingCheck.objects.exclude(user=ada).exists()
    assert not Failure.objects.exists()


def test_error_of_the_write_itself(declare, ada):
    """A write that violates a constraint of the site's own fails as ever, badges or not."""
    declare(SOUND, BROKEN)
    with pytest.raises(DatabaseError), transaction.atomic():
        Sketch.objects.create(user=ada, title="x" * 201)
    assert not Badge.objects.exists()


# Tables that change under live triggers


ALTERATIONS = [
    "ADD COLUMN colour text DEFAULT 'red'",
    "DROP COLUMN created",
    "ALTER COLUMN hit_views TYPE bigint",
    "ALTER COLUMN hit_views TYPE numeric",
    "ALTER COLUMN title TYPE text",
    "ALTER COLUMN user_id TYPE integer",
    "ALTER COLUMN hit_views DROP DEFAULT, ALTER COLUMN hit_views SET DEFAULT 7",
    "RENAME COLUMN created TO made",
    "ADD CHECK (hit_views >= 0)",
    "SET LOGGED",
]


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_harmless_alteration(declare, execute, held, failures, ada, bob, alteration):
    """What does not touch what a condition reads in meaning disturbs nothing, in a session that is warm already."""
    pair = {"trigger_condition": "update", "condition": "NEW.hit_views > OLD.hit_views"}
    declare(SOUND, COUNTED, entry("grown", **pair), entry("star", condition="hit_views > 5"))
    draw(ada, hit_views=6)
    Sketch.objects.update(hit_views=7)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute(f"ALTER TABLE dummy_sketch {alteration}")
    execute("INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, 'x', 6)", [bob.pk])
    execute("UPDATE dummy_sketch SET hit_views = hit_views + 1")
    assert held(bob) == held(ada) == ["counted", "grown", "sound", "star"]
    assert failures() == []


def test_renamed_trigger_table(declare, badge_file, execute, held, ada, bob):
    """Writes to a renamed table succeed; the commands name what is gone, and moving the badge to the new name helps."""
    declare(SOUND, COUNTED)
    draw(ada)
    execute("ALTER TABLE dummy_sketch RENAME TO drawings")
    execute("INSERT INTO drawings (user_id, title) VALUES (%s, 'x')", [bob.pk])
    assert execute("SELECT count(*) FROM drawings") == [(2,)]
    with pytest.raises(CommandError, match='there is no table "dummy_sketch"'):
        run("create_badge_triggers")
    assert len(found("badges.W002")) == 2
    moved = {"trigger_table": "drawings"}
    badge_file(
        {**SOUND, **moved}, {**COUNTED, **moved, "condition": COUNTED["condition"].replace("dummy_sketch", "drawings")}
    )
    run("create_badge_triggers", "--backfill")
    run("create_badge_triggers", "--check")
    assert held(ada) == held(bob) == ["counted", "sound"]
    assert execute(
        "SELECT count(*) FROM pg_trigger WHERE tgname ~ '^badges_(insert|update|delete)_' AND NOT tgisinternal"
    ) == [(1,)]
    cal = User.objects.create(username="cal")
    execute("INSERT INTO drawings (user_id, title) VALUES (%s, 'x')", [cal.pk])
    assert held(cal) == ["counted", "sound"]


def test_table_made_anew_under_the_old_name(declare, execute, held, ada, bob):
    """After a swap of tables the command moves the trigger to the one that has the name now."""
    declare(SOUND)
    execute("ALTER TABLE dummy_sketch RENAME TO sketch_old")
    execute("CREATE TABLE dummy_sketch (LIKE sketch_old INCLUDING ALL)")
    run("create_badge_triggers")
    run("create_badge_triggers", "--check")
    draw(bob)
    execute("INSERT INTO sketch_old (user_id, title) VALUES (%s, 'x')", [ada.pk])
    assert (held(bob), held(ada)) == (["sound"], [])


class Migrations:
    """Django's migration operations on the table of sketches, as `migrate` runs them."""

    def __init__(self):
        self.state = ProjectState.from_apps(apps)

    def __call__(self, *changes):
        with connection.cursor() as cursor:
            # As at the end of the transaction that wrote the rows; Django's foreign keys are deferred until then.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with connection.schema_editor() as editor:
            for change in changes:
                before = self.state
                self.state = before.clone()
                change.state_forwards("dummy", self.state)
                change.database_forwards("dummy", editor, before, self.state)


def rewrite(state, editor):
    state.get_model("dummy", "Sketch").objects.update(title="Rewritten")


MIGRATIONS = {
    "AddField": [operations.AddField("Sketch", "colour", models.TextField(default="red"))],
    "RemoveField": [operations.RemoveField("Sketch", "created")],
    "AlterField": [operations.AlterField("Sketch", "hit_views", models.BigIntegerField(default=0, db_default=0))],
    "AddIndex": [operations.AddIndex("Sketch", models.Index(fields=["title"], name="sketch_title"))],
    "AddConstraint": [
        operations.AddConstraint(
            "Sketch", models.CheckConstraint(condition=models.Q(hit_views__gte=0), name="sketch_views")
        )
    ],
    "data and schema in one": [
        operations.RunPython(rewrite),
        operations.AlterField("Sketch", "title", models.TextField()),
        operations.AddField("Sketch", "colour", models.TextField(default="red")),
    ],
}


@pytest.mark.parametrize("name", MIGRATIONS)
def test_migration(declare, execute, held, failures, ada, bob, name):
    """A migration runs on a table with badges, which are awarded after it as before it, and during it."""
    declare(SOUND, COUNTED, entry("rewritten", trigger_condition="update", condition="NEW.title = 'Rewritten'"))
    draw(ada)
    Migrations()(*MIGRATIONS[name])
    values = "(user_id, title, hit_views, colour) VALUES (%s, 'x', 6, 'red')"
    if not any(isinstance(change, operations.AddField) for change in MIGRATIONS[name]):
        values = "(user_id, title, hit_views) VALUES (%s, 'x', 6)"
    execute(f"INSERT INTO dummy_sketch {values}", [bob.pk])
    assert held(bob) == ["counted", "sound"]
    assert held(ada) == ["counted", *["rewritten"] * ("data" in name), "sound"]
    assert failures() == []
    run("create_badge_triggers")  # a column's type may be part of what is generated
    run("create_badge_triggers", "--check")


def test_migration_that_a_badge_does_not_survive(declare, badge_file, execute, held, failures, ada, bob):
    """RemoveField and RenameField of a column of a condition: the migration runs, writes proceed, commands name it."""
    declare(SOUND, entry("star", condition="hit_views > 5"))
    migrate = Migrations()
    migrate(operations.RenameField("Sketch", "hit_views", "views"))
    execute("INSERT INTO dummy_sketch (user_id, title, views) VALUES (%s, 'x', 6)", [ada.pk])
    assert (held(ada), failures()) == (["sound"], [("star", "42703", 1)])
    badge_file(SOUND, entry("star", condition="views > 5"))
    run("create_badge_triggers", "--backfill")
    assert (held(ada), failures()) == (["sound", "star"], [])
    migrate(operations.RemoveField("Sketch", "views"))
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [bob.pk])
    assert held(bob) == ["sound"]
    with pytest.raises(CommandError, match='column "views" does not exist'):
        run("create_badge_triggers")
    badge_file(SOUND)
    run("create_badge_triggers")


def test_migration_that_renames_the_model(declare, badge_file, execute, held, ada):
    """RenameModel renames the table: the badge follows as soon as the file says so."""
    declare(SOUND)
    Migrations()(operations.RenameModel("Sketch", "Drawing"))
    execute("INSERT INTO dummy_drawing (user_id, title) VALUES (%s, 'x')", [ada.pk])
    assert held(ada) == []
    badge_file({**SOUND, "trigger_table": "dummy_drawing"})
    run("create_badge_triggers", "--backfill")
    assert held(ada) == ["sound"]
