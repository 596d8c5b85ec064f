"""A condition means the same in every session, whatever settings that has."""

from __future__ import annotations

import itertools
import json
import re
from io import StringIO

import pytest
from conftest import entry
from django.core.management import call_command
from django.db import connection

from badges import definitions, exceptions, progress
from badges.facts import analysis, session
from badges.facts.target import describe_target
from badges.installation import executor

#: 20:00 in UTC is 05:00 in Tokyo.
EVENING = "2026-01-15 20:00+00"

OF_USER = "FROM dummy_sketch AS s WHERE s.user_id = NEW.user_id"

EARLY = "extract(hour from NEW.created) < 6"
ANY_EARLY = f"count(*) FILTER (WHERE extract(hour from s.created) < 6) > 0 {OF_USER}"
CHANGED = "OLD.title <> NEW.title"

SESSIONS = (
    {"TimeZone": "UTC"},
    {"TimeZone": "Asia/Tokyo"},
    {
        "TimeZone": "America/New_York", "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard",
        "default_text_search_config": "simple", "transform_null_equals": "on", "extra_float_digits": "-15",
        "bytea_output": "escape", "xmloption": "document", "array_nulls": "off", "backslash_quote": "off",
        "standard_conforming_strings": "off",
    },
)  # fmt: skip

#: The connection of Django cannot read times in other styles than ISO, for instance.
FOR_COMMANDS = (
    "TimeZone", "IntervalStyle", "default_text_search_config", "transform_null_equals", "extra_float_digits",
    "bytea_output",
)  # fmt: skip


@pytest.fixture
def enter(execute):
    """Give this session these settings, and the default of all others."""

    def set_all(**settings):
        for name in session.ALL:
            execute(f"RESET {name}")
        for name, value in settings.items():
            # PostgreSQL 19 knows no other value than on.
            if name != "standard_conforming_strings" or connection.pg_version < 190_000:
                execute("SELECT set_config(%s, %s, false)", [name, value])

    yield set_all
    if not connection.needs_rollback:
        set_all(TimeZone="UTC")


def settings_of(condition, **changes):
    """The settings that a badge depends on, by its facts."""
    target = describe_target(connection)
    [definition] = definitions.parse(definitions_text(entry("x", condition=condition, **changes)))
    [analysed] = analysis.analyse(connection, target, [definition])
    return {name for facts in analysed.facts.values() for name in facts.settings}


def definitions_text(*entries):
    return json.dumps(entries)


def insert(execute, users, created=EVENING, title="'x'"):
    """Insert a sketch for each of the users by one statement."""
    execute(
        f"INSERT INTO dummy_sketch (user_id, title, created) SELECT u, {title}, %s::timestamptz FROM unnest(%s) AS u",
        [created, [user.pk for user in users]],
    )


@pytest.fixture
def users(django_user_model, db):
    return [django_user_model.objects.create(username=name) for name in ("ada", "ben")]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "UTC"])
@pytest.mark.parametrize(
    "badge",
    [
        entry("early", condition=EARLY),
        entry("early", condition=ANY_EARLY),
        entry("early", condition=ANY_EARLY, trigger_condition=["insert", "update"], revocable=True),
        entry("early", condition=f"{EARLY} AND {CHANGED}", trigger_condition="update"),
        entry("early", condition=f"{CHANGED} AND (SELECT {ANY_EARLY})", trigger_condition="update"),
    ],
    ids=["row-local", "cross-row", "revocable", "row-level", "row-level cross-row"],
)  # fmt: skip
def test_a_time_zone_in_triggers(declare, execute, enter, settings, users, held, zone, badge):
    """The hour is that of the site, for every writer: after one row and many, statement-level and row-level."""
    settings.BADGES_TIME_ZONE = zone
    declare(badge)
    expected = ["early"] if zone == "Asia/Tokyo" else []
    for own, number in itertools.product(SESSIONS, (1, 2)):
        execute("DELETE FROM dummy_sketch")
        execute("DELETE FROM badges_badge")
        enter(**own)
        insert(execute, users[:number])
        execute("UPDATE dummy_sketch SET title = 'y'")
        assert [held(user) for user in users[:number]] == [expected] * number, (own, number)
        # The session keeps its own.
        assert execute("SHOW TimeZone") == [(own["TimeZone"],)]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session["TimeZone"])
def test_a_time_zone_in_commands(declare, execute, enter, settings, users, held, session):
    """award_badges, the preview, explain_badge, progress, catch-up and settling read the same hour as triggers."""
    insert(execute, users)
    settings.BADGES_TIME_ZONE = "Asia/Tokyo"
    of_users = f"count(*) FILTER (WHERE extract(hour from s.created) < 6) {OF_USER}"
    declare(
        entry("row", condition=EARLY, revocable=True, trigger_condition=["insert", "update"]),
        {key: value for key, value in entry("goal", progress=of_users, goal=1).items() if key != "condition"},
        entry("late", condition=f"{EARLY} AND now() > NEW.created"),
    )
    enter(**{name: value for name, value in session.items() if name in FOR_COMMANDS})
    out = StringIO()
    call_command("award_badges", dry_run=True, stdout=out)
    assert "row: 2 would be awarded" in out.getvalue()
    assert "days and hours are those of Asia/Tokyo" in out.getvalue()
    out = StringIO()
    call_command("explain_badge", "row", "ada", stdout=out)
    assert "True" in out.getvalue() or "true" in out.getvalue()
    goals = {"goal": definitions.load(settings.BADGES_FILE)[1].goal}
    assert progress.of(connection, [users[0].pk], goals)[users[0].pk]["goal"].value == 1
    assert execute("SELECT awarded FROM badges_catch_up()") == [(2,)]
    assert held(users[0]) == ["late"]
    call_command("award_badges", yes=True, verbosity=0)
    assert held(users[0]) == ["goal", "late", "row"]
    # Nothing is revoked, and the session keeps its own.
    call_command("award_badges", yes=True, verbosity=0)
    assert held(users[1]) == ["goal", "late", "row"]
    assert execute("SHOW TimeZone") == [(session["TimeZone"],)]
    for user in users:
        assert execute("SELECT earned FROM badges_check('row', 'state', %s, '', NULL, NULL, true)", [user.pk]) == [
            (True,)
        ]


#: By condition, what a session could change of it. Each is true under the settings that are pinned.
BY_SETTING = {
    "date '01/02/2026' = make_date(2026, 1, 2)": {"DateStyle"},
    "NEW.created::text LIKE '2026-%'": {"DateStyle", "TimeZone"},
    "concat(NEW.created::date) = '2026-01-15'": {"DateStyle", "TimeZone"},
    "interval '-1 day 2:00' > interval '-1 day'": {"IntervalStyle"},
    "make_interval(days => 1)::text = '1 day'": {"IntervalStyle"},
    r"length('\\') = 2": {"standard_conforming_strings"},
    r"length(E'\'') = 1": {"standard_conforming_strings", "backslash_quote"},
    "(NEW.title = NULL) IS NULL": {"transform_null_equals"},
    "(0.1::float8 + 0.2::float8)::text = '0.30000000000000004'": {"extra_float_digits"},
    "convert_to('a', 'UTF8')::text = '\\x61'": {"bytea_output", "standard_conforming_strings"},
    "('{NULL}'::text[])[1] IS NULL": {"array_nulls"},
    "to_tsvector('stars') = to_tsvector('english', 'stars')": {"default_text_search_config"},
    "NEW.created >= '2026-01-15 20:00'": {"TimeZone"},
    "NEW.created > now() - interval '700000 days'": {"TimeZone"},
    "CURRENT_DATE >= '2026-01-01'": {"TimeZone"},
    "to_jsonb(NEW.*) ->> 'created' LIKE '2026-01-15T20%'": {"TimeZone", "DateStyle"},
    # These mean the same everywhere, and cost nothing.
    "NEW.hit_views >= 0": set(),
    "NEW.created > 'epoch'::timestamptz - interval '1 day' * 0 OR NEW.title <> 'it''s'": {"TimeZone"},
    "NEW.created <= now()": set(),
    "(NEW.created AT TIME ZONE 'UTC')::date = date '2026-01-15'": set(),
    "interval '7 days' > interval '1 day'": set(),
    f"count(*) >= 1 {OF_USER}": set(),
}


@pytest.mark.parametrize(("condition", "expected"), BY_SETTING.items(), ids=map(str, BY_SETTING))
def test_settings_that_matter(db, condition, expected):
    """The facts name the settings that can change the meaning of a condition, and no others."""
    assert settings_of(condition) == expected


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session["TimeZone"])
def test_settings_in_triggers(declare, execute, enter, users, held, session):
    """Conditions that depend on a setting are true in every session."""
    execute("SET default_text_search_config = 'english'")
    declare(*(entry(f"b{number}", condition=condition) for number, condition in enumerate(BY_SETTING)
              if "to_tsvector" not in condition))  # fmt: skip
    enter(**session)
    insert(execute, users[:1])
    insert(execute, users)
    missing = set(range(len(BY_SETTING))) - {int(code[1:]) for code in held(users[1])}
    assert [list(BY_SETTING)[number] for number in missing if "to_tsvector" not in list(BY_SETTING)[number]] == []
    assert execute("SELECT code, message FROM badges_failure") == []
    enter(**{name: value for name, value in session.items() if name in FOR_COMMANDS})
    execute("DELETE FROM badges_badge")
    call_command("award_badges", yes=True, verbosity=0)
    assert len(held(users[1])) == len(BY_SETTING) - 1


def test_a_view_and_a_function_of_the_site(db, execute):
    """What a view calls counts as well; of a function of the site's own it is not known what it calls."""
    execute("CREATE VIEW days AS SELECT user_id, created::date AS day FROM dummy_sketch")
    execute("CREATE VIEW streaks AS SELECT user_id, count(DISTINCT day) AS days FROM days GROUP BY user_id")
    assert settings_of("days >= 2 FROM streaks WHERE user_id = NEW.user_id") == {"TimeZone"}
    execute("CREATE FUNCTION is_early(at timestamptz) RETURNS boolean STABLE LANGUAGE sql"
            " AS $$ SELECT extract(hour from at) < 6 $$")  # fmt: skip
    assert settings_of("is_early(NEW.created)") == {"TimeZone", "DateStyle", "IntervalStyle"} | (
        set(session.ALL) - {
            "array_nulls", "backslash_quote", "standard_conforming_strings", "transform_null_equals"
        })  # fmt: skip
    execute(r"CREATE FUNCTION slash(x text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT x = '\' $$")
    assert settings_of("slash(NEW.title)") == {"standard_conforming_strings", "backslash_quote"}


def test_only_what_needs_it_is_pinned(declare, execute, settings):
    """A function without such a badge has no further SET clause."""
    declare(entry("early", condition=EARLY), entry("other", trigger_table="dummy_like", condition="true"))
    found = dict(execute("SELECT proname, proconfig::text FROM pg_proc WHERE proname LIKE 'badges\\_insert\\_dummy%%'"))
    assert {re.sub("_[^_]+$", "", name): "TimeZone" in config for name, config in found.items()} == {
        "badges_insert_dummy_sketch": True,
        "badges_insert_dummy_like": False,
    }
    assert executor.draft(connection, definitions.load(settings.BADGES_FILE), "x").is_empty
    settings.BADGES_TIME_ZONE = "Asia/Tokyo"
    plan = executor.draft(connection, definitions.load(settings.BADGES_FILE), "x")
    assert {re.sub("_dummy.*", "", step.target) for step in plan.steps} >= {"badges_insert"}


def test_the_time_zone_is_that_of_django(declare, execute, settings, users, held):
    """Without BADGES_TIME_ZONE it is TIME_ZONE, whatever Django's connection has."""
    settings.TIME_ZONE = "Asia/Tokyo"
    declare(entry("early", condition=EARLY))
    execute("SET TimeZone = 'UTC'")
    insert(execute, users)
    assert held(users[1]) == ["early"]


def test_an_award_ends_by_the_clock_of_the_site(declare, execute, enter, settings, users):
    """A day is one of the time zone of the site, in whichever session a badge is awarded."""
    settings.BADGES_TIME_ZONE = "Europe/Berlin"
    declare(entry("week", condition="true", expires_after="7 months"))
    enter(TimeZone="Pacific/Auckland", IntervalStyle="sql_standard")
    insert(execute, users)
    execute("DELETE FROM badges_badge WHERE user_id = %s", [users[0].pk])
    execute("SELECT badges_award(%s, 'week')", [users[0].pk])
    assert execute(
        "SELECT DISTINCT expires_at AT TIME ZONE 'Europe/Berlin'"
        " = (awarded_at AT TIME ZONE 'Europe/Berlin') + interval '7 months' FROM badges_badge WHERE code = 'week'"
    ) == [(True,)]


@pytest.mark.parametrize("session", SESSIONS, ids=["utc", "tokyo", "new york"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("condition", [EARLY, ANY_EARLY, f"NEW.title = 'x' AND {EARLY}"])
@pytest.mark.parametrize("revocable", [False, True])
def test_badges_with_zones_of_their_own(declare, execute, enter, users, held, session, number, condition, revocable):
    """Badges of several time zones beside each other, in one function: each by its own, in every session."""
    shared = {"condition": condition, "revocable": revocable}
    declare(
        entry("tokyo", **shared, time_zone="Asia/Tokyo"),
        entry("berlin", **shared, time_zone="Europe/Berlin"),
        entry("site", **shared),
    )
    enter(**session)
    insert(execute, users[:number])
    assert [held(user) for user in users[:number]] == [["tokyo"]] * number


def test_a_zone_of_its_own_in_commands(declare, execute, enter, users, held):
    """award_badges and badges_check() read the hours of a badge in its own time zone, and the plan names it."""
    insert(execute, users[:2])
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    declare(
        entry("tokyo", condition=EARLY, time_zone="Asia/Tokyo"),
        entry("counted", condition=ANY_EARLY, time_zone="Asia/Tokyo"),
        entry("berlin", condition=EARLY, time_zone="Europe/Berlin"),
    )
    enter(TimeZone="America/New_York")
    call_command("award_badges", "--yes", stdout=(output := StringIO()))
    assert [held(user) for user in users[:2]] == [["counted", "tokyo"]] * 2, output.getvalue()


def test_an_unknown_zone_is_rejected():
    """A time zone that does not exist is an error of the file."""
    with pytest.raises(exceptions.InvalidDefinitions, match=re.escape('there is no time zone "Europe/Berlyn"')):
        definitions.parse(definitions_text(entry("x", time_zone="Europe/Berlyn")))
