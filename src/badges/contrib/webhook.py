"""A signed POST for each award, revocation and expiry, in the form of https://www.standardwebhooks.com.

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
import urllib.error
import urllib.request
from typing import Any

from badges.models import BadgeDefinition, BadgeEvent
from badges.signals import badge_awarded, badge_revoked


@dataclasses.dataclass(frozen=True)
class Webhook:
    """A receiver that posts JSON. It raises unless the response is 2xx and in time, so that the event is tried again.

    The headers: `webhook-id`, the id of the event, the same if it is sent again; `webhook-timestamp`, seconds
    since 1970; `webhook-signature`, `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
    """

    url: str
    secret: str = dataclasses.field(repr=False)
    """The key, either as text or in base64 after `whsec_`."""
    timeout: float = 10.0
    """Seconds to wait for the response."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"{self.url!r} is no URL of a webhook: it must begin with https:// or http://.")
        if not self.secret:
            raise ValueError("The secret is empty: anyone could sign.")

    def connect(self) -> None:
        """Connect to `badge_awarded` and `badge_revoked`."""
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
        request = urllib.request.Request(self.url, body, headers, method="POST")  # noqa: S310 - validated above
        try:
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=self.timeout):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            raise

    def sign(self, identity: str, timestamp: str, body: bytes) -> str:
        """The value of `webhook-signature`; the receiver computes it from the request and compares."""
        key = self.secret.encode()
        if self.secret.startswith("whsec_"):
            key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = hmac.digest(key, b".".join([identity.encode(), timestamp.encode(), body]), hashlib.sha256)
        return f"v1,{base64.b64encode(signed).decode()}"


def payload(event: BadgeEvent, user: Any, definition: BadgeDefinition | None) -> dict[str, Any]:
    """The posted JSON."""
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
    """Redirects are errors: a redirected POST would arrive as a GET, unnoticed."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None
