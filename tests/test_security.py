"""Who may do what: roles that only write, roles that try to forge badges, row-level security, owners without power."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import re

import psycopg
import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import DatabaseError, ProgrammingError, connection, transaction
from other_databases import PARAMETERS, alias_for, new_database
from psycopg import sql
from psycopg.conninfo import make_conninfo

from badges.definitions import parser
from badges.exceptions import InsufficientRights
from badges.facts.analysis import analyse
from badges.facts.target import describe_target
from badges.facts.types import FOLLOW_USER
from badges.functions.compiler import compile_definitions
from badges.installation.roles import find
from badges.models import Badge, BadgeEvent, Failure

pytestmark = pytest.mark.django_db

FIRST = entry("first", condition="NEW.hit_views >= 0")
COUNTED = entry("counted", condition="count(*) >= 1 FROM dummy_sketch WHERE user_id = NEW.user_id")
GROWN = entry("grown", trigger_condition="update", condition="NEW.hit_views > OLD.hit_views")
BROKEN = entry("broken", condition="1 / NEW.hit_views > 0")
TABLES = [
    "badges_secret",
    "badges_formerkey",
    "badges_overrun",
    "badges_badge",
    "badges_badgedefinition",
    "badges_badgeevent",
    "badges_pendingcheck",
    "badges_failure",
]


@pytest.fixture
def ada(user):
    return user


@pytest.fixture
def writer(execute):
    """A role that may write sketches and nothing else."""
    execute("CREATE ROLE badges_test_writer")
    execute("GRANT INSERT, UPDATE, DELETE, SELECT ON dummy_sketch TO badges_test_writer")
    execute("GRANT USAGE ON SEQUENCE dummy_sketch_id_seq TO badges_test_writer")
    return "badges_test_writer"


@pytest.fixture
def acting_as(execute):
    """A block in which the session has the rights of another role."""

    @contextlib.contextmanager
    def block(role):
        execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)).as_string())
        try:
            yield
        finally:
            execute("RESET ROLE")

    return block


@pytest.fixture
def rejected(execute):
    """Expect that PostgreSQL rejects a statement, by default for lack of rights."""

    def run(statement, error=psycopg.errors.InsufficientPrivilege):
        with pytest.raises(DatabaseError) as caught, transaction.atomic():
            execute(statement)
        assert isinstance(caught.value.__cause__, error), caught.value
        return str(caught.value)

    return run


def run(command, *args, **options):
    output = io.StringIO()
    call_command(command, *args, stdout=output, stderr=output, no_color=True, **options)
    return output.getvalue()


def found(id_):
    return [message for message in checks.run_checks(databases=["default"]) if message.id == id_]


def insert(user, table="public.dummy_sketch"):
    return f"INSERT INTO {table} (user_id, title) VALUES ({user.pk}, 'x')"


# A role that only writes


def test_a_role_that_only_writes_earns_badges(declare, execute, held, writer, acting_as, rejected, ada):
    """It earns badges by every kind of trigger, has failures recorded, and can read and write no table of badges."""
    declare(FIRST, COUNTED, GROWN, BROKEN)
    with acting_as(writer):
        execute(insert(ada))
        execute("UPDATE dummy_sketch SET hit_views = 7")
        for table in TABLES:
            rejected(f"SELECT FROM {table}")
            rejected(f"INSERT INTO {table} DEFAULT VALUES")
            rejected(f"DELETE FROM {table}")
            rejected(f"TRUNCATE {table}")
            rejected(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
        rejected("UPDATE badges_badge SET user_id = 1")
        rejected("COPY badges_badge TO STDOUT")
    assert held(ada) == ["counted", "first", "grown"]
    assert Failure.objects.get().code == "broken"


# A role that wants badges it has not earned


def test_no_function_can_be_called(declare, execute, writer, acting_as, rejected, ada):
    """None of the installed functions may be executed by a role that was not given the right."""
    declare(FIRST, COUNTED, GROWN)
    functions = execute(
        r"SELECT oid::regprocedure::text, prorettype = 'trigger'::regtype, proargtypes::regtype[]::text[] "
        r"FROM pg_proc WHERE proname LIKE 'badges\_%'"
    )
    assert len(functions) >= 10
    with acting_as(writer):
        for name, is_trigger, types in functions:
            if not is_trigger:
                nulls = ", ".join(f"NULL::{each}" for each in types)
                rejected(f"SELECT {name.partition('(')[0]}({nulls})")
        rejected(f"SELECT badges_award({ada.pk}, 'first')")
        rejected(f"SELECT badges_revoke({ada.pk}, 'first')")
    assert not Badge.objects.exists()


def create_forged_table(execute, function):
    execute("CREATE TEMPORARY TABLE dummy_sketch (user_id bigint, title text, hit_views integer)")
    return (
        f"CREATE TRIGGER badges_forged AFTER INSERT ON dummy_sketch REFERENCING NEW TABLE AS badges_new "
        f"FOR EACH STATEMENT EXECUTE FUNCTION public.{function}()"
    )


@pytest.mark.parametrize("is_granted", [False, True], ids=["as installed", "EXECUTE granted by mistake"])
def test_trigger_function_on_an_own_table(declare, execute, writer, acting_as, rejected, ada, is_granted):
    """It may not be attached; if that was granted, it awards nothing for another table of the same name."""
    declare(FIRST)
    [(function,)] = execute("SELECT tgfoid::regproc::text FROM pg_trigger WHERE tgname LIKE 'badges_insert%'")
    if is_granted:
        execute(f"GRANT EXECUTE ON FUNCTION {function}() TO {writer}")
    with acting_as(writer):
        attach = create_forged_table(execute, function)
        if not is_granted:
            rejected(attach)
            return
        execute(attach)
        execute(insert(ada, "pg_temp.dummy_sketch"))
    assert execute("SELECT count(*) FROM public.badges_badge") == [(0,)]
    execute("DROP TABLE pg_temp.dummy_sketch")
    assert f"{writer} may execute it" in run("create_badge_triggers", "--plan")
    run("create_badge_triggers")
    run("create_badge_triggers", "--check")
    assert execute("SELECT has_function_privilege(%s, %s, 'EXECUTE')", [writer, f"{function}()"]) == [(False,)]


def test_trigger_function_under_another_name(declare, execute, ada):
    """Renaming a trigger function loses badges, but no write."""
    declare(FIRST, COUNTED)
    [(function,)] = execute("SELECT tgfoid::regproc::text FROM pg_trigger WHERE tgname LIKE 'badges_insert%'")
    execute(f"ALTER FUNCTION {function} RENAME TO renamed")
    execute(insert(ada, "dummy_sketch"))
    assert execute("SELECT count(*) FROM dummy_sketch WHERE user_id = %s", [ada.pk]) == [(1,)]


def test_default_privileges_grant_no_function(declare, execute, writer, acting_as, rejected, ada):
    """Where default privileges grant new functions to other roles, as on some hosts, ours are still not granted."""
    execute("CREATE ROLE badges_test_anonymous")
    execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO badges_test_anonymous")
    execute(f"ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO {writer}, PUBLIC")
    declare(FIRST, COUNTED)
    rights = r"""
        SELECT p.proname, r.rolname FROM pg_proc p, pg_roles r
        WHERE p.proname LIKE 'badges\_%' AND r.rolname LIKE 'badges\_test\_%'
          AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
    """
    assert execute(rights) == []
    with acting_as(writer):
        rejected(f"SELECT badges_award({ada.pk}, 'first')")
    execute(f"GRANT EXECUTE ON FUNCTION badges_award(integer, text, jsonb, text, text, text) TO {writer}")
    run("create_badge_triggers", "--check")
    assert execute(rights) == [("badges_award", writer)], "what was granted on purpose stays"


@pytest.mark.parametrize("name", [*TABLES, "dummy_sketch", "auth_user", "badges_new"])
def test_temporary_tables_that_shadow(declare, execute, held, writer, acting_as, ada, name):
    """Temporary tables named like any that the functions use, whose contents would earn badges, earn none."""
    bar = User.objects.create(username="bar")
    declare(
        entry(
            "rich",
            condition="count(*) >= 3 FROM dummy_sketch, auth_user u WHERE user_id = NEW.user_id AND u.id = user_id",
        ),
        BROKEN,
        FIRST,
    )
    with acting_as(writer):
        execute(
            f"CREATE TEMPORARY TABLE {name} (id bigint, user_id bigint, code text, evidence jsonb, title text, "
            "hit_views integer, bucket integer, occurrences integer)"
        )
        execute(
            f"INSERT INTO pg_temp.{name} (id, user_id, title) SELECT {ada.pk}, {ada.pk}, 'x' FROM generate_series(1, 9)"
        )
        execute(insert(ada))
    execute(f"DROP TABLE pg_temp.{name}")
    assert held(ada) == ["first"]
    assert held(bar) == []
    assert Failure.objects.get().code == "broken"


def test_planted_functions_and_operators(declare, execute, held, writer, acting_as, ada):
    """Functions and operators on the caller's search_path, better matches than PostgreSQL's own, are not used."""
    broken = {**BROKEN, "condition": "1 / (NEW.hit_views - 1) = 0"}
    declare(entry("star", condition="hit_views > 1000 AND abs(hit_views) > 1000"), COUNTED, broken)
    execute("CREATE SCHEMA badges_test_trap")
    execute(f"GRANT ALL ON SCHEMA badges_test_trap TO {writer}")
    types = [("integer", "integer"), ("bigint", "bigint"), ("bigint", "integer"), ("text", "text"), ("varchar", "text")]
    with acting_as(writer):
        execute("SET LOCAL search_path = badges_test_trap, pg_catalog, public")
        execute(
            "CREATE FUNCTION badges_test_trap.abs(integer) RETURNS integer LANGUAGE plpgsql "
            "AS $$ BEGIN RAISE EXCEPTION 'trapped as %', current_user; END $$"
        )
        for left, right in types:
            execute(
                f"CREATE FUNCTION badges_test_trap.trap(a {left}, b {right}) RETURNS boolean LANGUAGE plpgsql "
                "AS $$ BEGIN RAISE EXCEPTION 'trapped as %', current_user; END $$"
            )
            for operator in ("=", ">", ">=", "<>"):
                execute(
                    f"CREATE OPERATOR badges_test_trap.{operator} (LEFTARG = {left}, RIGHTARG = {right}, "
                    "FUNCTION = badges_test_trap.trap)"
                )
        execute(
            "INSERT INTO public.dummy_sketch (user_id, title, hit_views) VALUES (%s, 'x', 1), (%s, 'x', 1001)",
            [ada.pk] * 2,
        )
        execute("INSERT INTO public.dummy_sketch (user_id, title, hit_views) VALUES (%s, 'x', 0)", [ada.pk])
        execute("RESET search_path")
    assert held(ada) == ["broken", "counted", "star"]
    assert list(Failure.objects.values_list("sqlstate", flat=True)) == ["22012"]


@pytest.mark.parametrize("path", ["''", "pg_temp", "pg_temp, pg_catalog", "badges_test_nowhere", "information_schema"])
def test_hostile_search_path(declare, execute, held, writer, acting_as, ada, path):
    """Whatever search_path the caller has set, the same badges are awarded."""
    declare(COUNTED, FIRST, BROKEN)
    with acting_as(writer):
        execute(f"SET LOCAL search_path = {path}")
        execute(insert(ada))
        execute("RESET search_path")
    assert held(ada) == ["counted", "first"]


def test_settings_of_the_caller(declare, execute, held, writer, acting_as, ada):
    """Nor do settings that a role may change for itself."""
    declare(COUNTED, FIRST, BROKEN)
    with acting_as(writer):
        for setting in (
            "badges.patience = 'spent'", "badges.noted = 'no JSON'", "row_security = off",
            # PostgreSQL 19 knows no other strings.
            *(["standard_conforming_strings = off"] if connection.pg_version < 190000 else []),
            "quote_all_identifiers = on", "transform_null_equals = on", "array_nulls = off", "bytea_output = 'escape'",
            "DateStyle = 'German'", "extra_float_digits = 0", "xmloption = document", "client_min_messages = error",
            "check_function_bodies = off", "lock_timeout = '1ms'",
            "default_transaction_read_only = on", "enable_indexscan = off", "jit = on",
        ):  # fmt: skip
            execute(f"SET LOCAL {setting}")
        execute(insert(ada))
        for setting in ("row_security", "standard_conforming_strings", "array_nulls"):
            execute(f"RESET {setting}")
    assert held(ada) == ["counted", "first"]


LIES = ["x", "", "{}", '{"cause": "by hand", "actor": "admin", "reason": "fraud"}', "0" * 64 + '{"actor": "admin"}']
SETTINGS_OF_A_LIAR = ["cause", "actor", "reason", "quiet", "event", "noted", "patience", "unwritten", "unrecorded"]
VIEWED = entry("viewed", condition="count(*) >= 1 FROM dummy_sketch WHERE user_id = NEW.user_id AND hit_views > 0",
               trigger_condition=["insert", "update"], revocable=True)  # fmt: skip


@pytest.mark.parametrize("lie", [*LIES, "on", "spent", "settled", "loaddata", '{"22012broken": 100}'])
@pytest.mark.parametrize("scope", ["SET LOCAL", "SET"])
def test_settings_that_a_writer_makes_up(declare, execute, writer, acting_as, ada, lie, scope):
    """No setting of its session changes what the history says of the writes of a role, or keeps failures back."""
    declare(FIRST, VIEWED, BROKEN)
    with acting_as(writer):
        for name in SETTINGS_OF_A_LIAR:
            execute(sql.SQL("{} badges.{} = {}").format(sql.SQL(scope), sql.SQL(name), sql.Literal(lie)).as_string())
        execute(f"INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES ({ada.pk}, 'x', 7)")
        execute("UPDATE dummy_sketch SET hit_views = 0")
        execute(insert(ada))
    for name in SETTINGS_OF_A_LIAR:
        execute(f"RESET badges.{name}")
    found = BadgeEvent.objects.order_by("at").values_list("code", "kind", "cause", "actor", "reason", "quiet")
    assert list(found) == [
        ("first", "awarded", "insert on public.dummy_sketch", "", "", False),
        ("viewed", "awarded", "insert on public.dummy_sketch", "", "", False),
        ("viewed", "revoked", "update on public.dummy_sketch", "", "", False),
    ]
    assert [(each.code, each.occurrences) for each in Failure.objects.all()] == [("broken", 1)]


@pytest.mark.parametrize("lie", LIES)
def test_settings_made_up_for_a_manual_award(declare, execute, writer, acting_as, ada, lie):
    """A role that may award manually gives actor and reason to the function; its settings add nothing."""
    declare(entry("first", condition="false"))
    for name, types in (("badges_award", "integer, text, jsonb, text, text, text"),
                        ("badges_revoke", "integer, text, text, text, text")):  # fmt: skip
        execute(f"GRANT EXECUTE ON FUNCTION {name}({types}) TO {writer}")
    with acting_as(writer):
        for name in SETTINGS_OF_A_LIAR:
            execute(sql.SQL("SET LOCAL badges.{} = {}").format(sql.SQL(name), sql.Literal(lie)).as_string())
        execute(f"SELECT badges_award({ada.pk}, 'first', actor => 'support')")
        execute(f"SELECT badges_revoke({ada.pk}, 'first', reason => 'asked')")
    found = BadgeEvent.objects.order_by("at").values_list("cause", "actor", "reason", "quiet")
    assert list(found) == [("by hand", "support", "", False), ("by hand", "", "asked", False)]


def test_what_a_transaction_remembers_is_of_no_use_in_another(declare, execute, writer, acting_as, ada):
    """A role can read what is remembered in its transaction; set under another name or later, it counts for nothing."""
    declare(FIRST, BROKEN)
    with acting_as(writer):
        execute(insert(ada))
        [(noted,)] = execute("SELECT current_setting('badges.noted')")
        assert len(noted) > 64
        for name in SETTINGS_OF_A_LIAR:
            execute(f"SELECT set_config('badges.{name}', %s, true)", [noted])
        execute(insert(ada))
    assert Failure.objects.get().occurrences == 2
    [(is_another,)] = execute(
        "SELECT badges_sealed('noted') IS NOT NULL AND badges_sealed('patience') IS NULL AND badges_sealed('x') IS NULL"
    )
    assert is_another
    # Signed by the same secret, for another transaction.
    forged = (
        "SELECT encode(sha256(convert_to(concat_ws('|', secret, 'noted', pg_current_xact_id()::text::bigint - 1, %s)"
        ", 'UTF8')), 'hex') || %s FROM badges_secret"
    )
    [(old,)] = execute(forged, ["{}", "{}"])
    execute("SELECT set_config('badges.noted', %s, true)", [old])
    assert execute("SELECT badges_sealed('noted')") == [(None,)]


@pytest.mark.parametrize("is_gone", [False, True], ids=["no right", "no table"])
def test_without_the_secret(declare, execute, owner, writer, acting_as, ada, held, is_gone):
    """Writes succeed, and badges are awarded and revoked, where the owner of the badges has lost the secret."""
    declare(FIRST, VIEWED, BROKEN)
    execute("DROP TABLE badges_secret" if is_gone else "REVOKE ALL ON badges_secret FROM badges_test_owner")
    with acting_as(writer):
        execute(f"INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES ({ada.pk}, 'x', 7)")
        execute("UPDATE dummy_sketch SET hit_views = 0")
        execute(insert(ada))
    assert held(ada) == ["first"]
    assert Failure.objects.get().code == "broken"


def test_schema_in_which_everybody_may_create(declare, badge_file, execute, found_nothing_open):
    """badges.W007 and the plan say so, with the REVOKE that helps; then both are silent."""
    badge_file(FIRST)
    execute('CREATE SCHEMA "Open to all"')
    execute('SET LOCAL search_path = public, "Open to all"')
    execute('GRANT CREATE ON SCHEMA "Open to all" TO PUBLIC')
    output = run("create_badge_triggers")
    revoke = 'REVOKE CREATE ON SCHEMA "Open to all" FROM PUBLIC;'
    assert revoke in output
    assert revoke in run("create_badge_triggers", "--plan")
    stdout = io.StringIO()
    call_command("create_badge_triggers", "--json", stdout=stdout, stderr=io.StringIO())
    assert [(each["id"], each["remedy"]) for each in json.loads(stdout.getvalue())["findings"]] == [
        ("badges.W007", revoke)
    ]
    [message] = found("badges.W007")
    assert 'the schema "Open to all"' in message.msg
    execute(message.hint)
    assert found("badges.W007") == []
    assert "REVOKE" not in run("create_badge_triggers", "--plan")


@pytest.fixture
def found_nothing_open(execute):
    # PostgreSQL 14 lets every role create objects in the schema public.
    execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")


# Objects that another role controls


@pytest.fixture
def trap(execute):
    """Plants a function; none may ever be called. It counts its calls, which no rollback undoes, and fails."""
    execute("CREATE SEQUENCE badges_test_trapped MINVALUE 0")

    def plant(name, arguments, result):
        execute(
            f"CREATE FUNCTION {name}({arguments}) RETURNS {result} LANGUAGE plpgsql STABLE AS "
            "$$ BEGIN PERFORM nextval('public.badges_test_trapped'); RAISE 'trapped as %', current_user; END $$"
        )

    yield plant
    assert execute("SELECT is_called FROM badges_test_trapped") == [(False,)]


@pytest.fixture
def own_types(execute, trap):
    """Columns of types with casts to json and to text; gives their values."""
    execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
    execute("CREATE TYPE place AS (mood mood, note text)")
    execute("CREATE DOMAIN score AS integer")
    for type_ in ("mood", "place"):
        for target in ("json", "jsonb", "text", "varchar"):
            trap(f"{type_}_to_{target}", type_, target)
            execute(f"CREATE CAST ({type_} AS {target}) WITH FUNCTION {type_}_to_{target}({type_}) AS ASSIGNMENT")
    execute("ALTER TABLE dummy_sketch ADD mood mood, ADD moods mood[], ADD place place, ADD score score")
    execute("ALTER TABLE dummy_sketch ALTER title TYPE varchar")
    return {"mood": "bad", "moods": "{bad,good}", "place": '(bad,"a, ""b""")', "score": 3}


OPERATORS = ["=", "<>", "<", ">", "<=", ">=", "||", "<@", "->", "->>", "?&", "&", "~", "+", "-", "/"]
OPERANDS = [
    "smallint", "integer", "bigint", "numeric", "text", "varchar", "name", "boolean", "timestamptz", "interval",
    "jsonb", "text[]", "integer[]", "boolean[]", "score", "mood",
]  # fmt: skip
OF_USER = "FROM dummy_sketch WHERE user_id = NEW.user_id"
OF_EACH_KIND = [
    entry("local", condition="NEW.mood IS NOT NULL AND NEW.moods IS NOT NULL AND NEW.place IS DISTINCT FROM NULL"),
    entry("per-mood", condition="NEW.score IS NOT NULL", per="mood"),
    entry("per-title", condition="NEW.score IS NOT NULL", per="title"),
    entry("per-number", condition=f"count(*) >= 1 {OF_USER} AND id = NEW.id", per="id", revocable=True),
    entry("paired", condition="NEW.mood IS NOT NULL AND OLD.mood IS NOT NULL", trigger_condition="update"),
    entry("mixed", condition=f"EXISTS (SELECT {OF_USER}) AND NEW.mood IS NOT NULL AND NEW.place IS DISTINCT FROM NULL"),
    entry("lasting", condition="true", expires_after="1 year"),
    entry("kept", condition=f"count(*) >= 1 {OF_USER}", revocable=True, expires_after="1 year"),
    entry("timely", condition=f"count(*) >= 1 {OF_USER} AND now() IS NOT NULL"),
    entry("timed", condition=f"count(*) >= 1 {OF_USER} AND now() IS NOT NULL", expires_after="1 year", revocable=True),
    entry("half", condition=None, progress=f"count(*) {OF_USER}", goal=0.5),
    entry("half-mood", condition=None, progress=f"count(*) {OF_USER}", goal=0.5, per="mood"),
    entry("broken", condition="NEW.mood IS NOT NULL AND 1 / (NEW.hit_views - NEW.hit_views) IS NULL"),
]  # fmt: skip
OF_EACH_KIND = [{key: value for key, value in each.items() if value is not None} for each in OF_EACH_KIND]
CODES = [each["code"] for each in OF_EACH_KIND if each["code"] not in ("broken", "paired")]


@pytest.fixture
def sketch(execute, own_types):
    """Insert sketches of these users with values of all columns."""
    columns = ", ".join(own_types)
    values = ", ".join(sql.Literal(value).as_string() for value in own_types.values())

    def insert(*users):
        rows = ", ".join(f"({each.pk}, 'x', {values})" for each in users)
        execute(f"INSERT INTO dummy_sketch (user_id, title, {columns}) VALUES {rows}")

    return insert


@pytest.mark.parametrize("level", ["statement-level", "row-level"])
def test_planted_casts_and_operators(declare, execute, held, own_types, sketch, trap, ada, settings, level):
    """Neither casts of the columns' types nor operators in the schemas of the path are called by generated SQL."""
    if level == "row-level":
        settings.BADGES_SUBSCRIBERS = ["default"]
    declare(*OF_EACH_KIND)
    for number, (left, right) in enumerate(itertools.product(OPERANDS, repeat=2)):
        trap(f"trap_{number}", f"a {left}, b {right}", "boolean")
    execute(
        "DO $$ DECLARE planted record; BEGIN FOR planted IN "
        "SELECT format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.%I)', "
        "name, proargtypes[0]::regtype, proargtypes[1]::regtype, proname) AS command "
        f"FROM pg_proc CROSS JOIN unnest(ARRAY{OPERATORS}) AS name WHERE proname ~ '^trap_' "
        # An exact match of PostgreSQL's own comes first.
        "AND NOT EXISTS (SELECT FROM pg_operator WHERE oprname = name AND oprleft = proargtypes[0] "
        "AND oprright = proargtypes[1]) LOOP EXECUTE planted.command; END LOOP; END $$"
    )
    bob, eve = User.objects.create(username="bob"), User.objects.create(username="eve")
    sketch(ada)
    sketch(bob, eve, bob)
    execute("UPDATE dummy_sketch SET hit_views = 1")
    for each in (ada, bob, eve):
        assert {*held(each)} == {*CODES, "paired"}
    assert list(Failure.objects.values_list("code", "sqlstate")) == [("broken", "22012")]
    stored = {"mood": own_types["mood"], "moods": own_types["moods"], "place": own_types["place"]}
    # Django's own queries would call planted operators, too, with the rights of their session.
    rows = {
        (code, thing): json.loads(each)
        for code, thing, each in execute("SELECT code, thing, evidence FROM badges_badge")
    }
    assert rows["local", ""]["new"] == stored
    assert ("per-mood", "bad") in rows
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("DELETE FROM badges_badge")
    for code, new in (("local", stored), ("mixed", {"user_id": ada.pk, **stored}), ("per-mood", {"score": 3})):
        execute(
            "INSERT INTO badges_pendingcheck (bucket, user_id, code, thing, evidence, noted_by) "
            "VALUES (0, %s, %s, %s, %s, 0)",
            [ada.pk, code, "bad" if code == "per-mood" else "", json.dumps({"operation": "insert", "new": new})],
        )
    assert execute("SELECT settled, kept FROM badges_settle(NULL, 100)") == [(3, 0)]
    assert held(ada) == ["local", "mixed", "per-mood"]
    execute("SELECT badges_catch_up()")
    assert {"timely", "timed"} <= {*held(ada)}
    assert sorted(execute(f"SELECT code, value FROM badges_progress(ARRAY[{ada.pk}])")) == [
        ("half", 1),
        ("half-mood", 1),
    ]
    execute("DELETE FROM dummy_sketch")
    assert "kept" not in held(ada)


def test_planted_casts_and_commands(declare, execute, held, sketch, ada):
    """Nor are casts called by award_badges and explain_badge, which have the rights of their caller."""
    declare(*OF_EACH_KIND)
    execute("SET LOCAL session_replication_role = replica")
    sketch(ada)
    execute("SET LOCAL session_replication_role = origin")
    with pytest.raises(CommandError, match="broken failed"):
        run("award_badges", "--yes")
    assert {*held(ada)} == {*CODES}
    for code in CODES:
        run("explain_badge", code, "ada")


def test_column_that_is_gone_beside_own_types(declare, execute, held, sketch, ada):
    """Where columns have such types, a badge whose column is gone fails alone, as elsewhere."""
    declare(*OF_EACH_KIND)
    execute("ALTER TABLE dummy_sketch RENAME moods TO feelings")
    execute(f"INSERT INTO dummy_sketch (user_id, title, mood, place, score) VALUES ({ada.pk}, 'x', 'bad', '(bad,)', 3)")
    assert {*held(ada)} == {*CODES} - {"local"}
    assert list(Failure.objects.order_by("code").values_list("code", "sqlstate")) == [
        ("broken", "22012"),
        ("local", "42703"),
    ]


def test_generated_sql_names_its_schemas(declare, execute, own_types):
    """In the functions that search the schemas of the site, each operator and function outside conditions is named."""
    declare(*OF_EACH_KIND)
    functions = execute(
        "SELECT proname, prosrc FROM pg_proc WHERE proconfig::text LIKE '%search_path=public%' ORDER BY 1"
    )
    assert {"badges_check", "badges_progress", "badges_catch_up"} < {name for name, _ in functions}
    questions = {each.get("condition") or each["progress"] for each in OF_EACH_KIND}
    questions |= {f"{each.removeprefix('count(*)').removeprefix(' >= 1').strip()}" for each in questions}
    for name, source in functions:
        text = source
        for question in sorted(questions, key=len, reverse=True):
            text = text.replace(question, "")
        text = re.sub(r"--[^\n]*|'(?:[^']|'')*'|\"[^\"]*\"|RAISE WARNING[^;]*;", " x ", text)
        text = re.sub(r"OPERATOR\(pg_catalog\.\S+\)|:=|\b(?:MESSAGE|COLUMN) =|<<own>>|count\(\*\)", " ", text)
        assert re.findall(r"[-+/<>=~&|?@]+(?=\s)", text) == [], name
        called = set(re.findall(r"(?<![.\w])(?<!AS )([a-z_]\w*)\s*\(", text))
        assert called <= SYNTAX, name


SYNTAX = {
    "and", "any", "all", "array", "as", "coalesce", "exists", "from", "in", "lateral", "not", "nullif", "on", "or",
    "over", "select", "then", "unnest", "values", "when", "where", "filter", "if", "elsif", "x",
}  # fmt: skip
"""What may precede a parenthesis; `unnest` of several arrays is syntax of PostgreSQL's own."""


@pytest.fixture
def other(execute):
    """A role that may log in and owns nothing yet; functions for it to own."""
    execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    execute("CREATE ROLE badges_test_other LOGIN")
    execute("CREATE FUNCTION public.asks(value integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'")
    return "badges_test_other"


FUNCTION = "ALTER FUNCTION asks(integer) OWNER TO badges_test_other"
HOW_TO_REACH = {
    "trigger table": (["ALTER TABLE dummy_sketch OWNER TO badges_test_other"], "true", "table public.dummy_sketch"),
    "table that is read": (
        ["ALTER TABLE dummy_like OWNER TO badges_test_other"],
        "EXISTS (SELECT FROM dummy_like WHERE user_id = NEW.user_id)",
        "table public.dummy_like",
    ),
    "users": (["ALTER TABLE auth_user OWNER TO badges_test_other"], "true", "table public.auth_user"),
    "events": (["ALTER TABLE badges_badgeevent OWNER TO badges_test_other"], "true", "table public.badges_badgeevent"),
    "view": (
        ["CREATE VIEW seen AS SELECT user_id FROM dummy_sketch", "ALTER VIEW seen OWNER TO badges_test_other"],
        "EXISTS (SELECT FROM seen WHERE user_id = NEW.user_id)",
        "view public.seen",
    ),
    "function in a view in a view": (
        ["CREATE VIEW inner_one AS SELECT user_id, asks(hit_views) AS asked FROM dummy_sketch",
         "CREATE VIEW seen AS SELECT user_id FROM inner_one", FUNCTION],
        "EXISTS (SELECT FROM seen WHERE user_id = NEW.user_id)",
        "function public.asks(integer)",
    ),
    "function": ([FUNCTION], "asks(NEW.hit_views)", "function public.asks(integer)"),
    "function of an aggregate": (
        ["CREATE FUNCTION add(a integer, b integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT a + b'",
         "CREATE AGGREGATE total(integer) (SFUNC = add, STYPE = integer, INITCOND = '0')",
         "ALTER FUNCTION add(integer, integer) OWNER TO badges_test_other"],
        "total(hit_views) >= 0 FROM dummy_sketch WHERE user_id = NEW.user_id",
        "function public.add(integer,integer)",
    ),
    "operator": (
        ["CREATE OPERATOR public.!! (RIGHTARG = integer, FUNCTION = asks)",
         "ALTER OPERATOR public.!! (NONE, integer) OWNER TO badges_test_other"],
        "!! NEW.hit_views",
        "operator public.!!(NONE,integer)",
    ),
    "function of an operator": (
        ["CREATE OPERATOR public.!! (RIGHTARG = integer, FUNCTION = asks)", FUNCTION],
        "!! NEW.hit_views",
        "function public.asks(integer)",
    ),
    "type": (
        ["CREATE TYPE mood AS ENUM ('good')", "ALTER TABLE dummy_sketch ADD mood mood",
         "ALTER TYPE mood OWNER TO badges_test_other"],
        "NEW.mood = 'good'",
        "type public.mood",
    ),
    "type within a type": (
        ["CREATE TYPE mood AS ENUM ('good')", "CREATE TYPE place AS (mood mood)",
         "ALTER TABLE dummy_sketch ADD places place[]", "ALTER TYPE mood OWNER TO badges_test_other"],
        "NEW.places IS NULL",
        "type public.mood",
    ),
    "cast": (
        ["CREATE TYPE mood AS ENUM ('good')", "ALTER TABLE dummy_sketch ADD mood mood",
         "CREATE FUNCTION is_good(mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'",
         "CREATE CAST (mood AS boolean) WITH FUNCTION is_good(mood)",
         "ALTER FUNCTION is_good(mood) OWNER TO badges_test_other"],
        "NEW.mood::boolean",
        "function public.is_good(public.mood)",
    ),
    "policy": (["CREATE POLICY few ON dummy_sketch USING (asks(hit_views))", FUNCTION], "true",
               "function public.asks(integer)"),
    "default": (["ALTER TABLE dummy_sketch ADD asked boolean DEFAULT asks(1)", FUNCTION], "true",
                "function public.asks(integer)"),
    "generated column": (
        ["ALTER TABLE dummy_sketch ADD asked boolean GENERATED ALWAYS AS (asks(hit_views)) STORED", FUNCTION],
        "true",
        "function public.asks(integer)",
    ),
    "domain": (["CREATE DOMAIN score AS integer CHECK (asks(VALUE))", FUNCTION], "NEW.hit_views::score > 0",
               "function public.asks(integer)"),
    "trigger on badges": (
        ["CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
         "CREATE TRIGGER spy AFTER INSERT ON badges_badge FOR EACH ROW EXECUTE FUNCTION spy()",
         "ALTER FUNCTION spy() OWNER TO badges_test_other"],
        "true",
        "function public.spy()",
    ),
    "index of badges": (["CREATE INDEX asked ON badges_badge (asks(user_id))", FUNCTION], "true",
                        "function public.asks(integer)"),
    "constraint of badges": (["ALTER TABLE badges_badge ADD CHECK (asks(user_id))", FUNCTION], "true",
                             "function public.asks(integer)"),
    "schema": (
        ["CREATE SCHEMA badges_test_schema AUTHORIZATION badges_test_other",
         "CREATE TABLE badges_test_schema.seen (user_id integer)"],
        "EXISTS (SELECT FROM badges_test_schema.seen s WHERE s.user_id = NEW.user_id)",
        "schema badges_test_schema",
    ),
    "schema of the path": (["GRANT CREATE ON SCHEMA public TO badges_test_other"], "true", "schema public"),
    "schema of the path, as PUBLIC": (["GRANT CREATE ON SCHEMA public TO PUBLIC"], "true", "schema public"),
}  # fmt: skip


@pytest.mark.parametrize("how", HOW_TO_REACH)
def test_roles_that_could_act_as_the_owner(execute, badge_file, database_unchanged, other, how):
    """create_badge_triggers rejects objects of other roles that the functions reach, until the role is trusted."""
    statements, condition, name = HOW_TO_REACH[how]
    for statement in statements:
        execute(statement)
    badge_file(entry("first", condition=condition))
    role = "PUBLIC" if "PUBLIC" in how else other
    with database_unchanged(), pytest.raises(CommandError) as caught:
        run("create_badge_triggers")
    message = str(caught.value)
    assert 'could act with the rights of the owner of the badges, "postgres": it' in message
    assert name in message
    assert f"--trust {role}" in message
    assert "Done" in run("create_badge_triggers", "--trust", "badges_test_nobody", "--trust", role)


def test_trust(execute, declare, settings, other, ada, held):
    """All commands that evaluate conditions reject, and the checks warn; the setting, membership or one owner help."""
    declare(FIRST)
    execute(f"ALTER TABLE dummy_sketch OWNER TO {other}")
    for command in (["create_badge_triggers", "--plan"], ["award_badges"]):
        with pytest.raises(CommandError, match=f"(?s)it owns table public.dummy_sketch.*--trust {other}.*BADGES_TRUST"):
            run(*command)
        run(*command, "--trust", other)
    assert "it owns table public.dummy_sketch" in run("explain_badge", "first", "ada")
    assert "it owns" not in run("explain_badge", "first", "ada", "--trust", other)
    [message] = found("badges.W002")
    assert "it owns table public.dummy_sketch" in message.msg
    settings.BADGES_TRUST = [other]
    assert found("badges.W002") == []
    assert run("award_badges").endswith("0 awarded.\n")
    settings.BADGES_TRUST = []
    execute(f"GRANT postgres TO {other}")
    run("create_badge_triggers", "--check")
    execute(f"REVOKE postgres FROM {other}")
    for table in [*TABLES, "badges_delivery", "auth_user", "dummy_sketch"]:
        execute(f"ALTER TABLE {table} OWNER TO {other}")
    execute(f"GRANT CREATE ON SCHEMA public TO {other}")
    assert "its owner is" in run("create_badge_triggers", verbosity=2)
    execute(insert(ada))
    assert held(ada) == ["first"]


def test_owner_of_the_database(execute, badge_file, other):
    """The schema public belongs to the owner of the database, which counts as its owner."""
    badge_file(FIRST)
    execute(f"ALTER DATABASE {connection.ops.quote_name(connection.settings_dict['NAME'])} OWNER TO {other}")
    with pytest.raises(CommandError, match=r"badges_test_other.*it owns schema public; it may create"):
        run("create_badge_triggers")


def test_error_names_few_of_many_objects(execute, badge_file, other):
    """A role that owns many objects gets one error, with the first few and how many more there are."""
    columns = ", ".join(f"ADD c{number} t{number}" for number in range(9))
    for number in range(9):
        execute(f"CREATE TYPE t{number} AS ENUM ()")
        execute(f"ALTER TYPE t{number} OWNER TO {other}")
    execute(f"ALTER TABLE dummy_sketch {columns}")
    badge_file(FIRST, COUNTED)
    with pytest.raises(CommandError) as caught:
        run("create_badge_triggers")
    assert str(caught.value).count("could act with") == 1
    assert "type public.t4 and 4 more" in str(caught.value)


def test_trigger_on_the_users(declare, execute, writer, acting_as):
    """A role that may make no trigger on the users' table installs the rest, and a warning names the right."""

    def target():
        with acting_as(writer):
            return describe_target(connection)

    first = parser.parse(json.dumps([FIRST]))
    for is_granted in (False, True):
        if is_granted:
            execute(f"GRANT TRIGGER ON auth_user TO {writer}")
        described = dataclasses.replace(describe_target(connection), follows_keys=target().follows_keys)
        compiled = compile_definitions(described, analyse(connection, described, first, ""))
        names = [trigger.name for trigger in compiled.history if trigger.table == described.users]
        assert names == ([FOLLOW_USER] if is_granted else [])
        assert [finding.id for finding in find(described, (), (), ())] == ([] if is_granted else ["badges.W015"])
    # What another role has made stays, until there is no badge.
    execute(f"REVOKE TRIGGER ON auth_user FROM {writer}")
    declare(FIRST)
    assert target().follows_keys
    declare()
    assert not execute("SELECT FROM pg_trigger WHERE tgname = 'badges_follow_user'")


# Row-level security


@pytest.fixture
def owner(execute):
    """The owner of the tables of badges: a role without privileges, save to read."""
    execute("CREATE ROLE badges_test_owner")
    execute("GRANT USAGE, CREATE ON SCHEMA public TO badges_test_owner")
    execute("GRANT SELECT ON auth_user, dummy_sketch TO badges_test_owner")
    for table in TABLES:
        execute(f"ALTER TABLE {table} OWNER TO badges_test_owner")
    return "badges_test_owner"


@pytest.mark.parametrize("force", ["", "; ALTER TABLE dummy_sketch FORCE ROW LEVEL SECURITY"], ids=["plain", "FORCE"])
def test_writers_under_row_level_security(declare, execute, held, writer, acting_as, ada, force):
    """Policies that show a writer none of the rows hide nothing from the badges of a superuser."""
    execute(f"ALTER TABLE dummy_sketch ENABLE ROW LEVEL SECURITY{force}")
    execute("CREATE POLICY only_insert ON dummy_sketch FOR INSERT WITH CHECK (true)")
    declare(FIRST, {**COUNTED, "condition": COUNTED["condition"].replace("1", "2")})
    with acting_as(writer):
        execute(insert(ada))
        execute(insert(ada))
        assert execute("SELECT count(*) FROM dummy_sketch") == [(0,)]
    assert held(ada) == ["counted", "first"]
    assert found("badges.W008") == []
    assert run("award_badges").endswith("0 awarded.\n")


@pytest.mark.parametrize("hint", ["the statement", "BYPASSRLS", "ownership"])
def test_owner_under_row_level_security(declare, execute, held, acting_as, owner, ada, hint):
    """Where policies hide rows from the owner of the badges, badges.W008 and the plan say so and what helps."""
    declare(FIRST, COUNTED)
    assert found("badges.W008") == []
    execute("ALTER TABLE dummy_sketch ENABLE ROW LEVEL SECURITY")
    execute("CREATE POLICY popular ON dummy_sketch USING (hit_views > 5)")
    execute(insert(ada))
    assert held(ada) == ["first"], "the changed row itself is never hidden"
    [message] = found("badges.W008")
    assert 'row-level security of public.dummy_sketch may hide rows from "badges_test_owner"' in message.msg
    assert message.hint in run("create_badge_triggers", "--plan")
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    match hint:
        case "the statement":
            execute(message.hint.partition(" Or ")[0])
        case "BYPASSRLS":
            execute(f"ALTER ROLE {owner} BYPASSRLS")
            execute("DISCARD PLANS")  # PostgreSQL reads this attribute when it plans
        case "ownership":
            execute(f"ALTER TABLE dummy_sketch OWNER TO {owner}")
    assert found("badges.W008") == []
    execute(insert(ada))
    assert held(ada) == ["counted", "first"]
    if hint == "ownership":
        execute("ALTER TABLE dummy_sketch FORCE ROW LEVEL SECURITY")
        assert len(found("badges.W008")) == 1


def test_award_badges_under_row_level_security(declare, execute, held, acting_as, owner, ada):
    """award_badges stops with an error for a role that does not see all rows, instead of missing users silently."""
    declare(FIRST, COUNTED)
    execute("SET LOCAL session_replication_role = replica")
    execute(insert(ada))
    execute("SET LOCAL session_replication_role = origin")
    execute("ALTER TABLE dummy_sketch ENABLE ROW LEVEL SECURITY")
    with acting_as(owner):
        for options in ([], ["--dry-run"], ["first"]):
            with pytest.raises(CommandError, match=r"may hide rows of public\.dummy_sketch from the role") as caught:
                run("award_badges", *options)
            assert "nothing was awarded" in str(caught.value)
    assert held(ada) == []
    execute(f"CREATE POLICY badges ON dummy_sketch FOR SELECT TO {owner} USING (true)")
    with acting_as(owner):
        assert run("award_badges").endswith("2 awarded.\n")
    execute("CREATE POLICY not_all ON dummy_sketch AS RESTRICTIVE FOR SELECT USING (hit_views > 5)")
    with acting_as(owner), pytest.raises(CommandError, match="may hide rows"):
        run("award_badges")


# Roles without power


@pytest.fixture
def application(declare, execute):
    """A role that owns nothing and may only read and write the rows of the site's own tables."""
    execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    execute("CREATE ROLE badges_test_app")
    execute("GRANT SELECT, INSERT, UPDATE, DELETE ON dummy_sketch, auth_user TO badges_test_app")
    declare(FIRST, COUNTED)
    return "badges_test_app"


TO_AWARD_BY_HAND = [
    "SELECT ON badges_badge",
    "SELECT ON badges_badgedefinition",
    "EXECUTE ON FUNCTION badges_award(integer, text, jsonb, text, text, text)",
    "EXECUTE ON FUNCTION badges_revoke(integer, text, text, text, text)",
]


def test_grants_to_award_by_hand(execute, held, application, acting_as, ada):
    """These are the rights, and all of them are needed, for Badge.objects.award and revoke."""

    def award_and_revoke():
        with acting_as(application), transaction.atomic():
            assert Badge.objects.award(ada, "first").name == "First"
            assert Badge.objects.revoke(ada, "first") is True

    grant_and_try(execute, application, TO_AWARD_BY_HAND, award_and_revoke)


TO_SEE_PROGRESS = [
    "SELECT ON badges_badgedefinition",
    "EXECUTE ON FUNCTION badges_progress(integer[])",
]


def test_grants_to_see_progress(declare, execute, application, acting_as, ada):
    """These are the rights, and both are needed, for Badge.objects.progress; the error names the GRANT."""
    goal = {**FIRST, "progress": "NEW.hit_views", "goal": 5}
    del goal["condition"]
    declare(goal, COUNTED)

    def see_progress():
        with acting_as(application), transaction.atomic():
            assert Badge.objects.progress(ada).keys() == {"first"}

    execute(f"GRANT SELECT ON badges_badgedefinition TO {application}")
    with pytest.raises(InsufficientRights, match="GRANT EXECUTE ON FUNCTION badges_progress"):
        see_progress()
    execute(f"REVOKE SELECT ON badges_badgedefinition FROM {application}")
    grant_and_try(execute, application, TO_SEE_PROGRESS, see_progress)


TO_RUN_AWARD_BADGES = [
    "TEMPORARY ON DATABASE {database}",
    "SELECT, INSERT ON badges_badge",
    "SELECT ON badges_badgedefinition",
    "SELECT ON badges_pendingcheck",
    "SELECT, UPDATE, DELETE ON badges_failure",
    "EXECUTE ON FUNCTION badges_settle(integer[], integer)",
    "EXECUTE ON FUNCTION badges_shortened",
]


def test_grants_to_run_award_badges(execute, held, application, acting_as, ada):
    """These are the rights, and all of them are needed, for award_badges."""
    execute(
        "REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC".format(
            connection.ops.quote_name(connection.settings_dict["NAME"])
        )
    )
    execute("SET LOCAL session_replication_role = replica")
    execute(insert(ada))
    execute("SET LOCAL session_replication_role = origin")

    execute(
        """
        INSERT INTO badges_pendingcheck (bucket, user_id, code, evidence)
        VALUES (0, %s, 'first', '{"operation": "insert", "new": {"hit_views": 1}}')
        """,
        [ada.pk],
    )

    def award():
        with acting_as(application), transaction.atomic():
            run("award_badges")

    grant_and_try(execute, application, TO_RUN_AWARD_BADGES, award)
    assert held(ada) == ["counted", "first"]


def grant_and_try(execute, role, rights, action):
    """`action` fails as long as one of the rights is lacking."""
    database = connection.ops.quote_name(connection.settings_dict["NAME"])
    for right in rights:
        execute(f"GRANT {right.format(database=database)} TO {role}")
    for right in rights:
        execute(f"REVOKE {right.format(database=database)} FROM {role}")
        try:
            with transaction.atomic():
                action()
        except (ProgrammingError, CommandError, InsufficientRights):
            pass
        else:
            pytest.fail(f"{right} is not needed")
        execute(f"GRANT {right.format(database=database)} TO {role}")
    action()


@pytest.fixture
def managed(django_db_setup, django_db_blocker, tmp_path, settings):
    """A new database as managed services give it: its owner is no superuser, and another role runs the site."""
    parameters = {key: value for key, value in connection.get_connection_params().items() if key in PARAMETERS}
    admin_dsn = make_conninfo(**{**parameters, "dbname": "postgres"})
    name, roles = f"{connection.settings_dict['NAME'][:40]}_managed", ("badges_test_owner", "badges_test_app")
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        for role in roles:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            admin.execute(f"DROP ROLE IF EXISTS {role}")
            admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x' NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS")
        with new_database(admin_dsn, name, f"OWNER {roles[0]}") as dsn, django_db_blocker.unblock():
            with psycopg.connect(dsn, autocommit=True) as database:
                # As of PostgreSQL 15 it is so from the start.
                database.execute(f"ALTER SCHEMA public OWNER TO {roles[0]}")
                database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            with (
                alias_for("owner", make_conninfo(dsn, user=roles[0], password="x")) as owner,
                alias_for("app", make_conninfo(dsn, user=roles[1], password="x")) as app,
            ):
                yield owner, app
        for role in roles:
            admin.execute(f"DROP ROLE {role}")


def test_owner_that_is_no_superuser(managed, tmp_path, settings):
    """migrate, create_badge_triggers and award_badges as the owner; writes by a role that may only write rows."""
    owner, app = managed
    assert owner.execute("SELECT usesuper FROM pg_user WHERE usename = current_user") == [(False,)]
    owner.run("migrate", verbosity=0)
    settings.BADGES_FILE = tmp_path / "badge.json"
    settings.BADGES_FILE.write_text(json.dumps([FIRST, COUNTED, GROWN]))
    owner.run("migrate", verbosity=0)
    assert "Done: 3 badges on 2 triggers" in owner.run("create_badge_triggers")
    owner.run("create_badge_triggers", "--check")
    owner.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON auth_user, dummy_sketch TO badges_test_app")
    owner.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO badges_test_app")
    app.users(2)
    app.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (1, 'x')")
    app.execute("UPDATE dummy_sketch SET hit_views = 1")
    with pytest.raises(ProgrammingError, match="permission denied"):
        app.held()
    assert owner.held() == [(1, "counted"), (1, "first"), (1, "grown")]
    assert owner.run("award_badges").endswith("0 awarded.\n")
    with pytest.raises(ProgrammingError, match="permission denied"):
        app.execute("SELECT badges_award(2, 'first')")
    for right in TO_AWARD_BY_HAND:
        owner.execute(f"GRANT {right} TO badges_test_app")
    assert Badge.objects.using("owner").filter(user=2).count() == 0
    assert app.execute("SELECT badges_award(2, 'first')") == [(True,)]
    assert checks.run_checks(databases=["owner"]) == []
