from __future__ import annotations

import json
from importlib import resources
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models

from badges import exceptions
from badges.conf import as_path, badges_settings

_NUMBERS = (models.IntegerField, models.FloatField, models.DecimalField)


class Command(BaseCommand):
    help = "Write a first badge file, with badges for one table, and the schema for editors beside it."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "table", metavar="TABLE", nargs="?", help="The table that earns badges, or its model, such as app.Model."
        )
        parser.add_argument(
            "--file", metavar="PATH", type=as_path, help="The badge file. Default: the setting BADGES_FILE."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["table"]:
            known = sorted(_label(model) for model in apps.get_models() if _user_fields(model) and _is_of_site(model))
            proposals = f" For example: {', '.join(known[:10])}." if known else ""
            raise CommandError(f"Which table earns badges? Name it or its model.{proposals}")
        model = _find(options["table"])
        fields = _user_fields(model)
        if not fields:
            raise CommandError(
                f"{_label(model)} has no foreign key to {get_user_model()._meta.label}: its rows belong to no user. If "
                "it has one to a model that has, write a path of columns into user_field: see docs/badge-json.md."
            )
        try:
            path = as_path(options["file"]) if options["file"] else badges_settings.BADGES_FILE
        except exceptions.NotConfigured as error:
            raise CommandError(str(error)) from error
        if path.exists():
            raise CommandError(f"{path} exists already; nothing was written.")
        badges = _badges(model, fields[0])
        schema = path.with_name("badge.schema.json")
        try:
            path.write_text("[\n" + ",\n".join(map(_entry, badges)) + "\n]\n", "utf-8")
            schema.write_text(resources.files("badges").joinpath("badge.schema.json").read_text("utf-8"), "utf-8")
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{path}: {', '.join(badge['code'] for badge in badges)}")
        self.stdout.write(f"{schema}: the schema, for editors that complete and check JSON by one")
        if len(fields) > 1:
            others = ", ".join(field.column for field in fields[1:])
            self.stdout.write(f"The user of a row is the one in {fields[0].column}. Other users are in: {others}.")
        self.stdout.write("Change them as you like, then: python manage.py create_badge_triggers --plan")


def _find(name: str) -> type[models.Model]:
    for model in apps.get_models():
        table = model._meta.db_table.replace('"', "")
        if name.lower() in (_label(model).lower(), table.lower(), table.split(".")[-1].lower()):
            return model
    raise CommandError(f'No app has a model "{name}", and no model a table of that name.')


def _label(model: type[models.Model]) -> str:
    return model._meta.label


def _is_of_site(model: type[models.Model]) -> bool:
    return not model.__module__.startswith(("django.", "badges.")) and not model._meta.auto_created


def _user_fields(model: type[models.Model]) -> list[Any]:
    """The columns that hold the key of a user: of the users themselves, their own."""
    users = get_user_model()
    if model is users:
        return [users._meta.pk]
    return [
        field
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and field.related_model is users and field.target_field.primary_key
    ]


def _badges(model: type[models.Model], user: Any) -> list[dict[str, Any]]:
    """A first one, a number of them, and one that the row alone decides, as far as the model has columns for it."""
    table, name = model._meta.db_table.replace('"', ""), str(model._meta.verbose_name)
    plural = str(model._meta.verbose_name_plural)
    code = model._meta.model_name
    base = {"trigger_condition": "insert", "trigger_table": table, "user_field": user.column}
    if user.model is model and user.primary_key:
        badges = [
            {"name": "Welcome", "code": "welcome", "description": "Joined", "condition": "true", **base},
        ]
    else:
        counted = f"count(*) >= 10 from {table} where {user.column} = NEW.{user.column}"
        badges = [
            {"name": f"First {name}", "code": f"first-{code}", "description": f"Made a first {name}",
             "condition": "true", **base},
            {"name": f"Ten {plural}", "code": f"ten-{code}", "description": f"Made ten {plural}",
             "condition": counted, **base},
        ]  # fmt: skip
    plain: list[Any] = [
        field for field in model._meta.concrete_fields if not field.is_relation and not field.primary_key
    ]
    number: Any = next((field for field in plain if isinstance(field, _NUMBERS)), None)
    text: Any = next((field for field in plain if isinstance(field, models.CharField | models.TextField)), None)
    if number is not None:
        both = {**base, "trigger_condition": ["insert", "update"]}
        badges.append(
            {"name": f"High {number.verbose_name}", "code": f"high-{number.column.replace('_', '-')}",
             "description": f"Has a {name} whose {number.verbose_name} reached 100",
             "condition": f"NEW.{_quoted(number.column)} >= 100", **both}
        )  # fmt: skip
    elif text is not None and badges[0]["code"] != "welcome":
        badges.append(
            {"name": f"Long {text.verbose_name}", "code": f"long-{text.column.replace('_', '-')}",
             "description": f"Made a {name} with a {text.verbose_name} of 50 characters",
             "condition": f"length(NEW.{_quoted(text.column)}) >= 50", **base}
        )  # fmt: skip
    return badges


def _quoted(column: str) -> str:
    return column if column.isidentifier() and column == column.lower() else f'"{column}"'


def _entry(badge: dict[str, Any]) -> str:
    """One badge, laid out for reading: what users see, then what decides."""
    parts = [("name", "code"), ("description",), ("condition",), ("trigger_condition", "trigger_table", "user_field")]
    lines = (json.dumps({key: badge[key] for key in keys}, ensure_ascii=False)[1:-1] for keys in parts)
    return "  {" + ",\n   ".join(lines) + "}"
