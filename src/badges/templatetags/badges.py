"""`{% load badges %}`: badges in the templates of a site. Each tag has a template of its own below `badges/tags/`."""

from __future__ import annotations

import datetime
import zlib
from typing import Any

from django import template
from django.contrib.auth import get_user_model
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext

from badges import arguments, exceptions
from badges.queries import pages
from badges.queries.images import image_url

register = template.Library()

SHADES = 6
"""Colours of avatars in badges.css."""


def viewer_of(context: template.Context) -> Any:
    """The viewer of the page: the user of its request; None without one, which hides all secret badges."""
    return getattr(context.get("request"), "user", None) or context.get("user")


def person_of(user: Any) -> Any:
    """The user whom a tag is about, or the one with that key; None for anything else, which holds no badge."""
    if isinstance(user, get_user_model()):
        return user
    try:
        return get_user_model()._default_manager.filter(pk=arguments.user_key(user)).first()
    except exceptions.UnknownUser:
        return None


@register.inclusion_tag("badges/tags/user_badges.html", takes_context=True)
def user_badges(context: template.Context, user: Any) -> dict[str, Any]:
    """The badges that a user holds. One query."""
    person = person_of(user)
    return {"entries": pages.held_by(person, viewer_of(context)), "person": person}


@register.inclusion_tag("badges/tags/badge.html", takes_context=True)
def badge(context: template.Context, code: Any) -> dict[str, Any]:
    """One badge by its code; nothing if there is no such badge, or if the viewer may not see it. One query."""
    try:
        return {"definition": pages.find(arguments.code_of(code), viewer_of(context))}
    except exceptions.UnknownBadge:
        return {"definition": None}


@register.inclusion_tag("badges/tags/badge_progress.html", takes_context=True)
def badge_progress(context: template.Context, user: Any) -> dict[str, Any]:
    """The progress of a user towards badges that have a goal. Three queries."""
    person = person_of(user)
    entries = pages.on_the_way(person, viewer_of(context))
    return {"entries": [entry for entry in entries if entry.progress], "person": person}


@register.inclusion_tag("badges/tags/newest_badges.html", takes_context=True)
def newest_badges(context: template.Context, count: Any = 10) -> dict[str, Any]:
    """The newest awards of all users. One query."""
    try:
        number = max(int(count), 0)
    except (TypeError, ValueError):
        number = 10
    return {"awards": pages.newest(number, viewer_of(context))}


@register.inclusion_tag("badges/tags/user_avatar.html")
def user_avatar(user: Any) -> dict[str, Any]:
    """The picture of a user, beside the name: the first letter on a colour that follows from the name. No query.

    A site with pictures of its users replaces the template.
    """
    person = person_of(user)
    name = str(person.get_username()) if person else ""
    return {"person": person, "initial": name[:1].upper(), "shade": zlib.crc32(name.encode()) % SHADES}


@register.inclusion_tag("badges/live.html", takes_context=True)
def badges_live(context: template.Context) -> dict[str, Any]:
    """The place where toasts appear for the badges that the viewer earns while the page is open."""
    return {"user": viewer_of(context), "request": context.get("request"), "csp_nonce": context.get("csp_nonce")}


@register.filter
def badge_image(definition: Any) -> str:
    """The URL of a badge's picture: `image` is an URL, a path from the root, or a static file; without one, a medal."""
    return image_url(str(definition.image or "badges/medal.svg"))


@register.filter
def badge_ago(at: datetime.datetime) -> str:
    """How long ago something was, in the largest unit; the date if it was more than a week ago."""
    now = timezone.now()
    minutes = max(int((now - at).total_seconds()) // 60, 0)
    if minutes < 1:
        return gettext("just now")
    if minutes < 60:
        return ngettext("%(count)d minute ago", "%(count)d minutes ago", minutes) % {"count": minutes}
    if (hours := minutes // 60) < 24:
        return ngettext("%(count)d hour ago", "%(count)d hours ago", hours) % {"count": hours}
    if (days := hours // 24) <= 7:
        return ngettext("%(count)d day ago", "%(count)d days ago", days) % {"count": days}
    return date_format(timezone.localtime(at) if timezone.is_aware(at) else at, "DATE_FORMAT")
