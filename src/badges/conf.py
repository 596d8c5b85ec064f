"""The settings of the package, read from Django's settings at the time of use."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest

from badges import exceptions


class BadgesSettings:
    """Each property is one setting; its docstring is what the documentation says about it."""

    @property
    def BADGES_FILE(self) -> Path:  # noqa: N802 - settings are written in capitals
        """Path of the badge file. No default; a site that declares all its badges in Python needs none."""
        path = getattr(settings, "BADGES_FILE", None)
        if not path:
            raise exceptions.NotConfigured
        return Path(os.fspath(path))

    @property
    def BADGES_LOCK_TIMEOUT(self) -> int:  # noqa: N802
        """Milliseconds that `create_badge_triggers` waits for a table before it tries again. Default 2000."""
        return _within("BADGES_LOCK_TIMEOUT", getattr(settings, "BADGES_LOCK_TIMEOUT", 2000), range(1, 3_600_001))

    @property
    def BADGES_LOCK_RETRIES(self) -> int:  # noqa: N802
        """Number of times that `create_badge_triggers` retries after a lock timeout, with growing pauses. Default 3."""
        return _within("BADGES_LOCK_RETRIES", getattr(settings, "BADGES_LOCK_RETRIES", 3), range(101))

    @property
    def BADGES_WAIT(self) -> int:  # noqa: N802
        """Milliseconds that a write waits at most for the badge work of another transaction. Default 10, maximum 900:
        so the wait ends before PostgreSQL checks for deadlocks (deadlock_timeout, 1 second unless changed).
        """
        return _within("BADGES_WAIT", getattr(settings, "BADGES_WAIT", 10), range(1, 901))

    @property
    def BADGES_BUCKETS(self) -> int:  # noqa: N802
        """Number of locks that all users share, a power of two. Default 1024. Writes for users of the same bucket wait
        for each other, and a transaction over many users holds at most this many locks.
        """
        buckets = _within("BADGES_BUCKETS", getattr(settings, "BADGES_BUCKETS", 1024), range(1, 4097))
        if buckets & (buckets - 1):
            raise exceptions.InvalidSetting(f"BADGES_BUCKETS is {buckets}; a power of two is needed, such as 1024.")
        return buckets

    @property
    def BADGES_PREVIEW_TIMEOUT(self) -> int:  # noqa: N802
        """Milliseconds that counting the users of one badge may take, before an award and in `--plan` and `--dry-run`.
        Default 5000.
        """
        return _within("BADGES_PREVIEW_TIMEOUT", getattr(settings, "BADGES_PREVIEW_TIMEOUT", 5000), range(1, 3_600_001))

    @property
    def BADGES_BRAKE(self) -> float:  # noqa: N802
        """The share of all users, from 0 to 1, who may be awarded one badge at once without `--yes`. Default 0.2; 1
        disables the brake.
        """
        share = getattr(settings, "BADGES_BRAKE", 0.2)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise exceptions.InvalidSetting(
                f"BADGES_BRAKE is {share!r}; a number from 0 to 1 is needed: 0.2 is a fifth of the users."
            )
        return float(share)

    @property
    def BADGES_SIGNALS(self) -> bool:  # noqa: N802
        """Whether awards, revocations and expiries are queued for `listen_badges`, which sends the signals. Default
        False, as the queue of a site without a listener would grow without limit.
        """
        return _true_or_false("BADGES_SIGNALS", getattr(settings, "BADGES_SIGNALS", False))

    @property
    def BADGES_SIGNAL_ATTEMPTS(self) -> int:  # noqa: N802
        """Number of times that `listen_badges` tries to send an event before it parks it with its error. Default 10."""
        return _within("BADGES_SIGNAL_ATTEMPTS", getattr(settings, "BADGES_SIGNAL_ATTEMPTS", 10), range(1, 1001))

    @property
    def BADGES_NOTIFY(self) -> bool | None:  # noqa: N802
        """Whether a transaction that writes an event or leaves a pending check wakes the listeners by NOTIFY. Default
        None: yes, unless the server allows prepared transactions (max_prepared_transactions), as NOTIFY and PREPARE
        exclude each other.
        """
        value = getattr(settings, "BADGES_NOTIFY", None)
        return None if value is None else _true_or_false("BADGES_NOTIFY", value)

    @property
    def BADGES_POLL(self) -> float:  # noqa: N802
        """Seconds after which `listen_badges` and the live streams poll the database, if nothing wakes them. Default
        2.
        """
        seconds = getattr(settings, "BADGES_POLL", 2)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.01 <= seconds <= 3600:
            raise exceptions.InvalidSetting(
                f"BADGES_POLL is {seconds!r}; a number of seconds from 0.01 to 3600 is needed, such as 2."
            )
        return float(seconds)

    @property
    def BADGES_LIVE_ALL(self) -> bool | Callable[[HttpRequest], bool]:  # noqa: N802
        """Whether live streams carry the badges of all users: True, False, or a function of the request that returns
        one of them. Default False: users see their own badges.
        """
        value = getattr(settings, "BADGES_LIVE_ALL", False)
        if not isinstance(value, bool) and not callable(value):
            raise exceptions.InvalidSetting(
                f"BADGES_LIVE_ALL is {value!r}; True, False or a function that takes the request is needed."
            )
        return value

    @property
    def BADGES_SUBSCRIBERS(self) -> frozenset[str]:  # noqa: N802
        """Aliases of the databases whose rows arrive by logical replication. Their triggers are row-level and always
        enabled, as the apply worker fires no others. Default: none.
        """
        aliases = getattr(settings, "BADGES_SUBSCRIBERS", ())
        if not isinstance(aliases, list | tuple | set | frozenset) or not all(
            isinstance(each, str) for each in aliases
        ):
            raise exceptions.InvalidSetting(
                f'BADGES_SUBSCRIBERS is {aliases!r}; a list of database aliases is needed, such as ["default"].'
            )
        return frozenset(aliases)

    @property
    def BADGES_API_OTHERS(self) -> str:  # noqa: N802
        """Callers of the REST API to whom it shows the badges of other users: "everyone" whom the site's permissions
        let in, "users" who are logged in, or "nobody". Default "users". Callers always see their own badges.
        """
        others = getattr(settings, "BADGES_API_OTHERS", "users")
        if others not in ("everyone", "users", "nobody"):
            raise exceptions.InvalidSetting(
                f'BADGES_API_OTHERS is {others!r}; "everyone", "users" or "nobody" is needed.'
            )
        return str(others)

    @property
    def BADGES_API_USER_SERIALIZER(self) -> str:  # noqa: N802
        """Path of the serializer for users in the REST API. Default "badges.api.users.BadgeUserSerializer": the key,
        and the username unless that is the email address.
        """
        path = getattr(settings, "BADGES_API_USER_SERIALIZER", "badges.api.users.BadgeUserSerializer")
        if not isinstance(path, str):
            raise exceptions.InvalidSetting(
                f'BADGES_API_USER_SERIALIZER is {path!r}; a path is needed, such as "people.serializers.Person".'
            )
        return path

    @property
    def BADGES_PG_CRON(self) -> str | None:  # noqa: N802
        """The schedule on which pg_cron calls `badges_catch_up()`, in its notation: `"*/15 * * * *"` is every 15
        minutes. Default: None, never.
        """
        schedule = getattr(settings, "BADGES_PG_CRON", None)
        if schedule is None:
            return None
        if not isinstance(schedule, str) or not (
            len(schedule.split()) == 5 or re.fullmatch(r"[1-9]\d* seconds?", schedule)
        ):
            raise exceptions.InvalidSetting(
                f"BADGES_PG_CRON is {schedule!r}; a schedule as in a crontab is needed: "
                '"*/15 * * * *" is every 15 minutes.'
            )
        return schedule

    @property
    def BADGES_BASE_TEMPLATE(self) -> str:  # noqa: N802
        """The template that the pages extend, with the blocks `title` and `content`. Default "badges/base.html"."""
        name = getattr(settings, "BADGES_BASE_TEMPLATE", "badges/base.html")
        if not isinstance(name, str) or not name:
            raise exceptions.InvalidSetting(
                f'BADGES_BASE_TEMPLATE is {name!r}; the name of a template is needed, such as "base.html".'
            )
        return name


def _true_or_false(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise exceptions.InvalidSetting(f"{name} is {value!r}; True or False is needed.")
    return value


def _within(name: str, value: object, allowed: range) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise exceptions.InvalidSetting(
            f"{name} is {value!r}; a whole number from {allowed.start} to {allowed.stop - 1} is needed."
        )
    return value


badges_settings = BadgesSettings()
