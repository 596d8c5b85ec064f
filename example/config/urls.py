from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from dummy import views

urlpatterns = [
    path("", views.index, name="index"),
    path("sketch/", views.add_sketch, name="add-sketch"),
    path("api/badges/", include("badges.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("admin/", admin.site.urls),
]
