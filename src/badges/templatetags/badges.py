"""`{% load badges %}`: badges in the templates of a site. Each tag has a template of its own below `badges/tags/`."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.auth import get_user_model

from badges import arguments, exceptions
from badges.queries import pages
from badges.queries.images import image_url

register = template.Library()


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


@register.inclusion_tag("badges/live.html", takes_context=True)
def badges_live(context: template.Context) -> dict[str, Any]:
    """The place where toasts appear for the badges that the viewer earns while the page is open."""
    return {"user": viewer_of(context), "request": context.get("request"), "csp_nonce": context.get("csp_nonce")}


@register.filter
def badge_image(definition: Any) -> str:
    """The URL of a badge's picture: `image` is an URL, a path from the root, or a static file; without one, a medal."""
    return image_url(str(definition.image or "badges/medal.svg"))
