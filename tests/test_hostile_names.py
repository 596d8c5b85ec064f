"""Names and texts that would break SQL put together carelessly: such badges are installed and awarded like others."""

from __future__ import annotations

import io
import itertools

import pytest
from conftest import entry
from django.core.management import call_command
from psycopg import sql

from badges.models import Badge, BadgeDefinition

pytestmark = pytest.mark.django_db

TEXTS = {
    "quotes": """ 'single' "double" `back` ''""",
    "dollar quotes": "$badges$ $$ $badges_$ $1",
    "percent signs": "100 % %s %(name)s %%",
    "line breaks": "one\ntwo\r\nthree\u2028four -- five",
    "backslashes": r"\ \n \' \\",
    "braces": "{} {0} {code} {{ }}",
    "comments": "/* */ -- ; */ /*",
    "statements": "'); DROP TABLE badges_badge; --",
    "multibyte": "Künstlerin 漢字 \N{SPORTS MEDAL}",
    "right to left and invisible": "\u202eabc\u200b\x01\x1b[31m",
    "100 characters": "ü" * 100,
}

NAMES = TEXTS | {
    "mixed case": "MixedCase",
    "with blanks and a point": "a table.with a point",
    "keyword": "select",
    "a quote alone": '"',
    "63 bytes": "t" * 63,
    "63 bytes of two-byte characters": "x" + "ü" * 31,
    "row": "new",
    "other row": "old",
    "alias of ours": "badge",
    "transition table of ours": "badges_new",
}


def identifier(name: str) -> str:
    return sql.Identifier(name).as_string()


def shortened(name: str) -> str:
    """The name as PostgreSQL keeps it: at most 63 bytes."""
    return name.encode()[:63].decode(errors="ignore")


@pytest.fixture
def install(badge_file):
    """Install these badges by the command, twice: the second time there is nothing to do."""

    def run(*entries):
        badge_file(*entries)
        for expected in ("Done: ", "Nothing to do: "):
            output = io.StringIO()
            call_command("create_badge_triggers", stdout=output)
            assert expected in output.getvalue()
        # The script is made of the same texts.
        call_command("create_badge_triggers", "--sql", "--json", stdout=io.StringIO())

    return run


def by_name(values):
    return [pytest.param(value, id=name) for name, value in values.items()]


@pytest.mark.parametrize("text", by_name(TEXTS))
def test_texts_of_a_badge(install, execute, user, held, text):
    """Whatever stands in code, name and description is stored as it is and awarded."""
    install(entry(text, name=text, description=text, condition="NEW.title = 'now'"))
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'not yet')", [user.pk])
    assert held(user) == []
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'now')", [user.pk])
    assert held(user) == [text]
    assert Badge.objects.get(user=user).name == text
    assert BadgeDefinition.objects.get().description == text


@pytest.mark.parametrize("text", by_name(TEXTS))
def test_text_in_a_condition(install, execute, user, held, text):
    """A literal in a condition is compared as it is, on all paths: row-local, with other rows, with old and new."""
    literal = sql.Literal(text).as_string()
    dollar_quoted = f"$hostile${text}$hostile$"
    install(
        entry("local", condition=f"NEW.title = {literal}"),
        entry("dollar", condition=f"NEW.title = {dollar_quoted}"),
        entry("cross", condition=f"count(*) = 1 FROM dummy_sketch WHERE title = {literal} AND user_id = NEW.user_id"),
        entry("paired", condition=f"OLD.title <> {literal} AND NEW.title = {literal}", trigger_condition="update"),
        entry("commented", condition=f"NEW.title = {literal} -- {' '.join(text.split())}"),
    )
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'other')", [user.pk])
    assert held(user) == []
    execute("UPDATE dummy_sketch SET title = %s", [text])
    assert held(user) == ["paired"]
    execute("DELETE FROM dummy_sketch")
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, %s)", [user.pk, text])
    assert held(user) == ["commented", "cross", "dollar", "local", "paired"]


def test_condition_that_ends_in_something_else(install, execute, user, held):
    """What ends a condition swallows nothing that stands behind it in the function."""
    conditions = (
        "true",
        "NEW.title = 'x'",
        "(SELECT count(*) = 1 FROM dummy_sketch)",
        "(SELECT count(*) = 1 FROM dummy_sketch WHERE title = NEW.title)",
    )
    endings = (" -- done", "/* done */", "\n--", " -- $badges$", "\t\r\n", " AS earned")
    ended = [condition + ending for ending in endings for condition in conditions]
    install(*(entry(f"b{number:02}", condition=condition) for number, condition in enumerate(ended)))
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [user.pk])
    assert held(user) == [f"b{number:02}" for number in range(len(ended))]


WRITES = {
    "insert": ("INSERT INTO {table} VALUES (6, {user})", "INSERT INTO {table} VALUES (7, {user})"),
    "update": ("UPDATE {table} SET {value} = 5 WHERE {value} = 6", "UPDATE {table} SET {value} = 7 WHERE {value} = 5"),
    "delete": ("DELETE FROM {table} WHERE {value} = 6", "DELETE FROM {table} WHERE {value} = 7"),
}


@pytest.mark.parametrize("name", by_name(NAMES))
def test_name_of_schema_table_and_columns(install, execute, user, held, name):
    """Schemas, tables and columns of any name are watched, and a bare column is the changed row's."""
    name, owner = shortened(name), shortened(f"u{name}")
    table, value = sql.Identifier(name, name).as_string(), identifier(name)
    badges = {}
    for event in WRITES:
        row = "OLD" if event == "delete" else "NEW"
        count = f"(SELECT count(*) < 5 FROM {table} AS t WHERE t.{identifier(owner)} = {row}.{identifier(owner)})"
        conditions = {"bare": f"{value} = 7", "row": f"{row}.{value} = 7", "cross": f"{row}.{value} = 7 AND {count}"}
        if event == "update":
            conditions["paired"] = f"OLD.{value} = 5 AND NEW.{value} = 7"
        badges[event] = [
            entry(
                f"{event}-{code}", condition=condition, trigger_condition=event, trigger_table=table, user_field=owner
            )
            for code, condition in conditions.items()
        ]
    execute(f"CREATE SCHEMA {identifier(name)}")
    execute(f"CREATE TABLE {table} ({value} int, {identifier(owner)} int)")
    install(*itertools.chain(*badges.values()))
    for event, writes in WRITES.items():
        before, after = (write.format(table=table, value=value, user=user.pk) for write in writes)
        execute("DELETE FROM badges_badge")
        execute(f"TRUNCATE {table}")
        if event != "insert":
            execute(f"INSERT INTO {table} VALUES (6, {user.pk}), (7, {user.pk})")
            execute("DELETE FROM badges_badge")
        execute(before)
        assert held(user) == []
        execute(after)
        assert held(user) == sorted(badge["code"] for badge in badges[event])


@pytest.mark.parametrize("kind", ["quotes", "percent signs", "row", "mixed case"])
def test_names_on_a_path(install, execute, user, held, kind):
    """Tables and columns on the way to a user have any name, and so has the user at its end."""
    name = NAMES[kind]
    way, start = (sql.Identifier(name, f"{first}{name}").as_string() for first in ("w", "s"))
    key, owner, end = identifier(name), identifier(f"u{name}"), identifier(f"{name}__u{name}")
    same = f"(SELECT count(*) FROM {start} AS s JOIN {way} AS w ON w.{key} = s.{key} WHERE w.{owner} = NEW.{end}) > 0"
    path = {"trigger_table": start, "user_field": [name, f"u{name}"], "revocable": True}
    execute(f"CREATE SCHEMA {identifier(name)}; CREATE TABLE {way} ({key} int PRIMARY KEY, {owner} int)")
    execute(f"CREATE TABLE {start} ({key} int REFERENCES {way})")
    install(
        entry("row", condition=f"NEW.{end} > 0", **path),
        entry("rows", condition=same, **path),
        entry("each", condition="true", per=name, **path),
    )
    execute(f"INSERT INTO {way} VALUES (1, NULL); INSERT INTO {start} VALUES (1)")
    assert held(user) == []
    execute(f"UPDATE {way} SET {owner} = {user.pk}")
    assert held(user) == ["each", "row", "rows"]
    execute(f"DELETE FROM {start}")
    assert held(user) == []
    execute(f"INSERT INTO {start} VALUES (1)")
    assert held(user) == ["each", "row", "rows"]


def test_name_without_quotes_is_taken_as_it_is_or_as_sql_reads_it(install, execute, user, held):
    """A table MixedCase is found by that name, and dummy_sketch as Dummy_Sketch, as SQL would find it."""
    execute('CREATE TABLE "MixedCase" ("UserId" int)')
    install(
        entry("exact", trigger_table="MixedCase", user_field="UserId", condition="true"),
        entry("schema", trigger_table="public.MixedCase", user_field='"UserId"', condition='NEW."UserId" > 0'),
        entry("folded", trigger_table="Public.Dummy_Sketch", user_field="USER_ID", condition="NEW.Title = 'x'"),
    )
    execute(f'INSERT INTO "MixedCase" VALUES ({user.pk})')
    assert held(user) == ["exact", "schema"]
    execute(f"INSERT INTO dummy_sketch (user_id, title) VALUES ({user.pk}, 'x')")
    assert held(user) == ["exact", "folded", "schema"]


def test_names_that_differ_only_in_case_are_two(install, execute, user, held):
    """Where both sketch and Sketch exist, a badge is checked after writes to the one that its author wrote."""
    execute('CREATE TABLE sketch ("user" int, "User" int); CREATE TABLE "Sketch" ("user" int, "User" int)')
    install(
        entry("small", trigger_table="sketch", user_field="user", condition="true"),
        entry("capital", trigger_table="Sketch", user_field="User", condition="true"),
    )
    execute(f"INSERT INTO sketch VALUES ({user.pk}, NULL); INSERT INTO sketch VALUES (NULL, {user.pk})")
    assert held(user) == ["small"]
    execute(f'INSERT INTO "Sketch" VALUES (NULL, {user.pk})')
    assert held(user) == ["capital", "small"]
