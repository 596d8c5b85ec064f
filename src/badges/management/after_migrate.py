"""What happens after `migrate`: it says that the triggers are out of date, or brings them in sync (BADGES_INSTALL)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import mail
from django.core.management import call_command
from django.db import DatabaseError

from badges import database, exceptions
from badges.conf import badges_settings
from badges.definitions import declarations
from badges.facts.target import describe_target
from badges.installation import executor

_OUT_OF_DATE = "The badges are out of date with {}. Run `python manage.py create_badge_triggers`."


def after_migrate(*, using: str, verbosity: int, **kwargs: Any) -> None:
    """A receiver of `post_migrate`, for the app of the badges.

    `flush` sends that signal too, after each TransactionTestCase: without a plan of migrations, and it takes away no
    definition and no trigger.
    """
    if "plan" not in kwargs or not database.holds_badges(using):
        return
    is_test = hasattr(mail, "outbox")
    if is_test and "badges" in settings.MIGRATION_MODULES and settings.MIGRATION_MODULES["badges"] is None:
        from badges.test import triggers  # noqa: PLC0415 - for tests only

        triggers.make_tables(database.connect(using))
    if badges_settings.BADGES_INSTALL == "migrate":
        _install(using, verbosity, kwargs["stdout"])
    # A test database has no triggers unless a test asks for them.
    elif verbosity and not is_test:
        _report(using, kwargs["stdout"])


def _install(using: str, verbosity: int, stdout: Any) -> None:
    try:
        declarations.load()
        describe_target(database.connect(using))
    except (exceptions.NotConfigured, exceptions.MissingFile, exceptions.NotMigrated):
        return  # badges.W001 reports the first two; `migrate` may have taken the tables away
    call_command("create_badge_triggers", database=using, verbosity=verbosity, stdout=stdout)


def _report(using: str, stdout: Any) -> None:
    try:
        declared = declarations.load()
        is_in_sync = executor.draft(database.connect(using), declared.definitions, declared.source).is_empty
    except exceptions.InvalidDefinitions as error:
        is_in_sync = isinstance(error, exceptions.MissingFile)
        source = error.source
    except (exceptions.BadgesError, DatabaseError):
        return  # the checks report what is wrong
    else:
        source = declared.source
    if not is_in_sync:
        stdout.write(_OUT_OF_DATE.format(source))
