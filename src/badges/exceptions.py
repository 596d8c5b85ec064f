"""What can go wrong. The docstring of each exception is its message unless a better one is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a badge file: where, what was found, and what to do about it."""

    place: str
    message: str
    remedy: str = ""
    number: int = 0
    """Which badge of the file has it, from 1; 0 for the file as a whole."""

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        return f"{text}\n    {self.remedy}" if self.remedy else text


class BadgesError(Exception):
    """django-pg-badges could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class NotConfigured(BadgesError):
    """BADGES_FILE is not set. Add BADGES_FILE = BASE_DIR / "badge.json" to the settings, or pass --file PATH."""


class InvalidSetting(BadgesError):
    """A setting of the package has a value that it cannot have."""


class UnsupportedDatabase(BadgesError):
    """Badges need a PostgreSQL database that is reached through psycopg 3."""


class NotMigrated(BadgesError):
    """The tables of the app "badges" are missing. Run `python manage.py migrate badges` first."""


class InvalidDefinitions(BadgesError):
    """The badge file cannot be used.

    :ivar source: the file that the faults are in.
    :ivar faults: all that is wrong in it, each once, in the order of the file.
    """

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.source = source
        # A badge that is checked after several events is faulty after each of them in the same way.
        self.faults = tuple(sorted(dict.fromkeys(faults), key=lambda fault: fault.number))
        count = f"{len(self.faults)} faults" if len(self.faults) > 1 else "1 fault"
        verdict = f"has {count}" if any(fault.place for fault in self.faults) else "cannot be used"
        super().__init__("\n".join([f"{source} {verdict}; nothing was changed.", *map(str, self.faults)]))


class LockNotAvailable(BadgesError):
    """A table is in use by a long transaction; nothing was changed. Run the command again later."""


class NotInLine(BadgesError):
    """The database is not in line with the badge file. Run `python manage.py create_badge_triggers` first."""


class UnknownBadge(BadgesError):
    """No badge has this code."""


class UnknownUser(BadgesError):
    """There is no such user."""


class RowsHidden(BadgesError):
    """Row-level security hides rows from this role, so that users would be missed; nothing was changed."""


class InsufficientRights(BadgesError):
    """The database role may not do what the plan needs; nothing was changed."""


class Braked(BadgesError):
    """More users than BADGES_BRAKE allows would be awarded a badge at once; nothing was changed. --yes goes on."""
