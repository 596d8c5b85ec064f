"""Base of the admin's pages: long read-only lists, the search for users, rejections as messages."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg
from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import DatabaseError, models
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from badges import exceptions
from badges.admin.paging import LongListPaginator
from badges.models import BadgeEvent

SEARCHED_USERS = 100
"""Users whose badges a search shows at most."""

NOTHING = "-"

View = TypeVar("View", bound=Callable[..., Any])


def rejection(error: Exception) -> str:
    """The message for an error that the user or an administrator can fix; empty for any other."""
    cause = error.__cause__
    if isinstance(error, exceptions.InsufficientRights) and cause:
        cause = cause.__cause__  # the GRANT is for operators
    elif isinstance(error, exceptions.BadgesError):
        return str(error)
    match cause:
        case psycopg.errors.InsufficientPrivilege(diag=diag):
            return str(_("The database role may not do this: %(message)s.") % {"message": diag.message_primary})
        case psycopg.errors.LockNotAvailable():
            return str(_("Another transaction has locked this user. Try again."))
    return ""


def shows_rejections(view: View) -> View:
    """Show why a POST was rejected as a message, on the page that it came from."""

    @functools.wraps(view)
    def showing(self: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return view(self, request, *args, **kwargs)
        except (exceptions.BadgesError, DatabaseError) as error:
            text = rejection(error)
            if not text or request.method != "POST":
                raise
            self.message_user(request, text, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    return showing  # type: ignore[return-value]


def users_found(text: str) -> Sequence[Any]:
    """The keys of the users with this key, or with a username that begins with this text.

    Found by the indexes that Django makes; all users are read only if no username begins with it in this case.
    """
    users = get_user_model()
    name = users.USERNAME_FIELD
    is_text = isinstance(users._meta.get_field(name), models.CharField | models.TextField)
    by_key = models.Q()
    with contextlib.suppress(ValueError, TypeError, ValidationError):
        by_key = models.Q(pk=users._meta.pk.to_python(text))
    for lookup in ("startswith", "istartswith") if is_text else ("exact",):
        with contextlib.suppress(ValueError, TypeError, ValidationError):
            found = users._default_manager.filter(by_key | models.Q(**{f"{name}__{lookup}": text}))
            if keys := list(found.values_list("pk", flat=True)[:SEARCHED_USERS]):
                return keys
    return []


def titled(base: type[admin.FieldListFilter], title: Any) -> type[admin.FieldListFilter]:
    """A filter whose title reads well after "By"."""

    class Titled(base):  # type: ignore[valid-type, misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.title = title

    return Titled


def in_colour(state: str, word: Any) -> str:
    """A state as a word, with the class of its colour in admin.css."""
    return format_html('<span class="badges-state badges-state-{}">{}</span>', state.replace(" ", "-"), word)


def cause_of(event: BadgeEvent) -> str:
    """The cause of an event, for the viewer: "manual", or the SQL, command or function as the history keeps it."""
    return str(_("manual")) if event.cause == "by hand" else event.cause


class BadgesAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A read-only list that may be long: its rows are not all counted."""

    paginator = LongListPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_per_page = 50
    list_max_show_all = 200
    actions: Any = ()

    @property
    def media(self) -> forms.Media:
        return super().media + forms.Media(css={"all": ["badges/admin.css"]})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("evidence"))
    def shown_evidence(self, found: Any) -> str:
        if found.evidence is None:
            return NOTHING
        return format_html("<pre>{}</pre>", json.dumps(found.evidence, indent=2, ensure_ascii=False))


class UserSearch(BadgesAdmin):
    """Rows of users. The search finds the users first, so that the index on the user finds the rows."""

    search_fields = ("user",)
    search_help_text = _("Key of a user, or the beginning of a username.")

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        text = search_term.strip()
        return (queryset.filter(user__in=users_found(text)) if text else queryset), False

    @admin.display(description=_("user"))
    def shown_user(self, found: Any) -> str:
        # A pending check may outlive its user, or be of one who is not known yet.
        try:
            user = found.user
        except ObjectDoesNotExist:
            user = None
        if user is None and found.user_id is None:
            return NOTHING
        return str(found.user_id if user is None else user)
