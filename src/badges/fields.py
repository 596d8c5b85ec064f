"""Fields and expressions of the models: a foreign key whose raw value is called `code`, and a translated name."""

from __future__ import annotations

import re
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.compiler import SQLCompiler
from django.utils.translation import get_language


class DefinitionField(models.ForeignKey[Any, Any]):
    """A foreign key to `BadgeDefinition`, held in the column `code` and readable as `badge.code`.

    Django would call the raw value `definition_id`; sites have filtered by `code` since 0.1, and SQL reads `code`.
    """

    def get_attname(self) -> str:
        return "code"


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
