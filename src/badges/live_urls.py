"""The addresses of the live badges: `path("badges/", include("badges.live_urls"))`."""

from django.urls import path

from badges import live

app_name = "badges"
urlpatterns = [
    path("live/", live.live, name="live"),
    path("live/recent/", live.recent, name="live_recent"),
]
