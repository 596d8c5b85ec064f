"""The users of the demo: one click logs in as one of them. No other user can log in, and none has a password."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

ARTISTS = ("ada", "grace", "linus", "margaret")
ADMIN = "admin"


def ensure() -> None:
    """Create the missing users."""
    users = get_user_model().objects
    present = set(users.filter(username__in=[*ARTISTS, ADMIN]).values_list("username", flat=True))
    for name in ARTISTS:
        if name not in present:
            users.create(username=name, password="!")
    if ADMIN not in present:
        users.create(username=ADMIN, password="!", is_staff=True, is_superuser=True)


def artists() -> list[User]:
    """The users who draw."""
    return list(get_user_model().objects.filter(username__in=ARTISTS).order_by("username"))
