"""Arguments of public calls: a user or a key, a badge or its code, a subject or its key. Pure."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.functional import Promise

from badges import exceptions


def user_key(user: Any) -> Any:
    """The key of a user.

    :param user: the user, or the key of one in any form that its field takes.
    :raises UnknownUser: it cannot be the key of one, such as None or an anonymous user; the database is not asked.
    """
    model = get_user_model()
    if isinstance(user, model):
        if user.pk is None:
            raise exceptions.UnknownUser(f"The user {user} is not saved, and so cannot hold a badge.")
        return user.pk
    if user is None or user == "" or getattr(user, "is_anonymous", False):
        raise exceptions.UnknownUser("Only users who are logged in can hold badges; this is an anonymous user.")
    if isinstance(user, Model):
        raise exceptions.UnknownUser(f"{user!r} is no user ({model._meta.label}).")
    field: Any = model._meta.pk
    while field.is_relation:
        field = field.target_field
    try:
        key = field.to_python(str(user) if isinstance(user, Promise) else user)
        field.run_validators(key)
    except (ValidationError, TypeError, ValueError):
        key = None
    if key is None or isinstance(user, bytes) or "\0" in str(key):
        raise exceptions.UnknownUser(f"{user!r} is no user and no key of one ({model._meta.label}).")
    return key


def code_of(badge: Any) -> str:
    """The code of a badge.

    :param badge: the code, or a definition or a badge that has it.
    :raises UnknownBadge: it is no code.
    """
    code = str(badge) if isinstance(badge, Promise) else getattr(badge, "code", badge)
    if not isinstance(code, str) or "\0" in code:
        raise exceptions.UnknownBadge(f"{badge!r} is no badge and no code of one.")
    return code


def subject_of(thing: Any) -> str:
    """The key of a subject, as badges store it.

    :param thing: the subject as a model, or its key; None or empty for none.
    :raises UnknownSubject: a model that is not saved, or a key that no row has.
    """
    key = thing.pk if isinstance(thing, Model) else thing
    if (isinstance(thing, Model) and key is None) or "\0" in str(key):
        raise exceptions.UnknownSubject(f"{thing!r} is no subject, as no row has its key.")
    return "" if key is None else str(key)
