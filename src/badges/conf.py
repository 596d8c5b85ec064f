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
        """Path of the badge file. No default: a site without one is told how to set it."""
        path = getattr(settings, "BADGES_FILE", None)
        if not path:
            raise exceptions.NotConfigured
        return Path(os.fspath(path))

    @property
    def BADGES_LOCK_TIMEOUT(self) -> int:  # noqa: N802
        """Milliseconds that `create_badge_triggers` waits for a table before it gives up and tries again. Default 2000."""
        return int(getattr(settings, "BADGES_LOCK_TIMEOUT", 2000))

    @property
    def BADGES_LOCK_RETRIES(self) -> int:  # noqa: N802
        """How often `create_badge_triggers` tries again after a lock timeout, with growing pauses. Default 3."""
        return int(getattr(settings, "BADGES_LOCK_RETRIES", 3))


badges_settings = BadgesSettings()
