from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class BadgesConfig(AppConfig):
    name = "badges"
    verbose_name = _("Badges")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Imported once the apps are loaded; the import registers the checks.
        from badges import checks  # noqa: F401, PLC0415
        from badges.definitions import python_rules  # noqa: PLC0415
        from badges.management.after_migrate import after_migrate  # noqa: PLC0415

        python_rules.autodiscover()
        post_migrate.connect(after_migrate, sender=self)
