"""explain_badge: why a user holds a badge or does not, and what to do about it."""

from __future__ import annotations

import io
import json

import psycopg
import pytest
from conftest import entry
from django.core.management import CommandError, call_command
from django.db import connection
from dummy.models import Sketch
from isolation.harness import conninfo

from badges import definitions, exceptions, explain
from badges.models import Badge, PendingCheck

pytestmark = pytest.mark.django_db

THREE = entry("three", condition="count(*) >= 3 FROM dummy_sketch WHERE user_id = NEW.user_id", name="Three")
SEEN = entry("seen", condition="10 / nullif(NEW.hit_views, 0) <= 5", trigger_condition=["insert", "update"])
GROWN = entry("grown", condition="NEW.hit_views > OLD.hit_views", trigger_condition="update")


@pytest.fixture
def ask(user, settings):
    """Explain a badge of the site's file."""

    def run(code, who="ada"):
        path = settings.BADGES_FILE
        return explain.explain(connection, definitions.load(path), path, code, who)

    return run


def sketches(user, number, **values):
    for _ in range(number):
        Sketch.objects.create(user=user, title="x", **values)


def test_held(declare, ask, user):
    """Who holds a badge is told since when, by which change, with which values, under which version of the rule."""
    declare(SEEN)
    sketches(user, 1, hit_views=7)
    found = ask("seen")
    assert found.is_held
    assert found.since == Badge.objects.get().awarded_at
    assert found.award.cause == "insert on public.dummy_sketch"
    assert found.award.evidence["new"] == {"hit_views": 7}
    assert (found.has_same_rule, found.problems, found.remedies, found.rows) == (True, (), (), ())
    lines = found.as_text().splitlines()
    assert lines[0].startswith(f'ada (user {user.pk}) holds "Seen" (seen) since 20')
    assert lines[1:3] == ["  Awarded: insert on public.dummy_sketch", "  With: new.hit_views = 7"]
    assert lines[3] == f"  Rule: version {found.award.rule}, as today"


def test_held_under_an_earlier_rule(declare, ask, user):
    """A rule that has changed since the award is told."""
    declare(SEEN)
    sketches(user, 1, hit_views=7)
    declare({**SEEN, "condition": "NEW.hit_views > 100"})
    found = ask("seen")
    assert (found.is_held, found.has_same_rule) == (True, False)
    assert "which has changed since" in found.as_text()


def test_held_by_hand(declare, ask, user):
    """An award by hand is told with who and why."""
    declare(SEEN)
    Badge.objects.award(user, "seen", by="grace", reason="Deserved.")
    assert "  Awarded: by hand by grace: Deserved." in ask("seen").as_text().splitlines()


def test_held_without_history(declare, ask, execute, user):
    """A badge of which the history knows nothing is told with its own time."""
    declare(SEEN)
    execute("SET LOCAL session_replication_role = replica")
    execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'seen')", [user.pk])
    found = ask("seen")
    assert (found.is_held, found.award, found.has_same_rule) == (True, None, None)
    assert "The history does not tell how it was awarded." in found.as_text()


@pytest.mark.parametrize("who", ["key", "username", "object"])
def test_user(declare, ask, user, who):
    """A user is named by key, by username, or in Python by itself."""
    declare(THREE)
    found = ask("three", {"key": str(user.pk), "username": "ada", "object": user}[who])
    assert (found.user, found.username) == (user.pk, "ada")


def test_unknown(declare, ask):
    """A user or a badge that nobody knows is an error that names the nearest."""
    declare(THREE)
    with pytest.raises(exceptions.UnknownUser, match='the key or the username "bob"'):
        ask("three", "bob")
    with pytest.raises(exceptions.UnknownUser):
        ask("three", "9" * 30)
    with pytest.raises(exceptions.UnknownBadge, match='Did you mean "three"'):
        ask("thre")


def test_condition_now(declare, ask, user):
    """Who does not hold it is told what the condition gives now for each of the rows, true ones first."""
    sketches(user, 1, hit_views=0)
    sketches(user, 2, hit_views=1)
    sketches(user, 1, hit_views=5)
    declare(SEEN)
    found = ask("seen")
    assert [(row.value, row.columns) for row in found.rows] == [
        (True, {"hit_views": 5}), (False, {"hit_views": 1}), (None, {"hit_views": 0}),
    ]  # fmt: skip
    assert found.remedies == ("python manage.py award_badges seen",)
    text = found.as_text()
    assert "Now: true for 1, false for 1, null for 1 of 3 rows of the user (rows alike counted once)" in text
    assert "    false  hit_views = 1\n" in text
    call_command("award_badges", "seen", verbosity=0, stdout=io.StringIO())
    assert ask("seen").is_held


def test_condition_false(declare, ask, user):
    """Where nothing is wrong, the condition is just false, and there is nothing to do."""
    declare(THREE)
    assert "  Now: the table has no row of the user" in ask("three").as_text().splitlines()
    sketches(user, 2)
    found = ask("three")
    assert ([row.value for row in found.rows], found.remedies, found.problems) == ([False], (), ())
    assert "  Now: false" in found.as_text().splitlines()
    assert "What to do" not in found.as_text()


def test_condition_that_fails(declare, ask, user):
    """A condition that raises is told with PostgreSQL's message, as are the failures on record."""
    declare(entry("bad", condition="1 / NEW.hit_views > 0"))
    sketches(user, 1, hit_views=0)
    found = ask("bad")
    assert (found.error, found.rows) == ("division by zero", ())
    assert [failure.occurrences for failure in found.failures] == [1]
    text = found.as_text()
    assert "Now: it fails: division by zero" in text
    assert "Failed: The condition of badge" in text
    assert "What to do: Mend the condition" in text


def test_condition_that_takes_too_long(declare, ask, execute, user, monkeypatch):
    """A condition is given up on when its time is over; the rest is told."""
    execute(
        "CREATE FUNCTION slow(bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS"
        " 'BEGIN PERFORM pg_sleep(60); RETURN true; END'"
    )
    sketches(user, 1)
    declare(entry("slow", condition="slow(NEW.id)"))
    monkeypatch.setattr(explain, "STATEMENT_TIMEOUT", 50)
    found = ask("slow")
    assert "statement timeout" in found.error
    assert found.username == "ada"


def test_condition_cannot_write(declare, ask, execute, user):
    """A function that writes, whatever it says of itself, writes nothing; nor does anything of the command stay."""
    execute("CREATE FUNCTION sly(bigint) RETURNS boolean LANGUAGE plpgsql AS"
            " 'BEGIN DELETE FROM dummy_sketch; RETURN true; END'")  # fmt: skip
    execute("ALTER FUNCTION sly STABLE")
    sketches(user, 1)
    declare(entry("sly", condition="sly(NEW.id)"))
    assert ask("sly").error
    assert Sketch.objects.count() == 1
    assert execute("SHOW transaction_read_only") == [("off",)]
    assert execute("SHOW statement_timeout") == [("0",)]


def test_decided_by_old(declare, ask, user):
    """What OLD decides cannot be said from rows that exist, and that is told."""
    declare(GROWN)
    sketches(user, 1)
    found = ask("grown")
    assert "OLD" in found.undecided
    assert "Now: it cannot be said: a row that no longer exists (OLD) decides it" in found.as_text()


def test_revoked(declare, ask, user):
    """The last events of the user and the badge are told, the newest first."""
    declare(THREE, SEEN)
    Badge.objects.award(user, "three", by="grace")
    Badge.objects.award(user, "seen")
    Badge.objects.revoke(user, "three", by="grace", reason="Copied.")
    found = ask("three")
    assert [(each.kind, each.actor, each.reason) for each in found.events] == [
        ("revoked", "grace", "Copied."), ("awarded", "grace", ""),
    ]  # fmt: skip
    assert "revoked  by hand by grace: Copied." in found.as_text()


def test_pending(declare, ask, user):
    """A pending check is told, and what settles it."""
    declare(THREE)
    sketches(user, 2)
    PendingCheck.objects.create(bucket=3, user=user, code="three", evidence={})
    found = ask("three")
    assert (found.pending, found.lock_holders) == (1, ())
    assert found.remedies == ("python manage.py award_badges --settle",)
    assert "  Pending: 1 check, left at 20" in found.as_text()


def test_pending_behind_an_open_transaction(declare, ask, user):
    """The transaction that keeps a pending check is named."""
    declare(THREE)
    PendingCheck.objects.create(bucket=3, user=user, code="three", evidence={})
    with psycopg.connect(conninfo(connection.settings_dict["NAME"]), application_name="nightly") as other:
        other.execute("SELECT pg_advisory_xact_lock(%s, 3)", [0x62616467])
        found = ask("three")
    assert len(found.lock_holders) == 1
    assert "nightly, idle in transaction" in found.lock_holders[0]
    assert found.remedies[0].startswith("Wait until the open transaction has ended, or end it: process")


def test_trigger_disabled(declare, ask, execute, user):
    """A disabled trigger is told with the statement that enables it; then the badge can be caught up with."""
    declare(THREE)
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'badges_insert%'")
    execute(f"ALTER TABLE dummy_sketch DISABLE TRIGGER {name}")
    sketches(user, 3)
    found = ask("three")
    assert [problem.message for problem in found.problems] == [
        f"Its trigger {name} on public.dummy_sketch is disabled."
    ]
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    statement, award = found.remedies
    assert award == "python manage.py award_badges three"
    execute(statement)
    assert ask("three").problems == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP TRIGGER {} ON dummy_sketch", "Its trigger after insert on dummy_sketch is missing."),
        ("DROP FUNCTION {} CASCADE", "Its trigger after insert on dummy_sketch is missing."),
        (
            "CREATE OR REPLACE FUNCTION {0}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "Its function {0} was edited in the database.",
        ),
    ],
    ids=["trigger dropped", "function dropped", "function edited"],
)
def test_trigger_not_in_line(declare, ask, execute, badge_file, user, change, message):
    """A trigger that is missing or edited is told with the command that mends it, and that command does."""
    declare(THREE)
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'badges_insert%'")
    execute(change.format(name))
    found = ask("three")
    assert [problem.message for problem in found.problems] == [message.format(name)]
    assert found.remedies == ("python manage.py create_badge_triggers",)
    call_command("create_badge_triggers", stdout=io.StringIO())
    assert ask("three").problems == ()


def test_definition(declare, ask, badge_file, user):
    """A badge that is not installed, differs from the file, left it, or was retired is told so."""
    badge_file(THREE)
    [problem] = ask("three").problems
    assert problem.message == "It is in the badge file, but is not installed."
    declare(THREE)
    badge_file({**THREE, "condition": "true", "name": "3"})
    [problem] = ask("three").problems
    assert problem.message == "The badge file says something else than what is installed: name, condition."
    badge_file()
    [problem] = ask("three").problems
    assert problem.message == "It is installed, but is not in the badge file."
    declare()
    found = ask("three")
    assert found.problems[0].message.startswith("It left the badge file at 20")
    assert found.remedies == ()


def test_file_that_does_not_fit(declare, ask, execute, user):
    """A condition that the database does not take any more is told with PostgreSQL's complaint."""
    declare(SEEN)
    execute("ALTER TABLE dummy_sketch RENAME hit_views TO views")
    found = ask("seen")
    assert any("hit_views" in problem.message for problem in found.problems)
    assert found.rows == ()


def test_command(declare, user):
    """The command prints the explanation, with --json as JSON."""
    declare(THREE)
    sketches(user, 3)
    call_command("explain_badge", "three", "ada", stdout=(output := io.StringIO()))
    assert output.getvalue().startswith(f'ada (user {user.pk}) holds "Three" (three) since ')
    call_command("explain_badge", "three", str(user.pk), "--json", stdout=(output := io.StringIO()))
    found = json.loads(output.getvalue())
    assert (found["is_held"], found["user"], found["events"][0]["kind"]) == (True, user.pk, "awarded")
    assert found["remedies"] == []
    with pytest.raises(CommandError, match="no user"):
        call_command("explain_badge", "three", "nobody")


def test_nothing_obeys(declare, user):
    """What people wrote cannot command the terminal."""
    declare(THREE)
    Badge.objects.award(user, "three", by="grace", reason="a\x1b[2Jb\nc")
    call_command("explain_badge", "three", "ada", stdout=(output := io.StringIO()))
    assert "\x1b" not in output.getvalue()
    assert ": a [2Jb c" in output.getvalue()
