"""Serializers: the JSON of the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from badges.api import users


class ShareField(serializers.FloatField):
    """A share from 0 to 1, to four decimal places."""

    def to_representation(self, value: Any) -> Any:
        return round(float(value), 4)


class BadgeSummarySerializer(serializers.Serializer[Any]):
    """A badge, in the language of the request."""

    code = serializers.CharField(read_only=True)
    name = serializers.CharField(source="shown_name", read_only=True)
    description = serializers.CharField(source="shown_description", read_only=True)
    category = serializers.CharField(read_only=True)
    image = serializers.CharField(read_only=True, help_text="Path or URL, as in the badge file.")
    points = serializers.IntegerField(read_only=True)
    secret = serializers.BooleanField(read_only=True, help_text="Hidden from users who do not hold it.")


class BadgeProgressSerializer(serializers.Serializer[Any]):
    """The progress of the caller."""

    value = serializers.DecimalField(max_digits=None, decimal_places=None, read_only=True, allow_null=True)
    goal = serializers.DecimalField(max_digits=None, decimal_places=None, read_only=True)
    share = ShareField(read_only=True, help_text="From 0 to 1.")


class BadgeThingSerializer(serializers.Serializer[Any]):
    """The subject that the badge is held for, if it is awarded per subject."""

    thing = serializers.CharField(read_only=True)
    since = serializers.DateTimeField(source="awarded_at", read_only=True, allow_null=True)
    expires_at = serializers.DateTimeField(read_only=True, allow_null=True)


class OwnBadgeSerializer(serializers.Serializer[Any]):
    """The badge as the caller holds it, and the progress."""

    held = serializers.BooleanField(read_only=True)
    since = serializers.DateTimeField(read_only=True, allow_null=True)
    expires_at = serializers.DateTimeField(read_only=True, allow_null=True)
    times = serializers.IntegerField(
        read_only=True, help_text="How often the caller holds it: once, or once for each subject."
    )
    things = BadgeThingSerializer(many=True, read_only=True, help_text="The newest hundred.")
    progress = BadgeProgressSerializer(read_only=True, allow_null=True)


class BadgeStandingSerializer(serializers.Serializer[Any]):
    """A badge, its holders, and whether the caller holds it."""

    code = serializers.CharField(source="definition.code", read_only=True)
    name = serializers.CharField(source="definition.shown_name", read_only=True)
    description = serializers.CharField(source="definition.shown_description", read_only=True)
    category = serializers.CharField(source="definition.category", read_only=True)
    image = serializers.CharField(source="definition.image", read_only=True, help_text="As in the badge file.")
    points = serializers.IntegerField(source="definition.points", read_only=True)
    secret = serializers.BooleanField(source="definition.secret", read_only=True)
    active = serializers.BooleanField(read_only=True, help_text="Whether it can be earned.")
    holders = serializers.IntegerField(source="count.holders", read_only=True, help_text="How many users hold it.")
    share = ShareField(
        source="count.share", read_only=True, help_text="The share of all users who hold it, from 0 to 1."
    )
    mine = OwnBadgeSerializer(read_only=True, allow_null=True, help_text="Null for an anonymous caller.")


class HeldBadgeSerializer(BadgeThingSerializer):
    """A badge that a user holds."""

    badge = BadgeSummarySerializer(source="definition", read_only=True)


class BadgeHolderSerializer(serializers.Serializer[Any]):
    """A holder of a badge: the user, since when, and the subject."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # The setting is read when it is needed, not when this is imported.
        return {"user": users.serializer_class()(read_only=True), **super().get_fields()}

    thing = serializers.CharField(read_only=True)
    since = serializers.DateTimeField(source="awarded_at", read_only=True, allow_null=True)


class BadgeAwardSerializer(BadgeHolderSerializer):
    """An award: badge, user and time."""

    badge = BadgeSummarySerializer(source="definition", read_only=True)
