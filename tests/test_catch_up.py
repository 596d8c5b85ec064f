"""What needs catch-up: `award_badges --late`, the function badges_catch_up, and what both leave alone."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from dummy.models import Sketch
from isolation.harness import AT_ONCE
from test_commands import connect

from badges import definitions, exceptions
from badges.conf import badges_settings
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.functions import catch_up
from badges.installation import executor
from badges.models import Badge, BadgeEvent, Failure, PendingCheck

pytestmark = pytest.mark.django_db

PIONNER = entry(
    "pionner",
    condition="age(NEW.date_joined) > interval '1 year'",
    trigger_condition="update",
    trigger_table="auth_user",
    user_field="id",
)
NEWCOMER = {**PIONNER, "code": "newcomer", "condition": "age(NEW.date_joined) < interval '1 month'", "revocable": True}
COLLECTOR = entry()
HIT = entry("hit", condition="NEW.hit_views >= 10 AND NEW.created <= now() + interval '1 day'", per="id")
FRESH = entry("fresh", condition="NEW.hit_views >= 0", expires_after="30 days")
BROKEN = entry("broken", condition="1 / NEW.hit_views > 0 AND now() > NEW.created")


def run(*args, **options):
    output = io.StringIO()
    call_command(*args, stdout=output, stderr=output, no_color=True, **options)
    return output.getvalue()


@pytest.fixture
def caught_up(execute):
    """Call the function; gives how many were awarded, how many revoked, and how many badges failed."""
    return lambda: execute("SELECT * FROM badges_catch_up()")[0]


@pytest.fixture
def installed(execute):
    """Whether the function is there."""
    return lambda: execute("SELECT to_regproc('badges_catch_up') IS NOT NULL")[0][0]


def join(name, year=2020):
    """A user who has joined in that year: which no trigger of these badges sees."""
    return User.objects.create(username=name, date_joined=datetime(year, 1, 1, tzinfo=UTC))


def pass_over(execute, statement):
    """Run a statement that no trigger sees, as time passing is seen by none."""
    execute("SET LOCAL session_replication_role = replica")
    execute(statement)
    execute("SET LOCAL session_replication_role = origin")


# Which badges need catch-up


@pytest.mark.parametrize(
    ("badge", "is_late"),
    [
        (PIONNER, True),
        (FRESH, True),
        (entry(condition="seen(NEW.user_id)"), True),
        (entry(condition="is_staff FROM auth_user WHERE id = NEW.user_id"), True),
        (entry(condition="count(*) > 5 FROM auth_group", revocable=True), True),
        (COLLECTOR, False),
        (entry(condition="NEW.hit_views > 5", revocable=True), False),
        (entry("star", condition="hit_views > 5", trigger_condition="update"), False),
    ],
    ids=["time", "ends", "function", "other table", "table without users", "own table", "revocable", "row"],
)
def test_which_come_late(badge_file, execute, badge, is_late):
    """Late is what asks for the time, ends, or reads what fires no trigger; what its triggers see is not."""
    execute("CREATE FUNCTION seen(bigint) RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$")
    declared = definitions.load(badge_file(badge))
    [analysed] = analysis.analyse(connection, describe_target(connection), declared)
    assert analysed.needs_catch_up is is_late


def test_command(declare, execute, held):
    """--late awards what needs catch-up and nothing else; without such a badge it says so."""
    ada = join("ada")
    declare(COLLECTOR, PIONNER)
    pass_over(execute, f"INSERT INTO dummy_sketch (user_id, title) SELECT {ada.pk}, 'x' FROM generate_series(1, 5)")
    assert "pionner: 1 awarded" in run("award_badges", "--late")
    assert held(ada) == ["pionner"]
    assert "No badge needs catch-up." in run("award_badges", "collector", "--late")
    assert held(ada) == ["pionner"]
    with pytest.raises(CommandError, match='no badge "pioner"'):
        run("award_badges", "pioner", "--late")


def test_command_looks_only(declare, held):
    """--late goes with --dry-run, which shows those badges alone and changes nothing."""
    ada = join("ada")
    declare(COLLECTOR, PIONNER)
    shown = run("award_badges", "--late", "--dry-run")
    assert "pionner: 1 would be awarded" in shown
    assert "collector" not in shown
    assert held(ada) == []


def test_command_is_braked(declare):
    """--late stops, too, before it awards a badge to more users than BADGES_BRAKE allows."""
    for number in range(20):
        join(f"u{number}")
    declare(PIONNER)
    with pytest.raises(CommandError, match="20 of 20 users"):
        run("award_badges", "--late")
    assert "20 awarded" in run("award_badges", "--late", "--yes")


# The function


def test_awards(declare, caught_up, execute, held):
    """Who qualifies by the time alone is awarded by one call, once, and the history says why."""
    ada, bob = join("ada"), join("bob", datetime.now(UTC).year)
    declare(PIONNER, COLLECTOR)
    pass_over(execute, f"INSERT INTO dummy_sketch (user_id, title) SELECT {ada.pk}, 'x' FROM generate_series(1, 5)")
    assert caught_up() == (1, 0, 0)
    assert caught_up() == (0, 0, 0)
    assert (held(ada), held(bob)) == (["pionner"], [])
    assert [event.cause for event in BadgeEvent.objects.all()] == ["award_badges"]


def test_same_as_the_command(declare, execute):
    """The function awards the same rows, with the same evidence, things and ends, as award_badges --late does."""
    users = [join(f"u{number}", 2010 + number) for number in range(8)]
    for user in users:
        Sketch.objects.create(user=user, title="x", hit_views=4 * user.pk % 17)
    declare(PIONNER, HIT, FRESH, COLLECTOR)
    query = "SELECT user_id, code, thing, evidence, expires_at IS NOT NULL FROM badges_badge ORDER BY 1, 2, 3"
    found = []
    for do in (lambda: run("award_badges", "--late", "--yes"), lambda: execute("SELECT badges_catch_up()")):
        with transaction.atomic():
            do()
            found.append(execute(query))
            transaction.set_rollback(True)
    assert found[0] == found[1]
    assert {code for _, code, *_ in found[0]} == {"pionner", "hit", "fresh"}


@pytest.mark.parametrize("how", ["award_badges", "badges_catch_up"])
def test_holders_are_not_asked_again(declare, execute, caught_up, how):
    """The condition is asked for the users who lack the badge, and for no other."""
    execute("CREATE SEQUENCE calls")
    execute(
        "CREATE FUNCTION asked(timestamptz) RETURNS boolean STABLE LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM nextval('calls'); RETURN $1 < now() - interval '1 year'; END $$"
    )
    for number in range(50):
        join(f"u{number}")
    join("newcomer", datetime.now(UTC).year)
    declare({**PIONNER, "condition": "asked(NEW.date_joined)"})
    execute("ANALYZE auth_user")
    for asked in (51, 1):
        execute("SELECT setval('calls', 1, false)")
        if how == "award_badges":
            run("award_badges", "--late", "--yes")
        else:
            caught_up()
        assert Badge.objects.count() == 50
        assert execute("SELECT nextval('calls') - 1") == [(asked,)]


def test_expired(declare, caught_up, execute, user):
    """What has expired is let go, and comes again where the condition still holds; the rest stays."""
    declare(FRESH, {**FRESH, "code": "seen", "condition": "NEW.hit_views > 5"})
    sketch = Sketch.objects.create(user=user, title="x", hit_views=9)
    kept = User.objects.create(username="kept")
    Sketch.objects.create(user=kept, title="x", hit_views=9)
    pass_over(execute, f"UPDATE dummy_sketch SET hit_views = 1 WHERE id = {sketch.pk}")
    pass_over(execute, f"UPDATE badges_badge SET expires_at = now() - interval '1 day' WHERE user_id = {user.pk}")
    assert caught_up() == (1, 0, 0)
    assert [badge.code for badge in Badge.with_expired.filter(user=user)] == ["fresh"]
    assert Badge.objects.filter(user=kept).count() == 2
    kinds = BadgeEvent.objects.filter(user=user).values_list("code", "kind")
    assert sorted(kinds) == [
        ("fresh", "awarded"), ("fresh", "awarded"), ("fresh", "expired"), ("seen", "awarded"), ("seen", "expired")
    ]  # fmt: skip


def test_takes_back(declare, caught_up, held):
    """Who no longer qualifies by the time alone loses a revocable badge; manual awards stay."""
    declare(NEWCOMER)
    ada, bob, new = join("ada"), join("bob"), User.objects.create(username="new")
    Badge.objects.bulk_create([Badge(user=ada, code="newcomer"), Badge(user=new, code="newcomer")])
    Badge.objects.award(bob, "newcomer")
    assert caught_up() == (0, 1, 0)
    assert (held(ada), held(bob), held(new)) == ([], ["newcomer"], ["newcomer"])
    assert not PendingCheck.objects.exists()
    assert caught_up() == (0, 0, 0)


def test_takes_back_step_by_step(declare, caught_up, execute, monkeypatch):
    """One call revokes so many of a badge and no more; the next calls do the rest."""
    monkeypatch.setattr(catch_up, "MOST", 3)
    declare(NEWCOMER)
    Badge.objects.bulk_create([Badge(user=join(f"u{number}"), code="newcomer") for number in range(7)])
    assert [caught_up()[1] for _ in range(4)] == [3, 3, 1, 0]


def test_check_that_waits(committed, execute):
    """While another session holds the lock, the badge stays until a later call, and one check waits for all calls."""
    committed(NEWCOMER)
    Badge.objects.create(user=join("ada"), code="newcomer")
    with connect() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s, n) FROM generate_series(0, 1023) AS n", [0x62616467])
        assert [execute("SELECT taken_back FROM badges_catch_up()") for _ in range(2)] == [[(0,)], [(0,)]]
        assert PendingCheck.objects.count() == 1
        other.rollback()
    execute("SELECT badges_catch_up()")
    assert not Badge.objects.exists()
    assert not PendingCheck.objects.exists()


def test_failing_condition(declare, caught_up, held):
    """A badge whose condition fails is recorded, and the others are awarded."""
    ada = join("ada")
    Sketch.objects.create(user=ada, title="x")
    declare(BROKEN, PIONNER)
    assert caught_up() == (1, 0, 1)
    assert held(ada) == ["pionner"]
    [failure] = Failure.objects.all()
    assert (failure.code, failure.message) == ("broken", "division by zero")


def test_award_that_another_transaction_keeps(committed, execute, held):
    """It leaves a check for an award that is not yet committed; the other badges proceed, the next call awards."""
    committed(PIONNER, {**PIONNER, "code": "veteran"})
    ada = join("ada")
    with connect() as other:
        other.execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'pionner')", [ada.pk])
        began = time.monotonic()
        assert execute("SELECT * FROM badges_catch_up()") == [(1, 0, 0)]
        assert time.monotonic() - began < AT_ONCE
        assert PendingCheck.objects.get().code == "pionner"
        other.rollback()
    assert held(ada) == ["veteran"]
    assert not Failure.objects.exists()
    assert execute("SELECT * FROM badges_catch_up()") == [(1, 0, 0)]
    assert not PendingCheck.objects.exists()


def test_writer_meanwhile(committed, execute, held):
    """While a call is not yet committed, a write that earns the same badge goes through, and no user loses it."""
    committed({**PIONNER, "trigger_condition": "update"})
    ada = join("ada")
    with connect() as other:
        assert other.execute("SELECT * FROM badges_catch_up()").fetchone() == (1, 0, 0)
        began = time.monotonic()
        execute("UPDATE auth_user SET first_name = 'Ada' WHERE id = %s", [ada.pk])
        assert time.monotonic() - began < AT_ONCE
        other.rollback()
    assert held(ada) == []
    execute("SELECT badges_settle(NULL, 100)")
    assert held(ada) == ["pionner"]


@pytest.mark.parametrize("first", ["catch up", "write"])
def test_write_that_makes_it_false_meanwhile(committed, execute, first):
    """A write that makes the condition of a revocable badge false at the same time wins, whichever ends first."""
    committed(NEWCOMER)
    ada = join("ada")
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE auth_user SET date_joined = now()")
        cursor.execute("RESET session_replication_role")
    write = f"UPDATE auth_user SET date_joined = '2020-01-01' WHERE id = {ada.pk}"
    call = "SELECT * FROM badges_catch_up()"
    with connect() as other:
        other.execute(write if first == "write" else call)
        execute(call if first == "write" else write)
        other.commit()
    assert Badge.objects.filter(user=ada).count() == 1
    execute("SELECT badges_settle(NULL, 100)")
    assert not Badge.objects.exists()


def test_locks_are_bounded(committed, execute):
    """A call over many users, each awarded or losing something, holds at most BADGES_BUCKETS locks on users."""
    committed({**PIONNER, "revocable": True}, NEWCOMER)
    User.objects.bulk_create(
        User(username=f"u{number}", date_joined=datetime(2020, 1, 1, tzinfo=UTC)) for number in range(3000)
    )
    execute("INSERT INTO badges_badge (user_id, code) SELECT id, 'newcomer' FROM auth_user")
    with transaction.atomic():
        assert execute("SELECT * FROM badges_catch_up()") == [(3000, catch_up.MOST, 0)]
        kinds = dict(execute("SELECT locktype, count(*) FROM pg_locks WHERE pid = pg_backend_pid() GROUP BY locktype"))
    assert kinds.pop("advisory") <= badges_settings.BADGES_BUCKETS
    assert sum(kinds.values()) < 100  # those of tables and indexes


def test_isolation_above_read_committed(committed, execute):
    """Above READ COMMITTED it awards and leaves what is to be revoked as a pending check."""
    committed(PIONNER, NEWCOMER)
    ada = join("ada")
    Badge.objects.create(user=ada, code="newcomer")
    with connect() as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert other.execute("SELECT * FROM badges_catch_up()").fetchone() == (1, 0, 0)
    assert PendingCheck.objects.count() == 1


def test_hostile_names(declare, caught_up):
    """Names and codes are text, whatever is in them; the condition goes in as its author wrote it."""
    badge = {**PIONNER, "name": "a\nb */ -- $badges$", "code": """it's {0} 100% "$badges$" \\""", "revocable": True}
    join("ada")
    declare({**badge, "condition": "NEW.username NOT LIKE '{}%' AND age(NEW.date_joined) > '1 year' -- $badges$"})
    assert caught_up() == (1, 0, 0)
    assert Badge.objects.get().code == badge["code"]
    User.objects.update(date_joined=datetime.now(UTC))
    User.objects.update(username="{}")
    assert caught_up()[2] == 0
    assert not Badge.objects.exists()


# Its installation


def test_is_there_if_needed(declare, installed):
    """It is made for the first badge that needs catch-up and dropped with the last; a paused badge needs none."""
    declare(COLLECTOR)
    assert not installed()
    plan = declare(COLLECTOR, PIONNER)
    assert "create function badges_catch_up" in [f"{step.action} {step.target}" for step in plan.steps]
    assert installed()
    reasons = {step.target: step.reason for step in declare(PIONNER, FRESH).steps}
    assert reasons["badges_catch_up"] == "fresh added"
    declare({**PIONNER, "active": False}, COLLECTOR)
    assert not installed()


def test_badge_that_existing_rows_cannot_decide(declare, installed):
    """What OLD decides, award_badges skips, and the function is not there for it."""
    declare(entry("grown", trigger_condition="update", condition="NEW.created > OLD.created AND now() > NEW.created"))
    assert not installed()


def test_edited_by_hand(declare, badge_file, execute, caught_up):
    """What another role made of it is found and undone."""
    declare(PIONNER)
    execute(
        "CREATE OR REPLACE FUNCTION badges_catch_up(OUT awarded integer, OUT taken_back integer, OUT failed integer) "
        "LANGUAGE plpgsql AS 'BEGIN END'"
    )
    path = badge_file(PIONNER)
    [step] = executor.draft(connection, definitions.load(path), path).steps
    assert (step.action, step.target) == ("replace function", "badges_catch_up")
    declare(PIONNER)
    assert caught_up() == (0, 0, 0)


def test_rights(declare, execute):
    """It runs with the rights of the badges' owner under a fixed path, and no other role may call it."""
    declare(PIONNER)
    [(is_definer, config, others)] = execute(
        "SELECT prosecdef, proconfig, has_function_privilege('public', oid, 'EXECUTE') "
        "FROM pg_proc WHERE proname = 'badges_catch_up'"
    )
    assert is_definer
    assert {"search_path=public, pg_temp", "jit=off"} <= set(config)
    assert not others


# Without pg_cron


def test_without_pg_cron(declare, badge_file, execute, settings):
    """badges.W009: where the extension is missing, the hint and a line for the crontab are shown."""
    if execute("SELECT FROM pg_extension WHERE extname = 'pg_cron'"):
        pytest.skip("NOT TESTED: this database has pg_cron")
    settings.BADGES_PG_CRON = "*/20 * * * *"
    [finding] = declare(PIONNER).findings
    assert finding.id == "badges.W009"
    assert "does not have the extension pg_cron" in finding.message
    assert "CREATE EXTENSION pg_cron" in finding.hint
    assert finding.hint.endswith("*/20 * * * * cd /path/to/site && python manage.py award_badges --late")
    for flag in ("--plan", "--check", "--sql", "--json"):
        assert "badges_catch_up" in run("create_badge_triggers", flag)
    assert declare(COLLECTOR).findings == ()
    settings.BADGES_PG_CRON = None
    assert declare(PIONNER).findings == ()


@pytest.mark.parametrize("value", ["", "hourly", "* * * *", 15, True, "0 seconds", ["* * * * *"]])
def test_bad_schedule(declare, settings, value):
    """What is no schedule is rejected, with an example, before anything is changed."""
    settings.BADGES_PG_CRON = value
    with pytest.raises(exceptions.InvalidSetting, match=r'BADGES_PG_CRON is .*"\*/15 \* \* \* \*" is every 15 minutes'):
        declare(PIONNER)
