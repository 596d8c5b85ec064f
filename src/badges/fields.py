"""Fields and expressions of the models: foreign keys to definitions and to the users, and a translated name."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.deletion import Collector
from django.db.models.signals import post_delete, pre_delete
from django.db.models.sql.compiler import SQLCompiler
from django.utils.translation import get_language


class DefinitionField(models.ForeignKey[Any, Any]):
    """A foreign key to `BadgeDefinition`, held in the column `code` and readable as `badge.code`.

    Django would call the raw value `definition_id`; sites have filtered by `code` since 0.1, and SQL reads `code`.
    """

    def get_attname(self) -> str:
        return "code"


def with_the_user(collector: Collector, field: Any, rows: Any, using: str) -> None:
    """The `on_delete` of badges, which PostgreSQL deletes with their user, by its own foreign key.

    Django selects and deletes them only for the receivers of its signals, and lists them where it does not delete: on
    the admin's page of what a deletion comprises.
    """
    listeners = (pre_delete.has_listeners(field.model), post_delete.has_listeners(field.model))
    if type(collector) is not Collector or any(listeners):
        models.CASCADE(collector, field, rows, using)


def from_the_queue(collector: Collector, field: Any, rows: Any, using: str) -> None:
    """The `on_delete` of deliveries: one statement, if there is a queue. They have no foreign key in the database."""
    if getattr(settings, "BADGES_SIGNALS", False) and type(collector) is Collector:
        collector.fast_deletes.append(rows)


for _on_delete in (with_the_user, from_the_queue):
    # Django does not select the rows beforehand.
    _on_delete.lazy_sub_objs = True  # type: ignore[attr-defined]


_CLASHES = ("fields.E302", "fields.E303", "fields.E304", "fields.E305")
"""Django's checks for accessors and lookups that are there already."""


class HolderField(models.ForeignKey[Any, Any]):
    """A foreign key to the user who holds a badge; a site may choose the name of its reverse accessor.

    For migrations it is a plain foreign key.
    """

    has_namesake = False
    """The user model had an attribute with the name of the accessor."""

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.ForeignKey", args, kwargs

    def contribute_to_related_class(self, cls: Any, related: Any) -> None:
        name = related.get_accessor_name()
        self.has_namesake = name is not None and hasattr(cls, name)
        super().contribute_to_related_class(cls, related)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        found = super().check(**kwargs)
        others = [message for message in found if message.id not in _CLASHES]
        if self.has_namesake or len(others) < len(found):
            users, name = self.remote_field.model, self.remote_field.get_accessor_name()
            message = f"{users._meta.label}.{name} is there already, and would be the badges of a user."
            hint = 'Give those another name: BADGES_RELATED_NAME = "earned_badges". No migration is needed.'
            others.append(Error(message, hint=hint, obj=self, id="badges.E003"))
        return others


class CurrentTransaction(models.Func):
    """The id of the current transaction, which PostgreSQL never reuses (`xid8`), as a number."""

    template = "(pg_current_xact_id()::text::bigint)"
    output_field = models.BigIntegerField()


class ShownName(models.Func):
    """The name of a badge's definition in the language that is active when the query is compiled."""

    function = "COALESCE"
    output_field = models.TextField()

    def __init__(self, name: Any = "definition__name", translations: Any = "definition__translations") -> None:
        super().__init__(name, translations)

    def as_sql(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra_context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        name, translations = self.get_source_expressions()
        name_sql, name_params = compiler.compile(name)
        json_sql, json_params = compiler.compile(translations)
        # Literals: GROUP BY repeats the expression, and PostgreSQL does not regard two parameters as equal.
        parts = [f"{json_sql} #>> '{{{language},name}}'" for language in active_languages()]
        params = (*json_params * len(parts), *name_params)
        return f"COALESCE({', '.join([*parts, name_sql])})", params


def active_languages() -> tuple[str, ...]:
    """The active language and those that it is a variant of, such as `zh-hant-tw`, `zh-hant`, `zh`."""
    language = (get_language() or "").lower()
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", language):
        return ()
    parts = language.split("-")
    return tuple("-".join(parts[:count]) for count in range(len(parts), 0, -1))
