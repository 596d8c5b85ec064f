"""The addresses of a site that has the admin and the API."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/badges/", include("badges.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
]
