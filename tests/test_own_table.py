"""The table of a trigger that is renamed, moved, attached or detached, has children, or is managed by Citus."""

from __future__ import annotations

import io

import pytest
from conftest import entry
from django.core.management import CommandError, call_command
from django.db import transaction

from badges.models import Failure

pytestmark = pytest.mark.django_db

ROW_LOCAL = entry("local", condition="NEW.n > 0", trigger_table="visit")
CROSS_ROW = entry("cross", condition="count(*) >= 1 FROM visit WHERE user_id = NEW.user_id", trigger_table="visit")
CHANGED = entry("changed", condition="NEW.n > OLD.n", trigger_table="visit", trigger_condition="update")
CROSSED = entry(
    "crossed",
    condition="NEW.n > OLD.n AND EXISTS (SELECT FROM auth_user WHERE id = NEW.user_id)",
    trigger_table="visit",
    trigger_condition="update",
)
BADGES = [ROW_LOCAL, CROSS_ROW, CHANGED, CROSSED]


def run(*args, **options):
    output = io.StringIO()
    call_command(*args, stdout=output, stderr=output, no_color=True, **options)
    return output.getvalue()


@pytest.fixture
def visits(execute):
    execute("CREATE TABLE visit (user_id integer, n integer)")


MOVES = {
    "renamed": ("ALTER TABLE visit RENAME TO stay", "stay"),
    "in another schema": ("CREATE SCHEMA attic; ALTER TABLE visit SET SCHEMA attic", "attic.visit"),
}


@pytest.mark.parametrize("move", MOVES)
def test_table_that_moved(declare, execute, visits, user, held, move):
    """Its trigger awards nothing, breaks nothing, and records one failure for each badge and transaction."""
    declare(*BADGES)
    statement, table = MOVES[move]
    for each in statement.split(";"):
        execute(each)
    for _ in range(3):
        execute(f"INSERT INTO {table} SELECT %s, 1 FROM generate_series(1, 3)", [user.pk])
        execute(f"UPDATE {table} SET n = n + 1")
    assert held(user) == []
    assert {(each.code, each.sqlstate, each.occurrences) for each in Failure.objects.all()} == {
        (badge["code"], "55000", 1) for badge in BADGES
    }
    schema, _, name = table.rpartition(".")
    assert {each.message for each in Failure.objects.all()} == {
        f"its trigger was made for public.visit and fired on {schema or 'public'}.{name}; run create_badge_triggers"
    }


def test_write_without_rows(declare, execute, visits):
    """A write of no row on the right table records nothing."""
    declare(*BADGES)
    execute("INSERT INTO visit SELECT 1, 1 WHERE false")
    execute("UPDATE visit SET n = 1")
    execute("INSERT INTO visit VALUES (NULL, NULL)")
    assert not Failure.objects.exists()


@pytest.mark.parametrize("move", MOVES)
def test_check_of_a_table_that_moved(declare, execute, visits, move):
    """`--check` fails, whether the name is free or another table has it now."""
    declare(*BADGES)
    for each in MOVES[move][0].split(";"):
        execute(each)
    with pytest.raises(CommandError, match='there is no table "visit"'), transaction.atomic():
        run("create_badge_triggers", "--check")
    execute("CREATE TABLE visit (user_id integer, n integer)")
    with pytest.raises(CommandError, match="out of date"):
        run("create_badge_triggers", "--check")
    run("create_badge_triggers")
    run("create_badge_triggers", "--check")


@pytest.mark.parametrize("change", ["attached", "detached"])
def test_partition(declare, execute, visits, user, held, change):
    """`--check` notices that a table has become a partition, or is none any more; installed anew, it awards."""
    execute("CREATE TABLE visits (user_id integer, n integer) PARTITION BY RANGE (n)")
    attach = "ALTER TABLE visits ATTACH PARTITION visit FOR VALUES FROM (0) TO (100)"
    if change == "detached":
        execute(attach)
    declare(*BADGES)
    execute(attach if change == "attached" else "ALTER TABLE visits DETACH PARTITION visit")
    with pytest.raises(CommandError, match="out of date"):
        run("create_badge_triggers", "--check")
    run("create_badge_triggers")
    run("create_badge_triggers", "--check")
    table = "visits" if change == "attached" else "visit"
    execute(f"INSERT INTO {table} VALUES (%s, 1)", [user.pk])
    execute(f"UPDATE {table} SET n = 2")
    assert held(user) == ["changed", "cross", "crossed", "local"]
    assert not Failure.objects.exists()


# Citus


@pytest.fixture
def citus(execute):
    """Citus' catalog of the tables that it manages, as a database with the extension has it."""
    execute("SET LOCAL allow_system_table_mods = on")
    execute('CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char")')
    return lambda table: execute("INSERT INTO pg_dist_partition VALUES (%s::regclass, 'n')", [table])


@pytest.mark.parametrize("table", ["visit", "auth_user", "badges_badge", "badges_pendingcheck"])
def test_citus_manages_a_table(declare, badge_file, execute, visits, citus, table):
    """Whatever table it is, nothing is installed, the checks report it, and the hint has the statement."""
    badge_file(*BADGES)
    citus(table)
    hint = f"""SELECT undistribute_table('"public"."{table}"', cascade_via_foreign_keys => true);"""
    for flags in ([], ["--check"], ["--plan"]):
        with pytest.raises(CommandError) as caught:
            run("create_badge_triggers", *flags)
        assert "Citus manages" in str(caught.value)
        assert hint in str(caught.value)
    output = run("check", databases=["default"])
    assert "badges.W002" in output
    assert hint in output


def test_citus_manages_another_table(declare, execute, visits, citus, user, held):
    """A database with Citus in which it manages none of the tables is as any other."""
    execute("CREATE TABLE elsewhere ()")
    citus("elsewhere")
    declare(*BADGES)
    execute("INSERT INTO visit VALUES (%s, 1)", [user.pk])
    assert held(user) == ["cross", "local"]


# Inheritance and limits


def test_children(declare, execute, visits, user, held):
    """The plan, the checks and explain_badge name tables that inherit from a watched one; partitions are none."""
    execute("CREATE TABLE long_visit () INHERITS (visit)")
    execute("CREATE TABLE longest_visit () INHERITS (long_visit)")
    declare(ROW_LOCAL, CROSS_ROW)
    for output in (
        run("create_badge_triggers", "--check"),
        run("create_badge_triggers", "--plan"),
        run("check", databases=["default"]),
    ):
        for table in ("long_visit", "longest_visit"):
            assert f"public.{table} inherits from a watched table" in output
            assert "(local, cross)" in output
    assert "badges.W011" in run("check", databases=["default"])
    execute("INSERT INTO longest_visit VALUES (%s, 1)", [user.pk])
    assert held(user) == []
    assert "A write straight to public.long_visit or public.longest_visit" in run("explain_badge", "local", "ada")
    run("award_badges", late=True)
    assert held(user) == ["cross", "local"]


def test_child_that_is_named(declare, execute, visits, user, held):
    """A child that the file names in triggers is watched."""
    execute("CREATE TABLE long_visit () INHERITS (visit)")
    both = [{"table": table, "user_field": "user_id", "on": ["insert"]} for table in ("visit", "long_visit")]
    declare({"name": "Cross", "code": "cross", "condition": CROSS_ROW["condition"], "triggers": both})
    assert "inherits" not in run("create_badge_triggers", "--check")
    execute("INSERT INTO long_visit VALUES (%s, 1)", [user.pk])
    assert held(user) == ["cross"]


def test_partitions_are_no_children(declare, execute):
    """Triggers of a partitioned table are those of its partitions."""
    execute("CREATE TABLE visit (user_id integer, n integer) PARTITION BY RANGE (n)")
    execute("CREATE TABLE some_visit PARTITION OF visit DEFAULT")
    declare(*BADGES)
    assert "inherits" not in run("create_badge_triggers", "--check")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SET LOCAL temp_file_limit = '1MB'", "temp_file_limit is 1MB:"),
        ("ALTER DATABASE {database} SET temp_file_limit = '2MB'", "temp_file_limit is 2MB:"),
        ("ALTER ROLE {role} SET temp_file_limit = '3MB'", 'temp_file_limit is 3MB for the role "{role}"'),
        ("ALTER ROLE {role} IN DATABASE {database} SET temp_file_limit = '4MB'", "temp_file_limit is 4MB for the role"),
        ("ALTER ROLE {role} SET temp_file_limit = -1", ""),
    ],
)
def test_temp_file_limit(declare, execute, visits, statement, message):
    """A limit of temporary files is reported, wherever it is set; none is not."""
    declare(*BADGES)
    [(database, role)] = execute("SELECT quote_ident(current_database()), quote_ident(current_user)")
    execute(statement.format(database=database, role=role))
    outputs = [run("create_badge_triggers", "--plan"), run("check", databases=["default"])]
    if message:
        assert all(message.format(role=role) in output for output in outputs)
        assert "badges.W012" in outputs[1]
    else:
        assert not any("temp_file_limit" in output for output in outputs)
