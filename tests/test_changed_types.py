"""Columns whose types change while sessions are open: what OLD decides is kept until the badges are installed again."""

from __future__ import annotations

import io

import psycopg
import pytest
from conftest import entry
from django.core.management import call_command
from django.db import connection

from badges.database import own_session
from badges.operations.settle import settle

GROWN = entry("grown", trigger_condition="update", condition="NEW.hit_views > OLD.hit_views + 2000000000")
EACH = entry("each", trigger_condition="update", condition="NEW.hit_views > OLD.hit_views", per="id")
GONE = entry("gone", trigger_condition="delete", condition="OLD.hit_views > 2000000000")
NEEDY = entry("needy", trigger_condition="update", condition="NEW.hit_views > limit_of(OLD.hit_views)")
RATIO = entry("ratio", trigger_condition="update", condition="NEW.hit_views / OLD.hit_views > 2")
COUNTED = entry("counted", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id")

USERS = """
INSERT INTO auth_user
    (id, username, password, first_name, last_name, email, is_superuser, is_staff, is_active, date_joined)
SELECT n, n, '', '', '', '', false, false, true, now() FROM generate_series(1, 3) AS n;
INSERT INTO dummy_sketch (id, user_id, title, hit_views) SELECT n, n, 'x', 1 FROM generate_series(1, 3) AS n
"""


def run(*args):
    output = io.StringIO()
    call_command(*args, stdout=output, stderr=output, no_color=True)
    return output.getvalue()


@pytest.fixture
def counts(execute):
    """How many pending checks and failures there are."""
    return lambda: execute(
        "SELECT (SELECT count(*) FROM badges_pendingcheck), (SELECT coalesce(sum(occurrences), 0) FROM badges_failure)"
    )[0]


@pytest.fixture
def other(committed, execute):
    """A session that is open all the while. Afterwards the columns have the types of the models again."""
    with psycopg.connect(**own_session("default")[0]) as session:
        yield session
    execute("DELETE FROM dummy_sketch")
    execute("ALTER TABLE dummy_sketch ALTER COLUMN hit_views TYPE integer, ALTER COLUMN user_id TYPE integer")


def test_session_from_before_the_change(committed, execute, counts, other):
    """What an open session cannot decide after the change is decided after the next create_badge_triggers."""
    committed(GROWN, EACH, GONE, COUNTED)
    execute(USERS)
    for statement in ("INSERT INTO dummy_sketch (id, user_id, title) VALUES (101, 1, 'x')",
                      "UPDATE dummy_sketch SET hit_views = hit_views + 0",
                      "DELETE FROM dummy_sketch WHERE id > 100"):  # fmt: skip
        other.execute(statement)
    held = "SELECT user_id, code, thing FROM badges_badge WHERE code <> 'counted' ORDER BY 1, 2"
    assert (execute(held), counts()) == ([], (0, 0))
    execute("ALTER TABLE dummy_sketch ALTER COLUMN hit_views TYPE bigint, ALTER COLUMN user_id TYPE bigint")
    other.execute("UPDATE dummy_sketch SET hit_views = 3000000000 WHERE id = 1")
    other.execute("DELETE FROM dummy_sketch WHERE id = 1")
    other.execute("UPDATE dummy_sketch SET hit_views = 2 WHERE id = 2")
    assert counts()[1] == 0, execute("SELECT code, sqlstate, message FROM badges_failure")
    assert "type of a column has changed" in run("award_badges", "--settle")
    assert counts()[1] == 0, "waiting is no failure"
    run("create_badge_triggers")
    settle(connection)
    assert execute(held) == [(1, "each", "1"), (1, "gone", ""), (1, "grown", ""), (2, "each", "2")]
    # The functions were made anew, and that session reads the columns as they are.
    other.execute("UPDATE dummy_sketch SET hit_views = 3000000000 WHERE id = 3")
    assert execute(held)[4:] == [(3, "each", "3"), (3, "grown", "")]
    # And once more, with what the session has planned of the path after an error.
    execute("ALTER TABLE dummy_sketch ALTER COLUMN hit_views TYPE numeric, ALTER COLUMN user_id TYPE integer")
    execute("DELETE FROM badges_badge")
    other.execute("UPDATE dummy_sketch SET hit_views = 9000000000 WHERE id = 2")
    execute("ALTER TABLE dummy_sketch ALTER COLUMN hit_views TYPE bigint, ALTER COLUMN user_id TYPE bigint")
    other.execute("UPDATE dummy_sketch SET hit_views = 9000000001 WHERE id = 2")
    assert counts()[1] == 0, execute("SELECT code, sqlstate, message FROM badges_failure")
    run("create_badge_triggers")
    settle(connection)
    assert counts() == (0, 0)
    assert execute(held) == [(2, "each", "2"), (2, "grown", "")]


@pytest.mark.django_db
def test_what_a_condition_over_old_needs_goes(declare, execute, counts, user, held):
    """A function that is missing for a while costs no badge that OLD decides: the values of the row are kept."""
    create = "CREATE FUNCTION limit_of(views integer) RETURNS integer STABLE LANGUAGE sql AS 'SELECT views'"
    execute(create)
    declare(NEEDY)
    execute("INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, 'x', 1)", [user.pk])
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("DROP FUNCTION limit_of(integer)")
    execute("UPDATE dummy_sketch SET hit_views = 2")
    assert (held(user), counts()) == ([], (1, 0))
    execute("UPDATE badges_pendingcheck SET noted_by = 1")
    settle(connection)
    assert (held(user), counts()) == ([], (1, 1)), "it has failed, and is kept"
    execute(create)
    settle(connection)
    assert (held(user), counts()) == (["needy"], (0, 1))


@pytest.mark.django_db
def test_failures_that_no_run_makes_good(declare, execute, counts, user, held):
    """award_badges clears no failure of a badge that OLD decides, or that is paused, and says what is to be done."""
    declare(RATIO, entry("deleted", trigger_condition=["insert", "delete"], condition="1 / hit_views > 0"))
    execute("INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, 'x', 0)", [user.pk])
    execute("UPDATE dummy_sketch SET hit_views = 5")
    assert counts() == (0, 2)
    output = run("award_badges")
    for code in ("ratio", "deleted"):
        assert f"{code}: 1 recorded failure kept, as what they missed may not be found" in output
        assert f"DELETE FROM badges_failure WHERE code = '{code}';" in output
    assert "cleared" not in output
    assert counts() == (0, 2)
    execute("DELETE FROM badges_failure WHERE code = 'ratio'")
    declare({**COUNTED, "condition": "1 / NEW.hit_views > 0"})
    execute("INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, 'x', 0)", [user.pk])
    declare({**COUNTED, "condition": "1 / NEW.hit_views > 0", "active": False})
    assert "counted: 1 recorded failure kept\n" in run("award_badges")
    declare({**COUNTED, "condition": "NEW.hit_views > 0"})
    assert "counted: 1 recorded failure cleared" in run("award_badges")
