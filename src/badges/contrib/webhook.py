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

PREFIX = "whsec_"
"""What a secret begins with whose key is given in base64."""


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
        # Without a value, as from an environment variable that is not set, there is nothing to strip.
        if not self.secret or not self.secret.strip() or not self.key:
            raise ValueError("The secret is empty: anyone could sign.")
        if self.secret != self.secret.strip():
            raise ValueError("The secret has a space or a line break around it, which the receiver's may not have.")

    @property
    def key(self) -> bytes:
        """The bytes that sign.

        :raises ValueError: what follows `whsec_` is not base64.
        """
        text = self.secret.removeprefix(PREFIX)
        if text == self.secret:
            return text.encode()
        try:
            # Some services show their secrets without the padding, and their libraries read both.
            return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
        except ValueError as error:
            raise ValueError(f"The secret begins with {PREFIX}, so base64 is needed after it: {error}.") from None

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
        signed = hmac.digest(self.key, b".".join([identity.encode(), timestamp.encode(), body]), hashlib.sha256)
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
