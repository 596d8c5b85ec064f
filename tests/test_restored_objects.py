"""What the tables of the app need beside their columns is restored by the plan: keys, indexes, defaults, types."""

from __future__ import annotations

import io
import json

import psycopg
import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import connection, migrations, models, transaction
from django.db.migrations.executor import MigrationExecutor

from badges import definitions, exceptions
from badges.database import own_session
from badges.installation import executor
from badges.models import Badge, BadgeDefinition, BadgeEvent

FIRST = entry("first", condition="NEW.hit_views >= 0")
PAIR = entry("pair", condition="count(*) >= 2 FROM dummy_sketch WHERE user_id = NEW.user_id")

INSERT = "INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')"

USERS = """
INSERT INTO auth_user
    (id, username, password, first_name, last_name, email, is_superuser, is_staff, is_active, date_joined)
SELECT n, n, '', '', '', '', false, false, true, now() FROM unnest(%s::bigint[]) AS n
"""

AWARD = """
INSERT INTO badges_badge (id, user_id, code, thing, awarded_at, by_hand)
SELECT gen_random_uuid(), %s, %s, '', now(), false FROM generate_series(1, %s)
"""

CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
WHERE conrelid::regclass::text ~ '^badges_' AND contype <> 'n' ORDER BY 1, 2
"""

OBJECTS = (
    CONSTRAINTS,
    # Django makes one for LIKE, which nothing here needs.
    r"""
    SELECT regexp_replace(indexdef, 'NOT \((\w+) IS NULL\)', '\1 IS NOT NULL') FROM pg_indexes
    WHERE tablename ~ '^badges_' AND indexname !~ '_like$' ORDER BY indexname
    """,
    """
    SELECT relname, attname, format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid)
    FROM pg_class c JOIN pg_attribute ON attrelid = c.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relname ~ '^badges_' AND relkind = 'r' AND attnum > 0
    ORDER BY 1, 2
    """,
    "SELECT relname, reloptions FROM pg_class WHERE relname ~ '^badges_' AND relkind = 'r' ORDER BY 1",
    "SELECT count(*) FROM badges_secret",
)


def run(*args, **options):
    output = io.StringIO()
    call_command(*args, stdout=output, stderr=output, no_color=True, **options)
    return output.getvalue()


def migrate_the_key():
    """What a migration does that makes the AutoField of the users a BigAutoField."""
    before = MigrationExecutor(connection).loader.project_state()
    after = before.clone()
    change = migrations.AlterField("user", "id", models.BigAutoField(primary_key=True))
    change.state_forwards("auth", after)
    with connection.schema_editor() as editor:
        change.database_forwards("auth", editor, before, after)


@pytest.mark.django_db
def test_key_of_the_users_that_becomes_a_bigint(declare, execute, user, held, tmp_path):
    """The foreign keys that Django drops are reported and restored, without rows of users who are gone by then."""
    declare(FIRST, PAIR)
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x'), (%s, 'y')", [user.pk, user.pk])
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    before = {name for _, name, *_ in execute(CONSTRAINTS)}
    execute("CREATE ROLE restored_reader; GRANT EXECUTE ON FUNCTION badges_revoke TO restored_reader")
    migrate_the_key()
    lost = before - {name for _, name, *_ in execute(CONSTRAINTS)}
    assert lost == {"badges_badge_user_id_fk", "badges_badgeevent_user_id_fk"}, "Django works otherwise by now"

    # Until the command runs: writes succeed and earn badges, dumps are loaded, deleted users leave their badges behind.
    bob = User.objects.create(username="bob")
    execute(INSERT, [bob.pk])
    assert held(bob) == ["first"]
    call_command("dumpdata", "badges.Badge", output=str(tmp_path / "dump.json"), verbosity=0)
    call_command("loaddata", str(tmp_path / "dump.json"), verbosity=0)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("DELETE FROM dummy_sketch WHERE user_id = %s", [user.pk])
    execute("DELETE FROM auth_user WHERE id = %s", [user.pk])
    assert held(user) == ["first", "pair"]
    messages = [each.msg for each in checks.run_checks(databases=["default"]) if each.id == "badges.W013"]
    assert "restore foreign key badges_badge_user_id_fk on public.badges_badge" in str(messages)
    with pytest.raises(CommandError, match="out of date"):
        run("create_badge_triggers", "--check")
    plan = run("create_badge_triggers", "--plan")
    assert "restore foreign key badges_badgeevent_user_id_fk on public.badges_badgeevent  (missing" in plan
    assert "SHARE ROW EXCLUSIVE on public.auth_user" in plan
    assert "the rows of users who are gone are deleted" in plan
    script = run("create_badge_triggers", "--sql")
    assert script.index("NOT VALID;\n\nCOMMIT;") < script.index("VALIDATE CONSTRAINT")

    run("create_badge_triggers")
    assert {name for _, name, *_ in execute(CONSTRAINTS)} == before
    assert all(is_valid for *_, is_valid in execute(CONSTRAINTS))
    assert not Badge.objects.filter(user=user.pk).exists()
    assert not BadgeEvent.objects.filter(user=user.pk).exists()
    assert run("create_badge_triggers").startswith("Nothing to do")

    execute(USERS, [[2**40]])
    for _ in range(2):
        execute(INSERT, [2**40])
    assert execute("SELECT code FROM badges_badge WHERE user_id = %s ORDER BY 1", [2**40]) == [("first",), ("pair",)]
    assert execute("SELECT badges_revoke(%s, 'pair'), has_function_privilege('restored_reader', oid, 'EXECUTE')"
                   " FROM pg_proc WHERE proname = 'badges_revoke'", [2**40]) == [(True, True)]  # fmt: skip
    execute("DELETE FROM dummy_sketch; DELETE FROM auth_user")
    assert execute("SELECT count(*) FROM badges_badge") == execute("SELECT count(*) FROM badges_badgeevent") == [(0,)]


@pytest.mark.django_db
def test_key_whose_type_changes_without_django(declare, execute, user, held):
    """Where the users' key has changed its type by plain SQL, the columns that name users follow."""
    declare(FIRST)
    execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE auth_user ALTER COLUMN id TYPE bigint")
    plan = run("create_badge_triggers", "--plan")
    for table in ("badge", "badgeevent", "pendingcheck", "delivery"):
        assert f"restore type of public.badges_{table}.user_id  (the users' key is bigint)" in plan
    run("create_badge_triggers")
    types = """
        SELECT DISTINCT format_type(atttypid, NULL) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        WHERE attname = 'user_id' AND relname ~ '^badges_' AND relkind = 'r'
    """
    assert execute(types) == [("bigint",)]
    execute(INSERT, [user.pk])
    assert held(user) == ["first"]


@pytest.mark.django_db
def test_key_that_nothing_can_follow(declare, execute):
    """Where PostgreSQL cannot convert the old keys, the error names the column and the statement to prepare."""
    declare()
    execute("ALTER TABLE auth_user DROP CONSTRAINT auth_user_pkey CASCADE; ALTER TABLE auth_user DROP COLUMN id;"
            "ALTER TABLE auth_user ADD COLUMN id uuid PRIMARY KEY DEFAULT gen_random_uuid()")  # fmt: skip
    with pytest.raises(CommandError) as raised, transaction.atomic():
        run("create_badge_triggers")
    assert 'column "user_id" cannot be cast automatically to type uuid' in str(raised.value)
    assert 'ALTER TABLE "public"."badges_badge" ALTER COLUMN user_id TYPE uuid;' in str(raised.value)


def drop_all(execute):
    """Take everything from the tables of badges that is not a column."""
    for table, name, *_ in sorted(execute(CONSTRAINTS), key=lambda row: "FOREIGN" not in row[2]):
        execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for (name,) in execute("SELECT indexname FROM pg_indexes WHERE tablename ~ '^badges_' AND indexname !~ '_like$'"):
        execute(f"DROP INDEX {name}")
    defaults = """
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_name ~ '^badges_' AND column_default IS NOT NULL
    """
    for table, column in execute(defaults):
        execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
    execute("ALTER TABLE badges_pendingcheck RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
    execute("DELETE FROM badges_secret")


@pytest.mark.django_db
def test_whatever_is_missing(declare, execute, user):
    """Each constraint, index, default and option that migrations make is restored as it was, and the secret as well."""
    declare(FIRST)
    wanted = [execute(query) for query in OBJECTS]
    drop_all(execute)
    lacking = [execute(query) for query in OBJECTS]
    assert all(before != now for before, now in zip(wanted, lacking, strict=True))
    # Meanwhile the same award is made twice, and one of a definition that is gone, past the triggers.
    execute("SET LOCAL session_replication_role = replica")
    execute(AWARD, [user.pk, "first", 2])
    execute(AWARD, [user.pk, "lost", 1])
    execute("SET LOCAL session_replication_role = origin")
    steps = json.loads(run("create_badge_triggers", "--json"))["steps"]
    run("create_badge_triggers")
    assert [execute(query) for query in OBJECTS] == wanted
    assert execute("SELECT code FROM badges_badge ORDER BY 1") == [("first",), ("lost",)]
    assert BadgeDefinition.objects.get(code="lost").retired_at
    assert run("create_badge_triggers").startswith("Nothing to do")
    assert {step["action"] for step in steps} == {"restore", "validate"}


CHANGES = {
    "ALTER TABLE badges_badge DROP CONSTRAINT badges_badge_user_id_fk, ADD CONSTRAINT badges_badge_user_id_fk"
    " FOREIGN KEY (user_id) REFERENCES auth_user (id)": "foreign key badges_badge_user_id_fk",
    "ALTER TABLE badges_badgeevent ALTER CONSTRAINT badges_badgeevent_user_id_fk INITIALLY DEFERRED":
    "foreign key badges_badgeevent_user_id_fk",
    "DROP INDEX badges_badge_user_code; CREATE INDEX badges_badge_user_code ON badges_badge (user_id, code)":
    "index badges_badge_user_code",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'badges_badge_code'::regclass":
    "index badges_badge_code",
    "ALTER TABLE badges_badgeevent ALTER COLUMN at SET DEFAULT now()": "default of public.badges_badgeevent.at",
    "ALTER TABLE badges_pendingcheck DROP CONSTRAINT badges_pendingcheck_key, ADD CONSTRAINT badges_pendingcheck_key"
    " UNIQUE (user_id, code)": "constraint badges_pendingcheck_key",
}  # fmt: skip

ALIKE = (
    "ALTER TABLE badges_badge RENAME CONSTRAINT badges_badge_user_id_fk TO other",
    "ALTER INDEX badges_badge_user_code RENAME TO another; ALTER INDEX another SET (fillfactor = 70)",
    "ALTER TABLE badges_pendingcheck SET (autovacuum_vacuum_threshold = 50)",
    "ALTER TABLE badges_badge ADD COLUMN note text DEFAULT 'x' UNIQUE",
)


@pytest.mark.django_db
def test_whatever_has_changed(declare, execute):
    """What was changed is made anew; what does the same under another name, or is the site's own, stays."""
    declare(FIRST)
    wanted = [execute(query) for query in OBJECTS]
    for change in CHANGES:
        execute(change)
    plan = run("create_badge_triggers", "--plan")
    for place in CHANGES.values():
        assert f"restore {place}" in plan
    assert plan.count("(changed in the database)") == len(CHANGES)
    run("create_badge_triggers")
    assert [execute(query) for query in OBJECTS] == wanted
    for change in ALIKE:
        execute(change)
    assert run("create_badge_triggers").startswith("Nothing to do")


@pytest.mark.django_db
def test_key_to_an_earlier_users_table(declare, execute, user):
    """A foreign key that leads to another table of users deletes no badges: those without a user are an error."""
    declare(FIRST)
    execute("CREATE TABLE members (id integer PRIMARY KEY); INSERT INTO members VALUES (%s), (-1)", [user.pk])
    execute(
        "ALTER TABLE badges_badge DROP CONSTRAINT badges_badge_user_id_fk,"
        " ADD CONSTRAINT badges_badge_user_id_fk FOREIGN KEY (user_id) REFERENCES members ON DELETE CASCADE"
    )
    execute("SET LOCAL session_replication_role = replica")
    execute(AWARD, [-1, "first", 1])
    execute("SET LOCAL session_replication_role = origin")
    with (
        pytest.raises(CommandError, match=r"Key \(user_id\)=\(-1\) is not present in table .auth_user"),
        transaction.atomic(),
    ):
        run("create_badge_triggers")
    assert execute("SELECT user_id FROM badges_badge") == [(-1,)]
    execute("DELETE FROM members WHERE id = -1")
    run("create_badge_triggers")
    assert [row for row in execute(CONSTRAINTS) if "members" in row[2]] == []
    assert run("create_badge_triggers").startswith("Nothing to do")


def test_locks_while_others_write(committed, execute, settings):
    """The users' table is locked for a moment and waited for briefly, the message names it and who holds it."""
    path = committed(FIRST)
    execute(USERS, [[1, 2, 3]])
    for number in (1, 2, 3):
        execute(INSERT, [number])
    execute("ALTER TABLE badges_badge DROP CONSTRAINT badges_badge_user_id_fk")
    settings.BADGES_LOCK_RETRIES = 0
    with psycopg.connect(**own_session("default")[0] | {"autocommit": False}) as other:
        other.execute("DELETE FROM dummy_sketch; DELETE FROM auth_user WHERE id = 1")
        with pytest.raises(
            exceptions.LockNotAvailable, match=r"public\.badges_badge or public\.auth_user, which is in use by process"
        ):
            executor.apply(connection, definitions.load(path), path)
        other.commit()
        settings.BADGES_LOCK_RETRIES = 30
        # A reader, and a writer of the users who has awards: only the first moment waits for it.
        other.execute("SELECT FROM badges_badge, auth_user")
        executor.apply(connection, definitions.load(path), path)
        other.rollback()
    assert execute("SELECT DISTINCT user_id FROM badges_badge ORDER BY 1") == [(2,), (3,)]
    execute("DELETE FROM auth_user WHERE id = 2")
    assert execute("SELECT DISTINCT user_id FROM badges_badge") == [(3,)]
