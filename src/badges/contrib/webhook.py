"""A signed POST for each badge that comes or goes, in the form of https://www.standardwebhooks.com.

from badges.contrib.webhook import Webhook
Webhook("https://example.com/badges", secret=os.environ["WEBHOOK_SECRET"]).connect()
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import time
import urllib.request
from typing import Any

from badges.models import BadgeDefinition, BadgeEvent
from badges.signals import badge_awarded, badge_revoked


@dataclasses.dataclass(frozen=True)
class Webhook:
    """A receiver that posts JSON. Whatever is no answer of 2xx in time raises, so that it is tried again.

    The headers: `webhook-id`, the id of the event, which is the same if it is sent again; `webhook-timestamp`, seconds
    since 1970; `webhook-signature`, `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
    """

    url: str
    secret: str = dataclasses.field(repr=False)
    """The key: as it stands, or after `whsec_` in base64."""
    timeout: float = 10.0
    """Seconds for which the other side may be silent."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"{self.url!r} is no address: https:// is needed.")
        if not self.secret:
            raise ValueError("The secret is empty, so anybody could sign.")

    def connect(self) -> None:
        """Be told of badges that are awarded, and of those that are revoked or expire."""
        for signal in (badge_awarded, badge_revoked):
            signal.connect(self, weak=False, dispatch_uid=f"badges.contrib.webhook {self.url}")

    def __call__(self, event: BadgeEvent, user: Any, definition: BadgeDefinition | None, **kwargs: Any) -> None:
        body = json.dumps(payload(event, user, definition)).encode()
        identity, timestamp = str(event.pk), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "django-pg-badges",
            "webhook-id": identity,
            "webhook-timestamp": timestamp,
            "webhook-signature": self.sign(identity, timestamp, body),
        }
        request = urllib.request.Request(self.url, body, headers, method="POST")  # noqa: S310 - looked at above
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=self.timeout):
            pass

    def sign(self, identity: str, timestamp: str, body: bytes) -> str:
        """What `webhook-signature` holds; whoever is called makes the same from what came, and compares."""
        key = self.secret.encode()
        if self.secret.startswith("whsec_"):
            key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = hmac.digest(key, b".".join([identity.encode(), timestamp.encode(), body]), hashlib.sha256)
        return f"v1,{base64.b64encode(signed).decode()}"


def payload(event: BadgeEvent, user: Any, definition: BadgeDefinition | None) -> dict[str, Any]:
    """What is posted."""
    return {
        "type": f"badge.{event.kind}",
        "timestamp": event.at.isoformat() if event.at else None,
        "data": {
            "user": user.pk if isinstance(user.pk, int) else str(user.pk),
            "username": user.get_username(),
            "code": event.code,
            "thing": event.thing,
            "cause": event.cause,
            "name": definition.name if definition else event.code,
            "description": definition.description if definition else "",
            "image": definition.image if definition else "",
            "points": definition.points if definition else 0,
        },
    }


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A POST that is redirected would arrive as a GET, and nobody would know."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None
