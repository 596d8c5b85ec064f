"""System checks: are the declared badges sound, and does the database do what it says?

Those that ask the database run with `manage.py check --database ALIAS` and before `migrate`. They only warn, as a
migration may be about to mend what they found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.db import DatabaseError, connections, router, transaction

from badges import database, exceptions
from badges.conf import badges_settings
from badges.definitions import declarations
from badges.facts.target import describe_target
from badges.installation import catalog, executor
from badges.installation.types import EDITED, RecordedFailure
from badges.signals import dispatch

RUN = "Run `python manage.py create_badge_triggers`; --plan shows what it would do."


@register()
def check_badge_file(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """badges.E001, badges.W001: the badges as declared, as far as they can be judged without a database."""
    try:
        declarations.load()
    except exceptions.NotConfigured:
        hint = (
            'Add BADGES_FILE = BASE_DIR / "badge.json" to the settings, or register rules in the badges.py of an app.'
        )
        return [Warning("BADGES_FILE is not set, so no badge is awarded.", hint=hint, id="badges.W001")]
    except exceptions.InvalidDefinitions as error:
        return [
            Error(f"{error.source}: {each.place}: {each.message}", hint=each.hint or None, id="badges.E001")
            for each in error.errors
        ]
    return []


@register()
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """badges.E002: a setting that cannot be used."""
    messages: list[CheckMessage] = []
    for name in (
        "BADGES_LOCK_TIMEOUT", "BADGES_LOCK_RETRIES", "BADGES_WAIT", "BADGES_BUCKETS", "BADGES_PREVIEW_TIMEOUT",
        "BADGES_BRAKE", "BADGES_SIGNALS", "BADGES_SIGNAL_ATTEMPTS", "BADGES_NOTIFY", "BADGES_POLL", "BADGES_LIVE_ALL",
        "BADGES_SUBSCRIBERS", "BADGES_PG_CRON",
    ):  # fmt: skip
        try:
            getattr(badges_settings, name)
        except exceptions.InvalidSetting as error:
            messages.append(Error(str(error), hint="See docs/settings.md.", id="badges.E002"))
    return messages


@register(Tags.database)
def check_databases(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """badges.W002 to badges.W009: the triggers in the databases that hold badges."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        if connections[alias].vendor == "postgresql" and router.allow_migrate(alias, "badges"):
            messages += _check_database(alias)
    return messages


@register(Tags.database)
def check_deliveries(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """badges.W010: events that could not be sent."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        if connections[alias].vendor == "postgresql" and router.allow_migrate(alias, "badges"):
            messages += _check_parked(alias)
    return messages


def _check_parked(alias: str) -> Iterator[CheckMessage]:

    try:
        with transaction.atomic(using=alias):
            number, latest = dispatch.parked(alias).count(), dispatch.parked(alias).first()
    except DatabaseError:
        return  # not migrated, or out of reach
    if latest:
        events = "1 event" if number == 1 else f"{number:,} events"
        yield Warning(
            f'In the database "{alias}", {events} could not be sent in {latest.attempts} attempts, the last at '
            f"{latest.parked_at:%Y-%m-%d %H:%M:%S %Z}: {latest.error}",
            hint="Mend the receiver, then run `python manage.py listen_badges --retry`.",
            id="badges.W010",
        )


def _check_database(alias: str) -> Iterator[CheckMessage]:
    try:
        declared = declarations.load()
        drafted = executor.draft(database.connect(alias), declared.definitions, declared.source)
    except (exceptions.NotConfigured, exceptions.InvalidSetting):
        return  # badges.W001 and badges.E002 say so
    except (exceptions.NotMigrated, DatabaseError):
        return  # nothing is installed yet, and `migrate` tells what keeps it from the database
    except exceptions.InvalidDefinitions as error:
        # What is wrong without a database is badges.E001; what is left, PostgreSQL found.
        try:
            declarations.load()
        except exceptions.InvalidDefinitions:
            return
        for each in error.errors:
            yield Warning(
                f'{error.source} does not fit the database "{alias}": {each.place}: {each.message}',
                hint=each.hint or "Was a table or a column dropped or renamed? Change the badge, or bring it back.",
                id="badges.W002",
            )
        connection = database.connect(alias)
        yield from _check_failures(alias, catalog.failures(connection, describe_target(connection)))
        return
    edited = [step for step in drafted.steps if EDITED in step.reason]
    others = [step for step in drafted.steps if step not in edited]
    if others:
        steps = ", ".join(f"{step.action} {step.target}" for step in others[:3])
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        yield Warning(
            f'The database "{alias}" is not in line with {declared.source}: {steps}{more}.', hint=RUN, id="badges.W003"
        )
    for step in edited:
        yield Warning(
            f'{step.target} was edited in the database "{alias}".',
            hint=f"The next create_badge_triggers undoes the edit. {RUN}",
            id="badges.W004",
        )
    yield from _check_failures(alias, drafted.failures)
    for trigger in drafted.disabled:
        name, _, table = trigger.partition(" on ")
        yield Warning(
            f'The trigger {trigger} is disabled in the database "{alias}": {catalog.loss(name)}.',
            hint=f"ALTER TABLE {table} ENABLE TRIGGER {name}; and {catalog.made_good(name)} for what was missed.",
            id="badges.W005",
        )
    for finding in drafted.findings:
        yield Warning(f'In the database "{alias}": {finding.message}', hint=finding.hint, id=finding.id)


def _check_failures(alias: str, failures: Sequence[RecordedFailure]) -> Iterator[CheckMessage]:
    for failure in failures:
        yield Warning(
            f'In the database "{alias}": {failure}',
            hint=f"No write was harmed. Mend the condition, then run `python manage.py award_badges {failure.code}`.",
            id="badges.W006",
        )
