"""`{% load badges %}`: badges in the templates of a site. Each tag has a template of its own below `badges/tags/`."""

from __future__ import annotations

from typing import Any

from django import template

from badges.queries import pages
from badges.queries.images import image_url

register = template.Library()


def viewer_of(context: template.Context) -> Any:
    """The viewer of the page: the user of its request; None without one, which hides all secret badges."""
    return getattr(context.get("request"), "user", None) or context.get("user")


@register.inclusion_tag("badges/tags/user_badges.html", takes_context=True)
def user_badges(context: template.Context, user: Any) -> dict[str, Any]:
    """The badges that a user holds. One query."""
    return {"entries": pages.held_by(user, viewer_of(context)), "person": user}


@register.inclusion_tag("badges/tags/badge.html", takes_context=True)
def badge(context: template.Context, code: str) -> dict[str, Any]:
    """One badge by its code; nothing if there is no such badge, or if the viewer may not see it. One query."""
    definition = pages.find(code, viewer_of(context))
    return {"definition": definition}


@register.inclusion_tag("badges/tags/badge_progress.html", takes_context=True)
def badge_progress(context: template.Context, user: Any) -> dict[str, Any]:
    """The progress of a user towards badges that have a goal. Three queries."""
    entries = pages.on_the_way(user, viewer_of(context))
    return {"entries": [entry for entry in entries if entry.progress], "person": user}


@register.inclusion_tag("badges/tags/newest_badges.html", takes_context=True)
def newest_badges(context: template.Context, count: int = 10) -> dict[str, Any]:
    """The newest awards of all users. One query."""
    return {"awards": pages.newest(count, viewer_of(context))}


@register.inclusion_tag("badges/live.html", takes_context=True)
def badges_live(context: template.Context) -> dict[str, Any]:
    """The place where toasts appear for the badges that the viewer earns while the page is open."""
    return {"user": viewer_of(context), "request": context.get("request"), "csp_nonce": context.get("csp_nonce")}


@register.filter
def badge_image(definition: Any) -> str:
    """The URL of a badge's picture: `image` is an URL, a path from the root, or a static file; without one, a medal."""
    return image_url(str(definition.image or "badges/medal.svg"))
