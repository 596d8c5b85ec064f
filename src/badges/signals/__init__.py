"""The signals that `manage.py listen_badges` sends for each badge that comes or goes, whoever caused it."""

from __future__ import annotations

from django.dispatch import Signal

badge_awarded = Signal()
"""A user has been awarded a badge. Sent at least once, after the COMMIT, in the order of the events of each user.

What a receiver is given, beside `signal`:

:param sender: the class `BadgeEvent`.
:param event: the `BadgeEvent`; its `id` is the same if it is sent again.
:param user: the user.
:param definition: the `BadgeDefinition`.

More may come, so a receiver takes `**kwargs`. If it raises, it is called again later.
"""

badge_revoked = Signal()
"""A user has lost a badge: `event.kind` is `revoked` or `expired`. The rest is as for `badge_awarded`."""
