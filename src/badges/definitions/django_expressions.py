"""Compiles Django expressions to SQL as in badge.json. Needs Django's backend for PostgreSQL, but no connection.

Django's own compiler does the work, lookups and functions included: it is handed a query whose table is the changed
row, so that a field of the model becomes `new."column"`.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from django.core.exceptions import EmptyResultSet, FieldError, FullResultSet
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, Model, Q, QuerySet, Subquery, Value
from django.db.models.expressions import Col, RawSQL, ResolvedOuterRef
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, In, LessThan, LessThanOrEqual, Lookup
from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable
from django.utils import timezone, translation
from psycopg import sql

from badges.database import trusted
from badges.definitions.types import TriggerEvent
from badges.exceptions import DefinitionError


class InvalidExpression(Exception):
    """An expression that Django cannot compile, or that the changed row does not allow."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.errors: tuple[DefinitionError, ...] = (DefinitionError(message, hint),)
        """One, or several with the parts that they are in as places, such as `hit_views__gt, F(nothing)`."""


class _Record(F):
    """A field of the changed row, anywhere in the condition."""

    contains_aggregate = False
    contains_over_clause = False
    record: ClassVar[str]
    name: str

    def resolve_expression(self, query: Any = None, *args: Any, **kwargs: Any) -> Any:
        table = _changed_row(query)
        if table is None:
            return self  # Inside a queryset, as with OuterRef: the query around it knows the row.
        if self.record not in table.records:
            other = "Old" if self.record == "new" else "New"
            raise InvalidExpression(
                f'{type(self).__name__}("{self.name}"): {self.record.upper()} does not exist for {table.events}.',
                f"Use {other}, or check the badge after another kind of write.",
            )
        if table.table_alias == self.record:
            return super().resolve_expression(query, *args, **kwargs)
        meta = query.get_meta()
        field = meta.pk if self.name == "pk" else meta.get_field(self.name)
        if getattr(field, "column", None) is None:
            raise InvalidExpression(
                f'Old("{self.name}"): the table has no such column.', "Old takes only the columns of the row."
            )
        return _OldColumn("old", field)

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        raise ValueError(f'{type(self).__name__}("{self.name}") has a meaning only in the condition of a badge.')

    def relabeled_clone(self, relabels: object) -> _Record:
        return self

    def get_group_by_cols(self) -> list[Any]:
        return []


class New(_Record):
    """A field of the row as it is after an insert or an update: `New("hit_views")`."""

    record = "new"


class Old(_Record):
    """A field of the row as it was before an update or a delete: `Old("hit_views")`. It spans no relations."""

    record = "old"


class Aggregated(Subquery):
    """The value of an aggregate over all rows of a queryset, to be compared with a number.

    `Aggregated(Sketch.objects.filter(user=OuterRef("user")), Count("id")) >= 5`
    """

    def __init__(self, queryset: QuerySet[Any], aggregate: Any, **extra: Any) -> None:
        # Grouped by a constant, all rows are one group, and no rows give one row as well.
        rows = queryset.order_by().annotate(badges_all=Value(1)).values("badges_all")
        super().__init__(rows.annotate(badges_aggregate=aggregate).values("badges_aggregate"), **extra)

    def __ge__(self, other: Any) -> GreaterThanOrEqual[Any]:
        return GreaterThanOrEqual(self, _as_is(other))

    def __gt__(self, other: Any) -> GreaterThan[Any]:
        return GreaterThan(self, _as_is(other))

    def __le__(self, other: Any) -> LessThanOrEqual[Any]:
        return LessThanOrEqual(self, _as_is(other))

    def __lt__(self, other: Any) -> LessThan[Any]:
        return LessThan(self, _as_is(other))


def _as_is(value: Any) -> Any:
    # A plain 2.5 would be made an integer before it is compared with a count.
    return value if is_expression(value) else Value(value)


def is_expression(value: object) -> bool:
    """Whether Django can compile it."""
    return isinstance(value, QuerySet | Q) or hasattr(value, "resolve_expression")


class User(NamedTuple):
    """The user at the end of a path of fields."""

    lookup: str
    """As Django writes it: `post__user`."""
    name: str
    """The name by which the changed row has it."""
    field: Any
    """The last field."""


def compile_condition(
    model: type[Model], events: Collection[TriggerEvent], condition: Any, user: User | None = None
) -> str:
    """The SQL of a condition about the changed row of a model: a Q, a boolean expression, or a queryset that is true if
    it has a row. The same condition gives the same SQL, whatever the database holds.

    :raises InvalidExpression: it cannot be compiled; with an error for each part that cannot.
    """
    if isinstance(condition, QuerySet):
        condition = Exists(condition)
    elif isinstance(condition, F):
        condition = ExpressionWrapper(condition, output_field=BooleanField())
    return _compile_all(lambda: _rows(model, events, user), condition)


_Rows = Callable[[], "QuerySet[Any]"]
"""Gives the changed row anew for each expression."""


def _compile_all(rows: _Rows, condition: Any, value: Any = None) -> str:
    """Compile an expression. Of its errors Django reports the first; so after an error, its parts are compiled."""
    try:
        return _compile(rows(), condition, value)
    except InvalidExpression as error:
        errors = tuple(dict.fromkeys(_errors(rows, value if condition is None else condition)))
        if len(errors) > 1:
            error.errors = errors
        raise


def _errors(rows: _Rows, part: Any, around: str = "") -> Iterator[DefinitionError]:
    if isinstance(part, F):
        is_outer, name = isinstance(part, ResolvedOuterRef), vars(part)["name"]
        kind = "OuterRef" if is_outer else type(part).__name__
        yield from _error(rows, f"{around}{kind}({name})", value=F(name) if is_outer else part)
    elif isinstance(part, Q):
        for child in part.children:
            yield from _errors_of_condition(rows, child, around)
    else:
        for each in _parts(part):
            yield from _errors(rows, each, around)


def _errors_of_condition(rows: _Rows, child: Any, around: str) -> Iterator[DefinitionError]:
    """A part of a Q: another Q, an expression, or a lookup with its value."""
    if isinstance(child, Q):
        yield from _errors(rows, child, around)
        return
    lookup, value = child if isinstance(child, tuple) else ("", child)
    name = f"{around}{lookup or type(child).__name__}"
    found = [error for each in _each(value) for error in _errors(rows, each, f"{name}, ")]
    if not found:
        yield from _error(rows, name, Q(child))
    elif lookup:
        # The name of the field may be wrong as well. Another value than the one given makes errors of its own.
        yield from _error(rows, name, Q((lookup, Value(1))), only=FieldError)
    yield from found


def _error(
    rows: _Rows, place: str, condition: Any = None, value: Any = None, only: type[Exception] = Exception
) -> Iterator[DefinitionError]:
    try:
        _compile(rows(), condition, value)
    except InvalidExpression as error:
        if isinstance(error.__cause__ or error, only):
            yield dataclasses.replace(error.errors[0], place=place)


def _each(value: Any) -> list[Any]:
    """The expressions in a value of a lookup."""
    return [each for each in (value if isinstance(value, list | tuple | set) else [value]) if is_expression(each)]


def _parts(part: Any) -> Iterator[Any]:
    """What an expression consists of; of a queryset, only what it takes from the changed row."""
    query = part.query if isinstance(part, QuerySet) else part
    if isinstance(query, Query):
        for node in (query.where, *query.annotations.values()):
            yield from _outer_references(node)
        for combined in query.combined_queries:
            yield from _parts(combined)
    elif isinstance(query, Lookup):
        # Its source expressions lack a plain F on the right.
        yield from (*_each(query.lhs), *_each(query.rhs))
    else:
        yield from (each for each in getattr(query, "get_source_expressions", list)() if each is not None)


def _outer_references(node: Any) -> Iterator[F]:
    if isinstance(node, F):
        yield node
    elif not isinstance(node, Query):  # a query in the query refers to that one
        for child in getattr(node, "get_source_expressions", list)():
            yield from _outer_references(child)


def compile_value(model: type[Model], events: Collection[TriggerEvent], value: Any, user: User | None = None) -> str:
    """The same for an expression that gives any value; a queryset gives that of its only row and column."""
    if isinstance(value, QuerySet):
        value = Subquery(value)
    return _compile_all(lambda: _rows(model, events, user), None, value)


class _ChangedRow(BaseTable):
    """The changed row in the place of its model's table. Its columns come from outside; beneath FROM it is one row."""

    records: frozenset[str]
    events: str

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        return "(SELECT) AS badges_changed_row", []


class _OldColumn(Col):
    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        _, params = super().as_sql(compiler, connection)  # Django's versions differ in their type.
        return ".".join(map(connection.ops.quote_name, ("old", str(self.target.column)))), params


def _changed_row(query: Any) -> _ChangedRow | None:
    table = next(iter(query.alias_map.values()), None) if isinstance(query, Query) else None
    return table if isinstance(table, _ChangedRow) else None


def _rows(model: type[Model], events: Collection[TriggerEvent], user: User | None) -> QuerySet[Any]:
    """A queryset of the one changed row. What is private to Django is here, in `_ChangedRow`, `_nodes` and `_parts`."""
    rows_by_event = {event.changed_row for event in events}
    if len(rows_by_event) > 1:
        raise InvalidExpression(
            "a field is that of NEW after an insert or an update, and of OLD after a delete.",
            "Check the badge after one kind of write, or write the condition as SQL with bare columns.",
        )
    row = rows_by_event.pop()
    name = model._meta.db_table
    table = _ChangedRow(name, row)
    table.events = " and ".join(events)
    table.records = frozenset(
        record
        for record, exists in (("new", all(e.has_new for e in events)), ("old", all(e.has_old for e in events)))
        if exists
    )
    # Not a manager's: those may filter.
    queryset: QuerySet[Any] = QuerySet(model)
    query = queryset.query
    query.alias_map[row] = table
    query.table_map[name] = [row]
    # A related table that happens to be called like the row gets another alias.
    query.table_map[row] = [row]
    query.alias_refcount[row] = 1
    if user:
        # What the path leads to is a column of the changed row, and no join.
        name = f'{row}."{user.name}"'.replace("%", "%%")
        for lookup in {user.lookup, user.lookup.removesuffix(user.field.name) + user.field.attname}:
            query.add_annotation(RawSQL(name, (), user.field), lookup, select=False)  # noqa: S611 - a name
    return queryset


def _compile(rows: QuerySet[Any], condition: Any, value: Any = None) -> str:
    # Times of day and translated texts must not depend on who is asking.
    with timezone.override(None), translation.override(None):
        try:
            if condition is not None:
                return _condition_sql(rows.filter(condition))
            return _value_sql(rows, value)
        except InvalidExpression:
            raise
        except Exception as error:  # whatever an expression of the site's own may raise
            kind = "" if isinstance(error, FieldError) else f"{type(error).__name__}: "
            raise InvalidExpression(f"{kind}{str(error).removesuffix('.')}.", _hint(rows.model, str(error))) from error


def _condition_sql(rows: QuerySet[Any]) -> str:
    query = rows.query
    if query.where.contains_aggregate:
        raise InvalidExpression(
            "the condition aggregates outside of a queryset, so it sees only the changed row.",
            'Say which rows: Aggregated(Model.objects.filter(user=OuterRef("user")), Count("id")) >= 5',
        )
    _sort_sets(query)
    compiler = query.get_compiler(connection=_postgresql())
    try:
        if not _spans_relations(query):
            return _with_literals(*compiler.compile(query.where))
        whole = rows.order_by().values_list(Value(1)).query
        found = whole.get_compiler(connection=_postgresql()).as_sql()
        return f"EXISTS ({_with_literals(*found)})"
    except EmptyResultSet:
        return "false"
    except FullResultSet:
        return "true"


def _value_sql(rows: QuerySet[Any], value: Any) -> str:
    query = rows.order_by().values_list(value).query
    _sort_sets(query)
    compiler = query.get_compiler(connection=_postgresql())
    if _spans_relations(query):
        return f"({_with_literals(*compiler.as_sql())})"
    *_, expression = query.annotations.values()
    return _with_literals(*compiler.compile(expression))


def _spans_relations(query: Any) -> bool:
    return len([alias for alias, count in query.alias_refcount.items() if count]) > 1


def _sort_sets(query: Query) -> None:
    """Sort the values after IN: the order of a set differs from process to process, and has no meaning there."""
    for node in _nodes(query):
        if isinstance(node, In) and isinstance(node.rhs, list | tuple):
            node.rhs = sorted(node.rhs, key=lambda each: (type(each).__name__, repr(each)))


def _nodes(node: Any) -> Iterator[Any]:
    """An expression with all expressions and queries within it."""
    yield node
    if isinstance(node, Query):
        children = [node.where, *node.annotations.values(), *node.combined_queries]
    else:
        children = [each for each in node.get_source_expressions() if each is not None]
    for child in children:
        if hasattr(child, "get_source_expressions") or isinstance(child, Query):
            yield from _nodes(child)


def _postgresql() -> BaseDatabaseWrapper:
    """The first PostgreSQL database of the site; no connection is opened."""
    for connection in connections.all():
        if connection.vendor == "postgresql":
            return connection
    raise InvalidExpression("DATABASES names no PostgreSQL database, so there is none to compile for.")


def _with_literals(text: str, params: Sequence[Any]) -> str:
    """A statement of Django's compiler, with literals for its placeholders."""
    values = iter(params)
    parts = [
        sql.Literal(next(values)) if part == "%s" else trusted("%" if part == "%%" else part)
        for part in re.split("(%[s%])", text)
    ]
    if next(values, parts) is not parts:
        raise InvalidExpression("the expression has more values than placeholders.")
    return sql.Composed(parts).as_string()


def _hint(model: type[Model], message: str) -> str:
    if "non-conditional" in message:
        return "One value, true or false, is needed: compare it with something."
    if "reference to an outer query" in message:
        return 'Use OuterRef only in a queryset. Elsewhere F("field") is the field of the changed row.'
    word = re.search(r"keyword '(\w+)'", message)
    near = difflib.get_close_matches(word[1], [field.name for field in model._meta.get_fields()], n=1) if word else []
    return f'Did you mean "{near[0]}"?' if near else ""
