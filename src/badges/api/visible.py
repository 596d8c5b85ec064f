"""What a caller may see: secret badges are unseen by those who lack them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, Q, QuerySet
from rest_framework.request import Request

from badges.models import Badge, BadgeDefinition


def caller(request: Request) -> Any:
    """The key of the user who asks; None for somebody who is not logged in."""
    user = request.user
    # Sites may have no user at all in the place of an anonymous one, and authenticate users that are no rows.
    return get_user_model()._meta.pk.to_python(user.pk) if getattr(user, "is_authenticated", False) else None


def definitions(key: Any) -> QuerySet[BadgeDefinition]:
    """The badges that the user with this key may know of, retired and paused ones too."""
    return BadgeDefinition.objects.filter(_is_open_to(key, Q(secret=False)))


def awards(key: Any) -> QuerySet[Badge]:
    """The badges held by anybody that the user with this key may know of."""
    return Badge.objects.filter(_is_open_to(key, Q(definition__secret=False)))


def is_held_by(key: Any) -> Q | Exists:
    """Whether the user with this key holds the badge of the row."""
    # An empty list matches nothing, and without a user there is nothing to match.
    return Q(pk__in=[]) if key is None else Exists(Badge.objects.filter(user=key, code=OuterRef("code")))


def _is_open_to(key: Any, is_open: Q) -> Q:
    return is_open if key is None else is_open | Q(is_held_by(key))
