"""Views of the API. Authentication, throttling and pagination are those of the site's REST framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import DateTimeField, F, QuerySet, Value
from django.db.models.functions import Cast, Coalesce
from django.http import Http404, HttpResponse, HttpResponseNotModified
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from rest_framework import generics
from rest_framework.exceptions import ValidationError as BadRequest
from rest_framework.fields import IntegerField
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from badges.api import freshness, parameters, serializers, standing, users
from badges.api.pagination import BadgePagination
from badges.api.permissions import IsUser, SeesOthers
from badges.api.schema import CODE, documented, user_key
from badges.models import Badge, BadgeDefinition
from badges.progress import Progress
from badges.queries import held
from badges.queries.visibility import held_by, visible


class BadgesView(generics.GenericAPIView[Any]):
    """Responds 304 to a client whose response is still valid, before computing a new one."""

    further_permissions: Sequence[type[BasePermission]] = ()

    def get_permissions(self) -> Sequence[Any]:
        return [*super().get_permissions(), *(permission() for permission in self.further_permissions)]

    @cached_property
    def caller(self) -> Any:
        return users.caller(self.request)

    def concern(self) -> freshness.Concern:
        """The events that the response depends on."""
        return freshness.Concern()

    def parts(self) -> Sequence[object]:
        """What the response depends on, in addition to events and to what all responses depend on."""
        return ()

    def answer(self, request: Request) -> Response:
        raise NotImplementedError

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        parts = (
            request.build_absolute_uri(),
            request.accepted_renderer.media_type,
            get_language(),
            self.caller,
            *self.parts(),
        )
        # A secret badge that the caller does not see must not show by a response that changes.
        found = freshness.validate(
            self.concern(), freshness.Viewer(self.caller), parts, request.headers.get("If-None-Match", "")
        )
        # Not a response of REST framework, whose pages for browsers would give it a body.
        response = HttpResponseNotModified() if found.is_fresh else self.answer(request)
        if found.etag:
            response["ETag"] = found.etag
        # Only browsers may store it, and validate it each time.
        response["Cache-Control"] = "private, no-cache"
        patch_vary_headers(response, ["Accept-Language", "Cookie", "Authorization"])
        return response


class BadgesListView(BadgesView):
    pagination_class: Any = api_settings.DEFAULT_PAGINATION_CLASS or BadgePagination
    filter_backends = (*parameters.of_the_site(), parameters.ParameterFilter, parameters.StableOrdering)
    parameters_class: Any

    def answer(self, request: Request) -> Response:
        queryset = self.filter_queryset(self.get_queryset())
        try:
            page = self.paginate_queryset(queryset)
        except DataError as error:
            # A paginator of the site may hand a number on that is too large for PostgreSQL.
            text = IntegerField.default_error_messages["max_string_length"]
            raise BadRequest(text) from error
        if page is None:
            return Response(self.get_serializer(queryset, many=True).data)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def narrow(self, queryset: QuerySet[Any], asked: Mapping[str, Any]) -> QuerySet[Any]:
        """The part of the list that the query parameters select."""
        raise NotImplementedError


class StandingView(BadgesView):
    """Badges with the caller's own awards and progress."""

    serializer_class = serializers.BadgeStandingSerializer

    @cached_property
    def progress(self) -> Mapping[str, Progress]:
        return held.progress(self.caller, self.caller)

    def parts(self) -> Sequence[object]:
        # Progress towards a goal leaves no event.
        return [(code, each.value, each.goal) for code, each in self.progress.items()]

    def get_serializer(self, instance: Any = None, **kwargs: Any) -> Any:
        if kwargs.get("many"):
            return super().get_serializer(standing.of(list(instance), self.caller, self.progress), **kwargs)
        if isinstance(instance, BadgeDefinition):
            [instance] = standing.of([instance], self.caller, self.progress)
        return super().get_serializer(instance, **kwargs)


@documented("badges_list", serializers.BadgeStandingSerializer(many=True), parameters.BadgeParameters)
class BadgeList(StandingView, BadgesListView):
    """All badges that can be earned, in the order of the badge file."""

    parameters_class = parameters.BadgeParameters
    ordering = ("position", "goal", "code")
    ordering_fields = ("position", "points", "category", "code")

    def get_queryset(self) -> QuerySet[BadgeDefinition]:
        return _definitions(self.caller).filter(active=True, retired_at=None)

    def narrow(self, queryset: QuerySet[Any], asked: Mapping[str, Any]) -> QuerySet[Any]:
        queryset = _narrow_badges(queryset, "", asked)
        if "held" in asked:
            is_held = held_by(self.caller)
            queryset = queryset.filter(is_held if asked["held"] == "true" else ~is_held)
        return queryset


@documented("badges_badge", serializers.BadgeStandingSerializer, CODE)
class BadgeDetail(StandingView):
    """One badge, also one that is paused or retired."""

    def answer(self, request: Request) -> Response:
        return Response(self.get_serializer(_find_badge(self.caller, self.kwargs["code"])).data)

    def concern(self) -> freshness.Concern:
        return freshness.Concern(code=_possible(self.kwargs["code"]))


class AwardsView(BadgesListView):
    """Badges that users hold, newest first; those without a time are last."""

    parameters_class: Any = parameters.AwardParameters
    ordering = ("-since", "code", "thing", "pk")
    ordering_fields: Any = ("since",)

    def get_queryset(self) -> QuerySet[Badge]:
        since = Coalesce(F("awarded_at"), Cast(Value("1970-01-01 00:00+00"), DateTimeField()))
        awards = Badge.objects.filter(visible(self.caller, "definition__"))
        return awards.select_related("definition", "user").annotate(since=since)

    def narrow(self, queryset: QuerySet[Any], asked: Mapping[str, Any]) -> QuerySet[Any]:
        queryset = _narrow_badges(queryset, "definition__", asked)
        return queryset.filter(awarded_at__gte=asked["since"]) if "since" in asked else queryset


@documented("badges_mine", serializers.HeldBadgeSerializer(many=True), parameters.AwardParameters)
class OwnBadgeList(AwardsView):
    """The badges that the caller holds."""

    serializer_class = serializers.HeldBadgeSerializer
    further_permissions = (IsUser,)

    def get_queryset(self) -> QuerySet[Badge]:
        return super().get_queryset().filter(user=self.caller)

    def concern(self) -> freshness.Concern:
        return freshness.Concern(users=[self.caller])


@documented("badges_user", serializers.HeldBadgeSerializer(many=True), parameters.AwardParameters, user_key())
class UserBadgeList(AwardsView):
    """The badges that a user holds; of secret badges, those that the caller holds too."""

    serializer_class = serializers.HeldBadgeSerializer
    further_permissions = (SeesOthers,)

    @cached_property
    def user(self) -> Any:
        """The key of the user."""
        try:
            key = get_user_model()._meta.pk.to_python(_possible(self.kwargs["key"]))
            found = get_user_model()._default_manager.filter(pk=key).exists()
        except (ValidationError, ValueError, OverflowError):
            found = False
        if not found:
            raise Http404
        return key

    def get_queryset(self) -> QuerySet[Badge]:
        return super().get_queryset().filter(user=self.user)

    def concern(self) -> freshness.Concern:
        # The caller's own badges decide which secret badges are visible.
        return freshness.Concern(users=[key for key in (self.user, self.caller) if key is not None])


@documented("badges_recent", serializers.BadgeAwardSerializer(many=True), parameters.AwardParameters)
class RecentAwardList(AwardsView):
    """The hundred newest awards that match and are still held."""

    serializer_class = serializers.BadgeAwardSerializer
    further_permissions = (SeesOthers,)

    def narrow(self, queryset: QuerySet[Any], asked: Mapping[str, Any]) -> QuerySet[Any]:
        definitions = _narrow_badges(_definitions(self.caller), "", asked)
        codes = list(definitions.values_list("code", flat=True))
        return queryset.filter(pk__in=standing.newest_awards(codes, asked.get("since")))


@documented("badges_holders", serializers.BadgeHolderSerializer(many=True), parameters.SinceParameters, CODE)
class HolderList(AwardsView):
    """The holders of a badge; once for each subject, if it is awarded per subject."""

    serializer_class = serializers.BadgeHolderSerializer
    parameters_class = parameters.SinceParameters
    further_permissions = (SeesOthers,)

    def get_queryset(self) -> QuerySet[Badge]:
        return super().get_queryset().filter(definition=_find_badge(self.caller, self.kwargs["code"]))

    def concern(self) -> freshness.Concern:
        return freshness.Concern(code=_possible(self.kwargs["code"]))


def _possible(text: str) -> str:
    """A code or key from the URL; PostgreSQL has no text with a null character."""
    if "\0" in text:
        raise Http404
    return text


def _definitions(caller: Any) -> QuerySet[BadgeDefinition]:
    """The badges that the caller sees, retired and paused ones too."""
    return BadgeDefinition.objects.filter(visible(caller))


def _find_badge(caller: Any, code: str) -> BadgeDefinition:
    found = _definitions(caller).filter(code=_possible(code)).first()
    if found is None:
        raise Http404
    return found


def _narrow_badges(queryset: QuerySet[Any], prefix: str, asked: Mapping[str, Any]) -> QuerySet[Any]:
    if "category" in asked:
        queryset = queryset.filter(**{f"{prefix}category": asked["category"]})
    return queryset.filter(**{f"{prefix}code__in": asked["code"]}) if asked.get("code") else queryset
