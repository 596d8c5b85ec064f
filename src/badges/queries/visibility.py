"""Visibility: who may see a secret badge."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from badges.models import Badge


def key_of(user: Any) -> Any:
    """The key of a user; None for nobody and for an anonymous one."""
    return getattr(user, "pk", None)


def visible(viewer: Any, prefix: str = "") -> Q:
    """The condition at definitions, or behind `prefix`, that leaves out what is kept secret from the viewer."""
    public = Q(**{f"{prefix}secret": False})
    if key_of(viewer) is None:
        return public
    held = Badge.objects.filter(user=key_of(viewer), definition__secret=True).values("code")
    return public | Q(**{f"{prefix}pk__in": held})
