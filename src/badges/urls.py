"""URLs of the pages and of the live badges: `path("badges/", include("badges.urls"))`."""

from django.urls import path

from badges import live_urls, views

app_name = "badges"

# Codes and usernames may contain any character, including slashes.
urlpatterns = [
    path("", views.AllBadges.as_view(), name="index"),
    path("leaderboard/", views.Leaderboard.as_view(), name="leaderboard"),
    path("mine/", views.OwnShelf.as_view(), name="mine"),
    path("badge/<path:code>/", views.OneBadge.as_view(), name="badge"),
    path("user/<path:username>/", views.Shelf.as_view(), name="shelf"),
    *live_urls.urlpatterns,
]
