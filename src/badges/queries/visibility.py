"""Visibility: which users see a secret badge. The one rule for pages, template tags, REST API and streams."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from badges.models import Badge


def key_of(user: Any) -> Any:
    """The key of a user; None for an anonymous one, and for none."""
    return getattr(user, "pk", None)


def held_by(key: Any) -> Q:
    """A condition on definitions: the user with this key holds the badge."""
    # Without a user there is nothing to match, and an empty list matches nothing.
    return Q(pk__in=[] if key is None else Badge.objects.filter(user=key).values("code"))


def visible(key: Any, prefix: str = "") -> Q:
    """A condition on definitions, or on those behind `prefix`: public, or held by the user with this key."""
    public = Q(**{f"{prefix}secret": False})
    if key is None:
        return public
    held = Badge.objects.filter(user=key, definition__secret=True).values("code")
    return public | Q(**{f"{prefix}pk__in": held})


def is_visible_event(*, secret: bool, owner: Any, key: Any) -> bool:
    """The same for an event in a stream, which cannot query what each viewer holds: public, or the viewer's own.

    :param owner: the key of the user whose event it is.
    """
    return not secret or bool(owner == key)
