"""Exceptions, and the notices that are reported without being raised.

The docstring of an exception is its message, unless the code that raises it has a better one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """Something that its reader should know: an error, a finding, a problem, a warning."""

    message: str
    hint: str = ""
    """What to do about it: a sentence, a statement or a command; empty if there is nothing to do."""

    def as_dict(self) -> dict[str, str]:
        """For the JSON of the commands, whose key for the hint is an older word."""
        return {"message": self.message, "remedy": self.hint}


@dataclasses.dataclass(frozen=True, slots=True)
class DefinitionError(Notice):
    """An error in the badge file or in a rule in Python. It is reported, not raised."""

    place: str = dataclasses.field(default="", kw_only=True)
    number: int = dataclasses.field(default=0, kw_only=True)
    """The number of the badge among all badges, from 1; 0 for the file as a whole."""

    @property
    def at_place(self) -> str:
        """The message with its place, if it has one."""
        return f"{self.place}: {self.message}" if self.place else self.message

    def __str__(self) -> str:
        return f"{self.at_place}\n    {self.hint}" if self.hint else self.at_place


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

    :ivar source: the file that has the errors.
    :ivar errors: all of its errors, each once, in the order of the file.
    :ivar shown: those that are printed: the first hundred.
    """

    MOST_SHOWN = 100

    def __init__(self, source: str, errors: Iterable[DefinitionError]) -> None:
        self.source = source
        # A badge that is checked after several events has the same errors after each of them.
        self.errors = tuple(sorted(dict.fromkeys(errors), key=lambda error: error.number))
        count = f"{len(self.errors):,} errors" if len(self.errors) > 1 else "1 error"
        verdict = f"has {count}" if any(error.place for error in self.errors) else "cannot be used"
        self.shown = self.errors[: self.MOST_SHOWN]
        rest = [self.rest] if self.rest else []
        super().__init__("\n".join([f"{source} {verdict}; nothing was changed.", *map(str, self.shown), *rest]))

    @property
    def rest(self) -> str:
        """How many errors are not shown; empty if all are."""
        more = len(self.errors) - len(self.shown)
        return f"... and {more:,} more errors." if more > 1 else "... and 1 more error." if more else ""

    @property
    def faults(self) -> tuple[DefinitionError, ...]:
        """The name of `errors` before 1.0."""
        return self.errors


class MissingFile(InvalidDefinitions):
    """There is no badge file at that path."""

    def __init__(self, source: str) -> None:
        hint = "Make it, for example with `python manage.py startbadges`, or correct BADGES_FILE or --file."
        super().__init__(source, [DefinitionError("There is no such file.", hint)])


class LockNotAvailable(BadgesError):
    """A table is in use by a long transaction; nothing was changed. Run the command again later."""


class Pooled(BadgesError):
    """A pooler gives each transaction another session. Name a direct connection in BADGES_DIRECT."""


class OutOfDate(BadgesError):
    """The installed triggers are out of date with the badge file. Run `python manage.py create_badge_triggers`."""


class UnknownBadge(BadgesError):
    """No badge has this code."""


class UnknownUser(BadgesError):
    """There is no such user."""


class UnknownSubject(BadgesError):
    """The badge is not awarded for this subject."""


class RowsHidden(BadgesError):
    """Row-level security hides rows from this role, so that users would be missed; nothing was changed."""


class InsufficientRights(BadgesError):
    """The database role lacks a right that it needs; nothing was changed."""

    @classmethod
    def of_function(cls, message: str | None) -> InsufficientRights:
        """From PostgreSQL's message about a function that the role may not execute, with the GRANT."""
        name = re.search(r"function (\S+)", message or "")
        grant = f"\n    GRANT EXECUTE ON FUNCTION {name[1]} TO the role of this connection;" if name else ""
        return cls(f"{message}; nothing was changed.{grant}")


class Braked(BadgesError):
    """BADGES_BRAKE: too many users would be awarded a badge at once; nothing was changed. Pass --yes to proceed."""


NotInLine = OutOfDate
"""The name of `OutOfDate` before 1.0."""
