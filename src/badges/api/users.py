"""Users: the caller of the API, and how a user is shown, which a setting decides."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import models
from django.utils.module_loading import import_string
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.utils.field_mapping import ClassLookupDict

from badges import exceptions
from badges.conf import badges_settings


def caller(request: Request) -> Any:
    """The key of the user who sends the request; None for an anonymous one."""
    user = request.user
    # Sites may have no user at all instead of an anonymous one, and may authenticate users that are no rows.
    return get_user_model()._meta.pk.to_python(user.pk) if getattr(user, "is_authenticated", False) else None


def key_field() -> models.Field[Any, Any]:
    """The field of the key of a user; of a foreign key, the field that it refers to."""
    field = get_user_model()._meta.pk
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return field


class BadgeUserSerializer(serializers.Serializer[Any]):
    """A user: the key, and the username unless that is the e-mail address."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        field_class = ClassLookupDict(serializers.ModelSerializer.serializer_field_mapping)[key_field()]  # type: ignore[type-var]
        fields = {"key": field_class(source="pk", read_only=True)}
        model = get_user_model()
        if model.get_email_field_name() != model.USERNAME_FIELD:
            fields["username"] = serializers.CharField(source="get_username", read_only=True)
        return fields


def serializer_class() -> type[serializers.BaseSerializer[Any]]:
    """The serializer that the site has chosen.

    :raises InvalidSetting: it cannot be imported, or is none.
    """
    path = badges_settings.BADGES_API_USER_SERIALIZER
    try:
        found = import_string(path)
    except ImportError as error:
        raise exceptions.InvalidSetting(f"BADGES_API_USER_SERIALIZER cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, serializers.BaseSerializer)):
        raise exceptions.InvalidSetting(f"BADGES_API_USER_SERIALIZER is {path!r}, which is no serializer.")
    return found
