"""explain_badge: why a user holds a badge or does not, and what to do about it."""

from __future__ import annotations

import io
import json

import psycopg
import pytest
from conftest import entry
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Q
from dummy.models import Sketch
from isolation.harness import conninfo

from badges import definitions, exceptions, rules
from badges.definitions import declarations, python_rules
from badges.installation import executor
from badges.models import Badge, PendingCheck
from badges.operations import explain

pytestmark = pytest.mark.django_db

THREE = entry("three", condition="count(*) >= 3 FROM dummy_sketch WHERE user_id = NEW.user_id", name="Three")
SEEN = entry("seen", condition="10 / nullif(NEW.hit_views, 0) <= 5", trigger_condition=["insert", "update"])
GROWN = entry("grown", condition="NEW.hit_views > OLD.hit_views", trigger_condition="update")


@pytest.fixture
def ask(user, settings):
    """Explain a badge of the site's file."""

    def run(code, who="ada", thing=None):
        path = settings.BADGES_FILE
        return explain.explain(connection, definitions.load(path), path, code, who, thing)

    return run


def sketches(user, number, **values):
    for _ in range(number):
        Sketch.objects.create(user=user, title="x", **values)


def test_held(declare, ask, user):
    """The answer about a held badge has its time, change and values, and the version of the rule."""
    declare(SEEN)
    sketches(user, 1, hit_views=7)
    found = ask("seen")
    assert found.is_held
    assert found.since == Badge.objects.get().awarded_at
    assert found.award.cause == "insert on public.dummy_sketch"
    assert found.award.evidence["new"] == {"hit_views": 7}
    assert (found.has_same_rule, found.problems, found.hints, found.rows) == (True, (), (), ())
    lines = found.as_text().splitlines()
    assert lines[0].startswith(f'ada (user {user.pk}) holds "Seen" (seen) since 20')
    assert lines[1:3] == ["  Awarded: insert on public.dummy_sketch", "  With: new.hit_views = 7"]
    assert lines[3] == f"  Rule: version {found.award.rule}, as today"


def test_held_under_an_earlier_rule(declare, ask, user):
    """A rule that has changed since the award is reported."""
    declare(SEEN)
    sketches(user, 1, hit_views=7)
    declare({**SEEN, "condition": "NEW.hit_views > 100"})
    found = ask("seen")
    assert (found.is_held, found.has_same_rule) == (True, False)
    assert "which has changed since" in found.as_text()


def test_held_by_hand(declare, ask, user):
    """A manual award is reported with who and why."""
    declare(SEEN)
    Badge.objects.award(user, "seen", by="grace", reason="Deserved.")
    assert "  Awarded: by hand by grace: Deserved." in ask("seen").as_text().splitlines()


def test_held_without_history(declare, ask, execute, user):
    """A badge of which the history knows nothing is reported with its own time."""
    declare(SEEN)
    execute("SET LOCAL session_replication_role = replica")
    execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'seen')", [user.pk])
    found = ask("seen")
    assert (found.is_held, found.award, found.has_same_rule) == (True, None, None)
    assert "The history has no record of its award." in found.as_text()


@pytest.mark.parametrize("who", ["key", "username", "object"])
def test_user(declare, ask, user, who):
    """A user is named by key, by username, or in Python by itself."""
    declare(THREE)
    found = ask("three", {"key": str(user.pk), "username": "ada", "object": user}[who])
    assert (found.user, found.username) == (user.pk, "ada")


def test_unknown(declare, ask):
    """A user or a badge that does not exist is an error that names the nearest."""
    declare(THREE)
    with pytest.raises(exceptions.UnknownUser, match='the key or the username "bob"'):
        ask("three", "bob")
    with pytest.raises(exceptions.UnknownUser):
        ask("three", "9" * 30)
    with pytest.raises(exceptions.UnknownBadge, match='Did you mean "three"'):
        ask("thre")


def test_condition_now(declare, ask, user):
    """Without the badge, the answer is what the condition gives now for each of the rows, true ones first."""
    sketches(user, 1, hit_views=0)
    sketches(user, 2, hit_views=1)
    sketches(user, 1, hit_views=5)
    declare(SEEN)
    found = ask("seen")
    assert [(row.value, row.columns) for row in found.rows] == [
        (True, {"hit_views": 5}), (False, {"hit_views": 1}), (None, {"hit_views": 0}),
    ]  # fmt: skip
    assert found.hints == ("python manage.py award_badges seen",)
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
    assert ([row.value for row in found.rows], found.hints, found.problems) == ([False], (), ())
    assert "  Now: false" in found.as_text().splitlines()
    assert "Hint" not in found.as_text()


def test_condition_that_fails(declare, ask, user):
    """A condition that raises is reported with PostgreSQL's message, as are the failures on record."""
    declare(entry("bad", condition="1 / NEW.hit_views > 0"))
    sketches(user, 1, hit_views=0)
    found = ask("bad")
    assert (found.error, found.rows) == ("division by zero", ())
    assert [failure.occurrences for failure in found.failures] == [1]
    text = found.as_text()
    assert "Now: it fails: division by zero" in text
    assert "Failed: The condition of badge" in text
    assert "Hint: Fix the condition" in text


def test_condition_that_takes_too_long(declare, ask, execute, user, monkeypatch):
    """A condition is given up on when its time is over; the rest is reported."""
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
    """What OLD decides cannot be said from rows that exist, and that is reported."""
    declare(GROWN)
    sketches(user, 1)
    found = ask("grown")
    assert "OLD" in found.undecided
    assert "Now: it cannot be evaluated: a row that no longer exists (OLD) decides it" in found.as_text()


def test_revoked(declare, ask, user):
    """The last events of the user and the badge are shown, the newest first."""
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
    """A pending check is shown, and what settles it."""
    declare(THREE)
    sketches(user, 2)
    PendingCheck.objects.create(bucket=3, user=user, code="three", evidence={})
    found = ask("three")
    assert (found.pending, found.lock_holders) == (1, ())
    assert found.hints == ("python manage.py award_badges --settle",)
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
    assert found.hints[0].startswith("Wait until the open transaction has ended, or end it: process")


def test_trigger_disabled(declare, ask, execute, user):
    """A disabled trigger is reported with the statement that enables it; then the badge can be caught up with."""
    declare(THREE)
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'badges_insert%'")
    execute(f"ALTER TABLE dummy_sketch DISABLE TRIGGER {name}")
    sketches(user, 3)
    found = ask("three")
    assert [problem.message for problem in found.problems] == [
        f"Its trigger {name} on public.dummy_sketch is disabled."
    ]
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    statement, award = found.hints
    assert award == "python manage.py award_badges three"
    execute(statement)
    assert ask("three").problems == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP TRIGGER {} ON dummy_sketch", "Its trigger after insert on public.dummy_sketch is missing."),
        ("DROP FUNCTION {} CASCADE", "Its trigger after insert on public.dummy_sketch is missing."),
        (
            "CREATE OR REPLACE FUNCTION {0}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "Its function {0} was edited in the database.",
        ),
    ],
    ids=["trigger dropped", "function dropped", "function edited"],
)
def test_trigger_not_in_line(declare, ask, execute, badge_file, user, change, message):
    """A trigger that is missing or edited is reported with the command that fixes it, and that command does."""
    declare(THREE)
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'badges_insert%'")
    execute(change.format(name))
    found = ask("three")
    assert [problem.message for problem in found.problems] == [message.format(name)]
    assert found.hints == ("python manage.py create_badge_triggers",)
    call_command("create_badge_triggers", stdout=io.StringIO())
    assert ask("three").problems == ()


def test_definition(declare, ask, badge_file, user):
    """A badge that is not installed, differs from the file, left it, or was retired is reported as such."""
    badge_file(THREE)
    [problem] = ask("three").problems
    assert problem.message == "The badge file declares it, but it is not installed."
    declare(THREE)
    badge_file({**THREE, "condition": "true", "name": "3"})
    [problem] = ask("three").problems
    assert problem.message == "The badge file differs from the installed definition: name, condition."
    badge_file()
    [problem] = ask("three").problems
    assert problem.message == "It is installed, but no longer declared."
    declare()
    found = ask("three")
    assert found.problems[0].message.startswith("Not declared since 20")
    assert found.hints == ()


def test_file_that_does_not_fit(declare, ask, execute, user):
    """A condition that the database does not take any more is reported with PostgreSQL's error."""
    declare(SEEN)
    execute("ALTER TABLE dummy_sketch RENAME hit_views TO views")
    found = ask("seen")
    assert any("hit_views" in problem.message for problem in found.problems)
    assert found.rows == ()
    lines = found.as_text().splitlines()
    assert "  Now: it cannot be evaluated: the database rejects it, as said below" in lines
    place = next(number for number, text in enumerate(lines) if "  Problem: badge" in text)
    condition, caret = lines[place + 1 : place + 3]
    assert condition.strip() == SEEN["condition"]
    assert condition[caret.index("^") :].startswith(("NEW.hit_views", "hit_views"))


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


COUNT = "count(*) from dummy_sketch where user_id = NEW.user_id"
KEPT = entry("kept", condition=COUNT.replace("count(*)", "count(*) >= 3"), revocable=True)
STAR = entry("star", condition="hit_views > 10", trigger_condition="update", per="id")
GOAL = {**entry("goal", progress=COUNT, goal=50)}
del GOAL["condition"]


def lines(found):
    return found.as_text().splitlines()


def test_progress(declare, ask, user):
    """A badge with a goal says how far the user has come, whether it is held or not."""
    levels = {**GOAL, "levels": [{"code": "two", "goal": 2}, {"code": "four", "goal": 4}]}
    del levels["goal"], levels["code"]
    declare(GOAL, levels)
    sketches(user, 3)
    assert str(ask("goal").progress) == "3 of 50"
    assert "  Progress: 3 of 50" in lines(ask("goal"))
    assert "  Progress: 3 of 4" in lines(ask("four"))
    held = ask("two")
    assert held.is_held
    assert "  Progress: 3 of 2" in lines(held)
    assert held.as_dict()["progress"] == {"value": 3, "goal": 2, "share": 1.0}
    assert {code: str(each) for code, each in Badge.objects.progress(user).items()} == {
        code: str(ask(code).progress) for code in ("goal", "two", "four")
    }


def test_things(declare, ask, user):
    """Of a badge for each thing, what is held is shown by thing, and the rows that would bring others."""
    declare(STAR)
    sketches(user, 3)
    one, two, three = sorted(Sketch.objects.values_list("pk", flat=True))
    assert lines(ask("star"))[0] == f'ada (user {user.pk}) does not hold "Star" (star) for any id.'
    for number, key in enumerate((one, two), 20):
        Sketch.objects.filter(pk=key).update(hit_views=number)
    found = ask("star")
    assert [holding.thing for holding in found.holdings] == [str(two), str(one)]
    assert [holding.award.evidence["new"]["hit_views"] for holding in found.holdings] == [21, 20]
    text = lines(found)
    assert text[0].endswith('holds "Star" (star) for 2 values of id.')
    assert text[1].startswith(f"    {two} since 20")
    assert text[1].endswith("UTC: update on public.dummy_sketch, with new.hit_views = 21")
    assert "  Now: true for 2, false for 1 of 3 rows of the user (rows alike counted once)" in text
    assert f"    false  for {three}  hit_views = 0" in text
    assert found.hints == ()


def test_things_of_an_earlier_rule(declare, ask, user):
    """What is held for things under an earlier rule is shown, and so is what is held for none."""
    declare(STAR)
    sketches(user, 2)
    Sketch.objects.update(hit_views=20)
    declare({key: value for key, value in STAR.items() if key != "per"})
    text = lines(ask("star"))
    assert text[0].endswith('holds "Star" (star) for 2 values of what it was awarded for.')
    Badge.objects.award(user, "star")
    declare(STAR)
    assert lines(ask("star"))[1].startswith("    (nothing) since 20")


def test_one_thing(declare, ask, user):
    """With a thing, the answer is about that alone."""
    declare(STAR)
    sketches(user, 2)
    one, two = sorted(Sketch.objects.values_list("pk", flat=True))
    Sketch.objects.filter(pk=one).update(hit_views=20)
    held, lacked = ask("star", thing=one), ask("star", thing=str(two))
    assert (held.is_held, lacked.is_held) == (True, False)
    assert lines(held)[0].startswith(f'ada (user {user.pk}) holds "Star" (star) for id {one} since 20')
    assert lines(lacked)[0] == f'ada (user {user.pk}) does not hold "Star" (star) for id {two}.'
    assert [(row.value, row.thing) for row in lacked.rows] == [(False, str(two))]
    assert (len(held.events), lacked.events) == (1, ())
    assert "  Now: the table has no row of the user with this id" in lines(ask("star", thing=0))
    call_command("explain_badge", "star", "ada", "--thing", str(one), stdout=(output := io.StringIO()))
    assert f"for id {one} since" in output.getvalue()
    declare(THREE)
    with pytest.raises(exceptions.UnknownBadge, match="has no subjects"):
        ask("three", thing=1)


def test_thing_that_no_check_saw(declare, ask, execute, user):
    """A row that would bring another thing is true, and award_badges brings it."""
    declare(STAR)
    sketches(user, 2)
    execute("SET session_replication_role = replica")
    Sketch.objects.update(hit_views=20)
    execute("SET session_replication_role = origin")
    assert ask("star").hints == ("python manage.py award_badges star",)
    Badge.objects.award(user, "star", Sketch.objects.first().pk)
    assert ask("star").hints == ("python manage.py award_badges star",)
    Badge.objects.award(user, "star", Sketch.objects.last().pk)
    assert ask("star").hints == ()


def test_taken_back(declare, ask, user):
    """What the rule has revoked is reported with the time and the change."""
    declare(KEPT)
    sketches(user, 3)
    assert "  For the user as a whole: true" in lines(ask("kept"))
    Sketch.objects.first().delete()
    found = ask("kept")
    [text] = [line for line in lines(found) if line.startswith("  Revoked: ")]
    assert text.endswith("UTC, delete on public.dummy_sketch")
    assert "  For the user as a whole: false" in lines(found)
    assert (found.last_check, found.hints) == (found.events[0].at, ())


def test_to_be_revoked(declare, ask, execute, user):
    """A revocable badge whose condition is false unseen is reported, with the command that revokes it."""
    declare(KEPT)
    sketches(user, 3)
    execute("SET session_replication_role = replica")
    Sketch.objects.all().delete()
    execute("SET session_replication_role = origin")
    found = ask("kept")
    assert (found.to_be_revoked, found.hints) == (("",), ("python manage.py award_badges kept",))
    assert "  For the user as a whole: false; the next check revokes it" in lines(found)
    execute("UPDATE badges_badge SET by_hand = true")
    found = ask("kept")
    assert (found.to_be_revoked, found.hints) == ((), ())
    assert "  For the user as a whole: false; awarded manually, so it stays" in lines(found)


def test_by_hand(declare, ask, user):
    """A manual award stays, and that is reported."""
    declare(KEPT)
    Badge.objects.award(user, "kept", by="grace")
    assert "  Awarded manually: no rule revokes it." in lines(ask("kept"))


def test_ends(declare, ask, execute, user):
    """When a badge ends is shown; when it has ended, that; and that it can be had again."""
    declare(entry("fresh", condition="true", expires_after="30 days"))
    sketches(user, 1)
    assert any(each.startswith("  Ends: 20") for each in lines(ask("fresh")))
    execute("UPDATE badges_badge SET expires_at = now() - interval '1 hour'")
    found = ask("fresh")
    assert (found.is_held, len(found.ended), found.hints) == (False, 1, ("python manage.py award_badges fresh",))
    assert any(line.startswith("  Expired: at 20") for line in lines(found))
    execute("DELETE FROM badges_badge")
    found = ask("fresh")
    assert found.events[0].kind == "expired"
    assert any(line.startswith("  Expired: deleted at 20") for line in lines(found))


def test_paused(declare, ask, user):
    """A paused badge is reported as such; nothing is wrong with it, and there is nothing to do."""
    declare({**THREE, "active": False})
    sketches(user, 3)
    found = ask("three")
    assert (found.qualifies, found.hints) == (True, ())
    assert "  Note: It is paused (active is false): users cannot earn it, and its holders keep it." in lines(found)


def test_further_triggers(declare, ask, execute, user):
    """Each trigger that a badge hangs on is shown with its state; those that are missing or disabled by name."""
    execute("CREATE TABLE likes (author_id bigint REFERENCES auth_user (id))")
    declare(entry("liked", condition="count(*) >= 2 from likes where author_id = NEW.user_id", revocable=True))
    names = dict(execute("SELECT tgtype, tgname FROM pg_trigger WHERE tgname ~ '^badges.*likes'"))
    execute(f"ALTER TABLE likes DISABLE TRIGGER {names[16]}")
    execute(f"DROP FUNCTION {names[8]} CASCADE")
    found = ask("liked")
    assert [(each.table, each.column, dict(each.triggers)) for each in found.watched] == [
        ("public.dummy_sketch", "user_id", {"insert": "enabled"}),
        ("public.dummy_sketch", "user_id", {"update": "enabled", "delete": "enabled"}),
        ("public.likes", "author_id", {"insert": "enabled", "update": "disabled", "delete": "missing"}),
    ]
    assert [problem.message for problem in found.problems] == [
        "Its trigger after delete on public.likes is missing.",
        f"Its trigger {names[16]} on public.likes is disabled.",
    ]
    assert "  Checked after: insert on public.dummy_sketch, for user_id" in lines(found)
    watched = "insert, update (disabled), delete (missing) on public.likes, for author_id (its rows decide)"
    assert f"    and after: {watched}" in lines(found)
    as_json = json.loads(json.dumps(found.as_dict()))
    assert as_json["watched"][2]["triggers"] == {"insert": "enabled", "update": "disabled", "delete": "missing"}
    assert (as_json["as_a_whole"], as_json["is_held"], as_json["is_revocable"]) == ({"": False}, False, True)


def test_user_of_another_table(declare, ask, execute, user):
    """Who has rows in a further table alone, and qualifies, is shown what awards the badge."""
    execute("CREATE TABLE likes (author_id bigint)")
    triggers = [
        {"table": "dummy_sketch", "on": "insert", "user_field": "user_id"},
        {"table": "likes", "on": "update", "user_field": "author_id"},
    ]
    liked = entry("liked", condition="count(*) >= 1 from likes where author_id = NEW.user_id", triggers=triggers)
    for key in ("trigger_table", "trigger_condition", "user_field"):
        del liked[key]
    declare(liked)
    execute("INSERT INTO likes VALUES (%s)", [user.pk])
    found = ask("liked")
    assert (found.rows, dict(found.as_a_whole)) == ((), {"": True})
    assert found.hints == ("python manage.py award_badges liked",)


def test_not_noticed(declare, ask, execute, user):
    """What the badge cannot notice is reported, of a revocable one and of others."""
    execute("CREATE TABLE prices (price bigint)")
    condition = "NEW.hit_views > (select max(price) from prices)"
    declare(entry("plain", condition=condition), entry("kept", condition=condition, revocable=True))
    assert any("A change of public.prices does not check the badge" in each for each in lines(ask("plain")))
    assert any("and no column of it that equals user_id" in each for each in lines(ask("kept")))


def test_last_check(declare, ask, user):
    """The last check is known by what it changed or left; a manual award is none."""
    declare(KEPT)
    unknown = "  Last check: not known; checks that change nothing leave no trace"
    assert unknown in lines(ask("kept"))
    Badge.objects.award(user, "kept")
    Badge.objects.revoke(user, "kept")
    assert unknown in lines(ask("kept"))
    check = PendingCheck.objects.create(bucket=3, user=user, code="kept", evidence={"asks": "state"})
    check.refresh_from_db()
    assert ask("kept").last_check == check.noted_at


def test_earlier_rule_names_that_of_today(declare, ask, user):
    """Where the rule has changed since the award, both versions are shown."""
    declare(SEEN)
    sketches(user, 1, hit_views=7)
    before = ask("seen").rule
    declare({**SEEN, "condition": "NEW.hit_views > 100"})
    found = ask("seen")
    assert found.rule != before
    assert f"  Rule: version {before}, which has changed since; today's is {found.rule}" in lines(found)


def test_rule_in_python(db, user, settings, monkeypatch):
    """A badge that is declared in Python gets the same reasons and hints, which name its module."""
    settings.BADGES_FILE = None
    monkeypatch.setattr(python_rules, "_modules", {})
    star = {"name": "Star", "code": "star", "model": Sketch, "on": "update", "user_field": "user"}

    def declare(**keys):
        python_rules._modules.clear()
        module = {"__name__": "shop.badges", "__spec__": object(), "rules": rules, "rule": rules.Rule(**star, **keys)}
        exec("rules.register(rule)", module)
        declared = declarations.load()
        return declared.definitions, declared.source

    declared = declare(condition=Q(hit_views__gt=10))
    found = explain.explain(connection, *declared, "star", "ada")
    assert [problem.message for problem in found.problems] == ["shop/badges.py declares it, but it is not installed."]
    assert found.hints == ("python manage.py create_badge_triggers",)
    executor.apply(connection, *declared)
    sketches(user, 1, hit_views=20)
    found = explain.explain(connection, *declared, "star", "ada")
    assert ([row.value for row in found.rows], found.hints) == ([True], ("python manage.py award_badges star",))
    assert "Checked after: update on public.dummy_sketch, for user_id" in found.as_text()
    call_command("explain_badge", "star", "ada", stdout=(output := io.StringIO()))
    assert output.getvalue() == f"{found.as_text()}\n"
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE dummy_sketch ADD odd bigint NOT NULL DEFAULT 0")
    declared = declare(condition="1 / NEW.odd > 0")
    [problem] = explain.explain(connection, *declared, "star", "ada").problems
    assert problem.message == "shop/badges.py differs from the installed definition: condition."
    executor.apply(connection, *declared)
    found = explain.explain(connection, *declared, "star", "ada")
    assert found.error == "division by zero"
    assert found.hints[0] == "Fix the condition in shop/badges.py; then python manage.py create_badge_triggers"
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE dummy_sketch DROP odd")
    found = explain.explain(connection, *declared, "star", "ada")
    assert any(problem.message.startswith('badge "star" in shop/badges.py, condition:') for problem in found.problems)
