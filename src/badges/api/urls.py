"""URLs of the API: `path("api/badges/", include("badges.api.urls"))`."""

from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from badges.api import views


class AnyTextConverter(StringConverter):
    """Codes and keys may have slashes and line breaks."""

    regex = "(?s:.+)"


register_converter(AnyTextConverter, "badges_text")

app_name = "badges_api"
urlpatterns = [
    path("", views.BadgeList.as_view(), name="list"),
    path("badge/<badges_text:code>/", views.BadgeDetail.as_view(), name="badge"),
    path("holders/<badges_text:code>/", views.HolderList.as_view(), name="holders"),
    path("mine/", views.OwnBadgeList.as_view(), name="mine"),
    path("recent/", views.RecentAwardList.as_view(), name="recent"),
    path("users/<badges_text:key>/", views.UserBadgeList.as_view(), name="user"),
]
