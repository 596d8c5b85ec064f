"""Delivers queued events to the receivers of the signals: in order for each user, at least once. Takes an alias."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from asgiref.sync import async_to_sync
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.dispatch import Signal

from badges.conf import badges_settings
from badges.models import BadgeDefinition, BadgeEvent, Delivery
from badges.signals import badge_awarded, badge_revoked

logger = logging.getLogger("badges")

FIRST_PAUSE = 5.0
"""Seconds before the second attempt; each further pause is three times as long."""

LONGEST_PAUSE = 3600.0

_ERROR_LENGTH = 2000


def due(alias: str = DEFAULT_DB_ALIAS, *, since: float = 0) -> QuerySet[Delivery]:
    """The first queued event of each user, if it is due; the oldest first.

    :param since: seconds for which an event must have been due.
    """
    queued = Delivery.objects.using(alias).filter(parked_at=None)
    earlier = queued.filter(user=OuterRef("user")).filter(
        Q(at__lt=OuterRef("at")) | Q(at=OuterRef("at"), event__lt=OuterRef("event"))
    )
    return queued.filter(~Exists(earlier), next_at__lte=Now() - timedelta(seconds=since)).order_by("at", "event")


def process(user: Any, alias: str = DEFAULT_DB_ALIAS) -> Iterator[bool | None]:
    """Deliver the due events of one user, one after the other.

    The caller holds the lock of the user, so that no other listener does the same: see `listener.py`.

    :returns: for each event whether it has been sent: False if a receiver raised, None if it was deleted with its user.
    """
    queued = Delivery.objects.using(alias).filter(parked_at=None, user=user).order_by("at", "event")
    while delivery := queued.annotate(is_due=Q(next_at__lte=Now())).first():
        if not delivery.is_due:
            return
        yield _deliver(delivery, alias)


def parked(alias: str = DEFAULT_DB_ALIAS) -> QuerySet[Delivery]:
    """The events that were parked after BADGES_SIGNAL_ATTEMPTS attempts, the latest first."""
    return Delivery.objects.using(alias).filter(parked_at__isnull=False).order_by("-parked_at")


def release(alias: str = DEFAULT_DB_ALIAS) -> int:
    """Make all parked events due again, from the first attempt on; returns their number."""
    return parked(alias).update(parked_at=None, attempts=0, next_at=Now())


def _deliver(delivery: Delivery, alias: str) -> bool | None:
    row = Delivery.objects.using(alias).filter(pk=delivery.pk)
    event = BadgeEvent.objects.using(alias).select_related("user").filter(pk=delivery.pk).first()
    if event is None:
        row.delete()
        return None
    definition = BadgeDefinition.objects.using(alias).filter(code=event.code).first()
    if definition:
        event.definition = definition
    signal = badge_awarded if event.kind == BadgeEvent.Kind.AWARDED else badge_revoked
    done, errors = _send(signal, set(delivery.done), event=event, user=event.user, definition=definition)
    if not errors:
        row.delete()
        return True
    attempts = delivery.attempts + 1
    pause = min(FIRST_PAUSE * 3 ** min(attempts - 1, 20), LONGEST_PAUSE)
    is_last = attempts >= badges_settings.BADGES_SIGNAL_ATTEMPTS
    row.update(
        attempts=attempts,
        next_at=Now() + timedelta(seconds=pause),
        done=sorted(done),
        error="\n".join(errors)[:_ERROR_LENGTH].replace("\0", ""),
        parked_at=Now() if is_last else F("parked_at"),
    )
    outcome = "parked" if is_last else f"tried again in {pause:.0f} s"
    logger.error("The event %s (%s of %s): %s; %s", delivery.pk, event, event.user_id, "; ".join(errors), outcome)
    return False


def _send(signal: Signal, done: set[str], **named: Any) -> tuple[set[str], list[str]]:
    """Call the receivers that have not returned yet, in the way of `Signal.send_robust`.

    `send_robust` itself would call all of them again: a second mail, only because another receiver had raised.

    :returns: the names of the receivers that have returned by now, and the errors of the others.
    """
    results: list[tuple[str, str]] = []
    synchronous, asynchronous = signal._live_receivers(BadgeEvent)
    calls: list[tuple[Any, Callable[..., Any]]] = [(each, each) for each in synchronous]
    calls += [(each, async_to_sync(each)) for each in asynchronous]
    for receiver, call in calls:
        if (name := _name(receiver)) in done:
            continue
        try:
            call(signal=signal, sender=BadgeEvent, **named)
        except Exception as error:
            logger.debug("%s", name, exc_info=True)
            results.append((name, f"{name}: {type(error).__name__}: {error}"))
        else:
            results.append((name, ""))
    failed = {name for name, error in results if error}
    returned = done | {name for name, error in results if not error}
    return returned - failed, [error for _, error in results if error]


def _name(receiver: Any) -> str:
    """A name of a receiver that is the same in every process: its module and name, or the repr of an object."""
    qualified = getattr(receiver, "__qualname__", None)
    return f"{receiver.__module__}.{qualified}" if qualified else repr(receiver)
