"""Records of the database: events, pending checks, failures. Read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db import models, router
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from badges import database
from badges.admin._base import BadgesAdmin, UserSearch, cause_of, in_colour, shows_rejections, titled
from badges.models import BadgeEvent, Failure, PendingCheck
from badges.operations.settle import settle


class NamedByCode(UserSearch):
    """Rows whose definition is fetched separately: a join would hide rows without one."""

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("definition")

    @admin.display(description=_("badge"))
    def shown_badge(self, event: BadgeEvent) -> str:
        try:
            name = str(event.definition.shown_name)
        except ObjectDoesNotExist:
            name = event.code
        return f"{name} ({event.thing})" if event.thing else name


@admin.register(BadgeEvent)
class BadgeEventAdmin(NamedByCode):
    """The history, newest first."""

    list_display = ("at", "shown_kind", "shown_badge", "shown_user", "shown_cause")
    list_filter = ("kind", "definition", ("at", titled(admin.DateFieldListFilter, _("time"))))
    list_select_related = ("user",)
    ordering = ("-transaction", "-at")
    fields = (
        "at", "kind", "shown_badge", "code", "shown_user", "thing", "named_cause", "actor", "reason", "rule",
        "transaction", "shown_evidence",
    )  # fmt: skip

    @admin.display(description=_("kind"))
    def shown_kind(self, event: BadgeEvent) -> str:
        return in_colour(event.kind, event.get_kind_display())

    @admin.display(description=_("cause"))
    def shown_cause(self, event: BadgeEvent) -> str:
        """With the author and the reason if it is manual."""
        return ", ".join(filter(None, (cause_of(event), event.actor, event.reason)))

    @admin.display(description=_("cause"))
    def named_cause(self, event: BadgeEvent) -> str:
        return cause_of(event)


@admin.register(PendingCheck)
class PendingCheckAdmin(UserSearch):
    """Pending checks, and a button to settle them."""

    list_display = ("code", "shown_user", "thing", "noted_at", "failed_at")
    ordering = ("bucket", "pk")
    fields = ("code", "shown_user", "thing", "noted_at", "noted_by", "failed_at", "bucket", "shown_evidence")
    change_list_template = "admin/badges/pendingcheck/change_list.html"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("user")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No for the pages of pending checks; yes elsewhere, so that a deleted user's checks are deleted too."""
        place = request.resolver_match
        return place is not None and not str(place.url_name).startswith("badges_pendingcheck_")

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        return {**super().get_model_perms(request), "delete": False}

    def get_urls(self) -> list[URLPattern]:
        settle = self.admin_site.admin_view(self.settle_view)
        return [path("settle/", settle, name="badges_pendingcheck_settle"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, {**(extra_context or {}), "may_settle": self.may_settle(request)})

    def may_settle(self, request: HttpRequest) -> bool:
        return request.user.has_perm("badges.change_pendingcheck")

    @shows_rejections
    def settle_view(self, request: HttpRequest) -> HttpResponse:
        """Settle all pending checks, on POST."""
        if request.method != "POST" or not self.may_settle(request):
            raise PermissionDenied
        settled, kept = settle(database.connect(router.db_for_write(PendingCheck)))
        text = ngettext("%(count)d pending check is settled.", "%(count)d pending checks are settled.", settled)
        self.message_user(request, text % {"count": settled}, messages.SUCCESS)
        if kept:
            text = ngettext(
                "%(count)d is left: an open transaction keeps it, or its condition fails.",
                "%(count)d are left: an open transaction keeps them, or their condition fails.",
                kept,
            )
            self.message_user(request, text % {"count": kept}, messages.WARNING)
        return HttpResponseRedirect(reverse("admin:badges_pendingcheck_changelist", current_app=self.admin_site.name))


@admin.register(Failure)
class FailureAdmin(BadgesAdmin):
    """Conditions that failed."""

    list_display = ("code", "message", "occurrences", "last_at")
    list_filter = ("code",)
    search_fields = ("code", "message")
    ordering = ("-last_at",)
    change_list_template = "admin/badges/failure/change_list.html"
