"""Triggers in the databases of tests: installed once in each, and disabled between the tests that ask for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import override_settings
from psycopg import sql

from badges import database
from badges.conf import SETTINGS, badges_settings
from badges.definitions import declarations
from badges.facts.target import describe_target
from badges.installation import catalog, executor
from badges.installation.types import InstalledTrigger
from badges.models import BadgeDefinition

_installed: dict[str, object] = {}
"""What was last installed, by the name of the database: definitions and settings."""


def aliases(among: Iterable[str] | None = None) -> list[str]:
    """The database aliases that hold badges."""
    chosen = connections if among is None else among
    return [alias for alias in chosen if database.holds_badges(alias)]


def install(alias: str) -> None:
    """Bring the triggers of a database in sync with the declared badges, and disable them.

    That is done once for each process and database, and again where a test declares other badges. Within a transaction
    the triggers stay enabled, and are gone with it.

    :raises BadgesError: as `create_badge_triggers` does.
    """
    connection = database.connect(alias)
    declared = declarations.load()
    wanted = (declared.definitions, [repr(getattr(settings, each.name, None)) for each in SETTINGS])
    name = str(connection.settings_dict["NAME"])
    if _installed.get(name) == wanted:
        return
    executor.apply(connection, declared.definitions, declared.source)
    if not connection.in_atomic_block:
        _installed[name] = wanted
        disable(alias)


def enable(alias: str) -> None:
    """Enable the triggers on the tables of the site."""
    mode = "ENABLE ALWAYS" if alias in badges_settings.BADGES_SUBSCRIBERS else "ENABLE"
    _alter(connections[alias], mode, [trigger for trigger in _triggers(alias) if trigger.is_disabled])


def disable(alias: str) -> None:
    """Disable the triggers on the tables of the site, unless `migrate` is set to install them for all tests."""
    if badges_settings.BADGES_INSTALL != "migrate":
        _alter(connections[alias], "DISABLE", [trigger for trigger in _triggers(alias) if not trigger.is_disabled])


def are_enabled(alias: str) -> bool:
    """Whether any trigger awards badges in this database."""
    return any(not trigger.is_disabled for trigger in _triggers(alias))


@contextlib.contextmanager
def enabled(among: Iterable[str] | None = None) -> Iterator[None]:
    """A block in which the triggers are installed and enabled."""
    chosen = aliases(among)
    for alias in chosen:
        install(alias)
        enable(alias)
    try:
        yield
    finally:
        for alias in chosen:
            # In a transaction that failed nothing can be done, and nothing need be: it is rolled back.
            if not connections[alias].needs_rollback:
                disable(alias)


def make_tables(connection: BaseDatabaseWrapper) -> None:
    """Make the tables by the migrations of the app, where a test database was made without any.

    `--nomigrations` and `TEST = {"MIGRATE": False}` make the tables of managed models, without the constraints and
    functions that the migrations add.
    """
    if BadgeDefinition._meta.db_table in connection.introspection.table_names():
        return
    models = apps.get_app_config("badges").get_models()
    names = [connection.ops.quote_name(model._meta.db_table) for model in models]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {', '.join(names)} CASCADE")
    others = {app.label: None for app in apps.get_app_configs() if app.label != "badges"}
    with override_settings(MIGRATION_MODULES=others):
        call_command("migrate", "badges", database=connection.alias, verbosity=0, interactive=False)


def _triggers(alias: str) -> list[InstalledTrigger]:
    """Those on the tables of the site; those that write the history are always enabled."""
    connection = database.connect(alias)
    functions = catalog.installed(connection, describe_target(connection))
    return [trigger for function in functions.values() for trigger in function.triggers if not trigger.writes_history]


def _alter(connection: BaseDatabaseWrapper, mode: str, triggers: list[InstalledTrigger]) -> None:
    statements = [
        sql.SQL("ALTER TABLE {} {} TRIGGER {}")
        .format(trigger.table_identifier, sql.SQL(mode), sql.Identifier(trigger.name))
        .as_string()
        for trigger in triggers
    ]
    if not statements:
        return

    def run() -> None:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    try:
        run()
    except OperationalError as error:
        if "pending trigger events" not in str(error):
            raise
        # Foreign keys of rows that the test has made are checked at COMMIT otherwise.
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            run()
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")


class BadgesTestMixin:
    """Before Django's TestCase or TransactionTestCase: the triggers are enabled for the tests of the class.

    They are installed once in each test database that the class uses, and disabled after it.
    """

    databases: ClassVar[Any]

    @classmethod
    def setUpClass(cls) -> None:
        # Before the transactions of the class begin: its setUpTestData earns badges too.
        chosen = aliases() if cls.databases == "__all__" else aliases(cls.databases)
        with contextlib.ExitStack() as stack:
            stack.enter_context(enabled(chosen))
            super().setUpClass()  # type: ignore[misc]
            cls.addClassCleanup(stack.pop_all().close)  # type: ignore[attr-defined]
