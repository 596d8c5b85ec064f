"""The two commands: what they do, what they say, and what they leave alone."""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.utils.functional import lazystr
from dummy.models import Sketch

from badges import definitions
from badges.installation import executor
from badges.models import Badge, BadgeDefinition
from badges.operations import backfill

pytestmark = pytest.mark.django_db

FIRST = entry("first", condition="NEW.hit_views >= 0")
STAR = entry("star", condition="hit_views > 1000", trigger_condition="update")
COLLECTOR = entry("collector", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id")


def run(command, *args, **options):
    """Call a command; gives all that it wrote, errors as well."""
    output = io.StringIO()
    call_command(command, *args, stdout=output, stderr=output, no_color=True, **options)
    return output.getvalue()


def fail(command, *args, **options):
    """Call a command that must fail; gives the error, and below it what was written before."""
    output = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(command, *args, stdout=output, stderr=output, no_color=True, **options)
    return caught.value.returncode, f"{caught.value}\n{output.getvalue()}"


def connect(**options):
    """Another session in the test database."""
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    return psycopg.connect(**{name: parameters[name] for name in names if name in parameters}, **options)


@contextlib.contextmanager
def transaction_that(statement):
    """Another transaction, open for as long as the block lasts, in which `statement` has run."""
    with connect() as other:
        other.execute(statement)
        yield
        other.rollback()


@pytest.fixture
def impatient(settings, monkeypatch):
    """Do not wait long for locks."""
    settings.BADGES_LOCK_TIMEOUT = 100
    settings.BADGES_LOCK_RETRIES = 1
    monkeypatch.setattr(executor, "_FIRST_PAUSE", 0.01)


@pytest.fixture
def ada(user):
    return user


@pytest.fixture
def bob(db):
    return User.objects.create(username="bob")


@pytest.fixture
def triggers(execute):
    """The badges' triggers: (table, whether it is enabled) of each."""
    return lambda: execute(
        r"""
        SELECT tgrelid::regclass::text, tgenabled FROM pg_trigger
        WHERE NOT tgisinternal AND tgname LIKE 'badges\_%' AND tgname !~ '^badges_(add|keep|follow)_'
        ORDER BY tgrelid::regclass::text, tgname
        """
    )


@pytest.fixture
def function(execute):
    """The name of the one trigger function there is."""

    def name():
        [(found,)] = execute(
            "SELECT tgfoid::regproc::text FROM pg_trigger"
            " WHERE tgname ~ '^badges_(insert|update|delete)_' AND NOT tgisinternal"
        )
        return found

    return name


# create_badge_triggers


def test_new_badges(badge_file, triggers, held, ada):
    """The command installs what the file declares, says so in a few lines, and names the next step."""
    badge_file(FIRST, STAR)
    output = run("create_badge_triggers")
    assert "add definition first  (new)" in output
    assert "create 3 triggers" in output  # with that on the users
    assert "Done: 2 badges on 2 triggers" in output
    assert "award_badges" in output
    assert triggers() == [("dummy_sketch", "O"), ("dummy_sketch", "O")]
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == ["first"]


def test_deferred_badge(declare, badge_file, execute, held, ada):
    """award_badges defers a badge and resumes it; the plan, the checks, list_badges and the admin report it."""
    counted = entry("counted", condition="count(*) >= 1 from dummy_sketch where user_id = NEW.user_id")
    declare(FIRST, counted)
    execute("INSERT INTO badges_overrun SELECT '{counted,first}', 3812.4 FROM generate_series(1, 2)")
    assert "deferred" not in run("list_badges")
    execute("INSERT INTO badges_overrun VALUES ('{counted}', 120)")
    message = (
        'Badge "counted" is deferred, as its check took 3,812 ms in a write (BADGES_BUDGET is 100 ms): it is awarded '
        "after the COMMIT (listen_badges, award_badges)."
    )
    hint = "run `python manage.py award_badges counted --resume`."
    for output in (run("create_badge_triggers"), run("create_badge_triggers", "--check")):
        assert message in output
        assert hint in output
    assert "  deferred  " in run("list_badges")
    assert [each.id for each in checks.run_checks(databases=["default"]) if message in each.msg] == ["badges.W017"]
    [status] = [each for each in json.loads(run("list_badges", "--json")) if each["code"] == "counted"]
    assert (status["state"], [each["message"] for each in status["problems"]]) == ("deferred", [message])
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == ["first"]
    assert "counted: resumed" in run("award_badges", "counted", "--resume")
    assert held(ada) == ["counted", "first"]
    assert "resumed" not in run("award_badges", "counted", "--resume")
    execute("SET badges.look = 'z'")  # a session that sets this itself evaluates what is slow
    assert "counted: deferred, until" in run("award_badges", "counted", "--defer")
    Sketch.objects.create(user=User.objects.create(username="kim"), title="Sketch")
    assert Badge.objects.filter(user__username="kim", code="counted").exists()
    execute("RESET badges.look")
    assert "is deferred, by an operator:" in run("create_badge_triggers")
    for flag in ("--defer", "--resume"):
        fail("award_badges", flag)
        fail("award_badges", flag, "nothing")


def test_verbosity(badge_file, ada):
    """-v 0 prints nothing, -v 1 the badges and how many functions and triggers, -v 2 each of them."""
    badge_file(FIRST, STAR)
    lines = run("create_badge_triggers").splitlines()
    assert lines[:2] == ["  add definition first  (new)", "  add definition star  (new)"]
    assert any(line.startswith("  create 3 triggers on ") for line in lines)
    assert len(lines) <= 7
    badge_file({**FIRST, "name": "Other"}, STAR)
    assert run("create_badge_triggers", verbosity=0) == run("award_badges", verbosity=0) == ""
    badge_file(FIRST)
    assert "drop trigger badges_update_dummy_sketch" in run("create_badge_triggers", verbosity=2)
    assert '"steps": []' in run("create_badge_triggers", "--json", verbosity=0)
    badge_file(*({**FIRST, "code": f"b{number}"} for number in range(300)))
    assert "  add 300 definitions" in run("create_badge_triggers").splitlines()


@pytest.mark.parametrize(
    ("condition", "sqlstate", "is_kept"),
    [
        ("NEW.hit_views >= 70", "55P03", True),
        ("NEW.hit_views >= 70", "22012", False),
        ("NEW.hit_views >= 70 and (select count(*) from dummy_sketch where user_id = NEW.user_id) > 1", "55P03", True),
        ("count(*) >= 2 from dummy_sketch where user_id = NEW.user_id", "55P03", False),
    ],
)
def test_failures_that_are_kept(declare, execute, condition, sqlstate, is_kept):
    """Where no pending check could be written, and the row that decides may have other values by now, it is said."""
    declare(entry("one", condition=condition))
    execute("INSERT INTO badges_failure (code, sqlstate, message) VALUES ('one', %s, 'x')", [sqlstate])
    output = run("award_badges")
    assert ("1 recorded failure kept" in output, "1 recorded failure cleared" in output) == (is_kept, not is_kept)
    assert execute("SELECT count(*) FROM badges_failure") == [(int(is_kept),)]


@pytest.mark.parametrize("form", [str, Path, lazystr, os.fsencode, lambda path: f"~/{path.name}"])
def test_forms_of_a_path(badge_file, monkeypatch, ada, form):
    """call_command takes the file as a path, a string, bytes or a lazy string, with the home of the user."""
    path = badge_file(FIRST)
    monkeypatch.setenv("HOME", str(path.parent))
    for command in ("create_badge_triggers", "award_badges", "list_badges"):
        run(command, file=form(path))
    run("explain_badge", "first", "ada", file=form(path))


def test_nothing_is_awarded_by_installing(badge_file, held, ada):
    """Who qualifies already waits for award_badges, as in 0.1."""
    Sketch.objects.create(user=ada, title="Sketch")
    badge_file(FIRST)
    run("create_badge_triggers")
    assert held(ada) == []


def test_changed_condition(declare, badge_file, held, ada, bob):
    """A changed condition counts from the next write on; who has the badge keeps it."""
    declare(FIRST)
    Sketch.objects.create(user=ada, title="Sketch")
    badge_file({**FIRST, "condition": "NEW.hit_views > 5", "description": "New."})
    output = run("create_badge_triggers")
    assert "change definition first  (description, condition changed)" in output
    assert "trigger" not in output.split("Done")[0], "no table is locked"
    Sketch.objects.create(user=bob, title="Sketch")
    assert (held(ada), held(bob)) == (["first"], [])
    Sketch.objects.create(user=bob, title="Sketch", hit_views=6)
    assert held(bob) == ["first"]


def test_changed_table_and_event(declare, badge_file, triggers, held, ada):
    """A badge that moves to another table and event takes its trigger along."""
    declare(FIRST)
    moved = {"trigger_table": "auth_user", "user_field": "id", "trigger_condition": "update", "condition": "true"}
    badge_file({**FIRST, **moved})
    run("create_badge_triggers")
    assert triggers() == [("auth_user", "O")]
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == []
    User.objects.update(first_name="Ada")
    assert held(ada) == ["first"]


def test_removed_badge(declare, badge_file, execute, triggers, held, ada):
    """A badge that left the file leaves no code behind; those who hold it keep it, under its name."""
    declare(FIRST, STAR, COLLECTOR)
    Sketch.objects.create(user=ada, title="Sketch")
    badge_file(STAR)
    output = run("create_badge_triggers")
    assert "retire definition first  (no longer declared; its badges stay)" in output
    assert triggers() == [("dummy_sketch", "O")]
    # Those of the runtime name no badge; one of them has a word like a badge's code.
    names = "SELECT proname FROM pg_proc WHERE prosrc ~ '''(first|collector)''' AND proname ~ '^badges'"
    assert execute(names + " AND proname NOT IN ('badges_shortened', 'badges_stored')") == []
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == ["first"]
    assert Badge.objects.get(user=ada).name == "First"
    assert set(BadgeDefinition.objects.filter(retired_at=None).values_list("code", flat=True)) == {"star"}


def test_removed_and_declared_again(declare, badge_file, held, ada):
    """A badge may come back: its definition is no longer retired and it is awarded again."""
    declare(FIRST)
    declare()
    badge_file(FIRST)
    assert "declared again" in run("create_badge_triggers")
    assert BadgeDefinition.objects.get().retired_at is None
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == ["first"]


def test_paused_badge(declare, badge_file, triggers, held, ada):
    """A badge that is paused keeps definition and holders, awards no user, and loses its trigger until it is active."""
    declare(FIRST)
    Sketch.objects.create(user=ada, title="Sketch")
    badge_file({**FIRST, "active": False})
    output = run("create_badge_triggers")
    assert "change definition first  (paused)" in output
    assert "drop 2 triggers" in output  # with that on the users
    assert not triggers()
    bob = User.objects.create(username="other")
    Sketch.objects.create(user=bob, title="Sketch")
    assert "first: skipped, it is paused (active is false)" in run("award_badges")
    assert (held(ada), held(bob)) == (["first"], [])
    assert BadgeDefinition.objects.get().retired_at is None
    assert "Nothing to do" in run("create_badge_triggers")
    badge_file(FIRST)
    assert "change definition first  (active changed)" in run("create_badge_triggers")
    run("award_badges")
    assert held(bob) == ["first"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"translations": {"de": {"name": "X"}}}, "translations changed"),
        ({"per": "id"}, "per changed"),
        ({"revocable": True}, "revocable changed"),
        ({"expires_after": "1 year"}, "expires_after changed"),
        ({"active": False, "points": 5}, "paused, points changed"),
        ({"condition": "NEW.hit_views > 1"}, "condition changed"),
    ],
)
def test_reasons_of_a_changed_definition(declare, badge_file, changes, reason):
    """A definition that has changed is written again, with the keys that have changed as the reason."""
    plain = entry("x", condition="true")
    declare(plain)
    badge_file({**plain, **changes})
    assert f"change definition x  ({reason})\n" in run("create_badge_triggers")
    assert "Nothing to do" in run("create_badge_triggers")


def test_reasons_of_a_changed_progress(declare, badge_file):
    """What follows from progress and goal is not shown beside them; a goal that is written otherwise is the same."""
    badge = {key: value for key, value in entry("x").items() if key != "condition"}
    declare({**badge, "progress": "hit_views", "goal": 5})
    badge_file({**badge, "progress": "hit_views", "goal": 5.0})
    assert "Nothing to do" in run("create_badge_triggers")
    badge_file({**badge, "progress": "hit_views", "goal": 5.5})
    assert "change definition x  (goal changed)" in run("create_badge_triggers")
    badge_file({**badge, "progress": "NEW.hit_views", "goal": 5.5})
    assert "change definition x  (progress changed)" in run("create_badge_triggers")


def test_second_run_does_nothing(declare, badge_file, database_unchanged):
    """A database in sync stays as it is, to the row version."""
    declare(FIRST, STAR, COLLECTOR)
    with database_unchanged():
        assert run("create_badge_triggers").startswith("Nothing to do: 3 badges on 2 triggers")


@pytest.mark.django_db(transaction=True)
def test_second_run_takes_no_lock(committed, badge_file, impatient):
    """Not even a table that another session has locked against all writers holds up a run that has nothing to do."""
    badge_file(FIRST, STAR, COLLECTOR)
    run("create_badge_triggers")
    with transaction_that("LOCK TABLE dummy_sketch, auth_user, badges_badge IN EXCLUSIVE MODE"):
        assert "Nothing to do" in run("create_badge_triggers")
        assert "Nothing to do" in run("create_badge_triggers", "--plan")
        run("create_badge_triggers", "--check")


@pytest.mark.django_db(transaction=True)
def test_changed_condition_takes_no_lock(committed, badge_file, impatient, held, ada):
    """Editing a badge waits for no transaction, even while one writes to its table."""
    badge_file(FIRST)
    run("create_badge_triggers")
    badge_file({**FIRST, "condition": "NEW.hit_views > 5"})
    with transaction_that("LOCK TABLE dummy_sketch IN EXCLUSIVE MODE"):
        assert "definition changed" in run("create_badge_triggers", verbosity=2)
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == []


@pytest.mark.parametrize("flag", ["--plan", "--sql", "--json", "--check"])
def test_flags_that_only_look(declare, badge_file, database_unchanged, flag):
    """Showing a plan in any form changes nothing."""
    declare(FIRST)
    badge_file({**FIRST, "condition": "true"}, STAR)
    with database_unchanged():
        (fail if flag == "--check" else run)("create_badge_triggers", flag)


def test_plan(declare, badge_file):
    """Each step of the plan has its reason, and its lock with whom that keeps waiting."""
    declare(STAR)
    badge_file(FIRST)
    output = run("create_badge_triggers", "--plan")
    for expected in (
        "add definition first  (new)",
        "retire definition star  (no longer declared; its badges stay)",
        "(new: after insert, statement-level)",
        "locks: SHARE ROW EXCLUSIVE on public.dummy_sketch: waits for writers",
        "locks: ACCESS EXCLUSIVE on public.dummy_sketch: waits for readers and writers",
    ):
        assert expected in output


def test_check(declare, badge_file):
    """Exit code 1 and the hint if anything would change; silence about it otherwise."""
    badge_file(FIRST)
    returncode, output = fail("create_badge_triggers", "--check")
    assert returncode == 1
    assert "python manage.py create_badge_triggers" in output
    declare(FIRST)
    run("create_badge_triggers", "--check")


def test_json(declare, badge_file):
    """The plan for machines: whether the database is in sync, and each step with its SQL."""
    badge_file(FIRST)
    plan = json.loads(run("create_badge_triggers", "--json"))
    assert (plan["in_line"], plan["badges"], plan["triggers"]) == (False, 1, 1)
    assert {"action": "add definition", "target": "first", "reason": "new", "lock": "none"}.items() <= plan["steps"][
        0
    ].items()
    assert all(step["sql"] for step in plan["steps"])
    declare(FIRST)
    assert json.loads(run("create_badge_triggers", "--json"))["steps"] == []


@pytest.mark.django_db(transaction=True)
def test_sql(committed, badge_file, held, ada):
    """The printed script does in any client what the command does, and nothing is left to do."""
    names = ["50 % of {it}", "it's $badges$ \\ \n-- x"]
    old = entry("old", trigger_condition="delete", condition="true")
    badge_file(old)
    run("create_badge_triggers")
    badge_file(*({**FIRST, "code": f"c{name}", "name": name} for name in names), COLLECTOR)
    with connect(autocommit=True) as other:
        other.execute(run("create_badge_triggers", "--sql"))
        assert run("create_badge_triggers", "--sql").strip() == "-- Nothing to do."
    assert "Nothing to do" in run("create_badge_triggers")
    Sketch.objects.create(user=ada, title="Sketch")
    assert list(Badge.objects.order_by("code").values_list("name", flat=True)) == names


def test_file(badge_file, tmp_path):
    """--file names another file than the setting, which may be missing."""
    badge_file(FIRST)
    other = tmp_path / "other.json"
    other.write_text(json.dumps([STAR]), "utf-8")
    assert f"in sync with {other}" in run("create_badge_triggers", file=other)
    assert [each.code for each in BadgeDefinition.objects.all()] == ["star"]


@pytest.mark.django_db(transaction=True)
def test_database(committed, badge_file, execute, triggers, migrated_database):
    """--database names the database that is changed, and no other is."""
    badge_file(FIRST)
    name = f"{connection.settings_dict['NAME']}_other"
    execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_database}"')
    connections.databases["other"] = {**connection.settings_dict, "NAME": name}
    try:
        # A test that opens another database by itself is stopped by Django.
        connections["other"].connect()
        assert "Done" in run("create_badge_triggers", database="other")
        assert triggers() == []
        with connections["other"].cursor() as cursor:
            cursor.execute("SELECT code FROM badges_badgedefinition")
            assert cursor.fetchall() == [("first",)]
    finally:
        connections["other"].close()
        del connections["other"], connections.databases["other"]
        execute(f'DROP DATABASE "{name}"')


def test_database_that_is_not_postgresql(badge_file):
    """Another kind of database is rejected by name."""
    badge_file(FIRST)
    connections.databases["lite"] = {
        **connection.settings_dict, "ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": {}
    }  # fmt: skip
    try:
        assert 'The database "lite" is SQLite' in fail("create_badge_triggers", database="lite")[1]
    finally:
        del connections["lite"], connections.databases["lite"]


def test_backfill(badge_file, held, ada):
    """--backfill installs, then awards those who qualify already."""
    Sketch.objects.create(user=ada, title="Sketch")
    badge_file(FIRST)
    output = run("create_badge_triggers", "--backfill")
    assert output.index("Done: 1 badge on 1 trigger") < output.index("first: 1 awarded")
    assert held(ada) == ["first"]


def test_function_edited_by_hand(declare, badge_file, execute, function, held, ada):
    """An edit in the database is found, named and fixed."""
    declare(FIRST)
    [(source,)] = execute("SELECT pg_get_functiondef(%s::regproc)", [function()])
    execute(source.replace("\nBEGIN\n", "\nBEGIN\n RETURN NULL;\n").replace("\nDECLARE", "\n-- Edited.\nDECLARE"))
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == []
    assert "edited in the database" in run("create_badge_triggers", "--plan")
    assert "edited in the database" in run("create_badge_triggers")
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == ["first"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("ALTER FUNCTION {} OWNER TO badges_test_other", "its owner is badges_test_other"),
        ("GRANT EXECUTE ON FUNCTION {} TO PUBLIC", "every role may execute it"),
        ("ALTER FUNCTION {} SET search_path = elsewhere", "its settings differ"),
        ("ALTER FUNCTION {} RESET jit", "its settings differ"),
        ("ALTER FUNCTION {} SET work_mem = '1MB'", "its settings differ"),
        ("ALTER FUNCTION {} SECURITY INVOKER", "its attributes"),
        ("ALTER FUNCTION {} STABLE", "its attributes"),
        ("COMMENT ON FUNCTION {} IS NULL", "edited in the database"),
    ],
)
def test_attributes_changed_by_hand(declare, badge_file, execute, function, change, reason):
    """Owner, rights, settings and attributes of a function are part of what is installed."""
    declare(FIRST)
    execute("CREATE ROLE badges_test_other")
    execute(change.format(f"{function()}()"))
    assert reason in run("create_badge_triggers", "--plan")
    run("create_badge_triggers")
    assert "Nothing to do" in run("create_badge_triggers")


def test_disabled_trigger_stays_disabled(declare, badge_file, execute, triggers):
    """Who disabled a trigger had a reason: the command leaves it so, and says so."""
    declare(FIRST)
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname ~ '^badges_(insert|update|delete)_'")
    execute(f'ALTER TABLE dummy_sketch DISABLE TRIGGER "{name}"')
    badge_file({**FIRST, "condition": "true"}, COLLECTOR)
    output = run("create_badge_triggers")
    assert triggers() == [("dummy_sketch", "D")]
    assert f"The trigger {name} on public.dummy_sketch is disabled" in output


@pytest.mark.parametrize(
    ("state", "letter"), [("DISABLE", "D"), ("ENABLE ALWAYS", "A"), ("ENABLE REPLICA", "R"), ("ENABLE", "O")]
)
def test_state_of_a_trigger_that_is_made_anew(declare, badge_file, execute, triggers, state, letter):
    """A trigger that was changed in the database is fixed and keeps its state."""
    declare(STAR)
    [(name, source)] = execute(
        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname ~ '^badges_(insert|update|delete)_'"
    )
    execute(source.replace("CREATE", "CREATE OR REPLACE").replace("AFTER UPDATE", "AFTER INSERT"))
    execute(f'ALTER TABLE dummy_sketch {state} TRIGGER "{name}"')
    assert "changed in the database" in run("create_badge_triggers")
    assert triggers() == [("dummy_sketch", letter)]
    assert execute(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname ~ '^badges_(insert|update|delete)_'"
    ) == [(source,)]


def test_dropped_trigger_comes_back(declare, badge_file, execute, triggers):
    """A trigger that was dropped is missed and made again."""
    declare(FIRST)
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname ~ '^badges_(insert|update|delete)_'")
    execute(f'DROP TRIGGER "{name}" ON dummy_sketch')
    fail("create_badge_triggers", "--check")
    run("create_badge_triggers")
    assert triggers() == [("dummy_sketch", "O")]


def test_functions_of_others_are_left_alone(declare, badge_file, execute, triggers):
    """A function that is only named like ours, and its trigger, belong to the site."""
    for name in ("badges_insert_dummy_sketch", "badgesXinsert"):
        execute(f'CREATE FUNCTION "{name}"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$')
    execute("COMMENT ON FUNCTION \"badgesXinsert\"() IS 'Made by django-pg-badges; no'")
    execute(
        "CREATE TRIGGER badges_mine BEFORE INSERT ON dummy_sketch FOR EACH ROW "
        "EXECUTE FUNCTION badges_insert_dummy_sketch()"
    )
    declare(FIRST)
    declare()
    assert triggers() == [("dummy_sketch", "O")]
    assert execute("SELECT count(*) FROM pg_proc WHERE proname IN ('badges_insert_dummy_sketch', 'badgesXinsert')") == [
        (2,)
    ]


def test_function_attached_to_another_table(declare, badge_file, execute, function, triggers, ada):
    """A foreign trigger that calls our function awards nothing, breaks nothing, and goes with the next run."""
    declare(FIRST)
    execute("CREATE TABLE forged (user_id bigint, hit_views integer)")
    execute(
        f"""
        CREATE TRIGGER badges_forged AFTER INSERT ON forged REFERENCING NEW TABLE AS badges_new
        FOR EACH STATEMENT EXECUTE FUNCTION {function()}()
        """
    )
    execute("INSERT INTO forged VALUES (%s, 1)", [ada.pk])
    assert not Badge.objects.exists()
    assert "not made by the command" in run("create_badge_triggers")
    assert triggers() == [("dummy_sketch", "O")]


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_the_same_time(committed, badge_file, triggers):
    """One does the work; the other waits, then finds nothing to do."""
    badge_file(FIRST)
    run("create_badge_triggers")
    # All on one table, so that all is one transaction.
    path = badge_file(FIRST, STAR, COLLECTOR)
    outputs, start = [], threading.Barrier(2)

    def run_in_thread():
        try:
            start.wait()
            outputs.append(run("create_badge_triggers", file=path))
        finally:
            connection.close()

    threads = [threading.Thread(target=run_in_thread) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted("Done" in output for output in outputs) == [False, True]
    assert sorted("Nothing to do" in output for output in outputs) == [False, True]
    assert len(triggers()) == 2


@pytest.mark.django_db(transaction=True)
def test_waits_for_another_run(committed, badge_file, impatient, database_unchanged):
    """A run that waits too long for another one says what it waited for."""
    badge_file(FIRST)
    with transaction_that(f"SELECT pg_advisory_xact_lock({executor.ADVISORY_LOCK})"), database_unchanged():
        _, output = fail("create_badge_triggers")
    assert "Waited 100 ms (BADGES_LOCK_TIMEOUT) for another create_badge_triggers; nothing was changed." in output


@pytest.mark.django_db(transaction=True)
def test_long_transaction(committed, badge_file, impatient, ada, caplog):
    """A table in use is waited for as the settings say; then no rule has changed, and the message says why."""
    badge_file(FIRST, entry("member", condition="true", trigger_table="auth_user", user_field="id"))
    writing = f"INSERT INTO dummy_sketch (user_id, title) VALUES ({ada.pk}, 'Sketch')"
    with transaction_that(writing):
        _, output = fail("create_badge_triggers")
    assert "Waited 100 ms (BADGES_LOCK_TIMEOUT) for public.dummy_sketch, which is in use by process " in output
    assert "idle in transaction" in output
    assert "no rule was changed; " in output
    User.objects.create(username="bob")
    assert not Badge.objects.exists()
    assert not BadgeDefinition.objects.exists()
    assert len(caplog.records) == 1, "one retry, as BADGES_LOCK_RETRIES says"
    assert "Done" in run("create_badge_triggers")


# award_badges


@pytest.fixture
def sketches(ada, bob):
    """Ada has two sketches, one of them famous; Bob has one."""
    for user, hit_views in ((ada, 0), (ada, 2000), (bob, 10)):
        Sketch.objects.create(user=user, title="Sketch", hit_views=hit_views)


def test_award(declare, sketches, held, ada, bob):
    """Everyone who qualifies by the rows that exist is awarded; running again awards nothing more."""
    declare(FIRST, STAR, COLLECTOR)
    output = run("award_badges")
    assert "first: 2 awarded" in output
    assert "star: 1 awarded" in output
    assert "collector: 1 awarded" in output
    assert output.endswith("4 awarded.\n")
    assert (held(ada), held(bob)) == (["collector", "first", "star"], ["first"])
    before = set(Badge.objects.values_list("id", "awarded_at"))
    assert run("award_badges").endswith("0 awarded.\n")
    assert set(Badge.objects.values_list("id", "awarded_at")) == before


def test_award_gives_whole_rows(declare, sketches, ada):
    """A badge that the command awarded has a time, a name, and as evidence a row that qualified."""
    declare(STAR)
    run("award_badges")
    badge = Badge.objects.get()
    assert (badge.user, badge.name) == (ada, "Star")
    assert abs((datetime.now(UTC) - badge.awarded_at).total_seconds()) < 60
    assert badge.evidence == {
        "table": "public.dummy_sketch", "operation": "award_badges", "new": {"hit_views": 2000}
    }  # fmt: skip


def test_award_by_code(declare, sketches, held, ada):
    """Only the badges that are named."""
    declare(FIRST, STAR, COLLECTOR)
    output = run("award_badges", "collector", "star")
    assert "first" not in output
    assert held(ada) == ["collector", "star"]


def test_dry_run(declare, sketches, database_unchanged):
    """--dry-run counts who would be awarded, and awards none."""
    declare(FIRST, STAR, COLLECTOR)
    run("award_badges", "star")
    with database_unchanged():
        output = run("award_badges", "--dry-run")
    assert "first: 2 would be awarded" in output
    assert "star: 0 would be awarded" in output
    assert output.endswith("3 would be awarded.\n")


def test_unknown_code(declare, sketches, held, ada):
    """A code that the file does not have awards nothing at all, and the nearest one is named."""
    declare(FIRST, STAR)
    assert 'has no badge "stars". Did you mean "star"?' in fail("award_badges", "first", "stars")[1]
    assert held(ada) == []


@pytest.mark.parametrize("change", [{"condition": "true"}, {"name": "Other"}, {"code": "other"}])
def test_award_while_not_in_line(declare, badge_file, sketches, held, ada, change):
    """Nothing is awarded by a rule that the triggers do not follow."""
    declare(FIRST)
    badge_file({**FIRST, **change})
    assert "create_badge_triggers" in fail("award_badges")[1]
    assert held(ada) == []


def test_award_without_rows_of_a_user(declare, execute, ada):
    """Users that are NULL or unknown are passed over."""
    execute("CREATE TABLE visits (user_id bigint)")
    execute("INSERT INTO visits VALUES (NULL), (-1), (%s), (%s)", [ada.pk, ada.pk])
    declare(entry(condition="true", trigger_table="visits"))
    assert run("award_badges").endswith("1 awarded.\n")


def test_award_in_batches(declare, monkeypatch, execute):
    """However small the batches are, each user is checked once."""
    monkeypatch.setattr(backfill, "BATCH", 2)
    users = User.objects.bulk_create(User(username=f"u{number}") for number in range(5))
    Sketch.objects.bulk_create(Sketch(user=user, title="Sketch") for user in users)
    declare(FIRST)
    progress = list(backfill.award(connection, definitions.parse(json.dumps([FIRST])), "badge.json"))
    assert [(each.awarded, each.users_seen, each.is_done) for each in progress] == [
        (2, 2, False), (4, 4, False), (5, 5, False), (5, 5, True)
    ]  # fmt: skip
    assert set(Badge.objects.values_list("user", flat=True)) == {user.pk for user in users}


@pytest.mark.django_db(transaction=True)
def test_interrupted(committed, badge_file, monkeypatch):
    """What a batch awarded before Ctrl-C stays, others see it at once, and the next run does the rest."""
    monkeypatch.setattr(backfill, "BATCH", 2)
    users = User.objects.bulk_create(User(username=f"u{number}") for number in range(5))
    Sketch.objects.bulk_create(Sketch(user=user, title="Sketch") for user in users)
    badge_file(FIRST)
    run("create_badge_triggers")
    award = backfill.award

    def interrupted(*args, **options):
        yield next(award(*args, **options))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(backfill, "award", interrupted)
        assert "run the command again" in fail("award_badges")[1]
    with connect() as other:
        assert other.execute("SELECT count(*) FROM badges_badge").fetchone() == (2,)
    assert run("award_badges").endswith("3 awarded.\n")


def test_failing_condition(declare, sketches, held, ada, bob):
    """A condition that fails is reported in PostgreSQL's words; the others are awarded; the exit code is 1."""
    declare(entry("broken", condition="1 / NEW.hit_views >= 0"), FIRST)
    returncode, output = fail("award_badges")
    assert returncode == 1
    assert "broken: the condition failed: division by zero" in output
    assert "first: 2 awarded" in output
    assert (held(ada), held(bob)) == (["first"], ["first"])


@pytest.mark.parametrize(
    ("event", "condition"),
    [("delete", "OLD.hit_views >= 0"), ("update", "NEW.hit_views > OLD.hit_views"), ("update", "OLD.hit_views >= 0")],
)
def test_badge_that_existing_rows_cannot_decide(declare, sketches, held, ada, event, condition):
    """What OLD decides is skipped and said to be."""
    declare(entry("gone", trigger_condition=event, condition=condition), FIRST)
    output = run("award_badges")
    assert "gone: skipped" in output
    assert "first: 2 awarded" in output
    assert held(ada) == ["first"]


def test_award_of_several_events(declare, sketches, held, ada):
    """A badge of inserts and deletes is decided by the rows that exist."""
    declare(entry("any", trigger_condition=["delete", "insert"], condition="hit_views = 2000"))
    run("award_badges")
    assert held(ada) == ["any"]
