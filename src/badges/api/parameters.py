"""Query parameters: filtering and ordering of the list endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from rest_framework import filters, serializers
from rest_framework.request import Request
from rest_framework.settings import api_settings

from badges.definitions.types import CODE_MAX_LENGTH

if TYPE_CHECKING:
    from rest_framework.views import APIView


class CodeListField(serializers.ListField):
    child = serializers.CharField(max_length=CODE_MAX_LENGTH, allow_blank=True, trim_whitespace=False)


class SinceParameters(serializers.Serializer[Any]):
    since = serializers.DateTimeField(required=False, help_text="Only badges awarded then or later.")


class AwardParameters(SinceParameters):
    category = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    code = CodeListField(required=False, help_text="Only these badges; may be repeated.")


class BadgeParameters(serializers.Serializer[Any]):
    category = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    code = CodeListField(required=False, help_text="Only these badges; may be repeated.")
    held = serializers.ChoiceField(
        ["true", "false"], required=False, help_text="Only badges that the caller holds, or only the others."
    )


class ParameterFilter(filters.BaseFilterBackend):
    """Narrows a list by the parameters of its view."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        # From a QueryDict, a serializer takes an empty value for a missing one, as in a form.
        given = {name: texts if name == "code" else texts[-1] for name, texts in request.query_params.lists()}
        parameters = view.parameters_class(data=given)
        parameters.is_valid(raise_exception=True)
        narrowed: QuerySet[Any] = view.narrow(queryset, parameters.validated_data)
        return narrowed


class StableOrdering(filters.OrderingFilter):
    """The order that the caller asks for; rows that are equal in it keep the order of the list."""

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> list[str]:
        allowed = {name for name, _ in self.get_valid_fields(queryset, view, {"request": request})}
        asked = map(str.strip, request.query_params.get(self.ordering_param, "").split(","))
        # REST framework itself passes over names that it does not know.
        if unknown := [name for name in asked if name and name.removeprefix("-") not in allowed]:
            text = serializers.ChoiceField.default_error_messages["invalid_choice"]
            raise serializers.ValidationError({self.ordering_param: [text.format(input=name) for name in unknown]})
        usual = list(self.get_default_ordering(view) or ())
        wanted = list(super().get_ordering(request, queryset, view) or ())
        return wanted + [name for name in usual if name not in wanted]

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        [ordering] = super().get_schema_operation_parameters(view)
        name = f"-?({'|'.join(view.ordering_fields)})"
        return [{**ordering, "schema": {"type": "string", "pattern": f"^({name}(,{name})*)?$"}}]


def of_the_site() -> list[Any]:
    """The filters of the site, which may hide rows from a caller; not its ordering, which `StableOrdering` replaces."""
    backends: list[Any] = list(api_settings.DEFAULT_FILTER_BACKENDS)
    return [backend for backend in backends if not issubclass(backend, filters.OrderingFilter)]
