from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DummyConfig(AppConfig):
    """Users who draw sketches that other users view."""

    name = "dummy"
    verbose_name = _("Sketches")
    default_auto_field = "django.db.models.BigAutoField"
