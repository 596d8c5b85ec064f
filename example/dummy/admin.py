from django.contrib import admin

from dummy.models import Like, Sketch


@admin.register(Sketch)
class SketchAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("title", "user", "hit_views", "created")
    raw_id_fields = ("user",)
    search_fields = ("=user__username",)
    show_full_result_count = False


@admin.register(Like)
class LikeAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "sketch", "artist")
    list_select_related = ("user", "sketch", "artist")
    raw_id_fields = ("user", "sketch", "artist")
    show_full_result_count = False
