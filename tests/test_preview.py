"""What the plan and --dry-run show of a badge before it is awarded, and the brake."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from dummy.models import Sketch
from test_commands import connect, fail, run

from badges import definitions
from badges.database import fetch
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.management.commands import _base, create_badge_triggers
from badges.models import Badge
from badges.operations import brake, cost, preview

pytestmark = pytest.mark.django_db

FIRST = entry("first", condition="NEW.hit_views >= 0")
COLLECTOR = entry("collector", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id")
NAMESAKE = entry("namesake", condition="count(*) >= 3 from dummy_sketch where title = NEW.title and hit_views >= 0")
ENDLESS = entry(
    "endless", condition="(select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b) > NEW.id"
)


@pytest.fixture(autouse=True)
def patience(settings):
    """On a busy machine counting takes longer than on a site; tests of the timeout shorten it."""
    settings.BADGES_PREVIEW_TIMEOUT = 60_000


@pytest.fixture
def people(db):
    """Users called u0 to u29, of whom number n has made n sketches."""
    users = User.objects.bulk_create(User(username=f"u{number}") for number in range(30))
    Sketch.objects.bulk_create(
        Sketch(user=user, title=f"Sketch {number}", hit_views=number)
        for number, user in enumerate(users)
        for _ in range(number)
    )
    return users


@pytest.fixture
def many_sketches(people, execute):
    """3,000 sketches more, most of them by u7, and statistics that know it."""
    execute(
        "INSERT INTO dummy_sketch (user_id, title) SELECT CASE WHEN n %% 3 > 0 THEN %s ELSE %s END, n %% 500 "
        "FROM generate_series(1, 3000) AS n",
        [people[7].pk, people[8].pk],
    )
    execute("ANALYZE dummy_sketch")


def look(*entries):
    """The previews of these badges, by code."""
    declared = definitions.parse(json.dumps(entries))
    here = describe_target(connection)
    return {each.code: each for each in preview.of(connection, here, analysis.analyse(connection, here, declared))}


def warnings(found):
    """All that is to be minded, as one text."""
    return "\n".join(f"{each.message}\n{each.hint}" for each in found.warnings)


def test_slow_checks(people, execute, settings):
    """A check that takes longer than BADGES_BUDGET for the user with the most rows is a warning."""
    slow = entry(
        "slow", condition="sum(g) > 0 from dummy_sketch a, generate_series(1, 9999) g where user_id = NEW.user_id"
    )
    local = entry("local", condition="(select sum(g) from generate_series(1, coalesce(NEW.id, 0) + 99999) g) > 0")
    settings.BADGES_BUDGET = 1
    found = look(slow, local, FIRST)
    assert "ms or more for this check; BADGES_BUDGET is 1 ms. Three such writes defer the badge." in warnings(
        found["slow"]
    )
    assert "python manage.py award_badges slow --defer" in warnings(found["slow"])
    assert "never deferred" in warnings(found["local"])
    assert "BADGES_BUDGET" not in warnings(found["first"])
    settings.BADGES_PREVIEW_TIMEOUT = 100
    assert "A write waits 100 ms or more" in warnings(look(ENDLESS)["endless"])
    settings.BADGES_BUDGET = None
    assert "BADGES_BUDGET" not in warnings(look(slow)["slow"])


# Who


def test_count(declare, people):
    """Who qualifies is counted with those who hold the badge, and those who lack it apart."""
    declare(COLLECTOR)
    for user in people[10:15]:
        Badge.objects.award(user, "collector")
    count = look(COLLECTOR)["collector"].count
    assert (count.users, count.qualifying, count.new, count.losers) == (30, 28, 23, None)


def test_count_is_what_award_badges_awards(declare, people):
    """The number of new ones is what award_badges then awards; afterwards none is new."""
    declare(FIRST, COLLECTOR, NAMESAKE)
    counted = {code: each.count.new for code, each in look(FIRST, COLLECTOR, NAMESAKE).items()}
    assert counted == {"first": 29, "collector": 28, "namesake": 27}
    output = run("award_badges", "--yes")
    for code, new in counted.items():
        assert f"{code}: {new} awarded" in output
    assert {each.count.new for each in look(FIRST, COLLECTOR, NAMESAKE).values()} == {0}


def test_examples(declare, people):
    """Ten are named as get_username() has them, with their keys; those who lack the badge first."""
    declare(COLLECTOR)
    for user in people[:26]:
        Badge.objects.award(user, "collector")
    found = look(COLLECTOR)["collector"]
    assert [str(each) for each in found.count.new_examples] == [
        f"u{number} ({people[number].pk})" for number in range(26, 30)
    ]
    assert [each.name for each in found.count.holder_examples] == [f"u{number}" for number in range(2, 8)]
    lines = "\n".join(found.lines())
    assert "collector: 4 would be awarded; qualifying now: 28 of 30 users" in lines
    assert f"new: u26 ({people[26].pk}), " in lines
    assert f"hold it already: u2 ({people[2].pk}), " in lines
    assert lines.count(", ...") == 1, "more than six hold it"


def test_badge_that_existing_rows_cannot_decide(people):
    """What OLD decides is not counted, and that is said; its cost is."""
    found = look(entry("gone", trigger_condition="delete", condition="OLD.hit_views > 3"))["gone"]
    assert (found.count.new, found.count.error) == (None, "")
    assert next(found.lines()) == "gone: not counted, it is decided by a row that no longer exists (OLD)"
    assert [write.event for write in found.writes] == ["delete"]


def test_losers(declare, people, execute):
    """Who would lose a revocable badge: its holders whose rows do not meet the condition, but for manual awards."""
    revocable = {**COLLECTOR, "revocable": True}
    declare(revocable)
    run("award_badges", "--yes")
    Badge.objects.award(people[0], "collector")
    assert look(revocable)["collector"].count.losers == 0
    execute("SET LOCAL session_replication_role = replica")
    Sketch.objects.filter(user__in=people[20:23]).delete()
    execute("SET LOCAL session_replication_role = origin")
    found = look(revocable)["collector"]
    assert found.count.losers == 3
    assert [person.name for person in found.count.loser_examples] == ["u20", "u21", "u22"]
    names = ", ".join(f"u{number} ({people[number].pk})" for number in (20, 21, 22))
    assert f"    3 would lose it: {names}" in list(found.lines())


def test_expired_badges_are_lost_already(declare, people, execute):
    """Who held a revocable badge that has expired does not lose it."""
    revocable = {**COLLECTOR, "revocable": True, "expires_after": "1 day"}
    declare(revocable)
    run("award_badges", "--yes")
    execute("UPDATE badges_badge SET expires_at = now() - interval '1 hour'")
    execute("SET LOCAL session_replication_role = replica")
    Sketch.objects.all().delete()
    execute("SET LOCAL session_replication_role = origin")
    assert look(revocable)["collector"].count.losers == 0


def test_paused(declare, people):
    """Of a paused badge nothing is counted, as no user would be awarded it, nor lose it."""
    declare(COLLECTOR)
    paused = {**COLLECTOR, "active": False, "revocable": True}
    found = look(paused)["collector"]
    assert list(found.lines()) == ["collector: not counted, it is paused (active is false)"]
    assert (found.count.new, found.count.losers, found.warnings, found.watches) == (None, None, (), ())
    declare(paused)
    assert run("award_badges", "--dry-run").endswith("\n0 would be awarded.\n")
    run("award_badges")  # the brake finds nothing to stop


def test_things(declare, people):
    """Of a badge for each thing, users are counted, and what they would be awarded: as much as award_badges awards."""
    hit = entry("hit", condition="hit_views >= 20", per="id", expires_after="30 days")
    found = look(hit)["hit"]
    assert (found.count.new, found.count.awards) == (10, sum(range(20, 30)))
    lines = list(found.lines())
    assert lines[0] == "hit: 10 would be awarded 245 badges; qualifying now: 10 of 30 users"
    assert "    one badge for each id of public.dummy_sketch" in lines
    assert "    ends after 30 days, and can be earned again" in lines
    declare(hit)
    assert run("award_badges", "--dry-run").endswith("\n245 would be awarded.\n")
    assert run("award_badges", "--yes").endswith("\n245 awarded.\n")


def test_unwatched_is_told_once(people, execute):
    """What a revocable badge cannot notice is reported once, and its crontab line once below all of it."""
    execute("CREATE TABLE prices (price bigint)")
    condition = "NEW.hit_views > (select max(price) from prices where price < extract(epoch from now()))"
    found = look(entry("pricey", condition=condition, revocable=True))["pricey"]
    shown = [warning.message for warning in found.warnings if "index" not in warning.message]
    assert len(shown) == 2
    assert shown[0].startswith("The condition reads public.prices, and no column of it that equals user_id: its")
    assert shown[1].startswith("The condition depends on the time, which passes without a change.")
    create_badge_triggers.Command(stdout=(output := io.StringIO())).write_previews([found])
    assert output.getvalue().count("manage.py award_badges --late") == 1


def test_rows_of_others_in_its_own_table(people):
    """That a condition counts rows of others in its own table, whose changes do not check it for all, is reported."""
    assert "reads rows of all users in public.dummy_sketch:" in warnings(look(NAMESAKE)["namesake"])
    assert "rows of all users" not in warnings(look(COLLECTOR)["collector"])


def test_forgotten_where(people):
    """A query without a condition on the user is reported with the condition that is missing."""
    said = "condition reads public.dummy_sketch without a condition on the user: its result is the same for all users."
    whole = entry("whole", condition="count(*) >= 2 from dummy_sketch")
    subquery = entry("subquery", condition="exists (select from dummy_sketch where hit_views > 1)", revocable=True)
    found = look(whole, subquery, COLLECTOR, FIRST)
    for code, is_reported in {"whole": True, "subquery": True, "collector": False, "first": False}.items():
        hints = [each.hint for each in found[code].warnings if said in each.message]
        assert hints == ["Is a WHERE missing? WHERE user_id = NEW.user_id"] * is_reported


def test_hidden_rows(people, execute):
    """A number that row-level security may falsify is not shown."""
    execute("CREATE ROLE badges_test_hidden")
    execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO badges_test_hidden")
    execute("GRANT TEMPORARY ON DATABASE {} TO badges_test_hidden".format(connection.settings_dict["NAME"]))
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("ALTER TABLE dummy_sketch ENABLE ROW LEVEL SECURITY")
    execute("SET ROLE badges_test_hidden")
    try:
        count = look(FIRST)["first"].count
    finally:
        execute("RESET ROLE")
    assert count.new is None
    assert "row-level security may hide rows of public.dummy_sketch" in count.error


# What it costs


def test_cost_by_index(many_sketches, people):
    """The worst case is the user with the most rows: what PostgreSQL expects to read for that user, by index."""
    found = look(entry("views", condition="sum(hit_views) >= 5 from dummy_sketch where user_id = NEW.user_id"))["views"]
    [write] = found.writes
    assert (write.event, write.user) == ("insert", str(people[7].pk))
    [read] = write.reads
    assert (read.table, read.is_whole) == ("public.dummy_sketch", False)
    assert 1900 < read.rows < 2100, "2,007 of the rows are that user's"
    assert 0 < write.cost < 1000
    assert f"each insert reads about {read.rows:,} rows of public.dummy_sketch by index" in "\n".join(found.lines())
    assert found.warnings == ()


def test_cost_of_a_count(many_sketches, people):
    """What only counts reads no more than decides it."""
    [write] = look(COLLECTOR)["collector"].writes
    [read] = write.reads
    assert (read.table, read.is_whole, read.rows) == ("public.dummy_sketch", False, 2)


def test_cost_of_a_row_local_badge(people):
    """A condition on the changed row reads nothing else."""
    found = look(FIRST)["first"]
    assert (found.writes[0].reads, found.writes[0].rows) == ((), 0)
    assert "    each insert reads only the changed row (cost 0)" in list(found.lines())


def test_cost_without_statistics(people):
    """Without statistics the user with the most rows is found among the first rows."""
    assert look(COLLECTOR)["collector"].writes[0].user == str(people[29].pk)


def test_cost_without_rows(db):
    """In an empty table an average user stands in."""
    found = look(COLLECTOR)["collector"]
    assert found.writes[0].user is None
    assert found.writes[0].reads
    assert "for an average user" in "\n".join(found.lines())


def test_cost_of_each_event(people):
    """Each event has its cost, with NEW and OLD in sight as there."""
    condition = "NEW.hit_views > OLD.hit_views and count(*) > 3 from dummy_sketch where user_id = OLD.user_id"
    found = look(
        entry("both", trigger_condition="update", condition=condition),
        entry("any", trigger_condition=["insert", "update", "delete"], condition="hit_views > 3"),
    )
    assert [write.event for write in found["any"].writes] == ["insert", "update", "delete"]
    [write] = found["both"].writes
    assert [read.table for read in write.reads] == ["public.dummy_sketch"]


def test_whole_table(many_sketches, execute):
    """A table that is read whole is warned of with the statement for an index; with the index the warning is gone."""
    found = look(NAMESAKE)["namesake"]
    [read] = found.writes[0].reads
    assert (read.is_whole, read.rows, read.table_rows) == (True, 3435, 3435)
    assert found.writes[0].cost < 10_000, "without what PostgreSQL adds for a disabled scan"
    assert "reads the whole of public.dummy_sketch, about 3,435 rows" in "\n".join(found.lines())
    [warning, _] = found.warnings
    assert warning.hint == 'CREATE INDEX CONCURRENTLY ON "public"."dummy_sketch" ("title");'
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute(warning.hint.replace(" CONCURRENTLY", ""))
    found = look(NAMESAKE)["namesake"]
    assert ("No index" in warnings(found), found.writes[0].reads[0].is_whole) == (False, False)


@pytest.mark.django_db(transaction=True)
def test_proposed_statement_runs(committed, people):
    """The statement is complete: any client runs it as it stands."""
    with connect(autocommit=True) as other:
        other.execute(cost.create_index("public", "dummy_sketch", ("title",), is_partitioned=False))
        [(name,)] = other.execute(
            "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_attribute ON attrelid = "
            "indrelid AND attnum = indkey[0] WHERE attname = 'title' AND indisvalid"
        ).fetchall()
        other.execute(f"DROP INDEX {name}")


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ("count(*) > 5 from dummy_sketch where hit_views > NEW.hit_views", "No index can be proposed"),
        ("count(*) > 5 from dummy_sketch where title = NEW.title or hit_views = 3", "No index can be proposed"),
        ("count(*) > 5 from dummy_sketch where title = hit_views::text", "No index can be proposed"),
        ("count(*) > 5 from dummy_sketch where hit_views::text = NEW.title", "No index can be proposed"),
        ("sum(hit_views) > 5 from dummy_sketch", "No index helps"),
    ],
)
def test_no_index_can_be_proposed(many_sketches, condition, hint):
    """Where the plan compares no column for equality, only the scan is reported, and why nothing can be proposed."""
    found = look(entry(condition=condition))["collector"]
    assert "No index serves: each write reads the whole of public.dummy_sketch, about 3,435 rows." in warnings(found)
    assert hint in warnings(found)
    assert "CREATE INDEX" not in warnings(found)


def test_index_of_several_columns(many_sketches, execute):
    """All columns that are compared for equality, whatever their names and values, and no others."""
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute('ALTER TABLE dummy_sketch ADD "Odd ""name" text DEFAULT \'x\', ADD kind integer DEFAULT 1')
    execute("ANALYZE dummy_sketch")
    condition = (
        "count(*) > 5 from dummy_sketch s where \"Odd \"\"name\" = 'it''s (a) AND b' and NEW.hit_views = s.kind "
        "and s.hit_views < 7 and (s.title = NEW.title or s.id = 3)"
    )
    assert '("Odd ""name", "kind")' in warnings(look(entry(condition=condition))["collector"])


def test_tiny_table(people, execute):
    """A small table may be read whole without a word."""
    execute("ANALYZE dummy_sketch")
    found = look(NAMESAKE)["namesake"]
    assert found.writes[0].reads[0].is_whole
    assert "No index" not in warnings(found)


def test_partitioned_table(people, execute):
    """Of a partitioned table the whole is named, with the statement that PostgreSQL takes for it."""
    execute("CREATE TABLE visit (user_id bigint, place text) PARTITION BY HASH (user_id)")
    for number in range(2):
        execute(f"CREATE TABLE visit_{number} PARTITION OF visit FOR VALUES WITH (MODULUS 2, REMAINDER {number})")
    execute("INSERT INTO visit SELECT 1 + n % 50, n FROM generate_series(1, 5000) AS n")
    execute("ANALYZE visit")
    found = look(entry(trigger_table="visit", condition="count(*) > 5 from visit where place = NEW.place"))["collector"]
    [read] = found.writes[0].reads
    assert (read.table, read.rows, read.table_rows) == ("public.visit", 5000, 5000)
    assert 'CREATE INDEX ON "public"."visit" ("place");' in warnings(found)
    assert 'CREATE INDEX ON "public"."visit" ("user_id");' in warnings(found)


def test_user_column_without_index(people, execute):
    """award_badges goes through a large table once for each batch of users, or in one go if no index serves."""
    execute("CREATE TABLE visit (user_id bigint)")
    execute("INSERT INTO visit SELECT 1 + n % 50 FROM generate_series(1, 5000) AS n")
    execute("ANALYZE visit")
    badge = entry(trigger_table="visit", condition="true")
    found = look(badge)["collector"]
    assert "No index of public.visit begins with user_id" in warnings(found)
    [warning] = found.warnings
    execute(warning.hint.replace(" CONCURRENTLY", ""))
    assert look(badge)["collector"].warnings == ()


# What needs catch-up


def test_other_tables(people):
    """A table that the condition reads and whose changes check nothing is named, with the line for a crontab."""
    condition = "is_staff from auth_user where id = NEW.user_id"
    found = look(entry("staff", condition=condition), COLLECTOR)
    assert "A change of public.auth_user does not check the badge" in warnings(found["staff"])
    [warning] = found["staff"].warnings
    assert warning.hint == "0 * * * * cd /path/to/site && python manage.py award_badges --late"
    assert found["collector"].warnings == ()


def test_time(people):
    """A badge that time alone can bring is to be awarded on a schedule."""
    found = look(entry("old 100%", condition="NEW.created < now() - interval '1 year'"))["old 100%"]
    assert "depends on the time" in warnings(found)
    assert "0 * * * * cd /path/to/site && python manage.py award_badges --late" in warnings(found)


def test_function_of_the_site(people, execute):
    """What a function of the site's own reads is unknown, and that is reported."""
    execute("CREATE FUNCTION seen(bigint) RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$")
    assert "it is not known which tables that reads" in warnings(
        look(entry(condition="seen(NEW.user_id)"))["collector"]
    )


# Harmless


def test_endless_condition(badge_file, people, settings):
    """A condition that would run for hours is cut by the timeout; the plan still shows, with all other badges."""
    settings.BADGES_PREVIEW_TIMEOUT = 1000
    badge_file(ENDLESS, FIRST)
    began = time.monotonic()
    output = run("create_badge_triggers", "--plan")
    assert time.monotonic() - began < 120
    assert "add definition endless  (new)" in output
    assert "endless: not counted within 1000 ms (BADGES_PREVIEW_TIMEOUT)" in output
    assert "first: 29 would be awarded" in output


def test_failing_condition(people):
    """PostgreSQL's message stands in the place of the number, and the next badge is counted."""
    found = look(entry("broken", condition="1 / (NEW.hit_views - 3) > 5"), FIRST)
    assert next(found["broken"].lines()) == "broken: not counted: division by zero"
    assert found["first"].count.new == 29


@pytest.mark.django_db(transaction=True)
def test_read_only(committed, people, execute):
    """Not even a function that lies about its volatility can write in a preview."""
    execute("CREATE TABLE trace (id integer)")
    execute(
        "CREATE FUNCTION writes() RETURNS boolean LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO trace VALUES (1); RETURN true; END $$"
    )
    execute("CREATE FUNCTION lies() RETURNS boolean STABLE LANGUAGE sql AS $$ SELECT writes() $$")
    try:
        found = look(entry("liar", condition="lies()"), FIRST)
        assert found["liar"].count.error == "not counted: cannot execute INSERT in a read-only transaction"
        assert found["first"].count.new == 29
        assert execute("SELECT count(*) FROM trace") == [(0,)]
    finally:
        execute("DROP FUNCTION lies()")
        execute("DROP FUNCTION writes()")
        execute("DROP TABLE trace")


@pytest.mark.parametrize("command", ["create_badge_triggers", "award_badges"])
def test_nothing_is_changed(declare, badge_file, people, database_unchanged, execute, command):
    """A preview leaves database and session as they were."""
    declare(FIRST, COLLECTOR)
    names = "('statement_timeout', 'lock_timeout', 'transaction_read_only', 'search_path', 'enable_seqscan', 'jit')"
    before = execute(f"SELECT name, setting FROM pg_settings WHERE name IN {names}")
    with database_unchanged():
        if command == "create_badge_triggers":
            badge_file({**FIRST, "condition": "true"}, COLLECTOR)
            run(command, "--plan")
        else:
            run(command, "--dry-run")
    assert execute(f"SELECT name, setting FROM pg_settings WHERE name IN {names}") == before


@pytest.mark.django_db(transaction=True)
def test_locked_table(committed, people, settings, execute):
    """A table that another session has locked against readers is not waited for."""
    settings.BADGES_LOCK_TIMEOUT = 100
    execute("CREATE TABLE visit (user_id bigint)")
    try:
        with connect() as other:
            badge = entry("visitor", condition="true", trigger_table="visit")
            declared = definitions.parse(json.dumps([badge]))
            here = describe_target(connection)
            analysed = analysis.analyse(connection, here, declared)
            other.execute("LOCK TABLE visit")
            [found] = preview.of(connection, here, analysed)
            other.rollback()
    finally:
        execute("DROP TABLE visit")
    assert found.count.error == "not counted, as a table is locked against readers"
    assert found.writes_error == "not estimated, as a table is locked against readers"


# Where it is shown


def test_only_changed_badges(declare, badge_file, people):
    """The plan shows the badges whose rule is new or other than before; a new name changes nothing for users."""
    declare(FIRST, COLLECTOR, NAMESAKE)
    changed = {**NAMESAKE, "trigger_condition": ["insert", "update"]}
    badge_file({**FIRST, "name": "Other"}, {**COLLECTOR, "condition": "true"}, changed, entry("fresh"))
    shown = json.loads(run("create_badge_triggers", "--json"))["previews"]
    assert [each["code"] for each in shown] == ["collector", "namesake", "fresh"]
    declare(FIRST)
    badge_file(FIRST, COLLECTOR)
    shown = json.loads(run("create_badge_triggers", "--json"))["previews"]
    assert [each["code"] for each in shown] == ["collector"], "declared again"


def test_json(many_sketches, badge_file, people):
    """--json carries all of it as plain data."""
    badge_file({**NAMESAKE, "condition": f"{NAMESAKE['condition']} and created > now() - interval '1 day'"})
    [found] = json.loads(run("create_badge_triggers", "--json"))["previews"]
    assert found.keys() == {
        "code", "users", "qualifying", "new", "awards", "losers", "new_examples", "holder_examples", "loser_examples",
        "skipped", "error", "is_out_of_time", "estimated", "at_most", "losers_estimated", "losers_at_most",
        "sampled", "writes", "writes_error", "warnings", "watches", "notes"
    }  # fmt: skip
    assert (found["users"], found["qualifying"], found["new"], found["losers"]) == (30, 27, 27, None)
    assert len(found["new_examples"]) == 10
    assert found["new_examples"][0] == {"key": str(people[3].pk), "name": "u3"}
    [write] = found["writes"]
    assert (write["event"], write["user"]) == ("insert", str(people[7].pk))
    assert write["reads"][0]["index"].startswith("CREATE INDEX CONCURRENTLY ON")
    assert [bool(each["message"] and each["remedy"]) for each in found["warnings"]] == [True] * 3


def test_check_and_plain_runs_look_at_nothing(badge_file, people, monkeypatch):
    """Neither --check, --sql nor an installation waits for a preview."""
    badge_file(ENDLESS)
    monkeypatch.setattr(preview, "count", None)
    fail("create_badge_triggers", "--check")
    run("create_badge_triggers", "--sql")
    run("create_badge_triggers")


def test_dry_run_of_one_badge(declare, people):
    """--dry-run shows the badges that are chosen, with what the plan shows of them."""
    declare(FIRST, COLLECTOR)
    output = run("award_badges", "collector", "--dry-run")
    assert "collector: 28 would be awarded; qualifying now: 28 of 30 users" in output
    assert "each insert reads about" in output
    assert "first" not in output
    assert output.endswith("28 would be awarded.\n")


def test_dry_run_out_of_time(declare, people, settings):
    """What could not be counted is not taken for zero."""
    settings.BADGES_PREVIEW_TIMEOUT = 1000
    declare(FIRST, ENDLESS)
    code, output = fail("award_badges", "--dry-run")
    assert code == 1
    assert "29 would be awarded; not all, as endless could not be counted." in output


@pytest.fixture
def uncounted(monkeypatch, settings):
    """Counting takes too long, but for a sample."""
    settings.BADGES_PREVIEW_TIMEOUT = 2000

    find = preview._find

    def count(connection, target, analysed, facts, bounds=None, **options):
        if not bounds:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 1; SELECT pg_sleep(60)")
        return find(connection, target, analysed, facts, bounds, **options)

    monkeypatch.setattr(preview, "_find", count)


def test_estimate(declare, people, uncounted, monkeypatch):
    """Where counting takes too long, a sample gives an estimate, and it is called one; exact numbers stay unknown."""
    declare(entry("rare", condition="NEW.hit_views >= 27"), FIRST)
    code, output = fail("award_badges", "--dry-run")
    assert code == 1
    # The sample comprises all users here.
    assert "first: not counted within 2000 ms (BADGES_PREVIEW_TIMEOUT)" in output
    assert "    about 29 would be awarded: an estimate from 30 of 30 users" in output
    assert "0 would be awarded; not all, as rare, first could not be counted." in output
    monkeypatch.setattr(preview, "SAMPLES", (10,))
    found = look(FIRST)["first"].count
    assert (found.new, found.qualifying, found.awards) == (None, None, None)
    assert found.sampled < 30
    assert not found.sampled or found.estimated <= found.at_most <= 30


def test_brake_by_an_estimate(declare, people, uncounted, settings):
    """The brake stops by an estimate, with its margin, and proceeds where even that is below the share."""
    declare(FIRST)
    assert (
        "first: about 29 of 30 users, up to 100%, would be awarded: an estimate from 30 users"
        in fail("award_badges")[1]
    )
    declare(entry("rare", condition="NEW.hit_views >= 27"))
    settings.BADGES_BRAKE = 0.1
    assert "rare: about 3 of 30 users, up to 3" in fail("award_badges")[1]
    settings.BADGES_BRAKE = 0.5
    assert "rare: 3 awarded" in run("award_badges")
    assert "rare: 0 awarded" in run("award_badges"), "all who qualify hold it"


def test_losers_are_estimated(declare, people, uncounted, settings, execute):
    """Who would lose a revocable badge is estimated as well, and the brake goes by that."""
    revocable = {**COLLECTOR, "revocable": True}
    declare(revocable)
    run("award_badges", "--yes")
    assert "collector: 0 awarded" in run("award_badges"), "no user would lose it"
    execute("SET LOCAL session_replication_role = replica")
    Sketch.objects.filter(user__in=people[20:23]).delete()
    execute("SET LOCAL session_replication_role = origin")
    assert "    about 3 would lose it: an estimate from 30 of 30 users" in fail("award_badges", "--dry-run")[1]
    settings.BADGES_BRAKE = 0.1
    said = "collector: about 3 of 30 users, up to 30%, would be revoked: an estimate from 30 users"
    assert said in fail("award_badges")[1]
    settings.BADGES_BRAKE = 0.5
    assert "collector: 0 awarded" in run("award_badges")


@pytest.fixture
def by_ten(monkeypatch):
    """Batches of ten users, and every progress is shown."""
    monkeypatch.setattr(preview, "BATCH", 10)
    monkeypatch.setattr(_base, "SECONDS_BETWEEN_LINES", 0)


@pytest.mark.parametrize("command", ["create_badge_triggers", "award_badges"])
def test_count_in_batches(declare, badge_file, people, uncounted, by_ten, database_unchanged, command):
    """--count gives the exact numbers of what takes too long, batch by batch, and shows how far it is."""
    declare(FIRST)
    for user in people[20:25]:
        Badge.objects.award(user, "first")
    if command == "create_badge_triggers":
        badge_file({**FIRST, "condition": "NEW.hit_views >= -1"})
    with database_unchanged():
        progress, output = run_apart(command, "--count")
    assert progress.splitlines() == [
        "  first: not counted within 2000 ms (BADGES_PREVIEW_TIMEOUT); counting in batches, until Ctrl-C",
        "  first: 10 of 30 users counted",
        "  first: 20 of 30 users counted",
        "  first: 30 of 30 users counted",
    ]
    assert "  first: 24 would be awarded; qualifying now: 29 of 30 users\n" in output
    assert "estimate" not in output


def test_count_of_losers_and_examples(declare, people, uncounted, by_ten, execute):
    """In batches as well, ten users are named, subjects are counted, and those who would lose a badge."""
    hit = entry("hit", condition="hit_views >= 20", per="id", revocable=True)
    declare(hit)
    for user in people[:3]:
        execute(
            "INSERT INTO badges_badge (user_id, code, thing, evidence, by_hand) VALUES (%s, 'hit', '1', '{}', false)",
            [user.pk],
        )
    counted = json.loads(run_apart("create_badge_triggers", "--count", "--json")[1])["previews"]
    assert counted == [], "its rule is installed"
    count = counting(hit)[-1]
    assert (count.new, count.qualifying, count.awards, count.losers) == (10, 10, sum(range(20, 30)), 3)
    assert (count.error, count.is_out_of_time, count.estimated) == ("", False, None)
    assert len(count.new_examples) == 10
    assert {person.name for person in count.loser_examples} == {"u0", "u1", "u2"}


def test_counted_so_far_is_an_estimate(declare, people, uncounted, by_ten, monkeypatch):
    """After each batch, what has been counted is projected to all users, and called an estimate."""
    monkeypatch.setattr("random.shuffle", lambda batches: None)
    declare(FIRST)
    [_, first, second, third, whole] = counting(FIRST)
    # u0 has no sketch.
    assert [(each.sampled, each.estimated) for each in (first, second, third)] == [(10, 27), (20, 28), (30, 29)]
    assert {each.new for each in (first, second, third)} == {None}
    assert {each.at_most for each in (first, second, third)} == {None}
    assert whole.new == 29


def test_interrupted_count(declare, people, uncounted, by_ten, monkeypatch):
    """Ctrl-C ends the counting of all badges, and leaves an estimate; then the command shows them."""
    monkeypatch.setattr("random.shuffle", lambda batches: None)
    declare(FIRST, COLLECTOR)
    find, found = preview._find, []

    def interrupted(connection, target, analysed, facts, bounds=None, **options):
        if bounds and not options and len(found) == 2:
            raise KeyboardInterrupt
        found.extend([None] * bool(bounds and not options))
        return find(connection, target, analysed, facts, bounds, **options)

    monkeypatch.setattr(preview, "_find", interrupted)
    code, output = fail("award_badges", "--count")
    assert code == 1
    assert "Interrupted: the users counted so far give an estimate." in output
    assert "first: not counted to the end\n      about 28 would be awarded: an estimate from 20 of 30 users" in output
    assert "collector: not counted within 2000 ms" in output
    assert "not all, as first, collector could not be counted." in output


@pytest.mark.django_db(transaction=True)
def test_interrupted_statement(committed, people, settings):
    """Ctrl-C ends the statement that runs, too; what is known of the badges is shown in the same session."""
    settings.BADGES_PREVIEW_TIMEOUT = 1000
    committed(ENDLESS, FIRST)
    errors, output = io.StringIO(), io.StringIO()
    [(pid,)] = fetch(connection, "SELECT pg_backend_pid()")

    def interrupt():
        with connect(autocommit=True) as other:
            running = (
                "SELECT true FROM pg_stat_activity "
                "WHERE pid = %s AND state = 'active' AND query LIKE '-- Of the users%%'"
            )
            while "counting in batches" not in errors.getvalue() or not other.execute(running, [pid]).fetchone():
                time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt, daemon=True)
    try:
        thread.start()
        with pytest.raises(CommandError, match="29 would be awarded; not all, as endless could not be counted"):
            call_command("award_badges", "--count", stdout=output, stderr=errors, no_color=True)
    finally:
        signal.signal(signal.SIGINT, handler)
        thread.join()
    assert "Interrupted" in errors.getvalue()
    assert "endless: not counted within 1000 ms (BADGES_PREVIEW_TIMEOUT)" in output.getvalue()
    assert fetch(connection, "SELECT true") == [(True,)]


@pytest.mark.django_db(transaction=True)
def test_interruption_that_leaves_the_session_busy(committed, people, settings):
    """Ctrl-C while psycopg sends a statement leaves the session busy: it ends, and the command proceeds in another."""
    settings.BADGES_PREVIEW_TIMEOUT = 1000
    committed(ENDLESS, FIRST)
    errors, output = io.StringIO(), io.StringIO()

    def interrupt(execute, query, params, many, context):
        if "counting in batches" in errors.getvalue() and query.startswith("-- Of the users"):
            connection.connection.pgconn.send_query(b"SELECT 1")
            raise KeyboardInterrupt
        return execute(query, params, many, context)

    with connection.execute_wrapper(interrupt), pytest.raises(CommandError, match="29 would be awarded; not all"):
        call_command("award_badges", "--count", stdout=output, stderr=errors, no_color=True)
    assert "Interrupted" in errors.getvalue()
    assert fetch(connection, "SELECT true") == [(True,)]


def test_batch_that_fails(declare, people, uncounted, by_ten):
    """A condition that fails in a batch ends the counting of this badge, and the next one is counted."""
    declare(entry("broken", condition="1 / (NEW.hit_views - 13) > 5"), FIRST)
    code, output = fail("award_badges", "--count")
    assert code == 1
    assert "broken: not counted: division by zero" in output
    assert "first: 29 would be awarded; qualifying now: 29 of 30 users" in output


def test_count_without_an_index(people, uncounted, by_ten, execute):
    """Where no index finds the rows of a user, one batch has all users, so that the table is read once."""
    execute("CREATE TABLE visit (user_id bigint)")
    execute("INSERT INTO visit SELECT id FROM auth_user")
    visitor = entry("visitor", condition="true", trigger_table="visit")
    [_, last, whole] = counting(visitor)
    assert (last.sampled, whole.new) == (30, 30)


def counting(badge):
    """The counts of one badge, as counting in batches gives them."""
    declared = definitions.parse(json.dumps([badge]))
    here = describe_target(connection)
    previews = preview.of(connection, here, analysis.analyse(connection, here, declared))
    assert previews[0].count.is_out_of_time
    return [each.count for each in preview.in_batches(connection, declared, "badge.json", previews)]


def run_apart(command, *args):
    """Call a command; gives what it wrote as errors, and its output."""
    errors, output = io.StringIO(), io.StringIO()
    call_command(command, *args, stdout=output, stderr=errors, no_color=True)
    return errors.getvalue(), output.getvalue()


# The brake


@pytest.mark.parametrize("command", [("create_badge_triggers", "--backfill"), ("award_badges",)])
def test_brake(badge_file, people, held, database_unchanged, command):
    """What awards a badge to more than a fifth of the users stops with nothing changed; --yes proceeds."""
    badge_file(entry("rare", condition="NEW.hit_views >= 27"), FIRST)
    if command == ("award_badges",):
        run("create_badge_triggers")
    with database_unchanged():
        code, output = fail(*command)
    assert code == 1
    assert "first: 29 of 30 users, 97%, would be awarded" in output
    assert "rare" not in output
    assert "--yes" in output
    assert "first: 29 awarded" in run(*command, "--yes")
    assert held(people[1]) == ["first"]


@pytest.mark.parametrize(("share", "is_braked"), [(0.1, False), (0.09, True), (0, True), (1, False)])
def test_share(declare, people, settings, share, is_braked):
    """BADGES_BRAKE is the share up to which nothing is asked; 1 turns the brake off."""
    settings.BADGES_BRAKE = share
    declare(entry("rare", condition="NEW.hit_views >= 27"))
    if is_braked:
        assert "rare: 3 of 30 users, 10%" in fail("award_badges")[1]
    else:
        assert "rare: 3 awarded" in run("award_badges")


def test_holders_do_not_count(declare, people):
    """Only new awards are braked: a badge that all but a few hold already is caught up with."""
    declare(FIRST)
    run("award_badges", "--yes")
    Badge.objects.filter(user__in=people[:4]).delete()
    assert "first: 3 awarded" in run("award_badges")


def test_few_users(declare, people):
    """A site with fewer than 20 users is never braked."""
    User.objects.filter(pk__in=[user.pk for user in people[19:]]).delete()
    declare(FIRST)
    assert brake.MIN_USERS == 20
    assert "first: 18 awarded" in run("award_badges")


def test_brake_out_of_time(declare, people, settings, monkeypatch):
    """If the number cannot be counted in time, the brake asks as well."""
    settings.BADGES_PREVIEW_TIMEOUT = 1000
    declare(ENDLESS)
    assert "endless: not counted within 1000 ms (BADGES_PREVIEW_TIMEOUT)" in fail("award_badges")[1]


def test_brake_and_failing_condition(declare, people):
    """A condition that fails awards no user, so it stops no other badge."""
    declare(entry("broken", condition="1 / (NEW.hit_views - 3) > 5"), entry("rare", condition="NEW.hit_views >= 27"))
    _, output = fail("award_badges")
    assert "rare: 3 awarded" in output
    assert "broken: the condition failed: division by zero" in output


def test_plain_installation_is_not_braked(badge_file, people, held):
    """Installing awards nothing, so it asks nothing."""
    badge_file(FIRST)
    assert "Done" in run("create_badge_triggers")
    assert held(people[1]) == []


def test_installation_that_would_revoke(declare, badge_file, people, database_unchanged):
    """Where badges can be revoked, an installation that would take one from too many stops as well."""
    declare(FIRST)
    run("award_badges", "--yes")
    badge_file({**FIRST, "condition": "NEW.hit_views > 20", "revocable": True})
    with database_unchanged():
        assert "first: 20 of 30 users, 67%, would be revoked" in fail("create_badge_triggers")[1]
    assert "Done" in run("create_badge_triggers", "--yes")


def test_installed_rules_are_not_counted(declare, badge_file, people, settings):
    """An installation takes nothing back under a rule that is installed already: that is not asked, nor waited for."""
    settings.BADGES_PREVIEW_TIMEOUT = 1000
    revocable = {**ENDLESS, "revocable": True}
    badge_file(revocable)
    assert "endless: not counted within 1000 ms (BADGES_PREVIEW_TIMEOUT)" in fail("create_badge_triggers")[1]
    run("create_badge_triggers", "--yes")
    assert "Nothing to do" in run("create_badge_triggers")
    badge_file(revocable, FIRST)
    assert "add definition first" in run("create_badge_triggers")


@pytest.mark.parametrize("value", [-0.1, 1.5, "0.2", True, None])
def test_bad_share(declare, people, settings, value):
    """A share that is none is rejected by name."""
    settings.BADGES_BRAKE = value
    declare(FIRST)
    assert "BADGES_BRAKE is" in fail("award_badges")[1]


def test_plan_of_all_keys(declare, badge_file, people, execute):
    """For a file that uses every key, the plan says after what each badge is checked, and what it cannot notice."""
    execute("CREATE TABLE likes (author_id bigint REFERENCES auth_user (id))")
    execute("CREATE TABLE prices (price bigint)")
    likes = {"table": "likes", "on": ["insert", "delete"], "user_field": "author_id"}
    own = {"table": "dummy_sketch", "on": "insert", "user_field": "user_id"}
    liked = entry("liked", condition="count(*) >= 2 from likes where author_id = NEW.user_id", triggers=[own, likes])
    levels = entry("levels", progress="count(*) from dummy_sketch where user_id = NEW.user_id", levels=[
        {"code": "five", "goal": 5}, {"code": "ten", "goal": 10},
    ])  # fmt: skip
    for key in ("trigger_table", "trigger_condition", "user_field"):
        del liked[key]
    for key in ("condition", "code"):
        del levels[key]
    pricey = entry("pricey", condition="NEW.hit_views > (select max(price) from prices)", revocable=True)
    hit = entry("hit", condition="hit_views >= 20", per="id", expires_after="30 days")
    kept = entry("kept", condition="count(*) >= 2 from likes where author_id = NEW.user_id", revocable=True)
    off = entry("off", active=False)
    declare(off)
    badge_file(liked, levels, pricey, hit, kept, off, entry("new-off", active=False))
    shown = [line.strip() for line in run("create_badge_triggers", "--plan").splitlines()]
    name = (
        "its changes are not noticed. Name it in triggers, with the column that holds the user, or run award_badges on "
        "a schedule."
    )
    own_rows = "on public.dummy_sketch, for user_id (its rows decide)"
    for line in (
        "five: 25 would be awarded; qualifying now: 25 of 30 users",
        "ten: 20 would be awarded; qualifying now: 20 of 30 users",
        "also checked after insert, delete on public.likes, for author_id (named in triggers)",
        f"also checked after update, delete {own_rows}",
        "also checked after insert, update, delete on public.likes, for author_id (its rows decide)",
        "0 would lose it",
        "hit: 10 would be awarded 245 badges; qualifying now: 10 of 30 users",
        "one badge for each id of public.dummy_sketch",
        "ends after 30 days, and can be earned again",
        "new-off: not counted, it is paused (active is false)",
        f"! The condition reads public.prices, and no column of it that equals user_id: {name}",
        "0 * * * * cd /path/to/site && python manage.py award_badges --late",
    ):
        assert line in shown, line
    assert not any(line.startswith("off: ") for line in shown)


def test_cost_of_checks_of_the_user_as_a_whole(many_sketches, people, execute):
    """A revocable badge that a row decides is evaluated by all rows of the user, and that is what its writes cost."""
    execute("CREATE TABLE likes (author_id bigint REFERENCES auth_user (id))")
    condition = "hit_views > 5 and exists (select from likes where author_id = NEW.user_id)"
    found = look(entry("seen", condition=condition, revocable=True, trigger_condition="update"))["seen"]
    assert [(write.event, write.table) for write in found.writes] == [
        ("update", ""), ("insert", ""), ("delete", ""),
        ("insert", "public.likes"), ("update", "public.likes"), ("delete", "public.likes"),
    ]  # fmt: skip
    assert {write.user for write in found.writes} == {str(people[7].pk)}
    for write in found.writes:
        assert max(read.rows for read in write.reads if read.table == "public.dummy_sketch") > 1_500
    shown = [line for line in found.lines() if line.startswith("    each ")]
    assert shown[0].startswith("    each update or insert or delete reads about ")
    assert shown[1].startswith("    each insert or update or delete on public.likes reads about ")
    assert len(shown) == 2
