"""`path("badges/", include("badges.urls"))`: the pages, and the live badges."""

from django.urls import path

from badges import live_urls, views

app_name = "badges"

# Codes and names of users may hold any character, slashes too.
urlpatterns = [
    path("", views.AllBadges.as_view(), name="index"),
    path("leaderboard/", views.Leaderboard.as_view(), name="leaderboard"),
    path("mine/", views.OwnShelf.as_view(), name="mine"),
    path("badge/<path:code>/", views.OneBadge.as_view(), name="badge"),
    path("user/<path:username>/", views.Shelf.as_view(), name="shelf"),
    *live_urls.urlpatterns,
]
