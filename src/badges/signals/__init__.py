"""The signals that `manage.py listen_badges` sends for awards, revocations and expiries, by whichever client."""

from __future__ import annotations

from django.dispatch import Signal

badge_awarded = Signal()
"""A user has been awarded a badge. Sent at least once, after the COMMIT, in order for each user.

The arguments of a receiver, besides `signal`:

:param sender: the class `BadgeEvent`.
:param event: the `BadgeEvent`; its `id` is the same if it is sent again.
:param user: the user.
:param definition: the `BadgeDefinition`; None if its row has been deleted.

Versions to come may add arguments, so a receiver takes `**kwargs`. A receiver that raises is called again later.
"""

badge_revoked = Signal()
"""A user has lost a badge: `event.kind` is `revoked` or `expired`. The rest is as for `badge_awarded`."""
