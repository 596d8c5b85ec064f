"""Files with many badges: what the commands send does not grow with them, and no error is lost among them."""

from __future__ import annotations

import json

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from psycopg import sql

from badges import definitions
from badges.exceptions import InvalidDefinitions
from badges.facts import analysis, probes
from badges.facts.target import describe_target
from badges.functions import qualifying
from badges.installation import executor
from badges.operations import backfill

pytestmark = pytest.mark.django_db

SHAPES = (
    {"condition": "count(*) >= {} from dummy_sketch where user_id = NEW.user_id"},
    {"condition": "NEW.hit_views > {} + OLD.hit_views", "trigger_condition": "update"},
    {"condition": "count(*) >= {} from dummy_like l where l.user_id = NEW.user_id", "revocable": True},
    {"condition": "NEW.title = '{}\\'", "trigger_condition": ["insert", "update"], "expires_after": "90 days"},
)


def badges(number):
    """So many badges of several shapes, of which no two ask the same."""
    for place in range(number):
        shape = SHAPES[place % len(SHAPES)]
        yield entry(f"badge_{place}", **{**shape, "condition": shape["condition"].format(place)})


def analyse(*entries):
    declared = definitions.parse(json.dumps(entries))
    return analysis.analyse(connection, describe_target(connection), declared)


def queries_of(work, *args):
    with CaptureQueriesContext(connection) as queries:
        work(*args)
    return [query["sql"] for query in queries]


def test_the_number_of_statements_is_fixed(db):
    """Ten times the badges take no statement more to analyse."""
    assert len(queries_of(analyse, *badges(8))) == len(queries_of(analyse, *badges(80)))


def test_nothing_to_do_is_found_out_once(declare, tmp_path):
    """An installation that changes nothing analyses the badges as often as --check does."""
    path = tmp_path / "badge.json"
    declare(*badges(8))
    declared = definitions.load(path)
    facts = [
        len([query for query in queries_of(work, connection, declared, path) if "badges\\_view" in query])
        for work in (executor.draft, executor.apply)
    ]
    assert facts == [1, 1]


def test_levels_are_tried_once(monkeypatch):
    """The levels of a badge ask the same question, which is tried once for all of them."""
    tried = []
    monkeypatch.setattr(probes, "make", lambda _, views, make=probes.make: tried.append(views) or make(_, views))
    levels = [{"code": f"collector_{goal}", "name": str(goal), "goal": goal} for goal in (5, 10, 50)]
    levelled = entry(levels=levels, progress="count(*) from dummy_sketch where user_id = NEW.user_id")
    for key in ("code", "condition"):
        del levelled[key]
    assert len(analyse(levelled)) == 3
    assert [len(views) for views in tried] == [1]


def test_batches_make_no_difference(monkeypatch):
    """What is known of each badge is the same, however many are tried at once."""
    together = analyse(*badges(8))
    monkeypatch.setattr(probes, "AT_ONCE", 3)
    assert analyse(*badges(8)) == together


def test_one_event_for_each_question(monkeypatch):
    """A question that is asked after several events, or by several badges, is judged for each by itself."""
    insert = entry("insert", condition="NEW.hit_views > 1")
    update = entry("update", condition="NEW.hit_views > 1", trigger_condition=["insert", "update"])
    number = entry("number", progress="NEW.hit_views > 1", goal=1)
    del number["condition"]
    with pytest.raises(InvalidDefinitions) as caught:
        analyse(insert, update, number)
    [error] = caught.value.errors
    assert "number" in error.place
    assert [set(each.facts) for each in analyse(insert, update)] == [{"insert"}, {"insert", "update"}]


@pytest.mark.parametrize("at_once", [1, 4, 200])
def test_no_fault_is_lost_among_many(monkeypatch, at_once):
    """Badges that fail in different ways are all reported, in their order and with their places, and no others."""
    monkeypatch.setattr(probes, "AT_ONCE", at_once)
    bad = {
        3: ("count( >= 3 from dummy_sketch", "syntax error"),
        6: ("count(*) >= 1 from dummy_sketch where no_such = NEW.user_id", 'column "no_such" does not exist'),
        7: ("count(*) >= 1) , (true", 'syntax error at or near ")"'),
        10: ("count(*) from dummy_sketch where user_id = NEW.user_id", "gives bigint"),
        13: ("NEW.title || 1 / 0 > nothing", 'column "nothing" does not exist'),
        17: ("true; DROP TABLE dummy_sketch", "several statements"),
    }
    entries = list(badges(20))
    for place, (condition, _) in bad.items():
        entries[place] = entry(f"badge_{place}", condition=condition)
    with pytest.raises(InvalidDefinitions) as caught:
        analyse(*entries)
    errors = caught.value.errors
    assert [error.number - 1 for error in errors] == list(bad)
    for error, (condition, message) in zip(errors, bad.values(), strict=True):
        assert error.place.endswith("condition")
        assert message in error.message
        assert "gives" in message or "several" in message or condition in error.message


def test_what_is_locked_does_not_grow(monkeypatch):
    """Views are gone before others come: all sessions of a server share the room for locks."""
    held = []

    def make(connection, views, make=probes.make):
        rejected = make(connection, views)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()")
            held.append(cursor.fetchone()[0])
        return rejected

    monkeypatch.setattr(probes, "AT_ONCE", 4)
    monkeypatch.setattr(probes, "make", make)
    analyse(*badges(32))
    assert len(held) == 10
    assert max(held) - min(held) <= 4


def test_users_are_looked_up_one_by_one(declare, execute, tmp_path):
    """Who lacks a badge is no join: of a badge that is new since its statistics, PostgreSQL expects no holders."""
    declare(entry("old", condition="true"), entry("new", condition="NEW.hit_views > 0"))
    User.objects.bulk_create(User(pk=number, username=f"u{number}") for number in range(9001, 9501))
    execute("INSERT INTO dummy_sketch (user_id, title) SELECT n, '' FROM generate_series(9001, 9500) AS n")
    execute("SELECT badges_award(n, 'old') FROM generate_series(9001, 9500) AS n")
    execute("ANALYZE badges_badge, auth_user, dummy_sketch")
    execute("SELECT badges_award(n, 'new') FROM generate_series(9001, 9500) AS n")
    here, [analysed] = backfill.prepare(connection, definitions.load(tmp_path / "badge.json"), "badge.json", ["new"])
    batch = [sql.SQL("new.user_id > 9000")]
    query = qualifying.query(here, analysed, qualifying.facts_of_existing_rows(analysed), batch)
    plan = "\n".join(line for (line,) in execute(f"EXPLAIN {query.as_string()}"))
    assert "badges_badge" in plan
    assert "auth_user" in plan
    assert "Join" not in plan
    assert "Nested Loop" not in plan
    assert execute(query.as_string()) == []
