"""What the OpenAPI document says about a view beside what drf-spectacular sees by itself."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.db import models
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view

from badges.api.users import key_field

#: No schema: what an error looks like is up to the site's exception handler.
ERRORS = {
    304: "What the ETag in If-None-Match belongs to is still so.",
    400: "A parameter cannot have this value.",
    401: "Nobody is logged in.",
    403: "The caller may not see this.",
    404: "There is nothing here that the caller may see.",
    406: "No renderer has this format.",
    429: "Too many requests.",
}
ETAG = OpenApiParameter("ETag", str, OpenApiParameter.HEADER, response=[200])
CODE = OpenApiParameter("code", str, OpenApiParameter.PATH, description="The code of the badge.")


def user_key() -> OpenApiParameter:
    """The key of a user in the address, of the type that keys have on this site."""
    field = key_field()
    key_type = (
        int if isinstance(field, models.IntegerField) else uuid.UUID if isinstance(field, models.UUIDField) else str
    )
    return OpenApiParameter("key", key_type, OpenApiParameter.PATH, description="The key of the user.")


def documented(operation: str, response: Any, *parameters: Any) -> Callable[[Any], Any]:
    """Describe the one operation of a view: its name, what it answers, what it can be asked with."""
    errors = {status: OpenApiResponse(description=text) for status, text in ERRORS.items()}
    get = extend_schema(
        operation_id=operation, tags=["badges"], parameters=[ETAG, *parameters], responses={200: response, **errors}
    )
    return extend_schema_view(get=get)
