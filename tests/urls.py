"""The addresses of a site that has the API."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("api/badges/", include("badges.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
]
