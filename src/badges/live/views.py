"""Live badges: server-sent events under ASGI, and polling under any server."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import psycopg
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connections, router, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from badges.conf import badges_settings
from badges.database import fetch
from badges.fields import active_languages
from badges.live import query
from badges.live.hub import Hub, Stream, TooMany
from badges.live.position import Position, StreamedEvent
from badges.models import BadgeEvent
from badges.queries.images import image_url
from badges.queries.visibility import is_visible_event

HEARTBEAT = 15.0
"""Seconds without an event after which a stream sends a comment to keep the connection open."""

LIFETIME = 900.0
"""Seconds after which a stream ends and the client reconnects, so that a user who has logged out sees no more."""

RETRY = (500, 3000)
"""Milliseconds after which a client reconnects, chosen at random: when a server restarts, all clients do."""


@transaction.non_atomic_requests
@require_GET
async def live(request: HttpRequest) -> HttpResponseBase:
    """The badges of the user as server-sent events, each as soon as it is committed.

    With the header `Last-Event-ID` or the parameter `after`, first those since that id.
    """
    if not isinstance(request, ASGIRequest):
        return _error(
            501,
            _("Live badges need a server that speaks ASGI, such as uvicorn. This one speaks WSGI: poll instead."),
            poll=_poll_url(request),
        )
    user = await request.auser()
    if not user.is_authenticated:
        return _error(403, _("Log in to see your badges live."))
    match Hub.too_many(user.pk):
        case TooMany.OF_USER:
            error = _("You have too many open pages with live badges. Close some of them, or poll instead.")
            return _error(429, error, poll=_poll_url(request))
        case TooMany.OF_PROCESS:
            return _error(503, _("The server has too many live streams. Poll instead."), poll=_poll_url(request))
    sees_all = await sync_to_async(_sees_all)(request)
    # Otherwise each open page would keep the connection that its session was read with.
    await sync_to_async(_close_connections)()
    position = Position.parse(request.headers.get("Last-Event-ID") or request.GET.get("after", ""))
    return StreamingHttpResponse(
        _events(user.pk, position, active_languages(), sees_all=sees_all),
        content_type="text/event-stream; charset=utf-8",
        headers={
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",
            "Content-Encoding": "identity",  # GZipMiddleware would delay short chunks
        },
    )


@require_GET
def recent(request: HttpRequest) -> HttpResponse:
    """The badges of the user since the id in `after`, and the next id.

    Without an id, or with one from before the database was restored, only the next id.
    """
    user: Any = request.user
    if not user.is_authenticated:
        return _error(403, _("Log in to see your badges live."))
    after = request.GET.get("after", "")
    position = Position.parse(after)
    sees_all, languages = _sees_all(request), active_languages()
    most = query.MOST_OF_ALL if sees_all else None
    statement = query.query(position.seen if position else None, None if sees_all else [user.pk], most)
    snapshot, events = query.read(fetch(connections[router.db_for_write(BadgeEvent)], statement))
    if position and position.is_beyond(snapshot):
        position = None  # it would wait for the restored database to reach the transactions of the earlier one
    found = [event for _, event in position.onward(snapshot, events)] if position else []
    shown = [_data(event, languages, sees_all=sees_all) for event in found if _is_visible(event, user.pk)]
    # The same id as long as there is no event, so that the response is the same.
    response = JsonResponse({"id": after if position and not found else str(Position(snapshot)), "events": shown})
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Cookie", "Accept-Language"])
    if position is None:
        return response
    etag = f'"{hashlib.sha256(after.encode() + json.dumps(shown).encode()).hexdigest()[:32]}"'
    response["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response) or response


async def _events(
    user: Any, position: Position | None, languages: Sequence[str], *, sees_all: bool
) -> AsyncIterator[str]:
    yield f"retry: {random.randint(*RETRY)}\n\n"  # noqa: S311 - no secret
    if Hub.too_many(user):
        return  # others were faster since the view looked; the client reconnects, and gets the reason
    with Hub.stream(router.db_for_write(BadgeEvent), user, sees_all=sees_all) as (hub, stream):
        ends_at = time.monotonic() + LIFETIME
        try:
            snapshot, events = await hub.unseen(position.seen if position else None, user, sees_all=sees_all)
        except psycopg.Error:
            return  # the client reconnects with the same id
        if position and not position.is_beyond(snapshot):
            yield _messages(position.onward(snapshot, events), user, languages, sees_all=sees_all)
        position = Position(snapshot)
        yield f"id: {position}\nevent: ready\ndata: {{}}\n\n"
        while not stream.is_ended and time.monotonic() < ends_at:
            if stream.batches:
                position, text = _next(stream, position, languages)
                if text:
                    yield text
                continue
            await stream.wait(HEARTBEAT)
            if not stream.batches and not stream.is_ended:
                if hub.seen and hub.seen.is_after(position.seen):
                    position = Position(hub.seen)
                yield f": still here\nid: {position}\n\n"


def _next(stream: Stream, position: Position, languages: Sequence[str]) -> tuple[Position, str]:
    snapshot, events = stream.batches.popleft()
    text = _messages(position.onward(snapshot, events), stream.user, languages, sees_all=stream.sees_all)
    return Position(snapshot) if snapshot.is_after(position.seen) else position, text


def _messages(
    steps: Iterable[tuple[Position, StreamedEvent]], user: Any, languages: Sequence[str], *, sees_all: bool
) -> str:
    return "".join(
        f"id: {position}\nevent: badge\ndata: {json.dumps(_data(event, languages, sees_all=sees_all))}\n\n"
        for position, event in steps
        if _is_visible(event, user)
    )


def _is_visible(event: StreamedEvent, user: Any) -> bool:
    # Without a definition, whether the badge is secret is unknown.
    return is_visible_event(secret=event.definition.get("secret", True), owner=event.user, key=user)


def _data(event: StreamedEvent, languages: Sequence[str], *, sees_all: bool) -> dict[str, Any]:
    """The JSON of an event, in the language of the request."""
    definition = event.definition
    whose = {"user": event.user if isinstance(event.user, int) else str(event.user)} if sees_all else {}
    return {
        "code": event.code,
        "name": _in(languages, definition, "name") or event.code,
        "description": _in(languages, definition, "description"),
        "image": image_url(definition.get("image", "")),
        "url": _page_of(event.code),
        "thing": event.thing,
        "kind": event.kind,
        "at": event.at.isoformat(),
        "points": definition.get("points", 0),
        **whose,
    }


def _page_of(code: str) -> str:
    """The page of a badge; empty on a site that does not include the pages."""
    try:
        return reverse("badges:badge", args=[code])
    except NoReverseMatch:
        return ""


def _in(languages: Sequence[str], definition: dict[str, Any], field: str) -> str:
    texts = (definition.get("translations", {}).get(language, {}).get(field) for language in languages)
    return str(next((text for text in texts if text), definition.get(field, "")))


def _sees_all(request: HttpRequest) -> bool:
    setting = badges_settings.BADGES_LIVE_ALL
    return setting if isinstance(setting, bool) else bool(setting(request))


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _poll_url(request: HttpRequest) -> str | None:
    match = request.resolver_match
    try:
        return reverse(f"{match.namespace}:live_recent" if match and match.namespace else "live_recent")
    except NoReverseMatch:
        return None


def _error(status: int, message: str, **more: Any) -> JsonResponse:
    return JsonResponse({"error": message, **more}, status=status)
