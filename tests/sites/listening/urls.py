from django.urls import include, path

urlpatterns = [path("badges/", include("badges.live_urls"))]
