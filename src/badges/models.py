"""The two tables that sites read: the badges that users hold, and what the badge file declares."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Now
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from badges.definitions import CODE_MAX_LENGTH
from badges.fields import DefinitionField


class BadgeDefinition(models.Model):
    """A badge as the badge file declares it; written by `create_badge_triggers`, in the transaction of the triggers.

    Its table is not managed, as its rows belong to the installed triggers: `manage.py flush` empties managed tables,
    and badges would then be awarded that nobody can name.
    """

    code = models.CharField(_("code"), primary_key=True, max_length=CODE_MAX_LENGTH)
    name = models.TextField(_("name"))
    description = models.TextField(_("description"), blank=True, default="")
    category = models.TextField(_("category"), blank=True, default="")
    image = models.TextField(_("image"), blank=True, default="")
    points = models.IntegerField(_("points"), default=0)
    position = models.IntegerField(_("position"), default=0)
    secret = models.BooleanField(_("secret"), default=False)
    condition = models.TextField(_("condition"), blank=True, default="")
    trigger_condition = models.JSONField(_("trigger condition"), default=list)
    trigger_table = models.TextField(_("trigger table"), blank=True, default="")
    user_field = models.TextField(_("user field"), blank=True, default="")
    retired_at = models.DateTimeField(
        _("retired at"), null=True, blank=True, help_text=_("When the badge was taken out of the badge file.")
    )

    class Meta:
        managed = False
        verbose_name = _("badge definition")
        verbose_name_plural = _("badge definitions")
        ordering = ("position", "code")

    def __str__(self) -> str:
        return self.name


class BadgeManager(models.Manager["Badge"]):
    """Badges with the name that their definition has today."""

    def get_queryset(self) -> models.QuerySet[Badge]:
        return super().get_queryset().annotate(name=models.F("definition__name"))


class Badge(models.Model):
    """One badge that one user holds.

    `awarded_at` is empty for badges that were awarded by version 0.1, which did not record it. `evidence` is what the
    condition saw: the table, the operation and the columns of the changed row that the condition read.
    """

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.CASCADE,
        related_name="badges",
        db_index=False,  # the unique constraint begins with the user
        db_constraint=False,  # the migration makes one that is checked at once and cascades in the database
    )
    definition = DefinitionField(
        BadgeDefinition,
        verbose_name=_("badge"),
        on_delete=models.PROTECT,
        related_name="badges",
        db_column="code",
        db_index=False,  # a text's index would bring a second one along, for LIKE
        db_constraint=False,  # as for the user
    )
    awarded_at = models.DateTimeField(_("awarded at"), db_default=Now(), null=True, editable=False)
    evidence = models.JSONField(_("evidence"), null=True, blank=True, editable=False)

    code: str

    objects = BadgeManager()

    class Meta:
        verbose_name = _("badge")
        verbose_name_plural = _("badges")
        constraints = (models.UniqueConstraint(fields=["user", "definition"], name="badges_badge_user_code"),)
        indexes = (models.Index(fields=["definition"], name="badges_badge_code"),)

    def __str__(self) -> str:
        return str(self.name)

    @cached_property
    def name(self) -> Any:
        """The badge's name today. Badges that come from `Badge.objects` bring it with them, without a query."""
        return self.definition.name
