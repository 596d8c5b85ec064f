"""Definitions: read-only, as their source is the badge file; their status, and their awards over time."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import display_for_value
from django.contrib.admin.views.main import ChangeList
from django.db import DatabaseError, router, transaction
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.formats import number_format
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from badges import database, exceptions
from badges.admin._base import NOTHING, BadgesAdmin, rejection
from badges.facts import analysis
from badges.models import BadgeDefinition
from badges.operations import status
from badges.operations.status import BadgeStatus, State
from badges.queries import timeline

STATES = {
    State.MISSING: _("missing"),
    State.OUT_OF_DATE: _("out of date"),
    State.DISABLED: _("disabled"),
    State.DEFERRED: _("deferred"),
    State.PAUSED: _("paused"),
    State.RETIRED: _("retired"),
    State.ENABLED: _("enabled"),
}


class DefinitionList(ChangeList):
    model_admin: BadgeDefinitionAdmin

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        found = self.model_admin.survey(request)
        self.result_list = list(self.result_list)
        for definition in self.result_list:
            definition.status = found.get(definition.code)


@admin.register(BadgeDefinition)
class BadgeDefinitionAdmin(BadgesAdmin):
    """The badges of the badge file with their status. They are changed in the file."""

    list_display = ("named", "code", "state", "holders", "share", "last_award", "failures", "pending")
    list_filter = ("category", "active")
    search_fields = ("code", "name")
    fieldsets = (
        (None, {"fields": ("named", "code", "described", "category", "points", "secret", "active")}),
        (_("State"), {"fields": ("state", "problems", "holders", "share", "last_award", "failures", "pending")}),
        (_("Awards"), {"fields": ("awards",)}),
        (
            _("Rule"),
            {
                "fields": (
                    "condition", "trigger_condition", "trigger_table", "user_field", "triggers", "per", "progress",
                    "goal", "revocable", "expires_after", "time_zone", "rule", "retired_at",
                ),
            },
        ),
    )  # fmt: skip

    @admin.display(description=_("name"))
    def named(self, definition: Any) -> str:
        return str(definition.shown_name)

    @admin.display(description=_("description"))
    def described(self, definition: Any) -> str:
        return str(definition.shown_description) or NOTHING

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return DefinitionList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        definition = super().get_object(request, object_id, from_field)
        if definition is not None:
            definition.status = self.survey(request).get(definition.code)
        return definition

    def survey(self, request: HttpRequest) -> dict[str, BadgeStatus]:
        """The status of each badge by code; if it cannot be found, a message shows why."""
        connection = database.connect(router.db_for_read(BadgeDefinition))
        try:
            with transaction.atomic(using=connection.alias):
                declared = analysis.load(connection).definitions
                found = {badge.code: badge for badge in status.survey(connection, declared)}
        except (exceptions.BadgesError, DatabaseError) as error:
            if not (text := rejection(error)):
                raise
            self.message_user(request, text, messages.ERROR)
            return {}
        installed = set(BadgeDefinition.objects.using(connection.alias).values_list("code", flat=True))
        if missing := [code for code in found if code not in installed]:
            warning = _(
                "In the badge file, but not installed: %(codes)s. Run `python manage.py create_badge_triggers`."
            )
            self.message_user(request, warning % {"codes": ", ".join(missing)}, messages.WARNING)
        return found

    @admin.display(description=_("state"))
    def state(self, definition: Any) -> str:
        if definition.status:
            return str(STATES[definition.status.state])
        return str(STATES[State.RETIRED] if definition.retired_at else NOTHING)

    @admin.display(description=_("problems"))
    def problems(self, definition: Any) -> str:
        found = definition.status.problems if definition.status else ()
        lines = ((each.message, each.hint) for each in found)
        return format_html_join("", "<p>{}<br><code>{}</code></p>", lines) or NOTHING

    @admin.display(description=_("holders"))
    def holders(self, definition: Any) -> str:
        return _number(definition, "holders")

    @admin.display(description=_("share of the users"))
    def share(self, definition: Any) -> str:
        if not definition.status:
            return NOTHING
        percent, is_less = definition.status.percent
        return f"{'<' if is_less else ''}{number_format(f'{percent:g}')}%"

    @admin.display(description=_("last award"))
    def last_award(self, definition: Any) -> Any:
        return display_for_value(definition.status and definition.status.last_award, NOTHING)

    @admin.display(description=_("failures"))
    def failures(self, definition: Any) -> str:
        return _number(definition, "failures")

    @admin.display(description=_("pending checks"))
    def pending(self, definition: Any) -> str:
        return _number(definition, "pending")

    @admin.display(description=_("over time"))
    def awards(self, definition: Any) -> str:
        found = timeline.of(definition.code)
        return render_to_string("badges/chart.html", {"chart": found}) if found else NOTHING


def _number(definition: Any, name: str) -> str:
    return str(number_format(getattr(definition.status, name), force_grouping=True)) if definition.status else NOTHING
