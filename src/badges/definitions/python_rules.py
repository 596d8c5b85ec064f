"""Rules in Python: the badges that the `badges.py` of the installed apps declare, as entries like those of badge.json.

    register(Rule(code="star", name="Star", model=Sketch, on="update", user_field="user",
                  condition=Q(hit_views__gt=1000)))

The entries are parsed and validated like those of the file.
"""

from __future__ import annotations

import datetime
import importlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor
from django.db.models.query_utils import DeferredAttribute
from django.utils import translation
from django.utils.functional import Promise
from django.utils.module_loading import module_has_submodule

from badges.definitions import django_expressions, parser
from badges.definitions.errors import Errors
from badges.definitions.types import Definition, Source, TriggerEvent, name_of_path

MODULE = "badges"
"""The module of an app that declares its rules."""

_OWN_APP = "badges"

_FIELDS = {"user_field", "per"}
"""The keys that name a field."""

_DESCRIPTORS = (DeferredAttribute, ForwardManyToOneDescriptor)
"""The attributes of a model that stand for a field with a column."""

_HINTS = {
    "user_field": 'Name the field that holds the user: user_field="user".',
    "per": 'Name the field of the subject: per="post".',
}

_NEVER = "false"
"""In the place of an expression with an error."""


class Rule:
    """One badge, by the keys of badge.json.

    :param model: the model whose changes cause the check, or its label; in the place of `trigger_table`.
    :param on: "insert", "update", "delete" or several of them; in the place of `trigger_condition`.
    :param user_field: the field of the model that holds the user, or its column; across relations as in `post__user`.
    :param condition: a Q or another boolean expression about the changed row; a queryset, which is true if it has a
        row, and in which OuterRef names a field of the changed row; or SQL as in badge.json.
    :param keys: all other keys of badge.json. Each may be an expression that gives a value.
    """

    def __init__(
        self,
        *,
        model: type[Model] | str | None = None,
        on: str | Sequence[str] | None = None,
        user_field: str | None = None,
        condition: Any = None,
        **keys: Any,
    ) -> None:
        given = {"user_field": user_field, "condition": condition}
        self.model = model
        self.on = on
        self.keys: dict[str, Any] = {key: value for key, value in given.items() if value is not None} | keys

    def __repr__(self) -> str:
        return f"<Rule {self.keys.get('code')!r}>"


class _Module:
    """The rules that one run of a module has registered."""

    def __init__(self, spec: object) -> None:
        self.spec = spec
        self.rules: list[Rule] = []


_modules: dict[str, _Module] = {}
"""By name. A module that is imported again, under a new spec, begins anew."""


def register(*rules: Rule) -> None:
    """Declare badges. To be called while a module is imported, as errors name that module."""
    for rule in rules:
        if not isinstance(rule, Rule):
            raise TypeError(f"register takes rules; found {rule!r}.")
    caller = sys._getframe(1).f_globals
    name, spec = caller.get("__name__", "__main__"), caller.get("__spec__")
    module = _modules.get(name)
    if module is None or module.spec is not spec:
        module = _modules[name] = _Module(spec)
    module.rules += rules


def autodiscover() -> None:
    """Import the module `badges` of each installed app that has one, as Django's admin does with `admin`."""
    for app in apps.get_app_configs():
        # Our own app is called like the modules that are looked for.
        if app.name != _OWN_APP and module_has_submodule(app.module, MODULE):
            importlib.import_module(f"{app.name}.{MODULE}")


def modules() -> list[str]:
    """The modules that have registered rules, in the order of the apps."""
    return sorted((name for name, module in _modules.items() if module.rules), key=_place_of_app)


def path(module: str) -> str:
    """The path of a module, for messages: `shop/badges.py`."""
    return f"{module.replace('.', '/')}.py"


def survey(errors: Errors, module: str, before: int = 0) -> tuple[Definition, ...]:
    """The definitions in the rules of a module, as far as they can be understood.

    :param before: how many badges other sources have declared.
    """
    source = Source(path(module), before)
    entries = [
        _Entry(errors.at(source.place(rule.keys.get("code"), number), number), rule)
        for number, rule in enumerate(_modules[module].rules, start=before + 1)
    ]
    found = parser.survey(errors, json.dumps([entry.keys for entry in entries]), source)
    return tuple(each for each in found if not entries[each.number - before - 1].is_lost)


def _place_of_app(module: str) -> int:
    names = [app.name for app in apps.get_app_configs()]
    around = [index for index, name in enumerate(names) if module.startswith(f"{name}.")]
    return max(around, key=lambda index: len(names[index]), default=len(names))


class _Entry:
    """A rule as an entry of badge.json: `keys` is what JSON can hold."""

    def __init__(self, errors: Errors, rule: Rule) -> None:
        self.errors = errors
        self.model = self._find_model(rule.model)
        # Without the model, the names of its fields cannot be checked.
        self.is_lost = rule.model is not None and self.model is None
        keys = dict(rule.keys)
        if self.model is not None:
            self._replace(keys, "model", "trigger_table", _table(self.model))
        elif self.is_lost:
            keys["trigger_table"] = str(rule.model)
        if rule.on is not None:
            self._replace(keys, "on", "trigger_condition", rule.on)
        self.events = _events(keys.get("trigger_condition"))
        self.user: django_expressions.User | None = None
        if isinstance(keys.get("triggers"), list | tuple) and all(isinstance(each, dict) for each in keys["triggers"]):
            keys["triggers"] = [self._trigger(dict(each)) for each in keys["triggers"]]
        for key in _FIELDS & keys.keys():
            keys[key] = self._name(key, keys[key])
        if self.model is not None and isinstance(keys.get("user_field"), str):
            keys["user_field"] = self._user(self.model, keys["user_field"])
        if self.model is not None and isinstance(keys.get("per"), str):
            keys["per"] = _column(self.model, keys["per"])
        self.keys = {str(key): self._plain(str(key), value) for key, value in keys.items()}

    def _replace(self, keys: dict[str, Any], ours: str, theirs: str, value: Any) -> None:
        if theirs in keys:
            self.errors.at(ours).add(f'"{ours}" and "{theirs}" say the same.', "Keep one of them.")
        keys[theirs] = value

    def _trigger(self, trigger: dict[str, Any]) -> dict[str, Any]:
        """One of several triggers, its table and its field in Django's words. The first is the badge's own."""
        table = trigger.get("table")
        if isinstance(table, type) and issubclass(table, Model):
            self.model = self.model or table
            if "user_field" in trigger:
                trigger["user_field"] = self._name("user_field", trigger["user_field"], table)
            if isinstance(trigger.get("user_field"), str):
                trigger["user_field"] = self._user(table, trigger["user_field"])
        self.events = self.events or _events(trigger.get("on"))
        return trigger

    def _name(self, key: str, value: Any, model: type[Model] | None = None) -> Any:
        """The name of a field that is given as one: `Sketch.user`, or `Sketch._meta.get_field("user")`."""
        field = value.field if isinstance(value, _DESCRIPTORS) else value
        model = model or self.model
        if not isinstance(field, Field):
            return value
        if model is not None and not issubclass(model, field.model):
            message = f"{field.model.__name__}.{field.name} is no field of {model.__name__}."
            self.errors.at(key).add(message, _HINTS[key])
            self.is_lost = True
        return field.name

    def _user(self, model: type[Model], written: str) -> str | list[str]:
        """The column that holds the user, or those that lead there; expressions know its end by what is written."""
        columns, field = _path(model, written)
        if len(columns) == 1:
            return columns[0]
        if self.user is None and model is self.model and field is not None:
            self.user = django_expressions.User(written, name_of_path(columns), field)
        return columns

    def _find_model(self, written: object) -> type[Model] | None:
        model = written
        if isinstance(written, str):
            try:
                model = apps.get_model(written)
            except (LookupError, ValueError) as error:
                message = f"{str(error).removesuffix('.')}."
                self.errors.at("model").add(message, 'Write it as "shop.Order", or pass the class.')
                return None
        if (
            isinstance(model, type)
            and issubclass(model, Model)
            and hasattr(model, "_meta")
            and not model._meta.abstract
        ):
            return model
        if written is not None:
            message = f"a model with a table is needed; found {written!r}."
            self.errors.at("model").add(message, "Name the model that changes.")
        return None

    def _plain(self, key: str, value: Any) -> Any:
        """A value as JSON has it."""
        if django_expressions.is_expression(value):
            return self._compile(key, value)
        if isinstance(value, Mapping):
            return {str(name): self._plain(key, each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(key, each) for each in value]
        value = _scalar(value)
        if value is None or isinstance(value, str | int | float):
            return value
        message = f"found {type(value).__name__}, which badge.json cannot hold."
        self.errors.at(key).add(message, _HINTS.get(key, "See the keys of badge.json."))
        # What stands in its place is no name.
        self.is_lost = self.is_lost or key not in ("condition", "progress")
        return _NEVER

    def _compile(self, key: str, value: Any) -> str:
        if self.model is None:
            if not self.is_lost:
                self.errors.at(key).add("an expression needs a model.", "Name the model: model=Sketch.")
            return _NEVER
        if not self.events:
            return _NEVER  # The parser reports that.
        compile_ = django_expressions.compile_condition if key == "condition" else django_expressions.compile_value
        try:
            return compile_(self.model, self.events, value, self.user)
        except django_expressions.InvalidExpression as invalid:
            for error in invalid.errors:
                self.errors.at(key).at(error.place).add(f"Django cannot compile it: {error.message}", error.hint)
            return _NEVER


def _events(written: Any) -> tuple[TriggerEvent, ...]:
    names = [written] if isinstance(written, str) else written if isinstance(written, Iterable) else ()
    wanted = {name.strip().lower() for name in names if isinstance(name, str)}
    return tuple(event for event in TriggerEvent if event.value in wanted)


def _table(model: type[Model]) -> str:
    name = model._meta.db_table
    # Django's way to write a schema: db_table = 'gallery"."sketch'
    return f'"{name}"' if '"."' in name and not name.startswith('"') else name


def _column(model: type[Model], written: str) -> str:
    try:
        field = model._meta.pk if written == "pk" else model._meta.get_field(written)
    except FieldDoesNotExist:
        return written  # A column, or a slip for which PostgreSQL has the right name.
    return getattr(field, "column", None) or written


def _path(model: type[Model], written: str) -> tuple[list[str], Any]:
    """The columns along the fields of a lookup such as `post__user`, and the last field.

    A field that a model inherits is in the table of the parent, to which the child's key leads.
    """
    columns: list[str] = []
    field: Any = None
    for part in written.split(LOOKUP_SEP):
        if field is not None:
            model = field.related_model
        try:
            field = model._meta.pk if part == "pk" else model._meta.get_field(part)
        except (AttributeError, FieldDoesNotExist):
            return [written], None  # A column, or a slip for which PostgreSQL has the right name.
        if getattr(field, "column", None) is None:
            return [written], None
        links = model._meta.get_path_to_parent(field.model._meta.concrete_model)
        columns += [*(str(link.join_field.column) for link in links), field.column]
    return columns, field


def _scalar(value: Any) -> Any:
    """A value of Python's or Django's as badge.json writes it."""
    if isinstance(value, Promise):
        with translation.override(None):
            return str(value)
    if isinstance(value, type) and issubclass(value, Model):
        return _table(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.timedelta):
        return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
    return value
