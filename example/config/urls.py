from django.contrib import admin
from django.urls import path
from dummy import views

urlpatterns = [
    path("", views.index, name="index"),
    path("sketch/", views.add_sketch, name="add-sketch"),
    path("admin/", admin.site.urls),
]
