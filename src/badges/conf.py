"""The settings of the package, read from Django's at the time of use."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from badges import exceptions


class BadgesSettings:
    """Each property is one setting; its docstring is what the documentation says about it."""

    @property
    def BADGES_FILE(self) -> Path:  # noqa: N802 - settings are written in capitals
        """Path of the badge file. No default; a site whose badges are all rules in Python needs none."""
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
        """How often `create_badge_triggers` tries again after a lock timeout, with growing pauses. Default 3."""
        return _within("BADGES_LOCK_RETRIES", getattr(settings, "BADGES_LOCK_RETRIES", 3), range(101))

    @property
    def BADGES_WAIT(self) -> int:  # noqa: N802
        """Milliseconds that a write waits for the badge work of another transaction, at most. Default 10, at most 900:
        so the wait ends before PostgreSQL looks for deadlocks (deadlock_timeout, 1 second unless changed).
        """
        return _within("BADGES_WAIT", getattr(settings, "BADGES_WAIT", 10), range(1, 901))

    @property
    def BADGES_BUCKETS(self) -> int:  # noqa: N802
        """Number of locks that all users share, a power of two. Default 1024: writes for users of one bucket wait for
        each other, and a transaction over many users holds as many locks at most.
        """
        buckets = _within("BADGES_BUCKETS", getattr(settings, "BADGES_BUCKETS", 1024), range(1, 4097))
        if buckets & (buckets - 1):
            raise exceptions.InvalidSetting(f"BADGES_BUCKETS is {buckets}; a power of two is needed, such as 1024.")
        return buckets

    @property
    def BADGES_PREVIEW_TIMEOUT(self) -> int:  # noqa: N802
        """Milliseconds that counting the users of one badge may take before its award, in `--plan` and in `--dry-run`.
        Default 5000.
        """
        return _within("BADGES_PREVIEW_TIMEOUT", getattr(settings, "BADGES_PREVIEW_TIMEOUT", 5000), range(1, 3_600_001))

    @property
    def BADGES_BRAKE(self) -> float:  # noqa: N802
        """The share of all users, from 0 to 1, that may be awarded one badge at once without `--yes`. Default 0.2; 1
        turns the brake off.
        """
        share = getattr(settings, "BADGES_BRAKE", 0.2)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise exceptions.InvalidSetting(
                f"BADGES_BRAKE is {share!r}; a number from 0 to 1 is needed: 0.2 is a fifth of the users."
            )
        return float(share)

    @property
    def BADGES_SUBSCRIBERS(self) -> frozenset[str]:  # noqa: N802
        """Aliases of the databases whose rows arrive by logical replication. Their triggers are row-level and always
        enabled, as its worker fires no others. Default: none.
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
    def BADGES_BASE_TEMPLATE(self) -> str:  # noqa: N802
        """The template that the pages extend: one with the blocks `title` and `content`. Default "badges/base.html"."""
        name = getattr(settings, "BADGES_BASE_TEMPLATE", "badges/base.html")
        if not isinstance(name, str) or not name:
            raise exceptions.InvalidSetting(
                f'BADGES_BASE_TEMPLATE is {name!r}; the name of a template is needed, such as "base.html".'
            )
        return name


def _within(name: str, value: object, allowed: range) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise exceptions.InvalidSetting(
            f"{name} is {value!r}; a whole number from {allowed.start} to {allowed.stop - 1} is needed."
        )
    return value


badges_settings = BadgesSettings()
