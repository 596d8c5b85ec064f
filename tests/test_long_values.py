"""Evidence keeps the beginning, the length and a digest of a long value; pending checks keep what decides them."""

from __future__ import annotations

import hashlib

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction

from badges.models import Badge, BadgeEvent, Failure, PendingCheck

LONG = "Ünder 'quotes' \" and \\ " * 60_000
CROSS = "length(NEW.body) > 3 and (select count(*) from post where user_id = NEW.user_id) >= {}"

CONDITIONS = {
    "row-local": {"condition": "length(NEW.body) > 3"},
    "cross-row": {"condition": CROSS.format(1)},
    "whole row": {"condition": "NEW IS NOT NULL and (select count(*) from post where user_id = NEW.user_id) >= 1"},
    "revocable": {"condition": CROSS.format(1), "revocable": True},
    "OLD": {"condition": "length(OLD.body) > 3", "trigger_condition": "delete"},
    "OLD, cross-row": {
        "condition": "length(OLD.body) > 3 and exists (select from post)",
        "trigger_condition": "delete",
    },
}


@pytest.fixture
def posts(execute):
    """A table with values of any length."""
    execute(
        "CREATE TABLE post (id serial PRIMARY KEY, user_id integer NOT NULL, body text, kind text DEFAULT 'a', j jsonb"
        " DEFAULT '{}'); CREATE INDEX ON post (user_id)"
    )


def badge(code="long", **changes):
    return entry(code, trigger_table="post", **changes)


def kept(text):
    """A value as evidence has it."""
    return {"first": text[:100], "length": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


PATHS = [(path, kind) for path in ("one row", "many rows", "row-level") for kind in CONDITIONS]
#: award_badges finds nothing that a row decides that no longer exists.
PATHS += [("award_badges", kind) for kind in CONDITIONS if not kind.startswith("OLD")]


@pytest.mark.parametrize(("path", "kind"), PATHS)
def test_evidence_is_short(posts, declare, execute, user, path, kind):
    """The evidence of an award and of its event, on every path."""
    if path == "row-level":
        execute("CREATE TABLE parent (LIKE post); ALTER TABLE post INHERIT parent")
    is_deletion = CONDITIONS[kind].get("trigger_condition") == "delete"
    if path == "award_badges":
        execute("INSERT INTO post (user_id, body) VALUES (%s, %s)", [user.pk, LONG])
    declare(badge(**CONDITIONS[kind]))
    other = User.objects.create(username="other")
    if path == "award_badges":
        call_command("award_badges", yes=True, verbosity=0)
    else:
        execute("INSERT INTO post (user_id, body) VALUES (%s, %s)", [user.pk, LONG])
        if path == "many rows":
            execute("DELETE FROM badges_badge")
            execute("INSERT INTO post (user_id, body) VALUES (%s, %s), (%s, 'abcd')", [user.pk, LONG, other.pk])
        execute("INSERT INTO post (user_id, body) VALUES (%s, '')", [other.pk])
        if is_deletion:
            execute("DELETE FROM post WHERE length(body) > %s", [3 if path == "many rows" else 4])
    assert not Failure.objects.exists()
    held = Badge.objects.get(user=user)
    if kind == "revocable" and path != "award_badges":
        assert "new" not in held.evidence
        return
    if "new" in held.evidence or "old" in held.evidence:
        assert held.evidence["old" if is_deletion else "new"]["body"] == kept(LONG)
    assert BadgeEvent.objects.filter(user=user).latest("at").evidence == held.evidence
    assert held.evidence["table"] == "public.post"


@pytest.mark.parametrize("length", [1022, 1023, 1024, 1025, 2000])
def test_short_values_stay(posts, declare, execute, user, length):
    """A value of up to 1 kB is kept as it is, beside a long one too; so is JSON below that size."""
    declare(badge(condition="NEW.body <> '' and NEW.kind <> '' and NEW.j IS NOT NULL"))
    execute(
        "INSERT INTO post (user_id, body, kind, j) VALUES (%s, %s, %s, %s)",
        [user.pk, "x" * length, "y" * 1500, '{"a": [1, null]}'],
    )
    found = Badge.objects.get(user=user).evidence["new"]
    assert found == {
        "body": "x" * length if length <= 1024 else kept("x" * length),
        "kind": kept("y" * 1500),
        "j": {"a": [1, None]},
    }


def test_long_json(posts, declare, execute, user):
    """A long JSON value is kept as the beginning of its text."""
    declare(badge(condition="NEW.j IS NOT NULL"))
    execute("INSERT INTO post (user_id, j) VALUES (%s, jsonb_build_array(repeat('x', 2000)))", [user.pk])
    assert Badge.objects.get(user=user).evidence["new"]["j"] == kept(f'["{"x" * 2000}"]')


def test_a_check_is_evaluated_with_the_whole_value(posts, declare, execute, user):
    """The end of a long value decides; what is awarded by a check has short evidence."""
    condition = "right(NEW.body, 3) = 'end' and (select count(*) from post where user_id = NEW.user_id) >= 2"
    declare(badge(condition=condition))
    body = LONG + "end"
    execute(
        "INSERT INTO badges_pendingcheck (bucket, user_id, code, thing, what, evidence, noted_by)"
        " SELECT 0, %s, 'long', '', 'x', jsonb_build_object('table', 'public.post', 'operation', 'insert',"
        " 'new', jsonb_build_object('user_id', %s, 'body', %s::text)), 0",
        [user.pk, user.pk, body],
    )
    execute("INSERT INTO post (user_id, body) SELECT %s, 'other' FROM generate_series(1, 2)", [user.pk])
    execute("SELECT badges_settle(NULL, 100)")
    assert not PendingCheck.objects.exists()
    assert Badge.objects.get(user=user).evidence["new"]["body"] == kept(body)


#: Beyond what is stored of one value: 33 MB.
HUGE = "SELECT %s, repeat('0123456789', 3400000)"


@pytest.mark.parametrize(
    ("level", "way", "rows"),
    [
        ("statement", "together", 1),
        ("row", "one by one", 1),
        pytest.param("statement", "one by one", 2, marks=pytest.mark.long),
        pytest.param("row", "together", 2, marks=pytest.mark.long),
    ],
)
def test_too_long_for_a_check(posts, declare, execute, user, held, level, way, rows):
    """What jsonb may not hold awards all the same, whether the badges are checked together or one by one."""
    if level == "row":
        execute("CREATE TABLE parent (LIKE post); ALTER TABLE post INHERIT parent")
    declare(
        badge("local", condition="length(NEW.body) > 30000000"),
        badge("cross", condition=CROSS.format(1)),
        badge("count", condition="count(*) >= 1 from post where user_id = NEW.user_id"),
        badge("gone", condition="length(OLD.body) > 30000000", trigger_condition="delete"),
        *([badge("fails", condition="1 / (length(NEW.body) * 0) > 1")] if way == "one by one" else []),
    )
    execute(f"INSERT INTO post (user_id, body) {HUGE} FROM generate_series(1, %s)", [user.pk, rows])
    assert held(user) == ["count", "cross", "local"]
    execute("DELETE FROM post")
    assert held(user) == ["count", "cross", "gone", "local"]
    assert {code for (code,) in execute("SELECT code FROM badges_failure")} == (
        {"fails"} if way == "one by one" else set()
    )
    text = "0123456789" * 3_400_000
    if way == "together":
        for code, side in (("cross", "new"), ("local", "new"), ("gone", "old")):
            assert Badge.objects.get(user=user, code=code).evidence[side]["body"] == kept(text)
    assert execute("SELECT max(pg_column_size(evidence)) < 2000 FROM badges_badge") == [(True,)]


@pytest.mark.long
def test_what_jsonb_cannot_hold(posts, declare, execute, user, held):
    """A text of 256 MB awards the badges that read it and those that do not."""
    declare(badge("local", condition="length(NEW.body) > 3"), badge("count", condition=CROSS.format(1)))
    execute("INSERT INTO post (user_id, body) SELECT %s, repeat('0123456789abcdef', 16 * 1024 * 1024)", [user.pk])
    assert held(user) == ["count", "local"]
    assert Badge.objects.get(user=user, code="local").evidence["new"]["body"]["length"] == 256 * 1024 * 1024
    assert not Failure.objects.exists()


@pytest.fixture
def committed_posts(transactional_db, execute):
    """The same table for several transactions."""
    execute("CREATE TABLE post (id serial PRIMARY KEY, user_id integer NOT NULL, body text)")
    yield
    execute("DROP TABLE post CASCADE")


def repeatable_read(execute, statement, params):
    with transaction.atomic():
        execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        execute(statement, params)


def test_a_check_of_what_is_too_long(committed_posts, committed, execute, held):
    """A check with the beginning of a value is evaluated for the row in its table; nothing is lost."""
    user = User.objects.create(username="reader")
    committed(badge(condition=CROSS.format(2)))
    repeatable_read(execute, f"INSERT INTO post (user_id, body) {HUGE}", [user.pk])
    assert PendingCheck.objects.get().evidence["new"]["body"]["length"] == 34_000_000
    repeatable_read(execute, "INSERT INTO post (user_id, body) SELECT %s, '' FROM generate_series(1, 2)", [user.pk])
    while PendingCheck.objects.exists():
        assert execute("SELECT settled FROM badges_settle(NULL, 100)") != [(0,)]
    assert held(user) == ["long"]
    assert not Failure.objects.exists()


def test_a_check_of_a_deleted_row_that_was_too_long(posts, declare, execute, user):
    """Its values are nowhere any more: that is a recorded failure, not a check that stays."""
    condition = "length(OLD.body) > 3 and (select count(*) from post where user_id = OLD.user_id) >= 2"
    declare(badge(condition=condition, trigger_condition="delete"))
    execute(f"INSERT INTO post (user_id, body) {HUGE}", [user.pk])
    execute("DELETE FROM post")
    execute("UPDATE badges_pendingcheck SET noted_by = 0")
    execute("INSERT INTO post (user_id, body) VALUES (%s, ''), (%s, '')", [user.pk, user.pk])
    execute("SELECT badges_settle(NULL, 100)")
    assert not PendingCheck.objects.exists()
    assert "too long to be kept" in Failure.objects.get().message
