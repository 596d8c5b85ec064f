"""The addresses of a site that has the admin, the pages and the API."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("badges/", include("badges.urls")),
    path("api/badges/", include("badges.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
]
