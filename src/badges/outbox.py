"""The table of the events that are still to be sent."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Delivery(models.Model):
    """An event that is still to be sent to the receivers of the signals; gone once all of them have returned.

    Written by the database with the event, if BADGES_SIGNALS says so; worked off by `listen_badges`.
    """

    # Without constraints: nobody who deletes a user or an event is to wait for the listener.
    event = models.OneToOneField(
        "badges.BadgeEvent",
        verbose_name=_("event"),
        primary_key=True,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    at = models.DateTimeField(_("at"), help_text=_("That of the event: what comes first for its user is sent first."))
    attempts = models.IntegerField(_("attempts"), default=0, db_default=0)
    next_at = models.DateTimeField(_("next at"), db_default=Now(), help_text=_("It is not tried before."))
    done = models.JSONField(
        _("done"), default=list, db_default=[], help_text=_("The receivers that have returned already.")
    )
    error = models.TextField(_("error"), blank=True, default="", db_default="")
    parked_at = models.DateTimeField(
        _("parked at"), null=True, blank=True, help_text=_("When it was put aside, after too many attempts.")
    )

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = (
            models.Index(
                fields=["user", "at", "event"], condition=models.Q(parked_at=None), name="badges_delivery_of_user"
            ),
            models.Index(fields=["at", "event"], condition=models.Q(parked_at=None), name="badges_delivery_order"),
            models.Index(fields=["parked_at"], condition=~models.Q(parked_at=None), name="badges_delivery_parked"),
        )

    def __str__(self) -> str:
        return str(self.event_id)
