"""Settings that a database may have by ALTER DATABASE: the commands work as they do without them."""

from __future__ import annotations

import json

import pytest
from conftest import entry
from django.db import connections
from isolation.harness import ALIAS, fresh_site
from psycopg import sql
from test_own_table import run

from badges import database

BADGES = [
    entry("pair", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id"),
    entry("loud", condition="NEW.hit_views >= 100", revocable=True),
    entry("late", condition="NEW.created <= now() + interval '1 day'", expires_after="1 day"),
]

#: What PostgreSQL has otherwise, several at a time, as each database costs a second.
SETTINGS = {
    "plpgsql": {
        "plpgsql.extra_errors": "shadowed_variables",
        "plpgsql.extra_warnings": "all",
        "check_function_bodies": "off",
        "client_min_messages": "debug1",
        "plan_cache_mode": "force_generic_plan",
    },
    "plpgsql, all": {"plpgsql.extra_errors": "all", "row_security": "off", "client_min_messages": "error"},
    "names and literals": {
        "quote_all_identifiers": "on",
        "search_path": '"$user", public, pg_catalog',
        "backslash_quote": "off",
        "bytea_output": "escape",
        "transform_null_equals": "on",
        "array_nulls": "on",
        "xmloption": "document",
        "extra_float_digits": "0",
    },
    "strings as they once were": {"standard_conforming_strings": "off", "escape_string_warning": "off"},
    "transactions that write nothing": {
        "default_transaction_read_only": "on",
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
        "search_path": "public, nowhere, pg_temp",
    },
    "other snapshots": {"default_transaction_isolation": "repeatable read", "default_toast_compression": "pglz"},
    "short of time": {"statement_timeout": "100ms", "lock_timeout": "1ms"},
    "Tokyo": {"TimeZone": "Asia/Tokyo", "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "lc_messages": "C"},
    "Germany": {"TimeZone": "Europe/Berlin", "DateStyle": "German"},
}

GONE_IN_19 = ("standard_conforming_strings", "escape_string_warning")

WRITE = "INSERT INTO dummy_sketch (user_id, title, hit_views) SELECT %s, 'Sketch', 100 FROM generate_series(1, 3)"


@pytest.fixture(scope="module")
def template(django_db_blocker, tmp_path_factory):
    """The name of a migrated database."""
    name = f"{connections['default'].settings_dict['NAME'][:30]}_settings"
    with fresh_site(name, tmp_path_factory.mktemp("badges")) as site:
        with django_db_blocker.unblock():
            site.migrate()
            site.close()
        yield name


@pytest.mark.parametrize("values", SETTINGS.values(), ids=list(SETTINGS))
def test_settings_of_the_database(template, django_db_blocker, tmp_path, settings, values):
    """Installing, checking, awarding, listing and explaining give what they give without the settings."""
    with django_db_blocker.unblock(), fresh_site(f"{template}_1", tmp_path, template) as site:
        if values.keys() & set(GONE_IN_19) and int(site.sql("SHOW server_version_num")[0][0]) >= 190_000:
            pytest.skip("PostgreSQL 19 has no other value of these settings, or none")
        [ada, bob] = site.users(2)
        site.sql(WRITE, [ada])
        for name, value in values.items():
            site.sql(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                    sql.Identifier(f"{template}_1"),
                    sql.SQL(name),
                    sql.SQL(value) if name == "search_path" else sql.Literal(value),
                )
            )
        site.badge_file.write_text(json.dumps(BADGES), "utf-8")
        settings.BADGES_FILE = site.badge_file
        options = {"database": ALIAS, "file": site.badge_file}
        assert "Done: 3 badges" in run("create_badge_triggers", yes=True, **options)
        assert "Nothing to do" in run("create_badge_triggers", yes=True, **options)
        run("create_badge_triggers", check=True, **options)
        assert "badges.W003" not in run("check", databases=[ALIAS])
        assert "3 would be awarded" in run("award_badges", dry_run=True, **options)
        assert "3 awarded." in run("award_badges", yes=True, **options)
        assert site.badges() == [(ada, "late"), (ada, "loud"), (ada, "pair")]
        assert "pair" in run("list_badges", **options)
        assert "pair" in run("explain_badge", "pair", str(ada), **options)
        assert "collector" not in run("create_badge_triggers", plan=True, **options)
        writer = site.session()
        writer.run("BEGIN READ WRITE")
        writer.run("SET LOCAL statement_timeout = 0")
        writer.run(WRITE, [bob])
        writer.run("COMMIT")
        assert site.failures() == []
        assert site.settled_badges() == [(user, code) for user in (ada, bob) for code in ("late", "loud", "pair")]


@pytest.mark.django_db
def test_nothing_is_compiled():
    """An installation has no use for JIT, which Debian's PostgreSQL does; the session has its own setting again."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SET LOCAL jit = on")
        with database.read_committed(connections["default"]):
            cursor.execute("SHOW jit")
            assert cursor.fetchone() == ("off",)
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("on",)
