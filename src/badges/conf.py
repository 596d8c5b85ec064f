"""The settings of the package, each declared once and read from Django's settings at the time of use."""

from __future__ import annotations

import dataclasses
import keyword
import os
import re
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import Promise

from badges import exceptions

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Values(Generic[T]):
    """The values that a setting may have."""

    description: str
    """For messages and the documentation, such as "True or False"."""
    read: Callable[[Any], T]
    """The value as the package uses it; raises ValueError or TypeError if it is not allowed."""


class Setting(Generic[T]):
    """A setting, as an attribute of `BadgesSettings`: its value, or itself on the class.

    :param text: what it does; docs/settings.md repeats it, the default and what is allowed.
    :raises InvalidSetting: from reading the attribute, if the value in Django's settings is not allowed.
    """

    name: str

    def __init__(self, text: str, *, default: object, allowed: Values[T]) -> None:
        self.text = text
        self.default = default
        self.allowed = allowed

    def __set_name__(self, owner: type[BadgesSettings], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type[BadgesSettings]) -> Setting[T]: ...
    @overload
    def __get__(self, instance: BadgesSettings, owner: type[BadgesSettings]) -> T: ...
    def __get__(self, instance: BadgesSettings | None, owner: type[BadgesSettings]) -> Setting[T] | T:
        if instance is None:
            return self
        value = getattr(settings, self.name, self.default)
        try:
            return self.allowed.read(value)
        except (TypeError, ValueError):
            message = f"{self.name} is {value!r}; {self.allowed.description} is needed."
            raise exceptions.InvalidSetting(message) from None


def _checked(description: str, is_allowed: Callable[[Any], bool]) -> Values[Any]:
    def read(value: Any) -> Any:
        if not is_allowed(value):
            raise ValueError
        return value

    return Values(description, read)


def _integers(first: int, last: int) -> Values[int]:
    return _checked(f"a whole number from {first} to {last}", lambda value: _is_integer(value, first, last))


def _powers_of_two(first: int, last: int) -> Values[int]:
    return _checked(
        f"a power of two from {first} to {last}",
        lambda value: _is_integer(value, first, last) and value & (value - 1) == 0,
    )


def _is_integer(value: Any, first: int, last: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and first <= value <= last


def _numbers(first: float, last: float, unit: str) -> Values[float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not first <= value <= last:
            raise ValueError
        return float(value)

    return Values(f"{unit} from {first} to {last}", read)


def as_path(value: Any) -> Path:
    """A path in any form that Python and Django have for one; `~` is the home of the user.

    :raises TypeError: it is none.
    """
    return Path(os.fsdecode(str(value) if isinstance(value, Promise) else value)).expanduser()


def _path(value: Any) -> Path:
    if not value:
        raise exceptions.NotConfigured
    return as_path(value)


def _is_related_name(value: Any) -> bool:
    is_name = isinstance(value, str) and value.isidentifier() and not keyword.iskeyword(value)
    return is_name and "__" not in value and not value.endswith("_")


def _is_schedule(value: Any) -> bool:
    return isinstance(value, str) and (len(value.split()) == 5 or bool(re.fullmatch(r"[1-9]\d* seconds?", value)))


def _names(value: Any) -> frozenset[str]:
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(each, str) for each in value):
        raise ValueError
    return frozenset(value)


def is_time_zone(value: Any) -> bool:
    """Whether it is the name of a time zone. POSIX zones and abbreviations, which PostgreSQL knows too, are not."""
    try:
        return isinstance(value, str) and bool(zoneinfo.ZoneInfo(value))
    except (zoneinfo.ZoneInfoNotFoundError, OSError):
        return False


_BOOLEANS: Values[bool] = _checked("True or False", lambda value: isinstance(value, bool))


class BadgesSettings:
    """The settings of the package; each attribute is read from Django's settings when it is used."""

    BADGES_FILE = Setting(
        "Path of the badge file. A site that declares all its badges in Python needs none.",
        default=None,
        allowed=Values("a path", _path),
    )
    BADGES_INSTALL: Setting[str | None] = Setting(
        'What installs the triggers beside `create_badge_triggers`. "migrate": each `migrate` runs that command at its '
        "end, for test databases too. None: nothing; `migrate` says if they are out of date.",
        default=None,
        allowed=_checked('None or "migrate"', lambda value: value in (None, "migrate")),
    )
    BADGES_LOCK_TIMEOUT = Setting(
        "Milliseconds that `create_badge_triggers` waits for a table before it tries again.",
        default=100,
        allowed=_integers(1, 3_600_000),
    )
    BADGES_LOCK_RETRIES = Setting(
        "Number of times that `create_badge_triggers` retries after a lock timeout, with growing pauses.",
        default=30,
        allowed=_integers(0, 100),
    )
    BADGES_WAIT = Setting(
        "Milliseconds that a write waits at most for the badge work of another transaction. The maximum keeps the wait "
        "below the time after which PostgreSQL checks for deadlocks (deadlock_timeout, 1 second unless changed).",
        default=10,
        allowed=_integers(1, 900),
    )
    BADGES_BUDGET: Setting[int | None] = Setting(
        "Milliseconds that the condition of a badge may take in a write. A badge that takes longer three times within "
        "an hour is deferred: writes leave pending checks instead of evaluating it. None or 0: no limit.",
        default=100,
        allowed=_checked(
            "None or a whole number from 0 to 3600000",
            lambda value: value is None or _is_integer(value, 0, 3_600_000),
        ),
    )
    BADGES_BUCKETS = Setting(
        "Number of locks that all users share. Writes for users of the same bucket wait for each other, and a "
        "transaction over many users holds at most this many locks.",
        default=1024,
        allowed=_powers_of_two(1, 4096),
    )
    BADGES_TIME_ZONE: Setting[str | None] = Setting(
        "The time zone in which conditions read days and hours, in whatever time zone a session writes: a badge by "
        "`created::date` means the same in each. None: that of Django, TIME_ZONE.",
        default=None,
        allowed=_checked(
            'None or the name of a time zone such as "Europe/Berlin"',
            lambda value: value is None or is_time_zone(value),
        ),
    )
    BADGES_PREVIEW_TIMEOUT = Setting(
        "Milliseconds that counting the users of one badge may take, before an award and in `--plan` and `--dry-run`.",
        default=5000,
        allowed=_integers(1, 3_600_000),
    )
    BADGES_BRAKE = Setting(
        "The share of all users who may be awarded one badge at once without `--yes`: 0.2 is a fifth of the users, 1 "
        "disables the brake.",
        default=0.2,
        allowed=_numbers(0, 1, "a number"),
    )
    BADGES_SIGNALS = Setting(
        "Whether awards, revocations and expiries are queued for `listen_badges`, which sends the signals. Off by "
        "default, as the queue of a site without a listener would grow without limit.",
        default=False,
        allowed=_BOOLEANS,
    )
    BADGES_SIGNAL_ATTEMPTS = Setting(
        "Number of times that `listen_badges` tries to send an event before it parks it with its error.",
        default=10,
        allowed=_integers(1, 1000),
    )
    BADGES_NOTIFY: Setting[bool | None] = Setting(
        "Whether a transaction that writes an event or leaves a pending check wakes the listeners by NOTIFY. None: "
        "yes, unless the server allows prepared transactions (max_prepared_transactions), as NOTIFY and PREPARE "
        "exclude each other.",
        default=None,
        allowed=_checked("True, False or None", lambda value: value is None or isinstance(value, bool)),
    )
    BADGES_POLL = Setting(
        "Seconds after which `listen_badges` and the live streams poll the database, if nothing wakes them.",
        default=2,
        allowed=_numbers(0.01, 3600, "a number of seconds"),
    )
    BADGES_DIRECT: Setting[dict[str, str]] = Setting(
        "For an alias that leads to a pooler in transaction mode, such as PgBouncer, the alias of a direct connection "
        "to the same database. `listen_badges` and the live streams use it, which need a session of their own.",
        default={},
        allowed=_checked(
            'a dictionary of database aliases such as {"default": "direct"}',
            lambda value: (
                isinstance(value, dict) and all(isinstance(each, str) for item in value.items() for each in item)
            ),
        ),
    )
    BADGES_LIVE_ALL: Setting[bool | Callable[[HttpRequest], bool]] = Setting(
        "Whether live streams carry the badges of all users. A function decides by the request. False: users see their "
        "own badges.",
        default=False,
        allowed=_checked(
            "True, False or a function that takes the request",
            lambda value: isinstance(value, bool) or callable(value),
        ),
    )
    BADGES_LIVE_STREAMS = Setting(
        "Number of live streams that a process serves at once. Each is an open socket, of which the operating system "
        "allows a process a limited number; further pages poll.",
        default=1000,
        allowed=_integers(0, 1_000_000),
    )
    BADGES_LIVE_STREAMS_OF_USER = Setting(
        "Number of these that one user may have; further pages of the user poll.",
        default=20,
        allowed=_integers(0, 1_000_000),
    )
    BADGES_SUBSCRIBERS = Setting(
        "Aliases of the databases whose rows arrive by logical replication. Their triggers are row-level and always "
        "enabled, as the apply worker fires no others.",
        default=[],
        allowed=Values('a list of database aliases such as ["default"]', _names),
    )
    BADGES_TRUST = Setting(
        "Roles that may act with the rights of the owner of the badges: objects that the badges reach may belong to "
        'them. "PUBLIC" is every role that may log in.',
        default=[],
        allowed=Values('a list of names of roles such as ["app_owner"]', _names),
    )
    BADGES_API_OTHERS: Setting[str] = Setting(
        'Callers of the REST API to whom it shows the badges of other users: "everyone" whom the site\'s permissions '
        'let in, "users" who are logged in, or "nobody". Callers always see their own badges.',
        default="users",
        allowed=_checked('"everyone", "users" or "nobody"', lambda value: value in ("everyone", "users", "nobody")),
    )
    BADGES_API_USER_SERIALIZER: Setting[str] = Setting(
        "Path of the serializer for users in the REST API. That of the package has the key, and the username unless "
        "that is the email address.",
        default="badges.api.users.BadgeUserSerializer",
        allowed=_checked('a path such as "people.serializers.Person"', lambda value: isinstance(value, str)),
    )
    BADGES_PG_CRON: Setting[str | None] = Setting(
        "The schedule on which pg_cron calls `badges_catch_up()`, in its notation. None: never.",
        default=None,
        allowed=_checked(
            'None, a schedule as in a crontab ("*/15 * * * *" is every 15 minutes) or an interval such as "30 seconds"',
            lambda value: value is None or _is_schedule(value),
        ),
    )
    BADGES_RELATED_NAME: Setting[str] = Setting(
        "The name by which a user has the badges: `user.badges`. Another one is needed where the user model has an "
        "attribute, a field or a relation of that name.",
        default="badges",
        allowed=_checked('a name such as "earned_badges"', _is_related_name),
    )
    BADGES_BASE_TEMPLATE: Setting[str] = Setting(
        "The template that the pages extend, with the blocks `title` and `content`.",
        default="badges/base.html",
        allowed=_checked(
            'the name of a template such as "base.html"', lambda value: isinstance(value, str) and value != ""
        ),
    )


SETTINGS: tuple[Setting[Any], ...] = tuple(each for each in vars(BadgesSettings).values() if isinstance(each, Setting))
"""All settings of the package."""

badges_settings = BadgesSettings()


def related_name() -> str:
    """BADGES_RELATED_NAME, for the models and the migrations, which are imported before badges.E002 can report it."""
    try:
        return badges_settings.BADGES_RELATED_NAME
    except exceptions.InvalidSetting:
        return str(BadgesSettings.BADGES_RELATED_NAME.default)


def direct(alias: str) -> str:
    """The alias of a direct connection to the database of this one."""
    return badges_settings.BADGES_DIRECT.get(alias, alias)
