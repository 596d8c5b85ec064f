"""System checks: whether settings and declared badges are valid, and whether the databases are in sync with them.

The checks that query a database run with `manage.py check --database ALIAS` and before `migrate`. They only warn, as a
migration may be about to fix what they found; a missing file is an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import mail
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, router, transaction
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template

from badges import database, exceptions
from badges.conf import SETTINGS, badges_settings
from badges.definitions import declarations
from badges.facts.target import describe_target
from badges.installation import catalog, executor
from badges.installation.types import Action, Plan, Reason, RecordedFailure, Step
from badges.models import BadgeDefinition
from badges.signals import dispatch

RUN = "Run `python manage.py create_badge_triggers`; --plan shows what it would do."


@register()
def check_badge_file(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """badges.E001, badges.W001: the declared badges, as far as they can be validated without a database.

    A missing file is an error only where badges are installed, which `_check_database` finds.
    """
    try:
        declarations.load()
    except exceptions.NotConfigured:
        hint = (
            'Add BADGES_FILE = BASE_DIR / "badge.json" to the settings, or register rules in the badges.py of an app.'
        )
        return [Warning("BADGES_FILE is not set, so no badge is awarded.", hint=hint, id="badges.W001")]
    except exceptions.InvalidSetting:
        return []  # badges.E002 reports it
    except exceptions.MissingFile as error:
        message = f"There is no {error.source}, so no badge is awarded."
        return [Warning(message, hint=error.errors[0].hint, id="badges.W001")]
    except exceptions.InvalidDefinitions as error:
        messages = [
            Error(f"{error.source}: {each.at_place}", hint=each.hint or None, id="badges.E001") for each in error.shown
        ]
        return [*messages, *([Error(f"{error.source}: {error.rest}", id="badges.E001")] if error.rest else [])]
    return []


@register()
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """badges.E002: a setting whose value is not allowed. badges.W016: names in the settings that mean nothing."""
    messages: list[CheckMessage] = []
    for setting in SETTINGS:
        try:
            value = getattr(badges_settings, setting.name)
            if value != setting.default and setting.name in _LOADED:
                _LOADED[setting.name]()
        except exceptions.NotConfigured:
            pass  # badges.W001 reports it
        except exceptions.InvalidSetting as error:
            messages.append(Error(str(error), hint="See docs/settings.md.", id="badges.E002"))
        else:
            if setting.name in ("BADGES_DIRECT", "BADGES_SUBSCRIBERS"):
                messages += _check_aliases(setting.name, value)
    ours = [each.name.removeprefix(_PREFIX) for each in SETTINGS]
    for name in dir(settings):
        if name.startswith(_PREFIX) and name.removeprefix(_PREFIX) not in ours:
            near = difflib.get_close_matches(name.removeprefix(_PREFIX), ours, n=1)
            hint = f"Did you mean {_PREFIX}{near[0]}?" if near else "docs/settings.md lists the settings."
            messages.append(Warning(f"There is no setting {name}.", hint=hint, id="badges.W016"))
    return messages


def _load_serializer() -> None:
    if apps.is_installed("rest_framework"):
        from badges.api import users  # noqa: PLC0415 - rest_framework is optional

        users.serializer_class()


def _load_template() -> None:
    name = badges_settings.BADGES_BASE_TEMPLATE
    try:
        get_template(name)
    except TemplateDoesNotExist:
        message = f"BADGES_BASE_TEMPLATE is {name!r}; there is no such template."
        raise exceptions.InvalidSetting(message) from None
    except (TemplateSyntaxError, ImproperlyConfigured):
        pass  # Django reports it, and which template has it


_PREFIX = "BADGES_"

_LOADED = {"BADGES_API_USER_SERIALIZER": _load_serializer, "BADGES_BASE_TEMPLATE": _load_template}
"""Settings that name something to be loaded."""


def _check_aliases(name: str, value: Iterable[str]) -> Iterator[CheckMessage]:
    aliases = [*value, *value.values()] if isinstance(value, dict) else sorted(value)
    for alias in aliases:
        if alias not in connections:
            near = difflib.get_close_matches(alias, list(connections), n=1)
            hint = f'Did you mean "{near[0]}"?' if near else "Name an alias of DATABASES."
            yield Warning(f'{name} names "{alias}", which is not in DATABASES.', hint=hint, id="badges.W016")


@register(Tags.database)
def check_databases(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """badges.W002 to badges.W009 and badges.W011 to badges.W017: the triggers in the databases that hold badges."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        if _holds_badges(alias):
            messages += _check_database(alias)
    return messages


@register(Tags.database)
def check_deliveries(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """badges.W010: events that could not be sent."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        if _holds_badges(alias):
            messages += _check_parked(alias)
    return messages


def _holds_badges(alias: str) -> bool:
    # The router of django-tenants lets tables be made in one schema, which the sessions of other tenants see.
    is_tenant = hasattr(connections[alias], "tenant")
    return connections[alias].vendor == "postgresql" and (is_tenant or router.allow_migrate(alias, "badges"))


def _check_parked(alias: str) -> Iterator[CheckMessage]:
    try:
        with transaction.atomic(using=alias):
            number, latest = dispatch.parked(alias).count(), dispatch.parked(alias).first()
    except DatabaseError:
        return  # not migrated, or not reachable
    if latest:
        events = "1 event" if number == 1 else f"{number:,} events"
        yield Warning(
            f'In the database "{alias}", {events} could not be sent in {latest.attempts} attempts, the last at '
            f"{latest.parked_at:%Y-%m-%d %H:%M:%S %Z}: {latest.error}",
            hint="Fix the receiver, then run `python manage.py listen_badges --retry`.",
            id="badges.W010",
        )


def _check_database(alias: str) -> Iterator[CheckMessage]:
    try:
        declared = declarations.load()
    except exceptions.MissingFile as error:
        yield from _check_missing(alias, error)
        return
    except (exceptions.NotConfigured, exceptions.InvalidSetting, exceptions.InvalidDefinitions):
        return  # badges.W001, badges.E002 and badges.E001 report it
    try:
        drafted = executor.draft(database.connect(alias), declared.definitions, declared.source)
    except exceptions.InvalidSetting:
        return  # badges.E002 reports it
    except (exceptions.NotMigrated, exceptions.UnsupportedDatabase, DatabaseError):
        return  # nothing is installed yet, and `migrate` reports why a database cannot be reached
    except exceptions.InvalidDefinitions as error:
        connection = database.connect(alias)
        target = describe_target(connection)
        if not target.tenant and catalog.elsewhere(connection, target):
            return  # the badges are those of tenants, and so are the tables: in the session of each they are checked
        yield from _check_definitions(alias, error)
        yield from _check_failures(alias, catalog.failures(connection, target))
    else:
        yield from _check_plan(alias, declared.source, drafted)


def _check_missing(alias: str, error: exceptions.MissingFile) -> Iterator[CheckMessage]:
    try:
        with transaction.atomic(using=alias):
            installed = BadgeDefinition.objects.using(alias).filter(retired_at=None).count()
    except DatabaseError:
        return  # nothing is installed yet
    if installed:
        badges = "1 badge is" if installed == 1 else f"{installed:,} badges are"
        message = f'There is no {error.source}, but {badges} installed in the database "{alias}".'
        yield Error(message, hint="Restore the file, or correct BADGES_FILE.", id="badges.E001")


def _check_definitions(alias: str, error: exceptions.InvalidDefinitions) -> Iterator[CheckMessage]:
    for each in error.shown:
        yield Warning(
            f'{error.source} does not fit the database "{alias}": {each.at_place}',
            hint=each.hint or "Was a table or a column dropped or renamed? Change the badge, or restore it.",
            id="badges.W002",
        )
    if error.rest:
        yield Warning(f'{error.source} does not fit the database "{alias}": {error.rest}', id="badges.W002")


def _check_plan(alias: str, source: str, drafted: Plan) -> Iterator[CheckMessage]:
    edited = [step for step in drafted.steps if Reason.EDITED in step.reason]
    restoring = [step for step in drafted.steps if step.action in (Action.RESTORE, Action.VALIDATE)]
    others = [step for step in drafted.steps if step not in edited and step not in restoring]
    # A test database has no triggers unless a test asks for them.
    if others and not (hasattr(mail, "outbox") and not BadgeDefinition.objects.using(alias).exists()):
        yield Warning(
            f'The database "{alias}" is out of date with {source}: {_first(others)}.', hint=RUN, id="badges.W003"
        )
    if restoring:
        yield Warning(
            f'In the database "{alias}", the tables of the badges are not as `migrate` made them: {_first(restoring)}.',
            hint=RUN,
            id="badges.W013",
        )
    for step in edited:
        yield Warning(
            f'{step.target} was edited in the database "{alias}".',
            hint=f"The next create_badge_triggers undoes the edit. {RUN}",
            id="badges.W004",
        )
    yield from _check_failures(alias, drafted.failures)
    for trigger in drafted.disabled:
        yield Warning(f'In the database "{alias}": {trigger.message}', hint=trigger.hint, id="badges.W005")
    for finding in drafted.findings:
        yield Warning(f'In the database "{alias}": {finding.message}', hint=finding.hint, id=finding.id)


def _first(steps: Sequence[Step]) -> str:
    """The first three steps, and how many more there are."""
    more = f" and {len(steps) - 3} more" if len(steps) > 3 else ""
    return ", ".join(f"{step.action} {step.target}" for step in steps[:3]) + more


def _check_failures(alias: str, failures: Sequence[RecordedFailure]) -> Iterator[CheckMessage]:
    for failure in failures:
        yield Warning(
            f'In the database "{alias}": {failure}',
            hint=f"The writes succeeded. Fix the condition, then run `python manage.py award_badges {failure.code}`.",
            id="badges.W006",
        )
