from django.apps import AppConfig


class DummyConfig(AppConfig):
    """Users who draw sketches that other users view."""

    name = "dummy"
    default_auto_field = "django.db.models.BigAutoField"
