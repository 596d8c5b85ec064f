"""Permissions: who sees the badges of other users, as a setting says; in addition to those of the site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from badges.api import users
from badges.conf import badges_settings

if TYPE_CHECKING:
    from rest_framework.views import APIView


class IsUser(BasePermission):
    """The caller is logged in."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return users.caller(request) is not None


class SeesOthers(BasePermission):
    """BADGES_API_OTHERS shows the caller who holds badges; users always see their own."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        caller = users.caller(request)
        if caller is not None and view.kwargs.get("key") == str(caller):
            return True
        match badges_settings.BADGES_API_OTHERS:
            case "everyone":
                return True
            case "users":
                return caller is not None
            case _:
                return False
