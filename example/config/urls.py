from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from dummy import views

urlpatterns = [
    path("", views.index, name="index"),
    path("become/", views.become, name="become"),
    path("leave/", views.leave, name="leave"),
    path("draw/", views.draw, name="draw"),
    path("draw-by-sql/", views.draw_by_sql, name="draw-by-sql"),
    path("sketch/<int:pk>.svg", views.picture, name="picture"),
    path("sketch/<int:pk>/look/", views.look, name="look"),
    path("sketch/<int:pk>/like/", views.like, name="like"),
    path("sketch/<int:pk>/throw-away/", views.throw_away, name="throw-away"),
    path("badges/", include("badges.urls")),
    path("language/", include("django.conf.urls.i18n")),
    path("api/badges/", include("badges.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(), name="api-docs"),
    path("admin/", admin.site.urls),
]
