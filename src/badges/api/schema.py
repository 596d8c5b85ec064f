"""OpenAPI: what the document says about a view in addition to what drf-spectacular finds by itself."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.db import models
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view

from badges.api.users import key_field

#: Without a schema: the site's exception handler decides the form of an error.
ERRORS = {
    304: "The response has not changed since the ETag in If-None-Match.",
    400: "A parameter cannot have this value.",
    401: "The caller is not logged in.",
    403: "The caller may not see this.",
    404: "There is nothing here that the caller may see.",
    406: "No renderer has this format.",
    429: "Too many requests.",
}
ETAG = OpenApiParameter("ETag", str, OpenApiParameter.HEADER, response=[200])
CODE = OpenApiParameter("code", str, OpenApiParameter.PATH, description="The code of the badge.")


def user_key() -> OpenApiParameter:
    """The key of a user in the URL, of the type that keys have on this site."""
    field = key_field()
    key_type = (
        int if isinstance(field, models.IntegerField) else uuid.UUID if isinstance(field, models.UUIDField) else str
    )
    return OpenApiParameter("key", key_type, OpenApiParameter.PATH, description="The key of the user.")


def documented(operation: str, response: Any, *parameters: Any) -> Callable[[Any], Any]:
    """Describe the one operation of a view: its name, its response and its parameters."""
    errors = {status: OpenApiResponse(description=text) for status, text in ERRORS.items()}
    get = extend_schema(
        operation_id=operation, tags=["badges"], parameters=[ETAG, *parameters], responses={200: response, **errors}
    )
    return extend_schema_view(get=get)
