"""Definitions: read-only, as their source is the badge file; their status, and their awards over time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import display_for_value
from django.contrib.admin.views.main import ChangeList
from django.db import DatabaseError, router, transaction
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from badges import database, exceptions
from badges.admin._base import NOTHING, BadgesAdmin, in_colour, rejection
from badges.facts import analysis
from badges.models import Badge, BadgeDefinition
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


class CategoryFilter(admin.AllValuesFieldListFilter):
    """Categories in the language of the viewer, if the site has translations of them."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": gettext(str(choice["display"])) if choice["display"] else NOTHING}


@admin.register(BadgeDefinition)
class BadgeDefinitionAdmin(BadgesAdmin):
    """The badges of the badge file with their status. They are changed in the file."""

    list_display = ("named_with_code", "state", "holders", "share", "last_award_day", "failures", "pending")
    list_filter = (("category", CategoryFilter), "active")
    search_fields = ("code", "name")
    fieldsets = (
        (None, {"fields": ("named", "code", "described", "shown_category", "points", "secret", "active")}),
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

    @admin.display(description=_("name"))
    def named_with_code(self, definition: Any) -> str:
        return format_html('{} <span class="badges-code">{}</span>', definition.shown_name, definition.code)

    @admin.display(description=_("description"))
    def described(self, definition: Any) -> str:
        return str(definition.shown_description) or NOTHING

    @admin.display(description=_("category"))
    def shown_category(self, definition: Any) -> str:
        return gettext(definition.category) if definition.category else NOTHING

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
        if not definition.status and not definition.retired_at:
            return NOTHING
        state = definition.status.state if definition.status else State.RETIRED
        return in_colour(state.value, STATES[state])

    @admin.display(description=_("problems"))
    def problems(self, definition: Any) -> str:
        found = definition.status.problems if definition.status else ()
        lines = ((each.message, each.hint) for each in found)
        return format_html_join("", "<p>{}<br><code>{}</code></p>", lines) or NOTHING

    @admin.display(description=_("holders"))
    def holders(self, definition: Any) -> str:
        """Their number, with a link to them."""
        number = _number(definition, "holders")
        if number == NOTHING or not self.admin_site.is_registered(Badge):
            return number
        held = reverse("admin:badges_badge_changelist", current_app=self.admin_site.name)
        return format_html(
            '<a href="{}?{}">{}</a>', held, urlencode({"definition__code__exact": definition.code}), number
        )

    @admin.display(description=_("share"))
    def share(self, definition: Any) -> str:
        if not definition.status:
            return NOTHING
        percent, is_less = definition.status.percent
        return f"{'<' if is_less else ''}{number_format(f'{percent:g}')}%"

    @admin.display(description=_("last award"))
    def last_award(self, definition: Any) -> Any:
        return display_for_value(definition.status and definition.status.last_award, NOTHING)

    @admin.display(description=_("last award"))
    def last_award_day(self, definition: Any) -> str:
        at = definition.status and definition.status.last_award
        if not at:
            return NOTHING
        return str(date_format(timezone.localtime(at) if timezone.is_aware(at) else at, "SHORT_DATE_FORMAT"))

    @admin.display(description=_("failures"))
    def failures(self, definition: Any) -> str:
        return _number(definition, "failures")

    @admin.display(description=_("pending"))
    def pending(self, definition: Any) -> str:
        return _number(definition, "pending")

    @admin.display(description=_("over time"))
    def awards(self, definition: Any) -> str:
        found = timeline.of(definition.code)
        return render_to_string("badges/chart.html", {"chart": found}) if found else NOTHING


def _number(definition: Any, name: str) -> str:
    return str(number_format(getattr(definition.status, name), force_grouping=True)) if definition.status else NOTHING
