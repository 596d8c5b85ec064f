"""The history: each write of a badge leaves an event, and the events never contradict the badges."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone
from dummy.models import Sketch
from isolation.harness import conninfo

from badges import definitions, exceptions
from badges.installation import executor
from badges.models import Badge, BadgeDefinition, BadgeEvent

pytestmark = pytest.mark.django_db

FIRST = entry("first", condition="NEW.hit_views >= 0", name="First sketch")
OTHER = entry("other", condition="NEW.hit_views >= 1000000")
ROW = "INSERT INTO badges_badge (user_id, code) VALUES (%s, %s)"

LAST = """
SELECT user_id, code, thing FROM (
    SELECT DISTINCT ON (user_id, code, thing) * FROM badges_badgeevent ORDER BY user_id, code, thing, at DESC NULLS LAST
) AS last WHERE kind = 'awarded' ORDER BY 1, 2, 3
"""


@pytest.fixture
def agree(execute):
    """The badges that are held are those whose last event says so; gives them."""

    def check():
        held = execute("SELECT user_id, code, coalesce(to_jsonb(b) ->> 'thing', '') FROM badges_badge b ORDER BY 1, 2")
        assert execute(LAST) == held
        return [(user, code) for user, code, _ in held]

    return check


@pytest.fixture
def events(execute):
    """What the history says: kind, code, cause, actor and reason of each event, in order."""
    return lambda: execute("SELECT kind, code, cause, actor, reason FROM badges_badgeevent ORDER BY at NULLS FIRST")


def test_award_by_a_trigger(declare, user, agree):
    """An award by a trigger is an event with the change that did it, its values and the version of the rule."""
    declare(FIRST)
    Sketch.objects.create(user=user, title="Sketch", hit_views=7)
    [event] = BadgeEvent.objects.all()
    assert (event.user, event.code, event.thing, event.kind) == (user, "first", "", "awarded")
    assert (event.cause, event.actor, event.reason) == ("insert on public.dummy_sketch", "", "")
    assert event.evidence == {"table": "public.dummy_sketch", "operation": "insert", "new": {"hit_views": 7}}
    assert event.at >= Badge.objects.get().awarded_at
    assert len(event.rule) == 12
    assert (event.definition.name, str(event)) == ("First sketch", "first awarded")
    assert agree() == [(user.pk, "first")]


def test_award_badges(declare, user, events, agree):
    """An award by award_badges is named so."""
    Sketch.objects.create(user=user, title="Sketch")
    declare(FIRST)
    call_command("award_badges", verbosity=0, stdout=io.StringIO())
    assert events() == [("awarded", "first", "award_badges", "", "")]
    agree()


def test_by_hand(declare, user, events, agree):
    """Author and reason of a manual award or revocation are kept; a call without effect leaves no event."""
    declare(FIRST)
    editor = User.objects.create(username="grace")
    Badge.objects.award(user, "first", by=editor, reason="Drew on paper.")
    Badge.objects.award(user, "first", by=editor, reason="Again.")
    assert Badge.objects.revoke(user, "first", by="support", reason="On request.")
    assert not Badge.objects.revoke(user, "first")
    Badge.objects.award(user, "first")
    assert events() == [
        ("awarded", "first", "by hand", "grace", "Drew on paper."),
        ("revoked", "first", "by hand", "support", "On request."),
        ("awarded", "first", "by hand", "", ""),
    ]
    agree()


def test_by_hand_from_sql(declare, execute, user, events):
    """The functions in SQL keep their first two arguments, and take who and why."""
    declare(FIRST)
    assert execute("SELECT badges_award(%s, 'first')", [user.pk]) == [(True,)]
    assert execute("SELECT badges_revoke(%s, 'first', 'grace', 'why')", [user.pk]) == [(True,)]
    assert events() == [("awarded", "first", "by hand", "", ""), ("revoked", "first", "by hand", "grace", "why")]


def test_what_comes_on_the_way(declare, user, events):
    """A badge that a trigger awards for a manual award has its own cause, comes after it, and is not manual."""
    declare(FIRST, entry("holder", condition="true", trigger_table="badges_badge"))
    Badge.objects.award(user, "first", by="grace", reason="why")
    assert events() == [
        ("awarded", "first", "by hand", "grace", "why"),
        ("awarded", "holder", "insert on public.badges_badge", "", ""),
    ]


def test_plain_sql(declare, execute, user, events, agree):
    """Badges that SQL inserts and deletes leave events, and are not manual, even after a manual award."""
    declare(FIRST, OTHER)
    Badge.objects.award(user, "other", by="grace")
    execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'first'), (%s, 'other') ON CONFLICT DO NOTHING",
            [user.pk, user.pk])  # fmt: skip
    execute("DELETE FROM badges_badge")
    assert events()[1] == ("awarded", "first", "sql", "", "")
    assert sorted(events()[2:]) == [("revoked", "first", "sql", "", ""), ("revoked", "other", "sql", "", "")]
    assert agree() == []


def test_zero_rows(declare, execute, user):
    """A statement that changes no badge leaves nothing, nor does one that changes something else of it."""
    declare(FIRST)
    execute("DELETE FROM badges_badge")
    execute("UPDATE badges_badge SET user_id = 1")
    execute(ROW, [user.pk, "first"])
    execute("UPDATE badges_badge SET evidence = '{}'")
    assert BadgeEvent.objects.count() == 1


def test_merge_of_users(declare, execute, user, events, agree):
    """A badge that another user gets has gone from the one and come to the other."""
    declare(FIRST, OTHER)
    execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'first'), (%s, 'other')", [user.pk, user.pk])
    bob = User.objects.create(username="bob")
    execute("UPDATE badges_badge SET user_id = %s WHERE code = 'first'", [bob.pk])
    assert events()[2:] == [("revoked", "first", "moved", "", ""), ("awarded", "first", "moved", "", "")]
    assert agree() == [(user.pk, "other"), (bob.pk, "first")]
    user.delete()
    assert agree() == [(bob.pk, "first")]


@pytest.mark.parametrize("how", ["orm", "sql"])
def test_deleted_user(declare, execute, user, agree, how):
    """Badges and history of a deleted user are deleted; no event is written without a user."""
    declare(FIRST)
    bob = User.objects.create(username="bob")
    for each in (user, bob):
        Badge.objects.award(each, "first")
    if how == "orm":
        user.delete()
    else:
        execute("DELETE FROM auth_user WHERE id = %s", [user.pk])
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert BadgeEvent.objects.filter(user=user.pk).count() == 0
    assert agree() == [(bob.pk, "first")]


def test_truncate(declare, execute, user, events, agree):
    """Badges that are truncated are gone by the history, too."""
    declare(FIRST, OTHER)
    execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'first'), (%s, 'other')", [user.pk, user.pk])
    Badge.objects.revoke(user, "other")
    execute("TRUNCATE badges_badge")
    assert events()[-1] == ("revoked", "first", "truncate", "", "")
    assert len(events()) == 4
    assert agree() == []


def test_truncate_with_the_history(declare, execute, user, agree):
    """Where history and badges are truncated together, as by flush, nothing is left."""
    declare(FIRST)
    execute(ROW, [user.pk, "first"])
    execute("TRUNCATE badges_badgeevent, badges_badge")
    assert BadgeEvent.objects.count() == 0
    execute(ROW, [user.pk, "first"])
    execute("TRUNCATE auth_user CASCADE")
    assert BadgeEvent.objects.count() == 0
    assert agree() == []


TABLES = ("badge", "badgedefinition", "badgeevent", "delivery", "failure", "pendingcheck")


def assert_nothing_changes(dump):
    """Loading a dump into the database that it is of leaves every row of the app as it is."""

    def rows():
        with connection.cursor() as cursor:
            return [cursor.execute(f"SELECT t::text FROM badges_{table} t ORDER BY 1").fetchall() for table in TABLES]

    before = rows()
    call_command("loaddata", str(dump), verbosity=0)
    assert rows() == before


@pytest.mark.parametrize("kind", ["json", "jsonl", "xml"])
def test_dump_into_the_same_database(declare, execute, user, tmp_path, kind, settings):
    """What dumpdata has written changes nothing where it is loaded again, to the microsecond and the last digit."""
    settings.BADGES_SIGNALS = True
    declare(FIRST, OTHER, entry("long", condition="NEW.hit_views > 5", expires_after="1 day"))
    Sketch.objects.create(user=user, title="Sketch", hit_views=7)
    digits = '{"operation": "insert", "new": {"price": 0.12345678901234567890, "big": 1e30}}'
    execute("INSERT INTO badges_badge (user_id, code, evidence) VALUES (%s, 'other', %s)", [user.pk, digits])
    execute(
        "INSERT INTO badges_pendingcheck (bucket, user_id, code, evidence) VALUES (1, %s, 'other', %s);"
        "INSERT INTO badges_failure (code, sqlstate, message) VALUES ('other', '22012', 'why')",
        [user.pk, digits],
    )
    assert all(execute(f"SELECT count(*) > 0 FROM badges_{table}") == [(True,)] for table in TABLES)
    dump = tmp_path / f"dump.{kind}"
    call_command("dumpdata", "badges", "auth.User", output=str(dump), format=kind, verbosity=0)
    assert_nothing_changes(dump)
    # What has changed since is loaded as it was dumped; events never change.
    execute("UPDATE badges_badge SET by_hand = true WHERE code = 'first'")
    call_command("loaddata", str(dump), verbosity=0)
    assert execute("SELECT count(*) FROM badges_badge WHERE by_hand") == [(0,)]
    assert execute("SELECT count(*) FROM badges_badge") == [(3,)]


@pytest.mark.django_db(transaction=True)
def test_flush_dump_and_load(committed, tmp_path, events, agree):
    """flush empties the history; loaddata brings back badges and history, which agree, before or after the users."""
    committed(FIRST, OTHER)
    ada, bob = User.objects.create(username="ada"), User.objects.create(username="bob")
    Sketch.objects.create(user=ada, title="Sketch")
    Badge.objects.award(bob, "first", by="grace")
    Badge.objects.revoke(bob, "first", by="grace", reason="why")
    before = events()
    dump = tmp_path / "dump.json"
    call_command("dumpdata", "badges", "auth.User", output=str(dump), verbosity=0)
    assert_nothing_changes(dump)
    call_command("flush", interactive=False, verbosity=0)
    assert (BadgeEvent.objects.count(), agree()) == (0, [])
    for _ in range(2):
        call_command("loaddata", str(dump), verbosity=0)
        assert agree() == [(ada.pk, "first")]
        assert [each for each in events() if each[2] != "loaddata"] == before


def test_taken_away_on_the_way(declare, execute, user, agree):
    """A badge that another trigger deletes or restores within the same statement is recorded as it ends."""
    declare(FIRST, entry("back", condition="true", trigger_condition="delete", trigger_table="badges_badge"))
    execute(ROW, [user.pk, "back"])
    execute("DELETE FROM badges_badge")
    assert agree() == [(user.pk, "back")]
    execute(
        """
        CREATE FUNCTION take_away() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN DELETE FROM badges_badge WHERE id = NEW.id; RETURN NULL; END$$;
        CREATE TRIGGER take_away AFTER INSERT ON badges_badge FOR EACH ROW WHEN (NEW.code = 'first')
        EXECUTE FUNCTION take_away()
        """
    )
    execute(ROW, [user.pk, "first"])
    assert agree() == [(user.pk, "back")]


def test_one_statement_that_deletes_and_inserts(declare, execute, user, agree):
    """A badge that a single statement deletes and inserts again is held, also by the history."""
    declare(FIRST)
    execute(ROW, [user.pk, "first"])
    execute(
        "WITH gone AS (DELETE FROM badges_badge RETURNING user_id, code)"
        " INSERT INTO badges_badge (user_id, code) SELECT * FROM gone"
    )
    assert agree() == [(user.pk, "first")]
    assert Badge.objects.revoke(user, "first")
    assert agree() == []


def test_rolled_back(declare, user, agree):
    """What is rolled back has left no event."""
    declare(FIRST)
    with transaction.atomic():
        Badge.objects.award(user, "first", by="grace")
        transaction.set_rollback(True)
    assert (BadgeEvent.objects.count(), agree()) == (0, [])


def test_lastval(declare, execute, user):
    """The caller's lastval() is that of its own insert."""
    declare(FIRST)
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [user.pk])
    assert BadgeEvent.objects.count() == 1
    assert execute("SELECT lastval()") == [(Sketch.objects.get().pk,)]


def test_installation_catches_up(nothing_installed, badge_file, execute, user, events, agree):
    """Badges from before the history get their event with the triggers, at the time and by the cause that are known."""
    path = badge_file(FIRST, OTHER)
    for code in ("first", "other"):
        BadgeDefinition.objects.create(code=code, name=code, trigger_condition=["insert"])
    evidence = {"table": "public.dummy_sketch", "operation": "insert"}
    Badge.objects.create(user=user, code="first", awarded_at="2026-01-01 00:00Z", evidence=evidence)
    execute("INSERT INTO badges_badge (user_id, code, awarded_at) VALUES (%s, 'other', NULL)", [user.pk])
    BadgeEvent.objects.create(user=user, code="gone", kind="awarded", cause="sql", at="2026-02-01 00:00Z")
    executor.apply(connection, definitions.load(path), path)
    assert events() == [
        ("awarded", "other", "found", "", ""),
        ("awarded", "first", "insert on public.dummy_sketch", "", ""),
        ("awarded", "gone", "sql", "", ""),
        ("revoked", "gone", "found", "", ""),
    ]
    assert BadgeEvent.objects.get(code="first").at == Badge.objects.get(code="first").awarded_at
    assert BadgeEvent.objects.get(code="other").at is None
    assert len(agree()) == 2
    assert executor.apply(connection, definitions.load(path), path).is_empty
    assert len(events()) == 4


@pytest.mark.parametrize("name", ["badges_add_awarded", "badges_add_revoked", "badges_add_moved"])
def test_trigger_that_was_dropped(declare, execute, user, agree, name):
    """A dropped trigger of the history is restored by the plan, and the missing events are added."""
    declare(FIRST, OTHER)
    execute(ROW, [user.pk, "other"])
    execute(f"DROP TRIGGER {name} ON badges_badge")
    execute(ROW, [user.pk, "first"])
    execute("DELETE FROM badges_badge WHERE code = 'other'")
    execute("UPDATE badges_badge SET user_id = %s", [User.objects.create(username="bob").pk])
    assert [step.target for step in declare(FIRST, OTHER).steps] == [f"{name} on public.badges_badge"]
    agree()


def test_trigger_that_was_edited(declare, execute):
    """An edited trigger or function of the history is restored."""
    declare(FIRST)
    execute("DROP TRIGGER badges_add_revoked ON badges_badge")
    execute(
        "CREATE TRIGGER badges_add_revoked AFTER DELETE ON badges_badge REFERENCING OLD TABLE AS badges_old"
        " FOR EACH STATEMENT WHEN (1 = 1) EXECUTE FUNCTION badges_add_revoked()"
    )
    execute("ALTER FUNCTION badges_add_revoked SECURITY INVOKER")
    targets = {step.target for step in declare(FIRST).steps}
    assert targets == {"badges_add_revoked", "badges_add_revoked on public.badges_badge"}
    assert declare(FIRST).is_empty


def test_disabled_trigger(declare, badge_file, execute, user):
    """A disabled trigger of the history stays disabled; command and check report that history is missing."""
    declare(FIRST)
    execute("ALTER TABLE badges_badge DISABLE TRIGGER badges_add_awarded")
    call_command("create_badge_triggers", stdout=io.StringIO(), stderr=(errors := io.StringIO()))
    sentence = "The trigger badges_add_awarded on public.badges_badge is disabled"
    assert f"{sentence}: the history is not written.\n" in errors.getvalue()
    call_command("check", databases=["default"], stderr=(errors := io.StringIO()))
    assert f'In the database "default": {sentence}: the history is not written.' in errors.getvalue()
    execute(ROW, [user.pk, "first"])
    assert not BadgeEvent.objects.exists()


def test_events_are_only_added(declare, execute, user):
    """An event cannot be changed; saving it as it is changes nothing, and may."""
    declare(FIRST)
    Badge.objects.award(user, "first")
    execute("UPDATE badges_badgeevent SET kind = kind")
    with pytest.raises(IntegrityError, match="only added"), transaction.atomic():
        execute("UPDATE badges_badgeevent SET actor = 'another actor'")


def test_rule(declare, user):
    """The version of the rule changes with what decides the badge, and with nothing else."""
    rules = []
    for changes in ({}, {"name": "Other"}, {"condition": "NEW.hit_views >= 1"}, {}):
        declare({**FIRST, **changes})
        Badge.objects.award(user, "first")
        Badge.objects.revoke(user, "first")
        rules.append(BadgeEvent.objects.order_by("-at")[0].rule)
    assert rules[0] == rules[1] == rules[3] != rules[2]


def test_badge_without_history_is_not_awarded(declare, execute, user):
    """Where no event can be written, no badge is awarded, the write succeeds, and the failure is recorded."""
    declare(FIRST)
    execute("ALTER TABLE badges_badgeevent RENAME TO elsewhere")
    Sketch.objects.create(user=user, title="Sketch")
    assert not Badge.objects.exists()
    assert execute("SELECT code, sqlstate FROM badges_failure") == [("first", "42P01")]


def test_not_installed(nothing_installed, user):
    """Before the first installation, a manual award is rejected with a hint."""
    with pytest.raises(exceptions.OutOfDate):
        Badge.objects.award(user, "first", by="grace")


def test_evidence_of_any_shape(declare, execute, user, events):
    """Evidence of any shape keeps no badge out of the history."""
    declare(FIRST)
    for evidence in ('"operation"', "[1]", "{}", '{"operation": null}', '{"operation": "x"}'):
        execute("SELECT badges_award(%s, 'first', %s)", [user.pk, evidence])
        execute("DELETE FROM badges_badge")
    causes = [cause for kind, _, cause, _, _ in events() if kind == "awarded"]
    assert causes == ["by hand", "by hand", "by hand", "by hand", "x"]


@pytest.mark.django_db(transaction=True)
def test_user_who_is_being_deleted(committed, agree):
    """A revocation skips a user whom another transaction is deleting, and that deletion does not wait for it."""
    committed(FIRST)
    ada = User.objects.create(username="ada")
    Badge.objects.award(ada, "first")
    with psycopg.connect(conninfo(connection.settings_dict["NAME"])) as other:
        other.execute("SELECT FROM auth_user WHERE id = %s FOR UPDATE", [ada.pk])
        with pytest.raises(OperationalError, match="lock timeout"), transaction.atomic():
            Badge.objects.revoke(ada, "first")
        other.execute("DELETE FROM auth_user WHERE id = %s", [ada.pk])
    assert not Badge.objects.revoke(ada, "first")
    assert (agree(), BadgeEvent.objects.count()) == ([], 0)


@pytest.mark.django_db(transaction=True)
def test_user_whose_badge_has_ended_is_busy(committed):
    """What has ended goes as soon as the row of its user is free, as ever: only a revocation gives up."""
    committed(FIRST)
    ada = User.objects.create(username="ada")
    Badge.objects.award(ada, "first")
    Badge.objects.update(expires_at=timezone.now() - timedelta(days=1))
    name = conninfo(connection.settings_dict["NAME"])
    with psycopg.connect(name) as other, psycopg.connect(name, autocommit=True) as session:
        other.execute("SELECT FROM auth_user WHERE id = %s FOR UPDATE", [ada.pk])
        with ThreadPoolExecutor(1) as thread:
            gone = thread.submit(session.execute, "DELETE FROM badges_badge")
            # Longer than a revocation waits.
            time.sleep(0.7)
            other.rollback()
            assert gone.result().rowcount == 1
    assert BadgeEvent.objects.get(kind="expired").user == ada


def test_lock_timeout_stays(declare, execute, user):
    """What the session says about waiting is the same afterwards."""
    declare(FIRST)
    for timeout in ("0", "3s"):
        execute(f"SET LOCAL lock_timeout = '{timeout}'")
        Badge.objects.award(user, "first")
        Badge.objects.revoke(user, "first")
        assert execute("SHOW lock_timeout") == [(timeout,)]


def test_cause_that_a_session_tells(declare, execute, user, events):
    """A revocation by DELETE can state its reason; the award of a condition is that of its write all the same."""
    declare(FIRST)
    Sketch.objects.create(user=user, title="Sketch")
    execute("SELECT set_config('badges.cause', 'season ended', true)")
    execute("DELETE FROM badges_badge")
    execute("SELECT set_config('badges.cause', 'settled', true)")
    Sketch.objects.create(user=user, title="Sketch")
    assert [cause for _, _, cause, _, _ in events()] == [
        "insert on public.dummy_sketch", "season ended", "insert on public.dummy_sketch",
    ]  # fmt: skip


def test_many_badges_change_at_once(declare, execute, agree):
    """An UPDATE of ten thousand badges, after one of a hundred in the same session, is done within seconds."""
    declare(FIRST)
    execute(
        """
        INSERT INTO auth_user
            (username, password, first_name, last_name, email, is_superuser, is_staff, is_active, date_joined)
        SELECT 'user-' || n, '', '', '', '', false, false, true, now() FROM generate_series(1, 10000) AS n
        """
    )
    execute("INSERT INTO badges_badge (user_id, code) SELECT id, 'first' FROM auth_user ORDER BY id LIMIT 100")
    execute("UPDATE badges_badge SET evidence = '{}'")
    execute("INSERT INTO badges_badge (user_id, code) SELECT id, 'first' FROM auth_user ON CONFLICT DO NOTHING")
    execute("SET LOCAL statement_timeout = '10s'")
    execute("UPDATE badges_badge SET evidence = '{}'")
    execute("DELETE FROM badges_badge WHERE user_id % 2 = 0")
    assert BadgeEvent.objects.count() == 15_000
    assert len(agree()) == 5_000
