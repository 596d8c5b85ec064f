"""Badges that users hold: manual awards and revocations with a reason, which the history keeps; else read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.admin.utils import display_for_value
from django.db import models, router, transaction
from django.db.models.functions import Collate, Now
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from badges.admin._base import NOTHING, UserSearch, cause_of, shows_rejections, titled
from badges.admin.forms import AwardForm, ReasonForm, UserField
from badges.models import Badge, BadgeDefinition, BadgeEvent

REVOKED_AT_ONCE = 500
"""Badges that one action revokes at most; Django takes 1,000 fields of a form."""

SHOWN_EVENTS = 100
"""Events of one badge that its page shows, the newest ones."""

EVENT_TITLES = (_("at"), _("kind"), _("cause"), _("actor"), _("reason"))


class ExpiredFilter(admin.SimpleListFilter):
    title = _("expired")
    parameter_name = "expired"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Yes")), ("no", _("No"))]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        expired = models.Q(expires_at__lte=Now())
        match self.value():
            case "yes":
                return queryset.filter(expired)
            case "no":
                return queryset.filter(models.Q(expires_at=None) | ~expired)
        return queryset


@admin.register(Badge)
class BadgeAdmin(UserSearch):
    """Badges and their holders. They can be awarded and revoked with a reason, and not changed otherwise."""

    form = AwardForm
    raw_id_fields = ("user",)
    list_display = ("name", "shown_user", "thing", "awarded_at", "expires_at", "is_manual")
    list_filter = (
        "definition",
        ("by_hand", titled(admin.BooleanFieldListFilter, _("manual award"))),
        ExpiredFilter,
        ("awarded_at", admin.DateFieldListFilter),
    )
    list_select_related = ("user",)
    actions = ("delete_selected",)
    # The unique index, to the letter.
    ordering = ("user_id", Collate("code", "C"), "thing")
    delete_confirmation_template = "admin/badges/badge/delete_confirmation.html"
    delete_selected_confirmation_template = "admin/badges/badge/delete_selected_confirmation.html"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return Badge.with_expired.get_queryset().order_by(*self.ordering)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ("user", "definition", "thing", "reason")
        return (
            "definition",
            "code",
            "user",
            "thing",
            "awarded_at",
            "expires_at",
            "by_hand",
            "shown_evidence",
            "history",
        )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            kwargs["form_class"] = UserField
            kwargs["help_text"] = _("Key or username.")
        elif db_field.name == "definition":
            kwargs["queryset"] = BadgeDefinition.objects.filter(active=True, retired_at=None)
        field: Any = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "user":
            field.widget.attrs["class"] = "vTextField"  # wide enough for a username
        return field

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        badge = super().get_object(request, object_id, from_field)
        if badge is not None:
            _call_with_user(badge)
        return badge

    @shows_rejections
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Badge, form: Any, change: bool) -> None:
        reason = form.cleaned_data["reason"]
        obj.pk = Badge.objects.award(obj.user, obj.code, obj.thing, by=request.user, reason=reason).pk
        _call_with_user(obj)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        return _log_text(form.cleaned_data["reason"])

    @shows_rejections
    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        form = ReasonForm(request.POST if request.method == "POST" else None)
        context = {**(extra_context or {}), "title": _("Revoke"), "reason_form": form}
        if request.method == "POST" and not form.is_valid():
            # Django takes a POST for a confirmation.
            request.method = "GET"
            request.POST = type(request.POST)()
        return super().delete_view(request, object_id, context)

    def delete_model(self, request: HttpRequest, obj: Badge) -> None:
        _revoke(request, obj, request.POST["reason"].strip())

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return [_log_revocation(request, badge, request.POST["reason"].strip()) for badge in queryset]

    @admin.action(permissions=["delete"], description=_("Revoke selected badges"))
    @shows_rejections
    def delete_selected(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> HttpResponse | None:
        """Replaces Django's action of this name, which would ask for no reason."""
        chosen = list(queryset[: REVOKED_AT_ONCE + 1])
        if len(chosen) > REVOKED_AT_ONCE:
            text = _("No more than %(most)s badges are revoked at once.") % {"most": REVOKED_AT_ONCE}
            self.message_user(request, text, messages.ERROR)
            return None
        form = ReasonForm(request.POST if request.POST.get("post") else None)
        if not form.is_valid():
            context = {
                **self.admin_site.each_context(request),
                "title": _("Revoke selected badges"),
                "chosen": chosen,
                "reason_form": form,
                "opts": self.opts,
                "action_checkbox_name": ACTION_CHECKBOX_NAME,
                "media": self.media,
            }
            request.current_app = self.admin_site.name
            return TemplateResponse(request, self.delete_selected_confirmation_template, context)
        reason, revoked = form.cleaned_data["reason"], 0
        try:
            for badge in chosen:
                # Each in a transaction of its own: locks that accumulate could deadlock with other transactions.
                with transaction.atomic(using=router.db_for_write(Badge)):
                    if _revoke(request, badge, reason):
                        _call_with_user(badge)
                        _log_revocation(request, badge, reason)
                        revoked += 1
        finally:
            text = ngettext("%(count)d badge was revoked.", "%(count)d badges were revoked.", revoked)
            self.message_user(request, text % {"count": revoked}, messages.SUCCESS if revoked else messages.WARNING)
        return None

    @admin.display(description=_("manual"))
    def is_manual(self, badge: Badge) -> Any:
        # The icon of Django for "no" would look like an error on almost all rows.
        return _("Yes") if badge.by_hand else NOTHING

    @admin.display(description=_("history"))
    def history(self, badge: Badge) -> str:
        events = BadgeEvent.objects.filter(user=badge.user_id, definition=badge.code, thing=badge.thing)
        rows = (
            (
                display_for_value(event.at, NOTHING),
                event.get_kind_display(),
                cause_of(event),
                event.actor,
                event.reason,
            )
            for event in events.order_by("-at")[:SHOWN_EVENTS]
        )
        return format_html(
            "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>",
            format_html_join("", '<th scope="col">{}</th>', ((title,) for title in EVENT_TITLES)),
            format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows),
        )


def _revoke(request: HttpRequest, badge: Badge, reason: str) -> bool:
    return Badge.objects.revoke(badge.user_id, badge.code, badge.thing, by=request.user, reason=reason)


def _call_with_user(badge: Badge) -> None:
    """Add the holder to the name, for titles, messages and Django's log."""
    badge.name = f"{badge.name}, {badge.user}"


def _log_text(reason: str) -> str:
    return str(_("Reason: %(reason)s") % {"reason": reason})


def _log_revocation(request: HttpRequest, badge: Badge, reason: str) -> Any:
    return LogEntry.objects.log_actions(
        user_id=str(request.user.pk),
        queryset=[badge],
        action_flag=DELETION,
        change_message=_log_text(reason),
        single_object=True,
    )
