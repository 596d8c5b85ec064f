"""URLs of the live badges: `path("badges/", include("badges.live_urls"))`."""

from django.urls import path

from badges.live import views

app_name = "badges"
urlpatterns = [
    path("live/", views.live, name="live"),
    path("live/recent/", views.recent, name="live_recent"),
]
